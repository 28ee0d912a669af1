"""Connections that are made by way of an upstream proxy: below whoever opens them, who sees the server's own name.

One rule: what the caller is told of a connection that was not made names the proxy and the cause, and no password.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

from askonce.network.peers import Place, Refused
from askonce.rules import UpstreamProxy

__all__ = ["Tunnel", "UpstreamProxyError", "install", "open_by", "refusal", "through", "written_host"]

type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_SAID = "the upstream proxy "
_PATIENCE = 120.0
"""Seconds for the proxy to connect and to say so; it may wait a minute for the server itself."""
_HEAD = 65536
"""Bytes of its answer."""
_STATUS = re.compile(rb"HTTP/1\.\d (\d{3})(?: ([^\r\n]*))?\r?\n")
_WANTED = re.compile(rb"\r?\nproxy-authenticate:[ \t]*([A-Za-z0-9-]+)", re.IGNORECASE)

_tunnel = ContextVar["Tunnel | None"]("askonce_tunnel", default=None)
"""How the connection is made that this task opens; None for directly."""


class UpstreamProxyError(OSError):
    """No connection by way of a proxy; the message says which proxy, and why."""

    def __init__(self, proxy: UpstreamProxy, why: str) -> None:
        super().__init__(f"{_SAID}{proxy} ({proxy.source}) {why}")

    @staticmethod
    def said_in(text: str) -> str:
        """What an error's text tells of one; empty where it tells of none."""
        return text[text.index(_SAID) :] if _SAID in text else ""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A way through a proxy."""

    proxy: UpstreamProxy
    place: Place
    """Where it leads."""
    verify: Callable[[], ssl.SSLContext]
    """How the proxy's own certificate is checked, where it has one."""
    via: bytes = b""
    """By whom it went already, we among them (RFC 9110 7.6.3): what comes back to us is known by it."""
    is_plain: bool = False
    """The proxy is sent plain HTTP requests for the place, and no CONNECT."""

    def opening(self) -> bytes:
        """CONNECT, as RFC 9110 9.3.6 has it. Raises ValueError where no head may hold the place's name."""
        host, port = self.place
        name = written_host(host)
        if not all("!" <= letter <= "~" for letter in name):
            raise ValueError(f"{host!r} is no host's name")
        authority = f"{name}:{port}".encode()
        return b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (authority, authority, self.fields())

    def fields(self) -> bytes:
        """The lines of a head that are for the proxy alone."""
        via = b"Via: %s\r\n" % self.via if self.via else b""
        credentials = self.proxy.credentials
        return via + (b"Proxy-Authorization: %s\r\n" % credentials if credentials else b"")


def written_host(host: str) -> str:
    """A host as a head has it: IPv6 in brackets, a name in ASCII. Raises ValueError where it has no such form."""
    return f"[{host}]" if ":" in host else host.encode("idna").decode()


def through(tunnel: Tunnel | None) -> None:
    """Have the next connection that this task opens go this way; None for directly."""
    _tunnel.set(tunnel)


async def open_by(tunnel: Tunnel) -> Streams:
    """A connection to the tunnel's place. Raises OSError: `UpstreamProxyError` for what the proxy is to blame for."""
    proxy = tunnel.proxy
    try:
        opening = b"" if tunnel.is_plain else tunnel.opening()
    except ValueError as error:
        raise UpstreamProxyError(proxy, f"cannot be asked: {error}") from error
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await _connect(proxy, tunnel.verify() if proxy.scheme == "https" else None)
            if opening:
                await _ask(tunnel, opening, reader, writer)
    except TimeoutError as error:
        raise UpstreamProxyError(proxy, f"did not answer within {_PATIENCE:.0f} s") from error
    return reader, writer


async def _connect(proxy: UpstreamProxy, context: ssl.SSLContext | None) -> Streams:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_HEAD, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        transport, _ = await loop.create_connection(lambda: protocol, proxy.host, proxy.port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        why = f"is not trusted: {error.verify_message}; ASKONCE_UPSTREAM_CA names a file of further roots"
        raise UpstreamProxyError(proxy, why) from error
    except Refused:
        raise
    except OSError as error:
        raise UpstreamProxyError(proxy, f"cannot be reached: {error}") from error
    return reader, _TlsWriter(transport, protocol, reader, loop)


class _TlsWriter(asyncio.StreamWriter):
    """TLS cannot end one direction alone: the other ends with it."""

    def write_eof(self) -> None:
        if self.can_write_eof():
            super().write_eof()
        else:
            self.close()


async def _ask(tunnel: Tunnel, opening: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(opening)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        if why := refusal(tunnel.proxy, tunnel.place, head):
            raise UpstreamProxyError(tunnel.proxy, why)
    except UpstreamProxyError:
        writer.close()
        raise
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise UpstreamProxyError(tunnel.proxy, "gave no answer that is HTTP") from error
    except BaseException:
        writer.close()
        raise


def refusal(proxy: UpstreamProxy, place: Place, head: bytes) -> str:
    """Why a proxy does not lead to a place, by the head of its answer; empty where it does."""
    found = _STATUS.match(head)
    if not found:
        return "gave no answer that is HTTP"
    status = int(found[1])
    if 200 <= status < 300:
        return ""
    if status != 407:
        reason = "".join(filter(str.isprintable, (found[2] or b"").decode("latin-1")))[:100]
        return f"does not lead to {place[0]}:{place[1]}: {status} {reason}".rstrip()
    schemes = [name.decode() for name in _WANTED.findall(head)]
    if schemes and "basic" not in map(str.lower, schemes):
        return f"asks for {', '.join(schemes)} (407), and Askonce knows Basic alone"
    if proxy.credentials:
        return f"does not take the user and password that {proxy.source} gives (407)"
    return f"asks for a user and a password (407): give them in {proxy.source}"


def install() -> None:
    """Have `asyncio.open_connection` go the way that its task was told to."""
    connect = asyncio.open_connection
    if hasattr(connect, "__wrapped__"):
        return

    @wraps(connect)
    async def open_connection(*place: Any, **more: Any) -> Streams:
        if tunnel := _tunnel.get():
            return await open_by(tunnel)
        return await connect(*place, **more)

    asyncio.open_connection = open_connection
