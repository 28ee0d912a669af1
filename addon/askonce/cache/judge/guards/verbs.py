"""What is done, where small words say it: "look for" and "look at", "pay for it" and "pay it", "give" and "get".

One rule: only what both say as questions is compared; who asks with a few keywords leaves such words out.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from askonce.cache.judge.guards.pair import Objection, Pair, sides
from askonce.cache.judge.lexicon import FILLERS, FUNCTION_WORDS, GRAMMAR, PREPOSITIONS, VERBS, stem
from askonce.cache.judge.reading import Reading

__all__ = ["verbs"]

_LIGHT = GRAMMAR["done"]
_FORMS = tuple(word.rstrip("e") for word in sorted(_LIGHT))
_DOES = {f"{word}s": word for word in _LIGHT}
"""Of a third person, which leads to no question: "who gives blood"."""
_IDLE = frozenset(map(stem, _LIGHT | FILLERS))
_AUXILIARY, _OFFERING, _WISHING = GRAMMAR["does"], GRAMMAR["offering"], GRAMMAR["wishing"]
_BEGINS_CLAUSE, _DOER = GRAMMAR["begins-clause"], GRAMMAR["doer"]
_BEFORE_VERB = GRAMMAR["before-verb"] | _DOER
_BEHIND = PREPOSITIONS | GRAMMAR["particle"]
_KEPT = 2_048
"""Prompts of which it is remembered what they do: one is compared with several."""


def verbs(pair: Pair) -> Objection | None:
    """The same verbs with the same prepositions; and between the same words, the same done by a light one."""
    if not pair.close:
        return None
    one, other = _joined(pair.a.tokens), _joined(pair.b.tokens)
    for verb in (verb for verb in one if verb in other):
        (behind, what), (another, that) = one[verb], other[verb]
        if behind != another and (what == that or (behind and another)):
            return sides("verb", f"{verb} {behind}", f"{verb} {another}")
    if not _IDLE.issuperset((*pair.only_a, *pair.only_b)):
        return None
    if (told := _ordered(pair.a)) != (ordered := _ordered(pair.b)) and told and ordered:
        return sides("verb", told, ordered)
    if not (pair.only_a or pair.only_b):
        if _acts(pair.a) != _acts(pair.b):
            return sides("verb", *("do" if _acts(side) else "be" for side in (pair.a, pair.b)))
        if _left_alone(pair.a, pair.b) or _left_alone(pair.b, pair.a):
            return sides("verb", *(" ".join(side.tokens[-2:]) for side in (pair.a, pair.b)))
    mine, theirs = _done(pair.a), _done(pair.b)
    if mine == theirs or not ((mine or _asks(pair.a)) and (theirs or _asks(pair.b))):
        return None
    return None if _elsewhere(pair) and not (mine and theirs) else sides("verb", mine, theirs)


@lru_cache(maxsize=_KEPT)
def _joined(tokens: tuple[str, ...]) -> Mapping[str, tuple[str, str]]:
    """Each verb, with the preposition right behind it and the word that these are about: "look for a star"."""
    found = dict[str, tuple[str, str]]()
    around = zip(("", *tokens), tokens, (*tokens[1:], ""), (*tokens[2:], "", ""), strict=False)
    for at, (before, word, behind, then) in enumerate(around):
        if word in FUNCTION_WORDS or not (before in _BEFORE_VERB or stem(word) in VERBS):
            continue
        if behind == "to" and stem(then) in VERBS:
            continue  # "learn to swim"
        joined = behind if behind in _BEHIND else ""
        rest = (token for token in tokens[at + 1 + bool(joined) :] if token not in GRAMMAR["article"])
        found[stem(word)] = joined, next(rest, "")
    return found


def _done(reading: Reading) -> set[str]:
    """Light words that say what is done: behind "to", behind an auxiliary and its subject, or in a clause."""
    tokens = reading.tokens
    said = {token for at, token in enumerate(tokens) if token in _LIGHT and _is_done(tokens, at, reading.question)}
    return said | {_DOES[token] for token in tokens if token in _DOES}


def _acts(reading: Reading) -> bool:
    """Whether it asks what something does: "what does DNA do"; "what can I do" asks for a way."""
    if reading.question == "what" and reading.tokens[-1] in ("do", "does"):
        return GRAMMAR["speaker"].isdisjoint(reading.tokens)
    is_asked = reading.question == "what" and reading.lead in GRAMMAR["does"]
    return is_asked and "do" in reading.tokens[3:] and GRAMMAR["speaker"].isdisjoint(reading.tokens)


def _left_alone(one: Reading, other: Reading) -> bool:
    """Whether what stands behind a preposition is before it on the other side: "what is it good for"."""
    last = one.tokens[-1] if one.tokens else ""
    return last in PREPOSITIONS and last in other.tokens[1:-1] and last != other.tokens[-1]


def _is_done(tokens: Sequence[str], at: int, question: str) -> bool:
    third, second, before = ("", "", "", *tokens[:at])[-3:]
    if tokens[at] == "know" and (second in _WISHING or {*tokens[at + 1 : at + 2]} & _BEGINS_CLAUSE):
        return False  # "I want to know", "how do I know if"
    if before in _AUXILIARY:
        return tokens[at] != "like"  # "I would like"
    if before == "you" and second in _OFFERING and question in ("", "yes/no"):
        return False  # "can you explain"
    if second in ("which", "what", "whose") and before not in FUNCTION_WORDS:
        return True  # "which foods give energy"
    in_clause = second in _BEGINS_CLAUSE and before in _DOER
    return before == "to" or in_clause or second in _AUXILIARY or (third in _AUXILIARY and second in GRAMMAR["article"])


_ORDERS = {"give": "give", "write": "give", "show": "give", "tell": "give", "explain": "explain", "ask": "ask"}


def _ordered(reading: Reading) -> str:
    """What is to be done with what is made: "explain the joke", "give me the joke"; empty where it is no order."""
    tokens = [token for token in reading.tokens[:6] if token not in GRAMMAR["before-order"]]
    if not tokens or tokens[0] not in _ORDERS:
        return ""
    rest = [token for token in tokens[1:] if token not in GRAMMAR["article"]]
    return _ORDERS[tokens[0]] if rest and not GRAMMAR["made"].isdisjoint((rest[0], rest[0].removesuffix("s"))) else ""


def _asks(reading: Reading) -> bool:
    """Whether it is a whole question, and no keywords."""
    return bool(reading.question) and not GRAMMAR["auxiliary"].isdisjoint(reading.tokens)


def _elsewhere(pair: Pair) -> bool:
    """Whether a light word stands in another form on a side: "is liked by"."""
    own = pair.a.token_set ^ pair.b.token_set
    return any(token.startswith(_FORMS) and token not in _LIGHT for token in own)
