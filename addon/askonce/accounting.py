"""What became of every call: one table of counts, from which each statistic and each metric is a projection.

The rule: `record` costs a few microseconds, never fails, logs nothing and keeps no prompt; whoever wants a figure
reads it from the table later, so that two places cannot count the same thing differently.
"""

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal, NamedTuple, TypedDict

from askonce.call import Usage
from askonce.jsontext import encodable, rfc3339
from askonce.trace_context import TraceContext

__all__ = [
    "BUCKETS",
    "OUTCOMES",
    "Accounting",
    "CallRecord",
    "Exemplar",
    "Labels",
    "LastCall",
    "Outcome",
    "Stats",
    "StoreLabels",
    "StoreOutcome",
    "StoreRequest",
    "Summary",
    "Tally",
    "Totals",
    "WatchedCalls",
]

Outcome = Literal["exact", "semantic", "miss", "bypass", "error"]
OUTCOMES: tuple[Outcome, ...] = ("exact", "semantic", "miss", "bypass", "error")

Watched = Literal["", "exact", "semantic"]
"""What a call would have been that was only watched; empty for all others."""
Agreed = Literal["", "same", "different", "unknown"]
"""What the provider said to it, beside what would have been served."""

StoreOutcome = Literal["exact", "semantic", "miss", "done", "error"]

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds in seconds: from a hit's half millisecond to a long answer's minutes."""

_MAX_MODELS = 100
_MAX_DETAILS = 50
_MAX_LABEL = 128
_LATEST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One finished call."""

    outcome: Outcome
    upstream: str
    """The rule's name."""
    wire: str
    model: str
    status: int
    """What the app was sent; 0 where it got no response."""
    seconds: float
    """From the request's last byte to the response's last byte."""
    detail: str = ""
    """Why, in a few words from a fixed list; a caller's own text never belongs here."""
    decision_seconds: float | None = None
    """Reading, identifying and looking up; None where none was made."""
    similarity: float | None = None
    """Cosine of the nearest stored prompt that was judged; None where there was none to judge."""
    usage: Usage = field(default_factory=Usage)
    """The answer's tokens: saved on a hit, used otherwise."""
    seconds_saved: float = 0.0
    money_saved: float | None = 0.0
    """US dollars; None where the model's price is not known."""
    stored: bool = False
    key: str = ""
    """The entry that answered, or was stored."""
    forwarded: bool = True
    """The provider was asked. False for a miss that was answered here (only-if-cached); hits are never forwarded."""
    provider_failed: bool = False
    """A hit that was served because the provider, when it was asked, failed."""
    method: str = "POST"
    endpoint: str = ""
    """The rule's path pattern."""
    unkept: str = ""
    """Why the provider's answer was not kept, in a few words; empty where it was, or none came."""
    asked: str = ""
    """The call's own exact key in hex; empty where it could not be read."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """The digests that the call's partition is made of."""
    nearest: str = ""
    """The entry that came closest to answering within the partition, served or refused."""
    probability: float | None = None
    """The judge's, of `nearest`."""
    host: str = ""
    """Who was to answer, by the name that the app called; empty where it is not known."""
    port: int = 443
    temperature: float | None = None
    trace: TraceContext | None = None
    """The call's span; None where nobody traces."""
    ended: float = 0.0
    """Unix seconds."""
    owner: str = ""
    """Whose key a product was asked with; empty for calls that need none of ours."""
    reuse: str = ""
    """The kind of its prompt: `lasting`, or why its answer must not be given again; empty where that was not asked."""
    watched: Watched = ""
    agreed: Agreed = ""
    money_watched: float | None = 0.0
    """US dollars that a hit would have saved; None where the model's price is not known."""

    @property
    def hit(self) -> bool:
        return self.outcome in ("exact", "semantic")


class Labels(NamedTuple):
    """One row of the table. Few values each: `model` and `detail` are bounded here, the rest by the rules."""

    outcome: Outcome
    detail: str
    """Of a bypass, and of a hit that stands in for a provider that failed; empty otherwise."""
    upstream: str
    wire: str
    model: str
    status: int
    method: str
    endpoint: str
    forwarded: bool
    owner: str = ""
    reuse: str = ""
    watched: Watched = ""
    agreed: Agreed = ""

    @property
    def hit(self) -> bool:
        return self.outcome in ("exact", "semantic")

    @property
    def failed(self) -> bool:
        """The app got no good response."""
        return self.outcome == "error" or self.status == 0 or self.status >= 500

    @property
    def provider_result(self) -> str:
        """What the provider made of it: "good", "failed", or "replaced", where an answer past its time was served in
        place of its error; empty where it was not asked."""
        if self.hit:
            return "replaced" if self.detail else ""
        return ("failed" if self.refused else "good") if self.forwarded else ""

    @property
    def refused(self) -> bool:
        """The provider was asked and did not give a good answer."""
        return self.forwarded and (self.status == 0 or self.status >= 400)


class StoreLabels(NamedTuple):
    """A row of what products' clients keep and find themselves (LangCache, Semcache's put and get): no call to a
    provider, and in none of the figures about those."""

    product: str
    operation: str
    outcome: StoreOutcome
    """`done` for what looks for nothing; `error` for what was refused or failed."""


@dataclass(slots=True)
class StoreRequest:
    """One request of that kind on its way; its outcome is set by whoever carries it out."""

    outcome: StoreOutcome = "done"


class Exemplar(NamedTuple):
    """One call of those that a bucket counts, to look at."""

    seconds: float
    ended: float
    """Unix seconds."""
    key: str
    """The call's own exact key in hex."""
    trace_id: str
    """Empty where nobody traces."""


@dataclass(slots=True)
class Tally:
    """Sums over calls. `buckets` count calls by the first of `BUCKETS` they fit in, then those above the last."""

    calls: int = 0
    judged: int = 0
    similarity: float = 0.0
    """The sum over those judged."""
    stored: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    exemplars: dict[int, Exemplar] = field(default_factory=dict)
    """The latest call by the number of its bucket."""
    decision_seconds: float = 0.0
    decision_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    input_tokens: int = 0
    output_tokens: int = 0
    seconds_saved: float = 0.0
    money_saved: float = 0.0
    unpriced_tokens: int = 0
    """Those that hits saved of models whose price is not known."""
    money_watched: float = 0.0
    unpriced_watched: int = 0
    """The same two of what hits would have saved, where it was only watched."""

    def add(self, call: CallRecord) -> None:
        self.calls += 1
        self.seconds += call.seconds
        bucket = bisect_left(BUCKETS, call.seconds)
        self.buckets[bucket] += 1
        if call.asked:
            trace_id = call.trace.trace_id if call.trace else ""
            self.exemplars[bucket] = Exemplar(call.seconds, call.ended, call.asked, trace_id)
        if call.decision_seconds is not None:
            self.decision_seconds += call.decision_seconds
            self.decision_buckets[bisect_left(BUCKETS, call.decision_seconds)] += 1
        self.input_tokens += call.usage.input_tokens
        self.output_tokens += call.usage.output_tokens
        self.seconds_saved += call.seconds_saved
        if call.money_saved is None:
            self.unpriced_tokens += call.usage.input_tokens + call.usage.output_tokens
        else:
            self.money_saved += call.money_saved
        if call.money_watched is None:
            self.unpriced_watched += call.usage.input_tokens + call.usage.output_tokens
        else:
            self.money_watched += call.money_watched
        self.stored += call.stored
        if call.similarity is not None and call.outcome != "exact":
            self.judged += 1
            self.similarity += call.similarity

    def merge(self, other: "Tally") -> None:
        self.calls += other.calls
        self.judged += other.judged
        self.similarity += other.similarity
        self.stored += other.stored
        self.seconds += other.seconds
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        for bucket, exemplar in other.exemplars.items():
            known = self.exemplars.get(bucket)
            if known is None or known.ended <= exemplar.ended:
                self.exemplars[bucket] = exemplar
        self.decision_seconds += other.decision_seconds
        self.decision_buckets = [a + b for a, b in zip(self.decision_buckets, other.decision_buckets, strict=True)]
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.seconds_saved += other.seconds_saved
        self.money_saved += other.money_saved
        self.money_watched += other.money_watched
        self.unpriced_tokens += other.unpriced_tokens
        self.unpriced_watched += other.unpriced_watched


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures over all calls that the products' own statistics are made of."""

    all: Tally
    exact: int
    semantic: int
    misses: int
    failed: int
    """Calls whose app got no good response."""
    asked: int
    """Calls that went to a provider."""
    refused: int
    """Those of them that it did not answer well."""

    @property
    def hits(self) -> int:
        return self.exact + self.semantic

    @property
    def hit_rate(self) -> float:
        """Hits among hits and misses, 0 to 1; a call that may not be answered from the cache counts for neither."""
        return self.hits / (self.hits + self.misses) if self.hits + self.misses else 0.0

    @property
    def avg_seconds(self) -> float:
        return self.all.seconds / self.all.calls if self.all.calls else 0.0


class Tokens(TypedDict):
    input: int
    output: int


class Summary(TypedDict):
    """The calls of one upstream, one model, or all."""

    calls: int
    outcomes: dict[Outcome, int]
    hit_rate: float
    stored: int
    tokens_used: Tokens
    """What providers counted, hits left out."""
    tokens_saved: Tokens
    seconds_saved: float
    usd_saved: float
    tokens_unpriced: int
    """Saved tokens of models whose price is not known; they are in no sum of dollars."""
    avg_seconds: float


class WatchedCalls(TypedDict):
    """Calls under `match: watch` that would have been hits."""

    calls: int
    agreed: int
    """The provider said the same as what would have been served."""
    differed: int
    unclear: int
    """Its answer says the same in other words, or something else: that is not told from texts."""
    tokens: Tokens
    """What hits would have saved, like the next two."""
    seconds: float
    usd: float
    tokens_unpriced: int


class LastCall(TypedDict):
    """One of the last calls, without its text."""

    time: str
    outcome: Outcome
    detail: str
    upstream: str
    model: str
    status: int
    seconds: float
    similarity: float | None
    seconds_saved: float
    usd_saved: float | None
    """None where the model's price is not known."""
    key: str


class Stats(Summary):
    """Everything since the process started."""

    in_flight: int
    """Calls that have come in and are not over: not counted yet, nor their answers kept."""
    since: str
    uptime_seconds: float
    upstreams: dict[str, Summary]
    models: dict[str, Summary]
    watched: dict[str, dict[Watched, WatchedCalls]]
    """What would have been served under `match: watch`, by rule, exact and semantic."""
    bypasses: dict[str, int]
    """Calls that may not be answered from the cache, by reason."""
    faults: dict[str, int]
    """Failures inside Askonce, by kind; each was a miss to the app."""
    stores: dict[str, dict[str, dict[StoreOutcome, int]]]
    """What products' clients kept and found themselves: product, operation, outcome."""
    latest: list[LastCall]
    """The last decisions, newest first."""


class _Bounded:
    """Turns texts that callers choose into at most `limit` label values, then "other"."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        label = self._known.get(text)
        if label is None:
            if len(self._known) >= self._limit:
                return "other"
            label = self._known[text] = _label(text)
        return label


def _label(text: str) -> str:
    return encodable(text[:_MAX_LABEL])


class Accounting:
    """Counts calls. Safe to use from any thread."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._started = now()
        self._lock = Lock()
        self._table: dict[Labels | StoreLabels, Tally] = {}
        self._model = _Bounded(_MAX_MODELS)
        self._detail = _Bounded(_MAX_DETAILS)
        self._faults = Counter[str]()
        self._turned_away = Counter[str]()
        self._latest: deque[tuple[float, CallRecord]] = deque(maxlen=_LATEST)
        self._failing: dict[str, bool] = {}
        self._in_flight = 0
        self.listener: Callable[[CallRecord, str], None] | None = None
        """Is told of each call, and its model as one of few labels; must be quick, and never fail."""

    @property
    def in_flight(self) -> int:
        """Calls that began and have not ended: none of them is recorded yet."""
        return self._in_flight

    def begin(self) -> None:
        """A call has come in."""
        with self._lock:
            self._in_flight += 1

    def end(self) -> None:
        """A call is over, its answer kept and all of it recorded."""
        with self._lock:
            self._in_flight -= 1

    def record(self, call: CallRecord) -> None:
        """Count a finished call."""
        forwarded = call.forwarded and not call.hit
        with self._lock:
            model = self._model(call.model or "unknown")
            labels = Labels(
                call.outcome,
                self._detail(call.detail) if call.outcome == "bypass" or call.provider_failed else "",
                call.upstream,
                call.wire,
                model,
                call.status,
                call.method,
                call.endpoint,
                forwarded,
                call.owner,
                call.reuse,
                call.watched,
                call.agreed,
            )
            tally = self._table.get(labels)
            if tally is None:
                tally = self._table[labels] = Tally()
            tally.add(call)
            self._latest.append((self._now(), call))
            if forwarded or call.provider_failed:
                self._failing[call.upstream] = call.provider_failed or call.status == 0 or call.status >= 500
        if self.listener:
            self.listener(call, model)

    @contextmanager
    def store_request(self, product: str, operation: str) -> Iterator[StoreRequest]:
        """Count what is done within as one request to a product's own store; what raises is an `error`."""
        started, request = time.perf_counter(), StoreRequest()
        try:
            yield request
        except BaseException:
            request.outcome = "error"
            raise
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                tally = self._table.setdefault(StoreLabels(product, operation, request.outcome), Tally())
                tally.calls += 1
                tally.seconds += seconds
                tally.buckets[bisect_left(BUCKETS, seconds)] += 1

    def latest(self) -> list[tuple[float, CallRecord]]:
        """The last calls and their Unix times, the newest first."""
        with self._lock:
            return list(reversed(self._latest))

    def fault(self, kind: str) -> None:
        """Count a failure inside Askonce."""
        with self._lock:
            self._faults[kind] += 1

    def faults(self) -> dict[str, int]:
        """How many failures of each kind there were."""
        with self._lock:
            return dict(self._faults)

    def turn_away(self, why: str) -> None:
        """Count a connection or a call that was not let in, or not let out."""
        with self._lock:
            self._turned_away[why] += 1

    def turned_away(self) -> dict[str, int]:
        """How many were turned away, by why: "client", "key", "destination", "host", "loop"."""
        with self._lock:
            return dict(self._turned_away)

    def providers(self) -> dict[str, bool]:
        """upstream -> whether it answered (below 500) when it was last asked; those never asked are left out."""
        with self._lock:
            return {upstream: not failing for upstream, failing in self._failing.items()}

    @property
    def uptime(self) -> float:
        """Seconds since the counting began."""
        return self._now() - self._started

    def sums[K: Hashable](
        self, by: Callable[[Labels], K], where: Callable[[Labels], bool] | None = None
    ) -> dict[K, Tally]:
        """Sums of the rows of calls that `where` accepts, grouped by what `by` makes of their labels."""
        sums: dict[K, Tally] = {}
        with self._lock:
            for labels, tally in self._table.items():
                if isinstance(labels, Labels) and (where is None or where(labels)):
                    sums.setdefault(by(labels), Tally()).merge(tally)
        return sums

    def store_sums[K: Hashable](self, by: Callable[[StoreLabels], K]) -> dict[K, Tally]:
        """The same of the requests to products' own stores."""
        sums: dict[K, Tally] = {}
        with self._lock:
            for labels, tally in self._table.items():
                if isinstance(labels, StoreLabels):
                    sums.setdefault(by(labels), Tally()).merge(tally)
        return sums

    def totals(self) -> Totals:
        """The sums over the whole table."""
        whole, count = Tally(), Counter[str]()
        for labels, tally in self.sums(lambda row: row).items():
            whole.merge(tally)
            count[labels.outcome] += tally.calls
            count["failed"] += tally.calls if labels.failed else 0
            count["asked"] += tally.calls if labels.forwarded else 0
            count["refused"] += tally.calls if labels.refused else 0
        return Totals(
            all=whole,
            exact=count["exact"],
            semantic=count["semantic"],
            misses=count["miss"],
            failed=count["failed"],
            asked=count["asked"],
            refused=count["refused"],
        )

    def stats(self) -> Stats:
        """Everything a person or a program would ask about, as JSON values."""
        with self._lock:
            latest = [_decision(moment, call) for moment, call in reversed(self._latest)]
        return {
            **_summary(self.sums(lambda labels: labels.outcome)),
            "in_flight": self.in_flight,
            "since": rfc3339(self._started),
            "uptime_seconds": self.uptime,
            "upstreams": self._summaries(lambda labels: labels.upstream),
            "models": self._summaries(lambda labels: labels.model),
            "watched": self.watched(),
            "bypasses": {
                detail: tally.calls
                for detail, tally in self.sums(lambda row: row.detail, lambda row: row.outcome == "bypass").items()
            },
            "faults": self.faults(),
            "stores": self._stores(),
            "latest": latest,
        }

    def watched(self) -> dict[str, dict[Watched, WatchedCalls]]:
        """What would have been served where it was only watched, by rule."""
        rows: dict[str, dict[Watched, dict[Agreed, Tally]]] = {}
        sums = self.sums(lambda row: (row.upstream, row.watched, row.agreed), lambda row: bool(row.watched))
        for (upstream, outcome, agreed), tally in sorted(sums.items()):
            rows.setdefault(upstream, {}).setdefault(outcome, {})[agreed] = tally
        return {
            upstream: {outcome: _watched(by_agreement) for outcome, by_agreement in outcomes.items()}
            for upstream, outcomes in rows.items()
        }

    def _stores(self) -> dict[str, dict[str, dict[StoreOutcome, int]]]:
        stores: dict[str, dict[str, dict[StoreOutcome, int]]] = {}
        for row, tally in sorted(self.store_sums(lambda row: row).items()):
            stores.setdefault(row.product, {}).setdefault(row.operation, {})[row.outcome] = tally.calls
        return stores

    def _summaries(self, name: Callable[[Labels], str]) -> dict[str, Summary]:
        grouped: dict[str, dict[Outcome, Tally]] = {}
        for (group, outcome), tally in self.sums(lambda labels: (name(labels), labels.outcome)).items():
            grouped.setdefault(group, {})[outcome] = tally
        return {group: _summary(grouped[group]) for group in sorted(grouped)}


def _summary(by_outcome: dict[Outcome, Tally]) -> Summary:
    calls, saved, used = Tally(), Tally(), Tally()
    for outcome, tally in by_outcome.items():
        calls.merge(tally)
        (saved if outcome in ("exact", "semantic") else used).merge(tally)
    outcomes = {outcome: by_outcome.get(outcome, Tally()).calls for outcome in OUTCOMES}
    looked_up = saved.calls + outcomes["miss"]
    return {
        "calls": calls.calls,
        "outcomes": outcomes,
        "hit_rate": saved.calls / looked_up if looked_up else 0.0,
        "stored": calls.stored,
        "tokens_used": {"input": used.input_tokens, "output": used.output_tokens},
        "tokens_saved": {"input": saved.input_tokens, "output": saved.output_tokens},
        "seconds_saved": calls.seconds_saved,
        "usd_saved": calls.money_saved,
        "tokens_unpriced": calls.unpriced_tokens,
        "avg_seconds": calls.seconds / calls.calls if calls.calls else 0.0,
    }


def _watched(by_agreement: dict[Agreed, Tally]) -> WatchedCalls:
    whole = Tally()
    for tally in by_agreement.values():
        whole.merge(tally)
    none = Tally()
    return {
        "calls": whole.calls,
        "agreed": by_agreement.get("same", none).calls,
        "differed": by_agreement.get("different", none).calls,
        "unclear": by_agreement.get("unknown", none).calls,
        "tokens": {"input": whole.input_tokens, "output": whole.output_tokens},
        "seconds": whole.seconds,
        "usd": whole.money_watched,
        "tokens_unpriced": whole.unpriced_watched,
    }


def _decision(moment: float, call: CallRecord) -> LastCall:
    return {
        "time": rfc3339(moment),
        "outcome": call.outcome,
        "detail": _label(call.detail),
        "upstream": call.upstream,
        "model": _label(call.model),
        "status": call.status,
        "seconds": call.seconds,
        "similarity": call.similarity,
        "seconds_saved": call.seconds_saved,
        "usd_saved": call.money_saved,
        "key": call.key,
    }
