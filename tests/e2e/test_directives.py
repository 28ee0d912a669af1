"""What a caller may say with its request, and what reaches the provider of it: nothing."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

import http_sf
import httpx
import openai
import pytest
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy

URL = "https://api.openai.com/v1/chat/completions"
FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."


@pytest.fixture
def app(proxy: Proxy, api_key: str) -> Iterator[httpx.Client]:
    trusting = ssl.create_default_context(cafile=str(proxy.bundle))
    headers = {"authorization": f"Bearer {api_key}"}
    with httpx.Client(proxy=proxy.url, verify=trusting, trust_env=False, headers=headers, timeout=PATIENCE) as client:
        yield client


def ask(client: httpx.Client, control: str = "", question: str = FRANCE, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given |= {"cache-control": control} if control else {}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}
    return client.post(URL, json=body, headers=given)


def status(response: httpx.Response) -> dict[str, object]:
    """The parameters of `Cache-Status`."""
    ((_, parameters),) = http_sf.parse(response.headers["cache-status"].encode(), name="cache-status")
    return dict(parameters)


def test_each_directive_in_turn(proxy: Proxy, provider: Provider, app: httpx.Client) -> None:
    refused = ask(app, "only-if-cached")
    assert (refused.status_code, refused.headers["x-should-retry"]) == (504, "false")
    assert status(refused) == {"fwd": http_sf.Token("miss"), "detail": http_sf.Token("only-if-cached")}
    assert "only-if-cached" in refused.json()["error"]["message"]
    assert provider.calls() == 0

    assert status(ask(app, "no-store")) == {"fwd": http_sf.Token("bypass"), "detail": http_sf.Token("no-store")}
    assert status(ask(app)) == {"fwd": http_sf.Token("miss"), "stored": True}
    proxy.settle()
    assert provider.calls() == 2

    for control in ("", "only-if-cached", "max-age=60", "min-fresh=60", "max-stale", "max-age=60, only-if-cached"):
        hit = ask(app, control)
        told = status(hit)
        assert (told["hit"], told["detail"]) == (True, http_sf.Token("exact"))
        assert 0 < int(str(told["ttl"])) <= 7 * 86400 and int(hit.headers["age"]) <= 60
    assert provider.calls() == 2

    assert status(ask(app, "min-fresh=9999999", question=FRANCE)) == {"fwd": http_sf.Token("miss"), "stored": True}
    proxy.settle()
    assert status(ask(app, "no-cache")) == {"fwd": http_sf.Token("request"), "stored": True}
    assert provider.calls() == 4


def test_none_of_it_reaches_the_provider(provider: Provider, app: httpx.Client) -> None:
    ask(app, "max-age=5", x_cache_namespace="blue", x_cachecore_deps="a", x_llm_proxy_prompt="$.a")
    names = {name for name, _ in provider.last()["headers"]}
    assert not names & {"cache-control", "x-cache-namespace", "x-cachecore-deps", "x-llm-proxy-prompt"}


def test_namespaces_share_nothing(proxy: Proxy, provider: Provider, app: httpx.Client) -> None:
    ask(app, x_cache_namespace="blue")
    ask(app, x_cache_namespace="red")
    ask(app)
    proxy.settle()
    assert provider.calls() == 3
    assert "hit" in status(ask(app, x_cache_namespace="blue"))
    assert provider.calls() == 3


def test_what_the_provider_says_to_http_caches_neither_hinders_nor_stays(
    proxy: Proxy, provider: Provider, app: httpx.Client
) -> None:
    choice = '{"index": 0, "message": {"role": "assistant", "content": "Lutetia."}, "finish_reason": "stop"}'
    headers = {"content-type": "application/json", "cache-control": "no-cache, no-store, private", "age": "7"}
    provider.script(f'{{"id": "chatcmpl-1", "object": "chat.completion", "choices": [{choice}]}}', headers=headers)
    assert ask(app).headers["cache-control"] == headers["cache-control"]
    proxy.settle()
    hit = ask(app)
    assert (hit.headers.get("cache-control"), hit.headers["age"]) == (None, "0")
    assert provider.calls() == 1


def test_the_sdk_takes_a_504_for_what_it_is(app_env: dict[str, str], provider: Provider) -> None:
    with openai.OpenAI() as client, pytest.raises(openai.InternalServerError, match="only-if-cached") as caught:
        client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": FRANCE}],
            extra_headers={"cache-control": "only-if-cached"},
        )
    assert caught.value.status_code == 504
    assert provider.calls() == 0
