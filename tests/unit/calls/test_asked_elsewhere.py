"""Two proxies on one database, without mitmproxy: who is asked the same as the other waits for the other's answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import Clock
from tests.support.waiting import PATIENCE, Followed, until_so
from tests.unit.calls.conftest import Bench

from askonce.cache import Cache, Embedder, asked_elsewhere
from askonce.cache.judge import load_judge
from askonce.cache.store import SharedPlace
from askonce.cache.store.protocol import SOMEBODY, Led
from askonce.cache.store.shared import flights, lease

Two = tuple[Bench, Bench]


@pytest.fixture
async def two(
    place: SharedPlace, tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Two]:
    monkeypatch.setattr(lease, "LEASE_SECONDS", PATIENCE)
    monkeypatch.setattr(flights, "FLIGHT_SECONDS", PATIENCE)
    monkeypatch.setattr(asked_elsewhere, "PATIENCE", PATIENCE)
    clock = Clock()
    caches = [
        await asyncio.to_thread(
            lambda name=name: Cache.open(  # type: ignore[misc]
                tmp_path / name, embedder=embedder, judge=load_judge(), clock=clock, shared=place
            )
        )
        for name in ("one", "other")
    ]
    yield Bench(caches[0], clock), Bench(caches[1], clock)
    for cache in caches:
        await cache.close()


class Looks:
    """How often a proxy looked whether another asks, and what it was told."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told = list[Led]()
        shared = bench.cache._store.flights
        assert shared
        lead = shared.lead

        def counted(partition: bytes, key: bytes) -> Led:
            self.told.append(lead(partition, key))
            return self.told[-1]

        monkeypatch.setattr(shared, "lead", counted)

    async def until_waiting(self) -> None:
        await until_so(lambda: any(led.elsewhere for led in self.told))


async def test_identical_calls_at_both_ask_the_provider_once(
    two: Two, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    looks = Looks(other, monkeypatch)
    leader, reply = await one.enter()
    assert reply is None
    waiting = [asyncio.ensure_future(bench.enter()) for bench in two for _ in range(25)]
    await followed(49)
    await looks.until_waiting()
    await one.answer(leader)
    done = await asyncio.gather(*waiting)
    assert all(reply and b"Paris" in reply.body for _, reply in done)
    assert one.asked == 1 and other.asked == 0
    assert all(exchange.outcome == "exact" for exchange, _ in done)
    assert await is_left(two)


async def is_left(two: Two) -> bool:
    """Nothing is under way any more."""
    for bench in two:
        shared: Any = bench.cache._store.flights
        assert not len(bench.life._flights) and not shared._ours
    return True


async def test_where_the_leader_gives_up_the_other_asks(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = two
    looks = Looks(other, monkeypatch)
    leader, _ = await one.enter()
    waiting = asyncio.ensure_future(other.enter())
    await looks.until_waiting()
    one.life.account(leader)  # the app has left
    exchange, reply = await waiting
    assert reply is None
    await other.answer(exchange)
    assert await one.is_hit() and await is_left(two)


async def test_who_waited_for_nothing_waits_for_nobody_else(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = two
    shared: Any = other.cache._store.flights
    told = iter(["first", "first", "second"])
    monkeypatch.setattr(shared, "lead", lambda partition, key: Led(next(told), None))
    _, reply = await other.enter()
    assert reply is None and next(told, "") == "" and one.asked == 0


async def test_who_began_this_moment_is_waited_for_as_well(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """His row is in the way, and not in what the same statement sees of the table."""
    _, other = two
    shared: Any = other.cache._store.flights
    told = iter([SOMEBODY, SOMEBODY, "first", "first", "second"])
    monkeypatch.setattr(shared, "lead", lambda partition, key: Led(next(told), None))
    _, reply = await other.enter()
    assert reply is None and next(told, "") == ""


async def test_nobody_waits_for_longer_than_told(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked_elsewhere, "PATIENCE", 0.05)
    one, other = two
    leader, _ = await one.enter()
    exchange, reply = await other.enter()
    assert reply is None
    await other.answer(exchange)
    await one.answer(leader)
    assert await is_left(two)


async def test_who_leaves_while_waiting_holds_nobody_up(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = two
    looks = Looks(other, monkeypatch)
    leader, _ = await one.enter()
    exchange = other.life.begin(other.rule("chat"), other.request())
    waiting = asyncio.ensure_future(other.life.look_up(exchange))
    await looks.until_waiting()
    other.life.account(exchange)
    one.life.account(leader)
    assert await waiting is None
    assert await is_left(two)


async def test_an_answer_that_does_not_fit_is_asked_for(two: Two) -> None:
    one, other = two
    await one.call()
    fresh = {"cache-control": "max-age=0"}
    one.clock.now += 10
    exchange, reply = await other.enter(headers=fresh)
    assert reply is None
    await other.answer(exchange)
    assert await is_left(two)


async def test_a_fault_is_leave_to_ask(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    _, other = two

    def broken(partition: bytes, key: bytes) -> Led:
        raise RuntimeError("broken")

    monkeypatch.setattr(other.cache._store.flights, "lead", broken)
    assert not await other.is_hit() and await other.is_hit()


async def test_a_store_of_one_proxy_is_not_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("this costs something")

    monkeypatch.setattr(asked_elsewhere.Elsewhere, "lead", broken)
    assert not bench.cache.is_shared and not await bench.is_hit()


async def test_who_left_while_waiting_leads_nothing(bench: Bench, followed: Followed) -> None:
    """Nobody would end what he leads: all who ask the same would wait for ever."""
    leader, _ = await bench.enter()
    exchange = bench.life.begin(bench.rule("chat"), bench.request())
    waiting = asyncio.ensure_future(bench.life.look_up(exchange))
    await followed(1)
    bench.life.account(exchange)
    bench.life.account(leader)
    assert await waiting is None
    assert not len(bench.life._flights) and not await bench.is_hit()
