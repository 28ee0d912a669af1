"""The state of one call on its way through Askonce, and what is counted of it in the end.

One rule: only `Life` changes it, and `LookUps` for it.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from askonce.accounting import CallRecord, Outcome, Watched
from askonce.accounting.trace_context import TraceContext
from askonce.cache import Entry, Identity, Lookup, Pending, Policy, Verdict
from askonce.call import Call, Request, Usage
from askonce.calls.batches import Batch
from askonce.calls.broadcast import Follower
from askonce.calls.dependencies import Underway
from askonce.calls.directives import Directives
from askonce.calls.product_terms import PLAIN, Terms
from askonce.rules import Price, Rule
from askonce.rules.prices import cost

__all__ = ["Declined", "Dividing", "Exchange", "FallenBack", "Following", "Hit", "Leading", "Passing", "State"]

_SHOWN = 1_000
"""Characters of a prompt that are held for who looks at the last calls."""


@dataclass(frozen=True, slots=True)
class Passing:
    """The provider is asked, unless something is found yet; nobody waits for its answer."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Answered from the cache; the provider was not asked."""


@dataclass(frozen=True, slots=True)
class FallenBack:
    """Answered from the cache past the answer's time, because the provider failed."""

    status: int
    """The provider's; 0 where it gave none."""


@dataclass(frozen=True, slots=True)
class Declined:
    """Answered by Askonce that the provider is not asked."""


@dataclass(frozen=True, slots=True)
class Leading:
    """The provider is asked, and identical calls wait for its answer."""


@dataclass(frozen=True, slots=True)
class Following:
    """The response to an identical call is passed on to this one while it comes."""

    follower: Follower
    is_relayed: bool = False
    """It has begun to be; until then the call may have to go to the provider itself."""


@dataclass(frozen=True, slots=True)
class Dividing:
    """The provider is asked for a part of a batch, the items that are not known."""

    body: bytes
    """What is sent in place of the caller's."""
    leads: bool = False
    """Identical calls wait for the answer."""


State = Passing | Hit | FallenBack | Declined | Leading | Following | Dividing


@dataclass(slots=True)
class Exchange:
    """One call on its way through Askonce."""

    rule: Rule
    request: Request
    started: float
    """`time.perf_counter` when the request was whole."""
    terms: Terms = PLAIN
    """What a product asks besides."""
    directives: Directives = field(default_factory=Directives)
    call: Call | None = None
    """None where the request could not be read."""
    identity: Identity | None = None
    depends: Mapping[str, str] = field(default_factory=dict)
    """Tag -> version of what the answer depends on."""
    underway: Underway | None = None
    """Knows whether any of that was invalidated since the call began; None where it depends on nothing."""
    policy: Policy | None = None
    """What the caller accepts, once it was asked for."""
    lookup: Lookup | None = None
    fallback: Lookup | None = None
    """What may be served, past its time, should the provider fail."""
    state: State = Passing()
    """What becomes of it, as far as that is decided."""
    bypass: str = ""
    """Why the cache is left out; empty where it is not."""
    batch: Batch | None = None
    """Where the call is several in one."""
    keeps_errors: bool = False
    """The provider's errors are recorded as well."""
    seen: Counter[bytes] | None = None
    """How often each call of a cassette was asked in the same test."""
    needs_approval: bool = False
    """Only an answer that a person approved is served."""
    repeat: Identity | None = None
    """Under which the answer is kept, where the call was asked before; its own otherwise."""
    is_direct: bool = False
    """The app's own, and not one that a product makes of it: the provider can be asked for a part of a batch, and an
    answer past its time served in place of the provider's error."""
    may_follow: bool = False
    """Another call's response can be passed on to this one while it comes."""
    status: int = 0
    decided: float | None = None
    """Seconds that the decision took."""
    agreed: Verdict = "unknown"
    """Whether the provider's answer says what would have been served, where it is only watched."""
    pending: Sequence[Pending] = ()
    """The provider's answers, while they are whole and not kept yet."""
    unkept: str = ""
    """Why the provider's answer was not kept; empty where it was, or none came."""
    personal: str = ""
    """What kind of personal data kept the answer off; empty where none did."""
    trace: TraceContext | None = None
    """Its span; None where nobody traces."""
    is_over: bool = False
    """It is counted."""

    @property
    def outcome(self) -> Outcome:
        if self.bypass or not self.directives.read:
            return "bypass"
        return self.lookup.outcome if self.lookup else "miss"

    @property
    def why(self) -> str:
        """Why it was not answered from the cache, in a few words from a fixed list; empty for a hit."""
        if self.bypass or not self.directives.read:
            return self.bypass or "no-cache"
        if isinstance(self.state, Following) and self.state.is_relayed:
            return "collapsed"
        return self.lookup.reason if self.lookup else ""

    @property
    def is_answered(self) -> bool:
        """The caller has an answer for which no provider was asked on his behalf."""
        match self.state:
            case Hit() | Declined():
                return True
            case Following(is_relayed=is_relayed):
                return is_relayed
            case _:
                return False

    @property
    def kept_key(self) -> str:
        """The key under which the answer is kept; of a batch, that of the first item that was asked."""
        asked = self.batch.identities[self.batch.wanted[0]] if self.batch else self.repeat or self.identity
        return asked.key if asked else ""

    @property
    def is_overtaken(self) -> bool:
        """Something that the answer depends on was invalidated since the call began."""
        return self.underway is not None and self.underway.is_overtaken

    @property
    def is_recorded(self) -> bool:
        """The provider's answer is to be read along and kept."""
        return self.is_to_be_kept and (200 <= self.status < 300 or self.is_error)

    @property
    def is_error(self) -> bool:
        """The provider's response is an error that is recorded."""
        return self.keeps_errors and self.status >= 400 and not self.batch

    @property
    def is_to_be_kept(self) -> bool:
        """An answer is to be kept if it is good."""
        return self.call is not None and not self.bypass and self.directives.write

    @property
    def may_be_asked_again(self) -> bool:
        """The provider can be asked the same once more, in the background."""
        return self.directives.write and (self.terms is PLAIN or self.terms.again is not None)

    def record(self, usage: Usage | None, price: Price | None, stored: bool, seconds: float) -> CallRecord:
        """What is counted of the call, now that it is over; `price` is its model's."""
        # Each of these is asked once: this is on the way of every call.
        lookup, call, entry, outcome = self.lookup, self.call, self.served, self.outcome
        watched: Watched = lookup.watched if lookup and outcome == "miss" else ""
        is_answered, is_to_be_kept = self.is_answered, self.is_to_be_kept
        is_recorded = is_to_be_kept and 200 <= self.status < 300
        usage = usage or (entry.answer.usage if entry else Usage())
        return CallRecord(
            outcome=outcome,
            detail=self._detail,
            upstream=self.rule.name,
            wire=self.rule.wire.name,
            model=call.model if call else "",
            status=self.status,
            seconds=seconds,
            decision_seconds=self.decided,
            similarity=lookup.similarity if lookup else None,
            usage=usage,
            seconds_saved=max(0.0, entry.upstream_seconds - seconds) if entry else 0.0,
            money_saved=cost(usage, price) if entry else 0.0,
            stored=stored,
            key=entry.key if entry else self.kept_key if stored else "",
            forwarded=not is_answered,
            provider_failed=isinstance(self.state, FallenBack),
            method=self.request.method,
            endpoint=self.rule.endpoint,
            unkept=self.unkept
            or ("cut off, or far over max_answer" if is_recorded and not (stored or is_answered) else ""),
            asked=self.identity.key if self.identity else "",
            parts=self.identity.parts if self.identity else {},
            nearest=lookup.nearest.key if lookup and lookup.nearest else "",
            probability=lookup.probability if lookup else None,
            reuse=lookup.reuse.kind if lookup and lookup.reuse else "",
            owner=self.terms.owner,
            watched=watched,
            agreed=self.agreed if watched else "",
            money_watched=cost(usage, price) if watched else 0.0,
            host=self.request.host,
            port=self.request.port,
            temperature=call.temperature if call else None,
            trace=self.trace,
            ended=time.time() - (time.perf_counter() - self.started) + seconds,
            namespace=self.directives.namespace,
            prompt=call.prompt[:_SHOWN] if call and is_to_be_kept and not self.personal else "",
            personal=self.personal,
            decision=lookup.decision if lookup else "",
        )

    @property
    def watched(self) -> Watched:
        """What the call would have been, where its rule only watches; empty where nothing would have been served."""
        return self.lookup.watched if self.lookup and self.outcome == "miss" else ""

    @property
    def _detail(self) -> str:
        if isinstance(self.state, FallenBack):
            return "stale-if-error"
        return "stale" if self.lookup and self.lookup.stale else self.why

    @property
    def served(self) -> Entry | None:
        """The entry that answers the call."""
        return self.lookup.entry if self.lookup and self.lookup.outcome != "miss" else None
