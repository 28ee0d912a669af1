import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from askonce.quality.metrics import Measures, PairDecisions, coverage, curve, measure, recall_within

SCORES = np.array([0.9, 0.8, 0.8, 0.5, 0.0, 0.0])
LABELS = np.array([1, 1, 0, 1, 0, 0], dtype=np.int8)
ranked = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), st.integers(0, 1)), min_size=1, max_size=60)


def test_pairs_of_one_score_are_served_together() -> None:
    served, wrong = curve(SCORES, LABELS)
    assert served.tolist() == [1, 3, 4, 6]
    assert wrong.tolist() == [0, 1, 1, 3]


def test_coverage_is_the_largest_share_within_the_error() -> None:
    assert coverage(SCORES, LABELS, 0.0) == 1 / 6
    assert coverage(SCORES, LABELS, 0.25) == 4 / 6  # though at three pairs a third is wrong
    assert coverage(SCORES, LABELS, 0.5) == 1.0
    assert coverage(SCORES, 1 - LABELS, 0.05) == 0.0


@given(ranked, st.sampled_from([0.0, 0.01, 0.05, 0.3]))
def test_coverage_as_it_is_defined(rows: list[tuple[float, int]], error: float) -> None:
    scores, labels = np.array([s for s, _ in rows]), np.array([label for _, label in rows], dtype=np.int8)
    best = 0.0
    for threshold in {s for s, _ in rows}:
        served = [label for s, label in rows if s >= threshold]
        if served.count(0) / len(served) <= error:
            best = max(best, len(served) / len(rows))
    assert coverage(scores, labels, error) == best


@given(ranked, st.sampled_from([0.0, 0.01, 0.2]))
def test_recall_at_a_false_reuse(rows: list[tuple[float, int]], reuse: float) -> None:
    scores, labels = np.array([s for s, _ in rows]), np.array([label for _, label in rows], dtype=np.int8)
    good, bad = [s for s, label in rows if label], [s for s, label in rows if not label]
    best = 0.0
    for threshold in {s for s, _ in rows}:
        if sum(s >= threshold for s in bad) <= reuse * len(bad) and good:
            best = max(best, sum(s >= threshold for s in good) / len(good))
    assert recall_within(scores, labels, reuse) == best


def test_shares() -> None:
    decisions = PairDecisions(np.array([True, True, True, False, False, False]), SCORES, 3.0)
    assert measure(decisions, LABELS) == Measures(6, 3, 2 / 3, 1 / 3, 1 / 3, 1 / 6, 1 / 6)
    assert measure(decisions, LABELS, SCORES < 0.6) == Measures(3, 0, 0.0, 0.0, 0.0, 1 / 3, 1 / 3)
    assert measure(decisions, LABELS, SCORES == 0) == Measures(2, 0, None, 0.0, 0.0, 0.0, 0.0)
    assert measure(decisions, LABELS, SCORES == 0.9) == Measures(1, 1, 1.0, None, 0.0, 1.0, 1.0)
