"""The judge that ships: guards, plain rewordings, and boosted trees for the rest."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from askonce.cache.judge.aligned import aligned
from askonce.cache.judge.base import Candidate, Judgement, Vector
from askonce.cache.judge.characters import composed
from askonce.cache.judge.difference import LONG, difference
from askonce.cache.judge.features import NAMES, Sketch, features, sketch
from askonce.cache.judge.guards import Objection, Pair, objection, renumbered, written
from askonce.cache.judge.reading import is_about_text, read
from askonce.cache.judge.rewording import reworded
from askonce.cache.judge.trees import Trees
from askonce.cache.judge.words import WordVectors, word_vectors

__all__ = ["PARAMETERS", "TrainedJudge"]

PARAMETERS = Path(__file__).parent / "params" / "judge.npz"
"""The parameters that ship; docs/judge.md is their card."""


class TrainedJudge:
    """Guards first, then boosted trees over features of the words, calibrated.

    It reads the prompts and leaves the vectors aside, so its probabilities mean the same behind every embedder.
    """

    SAME = 0.995
    """The probability where two prompts are the same words but for courtesies: what a person would call the same."""
    REWORDED = 0.986
    """The probability of a plain rewording (`rewording.py`), and of the same words but for a slip of the keyboard or
    the frame around them; docs/judge.md has the counts."""

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
        if not prompt.isascii():
            prompt = composed(prompt)
        judgements: list[Judgement | None] = []
        rows: list[list[float]] = []
        for candidate in candidates:
            other = candidate.prompt if candidate.prompt.isascii() else composed(candidate.prompt)
            if found := renumbered(prompt, other):
                judgements.append(Judgement(0.0, str(found)))
                continue
            asked, stored = aligned(prompt, other)
            compared = difference(asked, stored)
            if compared is None:
                judgements.append(Judgement(0.0, "text: differs in more than the question"))
                continue
            pair = Pair(*map(read, compared))
            found = objection(pair) or _as_wholes(asked, stored, compared, pair)
            if (found or not pair.alike) and _share_a_frame(asked, stored, compared, pair):
                judgements.append(Judgement(self.REWORDED))
            elif found:
                judgements.append(Judgement(0.0, str(found)))
            elif pair.alike and asked is prompt and stored is other:
                judgements.append(Judgement(self.SAME))
            elif pair.alike or reworded(pair):
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


def _share_a_frame(one: str, other: str, compared: tuple[str, str], pair: Pair) -> bool:
    """Whether the two say the same, word by word, once the frame of one is that of the other."""
    if not (pair.a.framed or pair.b.framed):
        return False
    framed = Pair(*(read(side.framed or text) for side, text in zip((pair.a, pair.b), compared, strict=True)))
    return framed.alike and not (objection(framed) or _as_wholes(one, other, compared, framed))


def _as_wholes(one: str, other: str, compared: tuple[str, str], pair: Pair) -> Objection | None:
    """What speaks against two prompts of which only a part is compared: a sentence that both have may say what counts
    in the rest, as "How many commas are in this?" does."""
    if compared[0] is one and compared[1] is other:
        return None
    if len(one) <= LONG and len(other) <= LONG:
        return written(Pair(read(one), read(other)))
    if pair.worded_alike and (is_about_text(one) or is_about_text(other)):
        return written(Pair(*(read(text, literal=True) for text in compared)))
    return None
