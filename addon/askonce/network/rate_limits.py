"""How often somebody may ask: the counters that the products' limits share.

One rule: what is counted is told by name (`"langcache", <who>`), never by a secret; counters live in memory alone.
"""

import math
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

__all__ = ["Rate", "Rates", "Standing"]


@lru_cache(64)
def _parse(text: str) -> tuple[int, int]:
    """How many requests, in how many seconds. Raises ValueError."""
    from limits import parse  # 60 modules, which only who has a limit needs

    rate = parse(text)
    return rate.amount, rate.get_expiry()


def _checked(text: str) -> str:
    try:
        _parse(text)
    except ValueError:
        raise ValueError(f"expected a rate such as 100/minute or 10 per 5 seconds; got {text!r}") from None
    return text


Rate = Annotated[str, AfterValidator(_checked)]
"""`100/minute`, `10 per 5 seconds`."""
_FEW = 1024
"""Windows up to which nobody looks for those that have ended."""


class Standing(NamedTuple):
    """Where somebody stands after a request."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    """Unix seconds at which the window ends."""
    wait: int
    """Seconds until then."""

    @property
    def headers(self) -> dict[str, str]:
        """`X-RateLimit-*`, and `Retry-After` where the request was one too many."""
        said = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }
        if not self.allowed:
            said["Retry-After"] = str(self.wait)
        return said


class Rates:
    """Counts requests in fixed windows. Thread-safe.

    On a clock that only goes forward: where the machine's is put back, nobody waits for longer than his window.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, ...], tuple[float, int]] = {}
        """Rate and who -> when the window ends, and how many requests came in it."""
        self._sweep_at = _FEW
        self._lock = threading.Lock()

    def take(self, rate: str, *who: str) -> Standing:
        """Count a request of `who` against `rate`."""
        return self.count(*_parse(rate), rate, *who)

    def count(self, amount: int, seconds: int, *who: str) -> Standing:
        """Count a request of `who`, of which there may be `amount` in so many seconds."""
        now, key = self._clock(), who
        with self._lock:
            end, count = self._windows.get(key, (now, 0))
            if end <= now:
                end, count = now + seconds, 0
            self._windows[key] = end, count + 1
            if len(self._windows) > self._sweep_at:
                self._windows = {key: window for key, window in self._windows.items() if window[0] > now}
                self._sweep_at = max(_FEW, 2 * len(self._windows))
        left, reset = amount - count - 1, math.ceil(time.time() + end - now)
        return Standing(left >= 0, amount, max(0, left), reset, max(1, math.ceil(end - now)))
