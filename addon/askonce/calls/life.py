"""The life of one call, without mitmproxy: read, identify, look up, reply; or let it pass, and remember the answer.

One rule: nothing here raises to the caller. A fault is reported once and the call goes to the provider as if Askonce
were not there.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from askonce.accounting import Accounting
from askonce.accounting.trace_context import join_trace
from askonce.cache import Cache
from askonce.call import Reply, Request, Usage
from askonce.calls import response_headers
from askonce.calls.audits import Audits
from askonce.calls.broadcast import Broadcast
from askonce.calls.dependencies import Dependencies
from askonce.calls.divisions import AskAgain, Divisions
from askonce.calls.fallback import Fallbacks, may_fall_back
from askonce.calls.held_bodies import NO_ROOM
from askonce.calls.lookup import LookUps, Reconsider, admitted, is_large
from askonce.calls.product_terms import PLAIN, Terms
from askonce.calls.reader import CallReader
from askonce.calls.refresh import Refresh, Refreshes
from askonce.calls.repeats import Repeats
from askonce.calls.response_headers import Headers
from askonce.calls.shadow import Shadow
from askonce.calls.single_flight import FlightEnd, Flights
from askonce.calls.state import Declined, Dividing, Exchange, Following, Hit, Leading, Passing
from askonce.calls.stored_only import StoredOnly
from askonce.calls.storing import Storing
from askonce.faults import Faults
from askonce.rules import Rule, Rules
from askonce.settings import Mode
from askonce.workers import Compute

__all__ = ["Life"]


class Life:
    """Decides what becomes of a call. One for the process; its coroutines belong to one event loop."""

    def __init__(
        self,
        *,
        rules: Rules,
        cache: Cache,
        accounting: Accounting,
        faults: Faults,
        compute: Compute,
        mode: Mode = "normal",
        lasting: bool = False,
        keeps_errors: bool = False,
        refresh: Refresh | None = None,
        ask_again: AskAgain | None = None,
        gray_zone: Reconsider | None = None,
        dependencies: Dependencies | None = None,
        traces: bool = False,
        shadow: Shadow | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`lasting`: answers are for everybody and have no end, as in a cassette; where `keeps_errors`, so are errors.

        Without `refresh` no answer is served stale, without `ask_again` no batch is asked in part.
        `gray_zone` has the last word on misses, `shadow` hears of them once they are answered.
        `dependencies` are those of the cache.
        `traces`: each call has a span, in its caller's trace.
        """
        self.rules = rules
        self.cache = cache
        self.accounting = accounting
        self._faults = faults
        self._compute = compute
        self._shadow = shadow
        self.stored_only = StoredOnly(cache, faults, strict=mode == "strict")
        self.divisions = Divisions(ask_again, compute, faults, clock)
        self._flights = Flights(cache.end_flight)
        self._refreshes = Refreshes(refresh, self._flights, faults)
        self._reader = CallReader(cache, faults, mode=mode, lasting=lasting)
        audits = Audits(self._refreshes)
        self._look_ups = LookUps(
            cache,
            self._flights,
            self._refreshes,
            audits,
            compute=compute,
            strict=mode == "strict",
            may_watch=mode == "normal",
            gray_zone=gray_zone,
            clock=clock,
        )
        self._fallbacks = Fallbacks(cache, self._look_ups, clock)
        self._dependencies = dependencies or Dependencies(cache)
        self._traces = traces
        self._repeats = Repeats(cache, records=mode == "record") if lasting else None
        self._storing = Storing(
            cache, audits, self._repeats, lasting=lasting, compute=compute, faults=faults, clock=clock
        )
        self._keeps_errors, self._lasting = keeps_errors, lasting

    def begin(self, rule: Rule, request: Request, terms: Terms = PLAIN) -> Exchange:
        """Read and identify a call whose body is whole. With terms of its own, `request.raw` is None.

        Whoever begins one accounts for it in the end.
        """
        return self._begun(self._reader.read(rule, request, terms))

    async def begin_apart(self, rule: Rule, request: Request, terms: Terms = PLAIN) -> Exchange:
        """The same in Askonce's own threads, for a body of more than `limits.SMALL`: others need not wait for it."""
        started = time.perf_counter()
        exchange = await self._compute(lambda: self._reader.read(rule, request, terms))
        exchange.started = started
        return self._begun(exchange)

    def pass_by(self, rule: Rule, request: Request, why: str) -> Exchange:
        """A call that is none to answer, a WebSocket or gRPC: it is counted, and nothing of it is read."""
        return self._begun(Exchange(rule, request, time.perf_counter(), bypass=why))

    def rewind(self) -> None:
        """Count the calls of a cassette as asked for the first time again; see `Repeats`."""
        if self._repeats:
            self._repeats.rewind()

    def _begun(self, exchange: Exchange) -> Exchange:
        exchange.keeps_errors = self._keeps_errors
        exchange.needs_approval = exchange.rule.behaviour.approve and not self._lasting
        if self._repeats:
            self._repeats.begin(exchange)
        if exchange.depends:
            exchange.underway = self._dependencies.begin(exchange.depends)
        if self._traces:
            headers = exchange.request.headers
            exchange.trace = join_trace(headers.get("traceparent", ""), headers.get("tracestate", ""))
        self.accounting.begin()
        return exchange

    def look_up_in_memory(self, exchange: Exchange) -> Reply | None:
        """The reply to an identical call that is still in memory; microseconds, no waiting."""
        if exchange.identity is None or exchange.bypass or not exchange.directives.read:
            return None
        if self._look_ups.watches(exchange):
            return None
        try:
            found = self.cache.look_up_in_memory(exchange.identity, self._look_ups.policy(exchange))
            if is_large(found):
                return None
            exchange.lookup = found and admitted(exchange, found)
            return self._look_ups.reply(exchange) if exchange.lookup else None
        except Exception as error:  # fail open
            self._forward(exchange, error)
            return None

    async def look_up(self, exchange: Exchange) -> Reply | None:
        """The reply from the cache, or None where the provider is to be asked."""
        reply = None
        if exchange.identity is not None and exchange.call and not exchange.bypass and exchange.directives.read:
            try:
                reply = await self._look_ups.look_up(exchange, exchange.call, exchange.identity)
            except Exception as error:  # fail open
                self._forward(exchange, error)
        elif exchange.identity and exchange.is_to_be_kept and self._refreshes.arrived(exchange.identity):
            exchange.state = Leading()
        if reply is None:
            exchange.decided = time.perf_counter() - exchange.started
            reply = await self._refuse(exchange)
        if reply is None and (body := self.divisions.remaining(exchange)) is not None:
            exchange.state = Dividing(body, leads=isinstance(exchange.state, Leading))
        if reply is None:
            await self._fallbacks.prepare(exchange)
        return reply

    def fall_back(self, exchange: Exchange, status: int) -> Reply | None:
        """That answer; None where there is none, or not any more. `status` is 0 where the provider did not answer."""
        if not may_fall_back(exchange, status):
            return None
        self.release(exchange, "unstorable")  # nothing will be kept of this
        missed = exchange.lookup
        try:
            return self._fallbacks.reply(exchange, status)
        except Exception as error:  # fail open
            exchange.lookup = missed
            self._faults.report("falling back", error, "the app gets the provider's error")
            return None

    async def take_back(self, exchange: Exchange) -> Reply | None:
        """Serve no hit after all, as nobody reads so many; None where the provider is to be asked."""
        self._forward(exchange, OSError(NO_ROOM), "keeping a hit until it is read")
        return await self._refuse(exchange)

    async def close(self) -> None:
        """End what runs in the background."""
        await self._refreshes.close()

    async def _refuse(self, exchange: Exchange) -> Reply | None:
        """The reply to a caller who wants no answer but a stored one; None for all others."""
        reply = await self.stored_only.refuse(exchange)
        if reply:
            self.decline(exchange, reply.status)
        return reply

    def decline(self, exchange: Exchange, status: int) -> None:
        """Take note that the caller is told no with `status`, and the provider not asked."""
        self.release(exchange, "unstorable")
        exchange.state, exchange.status = Declined(), status

    def relay(self, exchange: Exchange, status: int) -> None:
        """Take note that the response which a call follows, with `status`, begins to be passed on to it."""
        assert isinstance(exchange.state, Following)
        exchange.state, exchange.status = replace(exchange.state, is_relayed=True), status

    def pass_on(self, exchange: Exchange, status: int) -> Headers:
        """Take note of the provider's status; returns the response headers that tell the caller what happened."""
        exchange.status = status
        if not (200 <= status < 300 or exchange.is_error):
            exchange.unkept = f"status {status}"
        return response_headers.of_miss(exchange, is_kept=exchange.is_recorded and not self.cache.failure)

    def share(
        self, exchange: Exchange, headers: Callable[[], Headers], so_far: Callable[[], bytes | None]
    ) -> Broadcast | None:
        """What identical calls follow the response by, which streams from here on; None where they may not."""
        leads = isinstance(exchange.state, Leading) and exchange.is_recorded
        if not (leads and exchange.identity and exchange.call and exchange.call.stream):
            return None
        broadcast = Broadcast(exchange.call, exchange.status, headers, so_far)
        self._flights.begin(exchange.identity.exact, broadcast)
        return broadcast

    def is_awaited(self, exchange: Exchange) -> bool:
        """Whether identical calls wait for what is to come of the response."""
        leads = isinstance(exchange.state, Leading) and exchange.identity
        return bool(leads and self._flights.is_awaited(leads.exact))

    def reply_to_follower(self, exchange: Exchange, broadcast: Broadcast) -> Reply:
        """The head of the reply to a call that follows another's response."""
        return response_headers.of_collapsed(exchange, broadcast)

    def expect(self, exchange: Exchange) -> None:
        """The provider's answer is whole, and about to be kept: who asks for it from here on waits until it is.

        To be called before the caller has the last byte of it.
        """
        if exchange.call and exchange.identity and exchange.is_recorded:
            self._storing.expect(exchange)

    async def remember(
        self, exchange: Exchange, headers: Headers, body: Callable[[], bytes], otherwise: FlightEnd = "unstorable"
    ) -> None:
        """Keep the provider's answer, where it is whole and good, and count the call; `otherwise` is for who waits.

        `body` gives the response's bytes without any content-encoding; like everything that takes long it is called in
        Askonce's own threads.
        """
        took, stored = time.perf_counter() - exchange.started, False
        try:
            answers, stored = await self._storing.store(exchange, headers, body, took)
        finally:
            self.release(exchange, "stored" if stored else otherwise)
        used = [answer.usage for answer in answers]
        usage = Usage(sum(one.input_tokens for one in used), sum(one.output_tokens for one in used))
        self.account(exchange, usage=usage if used else None, stored=stored, seconds=took)
        if self._shadow and exchange.lookup and not exchange.batch and not exchange.terms.verifies:
            assert exchange.call and exchange.identity
            self._shadow.consider(exchange.call, exchange.identity, exchange.lookup)

    def release(self, exchange: Exchange, ending: FlightEnd) -> None:
        """Let those go on who wait for this call. Harmless where nobody does, and a second time."""
        match exchange.state:
            case Leading():
                exchange.state = Passing()
            case Dividing(body, leads=True):
                exchange.state = Dividing(body)
            case _:
                return
        assert exchange.identity
        self._flights.end(exchange.identity.exact, ending)

    def account(
        self, exchange: Exchange, *, usage: Usage | None = None, stored: bool = False, seconds: float | None = None
    ) -> None:
        """Count a call that is over, once, and let those go on who wait for it."""
        if exchange.is_over:
            return
        exchange.is_over = True
        self.release(exchange, "failed" if exchange.status == 0 else "unstorable")
        seconds = time.perf_counter() - exchange.started if seconds is None else seconds
        is_priced = exchange.served or exchange.watched
        price = self.rules.price(exchange.call.model) if exchange.call and is_priced else None
        record = exchange.record(usage, price, stored, seconds)
        self.accounting.record(record)
        try:
            exchange.terms.over(record)
        except Exception as error:  # fail open: the call is over
            self._faults.report("counting a product's call", error, "the call was answered")
        self.accounting.end()

    def _forward(self, exchange: Exchange, error: Exception, what: str = "looking up an answer") -> None:
        exchange.lookup = None
        if isinstance(exchange.state, Hit):
            exchange.state, exchange.status = Passing(), 0
        if exchange.batch:
            exchange.batch.forget()
        self._faults.report(what, error, "the call goes to the provider")
