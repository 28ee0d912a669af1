"""A TLS greeting is read as mitmproxy reads it, up to the largest head."""

import ssl

import pytest

from askonce.calls.limits import Limits
from askonce.proxy import client_hello


def hello(name: str = "api.openai.com") -> bytes:
    sent = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def split(greeting: bytes, size: int) -> bytes:
    """The same message in records of `size` bytes."""
    message = greeting[5:]
    parts = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(greeting[:3] + len(part).to_bytes(2) + part for part in parts)


@pytest.mark.parametrize("size", [16384, 100, 4, 1])
def test_a_greeting_is_read(size: int) -> None:
    parsed = client_hello.parse(split(hello(), size))
    assert parsed
    assert parsed.sni == "api.openai.com"
    assert client_hello.parse(split(hello(), size)[:-1]) is None


@pytest.mark.parametrize("length", [0xFFFFFF, 65537])
def test_one_that_says_it_is_larger_than_the_largest_head_is_none(length: int) -> None:
    begun = bytearray(b"\x16\x03\x01\x40\x00\x01" + length.to_bytes(3) + b" " * 1000)
    with pytest.raises(ValueError, match=str(Limits.in_force.max_header)):
        client_hello.parse(bytes(begun))
    with pytest.raises(ValueError):
        client_hello.parse(begun)
    assert len(begun) < 20, "mitmproxy writes all of it into the log"


def test_records_that_never_say_how_long_it_is() -> None:
    with pytest.raises(ValueError):
        client_hello.parse(b"\x16\x03\x01\x00\x01\x01" * 22000)
