"""Guards: cheap reasons why one answer cannot serve two prompts, however near their vectors are.

A guard objects only to a contradiction that it can name, with both sides; whatever is a matter of degree is the judge's. Guards
see two readings and are symmetric: the order in which prompts were asked never matters.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

from askonce.cache.lexicon import ACTIONS, ANTONYMS, FUNCTION_WORDS, KINDS, NEGATORS, UNITS, are_synonyms, stem
from askonce.cache.reading import Reading, Word, read

__all__ = ["GUARDS", "Objection", "objection", "objections"]


@dataclass(frozen=True, slots=True)
class Objection:
    """What one guard found: its name and the two sides, "-" where a side has nothing."""

    guard: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.guard}: {self.left} / {self.right}"


Guard = Callable[[Reading, Reading], Objection | None]


def objection(left: str, right: str) -> Objection | None:
    """The first guard's objection to answering `left` with the answer to `right`, or None."""
    one, other = read(left), read(right)
    if (
        one.tokens == other.tokens
        and one.numbers == other.numbers
        and one.spans == other.spans
        and one.ids == other.ids
    ):
        return None
    return next((found for guard in GUARDS if (found := guard(one, other))), None)


def objections(left: str, right: str) -> list[Objection]:
    """Every guard's objection, for people and for measuring guards one by one."""
    one, other = read(left), read(right)
    return [found for guard in GUARDS if (found := guard(one, other))]


def _sides(guard: str, left: object, right: object) -> Objection:
    return Objection(guard, _plain(left), _plain(right))


def _plain(value: object) -> str:
    if isinstance(value, Fraction):
        return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"
    if isinstance(value, (set, frozenset, list, tuple)):
        value = ", ".join(sorted(_plain(item) for item in value))
    return str(value) or "-"


def _spans(a: Reading, b: Reading) -> Objection | None:
    """Quoted text and code must be the same, or stand unquoted in the other."""
    only_a, only_b = Counter(a.spans) - Counter(b.spans), Counter(b.spans) - Counter(a.spans)
    left = [s for s in only_a if not _within(s, b)]
    right = [s for s in only_b if not _within(s, a)]
    return _sides("quote", left[:1], right[:1]) if left or right else None


def _within(span: str, reading: Reading) -> bool:
    return f" {span.lower()} " in f" {' '.join(reading.tokens)} "


def _ids(a: Reading, b: Reading) -> Objection | None:
    only_a, only_b = set(a.ids) - set(b.ids), set(b.ids) - set(a.ids)
    return _sides("id", only_a, only_b) if only_a or only_b else None


def _numbers(a: Reading, b: Reading) -> Objection | None:
    values_a, values_b = Counter(n.value for n in a.numbers), Counter(n.value for n in b.numbers)
    if values_a != values_b:
        only_a, only_b = values_a - values_b, values_b - values_a
        for extra, words in ((only_a, b.tokens), (only_b, a.tokens)):
            if "one" in words or "once" in words:
                extra.pop(Fraction(1), None)
        if only_a or only_b:
            kind = (
                "date"
                if any(n.unit in ("date", "time") for n in (*a.numbers, *b.numbers) if n.value in only_a + only_b)
                else "number"
            )
            return _sides(kind, list(only_a), list(only_b))
    units = {(n.value, n.unit) for n in a.numbers if n.unit}, {(n.value, n.unit) for n in b.numbers if n.unit}
    if units[0] != units[1]:
        named = {n.value: n.unit for n in a.numbers if n.unit}
        for number in b.numbers:
            if number.unit and named.get(number.value, number.unit) != number.unit:
                return _sides("unit", named[number.value], number.unit)
    return _counted(a, b)


def _counted(a: Reading, b: Reading) -> Objection | None:
    """Two numbers that changed places among the things they count."""
    if len(a.numbers) < 2:
        return None
    counted = {number.value: number.counts for number in a.numbers}
    other = {number.value: number.counts for number in b.numbers}
    for x, y in combinations(counted, 2):
        if counted[x] != counted[y] and counted[x] == other.get(y) and counted[y] == other.get(x):
            return _sides("order", f"{_plain(x)} {counted[x]}", f"{_plain(x)} {other[x]}")
    return None


def _units(a: Reading, b: Reading) -> Objection | None:
    """Units without a number: "miles to km" against "miles to meters"."""
    one, other = (
        {UNITS[t] for t in a.tokens if t in UNITS and len(t) > 1},
        {UNITS[t] for t in b.tokens if t in UNITS and len(t) > 1},
    )
    return _sides("unit", one - other, other - one) if one - other and other - one else None


def _polarity(a: Reading, b: Reading) -> Objection | None:
    """Negation and opposites together: "not proud" may stand for "humble", but not for "proud"."""
    only_a, only_b = _only(a, b), _only(b, a)
    flips = [(x, y) for x in only_a for y in only_b if _opposite(x, y)]
    flips += _small_flips(a, b)
    turned = len(a.negated) - len(b.negated)
    if flips:
        negated = set(a.negated) | set(b.negated)
        explained = abs(turned) == 1 == len(flips) and (flips[0][0] in negated or flips[0][1] in negated)
        compared = len(flips) == 2 and any({x, y} in ({"more", "less"}, {"most", "least"}) for x, y in flips)
        if explained or compared:
            return None
        return _sides("antonym", flips[0][0], flips[0][1])
    if turned:
        name = _negator(a if turned > 0 else b)
        return _sides("negation", *((name, "") if turned > 0 else ("", name)))
    if a.negated and a.negated != b.negated:
        moved_a, moved_b = set(a.negated) - set(b.negated), set(b.negated) - set(a.negated)
        if moved_a and moved_b and moved_a <= b.stems and moved_b <= a.stems:
            return _sides("negation", [f"not {w}" for w in moved_a], [f"not {w}" for w in moved_b])
    return None


_SMALL = {
    frozenset(pair.split("/"))
    for pair in "on/off in/out up/down over/under before/after above/below more/less most/least since/until many/few".split()
    + "inside/outside behind/front against/for here/there now/later ever/never always/never always/sometimes".split()
}
_SMALL_WORDS = frozenset().union(*_SMALL)


def _small_flips(a: Reading, b: Reading) -> list[tuple[str, str]]:
    """Opposite function words, each on one side only."""
    one, other = _SMALL_WORDS.intersection(a.tokens), _SMALL_WORDS.intersection(b.tokens)
    if one == other:
        return []
    return [(x, y) for x in one - other for y in other - one if frozenset((x, y)) in _SMALL]


def _negator(reading: Reading) -> str:
    return next((t for t in reading.tokens if t in NEGATORS), "not")


_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "mis", "de", "anti")


def _opposite(x: str, y: str) -> bool:
    if y in ANTONYMS.get(x, ()):
        return True
    short, long = (x, y) if len(x) < len(y) else (y, x)
    if len(short) > 3 and long.endswith(short) and long[: -len(short)].rstrip("-") in _PREFIXES:
        return True
    return len(short) > 3 and (
        long == short + "less"
        or (x[-4:] == "less" and y[-3:] == "ful" and x[:-4] == y[:-3])
        or (y[-4:] == "less" and x[-3:] == "ful" and y[:-4] == x[:-3])
    )


def _only(a: Reading, b: Reading) -> list[str]:
    """Stems of content words of `a` that `b` lacks, in order, without repeats."""
    return list(dict.fromkeys(word.stem for word in a.words if word.stem not in b.stems))


def _names(a: Reading, b: Reading) -> Objection | None:
    """Names that were replaced by other names."""
    all_a, all_b = {*a.tokens, *a.stems}, {*b.tokens, *b.stems}
    left = [n for n in dict.fromkeys(a.names) if n not in all_b and stem(n) not in all_b and not _known_as(n, b)]
    right = [n for n in dict.fromkeys(b.names) if n not in all_a and stem(n) not in all_a and not _known_as(n, a)]
    return _sides("name", left[:2], right[:2]) if left and right else None


def _known_as(name: str, reading: Reading) -> bool:
    """Whether the other side has a synonym of the name, or the words of which it is the acronym."""
    if any(are_synonyms(stem(name), other) for other in reading.stems):
        return True
    if 2 <= len(name) <= 6:
        initials = "".join(t[0] for t in reading.tokens)
        content = "".join(t[0] for t in reading.tokens if t not in FUNCTION_WORDS)
        return name in initials or name in content
    return False


def _kinds(a: Reading, b: Reading) -> Objection | None:
    """One member of a kind replaced by another: cats by dogs, Python by Java, arms by legs."""
    only_b = _only(b, a)
    for x in _only(a, b):
        kinds = KINDS.get(x)
        if kinds:
            for y in only_b:
                if not kinds.isdisjoint(KINDS.get(y, ())) and not are_synonyms(x, y):
                    return _sides(min(kinds & KINDS[y]), x, y)
    return None


def _scope(a: Reading, b: Reading) -> Objection | None:
    strict = frozenset(("only", "except", "none", "at least", "at most"))
    one, other = a.scopes - b.scopes, b.scopes - a.scopes
    if one & strict and not a.scopes & strict <= b.scopes and not ({"at least", "at most"} & one and _superlatives(b)):
        return _sides("scope", one & strict, other)
    if other & strict and not ({"at least", "at most"} & other and _superlatives(a)):
        return _sides("scope", one, other & strict)
    for x, y in (
        ("all", "some"),
        ("all", "most"),
        ("always", "sometimes"),
        ("first", "last"),
        ("both", "either"),
        ("all", "none"),
    ):
        if (x in one and y in other) or (y in one and x in other):
            return _sides("scope", {x, y} & one, {x, y} & other)
    return None


def _superlatives(reading: Reading) -> bool:
    return any(t.endswith("est") and len(t) > 4 for t in reading.tokens)


_NEUTRAL = frozenset(("", "what", "order", "yes/no"))
_MAY_MEET = {
    frozenset(pair)
    for pair in (("how", "where"), ("how", "how fast"), ("how", "how soon"), ("how long", "when"), ("how", "how much"))
}
_MAY_MEET |= {
    frozenset(pair)
    for pair in (("how long", "how soon"), ("how long", "how many"), ("how often", "how many"), ("where", "who"))
}


def _question(a: Reading, b: Reading) -> Objection | None:
    one, other = a.question, b.question
    if one == other or one in _NEUTRAL or other in _NEUTRAL or frozenset((one, other)) in _MAY_MEET:
        return None
    return _sides("question", one, other)


_TENSES = {
    word: tense
    for tense, words in {
        "is": "is are am do does",
        "was": "was were did had",
        "will": "will shall",
        "can": "can could may might",
        "should": "should ought must",
    }.items()
    for word in words.split()
}


def _tense(a: Reading, b: Reading) -> Objection | None:
    """The auxiliary that opens a question is its meaning, the more so the less else differs."""
    one, other = _TENSES.get(a.lead, ""), _TENSES.get(b.lead, "")
    differing = len(_only(a, b)) + len(_only(b, a))
    if one and other and one != other:
        pair = {one, other}
        polar = a.question == b.question == "yes/no"
        opposed = pair in ({"was", "will"}, {"was", "should"}) or (
            pair == {"is", "will"} and polar and differing < 2 and "going" not in (*a.tokens, *b.tokens)
        )
        if (
            opposed
            or (differing == 0 and (polar or pair <= {"is", "was", "will"}))
            or (polar and pair == {"can", "should"} and differing < 2)
        ):
            return _sides("tense", a.lead, b.lead)
    if differing == 1:
        for aspect in ("becoming", "used", "quit"):
            if (aspect in a.tokens) != (aspect in b.tokens):
                return _sides("tense", aspect if aspect in a.tokens else "", aspect if aspect in b.tokens else "")
    return None


_PERSONS = {
    word: person
    for person, words in {
        "he": "he his himself",
        "him": "him",
        "she": "she hers herself",
        "her": "her",
        "they": "they them their theirs",
        "we": "we us our",
    }.items()
    for word in words.split()
}


_MALE, _FEMALE = frozenset(("he", "him")), frozenset(("she", "her"))


def _person(a: Reading, b: Reading) -> Objection | None:
    """Who is meant: he and she never swap; mine and yours only where the whole question turns with them."""
    one = [_PERSONS[t] for t in a.tokens if t in _PERSONS]
    other = [_PERSONS[t] for t in b.tokens if t in _PERSONS]
    if one and other and one != other:
        he, she = (
            (not _MALE.isdisjoint(one), not _MALE.isdisjoint(other)),
            (not _FEMALE.isdisjoint(one), not _FEMALE.isdisjoint(other)),
        )
        replaced = he[0] != he[1] and she[0] != she[1]
        crossed = all(he) and all(she) and len(one) == len(other) and Counter(one) != Counter(other)
        if replaced or crossed:
            left, right = Counter(one), Counter(other)
            return _sides("person", [*(left - right)], [*(right - left)])
    if ("my" in a.tokens and "your" in b.tokens and "i" not in a.tokens) or (
        "your" in a.tokens and "my" in b.tokens and "i" not in b.tokens
    ):
        return _sides("person", "my" if "my" in a.tokens else "your", "your" if "my" in a.tokens else "my")
    return None


def _actions(a: Reading, b: Reading) -> Objection | None:
    """What is to be done with a text: translate, summarize, fix."""
    one = {ACTIONS[t] for t in map(stem, a.tokens[:4]) if t in ACTIONS}
    other = {ACTIONS[t] for t in map(stem, b.tokens[:4]) if t in ACTIONS}
    return _sides("action", one, other) if one and other and one.isdisjoint(other) else None


def _order(a: Reading, b: Reading) -> Objection | None:
    """The same words with changed roles: "miles to km" against "km to miles", "dogs eat cats" against "cats eat dogs"."""
    places_a = {word.stem: word for word in a.words}
    places_b = {word.stem: word for word in b.words}
    common = [s for s in places_a if s in places_b]
    extra = len(places_a) + len(places_b) - 2 * len(common)
    if len(common) < 2 or extra > max(1, len(common) // 2):
        return None
    for s in common:
        if {places_a[s].role, places_b[s].role} == {"to", "from"}:
            return _sides("direction", f"{places_a[s].role} {s}", f"{places_b[s].role} {s}")
    before = sorted(common, key=lambda s: places_a[s].rank)
    after = sorted(common, key=lambda s: places_b[s].rank)
    while before and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    for first, last, between in _swapped(before, after):
        if extra > (1 if between else 0):
            continue
        pairs = [(x, y) for x in first for y in last]
        if not any(_benign(places_a[x], places_a[y], places_b[x], places_b[y]) for x, y in pairs):
            return _sides("order", " ".join((*first, "..", *last)), " ".join((*last, "..", *first)))
    return None


def _swapped(before: list[str], after: list[str]) -> list[tuple[list[str], list[str], int]]:
    """How `after` arises from `before` by two blocks changing places, the words between them staying; at most one way each."""
    size = len(before)
    for middle in range(size - 2, -1, -1):
        for first in range(1, size - middle):
            last = size - middle - first
            if after == before[first + middle :] + before[first : first + middle] + before[:first]:
                return [(before[:first], before[size - last :], middle)]
    return []


def _benign(ax: Word, ay: Word, bx: Word, by: Word) -> bool:
    """Whether a pair of words may change places without changing who does what."""
    if (ax.group >= 0 and ax.group == ay.group) or (bx.group >= 0 and bx.group == by.group):
        return True  # "A or B", "B or A"
    if _graded(ax) or _graded(ay):
        return True  # "what is cheaper"
    if ax.passive != bx.passive or ay.passive != by.passive:
        return True  # "increase height", "height be increased"
    if ax.role == bx.role and ay.role == by.role:
        return ax.role != ay.role and bool(ax.role or ay.role)  # a phrase moved with its preposition
    if ax.role == by.role and ay.role == bx.role:
        return False
    loose = ("of", "in", "for", "on", "at", "with", "about", "according")
    return any((one.role in loose) != (other.role in loose) for one, other in ((ax, bx), (ay, by)))


def _graded(word: Word) -> bool:
    return word.text in ("best", "worst", "better", "worse") or (
        len(word.text) > 4 and word.text.endswith(("er", "est")) and word.role == "" and word.group < 0
    )


GUARDS: tuple[Guard, ...] = (
    _numbers,
    _ids,
    _spans,
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
"""In the order in which they are asked: the cheapest and surest first."""
