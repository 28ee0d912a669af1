"""A provider and a client of raw bytes: what no HTTP library would send, over real sockets.

One rule: nothing here understands more of HTTP than where a message ends.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Origin", "connect", "read_message", "read_to_end"]

PATIENCE = 15.0
"""Seconds after which a test that hangs fails."""


class Origin:
    """A server on loopback that answers each request with the pieces that a test has queued for it, each in a write of
    its own; a piece of None closes the connection, an Event is waited for."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._answers = deque[tuple[bytes | threading.Event | None, ...]]()
        self.requests: list[bytes] = []
        self._open = set[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def answer(self, *pieces: bytes | threading.Event | None) -> None:
        """What the next request without an answer is sent."""
        self._answers.append(pieces)

    def reset(self) -> None:
        self._answers.clear()
        self.requests.clear()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)

    def _accept(self) -> None:
        threads = []
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.add(connection)
                threads.append(threading.Thread(target=self._serve, args=(connection,)))
                threads[-1].start()
        for thread in threads:
            thread.join(PATIENCE)

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError, EOFError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._speak(connection)
        self._open.discard(connection)

    def _speak(self, connection: socket.socket) -> None:
        with connection:
            reader = Reader(connection)
            while True:
                self.requests.append(reader.message(is_request=True))
                for piece in self._answers.popleft() if self._answers else ():
                    if piece is None:
                        return
                    if isinstance(piece, threading.Event):
                        assert piece.wait(PATIENCE)
                    else:
                        connection.sendall(piece)


class Reader:
    """Cuts what arrives into messages."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._rest = connection, b""

    def message(self, *, is_request: bool = False, no_body: bool = False) -> bytes:
        """The next message, head and body as they came. Raises EOFError where the connection ends before it does."""
        head = self._until(b"\r\n\r\n")
        lowered = head.lower()
        no_body = no_body or lowered.startswith(b"http/1.1 204 ")
        if no_body or (is_request and b"\ncontent-length:" not in lowered and b"\ntransfer-encoding:" not in lowered):
            return head
        if b"\ntransfer-encoding: chunked" in lowered:
            return head + self._chunks()
        if b"\ncontent-length:" not in lowered:
            return head + self._all()
        return head + self._exactly(int(lowered.partition(b"\ncontent-length:")[2].split(b"\r\n", 1)[0]))

    def _chunks(self) -> bytes:
        raw = b""
        while True:
            line = self._until(b"\r\n")
            size = int(line.split(b";")[0], 16)
            raw += line
            if not size:
                while (line := self._until(b"\r\n")) != b"\r\n":
                    raw += line
                return raw + line
            raw += self._exactly(size + 2)

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            self._more()
        found, _, self._rest = self._rest.partition(end)
        return found + end

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._more()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _all(self) -> bytes:
        with contextlib.suppress(EOFError):
            while True:
                self._more()
        found, self._rest = self._rest, b""
        return found

    def _more(self) -> None:
        data = self._connection.recv(1 << 20)
        if not data:
            raise EOFError
        self._rest += data


@contextlib.contextmanager
def connect(port: int, **options: Any) -> Iterator[socket.socket]:
    """A connection to a port of this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, **options) as connection:
        yield connection


def read_message(connection: socket.socket, *, no_body: bool = False) -> tuple[int, dict[str, str], bytes]:
    """The status, the fields and the body of one response, without its chunks' frames and its trailers."""
    raw = Reader(connection).message(no_body=no_body)
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if body and fields.get("transfer-encoding") == "chunked":
        body = b"".join(_pieces(body))
    return int(first.split()[1]), fields, body


def _pieces(chunks: bytes) -> Iterable[bytes]:
    while True:
        line, _, chunks = chunks.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if not size:
            return
        yield chunks[:size]
        chunks = chunks[size + 2 :]


def read_to_end(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)
