"""Who asks for an answer that is on its way into the store waits for it, and nobody else does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.cache.conftest import Bench

from askonce.cache import Lookup, Pending
from askonce.cache.pending import PendingAnswers

FRANCE, REWORDED = "What is the capital of France?", "Tell me what the capital of France is."
OTHER = "How do I cook rice?"

Expect = Callable[..., Pending]


@pytest.fixture
async def expect(bench: Bench) -> AsyncIterator[Expect]:
    """An answer is expected; what is still expected at the end is no more."""
    expected = list[Pending]()
    await bench.cache.ready()

    def expect(prompt: str, found: Lookup | None = None) -> Pending:
        call = bench.call(prompt)
        expected.append(bench.cache.expect(call, bench.identify(call), found))
        return expected[-1]

    yield expect
    for pending in expected:
        bench.cache.expect_no_more(pending)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once somebody waits for an answer that is expected."""
    begun, wait = asyncio.Event(), PendingAnswers.wait

    async def waiting(answers: PendingAnswers, pending: Any) -> None:
        some = list(pending)
        if some:
            begun.set()
        await wait(answers, some)

    monkeypatch.setattr(PendingAnswers, "wait", waiting)
    return begun


@pytest.mark.parametrize("asked", [FRANCE, REWORDED])
@pytest.mark.parametrize("stored_before", [False, True])
async def test_a_hit_on_what_is_being_stored(
    bench: Bench, expect: Expect, waits: asyncio.Event, asked: str, *, stored_before: bool
) -> None:
    if stored_before:  # then the look-up has made a vector
        await bench.remember(OTHER)
    pending = expect(FRANCE, await bench.ask(FRANCE))
    asking = asyncio.ensure_future(bench.ask(asked))
    await waits.wait()
    await bench.remember(FRANCE)
    bench.cache.expect_no_more(pending)
    found = await asking
    assert (found.outcome, found.entry and found.entry.prompt) == ("exact" if asked == FRANCE else "semantic", FRANCE)
    assert bench.cache.stats()["misses"] == 1, "who waited is counted once"


async def test_a_miss_where_it_could_not_be_kept(bench: Bench, expect: Expect, waits: asyncio.Event) -> None:
    pending = expect(FRANCE)
    asking = asyncio.ensure_future(bench.ask(REWORDED))
    await waits.wait()
    bench.cache.expect_no_more(pending)
    assert (await asking).outcome == "miss"


async def test_other_questions_do_not_wait(bench: Bench, expect: Expect, waits: asyncio.Event) -> None:
    expect(FRANCE)
    assert (await bench.ask(OTHER)).outcome == "miss"
    assert (await bench.ask(REWORDED, scope="sk-2")).outcome == "miss"
    assert not waits.is_set()


async def test_the_newer_answer_is_given_once_it_is_whole(bench: Bench, expect: Expect, waits: asyncio.Event) -> None:
    await bench.remember(FRANCE, body=b'"old"')
    pending = expect(FRANCE)
    asking = asyncio.ensure_future(bench.ask(FRANCE))
    await waits.wait()
    await bench.remember(FRANCE, body=b'"new"')
    bench.cache.expect_no_more(pending)
    found = await asking
    assert found.entry
    assert found.entry.answer.body == b'"new"'


async def test_nobody_waits_for_ever(bench: Bench, expect: Expect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("askonce.cache.pending.PATIENCE", 0.001)
    expect(FRANCE)
    assert (await bench.ask(FRANCE)).outcome == "miss"
