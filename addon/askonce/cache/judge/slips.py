"""Slips of the keyboard: a word that is none, where the other prompt has the one that was meant.

One rule: what could mean something by itself stays. A word is mended only where it is in no list of English words and
names, is written as no name, and is one slip inside the word away from an English word, no name, of the other prompt;
never in a prompt about words, with quotes or code, in several lines, or in another language.
"""

import re
from functools import lru_cache, partial

from askonce.cache.judge.lexicon import ABOUT_TEXT, FOREIGN, FUNCTION_WORDS, SPOKEN
from askonce.cache.judge.lexicon.english import is_known, is_word

__all__ = ["mended"]

_LONGEST = 400
"""Characters of a prompt; what is longer is a text, too."""
_SHORTEST = 5
"""Letters of a word. Of shorter ones many are a slip away from another."""
_MOST = 2
"""Slips in one prompt; who makes more writes something else."""
_KNOWN = 0.6
"""The share of the words that must be English ones."""
_WORD = re.compile(r"(?<![\w'’.@/\\#-])[A-Za-z]+(?![\w'’@/\\#-]|\.\w)")
"""A word of prose, not a part of a name in code or of a compound."""
_SAID = ABOUT_TEXT | SPOKEN["said"] | FOREIGN
"""Who uses one of these may ask about how a word is written, or in another language."""
_CODE = re.compile('["`\n“”«»]')
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWELS = frozenset("aeiou")
_ENDING = 4
"""Letters at the end of a word whose vowels may tell two substances apart ("-ane", "-ene")."""


def _beside() -> frozenset[str]:
    """Pairs of letters whose keys touch."""
    at = {letter: (row, place) for row, keys in enumerate(_ROWS) for place, letter in enumerate(keys)}
    touching = ((0, 1), (0, -1), (1, 0), (1, -1), (-1, 0), (-1, 1))
    return frozenset(
        one + other
        for one, (row, place) in at.items()
        for other, there in at.items()
        if (there[0] - row, there[1] - place) in touching
    )


_BESIDE = _beside()


def mended(one: str, other: str) -> tuple[str, str]:
    """Both prompts without the slips that the other one shows to be such; as they are where there are none."""
    left, right = _words(one), _words(other)
    own, theirs = left.keys() - right.keys(), right.keys() - left.keys()
    # Hardly ever are two words a slip apart, so that is asked first: a list of words takes longer to look at.
    near = [(x, y) for x in own for y in theirs if x[0] == y[0] and _is_slip(x, y)]
    if not near or not (_is_prose(one) and _is_prose(other)):
        return one, other
    return _mend(one, left, near), _mend(other, right, [(y, x) for x, y in near])


@lru_cache(maxsize=4096)
def _words(prompt: str) -> dict[str, bool]:
    """The longer words in lower case, and whether each is written as one that is no name; none where all of a prompt
    stays as it is."""
    if len(prompt) > _LONGEST or _CODE.search(prompt):
        return {}
    found, said = dict[str, bool](), set[str]()
    for word in _WORD.findall(prompt):
        small = word.lower()
        said.add(small)
        if len(small) >= _SHORTEST:
            found[small] = found.get(small, True) and (word == small or prompt.startswith(word))
    return found if _SAID.isdisjoint(said) else {}


def _is_prose(prompt: str) -> bool:
    """Whether most of the words that are no names are English."""
    words = [word for word in _WORD.findall(prompt) if word.islower()]
    return sum(word in FUNCTION_WORDS or is_known(word) for word in words) >= _KNOWN * len(words)


def _mend(prompt: str, words: dict[str, bool], near: list[tuple[str, str]]) -> str:
    odd = {word for word, _ in near if words[word] and not is_known(word)}
    for word in odd if len(odd) <= _MOST else ():
        meant = [other for own, other in near if own == word and is_word(other)]
        if len(meant) == 1:
            prompt = re.sub(rf"\b{word}\b", partial(_as_written, meant[0]), prompt, flags=re.IGNORECASE)
    return prompt


def _as_written(word: str, found: re.Match[str]) -> str:
    return word if found[0][0].islower() else word.capitalize()


def _is_slip(odd: str, word: str) -> bool:
    """Whether one key too few, too many, beside the right one or before its time makes the odd word of the other, which
    begins with the same letter. The last one is right, too, but may have changed places in a longer word."""
    if abs(len(odd) - len(word)) > 1:
        return False
    at = next((n for n, (x, y) in enumerate(zip(odd, word, strict=False)) if x != y), min(len(odd), len(word)))
    if len(odd) == len(word) and odd[at : at + 2] == word[at : at + 2][::-1] and odd[at + 2 :] == word[at + 2 :]:
        return at + 2 < len(odd) or len(odd) > _SHORTEST
    if odd[-1] != word[-1]:
        return False
    if len(odd) != len(word):
        return odd[at + 1 :] == word[at:] if len(odd) > len(word) else odd[at:] == word[at + 1 :]
    both = odd[at] + word[at]
    may = both in _BESIDE or (at < len(odd) - _ENDING and _VOWELS.issuperset(both))
    return may and odd[at + 1 :] == word[at + 1 :]
