"""Past its time: an answer is served once more where the rule says so, and fetched anew by the proxy itself."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.e2e.conftest import free_port
from tests.support.waiting import PATIENCE, until

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
  - name: lenient
    hosts: [api.mistral.ai]
    paths: [/v1/chat/completions]
    wire: openai-chat
    stale_if_error: 1h
  - name: house
    hosts: [api.x.ai]
    paths: [/v1/chat/completions]
    wire: openai-chat
    stale_if_error: 1h
    upstream: http://127.0.0.1:HOUSE
"""
FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
TTL = 2.0


@pytest.fixture(scope="module")
def house_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def stale(start_module_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory, house_port: int) -> Proxy:
    rules: Path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rules.write_text(RULES.replace("HOUSE", str(house_port)))
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


LENIENT = "https://api.mistral.ai/v1/chat/completions"
UNREACHABLE = "https://api.x.ai/v1/chat/completions"


def test_where_the_provider_fails_the_old_answer_is_served(stale: Proxy, provider: Provider, app: httpx.Client) -> None:
    depends = {"x-askonce-depends": "doc:17@v3"}
    ask(app, LENIENT, **depends)
    assert not [name for name, _ in provider.last()["headers"] if name.startswith("x-askonce")]
    stale.settle()
    time.sleep(TTL + 0.2)
    provider.script('{"error": {"message": "overloaded"}}', status=503)
    old = ask(app, LENIENT, **depends)
    assert (old.status_code, said(old)) == (200, PARIS)
    status_said = old.headers["cache-status"]
    assert status_said.startswith("askonce; fwd=stale; fwd-status=503; ttl=-")
    assert status_said.endswith("; detail=stale-if-error")
    assert int(old.headers["age"]) >= TTL
    assert provider.calls() == 2
    new = ask(app, LENIENT, **depends)  # it recovers
    assert new.headers["cache-status"] == "askonce; fwd=stale; stored"
    cleared = httpx.delete(f"{stale.url}/v1/cache", params={"depends": "doc:17"}, trust_env=False)
    assert cleared.json()["deleted_count"] == 1


class House(BaseHTTPRequestHandler):
    """A provider of one answer."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = final(PARIS).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class OneProtocol(ssl.SSLContext):
    """Offers one protocol, whatever httpx would rather speak through a proxy."""

    offered = "http/1.1"

    def set_alpn_protocols(self, _: Iterable[str]) -> None:
        super().set_alpn_protocols([self.offered])


@pytest.mark.parametrize("http2", [False, True])
def test_where_the_provider_cannot_be_reached_the_old_answer_is_served(
    stale: Proxy, house_port: int, api_key: str, http2: bool
) -> None:
    trusting = OneProtocol(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(stale.bundle)
    trusting.offered = "h2" if http2 else "http/1.1"
    headers = {"authorization": f"Bearer {api_key}"}
    with httpx.Client(
        proxy=stale.url, verify=trusting, trust_env=False, headers=headers, timeout=PATIENCE, http2=http2
    ) as app:
        server = HTTPServer(("127.0.0.1", house_port), House)
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            assert said(ask(app, UNREACHABLE)) == PARIS
        finally:
            server.shutdown()
            serving.join()
            server.server_close()
        stale.settle()
        time.sleep(TTL + 0.2)
        old = ask(app, UNREACHABLE)
        other = app.post(UNREACHABLE, json={"model": "m", "messages": [{"role": "user", "content": "Who?"}]})
    assert (old.status_code, said(old)) == (200, PARIS)
    assert old.headers["cache-status"].startswith("askonce; fwd=stale; ttl=-")
    assert old.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert other.status_code == 502
