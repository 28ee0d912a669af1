"""A request on its way in: how far it is read, what it is answered, and how it is sent on where the provider is asked.

One rule: what is answered or sent on is decided in `calls/` and by the products; here it is done to mitmproxy's flow.
"""

from collections.abc import Mapping
from typing import Literal

from mitmproxy import http

from askonce.api import IMPORT_PATH
from askonce.call import Reply, Request
from askonce.calls.limits import SMALL, Limits
from askonce.calls.product_terms import PLAIN, Terms
from askonce.calls.refusals import broken, no_room, no_websocket, too_large
from askonce.calls.request_body import Measured, Unread, read_body
from askonce.calls.state import Dividing, Exchange, Following
from askonce.proxy import messages, relay_stream, unread_hits
from askonce.proxy.asgi import AsgiBridge
from askonce.proxy.fast_lane_hooks import AtOnce, Begun
from askonce.proxy.flow_state import Visit
from askonce.proxy.gate import Gate
from askonce.proxy.watch import Watch
from askonce.rules import Rule
from askonce.runtime import Runtime

__all__ = ["Requests"]


class Requests:
    """What becomes of the requests that were let in."""

    def __init__(self, runtime: Runtime, gate: Gate, watch: Watch, at_once: AtOnce, manage: AsgiBridge) -> None:
        """`manage` answers what is asked of Askonce itself."""
        self._runtime, self._gate, self._watch = runtime, gate, watch
        self._at_once, self._manage = at_once, manage

    # The head

    def begin(self, flow: http.HTTPFlow, visit: Visit, heads: Mapping[bytes, bytes]) -> None:
        """The head of a request is there."""
        if b"content-encoding" in heads:
            visit.coding = flow.request.headers["content-encoding"]
        length = heads.get(b"content-length", b"")
        # mitmproxy's body_size_limit would refuse a larger one, and downloads too.
        if length.isdigit() and int(length) > Limits.in_force.max_body:
            visit.bypass = "large"
        if visit.origin.managed:
            self._check_managed(flow, visit)
        elif visit.bypass == "websocket" and visit.rule and visit.rule.refuses_websocket:
            self._refuse_websocket(flow, visit)
        elif visit.rule is None or visit.bypass:
            self._stream_by(flow, visit, visit.bypass)

    def _check_managed(self, flow: http.HTTPFlow, visit: Visit) -> None:
        if visit.bypass == "large":
            self.leave_unfinished(flow, visit, "large")
        elif visit.bypass:
            flow.kill()

    def _refuse_websocket(self, flow: http.HTTPFlow, visit: Visit) -> None:
        self._pass_by(flow, visit, visit.bypass)
        reply = no_websocket()
        flow.response = messages.make_response(reply)
        if visit.exchange:
            self._runtime.life.decline(visit.exchange, reply.status)

    def leave_unfinished(self, flow: http.HTTPFlow, visit: Visit | None, why: Literal["large", "full"]) -> None:
        """A body that is still to come is not read: it passes on as it is, or is refused where there is nobody to pass
        it to."""
        if visit is None or visit.origin.managed:
            refusal = too_large("limits.max_body", Limits.in_force.max_body) if why == "large" else no_room()
            flow.response = messages.make_response(refusal)
        else:
            self._stream_by(flow, visit, why)

    def _stream_by(self, flow: http.HTTPFlow, visit: Visit, why: str) -> None:
        self._pass_by(flow, visit, why)
        flow.request.stream = True  # not ours: nothing is buffered, nothing recorded

    def _pass_by(self, flow: http.HTTPFlow, visit: Visit, why: str) -> None:
        if visit.rule:
            request = messages.read_request(flow.request, visit.origin.host, b"")
            visit.exchange = self._runtime.life.pass_by(visit.rule, request, why)
            if visit.exchange.trace:
                messages.join_trace(flow.request, visit.exchange.trace.traceparent, visit.signed)
        else:
            self._watch.unnamed(flow, visit)
        if visit.origin.direct:
            self._gate.send_on(flow, visit)
        visit.rule = None

    # The whole of it

    async def answer(self, flow: http.HTTPFlow, visit: Visit) -> None:
        """A request is whole: it is answered, or made one to the provider."""
        if not (visit.origin.managed or visit.rule):
            return
        raw = flow.request.raw_content or b""
        body: bytes | Unread = raw
        if visit.coding or visit.origin.managed:
            body = await self._read(flow, visit, raw)
        if isinstance(body, Unread):
            self._leave(flow, visit, body)
        elif visit.origin.managed:
            await self._receive(flow, visit, body)
        elif visit.rule:
            request = messages.read_request(flow.request, visit.origin.host, body)
            begun = self._at_once.claim(flow.client_conn, visit.rule, request)
            await self._answer(flow, visit, visit.rule, request, begun=begun)

    async def _read(self, flow: http.HTTPFlow, visit: Visit, raw: bytes) -> bytes | Unread:
        measured = _measured(flow.request) if visit.origin.managed else None
        return await read_body(flow.id, raw, visit.coding, self._runtime.compute, measured=measured)

    def _leave(self, flow: http.HTTPFlow, visit: Visit, body: Unread) -> None:
        if visit.origin.managed:
            flow.response = messages.make_response(body.refusal)
        else:
            self._pass_by(flow, visit, body.why)

    async def _receive(self, flow: http.HTTPFlow, visit: Visit, body: bytes) -> None:
        client = flow.client_conn.peername
        request = messages.read_request(flow.request, visit.origin.host, body, client[0])
        begun = self._at_once.claim(flow.client_conn, None, request)
        claim = self._runtime.products.claim
        claimed = begun.claimed if begun else claim(request, flow.request.scheme, self._runtime.rules)
        if isinstance(claimed, Reply):
            flow.response = messages.make_response(claimed)
        elif claimed is None:
            flow.response = await self._managed(flow.request, visit.origin.host, (client[0], client[1]))
        else:
            visit.passage = claimed
            await self._answer(flow, visit, claimed.rule, claimed.request, claimed.terms, begun)

    async def _managed(self, request: http.Request, host: str, client: tuple[str, int]) -> http.Response:
        url, body = messages.place(request, host), request.raw_content or b""
        try:
            status, fields, content = await self._manage(request.method, url, request.headers.fields, body, client)
        except Exception as error:
            self._runtime.faults.report("management", error, "what is asked of the proxy itself is answered with 500")
            return messages.make_response(broken())
        return messages.http_response(status, fields, content)

    # A call

    async def _answer(
        self,
        flow: http.HTTPFlow,
        visit: Visit,
        rule: Rule,
        request: Request,
        terms: Terms = PLAIN,
        begun: Begun | None = None,
    ) -> None:
        life = self._runtime.life
        if begun and begun.exchange:
            exchange = visit.exchange = begun.exchange
            reply = await begun.reply()
        else:
            is_small = len(request.body) <= SMALL
            exchange = life.begin(rule, request, terms) if is_small else await life.begin_apart(rule, request, terms)
            visit.exchange, exchange.is_direct = exchange, visit.passage is None
            exchange.may_follow = visit.passage is None and not flow.request.is_http10
            reply = life.look_up_in_memory(exchange) or await life.look_up(exchange)
        if reply and unread_hits.may_lack_room(flow.client_conn, reply):
            reply = await self._keep_until_read(flow, exchange, reply)
        if reply:
            flow.response = _dressed(reply, visit, exchange)
        elif visit.passage and (refusal := await visit.passage.before()):
            life.decline(exchange, refusal.status)
            flow.response = messages.make_response(refusal)
        else:
            self._ask_provider(flow, visit, exchange)

    async def _keep_until_read(self, flow: http.HTTPFlow, exchange: Exchange, reply: Reply) -> Reply | None:
        has_room = await unread_hits.find_room(flow, reply)
        return reply if has_room else await self._runtime.life.take_back(exchange)

    def _ask_provider(self, flow: http.HTTPFlow, visit: Visit, exchange: Exchange) -> None:
        if visit.passage:
            messages.redirect(flow.request, visit.passage)
        signed = visit.signed
        messages.strip_directives(flow.request, signed)
        if exchange.trace:
            messages.join_trace(flow.request, exchange.trace.traceparent, signed)
        if target := exchange.rule.target:
            messages.send_to(flow.request, target.scheme, target.host, target.port)
        if flow.request.scheme == "http" or visit.passage or target:
            self._gate.send_on(flow, visit)
        match exchange.state:
            case Dividing(body):
                messages.put_body(flow.request, body)
            case Following(follower):
                head = self._runtime.life.reply_to_follower(exchange, follower.broadcast)
                relay_stream.follow(flow, messages.start_response(head), follower)


def _measured(request: http.Request) -> Measured:
    return "by line" if request.path.partition("?")[0] == IMPORT_PATH else "whole"


def _dressed(reply: Reply, visit: Visit, exchange: Exchange) -> http.Response:
    response = messages.make_response(reply)
    if visit.passage:
        messages.dress(response, visit.passage, exchange)
    return response
