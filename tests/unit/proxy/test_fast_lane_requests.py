"""What the lane reads of a request is what mitmproxy reads of it, or nothing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.net.http import http1
from mitmproxy.proxy.layers.http import HTTPMode, validate_request

from askonce.calls.limits import Limits
from askonce.proxy.fast_lane_requests import MOST, Body, Head, Heads, is_begun
from askonce.proxy.messages import read_fields
from askonce.rules import LimitsSpec

LINE = b"POST /v1/chat?a=b HTTP/1.1\r\n"


def read(*fields: bytes, line: bytes = LINE, length: bytes = b"Content-Length: 2\r\n") -> Head | None:
    text = line + b"".join(field + b"\r\n" for field in fields) + length + b"\r\n"
    return Heads().read(text, text.index(b"\r\n\r\n"))


def check(head: Head, raw: bytes) -> None:
    """What mitmproxy makes of a head, and what is made of it here, is the same."""
    request = http1.read_request_head(raw.removesuffix(b"\r\n\r\n").split(b"\r\n"))
    assert validate_request(HTTPMode.transparent, request, True) is None
    assert (head.path, head.fields) == (request.path, request.headers.fields)
    assert head.length == http1.expected_http_body_size(request)
    assert head.headers == read_fields(request.headers.fields)
    assert head.heads == {name.lower(): value for name, value in request.headers.fields}
    assert not http1.connection_close(request.http_version, request.headers)
    assert head.size == len(raw)


ORDINARY = [
    b"Host: api.openai.com",
    b"Host:api.openai.com",
    b"x:",
    b"x: \t a b\t ",
    b"X-Y: caf\xc3\xa9 \xff",
    b"Connection: keep-alive",
    b"connection:Keep-Alive",
    b"Cookie: a=b\r\ncookie: c=d",
    b"accept: a\r\nAccept: b",
    b"Authorization: Bearer a:b:c",
    b"cache-control: no-store, max-age=0",
]


@pytest.mark.parametrize("field", ORDINARY)
@pytest.mark.parametrize(
    "length", [b"Content-Length: 2\r\n", b"content-length:0\r\n", b"Transfer-Encoding: Chunked\r\n"]
)
def test_an_ordinary_head_is_what_mitmproxy_reads(field: bytes, length: bytes) -> None:
    head = read(field, length=length)
    assert head
    check(head, LINE + field + b"\r\n" + length + b"\r\n")


@pytest.mark.parametrize(
    "field",
    [
        b"connection: close",
        b"connection: keep-alive, close",
        b"connection: close\r\nconnection: keep-alive",
        b"connection: upgrade",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"expect:",
        b"TE: trailers",
        b"Trailer: x",
        b"Content-Encoding: gzip",
        b"Proxy-Authorization: Basic eA==",
        b"Via: 1.1 somebody",
        b"HTTP2-Settings: x",
        b"content-length: 2",
        b"transfer-encoding: chunked",
        b"x y: z",
        b"x : z",
        b": z",
        b"xyz",
        b"x: y\r\n z",
        b"x: y\x00",
        b"x: y\x0b",
        b"x: \x7f",
        b"x: a\rb",
        b"x: a\nb: c",
        b"\xff: x",
    ],
)
def test_a_head_that_asks_for_more_is_not_for_the_lane(field: bytes) -> None:
    assert read() and read(field) is None


@pytest.mark.parametrize(
    "length",
    [
        b"",
        b"content-length: 02\r\n",
        b"content-length: +2\r\n",
        b"content-length: 2, 2\r\n",
        b"content-length: -1\r\n",
        b"content-length: \xb2\r\n",
        b"content-length: %d\r\n" % (MOST + 1),
        b"content-length: 99999999999\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"transfer-encoding: chunked, chunked\r\n",
        b"transfer-encoding: identity\r\n",
    ],
)
def test_a_body_of_another_kind_is_not_for_the_lane(length: bytes) -> None:
    assert read(length=length) is None


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/chat HTTP/1.1\r\n",
        b"post /v1/chat HTTP/1.1\r\n",
        b"POST /v1/chat HTTP/1.0\r\n",
        b"POST /v1/chat HTTP/1.1 \r\n",
        b"POST  /v1/chat HTTP/1.1\r\n",
        b"POST /v1/ch at HTTP/1.1\r\n",
        b"POST /caf\xc3\xa9 HTTP/1.1\r\n",
        b"POST https://api.openai.com/v1/chat HTTP/1.1\r\n",
        b"POST * HTTP/1.1\r\n",
        b"POST /v1/chat HTTP/1.1\n",
        b"\r\nPOST /v1/chat HTTP/1.1\r\n",
    ],
)
def test_another_request_line_is_not_for_the_lane(line: bytes) -> None:
    assert read(line=line) is None


def test_limits_are_those_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    heads, text = Heads(), LINE + b"content-length: 2000\r\n\r\n"
    end = text.index(b"\r\n\r\n")
    assert heads.read(text, end)
    monkeypatch.setattr(Limits, "in_force", LimitsSpec(max_body=1999))
    assert heads.read(text, end) is None
    monkeypatch.setattr(Limits, "in_force", LimitsSpec(max_header=len(text) - 1))
    assert heads.read(text, end) is None


def test_a_head_is_remembered_and_not_for_ever() -> None:
    heads, seen = Heads(), set[int]()
    for number in range(2000):
        text = LINE + b"x: %d\r\ncontent-length: 2\r\n\r\n{}" % number
        end = text.index(b"\r\n\r\n")
        head = heads.read(text, end)
        assert head is heads.read(text, end)
        seen.add(len(heads._known))
    assert max(seen) == 512
    large = LINE + b"x: " + b"x" * 5000 + b"\r\ncontent-length: 2\r\n\r\n"
    before = len(heads._known)
    assert heads.read(large, large.index(b"\r\n\r\n"))
    assert len(heads._known) == before


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        (b"", True),
        (b"P", True),
        (b"POST /", True),
        (b"POST /v1 HTTP/1.1\r\nx", True),
        (b"GET", False),
        (b"POST h", False),
        (b"POST /v1 HTTP/1.1\n", False),
        (b"POST /v1 HTTP/1.1\r\nx: y\n\n", False),
        (b"POST /" + b"x" * (1 << 20), False),
    ],
)
def test_what_may_become_an_ordinary_head(text: bytes, begun: bool) -> None:
    assert is_begun(text) is begun


def joined(head: Head, pieces: list[bytes]) -> bytes | None:
    """The body that comes in `pieces`; None where the lane gives up, or there is more than it."""
    body, whole = Body(head), None
    for piece in pieces:
        if whole is not None:
            return None
        try:
            whole = body.add(piece)
        except ValueError:
            return None
    return whole


def cut(text: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(8)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True) if start < end]


@given(st.binary(min_size=1, max_size=300), st.randoms(use_true_random=False))
def test_a_body_cut_anywhere(content: bytes, rng: random.Random) -> None:
    head = read(length=b"content-length: %d\r\n" % len(content))
    assert head
    assert joined(head, cut(content, rng)) == content


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.randoms(use_true_random=False))
def test_chunks_cut_anywhere(chunks: list[bytes], rng: random.Random) -> None:
    head = read(length=b"transfer-encoding: chunked\r\n")
    assert head
    text = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    pieces = cut(text, rng)
    assert joined(head, pieces) == b"".join(chunks)
    assert joined(head, [bytes([byte]) for byte in text]) == b"".join(chunks)


@pytest.mark.parametrize(
    "text",
    [
        b"2\r\n{}\r\n0\r\nx: y\r\n\r\n",
        b"2\r\n{}\r\n0\r\n\r\nPOST",
        b"2\r\n{}x",
        b"g\r\n",
        b"2 \r\n{}\r\n0\r\n\r\nx",
        b"-1\r\n",
    ],
)
def test_chunks_that_are_not_ordinary(text: bytes) -> None:
    head = read(length=b"transfer-encoding: chunked\r\n")
    assert head
    for pieces in ([text], [bytes([byte]) for byte in text]):
        assert joined(head, pieces) is None


def test_more_than_one_request_or_too_much_of_one() -> None:
    counted, chunked = read(), read(length=b"transfer-encoding: chunked\r\n")
    assert counted and chunked
    assert joined(counted, [b"{", b"}P"]) is None
    assert joined(chunked, [b"ffffff\r\n", b"x" * MOST]) is None
