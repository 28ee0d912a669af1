"""A provider's response on its way to the caller: what is said in it, what is read along, and what is kept.

One rule: the caller has his answer before anything is kept of it.
"""

import asyncio
from functools import partial

from mitmproxy import http
from mitmproxy.utils import asyncio_utils

from askonce.call import Unstorable
from askonce.calls.fallback import may_fall_back
from askonce.calls.held_bodies import NO_ROOM, held_bodies
from askonce.calls.refusals import failure
from askonce.calls.response_headers import Headers
from askonce.calls.single_flight import FlightEnd
from askonce.calls.state import Dividing, Exchange, Following
from askonce.products.base import Passage, Translator
from askonce.proxy import messages, relay_stream, unread_hits
from askonce.proxy.flow_state import Recorder, Visit, Work
from askonce.proxy.gate import Gate
from askonce.runtime import Runtime

__all__ = ["AFTER_LAST_BYTE", "Responses", "client_left"]

AFTER_LAST_BYTE = 0.002
"""Seconds after the `response` hook at which the client has its last byte: mitmproxy sends the end of a streamed
message only once that hook has returned, and nothing that follows is urgent."""
_OVERHEAD = 16
"""A recorded stream may be this much longer than the answer it carries: events are mostly envelope."""


class Responses:
    """What becomes of the responses. `work` is told which flows are over."""

    def __init__(self, runtime: Runtime, gate: Gate, work: Work) -> None:
        self._life, self._compute = runtime.life, runtime.compute
        self._gate, self._work = gate, work

    # The head

    def begin(self, flow: http.HTTPFlow, response: http.Response, visit: Visit) -> None:
        """The head of a response is there."""
        exchange = visit.exchange
        if exchange and self._is_ours(flow, response, exchange):
            return  # the hook is called for it as well
        if exchange and self._is_held_back(response, visit, exchange):
            visit.whole = True
            return
        if exchange:
            self._read_along(flow, response, visit, exchange)
        if response.status_code != 101:
            response.stream = visit.recorder or True

    def _is_ours(self, flow: http.HTTPFlow, response: http.Response, exchange: Exchange) -> bool:
        if isinstance(exchange.state, Following) and relay_stream.is_relayed(flow):
            self._life.relay(exchange, response.status_code)
        return exchange.is_answered

    def _is_held_back(self, response: http.Response, visit: Visit, exchange: Exchange) -> bool:
        return _must_be_whole(response, visit, exchange) or may_fall_back(exchange, response.status_code)

    def _read_along(self, flow: http.HTTPFlow, response: http.Response, visit: Visit, exchange: Exchange) -> None:
        passage = visit.passage
        _say(response, passage, self._life.pass_on(exchange, response.status_code))
        translator = messages.start_translation(response, passage) if passage else None
        if passage:
            messages.dress(response, passage, exchange)
        if not (exchange.is_recorded or translator):
            return
        recorder = visit.recorder = _recorder(flow, exchange, translator)
        recorder.is_awaited = partial(self._life.is_awaited, exchange)
        if not passage:
            recorder.broadcast = self._life.share(exchange, response.headers.items, lambda: recorder.body)

    # The end

    async def decode(self, flow: http.HTTPFlow, response: http.Response, visit: Visit) -> None:
        """Take the content-encoding off the provider's response, which a product makes its own of."""
        body, coding = response.raw_content or b"", response.headers["content-encoding"]
        try:
            messages.put_decoded(response, await self._compute(lambda: _decoded(flow.id, body, coding)))
        except Unstorable as error:
            visit.whole = False  # nothing that a product could read
            flow.response = messages.make_response(failure(f"the provider's answer {error}"))
            if visit.exchange:
                visit.exchange.status = flow.response.status_code
        self.end(flow, visit)

    def fall_back(self, flow: http.HTTPFlow, response: http.Response, exchange: Exchange) -> None:
        """Put an answer past its time in place of the provider's error, which is whole, if it may still be served."""
        if reply := self._life.fall_back(exchange, response.status_code):
            flow.response = messages.make_response(reply)
        else:
            _say(response, None, self._life.pass_on(exchange, response.status_code))

    async def complete(self, flow: http.HTTPFlow, response: http.Response, visit: Visit, exchange: Exchange) -> None:
        """Join the provider's answer, to the part of a batch that it was asked for, to what was known."""
        fields, body = tuple(response.headers.items(multi=True)), response.raw_content or b""
        coding = response.headers.get("content-encoding", "")
        reply = await self._life.divisions.complete(exchange, fields, lambda: _decoded(flow.id, body, coding))
        messages.put(response, reply)
        _say(response, None, self._life.pass_on(exchange, reply.status))
        if isinstance(exchange.state, Dividing):
            visit.recorder = _recorder(flow, exchange)  # of nothing: the answers are known
        self.end(flow, visit)

    def end(self, flow: http.HTTPFlow, visit: Visit | None) -> None:
        """A response is whole; all of it has been sent on, or is about to be."""
        if visit is None:
            self._work.end(flow.id)
            return
        visit.over("whole")
        if visit.recorder and visit.recorder.ran_ahead:
            unread_hits.hold_unread(flow, visit.recorder.size)
        if visit.exchange and visit.whole and visit.passage and flow.response:
            self._finish(flow, flow.response, visit, visit.passage, visit.exchange)
        body = visit.recorder.body if visit.recorder else None
        if visit.exchange and visit.recorder and visit.recorder.lacked_room:
            visit.exchange.unkept = NO_ROOM
        self._settle(flow, visit.exchange, body, "unstorable")

    def _finish(
        self, flow: http.HTTPFlow, response: http.Response, visit: Visit, passage: Passage, exchange: Exchange
    ) -> None:
        assert passage.finish
        reply = messages.finish(response, passage.finish)
        _say(response, passage, self._life.pass_on(exchange, reply.status))
        messages.dress(response, passage, exchange)
        if exchange.is_recorded:
            visit.recorder = _recorder(flow, exchange)
            visit.recorder(reply.body)

    def without_provider(self, flow: http.HTTPFlow, visit: Visit | None, error: str) -> http.Response | None:
        """What is sent where the provider gave no answer; None where mitmproxy says it."""
        if not (visit and visit.passage and visit.passage.unreachable):
            return self._without_answer(flow, visit, error)
        reply = visit.passage.unreachable(error)
        if visit.exchange:
            visit.exchange.status = reply.status
        return messages.make_response(reply)

    def _without_answer(self, flow: http.HTTPFlow, visit: Visit | None, error: str) -> http.Response | None:
        refusal = self._gate.refuse_connection(error)
        if refusal is not None and refusal.status_code == 403:
            return refusal  # it was not asked, for a reason of our own
        if visit and visit.exchange and not client_left(flow):
            reply = self._life.fall_back(visit.exchange, 0)
            return messages.make_response(reply) if reply else refusal
        return refusal

    def cut(self, flow: http.HTTPFlow, visit: Visit | None) -> None:
        """A call has ended without a whole response."""
        left, exchange = client_left(flow), visit.exchange if visit else None
        # An SDK may hang up at the stream's end mark, before the last byte; without the mark nothing is kept.
        body = visit.recorder.body or None if left and visit and visit.recorder and flow.response else None
        if exchange and body is None:
            self._life.release(exchange, "failed" if left else "unstorable")
        self._settle(flow, exchange, body, "failed")

    # What is kept

    def _settle(self, flow: http.HTTPFlow, exchange: Exchange | None, body: bytes | None, otherwise: FlightEnd) -> None:
        """Keep a body where there is one, and count the call; `otherwise` is for who waits for it."""
        if exchange and exchange.is_recorded and body is not None and flow.response:
            self._life.expect(exchange)
            task = self._remember(flow.id, exchange, flow.response.headers, body, otherwise)
            asyncio_utils.create_task(task, name="remember", keep_ref=True, client=flow.client_conn.peername)
            return
        if exchange:
            self._life.account(exchange)
        self._work.end(flow.id)

    async def _remember(
        self, flow_id: str, exchange: Exchange, headers: http.Headers, body: bytes, otherwise: FlightEnd
    ) -> None:
        try:
            await asyncio.sleep(AFTER_LAST_BYTE)
            fields = tuple(headers.items(multi=True))
            coding = headers.get("content-encoding", "")
            await self._life.remember(exchange, fields, lambda: _decoded(flow_id, body, coding), otherwise)
        finally:
            self._work.end(flow_id)


def _recorder(flow: http.HTTPFlow, exchange: Exchange, translator: Translator | None = None) -> Recorder:
    most = exchange.rule.behaviour.max_answer * _OVERHEAD
    return Recorder(most, partial(held_bodies.hold, flow.id), translator)


def _decoded(flow_id: str, body: bytes, coding: str) -> bytes:
    """An answer's body without its content-encoding, which is held as well. Raises Unstorable."""
    whole = messages.decoded(body, coding)
    if coding and not held_bodies.hold(flow_id, len(whole)):
        raise Unstorable(NO_ROOM)
    return whole


def _must_be_whole(response: http.Response, visit: Visit, exchange: Exchange) -> bool:
    if isinstance(exchange.state, Dividing) and 200 <= response.status_code < 300:
        return True
    return visit.passage is not None and messages.must_be_whole(response, visit.passage)


def _say(response: http.Response, passage: Passage | None, said: Headers) -> None:
    """Tell the caller what happened, but for a product that has words of its own for it."""
    if passage and passage.bare_misses:
        return
    for name, value in said:
        response.headers[name] = value


def client_left(flow: http.HTTPFlow) -> bool:
    """Whether it was the client who ended the call."""
    # An HTTP/2 client that resets one stream stays connected, and only mitmproxy's words tell it from the provider.
    return not flow.client_conn.connected or (flow.error is not None and "by client" in flow.error.msg)
