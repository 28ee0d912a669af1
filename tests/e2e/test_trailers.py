"""Trailers between HTTP/2 and HTTP/1.1, both ways: passed on where both sides speak HTTP/2, and else left out."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import pytest
import trustme
from tests.e2e.conftest import Proxy, check_log
from tests.e2e.raw import PATIENCE, Origin, read_message

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST, PATH = "api.openai.com", "/v1/chat/completions"
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
    }
).encode()
TRAILER = (b"x-checksum", b"1")
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"


class Origin2(Origin):
    """Speaks HTTP/2 and ends its one answer with a trailer; `trailers` are those of the requests."""

    def _speak(self, connection: socket.socket) -> None:
        with connection:
            speaker = _speaker(client=False)
            while True:
                connection.sendall(speaker.data_to_send())
                if not (received := connection.recv(65536)):
                    return
                for event in speaker.receive_data(received):
                    if isinstance(event, h2.events.TrailersReceived):
                        self.requests.append(dict(event.headers)[b"x-checksum"])
                    elif isinstance(event, h2.events.StreamEnded):
                        fields = [(b":status", b"200"), (b"content-type", b"application/json")]
                        speaker.send_headers(event.stream_id, fields)
                        speaker.send_data(event.stream_id, ANSWER)
                        speaker.send_headers(event.stream_id, [TRAILER], end_stream=True)


def _speaker(*, client: bool) -> h2.connection.H2Connection:
    speaker = h2.connection.H2Connection(h2.config.H2Configuration(client_side=client, header_encoding=False))
    speaker.initiate_connection()
    return speaker


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def _context(ca: trustme.CA, protocol: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(HOST).configure_cert(context)
    context.set_alpn_protocols([protocol])
    return context


@pytest.fixture(scope="module")
def old(ca: trustme.CA) -> Iterator[Origin]:
    """A provider of HTTP/1.1."""
    with contextlib.closing(Origin(_context(ca, "http/1.1"))) as origin:
        yield origin


@pytest.fixture(scope="module")
def new(ca: trustme.CA) -> Iterator[Origin2]:
    """A provider of HTTP/2."""
    with contextlib.closing(Origin2(_context(ca, "h2"))) as origin:
        yield origin


@pytest.fixture(scope="module")
def proxy(
    ca: trustme.CA, old: Origin, new: Origin2, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Proxy, int, int]]:
    folder = tmp_path_factory.mktemp("askonce")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    rules = folder / "rules.yaml"
    rule = {"name": "raw", "hosts": [f"{HOST}:443", f"{HOST}:444"], "paths": [PATH], "wire": "openai-chat"}
    rules.write_text(json.dumps({"version": 1, "defaults": {"audit": 0}, "upstreams": [rule]}))
    made = Proxy(folder, {f"{HOST}:443": new.port, f"{HOST}:444": old.port}, folder / "ca.pem", rules=rules)
    try:
        made.wait_until_ready()
        yield made, 443, 444
    finally:
        made.close()


def tunnel(proxy: Proxy, port: int, *protocols: str) -> ssl.SSLSocket:
    trust = ssl.create_default_context(cafile=str(proxy.bundle))
    trust.set_alpn_protocols(protocols)
    raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)
    raw.sendall(f"CONNECT {HOST}:{port} HTTP/1.1\r\nhost: {HOST}:{port}\r\n\r\n".encode())
    assert read_message(raw, no_body=True)[0] == 200
    return trust.wrap_socket(raw, server_hostname=HOST)


def body(question: str) -> bytes:
    return json.dumps({"model": "gpt", "messages": [{"role": "user", "content": question}]}).encode()


def ask_1(proxy: Proxy, port: int, question: str) -> tuple[bool, bytes]:
    """Whether it was a hit, and the body, for a client of HTTP/1.1 whose provider may speak either."""
    asked = body(question)
    with tunnel(proxy, port, "http/1.1", "h2") as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
        head = f"POST {PATH} HTTP/1.1\r\nhost: {HOST}:{port}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        connection.sendall(head + b"%x\r\n%s\r\n0\r\nx-checksum: 1\r\n\r\n" % (len(asked), asked))
        _, fields, received = read_message(connection)
    return fields["cache-status"].startswith("askonce; hit"), received


def ask_2(proxy: Proxy, port: int, question: str) -> tuple[bool, bytes, bytes]:
    """Whether it was a hit, the body and the trailer, for a client of HTTP/2 that sends a trailer itself."""
    hit, received, trailer = False, b"", b""
    with tunnel(proxy, port, "h2") as connection:
        speaker = _speaker(client=True)
        fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", f"{HOST}:{port}".encode())]
        speaker.send_headers(1, [*fields, (b":path", PATH.encode())])
        speaker.send_data(1, body(question))
        speaker.send_headers(1, [TRAILER], end_stream=True)
        while True:
            connection.sendall(speaker.data_to_send())
            for event in speaker.receive_data(connection.recv(65536)):
                match event:
                    case h2.events.ResponseReceived(headers=list(got)):
                        hit = dict(got)[b"cache-status"].startswith(b"askonce; hit")  # type: ignore[arg-type]
                    case h2.events.DataReceived(data=bytes(data)):
                        received += data
                    case h2.events.TrailersReceived(headers=list(got)):
                        trailer = dict(got)[b"x-checksum"]  # type: ignore[index, assignment]
                    case h2.events.StreamEnded():
                        return hit, received, trailer
                    case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                        pytest.fail(f"no answer: {event}")


def test_from_http_2_to_http_2_they_are_passed_on(proxy: tuple[Proxy, int, int], new: Origin2) -> None:
    askonce, port, _ = proxy
    assert ask_2(askonce, port, "Both new?") == (False, ANSWER, b"1")
    assert new.requests.pop() == b"1"
    askonce.settle()
    hit, received, trailer = ask_2(askonce, port, "Both new?")
    assert (hit, json.loads(received)["choices"], trailer) == (True, json.loads(ANSWER)["choices"], b"")


def test_a_provider_of_http_2_and_a_client_of_http_1(proxy: tuple[Proxy, int, int]) -> None:
    askonce, port, _ = proxy
    assert ask_1(askonce, port, "An old client?") == (False, ANSWER)
    askonce.settle()
    assert ask_1(askonce, port, "An old client?")[0]


def test_a_provider_of_http_1_and_a_client_of_http_2(proxy: tuple[Proxy, int, int], old: Origin) -> None:
    askonce, _, port = proxy
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    old.answer(interim + CHUNKED + b"%x\r\n%s\r\n0\r\nx-checksum: 1\r\n\r\n" % (len(ANSWER), ANSWER))
    assert ask_2(askonce, port, "An old provider?") == (False, ANSWER, b"")
    askonce.settle()
    assert ask_2(askonce, port, "An old provider?")[0]
    assert len(old.requests) == 1
    head, _, sent = old.requests[0].partition(b"\r\n\r\n")
    assert (sent, b"content-length" in head.lower()) == (body("An old provider?"), True)  # which HTTP/2 did not say


@pytest.fixture(autouse=True)
def _no_crash(proxy: tuple[Proxy, int, int]) -> Iterator[None]:
    yield
    check_log(proxy[0].log())
