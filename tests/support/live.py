"""A proxy as `askonce serve` runs it, a provider and clients of raw bytes, all on the event loop of a test.

One rule: what is sent is what a test says, byte for byte, and what was received is told the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from mitmproxy import ctx, options
from mitmproxy.connection import Client as Connected
from tests.support.waiting import PATIENCE, until_so

from askonce import trust
from askonce.proxy.addon import Askonce
from askonce.proxy.fast_lane import Lanes
from askonce.proxy.master import LeanMaster
from askonce.settings import Settings

__all__ = ["Client", "Live", "Provider", "Tunnel", "live", "provider"]

_FRAMING = re.compile(rb"\r\n(content-length|transfer-encoding): *([^\r]*)", re.IGNORECASE)


class Message:
    """Reads one message of HTTP/1.1 off a stream, as it came."""

    def __init__(self, read: Callable[[], AsyncIterator[bytes]]) -> None:
        self._more = read()
        self._rest = b""

    async def next(self) -> bytes:
        """Head and body. Raises EOFError where the stream ends before they do."""
        head = await self._until(b"\r\n\r\n")
        framing = {name.lower(): value for name, value in _FRAMING.findall(head)}
        if b"transfer-encoding" in framing:
            return head + await self._chunks()
        return head + await self._exactly(int(framing.get(b"content-length", b"0")))

    @property
    def rest(self) -> bytes:
        """What has come and belongs to no message yet."""
        return self._rest

    async def _chunks(self) -> bytes:
        raw = b""
        while True:
            line = await self._until(b"\r\n")
            raw += line
            if int(line.split(b";")[0], 16) == 0:
                return raw + await self._until(b"\r\n")
            raw += await self._exactly(int(line.split(b";")[0], 16) + 2)

    async def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            await self._read()
        found, _, self._rest = self._rest.partition(end)
        return found + end

    async def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            await self._read()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    async def _read(self) -> None:
        try:
            self._rest += await anext(self._more)
        except StopAsyncIteration:
            raise EOFError from None


@dataclass
class Provider:
    """Answers each request with the bytes that `answer` makes of it, or with pieces, an empty one of which ends the
    connection."""

    answer: Callable[[bytes], bytes | list[bytes]]
    port: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            while piece := await reader.read(1 << 16):
                yield piece

        messages = Message(pieces)
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.requests.append(await messages.next())
                said = self.answer(self.requests[-1])
                for piece in said if isinstance(said, list) else [said]:
                    if not piece:
                        raise EOFError
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()


@contextlib.asynccontextmanager
async def provider(answer: Callable[[bytes], bytes | list[bytes]]) -> AsyncIterator[Provider]:
    """A provider in plain HTTP, on a port of its own."""
    one = Provider(answer)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()


class Client:
    """A client's connection to the proxy's own port, without TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._messages = Message(self._texts)

    def sealed(self, text: bytes) -> bytes:
        """`text` as it is sent, which is to be before anything that is asked for after it."""
        return text

    def send(self, text: bytes) -> None:
        self.writer.write(self.sealed(text))

    def end(self) -> None:
        """Say that nothing more will come."""
        self.writer.write_eof()

    async def next(self) -> bytes:
        """The next message, as it came. Raises EOFError where there is none."""
        async with asyncio.timeout(PATIENCE):
            return await self._messages.next()

    async def ask(self, text: bytes) -> bytes:
        self.send(text)
        return await self.next()

    async def until_closed(self) -> bytes:
        """All that comes until the proxy closes."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(OSError):
                return self._messages.rest + b"".join([text async for text in self._texts()])
        return self._messages.rest

    async def _texts(self) -> AsyncIterator[bytes]:
        while data := await self.reader.read(1 << 16):
            yield data


class Tunnel(Client):
    """A client's connection through CONNECT and TLS, which it encrypts itself: what one write holds, and where the
    bytes of TLS are cut, is the test's to say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._into, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject

    async def begin(self, host: str, ca: Path) -> None:
        self.writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nhost: {host}:443\r\n\r\n".encode())
        told = await self.reader.readuntil(b"\r\n\r\n")
        assert told.startswith(b"HTTP/1.1 200 "), (host, told)
        context = ssl.create_default_context(cafile=str(ca))
        self._tls = context.wrap_bio(self._into, self._out, server_hostname=host)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.writer.write(self._out.read())
                self._into.write(await self.reader.read(1 << 16))
            else:
                self.writer.write(self._out.read())
                return

    def sealed(self, text: bytes) -> bytes:
        for start in range(0, len(text), 1 << 14):
            self._tls.write(text[start : start + (1 << 14)])
        return self._out.read()

    def end(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
            self._tls.unwrap()
        self.writer.write(self._out.read())

    async def _texts(self) -> AsyncIterator[bytes]:
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                while text := self._tls.read(1 << 16):
                    yield text
            data = await self.reader.read(1 << 16)
            if not data:
                return
            self._into.write(data)


@dataclass
class Live:
    """A proxy that runs. `answered` counts what its lanes have answered."""

    askonce: Askonce
    master: LeanMaster
    port: int
    ca: Path
    answered: int = 0

    def use(self) -> None:
        """Make this the one that is asked from now on, where there are several: mitmproxy knows of one."""
        ctx.master, ctx.options = self.master, self.master.options

    @contextlib.asynccontextmanager
    async def tunnel(self, host: str) -> AsyncIterator[Tunnel]:
        tunnel = Tunnel(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            await tunnel.begin(host, self.ca)
            yield tunnel
        finally:
            tunnel.writer.close()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        try:
            yield client
        finally:
            client.writer.close()

    async def settled(self) -> None:
        """Wait until no call is under way: all are counted, and kept where they are to be."""
        deadline = time.monotonic() + PATIENCE
        while self.askonce._work._flows or self.askonce.runtime.accounting.in_flight:
            assert time.monotonic() < deadline, "a call is never over"
            await asyncio.sleep(0.0005)  # a fuzzer waits here twenty thousand times


@contextlib.asynccontextmanager
async def live(folder: Path, rules: str, *, lane: bool = True, secret: bytes = bytes(32)) -> AsyncIterator[Live]:
    """A proxy with an empty cache in `folder`; keys of entries go by `secret`. Without `lane`, all goes by mitmproxy's
    layers."""
    data, certs = folder / "data", folder / "certs"
    data.mkdir(parents=True)
    (data / "secret").write_bytes(secret)
    (folder / "rules.yaml").write_text(rules)
    opts = options.Options()
    askonce = Askonce(Settings("127.0.0.1", 0, rules=folder / "rules.yaml", data=data, certs=certs))
    master = LeanMaster(opts, askonce)
    trust.ensure_ca(certs, askonce.runtime.rules.host_names(), environ={})
    opts.update(confdir=str(certs), listen_host="127.0.0.1", listen_port=0, upstream_cert=False)
    lanes = [addon for addon in master.addons.chain if isinstance(addon, Lanes)]
    assert lanes, "mitmproxy is another than the lane was written for"
    if not lane:
        master.addons.remove(lanes[0])  # type: ignore[no-untyped-call]
    running = asyncio.ensure_future(master.run())
    server = master.addons.get("proxyserver")
    # The last that is set as it starts, and in whichever options are mitmproxy's at that time.
    await until_so(lambda: opts.connection_strategy == "lazy" or running.done())
    await askonce.runtime.cache.ready()
    one = Live(askonce, master, server.listen_addrs()[0][1], certs / "mitmproxy-ca-cert.pem")
    _count(one)
    try:
        yield one
    finally:
        one.use()
        master.should_exit.set()
        await running


def _count(one: Live) -> None:
    """Have what is answered counted, by the call that ends there."""
    over = one.askonce.at_once.over

    def counting(client: Connected) -> None:
        one.answered += client.id in one.askonce.at_once._begun
        over(client)

    one.askonce.at_once.over = counting  # type: ignore[method-assign]
