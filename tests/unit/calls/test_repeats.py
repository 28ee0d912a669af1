"""Calls of a cassette that are asked more than once, and errors that it holds."""

from typing import Any

import pytest
from tests.support.clock import Clock
from tests.support.lives import make_life
from tests.unit.calls.conftest import FRANCE, FRANCE_REWORDED, JSON, PARIS, Bench

from askonce.cache import Cache
from askonce.call import Reply

BUSY = b'{"error": {"message": "slow down"}}'


class CassetteBench(Bench):
    """One cache, and lives of several modes over it."""

    def open(self, mode: str, **more: Any) -> None:
        self.life = make_life(self.rules, self.cache, clock=self.clock, mode=mode, lasting=True, **more)

    async def say(self, text: str, question: str = FRANCE, **more: Any) -> None:
        """A call to which the provider says `text`."""
        exchange, reply = await self.enter(question)
        assert reply is None
        await self.answer(exchange, PARIS.replace(b"Paris.", text.encode()), **more)

    async def hear(self, question: str = FRANCE, **more: Any) -> Reply:
        exchange, reply = await self.enter(question, **more)
        assert reply
        self.life.account(exchange)
        return reply

    async def told(self, *questions: str) -> list[str]:
        bodies = [(await self.hear(question)).body for question in questions]
        return [text for body in bodies for text in ("one", "two", "three", "other") if f'"{text}"'.encode() in body]


@pytest.fixture
def cassette(opened: tuple[Cache, Clock]) -> CassetteBench:
    return CassetteBench(*opened)


async def test_what_was_asked_twice_is_played_in_its_order(cassette: CassetteBench) -> None:
    cassette.open("record")
    for text, question in (("one", FRANCE), ("other", "And Spain?"), ("two", FRANCE), ("three", FRANCE)):
        await cassette.say(text, question)
    assert len(await cassette.cache.list()) == 4

    for mode in ("strict", "replay"):
        cassette.open(mode)
        assert await cassette.told(FRANCE, FRANCE, "And Spain?", FRANCE) == ["one", "two", "other", "three"]
        assert await cassette.told(FRANCE, "And Spain?") == ["three", "other"], "then the last one stays"
        cassette.life.rewind()
        assert await cassette.told(FRANCE, FRANCE) == ["one", "two"]
    assert cassette.asked == 4


async def test_each_test_records_from_the_first_answer_on(cassette: CassetteBench) -> None:
    cassette.open("record")
    await cassette.say("other")
    cassette.life.rewind()
    await cassette.say("one")
    await cassette.say("two")
    cassette.open("strict")
    assert await cassette.told(FRANCE, FRANCE) == ["one", "two"]


async def test_an_answer_that_comes_after_its_test_is_kept_in_its_place(cassette: CassetteBench) -> None:
    cassette.open("record")
    await cassette.say("one")
    late, _ = await cassette.enter()
    cassette.life.rewind()
    await cassette.answer(late, PARIS.replace(b"Paris.", b"two"))
    cassette.open("strict")
    assert await cassette.told(FRANCE, FRANCE) == ["one", "two"]


async def test_an_answer_that_is_not_kept_leaves_no_gap(cassette: CassetteBench) -> None:
    cassette.open("record")
    await cassette.say("", status=500)
    await cassette.say("one")
    await cassette.say("", status=429)
    await cassette.say("two")
    cassette.open("strict")
    assert await cassette.told(FRANCE, FRANCE) == ["one", "two"]


async def test_an_error_is_recorded_if_asked_for(cassette: CassetteBench) -> None:
    cassette.open("record", keeps_errors=True)
    exchange, _ = await cassette.enter()
    told = await cassette.answer(exchange, BUSY, status=429, headers=(*JSON, ("Retry-After", "1"), ("CF-Ray", "me")))
    assert "stored" in told["cache-status"] and not exchange.unkept
    await cassette.say("one")

    cassette.open("strict")
    for stream in (False, True):
        reply = await cassette.hear(stream=stream)
        assert (reply.status, reply.body, reply.content_type) == (429, BUSY, "application/json")
        headers = dict(reply.headers)
        assert headers["retry-after"] == "1" and "cf-ray" not in headers
        assert "; hit;" in headers["cache-status"]
        assert await cassette.told(FRANCE) == ["one"]
        cassette.life.rewind()


async def test_an_error_answers_no_other_wording(cassette: CassetteBench) -> None:
    cassette.open("record", keeps_errors=True)
    exchange, _ = await cassette.enter()
    await cassette.answer(exchange, BUSY, status=500)
    cassette.open("replay")
    assert (await cassette.hear()).status == 500
    exchange, reply = await cassette.enter(FRANCE_REWORDED)
    assert reply is None
    cassette.life.account(exchange)


async def test_an_error_that_is_too_large_is_not_recorded(cassette: CassetteBench) -> None:
    cassette.open("record", keeps_errors=True)
    exchange, _ = await cassette.enter(rule="small")
    await cassette.answer(exchange, b"x" * 101, status=500)
    assert (exchange.unkept, await cassette.cache.list()) == ("larger than max_answer", [])


async def test_without_a_cassette_nothing_is_counted(bench: Bench) -> None:
    bench.life.rewind()
    await bench.call()
    assert await bench.is_hit() and await bench.is_hit()
    assert len(await bench.cache.list()) == 1
