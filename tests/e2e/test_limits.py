"""The limits of rules.yaml, scaled down: what is larger passes on unread, and nobody else notices."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import zlib
from typing import TYPE_CHECKING, Any

import brotli
import httpx
import pytest
import zstandard
from tests.e2e.raw import Origin, connect, read_message, read_to_end
from tests.support.waiting import until

from askonce.network.api_keys import ApiKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Proxy, StartProxy

PATH, VECTORS = "/v1/chat/completions", "/v1/embeddings"
BODY, DECODED, VALUES, HEADER = 200_000, 300_000, 1000, 8192
HELD = 1_500_000
LIMITS = {"max_body": BODY, "max_decoded": DECODED, "max_held": HELD, "max_values": VALUES, "max_header": HEADER}
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
JSON = {"content-type": "application/json"}


def completion(text: str = "Paris.") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt", "choices": [choice]}
    return json.dumps(whole).encode()


def response(body: bytes, *fields: str) -> bytes:
    head = ["HTTP/1.1 200 OK", "content-type: application/json", f"content-length: {len(body)}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + body


def asked(question: str = "What is the capital of France?", **more: Any) -> bytes:
    return json.dumps({"model": "gpt", "messages": [{"role": "user", "content": question}], **more}).encode()


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with contextlib.closing(Origin()) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(origin: Origin, start_module_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    rules = tmp_path_factory.mktemp("rules") / "rules.yaml"
    place = f"http://127.0.0.1:{origin.port}"
    upstreams: list[dict[str, Any]] = [
        {"name": "raw", "hosts": [place], "paths": [PATH], "wire": "openai-chat"},
        {"name": "vectors", "hosts": [place], "paths": [VECTORS], "wire": "openai-embeddings"},
        {"name": "claude", "hosts": ["api.anthropic.com"], "paths": ["/v1/messages"], "wire": "anthropic-messages"},
    ]
    upstreams[-1]["upstream"] = place
    keys = {"provider_keys": {"anthropic": "sk-ant"}}
    config = {"version": 1, "defaults": {"audit": 0}, "upstreams": upstreams, "limits": LIMITS, "products": keys}
    rules.write_text(json.dumps(config))
    return start_module_proxy(rules=rules)


@pytest.fixture
def app(proxy: Proxy, origin: Origin, api_key: str) -> Iterator[httpx.Client]:
    origin.reset()
    headers = JSON | {"authorization": f"Bearer {api_key}"}
    base = f"http://127.0.0.1:{origin.port}"
    with httpx.Client(proxy=proxy.url, base_url=base, headers=headers, timeout=15) as client:
        yield client


def status(answer: httpx.Response) -> str:
    return answer.headers["cache-status"]


def sent(origin: Origin) -> bytes:
    """The body of the last request, without its chunks' frames."""
    head, _, body = origin.requests[-1].partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole


# Bodies


def test_a_request_in_chunks_that_turns_out_to_be_too_large_passes_on(app: httpx.Client, origin: Origin) -> None:
    large = asked("x" * (2 * BODY))
    for _ in range(2):
        origin.answer(response(completion()))
        answer = app.post(PATH, content=(large[at : at + 10_000] for at in range(0, len(large), 10_000)))
        assert (answer.content, status(answer)) == (completion(), "askonce; fwd=bypass; detail=large")
        assert sent(origin) == large
    assert len(origin.requests) == 2


def test_a_request_in_chunks_below_the_limit_is_read(app: httpx.Client, origin: Origin, proxy: Proxy) -> None:
    origin.answer(response(completion()))
    body = asked("x" * (BODY // 2))
    answers = [app.post(PATH, content=iter([body[:50_000], body[50_000:]])) for _ in range(2)]
    assert [status(answer).startswith("askonce; hit") for answer in answers] == [False, True]


def test_a_provider_that_cannot_be_reached_while_a_request_is_passed_on(app: httpx.Client, origin: Origin) -> None:
    origin.answer(None)
    with contextlib.suppress(httpx.WriteError):
        answer = app.post(PATH, content=iter([asked("x" * BODY), b"y" * 100]))
        assert answer.status_code == 502
    origin.answer(response(completion()))
    assert app.post(PATH, content=asked()).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_a_request_for_askonce_itself_is_refused_with_a_reason(chunked: bool, proxy: Proxy) -> None:
    body = b"x" * (2 * BODY)
    answer = httpx.post(f"{proxy.url}/v1/feedback", content=iter([body]) if chunked else body, trust_env=False)
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == f"the request is larger than Askonce reads (limits.max_body: {BODY})"


def test_an_answer_that_is_to_be_read_whole_and_is_too_large_is_a_bad_gateway(
    app: httpx.Client, origin: Origin, proxy: Proxy
) -> None:
    def vectors(*found: list[float]) -> bytes:
        data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(found)]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return json.dumps({"object": "list", "model": "e", "data": data, "usage": usage}).encode()

    origin.answer(response(vectors([0.5])))
    app.post(VECTORS, json={"model": "e", "input": ["a"]}).raise_for_status()
    proxy.settle()
    origin.answer(response(vectors([0.25] * BODY)))
    batch = {"model": "e", "input": ["a", "b"]}
    assert app.post(VECTORS, json=batch).status_code == 502
    origin.answer(response(vectors([0.25])))
    whole = app.post(VECTORS, json=batch).json()
    assert [item["embedding"] for item in whole["data"]] == [[0.5], [0.25]]


# Content-encodings


@pytest.mark.parametrize("text", ["Paris.", "x" * (4 << 20)])
def test_an_answer_that_a_product_makes_its_own_of(text: str, origin: Origin, proxy: Proxy) -> None:
    origin.reset()
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn"}
    content = [{"type": "text", "text": text}]
    usage = {"input_tokens": 1, "output_tokens": 1}
    coded = gzip.compress(json.dumps(message | {"content": content, "usage": usage}).encode())
    key = ApiKeys(proxy.data).create("limits")[0]
    origin.answer(response(coded, "content-encoding: gzip"))
    question = {"model": "claude-x", "messages": [{"role": "user", "content": f"{key}?"}]}
    headers = {"authorization": f"Bearer {key}"}
    answer = httpx.post(f"{proxy.url}/gateway{PATH}", json=question, headers=headers, trust_env=False)
    if len(text) < DECODED:
        assert answer.json()["choices"][0]["message"]["content"] == text
    else:
        assert (answer.status_code, "limits.max_decoded" in answer.text) == (502, True)


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_request_that_decodes_to_too_much_passes_on_as_it_is(
    coding: str, app: httpx.Client, origin: Origin, proxy: Proxy
) -> None:
    bomb = ENCODERS[coding](asked("x" * (16 << 20)))
    assert len(bomb) < 50_000
    for _ in range(2):
        origin.answer(response(completion()))
        answer = app.post(PATH, content=bomb, headers={"content-encoding": coding})
        assert status(answer) == "askonce; fwd=bypass; detail=large"
        assert sent(origin) == bomb
    ordinary = ENCODERS[coding](asked())
    origin.answer(response(completion()))
    answers = [app.post(PATH, content=ordinary, headers={"content-encoding": coding}) for _ in range(2)]
    assert status(answers[1]).startswith("askonce; hit")


def test_codings_upon_codings(app: httpx.Client, origin: Origin) -> None:
    twice = gzip.compress(brotli.compress(asked("Twice?")))
    origin.answer(response(completion()))
    answers = [app.post(PATH, content=twice, headers={"content-encoding": "br, gzip"}) for _ in range(2)]
    assert status(answers[1]).startswith("askonce; hit")
    bomb = gzip.compress(brotli.compress(asked("x" * (16 << 20))))
    origin.answer(response(completion()))
    answer = app.post(PATH, content=bomb, headers={"content-encoding": "br, gzip"})
    assert status(answer) == "askonce; fwd=bypass; detail=large"


@pytest.mark.parametrize("coding", ENCODERS)
def test_an_answer_that_decodes_to_too_much_is_passed_on_and_not_kept(
    coding: str, app: httpx.Client, origin: Origin, proxy: Proxy
) -> None:
    bomb = ENCODERS[coding](completion("x" * (16 << 20)))
    for _ in range(2):
        origin.answer(response(bomb, f"content-encoding: {coding}"))
        with app.stream("POST", PATH, content=asked()) as answer:
            assert b"".join(answer.iter_raw()) == bomb
            assert "fwd=miss" in status(answer)
        proxy.settle()
    assert len(origin.requests) == 2


def test_a_bomb_for_askonce_itself_is_refused(proxy: Proxy) -> None:
    bomb = gzip.compress(bytes(4 << 20))
    answer = httpx.post(
        f"{proxy.url}/v1/feedback", content=bomb, headers=JSON | {"content-encoding": "gzip"}, trust_env=False
    )
    assert answer.status_code == 413
    assert "limits.max_decoded" in answer.json()["error"]["message"]


# JSON


@pytest.mark.parametrize(
    "more", [{"x": {f"k{n}": 1 for n in range(9000)}}, {"x": [[]] * 30_000}, {"x": ["text"] * 15_000}]
)
def test_a_request_of_too_many_values_passes_on_unread(more: Any, app: httpx.Client, origin: Origin) -> None:
    body = asked(**more)
    assert 65_536 < len(body) < BODY
    origin.answer(response(completion()))
    assert status(app.post(PATH, content=body)) == "askonce; fwd=bypass; detail=large"
    assert sent(origin) == body


def test_too_many_values_for_askonce_itself_are_refused(proxy: Proxy) -> None:
    body = asked(x=[[]] * 30_000)
    answer = httpx.post(f"{proxy.url}{PATH}", content=body, headers=JSON, trust_env=False)
    assert answer.status_code == 413
    assert "limits.max_values" in answer.json()["error"]["message"]


def test_a_long_request_of_few_values_is_read(app: httpx.Client, origin: Origin, proxy: Proxy) -> None:
    body = asked("word " * 30_000)
    origin.answer(response(completion()))
    answers = [app.post(PATH, content=body) for _ in range(2)]
    assert status(answers[1]).startswith("askonce; hit")


# Heads


def test_a_request_with_too_large_a_head_is_refused(proxy: Proxy, origin: Origin) -> None:
    with connect(proxy.port) as connection:
        head = b"POST http://127.0.0.1:%d%s HTTP/1.1\r\nx-large: " % (origin.port, PATH.encode())
        connection.sendall(head + b"y" * (2 * HEADER))
        assert read_to_end(connection).startswith(b"HTTP/1.1 431 ")


def test_a_head_just_below_the_limit_is_taken(app: httpx.Client, origin: Origin) -> None:
    origin.answer(response(completion()))
    assert app.post(PATH, content=asked("x" * 100_000), headers={"x-large": "y" * (HEADER - 1000)}).status_code == 200


def test_an_answer_with_too_large_a_head_is_a_bad_gateway(app: httpx.Client, origin: Origin) -> None:
    origin.answer(response(completion(), f"x-large: {'y' * (2 * HEADER)}"))
    assert app.post(PATH, content=asked()).status_code == 502


def test_heads_one_after_the_other_on_one_connection(proxy: Proxy, origin: Origin) -> None:
    origin.reset()
    with connect(proxy.port) as connection:
        for _ in range(20):
            connection.sendall(
                b"GET /health/ready HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nx-fill: %s\r\n\r\n" % (proxy.port, b"y" * 4000)
            )
            read_message(connection)


# All together


def begun(stack: contextlib.ExitStack, proxy: Proxy, origin: Origin, size: int) -> socket.socket:
    """A request of which so many bytes have come, and one is missing."""
    body = asked("x" * size)[: size + 1]
    head = f"POST http://127.0.0.1:{origin.port}{PATH} HTTP/1.1\r\nhost: 127.0.0.1:{origin.port}\r\n"
    connection = stack.enter_context(connect(proxy.port))
    connection.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body[:-1])
    return connection


def test_many_requests_are_held_up_to_the_limit_and_the_others_pass_on(
    app: httpx.Client, origin: Origin, proxy: Proxy
) -> None:
    def ask() -> str:
        origin.answer(response(completion()))
        return status(app.post(PATH, content=body, headers={"cache-control": "no-cache"}))

    def is_refused() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            feedback = httpx.post(f"{proxy.url}/v1/feedback", content=body, headers=JSON, trust_env=False)
            return feedback.status_code == 503 and "limits.max_held" in feedback.text
        return False

    body = asked("x" * 150_000)
    with contextlib.ExitStack() as stack:
        # All of them find room, and leave less than this one takes; it is read while their pieces are on their way, and
        # may take the room of one of them, which passes on then: another takes its place.
        for _ in range(HELD // 199_000):
            begun(stack, proxy, origin, 199_000)
        until(lambda: ask() == "askonce; fwd=bypass; detail=full" or not begun(stack, proxy, origin, 199_000))
        assert sent(origin) == body
        until(lambda: is_refused() or not begun(stack, proxy, origin, 199_000))
        small = asked("Is there room for a small one?")
        origin.answer(response(completion()))
        assert app.post(PATH, content=small).status_code == 200
    until(lambda: ask() == "askonce; fwd=request; stored")  # they have left, and what they held is free
    assert proxy.get("/v1/stats")["bypasses"]["full"] >= 1
