"""What is served of the nearest entries: judged by a table, so that each rule can be seen by itself."""

from collections.abc import Sequence

import numpy as np
import pytest

from askonce.cache import Candidate, Judgement, Policy, Vector
from askonce.cache.decision import Neighbour, decide
from askonce.cache.learning.pools import Learning, Observation

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


def test_nothing_is_served_below_the_floor_whatever_the_judge_says() -> None:
    table = Table(a=1.0, b=1.0)
    for policy in (TWO, Policy(max_error=1.0), Policy(min_similarity=0.0)):
        refused = decide(table, "?", HERE, near(a=0.29, b=0.06), policy)
        assert (refused.served, refused.probability, refused.reason) == (None, None, "similarity 0.290 < 0.300")
    assert table.asked == []
    assert decide(Table(a=0.5, b=1.0), "?", HERE, near(a=0.31, b=0.29), TWO).served is None
    assert decide(table, "?", HERE, near(a=0.31), TWO).served


def learned(right: int, wrong: int) -> Learning:
    """Evidence of a partition in which agreeing neighbours are right, and others are not."""
    seen = [Observation(b"p", "t", 0, 1.0, 4.0, True, "miss", 0.0)] * right
    return Learning(seen + [Observation(b"p", "t", 0, 1.0, -4.0, False, "miss", 0.0)] * wrong)


def test_agreeing_neighbours_serve_what_the_judge_alone_would_not() -> None:
    table = Table(a=0.9, b=0.9, c=0.9)
    found = [(Neighbour(prompt, HERE, id=n, kin=7), 0.9) for n, prompt in enumerate("abc", 1)]
    votes = [(7, 0.9)] * 12
    pool = learned(200, 200).pool(b"p", "t")
    assert decide(table, "?", HERE, found, TWO, evidence=pool).served is None
    table.asked.clear()
    decision = decide(table, "?", HERE, found, TWO, evidence=pool, around=votes)
    assert decision.served is found[0][0]
    assert table.asked == ["a"], "where all agree, the others need no judging"
    assert decision.probability and decision.probability > 0.98
    assert decision.weighed and decision.weighed.agreement > 4


def test_the_answer_that_most_neighbours_give_goes_before_the_nearest() -> None:
    found = [(Neighbour("a", HERE, kin=8), 0.91), (Neighbour("b", HERE, kin=7), 0.9)]
    pool = learned(200, 200).pool(b"p", "t")
    decision = decide(Table(a=0.9, b=0.9), "?", HERE, found, TWO, evidence=pool, around=[(8, 0.91)] + [(7, 0.9)] * 11)
    assert decision.nearest is found[1][0]


def test_no_evidence_serves_what_a_guard_refused() -> None:
    found = [(Neighbour("a", HERE, kin=7), 0.9)]
    pool = learned(500, 0).pool(b"p", "t")
    decision = decide(Table(a=0.0), "?", HERE, found, TWO, evidence=pool, around=[(7, 0.9)] * 12)
    assert (decision.served, decision.reason, decision.weighed) == (None, "number: 5 / 7", None)


def test_an_objection_that_leaves_a_chance_is_not_overruled_by_evidence() -> None:
    class Doubting:
        def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
            return [Judgement(0.9, "number: 5 / 7")]

    found = [(Neighbour("a", HERE, kin=7), 0.9)]
    decision = decide(
        Doubting(), "?", HERE, found, TWO, evidence=learned(500, 0).pool(b"p", "t"), around=[(7, 0.9)] * 12
    )
    assert (decision.served, decision.reason) == (None, "number: 5 / 7")


class Look:
    """A closer look whose verdict is known; keeps what it was shown."""

    def __init__(self, probability: float) -> None:
        self.probability = probability
        self.shown: list[tuple[str, str, float]] = []

    def __call__(self, prompt: str, candidate: str, judgement: Judgement) -> Judgement:
        self.shown.append((prompt, candidate, judgement.probability))
        return Judgement(self.probability)


def test_the_most_probable_is_looked_at_more_closely_where_none_is_served() -> None:
    look = Look(0.99)
    decision = decide(Table(a=0.5, b=0.7, c=0.6), "?", HERE, near(a=0.9, b=0.8, c=0.7), TWO, look_closer=look)
    assert decision.served and (decision.served.prompt, decision.probability) == ("b", 0.99)
    assert look.shown == [("?", "b", 0.7)]


def test_a_closer_look_that_finds_nothing_says_what_it_found() -> None:
    decision = decide(Table(a=0.5, b=0.7), "?", HERE, near(a=0.9, b=0.8), TWO, look_closer=Look(0.3))
    assert (decision.served, decision.nearest.prompt, decision.reason) == (None, "b", "probability 0.30 < 0.98")


@pytest.mark.parametrize("table", [Table(a=0.99), Table(a=0.0)])
def test_what_is_served_or_refused_is_not_looked_at(table: Table) -> None:
    look = Look(0.99)
    decide(table, "?", HERE, near(a=0.9), TWO, look_closer=look)
    assert look.shown == []
