"""Letter case: which words of a prompt are written in which case, and where that says nothing.

One rule: a capital counts unless it is known to say nothing, because it begins a sentence or because the word means one
thing in any case. "rust" and "Rust", "pin" and "PIN", `-o` and `-O` are never the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from askonce.cache.judge.lexicon import DOUBLE_WORDS, FOREIGN, FUNCTION_WORDS, GRAMMAR, NAMES, ORDINARY
from askonce.cache.judge.lexicon.english import is_word

__all__ = ["NO_CASE", "Cased", "case_differs", "cased"]


_CASELESS = FUNCTION_WORDS - GRAMMAR["ambiguous"]
"""Means one thing in any case."""
_CODE = GRAMMAR["code"]
"""Who uses one of these may ask about a name in code."""
_BEFORE_I, _AFTER_I = GRAMMAR["before-i"], GRAMMAR["after-i"]
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Cased:
    """How one prompt writes its words."""

    forms: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The forms that count, by the word in lower case; only of words with a capital somewhere. Empty where the only one
    begins a sentence."""
    lower: frozenset[str] = frozenset()
    """Words that stand in lower case."""


NO_CASE = Cased()


def cased(prompt: str, *, literal: bool, foreign: bool) -> Cased:
    """Reads the case of each word.

    `literal`: the prompt is about its own text, so that every capital counts. `foreign`: its language is not known, so
    that no more than grammar is known to mean the same in lower case.
    """
    words = list(_WORD.finditer(prompt))
    titled = not foreign and _titled(words)
    is_code = literal or foreign or not _CODE.isdisjoint([found.group().lower() for found in words])
    lower: set[str] = set()
    forms: dict[str, set[str]] = {}
    for at, found in enumerate(words):
        word, small = found.group(), found.group().lower()
        if word == small and word != "i":
            lower.add(word)
        elif not (_any_case(words, at, prompt, literal=literal) or (not is_code and _is_only_a_name(found, prompt))):
            first = not literal and _first_only(word, small, foreign=foreign) and _alone(prompt, found.end())
            counted = forms.setdefault(small, set())
            if not (first and (titled or _opens(prompt, found.start()))):
                counted.add(word)
    return Cased(
        {word: frozenset(found | {word} if found and word in lower else found) for word, found in forms.items()},
        frozenset(lower),
    )


def case_differs(a: Cased, b: Cased, *, strictly: bool = True) -> tuple[frozenset[str], frozenset[str]] | None:
    """The forms of the first word that the two write in ways that may mean two things, or None.

    Unless `strictly`, a name is one in lower case, too, as people type it: only what is known for another word in
    another case counts, single letters, and capitals in other places ("Mb", "MB").
    """
    for word in {**a.forms, **b.forms}:
        one, other = _forms(a, word), _forms(b, word)
        if (
            not strictly
            and len(word) > 1
            and word not in DOUBLE_WORDS
            and (not one or not other or word in one | other)
        ):
            continue
        if one is None or other is None or one == other:
            continue
        if one and other:
            return one, other
        if len(one | other) > 1 or not all(form[0].lower() + form[1:] == word for form in one | other):
            return one or frozenset((word,)), other or frozenset((word,))
    return None


def _forms(side: Cased, word: str) -> frozenset[str] | None:
    """None where it has no such word."""
    found = side.forms.get(word)
    return found if found is not None else frozenset((word,)) if word in side.lower else None


def _titled(words: list[re.Match[str]]) -> bool:
    """Whether capitals say nothing, because every longer word has one."""
    long = [found.group() for found in words if found.end() - found.start() > 3]
    some = long if len(long) > 2 else [found.group() for found in words]
    return len(some) > 2 and "".join([word[0] for word in some]).isupper()


def _any_case(words: list[re.Match[str]], at: int, prompt: str, *, literal: bool) -> bool:
    """Whether the word is the same in any case, for what it is or where it stands."""
    found = words[at]
    small = found.group().lower()
    if small in _CASELESS or (not literal and (small in NAMES or (small in ORDINARY and found.group()[1:].islower()))):
        return True
    if small == "i":
        return _pronoun(words, at, prompt)
    if len(small) == 1:
        return prompt[found.end() : found.end() + 1] in ("+", "#")  # C++, C#
    if small.endswith(("am", "pm")) and len(small) < 5:  # the time of day
        return small[:-2].isdecimal() or (len(small) == 2 and at > 0 and words[at - 1].group().isdecimal())
    return False


def _is_only_a_name(found: re.Match[str], prompt: str) -> bool:
    """Whether a word is written as names and abbreviations are in prose, and no word in lower case is written like it:
    then people who type no capitals mean it, too."""
    word, small = found.group(), found.group().lower()
    if not (word.isupper() or word[1:].islower()) or small in DOUBLE_WORDS or len(small) <= _ABBREVIATED:
        return False
    apart = not prompt[: found.start()].endswith((".", "/", "-", "@", "_")) and _alone(prompt, found.end())
    return apart and small.isascii() and small.isalpha() and not is_word(small)


_ABBREVIATED = 2
"""Letters; of so few many are units ("MB")."""


def _first_only(word: str, small: str, *, foreign: bool) -> bool:
    """Whether the word has no capital but its first, and could be in lower case what it is here."""
    if word[0] + small[1:] != word or small in DOUBLE_WORDS:
        return False
    return small in FOREIGN if foreign else word.isascii()


def _pronoun(words: list[re.Match[str]], at: int, prompt: str) -> bool:
    """Whether an "i" is the one who asks: "can i", "i am"; not a variable, an option, a numeral."""
    start, end = words[at].span()
    if prompt[start - 1 : start].strip() or prompt[end : end + 1] in ("'", "’"):
        return start == 0 or prompt[end : end + 1] in ("'", "’")
    before = words[at - 1].group().lower() if at else ""
    after = words[at + 1].group().lower() if at + 1 < len(words) else ""
    return before in _BEFORE_I or (after in _AFTER_I and before not in ("is", "does"))


def _opens(prompt: str, start: int) -> bool:
    """Whether a sentence begins here."""
    before = prompt[:start].rstrip() if start < 8 else prompt[start - 8 : start].rstrip()
    if not before:
        return start < 8
    return before[-1] in ".?!" and prompt[start - 1].isspace()


def _alone(prompt: str, end: int) -> bool:
    """Whether the word is followed by what follows a word of prose, not by what makes it a name in code."""
    after = prompt[end : end + 2]
    return not after or after[0].isspace() or (after[0] in "\"'’,.?!:;" and (after[0] in "'’" or not after[1:].strip()))
