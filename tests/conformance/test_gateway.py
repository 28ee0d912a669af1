"""The gateway as its document's own examples use it: OpenAI's SDK with another base URL, through a real proxy, at the
root and in the gateway's view, for models of OpenAI, Google and Anthropic."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pydantic
import pytest
from tests.e2e.conftest import free_port
from tests.support.waiting import until

from askonce.network.api_keys import ApiKeys

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

OPERATOR = {"OPENAI_API_KEY": "sk-operator-o", "GOOGLE_API_KEY": "operator-g", "ANTHROPIC_API_KEY": "operator-a"}
MODELS = {"gpt-4o-mini": "sk-operator-o", "gemini-2.5-flash": "operator-g", "claude-sonnet-4-20250514": "operator-a"}
FRANCE = "What is the capital of France?"
FRANCE_REWORDED = "Tell me what the capital of France is."
PARIS = "The capital of France is Paris."
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

each_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture(scope="module")
def gateway(start_module_proxy: StartProxy) -> Proxy:
    return start_module_proxy(environment=OPERATOR)


@pytest.fixture
def key(gateway: Proxy, provider: Provider) -> str:
    """A key of the test's own, and so its own limit and its own answers."""
    return ApiKeys(gateway.data).create("conformance")[0]


@pytest.fixture(params=["", "/gateway"], ids=["root", "view"])
def base(request: pytest.FixtureRequest, gateway: Proxy) -> str:
    return f"{gateway.url}{request.param}"


@pytest.fixture
def client(base: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=key, base_url=f"{base}/v1") as client:
        yield client


def asking(model: str, text: str = FRANCE, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def headers_sent(provider: Provider) -> dict[str, str]:
    return dict(provider.last()["headers"])


@pytest.mark.both_stores
@each_model
def test_asked_twice_the_provider_is_asked_once(
    client: openai.OpenAI, provider: Provider, key: str, model: str
) -> None:
    chat = client.chat.completions.with_raw_response
    miss = chat.create(**asking(model))
    told = miss.parse()
    assert told.choices[0].message.content == PARIS
    assert (told.choices[0].finish_reason, told.model) == ("stop", model)
    assert told.usage and told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens > 0
    assert miss.headers["x-cache"] == "MISS"
    assert [miss.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining")] == ["10", "9"]
    assert 0 <= int(miss.headers["x-ratelimit-reset"]) - time.time() <= 61
    sent = headers_sent(provider)
    assert MODELS[model] in {sent.get(name, "").removeprefix("Bearer ") for name in (*sent, "")}
    assert key not in json.dumps(provider.last())
    for text, kind in ((FRANCE, "exact"), (FRANCE_REWORDED, "semantic")):
        hit = chat.create(**asking(model, text))
        assert hit.headers["cache-status"].endswith(f"detail={kind}")
        again = hit.parse()
        assert again.choices == told.choices
        assert again.usage == told.usage
        assert again.id != told.id
        assert again.id.startswith("chatcmpl-")
    assert hit.headers["x-ratelimit-remaining"] == "7"
    assert (provider.calls(), provider.connections()) == (1, 1)


def test_once_there_are_keys_the_root_is_not_open_to_who_has_none(
    gateway: Proxy, provider: Provider, key: str, base: str
) -> None:
    for headers in ({}, {"authorization": "Bearer sk-mistyped"}, {"x-api-key": "sk-mistyped"}):
        response = httpx.post(
            f"{base}/v1/chat/completions", json=asking("gpt-4o-mini"), headers=headers, trust_env=False
        )
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert provider.calls() == 0


@each_model
def test_streams(client: openai.OpenAI, provider: Provider, model: str) -> None:
    def stream(text: str) -> tuple[str, Any]:
        asked = asking(model, text, stream=True, stream_options={"include_usage": True})
        chunks = list(client.chat.completions.create(**asked))
        assert chunks[0].choices[0].delta.role == "assistant"
        assert len({chunk.id for chunk in chunks}) == 1
        assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        return text, chunks[-1].usage

    miss = stream(FRANCE)
    assert miss[0] == PARIS
    assert miss[1] is not None
    assert stream(FRANCE) == stream(FRANCE_REWORDED) == miss
    whole = client.chat.completions.create(**asking(model))
    assert (whole.choices[0].message.content, whole.usage) == miss
    assert provider.calls() == 1


@each_model
def test_a_stream_flows(client: openai.OpenAI, provider: Provider, model: str) -> None:
    provider.set(per_token=0.5)  # which no busy machine makes up for between two looks
    arrived = [
        time.monotonic()
        for chunk in client.chat.completions.create(**asking(model, "capital of Australia", stream=True))
        if chunk.choices[0].delta.content
    ]
    assert arrived[-1] - arrived[0] > 0.15


@each_model
def test_a_stream_that_is_not_to_be_kept(client: openai.OpenAI, provider: Provider, model: str) -> None:
    for header in ({"cache-control": "no-store"}, {}):
        chunks = [*client.chat.completions.create(**asking(model), stream=True, extra_headers=header)]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == PARIS
    assert provider.calls() == 2


@each_model
def test_tools_and_their_results(client: openai.OpenAI, provider: Provider, model: str) -> None:
    asked = asking(model, "What is the weather in Paris and Rome?", tools=[TOOL], tool_choice="auto")
    message = client.chat.completions.create(**asked).choices[0].message
    calls = message.tool_calls or []
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert {call.function.name for call in calls} == {"get_weather"}
    with client.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion()
    again = final.choices[0].message.tool_calls or []
    assert [(call.id, call.function.name, call.function.arguments) for call in again] == [
        (call.id, call.function.name, call.function.arguments) for call in calls
    ]
    assert final.choices[0].finish_reason == "tool_calls"
    assert provider.calls() == 1
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"{at + 20} degrees"} for at, call in enumerate(calls)
    ]
    asked["messages"] = [*asked["messages"], message.to_dict(), *results]
    answer = client.chat.completions.create(**asked)
    content = answer.choices[0].message.content or ""
    assert content.startswith("The tool says: ")
    assert "20 degrees" in content
    assert "21 degrees" in content
    assert client.chat.completions.create(**asked).choices == answer.choices
    assert provider.calls() == 2


class Capital(pydantic.BaseModel):
    city: str


@each_model
def test_structured_output(client: openai.OpenAI, provider: Provider, model: str) -> None:
    told = client.chat.completions.parse(**asking(model, "How do I sort a list in Python?"), response_format=Capital)
    parsed = told.choices[0].message.parsed
    assert parsed is not None
    assert "sorted(items)" in parsed.city


@each_model
def test_a_cut_answer_is_not_kept(client: openai.OpenAI, provider: Provider, model: str) -> None:
    for _ in range(2):
        told = client.chat.completions.create(**asking(model, max_tokens=2))
        assert told.choices[0].finish_reason == "length"
    assert provider.calls() == 2


@pytest.mark.parametrize(
    ("model", "streamed"), [(model, streamed) for model in list(MODELS)[1:] for streamed in (False, True)]
)
def test_a_provider_that_compresses_all_the_same(
    client: openai.OpenAI, provider: Provider, model: str, streamed: bool
) -> None:
    provider.set(content_encoding="gzip")
    for _ in range(2):
        answer: Any = client.chat.completions.create(**asking(model, stream=streamed))
        text = (
            "".join(chunk.choices[0].delta.content or "" for chunk in answer)
            if streamed
            else answer.choices[0].message.content
        )
        assert text == PARIS
    assert provider.calls() == 1


@each_model
@pytest.mark.parametrize("streamed", [False, True])
def test_a_providers_refusal(client: openai.OpenAI, provider: Provider, model: str, streamed: bool) -> None:
    body = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}})
    provider.script(body, status=400)
    with pytest.raises(openai.APIStatusError) as refusal:
        client.chat.completions.create(**asking(model, stream=streamed))
    response = refusal.value.response
    told = response.json()
    assert response.status_code == 400
    assert told["error"]["code"] == told["error"]["type"] == "provider_error"
    assert told["error"]["message"].endswith("answered 400: too long")
    assert told["request_id"] == response.headers["x-request-id"]
    assert response.headers["x-ratelimit-remaining"] == "9"
    assert provider.calls() == 1  # asking again would not help, and the SDK knows by the status


@each_model
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (413, openai.APIStatusError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
    ],
)
def test_a_providers_status_raises_the_sdks_own_error(
    client: openai.OpenAI, provider: Provider, model: str, status: int, error: type[openai.APIStatusError]
) -> None:
    provider.script('{"error": {"message": "no"}}', status=status, headers={"retry-after": "7"})
    with pytest.raises(error) as refusal:
        client.with_options(max_retries=0).chat.completions.create(**asking(model))
    assert refusal.value.status_code == status
    assert refusal.value.response.headers["retry-after"] == "7"
    assert refusal.value.response.json()["error"]["message"].endswith(f"answered {status}: no")


def test_a_provider_that_limits_is_asked_again_when_it_said(client: openai.OpenAI, provider: Provider) -> None:
    provider.script('{"error": {"message": "slow down"}}', status=429, headers={"retry-after-ms": "50"})
    told = client.chat.completions.create(**asking("gemini-2.5-flash"))
    assert told.choices[0].message.content == PARIS
    assert provider.calls() == 2


def test_a_provider_that_is_overloaded_is_asked_again(client: openai.OpenAI, provider: Provider) -> None:
    provider.script('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', status=529)
    told = client.chat.completions.create(**asking("claude-sonnet-4-20250514"))
    assert told.choices[0].message.content == PARIS
    assert provider.calls() == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_no_answer(client: openai.OpenAI, provider: Provider, streamed: bool) -> None:
    kind = "text/event-stream" if streamed else "application/json"
    event = 'event: error\ndata: {"type":"error","error":{"type":"x","message":"Overloaded"}}\n\n'
    provider.script(event if streamed else '{"type":"error"}', headers={"content-type": kind})
    with pytest.raises(openai.APIError, match="Overloaded" if streamed else "not a message"):
        list(client.with_options(max_retries=0).chat.completions.create(**asking("claude-x", stream=streamed)))


@pytest.mark.parametrize(
    ("model", "status"),  # what OpenAI answers well is passed on as it comes
    [(model, status) for model in MODELS for status in (200, 500) if not (model.startswith("gpt") and status == 200)],
)
def test_a_provider_that_breaks_off(client: openai.OpenAI, provider: Provider, model: str, status: int) -> None:
    provider.script('{"id": "x", ', status=status, abort=True)
    with pytest.raises(openai.InternalServerError) as failure:
        client.with_options(max_retries=0).chat.completions.create(**asking(model))
    told = failure.value.response.json()["error"]
    assert (failure.value.status_code, told["code"]) == (502, "provider_error")
    assert "cannot be reached: " in told["message"]
    assert client.chat.completions.create(**asking(model)).choices[0].message.content == PARIS
    assert provider.calls() == 2


def test_an_unreachable_provider(provider: Provider, start_module_proxy: StartProxy) -> None:
    routes = json.dumps({"api.anthropic.com:443": free_port()})
    proxy = start_module_proxy(environment=OPERATOR | {"ASKONCE_TEST_ROUTES": routes})
    key, _ = ApiKeys(proxy.data).create("ann")
    with (
        openai.OpenAI(api_key=key, base_url=f"{proxy.url}/gateway/v1", max_retries=0) as client,
        pytest.raises(openai.InternalServerError) as failure,
    ):
        client.chat.completions.create(**asking("claude-x"))
    assert failure.value.status_code == 502
    assert failure.value.response.json()["error"]["message"].startswith("anthropic cannot be reached: ")


# Keys and limits


def test_the_key_in_its_own_header(base: str, key: str, provider: Provider) -> None:
    response = httpx.post(f"{base}/v1/chat/completions", headers={"X-API-Key": key}, json=asking("gpt-3.5-turbo"))
    assert response.json()["choices"][0]["message"]["content"] == PARIS
    with openai.OpenAI(api_key="unused", base_url=f"{base}/v1", default_headers={"X-API-Key": key}) as client:
        assert client.chat.completions.create(**asking("gpt-3.5-turbo")).choices[0].message.content == PARIS
    assert provider.calls() == 1
    assert "unused" not in json.dumps(provider.stats()["requests"])


def test_wrong_and_revoked_keys(gateway: Proxy, base: str, key: str, provider: Provider) -> None:
    with openai.OpenAI(api_key=key, base_url=f"{base}/v1", max_retries=0) as client:
        client.chat.completions.create(**asking("gpt-4o"))
        keys = ApiKeys(gateway.data)
        found = keys.find(key)
        assert found
        keys.revoke(found.id)
        with pytest.raises(openai.AuthenticationError) as refusal:
            client.chat.completions.create(**asking("gpt-4o"))
    assert refusal.value.code == "invalid_api_key"
    assert refusal.value.type == "authentication_error"
    response = httpx.post(f"{base}/v1/chat/completions", headers={"X-API-Key": "sk-wrong"}, json=asking("gpt-4o"))
    assert (response.status_code, response.json()["error"]["message"]) == (401, "Invalid API key provided")
    response = httpx.post(f"{gateway.url}/gateway/v1/chat/completions", json=asking("gpt-4o"))
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert provider.calls() == 1


@pytest.mark.both_stores
def test_keys_share_nothing(gateway: Proxy, client: openai.OpenAI, provider: Provider) -> None:
    other, _ = ApiKeys(gateway.data).create("other")
    client.chat.completions.create(**asking("claude-x"))
    client.with_options(api_key=other).chat.completions.create(**asking("claude-x"))
    assert provider.calls() == 2


def test_the_eleventh_request_of_a_minute(client: openai.OpenAI, provider: Provider) -> None:
    once = client.with_options(max_retries=0).chat.completions
    for _ in range(10):
        once.create(**asking("gemini-2.5-pro"))
    with pytest.raises(openai.RateLimitError) as refusal:
        once.create(**asking("gemini-2.5-pro"))
    headers = refusal.value.response.headers
    assert refusal.value.code == "rate_limit_exceeded"
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("10", "0")
    assert 1 <= int(headers["retry-after"]) <= 60
    assert provider.calls() == 1


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (asking("mistral-large"), "model_not_found"),
        (asking("claude-x", n=2), "invalid_request"),
        ({"model": "claude-x", "messages": []}, "invalid_request"),
    ],
)
def test_what_cannot_be_asked(client: openai.OpenAI, provider: Provider, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        client.chat.completions.create(**asked)
    assert (refusal.value.code, refusal.value.type) == (code, "invalid_request_error")
    assert provider.calls() == 0


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/messages", "/chat/completions"])
def test_a_gateways_key_goes_nowhere_else(gateway: Proxy, key: str, provider: Provider, path: str) -> None:
    response = httpx.post(gateway.url + path, headers={"Authorization": f"Bearer {key}"}, json=asking("gpt-4o"))
    assert response.status_code in (404, 405), response.text
    assert provider.calls() == 0


# Management


@pytest.mark.both_stores
def test_statistics_and_administration(
    gateway: Proxy, base: str, client: openai.OpenAI, key: str, provider: Provider
) -> None:
    admin, _ = ApiKeys(gateway.data).create("root", admin=True)
    before = httpx.get(f"{base}/stats", headers={"X-API-Key": key}).json()
    for _ in range(2):
        client.chat.completions.create(**asking("claude-opus-4-20250514"))

    def of(stats: Any) -> tuple[int, int, int]:
        figures = stats["cache_stats"]["exact_cache"]
        return stats["total_requests"], figures["hits"], stats["provider_stats"]["anthropic"]["requests"]

    def counted() -> Any:
        stats = httpx.get(f"{base}/stats", headers={"X-API-Key": key}).json()
        expected = tuple(figure + more for figure, more in zip(of(before), (2, 1, 2), strict=True))
        return stats if of(stats) == expected else None

    stats = until(counted)
    top = [user["requests"] for user in stats["rate_limit_stats"]["top_users"]]
    assert 1 <= len(top) <= 10
    assert top == sorted(top, reverse=True)
    for path in ("/admin/cache/clear", "/admin/reload-config"):
        assert httpx.post(base + path, headers={"X-API-Key": key}).status_code == 403
    cleared = httpx.post(f"{base}/admin/cache/clear", headers={"X-API-Key": admin}, json={"cache_type": "all"}).json()
    assert cleared["cleared"]["exact_cache"] >= 1
    assert httpx.get(f"{base}/admin/cache/stats", headers={"X-API-Key": admin}).json()["redis"]["keys"] == 0
    client.chat.completions.create(**asking("claude-opus-4-20250514"))
    assert provider.calls() == 2
    reloaded = httpx.post(f"{base}/admin/reload-config", headers={"X-API-Key": admin}).json()
    assert (reloaded["status"], reloaded["message"]) == ("success", "Configuration reloaded successfully")
    text = httpx.get(f"{base}/metrics", headers={"X-API-Key": key}).text
    labels = 'endpoint="/v1/chat/completions",method="POST",model="claude-opus-4-20250514",owner="conformance"'
    assert f'gateway_requests_total{{{labels},status="200"}}' in text


def test_health_and_documents(gateway: Proxy, base: str, key: str) -> None:
    headers = {"X-API-Key": key}
    health = httpx.get(f"{base}/health", headers=headers).json()
    assert health["status"] == "healthy"
    assert {"redis", "database", "providers"} <= health["services"].keys()
    if base.endswith("/gateway"):
        assert health["services"]["providers"].keys() == {"openai", "google", "anthropic"}
    assert httpx.get(f"{base}/health/ready", headers=headers).json()["ready"] is True
    assert httpx.get(f"{base}/health/live", headers=headers).json()["alive"] is True
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert httpx.get(base + path).status_code == 200


def test_a_key_opens_the_metrics_of_all(start_module_proxy: StartProxy) -> None:
    proxy = start_module_proxy(environment={"ASKONCE_TOKEN": "s3cret"})
    keys = ApiKeys(proxy.data)
    secret, key = keys.create("ann")
    for headers in ({"X-API-Key": secret}, {"Authorization": f"Bearer {secret}"}, {"Authorization": "Bearer s3cret"}):
        text = httpx.get(f"{proxy.url}/metrics", headers=headers).raise_for_status().text
        assert all(f"# TYPE {name}_" in text for name in ("askonce", "promptcache", "semcache", "gateway"))
    keys.revoke(key.id)
    for headers in ({}, {"X-API-Key": secret}, {"Authorization": f"Bearer {secret}"}):
        assert httpx.get(f"{proxy.url}/metrics", headers=headers).status_code == 401
    proxy.stop()


def test_its_own_host(gateway: Proxy, key: str, provider: Provider) -> None:
    with httpx.Client(proxy=gateway.url) as http:
        url = "http://gateway.askonce.internal/v1/chat/completions"
        response = http.post(url, headers={"X-API-Key": key}, json=asking("claude-x"))
        assert response.json()["choices"][0]["message"]["content"] == PARIS
        assert http.get("http://gateway.askonce.internal/stats", headers={"X-API-Key": key}).status_code == 200
