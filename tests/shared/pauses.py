"""A database stands still while apps ask what nobody asked before: what a miss takes then, beside what it took before.

One rule: a machine's own delays are in both, so what counts is the difference of the two.
"""

from __future__ import annotations

import itertools
import signal
import statistics
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.shared.trials import App

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

DEADLINE = 0.05
"""Seconds: `cache.lookup_deadline` as it is by default, which docs/scale.md states."""


@dataclass
class Misses:
    """Seconds that each took."""

    moving: list[float] = field(default_factory=list)
    """While the database moved."""
    standing: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def added(self) -> float:
        """Seconds, at the 99th of a hundred."""
        return _p99(self.standing) - _p99(self.moving)


def run(app: App, postgres: Postgres, seconds: float) -> Misses:
    """Ask by four apps for so long, and then again as long, with the database stopped (SIGSTOP)."""
    misses = Misses()
    _ask_for(app, seconds, misses.moving, misses.errors)
    postgres.signal(signal.SIGSTOP)
    try:
        _ask_for(app, seconds, misses.standing, misses.errors)
    finally:
        postgres.signal(signal.SIGCONT)
    return misses


def _ask_for(app: App, seconds: float, took: list[float], errors: list[str]) -> None:
    end = time.monotonic() + seconds

    def ask() -> None:
        key = f"sk-test-{uuid.uuid4().hex}"
        for number in itertools.count():
            begin = time.monotonic()
            if begin > end:
                return
            answer = app.ask(key, f"What is {number} times 2?")
            took.append(time.monotonic() - begin)
            if answer.status_code != 200:
                errors.append(f"{answer.status_code} {answer.text[:200]}")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[98]
