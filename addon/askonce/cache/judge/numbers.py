"""The numbers of a prompt: those spelled out made one with those in digits, and what each counts."""

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction

from askonce.cache.judge.lexicon import FRACTIONS, MONTHS, MULTIPLES, NUMBER_WORDS, SCALES, UNITS
from askonce.cache.judge.tokens import Tokens

__all__ = ["Number", "numbers_of", "spell_out"]


@dataclass(frozen=True, slots=True)
class Number:
    """One quantity."""

    value: Fraction | str
    """Exact where it is a number; the normal form of a date, time, version or ordinal otherwise."""
    unit: str
    counts: str
    """Stem of the content word that it counts: the next one within three words, else the one before."""


def spell_out(found: Tokens) -> None:
    """Finds "twenty five", "three quarters", "two dozen", "5 million", "half", and month names as numbers."""
    digit = {index: at for at, (index, value, _) in enumerate(found.numbers) if isinstance(value, Fraction)}
    index, tokens, added = 0, found.tokens, []
    while index < len(tokens):
        token = tokens[index]
        start, value = index, None
        if index in digit:
            value = found.numbers[digit[index]][1]
            index += 1
        elif token in NUMBER_WORDS:
            value = Fraction(0)
            while index < len(tokens) and (tokens[index] in NUMBER_WORDS or tokens[index] == "hundred"):
                step = NUMBER_WORDS.get(tokens[index], 100)
                value = (
                    value * 100 if tokens[index] == "hundred" else value * 12 if step == 12 and value else value + step
                )
                index += 1
        elif (
            token in ("a", "an")
            and index + 1 < len(tokens)
            and tokens[index + 1] in SCALES
            and len(tokens[index + 1]) > 2
        ):
            value, index = Fraction(1), index + 1
        elif token in MULTIPLES:
            value, index = MULTIPLES[token], index + 1
        elif (token in MONTHS and token not in ("may", "mar", "sep", "dec", "march", "jan")) or (
            token == "may" and found.capital[index]
        ):
            added.append((index, f"month {MONTHS[token]}", "date"))
            index += 1
            continue
        else:
            index += 1
            continue
        if index < len(tokens) and tokens[index] in FRACTIONS and start not in digit and value:
            value, index = value / FRACTIONS[tokens[index]], index + 1  # type: ignore[assignment, operator]
        while index < len(tokens) and (
            (tokens[index] in SCALES and len(tokens[index]) > 1) or tokens[index] == "dozen"
        ):
            value *= SCALES.get(tokens[index], 12)
            index += 1
        if start in digit:
            at = digit[start]
            found.numbers[at] = (start, value, found.numbers[at][2])
        elif value != 1:
            added.append((start, value, ""))  # type: ignore[arg-type]
            for place in range(start, index):
                tokens[place] = "\0number"
    if added:
        found.numbers = sorted([*found.numbers, *added], key=lambda item: item[0])


def numbers_of(found: Tokens, stems: list[str], positions: list[int]) -> list[Number]:
    """The numbers with what they count; `stems` are those of the content words, `positions` their places."""
    numbers = []
    for index, value, unit in found.numbers:
        place = bisect_left(positions, index)
        counts = (
            stems[place] if place < len(stems) and positions[place] - index <= 3 else stems[place - 1] if place else ""
        )
        following = found.tokens[index + 1] if index + 1 < len(found.tokens) else ""
        if following in ("percent", "percentage") and isinstance(value, Fraction):
            value = value / 100
        elif not unit:
            unit = UNITS.get(following, "")
        numbers.append(Number(value, unit, counts))
    return numbers
