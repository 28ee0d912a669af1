"""An intercepted call that the judge is not sure of, and an LLM that is asked whether it means the same."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Provider, Proxy, StartProxy

URL = "https://api.openai.com/v1/chat/completions"
STORED = "How do I get from the airport to the old town?"
NEAR = "What is the cheapest route from the airport to the old town?"

RICE, BOILED = "How do I cook rice?", "What is the best way to boil rice?"


@pytest.fixture(scope="module")
def verified(start_module_proxy: StartProxy, _provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    rules: Path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(f"""
version: 1
upstreams: [{{name: chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}}]
verifier: {{url: "{_provider.url}/v1", model: verdicts, key: sk-operator, above: 0.0}}
""")
    return start_module_proxy(rules=rules)


@pytest.fixture
def app(verified: Proxy, provider: Provider, api_key: str) -> Iterator[httpx.Client]:
    trusting = ssl.create_default_context(cafile=str(verified.bundle))
    headers = {"authorization": f"Bearer {api_key}"}
    with httpx.Client(
        proxy=verified.url, verify=trusting, trust_env=False, headers=headers, timeout=PATIENCE
    ) as client:
        yield client


def ask(app: httpx.Client, question: str) -> httpx.Response:
    response = app.post(URL, json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]})
    return response.raise_for_status()


def verdict(said: str) -> str:
    message = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [message]})


def text(response: httpx.Response) -> Any:
    return response.json()["choices"][0]["message"]["content"]


def test_a_yes_is_a_hit_and_the_verdict_is_remembered(app: httpx.Client, provider: Provider) -> None:
    first = ask(app, STORED)
    assert "detail=exact" in ask(app, STORED).headers["cache-status"]  # by then it is in the index
    provider.script(verdict("YES"))
    for _ in range(2):
        hit = ask(app, NEAR)
        assert "hit; " in hit.headers["cache-status"]
        assert "detail=semantic" in hit.headers["cache-status"]
        assert text(hit) == text(first)
    assert provider.calls() == 2
    question = json.loads(provider.last()["body"])
    assert question["model"] == "verdicts"
    assert NEAR in question["messages"][1]["content"]
    assert dict(provider.last()["headers"])["authorization"] == "Bearer sk-operator"


def test_a_no_is_a_miss(app: httpx.Client, provider: Provider) -> None:
    ask(app, RICE)
    assert "detail=exact" in ask(app, RICE).headers["cache-status"]
    provider.script(verdict("NO"))
    assert "fwd=miss" in ask(app, BOILED).headers["cache-status"]
    assert provider.calls() == 3
