"""Stores that a test opens, and opens again; and patience with a database, for those that are marked `both_stores`."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from tests.support.waiting import PATIENCE

from askonce.cache.store.shared import lease, reading, writer

__all__ = ["be_patient", "closed_at_the_end"]


class Store(Protocol):
    def close(self) -> None: ...


@contextlib.contextmanager
def closed_at_the_end[S: Store](open_store: Callable[..., S]) -> Iterator[Callable[..., S]]:
    """`open_store`, whose stores are closed when the test is over."""
    with contextlib.ExitStack() as stack:

        def opened(**given: Any) -> S:
            store = open_store(**given)
            stack.callback(store.close)
            return store

        yield opened


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a database may take long, and nobody gives up."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", PATIENCE)
    monkeypatch.setattr(lease, "BEAT_PATIENCE", PATIENCE)
    monkeypatch.setattr(reading, "LOOK_SECONDS", PATIENCE)
    monkeypatch.setattr(writer, "WRITE_SECONDS", PATIENCE)
