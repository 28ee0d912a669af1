"""What a full collection has to walk, for which the event loop stands, in a proxy that has loaded all that it uses."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.e2e.conftest import StartProxy

MOST = 30_000
"""Objects; the management API alone has more, and a proxy that is used a little has 5,000 that were not set aside."""
COUNTING = """
import gc, pathlib, signal

def _count(*_):
    told = pathlib.Path(os.environ["ASKONCE_TEST_COUNT"])
    told.with_suffix(".new").write_text(str(len(gc.get_objects())))
    told.with_suffix(".new").replace(told)

signal.signal(signal.SIGUSR1, _count)
"""
"""Counts when it is told to: while a program is loading, `gc.get_objects` breaks tuples that are being made."""


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="asks by a signal that Windows lacks")
def test_a_full_collection_passes_by_what_is_loaded(start_proxy: StartProxy, tmp_path: Path) -> None:
    route = Path(__file__).parent / "route" / "sitecustomize.py"
    (tmp_path / "sitecustomize.py").write_text(route.read_text() + COUNTING)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    told = tmp_path / "count"
    proxy = start_proxy(environment={"PYTHONPATH": path, "ASKONCE_TEST_COUNT": str(told)})
    assert proxy.get("/v1/stats")

    def count() -> int:
        told.unlink(missing_ok=True)
        proxy.process.send_signal(signal.SIGUSR1)
        until(told.exists)
        return int(told.read_text())

    until(lambda: count() < MOST, "what is loaded is walked again")
