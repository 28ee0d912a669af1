"""Stems: the form under which the inflections and spellings of one English word meet.

One rule: a stem is for comparing only. It need not be a word, and what is no English word stays near what it was.
"""

from functools import lru_cache
from pathlib import Path

from askonce.cache.judge.lexicon.files import named, pairs, words

__all__ = ["BASES", "COMPARATIVES", "IRREGULAR", "stem"]

_HERE = Path(__file__).parent

IRREGULAR = dict(pairs(_HERE / "irregular.txt"))
"""What each irregular form is of: a plain form, which has a stem."""
_ENDINGS = named(_HERE / "endings.txt")
_SPELLINGS = dict(pairs(_HERE / "spellings.txt"))
_NOUNS = ("re", "ue", "me", "ce")
"""Endings of nouns among them, which have a plural; "analyse" has none."""
_SPELLINGS |= {f"{old}s": f"{new}s" for old, new in _SPELLINGS.items() if old.endswith(_NOUNS)}
_SPELLINGS |= {word + s: word.replace("our", "or") + s for word in _ENDINGS["our"] for s in ("", "s")}
_ISE = frozenset(_ENDINGS["ise"])
_VOWELS = frozenset("aeiouy")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """The form under which inflections and spellings of one lower-case English word meet; not always a word itself."""
    word = _SPELLINGS.get(word, word)
    if word in IRREGULAR:
        return word if IRREGULAR[word] == word else stem(IRREGULAR[word])
    if len(word) <= 3:
        return word
    base = _uninflected(word)
    if base in IRREGULAR:
        return stem(base)
    last = base[-1]  # asked first, since most words end in none of the three
    if last == "e":
        if base.endswith("ise") and len(base) > 4 and base not in _ISE:
            return base[:-2] + "iz"
        return base[:-1] if len(base) > 3 else base
    if last == "s" and base.endswith("is") and base != word and len(base) > 4 and base + "e" not in _ISE:
        return base[:-1] + "iz"
    if last == "n" and base.endswith("isation"):
        return base[:-7] + "ization"
    return base


def _uninflected(word: str) -> str:
    last = word[-1]
    if last == "s":
        if word.endswith("ies") and len(word) > 4:
            return word[:-3] + "y"
        if word.endswith(("sses", "shes", "ches", "xes", "zes")):
            return word[:-2]
        return word if word[-2] in "sui" else word[:-1]
    if last == "d":
        if word.endswith("ied") and len(word) > 4:
            return word[:-3] + "y"
        if word.endswith("ed") and len(word) > 4 and not _VOWELS.isdisjoint(word[:-2]):
            return _undouble(word[:-2])
    elif word.endswith("ing") and len(word) > 5 and not _VOWELS.isdisjoint(word[:-3]):
        return _undouble(word[:-3])
    return word


def _undouble(base: str) -> str:
    return base[:-1] if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz" else base


def _comparatives(word: str) -> tuple[str, str]:
    base = word[:-1] + "i" if word.endswith("y") and word[-2] not in "aeiou" else word.removesuffix("e")
    if len(word) <= 4 and word[-1] not in "wyer" and word[-2] in "aeiou" and word[-3] not in "aeiou":
        base += word[-1]
    return base + "er", base + "est"


BASES = {form: stem(word) for word in words(_HERE / "graded.txt") for form in _comparatives(word)}
"""The stem that a comparative or superlative is made of."""

COMPARATIVES = frozenset(BASES) | frozenset(words(_HERE / "irregular_comparatives.txt"))
