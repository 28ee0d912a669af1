"""What one caller can take from all others: the loop, memory, descriptors, and their answers.

One rule: sizes are those of a careless program, a few MiB on the wire; what they would become is what is bounded.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import brotli
import httpx
import zstandard
from tests.attack.attack import Attack
from tests.attack.target import CHAT, FRANCE, Target, body, rules
from tests.attack.watch import MIB
from tests.support.waiting import PATIENCE, until

_INFLATED = 256 * MIB
_CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6),
    "br": lambda data: brotli.compress(data, quality=5),
    "zstd": zstandard.ZstdCompressor(level=3).compress,
}


def _compressed(coding: str) -> bytes:
    """A call whose content is a long run of spaces: some hundred KiB that become `_INFLATED`."""
    whole = json.dumps(body("Hi.")).encode()
    return _CODINGS[coding](whole + b" " * (_INFLATED - len(whole)))


def inflated_requests(target: Target) -> int:
    for coding in _CODINGS:
        data = _compressed(coding)
        with target.client() as client, contextlib.suppress(httpx.HTTPError):
            client.post(CHAT, content=data, headers={"content-encoding": coding, "content-type": "application/json"})
    return 0


def inflated_in_chunks(target: Target) -> int:
    data = _compressed("gzip")

    def chunks() -> Iterator[bytes]:
        for at in range(0, len(data), 4096):
            yield data[at : at + 4096]

    with target.client() as client, contextlib.suppress(httpx.HTTPError):
        client.post(CHAT, content=chunks(), headers={"content-encoding": "gzip", "content-type": "application/json"})
    return 0


def inflated_answers(target: Target) -> int:
    for coding in _CODINGS:
        data = _compressed(coding)
        headers = {"content-type": "application/json", "content-encoding": coding}
        target.provider.script(data, headers=headers)
        with target.client() as client, client.stream("POST", CHAT, json=body(f"Inflate {coding}.")) as answer:
            for _ in answer.iter_raw():
                pass
    target.proxy.settle()
    return 0


def million_keys(target: Target) -> int:
    content = json.dumps(body("Hi.") | {"x": {f"k{number}": 0 for number in range(1_000_000)}}).encode()
    with target.client() as client, contextlib.suppress(httpx.HTTPError):
        client.post(CHAT, content=content, headers={"content-type": "application/json"})
    return 0


def many_mistakes(target: Target) -> int:
    """Bodies for the management API of 79,000 fields that it does not know: just below `limits.max_values`."""
    unknown = {f"k{number}": 0 for number in range(79_000)}
    for path in ("/v1/feedback", "/v1/warm", "/v1/cache/warm", "/v1/caches/c/entries"):
        httpx.post(f"{target.proxy.url}{path}", json=unknown, trust_env=False, timeout=PATIENCE)
    return 0


def large_import(target: Target) -> int:
    """1 where 6 MiB of entries are not taken in."""
    target.ask(target.key())
    with httpx.Client(base_url=target.proxy.url, trust_env=False, timeout=PATIENCE) as client:
        first, line, *_ = client.get("/v1/cache/export").content.split(b"\n")
        lines = [first, *[line] * (6 * MIB // len(line))]
        answer = client.post("/v1/cache/import", content=b"\n".join(lines))
    return int(answer.json().get("skipped") != len(lines) - 1)


def many_texts(target: Target) -> int:
    """1 where a batch of 90,000 texts is not answered as its provider answers it: that it takes 2,048 at most."""
    asked = {"model": "text-embedding-3-small", "input": [f"text {number}" for number in range(90_000)]}
    with target.client() as client:
        return int(client.post("https://api.openai.com/v1/embeddings", json=asked).status_code != 400)


def deep_nesting(target: Target) -> int:
    content = b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with target.client() as client, contextlib.suppress(httpx.HTTPError):
        client.post(CHAT, content=content, headers={"content-type": "application/json"})
    return 0


def long_header(target: Target) -> int:
    """1 where a header of 1 MiB is taken."""
    with target.client() as client:
        try:
            answer = client.post(CHAT, json=body("Hi."), headers={"x-long": "a" * MIB})
        except httpx.HTTPError:
            return 0
    return int(answer.is_success)


def completion(text: str) -> str:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


def long_prompts(target: Target) -> int:
    """A prompt of 4 MiB, and one that is nothing but words of the judge's."""
    with target.client() as client:
        for _ in range(4):
            target.provider.script(completion("Yes."))
        for text in ("word " * (4 * MIB // 5), "not never without 10 km to miles " * 20_000):
            for ending in ("?", "!"):
                client.post(CHAT, json=body(text + ending))
    target.proxy.settle()
    return 0


def long_answers(target: Target) -> int:
    """How many of three streams of a kept answer of almost 4 MiB are no hits."""
    key, question = target.key(), "Say it at length."
    target.provider.script(completion("word " * (4 * MIB // 5 - 100)))
    target.ask(key, question=question)
    return sum(not target.ask(key, question=question, stream=True) for _ in range(3))


def unended_requests(target: Target) -> int:
    """1 where 300 heads and bodies without an end keep another from an answer."""
    half = b"POST http://model.test:8001/v1/chat/completions HTTP/1.1\r\nHost: model.test:8001\r\n"
    with contextlib.ExitStack() as stack:
        for number in range(300):
            connection = stack.enter_context(target.connect())
            connection.sendall(half + (b"Content-Length: 100\r\n\r\n{" if number % 2 else b""))
        with target.client() as client:
            return int(not client.post(CHAT, json=body(FRANCE)).is_success)


def many_bodies(target: Target) -> int:
    """1 where 64 requests of 8 MiB that never end keep another from an answer."""
    head = b"POST http://model.test:8001/v1/chat/completions HTTP/1.1\r\nHost: model.test:8001\r\n"
    part = b" " * (8 * MIB)
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            connection = stack.enter_context(target.connect())
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % (len(part) + 1) + part)
        with target.client() as client:
            return int(not client.post(CHAT, json=body(FRANCE)).is_success)


def unread_answers(target: Target) -> int:
    """1 where callers who ask and do not read keep another from an answer."""
    request = json.dumps(body(FRANCE)).encode()
    head = b"POST http://model.test:8001/v1/chat/completions HTTP/1.1\r\nHost: model.test:8001\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(target.connect())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sent = head + b"Content-Length: %d\r\n\r\n" % len(request) + request
            connection.sendall(sent * 5)
        with target.client() as client:
            return int(not client.post(CHAT, json=body(FRANCE)).is_success)


def eviction(target: Target) -> int:
    """How many of ten answers of one tenant another one's thousand drive out."""
    proxy = target.start("small", rules=rules(cache="{max_entries: 200, max_bytes: 2GiB}"))
    victim, questions = target.key(), [f"What is the name of river number {number}?" for number in range(10)]
    with target.watched(proxy) as small:
        for question in questions:
            small.ask(victim, question=question, seed=1)
        with small.client() as greedy, ThreadPoolExecutor(4) as many:
            list(many.map(lambda number: greedy.post(CHAT, json=body(f"Say {number}.", seed=number)), range(1000)))
        proxy.settle()
        return sum(not small.ask(victim, question=question, seed=1) for question in questions)


def feedback(target: Target) -> int:
    """How often one caller's word about one decision counts, beyond once."""
    key = target.key()
    target.ask(key)
    with target.client(key) as client:
        reworded = client.post(CHAT, json=body("Tell me what the capital of France is."))
    told = {"decision": reworded.headers["x-cache-decision"], "right": True}
    said = [httpx.post(f"{target.proxy.url}/v1/feedback", json=told, trust_env=False) for _ in range(20)]
    return max(0, sum(answer.json().get("learned", False) for answer in said) - 1)


def many_connections(target: Target) -> int:
    """Connections that say nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(target.connect())
        until(lambda: target.proxy.get("/health/live"))
    return 0


ATTACKS = (
    Attack("inflated requests", f"gzip, br and zstd that become {_INFLATED // MIB} MiB", inflated_requests),
    Attack("inflated in chunks", "the same in chunks, without a length", inflated_in_chunks),
    Attack("inflated answers", "the same from a provider", inflated_answers),
    Attack("a million keys", "a JSON object of a million keys", million_keys),
    Attack("many mistakes", "79,000 unknown fields in bodies for the management API", many_mistakes),
    Attack("a large import", "6 MiB of entries", large_import),
    Attack("many texts", "90,000 texts to embed in one call", many_texts),
    Attack("deep nesting", "lists 100,000 deep", deep_nesting),
    Attack("a long header", "one of 1 MiB", long_header),
    Attack("long prompts", "4 MiB of words; 20,000 times what the judge looks for", long_prompts),
    Attack("long answers", "one of 4 MiB, streamed three times", long_answers),
    Attack("unended requests", "300 heads and bodies that never end", unended_requests),
    Attack("many bodies", "64 requests of 8 MiB that never end", many_bodies),
    Attack("unread answers", "500 answers that nobody reads", unread_answers),
    Attack("silent connections", "300 that say nothing", many_connections),
    Attack("eviction", "1,000 answers of one tenant beside ten of another, where 200 fit", eviction),
    Attack("feedback", "one word, said twenty times", feedback),
)
