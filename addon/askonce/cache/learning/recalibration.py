"""What labelled observations say about the judge: how wrong its probabilities may be, and what may be served.

The one rule here: arithmetic only, as derived in docs/policy.md. An observation is one candidate that was not served,
or was served and checked: what the judge said of it, whether the entries around it agreed with it, and whether its
answer turned out to be right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Account", "Posterior", "consensus", "logit", "offset", "probability"]

PESSIMISM = 1.0
"""Standard deviations of the posterior below its mean; 0.84 of the truth is expected above."""
KINK = 2.0
"""The logit from where on the judge's claims are scaled by a slope of their own."""
DEVIATIONS = (1.0, 0.3, 0.3, 0.5, 0.5)
"""Of the prior: intercept, slope, slope above the kink, weight of disagreement, weight of agreement."""
MEANS = (0.0, 0.0, 0.0, 0.4, 0.4)
ENTRY_DEVIATION = 1.0
"""Of an entry's own offset, in logits."""
STEP = 0.5
"""Width of the cells that scores and agreements are counted in."""
FLOOR, CEILING = -5.0, 7.0
"""Logits that a score is cut to."""
WINDOW = 10_000
"""Past so many observations the old ones count half, and half again: what is learned must be able to change."""
FEW = 100
"""Observations before what is not safe by itself is served on the strength of the others."""
SLACK = 2.0
"""Standard deviations of the number of wrong answers that the running account keeps free: one in forty goes over."""
NEARBY = 0.1
"""The difference in cosine at which a neighbour's vote counts e times less."""
FAINT = 0.1
"""The weight that no votes at all have on either side."""

Array = NDArray[np.float64]


def logit(probability: float) -> float:
    """Cut to what a judge can mean."""
    if probability <= 0.0067:
        return FLOOR
    return CEILING if probability >= 0.99909 else math.log(probability / (1 - probability))


def probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit > -500 else 0.0


def consensus(kin: int, cosine: float, around: Sequence[tuple[int, float]]) -> float:
    """Whether the nearest entries' answers agree with that of one of them: a log-ratio of votes, 0 where none counts.

    `around` are the kin and the cosine of the nearest, the nearest first and the one itself among them. Equal kin is
    the same answer. Another kin is another answer only where both are positive; 0 is not known.
    """
    if not kin or not around:
        return 0.0
    best = around[0][1]
    pro, contra = -math.exp((cosine - best) / NEARBY), 0.0
    for other, near in around:
        if other == kin:
            pro += math.exp((near - best) / NEARBY)
        elif other > 0 and kin > 0:
            contra += math.exp((near - best) / NEARBY)
    return math.log((max(pro, 0.0) + FAINT) / (contra + FAINT))


def features(score: float, agreement: float) -> tuple[float, float, float, float, float]:
    """What the curve is linear in."""
    return 1.0, score, max(score - KINK, 0.0), min(agreement, 0.0), max(agreement, 0.0)


def offset(residual: float, information: float) -> float:
    """An entry's own logit, from the sum of (right - expected) over its observations and that of their variances:
    Newton's first step towards the mode of a random effect."""
    return residual / (ENTRY_DEVIATION**-2 + information)


@dataclass(slots=True)
class _Fit:
    weights: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


class Posterior:
    """A logistic recalibration of the judge, with normal priors and a normal approximation of the posterior.

    Without any observation its bound is what the judge says. Not thread-safe for writing; reading is always safe.
    """

    def __init__(self) -> None:
        self.count = 0.0
        """Observations, old ones in part."""
        self._cells: dict[tuple[int, int], list[float]] = {}
        """(score, agreement) in steps -> right, wrong, seen."""
        self._next = 1.0
        self._fit: _Fit | None = None
        self._limits: dict[float, float] = {}

    def observe(self, score: float, agreement: float, right: bool) -> None:
        """Learn from one more candidate."""
        self.take(score, agreement, right)
        if self.count >= self._next:
            self.fit()

    def take(self, score: float, agreement: float, right: bool) -> None:
        """Count one more candidate; `fit` once all are counted."""
        cell = self._cells.setdefault(_cell(score, agreement), [0.0, 0.0, 0.0])
        cell[0 if right else 1] += 1
        self.count += 1
        if self.count > WINDOW:
            self.count /= 2
            for counts in list(self._cells.values()):
                counts[:] = [value / 2 for value in counts]
            self._next = 0.0

    def seen(self, score: float, agreement: float) -> None:
        """Count a candidate that was decided about, served or not."""
        self._cells.setdefault(_cell(score, agreement), [0.0, 0.0, 0.0])[2] += 1

    def expected(self, score: float, agreement: float) -> float:
        """The most probable logit."""
        return self._weigh(score, agreement)[0]

    def bound(self, score: float, agreement: float) -> float:
        """The logit that the truth is above with the confidence of `PESSIMISM`."""
        mean, variance = self._weigh(score, agreement)
        return mean - PESSIMISM * math.sqrt(variance) if variance else mean

    def _weigh(self, score: float, agreement: float) -> tuple[float, float]:
        """Mean and variance of the logit: `terms @ weights` and `terms @ covariance @ terms`, written out, since half
        of the terms are zero and every hit waits for this."""
        fit = self._fit
        if fit is None:
            return score, 0.0
        w, c = fit.weights, fit.covariance
        s, a, h = score, agreement, score - KINK
        one, two = c[0], c[1]
        k = 3 if a < 0 else 4
        mean = s + w[0] + w[1] * s + w[k] * a
        variance = one[0] + s * (2 * one[1] + s * two[1])
        if a:
            variance += a * (2 * (one[k] + s * two[k]) + a * c[k][k])
        lift = DEVIATIONS[0] ** 2 + (DEVIATIONS[1] * s) ** 2
        if h > 0:
            mean += w[2] * h
            variance += h * (2 * (one[2] + s * two[2] + a * c[2][k]) + h * c[2][2])
            lift += (DEVIATIONS[2] * h) ** 2
        return mean + PESSIMISM * math.sqrt(lift), variance

    def limit(self, max_error: float) -> float:
        """The largest probability of being wrong that one answer may have, so that all served together keep within
        `max_error`; 0 where too little is known. As of the last fit."""
        known = self._limits.get(max_error)
        if known is None:
            known = self._limits[max_error] = self._limit(max_error)
        return known

    def _limit(self, max_error: float) -> float:
        fit = self._fit
        if fit is None or self.count < FEW:
            return 0.0
        cells = list(self._cells.items())
        terms = np.array([features(score * STEP, agreement * STEP) for (score, agreement), _ in cells])
        often = np.array([max(counts[2], counts[0] + counts[1]) for _, counts in cells])
        variance = np.einsum("ni,ij,nj->n", terms, np.array(fit.covariance), terms)
        bound = terms[:, 1] + _lifts(terms) + terms @ np.array(fit.weights) - PESSIMISM * np.sqrt(variance)
        errors = 1 / (1 + np.exp(bound))
        order = np.argsort(errors)
        fits = np.cumsum((errors * often)[order]) <= max_error * np.cumsum(often[order])
        # The most careful first, up to the first that the rest cannot carry.
        kept = len(order) if fits.all() else int(fits.argmin())
        return float(errors[order][kept - 1]) if kept else 0.0

    def fit(self) -> None:
        """Find the posterior's mode and its curvature there, by Newton's method."""
        self._next = self.count + max(1.0, self.count // 20)
        cells = [(place, counts) for place, counts in list(self._cells.items()) if counts[0] + counts[1]]
        if not cells:
            return
        points = [(score * STEP, agreement * STEP) for (score, agreement), _ in cells]
        terms = np.array([features(*point) for point in points])
        start = terms[:, 1] + _lifts(terms)
        right = np.array([counts[0] for _, counts in cells])
        total = right + np.array([counts[1] for _, counts in cells])
        prior, mean = np.diag(1 / np.square(DEVIATIONS)), np.array(MEANS)
        weights = np.array(self._fit.weights) if self._fit else mean.copy()
        for _ in range(100):
            rate = 1 / (1 + np.exp(-(start + terms @ weights)))
            slope = terms.T @ (right - total * rate) - prior @ (weights - mean)
            step = np.linalg.solve(_curvature(terms, total, rate, prior), slope)
            weights += np.clip(step, -1, 1)
            if float(np.abs(step).max()) < 1e-9:
                break
        rate = 1 / (1 + np.exp(-(start + terms @ weights)))
        covariance = np.linalg.inv(_curvature(terms, total, rate, prior))
        self._fit = _Fit(tuple(weights.tolist()), tuple(map(tuple, covariance.tolist())))
        self._limits = {max_error: self._limit(max_error) for max_error in self._limits}


class Account:
    """What was served under one `max_error`, and how many of it must be expected to be wrong."""

    def __init__(self) -> None:
        self.served = 0
        self.wrong = 0.0

    def allows(self, error: float, max_error: float, limit: float) -> bool:
        """Whether an answer may be served that is wrong with probability `error`: on its own, or because there is room
        for it beside the others."""
        if error <= max_error:
            return True
        wrong = self.wrong + error
        return error <= limit and wrong + SLACK * math.sqrt(wrong) <= max_error * (self.served + 1)

    def add(self, error: float) -> None:
        """Count one that was served."""
        self.served += 1
        self.wrong += error


def _cell(score: float, agreement: float) -> tuple[int, int]:
    return round(score / STEP), round(agreement / STEP)


def _lifts(terms: Array) -> Array:
    """How far above the judge's logit the prior's mean lies: as far as its own pessimism takes it down again."""
    return PESSIMISM * np.sqrt(np.square(terms[:, :3] * DEVIATIONS[:3]).sum(axis=1))


def _curvature(terms: Array, total: Array, rate: Array, prior: Array) -> Array:
    return (terms * (total * rate * (1 - rate))[:, None]).T @ terms + prior
