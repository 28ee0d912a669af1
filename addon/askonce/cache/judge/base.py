"""What a judge is: the seam through which judges come.

A judge sees only text and vectors of prompts in the same partition; everything that must be equal already is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Candidate", "Closer", "Judge", "Judgement", "Vector"]

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
    """Decides whether two prompts ask the same, in a millisecond. Must be thread-safe and deterministic."""

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        """One judgement per candidate, in order. Raising counts as a miss."""


@runtime_checkable
class Closer(Protocol):
    """A judge that can take a closer look, which takes milliseconds."""

    def prepare(self) -> None:
        """Load what a look takes, or the first one does. Raises what loading raises. Never on the event loop."""

    def doubts(self, judgement: Judgement) -> bool:
        """Whether a closer look could change this judgement."""

    def look_closer(self, prompt: str, candidate: str, judgement: Judgement) -> Judgement:
        """A better judgement of one candidate than `judge` gave at once, or the same. Never on the event loop."""
