"""Look-ups within the time that they may take: at once where memory holds all, else in a thread, and then no longer.

One rule: nothing here raises. What takes too long is a miss that is counted, and so is a fault.
"""

import asyncio
from collections.abc import Sequence

from askonce.cache.current_embedder import CurrentEmbedder
from askonce.cache.decision import Policy
from askonce.cache.embed import waiting_time
from askonce.cache.exact_only import exact_only, withheld
from askonce.cache.finder import Finder
from askonce.cache.identity import Identity
from askonce.cache.lookup import LOADING, Lookup
from askonce.cache.pending import PendingAnswers
from askonce.cache.store import Entry
from askonce.cache.threads import CacheThreads
from askonce.cache.uses import reuse_of
from askonce.call import Call
from askonce.faults import Faults

__all__ = ["TimelyFinder"]

LOADING_SECONDS = 2.0
"""How long a lookup waits, at most, for the embedder of a cache that has just been opened."""
TEXTS = 100
"""Of a batch, so many may take as long as one look-up."""


class TimelyFinder:
    """Has the finder look up, within a deadline. Belongs to one event loop."""

    def __init__(
        self,
        finder: Finder,
        pending: PendingAnswers,
        embedder: CurrentEmbedder,
        threads: CacheThreads,
        *,
        deadline: float | None,
        faults: Faults,
    ) -> None:
        """`deadline` in seconds, beside what a remote embedder takes; None for ever."""
        self._finder, self._pending, self._embedder, self._threads = finder, pending, embedder, threads
        self._deadline, self._faults = deadline, faults

    async def look_up(self, call: Call, identity: Identity, policy: Policy) -> Lookup:
        """The best that `policy` allows."""
        try:
            if same := self._pending.same(identity):
                await self._pending.wait([same])
            found = await self._look_up(call, identity, policy)
            if not found.entry and await self._has_come(call, identity, policy, found):
                found = await self._look_up(call, identity, policy)
            return found
        except TimeoutError:
            return self._too_late()
        except Exception as error:
            return self._failed(error)

    async def look_up_each(self, identities: Sequence[Identity], policy: Policy) -> list[Entry | None]:
        """The entry of each of these calls, and of no other wording."""
        await self._pending.wait(same for one in identities if (same := self._pending.same(one)))
        try:
            async with asyncio.timeout(self._patience(identities)):
                return await self._threads.run(
                    lambda: [self._finder.look_up_same(one, policy).entry for one in identities]
                )
        except TimeoutError:
            self._too_late()
        except Exception as error:
            self._failed(error)
        return [None] * len(identities)

    async def look_up_same(self, identity: Identity, policy: Policy) -> Lookup | None:
        """The hit on this very call, for where the provider failed; None where there is none."""
        try:
            async with asyncio.timeout(self._patience()):
                found = await self._threads.run(self._finder.look_up_same, identity, policy)
        except Exception as error:
            self._faults.report("look-up", error, "there is no answer for where the provider fails")
            return None
        return found if found.entry else None

    async def _look_up(self, call: Call, identity: Identity, policy: Policy) -> Lookup:
        if self._threads.is_open and (
            found := self._finder.look_up_at_once(call, identity, policy, self._embedder.now)
        ):
            return found

        def look_up() -> Lookup:
            loading = self._embedder.is_loading  # asked first: it may end between the two
            return self._finder.look_up(call, identity, policy, self._embedder.now, loading=loading)

        waited = None
        try:
            async with asyncio.timeout(self._patience()):
                found = await self._threads.run(look_up)
                if found.reason == LOADING:
                    waited = found
                    await self._embedder.wait_for(LOADING_SECONDS)
                    found = await self._threads.run(look_up)
        except TimeoutError:
            if waited is None:
                raise
            return waited
        return found

    async def _has_come(self, call: Call, identity: Identity, policy: Policy, found: Lookup) -> bool:
        """Whether an answer is in the store by now that was on its way there, and would be served to this wording, of
        which nothing but `found` was found."""
        pending = self._pending.near(identity) if policy.semantic else ()
        if not pending or not (embedder := self._embedder.now):
            return False
        if withheld(reuse_of(call), policy) or exact_only(call) or policy.approved:  # nobody has seen it yet
            return False
        try:
            async with asyncio.timeout(self._patience()):
                serves = await self._threads.run(self._pending.would_serve, call, found, policy, embedder, pending)
        except TimeoutError:
            return False
        if not serves:
            return False
        await self._pending.wait(pending)
        return True

    def _patience(self, texts: Sequence[object] = ()) -> float | None:
        """Seconds that looking up one call, or these texts of a batch, may take."""
        if self._deadline is None:
            return None
        embedder = self._embedder.now
        return self._deadline * max(1.0, len(texts) / TEXTS) + (waiting_time(embedder) if embedder else 0.0)

    def _too_late(self) -> Lookup:
        error = TimeoutError(f"nothing was found within {(self._deadline or 0.0) * 1000:.0f} ms")
        self._faults.report("look-up deadline", error, "the call goes to the provider")
        return Lookup("miss", reason="deadline")

    def _failed(self, error: Exception) -> Lookup:
        self._faults.report("look-up", error, "the call goes to the provider")
        return Lookup("miss", reason="lookup failed")
