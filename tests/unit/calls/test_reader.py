"""Which requests are the same: everything of a request that can change its answer, and nothing of it that cannot."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from askonce.cache import Cache, Candidate, Identity, Judgement, Vector
from askonce.call import Request
from askonce.calls.reader import CallReader
from askonce.faults import Faults
from askonce.rules import Document, Rules

RULES = """\
version: 1
defaults: {ignore_headers: [X-Run]}
upstreams:
  - {name: chat, hosts: [a.example], paths: ["/**"], wire: openai-chat}
  - {name: shared, hosts: [b.example], paths: ["/**"], wire: openai-chat, scope: shared, headers: [X-User-Id]}
  - {name: team, hosts: [c.example], paths: ["/**"], wire: openai-chat, scope: "header:X-Team", ignore_headers: []}
  - {name: gemini, hosts: [d.example], paths: ["/**"], wire: gemini}
  - {name: any, hosts: [e.example], paths: ["/**"], wire: generic}
  - {name: house, hosts: [f.example], paths: ["/**"], wire: openai-chat, upstream: "http://10.0.0.5:8000"}
"""
OTHER_UPSTREAM = RULES.replace("10.0.0.5:8000", "10.0.0.5:8001")
QUESTION = {"role": "user", "content": "What is the capital of France?"}
CHAT = orjson.dumps({"model": "m", "messages": [QUESTION]})
GEMINI = orjson.dumps({"contents": [{"parts": [{"text": "Hi"}]}]})


class NoEmbedder:
    name, dimension, limit = "none", 2, 0

    def embed(self, texts: Sequence[str]) -> Any:
        raise OSError


class NoJudge:
    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return []


class World:
    def __init__(self, cache: Cache) -> None:
        self.cache, self.rules = cache, Rules(Document.parse(RULES))
        self.reader = CallReader(cache, Faults(lambda _: None), mode="normal", lasting=False)

    def identity(self, request: Request, rule: str = "chat", reader: CallReader | None = None) -> Identity:
        found = next(one for one in self.rules if one.name == rule)
        exchange = (reader or self.reader).read(found, request)
        assert exchange.identity, exchange.bypass
        return exchange.identity

    def same(self, one: Request, other: Request, rule: str = "chat") -> bool:
        return self.identity(one, rule).exact == self.identity(other, rule).exact


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    cache = Cache.open(tmp_path / "cache", embedder=NoEmbedder(), judge=NoJudge())
    yield World(cache)
    await cache.close()


def request(query: str = "", body: bytes = CHAT, *, path: str = "/v1/chat", **headers: str) -> Request:
    said = {"authorization": "Bearer k"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "a.example", path, query, said, body)


# Where


async def test_port_and_scheme_tell_providers_apart(world: World) -> None:
    """The answer of one local model server was served for another on the next port."""
    places = [("https", 443), ("https", 8000), ("http", 8000), ("http", 8001), ("http", 80), ("http", 443)]
    found = [world.identity(replace(request(), scheme=scheme, port=port)) for scheme, port in places]
    assert len({one.exact for one in found}) == len({one.partition for one in found}) == len(places)


async def test_what_was_read_of_the_same_bytes_is_not_taken_for_another_place(world: World) -> None:
    """One rule may name two servers of a machine."""
    one = replace(request(), scheme="http", port=8000, raw=("http", 8000, "bytes"))
    assert not world.same(one, replace(one, port=8001, raw=("http", 8001, "bytes")))


async def test_a_rule_s_upstream_is_who_answers(world: World) -> None:
    before = world.identity(request(), "house")
    assert before != world.identity(request(), "chat")
    lasting = CallReader(world.cache, Faults(lambda _: None), mode="normal", lasting=True)
    recorded = world.identity(request(), "house", lasting)
    world.rules = Rules(Document.parse(OTHER_UPSTREAM))
    assert world.identity(request(), "house").partition != before.partition
    # A cassette is played back where the server, if there is one, listens elsewhere.
    assert world.identity(request(), "house", lasting) == recorded


async def test_only_the_name_of_a_host_has_no_case(world: World) -> None:
    assert world.same(request(), replace(request(), host="A.Example"))
    assert not world.same(request(path="/d/GPT"), request(path="/d/gpt"))
    assert not world.same(request("v=A"), request("v=a"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a=1&b=2", "b=2&a=1", True),
        ("a=1&a=2", "a=2&a=1", False),
        ("a=1&b=2&a=3", "b=2&a=1&a=3", True),
        ("a=1", "a=1&", True),
        ("a=", "", False),
        ("a", "a=", False),
        ("a=%ff", "a=%fe", False),
        ("a=+", "a=%20", False),
        ("a=1;b=2", "a=1&b=2", False),
        ("alt=sse", "alt=json", False),
        ("token=1", "token=2", False),
        ("key=1", "key=2", False),
        ("Key=1", "key=1", True),
        ("key=1", "api_key=1", True),
        ("key=", "", True),
        ("%6Bey=1", "key=1", False),
    ],
)
async def test_the_query(world: World, one: str, other: str, same: bool) -> None:
    assert world.same(request(one), request(other)) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("alt=json", "", True),
        ("%24alt=json", "", True),
        ("prettyPrint=false", "", True),
        ("key=k&alt=json", "alt=json&key=k", True),
        ("fields=candidates", "", False),
        ("$fields=a", "$fields=b", False),
        ("alt=json&x=1", "alt=json&x=2", False),
        ("alt=json&x=%ff", "alt=json&x=%fe", False),
        ("quotaUser=a", "quotaUser=b", False),
    ],
)
async def test_geminis_query_says_besides_how_to_reply(world: World, one: str, other: str, same: bool) -> None:
    path = "/v1/models/m:generateContent"
    assert world.same(request(one, GEMINI, path=path), request(other, GEMINI, path=path), "gemini") is same


# Headers


@pytest.mark.parametrize("rule", ["chat", "shared", "team", "any"])
@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("openai-beta", False),
        ("groq-model-version", False),
        ("x-amzn-bedrock-guardrailidentifier", False),
        ("extra-parameters", False),
        ("azureml-model-deployment", False),
        ("x-nobody-knows", False),
        ("traceparent", True),
        ("idempotency-key", True),
        ("x-stainless-retry-count", True),
        ("user-agent", True),
    ],
)
async def test_headers_that_choose_the_answer_do_so_for_all(world: World, rule: str, name: str, same: bool) -> None:
    one, other, none = (request(**({name: value} if value else {})) for value in ("1", "2", ""))
    assert world.same(one, other, rule) is same
    assert world.same(one, none, rule) is same
    assert world.same(one, replace(one), rule)


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "cf-access-jwt-assertion",
        "cookie",
        "ocp-apim-subscription-key",
        "remote-user",
        "x-amzn-oidc-data",
        "x-api-key",
        "x-auth",
        "x-corp-token",
        "x-forwarded-user",
        "x-functions-key",
        "x-goog-iap-jwt-assertion",
        "x-jwt",
        "x-ms-client-principal",
        "x-password",
        "x-portkey-virtual-key",
        "x-tenant-id",
    ],
)
async def test_headers_that_name_the_caller_do_so_unless_answers_are_shared(world: World, name: str) -> None:
    one, other = request(**{name: "ann"}), request(**{name: "bob"})
    assert not world.same(one, other)
    assert world.same(one, other, "shared")
    assert world.same(one, other, "team")
    differs = {
        part for part, digest in world.identity(one).parts.items() if world.identity(other).parts[part] != digest
    }
    assert differs == {"credential"}


async def test_a_rule_says_what_its_headers_do(world: World) -> None:
    assert not world.same(request(x_user_id="ann"), request(x_user_id="bob"), "shared")
    assert world.same(request(x_run="1"), request(x_run="2"))
    assert not world.same(request(x_run="1"), request(x_run="2"), "team")  # which ignores others than the defaults
    assert not world.same(request(x_team="red"), request(x_team="blue"), "team")


async def test_accept_counts_where_the_answer_is_replayed_as_it_came(world: World) -> None:
    one, other = request(accept="text/event-stream"), request(accept="application/json")
    assert not world.same(one, other, "any")
    assert world.same(one, other)


async def test_an_old_sdk_and_a_new_one_are_one_caller(world: World) -> None:
    """anthropic 2 sends as a Bearer token what 0.x sent as `x-api-key`; the version counts, for it changes the form."""
    old = replace(request(), headers={"x-api-key": "k", "anthropic-version": "2023-06-01"})
    new = replace(request(), headers={"authorization": "Bearer k", "anthropic-version": "2023-06-01"})
    assert world.same(old, new)
    newest = replace(new, headers={**new.headers, "anthropic-version": "2026-10-21"})
    assert world.identity(newest).parts["credential"] == world.identity(old).parts["credential"]
    assert not world.same(new, newest)
