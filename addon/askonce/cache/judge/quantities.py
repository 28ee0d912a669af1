"""Equal quantities in other units: "within 21 days" beside "within three weeks".

One rule: only where the size is exactly the same, and nothing else in either prompt speaks of one of the two units, as
"how many days are three weeks?" does.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from askonce.cache.judge.lexicon import ABOUT_TEXT, NUMBER_WORDS, SIZES, SPOKEN, UNITS

__all__ = ["in_same_units"]

_LONGEST = 400
"""Characters of a prompt; what is longer is a text, too."""
_NUMBERS = {word: Fraction(number) for word, number in NUMBER_WORDS.items() if number and word != "dozen"}
_ARTICLES = {"a": Fraction(1), "an": Fraction(1), "half a": Fraction(1, 2), "half an": Fraction(1, 2)}
_SIZED = {word: unit for word, unit in UNITS.items() if unit in SIZES}
_SHORTEST = 3
"""Letters of a unit behind a number in words: "a g" and "two m" are no quantities."""
_OTHERWISE = frozenset(["second", "foot", "yard"])
"""Units that are something else behind an article."""
_QUANTITY = re.compile(
    rf"(?<![\w.,$€£:/-])(?P<number>\d+(?:\.\d+)?|{'|'.join((*sorted(_ARTICLES, reverse=True), *_NUMBERS))})"
    rf"(?:\s+|(?P<joined>-?))(?P<unit>{'|'.join(sorted(_SIZED, key=len, reverse=True))})(?![\w'’-]|\.\w)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")
_CONVERTING = "convert converted converting conversion express expressed unit units equal equals equivalent"
_MEASURING = ABOUT_TEXT | SPOKEN["said"] | frozenset(_CONVERTING.split())
"""Who uses one of these may ask about the quantity itself."""


@dataclass(frozen=True, slots=True)
class _Quantity:
    start: int
    end: int
    number: Fraction
    unit: str

    @property
    def size(self) -> tuple[str, Fraction]:
        measure, factor = SIZES[self.unit]
        return measure, self.number * factor


def in_same_units(one: str, other: str) -> tuple[str, str]:
    """Both prompts, the second with the first one's quantity where they have one each that differs in its unit alone;
    as they are where there is none."""
    (left, named), (right, theirs) = _quantities(one), _quantities(other)
    if not left or not right:
        return one, other
    shared = {(x.number, x.unit) for x in left} & {(y.number, y.unit) for y in right}
    own, others = ([q for q in side if (q.number, q.unit) not in shared] for side in (left, right))
    if len(own) != 1 or len(others) != 1:
        return one, other
    x, y = own[0], others[0]
    is_named = named.count(x.unit) > 1 or theirs.count(y.unit) > 1 or y.unit in named or x.unit in theirs
    if x.size != y.size or x.unit == y.unit or is_named:
        return one, other
    return one, other[: y.start] + one[x.start : x.end] + other[y.end :]


@lru_cache(maxsize=4096)
def _quantities(prompt: str) -> tuple[list[_Quantity], list[str]]:
    """The quantities of a prompt, and the units that it names, each as often as it does; none of a text, and none where
    it may ask about them."""
    if len(prompt) > _LONGEST or "\n" in prompt:
        return [], []
    words = [word.lower() for word in _WORD.findall(prompt)]  # a look at them is quicker than a pattern of all units
    named = [_SIZED[word] for word in words if word in _SIZED]
    if not named or not _MEASURING.isdisjoint(words):
        return [], []
    found = [quantity for match in _QUANTITY.finditer(prompt) if (quantity := _quantity(match))]
    return found, named


def _quantity(found: re.Match[str]) -> _Quantity | None:
    number, word = re.sub(r"\s+", " ", found["number"].lower()), found["unit"].lower()
    unit = _SIZED[word]
    if number[0].isdigit():
        return _Quantity(*found.span(), Fraction(number), unit)
    if len(word) < _SHORTEST or found["joined"] == "" or (number in _ARTICLES and unit in _OTHERWISE):
        return None
    return _Quantity(*found.span(), _ARTICLES.get(number) or _NUMBERS[number], unit)
