"""PromptCache's users: OpenAI's SDK by base URL, and curl's requests, at the root and in PromptCache's view."""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from tests.e2e.conftest import REPOSITORY
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

TOKEN = "the-management-token"
OPERATOR = "sk-operator"
FRANCE = "What is the capital of France?"
REWORDED = "Please, what is the capital of France?"
GERMANY = "What is the capital of Germany?"
PARIS = "The capital of France is Paris."
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def keyed(start_module_proxy: StartProxy, _provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    """A proxy with a management token and keys of its operator's; its verifier and embeddings are the sample's."""
    url = f"{_provider.url}/v1"
    spec = ", ".join(f"{name}: {url!r}" for name in ("verify_url", "embed_url"))
    models = "verify_model: gpt-4o-mini, embed_model: text-embedding-3-small"
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(
        (REPOSITORY / "rules.yaml").read_text("utf-8")
        + f"""
products:
  provider_keys: {{openai: {OPERATOR}, mistral: {OPERATOR}, anthropic: {OPERATOR}, voyage: {OPERATOR}}}
  promptcache:
    verify_timeout: 60s
    openai: {{{spec}, {models}}}
    mistral: {{{spec}, {models}}}
    claude: {{{spec}, {models}}}
""",
        "utf-8",
    )
    return start_module_proxy(rules=rules, environment={"ASKONCE_TOKEN": TOKEN})


@pytest.fixture(params=["", "/promptcache"], ids=["root", "view"])
def base(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sdk(proxy: Proxy, base: str, api_key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy.url}{base}/v1", api_key=api_key, max_retries=0) as client:
        yield client


@pytest.fixture
def http(keyed: Proxy, provider: Provider, base: str) -> Iterator[httpx.Client]:
    """A client of the keyed proxy, with its token, in a namespace of the test's own."""
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Cache-Namespace": uuid.uuid4().hex}
    with httpx.Client(base_url=keyed.url + base, headers=headers, trust_env=False, timeout=PATIENCE) as client:
        yield client
        client.patch(
            "/v1/config", json={"high_threshold": 0.7, "low_threshold": 0.3, "enable_gray_zone_verifier": True}
        )
        client.post("/v1/config/provider", json={"provider": "wordllama"})


def chat(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}], **more}


def ask(http: httpx.Client, question: str, **more: Any) -> httpx.Response:
    """A call of a client without any key; when this returns, its answer is kept."""
    headers = {"Authorization": "", **more.pop("headers", {})}
    before = calls(http)
    response = http.post("/v1/chat/completions", json=chat(question, **more), headers=headers)
    until(lambda: calls(http) > before)
    return response


def calls(http: httpx.Client) -> int:
    return int(http.get("/v1/stats").raise_for_status().json()["total_requests"])


def text(response: httpx.Response) -> Any:
    return response.raise_for_status().json()["choices"][0]["message"]["content"]


@pytest.mark.both_stores
def test_sdk_misses_once_and_then_hits(sdk: openai.OpenAI, provider: Provider) -> None:
    seen = []
    for question in (FRANCE, FRANCE, REWORDED):
        raw = sdk.chat.completions.with_raw_response.create(**chat(question))
        assert raw.parse().choices[0].message.content == PARIS
        seen.append((raw.headers["x-cache"], raw.headers["x-provider"]))
        last = raw.headers
    assert seen == [("MISS", "openai"), ("HIT", "openai"), ("HIT", "openai")]
    assert 0.7 < float(last["x-similarity-score"]) < 1
    assert re.fullmatch("[0-9a-f]{32}", last["x-cache-key"])
    assert provider.calls() == 1


def test_sdk_streams_misses_and_hits(sdk: openai.OpenAI, provider: Provider) -> None:
    for _ in range(2):
        raw = sdk.chat.completions.with_raw_response.create(**chat(FRANCE), stream=True)
        chunks = list(raw.parse())
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == PARIS
        assert chunks[0].choices[0].delta.role == "assistant"
        assert chunks[-1].choices[0].finish_reason == "stop"
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert (raw.headers["cache-control"], raw.headers["x-accel-buffering"]) == ("no-cache", "no")
    assert provider.calls() == 1


@pytest.mark.both_stores
def test_an_answer_crosses_neither_model_nor_system_prompt_nor_key(sdk: openai.OpenAI, provider: Provider) -> None:
    sdk.chat.completions.create(**chat(FRANCE))
    sdk.chat.completions.create(**chat(FRANCE) | {"model": "gpt-4o"})
    messages = [{"role": "system", "content": "Be brief."}, *chat(FRANCE)["messages"]]
    sdk.chat.completions.create(model="gpt-4o-mini", messages=messages)  # type: ignore[call-overload]
    sdk.with_options(api_key=f"{sdk.api_key}-else").chat.completions.create(**chat(FRANCE))
    assert provider.calls() == 4


@pytest.mark.both_stores
def test_a_namespace_is_a_partition(sdk: openai.OpenAI, provider: Provider) -> None:
    for namespace in ("one", "two", "one"):
        sdk.chat.completions.create(**chat(FRANCE), extra_headers={"X-Cache-Namespace": namespace})
    assert provider.calls() == 2
    assert "x-cache-namespace" not in {name for name, _ in provider.last()["headers"]}


def test_the_callers_own_key_goes_to_the_provider(sdk: openai.OpenAI, provider: Provider) -> None:
    sdk.chat.completions.create(**chat(FRANCE))
    last = provider.last()
    assert dict(last["headers"])["authorization"] == f"Bearer {sdk.api_key}"
    assert (last["host"], last["path"]) == ("api.openai.com", "/v1/chat/completions")


def test_a_provider_that_refuses_is_passed_on_and_not_kept(sdk: openai.OpenAI, provider: Provider) -> None:
    for _ in range(2):
        provider.script('{"error": {"message": "slow down"}}', status=429)
        with pytest.raises(openai.RateLimitError, match="slow down"):
            sdk.chat.completions.create(**chat(FRANCE))
    assert provider.calls() == 2


def test_a_provider_that_cannot_be_reached(
    start_module_proxy: StartProxy, tmp_path: Path, provider: Provider, base: str
) -> None:
    rules = tmp_path / "rules.yaml"
    nobody = "paths: [/v1/chat/completions], wire: openai-chat, upstream: 'http://127.0.0.1:1'"
    rules.write_text(f"version: 1\nupstreams:\n  - {{name: chat, hosts: [api.openai.com], {nobody}}}\n")
    proxy = start_module_proxy(rules=rules)
    url = f"{proxy.url}{base}/v1"
    with openai.OpenAI(base_url=url, api_key="k", max_retries=0) as sdk, pytest.raises(openai.APIStatusError) as caught:
        sdk.chat.completions.create(**chat(FRANCE))
    proxy.stop()
    assert caught.value.status_code == 500
    assert caught.value.response.json()["error"].startswith("Failed to call OpenAI: ")
    assert UUID4.fullmatch(caught.value.response.headers["x-request-id"])


def test_the_subdomain_is_the_view(proxy: Proxy, provider: Provider, api_key: str) -> None:
    with httpx.Client(proxy=proxy.url, verify=False, trust_env=False) as client:
        for scheme in ("http", "https"):
            site = f"{scheme}://promptcache.askonce.internal"
            assert client.get(f"{site}/v1/config").json()["low_threshold"] == 0.3
            headers = {"Authorization": f"Bearer {api_key}"}
            assert text(client.post(f"{site}/v1/chat/completions", json=chat(FRANCE), headers=headers)) == PARIS
            assert client.get(f"{site}/v1/caches/x").status_code == 404
    assert provider.calls() == 1
    with httpx.Client(proxy=proxy.url, trust_env=False) as client:
        assert client.get("http://nobody.askonce.internal/health").status_code == 404


def test_requests_are_named(http: httpx.Client, provider: Provider) -> None:
    for given in ("mine-1", ""):
        for response in (
            ask(http, FRANCE, headers={"X-Request-ID": given}),
            http.get("/v1/config", headers={"X-Request-ID": given}),
        ):
            assert response.status_code == 200
            named = response.headers["x-request-id"]
            assert named == given if given else named
    refused = http.post("/v1/chat/completions", content=b"{", headers={"X-Request-ID": "mine-2"})
    assert refused.headers["x-request-id"] == "mine-2"
    assert UUID4.fullmatch(http.post("/v1/chat/completions", content=b"{").headers["x-request-id"])


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "Invalid JSON"),
        (b'{"model": "m", "messages": [', "Invalid JSON"),
        (b"[]", "Invalid JSON"),
        (b"{}", "No user prompt found"),
        (b'{"model": "m", "messages": []}', "No user prompt found"),
        (b'{"model": "m", "messages": [{"role": "system", "content": "Be brief."}]}', "No user prompt found"),
        (b'{"model": "m", "messages": [{"role": "user", "content": ""}]}', "No user prompt found"),
    ],
)
def test_what_is_no_chat_is_refused(http: httpx.Client, provider: Provider, body: bytes, error: str) -> None:
    response = http.post("/v1/chat/completions", content=body)
    assert (response.status_code, response.json()) == (400, {"error": error})
    assert provider.calls() == 0


def test_a_body_over_one_mebibyte_is_refused(http: httpx.Client, provider: Provider) -> None:
    big = json.dumps(chat("x" * (1 << 20))).encode()
    for path in ("/v1/chat/completions", "/v1/cache/warm"):
        response = http.post(path, content=big, headers={"content-type": "application/json"})
        assert (response.status_code, response.json()) == (413, {"error": "Request body too large"})
    assert provider.calls() == 0


def test_inference_and_health_are_public_and_the_rest_is_not(http: httpx.Client, provider: Provider) -> None:
    anonymous = httpx.Client(base_url=http.base_url, trust_env=False)
    with anonymous as client:
        assert text(client.post("/v1/chat/completions", json=chat(FRANCE))) == PARIS
        for path in ("/health", "/health/ready", "/health/live"):
            assert client.get(path).status_code == 200
        for method, path in (
            ("GET", "/metrics"),
            ("GET", "/v1/stats"),
            ("GET", "/v1/config"),
            ("PATCH", "/v1/config"),
            ("GET", "/v1/config/provider"),
            ("POST", "/v1/config/provider"),
            ("GET", "/v1/cache"),
            ("GET", "/v1/cache/stats"),
            ("DELETE", "/v1/cache"),
            ("DELETE", "/v1/cache/00"),
            ("POST", "/v1/cache/warm"),
        ):
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                response = client.request(method, path, headers=headers, json={})
                assert (response.status_code, response.json()) == (401, {"error": "Unauthorized"}), path


def test_the_operators_key_serves_who_brings_none(http: httpx.Client, provider: Provider) -> None:
    assert text(ask(http, FRANCE)) == PARIS
    assert dict(provider.last()["headers"])["authorization"] == f"Bearer {OPERATOR}"
    assert ask(http, FRANCE).headers["x-cache"] == "HIT"
    page = {"Origin": "https://evil.example", "Authorization": ""}
    refused = http.post("/v1/chat/completions", json=chat(GERMANY), headers=page)
    assert (refused.status_code, list(refused.json())) == (403, ["error"])
    assert provider.calls() == 1


def test_the_management_token_goes_to_no_provider(http: httpx.Client, provider: Provider) -> None:
    assert text(ask(http, FRANCE, headers={"Authorization": f"Bearer {TOKEN}"})) == PARIS
    assert dict(provider.last()["headers"])["authorization"] == f"Bearer {OPERATOR}"


# The gray zone


def town() -> str:
    """A place that nobody else asks for: verdicts are remembered."""
    return "".join([*random.choices("bdfgklmnprst", k=9), "ville"]).title()


def verdict(provider: Provider, said: str) -> None:
    message = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [message]}
    provider.script(json.dumps(answer))


def gray(http: httpx.Client, **more: Any) -> None:
    """Make the gray zone reach up to what only the same prompt has."""
    http.patch("/v1/config", json={"high_threshold": 1.0, **more}).raise_for_status()


@pytest.mark.both_stores
def test_the_verifier_decides_in_the_gray_zone(http: httpx.Client, provider: Provider) -> None:
    gray(http)
    city = town()
    asked, reworded = f"What is the town of {city} known for?", f"What's the town of {city} known for?"
    first = text(ask(http, asked))
    verdict(provider, " yes\n")
    hit = ask(http, reworded)
    assert (hit.headers["x-cache"], text(hit)) == ("HIT", first)
    question = json.loads(provider.last()["body"])
    assert question["model"] == "gpt-4o-mini"
    assert asked in question["messages"][1]["content"]
    assert reworded in question["messages"][1]["content"]
    assert dict(provider.last()["headers"])["authorization"] == f"Bearer {OPERATOR}"
    assert ask(http, reworded).headers["x-cache"] == "HIT"  # the verdict is remembered
    assert provider.calls() == 2


@pytest.mark.parametrize("said", ["NO", "YES, they do", ""])
def test_whatever_is_not_yes_is_a_miss(http: httpx.Client, provider: Provider, said: str) -> None:
    gray(http)
    city = town()
    ask(http, f"What is the town of {city} known for?")
    verdict(provider, said)
    miss = ask(http, f"What's the town of {city} known for?")
    assert (miss.headers["x-cache"], provider.calls()) == ("MISS", 3)
    assert 0 < float(miss.headers["x-similarity-score"]) < 1


@pytest.mark.parametrize("trouble", ["refused", "broken", "slow"])
def test_a_verifier_that_fails_is_a_miss_and_is_asked_again(
    http: httpx.Client, provider: Provider, keyed: Proxy, trouble: str
) -> None:
    gray(http)
    city = town()
    asked, reworded = f"What is the town of {city} known for?", f"What's the town of {city} known for?"
    ask(http, asked)
    if trouble == "refused":
        provider.script('{"error": {"message": "Incorrect API key provided: ' + OPERATOR + '"}}', status=401)
    elif trouble == "broken":
        provider.script("nothing of the kind")
    else:
        provider.script((2.0, "{}"))
    assert (ask(http, reworded).headers["x-cache"], provider.calls()) == ("MISS", 3)
    ask(http, asked, max_tokens=99)  # the same pair, where neither is stored
    verdict(provider, "YES")
    assert ask(http, reworded, max_tokens=99).headers["x-cache"] == "HIT"
    log = keyed.log()
    assert log.count("gray zone verifier") == 1
    for secret in (OPERATOR, TOKEN, FRANCE, city, "known for"):
        assert secret not in log


def test_a_guard_is_not_overruled(http: httpx.Client, provider: Provider) -> None:
    http.patch("/v1/config", json={"high_threshold": 1.0}).raise_for_status()
    ask(http, "Convert 10 miles to km")
    assert ask(http, "Convert 12 miles to km").headers["x-cache"] == "MISS"
    assert provider.calls() == 2  # the verifier was not asked


def test_without_the_verifier_the_gray_zone_is_a_miss(http: httpx.Client, provider: Provider) -> None:
    gray(http, enable_gray_zone_verifier=False)
    ask(http, FRANCE)
    assert ask(http, REWORDED).headers["x-cache"] == "MISS"
    assert provider.calls() == 2


def test_thresholds_tighten_at_once(http: httpx.Client, provider: Provider) -> None:
    ask(http, FRANCE)
    assert ask(http, REWORDED).headers["x-cache"] == "HIT"
    http.patch("/v1/config", json={"high_threshold": 1.0, "low_threshold": 0.999}).raise_for_status()
    assert ask(http, REWORDED + " ").headers["x-cache"] == "MISS"
    assert provider.calls() == 2


# Config


def test_config_is_shown_and_changed(http: httpx.Client) -> None:
    shown = http.get("/v1/config").json()
    assert shown == {
        "provider": "wordllama",
        "available_providers": ["openai", "mistral", "claude", "wordllama"],
        "high_threshold": 0.7,
        "low_threshold": 0.3,
        "enable_gray_zone_verifier": True,
        "cache_ttl_hours": 168,
        "cache_max_entries": 100000,
    }
    change = {"high_threshold": 0.85, "low_threshold": 0.4, "enable_gray_zone_verifier": False}
    assert http.patch("/v1/config", json=change).json() == shown | change
    assert http.patch("/v1/config", json={}).json() == shown | change
    assert http.get("/v1/config").json() == shown | change


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"high_threshold": 1.5}, "high_threshold must be between 0 and 1.0, got 1.5000"),
        ({"low_threshold": -0.1}, "low_threshold must be between 0 and 1.0, got -0.1000"),
        (
            {"high_threshold": 0.4, "low_threshold": 0.5},
            "high_threshold (0.4000) must be greater than low_threshold (0.5000)",
        ),
        ({"high_threshold": 0.3}, "high_threshold (0.3000) must be greater than low_threshold (0.3000)"),
        (
            {"low_threshold": 0.7, "enable_gray_zone_verifier": False},
            "high_threshold (0.7000) must be greater than low_threshold (0.7000)",
        ),
    ],
)
def test_thresholds_that_make_no_sense_change_nothing(http: httpx.Client, change: dict[str, Any], error: str) -> None:
    before = http.get("/v1/config").json()
    response = http.patch("/v1/config", json=change)
    assert (response.status_code, response.json()) == (400, {"error": error})
    assert http.get("/v1/config").json() == before


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"high_threshold": "0.9"}', b'{"enable_gray_zone_verifier": 1}'])
def test_a_config_that_cannot_be_read_changes_nothing(http: httpx.Client, body: bytes) -> None:
    response = http.patch("/v1/config", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"] == "Invalid request body"


# Providers


@pytest.mark.parametrize("name", ["mistral", "openai", "OpenAI"])
def test_the_embedding_provider_is_switched(http: httpx.Client, provider: Provider, name: str) -> None:
    switched = http.post("/v1/config/provider", json={"provider": name})
    assert switched.json() == {"message": "Provider updated successfully", "provider": name}
    assert http.get("/v1/config").json()["provider"] == name.lower()
    assert http.get("/v1/config/provider").json()["provider"] == name.lower()
    asked = provider.calls()
    assert asked == 1  # it was asked for a vector before it was trusted
    miss = ask(http, FRANCE)
    assert miss.headers["x-provider"] == name.lower()
    hit = ask(http, FRANCE)
    assert hit.headers["x-cache"] == "HIT"
    paths = provider.stats()["paths"]
    assert paths["/v1/embeddings"] >= 2


@pytest.mark.parametrize("name", ["openai", "mistral", "claude"])
def test_a_stream_of_any_provider_is_openais(http: httpx.Client, provider: Provider, name: str) -> None:
    http.post("/v1/config/provider", json={"provider": name}).raise_for_status()
    asked = provider.calls()  # for a vector
    base_url = f"{str(http.base_url).rstrip('/')}/v1"
    with openai.OpenAI(base_url=base_url, api_key=f"sk-{uuid.uuid4().hex}", max_retries=0) as sdk:
        for expected in (name, "HIT"):
            before = calls(http)
            raw = sdk.chat.completions.with_raw_response.create(**chat(FRANCE), stream=True)
            chunks = list(raw.parse())
            assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == PARIS
            assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
            assert expected in (raw.headers["x-provider"], raw.headers["x-cache"])
            until(lambda: calls(http) > before)  # noqa: B023  # it is over before the next turn
    paths = provider.stats()["paths"]
    assert paths.get("/v1/chat/completions", 0) + paths.get("/v1/messages", 0) == 1
    assert asked >= 1
    http.post("/v1/config/provider", json={"provider": "openai"}).raise_for_status()  # who answers from now on


def test_claude_answers_in_openais_words(http: httpx.Client, provider: Provider) -> None:
    http.post("/v1/config/provider", json={"provider": "claude"}).raise_for_status()
    for expected in ("MISS", "HIT"):
        response = ask(http, FRANCE)
        assert (response.headers["x-cache"], response.headers["x-provider"]) == (expected, "claude")
        assert (response.json()["object"], text(response)) == ("chat.completion", PARIS)
    last = provider.stats()["requests"]
    sent = [request for request in last if request["path"] == "/v1/messages"]
    assert len(sent) == 1
    assert dict(sent[0]["headers"])["x-api-key"] == OPERATOR
    mine = f"sk-ant-{uuid.uuid4().hex}"
    with openai.OpenAI(base_url=f"{str(http.base_url).rstrip('/')}/v1", api_key=mine, max_retries=0) as sdk:
        for _ in range(2):
            chunks = list(sdk.chat.completions.create(**chat(GERMANY), stream=True))
            assert (
                "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
                == "The capital of Germany is Berlin."
            )
    sent = [request for request in provider.stats()["requests"] if request["path"] == "/v1/messages"]
    assert [dict(request["headers"])["x-api-key"] for request in sent] == [OPERATOR] * 2  # whatever the caller brings
    http.post("/v1/config/provider", json={"provider": "openai"}).raise_for_status()  # who answers from now on


def test_an_unknown_provider_changes_nothing(http: httpx.Client) -> None:
    supported = "supported: openai, mistral, claude, wordllama"
    for body, error in (
        ({"provider": "Invalid"}, f"unsupported provider: invalid ({supported})"),
        ({}, "provider field is required"),
        ({"provider": " "}, "provider field is required"),
    ):
        response = http.post("/v1/config/provider", json=body)
        assert (response.status_code, response.json()) == (400, {"error": error})
    assert http.get("/v1/config").json()["provider"] == "wordllama"


def test_a_provider_that_fails_changes_nothing(http: httpx.Client, provider: Provider, keyed: Proxy) -> None:
    provider.script('{"error": {"message": "Incorrect API key provided: sk-operator"}}', status=401)
    response = http.post("/v1/config/provider", json={"provider": "openai"})
    named = f"openai:text-embedding-3-small@{provider.url}/v1: AuthenticationError 401"
    assert (response.status_code, response.json()) == (500, {"error": f"Failed to call openai: {named}"})
    assert http.get("/v1/config").json()["provider"] == "wordllama"
    assert OPERATOR not in keyed.log()


def test_a_provider_that_is_down_makes_vectors_once_it_is_up(http: httpx.Client, provider: Provider) -> None:
    http.post("/v1/config/provider", json={"provider": "wordllama"}).raise_for_status()
    provider.script('{"error": {"message": "overloaded"}}', status=503)
    assert http.post("/v1/config/provider", json={"provider": "mistral"}).status_code == 200
    assert http.get("/v1/config").json()["provider"] == "mistral"
    assert ask(http, FRANCE).headers["x-provider"] == "mistral"
    found = http.get("/v1/cache/search", params={"q": FRANCE, "limit": 100}).json()["results"]
    own = [one for one in found if one["entry"]["namespace"] == http.headers["x-cache-namespace"]]
    assert [one["similarity"] for one in own] == [pytest.approx(1.0)]
    http.post("/v1/config/provider", json={"provider": "openai"}).raise_for_status()  # who answers from now on
    http.post("/v1/config/provider", json={"provider": "wordllama"}).raise_for_status()


@pytest.mark.both_stores
def test_vectors_of_two_embedders_never_mix(http: httpx.Client, provider: Provider) -> None:
    ask(http, FRANCE)
    http.post("/v1/config/provider", json={"provider": "openai"}).raise_for_status()
    assert ask(http, FRANCE).headers["x-cache"] == "HIT"  # the same call needs no vector
    assert ask(http, REWORDED).headers["x-cache"] == "MISS"
    http.post("/v1/config/provider", json={"provider": "wordllama"}).raise_for_status()
    hit = ask(http, "What is the capital of France, please?")
    assert (hit.headers["x-cache"], text(hit)) == ("HIT", PARIS)


# Warming and deleting


def completion(answer: str, model: str = "gpt-4o-mini-2024-07-18") -> dict[str, Any]:
    message = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    return {"id": "chatcmpl-9", "object": "chat.completion", "created": 1, "model": model, "choices": [message]}


@pytest.mark.both_stores
def test_a_warmed_answer_serves_everybody_who_asks_it(http: httpx.Client, provider: Provider) -> None:
    warmed = http.post(
        "/v1/cache/warm", json={"entries": [{"prompt": FRANCE, "response": completion("Paris, warmed.")}]}
    )
    body = warmed.json()
    key = body["entries"][0]["key"]
    assert body == {"processed": 1, "failed": 0, "entries": [{"key": key, "status": "ok"}]}
    for question, headers in ((FRANCE, {}), (REWORDED, {"Authorization": "Bearer sk-anybody"})):
        hit = ask(http, question, headers=headers)
        assert (hit.headers["x-cache"], hit.headers["x-cache-key"], text(hit)) == ("HIT", key, "Paris, warmed.")
    assert provider.calls() == 0
    assert ask(http, FRANCE, temperature=0).headers["x-cache"] == "MISS"
    assert ask(http, FRANCE, headers={"X-Cache-Namespace": uuid.uuid4().hex}).headers["x-cache"] == "MISS"
    assert http.delete(f"/v1/cache/{key}").json() == {"message": "Entry deleted successfully", "key": key}
    gone = http.delete(f"/v1/cache/{key}")
    assert (gone.status_code, gone.json()) == (404, {"error": "Entry not found"})
    assert ask(http, FRANCE).headers["x-cache"] == "MISS"


def test_each_entry_is_warmed_for_itself(http: httpx.Client, provider: Provider) -> None:
    request = chat(GERMANY, temperature=0.5)
    entries = [
        {"prompt": "", "response": completion("x")},
        {"prompt": FRANCE, "response": {"choices": []}},
        {"prompt": FRANCE, "response": completion("x", model="")},
        {"prompt": GERMANY, "response": completion("Berlin, warmed."), "request": request},
        {"prompt": GERMANY, "response": completion("Berlin"), "request": chat(FRANCE)},
    ]
    response = http.post("/v1/cache/warm", json={"entries": entries})
    body = response.json()
    assert (response.status_code, body["processed"], body["failed"]) == (200, 1, 4)
    assert body["entries"][0] == {"status": "error", "error": "prompt is required"}
    assert [entry["status"] for entry in body["entries"]] == ["error", "error", "error", "ok", "error"]
    assert all(
        entry["error"].startswith("failed to store response: ") for entry in (body["entries"][i] for i in (1, 2, 4))
    )
    assert text(ask(http, GERMANY, temperature=0.5)) == "Berlin, warmed."
    assert provider.calls() == 0


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "Invalid request body"),
        (b'{"entries": 1}', "Invalid request body"),
        (b'{"entries": []}', "entries array must not be empty"),
        (b"{}", "entries array must not be empty"),
    ],
)
def test_a_body_that_warms_nothing(http: httpx.Client, body: bytes, error: str) -> None:
    response = http.post("/v1/cache/warm", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]) == (400, error)


@pytest.mark.both_stores
def test_the_cache_is_counted_and_cleared(http: httpx.Client, provider: Provider) -> None:
    http.delete("/v1/cache").raise_for_status()
    ask(http, FRANCE)
    stats = http.get("/v1/cache/stats").json()
    assert (stats["entry_count"], stats["max_entries"], stats["ttl_hours"]) == (1, 100000, 168)
    assert http.get("/v1/cache").json()["count"] == 1
    assert http.delete("/v1/cache").json() == {"message": "Cache cleared successfully", "deleted_count": 1}
    assert http.get("/v1/cache/stats").json()["entry_count"] == 0
    assert ask(http, FRANCE).headers["x-cache"] == "MISS"


def test_statistics_and_metrics_count_the_calls(http: httpx.Client, provider: Provider, base: str) -> None:
    before = http.get("/v1/stats").json()
    ask(http, FRANCE)
    ask(http, FRANCE)
    after = http.get("/v1/stats").json()
    for name, more in (("cache_hits", 1), ("cache_misses", 1), ("provider_calls", 1), ("provider_errors", 0)):
        assert after[name] - before[name] == more, name
    assert after["cache"]["hits"] == after["cache_hits"]
    for name in ("cache_hit_rate", "gray_zone_checks", "failed_requests", "avg_latency_ms", "stored_vectors"):
        assert isinstance(after[name], int | float)
    metrics = http.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    found = {line.split(" ")[2] for line in metrics.text.splitlines() if line.startswith("# TYPE")}
    assert {"promptcache_cache_hits_total", "promptcache_request_latency_seconds"} <= found
    assert all(name.startswith("promptcache_") for name in found) == bool(base)
