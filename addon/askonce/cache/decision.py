"""Which of the nearest entries is served: the judge's probabilities against what the caller accepts.

The one rule here: nothing but values in and out. No disk, no index, no embedder: whoever has two prompts and their
vectors is told exactly what a call would be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from askonce.cache.judge import Candidate, Judge, Judgement, Vector

__all__ = ["Decision", "Neighbour", "Policy", "Stored", "decide"]

BEYOND_DOUBT = 0.75
"""The share of the allowed error below which the nearest entry is served without a look at the others."""


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


class Stored(Protocol):
    """What is decided about: an entry, or a prompt that stands for one."""

    @property
    def prompt(self) -> str: ...
    @property
    def vector(self) -> Vector | None:
        """Candidates have one."""

    @property
    def expires(self) -> float:
        """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A prompt with its vector, in an entry's place."""

    prompt: str
    vector: Vector
    expires: float = inf


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
    """The judge's, of `nearest`; None where it was not asked."""
    reason: str = ""
    """Why it is a miss."""


def decide[S: Stored](
    judge: Judge, prompt: str, vector: Vector, near: Sequence[tuple[S, float]], policy: Policy, *, now: float = 0.0
) -> Decision[S]:
    """Decide between candidates and their cosines, at least one, the nearest first. Raises what the judge raises."""
    floor = -1.0 if policy.min_similarity is None else policy.min_similarity
    if near[0][1] < floor:
        return Decision(None, *near[0], reason=f"similarity {near[0][1]:.3f} < {floor:.3f}")
    near = [(entry, cosine) for entry, cosine in near if cosine >= floor]
    # The nearest alone first: where that is beyond doubt, judging the others would be most of the work.
    judged = _judge(judge, prompt, vector, near[:1])
    if judged[0][2].probability < 1 - policy.max_error * BEYOND_DOUBT or now >= near[0][0].expires:
        judged += _judge(judge, prompt, vector, near[1:])
    enough = 1 - policy.max_error
    good = [item for item in judged if item[2].probability >= enough]
    if good:
        entry, cosine, judgement = max(good, key=lambda item: (now < item[0].expires, item[2].probability))
        return Decision(entry, entry, cosine, judgement.probability)
    entry, cosine, judgement = max(judged, key=lambda item: item[2].probability)
    reason = judgement.reason or f"probability {judgement.probability:.2f} < {enough:.2f}"
    return Decision(None, entry, cosine, judgement.probability, reason)


def _judge[S: Stored](
    judge: Judge, prompt: str, vector: Vector, near: Sequence[tuple[S, float]]
) -> list[tuple[S, float, Judgement]]:
    candidates = [Candidate(e.prompt, e.vector, cosine) for e, cosine in near if e.vector is not None]
    if not candidates:
        return []
    judgements = judge.judge(prompt, vector, candidates)
    return [(entry, cosine, judgement) for (entry, cosine), judgement in zip(near, judgements, strict=True)]
