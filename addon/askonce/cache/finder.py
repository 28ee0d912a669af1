"""What answers a call: the entry of the same call, else the one whose prompt the judge takes for the same question.

The one rule here: what cannot be decided is a miss that says why. A fault of the embedder or the judge is reported and
is a miss; a fault of the store passes through.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from askonce.cache.decision import CANDIDATES, Policy, decide
from askonce.cache.embed import Embedder, is_local
from askonce.cache.identity import Identity
from askonce.cache.judge import Closer, Judge, Judgement, Vector
from askonce.cache.judge.characters import hidden
from askonce.cache.judge.difference import LONG, LONGEST
from askonce.cache.judge.reuse import Reuse
from askonce.cache.learning.pools import Learning, Weighed, pair
from askonce.cache.store import AnswerStore, Entry, NotAtOnceError
from askonce.cache.store.protocol import Near
from askonce.cache.transfer import FOREVER
from askonce.cache.uses import reuse_of
from askonce.call import Call
from askonce.faults import Faults

__all__ = ["EMBEDDER_FAILED", "LOADING", "Finder", "Found", "Lookup", "Policy", "exact_only", "watched", "withheld"]

AROUND = 12
"""Nearest entries whose answers are asked whether they agree."""
SKEW = 60.0
"""Seconds that a clock may be put back by. After more, nobody knows how long an answer of later has been there."""
ALIAS = "alias"
"""The reason of an exact hit on another wording's entry, of which a verifier has said that it asks for the same."""
LOADING = "embedder loading"
EMBEDDER_FAILED = "embedder failed"

Found = list[tuple[Entry, float]]
"""Entries and their cosine, the nearest first."""


@dataclass(slots=True)
class Lookup:
    """What was found, and why not more. Not frozen, as several are made for each call; nothing changes one."""

    outcome: Literal["exact", "semantic", "miss"]
    entry: Entry | None = None
    similarity: float | None = None
    """Cosine of the entry served (1.0 for an exact one); on a miss, that of `nearest`."""
    probability: float | None = None
    """That the same entry's answer is right: the judge's, corrected by evidence."""
    reason: str = ""
    """Why it is a miss: "no entry", "number: 5 / 7", "probability 0.91 < 0.98", "expired", …; or ALIAS, for a hit."""
    nearest: Entry | None = None
    """The candidate that came closest to being served, refused or not, for `cache why`."""
    stale: bool = False
    """The entry is past `expires` and not yet past `stale_until`; only where `max_stale` allows it."""
    weighed: Weighed | None = field(default=None, repr=False, compare=False)
    """What `probability` was made of; None where no judge was asked, or a guard refused."""
    decision: str = field(default="", compare=False)
    """The name of a semantic hit, by which feedback is given."""
    vector: Vector | None = field(default=None, repr=False, compare=False)
    """The prompt's vector where the lookup made one: give it to `remember`."""
    embedder: str = field(default="", repr=False, compare=False)
    """Whose vector that is."""
    reuse: Reuse | None = field(default=None, compare=False)
    """Whether an answer may be given again at all; None where that was not asked."""
    watched: Literal["", "exact", "semantic"] = ""
    """Of a miss: what it would have been, and `nearest` what would have been served, had anything been to be served."""


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
        return None if _unfit(entry, policy, now) else _exact(entry, now)

    def look_up_same(self, identity: Identity, policy: Policy) -> Lookup:
        """A hit on the same call, from memory or disk, or why what is there cannot serve. Raises StoreError."""
        entry = self._store.same(identity.partition, identity.exact)
        return Lookup("miss") if entry is None else self.fit(entry, policy)

    def fit(self, entry: Entry, policy: Policy) -> Lookup:
        """A hit on the entry of the same call, or why it cannot serve."""
        now = self._clock()
        if reason := _unfit(entry, policy, now):
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
        if withheld := _withheld(kind, policy):
            return replace(withheld, reason=reason or withheld.reason)
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
        if withheld := _withheld(kind, policy):
            return withheld
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
        if now >= entry.expires or _unfit(entry, policy, now):
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
            if not _unfit(entry, policy, now) and entry.vector is not None
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

    def _entries(self, partition: bytes, near: Sequence[Near], *, at_once: bool) -> Found:
        """Those that are still there, in their order."""
        found = self._store.take(partition, [one.id for one in near], at_once=at_once)
        return [(found[one.id], one.cosine) for one in near if one.id in found]

    def embed(self, prompt: str, embedder: Embedder) -> tuple[Vector | None, str]:
        """The prompt's vector, or why there is none."""
        if unseen := _unseen(prompt):
            return None, unseen
        try:
            vector: Vector = np.asarray(embedder.embed([prompt])[0], dtype=np.float32)
            length = float(vector @ vector)
        except Exception as error:
            self._faults.report("embedder", error, "reworded questions are not recognised")
            return None, EMBEDDER_FAILED
        if vector.shape != (embedder.dimension,) or not abs(length - 1) < 1e-2:  # NaN is not less, either
            return None, "nothing in the prompt that the embedder knows"
        return vector, ""

    def search(self, text: str, limit: int, embedder: Embedder) -> Found:
        """The `limit` entries of all partitions nearest to `text`."""
        vector, _ = self.embed(text, embedder)
        return [] if vector is None else list(self._store.search(embedder, vector, limit))


def watched(found: Lookup) -> Lookup:
    """The miss that a hit is to whoever only watches."""
    assert found.outcome != "miss"
    return replace(found, outcome="miss", watched=found.outcome, entry=None, nearest=found.entry, reason="watched")


def withheld(call: Call, policy: Policy) -> Lookup | None:
    """The miss of a call of which no other wording may be answered."""
    return _withheld(reuse_of(call), policy)


def _withheld(kind: Reuse, policy: Policy) -> Lookup | None:
    use = policy.uses.get(kind.kind)
    return None if use is None or use.semantic else Lookup("miss", reason=kind.reason, reuse=kind)


def exact_only(call: Call) -> str:
    """Why another wording cannot be recognised, or empty."""
    if call.exact_only:
        return call.exact_only
    if len(call.prompt) > LONGEST:
        return f"prompt too long to compare ({len(call.prompt)} characters, at most {LONGEST})"
    return _unseen(call.prompt)


def _unseen(prompt: str) -> str:
    """Why a prompt with a character that nobody sees is like no other, or empty."""
    found = hidden(prompt)
    return f"hidden character in the prompt ({found})" if found else ""


def _unfit(entry: Entry, policy: Policy, now: float) -> str:
    """Why this caller cannot be given the entry at this time, or empty."""
    if now >= min(entry.stale_until, entry.expires + policy.max_stale):
        return "expired"
    if entry.created - now > SKEW and entry.expires < FOREVER:
        return "from the future"
    if policy.max_age is not None and now - entry.created > policy.max_age:
        return "older than max-age"
    if policy.min_fresh and entry.expires - now < policy.min_fresh:
        return "fresh for less than min-fresh"
    return ""


def _exact(entry: Entry, now: float) -> Lookup:
    return Lookup("exact", entry, 1.0, 1.0, "", entry, now >= entry.expires)
