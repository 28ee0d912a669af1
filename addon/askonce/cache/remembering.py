"""Answers that are kept, and what is said of those that were served: the side of the cache that writes.

One rule: what `remember` and `keep_verdict` return from is on disk.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from askonce.cache.approval import Approval, approval_of, carried, said
from askonce.cache.current_embedder import CurrentEmbedder
from askonce.cache.exact_only import exact_only
from askonce.cache.finder import Finder
from askonce.cache.identity import Identifier, Identity
from askonce.cache.labelling import Learner
from askonce.cache.learning.pools import pair
from askonce.cache.lookup import EMBEDDER_FAILED, Lookup
from askonce.cache.store import AnswerStore, Entry, StoreError
from askonce.cache.stored_entries import StoredEntries
from askonce.cache.threads import CacheThreads
from askonce.cache.uses import USES, Use, Uses, reuse_of
from askonce.cache.why import values_of
from askonce.call import Answer, Call, Unstorable
from askonce.faults import Faults

__all__ = ["RememberedAnswers"]

_ANY = Use(semantic=True)
"""Of what lasts."""


class RememberedAnswers(StoredEntries):
    """Keeps answers. Its coroutines belong to one event loop."""

    def __init__(
        self,
        store: AnswerStore,
        finder: Finder,
        embedder: CurrentEmbedder,
        identifier: Identifier,
        threads: CacheThreads,
        clock: Callable[[], float],
        *,
        learner: Learner,
        faults: Faults,
    ) -> None:
        super().__init__(store, finder, embedder, identifier, threads, clock)
        self._learner, self._faults = learner, faults
        self._counts: Counter[str] = Counter()
        """Look-ups by outcome, and what was stored."""
        self._is_prepared = False
        """There is something to compare with, and what comparing takes is loaded."""

    async def prepare(self, call: Call) -> Lookup:
        """A miss that has the vector of the call's prompt, for `remember`; or none, and why. Without a vector the
        answer serves identical calls only. `EMBEDDER_FAILED` begins the reason where there should be one."""
        embedder = await self._embedder.wait()
        if embedder is None:
            return Lookup("miss", reason=f"{EMBEDDER_FAILED} to load")
        if why := exact_only(call):
            return Lookup("miss", reason=why)
        vector, why = await self._threads.run(self._finder.embed, call.prompt, embedder)
        return Lookup("miss", reason=why, vector=vector, embedder=embedder.name)

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
        approval: bool = False,
        still: Callable[[], bool] = lambda: True,
    ) -> Entry:
        """Keep `answer` for `ttl` seconds, and `stale` more for callers that have nothing better.

        Returns once it is committed. Raises StoreError, logged already. `found` is what the call's lookup found; its
        vector saves making another, and its nearest entry's answer is compared with this one: the judge learns from
        that. Without a vector of the embedder the entry serves identical calls only. `request` is what was asked,
        packed; see `request`. `uses` narrows all this where the prompt is of a kind that does not last: how long, for
        whom, or not at all (Unstorable). With `approval`, what a person said of the answer before holds for the same
        one, and for no other; where that one has to stay, nothing is kept (Unstorable). `still` is asked last, with
        nothing between it and the store's queue: where it says no, nothing is kept (Unstorable).
        """
        kind = found.reuse if found and found.reuse else await self._threads.run(reuse_of, call)
        use = uses.get(kind.kind, _ANY)
        if not use.exact:
            raise Unstorable(kind.reason)
        if use.ttl is not None:
            ttl, stale = min(ttl, use.ttl), 0.0
        embedder = await self._embedder.wait()
        vector = found.vector if found and embedder and found.embedder == embedder.name else None
        if embedder is None or not use.semantic or exact_only(call) or answer.status != 200:
            vector = None
        elif vector is None:
            vector, _ = await self._threads.run(self._finder.embed, call.prompt, embedder)
        lesson = await self._threads.run(self._learner.compare, identity, call.prompt, answer, found)
        now = self._clock()
        before = await self.get(identity.key) if approval else None
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
            labels=said(labels or {}, carried(before, answer, now)) if approval else labels or {},
            values=values_of(call),
            request=request,
            vector=vector,
            kin=lesson.kin,
        )
        if not still():
            raise Unstorable("overtaken")
        try:
            if approval:
                replacing = replace(entry, id=before.id if before else 0)
                kept = await asyncio.wrap_future(self._store.put_over(replacing))
            else:
                kept = await asyncio.wrap_future(self._store.put(entry))
        except StoreError as error:
            self._faults.report("store", error, "answers are not kept")
            raise
        if kept is None:
            raise Unstorable("somebody approved an answer meanwhile, or another came")
        self._counts["stored"] += 1
        if vector is not None and not self._is_prepared:  # from now on, there is something to compare with
            self._is_prepared = True
            self._threads.background.submit(self._finder.prepare)
        await self._threads.run(self._learner.learn, lesson)
        return kept

    async def approve(self, key: str, version: int, approval: Approval) -> Entry | None:
        """Say of the answer with this key and id what is to become of it; the entry, which has another id then. None
        where there is another answer by now, or none. Raises StoreError."""
        entry = await self.get(key)
        if entry is None or entry.id != version:
            return None
        if approval_of(entry) == approval:
            return entry
        told = replace(entry, labels=said(entry.labels, approval), request=await self.request(key))
        return await asyncio.wrap_future(self._store.put_over(told))

    async def feedback(self, decision: str, *, right: bool, caller: str = "") -> str:
        """What somebody says of a semantic hit, by its name (`Lookup.decision`): a wrong one is never served again.

        "learned": it counts as evidence, too, once for each `caller`; "noted": it does not, or the hit is too long ago.
        Raises StoreError, and ValueError for what is no such name.
        """
        name = bytes.fromhex(decision)
        if len(name) != 16:
            raise ValueError("a decision's name has 32 hex digits")
        return await self._threads.run(self._learner.feedback, name, right=right, caller=caller)

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
        await asyncio.wrap_future(self._learner.keep_verdict(identity, prompt, found, same=same))
