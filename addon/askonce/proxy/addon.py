"""The mitmproxy hooks: the life of one call as mitmproxy sees it, and nothing else.

One rule: a hook turns mitmproxy's objects into Askonce's values and back; every decision is made in `calls/`.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable
from weakref import WeakKeyDictionary

from mitmproxy import connection, ctx, exceptions, http
from mitmproxy.utils import asyncio_utils

from askonce.api import IMPORT_PATH
from askonce.api.vital_signs import vital_sign
from askonce.call import Reply, Request
from askonce.calls.limits import SMALL, Limits
from askonce.calls.origin import decide
from askonce.calls.product_terms import PLAIN, Terms
from askonce.calls.refusals import broken, no_room, no_websocket, too_large
from askonce.calls.request_body import Measured, Unread, read_body
from askonce.calls.state import Dividing, Exchange, Following
from askonce.proxy import client_hello, error_stream, http1, http2, messages, relay_stream, responses, unread_hits
from askonce.proxy.asgi import AsgiBridge
from askonce.proxy.at_once import AtOnce, Begun
from askonce.proxy.backpressure import Backpressure, handler_of
from askonce.proxy.flow_state import Visit, Work
from askonce.proxy.gate import Gate
from askonce.proxy.huge_pages import use_huge_pages
from askonce.proxy.large_blocks import give_back_all, give_back_large_blocks
from askonce.proxy.patience import Patience
from askonce.proxy.watch import Watch
from askonce.rules import ConfigError, Rule
from askonce.runtime import Runtime
from askonce.settings import Settings
from askonce.wire import tokens

__all__ = ["Askonce"]

logger = logging.getLogger("askonce")

_MAX_CONNECTIONS = 100
"""Upstream connections for one client connection; mitmproxy's five make the sixth HTTP/2 stream wait (its #8322)."""
_DRAIN = 30.0
"""Seconds that calls in flight have to end after a stop was asked for."""
_MESSAGES = 20
"""Of a WebSocket, for mitmweb to show."""
_FORBIDDEN = ("emudhra", "emudhra_old")
"""mitmproxy 12.3 can sign with the stolen key of a public authority, which everybody's programs trust."""


class Askonce:
    """The addon. `runtime` holds everything that lives longer than one call."""

    name = "askonce"

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self.runtime: Runtime
        self._visits = WeakKeyDictionary[http.HTTPFlow, Visit]()
        self._work = Work()
        self._manage: AsgiBridge
        self._gate: Gate
        self._watch: Watch
        self._responses: responses.Responses
        self.at_once: AtOnce
        self.addons: list[object] = [
            relay_stream.Collapse(),
            Patience(self.report),
            Backpressure(self.report),
        ]

    def report(self, kind: str, error: BaseException, consequence: str) -> None:
        """`Faults.report` of the runtime, which is made later than what reports."""
        self.runtime.faults.report(kind, error, consequence)

    # Life of the process

    def load(self, _loader: object) -> None:
        http1.install()
        http2.install()
        client_hello.install()
        error_stream.install()
        give_back_large_blocks()
        settings = self._settings or Settings.from_env()
        try:
            self.runtime = Runtime(settings)
        except ValueError as error:
            raise exceptions.OptionsError(str(error)) from error
        self._manage = AsgiBridge(lambda: self.runtime.management(self.reload), self.runtime.compute)
        self._gate, self._watch = Gate(self.runtime), Watch(self.runtime)
        self._responses = responses.Responses(self.runtime, self._work)
        self.at_once = AtOnce(self.runtime, self._gate, self._watch, self._work)
        self.addons += [self._gate, self._watch, self.at_once]

    def configure(self, updated: set[str]) -> None:
        error_stream.note(ctx.options)
        for name in _FORBIDDEN:
            if name in updated and getattr(ctx.options, name, False):
                raise exceptions.OptionsError(
                    f"{name}: Askonce signs with its own authority alone, which can vouch for nothing but the hosts in "
                    "rules.yaml; take the option out"
                )

    async def running(self) -> None:
        ctx.options.update(allow_hosts=self.runtime.rules.allow_hosts(), connection_strategy="lazy")
        self.runtime.watch(self.reload)
        logger.info("listening on %s", self.runtime.settings.listen)
        asyncio_utils.create_task(self._warm_up(), name="warm up", keep_ref=True)
        with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has no SIGHUP
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_hangup)

    async def _warm_up(self) -> None:
        await self.runtime.warm_up()
        if self.runtime.not_ready is None:
            logger.info("ready; the page is at %s/", self.runtime.settings.url)
        await self.runtime.compute(give_back_all)
        await self.runtime.run_later(lambda: tokens.load(then=_settle))

    def _on_hangup(self) -> None:
        asyncio_utils.create_task(self._reload_quietly(), name="reload", keep_ref=True)

    async def _reload_quietly(self) -> None:
        with contextlib.suppress(ConfigError):  # logged where it was found
            await self.reload()

    async def reload(self) -> None:
        """Take up a changed rules.yaml. Raises ConfigError and keeps the old rules where it cannot be used."""
        if self.runtime.reload():
            ctx.options.update(allow_hosts=self.runtime.rules.allow_hosts(), confdir=ctx.options.confdir)

    async def done(self) -> None:
        self.runtime.stopping()
        ctx.options.update(server=False)
        try:
            async with asyncio.timeout(_DRAIN):
                await self._work.empty()
        except TimeoutError:
            logger.warning("stopping with %d calls still in flight after %.0f s", len(self._work), _DRAIN)
        await asyncio.sleep(responses.AFTER_LAST_BYTE)
        await self.runtime.close()

    def client_connected(self, client: connection.Client) -> None:
        if handler := handler_of(client):
            handler.max_conns.default_factory = lambda: asyncio.Semaphore(_MAX_CONNECTIONS)

    # Life of a call

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._work.begin(flow.id)
        arrival = messages.read_head(flow)
        heads, origin = arrival.heads, decide(arrival, self.runtime.rules)
        visit = Visit(origin, origin.rule, origin.protocol)
        if refusal := self._gate.refuse(flow, visit, heads):
            flow.response = refusal
            return
        self._visits[flow] = visit
        if b"content-encoding" in heads:
            visit.coding = flow.request.headers["content-encoding"]
        length = heads.get(b"content-length", b"")
        # mitmproxy's body_size_limit would refuse a larger one, and downloads too.
        if length.isdigit() and int(length) > Limits.in_force.max_body:
            visit.bypass = "large"
        if origin.managed:
            self._check_managed(flow, visit)
        elif visit.bypass == "websocket" and visit.rule and visit.rule.refuses_websocket:
            self._refuse_websocket(flow, visit)
        elif visit.rule is None or visit.bypass:
            self._pass_by(flow, visit, visit.bypass)
            flow.request.stream = True  # not ours: nothing is buffered, nothing recorded

    def _check_managed(self, flow: http.HTTPFlow, visit: Visit) -> None:
        if visit.bypass == "large":
            self.askonce_large(flow)
        elif visit.bypass:
            flow.kill()

    def askonce_large(self, flow: http.HTTPFlow) -> None:
        """A body is larger than is read: it passes on as it is, or is refused where there is nobody to pass it to."""
        visit = self._visits.get(flow)
        if visit is None or visit.origin.managed:
            flow.response = messages.make_response(too_large("limits.max_body", Limits.in_force.max_body))
        else:
            self._pass_by(flow, visit, "large")
            flow.request.stream = True

    def askonce_full(self, flow: http.HTTPFlow) -> None:
        """There is no room for a body; the same."""
        visit = self._visits.get(flow)
        if visit is None or visit.origin.managed:
            flow.response = messages.make_response(no_room())
        else:
            self._pass_by(flow, visit, "full")
            flow.request.stream = True

    def _refuse_websocket(self, flow: http.HTTPFlow, visit: Visit) -> None:
        self._pass_by(flow, visit, visit.bypass)
        reply = no_websocket()
        flow.response = messages.make_response(reply)
        if visit.exchange:
            self.runtime.life.decline(visit.exchange, reply.status)

    def _pass_by(self, flow: http.HTTPFlow, visit: Visit, why: str) -> None:
        if visit.rule:
            request = messages.read_request(flow.request, visit.origin.host, b"")
            visit.exchange = self.runtime.life.pass_by(visit.rule, request, why)
            if visit.exchange.trace:
                messages.join_trace(flow.request, visit.exchange.trace.traceparent)
        else:
            self._watch.unnamed(flow, visit)
        if visit.origin.direct:
            self._gate.send_on(flow, visit)
        visit.rule = None

    async def request(self, flow: http.HTTPFlow) -> None:
        visit = self._visits.get(flow)
        if flow.response or flow.error or flow.is_replay or visit is None:
            return
        if not (visit.origin.managed or visit.rule):
            return
        raw = flow.request.raw_content or b""
        body: bytes | Unread = raw
        if visit.coding or visit.origin.managed:
            measured = _measured(flow.request) if visit.origin.managed else None
            body = await read_body(flow.id, raw, visit.coding, self.runtime.compute, measured=measured)
        if isinstance(body, Unread):
            self._leave(flow, visit, body)
        elif visit.origin.managed:
            await self._receive(flow, visit, body)
        elif visit.rule:
            request = messages.read_request(flow.request, visit.origin.host, body)
            begun = self.at_once.claim(flow.client_conn, visit.rule, request)
            await self._answer(flow, visit, visit.rule, request, begun=begun)

    def _leave(self, flow: http.HTTPFlow, visit: Visit, body: Unread) -> None:
        if visit.origin.managed:
            flow.response = messages.make_response(body.refusal)
        else:
            self._pass_by(flow, visit, body.why)

    async def _receive(self, flow: http.HTTPFlow, visit: Visit, body: bytes) -> None:
        client = flow.client_conn.peername
        request = messages.read_request(flow.request, visit.origin.host, body, client[0])
        begun = self.at_once.claim(flow.client_conn, None, request)
        claim = self.runtime.products.claim
        claimed = begun.claimed if begun else claim(request, flow.request.scheme, self.runtime.rules)
        if isinstance(claimed, Reply):
            flow.response = messages.make_response(claimed)
        elif claimed is None:
            flow.response = self._vital_sign(flow.request, visit.origin.host) or await self._managed(
                flow.request, visit.origin.host, (client[0], client[1])
            )
        else:
            visit.passage = claimed
            await self._answer(flow, visit, claimed.rule, claimed.request, claimed.terms, begun)

    async def _answer(
        self,
        flow: http.HTTPFlow,
        visit: Visit,
        rule: Rule,
        request: Request,
        terms: Terms = PLAIN,
        begun: Begun | None = None,
    ) -> None:
        life = self.runtime.life
        if begun and begun.exchange:
            exchange = visit.exchange = begun.exchange
            reply = await begun.reply()
        else:
            is_small = len(request.body) <= SMALL
            exchange = life.begin(rule, request, terms) if is_small else await life.begin_apart(rule, request, terms)
            visit.exchange = exchange
            exchange.is_direct = visit.passage is None
            exchange.may_follow = visit.passage is None and not flow.request.is_http10
            reply = life.look_up_in_memory(exchange) or await life.look_up(exchange)
        if (
            reply
            and unread_hits.may_lack_room(flow.client_conn, reply)
            and not await unread_hits.find_room(flow, reply)
        ):
            reply = await life.take_back(exchange)
        if reply:
            flow.response = messages.make_response(reply)
            if visit.passage:
                messages.dress(flow.response, visit.passage, exchange)
            return
        if visit.passage and (refusal := await visit.passage.before()):
            life.decline(exchange, refusal.status)
            flow.response = messages.make_response(refusal)
            return
        self._ask_provider(flow, visit, exchange)

    def _ask_provider(self, flow: http.HTTPFlow, visit: Visit, exchange: Exchange) -> None:
        if visit.passage:
            messages.redirect(flow.request, visit.passage)
        messages.strip_directives(flow.request)
        if exchange.trace:
            messages.join_trace(flow.request, exchange.trace.traceparent)
        if target := exchange.rule.target:
            messages.send_to(flow.request, target.scheme, target.host, target.port)
        if flow.request.scheme == "http" or visit.passage or target:
            self._gate.send_on(flow, visit)
        match exchange.state:
            case Dividing(body):
                messages.put_body(flow.request, body)
            case Following(follower):
                head = self.runtime.life.reply_to_follower(exchange, follower.broadcast)
                relay_stream.follow(flow, messages.start_response(head), follower)

    def _vital_sign(self, request: http.Request, host: str) -> http.Response | None:
        runtime = self.runtime
        told = vital_sign(
            request.method,
            host,
            request.path,
            request.headers.get("x-request-id", ""),
            own_host=runtime.rules.config.manage.host,
            ready=runtime.not_ready,
            failure=runtime.cache.failure,
            uptime=runtime.accounting.uptime,
        )
        return messages.http_response(*told) if told else None

    async def _managed(self, request: http.Request, host: str, client: tuple[str, int]) -> http.Response:
        url, body = messages.place(request, host), request.raw_content or b""
        try:
            status, fields, content = await self._manage(request.method, url, request.headers.fields, body, client)
        except Exception as error:
            self.runtime.faults.report("management", error, "what is asked of the proxy itself is answered with 500")
            return messages.make_response(broken())
        return messages.http_response(status, fields, content)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        visit, response = self._visits.get(flow), flow.response
        if visit and response and (visit.exchange or not visit.origin.managed):
            self._responses.begin(flow, response, visit)

    def response(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        visit, response = self._visits.get(flow), flow.response
        if visit and visit.exchange and visit.whole and response:
            if isinstance(visit.exchange.state, Dividing):
                return self._responses.complete(flow, response, visit, visit.exchange)
            if visit.exchange.fallback:
                self._responses.fall_back(flow, response, visit.exchange)
            elif visit.passage and "content-encoding" in response.headers:
                return self._responses.decode(flow, response, visit)
        self._responses.end(flow, visit)
        return None

    def error(self, flow: http.HTTPFlow) -> None:
        visit = self._visits.get(flow)
        if visit:
            visit.over("cut")
        unsent = flow.response is None or (visit and visit.whole)
        if visit and visit.passage and visit.passage.unreachable and unsent and flow.error:
            reply = visit.passage.unreachable(flow.error.msg)
            flow.response = messages.make_response(reply)
            if visit.exchange:
                visit.exchange.status = reply.status
        elif unsent and flow.error and (response := self._without_answer(flow, visit, flow.error.msg)):
            flow.response = response
        self._responses.cut(flow, visit)

    def _without_answer(self, flow: http.HTTPFlow, visit: Visit | None, error: str) -> http.Response | None:
        """What is sent where the provider gave no answer; None where mitmproxy says it."""
        refusal = self._gate.refuse_connection(error)
        if refusal is not None and refusal.status_code == 403:
            return refusal  # it was not asked, for a reason of our own
        if visit and visit.exchange and not responses.client_left(flow):
            reply = self.runtime.life.fall_back(visit.exchange, 0)
            return messages.make_response(reply) if reply else refusal
        return refusal

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        if flow.websocket:  # mitmproxy would keep every message for as long as the connection lives
            del flow.websocket.messages[:-_MESSAGES]

    def forget(self, flow: http.HTTPFlow) -> None:
        """A flow is over: nothing of it is asked any more."""
        self._visits.pop(flow, None)

    def exchange(self, flow: http.HTTPFlow) -> Exchange | None:
        """The call that a flow carries; None where it is no call of a rule's."""
        visit = self._visits.get(flow)
        return visit.exchange if visit else None

    def is_managed(self, flow: http.HTTPFlow) -> bool:
        """Whether a flow is answered by the management API."""
        visit = self._visits.get(flow)
        return visit is not None and visit.origin.managed and visit.exchange is None


def _measured(request: http.Request) -> Measured:
    return "by line" if request.path.partition("?")[0] == IMPORT_PATH else "whole"


def _settle() -> None:
    give_back_all()  # first: where memory is full of holes, huge pages would fill them
    use_huge_pages()
