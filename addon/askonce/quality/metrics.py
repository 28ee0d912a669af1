"""Shares and coverage from decisions; the package's docstring defines them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from askonce.quality.labelled import LabelledPair

__all__ = ["Measures", "PairDecisions", "coverage", "curve", "labels_of", "measure", "recall_within"]


@dataclass(frozen=True, slots=True)
class PairDecisions:
    """What one contestant decided on the same pairs, in their order."""

    served: NDArray[np.bool_]
    scores: NDArray[np.float64]
    """What the pairs are ranked by: the judge's probability, or a cosine."""
    us_per_decision: float
    reasons: tuple[str, ...] = ()
    """Why each was a miss; empty for a hit."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Shares from 0 to 1; None where there was nothing to take a share of."""

    pairs: int
    served: int
    recall: float | None
    false_reuse: float | None
    wrong_share: float
    coverage_at_1: float
    coverage_at_5: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(decisions: PairDecisions, labels: NDArray[np.int8], which: NDArray[np.bool_] | None = None) -> Measures:
    """The measures of all decisions, or of those in `which`."""
    chosen = slice(None) if which is None else which
    served, scores, labels = decisions.served[chosen], decisions.scores[chosen], labels[chosen]
    good, bad = labels == 1, labels == 0
    count = int(served.sum())
    return Measures(
        pairs=len(labels),
        served=count,
        recall=_share(served, good),
        false_reuse=_share(served, bad),
        wrong_share=int((served & bad).sum()) / count if count else 0.0,
        coverage_at_1=coverage(scores, labels, 0.01),
        coverage_at_5=coverage(scores, labels, 0.05),
    )


def _share(served: NDArray[np.bool_], among: NDArray[np.bool_]) -> float | None:
    count = int(among.sum())
    return int((served & among).sum()) / count if count else None


def curve(scores: NDArray[np.float64], labels: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(served, wrong) counts of each prefix in order of falling score that ends where the score changes."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], len(ranked) > 0))
    wrong = np.cumsum(labels[order] == 0)
    return ends + 1, wrong[ends]


def coverage(scores: NDArray[np.float64], labels: NDArray[np.int8], error: float) -> float:
    """coverage_at_x for x = `error`."""
    served, wrong = curve(scores, labels)
    within = served[wrong <= error * served + 1e-9]
    return int(within.max()) / len(labels) if len(within) else 0.0


def recall_within(scores: NDArray[np.float64], labels: NDArray[np.int8], false_reuse: float) -> float:
    """The largest recall in order of falling score at which at most `false_reuse` of label 0 is served."""
    served, wrong = curve(scores, labels)
    bad = int((labels == 0).sum())
    good = len(labels) - bad
    right = (served - wrong)[wrong <= false_reuse * bad + 1e-9]
    return int(right.max()) / good if len(right) and good else 0.0


def labels_of(pairs: Sequence[LabelledPair]) -> NDArray[np.int8]:
    """Their labels, as an array."""
    return np.array([pair.label for pair in pairs], dtype=np.int8)
