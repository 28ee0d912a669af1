"""A batch of texts to embed is answered text by text; what is not known is asked alone. Real rules, cache and life."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.clock import Clock
from tests.support.lives import make_life
from tests.support.waiting import Followed

from askonce.cache import Cache
from askonce.cache.judge import load_judge
from askonce.call import Reply, Request
from askonce.calls.held_bodies import held_bodies
from askonce.calls.limits import Limits
from askonce.calls.state import Declined, Dividing, Exchange, Leading
from askonce.rules import Document, LimitsSpec, Rule, Rules

RULES = """\
version: 1
defaults: {ttl: 1h}
upstreams:
  - {name: embed, hosts: [api.example.com], paths: [/v1/embeddings], wire: openai-embeddings}
  - {name: free, hosts: [free.example.com], paths: [/v1/embeddings], wire: openai-embeddings, usage: zero}
  - {name: small, hosts: [small.example.com], paths: [/v1/embeddings], wire: openai-embeddings, max_answer: 250}
  - {name: shared, hosts: [shared.example.com], paths: [/v1/embeddings], wire: openai-embeddings, scope: shared}
"""
JSON = (("content-type", "application/json"), ("openai-version", "2020-10-01"))


class Nothing:
    """An embedder that embeddings must never need."""

    name, dimension, limit = "nothing", 2, 100

    def embed(self, texts: Sequence[str]) -> Any:
        raise AssertionError(f"embedded {texts}")


def vector(text: Any) -> list[float]:
    return [float(len(orjson.dumps(text))), float(sum(orjson.dumps(text)))]


def answer(body: bytes) -> bytes:
    """A provider's: a token for each letter, or for each token."""
    asked = orjson.loads(body)
    inputs = [asked["input"]] if isinstance(asked["input"], str) or type(asked["input"][0]) is int else asked["input"]
    data = [{"object": "embedding", "index": at, "embedding": vector(one)} for at, one in enumerate(inputs)]
    used = sum(map(len, inputs))
    usage = {"prompt_tokens": used, "total_tokens": used}
    return orjson.dumps({"object": "list", "data": data, "model": asked["model"], "usage": usage})


class Bench:
    def __init__(self, cache: Cache, clock: Clock) -> None:
        self.rules, self.cache, self.clock = Rules(Document.parse(RULES, environ={})), cache, clock
        self.asked = list[Any]()
        """The inputs of each call that the provider got."""
        self.again: Callable[[Rule, Request], Any] = self.refuse
        self.life = make_life(self.rules, cache, ask_again=lambda rule, request: self.again(rule, request), clock=clock)
        self.accounting = self.life.accounting

    async def refuse(self, rule: Rule, request: Request) -> Reply:
        raise AssertionError("asked again")

    async def enter(
        self, asked: Any, rule: str = "embed", headers: dict[str, str] | None = None, divide: bool = True, **more: Any
    ) -> tuple[Exchange, Reply | None]:
        (spec,) = [one for one in self.rules if one.name == rule]
        body = orjson.dumps({"model": "m", "input": asked, **more})
        known = {"authorization": "Bearer sk-1", **(headers or {})}
        request = Request("POST", next(iter(spec.hosts)).name, "/v1/embeddings", "", known, body)
        exchange = self.life.begin(spec, request)
        exchange.is_direct = divide
        return exchange, self.life.look_up_in_memory(exchange) or await self.life.look_up(exchange)

    async def answer(self, exchange: Exchange, body: bytes | None = None) -> Reply:
        """The provider answers; what the app gets."""
        sent = exchange.state.body if isinstance(exchange.state, Dividing) else exchange.request.body
        self.asked.append(orjson.loads(sent)["input"])
        body = answer(sent) if body is None else body
        if isinstance(exchange.state, Dividing):
            reply = await self.life.divisions.complete(exchange, JSON, lambda: body)
        else:
            reply = Reply(body, "application/json")
        said = (*reply.headers, *self.life.pass_on(exchange, reply.status))
        if exchange.is_recorded and not exchange.unkept:
            await self.life.remember(exchange, JSON, lambda: body)
        else:
            self.life.account(exchange)
        return Reply(reply.body, reply.content_type, reply.status, said)

    async def call(self, *arguments: Any, **more: Any) -> Reply:
        exchange, reply = await self.enter(*arguments, **more)
        if reply is None:
            return await self.answer(exchange)
        self.life.account(exchange)
        return reply


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    clock = Clock()
    cache = Cache.open(tmp_path, embedder=Nothing(), judge=load_judge(), clock=clock)
    yield Bench(cache, clock)
    await cache.close()


def told(reply: Reply) -> Any:
    """(vectors, usage) of a reply; the indexes must be in order."""
    body = orjson.loads(reply.body)
    assert [item["index"] for item in body["data"]] == list(range(len(body["data"])))
    return [item["embedding"] for item in body["data"]], body["usage"]["total_tokens"]


def status(reply: Reply) -> str:
    return dict(reply.headers)["cache-status"]


async def test_only_what_is_not_known_is_asked(bench: Bench) -> None:
    await bench.call("a")
    await bench.call(["ccc"])
    reply = await bench.call(["a", "bb", "ccc"])
    assert bench.asked == ["a", ["ccc"], ["bb"]]
    assert told(reply) == ([vector("a"), vector("bb"), vector("ccc")], 6)
    assert status(reply) == "askonce; fwd=partial; stored"
    assert dict(reply.headers)["x-cache-tokens-saved"] == "input=4, output=0"


async def test_every_input_is_kept_by_itself(bench: Bench) -> None:
    miss = await bench.call(["a", "bb", "ccc"])
    assert status(miss) == "askonce; fwd=miss; stored"
    assert await bench.cache.count() == 3
    used = 0
    for asked in ("a", ["bb"], "ccc", ["ccc", "a"], ["bb", "bb", "a"]):
        hit = await bench.call(asked)
        assert status(hit) == "askonce; hit; ttl=3600; detail=exact"
        inputs = [asked] if isinstance(asked, str) else asked
        vectors, counted = told(hit)
        assert vectors == [vector(one) for one in inputs]
        used += counted if len(inputs) == 1 else 0
    assert used == told(miss)[1]  # shared out among them
    again = await bench.call(["a", "bb", "ccc"])
    assert orjson.loads(again.body) == orjson.loads(miss.body)
    assert dict(again.headers)["openai-version"] == "2020-10-01"
    assert len(bench.asked) == 1


async def test_all_is_asked_where_half_of_what_may_be_held_is(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "in_force", LimitsSpec(max_held=held_bodies.total + 1000))
    await bench.call("a")
    held_bodies.begin("other")
    held_bodies.hold("other", 999)
    await bench.call(["a", "bb"])
    held_bodies.end("other")
    await bench.call(["a", "ccc"])
    assert bench.asked == ["a", ["a", "bb"], ["ccc"]]


@pytest.mark.parametrize("more", [{"dimensions": 1}, {"encoding_format": "base64"}, {"model": "n"}, {"user": "u"}])
async def test_what_is_asked_in_another_way_is_not_known(bench: Bench, more: dict[str, Any]) -> None:
    await bench.call("a")
    await bench.call(["a", "bb"], **more)
    await bench.call("a", headers={"authorization": "Bearer sk-2"})
    assert bench.asked == ["a", ["a", "bb"], "a"]


async def test_the_rest_of_the_call_is_asked_as_it_was(bench: Bench) -> None:
    await bench.call("a", dimensions=2, x=None)
    exchange, _ = await bench.enter(["a", "bb"], dimensions=2, x=None)
    assert isinstance(exchange.state, Dividing)
    assert orjson.loads(exchange.state.body) == {"model": "m", "dimensions": 2, "x": None, "input": ["bb"]}


async def test_a_hit_is_as_old_as_its_oldest_part(bench: Bench) -> None:
    await bench.call("a")
    bench.clock.now += 600
    await bench.call("bb")
    bench.clock.now += 60
    hit = await bench.call(["bb", "a"])
    assert status(hit) == "askonce; hit; ttl=2940; detail=exact"
    assert dict(hit.headers)["age"] == "660"
    exchange, _ = await bench.enter(["bb", "a"], headers={"cache-control": "max-age=100"})
    assert exchange.state == Dividing(orjson.dumps({"model": "m", "input": ["a"]}), leads=True)
    bench.clock.now += 2940
    await bench.call(["a", "bb"])
    assert bench.asked[-1] == ["a"]


async def test_directives_hold_for_batches(bench: Bench) -> None:
    await bench.call(["a", "bb"])
    exchange, reply = await bench.enter(["a", "c"], headers={"cache-control": "only-if-cached"})
    assert (reply and reply.status, exchange.state) == (504, Declined())
    bench.life.account(exchange)
    for control in ("no-cache", "no-store"):
        assert status(await bench.call(["a", "bb"], headers={"cache-control": control})) != "hit"
    assert bench.asked == [["a", "bb"]] * 3


async def test_a_batch_that_may_not_be_divided_is_asked_whole(bench: Bench) -> None:
    await bench.call("a")
    await bench.call(["a", "bb"], divide=False)
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=A/2026, SignedHeaders=host, Signature=0"}
    await bench.call("c", "shared")
    await bench.call(["c", "d"], "shared", headers=signed)
    assert bench.asked == ["a", ["a", "bb"], "c", ["c", "d"]]


async def test_zero_usage_counts_what_was_asked_alone(bench: Bench) -> None:
    await bench.call("a", "free")
    assert told(await bench.call(["a", "bb"], "free"))[1] == 2
    assert told(await bench.call(["a", "bb"], "free"))[1] == 0


async def test_a_batch_counts_as_one_call(bench: Bench) -> None:
    await bench.call(["a", "bb"])
    await bench.call(["a", "ccc"])
    await bench.call(["bb", "ccc"])
    stats = bench.accounting.stats()
    assert (stats["calls"], stats["stored"]) == (3, 2)
    assert (stats["outcomes"]["miss"], stats["outcomes"]["exact"]) == (2, 1)
    assert stats["tokens_used"] == {"input": 6, "output": 0}
    assert stats["tokens_saved"] == {"input": 5, "output": 0}
    assert (bench.cache.stats()["exact_hits"], bench.cache.stats()["misses"]) == (1, 2)
    for decision in stats["latest"]:
        assert await bench.cache.get(decision["key"])


async def test_the_size_limit_is_for_each_input(bench: Bench) -> None:
    await bench.call(["a", "bb", "ccc"], "small")
    assert len(orjson.dumps(orjson.loads(answer(b'{"model":"m","input":["a","bb","ccc"]}')))) > 250
    assert await bench.cache.count() == 3


async def test_the_same_batch_at_once_is_asked_once(bench: Bench, followed: Followed) -> None:
    await bench.call("a")
    leader, reply = await bench.enter(["a", "bb"])
    assert (leader.state, reply) == (Dividing(b'{"model":"m","input":["bb"]}', leads=True), None)
    followers = [asyncio.ensure_future(bench.enter(["a", "bb"])) for _ in range(5)]
    await followed(5)
    assert not any(follower.done() for follower in followers)
    await bench.answer(leader)
    for _, hit in await asyncio.gather(*followers):
        assert hit
        assert told(hit) == ([vector("a"), vector("bb")], 3)


async def test_who_waits_for_a_divided_batch_goes_on_when_it_fails(bench: Bench, followed: Followed) -> None:
    await bench.call("a")
    leader, _ = await bench.enter(["a", "bb"])
    follower = asyncio.ensure_future(bench.enter(["a", "bb"]))
    await followed(1)
    bench.life.release(leader, "failed")
    assert isinstance(leader.state, Dividing)
    assert not leader.state.leads
    next_leader, reply = await follower
    assert isinstance(next_leader.state, Dividing)
    assert (next_leader.state.leads, reply) == (True, None)


@pytest.mark.parametrize(
    "body",
    [answer(b'{"model":"m","input":["bb","a"]}'), b"{", b"", b'{"error": {"message": "no"}}', b"[]", b'{"data": [{}]}'],
)
async def test_an_answer_that_does_not_fit_is_none(bench: Bench, body: bytes) -> None:
    async def again(rule: Rule, request: Request) -> Reply:
        return Reply(answer(request.body), "application/json")

    bench.again = again
    await bench.call("a")
    exchange, _ = await bench.enter(["a", "bb"])
    reply = await bench.answer(exchange, body)
    assert told(reply) == ([vector("a"), vector("bb")], 3)
    assert "partial" not in status(reply)
    assert bench.accounting.faults() == {"completing a batch": 1}
    assert await bench.cache.count() == 1


async def test_when_nothing_more_can_be_asked_the_app_is_told(bench: Bench) -> None:
    await bench.call("a")
    exchange, _ = await bench.enter(["a", "bb"])
    reply = await bench.answer(exchange, b"{")
    assert (reply.status, b"could not complete" in reply.body) == (502, True)
    assert bench.accounting.totals().failed == 1


async def test_a_fault_while_looking_up_asks_for_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.call("a")
    wire = next(iter(bench.rules)).wire

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(type(wire), "only", broken)
    exchange, reply = await bench.enter(["a", "bb"])
    assert (exchange.state, reply) == (Leading(), None)
    assert told(await bench.answer(exchange)) == ([vector("a"), vector("bb")], 3)
    assert await bench.cache.count() == 2
    monkeypatch.setattr(type(wire), "join", broken)
    assert told(await bench.call(["a", "bb"])) == ([vector("a"), vector("bb")], 3)
    assert bench.accounting.faults() == {"dividing a batch": 1, "looking up an answer": 1}
