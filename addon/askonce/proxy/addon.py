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

from askonce.calls.origin import decide
from askonce.calls.state import Dividing, Exchange
from askonce.products.document import Config
from askonce.proxy import client_hello, error_stream, http1, http2, messages, relay_stream, responses
from askonce.proxy.asgi import AsgiBridge
from askonce.proxy.backpressure import Backpressure, handler_of
from askonce.proxy.collector import set_aside
from askonce.proxy.fast_lane_hooks import AtOnce
from askonce.proxy.flow_state import Visit, Work
from askonce.proxy.gate import Gate
from askonce.proxy.large_blocks import give_back_all, give_back_large_blocks
from askonce.proxy.patience import Patience
from askonce.proxy.requests import Requests
from askonce.proxy.watch import Watch
from askonce.rules import ConfigError
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

    def __init__(self, settings: Settings | None = None, config: Config | None = None) -> None:
        """`config`: what the rules file says, where it was just read."""
        self._settings, self._config = settings, config
        self.runtime: Runtime
        self._visits = WeakKeyDictionary[http.HTTPFlow, Visit]()
        self._work = Work()
        self._gate: Gate
        self._requests: Requests
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
            self.runtime = Runtime(settings, self._config)
        except ValueError as error:
            raise exceptions.OptionsError(str(error)) from error
        self._gate, watch = Gate(self.runtime), Watch(self.runtime)
        self.at_once = AtOnce(self.runtime, self._gate, watch, self._work)
        manage = AsgiBridge(
            lambda: self.runtime.management(self.reload), self.runtime.compute, probe=self.runtime.vital_sign
        )
        self._requests = Requests(self.runtime, self._gate, watch, self.at_once, manage)
        self._responses = responses.Responses(self.runtime, self._gate, self._work)
        self.addons += [self._gate, watch, self.at_once]

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
        await self.runtime.listening()
        logger.info("listening on %s", self.runtime.settings.listen)
        asyncio_utils.create_task(self._warm_up(), name="warm up", keep_ref=True)
        with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has no SIGHUP
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_hangup)

    async def _warm_up(self) -> None:
        await self.runtime.warm_up()
        if self.runtime.not_ready is None:
            logger.info("ready; the page is at %s/", self.runtime.settings.url)
        await self.runtime.compute(give_back_all)
        set_aside()
        await self.runtime.run_later(lambda: tokens.load(then=self._settle))

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
        origin = decide(arrival, self.runtime.rules)
        visit = Visit(origin, origin.rule, origin.protocol)
        if refusal := self._gate.refuse(flow, visit, arrival.heads):
            flow.response = refusal
            return
        self._visits[flow] = visit
        self._requests.begin(flow, visit, arrival.heads)

    def askonce_large(self, flow: http.HTTPFlow) -> None:
        """A body is larger than is read: it passes on as it is, or is refused where there is nobody to pass it to."""
        self._requests.leave_unfinished(flow, self._visits.get(flow), "large")

    def askonce_full(self, flow: http.HTTPFlow) -> None:
        """There is no room for a body; the same."""
        self._requests.leave_unfinished(flow, self._visits.get(flow), "full")

    async def request(self, flow: http.HTTPFlow) -> None:
        visit = self._visits.get(flow)
        if visit and not (flow.response or flow.error or flow.is_replay):
            await self._requests.answer(flow, visit)

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
        if unsent and flow.error and (response := self._responses.without_provider(flow, visit, flow.error.msg)):
            flow.response = response
        self._responses.cut(flow, visit)

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

    def _settle(self) -> None:
        set_aside()
        give_back_all()
