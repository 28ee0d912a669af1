"""Sends a response that is on its way to one client to others as well, and keeps it coming when the first one leaves.

One rule: everything that leans on mitmproxy's insides is here. It was written for mitmproxy 12.2.3, which offers
nothing public for a response in pieces: `HttpStream` is private, and `tests/e2e/test_collapse.py` notices a change.
Where `HttpStream` is no longer what mitmproxy makes, a follower's call goes to the provider like any other.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import connection, ctx, http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpResponseHeadersHook

from askonce.calls.broadcast import Broadcast, Follower
from askonce.proxy import http2, unread_hits
from askonce.proxy.error_stream import AnsweringStream

__all__ = ["Collapse", "follow", "is_relayed"]


@dataclass
class AskonceFollowHook(commands.StartHook):
    """Waits for news. A blocking hook stops one stream of one connection and nothing else."""

    # Not a flow, or mitmweb would take every chunk for an update of one.
    listening: "_Listening"


@dataclass(frozen=True, slots=True)
class _Relay:
    response: http.Response
    follower: Follower


@dataclass(frozen=True, slots=True)
class _Listening:
    follower: Follower
    client: connection.Client
    stream_id: int


_LOOK = 0.5
"""Seconds between two looks at whether anybody still hears a response whose own client has left."""

_relays = WeakKeyDictionary[http.HTTPFlow, _Relay]()
_leaderless = WeakSet["_Stream"]()


def follow(flow: http.HTTPFlow, response: http.Response, follower: Follower) -> None:
    """Answer a flow, from its `request` hook, with `response` and the body that `follower` is given."""
    _relays[flow] = _Relay(response, follower)


def is_relayed(flow: http.HTTPFlow) -> bool:
    """Whether the flow's response is another one's; asked from `responseheaders` on."""
    relay = _relays.get(flow)
    return relay is not None and relay.response is flow.response


class Collapse:
    """The addon that waits where a stream cannot."""

    def load(self, _loader: object) -> None:
        # In place of what `error_stream` has put there. HttpLayer.make_stream looks the name up for each stream.
        layers.HttpStream = _Stream  # type: ignore[misc]

    async def askonce_follow(self, listening: _Listening) -> None:
        await unread_hits.until_taken(listening.client, http2.FEW, stream_id=listening.stream_id)
        await listening.follower.news()

    async def client_disconnected(self, client: connection.Client) -> None:
        # Once this returns mitmproxy closes the provider's connections, and by then its own watchdog no longer runs.
        if wanted := [stream.broadcast for stream in _leaderless if stream.context.client is client]:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ctx.options.tcp_timeout):
                    for broadcast in wanted:
                        await broadcast.over()


class _Stream(AnsweringStream):
    broadcast: Broadcast
    """Of a leader whose client has left."""
    left: RequestProtocolError
    """How it did."""

    # A follower: its response is another stream's.

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        relay = _relays.get(self.flow)
        if relay is None or relay.follower.broadcast.ending == "cut":
            return (yield from super().make_server_connection())
        yield from self._relay(relay.response, relay.follower)
        return False

    def _relay(self, response: http.Response, follower: Follower) -> layer.CommandGenerator[None]:
        self.handle_event = self._watch(follower)  # type: ignore[assignment, method-assign]
        self.flow.response = response
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        yield layers.SendHttp(ResponseHeaders(self.stream_id, response, False), self.context.client)
        while True:
            yield AskonceFollowHook(_Listening(follower, self.context.client, self.stream_id))
            if (yield from self.check_killed(True)):
                return
            if data := follower.take():
                yield layers.SendHttp(ResponseData(self.stream_id, data), self.context.client)
            if follower.broadcast.ending == "whole":
                yield from self.send_response(already_streamed=True)
                return
            if follower.broadcast.ending == "cut" or not data:  # without data: nobody listens to the hook
                cut = "the response that this call followed was cut off"
                code = ErrorCode.GENERIC_SERVER_ERROR
                yield from self.handle_protocol_error(ResponseProtocolError(self.stream_id, cut, code))
                return

    def _watch(self, follower: Follower) -> Callable[[events.Event], layer.CommandGenerator[None]]:
        handle_event = super().handle_event

        def watching(event: events.Event) -> layer.CommandGenerator[None]:
            if isinstance(event, RequestProtocolError):
                follower.leave()  # which ends the wait, and `check_killed` finds this event
            return handle_event(event)

        return watching

    # A leader: others may need its response longer than its own client does.

    def handle_protocol_error(
        self, event: RequestProtocolError | ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestProtocolError) and self.server_state == self.state_stream_response_body:
            broadcast = getattr(self.flow.response and self.flow.response.stream, "broadcast", None)
            if broadcast and broadcast.leader_leaves():
                self.broadcast, self.left = broadcast, event
                self.server_state = self.state_without_client
                self._handle_event = self._handle_without_client
                _leaderless.add(self)
                yield commands.RequestWakeup(_LOOK)
                return
        yield from super().handle_protocol_error(event)

    def state_without_client(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, ResponseData) and not self.broadcast.is_wanted:
            yield from self._end_without_client()
        else:
            yield from self.state_stream_response_body(event)

    def _handle_without_client(self, event: events.Event) -> layer.CommandGenerator[None]:
        if not isinstance(event, events.Wakeup):
            yield from super()._handle_event(event)
        elif self.server_state != self.state_without_client:
            return  # it is over
        elif self.broadcast.is_wanted:
            yield commands.RequestWakeup(_LOOK)
        else:
            yield from self._end_without_client()

    def _end_without_client(self) -> layer.CommandGenerator[None]:
        # The connection of an HTTP/2 client that has reset one stream stays open, and the provider may say no more.
        yield from super().handle_protocol_error(self.left)
        self.server_state = self.state_errored
