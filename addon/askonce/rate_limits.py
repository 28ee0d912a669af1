"""How often somebody may ask: the counters that the products' limits share.

One rule: what is counted is told by name (`"langcache", <who>`), never by a secret; counters live in memory alone.
"""

import math
import time
from functools import cached_property, lru_cache
from typing import Annotated, NamedTuple

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from pydantic import AfterValidator

__all__ = ["Rate", "Rates", "Standing"]


def _checked(text: str) -> str:
    try:
        parse(text)
    except ValueError:
        raise ValueError(f"expected a rate such as 100/minute or 10 per 5 seconds; got {text!r}") from None
    return text


Rate = Annotated[str, AfterValidator(_checked)]
"""`100/minute`, `10 per 5 seconds`."""
_parse = lru_cache(64)(parse)


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
    """Counts requests in fixed windows. Thread-safe."""

    def take(self, rate: str, *who: str) -> Standing:
        """Count a request of `who` against `rate`."""
        item: RateLimitItem = _parse(rate)
        allowed = self._limiter.hit(item, *who)
        stats = self._limiter.get_window_stats(item, *who)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        return Standing(allowed, item.amount, max(0, stats.remaining), math.ceil(stats.reset_time), wait)

    @cached_property
    def _limiter(self) -> FixedWindowRateLimiter:
        # Made on first use: the storage keeps a timer.
        return FixedWindowRateLimiter(MemoryStorage())
