"""Requests over HTTP/1.1 that are like most: a POST in origin-form, with a length or in chunks, and nothing that asks
for more than an answer.

One rule: this knows less than mitmproxy, and never another thing. What it does not take for ordinary is no mistake, but
mitmproxy's to read; what it does, mitmproxy reads to the same fields and the same body.
"""

import re
from typing import NamedTuple

from h11._events import Data
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from h11._util import LocalProtocolError

from askonce.api.vital_signs import Fields
from askonce.calls.limits import SMALL, Limits
from askonce.proxy.messages import read_fields

__all__ = ["MOST", "Body", "Head", "Heads", "is_begun"]

MOST = SMALL
"""Bytes of a body that is read here: more than that is nobody's everyday call, and is not looked up on the loop."""
_START = b"POST /"
_HEAD = re.compile(
    rb"POST (/[!-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n)*)\r\n", re.DOTALL
)
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,6}")
_OTHERS = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"http2-settings",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"upgrade",
        b"via",
    }
)
"""Names of fields that ask for something else, or that the hooks change."""
_HEADS, _KEPT = 512, 4096
"""Heads that are remembered, and the bytes of the longest."""
_END = b"\r\n\r\n"


class Head(NamedTuple):
    """What an ordinary request says before its body."""

    size: int
    path: str
    """With the query."""
    fields: Fields
    heads: dict[bytes, bytes]
    """Names in lower case; of several with one name the last."""
    headers: dict[str, str]
    """As `askonce.call.Request` has them."""
    length: int | None
    """Bytes of the body; None where it comes in chunks."""


class Heads:
    """Reads heads, and remembers them: an app's differ in the length of the body, if at all."""

    def __init__(self) -> None:
        self._known = dict[bytes, Head]()

    def read(self, text: bytes, end: int) -> Head | None:
        """The head that `text` begins with, the empty line at its end being at `end`; None where it is none that is
        ordinary."""
        raw, limits = text[: end + len(_END)], Limits.in_force
        head = self._known.get(raw) or self._learn(raw)
        if head is None or head.size > limits.max_header or (head.length or 0) > limits.max_body:
            return None
        return head

    def _learn(self, raw: bytes) -> Head | None:
        head = _read(raw)
        if head and len(raw) <= _KEPT:
            if len(self._known) >= _HEADS:
                self._known.clear()
            self._known[raw] = head
        return head


def is_begun(text: bytes) -> bool:
    """Whether an ordinary head may begin so."""
    is_post = text.startswith(_START) if len(text) >= len(_START) else _START.startswith(text)
    # Lines may end in a line feed alone (RFC 9112 2.2), and then so does the head.
    return is_post and len(text) <= Limits.in_force.max_header and text.count(b"\n") == text.count(b"\r\n")


def _read(raw: bytes) -> Head | None:
    parts = _HEAD.fullmatch(raw)
    if parts is None:
        return None
    lines = [line.partition(b":") for line in parts[2].split(b"\r\n")[:-1]]
    fields = tuple([(name, value.strip()) for name, _, value in lines])
    heads = {name.lower(): value for name, value in fields}
    names = [name.lower() for name, _ in fields]
    length, coding = heads.get(b"content-length"), heads.get(b"transfer-encoding", b"chunked")
    if not (
        _OTHERS.isdisjoint(names)
        and names.count(b"connection") <= 1
        and heads.get(b"connection", b"keep-alive").lower() == b"keep-alive"
        and names.count(b"content-length") + names.count(b"transfer-encoding") == 1
        and coding.lower() == b"chunked"
        and (length is None or (_LENGTH.fullmatch(length) and int(length) <= MOST))
    ):
        return None
    size = None if length is None else int(length)
    return Head(len(raw), parts[1].decode(), fields, heads, read_fields(fields), size)


class Body:
    """The body of an ordinary request, as it comes."""

    def __init__(self, head: Head) -> None:
        self._length, self._size, self._pieces = head.length, 0, list[bytes]()
        if head.length is None:
            self._left, self._read = ReceiveBuffer(), ChunkedReader()

    def add(self, data: bytes) -> bytes | None:
        """The whole body, where `data` is the rest of it; None where more is to come. Raises ValueError where there is
        more than that, or it turns out not to be ordinary."""
        self._size += len(data)
        if self._length is None:
            return self._add_chunks(data)
        if self._size > self._length:
            raise ValueError("more than one request")
        self._pieces.append(data)
        return b"".join(self._pieces) if self._size == self._length else None

    def _add_chunks(self, data: bytes) -> bytes | None:
        if self._size > min(MOST, Limits.in_force.max_body):
            raise ValueError("a larger body than is read here")
        left = self._left
        left += data
        try:
            while isinstance(piece := self._read(left), Data):
                self._pieces.append(bytes(piece.data))
        except LocalProtocolError as error:
            raise ValueError("not chunks") from error
        if piece is None:
            if self._read._reading_trailer and bytes(left) not in _END:
                raise ValueError("trailers")
            return None
        if left or piece.headers:
            raise ValueError("more than one request")
        return b"".join(self._pieces)
