"""Answers that a person has to approve before they are served: `approve` on a rule."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.clock import Clock
from tests.support.lives import make_life
from tests.unit.calls.conftest import FRANCE, FRANCE_REWORDED, PARIS, Bench

from askonce.cache import Approval, Cache, Embedder, approval_of
from askonce.cache.judge import load_judge
from askonce.calls.state import Passing
from askonce.rules import Document, Rules

RULES = """\
version: 1
defaults: {ttl: 1h, approve: true, stale_while_revalidate: 1h}
upstreams:
  - {name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat}
  - {name: free, hosts: [free.example.com], paths: [/v1/chat], wire: openai-chat, approve: false}
  - {name: lenient, hosts: [lenient.example.com], paths: [/v1/chat], wire: openai-chat, stale_if_error: 1h}
"""
WAITS = "askonce; fwd=miss; detail=awaiting-approval"
FIRST = "askonce; fwd=miss; stored; detail=awaiting-approval"
LYON = PARIS.replace(b"Paris", b"Lyon")


class Desk(Bench):
    """A life whose rules ask for approval, and the person who gives it."""

    def __init__(self, cache: Cache, clock: Clock) -> None:
        super().__init__(cache, clock)
        self.rules = Rules(Document.parse(RULES, environ={}))
        self.life = make_life(self.rules, cache, clock=clock)

    async def say(self, approval: Approval) -> None:
        (entry,) = await self.cache.list()
        assert await self.cache.approve(entry.key, entry.id, approval)

    async def status(
        self, body: bytes = PARIS, question: str = FRANCE, *, headers: dict[str, str] | None = None
    ) -> str:
        """Of one call, to which a provider that is asked says `body`."""
        exchange, reply = await self.enter(question, headers=headers)
        if reply:
            self.life.account(exchange)
            return dict(reply.headers)["cache-status"]
        return (await self.answer(exchange, body))["cache-status"]


@pytest.fixture
def desk(opened: tuple[Cache, Clock]) -> Desk:
    return Desk(*opened)


async def test_the_provider_is_asked_until_somebody_approves(desk: Desk) -> None:
    assert [await desk.status() for _ in range(3)] == [FIRST, WAITS, WAITS]
    exchange, _ = await desk.enter()
    assert (exchange.why, exchange.state) == ("awaiting approval", Passing())  # nobody waits for it
    await desk.answer(exchange)
    assert exchange.unkept == "awaiting approval"
    await desk.say("approved")
    assert "; hit;" in await desk.status()
    assert (await desk.status(question=FRANCE_REWORDED)).endswith("detail=semantic")
    assert desk.asked == 4


async def test_no_other_wording_is_given_what_waits(desk: Desk) -> None:
    await desk.status()
    assert "hit" not in await desk.status(question=FRANCE_REWORDED)
    assert desk.asked == 2


async def test_what_was_rejected_is_not_served_and_another_answer_waits(desk: Desk) -> None:
    await desk.status()
    await desk.say("rejected")
    assert await desk.status() == "askonce; fwd=miss; detail=rejected"
    await desk.status(LYON)
    (entry,) = await desk.cache.list()
    assert (approval_of(entry), b"Lyon" in entry.answer.body) == ("waiting", True)


async def test_nobody_overrules_an_approval_by_no_cache(desk: Desk) -> None:
    await desk.status()
    await desk.say("approved")
    no_cache = {"cache-control": "no-cache"}
    assert await desk.status(LYON, headers=no_cache) == "askonce; fwd=request; detail=awaiting-approval"
    _, reply = await desk.enter()
    assert reply and b"Paris" in reply.body


@pytest.mark.parametrize(("later", "approval"), [(PARIS, "approved"), (LYON, "waiting")])
async def test_after_its_time_the_same_answer_stays_approved_and_another_waits(
    desk: Desk, later: bytes, approval: Approval
) -> None:
    await desk.status()
    await desk.say("approved")
    desk.clock.now += 3 * 3600
    await desk.status(later.replace(b"chatcmpl-1", b"chatcmpl-2"))
    (entry,) = await desk.cache.list()
    assert approval_of(entry) == approval


async def test_an_answer_from_before_the_rule_asked_waits(desk: Desk) -> None:
    free = desk.rule("free")
    exchange = desk.life.begin(replace(free, name="chat"), desk.request())  # as it was asked then
    await desk.answer(exchange)
    assert await desk.status() == WAITS


async def test_an_approval_is_of_what_was_seen(desk: Desk) -> None:
    await desk.status()
    (entry,) = await desk.cache.list()
    approved = await desk.cache.approve(entry.key, entry.id, "approved")
    assert approved and await desk.cache.approve(entry.key, entry.id, "rejected") is None
    assert await desk.cache.approve(entry.key, approved.id, "approved") == approved
    assert await desk.cache.request(entry.key)
    assert await desk.cache.approve("0" * 32, 1, "approved") is None


async def test_nothing_that_waits_stands_in_for_an_error(desk: Desk) -> None:
    async def fails(approval: Approval) -> bool:
        exchange, _ = await desk.enter(rule="lenient")
        await desk.answer(exchange)
        await desk.say(approval)
        desk.clock.now += 5400
        exchange = desk.life.begin(desk.rule("lenient"), desk.request(rule="lenient"))
        exchange.is_direct = True
        assert await desk.life.look_up(exchange) is None
        told = desk.life.fall_back(exchange, 503)
        desk.life.account(exchange)
        await desk.cache.clear()
        return told is not None

    assert [await fails("rejected"), await fails("approved")] == [False, True]


async def test_an_approval_survives_a_restart(tmp_path: Path, embedder: Embedder) -> None:
    clock = Clock()
    for number in range(2):
        cache = Cache.open(tmp_path, embedder=embedder, judge=load_judge(), clock=clock)
        desk = Desk(cache, clock)
        told = await desk.status()
        if number == 0:
            await desk.say("approved")
        await cache.close()
    assert "; hit;" in told


async def test_a_cassette_is_played_unasked(desk: Desk) -> None:
    desk.life = make_life(desk.rules, desk.cache, clock=desk.clock, mode="replay", lasting=True)
    assert await desk.status() == "askonce; fwd=miss; stored"
    assert "; hit;" in await desk.status()
