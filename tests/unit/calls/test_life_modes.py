"""What rules, directives and modes make of a call: usage, time, staleness, namespaces, record, replay, strict.

Real rules, wire formats and cache; the provider's answer is handed in.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.lives import at_once
from tests.support.waiting import until_so

from askonce.accounting import Accounting, CallRecord
from askonce.cache import Cache, Embedder, load_embedder
from askonce.cache.judge import load_judge
from askonce.call import Reply, Request
from askonce.calls.life import Life
from askonce.calls.state import Exchange
from askonce.faults import Faults
from askonce.rules import Document, Rule, Rules

FRANCE, GERMANY = "What is the capital of France?", "What is the capital of Germany?"
REWORDED = "Please, what is the capital of France?"
JSON = (("content-type", "application/json"),)
NO_STORE = {"cache-control": "no-store"}
NO_CACHE = {"cache-control": "no-cache"}


def request(prompt: str, headers: dict[str, str] | None = None, **more: Any) -> Request:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}], **more}
    known = {"authorization": "Bearer sk-1", **(headers or {})}
    return Request("POST", "api.example.com", "/v1/chat", "", known, orjson.dumps(body))


def answer(text: str = "Paris.", finish: str = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    final = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o", "usage": usage}
    return orjson.dumps({**final, "choices": [choice]})


def told(reply: Reply | None) -> str:
    assert reply
    return str(orjson.loads(reply.body)["choices"][0]["message"]["content"])


def header(reply: Reply | None, name: str) -> str:
    assert reply
    return dict(reply.headers)[name]


@functools.cache
def _embedder() -> Embedder:
    return load_embedder("wordllama")


@dataclass
class Bench:
    """One life, a clock that moves when told to, and the calls that were sent again in the background."""

    folder: Path
    now: float = 1_800_000_000.0
    cache: Any = None
    life: Any = None
    rule: Any = None
    accounting: Accounting = field(default_factory=Accounting)
    faults: dict[str, int] = field(default_factory=dict)
    refreshed: list[Request] = field(default_factory=list)
    refresh: Callable[[Rule, Request], Any] | None = None

    def open(self, settings: str = "", **more: Any) -> "Bench":
        """A life under a rule with `settings`; the cache stays the same."""
        text = "version: 1\nupstreams:\n  - {name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat"
        rules = Rules(Document.parse(f"{text}, {settings}}}\n" if settings else f"{text}}}\n"))
        self.cache = self.cache or Cache.open(
            self.folder, embedder=_embedder(), judge=load_judge(), clock=lambda: self.now
        )

        async def refresh(rule: Rule, request: Request) -> None:
            self.refreshed.append(request)
            if self.refresh:
                await self.refresh(rule, request)

        self.life = Life(
            rules=rules,
            cache=self.cache,
            accounting=self.accounting,
            faults=Faults(self._count),
            compute=at_once,
            refresh=refresh,
            clock=lambda: self.now,
            **more,
        )
        (self.rule,) = rules
        return self

    def _count(self, kind: str) -> None:
        self.faults[kind] = self.faults.get(kind, 0) + 1

    async def ask(self, asked: Request) -> tuple[Exchange, Reply | None]:
        """Up to the point where the provider is asked."""
        exchange = self.life.begin(self.rule, asked)
        reply = self.life.look_up_in_memory(exchange) or await self.life.look_up(exchange)
        if reply:
            self.life.account(exchange)
        return exchange, reply

    async def answered(self, exchange: Exchange, body: bytes, status: int = 200, headers: Any = JSON) -> dict[str, str]:
        """What the provider says; the headers that the caller gets besides."""
        told = dict(self.life.pass_on(exchange, status))
        if exchange.is_recorded:
            await self.life.remember(exchange, headers, lambda: body)
        else:
            self.life.account(exchange)
        return told

    async def call(self, asked: Request, body: bytes = answer(), **more: Any) -> Reply | None:
        """A whole call; None where the provider was asked."""
        exchange, reply = await self.ask(asked)
        if reply is None:
            await self.answered(exchange, body, **more)
        return reply

    @property
    def last(self) -> CallRecord:
        return self.accounting.latest()[0][1]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "data")
    yield bench
    await bench.life.close()
    await bench.cache.close()


# What a hit says of tokens


async def test_usage_of_a_hit_is_the_providers_and_the_saving_stands_beside_it(bench: Bench) -> None:
    bench.open()
    await bench.call(request(FRANCE))
    hit = await bench.call(request(FRANCE))
    assert hit and orjson.loads(hit.body)["usage"]["total_tokens"] == 12
    assert header(hit, "x-cache-tokens-saved") == "input=9, output=3"
    stats = bench.accounting.stats()
    assert stats["tokens_used"] == stats["tokens_saved"] == {"input": 9, "output": 3}


async def test_a_rule_may_ask_for_zero_and_the_saving_stays_known(bench: Bench) -> None:
    bench.open("usage: zero")
    await bench.call(request(FRANCE))
    hit = await bench.call(request(FRANCE))
    assert hit and orjson.loads(hit.body)["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert header(hit, "x-cache-tokens-saved") == "input=9, output=3"
    assert bench.accounting.stats()["tokens_saved"] == {"input": 9, "output": 3}


# What is never stored


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (answer("x" * 5000), 200, "larger than max_answer"),
        (answer(finish="length"), 200, "finish_reason length"),
        (answer(finish="content_filter"), 200, "finish_reason content_filter"),
        (answer(""), 200, "empty answer"),
        (b"", 200, "empty body"),
        (answer()[:-9], 200, "not JSON"),
        (b'{"error":{"message":"overloaded"}}', 200, "error"),
        (b'{"error":{"message":"overloaded"}}', 503, "status 503"),
        (answer(), 404, "status 404"),
    ],
    ids=["too large", "cut off", "filtered", "empty answer", "no body", "truncated", "error in a 200", "503", "404"],
)
async def test_never_stored(bench: Bench, body: bytes, status: int, why: str) -> None:
    bench.open("max_answer: 4KiB")
    assert await bench.call(request(FRANCE), body, status=status) is None
    assert (bench.last.stored, await bench.cache.count()) == (False, 0)
    assert why in bench.last.unkept
    assert await bench.call(request(FRANCE)) is None
    assert (bench.last.stored, bench.last.unkept, await bench.cache.count()) == (True, "", 1)
    assert await bench.call(request(FRANCE)) is not None
    assert bench.last.unkept == ""


async def test_an_answer_that_was_not_read_to_its_end(bench: Bench) -> None:
    bench.open()
    exchange, _ = await bench.ask(request(FRANCE))
    bench.life.pass_on(exchange, 200)
    bench.life.account(exchange)
    assert (bench.last.stored, bench.last.unkept) == (False, "cut off, or far over max_answer")


async def test_an_answer_of_just_the_allowed_size_is_stored(bench: Bench) -> None:
    bench.open(f"max_answer: {len(answer())}")
    await bench.call(request(FRANCE))
    assert bench.last.stored


@pytest.mark.parametrize("said", ["no-store", "private", "no-cache, no-store, must-revalidate, max-age=0"])
async def test_what_the_provider_says_of_http_caches_does_not_matter(bench: Bench, said: str) -> None:
    bench.open()
    await bench.call(request(FRANCE), headers=(*JSON, ("Cache-Control", said), ("Age", "9")))
    hit = await bench.call(request(FRANCE))
    assert hit and "cache-control" not in dict(hit.headers)
    assert [value for name, value in hit.headers if name == "age"] == ["0"]


# Time


async def test_past_its_time_an_answer_is_not_served(bench: Bench) -> None:
    bench.open("ttl: 60s")
    await bench.call(request(FRANCE))
    bench.now += 59.5
    hit = await bench.call(request(FRANCE))
    assert (header(hit, "age"), header(hit, "cache-status")) == ("59", "askonce; hit; ttl=0; detail=exact")
    bench.now += 0.5
    exchange, reply = await bench.ask(request(FRANCE))
    assert reply is None
    assert (await bench.answered(exchange, answer()))["cache-status"] == "askonce; fwd=stale; stored"
    assert bench.refreshed == []


async def test_a_stale_answer_is_served_once_and_fetched_anew(bench: Bench) -> None:
    bench.open("ttl: 60s, stale_while_revalidate: 1h")

    async def fetch(rule: Rule, asked: Request) -> None:
        again = Request(asked.method, asked.host, asked.path, asked.query, {**asked.headers, **NO_CACHE}, asked.body)
        assert await bench.call(again, answer("Lutetia.")) is None

    bench.refresh = fetch
    await bench.call(request(FRANCE))
    bench.now += 90
    asked = request(FRANCE, headers={"x-cache-namespace": ""})
    stale = await bench.call(asked)
    assert (told(stale), header(stale, "cache-status"), header(stale, "age")) == (
        "Paris.",
        "askonce; hit; ttl=-30; detail=stale",
        "90",
    )
    assert bench.last.detail == "stale"
    fresh = await bench.call(request(FRANCE))  # waits for the one that is being fetched
    assert (told(fresh), header(fresh, "cache-status")) == ("Lutetia.", "askonce; hit; ttl=60; detail=exact")
    assert bench.refreshed == [asked]
    assert bench.faults == {}


async def test_a_reworded_question_is_refreshed_as_it_was_asked(bench: Bench) -> None:
    bench.open("ttl: 60s, stale_while_revalidate: 1h")
    await bench.call(request(FRANCE))
    bench.now += 90
    stale = await bench.call(request(REWORDED))
    assert header(stale, "cache-status") == "askonce; hit; ttl=-30; detail=stale"
    await until_so(lambda: bench.refreshed)
    assert bench.refreshed == [request(REWORDED)]


async def test_where_the_refresh_fails_the_next_call_goes_to_the_provider(bench: Bench) -> None:
    bench.open("ttl: 60s, stale_while_revalidate: 1h")

    async def fail(rule: Rule, asked: Request) -> None:
        raise OSError("connection refused")

    bench.refresh = fail
    await bench.call(request(FRANCE))
    bench.now += 90
    assert await bench.call(request(FRANCE)) is not None
    assert await bench.call(request(FRANCE), answer("Lutetia.")) is None
    assert bench.faults == {"refreshing an answer": 1}
    assert told(await bench.call(request(FRANCE))) == "Lutetia."


async def test_stale_answers_end_with_the_rules_window(bench: Bench) -> None:
    bench.open("ttl: 60s, stale_while_revalidate: 60s")
    await bench.call(request(FRANCE))
    bench.now += 120
    assert await bench.call(request(FRANCE)) is None
    assert bench.refreshed == []


@pytest.mark.parametrize(
    "control", ["max-age=600", "min-fresh=0", "no-cache", "no-store", "max-stale=29", "only-if-cached"]
)
async def test_who_asks_for_fresh_answers_never_gets_a_stale_one(bench: Bench, control: str) -> None:
    bench.open("ttl: 60s, stale_while_revalidate: 1h")
    await bench.call(request(FRANCE))
    bench.now += 90
    _, reply = await bench.ask(request(FRANCE, headers={"cache-control": control}))
    assert reply is None or reply.status == 504
    assert bench.refreshed == []


async def test_a_strict_life_never_gets_a_stale_one(bench: Bench) -> None:
    bench.open("ttl: 60s, stale_while_revalidate: 1h")
    await bench.call(request(FRANCE))
    bench.now += 90
    bench.open("ttl: 60s, stale_while_revalidate: 1h", mode="strict")
    _, reply = await bench.ask(request(FRANCE))
    assert reply and reply.status == 504 and b": expired" in reply.body
    assert bench.refreshed == []


async def test_max_stale_narrows_what_the_rule_allows_and_never_widens_it(bench: Bench) -> None:
    bench.open("ttl: 60s, stale_while_revalidate: 1h")
    await bench.call(request(FRANCE))
    bench.now += 90
    within = await bench.call(request(FRANCE, headers={"cache-control": "max-stale=31"}))
    assert header(within, "cache-status") == "askonce; hit; ttl=-30; detail=stale"
    bench.open("ttl: 60s")
    await bench.call(request(GERMANY))
    bench.now += 61
    assert await bench.call(request(GERMANY, headers={"cache-control": "max-stale=999"})) is None


async def test_refreshes_are_bounded(bench: Bench) -> None:
    bench.open("ttl: 60s, stale_while_revalidate: 1h, match: exact")
    never = asyncio.Event()

    async def hang(rule: Rule, asked: Request) -> None:
        await never.wait()

    bench.refresh = hang
    for number in range(10):
        await bench.call(request(FRANCE, seed=number))
    bench.now += 90
    served = [(await bench.ask(request(FRANCE, seed=number)))[1] for number in range(10)]
    assert [reply is not None for reply in served] == [True] * 8 + [False] * 2


# Directives


async def test_min_fresh(bench: Bench) -> None:
    bench.open("ttl: 60s")
    await bench.call(request(FRANCE))
    bench.now += 30
    assert await bench.call(request(FRANCE, headers={"cache-control": "min-fresh=30"})) is not None
    assert (await bench.ask(request(FRANCE, headers={"cache-control": "min-fresh=31"})))[1] is None


async def test_only_if_cached_is_a_504_that_no_sdk_asks_again(bench: Bench) -> None:
    bench.open()
    _, reply = await bench.ask(request(FRANCE, headers={"cache-control": "only-if-cached"}))
    assert reply and reply.status == 504
    assert dict(reply.headers) == {
        "cache-status": "askonce; fwd=miss; detail=only-if-cached",
        "x-cache": "MISS",
        "x-should-retry": "false",
    }
    assert orjson.loads(reply.body)["error"]["message"] == (
        "Askonce has no answer to this call, and the request says only-if-cached (no entry)"
    )


async def test_a_call_that_passes_the_cache_by_counts_neither_as_hit_nor_as_miss(bench: Bench) -> None:
    bench.open()
    await bench.call(request(FRANCE))
    exchange, _ = await bench.ask(request(FRANCE, headers=NO_CACHE))
    said = await bench.answered(exchange, answer("Lutetia."))
    assert said["cache-status"] == "askonce; fwd=request; stored"
    assert (bench.last.outcome, bench.last.detail, bench.last.stored) == ("bypass", "no-cache", True)
    exchange, _ = await bench.ask(request(FRANCE, headers=NO_STORE))
    assert (await bench.answered(exchange, answer()))["cache-status"] == "askonce; fwd=bypass; detail=no-store"
    assert bench.accounting.stats()["outcomes"] == {"exact": 0, "semantic": 0, "miss": 1, "bypass": 2, "error": 0}
    assert told(await bench.call(request(FRANCE))) == "Lutetia."


async def test_namespaces_share_nothing(bench: Bench) -> None:
    bench.open()
    await bench.call(request(FRANCE, headers={"x-cache-namespace": "blue"}))
    assert await bench.call(request(FRANCE)) is None
    assert await bench.call(request(FRANCE, headers={"x-cache-namespace": " blue "})) is not None


# Record, replay, strict


async def test_record_looks_nothing_up_and_keeps_everything(bench: Bench) -> None:
    bench.open(mode="record")
    assert await bench.call(request(FRANCE)) is None
    assert await bench.call(request(FRANCE), answer("Lutetia.")) is None
    assert bench.last.outcome == "bypass"
    bench.open()
    assert told(await bench.call(request(FRANCE))) == "Lutetia."


async def test_strict_answers_identical_calls_alone(bench: Bench) -> None:
    bench.open()
    await bench.call(request(FRANCE))
    bench.open(mode="strict")
    assert told(await bench.call(request(FRANCE))) == "Paris."
    _, reply = await bench.ask(request(REWORDED))
    assert reply and reply.status == 504 and header(reply, "cache-status") == "askonce; fwd=miss; detail=strict"
    message = orjson.loads(reply.body)["error"]["message"]
    assert "it differs in: prompt" in message and f"recorded: {FRANCE!r}" in message
    assert (bench.last.status, bench.last.forwarded) == (504, False)


async def test_strict_shows_no_text_of_another_credentials(bench: Bench) -> None:
    bench.open()
    await bench.call(request(FRANCE))
    bench.open(mode="strict")
    _, reply = await bench.ask(request(GERMANY, headers={"authorization": "Bearer sk-2"}))
    assert reply
    message = orjson.loads(reply.body)["error"]["message"]
    assert "it differs in: credential, prompt" in message and "France" not in message


async def test_strict_lets_pass_what_a_rule_leaves_out(bench: Bench) -> None:
    bench.open("match: off", mode="strict")
    assert (await bench.ask(request(FRANCE)))[1] is None


async def test_strict_with_nothing_recorded(bench: Bench) -> None:
    bench.open(mode="strict")
    _, reply = await bench.ask(request(FRANCE))
    assert reply and f"Nothing at all is recorded. It asked: {FRANCE!r}" in orjson.loads(reply.body)["message"]


async def test_what_a_cassette_holds_is_for_everybody_and_does_not_end(bench: Bench) -> None:
    bench.open("ttl: 1s, scope: 'header:x-team'", mode="replay", lasting=True)
    await bench.call(request(FRANCE, headers={"x-team": "red"}))
    bench.now += 10 * 365 * 86400
    assert told(await bench.call(request(FRANCE, headers={"x-team": "blue", "authorization": "none"}))) == "Paris."
