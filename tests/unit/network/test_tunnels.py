"""Connections by way of a proxy, over sockets: what the proxy is told, and what is made of its answer."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trustme

from askonce.network import peers, tunnels
from askonce.network.peers import Peers
from askonce.network.tunnels import Tunnel, UpstreamProxyError, open_by
from askonce.rules import Document, Rules, UpstreamProxy

PLACE = ("api.openai.com", 443)
OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"

type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
type Serve = Callable[..., Awaitable[UpstreamProxy]]


class Asked:
    head = b""


@contextlib.asynccontextmanager
async def proxy_that_says(
    answer: bytes, context: ssl.SSLContext | None = None, user: str = ""
) -> AsyncIterator[tuple[UpstreamProxy, Asked]]:
    """A proxy that gives one answer and then sends back what it is sent."""
    asked = Asked()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            asked.head = await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            while data := await reader.read(1000):
                writer.write(data)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        password = "secret" if user else ""
        yield UpstreamProxy("https" if context else "http", "127.0.0.1", port, user, password, "HTTPS_PROXY"), asked


def tunnel(proxy: UpstreamProxy, place: tuple[str, int] = PLACE, ca: trustme.CA | None = None) -> Tunnel:
    context = ssl.create_default_context()
    if ca:
        ca.configure_trust(context)
    return Tunnel(proxy, place, lambda: context, b"1.1 askonce-x")


async def why_not(proxy: UpstreamProxy) -> str:
    with pytest.raises(UpstreamProxyError) as error:
        await open_by(tunnel(proxy))
    said = str(error.value)
    assert said.startswith(f"the upstream proxy {proxy} (HTTPS_PROXY) ")
    assert "secret" not in said
    assert UpstreamProxyError.said_in(f"Connection killed: {said}") == said
    return said.partition("(HTTPS_PROXY) ")[2]


async def test_what_it_is_asked_and_that_nothing_that_follows_is_lost() -> None:
    async with proxy_that_says(OPENED + b"hello ", user="me") as (proxy, asked):
        reader, writer = await open_by(tunnel(proxy, ("fd00::1", 8443)))
        writer.write(b"you")
        assert await reader.readexactly(9) == b"hello you"
        writer.close()
    assert asked.head == (
        b"CONNECT [fd00::1]:8443 HTTP/1.1\r\nHost: [fd00::1]:8443\r\nVia: 1.1 askonce-x\r\n"
        b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("answer", "user", "said"),
    [
        (b"HTTP/1.1 407 Denied\r\n\r\n", "", "asks for a user and a password (407): give them in HTTPS_PROXY"),
        (b"HTTP/1.1 407 Denied\r\n\r\n", "me", "does not take the user and password that HTTPS_PROXY gives (407)"),
        (
            b"HTTP/1.1 407 X\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\n\r\n",
            "me",
            "asks for Negotiate, NTLM (407), and Askonce knows Basic alone",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "me", "does not lead to api.openai.com:443: 403 Forbidden"),
        (b"HTTP/1.0 503\r\n\r\n", "", "does not lead to api.openai.com:443: 503"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "", "gave no answer that is HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "", "gave no answer that is HTTP"),
    ],
)
async def test_what_is_made_of_another_answer(answer: bytes, user: str, said: str) -> None:
    async with proxy_that_says(answer, user=user) as (proxy, _):
        assert await why_not(proxy) == said


async def test_a_proxy_that_hangs_up_or_is_not_there() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        proxy = UpstreamProxy("http", "127.0.0.1", port, source="HTTPS_PROXY")
        assert await why_not(proxy) == "gave no answer that is HTTP"
    assert (await why_not(proxy)).startswith("cannot be reached: [Errno ")


async def test_a_proxy_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "_PATIENCE", 0.05)
    async with proxy_that_says(b"") as (proxy, _):
        assert await why_not(proxy) == "did not answer within 0 s"


async def test_a_proxy_over_tls_is_verified() -> None:
    ca, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    async with proxy_that_says(OPENED, context) as (proxy, _):
        reader, writer = await open_by(tunnel(proxy, ca=ca))
        writer.write(b"you")
        assert await reader.readexactly(3) == b"you"
        writer.write_eof()
        assert await reader.read() == b""
        assert (await why_not(proxy)).startswith("is not trusted: ")


async def test_a_name_that_no_head_may_hold_is_not_sent() -> None:
    async with proxy_that_says(OPENED) as (proxy, asked):
        with pytest.raises(UpstreamProxyError):
            await open_by(tunnel(proxy, ("a b\r\nX: y", 443)))
    assert asked.head == b""


async def test_only_who_was_told_so_goes_through_it() -> None:
    tunnels.install()
    async with proxy_that_says(OPENED + b"hello") as (proxy, _):
        await asyncio.create_task(_told(tunnel(proxy)))
        with pytest.raises(socket.gaierror):
            await asyncio.open_connection("nowhere.invalid", 443)


async def _told(way: Tunnel) -> None:
    tunnels.through(way)
    reader, writer = await asyncio.open_connection("nowhere.invalid", 443)
    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_a_proxy_may_be_anywhere_but_here() -> None:
    """Off loopback, where private addresses are else refused."""
    peers.watch(asyncio.get_running_loop())
    rules = Rules(Document.parse("version: 1\nupstreams: [{name: a, hosts: [b.example], paths: [/x], wire: generic}]"))
    allowed = Peers(lambda: rules, everywhere=False)
    async with proxy_that_says(OPENED) as (proxy, _):
        allowed.connecting(proxy.host, PLACE, (proxy.host, proxy.port))
        _, writer = await open_by(tunnel(proxy))
        writer.close()
        allowed.listening = lambda: [("127.0.0.1", proxy.port)]
        with pytest.raises(peers.Refused, match="that is Askonce itself"):
            await open_by(tunnel(proxy))
        allowed.connected()
    assert "private address" in await allowed.why_not(("127.0.0.1", 443), None)
    assert await allowed.why_not(("nowhere.invalid", 443), None) == ""
