"""Calls that another proxy of the same store is asking a provider for: waited for, until the answer is there.

One rule: nobody is waited for whose answer may not come. A fault, a flight that ended without an answer, or one that
takes too long is leave to ask.
"""

import asyncio

from askonce.cache.decision import Policy
from askonce.cache.finder import Finder
from askonce.cache.identity import Identity
from askonce.cache.lookup import Lookup
from askonce.cache.store import AnswerStore
from askonce.cache.store.protocol import SOMEBODY, Led, SharedFlights
from askonce.cache.threads import CacheThreads
from askonce.faults import Faults

__all__ = ["Elsewhere"]

PATIENCE = 30.0
"""Seconds that a call waits for another proxy's."""
_FIRST, _LONGEST, _GROWTH = 0.01, 0.25, 1.5
"""Seconds between two looks: a short wait is hardly made longer, and a long one costs the database little."""


class Elsewhere:
    """What this proxy and the others do not ask twice. Belongs to one event loop."""

    def __init__(
        self,
        store: AnswerStore,
        finder: Finder,
        threads: CacheThreads,
        *,
        deadline: float | None,
        faults: Faults,
    ) -> None:
        """`deadline`: seconds that one look may take; None for ever."""
        self._store, self._flights, self._finder, self._threads = store, store.flights, finder, threads
        self._deadline, self._faults = deadline, faults

    async def lead(self, identity: Identity, policy: Policy) -> Lookup | None:
        """The hit on the answer that another proxy was asking for, once it is there; None: the provider is to be asked,
        and `end` to be told when that is over."""
        flights, first = self._flights, ""
        if flights is None or self._store.failure:
            return None
        loop, pause = asyncio.get_running_loop(), _FIRST
        end = loop.time() + PATIENCE
        while True:
            led = await self._look(flights, identity)
            if led is None:
                return None
            if led.entry and (found := self._finder.fit(led.entry, policy)).entry:
                return found
            if led.elsewhere != SOMEBODY:
                first = first or led.elsewhere
                if led.elsewhere != first or not first:
                    return None
            if loop.time() + pause > end:
                return None
            await asyncio.sleep(pause)
            pause = min(_LONGEST, pause * _GROWTH)

    def end(self, exact: bytes) -> None:
        """The provider is not asked any longer, or was not. At once."""
        if self._flights:
            self._flights.end(exact)

    async def _look(self, flights: SharedFlights, identity: Identity) -> Led | None:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._threads.run(flights.lead, identity.partition, identity.exact)
        except Exception as error:
            self._faults.report("shared flights", error, "this proxy asks the provider by itself")
            return None
