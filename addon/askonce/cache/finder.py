"""What answers a call: the entry of the same call, else the one whose prompt the judge takes for the same question.

The one rule here: what cannot be decided is a miss that says why. A fault of the embedder or the judge is reported and
is a miss; a fault of the store passes through.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from askonce.cache.decision import CANDIDATES, Policy, decide
from askonce.cache.embed import Embedder, is_local
from askonce.cache.exact_only import exact_only, unseen, withheld
from askonce.cache.freshness import unfit
from askonce.cache.identity import Identity
from askonce.cache.judge import Closer, Judge, Judgement, Vector
from askonce.cache.judge.difference import LONG
from askonce.cache.judge.reuse import Reuse
from askonce.cache.learning.pools import Learning, pair
from askonce.cache.lookup import ALIAS, EMBEDDER_FAILED, LOADING, Lookup, Nearby
from askonce.cache.store import AnswerStore, Entry, NotAtOnceError
from askonce.cache.store.protocol import Near
from askonce.cache.uses import reuse_of
from askonce.call import Call
from askonce.faults import Faults

__all__ = ["Finder"]

AROUND = 12
"""Nearest entries whose answers are asked whether they agree."""


class Finder:
    """Looks in memory, on disk and in the index. Thread-safe; all but `look_up_in_memory` and `look_up_at_once`
    belong off the event loop."""

    def __init__(
        self,
        store: AnswerStore,
        judge: Judge,
        learning: Learning,
        *,
        clock: Callable[[], float],
        faults: Faults,
    ) -> None:
        self._store, self._judge, self._learning = store, judge, learning
        self._closer = judge if isinstance(judge, Closer) else None
        self._clock, self._faults = clock, faults

    def prepare(self) -> None:
        """Load what only look-ups of other wordings take, where the judge has such."""
        if self._closer:
            self._closer.prepare()

    def look_up_in_memory(self, identity: Identity, policy: Policy) -> Lookup | None:
        """A hit on the same call if that is in memory; None says nothing."""
        entry = self._store.held(identity.exact)
        if entry is None:
            return None
        now = self._clock()
        return None if unfit(entry, policy, now) else _exact(entry, now)

    def look_up_same(self, identity: Identity, policy: Policy) -> Lookup:
        """A hit on the same call, from memory or disk, or why what is there cannot serve. Raises StoreError."""
        entry = self._store.same(identity.partition, identity.exact)
        return Lookup("miss") if entry is None else self.fit(entry, policy)

    def fit(self, entry: Entry, policy: Policy) -> Lookup:
        """A hit on the entry of the same call, or why it cannot serve."""
        now = self._clock()
        if reason := unfit(entry, policy, now):
            return Lookup("miss", reason=reason)
        return _exact(entry, now)

    def look_up(
        self, call: Call, identity: Identity, policy: Policy, embedder: Embedder | None, *, loading: bool
    ) -> Lookup:
        """The best that `policy` allows. Without an embedder only the same call; `loading` says that one will come.

        Raises StoreError.
        """
        now = self._clock()
        same = self.look_up_same(identity, policy)
        if same.entry:
            return same
        if not policy.semantic:
            return replace(same, reason=same.reason or "no entry")
        reason = same.reason
        kind = reuse_of(call)
        if missed := withheld(kind, policy):
            return replace(missed, reason=reason or missed.reason)
        if alias := self._look_up_alias(call, identity, policy):
            return alias
        if embedder is None:
            if call.exact_only or self._store.is_empty(identity.partition):
                return Lookup("miss", reason=reason or call.exact_only or "no entry")
            return Lookup("miss", reason=LOADING if loading else reason or "no embedder")
        unlike = exact_only(call)
        if unlike:
            return Lookup("miss", reason=reason or unlike)
        found = self._look_up_reworded(call.prompt, kind, identity, policy, embedder, now)
        return replace(found, reason=reason) if reason and not found.entry else found

    def look_up_at_once(
        self, call: Call, identity: Identity, policy: Policy, embedder: Embedder | None
    ) -> Lookup | None:
        """What `look_up` would say, where memory holds all that it takes and the prompt is short; None says nothing.

        On the event loop: a thread would hold the interpreter's lock for as long, and handing over and back costs a
        miss half a millisecond.
        """
        if not self._store.lacks(identity.exact):  # `look_up_in_memory` did not find it, or it does not fit
            return None
        if not policy.semantic:
            return Lookup("miss", reason="no entry")
        if embedder is None:
            return None
        kind = reuse_of(call)
        if missed := withheld(kind, policy):
            return missed
        try:
            if alias := self._look_up_alias(call, identity, policy, at_once=True):
                return alias
        except NotAtOnceError:
            return None
        if unlike := exact_only(call):
            return Lookup("miss", reason=unlike, reuse=kind)
        if len(call.prompt) > LONG or not is_local(embedder):
            return None
        now = self._clock()
        try:
            return self._look_up_reworded(call.prompt, kind, identity, policy, embedder, now, at_once=True)
        except NotAtOnceError:
            return None

    def _look_up_alias(self, call: Call, identity: Identity, policy: Policy, *, at_once: bool = False) -> Lookup | None:
        """A hit on the entry that a verifier said this wording asks for."""
        key = self._store.alias_of(identity.partition, identity.exact, at_once=at_once)
        if key is None:
            return None
        entry = self._store.held(key) if at_once else self._store.same(identity.partition, key)
        if entry is None and at_once and not self._store.lacks(key):
            raise NotAtOnceError
        if entry is None or entry.partition != identity.partition:
            return None
        now = self._clock()
        if now >= entry.expires or unfit(entry, policy, now):
            return None
        if self._learning.refuses(identity.partition, call.prompt, entry.key):
            return None
        decision = pair(identity.partition, call.prompt, entry.key).hex()
        return replace(_exact(entry, now), reason=ALIAS, decision=decision)

    def _look_up_reworded(
        self,
        prompt: str,
        kind: Reuse,
        identity: Identity,
        policy: Policy,
        embedder: Embedder,
        now: float,
        *,
        at_once: bool = False,
    ) -> Lookup:
        if not self._store.may_have_near(identity.partition, embedder, at_once=at_once):
            return Lookup("miss", reason="no entry", reuse=kind)
        vector, fault = self.embed(prompt, embedder)
        if vector is None:
            return Lookup("miss", reason=fault, reuse=kind)

        def missed(reason: str, nearest: tuple[Entry | None, float | None] = (None, None)) -> Lookup:
            entry, cosine = nearest
            return Lookup(
                "miss",
                None,
                cosine,
                reason=reason,
                nearest=entry,
                vector=vector,
                embedder=embedder.name,
                reuse=kind,
            )

        nearest = self._store.nearest(identity.partition, embedder, vector, AROUND, at_once=at_once)
        around = [(one.kin, one.cosine) for one in nearest]
        near = [
            (entry, cosine)
            for entry, cosine in self._entries(identity.partition, nearest[:CANDIDATES], at_once=at_once)
            if not unfit(entry, policy, now) and entry.vector is not None
        ]
        kept = [pair for pair in near if not self._learning.refuses(identity.partition, prompt, pair[0].key)]
        if near and not kept:
            return missed("said to be wrong", near[0])
        near = kept
        pool = self._learning.pool(identity.partition, identity.tenant)
        if not near:
            return missed("no entry")
        try:
            decision = decide(
                self._judge,
                prompt,
                vector,
                near,
                policy,
                now=now,
                evidence=pool,
                around=around,
                look_closer=self._look_closer(at_once=at_once),
            )
        except NotAtOnceError:
            raise
        except Exception as error:
            self._faults.report("judge", error, "answers to reworded questions are not reused")
            return missed("judge failed", near[0])
        served = decision.served
        if decision.weighed:
            pool.decided(decision.weighed, policy.max_error, served=served is not None)
        return Lookup(
            "semantic" if served else "miss",
            served,
            decision.similarity,
            decision.probability,
            decision.reason,
            decision.nearest,
            served is not None and now >= served.expires,
            decision.weighed,
            vector=vector,
            embedder=embedder.name,
            reuse=kind,
        )

    def _look_closer(self, *, at_once: bool) -> Callable[[str, str, Judgement], Judgement] | None:
        """The judge's closer look; `at_once`, one that raises NotAtOnceError where there is something to look at."""
        closer = self._closer
        if closer is None:
            return None
        if not at_once:
            return closer.look_closer

        def no_time(_prompt: str, _candidate: str, judgement: Judgement) -> Judgement:
            if closer.doubts(judgement):
                raise NotAtOnceError
            return judgement

        return no_time

    def _entries(self, partition: bytes, near: Sequence[Near], *, at_once: bool) -> Nearby:
        """Those that are still there, in their order."""
        found = self._store.take(partition, [one.id for one in near], at_once=at_once)
        return [(found[one.id], one.cosine) for one in near if one.id in found]

    def embed(self, prompt: str, embedder: Embedder) -> tuple[Vector | None, str]:
        """The prompt's vector, or why there is none."""
        if why := unseen(prompt):
            return None, why
        try:
            vector: Vector = np.asarray(embedder.embed([prompt])[0], dtype=np.float32)
            length = float(vector @ vector)
        except Exception as error:
            self._faults.report("embedder", error, "reworded questions are not recognised")
            return None, EMBEDDER_FAILED
        if vector.shape != (embedder.dimension,) or not abs(length - 1) < 1e-2:  # NaN is not less, either
            return None, "nothing in the prompt that the embedder knows"
        return vector, ""

    def search(self, text: str, limit: int, embedder: Embedder) -> Nearby:
        """The `limit` entries of all partitions nearest to `text`."""
        vector, _ = self.embed(text, embedder)
        return [] if vector is None else list(self._store.search(embedder, vector, limit))


def _exact(entry: Entry, now: float) -> Lookup:
    return Lookup("exact", entry, 1.0, 1.0, "", entry, now >= entry.expires)
