"""The life of one call, without mitmproxy: read, identify, look up, reply; or let it pass, and remember the answer.

One rule: nothing here raises to the caller. A fault is reported once and the call goes to the provider as if Askonce
were not there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from askonce.accounting import Accounting
from askonce.cache import FOREVER, Cache, ComparedCall, Identity, Lookup, Nearest, Policy, StoreError
from askonce.call import Answer, Call, Reply, Request, Unstorable, Usage
from askonce.calls import response_headers
from askonce.calls.aws_signature import is_signed
from askonce.calls.batches import Batch
from askonce.calls.broadcast import Broadcast, Follower
from askonce.calls.held_bodies import held_bodies
from askonce.calls.kept_request import pack
from askonce.calls.limits import is_intricate
from askonce.calls.product_terms import PLAIN, Terms
from askonce.calls.reader import Reader
from askonce.calls.refresh import Refresh, Refreshes
from askonce.calls.refusals import failure, refusal, strict_message
from askonce.calls.response_headers import Headers, fresh_id
from askonce.calls.single_flight import FlightEnd, Flights
from askonce.calls.state import Declined, Dividing, Exchange, Following, Hit, Leading, Passing
from askonce.faults import Faults
from askonce.network.rate_limits import Rates
from askonce.rules import Rule, Rules
from askonce.settings import Mode
from askonce.wire.base import Replay
from askonce.workers import Compute

__all__ = ["Life"]

type AskAgain = Callable[[Rule, Request], Awaitable[Reply]]
"""Asks a provider, by way of the proxy and past the cache. Raises OSError or httpx.HTTPError where it cannot."""


Reconsider = Callable[[Call, Identity, Lookup], Awaitable[Lookup]]
"""The last word on a lookup that did not find the same call."""
_AT_ONCE = 256
"""Items of a batch that are handed to the store together."""
_CALLERS = 4
"""One caller may use up a fourth of what checks may cost."""
_AUDITED = 64
"""Checks whose answers are awaited; of one that failed nothing is heard."""
_DEFAULT_TEMPERATURE = 1.0
"""What providers use where a request names none."""


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
        refresh: Refresh | None = None,
        ask_again: AskAgain | None = None,
        gray_zone: Reconsider | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`lasting`: answers are for everybody and have no end, as in a cassette.

        Without `refresh` no answer is served stale, without `ask_again` no batch is asked in part.
        `gray_zone` has the last word on misses.
        """
        self.rules = rules
        self.cache = cache
        self.accounting = accounting
        self._faults = faults
        self._compute = compute
        self._mode, self._lasting = mode, lasting
        self._flights = Flights()
        self._refreshes = Refreshes(refresh, self._flights, faults)
        self._ask_again, self._gray_zone = ask_again, gray_zone
        self._audits_due = dict[str, float]()
        """By rule; at 1 the next hit is checked."""
        self._audited = dict[bytes, Lookup]()
        """Exact key -> the hit that is being checked."""
        self._audits = Rates()
        self._reader = Reader(cache, faults, mode=mode, lasting=lasting)
        self._clock = clock

    def begin(self, rule: Rule, request: Request, terms: Terms = PLAIN) -> Exchange:
        """Read and identify a call whose body is whole. With terms of its own, `request.raw` is None.

        Whoever begins one accounts for it in the end.
        """
        exchange = self._reader.read(rule, request, terms)
        self.accounting.begin()
        return exchange

    async def begin_apart(self, rule: Rule, request: Request, terms: Terms = PLAIN) -> Exchange:
        """The same in Askonce's own threads, for a body of more than `limits.SMALL`: others need not wait for it."""
        started = time.perf_counter()
        exchange = await self._compute(lambda: self._reader.read(rule, request, terms))
        exchange.started = started
        self.accounting.begin()
        return exchange

    def pass_by(self, rule: Rule, request: Request, why: str) -> Exchange:
        """A call that is none to answer, a WebSocket or gRPC: it is counted, and nothing of it is read."""
        self.accounting.begin()
        return Exchange(rule, request, time.perf_counter(), bypass=why)

    def look_up_in_memory(self, exchange: Exchange) -> Reply | None:
        """The reply to an identical call that is still in memory; microseconds, no waiting."""
        if exchange.identity is None or exchange.bypass or not exchange.directives.read:
            return None
        try:
            found = self.cache.look_up_in_memory(exchange.identity, self._policy(exchange))
            exchange.lookup = found and self._admitted(exchange, found)
            return self._reply(exchange) if exchange.lookup else None
        except Exception as error:  # fail open
            self._forward(exchange, error)
            return None

    async def look_up(self, exchange: Exchange) -> Reply | None:
        """The reply from the cache, or None where the provider is to be asked."""
        reply = None
        if exchange.identity is not None and exchange.call and not exchange.bypass and exchange.directives.read:
            try:
                reply = await self._look_up(exchange, exchange.call, exchange.identity)
            except Exception as error:  # fail open
                self._forward(exchange, error)
        elif exchange.identity and exchange.is_to_be_kept and self._refreshes.arrived(exchange.identity):
            exchange.state = Leading()
        if reply is None:
            exchange.decided = time.perf_counter() - exchange.started
            reply = await self._refuse(exchange)
        if reply is None and exchange.batch and (body := self._remaining(exchange, exchange.batch)) is not None:
            exchange.state = Dividing(body, leads=isinstance(exchange.state, Leading))
        return reply

    def _remaining(self, exchange: Exchange, batch: Batch) -> bytes | None:
        """The body that asks for what is not known of a batch; None where all of it is to be asked."""
        may = exchange.may_divide and exchange.is_to_be_kept and self._ask_again and not held_bodies.is_half_full
        if not may or is_signed(exchange.request.headers):
            return None
        try:
            return batch.asked_body(exchange.request.body)
        except Exception as error:  # fail open
            batch.forget()
            self._faults.report("dividing a batch", error, "all of it goes to the provider")
            return None

    async def _look_up_once(self, exchange: Exchange, call: Call, identity: Identity, policy: Policy) -> Lookup:
        batch, admits = exchange.batch, exchange.terms.admits
        if batch is None:
            return await self.cache.look_up(call, identity, policy)
        found = await self.cache.look_up_each(batch.identities, replace(policy, max_stale=0.0))
        batch.known = [None if entry is None or admits(entry) else entry for entry in found]
        entry = await self._compute(batch.entry)
        return Lookup("exact", entry, 1.0, 1.0, "", entry) if entry else Lookup("miss", reason=batch.missing)

    async def _look_up(self, exchange: Exchange, call: Call, identity: Identity) -> Reply | None:
        fresh = self._policy(exchange)
        max_stale = self._max_stale(exchange)
        policy = replace(fresh, max_stale=max_stale) if max_stale else fresh
        while True:
            found = await self._look_up_once(exchange, call, identity, policy)
            if found.outcome != "exact":
                found = await self._reconsider(exchange, call, identity, found)
            exchange.lookup = self._admitted(exchange, found)
            request = exchange.terms.again or exchange.request
            if exchange.lookup.stale and not self._refreshes.begin(exchange.rule, request, exchange.lookup, identity):
                policy = fresh
                continue
            if reply := self._reply(exchange):
                self._audit(exchange, request, identity)
                return reply
            if exchange.directives.only_if_cached or not exchange.directives.write:
                return None
            if self._flights.lead(identity.exact):
                exchange.state = Leading()
                return await self._overtaken(exchange, call, identity, fresh)
            flown = await self._flights.follow(identity.exact, lambda broadcast: _join(exchange, call, broadcast))
            if isinstance(flown, Follower):
                exchange.state = Following(flown)
                return None
            if flown == "unstorable":
                return None

    async def _reconsider(self, exchange: Exchange, call: Call, identity: Identity, found: Lookup) -> Lookup:
        """The last word on a lookup that did not find the same call."""
        found = await exchange.terms.reconsider(call, identity, found)
        if found.outcome == "miss" and self._gray_zone and not exchange.terms.verifies:
            return await self._gray_zone(call, identity, found)
        return found

    async def _overtaken(self, exchange: Exchange, call: Call, identity: Identity, policy: Policy) -> Reply | None:
        """The reply to a call whose answer was kept while it was being looked for: there was nobody to wait for any
        more when that ended."""
        if exchange.batch is None:
            found = self.cache.look_up_in_memory(identity, policy)
        else:
            held = self.cache.holds(exchange.batch.identities)
            found = await self._look_up_once(exchange, call, identity, policy) if held else None
        found = found and self._admitted(exchange, found)
        if not found or not found.entry:
            return None
        exchange.lookup = found
        reply = self._reply(exchange)
        self._flights.end(identity.exact, "stored")
        return reply

    @staticmethod
    def _admitted(exchange: Exchange, found: Lookup) -> Lookup:
        why = found.entry and exchange.terms.admits(found.entry)
        return replace(found, outcome="miss", entry=None, stale=False, reason=why) if why else found

    def _max_stale(self, exchange: Exchange) -> float:
        may = self._may_ask_again(exchange) and exchange.rule.behaviour.stale_while_revalidate
        return exchange.directives.max_stale if may else 0.0

    def _may_ask_again(self, exchange: Exchange) -> bool:
        terms = exchange.terms
        return exchange.directives.write and self._mode != "strict" and (terms is PLAIN or terms.again is not None)

    def _audit(self, exchange: Exchange, request: Request, identity: Identity) -> None:
        """Have the provider asked what was just answered, now and then: its answer says whether that was right."""
        found, rule = exchange.lookup, exchange.rule
        if not found or found.outcome != "semantic" or found.stale or exchange.directives.only_if_cached:
            return
        if not found.weighed or not found.weighed.comparable:
            return  # a call that teaches nothing, whatever the provider says
        due = self._audits_due.get(rule.name, 0.0) + rule.behaviour.audit
        may = due >= 1 and self._may_ask_again(exchange) and self._may_cost(rule, identity)
        if may and self._refreshes.ask_again(rule, request, identity):
            due -= 1
            if len(self._audited) >= _AUDITED:
                self._audited.clear()
            self._audited[identity.exact] = found
        self._audits_due[rule.name] = min(due, 1.0)

    def _may_cost(self, rule: Rule, identity: Identity) -> bool:
        """Whether one more check is within the hour's bound: a check costs what a call costs, and one caller shall
        neither run up the bill of all nor leave the others unchecked."""
        most = rule.behaviour.audits_per_hour
        own = f"{max(1, most // _CALLERS)}/hour"
        return (
            most > 0
            and self._audits.take(own, rule.name, identity.tenant).allowed
            and self._audits.take(f"{most}/hour", rule.name).allowed
        )

    async def close(self) -> None:
        """End what runs in the background."""
        await self._refreshes.close()

    async def nearest(self, exchange: Exchange) -> Nearest | None:
        """The stored call that is most like this one, in whatever partition; None where there is none."""
        call, identity = exchange.call, exchange.identity
        if not call or not identity:
            return None
        try:
            named = {"namespace": exchange.directives.namespace, "host": exchange.request.host}
            return await self.cache.nearest(ComparedCall.by(call, identity, **named, upstream=exchange.rule.name))
        except Exception as error:
            self._faults.report("comparing calls", error, "what differs from the nearest call is not told")
            return None

    async def _refuse(self, exchange: Exchange) -> Reply | None:
        """The reply to a caller who wants no answer but a stored one; None for all others."""
        if self._mode == "strict" and exchange.bypass != "rule":
            nearest = await self.nearest(exchange)
            why = exchange.why or "no entry"
            reply = refusal(strict_message(exchange.rule.name, exchange.call, why, nearest), "strict")
        elif exchange.directives.only_if_cached:
            message = "Askonce has no answer to this call, and the request says only-if-cached"
            reply = refusal(f"{message} ({exchange.why})" if exchange.why else message, "only-if-cached")
        else:
            return None
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
        if not 200 <= status < 300:
            exchange.unkept = f"status {status}"
        return response_headers.of_miss(exchange)

    async def complete(self, exchange: Exchange, headers: Headers, body: Callable[[], bytes]) -> Reply:
        """The reply to a batch of which the provider was asked only a part: its answer, and what was known.

        Where the two do not fit, the whole batch is asked for, as it would have been without Askonce.
        """
        batch, headers = exchange.batch, tuple(headers)
        assert batch and self._ask_again

        def joined() -> bytes:
            batch.answers = self._assemble(exchange, headers, body())
            return batch.joined(Replay(self._clock(), fresh_id, exchange.rule.behaviour.usage == "zero"))

        try:
            reply = Reply(await self._compute(joined), "application/json")
            return replace(reply, headers=(("x-cache-tokens-saved", f"input={batch.saved}, output=0"),))
        except Exception as error:  # fail open
            leads = isinstance(exchange.state, Dividing) and exchange.state.leads
            exchange.state = Leading() if leads else Passing()
            exchange.unkept = "does not fit the part that was asked"
            self._faults.report("completing a batch", error, "all of it is asked of the provider")
        try:
            return await self._ask_again(exchange.rule, exchange.request)
        except Exception as error:
            self._faults.report("asking for a batch again", error, "the app gets a 502")
            return failure(
                "Askonce could not complete a batch of which it knew a part, and the provider not be reached"
            )

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

    def reply_to_follower(self, exchange: Exchange, broadcast: Broadcast) -> Reply:
        """The head of the reply to a call that follows another's response."""
        return response_headers.of_collapsed(exchange, broadcast)

    async def remember(
        self, exchange: Exchange, headers: Headers, body: Callable[[], bytes], otherwise: FlightEnd = "unstorable"
    ) -> None:
        """Keep the provider's answer, where it is whole and good, and count the call; `otherwise` is for who waits.

        `body` gives the response's bytes without any content-encoding; like everything that takes long it is called in
        Askonce's own threads.
        """
        call, identity, batch = exchange.call, exchange.identity, exchange.batch
        assert call and identity
        took = time.perf_counter() - exchange.started
        answers, packed, stored = list[Answer](), b"", False
        try:
            if not (answers := batch.answers if batch else []):
                answers, packed = await self._compute(
                    lambda: (self._assemble(exchange, headers, body()), _pack(exchange))
                )
            asked = (
                [(batch.call.items[at], batch.identities[at]) for at in batch.wanted] if batch else [(call, identity)]
            )
            keep = [(*one, answer) for one, answer in zip(asked, answers, strict=True)]
            for start in range(0, len(keep), _AT_ONCE):
                await asyncio.gather(
                    *[self._keep(exchange, *one, packed, took) for one in keep[start : start + _AT_ONCE]]
                )
            stored = True
        except Unstorable as error:
            exchange.unkept = str(error)
        except StoreError:  # the cache has said so
            exchange.unkept = "fault"
        except Exception as error:  # fail open: the app has its answer already
            exchange.unkept = "fault"
            self._faults.report("storing an answer", error, "the app got its answer, it is not kept")
        finally:
            self.release(exchange, "stored" if stored else otherwise)
        used = [answer.usage for answer in answers]
        usage = Usage(sum(one.input_tokens for one in used), sum(one.output_tokens for one in used))
        self.account(exchange, usage=usage if used else None, stored=stored, seconds=took)

    async def _keep(
        self, exchange: Exchange, call: Call, identity: Identity, answer: Answer, packed: bytes, took: float
    ) -> None:
        kept = await self.cache.remember(
            call,
            identity,
            answer,
            upstream=exchange.rule.name,
            host=exchange.request.host,
            ttl=FOREVER - self._clock() if self._lasting else exchange.rule.behaviour.ttl,
            stale=0.0 if self._lasting else exchange.rule.behaviour.stale_while_revalidate,
            uses={} if self._lasting else exchange.rule.uses,
            namespace=exchange.directives.namespace,
            upstream_seconds=took,
            found=exchange.lookup or self._audited.pop(identity.exact, None),
            labels=exchange.terms.labels,
            request=packed,
            still=exchange.terms.keeps,
        )
        exchange.terms.kept(kept)

    @staticmethod
    def _assemble(exchange: Exchange, headers: Headers, body: bytes) -> list[Answer]:
        """The provider's answer; those to the items that were asked, where the call is a batch."""
        assert exchange.call
        content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
        if not content_type.isascii():
            raise Unstorable("a content type that is no text")
        if content_type.startswith("application/json") and is_intricate(body, items=False):
            raise Unstorable("more values than limits.max_values")
        batch = exchange.batch
        asked = batch.asked if batch else exchange.call
        whole = exchange.rule.wire.assemble(body, content_type, asked)
        answers = batch.wire.divide(whole, asked) if batch else [whole]
        if any(len(answer.body) > exchange.rule.behaviour.max_answer for answer in answers):
            raise Unstorable("larger than max_answer")
        repeatable = response_headers.repeatable(headers)
        return [replace(answer, headers=repeatable) for answer in answers]

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
        price = self.rules.price(exchange.call.model) if exchange.served and exchange.call else None
        record = exchange.record(usage, price, stored, seconds)
        self.accounting.record(record)
        try:
            exchange.terms.over(record)
        except Exception as error:  # fail open: the call is over
            self._faults.report("counting a product's call", error, "the call was answered")
        self.accounting.end()

    def _policy(self, exchange: Exchange) -> Policy:
        if exchange.policy:
            return exchange.policy
        behaviour, call = exchange.rule.behaviour, exchange.call
        temperature = call.temperature if call and call.temperature is not None else _DEFAULT_TEMPERATURE
        allowed = Policy(
            semantic=behaviour.match == "semantic"
            and temperature <= behaviour.max_temperature
            and self._mode != "strict",
            max_error=behaviour.max_error,
            max_age=exchange.directives.max_age,
            min_fresh=exchange.directives.min_fresh,
            uses=exchange.rule.uses,
        )
        exchange.policy = exchange.terms.policy(allowed)
        return exchange.policy

    def _reply(self, exchange: Exchange) -> Reply | None:
        lookup, call = exchange.lookup, exchange.call
        if lookup is None or lookup.outcome == "miss" or lookup.entry is None or call is None:
            return None
        entry, now = lookup.entry, self._clock()
        reply = exchange.rule.wire.replay(
            entry.answer, call, Replay(now, fresh_id, exchange.rule.behaviour.usage == "zero")
        )
        exchange.decided = time.perf_counter() - exchange.started
        reply = response_headers.of_hit(reply, lookup, entry, now)
        exchange.state, exchange.status = Hit(), reply.status
        return reply

    def _forward(self, exchange: Exchange, error: Exception) -> None:
        exchange.lookup = None
        if isinstance(exchange.state, Hit):
            exchange.state, exchange.status = Passing(), 0
        if exchange.batch:
            exchange.batch.forget()
        self._faults.report("looking up an answer", error, "the call goes to the provider")


def _pack(exchange: Exchange) -> bytes:
    """What is kept of a request; nothing of a batch, to whose parts the answers belong."""
    if exchange.batch:
        return b""
    request = exchange.request
    return pack(request, exchange.rule.headers.choices(request.headers))


def _join(exchange: Exchange, call: Call, broadcast: Broadcast) -> Follower | None:
    if not exchange.may_follow or exchange.directives.max_age == 0 or exchange.rule.behaviour.usage == "zero":
        return None
    return broadcast.follow(call, exchange.request.headers)
