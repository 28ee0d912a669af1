"""Calls without mitmproxy: a real cache, real rules, and a provider that is two lines of JSON."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.clock import Clock
from tests.support.lives import make_life

from askonce.cache import Cache, Embedder, load_embedder
from askonce.cache.judge import load_judge
from askonce.cache.store import SharedPlace
from askonce.call import Reply, Request
from askonce.calls.state import Exchange
from askonce.rules import Document, Rule, Rules

RULES = """\
version: 1
defaults: {ttl: 1h}
upstreams:
  - {name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat, ignore: [$.user]}
  - {name: none, hosts: [none.example.com], paths: [/v1/chat], wire: openai-chat, match: "off"}
  - {name: exact, hosts: [exact.example.com], paths: [/v1/chat], wire: openai-chat, match: exact}
  - {name: shared, hosts: [shared.example.com], paths: [/v1/chat], wire: openai-chat, scope: shared}
  - {name: team, hosts: [team.example.com], paths: [/v1/chat], wire: openai-chat, scope: "header:X-Team"}
  - {name: small, hosts: [small.example.com], paths: [/v1/chat], wire: openai-chat, max_answer: 100}
  - {name: watch, hosts: [watch.example.com], paths: [/v1/chat], wire: openai-chat, match: watch}
  - {name: cold, hosts: [cold.example.com], paths: [/v1/chat], wire: openai-chat, max_temperature: 0.5}
  - {name: lenient, hosts: [lenient.example.com], paths: [/v1/chat], wire: openai-chat, stale_if_error: 1h}
prices: {gpt: {input: 1, output: 1000000}}
"""
FRANCE = "What is the capital of France?"
FRANCE_REWORDED = "Tell me what the capital of France is."
PARIS = b"""{"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt", "choices": [{"index": 0,
    "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}}"""
JSON = (("Content-Type", "application/json"),)
STREAM = b"""\
data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[{"index":0,"delta":\
{"role":"assistant","content":"Paris."},"finish_reason":null}]}

data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[{"index":0,"delta":{},\
"finish_reason":"stop"}]}

data: [DONE]

"""


class Bench:
    """One life, and calls that are led through it as the addon does."""

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self.rules = Rules(Document.parse(RULES, environ={}))
        self.cache, self.clock = cache, clock
        self.life = make_life(self.rules, cache, clock=clock)
        self.accounting = self.life.accounting
        self.asked = 0

    def rule(self, name: str) -> Rule:
        return next(rule for rule in self.rules if rule.name == name)

    def request(
        self,
        question: str | bytes = FRANCE,
        rule: str = "chat",
        *,
        path: str = "/v1/chat",
        query: str = "",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Request:
        host = next(iter(self.rule(rule).hosts)).name
        body = (
            question
            if isinstance(question, bytes)
            else json.dumps({"model": "gpt", "messages": [{"role": "user", "content": question}], **more}).encode()
        )
        return Request("POST", host, path, query, {"authorization": "Bearer sk-1"} | (headers or {}), body)

    async def enter(self, *arguments: Any, rule: str = "chat", **more: Any) -> tuple[Exchange, Reply | None]:
        exchange = self.life.begin(self.rule(rule), self.request(*arguments, rule=rule, **more))
        return exchange, self.life.look_up_in_memory(exchange) or await self.life.look_up(exchange)

    async def answer(
        self,
        exchange: Exchange,
        body: bytes = PARIS,
        *,
        status: int = 200,
        headers: tuple[tuple[str, str], ...] = JSON,
        read: Callable[[], bytes] | None = None,
    ) -> dict[str, str]:
        """The provider answers; returns the response headers that the life adds."""
        self.asked += 1
        added = dict(self.life.pass_on(exchange, status))
        if exchange.is_recorded:
            await self.life.remember(exchange, headers, read or (lambda: body))
        else:
            self.life.account(exchange)
        return added

    async def call(self, *arguments: Any, **more: Any) -> dict[str, str]:
        """A whole call; returns the answer's headers."""
        exchange, reply = await self.enter(*arguments, **more)
        if reply is None:
            return await self.answer(exchange)
        self.life.account(exchange)
        return dict(reply.headers)

    async def is_hit(self, *arguments: Any, **more: Any) -> bool:
        return "; hit;" in (await self.call(*arguments, **more))["cache-status"]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder("wordllama")


@pytest.fixture
async def opened(tmp_path: Path, embedder: Embedder, kept_at: SharedPlace | None) -> AsyncIterator[tuple[Cache, Clock]]:
    """An empty cache, and its clock."""
    clock = Clock()
    cache = Cache.open(tmp_path, embedder=embedder, judge=load_judge(), clock=clock, shared=kept_at)
    yield cache, clock
    await cache.close()


@pytest.fixture
def bench(opened: tuple[Cache, Clock]) -> Bench:
    return Bench(*opened)
