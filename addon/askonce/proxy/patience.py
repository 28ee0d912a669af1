"""Clients of whom nothing comes: how long a connection may take to ask, and how many one address may have.

One rule: nothing on a call's way. Where each connection stands is looked at from outside, now and then, and what is not
understood (a tunnel, a WebSocket, a call that waits for its provider) is left alone. Written for mitmproxy 12.2.3.
"""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from weakref import WeakKeyDictionary

from mitmproxy import connection, ctx
from mitmproxy.proxy.layers import http, modes, tls
from mitmproxy.proxy.layers.http import _http1, _http2
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.utils import asyncio_utils

from askonce.calls.limits import Limits
from askonce.proxy import backpressure, fast_lane

__all__ = ["Patience"]

_LOOKS = 4
"""Looks at a connection within the shortest time that one may take."""
_SHORTEST, _LONGEST = 0.05, 5.0
"""Seconds between two looks."""
_AT_ONCE = 500
"""Connections that are looked at before others have their turn: a millisecond or two."""
_UNDECIDED = (modes.HttpProxy, modes.HttpUpstreamProxy, modes.DestinationKnown, tls.ClientTLSLayer, http.HttpStream)
"""Layers that are the last one of a connection for as long as nobody knows what comes."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a connection's client is waited for."""

    wait: Literal["header", "body", "idle"]
    at: Hashable
    """Equal as long as the client gets no further."""


class Patience:
    """The addon that ends connections."""

    def __init__(self, report: backpressure.Report) -> None:
        self._report = report
        self._held = Counter[str]()
        self._seen = WeakKeyDictionary[ProxyConnectionHandler, tuple[Waiting, float]]()
        self._watch: asyncio.Task[None] | None = None

    def running(self) -> None:
        self._watch = asyncio_utils.create_task(self._look_on(), name="patience", keep_ref=True)

    def done(self) -> None:
        if self._watch:
            self._watch.cancel()

    def client_connected(self, client: connection.Client) -> None:
        key, most = _client(client.peername[0]), Limits.in_force.connections_per_client
        self._held[key] += 1
        if most and self._held[key] > most:
            client.error = f"more than {most} connections (limits.connections_per_client)"
            self._report("too many connections", ValueError(f"{key}: {client.error}"), "this one is closed")

    def client_disconnected(self, client: connection.Client) -> None:
        key = _client(client.peername[0])
        self._held[key] -= 1
        if self._held[key] <= 0:
            del self._held[key]

    async def _look_on(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_pause())
            server = ctx.master.addons.get("proxyserver")
            for number, handler in enumerate(list(server.connections.values())):
                if not number % _AT_ONCE:
                    await asyncio.sleep(0)
                try:
                    self._look(handler, loop.time())
                except Exception as error:  # fail open
                    self._seen.pop(handler, None)
                    self._report("looking at a connection", error, "it may stay for as long as it likes")

    def _look(self, handler: ProxyConnectionHandler, now: float) -> None:
        standing = stands(handler)
        if standing is None:
            self._seen.pop(handler, None)
            return
        before, since = self._seen.get(handler, (None, now))
        if before != standing:
            self._seen[handler] = standing, now
            return
        most = getattr(Limits.in_force, f"{standing.wait}_timeout")
        transport = handler.transports.get(handler.client)
        if most and now - since >= most and transport and transport.handler:
            if standing.wait != "idle":
                name = handler.client.peername[0]
                why = TimeoutError(f"{name} took more than {most:g} s (limits.{standing.wait}_timeout)")
                self._report(f"waiting for a request's {standing.wait}", why, "its connection is closed")
            transport.handler.cancel("timeout")  # as mitmproxy's own watchdog does


def stands(handler: ProxyConnectionHandler) -> Waiting | None:
    """What the client of a connection is waited for; None where the client is not who is waited for."""
    if begun := fast_lane.awaited(handler):
        return Waiting(*begun)
    layers = handler.layer.context.layers
    while isinstance(last := layers[-1], http.HttpLayer):
        tunnel = next((stream for stream in last.streams.values() if stream.child_layer), None)
        if tunnel is None:
            return _asks(last, handler)
        layers = tunnel.context.layers  # of what was opened by CONNECT
    return Waiting("header", len(layers)) if isinstance(last, _UNDECIDED) else None


def _asks(layer: http.HttpLayer, handler: ProxyConnectionHandler) -> Waiting | None:
    speaker, streams = layer.connections.get(handler.client), layer.streams
    if isinstance(speaker, _http1.Http1Server):
        if speaker.state == speaker.read_headers:
            is_begun = speaker.buf or speaker.stream_id == 1
            return Waiting("header" if is_begun else "idle", speaker.stream_id)
        return _sends(streams.values(), handler) if speaker.state == speaker.read_body else None
    if isinstance(speaker, _http2.Http2Server):
        if streams:
            return _sends(streams.values(), handler)
        last = speaker.h2_conn.highest_inbound_stream_id
        return Waiting("idle" if last else "header", last)
    return None


def _sends(streams: Iterable[http.HttpStream], handler: ProxyConnectionHandler) -> Waiting | None:
    sending = [stream for stream in streams if _is_sent(stream)]
    if not sending or _is_held_up(handler):
        return None
    at: list[object] = [(stream.stream_id, len(stream.request_body_buf)) for stream in sending]
    if any(stream.flow.request.stream for stream in sending):  # nothing of which is held
        at.append(handler.timeout_watchdog.last_activity)
    return Waiting("body", tuple(at))


def _is_sent(stream: http.HttpStream) -> bool:
    if stream._paused:  # for an addon, or for the provider's connection
        return False
    return stream.client_state in (stream.state_consume_request_body, stream.state_stream_request_body)


def _is_held_up(handler: ProxyConnectionHandler) -> bool:
    """Whether somebody does not take what was sent to him: then nothing is read from the client."""
    if backpressure.is_held_up(handler):
        return True
    writers = [held.writer for held in handler.transports.values()]
    transports = [writer.transport for writer in writers if isinstance(writer, asyncio.StreamWriter)]
    return any(transport.get_write_buffer_size() for transport in transports)


def _pause() -> float:
    limits = Limits.in_force
    times = [time for time in (limits.header_timeout, limits.body_timeout, limits.idle_timeout) if time]
    return min(max(min(times, default=_LONGEST) / _LOOKS, _SHORTEST), _LONGEST)


@lru_cache(4096)
def _client(address: str) -> str:
    """Whose address it is: with IPv6 everybody has 2⁶⁴ of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed), 64), strict=False))
    return address
