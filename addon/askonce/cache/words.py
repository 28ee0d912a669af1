"""Vectors of single words, for comparing prompts word by word whatever embedder found them.

The words are those of wordllama, which is installed in any case; each word is looked up in its tokenizer once. The table
only grows until `_CAPACITY` and then starts afresh, so ids are good for one generation.
"""

import threading
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askonce.cache.embed import _load_wordllama
from askonce.cache.lexicon import FUNCTION_WORDS, stem

__all__ = ["WordTable", "word_table"]

_CAPACITY = 40_000
_CHUNK = 2_000


class WordTable:
    """Words by small integers, with the unit vector, length and stem of each. Thread-safe."""

    def __init__(self, tokenizer: Any, table: NDArray[np.float32]) -> None:
        """`table` is (tokens, dimension); `tokenizer` is of the `tokenizers` package."""
        self._tokenizer, self._table = tokenizer, table
        self._lock = threading.Lock()
        self.dimension = int(table.shape[1])
        self._reset()

    def _reset(self) -> None:
        self.generation = getattr(self, "generation", 0) + 1
        self._ids: dict[str, int] = {}
        self._stems: dict[str, int] = {}
        self.unit: NDArray[np.float32] = np.zeros((_CHUNK, self.dimension), dtype=np.float32)
        self.length: NDArray[np.float32] = np.zeros(_CHUNK, dtype=np.float32)
        self.stem: NDArray[np.int32] = np.zeros(_CHUNK, dtype=np.int32)
        self.content: NDArray[np.bool_] = np.zeros(_CHUNK, dtype=np.bool_)
        self.known: set[str] = set()
        """Words that are one token: what is not among them may be a typing error."""

    def ids(self, words: tuple[str, ...]) -> NDArray[np.int32]:
        """The ids of the words, in order; unknown ones are added."""
        known = self._ids
        try:
            return np.fromiter((known[word] for word in words), np.int32, len(words))
        except KeyError:
            pass
        with self._lock:
            if len(self._ids) + len(words) > _CAPACITY:
                self._reset()
            for word in words:
                if word not in self._ids:
                    self._add(word)
            return np.fromiter((self._ids[word] for word in words), np.int32, len(words))

    def _add(self, word: str) -> None:
        place = len(self._ids)
        if place == len(self.length):
            self.unit = np.vstack([self.unit, np.zeros((_CHUNK, self.dimension), dtype=np.float32)])
            self.length = np.append(self.length, np.zeros(_CHUNK, dtype=np.float32))
            self.stem = np.append(self.stem, np.zeros(_CHUNK, dtype=np.int32))
            self.content = np.append(self.content, np.zeros(_CHUNK, dtype=np.bool_))
        tokens = self._tokenizer.encode(word, add_special_tokens=False).ids
        vector = self._table[tokens].sum(axis=0) if tokens else np.zeros(self.dimension, dtype=np.float32)
        if len(tokens) == 1:
            self.known.add(word)
        length = float(np.linalg.norm(vector))
        self.unit[place] = vector / length if length else vector
        self.length[place] = length or 1e-6
        bare = stem(word)
        self.stem[place] = self._stems.setdefault(bare, len(self._stems))
        self.content[place] = word not in FUNCTION_WORDS
        self._ids[word] = place


@cache
def word_table() -> WordTable:
    """The table over wordllama's vocabulary, loaded once for the process (about a second with its imports)."""
    model = _load_wordllama()
    return WordTable(model.tokenizer, model.embedding)
