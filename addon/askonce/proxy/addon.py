"""The mitmproxy hooks: the life of one call as mitmproxy sees it, and nothing else.

One rule: a hook turns mitmproxy's objects into Askonce's values and back; every decision is made in `calls/`.
"""

import asyncio
import contextlib
import ipaddress
import logging
import signal
from collections.abc import Awaitable, Mapping
from functools import lru_cache
from weakref import WeakKeyDictionary

from mitmproxy import connection, ctx, exceptions, http
from mitmproxy.net.http.url import parse_authority
from mitmproxy.utils import asyncio_utils

from askonce.api.transfer import IMPORT_PATH
from askonce.call import Reply, Request, Unstorable
from askonce.calls.decoding import TooLarge, decode
from askonce.calls.limits import SMALL, Limits, is_intricate
from askonce.calls.product_terms import PLAIN, Terms
from askonce.calls.refusals import failure, no_websocket, too_large
from askonce.calls.single_flight import Ending
from askonce.calls.state import Exchange
from askonce.products.base import Passage
from askonce.proxy import error_stream, http1, messages, relay_stream
from askonce.proxy.asgi import AsgiBridge
from askonce.proxy.flow_state import Recorder, Visit, Work
from askonce.proxy.gate import Gate
from askonce.proxy.huge_pages import use_huge_pages
from askonce.proxy.patience import Patience
from askonce.rules import ConfigError, Rule, Rules
from askonce.runtime import Runtime
from askonce.settings import Settings

__all__ = ["Askonce"]

logger = logging.getLogger("askonce")

_AFTER_LAST_BYTE = 0.002
"""Seconds after the `response` hook at which the client has its last byte: mitmproxy sends the end of a streamed
message only once that hook has returned, and nothing that follows is urgent."""
_MAX_CONNECTIONS = 100
"""Upstream connections for one client connection; mitmproxy's five make the sixth HTTP/2 stream wait (its #8322)."""
_DRAIN = 30.0
"""Seconds that calls in flight have to end after a stop was asked for."""
_OVERHEAD = 16
"""A recorded stream may be this much longer than the answer it carries: events are mostly envelope."""
_MESSAGES = 20
"""Of a WebSocket, for mitmweb to show."""
_FORBIDDEN = ("emudhra", "emudhra_old")
"""mitmproxy 12.3 can sign with the stolen key of a public authority, which everybody's programs trust."""
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


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
        self.addons: list[object] = [
            relay_stream.Collapse(),
            Patience(lambda *what: self.runtime.faults.report(*what)),
        ]

    # Life of the process

    def load(self, _loader: object) -> None:
        http1.install()
        error_stream.install()
        settings = self._settings or Settings.from_env()
        try:
            self.runtime = Runtime(settings)
        except ValueError as error:
            raise exceptions.OptionsError(str(error)) from error
        self._manage = AsgiBridge(self.runtime.management(self.reload))
        self._gate = Gate(self.runtime)
        self.addons.append(self._gate)

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
        await self.runtime.settle(use_huge_pages)

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
        await asyncio.sleep(_AFTER_LAST_BYTE)
        await self.runtime.close()

    def client_connected(self, client: connection.Client) -> None:
        proxyserver = ctx.master.addons.get("proxyserver")
        if handler := proxyserver and proxyserver.connections.get(client.id):
            handler.max_conns.default_factory = lambda: asyncio.Semaphore(_MAX_CONNECTIONS)

    # Life of a call

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._work.begin(flow.id)
        heads = {name.lower(): value for name, value in flow.request.headers.fields}  # each get costs a walk over all
        visit = self._visit(flow, heads)
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
        if visit.managed:
            if visit.bypass == "large":
                self.askonce_large(flow)
            elif visit.bypass:
                flow.kill()
        elif visit.bypass == "websocket" and visit.rule and visit.rule.refuses_websocket:
            self._refuse_websocket(flow, visit)
        elif visit.rule is None or visit.bypass:
            self._pass_by(flow, visit, visit.bypass)
            flow.request.stream = True  # not ours: nothing is buffered, nothing recorded

    def askonce_large(self, flow: http.HTTPFlow) -> None:
        """A body is larger than is read: it passes on as it is, or is refused where there is nobody to pass it to."""
        visit = self._visits.get(flow)
        if visit is None or visit.managed:
            flow.response = messages.make_response(too_large("limits.max_body", Limits.in_force.max_body))
        else:
            self._pass_by(flow, visit, "large")
            flow.request.stream = True

    def _refuse_websocket(self, flow: http.HTTPFlow, visit: Visit) -> None:
        self._pass_by(flow, visit, visit.bypass)
        reply = no_websocket()
        flow.response = messages.make_response(reply)
        if visit.exchange:
            visit.exchange.replied, visit.exchange.status = True, reply.status

    def _pass_by(self, flow: http.HTTPFlow, visit: Visit, why: str) -> None:
        if visit.rule:
            request = messages.read_request(flow.request, visit.host, b"")
            visit.exchange = self.runtime.life.pass_by(visit.rule, request, why)
        if visit.direct:
            self._gate.send_on(flow, visit)
        visit.rule = None

    async def request(self, flow: http.HTTPFlow) -> None:
        visit = self._visits.get(flow)
        if flow.response or flow.error or flow.is_replay or visit is None:
            return
        if not (visit.managed or visit.rule):
            return
        body = await self._decoded(flow, visit.coding) if visit.coding else flow.request.raw_content or b""
        if visit.managed:
            await self._receive(flow, visit, body)
        elif visit.rule and body is not None:
            await self._answer(flow, visit, visit.rule, messages.read_request(flow.request, visit.host, body))
        else:
            self._pass_by(flow, visit, "large")

    async def _decoded(self, flow: http.HTTPFlow, coding: str) -> bytes | None:
        """The request's body without its content-encoding; None where it is too large, empty where it cannot be."""
        body = flow.request.raw_content or b""
        try:
            return await self.runtime.compute(lambda: decode(body, coding, Limits.in_force.max_decoded))
        except TooLarge:
            return None
        except ValueError:
            return b""

    async def _receive(self, flow: http.HTTPFlow, visit: Visit, body: bytes | None) -> None:
        if body is None:
            flow.response = messages.make_response(too_large("limits.max_decoded", Limits.in_force.max_decoded))
            return
        is_read_by_line = flow.request.path.partition("?")[0] == IMPORT_PATH
        if len(body) > SMALL and not is_read_by_line and await self.runtime.compute(lambda: is_intricate(body)):
            flow.response = messages.make_response(too_large("limits.max_values", Limits.in_force.max_values))
            return
        client = flow.client_conn.peername
        request = messages.read_request(flow.request, visit.host, body, client[0])
        claimed = self.runtime.products.claim(request, flow.request.scheme, self.runtime.rules)
        if isinstance(claimed, Reply):
            flow.response = messages.make_response(claimed)
        elif claimed is None:
            flow.response = await self._managed(flow.request, visit.host, (client[0], client[1]))
        else:
            visit.passage = claimed
            await self._answer(flow, visit, claimed.rule, claimed.request, claimed.terms)

    async def _answer(
        self, flow: http.HTTPFlow, visit: Visit, rule: Rule, request: Request, terms: Terms = PLAIN
    ) -> None:
        life = self.runtime.life
        is_small = len(request.body) <= SMALL
        exchange = life.begin(rule, request, terms) if is_small else await life.begin_apart(rule, request, terms)
        visit.exchange = exchange
        exchange.may_follow = visit.passage is None and not flow.request.is_http10
        exchange.may_divide = visit.passage is None
        reply = life.recall(exchange) or await life.look_up(exchange)
        if reply:
            flow.response = messages.make_response(reply)
            if visit.passage:
                messages.dress(flow.response, visit.passage, exchange)
            return
        if visit.passage:
            if refusal := await visit.passage.before():
                exchange.replied, exchange.status = True, refusal.status
                flow.response = messages.make_response(refusal)
                return
            messages.redirect(flow.request, visit.passage)
        messages.strip_directives(flow.request)
        if exchange.asks is not None:
            messages.put_body(flow.request, exchange.asks)
        if target := rule.target:
            messages.send_to(flow.request, target.scheme, target.host, target.port)
        if flow.request.scheme == "http" or visit.passage or target:
            self._gate.send_on(flow, visit)
        if follower := exchange.follower:
            relay_stream.follow(flow, messages.start_response(life.collapsed(exchange, follower.broadcast)), follower)

    async def _managed(self, request: http.Request, host: str, client: tuple[str, int]) -> http.Response:
        status, fields, body = await self._manage(
            request.method, messages.place(request, host), request.headers.fields, request.raw_content or b"", client
        )
        return messages.http_response(status, fields, body)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        visit, response = self._visits.get(flow), flow.response
        if visit is None or response is None or (visit.managed and not visit.exchange):
            return
        if exchange := visit.exchange:
            if exchange.follower and relay_stream.is_relayed(flow):
                exchange.replied, exchange.status = True, response.status_code
            if exchange.replied:
                return  # our own response; the hook is called for it as well
            is_part = exchange.asks is not None and 200 <= response.status_code < 300
            if is_part or (visit.passage and messages.must_be_whole(response, visit.passage)):
                visit.whole = True
                return
            said = self.runtime.life.passed_on(exchange, response.status_code)
            for name, value in () if visit.passage and visit.passage.bare_misses else said:
                response.headers[name] = value
            translator = messages.start_translation(response, visit.passage) if visit.passage else None
            if visit.passage:
                messages.dress(response, visit.passage, exchange)
            if exchange.is_recorded or translator:
                visit.recorder = Recorder(exchange.rule.behaviour.max_answer * _OVERHEAD, translator)
                if not visit.passage:
                    share, recorder = self.runtime.life.share, visit.recorder
                    recorder.broadcast = share(exchange, response.headers.items, lambda: recorder.body)
        if response.status_code != 101:
            response.stream = visit.recorder or True

    def response(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        visit = self._visits.get(flow)
        if visit and visit.exchange and visit.whole and flow.response:
            if visit.exchange.asks is not None:
                return self._complete(flow, flow.response, visit, visit.exchange)
            if visit.passage and "content-encoding" in flow.response.headers:
                return self._decode(flow, flow.response, visit)
        self._over(flow, visit)
        return None

    async def _decode(self, flow: http.HTTPFlow, response: http.Response, visit: Visit) -> None:
        """Take the content-encoding off the provider's response, which a product makes its own of."""
        body, coding = response.raw_content or b"", response.headers["content-encoding"]
        try:
            messages.put_decoded(response, await self.runtime.compute(lambda: messages.decoded(body, coding)))
        except Unstorable as error:
            visit.whole = False  # nothing that a product could read
            flow.response = messages.make_response(failure(f"the provider's answer {error}"))
            if visit.exchange:
                visit.exchange.status = flow.response.status_code
        self._over(flow, visit)

    async def _complete(self, flow: http.HTTPFlow, response: http.Response, visit: Visit, exchange: Exchange) -> None:
        """Join the provider's answer, to the part of a batch that it was asked for, to what was known."""
        fields, body = tuple(response.headers.items(multi=True)), response.raw_content or b""
        coding = response.headers.get("content-encoding", "")
        reply = await self.runtime.life.complete(exchange, fields, lambda: messages.decoded(body, coding))
        messages.put(response, reply)
        for name, value in self.runtime.life.passed_on(exchange, reply.status):
            response.headers[name] = value
        if exchange.asks is not None:
            visit.recorder = Recorder(len(body))
        self._over(flow, visit)

    def _over(self, flow: http.HTTPFlow, visit: Visit | None) -> None:
        exchange = visit and visit.exchange
        if visit:
            visit.over("whole")
        if exchange and visit and visit.whole and visit.passage and flow.response:
            self._finish(flow.response, visit, visit.passage, exchange)
        if exchange and visit and visit.recorder and (body := visit.recorder.body) is not None and flow.response:
            task = self._remember(flow.id, exchange, flow.response.headers, body)
            asyncio_utils.create_task(task, name="remember", keep_ref=True, client=flow.client_conn.peername)
            return
        if exchange:
            self.runtime.life.account(exchange)
        self._work.end(flow.id)

    def _finish(self, response: http.Response, visit: Visit, passage: Passage, exchange: Exchange) -> None:
        assert passage.finish
        reply = messages.finish(response, passage.finish)
        said = self.runtime.life.passed_on(exchange, reply.status)
        for name, value in () if passage.bare_misses else said:
            response.headers[name] = value
        messages.dress(response, passage, exchange)
        if exchange.is_recorded:
            visit.recorder = Recorder(exchange.rule.behaviour.max_answer * _OVERHEAD)
            visit.recorder(reply.body)

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
        elif unsent and flow.error and (refusal := self._gate.refused(flow.error.msg)):
            flow.response = refusal
        exchange, left = self.exchange(flow), _client_left(flow)
        if exchange and left and visit and visit.recorder and (body := visit.recorder.body) and flow.response:
            # An SDK may hang up at the stream's end mark, before the last byte; without the mark nothing is kept.
            task = self._remember(flow.id, exchange, flow.response.headers, body, otherwise="failed")
            asyncio_utils.create_task(task, name="remember", keep_ref=True, client=flow.client_conn.peername)
            return
        if exchange:
            self.runtime.life.land(exchange, "failed" if left else "unstorable")
            self.runtime.life.account(exchange)
        self._work.end(flow.id)

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        if flow.websocket:  # mitmproxy would keep every message for as long as the connection lives
            del flow.websocket.messages[:-_MESSAGES]

    def exchange(self, flow: http.HTTPFlow) -> Exchange | None:
        """The call that a flow carries; None where it is no call of a rule's."""
        visit = self._visits.get(flow)
        return visit.exchange if visit else None

    async def _remember(
        self,
        flow_id: str,
        exchange: Exchange,
        headers: http.Headers,
        body: bytes,
        *,
        otherwise: Ending = "unstorable",
    ) -> None:
        try:
            await asyncio.sleep(_AFTER_LAST_BYTE)
            fields = tuple(headers.items(multi=True))
            coding = headers.get("content-encoding", "")
            await self.runtime.life.remember(exchange, fields, lambda: messages.decoded(body, coding), otherwise)
        finally:
            self._work.end(flow_id)

    # Whose call it is

    def _visit(self, flow: http.HTTPFlow, heads: Mapping[bytes, bytes]) -> Visit:
        request, sni, rules = flow.request, flow.client_conn.sni, self.runtime.rules
        host = request.host.lower()
        if sni and (sni := sni.lower()) != host:
            if not _is_address(host):
                return Visit(host)
            host = sni
        # The rules bind to the name that TLS verifies, and the Host header must agree with it.
        named = request.authority or heads.get(b"host", b"").decode("latin-1")
        if _host_of(named or host) != host:
            return Visit(host)
        own = rules.config.manage.host
        place = request.scheme, host, request.port
        direct = request.scheme == "http" and error_stream.is_direct(request)
        if host == own or host.endswith("." + own) or self._is_own_address(flow, direct, rules):
            return Visit(host, managed=True, direct=direct)
        rule = rules.find(*place, request.path.partition("?")[0], heads)
        if protocol := _other_protocol(heads):
            return Visit(host, rule or rules.at(*place), bypass=protocol, direct=direct)
        is_post = request.data.method == b"POST"  # not `method`, which makes it upper case
        return Visit(host, rule if is_post else None, direct=direct)

    @staticmethod
    def _is_own_address(flow: http.HTTPFlow, direct: bool, rules: Rules) -> bool:
        own_address, own_port, *_ = flow.client_conn.sockname
        host, port = flow.request.host.lower(), flow.request.port
        if flow.client_conn.sni is not None or not (direct or port == own_port):
            return False
        if host == own_address or host in _LOCAL_NAMES or host in rules.config.manage.aliases:
            return port == own_port or rules.at("http", host, port) is None
        # What was sent to us as to a server, by an address that is not ours, came by way of somebody who translates
        # addresses, such as a container's host. A name may be another's, made to lead here; an address cannot.
        return direct and _is_address(host) and rules.at("http", host, port) is None


def _other_protocol(heads: Mapping[bytes, bytes]) -> str:
    """What a request asks to speak instead of what the wire formats do; empty where it does not."""
    if heads.get(b"upgrade", b"").lower() == b"websocket":
        return "websocket"
    return "grpc" if heads.get(b"content-type", b"").startswith(b"application/grpc") else ""


@lru_cache(1024)
def _host_of(authority: str) -> str:
    return parse_authority(authority, check=False)[0].lower()


def _client_left(flow: http.HTTPFlow) -> bool:
    # An HTTP/2 client that resets one stream stays connected, and only mitmproxy's words tell it from the provider.
    return not flow.client_conn.connected or (flow.error is not None and "by client" in flow.error.msg)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
