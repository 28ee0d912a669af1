"""How often somebody may ask."""

import time

import pytest
from pydantic import BaseModel

from askonce.network.rate_limits import Rate, Rates


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
    now = [0.0]
    rates = Rates(lambda: now[0])
    assert rates.take("1/second", "x").allowed
    now[0] = 0.99
    assert not rates.take("1/second", "x").allowed
    now[0] = 1.0
    assert rates.take("1/second", "x").allowed


def test_windows_that_have_ended_are_forgotten() -> None:
    now = [0.0]
    rates = Rates(lambda: now[0])
    rates.take("1/hour", "she who stays")
    for number in range(10_000):
        now[0] += 0.01
        rates.take("1/second", str(number))
    assert len(rates._windows) < 2_100
    assert not rates.take("1/hour", "she who stays").allowed


@pytest.mark.parametrize("text", ["100/minute", "10 per 5 seconds", "1/day"])
def test_rates_that_are_understood(text: str) -> None:
    assert Spec(rate=text).rate == text


@pytest.mark.parametrize("text", ["", "often", "100", "100/fortnight", "-1/minute"])
def test_rates_that_are_not(text: str) -> None:
    with pytest.raises(ValueError, match="expected a rate such as 100/minute"):
        Spec(rate=text)
