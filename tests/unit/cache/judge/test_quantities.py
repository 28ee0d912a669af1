"""Equal quantities in other units: which are made one, and which are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.judge import Candidate
from askonce.cache.judge.lexicon import SIZES, UNITS
from askonce.cache.judge.quantities import in_same_units
from askonce.cache.judge.trained import TrainedJudge

NOWHERE = np.zeros(256, dtype=np.float32)
SHIPPED = TrainedJudge.load()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can I return shoes within 21 days?", "Can I return shoes within three weeks?"),
        ("Can I return shoes within 24 months?", "Can I return shoes within two years?"),
        ("Is a 14-day trial free?", "Is a two-week trial free?"),
        ("Is a child of one year allowed to fly free?", "Is a child of 12 months allowed to fly free?"),
        ("How far can an electric car go in an hour?", "How far can an electric car go in 60 minutes?"),
        ("Is it closed for half an hour at 3 pm?", "Is it closed for 30 minutes at 3 pm?"),
        ("May I carry 2 kg of cheese and 3 apples?", "May I carry 2000 g of cheese and 3 apples?"),
        ("May I carry 1.5 litres of wine?", "May I carry 1500 ml of wine?"),
    ],
)
def test_a_quantity_in_another_unit_is_the_same(one: str, other: str) -> None:
    assert in_same_units(one, other) == (one, one)
    for asked, stored in ((one, other), (other, one)):
        (judged,) = SHIPPED.judge(asked, NOWHERE, [Candidate(stored, NOWHERE, 0.9)])
        assert judged.probability >= TrainedJudge.REWORDED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How many days are in two weeks?", "How many days are in 14 days?"),
        ("Convert 60 minutes.", "Convert one hour."),
        ("How do I say 21 days in German?", "How do I say three weeks in German?"),
        ("Is 60 minutes less than two hours?", "Is one hour less than two hours?"),
        ("Is a 14-day trial free?", "Is a 14-week trial free?"),
        ("Is 30 days' notice enough?", "Is a month's notice enough?"),
        ("Is it 2 kg?", "Is it 2 lb?"),
        ("Is it 2 kg?", "Is it 200 g?"),
        ("Is a second enough?", "Is 1000 ms enough?"),
        ("Is a month 1 year?", "Is a month 12 months?"),
        ("Can I take 2 of 500 mg?", "Can I take 2 of 500 mg?"),
        ("2 days or 1 week?", "48 hours or 7 days?"),
        ("Why?", "Can I return shoes within 21 days?"),
    ],
)
def test_what_may_differ_stays(one: str, other: str) -> None:
    assert in_same_units(one, other) == (one, other)
    assert in_same_units(other, one) == (other, one)


AMOUNTS = st.tuples(st.integers(1, 10_000), st.sampled_from(sorted(SIZES)))


@given(AMOUNTS, AMOUNTS)
def test_only_equal_sizes_are_made_one(one: tuple[int, str], other: tuple[int, str]) -> None:
    left, right = (f"Is it kept for {number} {unit} there?" for number, unit in (one, other))
    (measure, factor), (another, size) = SIZES[UNITS[one[1]]], SIZES[UNITS[other[1]]]
    if in_same_units(left, right) != (left, right):
        assert (measure, factor * one[0]) == (another, size * other[0]) and one[1] != other[1]
