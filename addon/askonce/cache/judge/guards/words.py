"""Guards of single words: opposites and negation, kinds, names, scopes, what is to be done."""

from askonce.cache.judge.guards.pair import GRADES, Objection, Pair, sides, worded
from askonce.cache.judge.lexicon import (
    ACTIONS,
    ANTONYMS,
    BASES,
    DEMONYMS,
    FUNCTION_WORDS,
    KINDS,
    NEGATORS,
    OPPOSITE_FUNCTION_WORDS,
    VERBS,
    are_synonyms,
    stem,
)
from askonce.cache.judge.reading import Reading

__all__ = ["actions", "bare", "kinds", "names", "polarity", "scope"]


def bare(pair: Pair) -> Objection | None:
    """Prompts of grammar alone ("is it its?") say what they say by each word."""
    a, b = pair.a, pair.b
    if (a.order and b.order) or a.core == b.core:
        return None
    return Objection("words", " ".join(a.core)[:40] or "-", " ".join(b.core)[:40] or "-")


def polarity(pair: Pair) -> Objection | None:
    """Negation and opposites together: "not proud" may stand for "humble", but not for "proud"."""
    a, b = pair.a, pair.b
    flips = [(x, y) for x in pair.only_a for y in pair.only_b if _opposite(x, y)] if pair.only_a and pair.only_b else []
    flips += _small_flips(a.token_set, b.token_set)
    turned = len(a.negated) - len(b.negated)
    if flips:
        negated = {*a.negated, *b.negated}
        explained = abs(turned) == 1 == len(flips) and (flips[0][0] in negated or flips[0][1] in negated)
        graded = [flip for flip in flips if GRADES.issuperset(flip)]
        compared = bool(graded) and len(flips) - len(graded) == 1
        if explained or compared:
            return None
        return sides("antonym", worded(a, flips[0][:1]), worded(b, flips[0][1:]))
    if turned:
        name = next((t for t in (a if turned > 0 else b).tokens if t in NEGATORS), "not")
        return sides("negation", *((name, "") if turned > 0 else ("", name)))
    if a.negated != b.negated:
        moved_a, moved_b = set(a.negated) - set(b.negated), set(b.negated) - set(a.negated)
        if moved_a and moved_b and moved_a <= b.stems and moved_b <= a.stems:
            return sides("negation", f"not {worded(a, moved_a)}", f"not {worded(b, moved_b)}")
    return None


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


def kinds(pair: Pair) -> Objection | None:
    """One member of a kind replaced by another: cats by dogs, Python by Java, arms by legs."""
    for x in pair.only_a:
        kinds = KINDS.get(x)
        if kinds:
            for y in pair.only_b:
                if not kinds.isdisjoint(KINDS.get(y, ())) and not are_synonyms(x, y):
                    return sides(min(kinds & KINDS[y]), worded(pair.a, (x,)), worded(pair.b, (y,)))
    return None


def names(pair: Pair) -> Objection | None:
    """Names that were replaced by other names."""
    if not pair.a.names or not pair.b.names:
        return None
    left, right = _unknown(pair.a, pair.b), _unknown(pair.b, pair.a)
    return sides("name", left[:2], right[:2]) if left and right else None


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


_STRICT = frozenset(("only", "except", "none", "at least", "at most", "several", "both"))
_OPPOSED = (
    ("all", "some"),
    ("all", "most"),
    ("always", "sometimes"),
    ("first", "last"),
    ("both", "either"),
    ("all", "none"),
    ("several", "single"),
    ("must", "should"),
)


def scope(pair: Pair) -> Objection | None:
    """All, only, except, at least: a limit that one side lacks."""
    if pair.close and (one_of := _of_how_many(pair.a)) != (other_of := _of_how_many(pair.b)):
        return sides("scope", one_of, other_of)
    a, b = pair.a.scopes, pair.b.scopes
    if a == b:
        return None
    one, other = a - b, b - a
    for extra, reading in ((one & _STRICT, pair.b), (other & _STRICT, pair.a)):
        graded = extra <= {"at least", "at most"} and any(t.endswith("est") and len(t) > 4 for t in reading.tokens)
        if extra and not graded:
            return sides("scope", one, other)
    for x, y in _OPPOSED:
        if (x in one and y in other) or (y in one and x in other):
            return sides("scope", {x, y} & one, {x, y} & other)
    return None


def _of_how_many(reading: Reading) -> str:
    """What is said before the subject of a question with yes or no: "are some snakes poisonous"."""
    if reading.question != "yes/no":
        return ""
    return next((token for token in reading.tokens[1:2] if token in ("some", "any")), "")


def actions(pair: Pair) -> Objection | None:
    """What is to be done with a text: translate, summarize, fix; or to be given of a thing: an example of it."""
    for side, facing in ((pair.a, pair.b), (pair.b, pair.a)):
        if _exemplifies(side) and _EXAMPLES.isdisjoint(facing.token_set):
            ordered = next((token for token in facing.tokens[:1] if stem(token) in VERBS), "")
            return sides("action", *("example" if told is side else ordered for told in (pair.a, pair.b)))
    one = {ACTIONS[s] for t in pair.a.tokens[:4] if (s := stem(t)) in ACTIONS}
    other = {ACTIONS[s] for t in pair.b.tokens[:4] if (s := stem(t)) in ACTIONS}
    return sides("action", one, other) if one and other and one.isdisjoint(other) else None


_EXAMPLES = frozenset(("example", "examples"))


def _exemplifies(reading: Reading) -> bool:
    """ "Give an example of irony"."""
    return reading.tokens[:1] in (("give",), ("show",), ("name",)) and not _EXAMPLES.isdisjoint(reading.tokens[:5])
