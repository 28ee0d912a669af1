"""Guards: cheap reasons why one answer cannot serve two prompts, however near their vectors are.

A guard objects only to a contradiction that it can name, with both sides; whatever is a matter of degree is the
judge's. Between prompts of mostly other words a difference that is none by itself is a doubt, which the judge weighs.
"""

from collections.abc import Iterable

from askonce.cache.judge.guards.amounts import numbers, renumbered, units
from askonce.cache.judge.guards.pair import Guard, Objection, Pair
from askonce.cache.judge.guards.roles import order, person, question, tense
from askonce.cache.judge.guards.signs import WRITTEN, ids, language, spans
from askonce.cache.judge.guards.verbs import verbs
from askonce.cache.judge.guards.words import actions, bare, kinds, names, polarity, scope
from askonce.cache.judge.reading import read

__all__ = ["DOUBTS", "GUARDS", "Objection", "Pair", "objection", "objections", "renumbered", "written"]


def objection(pair: Pair) -> Objection | None:
    """The first guard's objection to answering one of the two with the other's answer, or None."""
    if pair.alike:
        return _first(WRITTEN, pair)
    for guard in GUARDS:
        found = guard(pair)
        if found is not None:
            if pair.close or _is_sure(found, pair):
                return found
            pair.doubts.add(found.guard)
    return None


def _is_sure(found: Objection, pair: Pair) -> bool:
    """Whether a difference between two prompts of mostly other words is a contradiction: both say something of one
    facet, and say different things. What only one says, the other may say in words of its own."""
    if found.guard in DOUBTED:
        return False
    if found.guard == "number" and min(len(pair.a.numbers), len(pair.b.numbers)) >= _SUM:
        return True
    return found.guard in _ALONE or "-" not in (found.left, found.right)


DOUBTED = frozenset(("antonym", "case", "negation", "punctuation", "question", "scope", "tense", "person", "order"))
"""Between prompts of mostly other words these find no contradiction more often than one."""
DOUBTS = (*sorted(DOUBTED), "date", "id", "number", "quote", "symbol", "spelling")
"""The guards whose objection may be no contradiction: what `Pair.doubts` may hold."""
_SUM = 2
"""Numbers from which on a prompt is about them: one more or less is another sum."""
_ALONE = frozenset(("hidden character", "language", "sign", "words"))
"""What is not understood is different, whatever the other side says."""


def _first(guards: Iterable[Guard], pair: Pair) -> Objection | None:
    for guard in guards:
        found = guard(pair)
        if found is not None:
            return found
    return None


def written(pair: Pair) -> Objection | None:
    """The first objection to how the two are written, or None; of prompts whose words are compared without the
    sentences that they share, but whose characters are only understood as they stand."""
    return _first(WRITTEN, pair)


def objections(left: str, right: str) -> list[Objection]:
    """Every guard's objection to two prompts, for people and for measuring the guards one by one."""
    pair = Pair(read(left), read(right))
    found = [one for guard in (WRITTEN if pair.alike else GUARDS) if (one := guard(pair))]
    return [one for one in found if pair.alike or pair.close or _is_sure(one, pair)]


GUARDS: tuple[Guard, ...] = (
    language,
    bare,
    numbers,
    ids,
    spans,
    *WRITTEN,
    polarity,
    units,
    kinds,
    names,
    question,
    tense,
    person,
    scope,
    actions,
    verbs,
    order,
)
"""In the order in which they are asked."""
