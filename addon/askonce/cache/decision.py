"""Which of the nearest entries is served: the judge's probabilities against what the caller accepts.

The one rule here: nothing but values in and out. No disk, no index, no embedder: whoever has two prompts and their
vectors is told exactly what a call would be.
"""

from __future__ import annotations  # those of functions within functions would be evaluated in every call

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from askonce.cache.judge import Candidate, Judge, Judgement, Vector
from askonce.cache.learning.pools import Pool, Weighed
from askonce.cache.learning.recalibration import logit
from askonce.cache.uses import USES, Uses

__all__ = ["Decision", "Neighbour", "Policy", "Stored", "decide"]

CANDIDATES = 5
"""Nearest entries that the judge is shown; those after them only have a vote."""
FLOOR = 0.3
"""The cosine below which nothing is served, whatever the judge says: further apart, two prompts share no subject. Of
all labelled pairs that the judge would serve, the farthest are at 0.35 (docs/judge.md)."""
BEYOND_DOUBT = 0.75
"""The share of the allowed error below which the nearest entry is served without a look at the others."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What one caller accepts."""

    semantic: bool = True
    serves: bool = True
    """False: only what would be served is asked. It counts for a miss, and as used by nobody."""
    approved: bool = False
    """Only what a person approved is served."""
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
    uses: Uses = field(default_factory=lambda: USES)
    """What may be done with answers that do not last."""


class Stored(Protocol):
    """What is decided about: an entry, or a prompt that stands for one."""

    @property
    def id(self) -> int: ...

    @property
    def prompt(self) -> str: ...

    @property
    def vector(self) -> Vector | None:
        """Candidates have one."""

    @property
    def expires(self) -> float:
        """Unix seconds."""

    @property
    def kin(self) -> int:
        """Which answers are the same; see `agreement.kin`."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A prompt with its vector, in an entry's place."""

    prompt: str
    vector: Vector
    expires: float = inf
    id: int = 0
    kin: int = 0


@dataclass(frozen=True, slots=True)
class Decision[S: Stored]:
    """What came of it."""

    served: S | None
    """None is a miss."""
    nearest: S
    """The one served, else the one that came closest to it."""
    similarity: float
    """Raw cosine of `nearest`."""
    probability: float | None = None
    """That the answer of `nearest` is right: the judge's, corrected by evidence; None where it was not asked."""
    reason: str = ""
    """Why it is a miss."""
    weighed: Weighed | None = None
    """What evidence made of `nearest`; None where the judge was not asked or a guard refused."""


def decide[S: Stored](
    judge: Judge,
    prompt: str,
    vector: Vector,
    near: Sequence[tuple[S, float]],
    policy: Policy,
    *,
    now: float = 0.0,
    evidence: Pool | None = None,
    around: Sequence[tuple[int, float]] = (),
    look_closer: Callable[[str, str, Judgement], Judgement] | None = None,
) -> Decision[S]:
    """Decide between the nearest and their cosines, at least one, the nearest first. Raises what the judge raises.

    Without `evidence` the judge's probability alone decides. `around` are the kin and the cosine of all entries that
    are near, the nearest first, for `consensus`. Where none is served, the most probable is looked at more closely: see
    `Closer.look_closer`.
    """
    floor = FLOOR if policy.min_similarity is None else max(FLOOR, policy.min_similarity)
    if near[0][1] < floor:
        return Decision(None, *near[0], reason=f"similarity {near[0][1]:.3f} < {floor:.3f}")
    near = [(entry, cosine) for entry, cosine in near[:CANDIDATES] if cosine >= floor]
    enough = 1 - policy.max_error

    def weighed(entry: S, cosine: float, judgement: Judgement) -> _Judged[S]:
        if judgement.reason and not judgement.probability:
            return _Judged(entry, cosine, judgement, _REFUSED)
        return _Judged(entry, cosine, judgement, weigh(evidence, judgement.probability, entry, cosine, around))

    def judged(some: Sequence[tuple[S, float]]) -> list[_Judged[S]]:
        judgements = _judge(judge, prompt, vector, some)
        return [weighed(*pair, judgement) for pair, judgement in zip(some, judgements, strict=True)]

    def serves(item: _Judged[S]) -> bool:
        if evidence is None or item.judgement.reason:
            return item.judgement.probability >= enough
        return evidence.serves(item.weighed, policy.max_error)

    # The nearest alone first: where that is beyond doubt, judging the others would be most of the work.
    found = judged(near[:1])
    fresh = now < near[0][0].expires
    sure = found[0].weighed.probability >= 1 - policy.max_error * BEYOND_DOUBT
    if not fresh or not (sure or (_unanimous(around) and serves(found[0]))):
        found += judged(near[1:])
    good = [item for item in found if serves(item)]
    best = max(found, key=lambda item: item.weighed.probability)
    if look_closer and not good and not best.judgement.reason:
        best = weighed(best.entry, best.cosine, look_closer(prompt, best.entry.prompt, best.judgement))
        good = [best] if serves(best) else []
    if good:
        best = max(good, key=lambda item: (now < item.entry.expires, item.weighed.probability))
        return Decision(best.entry, best.entry, best.cosine, best.weighed.probability, "", best.weighed)
    chance = best.weighed.probability
    refused = best.judgement.reason
    reason = refused or f"probability {chance:.2f} < {enough:.2f}"
    return Decision(None, best.entry, best.cosine, chance, reason, None if refused else best.weighed)


@dataclass(frozen=True, slots=True)
class _Judged[S: Stored]:
    entry: S
    cosine: float
    judgement: Judgement
    weighed: Weighed


_REFUSED = Weighed(logit(0.0), 0.0, 0.0)
"""A guard's word: evidence has no say."""


def weigh(
    evidence: Pool | None, judged: float, entry: Stored, cosine: float, around: Sequence[tuple[int, float]]
) -> Weighed:
    """What evidence leaves of a judge's probability."""
    if evidence is None:
        return Weighed(logit(judged), 0.0, judged)
    return evidence.weigh(judged, entry.id, entry.kin, cosine, around)


def _unanimous(around: Sequence[tuple[int, float]]) -> bool:
    """All that is near has one and the same answer, so that judging another candidate could not better it."""
    return len(around) > 1 and around[0][0] != 0 and all(kin == around[0][0] for kin, _ in around)


def _judge[S: Stored](judge: Judge, prompt: str, vector: Vector, near: Sequence[tuple[S, float]]) -> list[Judgement]:
    candidates = [Candidate(e.prompt, e.vector, cosine) for e, cosine in near if e.vector is not None]
    return judge.judge(prompt, vector, candidates) if candidates else []
