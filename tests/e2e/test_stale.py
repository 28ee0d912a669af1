"""Past its time: an answer is served once more where the rule says so, and fetched anew by the proxy itself."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

URL = "https://api.openai.com/v1/chat/completions"
RULES = """
version: 1
defaults: {ttl: 2s}
upstreams:
  - name: stale
    hosts: [api.openai.com]
    paths: [/v1/chat/completions]
    wire: openai-chat
    stale_while_revalidate: 1h
  - name: strict
    hosts: [api.groq.com]
    paths: [/openai/v1/chat/completions]
    wire: openai-chat
"""
FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
TTL = 2.0


@pytest.fixture(scope="module")
def stale(start_module_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    rules: Path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(RULES)
    return start_module_proxy(rules=rules)


@pytest.fixture
def app(stale: Proxy, provider: Provider, api_key: str) -> Iterator[httpx.Client]:
    trusting = ssl.create_default_context(cafile=str(stale.bundle))
    headers = {"authorization": f"Bearer {api_key}", "x-request-id": "mine", "openai-organization": "org"}
    with httpx.Client(proxy=stale.url, verify=trusting, trust_env=False, headers=headers, timeout=PATIENCE) as client:
        yield client


def ask(client: httpx.Client, url: str = URL, **headers: str) -> httpx.Response:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": FRANCE}], "user": "me"}
    return client.post(url, json=body, headers=headers)


def said(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


def final(text: str) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps(
        {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    )


def test_served_once_more_and_refreshed_with_the_callers_own_request(
    stale: Proxy, provider: Provider, app: httpx.Client, api_key: str
) -> None:
    ask(app)
    first: dict[str, Any] = provider.last()
    stale.settle()
    time.sleep(TTL + 0.2)

    provider.script(final("Lutetia."), held=True)
    old = ask(app)
    assert said(old) == PARIS
    assert old.headers["cache-status"].startswith("askonce; hit; ttl=-")
    assert old.headers["cache-status"].endswith("; detail=stale")
    assert int(old.headers["age"]) >= TTL
    with ThreadPoolExecutor(1) as aside:
        asked = aside.submit(ask, app)  # while it is being fetched: waits for that, and nobody asks twice
        stale.until_in_flight(2)  # the refresh, and the call that waits for it
        provider.release(1)
        new = asked.result()
    assert said(new) == "Lutetia."
    assert int(new.headers["age"]) < TTL
    assert provider.calls() == 2

    again = provider.last()
    headers = dict(again["headers"])
    assert headers.pop("cookie")  # what the provider set with its first answer
    expected = dict(first["headers"])
    assert expected.pop("connection")  # is about the connection, which is another
    assert headers == expected
    assert (again["body"], headers["authorization"]) == (first["body"], f"Bearer {api_key}")


def test_a_refresh_that_fails_leaves_the_next_call_to_the_provider(
    stale: Proxy, provider: Provider, app: httpx.Client
) -> None:
    ask(app)
    stale.settle()
    time.sleep(TTL + 0.2)
    provider.script('{"error": {"message": "overloaded"}}', status=503)
    assert said(ask(app)) == PARIS
    until(lambda: provider.calls() >= 2)
    stale.settle()
    later = ask(app)
    assert (said(later), later.headers["cache-status"]) == (PARIS, "askonce; fwd=stale; stored")
    assert provider.calls() == 3


def test_who_wants_a_fresh_answer_gets_one(stale: Proxy, provider: Provider, app: httpx.Client) -> None:
    ask(app)
    stale.settle()
    time.sleep(TTL + 0.2)
    assert ask(app, **{"cache-control": "only-if-cached"}).status_code == 504
    fresh = ask(app, **{"cache-control": "max-age=600"})
    assert fresh.headers["cache-status"] == "askonce; fwd=stale; stored"
    assert provider.calls() == 2


def test_without_the_setting_nothing_stale_is_served(stale: Proxy, provider: Provider, app: httpx.Client) -> None:
    url = "https://api.groq.com/openai/v1/chat/completions"
    ask(app, url)
    stale.settle()
    time.sleep(TTL + 0.2)
    later = ask(app, url, **{"cache-control": "max-stale=999"})
    assert later.headers["cache-status"] == "askonce; fwd=stale; stored"
    assert provider.calls() == 2
