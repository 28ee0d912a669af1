"""The figures of Semcache's dashboard, now and over the last half hour.

The rule: nothing is counted here; each figure is read off the accounting or the cache when it is asked for.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Literal, TypedDict

from askonce.accounting import Accounting
from askonce.api.vital_signs import resident_kilobytes
from askonce.cache import Cache
from askonce.jsontext import rfc3339

__all__ = ["INTERVAL", "Dashboard", "Figure", "Figures"]

INTERVAL = 30.0
"""Seconds between two samples."""
_KEPT = 50


class Figure(TypedDict):
    name: str
    value: int
    chart_type: Literal["bar", "line", "doughnut", "statcard"]


class Figures(TypedDict):
    timestamp: str
    metrics: list[Figure]


class Dashboard:
    """Samples are taken by whoever owns it, every `INTERVAL`."""

    def __init__(self, accounting: Accounting, cache: Cache, clock: Callable[[], float] = time.time) -> None:
        self._accounting, self._cache, self._clock = accounting, cache, clock
        self._history = deque[Figures](maxlen=_KEPT)

    def now(self) -> Figures:
        """The figures at this moment."""
        totals = self._accounting.totals()
        return {
            "timestamp": rfc3339(self._clock()),
            "metrics": [
                {"name": "Num entries in the cache", "value": self._cache.stats()["entries"], "chart_type": "line"},
                {"name": "Total chat completion requests", "value": totals.all.calls, "chart_type": "statcard"},
                {"name": "Cache hits", "value": totals.hits, "chart_type": "doughnut"},
                {"name": "Cache miss", "value": totals.misses, "chart_type": "doughnut"},
                {
                    "name": "Memory usage (mb) - only available in Linux systems",
                    "value": (resident_kilobytes() or 0) // 1024,
                    "chart_type": "line",
                },
            ],
        }

    def sample(self) -> None:
        """Keep the figures of this moment."""
        self._history.append(self.now())

    @property
    def history(self) -> list[Figures]:
        """The samples, the oldest first."""
        return list(self._history)
