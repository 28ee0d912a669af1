"""HTTP/1.1 that few speak and all may: trailers, interim responses, methods that no rule is for, old clients."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.conftest import free_port
from tests.e2e.raw import Origin, connect, read_message, read_to_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Proxy, StartProxy

PATH = "/v1/chat/completions"
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    }
).encode()
EVENT = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[{"index":0,'
    b'"delta":{"role":"assistant","content":"Paris."},"finish_reason":"stop"}]}\n\n'
)
DONE = b"data: [DONE]\n\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
WHOLE = OK + b"content-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
TRAILERS = b"0\r\nx-checksum: 1\r\nServer-Timing: total;dur=3\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with contextlib.closing(Origin()) as server:
        yield server


@pytest.fixture(scope="module", params=["serve", "web"])
def proxy(
    request: pytest.FixtureRequest,
    origin: Origin,
    start_module_proxy: StartProxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Proxy:
    """The lean proxy, and the one with mitmproxy's whole chain of addons and its own dispatch."""
    rules: Path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    rule = {"name": "raw", "hosts": [f"http://127.0.0.1:{origin.port}"], "paths": [PATH], "wire": "openai-chat"}
    rules.write_text(json.dumps({"version": 1, "defaults": {"audit": 0}, "upstreams": [rule]}))
    arguments = ["--web-port", str(free_port())] if request.param == "web" else []
    return start_module_proxy(command=request.param, rules=rules, arguments=arguments)


@pytest.fixture(autouse=True)
def _clean(origin: Origin) -> None:
    origin.reset()


@pytest.fixture
def call(proxy: Proxy, origin: Origin, api_key: str) -> Any:
    """call(question) -> status, fields, body: one call through the proxy, which is settled when this returns."""

    def one(
        question: str = "What is the capital of France?",
        *,
        head: bytes = b"",
        version: bytes = b"1.1",
        method: bytes = b"POST",
        body: bytes | None = None,
        **more: Any,
    ) -> tuple[int, dict[str, str], bytes]:
        if body is None:
            asked = {"model": "gpt", "messages": [{"role": "user", "content": question}], **more}
            body = json.dumps(asked).encode() if method not in (b"GET", b"HEAD", b"OPTIONS") else b""
        if b"transfer-encoding" not in head:
            head += b"content-length: %d\r\n" % len(body)
        line = b"%s http://127.0.0.1:%d%s HTTP/%s\r\n" % (method, origin.port, PATH.encode(), version)
        head = line + b"host: 127.0.0.1:%d\r\nauthorization: Bearer %s\r\n" % (origin.port, api_key.encode()) + head
        with connect(proxy.port) as connection:
            connection.sendall(head + b"\r\n" + body)
            answer = read_message(connection, no_body=method == b"HEAD")
        proxy.settle()
        return answer

    return one


def is_hit(answer: tuple[int, dict[str, str], bytes]) -> bool:
    return answer[1].get("cache-status", "").startswith("askonce; hit")


# Trailers


@pytest.mark.parametrize("announced", [b"", b"trailer: x-checksum, server-timing\r\n"])
@pytest.mark.parametrize("apart", [False, True])
def test_an_answer_with_trailers_is_passed_on_and_kept(
    announced: bytes, apart: bool, call: Any, origin: Origin, proxy: Proxy
) -> None:
    pieces = [CHUNKED + announced + b"\r\n", chunk(ANSWER[:50]), chunk(ANSWER[50:]), TRAILERS[:20], TRAILERS[20:]]
    origin.answer(*pieces if apart else [b"".join(pieces)])
    miss, hit = call(), call()
    assert (miss[0], miss[2], is_hit(miss)) == (200, ANSWER, False)
    assert is_hit(hit)
    assert len(origin.requests) == 1


def test_a_stream_with_trailers_is_kept_as_whole(call: Any, origin: Origin) -> None:
    origin.answer(STREAM + b"\r\n", chunk(EVENT), chunk(DONE), TRAILERS)
    miss, hit = call(stream=True), call(stream=True)
    assert (miss[0], miss[2], is_hit(miss)) == (200, EVENT + DONE, False)
    assert is_hit(hit)
    assert hit[2].endswith(DONE)


def test_an_error_with_trailers_is_passed_on(call: Any, origin: Origin) -> None:
    for _ in range(2):
        head = b"HTTP/1.1 429 Too Many Requests\r\ntransfer-encoding: chunked\r\nretry-after: 7\r\n\r\n"
        origin.answer(head + chunk(b'{"error": {}}') + TRAILERS)
        answer = call()
        assert (answer[0], answer[1]["retry-after"], answer[2]) == (429, "7", b'{"error": {}}')


def test_the_providers_connection_is_used_again_after_trailers(call: Any, origin: Origin, proxy: Proxy) -> None:
    with connect(proxy.port) as connection:
        for number in range(3):
            origin.answer(CHUNKED + b"\r\n" + chunk(ANSWER) + TRAILERS)
            body = json.dumps(
                {"model": "gpt", "messages": [{"role": "user", "content": f"Count to {number}"}]}
            ).encode()
            head = b"POST http://127.0.0.1:%d%s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-length: %d\r\n\r\n"
            connection.sendall(head % (origin.port, PATH.encode(), origin.port, len(body)) + body)
            assert read_message(connection)[2] == ANSWER
    assert len(origin.requests) == 3


@pytest.mark.parametrize("trailer", [b"no colon here\r\n", b"x: " + b"y" * 200_000 + b"\r\n"])
def test_trailers_that_are_none_end_the_call_and_keep_nothing(trailer: bytes, call: Any, origin: Origin) -> None:
    origin.answer(CHUNKED + b"\r\n" + chunk(ANSWER) + b"0\r\n" + trailer + b"\r\n")
    with pytest.raises((EOFError, ConnectionError)):
        call()
    origin.answer(WHOLE)
    assert not is_hit(call())
    assert len(origin.requests) == 2


@pytest.mark.parametrize("announced", [b"", b"trailer: x-checksum\r\n"])
def test_a_request_with_trailers_is_read_and_passed_on(announced: bytes, call: Any, origin: Origin) -> None:
    body = json.dumps({"model": "gpt", "messages": [{"role": "user", "content": "What is a trailer?"}]}).encode()
    sent = {"head": announced + b"transfer-encoding: chunked\r\n", "body": chunk(body) + TRAILERS}
    origin.answer(WHOLE)
    miss, hit = call(**sent), call(**sent)
    assert (miss[2], is_hit(miss), is_hit(hit)) == (ANSWER, False, True)
    assert body in origin.requests[0]
    assert is_hit(call("What is a trailer?"))


def test_a_request_with_trailers_that_no_rule_is_for_passes_through(call: Any, origin: Origin) -> None:
    origin.answer(WHOLE)
    sent = call(method=b"PUT", head=b"transfer-encoding: chunked\r\n", body=chunk(b"abc") + TRAILERS)
    assert (sent[0], sent[2]) == (200, ANSWER)
    assert origin.requests[0].endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")


# Interim responses

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\nlink: </x>; rel=preload\r\n\r\n"


@pytest.mark.parametrize("interim", [[CONTINUE], [PROCESSING], [HINTS], [CONTINUE, PROCESSING, HINTS, PROCESSING]])
@pytest.mark.parametrize("apart", [False, True])
def test_what_comes_after_interim_responses_is_the_answer(
    interim: list[bytes], apart: bool, call: Any, origin: Origin
) -> None:
    pieces = [*interim, STREAM + b"\r\n", chunk(EVENT) + chunk(DONE), TRAILERS]
    origin.answer(*pieces if apart else [b"".join(pieces)])
    miss, hit = call(stream=True), call(stream=True)
    assert (miss[0], miss[2], is_hit(miss), is_hit(hit)) == (200, EVENT + DONE, False, True)


def test_an_interim_response_byte_by_byte(call: Any, origin: Origin) -> None:
    raw = HINTS + CONTINUE + WHOLE
    origin.answer(*[raw[at : at + 1] for at in range(len(raw))])
    assert call()[2] == ANSWER
    assert is_hit(call())


@pytest.mark.parametrize("pieces", [(PROCESSING, None), (HINTS[:30], None)])
def test_a_provider_that_leaves_after_an_interim_response(pieces: tuple[bytes], call: Any, origin: Origin) -> None:
    origin.answer(*pieces)
    assert call()[0] == 502
    origin.answer(WHOLE)
    assert call()[0] == 200


def test_an_interim_response_that_nobody_asked_for_ends_the_connection_only(call: Any, origin: Origin) -> None:
    origin.answer(WHOLE, CONTINUE)
    assert call()[2] == ANSWER
    assert is_hit(call())


def test_101_switches_protocols_after_an_interim_response(proxy: Proxy, origin: Origin) -> None:
    origin.answer(CONTINUE, b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello")
    with connect(proxy.port) as connection:
        head = (
            b"GET http://127.0.0.1:%d/chat HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
        )
        connection.sendall(head % (origin.port, origin.port))
        seen = b""
        while not seen.endswith(b"hello"):
            more = connection.recv(1000)
            assert more
            seen += more
    assert seen.startswith(b"HTTP/1.1 101 ")


def test_a_client_that_was_told_to_go_on_is_told_of_the_error_as_well(proxy: Proxy, origin: Origin) -> None:
    origin.answer(None)
    with connect(proxy.port) as connection:
        head = b"PUT http://127.0.0.1:%d/x HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % (origin.port, origin.port)
        connection.sendall(head + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        assert connection.recv(1000) == CONTINUE
        connection.sendall(b"abc")
        assert read_message(connection)[0] == 502


# HTTP/1.0


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_of_http_1_0_is_sent_no_chunks(stream: bool, proxy: Proxy, origin: Origin, api_key: str) -> None:
    body = json.dumps({"model": "gpt", "stream": stream, "messages": [{"role": "user", "content": "Hi?"}]}).encode()
    head = b"POST http://127.0.0.1:%d%s HTTP/1.0\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n\r\n"
    expected = EVENT + DONE if stream else ANSWER
    origin.answer((STREAM if stream else CHUNKED) + b"\r\n", chunk(expected[:40]), chunk(expected[40:]), TRAILERS)
    for is_first in (True, False):
        with connect(proxy.port) as connection:
            connection.sendall(head % (origin.port, PATH.encode(), api_key.encode(), len(body)) + body)
            raw_head, _, received = read_to_end(connection).partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in raw_head.lower()
        assert received == expected or not is_first
        assert received.endswith(DONE) if stream else b"Paris." in received
        proxy.settle()
    assert len(origin.requests) == 1


def test_a_client_of_http_1_0_is_sent_no_interim_response(proxy: Proxy, origin: Origin) -> None:
    origin.answer(CONTINUE + WHOLE)
    with connect(proxy.port) as connection:
        head = b"PUT http://127.0.0.1:%d/x HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc"
        connection.sendall(head % origin.port)
        assert read_to_end(connection).startswith(b"HTTP/1.1 200 ")


# Calls to our own address


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_product_s_call_is_passed_on_alike(version: bytes, stream: bool, proxy: Proxy, origin: Origin) -> None:
    """Semcache's, whose provider sends interim responses and trailers, and with a request that has trailers."""
    asked = {"model": "gpt", "stream": stream, "messages": [{"role": "user", "content": f"Why {version!r}, {stream}?"}]}
    body = json.dumps(asked).encode()
    head = b"POST /semcache-app/v1/chat/completions HTTP/%s\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
    head += b"authorization: Bearer sk-product\r\nx-llm-proxy-upstream: http://127.0.0.1:%d%s\r\n"
    head %= (version, proxy.port, origin.port, PATH.encode())
    if version == b"1.1":
        sent = head + b"transfer-encoding: chunked\r\n\r\n" + chunk(body) + TRAILERS
    else:
        sent = head + b"content-length: %d\r\n\r\n" % len(body) + body
    expected = EVENT + DONE if stream else ANSWER
    origin.answer(
        HINTS, (STREAM if stream else CHUNKED) + b"\r\n", chunk(expected[:40]), chunk(expected[40:]), TRAILERS
    )
    for is_first in (True, False):
        with connect(proxy.port) as connection:
            connection.sendall(sent)
            if version == b"1.1":
                status, _, received = read_message(connection)
                assert status == 200
            else:
                raw_head, _, received = read_to_end(connection).partition(b"\r\n\r\n")
                assert raw_head.startswith(b"HTTP/1.") and b" 200 " in raw_head and b"transfer-encoding" not in raw_head
        assert received == expected or not is_first
        assert received.endswith(DONE) if stream else b"Paris." in received
        proxy.settle()
    assert len(origin.requests) == 1


@pytest.mark.parametrize("product", ["semcache-app", "gateway", "promptcache", "cachecore"])
@pytest.mark.parametrize("method", [b"HEAD", b"OPTIONS"])
def test_a_product_s_path_asks_nobody_for_another_method(
    product: str, method: bytes, proxy: Proxy, origin: Origin
) -> None:
    with connect(proxy.port) as connection:
        for _ in range(2):
            head = b"%s /%s/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
            upstream = b"x-llm-proxy-upstream: http://127.0.0.1:%d%s\r\n\r\n" % (origin.port, PATH.encode())
            connection.sendall(head % (method, product.encode(), proxy.port) + upstream)
            status, fields, _ = read_message(connection, no_body=method == b"HEAD")
            assert 400 <= status < 500 and "cache-status" not in fields
    assert origin.requests == []


# Methods


def test_head_on_a_rules_path_passes_through_and_poisons_nothing(call: Any, origin: Origin, proxy: Proxy) -> None:
    head_only = OK + b"content-length: %d\r\n\r\n" % len(ANSWER)
    origin.answer(head_only)
    assert call(method=b"HEAD")[0] == 200
    origin.answer(WHOLE)
    assert (call()[2], is_hit(call())) == (ANSWER, True)
    origin.answer(head_only)  # a stored answer is none to it
    after = call(method=b"HEAD")
    assert (after[0], "cache-status" in after[1], after[2]) == (200, False, b"")
    assert [request.split(b" ")[0] for request in origin.requests] == [b"HEAD", b"POST", b"HEAD"]
    assert is_hit(call())


def test_head_leaves_the_connection_in_order(proxy: Proxy, origin: Origin) -> None:
    with connect(proxy.port) as connection:
        for number in range(3):
            head = CHUNKED if number == 1 else OK + b"content-length: 1000\r\n"
            origin.answer(head + b"\r\n")
            request = b"HEAD http://127.0.0.1:%d%s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n"
            connection.sendall(request % (origin.port, PATH.encode(), origin.port))
            assert read_message(connection, no_body=True)[0] == 200


def test_the_answer_of_our_own_to_head_has_no_body(proxy: Proxy) -> None:
    with connect(proxy.port) as connection:
        for path in (b"/health/ready", b"/", PATH.encode(), b"/no/such/path"):
            connection.sendall(b"HEAD %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n" % (path, proxy.port))
            read_message(connection, no_body=True)
        connection.sendall(b"GET /health/ready HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n\r\n" % proxy.port)
        assert read_message(connection)[0] == 200


def test_options_of_a_browser_pass_through(call: Any, origin: Origin) -> None:
    preflight = b"origin: http://localhost:3000\r\naccess-control-request-method: POST\r\n"
    origin.answer(b"HTTP/1.1 204 No Content\r\naccess-control-allow-origin: *\r\n\r\n")
    status, fields, body = call(method=b"OPTIONS", head=preflight)
    assert (status, fields["access-control-allow-origin"], body) == (204, "*", b"")
    assert preflight.split(b"\r\n", 1)[0] in origin.requests[0]


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"PATCH", b"DELETE", b"QUERY", b"post"])
def test_other_methods_on_a_rules_path_pass_through(method: bytes, call: Any, origin: Origin) -> None:
    origin.answer(WHOLE)
    assert call("What is REST?")[2] == ANSWER
    for number in range(2):
        origin.answer(OK + b"content-length: 1\r\n\r\n%d" % number)
        status, fields, body = call("What is REST?", method=method)
        assert (status, body, "cache-status" in fields) == (200, b"%d" % number, False)
    assert is_hit(call("What is REST?"))
