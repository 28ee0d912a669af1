"""Calls of a cassette that are asked more than once: which of their answers is played, and where one is kept.

One rule: how often a call was asked is counted from the last `rewind` before it, so that a test gets the same answers
whichever tests ran before it.
"""

from collections import Counter

from askonce.cache import Cache, Identity
from askonce.calls.state import Exchange

__all__ = ["Repeats"]


class Repeats:
    """Counts calls by their identity. Belongs to one event loop."""

    def __init__(self, cache: Cache, *, records: bool) -> None:
        """`records`: every call is asked and recorded, and none is played."""
        self._cache, self._records = cache, records
        self._seen = Counter[bytes]()

    def rewind(self) -> None:
        """Calls that begin from now on are asked for the first time again."""
        self._seen = Counter()

    def begin(self, exchange: Exchange) -> None:
        """Have a call answered as it was when it was asked for the same time; afterwards, as it was the last time."""
        exchange.seen, first = self._seen, exchange.identity
        if self._records or not first or exchange.batch or not self._cache.holds([first]):
            return
        asked = self._repeated(exchange, first, self._seen[first.exact] + 1)
        if self._cache.holds([asked]):
            self._seen[first.exact] += 1
            exchange.identity = asked
        else:
            exchange.identity = self._repeated(exchange, first, self._seen[first.exact])

    def record(self, exchange: Exchange) -> None:
        """Keep an answer, which is there, beside those to the times before."""
        first, seen = exchange.identity, exchange.seen
        if self._records and first and seen is not None and not exchange.batch:
            seen[first.exact] += 1
            exchange.repeat = self._repeated(exchange, first, seen[first.exact])

    def _repeated(self, exchange: Exchange, first: Identity, number: int) -> Identity:
        assert exchange.call
        return self._cache.repeated(first, exchange.call.prompt, number) if number > 1 else first
