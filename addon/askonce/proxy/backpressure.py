"""Reading that waits until what was read before is taken.

mitmproxy reads on whatever becomes of the bytes: behind a request whose answer is waited for, or for a provider that is
being connected to; 200 MiB of each were held. Here a client's connection is read from only while little of what came
from it is left, and TCP tells the sender.

A provider's connection that carries one answer at a time is read from while the HTTP/2 client that it is for leaves
little of it; of one that carries many `http2` sees to each.

One rule: nothing is refused or lost, only read later. What is not understood is read as mitmproxy does.
"""

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Iterable
from typing import cast
from weakref import WeakKeyDictionary

from mitmproxy import connection, ctx
from mitmproxy.proxy import events, layer, server
from mitmproxy.proxy.layers.http import _http1, _http2
from mitmproxy.proxy.layers.http._base import HttpConnection
from mitmproxy.proxy.layers.http._events import RequestData
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from askonce.proxy import http2
from askonce.proxy.run_ahead import layers_of, may_run_ahead

__all__ = ["Backpressure", "Report", "handler_of", "is_held_up", "untaken"]

type Report = Callable[[str, BaseException, str], None]
"""`Faults.report`."""

_MOST = 256 << 10
"""Bytes of a connection that may be left."""
_STEP = 64 << 10
"""Bytes that are read between two looks: calls are mostly smaller, and cost none."""
_PIECE = 256
"""Bytes that an event or a frame takes beside what is in it."""
_MOMENT = 1.0
"""Seconds; a step that nobody told of is seen after that."""


class Backpressure:
    """The addon that has clients' connections read this way."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def client_connected(self, client: connection.Client) -> None:
        if handler := handler_of(client):
            io = handler.transports.get(client)
            if io and isinstance(io.reader, asyncio.StreamReader):
                io.reader = cast(asyncio.StreamReader, PacedReader(io.reader, handler, self._report))

    def server_connected(self, data: ServerConnectionHookData) -> None:
        handler = handler_of(data.client)
        io = handler and handler.transports.get(data.server)
        if handler and io and isinstance(io.reader, asyncio.StreamReader):
            io.reader = cast(asyncio.StreamReader, PacedProvider(io.reader, handler, data.server, self._report))


class _Steps:
    """What happens to a client's connections, from one event to the next."""

    def __init__(self, handler: server.ConnectionHandler) -> None:
        self._handler = weakref.ref(handler)
        self._next: asyncio.Event | None = None

    @property
    def handler(self) -> server.ConnectionHandler:
        handler = self._handler()
        assert handler  # it is what reads
        return handler

    async def next(self) -> None:
        """Wait until something has happened to one of them."""
        if self._next is None:
            self._next = asyncio.Event()
            self.handler.server_event = self._tell  # type: ignore[method-assign]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT):
                await self._next.wait()

    async def _tell(self, event: events.Event) -> None:
        await type(self.handler).server_event(self.handler, event)
        if self._next:
            self._next.set()
            self._next = None
            del self.handler.server_event


class PacedReader:
    """What mitmproxy reads a client's connection from."""

    def __init__(self, reader: asyncio.StreamReader, handler: server.ConnectionHandler, report: Report) -> None:
        self._reader, self._steps, self._report = reader, _steps(handler), report
        self._unseen = 0
        self.is_held_up = False

    async def read(self, most: int) -> bytes:
        if self._unseen >= _STEP:
            await self._until_taken()
        data = await self._reader.read(most)
        self._unseen += len(data)
        return data

    def count(self, size: int) -> None:
        """So many bytes more have come in another way."""
        self._unseen += size

    async def _until_taken(self) -> None:
        self._unseen = 0
        try:
            while untaken(self._steps.handler.layer) > _MOST:
                self.is_held_up = True
                await self._steps.next()
        except Exception as error:  # fail open
            self._report("backpressure", error, "what comes is held however much it is")
        finally:
            self.is_held_up = False


class PacedProvider:
    """What mitmproxy reads a provider's connection from."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        handler: server.ConnectionHandler,
        provider: connection.Server,
        report: Report,
    ) -> None:
        self._reader, self._steps, self._provider, self._report = reader, _steps(handler), provider, report
        self._speaker: HttpConnection | None = None

    async def read(self, most: int) -> bytes:
        if http2.untaken(self._steps.handler.client):
            await self._until_taken()
        return await self._reader.read(most)

    async def _until_taken(self) -> None:
        try:
            while (stream := self._stream()) and self._is_left(stream):
                await self._steps.next()
        except Exception as error:  # fail open
            self._report("backpressure", error, "what comes is held however much it is")

    def _is_left(self, stream: int) -> bool:
        few = http2.untaken(self._steps.handler.client, stream) <= http2.FEW
        return not (few or (self._speaker and may_run_ahead(self._speaker.context, stream)))

    def _stream(self) -> int:
        """That which the connection carries an answer of; 0 where it is none or may be many."""
        if self._speaker is None:
            self._speaker = next(
                (
                    each
                    for each in layers_of(self._steps.handler.layer)
                    if isinstance(each, HttpConnection) and each.conn is self._provider
                ),
                None,
            )
        return (self._speaker.stream_id or 0) if isinstance(self._speaker, _http1.Http1Client) else 0


def _steps(handler: server.ConnectionHandler) -> _Steps:
    """Those of a handler, for all who wait for one."""
    return _all_steps.setdefault(handler, _Steps(handler))


_all_steps = WeakKeyDictionary[server.ConnectionHandler, _Steps]()


def handler_of(client: connection.Client) -> server.ConnectionHandler | None:
    """What mitmproxy serves a client with; None once he has left."""
    proxyserver = ctx.master.addons.get("proxyserver")
    handler: server.ConnectionHandler | None = proxyserver and proxyserver.connections.get(client.id)
    return handler


def is_held_up(handler: server.ConnectionHandler) -> bool:
    """Whether nothing is read from the client for now."""
    io = handler.transports.get(handler.client)
    reader: object = io and io.reader
    return isinstance(reader, PacedReader) and reader.is_held_up


def untaken(top: layer.Layer) -> int:
    """Bytes that came from a client and were neither used nor sent on, with what it takes to hold them."""
    return sum(map(_held, layers_of(top)))


def _held(each: layer.Layer) -> int:
    client = each.context.client
    size = _queued(each._paused_event_queue, client) + _queued(getattr(each, "_event_queue", ()), client)
    if isinstance(each, _http1.Http1Server) and each.state == each.wait:
        size += len(each.buf)
    elif isinstance(each, _http2.Http2Client):  # what waits for a window of the provider's
        size += sum(len(piece.data) + _PIECE for pieces in each.h2_conn.stream_buffers.values() for piece in pieces)
    return size


def _queued(waiting: Iterable[events.Event], client: connection.Client) -> int:
    size = 0
    for event in waiting:
        match event:
            case events.DataReceived(connection=source, data=data) if source is client:
                size += len(data) + _PIECE
            case RequestData(data=data):
                size += len(data) + _PIECE
    return size
