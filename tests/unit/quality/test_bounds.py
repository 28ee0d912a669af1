from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.quality.bounds import lower, needed, upper

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def at_most(wrong: int, of: int, share: float) -> float:
    """The chance of `wrong` or fewer in `of`, from the binomial distribution."""
    return sum(comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(wrong + 1))


@given(counts, st.sampled_from([0.9, 0.95, 0.995]))
def test_bounds_solve_the_binomial_equations(count: tuple[int, int], confidence: float) -> None:
    wrong, of = count
    if wrong < of:
        assert at_most(wrong, of, upper(wrong, of, confidence)) == pytest.approx(1 - confidence)
    if wrong:
        assert 1 - at_most(wrong - 1, of, lower(wrong, of, confidence)) == pytest.approx(1 - confidence)


def test_ends() -> None:
    assert (upper(0, 0), upper(5, 5), lower(0, 5)) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05])
def test_how_many_it_takes(share: float) -> None:
    count = needed(share)
    assert upper(0, count) <= share < upper(0, count - 1)
