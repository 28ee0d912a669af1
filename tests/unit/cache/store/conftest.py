"""Both stores of answers: the tests beside this file run against each of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.entries import NOW
from tests.support.stores import be_patient, closed_at_the_end

from askonce.cache.store import AnswerStore, CacheLimits, open_answers
from askonce.faults import Faults

Open = Callable[..., AnswerStore]


@pytest.fixture(autouse=True)
def _busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


@pytest.fixture(params=["embedded", "shared"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the test's store; once more, after it was closed, to restart."""
    shared = request.getfixturevalue("place") if request.param == "shared" else None

    def open_store(
        *, clock: Callable[[], float] = lambda: NOW, faults: Faults | None = None, **limits: Any
    ) -> AnswerStore:
        return open_answers(tmp_path / "data", CacheLimits(**limits), clock, faults or Faults(), shared)

    with closed_at_the_end(open_store) as opened:
        yield opened


@pytest.fixture
def store(open_store: Open) -> AnswerStore:
    return open_store()
