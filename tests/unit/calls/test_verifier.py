"""The gray-zone verifier against an endpoint of the test's own: what counts as a yes, and what is remembered."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.waiting import PATIENCE, until_so
from tests.unit.calls.verdicts import Endpoint, serving

from askonce.accounting import Accounting
from askonce.calls.verifier import Asking, Verifier
from askonce.faults import Faults

ONE, OTHER = "What is the capital of France?", 'Tell me "the capital" of France'


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as server:
        server.error = f"no: {ONE}"
        yield server


@pytest.fixture
def accounting() -> Accounting:
    return Accounting()


@pytest.fixture
async def verifier(accounting: Accounting, endpoint: Endpoint) -> Any:
    made = Verifier(Faults(accounting.fault))
    await made.prepare(asking(endpoint))
    yield made
    await made.close()


def asking(endpoint: Endpoint, **more: Any) -> Asking:
    return Asking(**({"url": endpoint.url, "model": "small", "key": "sk-1", "timeout": PATIENCE} | more))


async def test_a_yes_is_asked_for_once_whichever_came_first(verifier: Verifier, endpoint: Endpoint) -> None:
    assert await verifier.same(ONE, OTHER, asking(endpoint))
    assert await verifier.same(OTHER, ONE, asking(endpoint))
    [asked] = endpoint.asked
    assert (asked["model"], asked["key"], asked["path"]) == ("small", "Bearer sk-1", "/v1/chat/completions")
    system, user = asked["messages"]
    assert "YES or NO" in system["content"]
    assert user["content"] == f"Prompt 1: {json.dumps(ONE)}\nPrompt 2: {json.dumps(OTHER)}"


@pytest.mark.parametrize(
    ("said", "same"),
    [
        (" yes\n", True),
        ("YES", True),
        ("NO", False),
        ("YES.", False),
        ("Yes, they do", False),
        ("", False),
        (None, False),
    ],
)
async def test_only_a_plain_yes_counts(verifier: Verifier, endpoint: Endpoint, said: Any, same: bool) -> None:
    endpoint.said = said
    for _ in range(2):
        assert await verifier.same(ONE, OTHER, asking(endpoint)) is same
    assert len(endpoint.asked) == 1


async def test_another_model_is_asked_anew(verifier: Verifier, endpoint: Endpoint) -> None:
    endpoint.said = "NO"
    assert not await verifier.same(ONE, OTHER, asking(endpoint))
    endpoint.said = "YES"
    assert await verifier.same(ONE, OTHER, asking(endpoint, model="large"))


async def test_a_failure_is_a_no_that_is_not_remembered_and_logs_no_text(
    verifier: Verifier, endpoint: Endpoint, accounting: Accounting, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.status = 401
    assert not await verifier.same(ONE, OTHER, asking(endpoint))
    endpoint.status, endpoint.is_silent = 200, True
    assert not await verifier.same(ONE, OTHER, asking(endpoint, timeout=0.1))
    endpoint.is_silent = False
    assert await verifier.same(ONE, OTHER, asking(endpoint))
    assert accounting.faults() == {"gray zone verifier": 2}
    assert "small: AuthenticationError 401" in caplog.text
    assert not any(text in caplog.text for text in (ONE, OTHER, "sk-1"))


async def test_those_who_ask_the_same_at_once_ask_once(verifier: Verifier, endpoint: Endpoint) -> None:
    endpoint.is_silent = True
    asked = asyncio.gather(*(verifier.same(ONE, OTHER, asking(endpoint)) for _ in range(5)))
    await until_so(lambda: endpoint.asked)
    endpoint.go.set()
    assert await asked == [True] * 5
    assert len(endpoint.asked) == 1


async def test_who_stops_waiting_disturbs_nobody(verifier: Verifier, endpoint: Endpoint) -> None:
    endpoint.is_silent = True
    first = asyncio.ensure_future(verifier.same(ONE, OTHER, asking(endpoint)))
    second = asyncio.ensure_future(verifier.same(ONE, OTHER, asking(endpoint)))
    await until_so(lambda: endpoint.asked)
    first.cancel()
    endpoint.go.set()
    assert await second


async def test_a_burst_asks_for_a_few_only(verifier: Verifier, endpoint: Endpoint) -> None:
    endpoint.is_silent = True
    asked = asyncio.gather(*(verifier.same(ONE, f"{OTHER} {n}", asking(endpoint)) for n in range(20)))
    await until_so(lambda: len(endpoint.asked) == 8)
    endpoint.go.set()
    found = await asked
    assert sum(found) == len(endpoint.asked) == 8


async def test_what_is_too_long_to_judge_is_not_asked(verifier: Verifier, endpoint: Endpoint) -> None:
    assert not await verifier.same(ONE, "x" * 4001, asking(endpoint))
    assert await verifier.same("\ud800 lone", ONE, asking(endpoint))
    assert len(endpoint.asked) == 1
