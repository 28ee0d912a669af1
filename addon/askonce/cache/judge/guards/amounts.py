"""Guards of amounts: numbers, dates and units, made equal before they are compared."""

import re
from collections import Counter
from collections.abc import Hashable
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

from askonce.cache.judge.guards.pair import Objection, Pair, plain, sides
from askonce.cache.judge.lexicon import SIZES
from askonce.cache.judge.reading import Reading

__all__ = ["numbers", "renumbered", "units"]


def renumbered(left: str, right: str) -> Objection | None:
    """The number guard's objection where two prompts are one text around other whole numbers, as an app makes them of a
    template; without reading either, which takes ten times as long. None says nothing."""
    (one, a), (other, b) = _template(left), _template(right)
    if one != other or a == b:
        return None
    only_a, only_b = _left_over(list(a), list(b))
    if not (only_a and only_b):
        return None
    return Objection("number", ", ".join(sorted(set(only_a))), ", ".join(sorted(set(only_b))))


@lru_cache(maxsize=4096)
def _template(prompt: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands around the whole numbers that stand alone, and these."""
    parts = _WHOLE.split(prompt)
    return tuple(parts[::2]), tuple(number.lstrip("0") or "0" for number in parts[1::2])


_WHOLE = re.compile(r"(?<!\S)([0-9]+)(?=[\s?!;]|[.,](?:\s|$)|$)")


def numbers(pair: Pair) -> Objection | None:
    """The same quantities, in the same units, of the same things."""
    a, b = pair.a, pair.b
    if not a.numbers and not b.numbers:
        return None
    only_a, only_b = _left_over([n.value for n in a.numbers], [n.value for n in b.numbers])
    if only_a or only_b:
        only_a, only_b = _of_other_size(only_a, a, only_b, b), _of_other_size(only_b, b, only_a, a)
        for extra, words in ((only_a, b.token_set), (only_b, a.token_set)):
            if 1 in extra and ("one" in words or "once" in words):
                extra[:] = [value for value in extra if value != 1]
        if only_a or only_b:
            dated = any(
                n.unit in ("date", "time") for n in (*a.numbers, *b.numbers) if n.value in only_a or n.value in only_b
            )
            return sides("date" if dated else "number", set(only_a), set(only_b))
    named = {n.value: n.unit for n in a.numbers if n.unit}
    for number in b.numbers:
        if number.unit and named.get(number.value, number.unit) != number.unit:
            return sides("unit", named[number.value], number.unit)
    one, two = ([n.value for n in side.numbers] for side in (a, b))
    if pair.close and one != two and sorted(map(str, one)) == sorted(map(str, two)) and not _commutes(a, b):
        return sides("order", " .. ".join(map(plain, one)), " .. ".join(map(plain, two)))
    counted = {n.value: n.counts for n in a.numbers}
    other = {n.value: n.counts for n in b.numbers}
    for x, y in combinations(counted, 2):
        if counted[x] != counted[y] and counted[x] == other.get(y) and counted[y] == other.get(x):
            return sides("order", f"{plain(x)} {counted[x]}", f"{plain(x)} {other[x]}")
    return None


_PAIR = 2
_COMMUTES = frozenset(["and", "or", "plus", "times", "between", "vs", "versus", "multiplied", "sum", "product"])


def _commutes(a: Reading, b: Reading) -> bool:
    """Whether the numbers of both may stand in any order: two that are joined by such a word."""
    return len(a.numbers) == _PAIR and not (_COMMUTES.isdisjoint(a.token_set) or _COMMUTES.isdisjoint(b.token_set))


def _of_other_size(
    values: list[Fraction | str], reading: Reading, others: list[Fraction | str], other: Reading
) -> list[Fraction | str]:
    """Those of the values that the other, whose own `others` are, has in no unit: "60 minutes" is "an hour", "the 18th"
    is "June 18"."""
    sizes = {size for n in other.numbers if n.value in others and (size := _size(n.value, n.unit))} | _single(other)
    same: set[Fraction | str] = {n.value for n in reading.numbers if _size(n.value, n.unit) in sizes}
    for value in others:
        same.add(f"{value}th" if isinstance(value, Fraction) else value.removesuffix("th"))
    return [value for value in values if value not in same and str(value) not in same]


def _single(reading: Reading) -> set[tuple[str, Fraction]]:
    """The sizes of the units that it names without a number: "an hour"."""
    bare = reading.units - {n.unit for n in reading.numbers}
    return {size for unit in bare if (size := _size(Fraction(1), unit))}


def _size(value: Fraction | str, unit: str) -> tuple[str, Fraction] | None:
    """A quantity in the smallest unit of its measure."""
    if unit not in SIZES or isinstance(value, str):
        return None
    measure, factor = SIZES[unit]
    return measure, value * factor


_FEW = 64
"""Comparisons that cost less than counting does."""


def _left_over[V: Hashable](a: list[V], b: list[V]) -> tuple[list[V], list[V]]:
    """What each has more than the other, however often."""
    if a == b:
        return [], []
    if len(a) * len(b) > _FEW:
        more_a, more_b = Counter(a), Counter(b)
        return list((more_a - more_b).elements()), list((more_b - more_a).elements())
    only_a, only_b = list[V](), list(b)  # comparing a few fractions costs less than hashing them
    for value in a:
        if value in only_b:
            only_b.remove(value)
        else:
            only_a.append(value)
    return only_a, only_b


def units(pair: Pair) -> Objection | None:
    """Units without a number: "miles to km" against "miles to meters"."""
    one, other = pair.a.units, pair.b.units
    if one != other and (pair.a.numbers or pair.b.numbers):
        one, other = one - _met(pair.a, pair.b), other - _met(pair.b, pair.a)
    if not pair.close:
        one, other = one - _LOOSE_UNITS, other - _LOOSE_UNITS
    return sides("unit", one - other, other - one) if one - other and other - one else None


def _met(reading: Reading, other: Reading) -> set[str]:
    """Units of quantities that the other has in a unit of its own, and those in which it has the other's."""
    theirs = {size for n in other.numbers if (size := _size(n.value, n.unit))}
    met = {n.unit for n in reading.numbers if _size(n.value, n.unit) in theirs | _single(other)}
    return met | {unit for unit in reading.units if _size(Fraction(1), unit) in theirs & _single(reading)}


_LOOSE_UNITS = frozenset(
    {"second", "minute", "hour", "day", "week", "month", "year", "decade", "century"}
    | {"bit", "percent", "degree", "calorie", "cup"}
)
"""Words that are more often no unit of the answer: "on which day", "every year", "a cup of"."""
