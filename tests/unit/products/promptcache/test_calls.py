"""PromptCache's calls: where they go, how near is near enough, what changes while it runs, what warms the cache."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

from askonce.cache import Cache, Candidate, Entry, Judgement, Lookup, Policy, Vector
from askonce.cache.judge.difference import LONGEST
from askonce.call import Answer, Call, Reply, Request
from askonce.calls.state import Exchange
from askonce.calls.verifier import Asking, Verifier
from askonce.products.base import Passage
from askonce.products.document import Config
from askonce.products.promptcache.calls import PromptCache, PromptCacheTerms
from askonce.products.promptcache.section import PromptCacheSpec
from askonce.products.promptcache.state import PromptCacheState, Thresholds, WarmEntry
from askonce.products.promptcache.warming import Warmer
from askonce.rules import Rules

UPSTREAMS = """\
version: 1
upstreams:
  - {name: openai-chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat, ttl: 1h}
  - {name: mistral, hosts: [api.mistral.ai], paths: [/v1/chat/completions], wire: openai-chat}
  - {name: anthropic, hosts: [api.anthropic.com], paths: [/v1/messages], wire: anthropic-messages}
"""
NOBODY = "http://127.0.0.1:9/v1"
USER = {"role": "user", "content": "What is the capital of France?"}
BODY = {"model": "gpt-4o", "messages": [USER]}


class Failing:
    """An embedder that works until it is told not to."""

    name, dimension, limit = "failing", 2, 100
    broken = False

    def embed(self, texts: Sequence[str]) -> Any:
        if self.broken:
            raise OSError("no vectors today")
        return np.array([[1.0, 0.0]] * len(texts), dtype=np.float32)


class NoJudge:
    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [Judgement(0.0) for _ in candidates]


class Says(Verifier):
    """A verifier that asks nobody."""

    def __init__(self, verdict: bool) -> None:
        self.verdict = verdict
        self.pairs = list[tuple[str, str]]()

    async def same(self, one: str, other: str, asking: Asking) -> bool:
        self.pairs.append((one, other))
        return self.verdict


@pytest.fixture
def embedder() -> Failing:
    return Failing()


@pytest.fixture
async def cache(tmp_path: Path, embedder: Failing) -> AsyncIterator[Cache]:
    cache = Cache.open(tmp_path, embedder=embedder, judge=NoJudge())
    yield cache
    await cache.close()


class World:
    """The product over rules of its own; `keys` are the operator's."""

    def __init__(self, cache: Cache, section: dict[str, Any] | None = None, **keys: str) -> None:
        self.cache, self.verifier = cache, Says(True)
        products = {"promptcache": section or {}, "provider_keys": keys}
        config = Config.parse(UPSTREAMS + f"products: {orjson.dumps(products).decode()}\n")
        self.rules = Rules(config)
        self.state = PromptCacheState(lambda: config.products.promptcache, keys.get, cache, embedder="wordllama")
        self.product = PromptCache(cache, self.state, self.verifier)

    def request(self, body: Any = BODY, *, path: str = "/v1/chat/completions", **headers: str) -> Request:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        return Request("POST", "127.0.0.1", path, "", {"content-type": "application/json", **said}, data, raw="r")

    def claim(self, body: Any = BODY, **headers: str) -> Passage | Reply | None:
        return self.product.claim(self.request(body, **headers), self.rules)

    def passage(self, body: Any = BODY, **headers: str) -> Passage:
        claimed = self.claim(body, **headers)
        assert isinstance(claimed, Passage), claimed
        return claimed

    def refusal(self, body: Any = BODY, **headers: str) -> tuple[int, Any, dict[str, str]]:
        claimed = self.claim(body, **headers)
        assert isinstance(claimed, Reply), claimed
        assert claimed.content_type == "application/json"
        return claimed.status, orjson.loads(claimed.body), dict(claimed.headers)


@pytest.fixture
def world(cache: Cache) -> World:
    return World(cache, openai="o-key", mistral="m-key", anthropic="a-key", voyage="v-key")


# Where a call goes


def test_a_call_goes_to_openai_with_what_the_caller_brings(cache: Cache) -> None:
    passage = World(cache).passage(authorization="Bearer sk-1", x_mine="1")
    assert (passage.request.host, passage.request.path, passage.rule.name) == (
        *("api.openai.com", "/v1/chat/completions", "openai-chat"),
    )
    assert (passage.request.headers["authorization"], passage.request.headers["x-mine"]) == ("Bearer sk-1", "1")
    assert (passage.outgoing, passage.request.raw) == (None, None)


@pytest.mark.parametrize("provider", ["openai", "mistral", "claude"])
@pytest.mark.parametrize(
    "header", ["authorization", "x_api_key", "api_key", "x_goog_api_key", "cookie", "x_corp_token"]
)
def test_the_operators_key_is_the_one_that_is_sent(world: World, provider: Any, header: str) -> None:
    """Whatever the caller brings is a placeholder, or another provider's; but it still says who asks."""
    world.state.chat_provider = provider
    passage = world.passage(**{header: "Bearer sk-mine"})
    assert passage.outgoing is not None
    assert passage.outgoing.host == passage.request.host
    keys = {"openai": "Bearer o-key", "mistral": "Bearer m-key", "claude": "a-key"}
    sent = "x-api-key" if provider == "claude" else "authorization"
    assert passage.outgoing.headers[sent] == keys[provider]
    assert not any("sk-mine" in value for value in passage.outgoing.headers.values())
    assert passage.request.headers[header.replace("_", "-")] == "Bearer sk-mine"


@pytest.mark.parametrize(("provider", "key"), [("mistral", "mistral"), ("claude", "anthropic")])
def test_what_a_caller_brings_for_openai_goes_to_nobody_else(cache: Cache, provider: Any, key: str) -> None:
    world = World(cache, openai="o-key")
    world.state.chat_provider = provider
    status, body, _ = world.refusal(authorization="Bearer sk-mine")
    assert (status, "sk-mine" in str(body)) == (500, False)
    assert body["error"].endswith(f": products.provider_keys.{key} is not set")


@pytest.mark.parametrize(
    ("provider", "host", "key"), [("openai", "api.openai.com", "o"), ("mistral", "api.mistral.ai", "m")]
)
def test_who_brings_no_key_asks_with_the_operators(world: World, provider: Any, host: str, key: str) -> None:
    world.state.chat_provider = provider
    passage = world.passage()
    assert (passage.request.host, passage.request.headers["authorization"]) == (host, f"Bearer {key}-key")


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-mine"}, {"x_api_key": "sk-mine"}])
def test_claude_is_sent_its_own_wire_format(world: World, headers: dict[str, str]) -> None:
    world.state.chat_provider = "claude"
    system = {"role": "system", "content": "Be brief."}
    passage = world.passage({**BODY, "messages": [system, USER]}, **headers)
    assert passage.outgoing is not None
    assert (passage.outgoing.host, passage.outgoing.path) == ("api.anthropic.com", "/v1/messages")
    assert passage.outgoing.headers["x-api-key"] == "a-key"
    assert "authorization" not in passage.outgoing.headers
    sent = orjson.loads(passage.outgoing.body)
    assert (sent["system"], sent["max_tokens"], len(sent["messages"])) == ("Be brief.", 4096, 1)
    assert (passage.rule.wire.name, passage.request.body) == (
        "openai-chat",
        world.request({**BODY, "messages": [system, USER]}).body,
    )


def test_what_claude_cannot_be_asked_is_refused(world: World) -> None:
    world.state.chat_provider = "claude"
    status, body, headers = world.refusal({**BODY, "logit_bias": {"1": 1}}, x_request_id="mine")
    assert (status, list(body), headers["x-request-id"]) == (400, ["error"], "mine")


def test_a_provider_that_no_rule_names_is_not_asked(world: World) -> None:
    world.rules = Rules(Config.parse(UPSTREAMS.replace("api.openai.com", "api.example.com")))
    message = "Failed to call OpenAI: no rule names api.openai.com/v1/chat/completions"
    assert world.refusal()[:2] == (500, {"error": message})


def test_only_posts_to_its_path_are_calls(world: World) -> None:
    for request in (world.request(path="/v1/config"), replace(world.request(), method="GET")):
        assert world.product.claim(request, world.rules) is None
    assert not world.product.recognises(world.request(), world.rules)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "Invalid JSON"),
        (b'{"model"', 400, "Invalid JSON"),
        (b"[]", 400, "Invalid JSON"),
        (b"null", 400, "Invalid JSON"),
        ({}, 400, "No user prompt found"),
        ({"messages": "Hi"}, 400, "No user prompt found"),
        ({"messages": [USER["content"], None]}, 400, "No user prompt found"),
        ({"messages": [{"role": "system", "content": "Hi"}]}, 400, "No user prompt found"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "No user prompt found"),
        (b"{" + b" " * (1 << 20) + b"}", 413, "Request body too large"),
    ],
)
def test_what_is_no_chat_is_refused(world: World, body: Any, status: int, error: str) -> None:
    told, said, headers = world.refusal(body)
    assert (told, said) == (status, {"error": error})
    assert len(headers["x-request-id"]) == 36


def test_the_limit_of_a_body_is_the_operators(cache: Cache) -> None:
    world = World(cache, {"max_request": 100})
    assert world.refusal({**BODY, "pad": "x" * 100})[0] == 413
    assert world.passage()


@pytest.mark.parametrize("given", ["mine-1", "a" * 128])
def test_a_request_id_is_told_again(world: World, given: str) -> None:
    assert world.refusal(b"{", x_request_id=given)[2]["x-request-id"] == given
    assert ("x-request-id", given) in world.passage(x_request_id=given).dress(exchange("miss"))


@pytest.mark.parametrize("given", ["", "a" * 129, "ä", "a\r\nb"])
def test_a_request_without_a_good_one_gets_one(world: World, given: str) -> None:
    assert len(world.refusal(b"{", x_request_id=given)[2]["x-request-id"]) == 36


def test_a_provider_that_cannot_be_reached_is_told_of(world: World) -> None:
    for provider, name in (("openai", "OpenAI"), ("mistral", "Mistral"), ("claude", "Claude")):
        world.state.chat_provider = provider  # type: ignore[assignment]
        unreachable = world.passage(x_request_id="mine").unreachable
        assert unreachable is not None
        reply = unreachable("connection timeout")
        assert (reply.status, orjson.loads(reply.body)) == (
            500,
            {"error": f"Failed to call {name}: connection timeout"},
        )


# How an answer is dressed


def exchange(
    outcome: Any, similarity: float | None = None, *, answered: bool = False, stream: bool = False
) -> Exchange:
    made: Any = SimpleNamespace(lookup=Lookup(outcome, similarity=similarity), is_answered=answered)
    made.call = Call("openai-chat", "Hi", {}, stream=stream)
    return made  # type: ignore[no-any-return]


def test_headers_tell_provider_and_similarity(world: World) -> None:
    dress = world.passage().dress
    assert dict(dress(exchange("miss"))) == {"x-provider": "openai"}
    assert dict(dress(exchange("miss", -0.1))) == {"x-provider": "openai"}
    assert dict(dress(exchange("miss", 0.34567))) == {"x-provider": "openai", "x-similarity-score": "0.3457"}
    hit = {"x-provider": "openai", "x-similarity-score": "1.0000", "x-cache-status": "hit"}
    assert dict(dress(exchange("exact", 1.0, answered=True))) == hit
    streamed = hit | {"cache-control": "no-cache", "x-accel-buffering": "no"}
    assert dict(dress(exchange("exact", 1.0, answered=True, stream=True))) == streamed


# How near is near enough


def entry(prompt: str = "stored") -> Entry:
    return Entry(
        key="0" * 32, partition=b"p" * 16, parts={}, upstream="u", host="h", wire="w", model="m", namespace="",
        prompt=prompt, turns=(), answer=Answer(b"{}"), created=0.0, expires=9e9, stale_until=9e9,
        upstream_seconds=1.0, id=1,
    )  # fmt: skip


def near(cosine: float, probability: float | None = 0.5, reason: str = "probability 0.50 < 0.98") -> Lookup:
    """A miss of the judge's that came near."""
    return Lookup("miss", nearest=entry(), similarity=cosine, probability=probability, reason=reason)


def hit(cosine: float) -> Lookup:
    return Lookup("semantic", entry=entry(), similarity=cosine, probability=0.99)


@pytest.mark.parametrize(
    ("section", "found", "verdict", "outcome", "asked"),
    [
        # The judge is sure: the thresholds only tighten
        ({}, hit(0.8), False, "semantic", 0),
        ({}, hit(0.70), False, "semantic", 0),
        ({}, hit(0.5), True, "semantic", 1),
        ({}, hit(0.5), False, "miss", 1),
        ({}, hit(0.29), True, "miss", 0),
        # The judge is not: the verifier may say yes, wherever the similarity is within the zone or above
        ({}, near(0.5), True, "semantic", 1),
        ({}, near(0.5), False, "miss", 1),
        ({}, near(0.9), True, "semantic", 1),
        ({}, near(0.29), True, "miss", 0),
        # A guard objects, or the judge failed: nobody overrules that
        ({}, near(0.9, None, "number: 5 / 7"), True, "miss", 0),
        ({}, near(0.9, 0.0, "number: 5 / 7"), True, "miss", 0),
        # Without the verifier the zone is a miss
        ({"gray_zone_verifier": False}, hit(0.5), True, "miss", 0),
        ({"gray_zone_verifier": False}, near(0.5), True, "miss", 0),
        # As PromptCache itself does it
        ({"decided_by": "thresholds"}, near(0.70), False, "semantic", 0),
        ({"decided_by": "thresholds"}, near(0.69), False, "miss", 1),
        ({"decided_by": "thresholds"}, near(0.9, None, "number: 5 / 7"), False, "semantic", 0),
        # Nothing came near
        ({}, Lookup("miss", reason="no entry"), True, "miss", 0),
    ],
)
async def test_the_two_thresholds(
    cache: Cache, section: dict[str, Any], found: Lookup, verdict: bool, outcome: str, asked: int
) -> None:
    world = World(cache, section, openai="o-key")
    world.verifier.verdict = verdict
    terms = PromptCacheTerms(cache, world.state, world.verifier, "api.openai.com/v1/chat/completions", "")
    call = Call("openai-chat", "asked", {})
    settled = await terms.reconsider(call, cache.identify(call, host="h", scope="s"), found)
    assert (settled.outcome, len(world.verifier.pairs)) == (outcome, asked)
    assert (settled.entry is not None) == (outcome == "semantic")
    assert world.verifier.pairs in ([], [("asked", "stored")])


async def test_without_a_key_to_ask_with_the_zone_is_a_miss(cache: Cache) -> None:
    world = World(cache)
    assert world.state.verifier is None
    terms = PromptCacheTerms(cache, world.state, world.verifier, "place", "")
    call = Call("openai-chat", "asked", {})
    assert (await terms.reconsider(call, cache.identify(call, host="h", scope="s"), near(0.5))).outcome == "miss"
    assert world.verifier.pairs == []


def test_the_policy_of_the_rule_stays_as_it_is(cache: Cache) -> None:
    world = World(cache)
    policy = Policy(max_age=5, max_error=0.1)
    assert PromptCacheTerms(cache, world.state, world.verifier, "place", "").policy(policy) == policy


# What changes while it runs


@pytest.mark.parametrize(
    ("high", "low", "mistake"),
    [
        (1.5, 0.3, "high_threshold must be between 0 and 1.0, got 1.5000"),
        (-0.1, -0.2, "high_threshold must be between 0 and 1.0, got -0.1000"),
        (0.7, -0.1, "low_threshold must be between 0 and 1.0, got -0.1000"),
        (float("nan"), 0.3, "high_threshold must be between 0 and 1.0, got nan"),
        (0.4, 0.5, r"high_threshold \(0.4000\) must be greater than low_threshold \(0.5000\)"),
        (0.5, 0.5, r"high_threshold \(0.5000\) must be greater than low_threshold \(0.5000\)"),
    ],
)
def test_thresholds_that_make_no_sense(cache: Cache, high: float, low: float, mistake: str) -> None:
    state = World(cache).state
    with pytest.raises(ValueError, match=f"^{mistake}$"):
        state.patch(high, low, False)
    assert (state.thresholds, state.gray_zone) == (Thresholds(0.7, 0.3), True)


def test_a_change_leaves_the_rest_as_it_is(cache: Cache) -> None:
    state = World(cache, {"high_threshold": 0.8, "gray_zone_verifier": False}).state
    assert (state.thresholds, state.gray_zone) == (Thresholds(0.8, 0.3), False)
    state.patch(None, 0.4, None)
    assert (state.thresholds, state.gray_zone) == (Thresholds(0.8, 0.4), False)
    state.patch(1.0, 0, True)
    assert (state.thresholds, state.gray_zone) == (Thresholds(1.0, 0.0), True)


def test_the_verifier_asks_the_provider_that_answers(world: World) -> None:
    for provider, url, model, key in (
        ("openai", "https://api.openai.com/v1", "gpt-4o-mini", "o-key"),
        ("mistral", "https://api.mistral.ai/v1", "mistral-small-latest", "m-key"),
        ("claude", "https://api.anthropic.com/v1", "claude-3-haiku-20240307", "a-key"),
    ):
        world.state.chat_provider = provider  # type: ignore[assignment]
        assert world.state.verifier == Asking(url, model, key, 5.0)
    world.state.patch(None, None, False)
    assert world.state.verifier is None


def test_embeddings_are_asked_for_as_the_document_says() -> None:
    spec = PromptCacheSpec()
    assert (spec.openai.embed_url, spec.openai.embed_model) == ("https://api.openai.com/v1", "text-embedding-3-small")
    assert (spec.mistral.embed_url, spec.mistral.embed_model) == ("https://api.mistral.ai/v1", "mistral-embed")
    assert (spec.claude.embed_url, spec.claude.embed_model) == ("https://api.voyageai.com/v1", "voyage-3")


async def test_the_providers_are_those_of_the_document_and_the_local_one(world: World) -> None:
    assert world.state.available == ("openai", "mistral", "claude", "wordllama")
    with pytest.raises(
        ValueError, match=r"^unsupported provider: x \(supported: openai, mistral, claude, wordllama\)$"
    ):
        await world.state.switch(" X ")
    world.state.provider = "mistral"
    await world.state.switch("WordLlama")
    assert (world.state.provider, world.state.chat_provider) == ("wordllama", "openai")
    assert world.cache.stats()["embedder"] == "wordllama"


@pytest.mark.parametrize(("provider", "name"), [("openai", "openai"), ("mistral", "mistral"), ("claude", "voyage")])
async def test_a_provider_without_a_key_is_not_switched_to(cache: Cache, provider: str, name: str) -> None:
    world = World(cache)
    before = cache.stats()["embedder"]
    with pytest.raises(
        ValueError, match=rf"^provider {provider} has no key: set products.provider_keys.{name} in rules"
    ):
        await world.state.switch(provider)
    assert (world.state.provider, world.state.chat_provider) == ("wordllama", "openai")
    assert cache.stats()["embedder"] == before


async def test_a_provider_that_cannot_be_reached_is_switched_to_all_the_same(cache: Cache) -> None:
    """As PromptCache does, which asks nobody at a switch: who fails over has none to ask."""
    spec = PromptCacheSpec.model_validate({"mistral": {**PromptCacheSpec().mistral.model_dump(), "embed_url": NOBODY}})
    state = PromptCacheState(lambda: spec, lambda _: "key", cache, embedder="wordllama")
    unreachable = await state.switch("mistral")
    assert isinstance(unreachable, ConnectionError)
    assert str(unreachable) == f"openai:mistral-embed@{NOBODY}: APIConnectionError"
    assert (state.provider, state.chat_provider) == ("mistral", "mistral")
    assert await cache.embed("What is the capital of France?") is None  # and identical calls are answered
    assert await state.switch("wordllama") is None
    assert await cache.embed("What is the capital of France?") is not None


# Warming


def completion(answer: str) -> dict[str, Any]:
    message = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06", "choices": [message]}


async def test_an_entry_whose_embedding_fails_is_not_kept_and_the_others_are(cache: Cache, embedder: Failing) -> None:
    world = World(cache)
    warm = Warmer(cache, world.state, lambda: world.rules)
    [first] = await warm([WarmEntry("One?", completion("1"))], "")
    embedder.broken = True
    too_long = "x" * (LONGEST + 1)  # served to identical calls alone, so that it needs no vector
    outcomes = await warm([WarmEntry("One?", completion("2")), WarmEntry(too_long, completion("3"))], "")
    assert [outcome.error for outcome in outcomes] == ["embedding failed: embedder failed", ""]
    assert outcomes[0].key == first.key
    kept = await cache.get(first.key)
    assert kept is not None
    assert kept.answer.body == orjson.dumps(completion("1"))
    assert await cache.count() == 2


async def test_what_is_warmed_says_what_is_missing(cache: Cache) -> None:
    world = World(cache)
    warm = Warmer(cache, world.state, lambda: world.rules)
    outcomes = await warm(
        [WarmEntry(" ", completion("1")), WarmEntry("One?", None), WarmEntry("One?", {"model": "m"})], ""
    )
    assert outcomes[0].error == "prompt is required"
    assert outcomes[1].error == "failed to store response: neither model nor response.model says whose answer it is"
    assert outcomes[2].error.startswith("failed to store response: ")
    world.rules = Rules(Config.parse(UPSTREAMS.replace("api.openai.com", "api.example.com")))
    [unnamed] = await warm([WarmEntry("One?", completion("1"))], "")
    assert unnamed.error == "failed to store response: no rule names api.openai.com/v1/chat/completions"
    assert await cache.count() == 0


def test_faults_of_the_product_are_in_its_words(world: World) -> None:
    assert orjson.loads(world.product.refuse(500, "Internal server error").body) == {"error": "Internal server error"}
