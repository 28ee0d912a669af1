"""What is served of the nearest entries: judged by a table, so that each rule can be seen by itself."""

from collections.abc import Sequence

import numpy as np
import pytest

from askonce.cache import Candidate, Judgement, Policy, Vector
from askonce.cache.decision import Neighbour, decide

HERE = np.ones(1, dtype=np.float32)
TWO = Policy(max_error=0.02)


class Table:
    """Probabilities by prompt; counts what it was asked."""

    def __init__(self, **probabilities: float) -> None:
        self.probabilities = probabilities
        self.asked: list[str] = []

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        self.asked += [candidate.prompt for candidate in candidates]
        return [Judgement(p, "" if p else "number: 5 / 7") for p in (self.probabilities[c.prompt] for c in candidates)]


def near(**cosines: float) -> list[tuple[Neighbour, float]]:
    return [(Neighbour(prompt, HERE), cosine) for prompt, cosine in cosines.items()]


def test_the_nearest_alone_is_judged_where_it_is_beyond_doubt() -> None:
    table = Table(a=0.996, b=1.0)
    decision = decide(table, "?", HERE, near(a=0.9, b=0.8), TWO)
    assert decision.served is decision.nearest
    assert (decision.nearest.prompt, decision.similarity, decision.probability, decision.reason) == (
        "a",
        0.9,
        0.996,
        "",
    )
    assert table.asked == ["a"]


def test_the_most_probable_is_served_not_the_nearest() -> None:
    decision = decide(Table(a=0.981, b=0.99, c=0.1), "?", HERE, near(a=0.9, b=0.8, c=0.7), TWO)
    assert decision.served and decision.served.prompt == "b"


def test_a_fresh_one_goes_before_a_stale_one() -> None:
    stale, fresh = Neighbour("a", HERE, expires=10.0), Neighbour("b", HERE)
    decision = decide(Table(a=1.0, b=0.98), "?", HERE, [(stale, 0.9), (fresh, 0.8)], TWO, now=10.0)
    assert decision.served is fresh
    decision = decide(Table(a=1.0, b=0.97), "?", HERE, [(stale, 0.9), (fresh, 0.8)], TWO, now=10.0)
    assert decision.served is stale


@pytest.mark.parametrize(("probability", "reason"), [(0.975, "probability 0.97 < 0.98"), (0.0, "number: 5 / 7")])
def test_what_is_not_probable_enough_is_a_miss_that_says_why(probability: float, reason: str) -> None:
    decision = decide(Table(a=probability), "?", HERE, near(a=0.9), TWO)
    assert (decision.served, decision.nearest.prompt, decision.similarity) == (None, "a", 0.9)
    assert (decision.probability, decision.reason) == (probability, reason)


def test_a_raw_threshold_is_asked_before_the_judge() -> None:
    table, policy = Table(a=1.0, b=1.0), Policy(min_similarity=0.85)
    refused = decide(table, "?", HERE, near(a=0.84), policy)
    assert (refused.served, refused.probability, refused.reason) == (None, None, "similarity 0.840 < 0.850")
    assert table.asked == []
    assert decide(Table(a=0.5, b=1.0), "?", HERE, near(a=0.86, b=0.84), policy).served is None
