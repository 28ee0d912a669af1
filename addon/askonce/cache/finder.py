"""What answers a call: the entry of the same call, else the one whose prompt the judge takes for the same question.

The one rule here: what cannot be decided is a miss that says why. A fault of the embedder or the judge is reported and
is a miss; a fault of the store passes through.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from askonce.cache.embed import Embedder
from askonce.cache.identity import Identity
from askonce.cache.indexes import Indexes
from askonce.cache.judge import Candidate, Judge, Judgement, Vector
from askonce.cache.memory import Memory
from askonce.cache.store import Entry, Store
from askonce.call import Call

__all__ = ["LOADING", "Finder", "Found", "Lookup", "Policy", "Report", "exact_only"]

CANDIDATES = 5
"""Nearest entries that the judge is shown."""
BEYOND_DOUBT = 0.25
"""The share of the allowed error below which the nearest entry is served without a look at the others."""
LOADING = "embedder loading"

Found = list[tuple[Entry, float]]
"""Entries and their cosine, the nearest first."""
Report = Callable[[str, str, Exception], None]
"""Kind of fault, what it means for the user, cause."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What one caller accepts."""

    semantic: bool = True
    max_error: float = 0.02
    """The share of served answers that may be wrong."""
    max_age: float | None = None
    """Seconds; from the request's Cache-Control."""
    min_fresh: float = 0.0
    """Seconds that an entry must stay fresh from now on; from the request's Cache-Control."""
    max_stale: float = 0.0
    """Seconds past its `expires` that an entry may be served, never past its `stale_until`."""
    min_similarity: float | None = None
    """Raw cosine; only ever tightens."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What was found, and why not more."""

    outcome: Literal["exact", "semantic", "miss"]
    entry: Entry | None = None
    similarity: float | None = None
    """Cosine of the entry served (1.0 for an exact one); on a miss, that of `nearest`."""
    probability: float | None = None
    """The judge's, of the same entry."""
    reason: str = ""
    """Why it is a miss: "no entry", "number: 5 / 7", "probability 0.91 < 0.98", "expired", …"""
    nearest: Entry | None = None
    """The candidate that came closest to being served, refused or not, for `cache why`."""
    stale: bool = False
    """The entry is past `expires` and not yet past `stale_until`; only where `max_stale` allows it."""
    vector: Vector | None = field(default=None, repr=False, compare=False)
    """The prompt's vector where the lookup made one: give it to `remember`."""
    embedder: str = field(default="", repr=False, compare=False)
    """Whose vector that is."""


class Finder:
    """Looks in memory, on disk and in the index. Thread-safe; all but `from_memory` belong off the event loop."""

    def __init__(
        self,
        store: Store,
        memory: Memory,
        indexes: Indexes,
        judge: Judge,
        *,
        clock: Callable[[], float],
        report: Report,
    ) -> None:
        self._store, self._memory, self._indexes, self._judge = store, memory, indexes, judge
        self._clock, self._report = clock, report

    def from_memory(self, identity: Identity, policy: Policy) -> Lookup | None:
        """A hit on the same call if that is in memory; None says nothing."""
        id = self._store.keys.get(identity.exact)
        entry = None if id is None else self._memory.get(id)
        if entry is None:
            return None
        now = self._clock()
        return None if _unfit(entry, policy, now) else _exact(entry, now)

    def same(self, identity: Identity, policy: Policy) -> Lookup:
        """A hit on the same call, from memory or disk, or why what is there cannot serve. Raises StoreError."""
        id = self._store.keys.get(identity.exact)
        entry = None if id is None else self._memory.get(id) or self._store.get(identity.key)
        if entry is None:
            return Lookup("miss")
        now = self._clock()
        if reason := _unfit(entry, policy, now):
            return Lookup("miss", reason=reason)
        self._memory.add(entry)
        return _exact(entry, now)

    def find(
        self, call: Call, identity: Identity, policy: Policy, embedder: Embedder | None, *, loading: bool
    ) -> Lookup:
        """The best that `policy` allows. Without an embedder only the same call; `loading` says that one will come.

        Raises StoreError.
        """
        now = self._clock()
        same = self.same(identity, policy)
        if same.entry:
            return same
        if not policy.semantic:
            return replace(same, reason=same.reason or "no entry")
        reason = same.reason
        if embedder is None:
            if call.exact_only or not self._store.change(identity.partition):
                return Lookup("miss", reason=reason or call.exact_only or "no entry")
            return Lookup("miss", reason=LOADING if loading else reason or "no embedder")
        unlike = exact_only(call, embedder)
        if unlike:
            return Lookup("miss", reason=reason or unlike)
        found = self._reworded(call.prompt, identity.partition, policy, embedder, now)
        found = replace(found, embedder=embedder.name)
        return replace(found, reason=reason) if reason and not found.entry else found

    def _reworded(self, prompt: str, partition: bytes, policy: Policy, embedder: Embedder, now: float) -> Lookup:
        index = self._indexes.get(partition, embedder)
        if not len(index):
            return Lookup("miss", reason="no entry")
        vector, fault = self.embed(prompt, embedder)
        if vector is None:
            return Lookup("miss", reason=fault)
        near = [
            (entry, cosine)
            for entry, cosine in self._entries(index.nearest(vector, CANDIDATES))
            if not _unfit(entry, policy, now) and entry.vector is not None
        ]
        if not near:
            return Lookup("miss", reason="no entry", vector=vector)
        floor = -1.0 if policy.min_similarity is None else policy.min_similarity
        if near[0][1] < floor:
            refused = f"similarity {near[0][1]:.3f} < {floor:.3f}"
            return Lookup("miss", None, near[0][1], reason=refused, nearest=near[0][0], vector=vector)
        near = [(entry, cosine) for entry, cosine in near if cosine >= floor]
        enough = 1 - policy.max_error
        try:
            # The nearest alone first: where that is beyond doubt, judging the others would be most of the work.
            judged = self._judge_all(prompt, vector, near[:1])
            if judged[0][1].probability < 1 - policy.max_error * BEYOND_DOUBT or now >= near[0][0].expires:
                judged += self._judge_all(prompt, vector, near[1:])
        except Exception as error:
            self._report("judge", "the judge failed, so answers to reworded questions are not reused", error)
            return Lookup("miss", None, near[0][1], reason="judge failed", nearest=near[0][0], vector=vector)
        good = [item for item in judged if item[1].probability >= enough]
        if not good:
            (entry, cosine), judgement = max(judged, key=lambda item: item[1].probability)
            reason = judgement.reason or f"probability {judgement.probability:.2f} < {enough:.2f}"
            return Lookup("miss", None, cosine, judgement.probability, reason, entry, vector=vector)
        (entry, cosine), judgement = max(good, key=lambda item: (now < item[0][0].expires, item[1].probability))
        stale = now >= entry.expires
        return Lookup("semantic", entry, cosine, judgement.probability, "", entry, stale, vector)

    def _judge_all(self, prompt: str, vector: Vector, near: Found) -> list[tuple[tuple[Entry, float], Judgement]]:
        candidates = [Candidate(e.prompt, e.vector, cosine) for e, cosine in near if e.vector is not None]
        return list(zip(near, self._judge.judge(prompt, vector, candidates), strict=True)) if candidates else []

    def _entries(self, near: Sequence[tuple[int, float]]) -> Found:
        """The entries of (id, cosine) pairs that are still there, in their order."""
        found = {id: entry for id, _ in near if (entry := self._memory.get(id))}
        missing = [id for id, _ in near if id not in found]
        if missing:
            for entry in self._store.get_many(missing):
                found[entry.id] = entry
                self._memory.add(entry)
        return [(found[id], cosine) for id, cosine in near if id in found]

    def embed(self, prompt: str, embedder: Embedder) -> tuple[Vector | None, str]:
        """The prompt's vector, or why there is none."""
        try:
            vector: Vector = np.asarray(embedder.embed([prompt])[0], dtype=np.float32)
            length = float(vector @ vector)
        except Exception as error:
            self._report("embedder", "the embedder failed, so reworded questions are not recognised", error)
            return None, "embedder failed"
        if vector.shape != (embedder.dimension,) or not abs(length - 1) < 1e-2:  # NaN is not less, either
            return None, "nothing in the prompt that the embedder knows"
        return vector, ""

    def search(self, text: str, limit: int, embedder: Embedder) -> Found:
        """The `limit` entries of all partitions nearest to `text`."""
        vector, _ = self.embed(text, embedder)
        if vector is None or limit < 1:
            return []
        best: list[tuple[float, int]] = []
        for ids, rows in self._store.all_vectors(embedder.name, embedder.dimension):
            cosines = rows @ vector
            near = np.argsort(-cosines, kind="stable")[:limit]
            best = sorted([*best, *zip((-cosines[near]).tolist(), ids[near].tolist(), strict=True)])[:limit]
        entries = {entry.id: entry for entry in self._store.get_many([id for _, id in best])}
        return [(entries[id], -distance) for distance, id in best if id in entries]


def exact_only(call: Call, embedder: Embedder) -> str:
    """Why another wording cannot be recognised, or empty."""
    if call.exact_only:
        return call.exact_only
    if len(call.prompt) > embedder.limit:
        return f"prompt too long to compare ({len(call.prompt)} characters, at most {embedder.limit})"
    return ""


def _unfit(entry: Entry, policy: Policy, now: float) -> str:
    """Why this caller cannot be given the entry at this time, or empty."""
    if now >= min(entry.stale_until, entry.expires + policy.max_stale):
        return "expired"
    if policy.max_age is not None and now - entry.created > policy.max_age:
        return "older than max-age"
    if policy.min_fresh and entry.expires - now < policy.min_fresh:
        return "fresh for less than min-fresh"
    return ""


def _exact(entry: Entry, now: float) -> Lookup:
    return Lookup("exact", entry, 1.0, 1.0, "", entry, now >= entry.expires)
