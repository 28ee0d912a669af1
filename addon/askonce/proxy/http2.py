"""HTTP/2 as mitmproxy speaks it, but that a provider sends on only what its caller takes.

mitmproxy tells providers that 2 GiB may come of every stream, and keeps what its client takes none of: 100 streams that
nobody read held 202 MiB. Here a stream's window (RFC 9113 5.2) is small, and opened again by what went on.

One rule: each stream waits for its own reader alone. Beside another `_http2.py` than the one that this was written for,
mitmproxy stays as it is.
"""

from dataclasses import dataclass
from types import ModuleType
from weakref import WeakKeyDictionary

import h2.events
from mitmproxy import connection
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, context, events, layer
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _http2, _http_h2
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import RequestProtocolError

from askonce.proxy.known_source import is_known
from askonce.proxy.run_ahead import LOOK, may_run_ahead

__all__ = ["FEW", "Http2ToClient", "Http2ToProvider", "install", "replacements", "untaken"]

FEW = 32 << 10
"""Bytes of a stream that its client may leave before no more of it is asked for."""
_WINDOW = (64 << 10) - 1
"""Bytes that a provider may send ahead; a client may have a hundred streams."""
_WIDE = 1 << 20
"""The same, of a stream that is being read: a provider far away could send little in a window of 64 KiB."""
_WIDE_STREAMS = 4
"""So many of a client's."""

_servers = WeakKeyDictionary[connection.Client, "Http2ToClient"]()


@dataclass
class Taken(HttpEvent):
    """What a provider sent of a stream has gone on to the client."""


class Http2ToClient(_http2.Http2Server):
    """The side that a client speaks to."""

    def __init__(self, context: context.Context) -> None:
        super().__init__(context)
        self.waiting = dict[int, connection.Server]()
        """The streams of which no more is asked for, and by whom each is sent."""
        self._wide = set[int]()
        """The streams of which more may be sent ahead."""
        _servers[context.client] = self

    def untaken(self, stream_id: int) -> int:
        """Bytes of a stream that wait for the client."""
        return sum(len(piece.data) for piece in self.h2_conn.stream_buffers.get(stream_id, ()))

    def widen(self, stream_id: int) -> bool:
        """Whether more of a stream may be sent ahead from here on."""
        if len(self._wide) >= _WIDE_STREAMS:
            self._wide = {each for each in self._wide if not self.is_closed(each)}
        if len(self._wide) >= _WIDE_STREAMS:
            return False
        self._wide.add(stream_id)
        return True

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from super()._handle_event(event)
        if self.waiting and isinstance(event, events.DataReceived):
            for stream_id, provider in list(self.waiting.items()):
                if self.untaken(stream_id) <= FEW:
                    del self.waiting[stream_id]
                    if provider.state is ConnectionState.OPEN:
                        yield layers.SendHttp(Taken(stream_id), provider)


class Http2ToProvider(_http2.Http2Client):
    """The side that speaks to a provider."""

    def __init__(self, context: context.Context) -> None:
        super().__init__(context)
        self.h2_conn.local_settings.initial_window_size = _WINDOW
        self.h2_conn.local_settings.acknowledge()  # as in mitmproxy's own: h2 would send the old ones
        self._acknowledge = self.h2_conn.acknowledge_received_data
        self.h2_conn.acknowledge_received_data = self._take  # type: ignore[method-assign]
        self._due = dict[int, int]()
        """Bytes by stream, both as the provider counts them, that were not told to be taken yet."""
        self._wide = set[int]()
        self._look: commands.RequestWakeup | None = None
        """Where something is due: somebody may have come to wait for it."""

    def _take(self, acknowledged_size: int, stream_id: int) -> None:
        theirs, server = self.their_stream_id.get(stream_id, 0), _servers.get(self.context.client)
        left = server.untaken(theirs) if server else 0
        if server and left > FEW and not self.is_closed(stream_id) and not may_run_ahead(self.context, theirs):
            self._due[stream_id] = self._due.get(stream_id, 0) + acknowledged_size
            server.waiting[theirs] = self.context.server
            return
        self._acknowledge(acknowledged_size + self._due.pop(stream_id, 0), stream_id)
        if (
            not left
            and stream_id not in self._wide
            and not self.is_closed(stream_id)
            and (server is None or server.widen(theirs))
        ):
            self._wide.add(stream_id)
            self.h2_conn.increment_flow_control_window(_WIDE, stream_id)

    def _handle_event2(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, Taken):
            if size := self._due.pop(event.stream_id, 0):
                self._take(size, event.stream_id)
            if data := self.h2_conn.data_to_send():
                yield commands.SendData(self.conn, data)
            return
        if isinstance(event, events.Wakeup) and event.command is self._look:
            self._look = None
            for ours, size in list(self._due.items()):
                if may_run_ahead(self.context, self.their_stream_id.get(ours, 0)):
                    del self._due[ours]
                    self._take(size, ours)
            if data := self.h2_conn.data_to_send():
                yield commands.SendData(self.conn, data)
        else:
            yield from super()._handle_event2(event)
        if isinstance(event, RequestProtocolError):
            self._end(event.stream_id)
        if self._due and not self._look:
            self._look = commands.RequestWakeup(LOOK)
            yield self._look

    def handle_h2_event(self, event: h2.events.Event) -> layer.CommandGenerator[bool]:
        is_over = yield from super().handle_h2_event(event)
        if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
            self._end(event.stream_id)
        return is_over

    def _end(self, ours: int) -> None:
        self._wide.discard(ours)
        if size := self._due.pop(ours, 0):
            self._acknowledge(size, ours)  # the connection has a window as well


def untaken(client: connection.Client, stream_id: int = 0) -> int:
    """Bytes of answers that an HTTP/2 client has left, of one of his streams or of all; 0 for all other clients."""
    server = _servers.get(client)
    if server is None or not server.h2_conn.stream_buffers:
        return 0
    return sum(map(server.untaken, [stream_id] if stream_id else list(server.h2_conn.stream_buffers)))


def replacements() -> tuple[tuple[ModuleType, dict[str, object]], ...]:
    """What mitmproxy looks up for each connection, by module and name."""
    return ((layers, {"Http2Server": Http2ToClient, "Http2Client": Http2ToProvider}),)


def install() -> None:
    """Have mitmproxy make connections of this kind. Says so where that cannot be done."""
    if is_known("windows of HTTP/2 streams are", (_http2, _http_h2)):
        for module, names in replacements():
            for name, ours in names.items():
                setattr(module, name, ours)
