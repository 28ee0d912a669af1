"""What becomes of a call to the gateway: who is let in, where it goes, what it bears, how refusals look."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from askonce.accounting import Accounting
from askonce.cache import Identifier
from askonce.call import Reply, Request
from askonce.faults import Faults
from askonce.network.api_keys import ApiKeys
from askonce.network.rate_limits import Rates
from askonce.products.base import Passage
from askonce.products.document import Config
from askonce.products.gateway.calls import Gateway
from askonce.products.gateway.errors import Users
from askonce.rules import Rules

UPSTREAMS = """\
version: 1
upstreams:
  - {name: openai-chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat, ttl: 1h}
  - {name: anthropic, hosts: [api.anthropic.com], paths: [/v1/messages], wire: anthropic-messages}
  - {name: gemini, hosts: [generativelanguage.googleapis.com], paths: ["/v1*/models/*:generateContent"], wire: gemini}
"""
ENVIRON = {"OPENAI_API_KEY": "o-key", "GEMINI_API_KEY": "g-key", "ANTHROPIC_API_KEY": "a-key"}
USER = {"role": "user", "content": "Hi"}


class World:
    def __init__(self, folder: Path, settings: str, environ: dict[str, str]) -> None:
        self.keys, self.users, self.accounting = ApiKeys(folder), Users(), Accounting()
        config = Config.parse(UPSTREAMS + settings)
        self.rules = Rules(config)
        self.secret, self.key = self.keys.create("ann")
        faults = Faults(self.accounting.fault)
        self.gateway = Gateway(
            self.keys,
            self.users,
            Rates(),
            self.accounting,
            faults,
            lambda: config.products.gateway,
            config.products.provider_keys.of,
            environ=environ,
            clock=lambda: 1_800_000_000.5,
        )

    def request(self, body: Any = None, *, path: str = "/v1/chat/completions", **headers: str) -> Request:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else orjson.dumps(body or {"model": "gpt-4o", "messages": [USER]})
        return Request("POST", "127.0.0.1", path, "", {"content-type": "application/json", **said}, data, raw="r")

    def passage(self, body: Any = None, **headers: str) -> Passage:
        claimed = self.gateway.claim(self.request(body, **({"x_api_key": self.secret} | headers)), self.rules)
        assert isinstance(claimed, Passage), claimed
        return claimed

    def refusal(self, body: Any = None, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        claimed = self.gateway.claim(self.request(body, **headers), self.rules)
        assert isinstance(claimed, Reply)
        return claimed.status, orjson.loads(claimed.body), dict(claimed.headers)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., World]:
    return lambda settings="", environ=ENVIRON: World(tmp_path, settings, environ)


@pytest.fixture
def world(make: Callable[..., World]) -> World:
    return make()


def asked(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [USER], **more}


# Who is let in


@pytest.mark.parametrize("header", ["x_api_key", "authorization"])
def test_a_key_in_either_header(world: World, header: str) -> None:
    value = world.secret if header == "x_api_key" else f"Bearer {world.secret}"
    assert isinstance(world.gateway.claim(world.request(**{header: value}), world.rules), Passage)


def test_no_wrong_and_revoked_keys(world: World) -> None:
    gone, key = world.keys.create("bob")
    world.keys.revoke(key.id)
    for headers, message in [
        ({}, "No API key: expected one in X-API-Key, or in Authorization: Bearer"),
        ({"x_api_key": "sk-wrong"}, "Invalid API key provided"),
        ({"x_api_key": gone}, "Invalid API key provided"),
        ({"authorization": "Basic eDp5"}, "No API key: expected one in X-API-Key, or in Authorization: Bearer"),
    ]:
        status, body, said = world.refusal(**headers)
        assert (status, body["error"]) == (
            401,
            {"code": "invalid_api_key", "message": message, "type": "authentication_error"},
        )
        assert said["x-request-id"] == body["request_id"]
        assert body["request_id"].startswith("req_")
        assert body["timestamp"].endswith("Z")


def test_the_callers_request_id_is_told_again(world: World) -> None:
    assert world.refusal(x_request_id="mine-1")[1]["request_id"] == "mine-1"
    assert world.refusal(x_request_id='"><x')[1]["request_id"].startswith("req_")


def test_what_is_recognised_at_the_root(world: World) -> None:
    gone, key = world.keys.create("bob")
    world.keys.revoke(key.id)

    def recognised(path: str = "/v1/chat/completions", **headers: str) -> bool:
        return world.gateway.recognises(world.request(path=path, **headers), world.rules)

    for secret in (world.secret, gone):  # a revoked key must not reach a provider either
        assert recognised(authorization=f"Bearer {secret}")
        assert recognised(x_api_key=secret)
        assert recognised("/v1/embeddings", authorization=f"Bearer {secret}")
    assert recognised(x_api_key="sk-mistyped")
    assert not recognised("/v1/messages", x_api_key="an-anthropic-key")
    assert not recognised(authorization="Bearer sk-openai")
    assert not recognised()


def test_without_keys_nothing_is_recognised(make: Callable[..., World]) -> None:
    world = make()
    world.keys.path.unlink()
    assert not world.gateway.recognises(world.request(x_api_key="an-azure-key"), world.rules)


def test_a_damaged_key_file_lets_nobody_in(world: World) -> None:
    world.keys.path.write_text("{")
    assert world.gateway.recognises(world.request(authorization="Bearer x"), world.rules)
    status, body, _ = world.refusal(x_api_key=world.secret)
    assert (status, body["error"]["code"]) == (500, "internal_error")


def test_other_paths_are_not_calls(world: World) -> None:
    request = world.request(path="/stats", x_api_key=world.secret)
    assert world.gateway.claim(request, world.rules) is None
    assert world.gateway.claim(replace(world.request(), method="GET"), world.rules) is None


# Limits


def test_ten_a_minute(world: World) -> None:
    passages = [world.passage() for _ in range(10)]
    told = [dict(passage.dress(None)) for passage in passages]  # type: ignore[arg-type]
    assert [one["x-ratelimit-remaining"] for one in told] == [str(left) for left in range(9, -1, -1)]
    assert {one["x-ratelimit-limit"] for one in told} == {"10"}
    status, body, said = world.refusal(x_api_key=world.secret)
    assert (status, body["error"]["code"], body["error"]["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
    assert said["x-ratelimit-remaining"] == "0"
    assert 1 <= int(said["retry-after"]) <= 60
    other, _ = world.keys.create("bob")
    assert dict(world.passage(x_api_key=other).dress(None))["x-ratelimit-remaining"] == "9"  # type: ignore[arg-type]
    assert world.users.throttled == 1
    assert [(user.api_key, user.requests) for user in world.users.top()] == [
        (f"sk-…{world.secret[-4:]}", 11),
        (f"sk-…{other[-4:]}", 1),
    ]


def test_no_limit(make: Callable[..., World]) -> None:
    world = make("products: {gateway: {rate: null}}")
    assert all(world.passage().dress(None) == () for _ in range(12))  # type: ignore[arg-type]


# Where it goes


def test_openai_is_sent_what_came_with_the_operators_key(world: World) -> None:
    body = b'{"model": "gpt-4o-mini",  "messages": [{"role": "user", "content": "Hi"}], "n": 2, "anything": 1}'
    passage = world.passage(body, cookie="a=b", openai_organization="org", user_agent="mine", accept_encoding="gzip")
    assert passage.outgoing is not None
    assert passage.outgoing == Request(
        "POST",
        "api.openai.com",
        "/v1/chat/completions",
        "",
        {
            "content-type": "application/json",
            "user-agent": "mine",
            "accept-encoding": "gzip",
            "authorization": "Bearer o-key",
        },
        body,
    )
    assert (passage.rule.name, passage.rule.wire.name, passage.rule.behaviour.ttl) == (
        "openai",
        "openai-chat",
        3600,
    )
    assert (passage.translator, passage.whole) == (None, False)


@pytest.mark.parametrize(
    ("model", "host", "path", "key", "rule"),
    [
        ("claude-sonnet-5", "api.anthropic.com", "/v1/messages", {"x-api-key": "a-key"}, "anthropic"),
        (
            "gemini-2.5-pro",
            "generativelanguage.googleapis.com",
            "/v1beta/models/gemini-2.5-pro:generateContent",
            {"x-goog-api-key": "g-key"},
            "google",
        ),
    ],
)
def test_others_are_sent_their_own_wire_format(
    world: World, model: str, host: str, path: str, key: dict[str, str], rule: str
) -> None:
    passage = world.passage(asked(model), user_agent="mine", accept_encoding="gzip", x_stainless_lang="python")
    assert passage.outgoing is not None
    version = {"anthropic-version": "2023-06-01"} if rule == "anthropic" else {}
    expected = {"content-type": "application/json", "user-agent": "mine", "accept-encoding": "identity"}
    assert (passage.outgoing.host, passage.outgoing.path, passage.outgoing.query) == (host, path, "")
    assert passage.outgoing.headers == expected | version | key
    assert (passage.rule.name, passage.rule.wire.name, passage.rule.endpoint) == (
        rule,
        "openai-chat",
        "/v1/chat/completions",
    )
    assert passage.whole
    streamed = world.passage(asked(model, stream=True))
    assert streamed.translator is not None
    assert not streamed.whole


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-3.5-turbo", "api.openai.com"),
        ("o3-mini", "api.openai.com"),
        ("chatgpt-4o-latest", "api.openai.com"),
        ("gemini-1.5-pro", "generativelanguage.googleapis.com"),
        ("claude-opus-4-20250514", "api.anthropic.com"),
    ],
)
def test_models_of_the_document(world: World, model: str, provider: str) -> None:
    passage = world.passage(asked(model))
    assert passage.request.host == provider


def test_models_by_the_rules(make: Callable[..., World]) -> None:
    world = make('products: {gateway: {rate: null, models: {"house-claude": anthropic, "*": openai}}}')
    assert world.passage(asked("house-claude")).request.host == "api.anthropic.com"
    assert world.passage(asked("anything")).request.host == "api.openai.com"


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            asked("mistral-large"),
            "model_not_found",
            "There is no model 'mistral-large' here; expected gpt* or chatgpt*",
        ),
        (asked("open-mistral"), "model_not_found", "There is no model 'open-mistral' here"),
        ({"messages": [USER]}, "invalid_request", "model: expected the name of a model"),
        (b"{", "invalid_request", "request body is not JSON"),
        (b"[]", "invalid_request", "request body: expected a JSON object, found list"),
        (asked("claude-x", n=2), "invalid_request", "n: 2; Anthropic is asked for one answer at a time, expected 1"),
        (asked("gemini-x", messages=[]), "invalid_request", "messages: expected a list with at least one message"),
    ],
)
def test_what_cannot_be_asked(world: World, body: Any, code: str, message: str) -> None:
    status, said, headers = world.refusal(body, x_api_key=world.secret)
    assert (status, said["error"]["code"], said["error"]["type"]) == (400, code, "invalid_request_error")
    assert said["error"]["message"].startswith(message)
    assert headers["x-ratelimit-remaining"] == "9"


def test_a_provider_without_key_or_rule(make: Callable[..., World]) -> None:
    world = make("", {"GOOGLE_API_KEY": "g"})
    status, body, _ = world.refusal(asked("claude-x"), x_api_key=world.secret)
    assert (status, body["error"]["code"]) == (502, "provider_error")
    assert body["error"]["message"] == "anthropic cannot be asked: there is no key in ANTHROPIC_API_KEY"
    assert world.gateway.providers(world.rules) == {"openai": False, "google": True, "anthropic": False}
    world.rules = Rules(Config.parse(UPSTREAMS.replace("api.anthropic.com", "api.example.com")))
    status, body, _ = world.refusal(asked("claude-x"), x_api_key=world.secret)
    assert body["error"]["message"] == "anthropic is not asked: no rule names api.anthropic.com/v1/messages"


def test_a_key_in_the_rules_comes_first(make: Callable[..., World]) -> None:
    world = make("products: {provider_keys: {openai: from-the-rules}}")
    passage = world.passage()
    assert passage.outgoing is not None
    assert passage.outgoing.headers["authorization"] == "Bearer from-the-rules"


@pytest.mark.parametrize("model", ["gpt-4o", "claude-x", "gemini-x"])
@pytest.mark.parametrize(
    "header",
    [
        "api_key",
        "authorization",
        "cookie",
        "ocp_apim_subscription_key",
        "openai_project",
        "proxy_authorization",
        "x_auth",
        "x_cachecore_token",
        "x_corp_token",
        "x_goog_api_key",
        "x_goog_user_project",
        "x_nobody_knows",
        "x_user_id",
    ],
)
def test_nothing_that_says_who_asks_goes_beside_the_operators_key(world: World, model: str, header: str) -> None:
    passage = world.passage(asked(model), **{header: "theirs"})
    assert passage.outgoing is not None
    assert not any("theirs" in text for pair in passage.outgoing.headers.items() for text in pair)
    assert world.secret not in str(passage.outgoing.headers)


def test_what_the_rule_says_chooses_the_answer_goes_along(world: World) -> None:
    named = "name: openai-chat, headers: [OpenAI-Beta, X-Auth-Mode],"
    world.rules = Rules(Config.parse(UPSTREAMS.replace("name: openai-chat,", named)))
    passage = world.passage(openai_beta="a", x_auth_mode="b", traceparent="c", x_stainless_lang="d")
    assert passage.outgoing is not None
    kept = {"openai-beta": "a", "traceparent": "c", "x-stainless-lang": "d"}  # without what says who asks
    assert passage.outgoing.headers == kept | {"content-type": "application/json", "authorization": "Bearer o-key"}


# Whose answers


def partition(passage: Passage) -> bytes:
    call = passage.rule.wire.read(passage.request, passage.rule.read)
    from askonce.calls.reader import _endpoint, _scope

    scope = _scope(passage.rule.behaviour.scope, passage.request, passage.terms)
    host = _endpoint(call, passage.request, passage.rule.target)
    return Identifier(bytes(32)).identify(call, host=host, scope=scope, namespace="").partition


def test_partitions(make: Callable[..., World]) -> None:
    world = make("products: {gateway: {rate: null}}")
    ours = partition(world.passage(asked("claude-a", user="me")))
    assert partition(world.passage(asked("claude-a", user="you"))) == ours
    assert partition(world.passage(asked("claude-a", stream=True, user="me"))) == ours
    assert partition(world.passage(asked("gemini-a"))) == partition(world.passage(asked("gemini-a", stream=True)))
    other, _ = world.keys.create("bob")
    differing = [
        world.passage(asked("claude-a"), x_api_key=other),
        world.passage(asked("claude-b")),
        world.passage(asked("gemini-a")),
        world.passage(asked("gpt-4o")),
        world.passage(asked("claude-a", temperature=0.5)),
        world.passage(asked("claude-a", max_tokens=5)),
        world.passage(asked("claude-a", messages=[{"role": "system", "content": "Be brief."}, USER])),
        world.passage(asked("claude-a", tools=[{"type": "function", "function": {"name": "f"}}])),
    ]
    assert len({partition(passage) for passage in differing} | {ours}) == 9
    assert world.secret not in str(differing[0].request.headers)


def test_keys_may_share_answers(make: Callable[..., World]) -> None:
    world = make("products: {gateway: {share_answers: true}}")
    other, _ = world.keys.create("bob")
    assert partition(world.passage()) == partition(world.passage(x_api_key=other))


# What comes back


def test_a_providers_error(world: World) -> None:
    passage = world.passage(asked("claude-x"))
    assert passage.finish
    for status in (302, 400, 401, 403, 404, 408, 413, 422, 429, 500, 529):
        reply = passage.finish(status, b'{"type":"error","error":{"type":"x","message":"Overloaded"}}')
        body = orjson.loads(reply.body)
        assert (reply.status, reply.content_type) == (status if 400 <= status < 500 else 502, "application/json")
        assert body["error"] == {
            "code": "provider_error",
            "message": f"anthropic answered {status}: Overloaded",
            "type": "provider_error",
        }
        assert (dict(reply.headers).get("x-should-retry") == "false") is (status == 302)
    assert passage.unreachable
    reply = passage.unreachable("connection refused")
    assert (reply.status, orjson.loads(reply.body)["error"]["message"]) == (
        502,
        "anthropic cannot be reached: connection refused",
    )


def test_a_whole_answer_and_what_is_none(world: World) -> None:
    passage = world.passage(asked("gemini-x"))
    assert passage.finish
    answer = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}], "responseId": "r"}
    reply = passage.finish(200, orjson.dumps(answer))
    assert (reply.status, reply.content_type) == (200, "application/json")
    told = orjson.loads(reply.body)
    assert (told["created"], told["choices"][0]["message"]["content"]) == (1_800_000_000, "Hi")
    for body in (b"", b"<html>", b'{"candidates": []}'):
        reply = passage.finish(200, body)
        assert reply.status == 502
        assert orjson.loads(reply.body)["error"]["message"].startswith("google answered, but ")


def test_refusals_are_counted_with_their_owner(world: World) -> None:
    world.refusal()
    world.refusal(asked("x"), x_api_key=world.secret)
    assert {row: tally.calls for row, tally in world.accounting.sums(lambda row: (row.status, row.owner)).items()} == {
        (401, ""): 1,
        (400, "ann"): 1,
    }
    assert world.accounting.providers() == {}
