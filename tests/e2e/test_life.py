"""The life of a call through a real proxy: what streams, what is kept, what is shared, what survives."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

URL = "https://api.openai.com/v1/chat/completions"
FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}

type Connect = Callable[..., httpx.Client]


def body(question: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}], **more}


def chunk(text: str | None, finish: str | None = None) -> str:
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(event)}\n\n"


DONE = "data: [DONE]\n\n"


def said(response: httpx.Response) -> str:
    """The answer's text, from JSON or from a stream."""
    if not response.headers["content-type"].startswith("text/event-stream"):
        return str(response.json()["choices"][0]["message"]["content"])
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return "".join(
        choice["delta"].get("content") or "" for event in events for choice in event["choices"] if choice["delta"]
    )


def is_hit(response: httpx.Response) -> bool:
    return response.headers["cache-status"].startswith("askonce; hit")


@pytest.fixture(scope="module")
def trusting(_proxy: Proxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(_proxy.bundle))


@pytest.fixture
def client(proxy: Proxy, api_key: str, trusting: ssl.SSLContext) -> Iterator[httpx.Client]:
    """An app behind the session's proxy, with a partition of its own."""
    headers = {"authorization": f"Bearer {api_key}"}
    with httpx.Client(proxy=proxy.url, verify=trusting, headers=headers, trust_env=False, timeout=PATIENCE) as client:
        yield client


# Hits


def test_a_hit_says_what_it_is(client: httpx.Client) -> None:
    miss = client.post(URL, json=body(FRANCE))
    assert miss.headers["cache-status"] == "askonce; fwd=miss; stored"
    assert miss.headers["x-cache"] == "MISS"
    hit = client.post(URL, json=body(FRANCE))
    found = re.fullmatch(r"askonce; hit; ttl=(\d+); detail=exact", hit.headers["cache-status"])
    assert found
    assert 604790 <= int(found[1]) <= 604800
    assert 0 <= int(hit.headers["age"]) <= 5
    assert hit.headers["x-cache-age"] == hit.headers["age"]
    assert hit.headers["x-cache"] == "HIT"
    assert hit.headers["x-cache-similarity"] == hit.headers["x-similarity-score"] == "1.0000"
    assert re.fullmatch(r"[0-9a-f]{32,}", hit.headers["x-cache-key"])
    assert int(hit.headers["content-length"]) == len(hit.content)
    reworded = client.post(URL, json=body("Tell me what the capital of France is."))
    assert reworded.headers["cache-status"].endswith("; detail=semantic")
    assert reworded.headers["x-cache-key"] == hit.headers["x-cache-key"]
    assert 0.5 < float(reworded.headers["x-cache-similarity"]) < 1


def test_what_a_caller_tells_askonce_never_reaches_the_provider(client: httpx.Client, provider: Provider) -> None:
    ours = {
        "cache-control": "no-cache",
        "x-cache-namespace": "a",
        "x-cachecore-deps": "a",
        "x-llm-proxy-prompt": "a",
        "x-llm-proxy-upstream": "a",
        "x-llm-proxy-host": "a",
    }
    client.post(URL, json=body(FRANCE), headers=ours)
    sent = {name for name, _ in provider.last()["headers"]}
    assert sent.isdisjoint(ours)
    assert {"authorization", "content-type", "user-agent"} <= sent


def test_directives_decide_whether_the_provider_is_asked(client: httpx.Client, provider: Provider) -> None:
    def ask(control: str, **more: str) -> httpx.Response:
        return client.post(URL, json=body(FRANCE), headers={"cache-control": control, **more})

    assert ask("only-if-cached").status_code == 504
    assert provider.calls() == 0
    assert ask("no-store").headers["cache-status"] == "askonce; fwd=bypass; detail=no-store"
    assert ask("only-if-cached").status_code == 504
    assert ask("no-cache").headers["cache-status"] == "askonce; fwd=request; stored"
    until(lambda: is_hit(ask("only-if-cached")))
    assert is_hit(ask("max-age=60"))
    assert not is_hit(ask("max-age=0"))
    assert not is_hit(ask("max-age=60", **{"x-cache-namespace": "other"}))
    assert provider.calls() == 4


# Streams of misses


def test_a_streamed_miss_arrives_as_the_provider_sends_it(client: httpx.Client, provider: Provider) -> None:
    words = ["The ", "capital ", "is ", "Paris."]
    chunks = [*map(chunk, words), chunk(None, "stop") + DONE]
    provider.script(*chunks, headers=EVENTS, held=True)
    with client.stream("POST", URL, json=body(FRANCE, stream=True)) as response:  # the headers, before the first chunk
        parts = response.iter_text()
        for sent in chunks:  # each before the next is there
            provider.release(1)
            assert next(parts) == sent
    provider.set(is_held=True)
    hit = client.post(URL, json=body(FRANCE, stream=True))  # does not play the provider's pauses
    assert is_hit(hit)
    assert said(hit) == "".join(words)


def test_twenty_misses_on_one_connection_use_one_upstream_connection(client: httpx.Client, provider: Provider) -> None:
    for number in range(20):
        miss = client.post(URL, json=body(FRANCE, stream=number % 2 == 1, seed=number))
        assert said(miss) == PARIS
    stats = provider.stats()
    assert (stats["calls"], stats["connections"]) == (20, 1)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_encoded_answer_is_kept_and_replayed_decoded(
    client: httpx.Client, provider: Provider, coding: str, stream: bool
) -> None:
    provider.set(content_encoding=coding)
    miss = client.post(URL, json=body(FRANCE, stream=stream))
    assert miss.headers["content-encoding"] == coding
    for hit in (client.post(URL, json=body(FRANCE)), client.post(URL, json=body(FRANCE, stream=True))):
        assert is_hit(hit)
        assert "content-encoding" not in hit.headers
        assert said(hit) == said(miss) == PARIS
    assert provider.calls() == 1


# What is not kept


def test_a_stream_without_its_end_mark_is_not_kept(client: httpx.Client, provider: Provider) -> None:
    provider.script(chunk("The capital"), chunk(" is"), headers=EVENTS)
    assert said(client.post(URL, json=body(FRANCE, stream=True))) == "The capital is"
    again = client.post(URL, json=body(FRANCE, stream=True))
    assert not is_hit(again)
    assert said(again) == PARIS
    assert provider.calls() == 2


@pytest.mark.parametrize("headers", [JSON, EVENTS])
def test_an_answer_that_the_provider_cut_off_is_not_kept(
    client: httpx.Client, provider: Provider, headers: dict[str, str]
) -> None:
    stream = headers is EVENTS
    provider.script(chunk("The capital") if stream else '{"id": "chatcmpl-1", "choi', headers=headers, abort=True)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(URL, json=body(FRANCE, stream=stream))
    again = client.post(URL, json=body(FRANCE, stream=stream))
    assert not is_hit(again)
    assert said(again) == PARIS


def test_an_answer_that_the_app_did_not_wait_for_is_not_kept(client: httpx.Client, provider: Provider) -> None:
    provider.script(chunk("The capital"), (5, chunk(" is")), headers=EVENTS)
    with client.stream("POST", URL, json=body(FRANCE, stream=True)) as response:
        next(response.iter_raw())
    until(lambda: provider.stats()["left"])  # the provider need not go on, either
    assert not is_hit(client.post(URL, json=body(FRANCE, stream=True)))


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_error_is_the_providers_own_and_not_kept(client: httpx.Client, provider: Provider, status: int) -> None:
    provider.script('{"error": {"message": "no"}}', status=status, headers=JSON | {"retry-after": "7"})
    refused = client.post(URL, json=body(FRANCE))
    assert (refused.status_code, refused.json()) == (status, {"error": {"message": "no"}})
    assert refused.headers["retry-after"] == "7"
    assert refused.headers["cache-status"] == "askonce; fwd=miss"
    assert not is_hit(client.post(URL, json=body(FRANCE)))


# Calls side by side


async def many(proxy: Proxy, trusting: ssl.SSLContext, key: str, count: int, **more: Any) -> list[httpx.Response]:
    """The same call from so many clients at once, each with a connection of its own."""
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(
        proxy=proxy.url, verify=trusting, limits=limits, headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE
    ) as client:
        return await asyncio.gather(*(client.post(URL, json=body(FRANCE, **more)) for _ in range(count)))


@pytest.mark.parametrize("stream", [False, True])
async def test_fifty_identical_calls_at_once_ask_the_provider_once(
    proxy: Proxy, provider: Provider, trusting: ssl.SSLContext, api_key: str, stream: bool
) -> None:
    provider.set(is_held=True)
    asked_at_once = asyncio.ensure_future(many(proxy, trusting, api_key, 50, stream=stream))
    await asyncio.to_thread(proxy.until_in_flight, 50)
    provider.release(1)
    answers = await asked_at_once
    assert {said(answer) for answer in answers} == {PARIS}
    asked = [answer.headers["cache-status"] for answer in answers if not is_hit(answer)]
    assert asked.count("askonce; fwd=miss; collapsed") == (len(asked) - 1 if stream else 0)
    assert asked.count("askonce; fwd=miss; stored") == 1
    assert provider.calls() == 1


async def test_calls_that_wait_for_an_error_do_not_wait_for_each_other(
    proxy: Proxy, provider: Provider, trusting: ssl.SSLContext, api_key: str
) -> None:
    for _ in range(8):
        provider.script('{"error": {"message": "overloaded"}}', status=529, held=True)
    asked = asyncio.ensure_future(many(proxy, trusting, api_key, 8))
    await asyncio.to_thread(proxy.until_in_flight, 8)
    provider.release(1)  # the first
    await asyncio.to_thread(until, lambda: provider.calls() == 8)  # then all others together
    provider.release(7)
    assert [answer.status_code for answer in await asked] == [529] * 8


@pytest.mark.parametrize("stream", [False, True])
async def test_when_the_first_leaves_one_other_takes_over(
    proxy: Proxy, provider: Provider, trusting: ssl.SSLContext, api_key: str, stream: bool
) -> None:
    """... where the others cannot just hear the rest: test_collapse.py has those who can."""
    provider.set(is_held=True)
    async with httpx.AsyncClient(
        proxy=proxy.url, verify=trusting, headers={"authorization": f"Bearer {api_key}"}
    ) as client:
        leader = asyncio.ensure_future(client.post(URL, json=body(FRANCE, stream=stream)))
        await asyncio.to_thread(until, provider.calls)
        followers = asyncio.ensure_future(many(proxy, trusting, api_key, 5, stream=not stream))
        await asyncio.to_thread(proxy.until_in_flight, 6)
        leader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leader
    await asyncio.to_thread(until, lambda: provider.calls() == 2)
    provider.release(2)
    answers = await followers
    assert {said(answer) for answer in answers} == {PARIS}
    assert provider.calls() == 2


async def test_who_waits_for_another_and_leaves_is_no_longer_in_flight(
    proxy: Proxy, provider: Provider, trusting: ssl.SSLContext, api_key: str
) -> None:
    provider.set(is_held=True)
    leader = asyncio.ensure_future(many(proxy, trusting, api_key, 1))
    await asyncio.to_thread(until, provider.calls)
    left = asyncio.ensure_future(many(proxy, trusting, api_key, 3))
    await asyncio.to_thread(proxy.until_in_flight, 4)
    left.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await left
    provider.release(1)
    await leader
    await asyncio.to_thread(proxy.settle)
    assert provider.calls() == 1


# Management through the proxy


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_management_paths_are_decoded_once(client: httpx.Client, provider: Provider, scheme: str) -> None:
    site = f"{scheme}://askonce.internal"
    health = client.get(f"{site}/health")
    assert (health.status_code, health.json()["status"]) == (200, "healthy")
    once = client.get(f"{site}/v1/cache/a%2Fb%20c").json()
    assert once == {"error": "There is nothing at /v1/cache/a/b c; /openapi.json lists what there is"}
    twice = client.get(f"{site}/v1/cache/a%252Fb").json()
    assert twice == {"error": "Entry not found"}
    found = client.get(f"{site}/v1/cache", params={"prompt": "a/b & c=d%", "limit": "1"})
    assert found.json() == {"count": 0, "keys": [], "entries": []}
    assert provider.calls() == 0


def test_what_a_call_did_is_found_through_the_management_api(client: httpx.Client, proxy: Proxy) -> None:
    question = f"Which river flows through town {time.time_ns()}?"
    client.post(URL, json=body(question))
    hit = client.post(URL, json=body(question))

    def listed() -> dict[str, Any]:
        (entry,) = proxy.get(f"/v1/cache?prompt={urllib.parse.quote(question)}")["entries"]
        return dict(entry)

    # While a hit is being written, a list may count it twice, or not yet.
    until(lambda: listed()["hits"] == 1)
    entry = listed()
    assert (entry["key"], entry["upstream"], entry["hits"]) == (hit.headers["x-cache-key"], "openai-chat", 1)
    assert client.delete(f"https://askonce.internal/v1/cache/{entry['key']}").status_code == 200
    assert not is_hit(client.post(URL, json=body(question)))


# The life of the process


def answers(proxy: Proxy) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", proxy.port)) == 0


def as_app(proxy: Proxy, key: str) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(proxy.bundle))
    return httpx.Client(
        proxy=proxy.url, verify=context, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=PATIENCE
    )


def test_sigterm_lets_a_stream_end_and_what_is_kept_survives_restart_and_kill(
    start_proxy: StartProxy, provider: Provider
) -> None:
    proxy = start_proxy()
    with as_app(proxy, "sk-drain") as client:
        client.post(URL, json=body("Who wrote Hamlet?"))
        provider.script(*map(chunk, "abcdef"), chunk(None, "stop") + DONE, headers=EVENTS, held=True)
        provider.release(1)
        with client.stream("POST", URL, json=body(FRANCE, stream=True)) as response:
            parts = response.iter_text()
            first = next(parts)
            proxy.process.terminate()
            until(lambda: not answers(proxy))  # nobody new is let in
            provider.release(6)
            rest = "".join(parts)
        assert (first + rest).endswith(DONE)
        assert (first + rest).count("data: {") == 7
    assert proxy.process.wait(PATIENCE) == 0

    proxy.restart()
    with as_app(proxy, "sk-drain") as client:
        assert (
            said(client.post(URL, json=body("Who wrote Hamlet?"))) == "William Shakespeare wrote Hamlet, around 1600."
        )
        assert said(client.post(URL, json=body(FRANCE, stream=True))) == "abcdef"
        assert provider.calls() == 2
        client.post(URL, json=body("How fast is light?"))
        proxy.settle()  # the management API has counted it: it is acknowledged
    proxy.kill()

    proxy.restart()
    with as_app(proxy, "sk-drain") as client:
        for question in ("Who wrote Hamlet?", FRANCE, "How fast is light?"):
            assert is_hit(client.post(URL, json=body(question)))
        assert is_hit(client.post(URL, json=body("Tell me who wrote Hamlet.")))  # the index is there again, too
    assert provider.calls() == 3


RULES = """
version: 1
upstreams:
  - {name: openai, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat, scope: "header:X-Team"}
  - {name: azure, hosts: ["*.openai.azure.com"], paths: ["/openai/deployments/*/chat/completions"], wire: openai-chat}
  - {name: gone, hosts: ["https://api.openai.com:9"], paths: ["/**"], wire: openai-chat, scope: credential}
"""


def test_no_credential_is_written_anywhere(
    start_proxy: StartProxy, provider: Provider, routes: dict[str, int], tmp_path: Path
) -> None:
    canary = "cAnArY0123456789"
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    token = f"token-{canary}"
    proxy = start_proxy(rules=rules, environment={"ASKONCE_TOKEN": token})
    azure = f"https://sample.openai.azure.com/openai/deployments/d/chat/completions?api-version=1&key={canary}"
    secrets = {
        "authorization": f"Bearer sk-{canary}",
        "api-key": f"azure-{canary}",
        "x-api-key": f"x-{canary}",
        "cookie": f"session={canary}",
        "x-team": f"team-{canary}",
        "x-cache-namespace": "plain",
    }
    personal = JSON | {"set-cookie": f"s={canary}", "openai-organization": canary, "x-ratelimit-key": canary}
    with as_app(proxy, "") as client:
        client.headers = httpx.Headers(secrets)
        for url in (URL, azure):
            provider.script(client_answer(), headers=personal)
            for _ in range(2):
                client.post(url, json=body(FRANCE)).raise_for_status()
            client.post(url, json=body(FRANCE, stream=True)).raise_for_status()
            provider.script(json.dumps({"error": {"message": f"wrong key sk-{canary}"}}), status=401)
            client.post(url, json=body("Who wrote Hamlet?"))
            client.post(url, content=b"{" + canary.encode())  # unreadable
            client.post(url, content=b"\x1f\x8b" + canary.encode(), headers={"content-encoding": "gzip"})
            provider.script("{}", headers=JSON)  # unstorable
            client.post(url, json=body("Who wrote Faust?"))
            provider.script(chunk("x"), headers=EVENTS, abort=True)
            with contextlib.suppress(httpx.HTTPError):
                client.post(url, json=body("Who wrote Emma?", stream=True))
            client.post(url, json=body("Who wrote Nana?"), headers={"cache-control": "only-if-cached"})
        with contextlib.suppress(httpx.HTTPError):
            client.post("https://api.openai.com:9/v1?key=" + canary, json=body(FRANCE))  # nobody listens
        client.post("https://api.openai.com/v1/unnamed?key=" + canary, content=canary)
        manage = {"authorization": f"Bearer {token}"}
        assert client.get("https://askonce.internal/v1/stats", headers=manage).json()["stored"] == 2
        wrong = client.get("https://askonce.internal/v1/stats", headers={"authorization": f"Bearer no-{canary}"})
        assert wrong.status_code == 401
    proxy.stop()

    written = {file: file.read_bytes() for file in proxy.data.rglob("*") if file.is_file()}
    assert any(FRANCE.encode() in content for content in written.values())  # the search can find what is there
    written[proxy.log_file] = proxy.log().encode()
    folders = [proxy.data, *(path for path in proxy.data.rglob("*") if path.is_dir())]
    assert {oct(path.stat().st_mode & 0o077) for path in [*folders, *written] if path != proxy.log_file} == {"0o0"}
    hidden = canary.encode()
    forms = [hidden.lower(), *(base64.b64encode(bytes(shift) + hidden)[4:-4].lower() for shift in range(3))]
    for file, content in written.items():
        for form in forms:
            assert form not in content.lower(), f"a credential is in {file}"
    key = (proxy.certs / "mitmproxy-ca.pem").read_text()
    assert "PRIVATE KEY" in key
    assert not any(b"PRIVATE KEY" in content for content in written.values())


def client_answer() -> str:
    message = {"role": "assistant", "content": PARIS}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps(answer)
