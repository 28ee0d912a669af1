"""Guards of grammar: what sort of question it is, when, who is meant, and who does what to whom."""

from askonce.cache.judge.guards.pair import Objection, Pair, sides, worded
from askonce.cache.judge.lexicon import COMPARATIVES, GRAMMAR, IRREGULAR, PRONOUNS, TENSES, VERBS, stem
from askonce.cache.judge.reading import Reading, Word

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
    if (found := _whether(pair)) or (found := _happens(pair)):
        return found
    if one == other or one in _NEUTRAL or other in _NEUTRAL or frozenset((one, other)) in _MAY_MEET:
        return None
    return sides("question", one, other)


def _whether(pair: Pair) -> Objection | None:
    """Between the same words: whether it does, and how. "Can I" may ask how, and so may "is there a way to"."""
    if pair.only_a or pair.only_b:
        return None
    for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
        how, _, much = other.question.partition(" ")
        differs: object = False
        if one.question == "what" and how == "how" and much not in GRAMMAR["measure"]:
            # "what do cats see", "how do cats see"; "what are common effects", "how common are effects"
            differs = _LOOSELY.isdisjoint(one.token_set | other.token_set) or (much and much in one.token_set)
        elif one.question == "yes/no" and one.lead not in GRAMMAR["modal"] and one.token_set.isdisjoint(_ASIDE):
            chosen = "or" not in other.token_set and not {"than", "which"}.isdisjoint(other.token_set - one.token_set)
            differs = how in _OF_HOW or chosen  # "which mammals lay eggs", "do mammals lay eggs"
        if differs:
            return sides("question", pair.a.question, pair.b.question)
    return None


_OF_HOW = ("how", "why", "when", "where", "who")
_ASIDE = GRAMMAR["speaker"] | GRAMMAR["way"] | {"there", "anyone", "somebody", "someone", "me"}
"""With one of these a question for yes or no may be meant as another."""
_LOOSELY = GRAMMAR["speaker"] | GRAMMAR["way"] | GRAMMAR["be"] | {"to", "like"}
"""With one of these "what" may ask how: "what is the weather", "what do I do to sleep"."""


def _happens(pair: Pair) -> Objection | None:
    """ "What happens when it freezes" is not "when does it freeze"."""
    one, other = (_HAPPENING in side.stems and side.question == "what" for side in (pair.a, pair.b))
    asked = (pair.b if one else pair.a).question
    return sides("question", pair.a.question, pair.b.question) if one != other and asked.startswith(_OF_HOW) else None


_HAPPENING = stem("happen")


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
    return None if differing else _able(pair) or _over(pair) or _becoming(pair)


def _able(pair: Pair) -> Objection | None:
    """Who can vote, and who votes."""
    one, other = pair.a.token_set & GRAMMAR["modal"], pair.b.token_set & GRAMMAR["modal"]
    if bool(one) == bool(other) or pair.a.question != pair.b.question or not pair.a.question:
        return None
    if not GRAMMAR["speaker"].isdisjoint(pair.a.token_set | pair.b.token_set):
        return None
    return sides("tense", one, other)


def _becoming(pair: Pair) -> Objection | None:
    """ "Am I getting sick" is not "am I sick", nor "is it going to rain" "is it raining"."""
    for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
        if "getting" in one.token_set and other.token_set.isdisjoint(("get", "gets", "got", "getting")):
            return sides("tense", *("getting" if side is one else "" for side in (pair.a, pair.b)))
        is_planned = "going to" in " ".join(one.tokens) and "going" not in other.token_set
        if is_planned and any(token.endswith("ing") for token in other.token_set - one.token_set):
            return sides("tense", *("going to" if side is one else "" for side in (pair.a, pair.b)))
    return None


def _over(pair: Pair) -> Objection | None:
    """Who won, and who is winning or wins."""
    one, other = _time(pair.a), _time(pair.b)
    return sides("tense", one, other) if one and other and one != other else None


def _time(reading: Reading) -> str:
    """Of a question for who or what did something: "past" or "present"; empty where it cannot be told."""
    tokens = reading.tokens
    if tokens[:1] not in (("who",), ("what",), ("which",)):
        return ""
    said = next((at for at, token in enumerate(tokens[1:5], 1) if token in _FORMS_OF_BE or stem(token) in VERBS), 0)
    verb, behind = tokens[said], tokens[said + 1 : said + 2]
    if not said or verb in GRAMMAR["participle"] or verb in GRAMMAR["auxiliary"] - {*_FORMS_OF_BE}:
        return ""
    if verb in _FORMS_OF_BE:
        return _FORMS_OF_BE[verb] if behind and behind[0].endswith("ing") and stem(behind[0]) in VERBS else ""
    return "past" if verb.endswith("ed") or (verb in IRREGULAR and not verb.endswith("s")) else "present"


_FORMS_OF_BE = {"is": "present", "are": "present", "was": "past", "were": "past"}


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
    if found := _acting(pair):
        return found
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


def _acting(pair: Pair) -> Objection | None:
    """ "Can I eat raw fish" is not "can fish eat raw food"."""
    if not (pair.only_a or pair.only_b):
        one, other = _asks_whom(pair.a), _asks_whom(pair.b)
        if one and other and one != other:
            return sides("order", one, other)
    if pair.a.question != "yes/no" or pair.b.question != "yes/no" or pair.a.lead != pair.b.lead:
        return None
    one, other = _subject(pair.a), _subject(pair.b)
    if one == other and one in _SUBJECTS:
        passive, theirs = ({word.stem for word in side.words if word.passive} for side in (pair.a, pair.b))
        changed = (passive ^ theirs) & pair.a.stems & pair.b.stems  # "do you get paid", "do you pay"
        return sides("order", worded(pair.a, changed), worded(pair.b, changed)) if changed else None
    if one == other or not ({one, other} & _SUBJECTS):
        return None
    moved = (other if one in _SUBJECTS else one, pair.a if one in _SUBJECTS else pair.b)
    return sides("order", one, other) if moved[0] in moved[1].token_set - _SUBJECTS else None


def _asks_whom(reading: Reading) -> str:
    """Of a question for who, whether it asks who does something, or to whom it is done: "who loves you", "who do you
    love"; empty where it cannot be told."""
    if reading.tokens[:1] != ("who",) or len(reading.tokens) < len(("who", "do", "you")):
        return ""
    first, second = reading.tokens[1:3]
    if first in ("do", "does", "did"):
        return "" if stem(second) in VERBS else f"{second} to whom"
    is_done = first.endswith(("s", "ed")) or stem(first) in VERBS
    return f"who to {reading.tokens[-1]}" if is_done and first not in GRAMMAR["auxiliary"] else ""


def _subject(reading: Reading) -> str:
    """The word behind the auxiliary that opens a question for yes or no."""
    at = reading.tokens.index(reading.lead) if reading.lead in reading.tokens else len(reading.tokens)
    return next((token for token in reading.tokens[at + 1 :] if token not in GRAMMAR["article"]), "")


_SUBJECTS = frozenset(("i", "you", "we", "he", "she", "they", "one"))
"""Without "it", which may stand for nothing: "is it worth it to buy one"."""


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
