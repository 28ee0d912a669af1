"""What is done with answers by the kind of prompt, in a real cache."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.cache.conftest import LENIENT

from askonce.cache.uses import USES, Use, reuse_of
from askonce.call import Unstorable

STORED, ASKED = "Where is my parcel, please?", "Where is my parcel?"


async def test_another_wording_of_what_does_not_last_is_a_miss_that_says_why(bench: Any) -> None:
    entry = await bench.remember(STORED)
    found = await bench.ask(ASKED)
    assert (found.outcome, found.reuse.kind) == ("miss", "state") and found.reason.startswith("state")
    assert entry.vector is None


async def test_the_same_wording_is_answered_as_ever(bench: Any) -> None:
    await bench.remember(STORED)
    assert (await bench.ask(STORED)).outcome == "exact"


async def test_what_lasts_is_found_and_says_so(bench: Any) -> None:
    await bench.remember("What is the capital of France?")
    found = await bench.ask("What's the capital of France?")
    assert (found.outcome, found.reuse.kind) == ("semantic", "lasting")


async def test_what_is_true_only_now_is_served_for_minutes(bench: Any, clock: Any) -> None:
    entry = await bench.remember("What's the weather like today?", ttl=9e9, stale=60)
    assert (entry.expires - entry.created, entry.stale_until) == (300, entry.expires)
    clock.now += 301
    assert (await bench.ask("What's the weather like today?")).reason == "expired"


async def test_a_rule_whose_answers_are_served_shorter_keeps_that(bench: Any) -> None:
    entry = await bench.remember("What's the weather like today?", ttl=20)
    assert entry.expires - entry.created == 20


async def test_a_use_may_allow_other_wordings(bench: Any) -> None:
    loose = USES | {"state": Use(semantic=True)}
    await bench.remember(STORED, uses=loose)
    assert (await bench.ask(ASKED, replace(LENIENT, uses=loose))).outcome == "semantic"
    assert (await bench.ask(ASKED)).outcome == "miss"


async def test_a_use_may_keep_nothing(bench: Any) -> None:
    with pytest.raises(Unstorable, match="act"):
        await bench.remember("Cancel my subscription.", uses={"act": Use(exact=False)})


async def test_a_call_with_a_live_tool_is_volatile(bench: Any) -> None:
    tools = {"tools": [{"type": "web_search"}]}
    entry = await bench.remember("What is the capital of France?", ttl=9e9, tools=tools)
    assert entry.expires - entry.created == 300
    found = await bench.ask("What's the capital of France?", tools=tools)
    assert (found.outcome, found.reason) == ("miss", "volatile: web_search")


def test_what_only_an_identical_call_may_answer_is_not_read(bench: Any) -> None:
    assert reuse_of(bench.call("What's the weather like today?", exact_only="tool result")).kind == "lasting"
