"""The numbers of a prompt: those spelled out made one with those in digits, and what each counts."""

from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction

from askonce.cache.judge.lexicon import FRACTIONS, MONTHS, MULTIPLES, NUMBER_WORDS, SCALES, UNITS
from askonce.cache.judge.tokens import TokenList

__all__ = ["Number", "numbers_of", "spell_out"]


@dataclass(frozen=True, slots=True)
class Number:
    """One quantity."""

    value: Fraction | str
    """Exact where it is a number; the normal form of a date, time, version or ordinal otherwise."""
    unit: str
    counts: str
    """Stem of the content word that it counts: the next one within three words, else the one before."""


def spell_out(found: TokenList) -> None:
    """Finds "twenty five", "three quarters", "two dozen", "5 million", "half", and month names as numbers."""
    digit = {index: at for at, (index, value, _) in enumerate(found.numbers) if isinstance(value, Fraction)}
    index, tokens, added = 0, found.tokens, []
    while index < len(tokens):
        token = tokens[index]
        if (token in MONTHS and token not in ("may", "mar", "sep", "dec", "march", "jan")) or (
            token == "may" and found.capital[index]
        ):
            added.append((index, f"month {MONTHS[token]}", "date"))
            index += 1
            continue
        start = index
        known = found.numbers[digit[index]][1] if index in digit else None
        value, index = (known, index + 1) if known is not None else _begun(tokens, index)
        if value is None:
            index += 1
            continue
        value, index = _gone_on(tokens, start, index, value)  # type: ignore[arg-type]
        is_share = tokens[index : index + 1] == ["percent"] and found.marks[index] in ("", "-")
        if is_share:
            value, index = value / 100, index + 1
        if start in digit:
            at = digit[start]
            found.numbers[at] = (start, value, found.numbers[at][2])
        elif value != 1 or is_share:
            added.append((start, value, ""))  # type: ignore[arg-type]
            for place in range(start, index):
                tokens[place] = "\0number"
    if added:
        found.numbers = sorted([*found.numbers, *added], key=lambda item: item[0])


def _begun(tokens: list[str], index: int) -> tuple[Fraction | None, int]:
    """The number in words that begins here, and where what follows it stands."""
    token = tokens[index]
    if token in NUMBER_WORDS:
        return _below_thousand(tokens, index)
    if token in ("a", "an") and index + 1 < len(tokens) and _is_scale(tokens[index + 1]) and len(tokens[index + 1]) > 2:
        return Fraction(1), index + 1
    if token in MULTIPLES:
        of_one = tokens[index + 1 : index + 2] == ["a"] and _is_scale("".join(tokens[index + 2 : index + 3]))
        return MULTIPLES[token], index + 1 + of_one  # "half a million"
    return None, index


def _below_thousand(tokens: list[str], index: int) -> tuple[Fraction, int]:
    """ "twenty five", "two hundred"."""
    value = Fraction(0)
    while index < len(tokens) and (tokens[index] in NUMBER_WORDS or tokens[index] == "hundred"):
        step = NUMBER_WORDS.get(tokens[index], 100)
        value = value * 100 if tokens[index] == "hundred" else value * 12 if step == 12 and value else value + step
        index += 1
    return value, index


def _gone_on(tokens: list[str], start: int, index: int, value: Fraction) -> tuple[Fraction, int]:
    """A number with what makes one of it and the words after it: "three and a half", "two thousand and fifty"."""
    in_words = tokens[start] in NUMBER_WORDS
    if in_words and value and index < len(tokens) and tokens[index] in FRACTIONS:
        value, index = value / FRACTIONS[tokens[index]], index + 1
    elif tokens[index : index + 2] == ["and", "a"] and tokens[index + 2 : index + 3] in (["half"], ["quarter"]):
        value, index = value + Fraction(1, FRACTIONS[tokens[index + 2]]), index + 3
    least = 100 if tokens[index - 1] == "hundred" else 0
    while index < len(tokens):
        if _is_scale(tokens[index]):
            least = SCALES.get(tokens[index], 12)
            value, index = value * least, index + 1
            continue
        place = index + (tokens[index] == "and")
        if not in_words or least < 100 or place >= len(tokens) or tokens[place] not in NUMBER_WORDS:
            break
        more, end = _below_thousand(tokens, place)
        if more >= least or (end < len(tokens) and (_is_scale(tokens[end]) or tokens[end] in FRACTIONS)):
            break  # "one hundred and two hundred"
        value, index, least = value + more, end, 100 if tokens[end - 1] == "hundred" else 0
    return value, index


def _is_scale(token: str) -> bool:
    return (token in SCALES and len(token) > 1) or token == "dozen"


def numbers_of(found: TokenList, stems: list[str], positions: list[int]) -> list[Number]:
    """The numbers with what they count; `stems` are those of the content words, `positions` their places."""
    numbers = []
    begun = {index for index, _, _ in found.numbers}
    for index, value, unit in found.numbers:
        after = index + 1
        while after < len(found.tokens) and found.tokens[after] == "\0number" and after not in begun:
            after += 1
        place = bisect_left(positions, index)
        counts = (
            stems[place] if place < len(stems) and positions[place] - after < 3 else stems[place - 1] if place else ""
        )
        following = found.tokens[after] if after < len(found.tokens) else ""
        numbers.append(Number(value, unit or UNITS.get(following, ""), counts))
    return numbers
