"""The fast lane: an ordinary call that the cache can answer at once is answered below mitmproxy, between its layers and
the socket, in one read and one write.

One rule: mitmproxy's layers have the connection, and the lane looks at bytes only while they have nothing to do: the
last request answered, nothing sent, read or waited for. What is not answered here is read by them, byte for byte as it
came, and what they make of it is no business of the lane's.

Between two calls, a client's connection is at rest in mitmproxy, but for the TLS session. What the lane has decrypted
and does not answer is given to mitmproxy's TLS layer as the session's next text (`fast_lane_input`).
"""

import asyncio
from asyncio import StreamReaderProtocol
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, cast

from mitmproxy.connection import Client, ConnectionState
from mitmproxy.proxy import events, layer, server, tunnel
from mitmproxy.proxy.layers import http, modes, tls
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from askonce.calls.held_bodies import held_bodies
from askonce.proxy import http1
from askonce.proxy.backpressure import PacedReader, Report, handler_of
from askonce.proxy.fast_lane_hooks import AtOnce, Caller
from askonce.proxy.fast_lane_input import InTheOpen, InTls, ReadAhead
from askonce.proxy.fast_lane_requests import Body, Head, Heads, is_begun
from askonce.proxy.fast_response_hooks import FastResponseHooks
from askonce.proxy.fast_responses import FastResponses
from askonce.proxy.hook_dispatch import DirectHandler
from askonce.proxy.known_source import is_known

__all__ = ["Lane", "Lanes", "awaited", "is_known_here"]

_TUNNEL = (modes.HttpProxy, http.HttpLayer, http.HttpStream, tls.ServerTLSLayer, tls.ClientTLSLayer, http.HttpLayer)
"""The layers of a connection to a rule's host, from the socket on; of an HttpStream, ours are kinds."""
_OPEN = _TUNNEL[:2]
"""Those of a connection to our own port."""


class Lane:
    """One connection's. It listens in the place of mitmproxy's reader."""

    def __init__(
        self, handler: ConnectionHandler, layers: Sequence[layer.Layer], at_once: AtOnce, heads: Heads, report: Report
    ) -> None:
        """`layers` are of the kinds of `_TUNNEL`, or of `_OPEN`."""
        self.handler, self._client, self._layers = handler, handler.client, layers
        self._top = cast(http.HttpLayer, layers[-1])
        self._tls = layers[-2] if isinstance(layers[-2], tls.ClientTLSLayer) else None
        self._at_once, self._heads, self._report = at_once, heads, report
        writer = cast(asyncio.StreamWriter, handler.transports[self._client].writer)
        self._transport = cast(asyncio.Transport, writer.transport)
        self._protocol = cast(Any, self._transport.get_protocol())
        self._reader: Any = self._protocol._stream_reader
        self._ahead: ReadAhead = InTls(self._tls.tls) if self._tls else InTheOpen()
        self._work = f"lane of {self._client.id}"
        self._tasks = set[asyncio.Task[None]]()
        self._text = b""
        """Of a request whose head is not whole."""
        self._asked: tuple[Caller, Head, Body] | None = None
        """A request whose body is not whole."""

    def open(self) -> None:
        """Listen from now on. Raises AttributeError where asyncio is not the one that this was written for."""
        for name in ("_waiter", "_buffer"):
            getattr(self._reader, name)
        if self._tls and isinstance(self._ahead, InTls):
            self._tls.tls = self._ahead  # type: ignore[assignment]
            if isinstance(self.handler, DirectHandler):
                self.handler.fast_responses = FastResponses(self._layers, self._ahead).steps
        self._protocol.data_received = self._data_received
        self._protocol.eof_received = self._eof_received
        self._protocol.connection_lost = self._connection_lost

    @property
    def awaited(self) -> tuple[Literal["header", "body"], Hashable] | None:
        """What the rest of is waited for, and what tells that it got further; None where nothing has begun."""
        if self._asked:
            return "body", (self._speaker.stream_id, self._ahead.size)
        return ("header", self._speaker.stream_id) if self._text else None

    @property
    def _speaker(self) -> _http1.Http1Server:
        return cast(_http1.Http1Server, self._top.connections[self._client])

    # What the socket says

    def _data_received(self, data: bytes) -> None:
        if not self._is_at_rest():
            if self._ahead.size:
                self._hand_over()
            StreamReaderProtocol.data_received(self._protocol, data)
            return
        self.handler.timeout_watchdog.register_activity()
        try:
            is_done = self._take(data)
        except Exception as error:  # fail open
            self._report("fast lane", error, "the call goes mitmproxy's way")
            is_done = False
        if not is_done:
            self._hand_over()

    def _eof_received(self) -> bool | None:
        if self._ahead.size:
            self._hand_over()
        return StreamReaderProtocol.eof_received(self._protocol)

    def _connection_lost(self, error: Exception | None) -> None:
        self._forget()
        del self._protocol.data_received, self._protocol.eof_received, self._protocol.connection_lost
        StreamReaderProtocol.connection_lost(self._protocol, error)

    def _is_at_rest(self) -> bool:
        """Whether mitmproxy waits for a request on this connection, and for nothing else."""
        speaker, reader = self._top.connections.get(self._client), self._reader
        return (
            type(speaker) is http1.Http1ToClient
            and speaker.state == speaker.read_headers
            and not speaker.buf
            and not self._top.streams
            and reader._waiter is not None  # it has done with the event before, and sent what there was to send
            and not reader._buffer
            and not self._tasks
            and self._client.state is ConnectionState.OPEN
            and all(each._paused is None for each in self._layers)
            and not self._transport.get_write_buffer_size()
        )

    # What is answered

    def _take(self, data: bytes) -> bool:
        """Answer the request that `data` completes, or have it waited for; false where neither is for the lane."""
        text = self._ahead.open(data)
        if text is None:
            return False
        if not text:  # a part of a TLS record, or what the session itself has to say
            self._transport.write(self._ahead.pending())
            return True
        asked = self._asked
        if asked is None:
            text = self._text = self._text + text
            if (end := text.find(b"\r\n\r\n")) < 0:
                return is_begun(text)
            if (asked := self._arrive(text, end)) is None:
                return False
            text = text[asked[1].size :]
        caller, head, rest = asked
        try:
            body = rest.add(text)
        except ValueError:
            return False
        if body is None and self._asked is None:
            self._asked = asked
            self._at_once.work.begin(self._work)
        if not held_bodies.hold(self._work, len(text)):
            return False
        return body is None or self._answer(caller, head, body)

    def _arrive(self, text: bytes, end: int) -> tuple[Caller, Head, Body] | None:
        """The request whose head `text` begins with; None where it is not for the lane."""
        head = self._heads.read(text, end)
        server = self._top.context.server if self._tls else None
        caller = self._at_once.arrive(self._client, server, head) if head else None
        return (caller, head, Body(head)) if head and caller else None

    def _answer(self, caller: Caller, head: Head, body: bytes) -> bool:
        if (text := self._at_once.answer(caller, head, body)) is None:
            return False
        self._transport.write(self._ahead.answer(text))
        self._speaker.stream_id += 2  # as after each of mitmproxy's own
        self._forget()
        self._at_once.over(self._client)
        return True

    # What is not

    def _hand_over(self) -> None:
        """Have mitmproxy read what the lane has read."""
        self._forget()
        io = self.handler.transports.get(self._client)
        reader: object = io and io.reader
        if isinstance(reader, PacedReader):
            reader.count(self._ahead.size)
        event = events.DataReceived(self._client, self._ahead.hand_over())
        task = asyncio.eager_task_factory(asyncio.get_running_loop(), self._pass_on(event))
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, event: events.Event) -> None:
        await self.handler.server_event(event)
        await self.handler.drain_writers()

    def _forget(self) -> None:
        """Nothing is waited for any more."""
        self._text = b""
        if self._asked:
            self._asked = None
            self._at_once.work.end(self._work)


class Lanes:
    """The addon that opens them. It comes after whoever chooses layers."""

    def __init__(self, at_once: Callable[[], AtOnce], report: Report) -> None:
        """`at_once` is made later than this, and before a connection."""
        self._at_once, self._report, self._heads = at_once, report, Heads()

    def next_layer(self, chosen: layer.NextLayer) -> None:
        layers, client = chosen.context.layers, chosen.context.client
        kinds = _TUNNEL if len(layers) == len(_TUNNEL) else _OPEN
        if len(layers) != len(kinds) or not all(map(isinstance, layers, kinds)) or client.alpn == b"h2":
            return
        if handler := handler_of(client):
            try:
                lane = Lane(handler, tuple(layers), self._at_once(), self._heads, self._report)
                lane.open()
            except Exception as error:  # fail open
                self._report("fast lane", error, "this connection has none")
            else:
                _lanes[client.id] = lane

    def server_connected(self, data: ServerConnectionHookData) -> None:
        if lane := _lanes.get(data.client.id):
            try:
                FastResponseHooks(lane.handler, data.server).open()
            except Exception as error:  # fail open
                self._report("fast lane", error, "this provider's connection is read as mitmproxy does")

    def client_disconnected(self, client: Client) -> None:
        _lanes.pop(client.id, None)


def is_known_here() -> bool:
    """Whether mitmproxy is the one that lanes were written for; says so where it is not."""
    return is_known("the fast lane is", (server, layer, tls, tunnel, http, _http1))


_lanes = dict[str, Lane]()
"""Those that are open, by the id of their client."""


def awaited(handler: ConnectionHandler) -> tuple[Literal["header", "body"], Hashable] | None:
    """`Lane.awaited` of a connection's lane; None where it has none."""
    lane = _lanes.get(handler.client.id)
    return lane.awaited if lane else None
