"""Single-flight: one leads, the others wait, and nobody waits for ever."""

import asyncio

import pytest

from askonce.call import Call
from askonce.calls.broadcast import Broadcast, Follower
from askonce.calls.single_flight import FlightEnd, Flights

KEY, OTHER = b"key", b"other"


async def test_one_leads_until_the_flight_ends() -> None:
    flights = Flights()
    assert flights.lead(KEY)
    assert not flights.lead(KEY)
    assert flights.lead(OTHER)
    assert len(flights) == 2
    flights.end(KEY, "stored")
    assert len(flights) == 1
    assert flights.lead(KEY)


@pytest.mark.parametrize("ending", ["stored", "failed", "unstorable"])
async def test_all_who_wait_hear_how_it_ended(ending: FlightEnd) -> None:
    flights = Flights()
    flights.lead(KEY)
    waiting = [asyncio.ensure_future(flights.ending(KEY)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    flights.end(KEY, ending)
    assert await asyncio.gather(*waiting) == [ending] * 3


async def test_a_flight_is_awaited_while_somebody_waits_or_hears_the_response() -> None:
    flights, call = Flights(), Call("openai-chat", "Hi.", {}, stream=True)
    assert not flights.is_awaited(KEY)
    flights.lead(KEY)
    assert not flights.is_awaited(KEY)
    waiting = asyncio.ensure_future(flights.ending(KEY))
    joining = asyncio.ensure_future(flights.follow(KEY, lambda broadcast: broadcast.follow(call, {})))
    await asyncio.sleep(0)
    assert flights.is_awaited(KEY)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert flights.is_awaited(KEY)  # for the response to begin
    flights.begin(KEY, Broadcast(call, 200, list, lambda: b""))
    follower = await joining
    assert isinstance(follower, Follower)
    assert flights.is_awaited(KEY)
    follower.leave()
    assert not flights.is_awaited(KEY)
    flights.end(KEY, "stored")


async def test_who_comes_too_late_looks_in_the_cache() -> None:
    assert await Flights().ending(KEY) == "stored"


async def test_who_stops_waiting_disturbs_nobody() -> None:
    flights = Flights()
    flights.lead(KEY)
    leaves, stays = (asyncio.ensure_future(flights.ending(KEY)) for _ in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.wait([leaves])
    flights.end(KEY, "stored")
    assert await stays == "stored"


async def test_ending_twice_or_without_a_start_does_nothing() -> None:
    flights = Flights()
    flights.end(KEY, "stored")
    flights.lead(KEY)
    flights.end(KEY, "failed")
    flights.end(KEY, "stored")
    assert len(flights) == 0


async def test_only_one_of_those_who_waited_leads_next() -> None:
    flights = Flights()
    leaders = 0

    async def ask() -> None:
        nonlocal leaders
        while not flights.lead(KEY):
            if await flights.ending(KEY) == "stored":
                return
        leaders += 1
        await asyncio.sleep(0)
        flights.end(KEY, "failed" if leaders < 3 else "stored")

    await asyncio.gather(*(ask() for _ in range(20)))
    assert leaders == 3


CALL = Call("openai-chat", "Hi", {}, stream=True)


def response() -> Broadcast:
    return Broadcast(CALL, 200, lambda: (), lambda: b"so far")


def join(broadcast: Broadcast) -> Follower | None:
    return broadcast.follow(CALL, {})


async def test_a_response_is_followed_as_soon_as_it_begins() -> None:
    flights = Flights()
    flights.lead(KEY)
    waiting = asyncio.ensure_future(flights.follow(KEY, join))
    await asyncio.sleep(0)
    assert not waiting.done()
    flights.begin(KEY, response())
    for follower in (await waiting, await flights.follow(KEY, join)):
        assert isinstance(follower, Follower)
        assert follower.take() == b"so far"


async def test_who_cannot_join_waits_for_the_end() -> None:
    flights = Flights()
    flights.lead(KEY)
    flights.begin(KEY, response())
    waiting = asyncio.ensure_future(flights.follow(KEY, lambda _: None))
    await asyncio.sleep(0)
    assert not waiting.done()
    flights.end(KEY, "unstorable")
    assert await waiting == "unstorable"


@pytest.mark.parametrize("ending", ["stored", "failed", "unstorable"])
async def test_where_no_response_begins_followers_hear_how_it_ended(ending: FlightEnd) -> None:
    flights = Flights()
    flights.lead(KEY)
    waiting = [asyncio.ensure_future(flights.follow(KEY, join)) for _ in range(2)]
    leaves = asyncio.ensure_future(flights.follow(KEY, join))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.wait([leaves])
    flights.end(KEY, ending)
    assert await asyncio.gather(*waiting) == [ending] * 2
    assert await flights.follow(KEY, join) == "stored"


async def test_a_beginning_after_the_end_or_twice_does_nothing() -> None:
    flights = Flights()
    flights.begin(KEY, response())
    flights.lead(KEY)
    first = response()
    flights.begin(KEY, first)
    flights.begin(KEY, response())
    follower = await flights.follow(KEY, join)
    assert isinstance(follower, Follower)
    assert follower.broadcast is first
