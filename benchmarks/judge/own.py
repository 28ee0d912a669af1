"""Pairs of our own corpus: what its authors wrote as one question, and what they wrote to look like it.

One rule: a domain is on one side only, so no pair spans a held-out domain and another.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np
from benchmarks.corpus import Domain, Intent
from benchmarks.judge.data import Row
from numpy.typing import NDArray

__all__ = ["NEIGHBOUR", "REWORDING", "neighbours", "own_pairs"]

REWORDING = "rewording"
"""The category of pairs that one answer serves; that of a near miss is what it differs in."""
NEIGHBOUR = "neighbour"
"""The category of another intent's wording."""

Vectors = Callable[[list[str]], NDArray[np.float32]]


def own_pairs(found: Iterable[Domain]) -> list[Row]:
    """All wordings of an intent with each other, and each near miss beside each of them."""
    return [row for domain in found for intent in domain.intents for row in _of_intent(domain, intent)]


def _of_intent(domain: Domain, intent: Intent) -> list[Row]:
    group = _group(domain, intent)
    worded = [intent.first, *intent.rewordings]
    same = [Row(a, b, 1, REWORDING, group) for a, b in combinations(worded, 2)]
    near = [Row(text, prompt, 0, kind, group) for text in worded for kind, prompt in intent.near]
    return same + near


def _group(domain: Domain, intent: Intent) -> str:
    return f"{domain.name}:{intent.line}"


def neighbours(found: Sequence[Domain], vectors: Vectors, *, nearest: int = 2) -> list[Row]:
    """Each wording beside the nearest ones of other intents: what a cache is asked that knows many questions.

    `vectors` maps texts to unit vectors. Near misses are not among them, since one may ask what another does; nor
    is what is so near that it may be the same question in two domains.
    """
    worded = [
        (text, _group(domain, intent))
        for domain in found
        for intent in domain.intents
        for text in (intent.first, *intent.rewordings)
    ]
    base = vectors([text for text, _ in worded])
    groups = np.array([group for _, group in worded])
    rows = []
    for start in range(0, len(worded), _AT_ONCE):
        some = worded[start : start + _AT_ONCE]
        for (text, group), cosines in zip(some, base[start : start + _AT_ONCE] @ base.T, strict=True):
            cosines[(groups == group) | (cosines >= _TOO_NEAR)] = -1
            rows += [Row(text, worded[at][0], 0, NEIGHBOUR, group) for at in np.argsort(-cosines)[:nearest]]
    return rows


_AT_ONCE = 512
_TOO_NEAR = 0.85
