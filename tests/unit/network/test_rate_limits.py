"""How often somebody may ask."""

import subprocess
import sys
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


def test_a_rate_in_figures_is_counted_without_what_reads_texts() -> None:
    """`limits` takes a tenth of a second to import, and who counts may be the event loop."""
    program = """
import sys
from askonce.network.rate_limits import Rates
rates = Rates()
print([rates.count(1, 3600, "x").allowed for _ in range(2)], "limits" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[True, False] False\n"


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
