"""The cache as the rest of Askonce sees it: identity, index, judge and store behind one door.

The one rule here: a fault is a miss, and so is what takes too long. No look-up raises, and all that touches the
disk, or computes for long, runs in the cache's own threads.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from askonce.cache.asked_elsewhere import Elsewhere
from askonce.cache.current_embedder import CurrentEmbedder
from askonce.cache.deadline import TimelyFinder
from askonce.cache.decision import Policy
from askonce.cache.embed import ClientOptions, Embedder, find_embedder
from askonce.cache.finder import Finder
from askonce.cache.identity import Identifier, Identity
from askonce.cache.judge import Judge, Vector
from askonce.cache.labelling import Learner, load_learning
from askonce.cache.lookup import Lookup
from askonce.cache.pending import Pending, PendingAnswers
from askonce.cache.remembering import RememberedAnswers
from askonce.cache.store import CacheLimits, Entry, SharedPlace, StoreError, open_answers
from askonce.cache.threads import CacheThreads
from askonce.call import Call
from askonce.faults import Faults

__all__ = ["Cache", "CacheLimits", "Lookup", "Policy"]


class Cache(RememberedAnswers):
    """Finds and remembers answers. Its coroutines belong to one event loop; `close` it at the end."""

    def __init__(
        self,
        directory: Path,
        embedder: Embedder | str,
        judge: Judge,
        limits: CacheLimits,
        lookup_deadline: float | None,
        clock: Callable[[], float],
        faults: Faults,
        client_options: ClientOptions,
        shared: SharedPlace | None,
    ) -> None:
        load = find_embedder(embedder, client_options) if isinstance(embedder, str) else lambda: embedder
        store = open_answers(directory, limits, clock, faults, shared)
        try:
            identifier = Identifier(store.secret())
        except StoreError:
            store.close()
            raise
        learning = load_learning(store, faults)
        learner = Learner(store, learning, clock=clock, faults=faults)
        finder = Finder(store, judge, learning, clock=clock, faults=faults)
        store.follow(learning)
        super().__init__(
            store, finder, CurrentEmbedder(faults), identifier, CacheThreads(), clock, learner=learner, faults=faults
        )
        self._pending = PendingAnswers(finder, judge)
        self._timely = TimelyFinder(
            finder, self._pending, self._embedder, self._threads, deadline=lookup_deadline, faults=faults
        )
        self._elsewhere = Elsewhere(store, finder, self._threads, deadline=lookup_deadline, faults=faults)
        self.is_shared = store.flights is not None
        """Other proxies may ask the same."""
        if isinstance(embedder, str):
            self._threads.background.submit(self._embedder.load, load)
        else:
            self._embedder.load(load)
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        embedder: Embedder | str | None = None,
        judge: Judge,
        limits: CacheLimits | None = None,
        lookup_deadline: float | None = None,
        clock: Callable[[], float] = time.time,
        faults: Faults | None = None,
        client_options: ClientOptions = lambda _: {},
        shared: SharedPlace | None = None,
    ) -> "Cache":
        """The cache in `directory`, made where missing; its answers at `shared`, where that is given.

        `embedder` is one at hand, or a name for `load_embedder`, loaded in the background; None is "wordllama".
        `client_options` are for one that is asked over the net.
        `lookup_deadline`: seconds after which a look-up is a miss, beside what a remote embedder takes; None for ever.
        Raises ValueError for a name that does not exist.
        Raises StoreError where the directory cannot be used, another process holds it, or a newer Askonce wrote it.
        """
        return cls(
            directory,
            embedder or "wordllama",
            judge,
            limits or CacheLimits(),
            lookup_deadline,
            clock,
            faults or Faults(),
            client_options,
            shared,
        )

    async def ready(self) -> bool:
        """Wait until the embedder is loaded; false where it failed to, and only exact hits are to be had."""
        return await self._embedder.wait() is not None

    async def use_embedder(self, load: Callable[[], Embedder]) -> None:
        """Make vectors with another embedder from now on. What was stored with the one before serves identical calls
        only, until it is used again.

        `load` runs in the cache's threads; what it raises is raised here, and then nothing has changed.
        """
        self._embedder.replace(await self._threads.run(load))

    async def embed(self, text: str) -> tuple[Embedder, Vector] | None:
        """The vector of `text` and whose it is. None where there is no embedder, or none that can tell this text from
        others: too long for it, made of nothing that it knows, or with a character that nobody sees."""
        embedder = await self._embedder.wait()
        if embedder is None or len(text) > embedder.limit:
            return None
        vector, _ = await self._threads.run(self._finder.embed, text, embedder)
        return None if vector is None else (embedder, vector)

    # The life of a call

    def identify(
        self, call: Call, *, host: str, scope: str, namespace: str = "", headers: Mapping[str, str] | None = None
    ) -> Identity:
        """See `Identifier.identify`."""
        return self._identifier.identify(call, host=host, scope=scope, namespace=namespace, headers=headers)

    def identify_each(
        self,
        calls: Iterable[Call],
        *,
        host: str,
        scope: str,
        namespace: str = "",
        headers: Mapping[str, str] | None = None,
        depends: Mapping[str, str] | None = None,
    ) -> list[Identity]:
        """See `Identifier.identify_each`."""
        return self._identifier.identify_each(
            calls, host=host, scope=scope, namespace=namespace, headers=headers, depends=depends
        )

    def repeated(self, identity: Identity, prompt: str, number: int) -> Identity:
        """See `Identifier.repeated`."""
        return self._identifier.repeated(identity, prompt, number)

    def look_up_in_memory(self, identity: Identity, policy: Policy) -> Lookup | None:
        """A hit from memory, in microseconds; None: not known, ask `look_up`."""
        if self._pending.same(identity):
            return None
        found = self._finder.look_up_in_memory(identity, policy)
        return self._hit(found) if found else None

    async def look_up(self, call: Call, identity: Identity, policy: Policy) -> Lookup:
        """The best that `policy` allows, from memory, disk and index. Never raises; a fault is a miss that says so."""
        found = await self._timely.look_up(call, identity, policy)
        if found.entry and not self._store.is_there(found.entry):
            found = Lookup("miss", reason="deleted meanwhile", vector=found.vector, embedder=found.embedder)
        if found.entry and policy.serves:
            if found.outcome == "semantic":
                return self._semantic(found, call, identity)
            return self._hit(found)
        self._counts["miss"] += 1
        return found

    async def lead(self, identity: Identity, policy: Policy) -> Lookup | None:
        """Ask for all proxies of the store: None, and `end_flight` is to be told once that is over. Where another asks
        already, the hit on its answer, once that is there. Never raises."""
        found = await self._elsewhere.lead(identity, policy)
        return self._hit(found) if found and found.entry and self._store.is_there(found.entry) else None

    def end_flight(self, exact: bytes) -> None:
        """The call of this exact key is not asked for any longer by this proxy, or never was; at once."""
        self._elsewhere.end(exact)

    async def look_up_each(self, identities: Sequence[Identity], policy: Policy) -> list[Entry | None]:
        """The entry of each of these calls, and of no other wording; counted as one lookup. Never raises."""
        found = await self._timely.look_up_each(identities, policy)
        entries = [entry if entry and self._store.is_there(entry) else None for entry in found]
        self._counts["exact" if all(entries) else "miss"] += 1
        for entry in entries:
            if entry:
                self._store.touch(entry.partition, entry.id)
        return entries

    def holds(self, identities: Iterable[Identity]) -> bool:
        """Whether there is an entry for each of these calls, fresh or not; in microseconds."""
        return all(self._store.has(one.exact) for one in identities)

    def record_hit(self, found: Lookup, call: Call, identity: Identity) -> Lookup:
        """Count a semantic hit that somebody else made of a miss; `found` with the name for feedback."""
        self._counts["miss"] -= 1
        return self._semantic(found, call, identity)

    async def fallback(self, identity: Identity, max_stale: float) -> Lookup | None:
        """The answer to this very call, though up to `max_stale` seconds past its time; None where there is none.

        Should it be served, tell `record_fallback`. Never raises.
        """
        if self._store.lacks(identity.exact):
            return None
        return await self._timely.look_up_same(identity, Policy(semantic=False, max_stale=max_stale))

    def record_fallback(self, found: Lookup) -> bool:
        """Count what `fallback` found as served, in place of the miss that was counted; False where it may not be any
        more."""
        if not found.entry or not self._store.is_there(found.entry):
            return False
        self._counts["miss"] -= 1
        self._hit(found)
        return True

    def _semantic(self, found: Lookup, call: Call, identity: Identity) -> Lookup:
        decision = self._learner.record_hit(identity, call.prompt, found)
        return self._hit(replace(found, decision=decision.hex()))

    def expect(self, call: Call, identity: Identity, found: Lookup | None) -> Pending:
        """An answer to `call` is whole and about to be kept: from now on look-ups wait for it, until `expect_no_more`.

        To be called before the caller has his last byte. `found` is what the call's look-up found.
        """
        return self._pending.add(call, identity, found)

    def expect_no_more(self, pending: Pending) -> None:
        """The answer is kept, or will not be. A second time does nothing."""
        self._pending.end(pending)

    async def spend(self, name: str, most: int) -> bool:
        """Take one of the `most` that there are of something a day (UTC), also over restarts; whether one was left.
        Raises StoreError."""
        return await asyncio.wrap_future(self._store.spend(name, int(self._clock() // 86400), most))

    @property
    def failure(self) -> str:
        """Why nothing can be kept at the moment; empty where it can, as far as is known."""
        return self._store.failure

    def stats(self) -> dict[str, Any]:
        """Sizes now, and counts since the start."""
        embedder = self._embedder.now
        return {
            **asdict(self._store.stats()),
            "embedder": embedder.name if embedder else "",
            "exact_hits": self._counts["exact"],
            "semantic_hits": self._counts["semantic"],
            "misses": self._counts["miss"],
            "stored": self._counts["stored"],
        }

    async def close(self) -> None:
        """Write what waits and let go of the directory. May be called twice."""
        if self._closing is None:
            self._threads.begin_nothing()
            closer = ThreadPoolExecutor(1, thread_name_prefix="askonce-close")
            self._closing = asyncio.get_running_loop().run_in_executor(closer, self._close)
            closer.shutdown(wait=False)
        await self._closing

    def _close(self) -> None:
        self._threads.close()
        self._embedder.give_up()
        self._store.close()

    async def run_apart[T](self, work: Callable[[], T]) -> T:
        """Do what takes long in the cache's own threads; a part at a time, as look-ups wait for the same ones."""
        return await self._threads.run(work)

    def _hit(self, found: Lookup) -> Lookup:
        assert found.entry
        self._counts[found.outcome] += 1
        self._store.touch(found.entry.partition, found.entry.id)
        return found
