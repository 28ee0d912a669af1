"""What a lane has read of a connection before mitmproxy, in TLS or not: it is answered, or mitmproxy reads it.

One rule: nothing is lost. Whatever was read and is not taken, an end or a mistake too, is what is read next.
"""

import contextlib
from typing import Any, Protocol

from OpenSSL import SSL

__all__ = ["InTheOpen", "InTls", "ReadAhead"]

_PIECE = 65535


class ReadAhead(Protocol):
    """What was read and not taken."""

    @property
    def size(self) -> int:
        """Bytes of text."""

    def open(self, data: bytes) -> bytes | None:
        """The text that `data` holds; None where an end or a mistake follows it. All of it is still to be read."""

    def answer(self, text: bytes) -> bytes:
        """Take all that was read; returns what is to be sent for the other side to read `text`."""

    def pending(self) -> bytes:
        """What is to be sent besides."""

    def hand_over(self) -> bytes:
        """What mitmproxy is to be told has come, to read all of it."""


class InTheOpen:
    """Of a connection without TLS."""

    def __init__(self) -> None:
        self._read = list[bytes]()

    @property
    def size(self) -> int:
        return sum(map(len, self._read))

    def open(self, data: bytes) -> bytes:
        self._read.append(data)
        return data

    def answer(self, text: bytes) -> bytes:
        self._read.clear()
        return text

    def pending(self) -> bytes:
        return b""

    def hand_over(self) -> bytes:
        read = b"".join(self._read)
        self._read.clear()
        return read


class InTls:
    """A TLS session that was read ahead: whoever reads it next is given that first."""

    def __init__(self, session: SSL.Connection) -> None:
        self._session = session
        self._read = list[bytes | SSL.Error]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def recv(self, size: int, flags: int | None = None) -> bytes:
        if self._read:
            first = self._read.pop(0)
            if isinstance(first, SSL.Error):
                raise first
            return first
        return self._session.recv(size, flags)

    @property
    def size(self) -> int:
        return sum([len(one) for one in self._read if isinstance(one, bytes)])

    def open(self, data: bytes) -> bytes | None:
        self._session.bio_write(data)
        pieces = list[bytes]()
        while True:
            try:
                pieces.append(self._session.recv(_PIECE))
            except SSL.WantReadError:
                self._read += pieces
                return b"".join(pieces)
            except SSL.Error as end:
                self._read += [*pieces, end]
                return None

    def take(self) -> bytes | None:
        """Take all that was read; None, and nothing is taken, where an end or a mistake is part of it."""
        pieces = [one for one in self._read if isinstance(one, bytes)]
        if len(pieces) < len(self._read):
            return None
        self._read.clear()
        return b"".join(pieces)

    def answer(self, text: bytes) -> bytes:
        self._read.clear()
        return self.seal(text)

    def seal(self, text: bytes) -> bytes:
        """What is to be sent for the other side to read `text`."""
        with contextlib.suppress(SSL.ZeroReturnError, SSL.SysCallError):  # as mitmproxy has it
            self._session.sendall(text)
        return self.pending()

    def pending(self) -> bytes:
        pieces = list[bytes]()
        with contextlib.suppress(SSL.WantReadError):
            while not pieces or len(pieces[-1]) == _PIECE:
                pieces.append(self._session.bio_read(_PIECE))
        return b"".join(pieces)

    def hand_over(self) -> bytes:
        return b""  # the TLS layer asks what there is
