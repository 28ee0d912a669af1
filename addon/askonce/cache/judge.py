"""Whether one answer serves two prompts: the seam through which judges come, and the judge that ships.

A judge sees only text and vectors of prompts in the same partition; everything that must be equal already is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from askonce.cache.guards import Pair, objection
from askonce.cache.lexicon import FILLERS, are_synonyms, stem
from askonce.cache.reading import Reading, read

__all__ = ["Candidate", "Judge", "Judgement", "Vector", "default_judge"]

Vector = NDArray[np.float32]
"""A unit vector of the embedder's dimension."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stored prompt near the asked one."""

    prompt: str
    vector: Vector
    cosine: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """The probability that the candidate's answer serves the asked prompt, and what spoke against it."""

    probability: float
    reason: str = ""
    """The guard that refused ("number: 5 / 7"), or empty."""


class Judge(Protocol):
    """Decides whether two prompts ask the same. Called off the event loop; must be thread-safe and deterministic."""

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        """One judgement per candidate, in order. Raising counts as a miss."""


class GuardedCosine:
    """A logistic curve over the cosine and the share of content words without a partner, behind the guards."""

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [self._judge(prompt, candidate) for candidate in candidates]

    def _judge(self, prompt: str, candidate: Candidate) -> Judgement:
        one, other = read(prompt), read(candidate.prompt)
        found = objection(Pair(one, other))
        if found:
            return Judgement(0.0, str(found))
        if one == other:
            return Judgement(1.0)
        missing = _unpartnered(one, other) + _unpartnered(other, one)
        share = missing / (len(one.stems) + len(other.stems) + 1)
        score = -6.0 + 13.0 * candidate.cosine - 14.0 * share - (1.5 if missing else 0.0)
        return Judgement(1 / (1 + math.exp(-score)))


_NEUTRAL = frozenset(map(stem, FILLERS))


def _unpartnered(one: Reading, other: Reading) -> int:
    return sum(
        not any(are_synonyms(word, partner) for partner in other.stems) for word in one.stems - other.stems - _NEUTRAL
    )


def default_judge() -> Judge:
    """The judge that ships, for the default embedder."""
    return GuardedCosine()
