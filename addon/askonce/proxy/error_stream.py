"""mitmproxy's HTTP stream with what it lacks.

An answer of ours where a provider fails: mitmproxy writes its own page of HTML for a connection that failed, which no
product's client expects; here an `error` hook that sets `flow.response` has it sent instead. A limit to what is held: a
request that turns out to be larger than is read is streamed from there on, with what has come so far, and nothing is
held of one that is answered already. Whether a request came as to a server or as to a proxy. And a blind tunnel that is
there before its client is told so, who hears why where it cannot be. What is no HTTP any more passes on, and nothing of
it is kept.

One rule: an answer of ours is sent only before the caller was sent anything.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar
from weakref import WeakSet

from mitmproxy.http import HTTPFlow, Request, Response
from mitmproxy.options import Options
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http, tcp
from mitmproxy.proxy.layers.http import _events as events
from mitmproxy.utils import human

from askonce.calls.held_bodies import held_bodies
from askonce.calls.limits import Limits

__all__ = ["AnsweringStream", "AskonceFullHook", "AskonceLargeHook", "connect_first", "install", "is_direct", "note"]

_direct = WeakSet[Request]()
_connect_first = WeakSet[HTTPFlow]()


@dataclass
class AskonceLargeHook(commands.StartHook):
    """A request is larger than is read. Who listens answers it, or sets `flow.request.stream` to have it passed on."""

    flow: HTTPFlow


@dataclass
class AskonceFullHook(commands.StartHook):
    """All requests together are more than may be held, and this one is the last that came; the same."""

    flow: HTTPFlow


class _Untouched(tcp.TCPLayer):
    """What follows a 101 (RFC 9110 15.2.2). mitmproxy's own keeps every byte for an addon to look at."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, ignore=True)


class AnsweringStream(http.HttpStream):
    has_options: ClassVar[bool] = True
    """Whether mitmproxy's own limits are set: it reads two options, for a microsecond each, whenever it is asked."""

    def state_wait_for_request_headers(self, event: events.RequestHeaders) -> layer.CommandGenerator[None]:
        # Past this step mitmproxy has filled in the host, and nothing tells the two apart.
        if self.mode is http.HTTPMode.regular and not event.request.host:
            _direct.add(event.request)
        yield from super().state_wait_for_request_headers(event)

    def state_consume_request_body(self, event: Any) -> layer.CommandGenerator[None]:
        if isinstance(event, events.RequestData):
            if self.flow.response:
                return
            if not held_bodies.hold(self.flow.id, len(event.data)):
                self.request_body_buf += event.data
                yield from self._pass_on(AskonceFullHook(self.flow))
                return
        yield from super().state_consume_request_body(event)

    def state_consume_response_body(self, event: Any) -> layer.CommandGenerator[None]:
        if isinstance(event, events.ResponseData) and not held_bodies.hold(self.flow.id, len(event.data)):
            yield from self._give_up(f"there is no room for the provider's answer ({_named('max_held')})")
            return
        yield from super().state_consume_response_body(event)

    def handle_connect_regular(self) -> layer.CommandGenerator[None]:
        # mitmproxy's `connection_strategy` would connect to providers as well, whom a hit does without.
        server = self.context.server
        if (
            self.flow in _connect_first
            and not self.flow.response
            and (error := (yield commands.OpenConnection(server)))
        ):
            said = f"Askonce cannot connect to {human.format_address(server.address)}: {error}\n"
            self.flow.response = Response.make(502, said, {"content-type": "text/plain; charset=utf-8"})
        yield from super().handle_connect_regular()  # type: ignore[no-untyped-call]

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        # mitmproxy asks after each piece of a body that it holds. Its own options refuse what is larger, or stream all.
        if len(self.request_body_buf if request else self.response_body_buf) > Limits.in_force.max_body:
            if request:
                return self._pass_on(AskonceLargeHook(self.flow))
            return self._give_up(f"the provider's answer is larger than Askonce reads ({_named('max_body')})")
        return super().check_body_size(request) if self.has_options else _nothing()

    def _pass_on(self, why: AskonceLargeHook | AskonceFullHook) -> layer.CommandGenerator[bool]:
        if not self.flow.response:
            yield why
            if (yield from self.check_killed(True)):
                return True
        if self.flow.response:  # which does not wait for a body that nobody reads
            self.request_body_buf.clear()
        elif self.flow.request.stream:
            body = bytes(self.request_body_buf)
            self.request_body_buf.clear()
            held_bodies.let_go(self.flow.id)
            yield from self.start_request_stream()
            yield from self.client_state(events.RequestData(self.stream_id, body))
        return False

    def _give_up(self, message: str) -> layer.CommandGenerator[bool]:
        self.response_body_buf.clear()
        error = self.stream_id, message, events.ErrorCode.RESPONSE_TOO_LARGE
        yield http.SendHttp(events.RequestProtocolError(*error), self.context.server)
        yield from self.handle_protocol_error(events.ResponseProtocolError(*error))
        return True

    def handle_protocol_error(
        self, event: events.RequestProtocolError | events.ResponseProtocolError
    ) -> layer.CommandGenerator[None]:
        before = self.flow.response
        nothing_sent = before is None or self.server_state == self.state_consume_response_body
        steps = super().handle_protocol_error(event)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration:
                return
            answer = None
            told = isinstance(step, http.SendHttp) and step.event is event and step.connection is self.context.client
            if told and nothing_sent and self.flow.response and self.flow.response is not before:
                yield from self._send(self.flow.response)
            else:
                answer = yield step

    def _send(self, response: Response) -> layer.CommandGenerator[None]:
        client, content = self.context.client, response.raw_content
        yield http.SendHttp(events.ResponseHeaders(self.stream_id, response, not content), client)
        if content:
            yield http.SendHttp(events.ResponseData(self.stream_id, content), client)
        yield http.SendHttp(events.ResponseEndOfMessage(self.stream_id), client)


def is_direct(request: Request) -> bool:
    """Whether a request was sent to the proxy as to a server (origin-form, RFC 9112 3.2.1), outside any tunnel."""
    return request in _direct


def connect_first(flow: HTTPFlow) -> None:
    """Have a CONNECT answered once the connection is there, or with 502 and why there is none."""
    _connect_first.add(flow)


def _named(limit: str) -> str:
    return f"limits.{limit}: {getattr(Limits.in_force, limit)} bytes"


def _nothing() -> layer.CommandGenerator[bool]:
    yield from ()
    return False


def note(options: Options) -> None:
    """Take note of mitmproxy's options, whenever they change."""
    AnsweringStream.has_options = any(
        getattr(options, name, None) for name in ("body_size_limit", "stream_large_bodies")
    )


def install() -> None:
    """Have mitmproxy make streams of this kind. It looks the name up for each stream (12.2.3)."""
    http.HttpStream = AnsweringStream  # type: ignore[misc]
    http.tcp = SimpleNamespace(TCPLayer=_Untouched)  # type: ignore[assignment,attr-defined]  # all that is asked of it there
