"""How often somebody may ask."""

import time

import pytest
from pydantic import BaseModel

from askonce.rate_limits import Rate, Rates


class Spec(BaseModel):
    rate: Rate


def test_requests_are_counted_for_each_and_refused_past_the_rate() -> None:
    rates = Rates()
    standings = [rates.take("2/hour", "product", "ann") for _ in range(3)]
    assert [(standing.allowed, standing.remaining) for standing in standings] == [(True, 1), (True, 0), (False, 0)]
    assert rates.take("2/hour", "product", "bob").allowed
    assert rates.take("2/hour", "other", "ann").allowed
    assert rates.take("3/hour", "product", "ann").remaining == 2


def test_headers_tell_where_one_stands() -> None:
    rates, now = Rates(), time.time()
    first, second = rates.take("1/minute", "x"), rates.take("1/minute", "x")
    assert first.headers == {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(first.reset),
    }
    assert now + 59 <= first.reset <= now + 65
    assert second.headers == first.headers | {"Retry-After": str(second.wait)}
    assert 1 <= second.wait <= 60


def test_a_window_ends() -> None:
    rates = Rates()
    assert rates.take("1/second", "x").allowed
    assert not rates.take("1/second", "x").allowed
    time.sleep(1.05)
    assert rates.take("1/second", "x").allowed


@pytest.mark.parametrize("text", ["100/minute", "10 per 5 seconds", "1/day"])
def test_rates_that_are_understood(text: str) -> None:
    assert Spec(rate=text).rate == text


@pytest.mark.parametrize("text", ["", "often", "100", "100/fortnight", "-1/minute"])
def test_rates_that_are_not(text: str) -> None:
    with pytest.raises(ValueError, match="expected a rate such as 100/minute"):
        Spec(rate=text)
