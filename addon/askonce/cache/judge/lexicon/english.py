"""Which words are English: looked up in `english.txt`, which says what it holds.

One rule: nothing of it is copied. The file is mapped, so that all processes on the machine share it, and a word is
found by halving.
"""

import mmap
from functools import cache, lru_cache
from pathlib import Path

__all__ = ["WORDS", "WordList", "is_known", "is_word"]

WORDS = Path(__file__).with_name("english.txt")


class WordList:
    """Lines in the order of their bytes, after a comment. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where there is no file, ValueError where it is empty."""
        with path.open("rb") as file:
            self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __contains__(self, word: str) -> bool:
        lines, wanted = self._lines, word.encode()
        low, high = 0, len(lines)
        while low < high:
            start = lines.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = lines.find(b"\n", start)
            found = lines[start : end if end >= 0 else high]
            if found == wanted:
                return True
            if found < wanted:
                low = start + len(found) + 1
            else:
                high = start
        return False


@cache
def _words() -> WordList:
    """Not before the first word: a start would wait for it."""
    return WordList(WORDS)


@lru_cache(maxsize=20_000)
def is_word(word: str) -> bool:
    """Whether this is an English word in lower case."""
    return word in _words()


@lru_cache(maxsize=20_000)
def is_known(word: str) -> bool:
    """Whether a word in lower case is English, or what is left of a name's capital."""
    return is_word(word) or word.capitalize() in _words() or word.upper() in _words()
