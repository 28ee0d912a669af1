"""Checks of served hits: which hit is checked, that its caller does not wait, and what comes of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.lives import make_life

from askonce.cache import Cache, Candidate, Judgement, Vector, load_embedder
from askonce.call import Reply, Request
from askonce.rules import Document, Rule, Rules

RULES = """\
version: 1
defaults: {audit: AUDIT}
upstreams:
  - {name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat}
"""
ASKED = "How do I sort a list in Python?"
REWORDED = ("What is the way to sort a Python list?", "How can I sort a list in Python?", "How to sort a Python list?")


class Sure:
    def judge(self, prompt: str, vector: Vector, candidates: list[Candidate]) -> list[Judgement]:
        return [Judgement(1.0) for _ in candidates]


class Bench:
    """A life whose provider says `answer`, and is asked again by way of the same life."""

    def __init__(self, cache: Cache, audit: float) -> None:
        self.rules = Rules(Document.parse(RULES.replace("AUDIT", str(audit)), environ={}))
        self.cache = cache
        self.life = make_life(self.rules, cache, refresh=self.again)
        self.answer, self.asked = "sorted()", list[str]()

    async def again(self, rule: Rule, request: Request) -> None:
        await self.call(replace(request, headers={**request.headers, "cache-control": "no-cache"}))

    async def call(self, request: Request) -> Reply | None:
        exchange = self.life.begin(next(iter(self.rules)), request)
        reply = self.life.look_up_in_memory(exchange) or await self.life.look_up(exchange)
        if reply is None:
            self.asked.append(exchange.call.prompt if exchange.call else "")
            self.life.pass_on(exchange, 200)
            message = {"index": 0, "message": {"role": "assistant", "content": self.answer}, "finish_reason": "stop"}
            body = json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [message]}).encode()
            await self.life.remember(exchange, (("Content-Type", "application/json"),), lambda: body)
        else:
            self.life.account(exchange)
        return reply

    async def ask(self, prompt: str, **headers: str) -> dict[str, str]:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}]}).encode()
        reply = await self.call(Request("POST", "api.example.com", "/v1/chat", "", headers, body))
        await asyncio.gather(*self.life._refreshes._background._tasks)
        return dict(reply.headers) if reply else {}


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    cache = Cache.open(tmp_path, embedder=load_embedder("wordllama"), judge=Sure())
    yield cache
    await cache.close()


async def observed(cache: Cache) -> list[tuple[bool, str]]:
    await cache.flush()
    return [(o.right, o.source) for o in cache._store.observations()]


async def test_every_second_hit_is_checked_and_its_answer_compared(cache: Cache) -> None:
    bench = Bench(cache, 0.5)
    await bench.ask(ASKED)
    for prompt in REWORDED[:2]:
        headers = await bench.ask(prompt)
        assert "detail=semantic" in headers["cache-status"]
        assert len(headers["x-cache-decision"]) == 32
    assert bench.asked == [ASKED, REWORDED[1]]
    assert await observed(cache) == [(True, "audit")]
    assert "detail=exact" in (await bench.ask(REWORDED[1]))["cache-status"]


async def test_a_check_that_shows_another_answer_ends_the_pair(cache: Cache) -> None:
    bench = Bench(cache, 1)
    await bench.ask(ASKED)
    bench.answer = "list.sort()"
    served = await bench.ask(REWORDED[0])
    assert bench.asked == [ASKED, REWORDED[0]]
    assert await observed(cache) == [(False, "audit")]
    await cache.delete(cache.identify(_call(REWORDED[0]), host="api.example.com/v1/chat", scope="credential:").key)
    assert (await bench.ask(REWORDED[0])).get("x-cache-key") != served["x-cache-key"]


async def test_what_cannot_be_compared_is_not_checked(cache: Cache) -> None:
    bench = Bench(cache, 1)
    bench.answer = "One way is sorted(), which returns a new list; another is list.sort(), which changes the list."
    await bench.ask(ASKED)
    assert "detail=semantic" in (await bench.ask(REWORDED[0]))["cache-status"]
    assert (bench.asked, await observed(cache)) == ([ASKED], [])


async def test_nothing_is_checked_where_it_is_off_or_the_caller_forbids_it(cache: Cache) -> None:
    bench = Bench(cache, 0)
    await bench.ask(ASKED)
    await bench.ask(REWORDED[0])
    bench.rules = Rules(Document.parse(RULES.replace("AUDIT", "1"), environ={}))
    assert "x-cache-decision" in await bench.ask(REWORDED[0], **{"cache-control": "only-if-cached"})
    assert "x-cache-decision" not in await bench.ask(ASKED)
    assert bench.asked == [ASKED]


def _asks(number: int) -> str:
    return f"{REWORDED[0]} {'abcdefghijklmnop'[number]}"


async def test_checks_are_bounded_by_the_hour_and_no_caller_takes_them_all(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.RULES", RULES.replace("AUDIT", "AUDIT, audits_per_hour: 8"))
    bench = Bench(cache, 1)
    callers = ["a", "b", "c", "d", "e", "f"]
    for caller in callers:
        await bench.ask(ASKED, authorization=f"Bearer sk-{caller}")
    stored = len(bench.asked)
    checks = {}
    for caller in callers:
        before = len(bench.asked)
        for number in range(6):
            await bench.ask(_asks(number), authorization=f"Bearer sk-{caller}")
        checks[caller] = len(bench.asked) - before
    assert checks == {"a": 2, "b": 2, "c": 2, "d": 2, "e": 0, "f": 0}
    assert len(bench.asked) == stored + 8


async def test_no_check_where_none_may_cost_anything(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.RULES", RULES.replace("AUDIT", "AUDIT, audits_per_hour: 0"))
    bench = Bench(cache, 1)
    await bench.ask(ASKED)
    assert "x-cache-decision" in await bench.ask(REWORDED[0])
    assert bench.asked == [ASKED]


def _call(prompt: str) -> Any:
    from askonce.wire import WIRE_FORMATS
    from askonce.wire.base import ReadOptions

    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}]}).encode()
    return WIRE_FORMATS["openai-chat"].read(Request("POST", "api.example.com", "/v1/chat", "", {}, body), ReadOptions())
