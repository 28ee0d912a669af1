"""The reply to a call out of the cache: looked up, waited for where an identical call brings it, and replayed.

One rule: an entry is served only where the call's terms admit it, each time that it is found.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from askonce.cache import Cache, Entry, Identity, Lookup, Policy, unapproved, watched
from askonce.call import Call, Reply
from askonce.calls import response_headers
from askonce.calls.audits import Audits
from askonce.calls.broadcast import Broadcast, Follower
from askonce.calls.held_bodies import NO_ROOM, held_bodies
from askonce.calls.limits import SMALL
from askonce.calls.refresh import Refreshes
from askonce.calls.response_headers import fresh_id
from askonce.calls.single_flight import Flights
from askonce.calls.state import Exchange, FallenBack, Following, Hit, Leading, Passing
from askonce.wire.base import Replay
from askonce.workers import Compute

__all__ = ["LookUps", "Reconsider", "admitted", "is_large"]

type Reconsider = Callable[[Call, Identity, Lookup], Awaitable[Lookup]]
"""The last word on a lookup that did not find the same call."""

_HIT = Hit()
_DEFAULT_TEMPERATURE = 1.0
"""What providers use where a request names none."""


class LookUps:
    """Looks calls up. Belongs to one event loop; what it raises is a fault, and the call one for the provider."""

    def __init__(
        self,
        cache: Cache,
        flights: Flights,
        refreshes: Refreshes,
        audits: Audits,
        *,
        compute: Compute,
        strict: bool,
        may_watch: bool,
        gray_zone: Reconsider | None,
        clock: Callable[[], float],
    ) -> None:
        """`strict`: only identical calls are answered, and only with fresh answers. `may_watch`: a rule's
        `match: watch` holds. `gray_zone` has the last word on misses."""
        self._may_watch = may_watch
        self._cache, self._flights, self._refreshes, self._audits = cache, flights, refreshes, audits
        self._one_large = asyncio.Lock()
        self._compute, self._strict, self._gray_zone, self._clock = compute, strict, gray_zone, clock

    async def look_up(self, exchange: Exchange, call: Call, identity: Identity) -> Reply | None:
        """The reply from the cache; None where the provider is to be asked, with `exchange.state` saying how."""
        if self.watches(exchange):
            await self._watch(exchange, call, identity)
            return None
        fresh = self.policy(exchange)
        max_stale = self._max_stale(exchange)
        policy = replace(fresh, max_stale=max_stale) if max_stale else fresh
        while True:
            found = await self._look_up_once(exchange, call, identity, policy)
            if found.outcome != "exact":
                found = await self._reconsider(exchange, call, identity, found)
            exchange.lookup = admitted(exchange, found)
            request = exchange.terms.again or exchange.request
            if exchange.lookup.stale and not self._refreshes.begin(exchange.rule, request, exchange.lookup, identity):
                policy = fresh
                continue
            if reply := await self._reply_apart(exchange):
                if not self._strict:
                    self._audits.consider(exchange, request, identity)
                return reply
            if exchange.directives.only_if_cached or not exchange.directives.write or exchange.needs_approval:
                return None  # an answer that nobody has approved is given to nobody else, either
            if exchange.is_over:  # the caller has left, and nobody would end a flight of his
                return None
            if self._flights.lead(identity.exact):
                return await self._lead(exchange, call, identity, fresh)
            flown = await self._flights.follow(identity.exact, lambda broadcast: _join(exchange, call, broadcast))
            if isinstance(flown, Follower):
                exchange.state = Following(flown)
                return None
            if flown == "unstorable":
                return None

    def watches(self, exchange: Exchange) -> bool:
        """Whether it is only told what would have been served; what is recorded is played in any case."""
        return self._may_watch and exchange.rule.behaviour.match == "watch"

    async def _watch(self, exchange: Exchange, call: Call, identity: Identity) -> None:
        """Look up, for the record alone. The call neither waits for another nor leads one."""
        found = admitted(exchange, await self._look_up_once(exchange, call, identity, self.policy(exchange)))
        exchange.lookup = watched(found) if found.entry else found
        if exchange.batch:
            exchange.batch.forget()

    def policy(self, exchange: Exchange) -> Policy:
        """What the call accepts, of what its rule and its terms allow."""
        if exchange.policy:
            return exchange.policy
        behaviour, call = exchange.rule.behaviour, exchange.call
        temperature = call.temperature if call and call.temperature is not None else _DEFAULT_TEMPERATURE
        allowed = Policy(
            semantic=behaviour.match in ("semantic", "watch")
            and temperature <= behaviour.max_temperature
            and not self._strict,
            serves=not self.watches(exchange),
            approved=exchange.needs_approval,
            max_error=behaviour.max_error,
            max_age=exchange.directives.max_age,
            min_fresh=exchange.directives.min_fresh,
            uses=exchange.rule.uses,
        )
        exchange.policy = exchange.terms.policy(allowed)
        return exchange.policy

    async def _reply_apart(self, exchange: Exchange) -> Reply | None:
        """`reply`, of large answers one at a time and in Askonce's own threads: others need not wait for it. None where
        too many are still on their way to callers who do not read."""
        found = exchange.lookup
        if found is None or not is_large(found):
            return self.reply(exchange)
        async with self._one_large:
            if held_bodies.is_half_full:
                exchange.lookup = replace(found, outcome="miss", entry=None, stale=False, reason=NO_ROOM)
                return None
            return await self._compute(lambda: self.reply(exchange))

    def reply(self, exchange: Exchange, state: Hit | FallenBack = _HIT) -> Reply | None:
        """The entry that `exchange.lookup` found, replayed for this caller; None where it found none."""
        lookup, call = exchange.lookup, exchange.call
        if lookup is None or lookup.outcome == "miss" or lookup.entry is None or call is None:
            return None
        entry, now = lookup.entry, self._clock()
        if entry.answer.status == 200:
            replay = Replay(now, fresh_id, exchange.rule.behaviour.usage == "zero")
            reply = exchange.rule.wire.replay(entry.answer, call, replay)
        else:
            reply = Reply(entry.answer.body, entry.answer.content_type, entry.answer.status)
        exchange.decided = time.perf_counter() - exchange.started
        reply = response_headers.of_hit(reply, exchange, entry, state, now)
        exchange.state, exchange.status = state, reply.status
        return reply

    async def _look_up_once(self, exchange: Exchange, call: Call, identity: Identity, policy: Policy) -> Lookup:
        batch, admits = exchange.batch, exchange.terms.admits
        if batch is None:
            return await self._cache.look_up(call, identity, policy)
        found = await self._cache.look_up_each(batch.identities, replace(policy, max_stale=0.0))
        batch.known = [None if entry is None or admits(entry) else entry for entry in found]
        entry = await self._compute(batch.entry)
        return Lookup("exact", entry, 1.0, 1.0, "", entry) if entry else Lookup("miss", reason=batch.missing)

    async def _reconsider(self, exchange: Exchange, call: Call, identity: Identity, found: Lookup) -> Lookup:
        """The last word on a lookup that did not find the same call."""
        found = await exchange.terms.reconsider(call, identity, found)
        if found.outcome == "miss" and self._gray_zone and not exchange.terms.verifies:
            return await self._gray_zone(call, identity, found)
        return found

    async def _lead(self, exchange: Exchange, call: Call, identity: Identity, policy: Policy) -> Reply | None:
        """The reply to a call that leads here, where its answer has come all the same, or comes to another proxy."""
        exchange.state = Leading()
        if (reply := await self._overtaken(exchange, call, identity, policy)) or exchange.batch:
            return reply
        if not self._cache.is_shared:
            return None
        found = await self._cache.lead(identity, policy)
        if exchange.is_over:  # the caller has left
            if not self._flights.is_led(identity.exact):
                self._cache.end_flight(identity.exact)
            return None
        found = found and admitted(exchange, found)
        if not found or not found.entry:
            return None
        exchange.lookup, exchange.state = found, Passing()
        self._flights.end(identity.exact, "stored")
        return await self._reply_apart(exchange)

    async def _overtaken(self, exchange: Exchange, call: Call, identity: Identity, policy: Policy) -> Reply | None:
        """The reply to a call whose answer was kept while it was being looked for: there was nobody to wait for any
        more when that ended."""
        if exchange.batch is None:
            found = self._cache.look_up_in_memory(identity, policy)
        else:
            held = self._cache.holds(exchange.batch.identities)
            found = await self._look_up_once(exchange, call, identity, policy) if held else None
        found = found and admitted(exchange, found)
        if not found or not found.entry:
            return None
        exchange.lookup = found
        reply = self.reply(exchange)
        self._flights.end(identity.exact, "stored")
        return reply

    def _max_stale(self, exchange: Exchange) -> float:
        may = exchange.may_be_asked_again and not self._strict
        return min(exchange.directives.max_stale, exchange.rule.behaviour.stale_while_revalidate) if may else 0.0


def is_large(found: Lookup | None) -> bool:
    """Whether an answer was found that takes long to replay."""
    return found is not None and found.entry is not None and len(found.entry.answer.body) > SMALL


def admitted(exchange: Exchange, found: Lookup) -> Lookup:
    """`found`, or a miss where the call's terms do not admit what was found, or what it depends on was invalidated."""
    overtaken = "invalidated meanwhile" if exchange.is_overtaken else ""
    why = found.entry and (overtaken or _unapproved(exchange, found.entry) or exchange.terms.admits(found.entry))
    return replace(found, outcome="miss", entry=None, stale=False, reason=why) if why else found


def _unapproved(exchange: Exchange, entry: Entry) -> str:
    return unapproved(entry) if exchange.needs_approval else ""


def _join(exchange: Exchange, call: Call, broadcast: Broadcast) -> Follower | None:
    if not exchange.may_follow or exchange.directives.max_age == 0 or exchange.rule.behaviour.usage == "zero":
        return None
    if exchange.depends:  # the other's response may have been asked for before an invalidation, and this one after
        return None
    return broadcast.follow(call, exchange.request.headers)
