"""Bytes that nobody takes: behind a whole request, before a connection is there, and a greeting without an end.

One rule: as much as the proxy takes is sent, up to a size that would be noticed; whoever is asked next is answered.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl

import h2.config
import h2.connection
import h2.settings
from tests.attack.attack import Attack
from tests.attack.target import FRANCE, UNREACHED, Target, body, nobody
from tests.attack.watch import MIB

_MUCH = 200 * MIB
_PART = b" " * 65536
_STILL = 2.0
"""Seconds for which nothing more is taken before a sender gives up."""
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
    """A client that speaks HTTP/2, through the proxy, to a host that is being connected to."""

    def __init__(self, target: Target) -> None:
        context = ssl.create_default_context(cafile=str(target.proxy.bundle))
        context.set_alpn_protocols(["h2"])
        raw = target.connect()
        raw.sendall(_tunnel(f"{UNREACHED}:443"))
        assert b" 200 " in raw.recv(65536)
        self.socket = context.wrap_socket(raw, server_hostname=UNREACHED)
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
        pseudo = ((":method", "POST"), (":scheme", "https"), (":authority", UNREACHED), (":path", path))
        self.h2.send_headers(stream, pseudo)
        self.flush()
        return stream


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


ATTACKS = (
    Attack("behind a request", "200 MiB behind one whose answer is waited for", behind_a_request),
    Attack("before a connection", "200 MiB for a host that is being connected to", before_a_connection),
    Attack("the same over HTTP/2", "200 MiB of a stream", before_a_connection_over_http2),
    Attack("a long hello", "a TLS greeting of 16 MiB", long_hello),
)
