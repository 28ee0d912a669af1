"""Fast responses: the way between a client's HTTP in TLS in a tunnel and the socket, past mitmproxy's layers around it.

One rule: the layers that speak HTTP see what they would have seen, and what they say is done as it would have been: the
layers around them only encrypt, decrypt and pass on, as long as the tunnel is open and they wait for nothing. What is
more than bytes for the client goes their way.

Of the dozen layers of a connection, half are those of the CONNECT: each is a generator that every event goes down
through and every command up.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import cast

from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http, tls
from mitmproxy.proxy.tunnel import TunnelState

from askonce.proxy.fast_lane_input import InTls
from askonce.proxy.fast_response_bodies import BodyOnItsWay, on_its_way

__all__ = ["FastResponses"]

type _Commands = Iterator[commands.Command]


class FastResponses:
    """One connection's. `ahead` is what is read of its client before the layer of TLS."""

    def __init__(self, layers: Sequence[layer.Layer], ahead: InTls) -> None:
        """`layers`: from the socket on, the last of them that of HTTP and the one before that of the client's TLS."""
        self._outer, self._ahead = tuple(layers[:-1]), ahead
        self._server, self._tls = cast(tls.ServerTLSLayer, layers[-3]), cast(tls.ClientTLSLayer, layers[-2])
        self._http = cast(http.HttpLayer, layers[-1])
        self._client = self._http.context.client

    def steps(self, event: events.Event) -> _Commands | None:
        """What is to be done after an event; None where it has to go all the way."""
        if type(event) is not events.DataReceived or not self._is_open():
            return None
        if event.connection is self._client:
            text = None if event.data else self._ahead.take()
            return self._done(self._http.handle_event(events.DataReceived(self._client, text))) if text else None
        if event.connection not in self._http.connections or event.connection is self._server.conn:
            return None
        if body := on_its_way(self._http, event.connection):
            return self._passed_on(body, event)
        return self._done(self._http.handle_event(event))

    def _is_open(self) -> bool:
        return (
            self._tls.tunnel_state is TunnelState.OPEN
            and self._client.state is ConnectionState.OPEN
            and all(each._paused is None for each in self._outer)
        )

    def _done(self, steps: _Commands) -> _Commands:
        said = list[bytes]()
        for command in steps:
            if type(command) is commands.SendData and command.connection is self._client:
                said.append(command.data)
                continue
            if said:
                yield self._sealed(said)
            if self._is_plain(command):
                yield command
            else:
                yield from self._through(chain((command,), steps))
        if said:
            yield self._sealed(said)

    def _is_plain(self, command: commands.Command) -> bool:
        """Whether the layers around would pass it on, and take no note of it."""
        if type(command) is commands.SendData:
            return command.connection is not self._server.conn
        return not command.blocking and not isinstance(command, commands.ConnectionCommand | commands.RequestWakeup)

    def _sealed(self, said: list[bytes]) -> commands.SendData:
        text = self._ahead.seal(b"".join(said))
        said.clear()
        return commands.SendData(self._client, text)

    def _passed_on(self, body: BodyOnItsWay, event: events.DataReceived) -> _Commands:
        if (text := body.open(event.data)) is None:
            yield from self._done(self._http.handle_event(events.DataReceived(event.connection, b"")))
            return
        if pending := body.pending():
            yield commands.SendData(event.connection, pending)
        if said := body.take(text):
            yield self._sealed(said)
        if body.is_over:
            yield from self._done(body.end())

    def _through(self, rest: _Commands) -> _Commands:
        """Have the layers around hear the rest of what is to be done, as if it came of an event that they passed on."""
        _, around, stream, *_ = self._outer
        carrier, below = commands.RequestWakeup(0), self._tls.child_layer
        cast(http.HttpLayer, around).command_sources[carrier] = stream
        self._tls.child_layer = cast(layer.Layer, _Rest(rest))
        try:
            yield from self._outer[0].handle_event(events.Wakeup(carrier))
        finally:
            self._tls.child_layer = below


class _Rest:
    """Stands for a layer that says the rest of what another has begun to say."""

    def __init__(self, rest: _Commands) -> None:
        self._rest = rest

    def handle_event(self, _event: events.Event) -> _Commands:
        return self._rest
