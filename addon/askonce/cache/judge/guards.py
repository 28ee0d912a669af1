"""Guards: cheap reasons why one answer cannot serve two prompts, however near their vectors are.

A guard objects only to a contradiction that it can name, with both sides; whatever is a matter of degree is the
judge's. Guards are symmetric but for the sides' order in their reasons: which prompt was asked first never matters.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

from askonce.cache.judge.casing import case_differs
from askonce.cache.judge.lexicon import (
    ACTIONS,
    ANTONYMS,
    BASES,
    COMPARATIVES,
    DEMONYMS,
    FUNCTION_WORDS,
    KINDS,
    NEGATORS,
    OPPOSITE_FUNCTION_WORDS,
    PRONOUNS,
    TENSES,
    are_synonyms,
    stem,
)
from askonce.cache.judge.reading import Reading, Word, read

__all__ = ["GUARDS", "Objection", "Pair", "objection", "objections", "renumbered", "written"]


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

    __slots__ = ("a", "b", "only_a", "only_b", "worded_alike")

    def __init__(self, a: Reading, b: Reading) -> None:
        self.a, self.b = a, b
        self.worded_alike = a.core == b.core
        """The same words in the same order, but for courtesies; their marks may differ."""
        self.only_a = [word for word in a.order if word not in b.stems]
        self.only_b = [word for word in b.order if word not in a.stems]

    @property
    def alike(self) -> bool:
        """Whether the two say the same, word by word, but for courtesies: then all that may part them is how they are
        written."""
        a, b = self.a, self.b
        return self.worded_alike and a.numbers == b.numbers and a.spans == b.spans and a.ids == b.ids

    @property
    def same(self) -> bool:
        """Whether they are `alike`, and written the same but for what says nothing."""
        return self.alike and written(self) is None


Guard = Callable[[Pair], Objection | None]


def objection(pair: Pair) -> Objection | None:
    """The first guard's objection to answering one of the two with the other's answer, or None."""
    return _first(_WRITTEN if pair.alike else GUARDS, pair)


def _first(guards: Iterable[Guard], pair: Pair) -> Objection | None:
    for guard in guards:
        found = guard(pair)
        if found is not None:
            return found
    return None


def written(pair: Pair) -> Objection | None:
    """The first objection to how the two are written, or None; of prompts whose words are compared without the
    sentences that they share, but whose characters are only understood as they stand."""
    return _first(_WRITTEN, pair)


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


@lru_cache(maxsize=16384)
def _template(prompt: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands around the whole numbers that stand alone, and these."""
    parts = _WHOLE.split(prompt)
    return tuple(parts[::2]), tuple(number.lstrip("0") or "0" for number in parts[1::2])


_WHOLE = re.compile(r"(?<!\S)([0-9]+)(?=[\s?!;]|[.,](?:\s|$)|$)")


def objections(left: str, right: str) -> list[Objection]:
    """Every guard's objection to two prompts, for people and for measuring the guards one by one."""
    pair = Pair(read(left), read(right))
    return [found for guard in (_WRITTEN if pair.alike else GUARDS) if (found := guard(pair))]


def _sides(guard: str, left: object, right: object) -> Objection:
    return Objection(guard, _plain(left), _plain(right))


def _plain(value: object) -> str:
    if isinstance(value, Fraction):
        return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"
    if isinstance(value, (set, frozenset, list, tuple)):
        value = ", ".join(sorted(_plain(item) for item in value))
    return str(value) or "-"


def _written(reading: Reading, stems: Iterable[str]) -> str:
    """The words as the prompt has them, for stems are no words to show to people."""
    shown = {word.stem: word.text for word in reading.words}
    return " ".join(shown.get(s, s) for s in stems)


def _language(pair: Pair) -> Objection | None:
    """What is not English is compared word by word, and a word with other letters than English has by itself: neither
    the lexicon nor the judge can tell rewording from change."""
    a, b = pair.a, pair.b
    if (a.foreign or b.foreign) and a.tokens != b.tokens:
        left, right = a.token_set - b.token_set, b.token_set - a.token_set
        return _sides("language", sorted(left)[:3], sorted(right)[:3])
    if a.strange != b.strange:
        return _sides("spelling", sorted(a.strange - b.strange)[:3], sorted(b.strange - a.strange)[:3])
    return None


def _spans(pair: Pair) -> Objection | None:
    """Quoted text and code must be the same, or stand unquoted in the other."""
    a, b = pair.a, pair.b
    if a.spans == b.spans:
        return None
    only_a, only_b = Counter(a.spans) - Counter(b.spans), Counter(b.spans) - Counter(a.spans)
    near = {_plainly(s) for s in only_a} & {_plainly(s) for s in only_b}
    left = [s for s in only_a if _plainly(s) in near or not _within(s, b)]
    right = [s for s in only_b if _plainly(s) in near or not _within(s, a)]
    return (
        _sides("quote", *([" ".join(s.split()) for s in side[:1]] for side in (left, right))) if left or right else None
    )


def _within(span: str, reading: Reading) -> bool:
    return f" {_plainly(span)} " in f" {' '.join(reading.tokens)} "


def _plainly(span: str) -> str:
    return " ".join(span.strip("`'«»").lower().split())


def _ids(pair: Pair) -> Objection | None:
    """Links, versions, part numbers."""
    if pair.a.ids == pair.b.ids:
        return None
    only_a, only_b = set(pair.a.ids) - set(pair.b.ids), set(pair.b.ids) - set(pair.a.ids)
    return _sides("id", only_a, only_b) if only_a or only_b else None


def _numbers(pair: Pair) -> Objection | None:
    """The same quantities, in the same units, of the same things."""
    a, b = pair.a, pair.b
    if not a.numbers and not b.numbers:
        return None
    only_a, only_b = _left_over([n.value for n in a.numbers], [n.value for n in b.numbers])
    if only_a or only_b:
        for extra, words in ((only_a, b.token_set), (only_b, a.token_set)):
            if 1 in extra and ("one" in words or "once" in words):
                extra[:] = [value for value in extra if value != 1]
        if only_a or only_b:
            dated = any(
                n.unit in ("date", "time") for n in (*a.numbers, *b.numbers) if n.value in only_a or n.value in only_b
            )
            return _sides("date" if dated else "number", set(only_a), set(only_b))
    named = {n.value: n.unit for n in a.numbers if n.unit}
    for number in b.numbers:
        if number.unit and named.get(number.value, number.unit) != number.unit:
            return _sides("unit", named[number.value], number.unit)
    counted = {n.value: n.counts for n in a.numbers}
    other = {n.value: n.counts for n in b.numbers}
    for x, y in combinations(counted, 2):
        if counted[x] != counted[y] and counted[x] == other.get(y) and counted[y] == other.get(x):
            return _sides("order", f"{_plain(x)} {counted[x]}", f"{_plain(x)} {other[x]}")
    return None


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


def _symbols(pair: Pair) -> Objection | None:
    """Signs that are no prose, in their order: what does ~ mean, what does % mean; a thumb up, a thumb down."""
    a, b = pair.a, pair.b
    if a.hidden != b.hidden:
        return _sides("hidden character", a.hidden, b.hidden)
    one, other = a.between.signs, b.between.signs
    return None if one == other else _sides("symbol", " ".join(one), " ".join(other))


def _case(pair: Pair) -> Objection | None:
    """A word that both have in another case, where that may be another word: rust and Rust."""
    if not pair.a.cased.forms and not pair.b.cased.forms:
        return None
    found = case_differs(pair.a.cased, pair.b.cased)
    return _sides("case", *found) if found else None


def _blanks(pair: Pair) -> Objection | None:
    """Lines that begin with other blanks; and, between the same words, all white space that is more than a gap."""
    a, b = pair.a, pair.b
    if a.indents != b.indents:
        return Objection("white space", _count(a.indents), _count(b.indents))
    if a.spaces != b.spaces and (pair.worded_alike or a.literal or b.literal):
        return Objection("white space", *(repr("".join(s for _, s in side.spaces)) for side in (a, b)))
    return None


def _count(indents: tuple[str, ...]) -> str:
    return " ".join(str(len(blanks)) for blanks in indents[:12]) or "-"


def _marks(pair: Pair) -> Objection | None:
    """Punctuation of prose, between the same words; all of the text, where that may be what is asked about."""
    a, b = pair.a, pair.b
    if not pair.worded_alike:
        return None
    if a.literal != b.literal:
        return Objection("text", *(side.literal[:_SHOWN] or "-" for side in (a, b)))
    if a.between.marks == b.between.marks and a.end == b.end and a.owners == b.owners:
        return None
    one, other = _counted(a), _counted(b)
    return None if one == other else Objection("punctuation", *(" ".join(m for _, m in s) or "-" for s in (one, other)))


_SHOWN = 60
"""Characters of a text that a reason quotes."""


def _counted(reading: Reading) -> list[tuple[int, str]]:
    """The marks that count, with how many tokens follow each."""
    found = [*reading.between.marks, *((after, "'s") for after in reading.owners)]
    return [*(mark for mark in found if mark[0] < reading.body), *([(0, reading.end)] if reading.end else [])]


_WRITTEN: tuple[Guard, ...] = (_symbols, _case, _blanks, _marks)
"""What may differ between two prompts of the same words."""


def _units(pair: Pair) -> Objection | None:
    """Units without a number: "miles to km" against "miles to meters"."""
    one, other = pair.a.units, pair.b.units
    return _sides("unit", one - other, other - one) if one - other and other - one else None


def _polarity(pair: Pair) -> Objection | None:
    """Negation and opposites together: "not proud" may stand for "humble", but not for "proud"."""
    a, b = pair.a, pair.b
    flips = [(x, y) for x in pair.only_a for y in pair.only_b if _opposite(x, y)] if pair.only_a and pair.only_b else []
    flips += _small_flips(a.token_set, b.token_set)
    turned = len(a.negated) - len(b.negated)
    if flips:
        negated = {*a.negated, *b.negated}
        explained = abs(turned) == 1 == len(flips) and (flips[0][0] in negated or flips[0][1] in negated)
        graded = [flip for flip in flips if _GRADES.issuperset(flip)]
        compared = bool(graded) and len(flips) - len(graded) == 1
        if explained or compared:
            return None
        return _sides("antonym", _written(a, flips[0][:1]), _written(b, flips[0][1:]))
    if turned:
        name = next((t for t in (a if turned > 0 else b).tokens if t in NEGATORS), "not")
        return _sides("negation", *((name, "") if turned > 0 else ("", name)))
    if a.negated != b.negated:
        moved_a, moved_b = set(a.negated) - set(b.negated), set(b.negated) - set(a.negated)
        if moved_a and moved_b and moved_a <= b.stems and moved_b <= a.stems:
            return _sides("negation", f"not {_written(a, moved_a)}", f"not {_written(b, moved_b)}")
    return None


_GRADES = frozenset(("more", "mor", "less", "most", "least"))
"""Words of degree and their stems: "less cheap" against "more expensive" is no contradiction."""
_SMALL_WORDS = frozenset().union(*OPPOSITE_FUNCTION_WORDS)


def _small_flips(a: frozenset[str], b: frozenset[str]) -> list[tuple[str, str]]:
    """Opposite function words, each on one side only."""
    one, other = (a & _SMALL_WORDS) - b, (b & _SMALL_WORDS) - a
    return [(x, y) for x in one for y in other if frozenset((x, y)) in OPPOSITE_FUNCTION_WORDS] if one and other else []


_PREFIXES = frozenset(("un", "in", "im", "ir", "il", "dis", "non", "mis", "de", "anti"))


def _opposite(x: str, y: str) -> bool:
    x, y = BASES.get(x, x), BASES.get(y, y)
    if y in ANTONYMS.get(x, ()):
        return True
    short, long = (x, y) if len(x) < len(y) else (y, x)
    if len(short) <= 3:
        return False
    if long.endswith(short) and long[: -len(short)].rstrip("-") in _PREFIXES:
        return True
    if long == short + "less":
        return True
    return _careless(x, y) or _careless(y, x)


def _careless(x: str, y: str) -> bool:
    """careless / careful"""
    return x.endswith("less") and y.endswith("ful") and x[:-4] == y[:-3]


def _kinds(pair: Pair) -> Objection | None:
    """One member of a kind replaced by another: cats by dogs, Python by Java, arms by legs."""
    for x in pair.only_a:
        kinds = KINDS.get(x)
        if kinds:
            for y in pair.only_b:
                if not kinds.isdisjoint(KINDS.get(y, ())) and not are_synonyms(x, y):
                    return _sides(min(kinds & KINDS[y]), _written(pair.a, (x,)), _written(pair.b, (y,)))
    return None


def _names(pair: Pair) -> Objection | None:
    """Names that were replaced by other names."""
    if not pair.a.names or not pair.b.names:
        return None
    left, right = _unknown(pair.a, pair.b), _unknown(pair.b, pair.a)
    return _sides("name", left[:2], right[:2]) if left and right else None


def _unknown(reading: Reading, other: Reading) -> list[str]:
    """Names that the other prompt has in no form: not as a word, a synonym, nor as the words that they abbreviate."""
    found = []
    for name in reading.names:
        bare = stem(name)
        if name in other.token_set or bare in other.stems or any(are_synonyms(bare, s) for s in other.stems):
            continue
        if any(
            not groups.isdisjoint(DEMONYMS.get(s, ()))
            for s in other.stems
            for groups in (DEMONYMS.get(bare),)
            if groups
        ):
            continue
        if 2 <= len(name) <= 6:
            letters = "".join(t[0] for t in other.tokens)
            if name in letters or name in "".join(t[0] for t in other.tokens if t not in FUNCTION_WORDS):
                continue
        found.append(name)
    return found


_NEUTRAL = frozenset(("", "what", "yes/no"))
_MAY_MEET = {
    frozenset(pair)
    for pair in (
        ("how", "where"),
        ("how", "how fast"),
        ("how", "how soon"),
        ("how", "how much"),
        ("how long", "when"),
        ("how long", "how soon"),
        ("how long", "how many"),
        ("how long", "how much"),
        ("how often", "how many"),
        ("where", "who"),
    )
}


def _question(pair: Pair) -> Objection | None:
    """How is not why, when is not where; "what" and yes/no questions may ask any of them."""
    one, other = pair.a.question, pair.b.question
    if one == other or one in _NEUTRAL or other in _NEUTRAL or frozenset((one, other)) in _MAY_MEET:
        return None
    return _sides("question", one, other)


def _tense(pair: Pair) -> Objection | None:
    """The auxiliary that opens a question is its meaning, the more so the less else differs."""
    a, b = pair.a, pair.b
    one, other = TENSES.get(a.lead, ""), TENSES.get(b.lead, "")
    differing = len(pair.only_a) + len(pair.only_b)
    if one and other and one != other:
        tenses = {one, other}
        polar = a.question == b.question == "yes/no"
        planned = "going" in a.token_set or "going" in b.token_set
        opposed = tenses in ({"was", "will"}, {"was", "should"}) and not planned
        alone = differing == 0 and (polar or tenses <= {"is", "was", "will"}) and not planned
        near = polar and differing < 2 and tenses in ({"is", "will"}, {"can", "should"}) and not planned
        if opposed or alone or near:
            return _sides("tense", a.lead, b.lead)
    if differing == 1:
        for aspect in ("becoming", "used", "quit"):
            if (aspect in a.token_set) != (aspect in b.token_set):
                return _sides("tense", *((aspect, "") if aspect in a.token_set else ("", aspect)))
    return None


_MALE = frozenset(word for word, role in PRONOUNS.items() if role in ("he", "him"))
_FEMALE = frozenset(word for word, role in PRONOUNS.items() if role in ("she", "her"))
_GENDERED = _MALE | _FEMALE


def _person(pair: Pair) -> Objection | None:
    """Who is meant: he and she never swap; mine and yours only where the whole question turns with them."""
    a, b = pair.a.token_set, pair.b.token_set
    if not _GENDERED.isdisjoint(a) and not _GENDERED.isdisjoint(b):
        male, female = (bool(a & _MALE), bool(b & _MALE)), (bool(a & _FEMALE), bool(b & _FEMALE))
        one = [PRONOUNS[t] for t in pair.a.tokens if t in PRONOUNS]
        other = [PRONOUNS[t] for t in pair.b.tokens if t in PRONOUNS]
        replaced = male[0] != male[1] and female[0] != female[1]
        crossed = all(male) and all(female) and len(one) == len(other) and sorted(one) != sorted(other)
        if replaced or crossed:
            return _sides("person", " .. ".join(one), " .. ".join(other))
    for mine, yours, subject in (("my", "your", "i"), ("your", "my", "i")):
        if mine in a and yours in b and mine not in b and yours not in a and subject not in (a if mine == "my" else b):
            return _sides("person", mine, yours)
    return None


_STRICT = frozenset(("only", "except", "none", "at least", "at most"))
_OPPOSED = (
    ("all", "some"),
    ("all", "most"),
    ("always", "sometimes"),
    ("first", "last"),
    ("both", "either"),
    ("all", "none"),
)


def _scope(pair: Pair) -> Objection | None:
    """All, only, except, at least: a limit that one side lacks."""
    a, b = pair.a.scopes, pair.b.scopes
    if a == b:
        return None
    one, other = a - b, b - a
    for extra, reading in ((one & _STRICT, pair.b), (other & _STRICT, pair.a)):
        graded = extra <= {"at least", "at most"} and any(t.endswith("est") and len(t) > 4 for t in reading.tokens)
        if extra and not graded:
            return _sides("scope", one, other)
    for x, y in _OPPOSED:
        if (x in one and y in other) or (y in one and x in other):
            return _sides("scope", {x, y} & one, {x, y} & other)
    return None


def _actions(pair: Pair) -> Objection | None:
    """What is to be done with a text: translate, summarize, fix."""
    one = {ACTIONS[s] for t in pair.a.tokens[:4] if (s := stem(t)) in ACTIONS}
    other = {ACTIONS[s] for t in pair.b.tokens[:4] if (s := stem(t)) in ACTIONS}
    return _sides("action", one, other) if one and other and one.isdisjoint(other) else None


def _order(pair: Pair) -> Objection | None:
    """The same words with changed roles: "miles to km" and "km to miles", "dogs eat cats" and "cats eat dogs"."""
    a, b = pair.a, pair.b
    common = [s for s in a.order if s in b.stems]
    extra = len(pair.only_a) + len(pair.only_b)
    if len(common) < 2 or extra > max(1, len(common) // 2):
        return None
    places_a = {word.stem: word for word in a.words}
    places_b = {word.stem: word for word in b.words}
    for s in common:
        one, other = places_a[s], places_b[s]
        if one.role != other.role and {one.role, other.role} == {"to", "from"}:
            return _sides("direction", f"{one.role} {one.text}", f"{other.role} {other.text}")
    before = sorted(common, key=lambda s: places_a[s].rank)
    after = sorted(common, key=lambda s: places_b[s].rank)
    while before and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    swapped = _swapped(before, after) if before else None
    if swapped is None:
        return _crossed(pair, before, after) if not extra else None
    first, last, between = swapped
    if extra > (1 if between else 0):
        return None
    if any(_benign(places_a[x], places_a[y], places_b[x], places_b[y]) for x in first for y in last):
        return None
    left, right = _written(a, first), _written(a, last)
    return _sides("order", f"{left} .. {right}", f"{right} .. {left}")


def _crossed(pair: Pair, before: list[str], after: list[str]) -> Objection | None:
    """Several pairs of words that changed places at once, each at its own spot."""
    moved = [i for i, (x, y) in enumerate(zip(before, after, strict=True)) if x != y]
    place = {word: i for i, word in enumerate(before)}
    if len(moved) < 4 or any(before[i] != after[place[after[i]]] for i in moved):
        return None
    x, y = before[moved[0]], after[moved[0]]
    left, right = _written(pair.a, (x,)), _written(pair.a, (y,))
    return _sides("order", f"{left} .. {right}", f"{right} .. {left}")


def _swapped(before: list[str], after: list[str]) -> tuple[list[str], list[str], int] | None:
    """The two blocks of `before` that changed places in `after`, and how many words between them stayed."""
    size = len(before)
    for middle in range(size - 2, -1, -1):
        for first in range(1, size - middle):
            end = first + middle
            if after == before[end:] + before[first:end] + before[:first]:
                return before[:first], before[end:], middle
    return None


def _benign(ax: Word, ay: Word, bx: Word, by: Word) -> bool:
    """Whether a pair of words may change places without changing who does what."""
    if (ax.group >= 0 and ax.group == ay.group) or (bx.group >= 0 and bx.group == by.group):
        return True  # "A or B", "B or A"
    if ax.text in COMPARATIVES or ay.text in COMPARATIVES:
        return True  # "what is cheaper"
    if ax.passive != bx.passive or ay.passive != by.passive:
        return True  # "increase height", "height be increased"
    if ax.role == bx.role and ay.role == by.role:
        return ax.role != ay.role and bool(ax.role or ay.role)  # a phrase moved with its preposition
    if ax.role == by.role and ay.role == bx.role:
        return False
    if bool(ax.role) == bool(by.role) != bool(ay.role) == bool(bx.role):
        return False  # "what Indians find odd about foreigners", "what foreigners find odd in Indians"
    loose = ("of", "in", "for", "on", "at", "with", "about", "according")
    return any((one.role in loose) != (other.role in loose) for one, other in ((ax, bx), (ay, by)))


GUARDS: tuple[Guard, ...] = (
    _language,
    _numbers,
    _ids,
    _spans,
    *_WRITTEN,
    _polarity,
    _units,
    _kinds,
    _names,
    _question,
    _tense,
    _person,
    _scope,
    _actions,
    _order,
)
"""In the order in which they are asked."""
