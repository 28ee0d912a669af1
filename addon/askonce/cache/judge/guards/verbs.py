"""What is done, where small words say it: "look for" and "look at", "pay for it" and "pay it", "give" and "get".

One rule: only what both say as questions is compared; who asks with a few keywords leaves such words out.
"""

from collections.abc import Sequence

from askonce.cache.judge.guards.pair import Objection, Pair, sides
from askonce.cache.judge.lexicon import FILLERS, FUNCTION_WORDS, GRAMMAR, PREPOSITIONS, VERBS, stem
from askonce.cache.judge.reading import Reading

__all__ = ["verbs"]

_LIGHT = frozenset(["get", "give", "show", "explain", "help", "want", "need", "like", "know", "ask"])
"""Words that mostly lead to a question ("give me …", "I need …"), and may be what it asks about."""
_FORMS = tuple(word.rstrip("e") for word in sorted(_LIGHT))
_DOES = {f"{word}s": word for word in _LIGHT}
"""Of a third person, which leads to no question: "who gives blood"."""
_IDLE = frozenset(map(stem, _LIGHT | FILLERS))
_AUXILIARY = frozenset(["do", "does", "did", "can", "could", "should", "would", "will", "may", "might", "must"])
_WISHING = frozenset(["want", "like", "need", "love", "wish"])
_OFFERED = frozenset(["can", "could", "would", "will", "do"])
_CLAUSE = frozenset(["if", "when", "that", "what", "why", "where", "how", "whether", "because"])
_SUBJECT = frozenset(["i", "you", "we", "one", "they", "he", "she", "it", "people"])
_TO = frozenset(["to", "not", "please"]) | _SUBJECT
_PARTICLES = frozenset(["off", "over", "up", "down", "out", "for", "at", "on", "about", "against"])
_BEHIND = PREPOSITIONS | _PARTICLES


def verbs(pair: Pair) -> Objection | None:
    """The same verbs with the same prepositions; and between the same words, the same done by a light one."""
    if not pair.close:
        return None
    one, other = _joined(pair.a), _joined(pair.b)
    for verb in one.keys() & other.keys():
        (behind, what), (another, that) = one[verb], other[verb]
        if behind != another and (what == that or (behind and another)):
            return sides("verb", f"{verb} {behind}", f"{verb} {another}")
    if not _IDLE.issuperset((*pair.only_a, *pair.only_b)):
        return None
    if (told := _ordered(pair.a)) != (ordered := _ordered(pair.b)) and told and ordered:
        return sides("verb", told, ordered)
    mine, theirs = _done(pair.a), _done(pair.b)
    if mine == theirs or not ((mine or _asks(pair.a)) and (theirs or _asks(pair.b))):
        return None
    return None if _elsewhere(pair) and not (mine and theirs) else sides("verb", mine, theirs)


def _joined(reading: Reading) -> dict[str, tuple[str, str]]:
    """Each verb, with the preposition right behind it and the word that these are about: "look for a star"."""
    found, tokens = dict[str, tuple[str, str]](), (*reading.tokens, "", "")
    for at, word in enumerate(reading.tokens):
        if word in FUNCTION_WORDS or not (tokens[at - 1] in _TO or stem(word) in VERBS):
            continue
        behind = tokens[at + 1] if tokens[at + 1] in _BEHIND else ""
        if behind == "to" and stem(tokens[at + 2]) in VERBS:
            continue  # "learn to swim"
        rest = (token for token in tokens[at + 1 + bool(behind) :] if token not in GRAMMAR["article"])
        found[stem(word)] = behind, next(rest, "")
    return found


def _done(reading: Reading) -> set[str]:
    """Light words that say what is done: behind "to", behind an auxiliary and its subject, or in a clause."""
    tokens = reading.tokens
    said = {token for at, token in enumerate(tokens) if token in _LIGHT and _is_done(tokens, at, reading.question)}
    return said | {_DOES[token] for token in tokens if token in _DOES}


def _is_done(tokens: Sequence[str], at: int, question: str) -> bool:
    third, second, before = ("", "", "", *tokens[:at])[-3:]
    if tokens[at] == "know" and (second in _WISHING or {*tokens[at + 1 : at + 2]} & _CLAUSE):
        return False  # "I want to know", "how do I know if"
    if before in _AUXILIARY:
        return tokens[at] != "like"  # "I would like"
    if before == "you" and second in _OFFERED and question in ("", "yes/no"):
        return False  # "can you explain"
    if second in ("which", "what", "whose") and before not in FUNCTION_WORDS:
        return True  # "which foods give energy"
    in_clause = second in _CLAUSE and before in _SUBJECT
    return before == "to" or in_clause or second in _AUXILIARY or (third in _AUXILIARY and second in GRAMMAR["article"])


_ORDERS = {"give": "give", "write": "give", "show": "give", "tell": "give", "explain": "explain", "ask": "ask"}


def _ordered(reading: Reading) -> str:
    """What is to be done with what is made: "explain the joke", "give me the joke"; empty where it is no order."""
    tokens = [token for token in reading.tokens[:6] if token not in _LEADING]
    if not tokens or tokens[0] not in _ORDERS:
        return ""
    rest = [token for token in tokens[1:] if token not in GRAMMAR["article"]]
    return _ORDERS[tokens[0]] if rest and not GRAMMAR["made"].isdisjoint((rest[0], rest[0].removesuffix("s"))) else ""


_LEADING = frozenset(["please", "can", "could", "would", "will", "you", "me", "us"])


def _asks(reading: Reading) -> bool:
    """Whether it is a whole question, and no keywords."""
    return bool(reading.question) and not GRAMMAR["auxiliary"].isdisjoint(reading.tokens)


def _elsewhere(pair: Pair) -> bool:
    """Whether a light word stands in another form on a side: "is liked by"."""
    own = pair.a.token_set ^ pair.b.token_set
    return any(token.startswith(_FORMS) and token not in _LIGHT for token in own)
