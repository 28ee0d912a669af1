"""Pairs of our own corpus: what its authors wrote as one question, and what they wrote to look like it.

One rule: a domain is on one side only, so no pair spans a held-out domain and another.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from benchmarks.corpus import Domain, Intent
from benchmarks.judge.data import Row
from numpy.typing import NDArray

from askonce.cache.decision import CANDIDATES, FLOOR
from askonce.cache.judge import Candidate, Judge, Judgement

__all__ = ["NEIGHBOUR", "REWORDING", "Met", "met", "neighbours", "own_pairs"]

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
    worded = intent.wordings
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
        (text, _group(domain, intent)) for domain in found for intent in domain.intents for text in intent.wordings
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


@dataclass(frozen=True, slots=True)
class Met:
    """A pair that a cache decides about, and what its judge says."""

    row: Row
    judgement: Judgement


def met(found: Iterable[Domain], vectors: Vectors, judge: Judge, seed: int = 0) -> list[Met]:
    """The pairs that a cache decides about that is asked everything in a domain once, in a random order: each prompt
    beside the most probable of the nearest that came before. Domains apart, since two of them may ask the same.

    Of those who ask a near miss only so many are kept that they are `NEAR` of all: in the corpus they are half, for it
    is written to test, and a cache's callers do not set traps.
    """
    pairs = [pair for domain in found for pair in _met(domain, vectors, judge, seed)]
    worded = [pair for pair in pairs if pair.row.category == REWORDING]
    near = [pair for pair in pairs if pair.row.category != REWORDING]
    kept = min(len(near), int(NEAR / (1 - NEAR) * len(worded)))
    return worded + random.Random(seed).sample(near, kept)


NEAR = 0.1
"""The share of near misses among what a cache is asked."""
_NEAR_MISS = "near miss"


def _met(domain: Domain, vectors: Vectors, judge: Judge, seed: int) -> Iterator[Met]:
    asked = [(text, group) for intent in domain.intents for text, group in _asked(domain, intent)]
    random.Random(seed).shuffle(asked)
    base, blank = vectors([text for text, _ in asked]), np.zeros(0, np.float32)
    for at in range(1, len(asked)):
        cosines = base[:at] @ base[at]
        near = [int(place) for place in np.argsort(-cosines)[:CANDIDATES] if cosines[place] >= FLOOR]
        if near:
            judged = judge.judge(asked[at][0], blank, [Candidate(asked[place][0], blank, 1.0) for place in near])
            best = max(range(len(near)), key=lambda n: judged[n].probability)
            stored, group = asked[near[best]], asked[at][1]
            kind = _NEAR_MISS if group.count(":") > 1 else REWORDING
            yield Met(Row(stored[0], asked[at][0], int(stored[1] == group), kind, group), judged[best])


def _asked(domain: Domain, intent: Intent) -> Iterator[tuple[str, str]]:
    """Each text of an intent, with what its answer is called."""
    group = _group(domain, intent)
    for text in intent.wordings:
        yield text, group
    for number, (_, prompt) in enumerate(intent.near):
        yield prompt, f"{group}:{number}"


_AT_ONCE = 512
_TOO_NEAR = 0.85
