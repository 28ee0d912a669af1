"""Vectors of single words, for comparing prompts word by word whatever embedder found them.

The words are those of wordllama, which is installed in any case. A vector here is of the word alone, so the same word
is the same everywhere; the most recent ones are kept.
"""

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from askonce.cache.judge.lexicon import FUNCTION_WORDS, stem
from askonce.cache.vocabulary import vocabulary

__all__ = ["WordVector", "WordVectors", "word_vectors"]


class WordVector(NamedTuple):
    """One word: a unit vector and the length that it had, which grows with how much the word says."""

    unit: NDArray[np.float32]
    length: float
    stem: int
    """Equal for words of one stem, within this process."""
    content: bool
    whole: bool
    """One token: what is not may be a typing error."""


class WordVectors:
    """Words by their vectors. Thread-safe."""

    def __init__(self) -> None:
        self.of = lru_cache(maxsize=20_000)(self._of)

    def _of(self, word: str) -> WordVector:
        words = vocabulary()  # not before the first word: a start would wait for it
        tokens = words.tokens(word)
        vector = words.rows(tokens).sum(axis=0)
        length = float(np.sqrt(vector @ vector))
        unit = vector / length if length else vector
        return WordVector(unit, length or 1e-6, hash(stem(word)), word not in FUNCTION_WORDS, len(tokens) == 1)


@cache
def word_vectors() -> WordVectors:
    """The vectors of wordllama's vocabulary, remembered once for the process."""
    return WordVectors()
