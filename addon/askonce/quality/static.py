"""The best that one cosine threshold could have done on a stream, known only afterwards.

One rule: the baseline gets every favour. It is chosen on the very stream that it is measured on, finely, with the right
answers at hand; ours chooses before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from askonce.quality.labelled import Query

__all__ = ["Static", "best_static"]

COARSE = np.arange(0.40, 1.0001, 0.01)
FINE = 0.001
BLOCK = 256


@dataclass(frozen=True, slots=True)
class Static:
    """A threshold, and what it would have served."""

    threshold: float
    hits: int
    """Semantic ones; identical questions are counted apart, as for the cache."""
    wrong: int
    exact: int


def best_static(
    queries: Sequence[Query],
    vectors: NDArray[np.float32],
    max_errors: Sequence[float],
    which: NDArray[np.bool_] | None = None,
) -> dict[float, Static]:
    """For each bound, the threshold with the most hits of which at most that share are wrong.

    `queries` in the order in which they are asked, `vectors` their unit vectors. Counts those in `which`, or all.
    """
    counted = np.ones(len(queries), dtype=np.bool_) if which is None else which
    found = {static.threshold: static for static in _simulate(queries, vectors, COARSE, counted)}
    near = [_best(found.values(), bound).threshold for bound in max_errors]
    finer = {round(middle + step * FINE, 3) for middle in near for step in range(-9, 10)}
    thresholds = np.array(sorted({t for t in finer if t <= 1} - {round(t, 3) for t in found}))
    found |= {static.threshold: static for static in _simulate(queries, vectors, thresholds, counted)}
    return {bound: _best(found.values(), bound) for bound in max_errors}


def _best(found: Iterable[Static], bound: float) -> Static:
    within = [s for s in found if s.wrong <= bound * s.hits + 1e-9]
    return max(within, key=lambda s: (s.hits, s.threshold), default=Static(1.0, 0, 0, 0))


def _simulate(
    queries: Sequence[Query],
    vectors: NDArray[np.float32],
    thresholds: NDArray[np.float64],
    counted: NDArray[np.bool_],
) -> list[Static]:
    """A cache at each threshold: serves the nearest stored question from the threshold on, else stores the question."""
    count, many = len(queries), len(thresholds)
    texts = _numbers([query.text for query in queries])
    answers = _numbers([query.answer for query in queries])
    absent = np.full((many, count), -4.0, dtype=np.float32)
    """Added to cosines: 0 where the question is stored."""
    hits, wrong, exact = (np.zeros(many, dtype=np.int64) for _ in range(3))
    rows = np.arange(many)
    for first in range(0, count, BLOCK):
        block = vectors[first : first + BLOCK] @ vectors[: first + BLOCK].T
        for offset, cosines in enumerate(block):
            place = first + offset
            if not place:
                absent[:, 0] = 0
                continue
            seen = cosines[:place] + (texts[:place] == texts[place])  # an identical one comes first
            best = (absent[:, :place] + seen).argmax(axis=1)
            near = absent[rows, best] + seen[best]
            same = near > 1.5
            served = (near >= thresholds - 1e-7) & ~same
            if counted[place]:
                exact += same
                hits += served
                wrong += served & (answers[best] != answers[place])
            absent[~(served | same), place] = 0
    return [
        Static(round(float(t), 3), int(h), int(w), int(e))
        for t, h, w, e in zip(thresholds, hits, wrong, exact, strict=True)
    ]


def _numbers(texts: Sequence[str]) -> NDArray[np.int64]:
    known: dict[str, int] = {}
    return np.array([known.setdefault(text, len(known)) for text in texts])
