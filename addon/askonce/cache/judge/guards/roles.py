"""Guards of grammar: what sort of question it is, when, who is meant, and who does what to whom."""

from askonce.cache.judge.guards.pair import Objection, Pair, sides, worded
from askonce.cache.judge.lexicon import COMPARATIVES, PRONOUNS, TENSES
from askonce.cache.judge.reading import Word

__all__ = ["order", "person", "question", "tense"]

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


def question(pair: Pair) -> Objection | None:
    """How is not why, when is not where; "what" and yes/no questions may ask any of them."""
    one, other = pair.a.question, pair.b.question
    if one == other or one in _NEUTRAL or other in _NEUTRAL or frozenset((one, other)) in _MAY_MEET:
        return None
    return sides("question", one, other)


def tense(pair: Pair) -> Objection | None:
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
            return sides("tense", a.lead, b.lead)
    if differing == 1:
        for aspect in ("becoming", "used", "quit"):
            if (aspect in a.token_set) != (aspect in b.token_set):
                return sides("tense", *((aspect, "") if aspect in a.token_set else ("", aspect)))
    return None


_MALE = frozenset(word for word, role in PRONOUNS.items() if role in ("he", "him"))
_FEMALE = frozenset(word for word, role in PRONOUNS.items() if role in ("she", "her"))
_GENDERED = _MALE | _FEMALE


def person(pair: Pair) -> Objection | None:
    """Who is meant: he and she never swap; mine and yours only where the whole question turns with them."""
    a, b = pair.a.token_set, pair.b.token_set
    if not _GENDERED.isdisjoint(a) and not _GENDERED.isdisjoint(b):
        male, female = (bool(a & _MALE), bool(b & _MALE)), (bool(a & _FEMALE), bool(b & _FEMALE))
        one = [PRONOUNS[t] for t in pair.a.tokens if t in PRONOUNS]
        other = [PRONOUNS[t] for t in pair.b.tokens if t in PRONOUNS]
        replaced = male[0] != male[1] and female[0] != female[1]
        crossed = all(male) and all(female) and len(one) == len(other) and sorted(one) != sorted(other)
        if replaced or crossed:
            return sides("person", " .. ".join(one), " .. ".join(other))
    for mine, yours, subject in (("my", "your", "i"), ("your", "my", "i")):
        if mine in a and yours in b and mine not in b and yours not in a and subject not in (a if mine == "my" else b):
            return sides("person", mine, yours)
    return None


def order(pair: Pair) -> Objection | None:
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
            return sides("direction", f"{one.role} {one.text}", f"{other.role} {other.text}")
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
    left, right = worded(a, first), worded(a, last)
    return sides("order", f"{left} .. {right}", f"{right} .. {left}")


def _crossed(pair: Pair, before: list[str], after: list[str]) -> Objection | None:
    """Several pairs of words that changed places at once, each at its own spot."""
    moved = [i for i, (x, y) in enumerate(zip(before, after, strict=True)) if x != y]
    place = {word: i for i, word in enumerate(before)}
    if len(moved) < 4 or any(before[i] != after[place[after[i]]] for i in moved):
        return None
    x, y = before[moved[0]], after[moved[0]]
    left, right = worded(pair.a, (x,)), worded(pair.a, (y,))
    return sides("order", f"{left} .. {right}", f"{right} .. {left}")


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
    if not COMPARATIVES.isdisjoint((ax.text, ay.text)) and not COMPARATIVES.isdisjoint((bx.text, by.text)):
        return True  # "what is cheaper"; where one of them has "lowering", "lower" is no comparison
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
