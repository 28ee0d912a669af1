"""Clocks that jump: nobody is served for longer than an answer may live, and nobody waits for time that was lost."""

from typing import Any

import pytest

from askonce.cache import FOREVER
from askonce.network.rate_limits import Rates

ASKED = "How do I sort a list in Python?"
REWORDED = "What is the way to sort a Python list?"
YEAR = 365 * 86400.0


@pytest.mark.parametrize("back", [61.0, 3600.0, YEAR])
async def test_an_answer_of_the_future_is_not_served(bench: Any, clock: Any, back: float) -> None:
    await bench.remember(ASKED, ttl=3600)
    clock.now -= back
    for _ in range(2):
        assert (await bench.ask(ASKED)).reason == "from the future"
        assert (await bench.ask(REWORDED)).outcome == "miss"
        await bench.restart()
    await bench.remember(ASKED, ttl=3600)
    assert (await bench.ask(ASKED)).outcome == "exact"
    assert (await bench.ask(REWORDED)).outcome == "semantic"
    clock.now += 3601
    assert (await bench.ask(ASKED)).reason == "expired"


async def test_a_clock_that_is_set_right_by_seconds_costs_nothing(bench: Any, clock: Any) -> None:
    await bench.remember(ASKED)
    clock.now -= 59
    assert (await bench.ask(ASKED)).outcome == "exact"
    assert (await bench.ask(REWORDED)).outcome == "semantic"


async def test_a_clock_that_was_ahead_for_a_while(bench: Any, clock: Any) -> None:
    await bench.remember(ASKED, ttl=3600)
    clock.now += YEAR
    assert (await bench.ask(ASKED)).reason == "expired"
    ahead = await bench.remember("Who painted the Mona Lisa?", ttl=3600)
    clock.now -= YEAR
    assert (await bench.ask(ASKED)).outcome == "exact"
    assert (await bench.ask(ahead.prompt)).reason == "from the future"


async def test_what_has_no_end_is_served_whatever_the_clock_says(bench: Any, clock: Any) -> None:
    await bench.remember(ASKED, ttl=FOREVER - clock.now)
    clock.now -= YEAR
    assert (await bench.ask(ASKED)).outcome == "exact"


@pytest.mark.parametrize("jump", [-YEAR, YEAR])
def test_a_limit_is_over_when_its_window_is_whatever_the_wall_clock_says(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    elapsed, wall = [1_000.0], [1_800_000_000.0]
    monkeypatch.setattr("askonce.network.rate_limits.time.time", lambda: wall[0])
    rates = Rates(clock=lambda: elapsed[0])
    assert [rates.take("1/minute", "ann").allowed for _ in range(2)] == [True, False]
    wall[0] += jump
    elapsed[0] += 59
    late = rates.take("1/minute", "ann")
    assert (late.allowed, late.wait, late.reset) == (False, 1, wall[0] + 1)
    elapsed[0] += 1
    assert rates.take("1/minute", "ann").allowed
