"""The operating point for questions like the user's own: the `max_error` that serves most, as far as labels support it.

One rule: nothing is called safe because it looked so on the pairs that it was chosen on. Pairs are split by question;
one half chooses, under a bound that allows for the number of choices, and the other half, never looked at before,
checks the choice.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from askonce.cache import Judge, Policy
from askonce.quality import bounds
from askonce.quality.labelled import LabelledPair, groups
from askonce.quality.metrics import PairDecisions, labels_of
from askonce.quality.pairs import asking
from askonce.quality.trial import Known, OnProgress, unwatched

__all__ = ["CHOICES", "Tuned", "TunedPoint", "choices", "split", "tune"]

CHOICES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
"""Values of `max_error` to choose from; more would have to be paid for with a wider bound."""


@dataclass(frozen=True, slots=True)
class TunedPoint:
    """What one value serves on some pairs."""

    max_error: float
    pairs: int
    served: int
    wrong: int
    bound: float
    """Upper confidence bound of the wrong share among what is served."""

    @property
    def wrong_share(self) -> float:
        return self.wrong / self.served if self.served else 0.0


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was tried, what was chosen, and whether it holds."""

    target: float
    """The share of served answers that may be wrong."""
    confidence: float
    tried: tuple[TunedPoint, ...]
    chosen: TunedPoint | None
    """None: on these pairs nothing can be shown to stay within the target."""
    check: TunedPoint | None
    """The chosen value on the other half."""

    @property
    def holds(self) -> bool:
        """Whether the other half does not speak against the choice: its own wrong share is within the target."""
        return self.check is not None and self.check.wrong_share <= self.target

    @property
    def is_shown(self) -> bool:
        """Whether the other half shows it by itself, with the same confidence."""
        return self.check is not None and self.check.bound <= self.target


def choices(target: float) -> tuple[float, ...]:
    """The values up to the target.

    None above it, however well the judge does: with time a cache learns to serve as much as `max_error` allows, and
    would then use up what it was given.
    """
    return *(value for value in CHOICES if value < target), target


def split(pairs: Sequence[LabelledPair]) -> NDArray[np.bool_]:
    """Which pairs choose; the others check. By a hash of the group, so that a question is on one side only."""
    sides = [hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()[0] % 2 == 0 for group in groups(pairs)]
    return np.array(sides, dtype=np.bool_)


async def tune(
    pairs: Sequence[LabelledPair],
    embedder: Known,
    judge: Judge,
    *,
    target: float,
    confidence: float = 0.95,
    watch: OnProgress = unwatched,
) -> Tuned:
    """Choose among `choices` what serves most, with at most `target` of it wrong."""
    chooses, labels = split(pairs), labels_of(pairs)
    fit, rest = np.flatnonzero(chooses).tolist(), np.flatnonzero(~chooses).tolist()
    # Bonferroni: each of the bounds must hold at once, since the best of them is taken.
    values = choices(target)
    strict = 1 - (1 - confidence) / len(values)
    tried = []
    async with asking(pairs, embedder, judge, watch) as asked:
        for max_error in values:
            decisions = await asked.decide(Policy(max_error=max_error), fit, watch, f"max_error {max_error}")
            tried.append(_point(max_error, decisions, labels[fit], strict))
        good = [point for point in tried if point.served and point.bound <= target]
        chosen = max(good, key=lambda point: (point.served, -point.max_error), default=None)
        check = None
        if chosen:
            decisions = await asked.decide(Policy(max_error=chosen.max_error), rest, watch, "checking")
            check = _point(chosen.max_error, decisions, labels[rest], confidence)
    return Tuned(target, confidence, tuple(tried), chosen, check)


def _point(max_error: float, decisions: PairDecisions, labels: NDArray[np.int8], confidence: float) -> TunedPoint:
    served = int(decisions.served.sum())
    wrong = int((decisions.served & (labels == 0)).sum())
    return TunedPoint(max_error, len(labels), served, wrong, bounds.upper(wrong, served, confidence))
