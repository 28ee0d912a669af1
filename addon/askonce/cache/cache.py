"""The cache as the rest of Askonce sees it: identity, index, judge and store behind one door.

The one rule here: a fault is a miss, and so is what takes too long. No look-up raises, and all that touches the
disk, or computes for long, runs in the cache's own threads.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import batched
from pathlib import Path
from typing import Any

from askonce.cache.embed import ClientOptions, Embedder, find_embedder, waiting_time
from askonce.cache.finder import EMBEDDER_FAILED, LOADING, Finder, Found, Lookup, Policy, exact_only
from askonce.cache.identity import Identifier, Identity, load_secret
from askonce.cache.judge import Judge, Vector
from askonce.cache.labelling import Learner, load_learning
from askonce.cache.learning.answer_comparison import kin_of
from askonce.cache.learning.pools import pair
from askonce.cache.pending import Pending, PendingAnswers
from askonce.cache.store import EVERYTHING, AnswerStore, CacheLimits, Entry, Filter, StoreError, open_answers
from askonce.cache.transfer import Record
from askonce.cache.uses import USES, Use, Uses, reuse_of
from askonce.cache.why import ComparedCall, Nearest, nearest, values_of
from askonce.call import Answer, Call, Unstorable
from askonce.faults import Faults
from askonce.workers import Workers

__all__ = ["Cache", "CacheLimits", "Lookup", "Policy"]

LOADING_SECONDS = 2.0
"""How long a lookup waits, at most, for the embedder of a cache that has just been opened."""
RESTORED_AT_ONCE = 256
"""Entries from elsewhere that are kept together: look-ups wait for the same threads."""
CANDIDATES = 100
"""Entries of each kind that are compared to tell why a call was not answered."""
TEXTS = 100
"""Of a batch, so many may take as long as one look-up."""

Entries = list[Entry]
_ANY = Use(semantic=True)
"""Of what lasts."""


class Cache:
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
    ) -> None:
        load = find_embedder(embedder, client_options) if isinstance(embedder, str) else lambda: embedder
        self._clock = clock
        self._deadline, self._faults = lookup_deadline, faults
        self._counts: Counter[str] = Counter()
        self._store: AnswerStore = open_answers(directory, limits, clock, faults)
        try:
            self._identifier = Identifier(load_secret(directory / "secret"))
        except (OSError, ValueError) as error:
            self._store.close()
            raise StoreError(f"the cache's secret cannot be used: {error}") from error
        self._workers = Workers(min(8, (os.cpu_count() or 1) + 2), "askonce-cache")
        self._background = ThreadPoolExecutor(1, thread_name_prefix="askonce-background")
        self._learning = load_learning(self._store, faults)
        self._learner = Learner(self._store, self._learning, clock=clock, faults=faults)
        self._finder = Finder(self._store, judge, self._learning, clock=clock, faults=faults)
        self._pending = PendingAnswers(self._finder, judge)
        self._store.follow(self._learning)
        self._loading: Future[Embedder | None] = Future()
        if isinstance(embedder, str):
            self._background.submit(self._load, load)
        else:
            self._load(load)
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
    ) -> "Cache":
        """The cache in `directory`, made where missing.

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
        )

    async def ready(self) -> bool:
        """Wait until the embedder is loaded; false where it failed to, and only exact hits are to be had."""
        return await asyncio.wrap_future(self._loading_shielded()) is not None

    async def use_embedder(self, load: Callable[[], Embedder]) -> None:
        """Make vectors with another embedder from now on. What was stored with the one before serves identical calls
        only, until it is used again.

        `load` runs in the cache's threads; what it raises is raised here, and then nothing has changed.
        """
        loading: Future[Embedder | None] = Future()
        loading.set_result(await self._run(load))
        self._loading = loading

    async def embed(self, text: str) -> tuple[Embedder, Vector] | None:
        """The vector of `text` and whose it is. None where there is no embedder, or none that can tell this text from
        others: too long for it, made of nothing that it knows, or with a character that nobody sees."""
        embedder = await asyncio.wrap_future(self._loading_shielded())
        if embedder is None or len(text) > embedder.limit:
            return None
        vector, _ = await self._run(self._finder.embed, text, embedder)
        return None if vector is None else (embedder, vector)

    # The life of a call

    async def prepare(self, call: Call) -> Lookup:
        """A miss that has the vector of the call's prompt, for `remember`; or none, and why. Without a vector the
        answer serves identical calls only. `EMBEDDER_FAILED` begins the reason where there should be one."""
        embedder = await asyncio.wrap_future(self._loading_shielded())
        if embedder is None:
            return Lookup("miss", reason=f"{EMBEDDER_FAILED} to load")
        if why := exact_only(call):
            return Lookup("miss", reason=why)
        vector, why = await self._run(self._finder.embed, call.prompt, embedder)
        return Lookup("miss", reason=why, vector=vector, embedder=embedder.name)

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

    def look_up_in_memory(self, identity: Identity, policy: Policy) -> Lookup | None:
        """A hit from memory, in microseconds; None: not known, ask `look_up`."""
        if self._pending.same(identity):
            return None
        found = self._finder.look_up_in_memory(identity, policy)
        return self._hit(found) if found else None

    async def look_up(self, call: Call, identity: Identity, policy: Policy) -> Lookup:
        """The best that `policy` allows, from memory, disk and index. Never raises; a fault is a miss that says so."""
        try:
            if same := self._pending.same(identity):
                await self._pending.wait([same])
            found = await self._look_up(call, identity, policy)
            if not found.entry and await self._has_come(call, identity, policy):
                found = await self._look_up(call, identity, policy)
        except TimeoutError:
            found = self._too_late()
        except Exception as error:
            self._faults.report("look-up", error, "the call goes to the provider")
            found = Lookup("miss", reason="lookup failed")
        if found.entry and not self._store.is_there(found.entry):
            found = Lookup("miss", reason="deleted meanwhile", vector=found.vector, embedder=found.embedder)
        if found.entry and policy.serves:
            if found.outcome == "semantic":
                return self._semantic(found, call, identity)
            return self._hit(found)
        self._counts["miss"] += 1
        return found

    async def look_up_each(self, identities: Sequence[Identity], policy: Policy) -> list[Entry | None]:
        """The entry of each of these calls, and of no other wording; counted as one lookup. Never raises."""
        await self._pending.wait(same for one in identities if (same := self._pending.same(one)))
        try:
            async with asyncio.timeout(self._patience(identities)):
                found = await self._run(lambda: [self._finder.look_up_same(one, policy).entry for one in identities])
        except Exception as error:
            if isinstance(error, TimeoutError):
                self._too_late()
            else:
                self._faults.report("look-up", error, "the call goes to the provider")
            found = [None] * len(identities)
        entries = [entry if entry and self._store.is_there(entry) else None for entry in found]
        self._counts["exact" if all(entries) else "miss"] += 1
        for entry in entries:
            if entry:
                self._store.touch(entry.id)
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
        if not self.holds([identity]):
            return None
        policy = Policy(semantic=False, max_stale=max_stale)
        try:
            async with asyncio.timeout(self._patience()):
                found = await self._run(self._finder.look_up_same, identity, policy)
        except Exception as error:
            self._faults.report("look-up", error, "there is no answer for where the provider fails")
            return None
        return found if found.entry else None

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

    async def remember(
        self,
        call: Call,
        identity: Identity,
        answer: Answer,
        *,
        upstream: str,
        host: str,
        ttl: float,
        stale: float = 0,
        uses: Uses = USES,
        namespace: str = "",
        upstream_seconds: float,
        found: Lookup | None = None,
        labels: Mapping[str, str] | None = None,
        request: bytes = b"",
        still: Callable[[], bool] = lambda: True,
    ) -> Entry:
        """Keep `answer` for `ttl` seconds, and `stale` more for callers that have nothing better.

        Returns once it is committed. Raises StoreError, logged already. `found` is what the call's lookup found; its
        vector saves making another, and its nearest entry's answer is compared with this one: the judge learns from
        that. Without a vector of the embedder the entry serves identical calls only. `request` is what was asked,
        packed; see `request`. `uses` narrows all this where the prompt is of a kind that does not last: how long, for
        whom, or not at all (Unstorable). `still` is asked last, with nothing between it and the store's queue: where it
        says no, nothing is kept (Unstorable).
        """
        kind = found.reuse if found and found.reuse else await self._run(reuse_of, call)
        use = uses.get(kind.kind, _ANY)
        if not use.exact:
            raise Unstorable(kind.reason)
        if use.ttl is not None:
            ttl, stale = min(ttl, use.ttl), 0.0
        embedder = await asyncio.wrap_future(self._loading_shielded())
        vector = found.vector if found and embedder and found.embedder == embedder.name else None
        if embedder is None or not use.semantic or exact_only(call):
            vector = None
        elif vector is None:
            vector, _ = await self._run(self._finder.embed, call.prompt, embedder)
        lesson = await self._run(self._learner.compare, identity, call.prompt, answer, found)
        now = self._clock()
        entry = Entry(
            key=identity.key,
            partition=identity.partition,
            parts=identity.parts,
            upstream=upstream,
            host=host,
            wire=call.wire,
            model=call.model,
            namespace=namespace,
            prompt=call.prompt,
            turns=call.turns,
            answer=answer,
            created=now,
            expires=now + ttl,
            stale_until=now + ttl + stale,
            upstream_seconds=upstream_seconds,
            embedder=embedder.name if embedder and vector is not None else "",
            labels=labels or {},
            values=values_of(call),
            request=request,
            vector=vector,
            kin=lesson.kin,
        )
        if not still():
            raise Unstorable("overtaken")
        try:
            kept = await asyncio.wrap_future(self._store.put(entry))
        except StoreError as error:
            self._faults.report("store", error, "answers are not kept")
            raise
        self._counts["stored"] += 1
        await self._run(self._learner.learn, lesson)
        return kept

    async def feedback(self, decision: str, *, right: bool, caller: str = "") -> str:
        """What somebody says of a semantic hit, by its name (`Lookup.decision`): a wrong one is never served again.

        "learned": it counts as evidence, too, once for each `caller`; "noted": it does not, or the hit is too long ago.
        Raises StoreError, and ValueError for what is no such name.
        """
        name = bytes.fromhex(decision)
        if len(name) != 16:
            raise ValueError("a decision's name has 32 hex digits")
        return await self._run(self._learner.feedback, name, right=right, caller=caller)

    async def decision(self, key: str, prompt: str | None = None) -> str | None:
        """The name of the hit that served the entry of `key` to `prompt`, or of the latest one; None where there is no
        such entry, or its hits were too long ago."""
        if prompt is None:
            last = self._learner.last(key)
            return last.hex() if last else None
        entry = await self.get(key)
        return pair(entry.partition, prompt, key).hex() if entry else None

    async def keep_verdict(self, prompt: str, identity: Identity, found: Lookup, *, same: bool) -> None:
        """What a verifier said of a near miss: from now on the call is answered by the nearest entry, as if it were the
        same call, or never. Raises StoreError."""
        await self._run(self._learner.keep_verdict, identity, prompt, found, same=same)

    async def spend(self, name: str, most: int) -> bool:
        """Take one of the `most` that there are of something a day (UTC), also over restarts; whether one was left.
        Raises StoreError."""
        return await asyncio.wrap_future(self._store.spend(name, int(self._clock() // 86400), most))

    # Management; these raise StoreError

    async def get(self, key: str) -> Entry | None:
        """The entry of this key, expired or not."""
        return await self._run(self._store.get, key)

    async def request(self, key: str) -> bytes:
        """What was asked, as `remember` was given it; empty where that was not kept."""
        return await self._run(self._store.request, key)

    async def list(self, filter: Filter = EVERYTHING, *, offset: int = 0, limit: int = 100) -> Entries:
        """A page of the entries that `filter` names, the newest first."""
        return await self._run(lambda: self._store.list(filter, offset=offset, limit=limit))

    async def count(self, filter: Filter = EVERYTHING) -> int:
        """How many entries `filter` names."""
        return await self._run(self._store.count, filter)

    async def search(self, text: str, limit: int = 10) -> Found:
        """Entries of all partitions near `text` and their cosine, the nearest first."""
        embedder = await asyncio.wrap_future(self._loading_shielded())
        if embedder is None:
            raise StoreError("there is no embedder to search with; the log of the start says why")
        return await self._run(self._finder.search, text, limit, embedder)

    async def delete(self, key: str) -> bool:
        """Whether there was one to delete. Once this returns, it is never served again."""
        return await asyncio.wrap_future(self._store.delete(key))

    async def clear(self, filter: Filter = EVERYTHING) -> int:
        """Delete what `filter` names; how many. Once this returns, none of them is served again."""
        return await asyncio.wrap_future(self._store.clear(filter))

    async def after(self, id: int, limit: int) -> Entries:
        """The `limit` entries that were stored after that of `id`, the oldest first: to walk through all of them."""
        return await self._run(self._store.after, id, limit)

    async def restore(self, records: Iterable[Record]) -> int:
        """Keep entries that were written down elsewhere; how many.

        Those that are over are left out, and those that this cache has a newer answer for. Raises ValueError, having
        kept none, where an entry's key is not that of its prompt under this cache's secret.
        """
        batches = list(batched(records, RESTORED_AT_ONCE))
        for number, batch in enumerate(batches):
            await self.check(batch, number * RESTORED_AT_ONCE + 1)
        embedder = await asyncio.wrap_future(self._loading_shielded())
        return sum([await self._run(self._restore, batch, embedder) for batch in batches])

    async def check(self, records: Sequence[Record], first: int = 1) -> int:
        """How many there are. Raises ValueError where `restore` would; `first` is the number of the first one."""
        await self._run(self._check_keys, records, first)
        return len(records)

    def _check_keys(self, records: Sequence[Record], first: int) -> None:
        for number, (entry, _) in enumerate(records, first):
            if self.key(entry.partition, entry.prompt) != entry.key:
                raise ValueError(
                    f"entry {number}: the key is not that of the prompt {entry.prompt[:60]!r} in this cache: "
                    "the prompt was edited, or the entry comes from another cache"
                )

    def _restore(self, records: Sequence[Record], embedder: Embedder | None) -> int:
        now, kept = self._clock(), []
        for entry, semantic in records:
            here = self._store.get(entry.key)
            # Written down to the microsecond, and so perhaps a little after it was created.
            if now >= entry.stale_until or (here and entry.created - here.created < 1e-6):
                continue
            vector = self._finder.embed(entry.prompt, embedder)[0] if embedder and semantic else None
            entry = replace(entry, embedder=embedder.name if embedder and vector is not None else "", vector=vector)
            entry = replace(entry, kin=kin_of(entry.answer.body))
            kept.append(self._store.put(entry))
        for stored in kept:
            stored.result()
        return len(kept)

    def key(self, partition: bytes, prompt: str) -> str:
        """The key of an entry: that of the call with this prompt, of those that make up the partition."""
        return self._identifier.exact(partition, prompt).hex()

    @property
    def fingerprint(self) -> str:
        """Tells whether entries written down elsewhere can serve here: they need the same."""
        return self._identifier.fingerprint

    async def nearest(self, asked: ComparedCall) -> Nearest | None:
        """The entry that came closest to answering a call, in whatever partition; see `why`."""
        embedder = self._embedder()
        return await self._run(lambda: nearest(asked, self._candidates(asked, embedder)))

    def _candidates(self, asked: ComparedCall, embedder: Embedder | None) -> Entries:
        found = self._store.list(limit=CANDIDATES)
        if asked.upstream:
            found += self._store.list(Filter(upstream=asked.upstream), limit=CANDIDATES)
        if asked.prompt is not None:
            found += self._store.alike(asked.prompt, CANDIDATES)
            if embedder:
                found += [entry for entry, _ in self._finder.search(asked.prompt, CANDIDATES, embedder)]
        return found

    async def flush(self) -> None:
        """Returns once everything asked before, hits included, is on disk."""
        await asyncio.wrap_future(self._store.flush())

    def stats(self) -> dict[str, Any]:
        """Sizes now, and counts since the start."""
        embedder = self._embedder()
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
            closer = ThreadPoolExecutor(1, thread_name_prefix="askonce-close")
            self._closing = asyncio.get_running_loop().run_in_executor(closer, self._close)
            closer.shutdown(wait=False)
        await self._closing

    def _close(self) -> None:
        self._background.shutdown(cancel_futures=True)
        self._workers.close()
        if not self._loading.done():  # cancelled before it began
            self._loading.set_result(None)
        self._store.close()

    # Inside

    async def _look_up(self, call: Call, identity: Identity, policy: Policy) -> Lookup:
        if self._closing is None and (found := self._finder.look_up_at_once(call, identity, policy, self._embedder())):
            return found
        waited = None
        try:
            async with asyncio.timeout(self._patience()):
                found = await self._run(self._look_up_in_thread, call, identity, policy)
                if found.reason == LOADING:
                    waited = found
                    await asyncio.wait({asyncio.wrap_future(self._loading_shielded())}, timeout=LOADING_SECONDS)
                    found = await self._run(self._look_up_in_thread, call, identity, policy)
        except TimeoutError:
            if waited is None:
                raise
            return waited
        return found

    async def _has_come(self, call: Call, identity: Identity, policy: Policy) -> bool:
        """Whether an answer is in the store by now that was on its way there, and would be served to this wording."""
        pending, embedder = self._pending.near(identity), self._embedder()
        if not pending or not embedder or not policy.semantic:
            return False
        if not await self._run(self._pending.would_serve, call, policy, embedder, pending):
            return False
        await self._pending.wait(pending)
        return True

    def _patience(self, texts: Sequence[object] = ()) -> float | None:
        """Seconds that looking up one call, or these texts of a batch, may take."""
        if self._deadline is None:
            return None
        embedder = self._embedder()
        return self._deadline * max(1.0, len(texts) / TEXTS) + (waiting_time(embedder) if embedder else 0.0)

    def _too_late(self) -> Lookup:
        error = TimeoutError(f"nothing was found within {(self._deadline or 0.0) * 1000:.0f} ms")
        self._faults.report("look-up deadline", error, "the call goes to the provider")
        return Lookup("miss", reason="deadline")

    def _look_up_in_thread(self, call: Call, identity: Identity, policy: Policy) -> Lookup:
        loading = not self._loading.done()  # asked first: it may end between the two
        return self._finder.look_up(call, identity, policy, self._embedder(), loading=loading)

    def _load(self, load: Callable[[], Embedder]) -> None:
        embedder = None
        try:
            embedder = load()
        except Exception as error:
            self._faults.report("embedder", error, "only identical questions are recognised")
        self._loading.set_result(embedder)

    def _embedder(self) -> Embedder | None:
        return self._loading.result() if self._loading.done() else None

    def _loading_shielded(self) -> "Future[Embedder | None]":
        """The loading embedder, in a future of the caller's own: cancelling it leaves the loading alone."""
        own: Future[Embedder | None] = Future()

        def hand_on(loading: "Future[Embedder | None]") -> None:
            if own.set_running_or_notify_cancel():
                own.set_result(loading.result())

        self._loading.add_done_callback(hand_on)
        return own

    async def run_apart[T](self, work: Callable[[], T]) -> T:
        """Do what takes long in the cache's own threads; a part at a time, as look-ups wait for the same ones."""
        return await self._run(work)

    async def _run[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closing is not None:
            raise StoreError("the cache is closed")
        return await self._workers.run(lambda: work(*args, **kwargs))

    def _hit(self, found: Lookup) -> Lookup:
        assert found.entry
        self._counts[found.outcome] += 1
        self._store.touch(found.entry.id)
        return found
