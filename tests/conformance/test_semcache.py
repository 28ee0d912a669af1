"""Semcache's users: its own SDK, those of OpenAI and Anthropic by base URL, and curl; at the root and in its view."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import anthropic
import httpx
import openai
import pytest
import semcache
from tests.e2e.conftest import REPOSITORY
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

FRANCE = "What is the capital of France?"
REWORDED = "Please, what is the capital of France?"
PARIS = "The capital of France is Paris."
OPENAI = "https://api.openai.com/v1/chat/completions"
GENERIC = "/semcache/v1/chat/completions"
HOUSE = """
  - {name: house, hosts: [api.groq.com], paths: [/v2/ask], wire: generic, prompt: $.query}
  - {name: wild, hosts: ["*.openai.azure.com"], paths: [/ask], wire: generic}
  - {name: local, hosts: ["http://127.0.0.1:PORT"], paths: ["/**"], wire: openai-chat}
"""
OURS = {"cache-status", "x-cache", "x-cache-status", "x-cache-similarity", "x-similarity-score", "x-cache-key"}


@pytest.fixture(params=["", "/semcache-app"], ids=["root", "view"])
def base(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def http(proxy: Proxy, provider: Provider, base: str, api_key: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {api_key}", "X-Cache-Namespace": uuid.uuid4().hex}
    with httpx.Client(base_url=proxy.url + base, headers=headers, trust_env=False, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def housed(start_module_proxy: StartProxy, _provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    """A proxy whose rules name more: a generic format, a wildcard, and the sample provider's own address."""
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    shipped = (REPOSITORY / "rules.yaml").read_text("utf-8")
    more = "upstreams:" + HOUSE.replace("PORT", str(_provider.port))
    rules.write_text(shipped.replace("upstreams:\n", more, 1), "utf-8")
    return start_module_proxy(rules=rules)


def chat(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": question}], **more}


def post(http: httpx.Client, path: str, body: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.post(path, json=body, headers=named)


# Put and get


@pytest.fixture
def store(proxy: Proxy, base: str) -> semcache.Semcache:
    client = semcache.Semcache(base_url=proxy.url + base)
    client.session.trust_env = False
    client.session.headers["X-Cache-Namespace"] = uuid.uuid4().hex
    return client


@pytest.mark.both_stores
def test_sdk_puts_and_gets(store: semcache.Semcache) -> None:
    assert store.get(FRANCE) is None
    store.put(FRANCE, "Paris")
    assert store.get(FRANCE) == "Paris"
    assert store.get(REWORDED) == "Paris"
    assert store.get("How do I sort a list in Python?") is None
    store.put(FRANCE, "Paris!")
    assert store.get(FRANCE) == "Paris!"
    store.session.close()


@pytest.mark.both_stores
def test_what_is_near_and_asks_another_thing_is_not_found(store: semcache.Semcache) -> None:
    store.put("Convert 10 miles to km", "16.09 km")
    assert store.get("Convert 10 km to miles") is None
    assert store.get("Convert 12 miles to km") is None
    store.session.close()


def test_every_spelling_of_put_and_get(http: httpx.Client) -> None:
    wrote = http.put("/semcache/v1/put", json={"key": FRANCE, "data": "Paris"})
    assert (wrote.status_code, wrote.content) == (200, b"")
    for read in (
        http.post("/semcache/v1/get", json={"key": FRANCE}),
        http.put("/semcache/v1/put", json={"key": FRANCE}),
        http.put("/semcache/v1/put", json={"key": FRANCE, "data": None}),
    ):
        assert (read.status_code, read.content) == (200, b"Paris")
        assert read.headers["content-type"] == "application/octet-stream"
    for miss in (
        http.post("/semcache/v1/get", json={"key": "something else entirely"}),
        http.put("/semcache/v1/put", json={"key": "something else entirely"}),
    ):
        assert (miss.status_code, miss.content) == (404, b"")


@pytest.mark.both_stores
def test_a_namespace_is_a_store_of_its_own(http: httpx.Client) -> None:
    http.put("/semcache/v1/put", json={"key": FRANCE, "data": "Paris"})
    assert http.post("/semcache/v1/get", json={"key": FRANCE}, headers={"X-Cache-Namespace": ""}).status_code == 404


@pytest.mark.both_stores
def test_nothing_that_was_put_answers_a_call(http: httpx.Client, provider: Provider) -> None:
    http.put("/semcache/v1/put", json={"key": FRANCE, "data": "Paris"})
    assert post(http, "/v1/chat/completions", chat(FRANCE), x_llm_prompt="$.messages[-1].content").status_code == 200
    assert provider.calls() == 1


@pytest.mark.parametrize("method, path", [("PUT", "/semcache/v1/put"), ("POST", "/semcache/v1/get")])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"{", "application/json", 400, "Failed to parse the request body as JSON"),
        (b"{}", "application/json", 422, "missing field `key`"),
        (b'{"key": 5}', "application/json", 422, "key: Input should be a valid string"),
        (b"[]", "application/json", 422, "Failed to deserialize the JSON body"),
        (b'{"key": "k"}', "text/plain", 415, "Expected request with `Content-Type: application/json`"),
        (b'{"key": "k"}', "", 415, "Expected request with `Content-Type: application/json`"),
        (b'{"key": "' + b"k" * (2 << 20) + b'"}', "application/json", 413, "Request body too large"),
    ],
)
def test_bodies_that_are_refused(
    http: httpx.Client, method: str, path: str, body: bytes, content_type: str, status: int, said: str
) -> None:
    response = http.request(method, path, content=body, headers={"content-type": content_type})
    assert response.status_code == status
    assert said in response.text
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_body_of_more_than_one_mebibyte_is_taken(http: httpx.Client) -> None:
    data = "x" * (1536 << 10)
    assert http.put("/semcache/v1/put", json={"key": FRANCE, "data": data}).status_code == 200
    assert http.post("/semcache/v1/get", json={"key": FRANCE}).text == data


def test_wrong_paths_and_methods_are_told_in_plain_text(http: httpx.Client) -> None:
    for response, status in (
        (http.get("/semcache/v1/put"), 405),
        (http.post("/semcache/v1/nothing"), 404),
        (http.delete("/admin"), 405),
    ):
        assert (response.status_code, response.headers["content-type"]) == (status, "text/plain; charset=utf-8")


def test_with_a_token_put_and_get_need_it_unless_the_rules_say_otherwise(
    start_module_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shipped = (REPOSITORY / "rules.yaml").read_text("utf-8")
    for is_open in (False, True):
        rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
        rules.write_text(f"{shipped}\nproducts: {{semcache: {{open: {str(is_open).lower()}}}}}\n", "utf-8")
        proxy = start_module_proxy(rules=rules, environment={"ASKONCE_TOKEN": "s3cret"})
        pair = {"key": FRANCE, "data": "Paris"}
        with httpx.Client(base_url=proxy.url, trust_env=False) as client:
            response = client.put("/semcache/v1/put", json=pair)
            assert (response.status_code, response.text) == ((200, "") if is_open else (401, "Unauthorized"))
            headers = {"Authorization": "Bearer s3cret"}
            assert client.put("/semcache/v1/put", json=pair, headers=headers).status_code == 200
            assert client.get("/dashboard-metrics").status_code == 401
            assert client.get("/dashboard-metrics", headers=headers).status_code == 200
        proxy.stop()


# Chat


@pytest.mark.both_stores
def test_openai_sdk_without_v1(proxy: Proxy, provider: Provider, base: str, api_key: str) -> None:
    with openai.OpenAI(base_url=proxy.url + base, api_key=api_key, max_retries=0) as sdk:
        for expected in (None, "hit"):
            raw = sdk.chat.completions.with_raw_response.create(**chat(FRANCE))
            assert raw.parse().choices[0].message.content == PARIS
            assert raw.headers.get("x-cache-status") == expected
            assert raw.headers["content-type"] == "application/json"
            proxy.settle()
        reworded = sdk.chat.completions.with_raw_response.create(**chat(REWORDED))
        assert reworded.headers["x-cache-status"] == "hit"
        streamed = list(sdk.chat.completions.create(**chat(FRANCE), stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == PARIS
    assert provider.calls() == 1
    assert provider.last()["path"] == "/v1/chat/completions"


def test_anthropic_sdk(proxy: Proxy, provider: Provider, base: str, api_key: str) -> None:
    asked: dict[str, Any] = {"model": "claude-opus-5", "max_tokens": 64}
    asked["messages"] = [{"role": "user", "content": FRANCE}]
    with anthropic.Anthropic(base_url=proxy.url + base, api_key=api_key, max_retries=0) as sdk:
        for expected in (None, "hit"):
            raw = sdk.messages.with_raw_response.create(**asked)
            assert raw.parse().content[0].text == PARIS  # type: ignore[union-attr]
            assert raw.headers.get("x-cache-status") == expected
            proxy.settle()
    assert (provider.calls(), provider.last()["host"]) == (1, "api.anthropic.com")


@pytest.mark.both_stores
def test_the_two_formats_share_nothing(http: httpx.Client, proxy: Proxy, provider: Provider) -> None:
    post(http, "/chat/completions", chat(FRANCE)).raise_for_status()
    proxy.settle()
    answer = post(http, "/v1/messages", chat(FRANCE, max_tokens=9)).raise_for_status().json()
    assert (answer["type"], provider.calls()) == ("message", 2)


def test_a_miss_is_passed_on_as_it_came(http: httpx.Client, provider: Provider) -> None:
    choice = '{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}'
    body = '{"id":"chatcmpl-1","object":"chat.completion","choices":[' + choice + "]}"
    provider.script(body, headers={"content-type": "application/json", "x-custom": "1"})
    response = post(http, "/chat/completions", chat(FRANCE))
    assert (response.text, response.headers["x-custom"]) == (body, "1")
    assert OURS.isdisjoint(response.headers)
    provider.script('{"error": {"message": "slow down"}}', status=429)
    refused = post(http, "/chat/completions", chat("Something else"))
    assert (refused.status_code, refused.json()) == (429, {"error": {"message": "slow down"}})
    assert OURS.isdisjoint(refused.headers)


def test_the_callers_headers_go_upstream_and_ours_do_not(http: httpx.Client, provider: Provider, api_key: str) -> None:
    post(
        http,
        "/chat/completions",
        chat(FRANCE),
        x_llm_proxy_upstream=OPENAI,
        x_llm_proxy_host="https://api.openai.com",
        x_llm_proxy_prompt="$.messages[-1].content",
        x_llm_prompt="$.messages[-1].content",
        x_mine="1",
    ).raise_for_status()
    sent = dict(provider.last()["headers"])
    assert (sent["authorization"], sent["x-mine"]) == (f"Bearer {api_key}", "1")
    assert not [name for name in sent if name.startswith(("x-llm", "x-cache"))]
    assert json.loads(provider.last()["body"]) == chat(FRANCE)


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions"])
def test_the_upstream_is_overridden(http: httpx.Client, provider: Provider, path: str) -> None:
    for headers, host, sent in (
        ({"x_llm_proxy_host": "https://api.mistral.ai"}, "api.mistral.ai", "/v1/chat/completions"),
        ({"x_llm_proxy_host": "api.mistral.ai/"}, "api.mistral.ai", "/v1/chat/completions"),
        (
            {"x_llm_proxy_upstream": "https://api.groq.com/openai/v1/chat/completions?a=b"},
            "api.groq.com",
            "/openai/v1/chat/completions",
        ),
        (
            {
                "x_llm_proxy_host": "https://api.mistral.ai",
                "x_llm_proxy_upstream": "https://api.deepseek.com/chat/completions",
            },
            "api.deepseek.com",
            "/chat/completions",
        ),
    ):
        post(http, path, chat(FRANCE, seed=random.random()), **headers).raise_for_status()
        assert (provider.last()["host"], provider.last()["path"]) == (host, sent)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1/chat/completions",
        "https://api.openai.com.evil.example/v1/chat/completions",
        "https://api.openai.com:444/v1/chat/completions",
        "http://api.openai.com/v1/chat/completions",
        "https://api.openai.com/v1/files",
        "https://api.openai.com/",
        "http://127.0.0.1/v1/chat/completions",
        "http://localhost:8080/v1/cache",
        "http://[::1]/v1/chat/completions",
        "http://[::ffff:169.254.169.254]/latest/meta-data",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/v1/chat/completions",
        "http://0x7f000001/v1/chat/completions",
        "https://askonce.internal/v1/cache",
        "https://promptcache.askonce.internal/v1/chat/completions",
        "https://api.openai.com./v1/chat/completions",
    ],
)
def test_no_rule_no_way(http: httpx.Client, provider: Provider, url: str) -> None:
    response = post(http, "/chat/completions", chat(FRANCE), x_llm_proxy_upstream=url)
    assert (response.status_code, response.headers["content-type"]) == (403, "text/plain; charset=utf-8")
    assert response.text.startswith("Refused: no rule names ")
    assert provider.calls() == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://user@api.openai.com/v1/chat/completions",
        "https://api.openai.com@evil.example/v1/chat/completions",
        "https://api.openai.com\\@evil.example/v1/chat/completions",
        "https://api.openai.com/v1/../v1/chat/completions",
        "https://api.openai.com/v1/%2e%2E/v1/chat/completions",
        "https://api.openai.com/v1/chat/completions#x",
        "https://api.openai.com:99999/v1/chat/completions",
        "https://[api.openai.com]/v1/chat/completions",
        "file:///etc/passwd",
        "gopher://api.openai.com/v1/chat/completions",
        "//api.openai.com/v1/chat/completions",
        "api.openai.com",
        "https:///v1/chat/completions",
    ],
)
def test_a_url_that_is_none(http: httpx.Client, provider: Provider, url: str) -> None:
    response = post(http, "/chat/completions", chat(FRANCE), x_llm_proxy_upstream=url)
    assert response.status_code == 400
    assert response.text.startswith("Error handling request: Invalid upstream: ")
    assert provider.calls() == 0


def test_hosts_are_held_to_the_same(http: httpx.Client, provider: Provider) -> None:
    for host, status in (("http://169.254.169.254", 403), ("https://u:p@api.openai.com", 400), ("evil.example", 403)):
        response = post(http, "/chat/completions", chat(FRANCE), x_llm_proxy_host=host)
        assert response.status_code == status, response.text
    assert provider.calls() == 0


def test_a_redirect_is_passed_on_and_not_followed(http: httpx.Client, provider: Provider) -> None:
    provider.script("", status=307, headers={"location": "http://169.254.169.254/latest/meta-data/"})
    response = post(http, "/chat/completions", chat(FRANCE))
    assert (response.status_code, response.headers["location"]) == (307, "http://169.254.169.254/latest/meta-data/")
    assert provider.calls() == 1


def test_a_wildcard_leads_into_no_private_network(housed: Proxy, provider: Provider, base: str) -> None:
    with httpx.Client(base_url=housed.url + base, trust_env=False) as http:
        for upstream, said in (
            ("https://nobody-of-this-name.openai.azure.com/ask", "has no address"),
            ("https://localhost.openai.azure.com/ask", "address"),
        ):
            response = post(http, "/chat/completions", {"q": "x"}, x_llm_proxy_upstream=upstream)
            assert response.status_code == 403
            assert said in response.text
    assert provider.calls() == 0


def test_a_private_address_that_a_rule_names_is_reached(housed: Proxy, provider: Provider, base: str) -> None:
    url = f"http://127.0.0.1:{provider.port}/v1/chat/completions"
    with httpx.Client(base_url=housed.url + base, trust_env=False) as http:
        response = post(http, "/chat/completions", chat(FRANCE), x_llm_proxy_upstream=url, authorization="Bearer k")
    # The sample provider speaks TLS there, so that it cannot answer plain HTTP; but it was let through.
    assert (response.status_code, response.text) == (500, "Failed to call upstream")


# Where the prompt is


def two(first: str, last: str, **more: Any) -> dict[str, Any]:
    """A conversation of two questions."""
    messages = [{"role": "user", "content": first}, {"role": "assistant", "content": "Yes."}]
    return chat(last, **more) | {"messages": [*messages, {"role": "user", "content": last}]}


@pytest.mark.parametrize("header", ["x_llm_proxy_prompt", "x_llm_prompt"])
def test_the_wire_formats_own_prompt_may_be_reworded(
    http: httpx.Client, proxy: Proxy, provider: Provider, header: str
) -> None:
    path = {header: "$.messages[-1].content"}
    post(http, "/chat/completions", chat(FRANCE), **path).raise_for_status()
    proxy.settle()
    assert post(http, "/chat/completions", chat(REWORDED), **path).headers["x-cache-status"] == "hit"
    assert provider.calls() == 1


@pytest.mark.parametrize("path", ["$.messages[0].content", "$.messages[*].role", "$.model", "$..content"])
def test_a_callers_path_never_loosens(http: httpx.Client, proxy: Proxy, provider: Provider, path: str) -> None:
    post(http, "/chat/completions", two(FRANCE, "And of Germany?"), x_llm_prompt=path).raise_for_status()
    proxy.settle()
    for other in (
        two(REWORDED, "And of Germany?"),
        two(FRANCE, "And of Italy?"),
        two(FRANCE, "And of Germany?", temperature=0),
        two(FRANCE, "And of Germany?") | {"model": "gpt-4o-mini"},
    ):
        assert "x-cache-status" not in post(http, "/chat/completions", other, x_llm_prompt=path).headers
    assert provider.calls() == 5
    again = post(http, "/chat/completions", two(FRANCE, "And of Germany?"), x_llm_prompt=path)
    assert again.headers["x-cache-status"] == "hit"


def test_a_callers_path_elsewhere_allows_only_the_same_call(
    http: httpx.Client, proxy: Proxy, provider: Provider
) -> None:
    post(http, "/chat/completions", chat(FRANCE)).raise_for_status()
    proxy.settle()
    assert "x-cache-status" in post(http, "/chat/completions", chat(REWORDED)).headers
    assert "x-cache-status" in post(http, "/chat/completions", chat(FRANCE), x_llm_prompt="$.model").headers
    assert "x-cache-status" not in post(http, "/chat/completions", chat(REWORDED), x_llm_prompt="$.model").headers


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("$.nothing.here", "No element found at path '$.nothing.here'"),
        ("$.messages", "Expected a string at path '$.messages', but found: [{"),
        ("$.messages[", "Invalid prompt path: expected a JSONPath"),
        ("messages", "Invalid prompt path: expected a JSONPath"),
    ],
)
def test_a_path_that_finds_no_prompt(http: httpx.Client, provider: Provider, path: str, said: str) -> None:
    response = post(http, "/chat/completions", chat(FRANCE), x_llm_proxy_prompt=path)
    assert (response.status_code, response.headers["content-type"]) == (400, "text/plain; charset=utf-8")
    assert response.text.startswith(said)
    assert provider.calls() == 0


# The generic endpoint


def test_the_generic_endpoint_needs_upstream_and_prompt(http: httpx.Client, provider: Provider) -> None:
    both: dict[str, str] = {"x_llm_proxy_upstream": OPENAI, "x_llm_proxy_prompt": "$.query"}
    for given in ((), ("x_llm_proxy_upstream",), ("x_llm_proxy_prompt",)):
        response = post(http, GENERIC, {"query": FRANCE}, **{name: both[name] for name in given})
        assert response.status_code == 400
        assert response.text.startswith("Error handling request: Invalid generic provider: ")
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert provider.calls() == 0


def test_the_generic_endpoint_answers_again(housed: Proxy, provider: Provider, base: str, api_key: str) -> None:
    headers = {"x_llm_proxy_upstream": "https://api.groq.com/v2/ask", "authorization": f"Bearer {api_key}"}
    for path, reworded in (("$.query", "hit"), ("$.other", None)):
        asked = {"query": FRANCE, "other": path}
        with httpx.Client(base_url=housed.url + base, trust_env=False) as http:
            before = provider.calls()
            for expected in (None, "hit"):
                if expected is None:
                    provider.script('{"answer": "Paris"}')
                response = post(http, GENERIC, asked, x_llm_proxy_prompt=path, **headers)
                assert (response.json(), response.headers.get("x-cache-status")) == ({"answer": "Paris"}, expected)
                housed.settle()
            assert provider.calls() == before + 1
            provider.script('{"answer": "asked again"}')
            again = post(http, GENERIC, asked | {"query": REWORDED}, x_llm_proxy_prompt=path, **headers)
            assert again.headers.get("x-cache-status") == reworded
            provider.reset()


def test_where_the_rule_names_no_prompt_only_the_same_body_is_answered(
    http: httpx.Client, proxy: Proxy, provider: Provider
) -> None:
    """The caller's path is good enough to say where the prompt is, not to say what may be reworded."""
    headers = {"x_llm_proxy_upstream": OPENAI, "x_llm_proxy_prompt": "$.messages[0].content"}
    post(http, GENERIC, two(FRANCE, "Is that so?"), **headers).raise_for_status()
    proxy.settle()
    assert "x-cache-status" not in post(http, GENERIC, two(REWORDED, "Is that so?"), **headers).headers
    assert "x-cache-status" in post(http, GENERIC, two(FRANCE, "Is that so?"), **headers).headers


@pytest.mark.parametrize("path", ["/chat/completions", GENERIC])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"{", "application/json", 400, "Failed to parse the request body as JSON"),
        (b"{}", "text/plain", 415, "Expected request with `Content-Type: application/json`"),
        (b"[" + b" " * (2 << 20) + b"]", "application/json", 413, "length limit exceeded"),
    ],
)
def test_calls_that_are_refused(
    http: httpx.Client, provider: Provider, path: str, body: bytes, content_type: str, status: int, said: str
) -> None:
    response = http.post(path, content=body, headers={"content-type": content_type})
    assert (response.status_code, response.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert said in response.text
    assert provider.calls() == 0


# Health, dashboard, metrics


def test_the_root_answers(proxy: Proxy, base: str) -> None:
    response = httpx.get(f"{proxy.url}{base}/", trust_env=False)
    assert response.status_code == 200
    if base:
        assert response.content == b""


def test_the_dashboard(http: httpx.Client, base: str) -> None:
    page = http.get("/admin")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    now = http.get("/dashboard-metrics").json()
    assert [metric["name"] for metric in now["metrics"]] == [
        "Num entries in the cache",
        "Total chat completion requests",
        "Cache hits",
        "Cache miss",
        "Memory usage (mb) - only available in Linux systems",
    ]
    assert all(type(metric["value"]) is int for metric in now["metrics"])
    assert {metric["chart_type"] for metric in now["metrics"]} <= {"bar", "line", "doughnut", "statcard"}
    history = http.get("/static/metrics_history.json").json()
    assert 1 <= len(history) <= 50
    assert history[0].keys() == now.keys()


def test_metrics_count_a_hit_and_a_miss(http: httpx.Client, proxy: Proxy, provider: Provider, base: str) -> None:
    def counted() -> tuple[float, float]:
        text = http.get("/metrics").text
        found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        assert ("askonce_cache_entries" in found) != bool(base)
        return float(found["semcache_cache_hit"]), float(found["semcache_cache_miss"])

    hits, misses = counted()
    for _ in range(2):
        post(http, "/chat/completions", chat(FRANCE)).raise_for_status()
        proxy.settle()
    assert counted() == (hits + 1, misses + 1)
    names = {line.split()[2] for line in http.get("/metrics").text.splitlines() if line.startswith("# TYPE")}
    assert {"semcache_chat_completion_http_requests", "semcache_cache_size", "semcache_memory_usage"} <= names


def test_an_upstream_that_is_slow_streams(http: httpx.Client, provider: Provider) -> None:
    provider.set(per_token=10 * PATIENCE)
    with http.stream("POST", "/chat/completions", json=chat(FRANCE, stream=True)) as response:
        assert next(response.iter_raw()).startswith(b"data: ")
