"""What a lane reads ahead is answered, or read again as it came: text, an end, a mistake."""

import contextlib
from collections.abc import Callable

import pytest
import trustme
from OpenSSL import SSL

from askonce.proxy.fast_lane_input import InTheOpen, InTls

type Pair = tuple[InTls, SSL.Connection]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pair(authority: trustme.CA) -> Pair:
    """A proxy's side of a session, and its client's."""
    leaf, context = authority.issue_cert("a.example"), SSL.Context(SSL.TLS_METHOD)
    with leaf.private_key_pem.tempfile() as key, leaf.cert_chain_pems[0].tempfile() as certificate:
        context.use_privatekey_file(key)
        context.use_certificate_file(certificate)
    ours, client = SSL.Connection(context, None), SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    ours.set_accept_state()
    client.set_connect_state()
    for _ in range(4):
        for one, other in ((client, ours), (ours, client)):
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    return InTls(ours), client


def sealed(client: SSL.Connection, text: bytes) -> bytes:
    client.sendall(text)
    return client.bio_read(1 << 20)


def read(ahead: InTls) -> list[bytes | type[SSL.Error]]:
    """What mitmproxy's layer is given, until there is no more."""
    got: list[bytes | type[SSL.Error]] = []
    while True:
        try:
            got.append(ahead.recv(65535))
        except SSL.Error as error:
            return [*got, type(error)]


def test_what_is_taken_is_not_read_again(pair: Pair) -> None:
    ahead, client = pair
    assert ahead.open(sealed(client, b"a" * 40_000)) == b"a" * 40_000
    assert ahead.size == 40_000
    client.bio_write(ahead.answer(b"b" * 100_000))
    got = b""
    with contextlib.suppress(SSL.WantReadError):
        while True:
            got += client.recv(65535)
    assert (got, ahead.size, read(ahead)) == (b"b" * 100_000, 0, [SSL.WantReadError])


def test_what_is_not_taken_is_read_first(pair: Pair) -> None:
    ahead, client = pair
    one, other, last = (sealed(client, text) for text in (b"one", b"other", b"last"))
    assert (ahead.open(one), ahead.open(other), ahead.size) == (b"one", b"other", 8)
    ahead.bio_write(last)  # as mitmproxy does with what it is given itself
    assert read(ahead) == [b"one", b"other", b"last", SSL.WantReadError]


def test_a_record_in_parts(pair: Pair) -> None:
    ahead, client = pair
    record = sealed(client, b"text")
    assert [ahead.open(bytes([byte])) for byte in record] == [b""] * (len(record) - 1) + [b"text"]
    assert ahead.pending() == b""


def _end(client: SSL.Connection) -> bytes:
    client.shutdown()
    return client.bio_read(1 << 16)


@pytest.mark.parametrize(
    ("follows", "error"),
    [(_end, SSL.ZeroReturnError), (lambda _: b"\x17\x03\x03\x00\x20" + bytes(32), SSL.Error)],
)
def test_an_end_or_a_mistake_is_read_in_its_place(
    pair: Pair, follows: Callable[[SSL.Connection], bytes], error: type[SSL.Error]
) -> None:
    ahead, client = pair
    assert ahead.open(sealed(client, b"text") + follows(client)) is None
    assert read(ahead) == [b"text", error]


def test_without_tls() -> None:
    ahead = InTheOpen()
    assert (ahead.open(b"one"), ahead.open(b"two"), ahead.size) == (b"one", b"two", 6)
    assert (ahead.hand_over(), ahead.size, ahead.pending()) == (b"onetwo", 0, b"")
    ahead.open(b"three")
    assert (ahead.answer(b"reply"), ahead.size, ahead.hand_over()) == (b"reply", 0, b"")
