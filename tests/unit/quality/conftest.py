"""An embedder and a judge that a test can foresee."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from askonce.cache import Candidate, Judgement, Vector, uses
from askonce.cache.judge.reuse import LASTING
from askonce.quality.labelled import LabelledPair


class Words:
    """Counts words: the vector of a text says which of a few words are in it."""

    name = "words"
    limit = 400
    words = ("red", "green", "blue", "big", "small")

    def __init__(self) -> None:
        self.dimension = len(self.words)
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        rows = np.array([[float(word in text.split()) for word in self.words] for text in texts], dtype=np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(lengths > 0, lengths, 1)


class Cosine:
    """The cosine is the probability, but for a guard against "small"."""

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [
            Judgement(0.0, "size: big / small")
            if ("small" in prompt) != ("small" in candidate.prompt)
            else Judgement(round(candidate.cosine, 6))
            for candidate in candidates
        ]


@pytest.fixture(autouse=True)
def _all_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of these tests are no prompts that anybody would write."""
    monkeypatch.setattr(uses, "reuse", lambda _prompt: LASTING)


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
def cosine() -> Cosine:
    return Cosine()


@pytest.fixture
def pairs() -> list[LabelledPair]:
    """One of each kind: the same meaning, a near miss, a guard's, identical, unknown words."""
    return [
        LabelledPair("red", "red !", 1, "near"),
        LabelledPair("red green blue", "red green", 1, "near"),
        LabelledPair("red", "red blue", 0, "near"),
        LabelledPair("red big", "red small", 0, "size"),
        LabelledPair("red small", "red small", 1, "size"),
        LabelledPair("red", "what", 0),
    ]
