"""The arithmetic against a slow reference written from docs/policy.md: lists of numbers, and no array anywhere."""

import math
import random
from collections.abc import Sequence

import pytest

from askonce.cache.learning.recalibration import FEW, WINDOW, Account, Posterior, consensus, logit, offset, probability

Observed = tuple[float, float, bool]
Row = list[float]

DEVIATIONS = [1.0, 0.3, 0.3, 0.5, 0.5]
MEANS = [0.0, 0.0, 0.0, 0.4, 0.4]


class Reference:
    """The posterior by the book: gradient and curvature summed observation by observation, systems solved by hand."""

    def __init__(self, observed: Sequence[Observed]) -> None:
        # Equal to the product's, which counts in cells half a unit wide.
        self.observed = [(round(s / 0.5) * 0.5, round(a / 0.5) * 0.5, right) for s, a, right in observed]
        self.mode = self._mode()
        rows = self._curvature(self.mode)
        columns = [solve(rows, [1.0 if i == j else 0.0 for j in range(5)]) for i in range(5)]
        self.covariance = columns  # symmetric

    @staticmethod
    def terms(score: float, agreement: float) -> Row:
        return [1.0, score, max(score - 2.0, 0.0), min(agreement, 0.0), max(agreement, 0.0)]

    @staticmethod
    def lift(terms: Row) -> float:
        return math.sqrt(sum((d * t) ** 2 for d, t in zip(DEVIATIONS[:3], terms[:3], strict=True)))

    def mean(self, score: float, agreement: float, weights: Row) -> float:
        terms = self.terms(score, agreement)
        return score + self.lift(terms) + sum(w * t for w, t in zip(weights, terms, strict=True))

    def bound(self, score: float, agreement: float) -> float:
        terms = self.terms(score, agreement)
        variance = sum(terms[i] * self.covariance[i][j] * terms[j] for i in range(5) for j in range(5))
        return self.mean(score, agreement, self.mode) - math.sqrt(variance)

    def log_posterior(self, weights: Row) -> float:
        total = -sum(((w - m) / d) ** 2 / 2 for w, m, d in zip(weights, MEANS, DEVIATIONS, strict=True))
        for score, agreement, right in self.observed:
            value = self.mean(score, agreement, weights)
            total -= math.log1p(math.exp(-value if right else value))
        return total

    def _curvature(self, weights: Row) -> list[Row]:
        rows = [[DEVIATIONS[i] ** -2 if i == j else 0.0 for j in range(5)] for i in range(5)]
        for score, agreement, _ in self.observed:
            rate = 1 / (1 + math.exp(-self.mean(score, agreement, weights)))
            terms = self.terms(score, agreement)
            for i in range(5):
                for j in range(5):
                    rows[i][j] += rate * (1 - rate) * terms[i] * terms[j]
        return rows

    def _mode(self) -> Row:
        weights = list(MEANS)
        for _ in range(200):
            slope = [(m - w) / d**2 for w, m, d in zip(weights, MEANS, DEVIATIONS, strict=True)]
            for score, agreement, right in self.observed:
                rate = 1 / (1 + math.exp(-self.mean(score, agreement, weights)))
                for i, term in enumerate(self.terms(score, agreement)):
                    slope[i] += (right - rate) * term
            step = solve(self._curvature(weights), slope)
            length, here = 1.0, self.log_posterior(weights)
            while length > 1e-6 and self.log_posterior(moved(weights, step, length)) < here:
                length /= 2
            weights = moved(weights, step, length)
            if max(map(abs, step)) < 1e-10:
                break
        return weights


def moved(weights: Row, step: Row, length: float) -> Row:
    return [w + length * s for w, s in zip(weights, step, strict=True)]


def solve(rows: list[Row], right: Row) -> Row:
    """Gauss' elimination."""
    size = len(right)
    table = [[*row, value] for row, value in zip(rows, right, strict=True)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(table[r][i]))
        table[i], table[pivot] = table[pivot], table[i]
        for r in range(size):
            if r != i:
                factor = table[r][i] / table[i][i]
                table[r] = [x - factor * y for x, y in zip(table[r], table[i], strict=True)]
    return [table[i][size] / table[i][i] for i in range(size)]


def states(count: int) -> list[list[Observed]]:
    """Random evidence: few and many, one-sided and mixed, agreeing with the judge and not."""
    chance = random.Random(4)
    found = []
    for _ in range(count):
        bias, slope, votes = chance.gauss(0, 2), chance.uniform(0, 2), chance.uniform(-0.5, 2)
        state = []
        for _ in range(chance.choice((1, 1, 2, 2, 3, 5, 8, 21))):
            score = chance.uniform(-5, 7)
            agreement = chance.choice((0.0, chance.uniform(-4.7, 4.7)))
            truth = 1 / (1 + math.exp(-(bias + slope * score + votes * agreement)))
            state.append((score, agreement, chance.random() < truth))
        found.append(state)
    return found


def test_the_bound_is_that_of_the_reference_in_a_thousand_states() -> None:
    chance = random.Random(5)
    for observed in states(1000):
        fast, slow = Posterior(), Reference(observed)
        for observation in observed:
            fast.observe(*observation)
        for _ in range(3):
            asked = chance.uniform(-5, 7), chance.choice((0.0, chance.uniform(-4.7, 4.7)))
            assert fast.bound(*asked) == pytest.approx(slow.bound(*asked), abs=1e-6)
            assert fast.expected(*asked) == pytest.approx(slow.mean(*asked, slow.mode), abs=1e-6)


def test_the_limit_is_that_of_the_reference() -> None:
    chance = random.Random(6)
    for _ in range(20):
        fast = Posterior()
        cells: dict[tuple[float, float], list[int]] = {}
        for _ in range(FEW + 20):
            score, agreement = chance.randint(-8, 14) / 2, chance.randint(-8, 8) / 2
            right = chance.random() < probability(score + agreement)
            counts = cells.setdefault((score, agreement), [0, 0])
            counts[0] += 1
            fast.observe(score, agreement, right)
            for _ in range(chance.choice((0, 0, 3))):
                fast.seen(score, agreement)
                counts[1] += 1
        fast.fit()
        for max_error in (0.01, 0.05, 0.2):
            errors = sorted((1 - probability(fast.bound(*cell)), max(counts)) for cell, counts in cells.items())
            expected = 0.0
            for n in range(1, len(errors) + 1):
                wrong, total = sum(e * k for e, k in errors[:n]), sum(k for _, k in errors[:n])
                if wrong > max_error * total:
                    break
                expected = errors[n - 1][0]
            assert fast.limit(max_error) == pytest.approx(expected, abs=1e-12)


def test_without_evidence_the_judge_is_taken_at_its_word() -> None:
    posterior = Posterior()
    for score in (-5.0, 0.0, 3.9, 7.0):
        assert posterior.bound(score, 0.0) == posterior.expected(score, 2.0) == score
    assert posterior.limit(0.05) == 0.0


def test_the_first_observation_moves_the_bound_little() -> None:
    for right in (True, False):
        posterior = Posterior()
        posterior.observe(1.0, 0.0, right)
        assert posterior.bound(4.0, 0.0) == pytest.approx(4.0, abs=1.2)
        assert (posterior.bound(1.0, 0.0) > 1.0) is right


def test_evidence_works_in_its_own_direction() -> None:
    bad, good = Posterior(), Posterior()
    for _ in range(40):
        bad.observe(3.0, 0.0, False)
        good.observe(3.0, 0.0, True)
    assert bad.bound(4.0, 0.0) < 1.0
    assert good.bound(4.0, 0.0) > 4.5


def test_what_was_learned_can_be_unlearned() -> None:
    posterior = Posterior()
    for _ in range(WINDOW):
        posterior.observe(3.0, 0.0, True)
    assert posterior.bound(3.0, 0.0) > 6.0
    for _ in range(2 * WINDOW):
        posterior.observe(3.0, 0.0, False)
    assert posterior.count <= WINDOW
    assert posterior.bound(3.0, 0.0) < 0.0


def test_votes_count_by_nearness_and_only_where_answers_can_be_told_apart() -> None:
    assert consensus(0, 0.9, [(0, 0.9), (7, 0.8)]) == 0.0
    assert consensus(7, 0.9, [(7, 0.9)]) == 0.0
    assert consensus(7, 0.9, [(7, 0.9), (0, 0.9), (-8, 0.9)]) == 0.0
    assert consensus(-7, 0.9, [(-7, 0.9), (8, 0.9)]) == 0.0
    assert consensus(7, 0.9, [(7, 0.9), (7, 0.9)]) == pytest.approx(math.log(1.1 / 0.1))
    assert consensus(7, 0.9, [(7, 0.9), (8, 0.8)]) == pytest.approx(math.log(0.1 / (math.exp(-1) + 0.1)))
    assert consensus(8, 0.8, [(7, 0.9), (8, 0.8), (8, 0.8)]) == pytest.approx(math.log((math.exp(-1) + 0.1) / 1.1))


def test_an_entrys_own_record_is_a_step_towards_it() -> None:
    assert offset(0.0, 0.0) == 0.0
    assert offset(-0.95, 0.0475) == pytest.approx(-0.95 / 1.0475)


def test_a_probability_is_cut_to_what_a_judge_can_mean() -> None:
    assert logit(0.0) == -5.0
    assert logit(1.0) == 7.0
    assert logit(0.5) == 0.0
    assert probability(logit(0.98)) == pytest.approx(0.98)
    assert probability(-1000.0) == 0.0


def test_the_account_never_goes_over() -> None:
    chance = random.Random(7)
    account, served = Account(), 0
    for _ in range(5_000):
        error = chance.choice((0.0001, 0.005, 0.03, 0.2))
        if account.allows(error, 0.01, limit=0.05):
            account.add(error)
            served += error == 0.03
            assert account.wrong <= 0.01 * account.served + 1e-9
            assert error != 0.2
    assert served > 100
