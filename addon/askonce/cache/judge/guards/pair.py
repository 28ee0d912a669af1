"""Two prompts side by side, and what a guard says of them.

A guard is a function from a pair to its objection, or None. It is symmetric but for the sides' order in its reason.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from askonce.cache.judge.reading import Reading

__all__ = ["GRADES", "Guard", "Objection", "Pair", "plain", "sides", "worded"]


@dataclass(frozen=True, slots=True)
class Objection:
    """What one guard found: its name and the two sides, "-" where a side has nothing."""

    guard: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.guard}: {self.left} / {self.right}"


class Pair:
    """Two readings and the content words (as stems, in order, without repeats) that only one of them has."""

    __slots__ = ("a", "b", "close", "doubts", "only_a", "only_b", "worded_alike")

    def __init__(self, a: Reading, b: Reading) -> None:
        self.a, self.b = a, b
        self.worded_alike = a.core == b.core
        """The same words in the same order, but for courtesies; their marks may differ."""
        self.only_a = [word for word in a.order if word not in b.stems]
        self.only_b = [word for word in b.order if word not in a.stems]
        own = sum(word not in GRADES for word in (*self.only_a, *self.only_b))
        self.close = own <= max(_CLOSE, (len(a.order) + len(b.order) - own) // _CLOSE_SHARE)
        """Whether so few content words differ that what else differs is the difference."""
        self.doubts: set[str] = set()
        """The guards that found a difference which is no contradiction by itself: filled by `objection`."""

    @property
    def alike(self) -> bool:
        """Whether the two say the same, word by word, but for courtesies: then all that may part them is how they are
        written."""
        a, b = self.a, self.b
        return self.worded_alike and a.numbers == b.numbers and a.spans == b.spans and a.ids == b.ids


GRADES = frozenset(("more", "mor", "less", "most", "least"))
"""Words of degree and their stems: "less cheap" against "more expensive" is no contradiction."""
_CLOSE, _CLOSE_SHARE = 2, 6
"""Content words that one side has and the other has not, of a close pair: so many, or one to so many in common."""
Guard = Callable[[Pair], Objection | None]


def sides(guard: str, left: object, right: object) -> Objection:
    """The objection with both sides as people read them."""
    return Objection(guard, plain(left), plain(right))


def plain(value: object) -> str:
    """A value as people read it; "-" for nothing."""
    if isinstance(value, Fraction):
        return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"
    if isinstance(value, (set, frozenset, list, tuple)):
        value = ", ".join(sorted(plain(item) for item in value))
    return str(value) or "-"


def worded(reading: Reading, stems: Iterable[str]) -> str:
    """The words as the prompt has them, for stems are no words to show to people."""
    shown = {word.stem: word.text for word in reading.words}
    return " ".join(shown.get(s, s) for s in stems)
