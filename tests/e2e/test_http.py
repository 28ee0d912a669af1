"""What HTTP itself can do to a call on its way: encodings, versions, connections, upgrades, sizes, signatures."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import brotli
import h2.config
import h2.connection
import h2.events
import httpx
import openai
import pytest
import zstandard
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Provider, Proxy, StartProxy

pytestmark = pytest.mark.usefixtures("app_env")

HOST = "api.openai.com"
PATH = "/v1/chat/completions"
URL = f"https://{HOST}{PATH}"
FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
JSON = {"content-type": "application/json"}
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


def body(question: str = FRANCE, **more: Any) -> bytes:
    request = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}], **more}
    return json.dumps(request).encode()


def said(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


def is_hit(headers: Mapping[str, str]) -> bool:
    return headers["cache-status"].startswith("askonce; hit")


@pytest.fixture
def app(app_env: dict[str, str], api_key: str) -> Iterator[httpx.Client]:
    with httpx.Client(headers=JSON | {"authorization": f"Bearer {api_key}"}, timeout=PATIENCE) as client:
        yield client


# Encodings


@pytest.mark.parametrize("encoding", ENCODERS)
def test_an_encoded_request_is_read_and_passed_on_as_it_is(
    encoding: str, app: httpx.Client, provider: Provider
) -> None:
    encoded = ENCODERS[encoding](body())
    miss = app.post(URL, content=encoded, headers={"content-encoding": encoding})
    last = provider.last()
    assert base64.b64decode(last["body_base64"]) == encoded
    assert dict(last["headers"])["content-encoding"] == encoding
    hit, plain = app.post(URL, content=encoded, headers={"content-encoding": encoding}), app.post(URL, content=body())
    assert [said(response) for response in (miss, hit, plain)] == [PARIS] * 3
    assert [is_hit(response.headers) for response in (miss, hit, plain)] == [False, True, True]
    assert provider.calls() == 1


def test_what_is_not_what_its_encoding_says_is_passed_on(app: httpx.Client, provider: Provider) -> None:
    response = app.post(URL, content=b"\x00 not gzip", headers={"content-encoding": "gzip"})
    assert response.status_code == 400
    assert response.headers["cache-status"] == "askonce; fwd=bypass; detail=unreadable"
    assert base64.b64decode(provider.last()["body_base64"]) == b"\x00 not gzip"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("encoding", ENCODERS)
def test_an_encoded_answer_is_kept(encoding: str, stream: bool, app: httpx.Client, provider: Provider) -> None:
    provider.set(content_encoding=encoding)
    miss, hit = app.post(URL, content=body(stream=stream)), app.post(URL, content=body(stream=stream))
    assert miss.headers["content-encoding"] == encoding
    assert "content-encoding" not in hit.headers
    assert is_hit(hit.headers)
    assert miss.text.count("data: [DONE]") == hit.text.count("data: [DONE]") == int(stream)
    assert said(app.post(URL, content=body())) == PARIS
    assert provider.calls() == 1


def test_a_request_in_chunks(app: httpx.Client, provider: Provider) -> None:
    def chunks() -> Iterator[bytes]:
        for at in range(0, len(body()), 10):
            yield body()[at : at + 10]

    assert said(app.post(URL, content=chunks())) == PARIS
    assert base64.b64decode(provider.last()["body_base64"]) == body()
    assert is_hit(app.post(URL, content=chunks()).headers)
    assert provider.calls() == 1


# Connections


def tunnel(proxy: Proxy, *protocols: str) -> ssl.SSLSocket:
    """TLS to the provider's name through the proxy."""
    trust = ssl.create_default_context(cafile=str(proxy.bundle))
    trust.set_alpn_protocols(protocols)
    raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)
    raw.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nhost: {HOST}:443\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += raw.recv(1)
    assert answer.startswith(b"HTTP/1.1 200 ")
    return trust.wrap_socket(raw, server_hostname=HOST)


class KeepAlive:
    """Python's own HTTP/1.1 client: one connection, until it is closed."""

    def __init__(self, proxy: Proxy, key: str) -> None:
        self._key = key
        self._connection = http.client.HTTPConnection(HOST)
        self._connection.sock = self._socket = tunnel(proxy, "http/1.1")

    def post(self, data: bytes) -> tuple[int, Mapping[str, str], bytes]:
        self._connection.request("POST", PATH, data, JSON | {"authorization": f"Bearer {self._key}"})
        response = self._connection.getresponse()
        content = response.read()
        assert self._connection.sock is self._socket, "the connection was closed"
        return response.status, {name.lower(): value for name, value in response.getheaders()}, content

    def close(self) -> None:
        self._connection.close()


def test_one_connection_for_misses_hits_errors_and_streams(proxy: Proxy, provider: Provider, api_key: str) -> None:
    with contextlib.closing(KeepAlive(proxy, api_key)) as connection:
        statuses = [
            connection.post(data)[0]
            for data in (body(), body(), body(model="no-such-model"), b"{", body(stream=True), body("What is 2 + 2?"))
        ]
    assert statuses == [200, 200, 404, 400, 200, 200]
    stats = provider.stats()
    assert (stats["calls"], stats["connections"]) == (4, 1)


def test_20_misses_on_one_connection(proxy: Proxy, provider: Provider, api_key: str) -> None:
    with contextlib.closing(KeepAlive(proxy, api_key)) as connection:
        for number in range(20):
            status, headers, content = connection.post(body(f"What is the number {number} in words?"))
            assert (status, is_hit(headers)) == (200, False)
            assert f"number {number} " in json.loads(content)["choices"][0]["message"]["content"]
    stats = provider.stats()
    assert (stats["calls"], stats["connections"]) == (20, 1)


def test_expect_100_continue(proxy: Proxy, provider: Provider, api_key: str) -> None:
    data = body()
    head = f"POST {PATH} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {api_key}\r\nexpect: 100-continue\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    for expected in (False, True):
        with tunnel(proxy, "http/1.1") as connection:
            connection.sendall(head.encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n")
            connection.sendall(data)
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert json.loads(response.read())["choices"][0]["message"]["content"] == PARIS
            assert is_hit({name.lower(): value for name, value in response.getheaders()}) is expected
            response.close()
    assert provider.calls() == 1


# HTTP/2


@dataclass
class Exchange:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Http2:
    """A small HTTP/2 client: all requests at once, on one connection."""

    def __init__(self, proxy: Proxy, key: str) -> None:
        self._key = key
        self._socket = tunnel(proxy, "h2")
        assert self._socket.selected_alpn_protocol() == "h2"
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()

    def post(self, *bodies: bytes, path: str = PATH, headers: Sequence[tuple[str, str]] = ()) -> list[Exchange]:
        exchanges: dict[int, Exchange] = {}
        for data in bodies:
            stream = self._h2.get_next_available_stream_id()
            fields = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", path)]
            fields += headers or [("content-type", "application/json")]
            self._h2.send_headers(stream, [*fields, ("authorization", f"Bearer {self._key}")])
            self._h2.send_data(stream, data, end_stream=True)
            exchanges[stream] = Exchange()
        self._socket.sendall(self._h2.data_to_send())
        open_streams = set(exchanges)
        while open_streams:
            received = self._socket.recv(65536)
            assert received, "the proxy closed the connection"
            for event in self._h2.receive_data(received):
                match event:
                    case h2.events.ResponseReceived(stream_id=int(stream), headers=list(got)):
                        exchanges[stream].headers = dict(got)  # type: ignore[arg-type]
                        exchanges[stream].status = int(exchanges[stream].headers[":status"])
                    case h2.events.DataReceived(stream_id=int(stream), data=bytes(data), flow_controlled_length=length):
                        exchanges[stream].body += data
                        self._h2.acknowledge_received_data(length or 0, stream)
                    case h2.events.StreamEnded(stream_id=int(stream)) | h2.events.StreamReset(stream_id=int(stream)):
                        open_streams.discard(stream)
            self._socket.sendall(self._h2.data_to_send())
        return list(exchanges.values())

    def close(self) -> None:
        self._socket.close()


def test_http_2_and_http_1_share_answers(proxy: Proxy, provider: Provider, app: httpx.Client, api_key: str) -> None:
    with contextlib.closing(Http2(proxy, api_key)) as connection:
        (miss,), (hit,) = connection.post(body()), connection.post(body())
        (stream,) = connection.post(body(stream=True))
    assert provider.last()["http_version"] == "2"
    assert [exchange.status for exchange in (miss, hit, stream)] == [200] * 3
    assert [is_hit(exchange.headers) for exchange in (miss, hit, stream)] == [False, True, True]
    assert stream.body.endswith(b"data: [DONE]\n\n")
    assert is_hit(app.post(URL, content=body()).headers)
    assert provider.calls() == 1


def test_12_streams_at_once_on_one_http_2_connection(proxy: Proxy, provider: Provider, api_key: str) -> None:
    provider.set(is_held=True)
    bodies = [body(f"What is the number {number} in words?", stream=bool(number % 2)) for number in range(12)]
    with contextlib.closing(Http2(proxy, api_key)) as connection:
        with ThreadPoolExecutor(1) as aside:
            asked = aside.submit(connection.post, *bodies)
            until(lambda: provider.calls() == 12, "they waited for one another")
            provider.release(12)
            misses = asked.result()
        hits = connection.post(*bodies)
    assert [exchange.status for exchange in (*misses, *hits)] == [200] * 24
    for number, (miss, hit) in enumerate(zip(misses, hits, strict=True)):
        assert (is_hit(miss.headers), is_hit(hit.headers)) == (False, True)
        text = "".join(spoken(hit.body)) if number % 2 else json.loads(hit.body)["choices"][0]["message"]["content"]
        assert f"number {number} " in text
    assert provider.calls() == 12


def spoken(stream: bytes) -> Iterator[str]:
    for line in stream.decode().splitlines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                yield choice["delta"].get("content") or ""


# What is no call that can be answered


def bypasses(proxy: Proxy, detail: str) -> int:
    """Calls that were passed on for that reason, since the proxy started."""
    return int(proxy.get("/v1/stats")["bypasses"].get(detail, 0))


@pytest.mark.filterwarnings("ignore:connect")  # the SDK's own way to use websockets
def test_a_websocket_passes_through_and_is_counted(proxy: Proxy, provider: Provider) -> None:
    before = bypasses(proxy, "websocket")
    with openai.OpenAI() as client:
        for _ in range(2):
            with client.responses.connect() as connection:
                connection.response.create(model="gpt-5", input=FRANCE)
                answer = next(event.response for event in connection if event.type == "response.completed")
                assert answer.output_text == PARIS
    assert provider.stats()["paths"] == {"/v1/responses": 2}
    assert bypasses(proxy, "websocket") == before + 2


def test_a_grpc_call_passes_through_and_is_counted(proxy: Proxy, provider: Provider, api_key: str) -> None:
    path, headers = (
        "/google.cloud.aiplatform.v1.PredictionService/GenerateContent",
        ("content-type", "application/grpc"),
    )
    message, before = b"\x00\x00\x00\x00\x05hello", bypasses(proxy, "grpc")
    with contextlib.closing(Http2(proxy, api_key)) as connection:
        for _ in range(2):
            provider.script(b"\x00\x00\x00\x00\x02", b"ok", headers=dict([headers, ("grpc-status", "0")]))
            (answer,) = connection.post(message, path=path, headers=[headers, ("te", "trailers")])
            assert (answer.status, answer.headers["grpc-status"], answer.body) == (200, "0", b"\x00\x00\x00\x00\x02ok")
            assert base64.b64decode(provider.last()["body_base64"]) == message
    assert provider.calls() == 2
    assert bypasses(proxy, "grpc") == before + 2


@pytest.mark.parametrize("path", ["/v1/models", "/v1/audio/speech", "/v1/chat/completions/chatcmpl-1"])
def test_other_paths_of_a_provider_pass_through(path: str, app: httpx.Client, provider: Provider) -> None:
    for _ in range(2):
        provider.script(b'{"a": 1}')
        response = app.request("GET" if path == "/v1/models" else "POST", f"https://{HOST}{path}", content=b"\x00")
        assert (response.content, "cache-status" in response.headers) == (b'{"a": 1}', False)
    assert provider.calls() == 2


# Sizes


def test_a_prompt_of_more_than_a_megabyte(app: httpx.Client, provider: Provider) -> None:
    document = "".join(f"Line {number}: the quick brown fox jumps over the lazy dog. " for number in range(25_000))
    asked = body(document + FRANCE)
    assert len(asked) > 1_000_000
    miss, hit = app.post(URL, content=asked), app.post(URL, content=asked)
    assert base64.b64decode(provider.last()["body_base64"]) == asked
    assert (is_hit(miss.headers), is_hit(hit.headers)) == (False, True)
    assert said(miss) == said(hit)
    assert not is_hit(app.post(URL, content=body(document.replace("Line 9:", "Line 8:") + FRANCE)).headers)
    assert provider.calls() == 2


# Amazon Bedrock: what is signed cannot be rewritten, and a signature does not say whose it is

CONVERSE = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-v1%3A0/converse"
CONVERSED = b'{"output": {"message": {"content": [{"text": "Paris"}]}}, "stopReason": "end_turn", "usage": {}}'
SIGNED = {
    "x-amz-date": "20261121T000000Z",
    "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/bedrock/aws4_request, "
    "SignedHeaders=cache-control;content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6",
}


def converse(app: httpx.Client, provider: Provider, **headers: str) -> httpx.Response:
    provider.script(CONVERSED)
    content = b'{"messages":  [{"role": "user", "content": [{"text": "What is the capital of France?"}]}]}'
    response = app.post(CONVERSE, content=content, headers=headers)
    assert response.content == CONVERSED
    return response


def test_a_signed_call_is_passed_on_as_it_is_and_never_answered(app: httpx.Client, provider: Provider) -> None:
    for _ in range(2):
        response = converse(app, provider, **{"cache-control": "max-age=60"}, **SIGNED)
        assert response.headers["cache-status"] == "askonce; fwd=bypass; detail=signed"
        assert {*SIGNED.items(), ("cache-control", "max-age=60")} <= set(map(tuple, provider.last()["headers"]))
    assert provider.last()["path"] == urlsplit(CONVERSE).path.replace("%3A", ":")
    assert provider.calls() == 2


def test_a_key_for_bedrock_is_a_credential_like_any_other(app: httpx.Client, provider: Provider) -> None:
    assert [is_hit(converse(app, provider).headers) for _ in range(2)] == [False, True]
    assert not is_hit(converse(app, provider, authorization="Bearer somebody-else").headers)
    assert provider.calls() == 2


def test_signed_calls_are_answered_where_the_rule_says_that_everybody_may_share(
    start_proxy: StartProxy, provider: Provider, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    host, path = urlsplit(CONVERSE).hostname, "/model/*/converse"
    rule = {"name": "bedrock", "hosts": [host], "paths": [path], "wire": "generic", "match": "exact", "scope": "shared"}
    rules.write_text(json.dumps({"version": 1, "upstreams": [rule]}))
    proxy = start_proxy(rules=rules)
    trust = ssl.create_default_context(cafile=str(proxy.bundle))
    with httpx.Client(proxy=proxy.url, verify=trust, headers=JSON) as app:
        signatures = (SIGNED, SIGNED | {"authorization": SIGNED["authorization"].replace("5d67", "0f3a")})
        assert [is_hit(converse(app, provider, **signature).headers) for signature in signatures] == [False, True]
    assert provider.calls() == 1


@pytest.mark.parametrize(("agent", "status"), [("codex_exec/0.171.0", 426), ("OpenAI/Python 3.52.0", 101)])
def test_a_websocket_is_refused_to_who_asks_again_without_one(
    proxy: Proxy, provider: Provider, agent: str, status: int
) -> None:
    with tunnel(proxy, "http/1.1") as connection:
        connection.sendall(
            b"GET /v1/responses HTTP/1.1\r\nHost: api.openai.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"User-Agent: " + agent.encode() + b"\r\n\r\n"
        )
        head = connection.recv(4096)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert (b"\r\nupgrade: HTTP/1.1\r\n" in head) is (status == 426)
