"""Whether one answer serves two prompts: the seam through which judges come, and the judge that ships.

A judge sees only text and vectors of prompts in the same partition; everything that must be equal already is.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from askonce.cache.difference import difference
from askonce.cache.features import NAMES, Sketch, features, sketch
from askonce.cache.guards import Pair, objection, renumbered
from askonce.cache.reading import read
from askonce.cache.rewording import reworded
from askonce.cache.trees import Trees
from askonce.cache.words import WordVectors, word_vectors

__all__ = ["PARAMETERS", "Candidate", "Closer", "Judge", "Judgement", "TrainedJudge", "Vector", "load_judge"]

Vector = NDArray[np.float32]
"""A unit vector of the embedder's dimension."""

PARAMETERS = Path(__file__).parent / "params" / "judge.npz"
"""The parameters that ship; docs/judge.md is their card."""


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

    def doubts(self, judgement: Judgement) -> bool:
        """Whether a closer look could change this judgement."""

    def look_closer(self, prompt: str, candidate: str, judgement: Judgement) -> Judgement:
        """A better judgement of one candidate than `judge` gave at once, or the same. Never on the event loop."""


class TrainedJudge:
    """Guards first, then boosted trees over features of the words, calibrated.

    It reads the prompts and leaves the vectors aside, so its probabilities mean the same behind every embedder.
    """

    SAME = 0.995
    """The probability where two prompts are the same words but for courtesies: what a person would call the same."""
    REWORDED = 0.986
    """The probability of a plain rewording (`rewording.py`); docs/judge.md has the counts."""

    def __init__(self, trees: Trees, knots: Vector, probabilities: Vector, words: WordVectors) -> None:
        """`knots` and `probabilities`: the calibration, linear between the trees' scores at the knots."""
        self._trees, self._knots, self._probabilities, self._words = trees, knots, probabilities, words
        self._sketch = lru_cache(maxsize=2_048)(self._make_sketch)

    @classmethod
    def load(cls, path: Path = PARAMETERS, words: WordVectors | None = None) -> "TrainedJudge":
        """Raises ValueError for parameters of other features than these, OSError where there are none."""
        with np.load(path) as found:
            if tuple(json.loads(str(found["names"]))) != NAMES:
                raise ValueError(f"{path}: trained on other features; run `python -m benchmarks.train_judge`")
            trees = Trees(
                found["features"], found["thresholds"], found["masks"], found["values"], float(found["start"])
            )
            return cls(trees, found["knots"], found["probabilities"], words or word_vectors())

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        judgements: list[Judgement | None] = []
        rows: list[list[float]] = []
        for candidate in candidates:
            if other := renumbered(prompt, candidate.prompt):
                judgements.append(Judgement(0.0, str(other)))
                continue
            compared = difference(prompt, candidate.prompt)
            if compared is None:
                judgements.append(Judgement(0.0, "text: differs in more than the question"))
                continue
            pair = Pair(*map(read, compared))
            found = objection(pair)
            if pair.same:
                judgements.append(Judgement(self.SAME))
            elif found:
                judgements.append(Judgement(0.0, str(found)))
            elif reworded(pair):
                judgements.append(Judgement(self.REWORDED))
            else:
                judgements.append(None)
                rows.append(features(self._sketch(compared[0]), self._sketch(compared[1]), pair))
        chances = iter(self._chances(rows) if rows else [])
        return [judgement or Judgement(next(chances)) for judgement in judgements]

    def _chances(self, rows: list[list[float]]) -> list[float]:
        scores = self._trees(np.array(rows, dtype=np.float32))
        chances: list[float] = np.interp(scores, self._knots, self._probabilities).tolist()
        return chances

    def _make_sketch(self, prompt: str) -> Sketch:
        return sketch(read(prompt), self._words)


def load_judge(name: str = "trees") -> Judge:
    """The judge of this name: "trees", or "deep", which takes a closer look at what those leave in doubt.

    Neither shares anything with the embedder, whichever that is. ValueError for another name, or where what it needs
    is missing.
    """
    if name not in ("trees", "deep"):
        raise ValueError(f'unknown judge "{name}"; there are: trees, deep')
    trees = TrainedJudge.load()
    if name == "trees":
        return trees
    from askonce.cache.deep import DeepJudge

    try:
        return DeepJudge.load(trees)
    except ImportError as error:
        raise ValueError(f'judge: deep needs onnxruntime ({error}): pip install "askonce[deep]"') from error
