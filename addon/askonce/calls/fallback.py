"""An answer past its time in place of a provider's error, where rule and request allow it (RFC 5861 section 4).

One rule: the provider is asked first, each time. What may stand in is looked up before that, so that no error of his
waits for the disk.
"""

from collections.abc import Callable

from askonce.cache import Cache
from askonce.call import Reply
from askonce.calls.lookup import LookUps, admitted
from askonce.calls.state import Exchange, FallenBack

__all__ = ["Fallbacks", "is_failure", "may_fall_back"]


class Fallbacks:
    """Keeps answers at hand. Belongs to one event loop; what it raises is a fault, and the caller gets the error."""

    def __init__(self, cache: Cache, look_ups: LookUps, clock: Callable[[], float]) -> None:
        self._cache, self._look_ups, self._clock = cache, look_ups, clock

    async def prepare(self, exchange: Exchange) -> None:
        """Look up what may be served should the provider fail, before it is asked."""
        max_stale, identity = _max_stale(exchange), exchange.identity
        if not max_stale or self._look_ups.watches(exchange):
            return
        if identity and exchange.is_direct and not (exchange.bypass or exchange.batch):
            found = await self._cache.fallback(identity, max_stale)
            exchange.fallback = found if found and admitted(exchange, found).entry else None

    def reply(self, exchange: Exchange, status: int) -> Reply | None:
        """What was prepared, in place of an error of `status`, or of none (0) where the provider did not answer; None
        where there is nothing, or not any more. `status` is a failure."""
        found, exchange.fallback = exchange.fallback, None
        if found is None or found.entry is None:
            return None
        is_late = self._clock() >= found.entry.expires + _max_stale(exchange)
        if is_late or not admitted(exchange, found).entry or not self._cache.record_fallback(found):
            return None
        exchange.lookup = found
        exchange.unkept = f"status {status}" if status else "no response"
        return self._look_ups.reply(exchange, FallenBack(status))


def may_fall_back(exchange: Exchange, status: int) -> bool:
    """Whether there is an answer that may be served in place of a provider's error."""
    return exchange.fallback is not None and is_failure(status)


def is_failure(status: int) -> bool:
    """Whether a provider's status (0: it gave none) says that it cannot answer now: 5xx, and that it is asked too
    often."""
    return status == 0 or status == 429 or status >= 500


def _max_stale(exchange: Exchange) -> float:
    said = exchange.directives
    return min(said.stale_if_error, exchange.rule.behaviour.stale_if_error) if said.read else 0.0
