"""Bytes that nobody takes: behind a whole request, before a connection is there, an endless greeting, and answers.

One rule: as much as the proxy takes is sent, up to a size that would be noticed; whoever is asked next is answered.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from pathlib import Path

import h2.config
import h2.connection
import h2.settings
from tests.attack.attack import Attack
from tests.attack.resources import completion
from tests.attack.target import FRANCE, TURNED, UNREACHED, Target, body, nobody
from tests.attack.watch import MIB
from tests.e2e.conftest import Provider
from tests.support.waiting import until

_MUCH = 200 * MIB
_PART = b" " * 65536
_STILL = 2.0
"""Seconds for which nothing more is taken before a sender gives up."""
_STREAMS = 100
"""As many as an HTTP/2 client may have."""
_PATH = "/v1/chat/completions"
_LONG = "Say it at length."
_LOCAL = b"POST http://model.test:8001/v1/chat/completions HTTP/1.1\r\nHost: model.test:8001\r\n"


def _tunnel(address: str) -> bytes:
    return f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()


def _push(connection: socket.socket, part: bytes = _PART, most: int = _MUCH) -> None:
    """Send as much as is taken."""
    connection.settimeout(_STILL)
    with contextlib.suppress(OSError):
        for _ in range(most // len(part)):
            connection.sendall(part)


def _is_answered(target: Target) -> bool:
    with target.client() as client:
        return client.post("http://model.test:8002/v1/chat/completions", json=body(FRANCE)).is_success


def behind_a_request(target: Target) -> int:
    """1 where 200 MiB behind a request whose answer is waited for keep another from one."""
    content = json.dumps(body("Hold it.")).encode()
    target.local.script("{}", held=True)
    with target.connect() as connection:
        connection.sendall(_LOCAL + b"Content-Length: %d\r\n\r\n" % len(content) + content)
        target.proxy.until_in_flight(1)
        _push(connection)
        wrong = not _is_answered(target)
    target.local.release(1)
    target.local.reset()
    return int(wrong)


def before_a_connection(target: Target) -> int:
    """Bodies of 200 MiB, a tunnel's bytes as well, for a host that is being connected to."""
    with nobody() as port:
        upload = f"POST http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {_MUCH}\r\n\r\n"
        for head in (upload.encode(), _tunnel(f"127.0.0.1:{port}")):
            with target.connect() as connection:
                connection.sendall(head)
                _push(connection)
    return int(not _is_answered(target))


class _Http2:
    """A client that speaks HTTP/2 to a host, through the proxy."""

    def __init__(self, target: Target, host: str = UNREACHED, key: str = "") -> None:
        self._host, self._key = host, key or target.key()
        context = ssl.create_default_context(cafile=str(target.proxy.bundle))
        context.set_alpn_protocols(["h2"])
        raw = target.connect()
        raw.sendall(_tunnel(f"{host}:443"))
        assert b" 200 " in raw.recv(65536)
        self.socket = context.wrap_socket(raw, server_hostname=host)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()
        while self.h2.outbound_flow_control_window <= 65535:  # until its settings came
            self.receive()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def receive(self) -> None:
        self.h2.receive_data(self.socket.recv(65536))

    def begin(self, path: str) -> int:
        """Begin a stream that goes on."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = ((":method", "POST"), (":scheme", "https"), (":authority", self._host), (":path", path))
        self.h2.send_headers(stream, pseudo)
        self.flush()
        return stream

    def ask(self, question: str) -> None:
        """One call, whose answer is not waited for."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = ((":method", "POST"), (":scheme", "https"), (":authority", self._host), (":path", _PATH))
        more = (("authorization", f"Bearer {self._key}"), ("content-type", "application/json"))
        self.h2.send_headers(stream, (*pseudo, *more))
        self.h2.send_data(stream, json.dumps(body(question)).encode(), end_stream=True)
        self.flush()


def before_a_connection_over_http2(target: Target) -> int:
    client = _Http2(target)
    client.socket.settimeout(_STILL)
    stream = client.begin("/v1/files")
    with client.socket, contextlib.suppress(OSError):
        for _ in range(_MUCH // 16384):
            client.h2.send_data(stream, _PART[:16384])
            client.flush()
    return int(not _is_answered(target))


def long_hello(target: Target) -> int:
    """A TLS greeting that says it is 16 MiB, in records of 16 KiB."""
    record = b"\x16\x03\x01\x40\x00"
    with target.connect() as connection:
        connection.sendall(_tunnel("api.openai.com:443"))
        connection.recv(65536)
        connection.sendall(record + b"\x01\xff\xff\xff" + b" " * (0x4000 - 4))
        _push(connection, record + b" " * 0x4000, 15 * MIB)
    return int(not _is_answered(target))


def _unread(target: Target, host: str, provider: Provider) -> int:
    """1 where a hundred answers of 2 MiB keep another from one; their client reads none, and opens no window."""
    long = completion("word " * (2 * MIB // 5))
    for _ in range(_STREAMS):
        provider.script(long)
    client = _Http2(target, host)
    with client.socket:
        for number in range(_STREAMS):
            client.ask(f"What is {number} plus one?")
        until(lambda: provider.calls() >= _STREAMS)
        _until_quiet(target)
        wrong = not _is_answered(target)
    target.proxy.settle()
    provider.reset()
    return int(wrong)


def _until_quiet(target: Target) -> None:
    """Until a proxy's memory has been the same for a while."""
    status, before, since = Path(f"/proc/{target.proxy.process.pid}/statm"), "", time.monotonic()
    while time.monotonic() < since + _STILL:
        if (now := status.read_text()) != before:
            before, since = now, time.monotonic()
        time.sleep(0.1)


def answers_over_http2(target: Target) -> int:
    return _unread(target, "api.openai.com", target.provider)


def answers_turned(target: Target) -> int:
    """The same of a provider that speaks HTTP/1."""
    return _unread(target, TURNED, target.local)


def unread_and_awaited(target: Target) -> int:
    """1 where forty answers of 2 MiB that others wait for, while their own caller reads none, keep another from one."""
    key, many = target.key(), _STREAMS * 2 // 5
    for _ in range(2 * many):  # those who wait may be told to ask themselves
        target.provider.script(completion("word " * (2 * MIB // 5)))
    leading, waiting = _Http2(target, "api.openai.com", key), _Http2(target, "api.openai.com", key)
    with leading.socket, waiting.socket:
        for client in (leading, waiting):
            for number in range(many):
                client.ask(f"What is {number} plus one?")
            until(lambda: target.provider.calls() >= many)
        _until_quiet(target)
        wrong = not _is_answered(target)
    target.proxy.settle()
    target.provider.reset()
    return int(wrong)


def _kept(target: Target) -> str:
    """A key for which a long answer is kept."""
    key = target.key()
    target.provider.script(completion("word " * (4 * MIB // 5 - 100)))
    target.ask(key, question=_LONG)
    return key


def hits_over_http2(target: Target) -> int:
    """1 where a hundred hits of 4 MiB, of which none is read, keep another from an answer."""
    key = _kept(target)
    client = _Http2(target, "api.openai.com", key)
    with client.socket:
        for _ in range(_STREAMS):
            client.ask(_LONG)
        _until_quiet(target)
        wrong = not _is_answered(target)
    target.provider.reset()
    return int(wrong)


def hits(target: Target) -> int:
    """The same on a hundred connections."""
    key, content = target.key(), json.dumps(body(_LONG)).encode()
    url = "http://model.test:8001/v1/chat/completions"
    target.local.script(completion("word " * (4 * MIB // 5 - 100)))
    target.ask(key, question=_LONG, url=url)
    head = _LOCAL + f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(_STREAMS):
            connection = stack.enter_context(target.connect())
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(content) + content)
        _until_quiet(target)
        wrong = not _is_answered(target)
    target.local.reset()
    return int(wrong)


def websocket_messages(target: Target) -> int:
    """A message of 200 MiB, in one frame and in many, to a provider that reads none of it."""
    for length in (_MUCH, len(_PART)):
        frame = b"\x02\xff" + length.to_bytes(8) + bytes(4)  # RFC 6455 5.2: binary, not the last, masked with zeros
        with _socket_to(target) as connection:
            if length == _MUCH:
                connection.sendall(frame)
                _push(connection)
            else:
                _push(connection, frame + _PART)
    return int(not _is_answered(target))


def _socket_to(target: Target) -> ssl.SSLSocket:
    """A WebSocket to a provider."""
    raw = target.connect()
    raw.sendall(_tunnel("api.openai.com:443"))
    assert b" 200 " in raw.recv(65536)
    opened = ssl.create_default_context(cafile=str(target.proxy.bundle)).wrap_socket(
        raw, server_hostname="api.openai.com"
    )
    opened.sendall(
        b"GET /v1/responses HTTP/1.1\r\nHost: api.openai.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b" 101 " in opened.recv(65536)
    return opened


ATTACKS = (
    Attack("behind a request", "200 MiB behind one whose answer is waited for", behind_a_request),
    Attack("before a connection", "200 MiB for a host that is being connected to", before_a_connection),
    Attack("the same over HTTP/2", "200 MiB of a stream", before_a_connection_over_http2),
    Attack("answers over HTTP/2", f"{_STREAMS} of 2 MiB that nobody reads", answers_over_http2),
    Attack("answers turned", "the same from a provider that speaks HTTP/1", answers_turned),
    Attack("unread and awaited", "40 of 2 MiB that nobody reads and others wait for", unread_and_awaited),
    Attack("hits over HTTP/2", f"{_STREAMS} of 4 MiB that nobody reads", hits_over_http2),
    Attack("hits", f"the same on {_STREAMS} connections", hits),
    Attack("WebSocket messages", "one of 200 MiB, in one frame and in many", websocket_messages),
    Attack("a long hello", "a TLS greeting of 16 MiB", long_hello),
)
