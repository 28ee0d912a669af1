"""Sends one scripted response: headers, chunks with their delays, an encoding, and perhaps a cut.

One rule: the script is followed to the letter, on HTTP/1.1 and HTTP/2 alike, and a caller who leaves is counted.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import brotli
import zstandard
from starlette.types import Receive, Scope, Send

__all__ = ["Address", "Chunk", "Perform", "Script", "encoder"]

Address = tuple[str, int]
"""Host and port of a client."""

_LEAVE_TIME = 0.05
"""Seconds for what was sent to leave the HTTP/2 send queue, which cannot be waited for, before the cut."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that are sent together, after a delay in seconds, or once a test lets them go."""

    data: bytes
    delay: float = 0.0
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """One exact response."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    chunks: tuple[Chunk, ...] = ()
    abort: bool = False
    """Cut the connection after the last chunk instead of ending the body."""
    content_encoding: str = ""
    """`gzip`, `br` or `zstd`: applied here, flushed after every chunk."""


@dataclass(frozen=True, slots=True)
class Perform:
    """An ASGI response that follows a script."""

    script: Script
    cut: Callable[[Address], None]
    """Closes the connection of a client."""
    left: Callable[[], None]
    """Called when the caller goes away before the end."""
    released: Callable[[], Awaitable[object]]
    """Returns once a held chunk may go."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; stop as soon as the caller is gone."""
        sending = asyncio.ensure_future(self._send(scope, send))
        watching = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            else:
                self.left()
        finally:
            sending.cancel()
            watching.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)

    async def _send(self, scope: Scope, send: Send) -> None:
        script = self.script
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in script.headers]
        if script.content_encoding:
            headers.append((b"content-encoding", script.content_encoding.encode()))
        await send({"type": "http.response.start", "status": script.status, "headers": headers})
        encode, finish = encoder(script.content_encoding)
        for chunk in script.chunks:
            if chunk.delay:
                await asyncio.sleep(chunk.delay)
            if chunk.is_held:
                await self.released()
            await send({"type": "http.response.body", "body": encode(chunk.data), "more_body": True})
        if script.abort:
            await asyncio.sleep(_LEAVE_TIME)
            self.cut(scope["client"])
            return
        await send({"type": "http.response.body", "body": finish(), "more_body": False})


def encoder(name: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """(encode and flush one chunk, finish) of a content-encoding. Raises ValueError for one that is not known."""
    match name:
        case "":
            return (lambda data: data), (lambda: b"")
        case "gzip":
            gzip = zlib.compressobj(wbits=31)
            return (lambda data: gzip.compress(data) + gzip.flush(zlib.Z_SYNC_FLUSH)), gzip.flush
        case "br":
            br = brotli.Compressor(quality=4)
            return (lambda data: br.process(data) + br.flush()), br.finish
        case "zstd":
            zstd = zstandard.ZstdCompressor().compressobj()
            block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
            return (lambda data: zstd.compress(data) + zstd.flush(block)), zstd.flush
    raise ValueError(f"content_encoding is {name!r}; expected gzip, br or zstd")


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
