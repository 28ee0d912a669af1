import numpy as np
import pytest

from askonce.quality.labelled import Query
from askonce.quality.static import Static, best_static


def simulated(queries: list[Query], vectors: np.ndarray, threshold: float, part: str = "") -> tuple[int, int, int]:
    """(hits, wrong, exact) of a cache with one threshold, one question after the other; of one answer's or all."""
    stored: list[int] = []
    hits = wrong = exact = 0
    for place, query in enumerate(queries):
        if any(queries[other].text == query.text for other in stored):
            exact += part in ("", query.answer)
            continue
        best = max(stored, key=lambda other: float(vectors[other] @ vectors[place]), default=None)
        if best is not None and float(vectors[best] @ vectors[place]) >= threshold:
            hits += part in ("", query.answer)
            wrong += part in ("", query.answer) and queries[best].answer != query.answer
        else:
            stored.append(place)
    return hits, wrong, exact


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_does_what_it_is_said_to_do_and_none_does_better(seed: int) -> None:
    random = np.random.default_rng(seed)
    middles = random.normal(size=(8, 12))
    answers = random.integers(0, 8, size=120)
    rows = (middles[answers] + random.normal(scale=0.7, size=(120, 12))).astype(np.float32)
    repeated = random.integers(0, 120, size=20)
    rows = np.vstack([rows, rows[repeated]])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = [*range(120), *repeated.tolist()]
    queries = [Query(str(name), str(answers[name])) for name in names]
    for bound, found in best_static(queries, rows, (0.01, 0.05, 0.2)).items():
        assert (found.hits, found.wrong, found.exact) == simulated(queries, rows, found.threshold)
        assert found.wrong <= bound * found.hits
        for threshold in np.arange(0.4, 1.001, 0.05):
            hits, wrong, _ = simulated(queries, rows, threshold)
            assert hits <= found.hits or wrong > bound * hits
    threes = np.array([query.answer == "3" for query in queries])
    for found in best_static(queries, rows, [0.2], threes).values():
        assert (found.hits, found.wrong, found.exact) == simulated(queries, rows, found.threshold, "3")
        assert 0 < found.hits <= threes.sum()


def test_no_threshold_may_be_good_enough() -> None:
    queries = [Query(str(n), str(n)) for n in range(5)]
    found = best_static(queries, np.eye(1, 4, dtype=np.float32).repeat(5, axis=0), [0.02])
    assert found == {0.02: Static(1.0, 0, 0, 0)}
