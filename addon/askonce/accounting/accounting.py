"""The table of counts, and what is asked of it.

One rule: `record` costs a few microseconds, never fails and logs nothing. The last calls are held in memory alone.
"""

import pickle
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Lock

from askonce.accounting.labels import BoundedLabels, Labels, StoreLabels
from askonce.accounting.records import Agreed, CallRecord, Outcome, StoreOutcome, StoreRequest, Watched
from askonce.accounting.stats import Stats, Summary, WatchedCalls, last_call, summary, watched_calls
from askonce.accounting.tally import BUCKETS, Tally, Totals
from askonce.jsontext import rfc3339

__all__ = ["Accounting"]

_MAX_MODELS = 100
_MAX_DETAILS = 50
_LATEST = 2_000
"""Calls that are held in memory, a few kilobytes each at most."""
_IN_STATS = 50


class Accounting:
    """Counts calls. Safe to use from any thread."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._started = now()
        self._lock = Lock()
        self._table: dict[Labels | StoreLabels, Tally] = {}
        self._model = BoundedLabels(_MAX_MODELS)
        self._detail = BoundedLabels(_MAX_DETAILS)
        self._faults = Counter[str]()
        self._turned_away = Counter[str]()
        self._personal = Counter[str]()
        self._latest: deque[tuple[float, CallRecord]] = deque(maxlen=_LATEST)
        self._recorded = 0
        self._failing: dict[str, bool] = {}
        self._in_flight = 0
        self.listeners: list[Callable[[CallRecord, str], None]] = []
        """Are told of each call, and its model as one of few labels; must be quick, and never fail."""

    def counted(self) -> bytes:
        """Everything that was counted up to now, for `absorb`."""
        with self._lock:
            latest = list(islice(reversed(self._latest), _IN_STATS))[::-1]
            counts = self._faults, self._turned_away, self._personal, self._recorded, self._in_flight
            return pickle.dumps((self._started, self._table, latest, self._failing, counts))

    def absorb(self, counted: bytes) -> None:
        """Add what another process of the same proxy counted: `counted` is believed, and may do anything."""
        started, table, latest, failing, (faults, turned_away, personal, recorded, in_flight) = pickle.loads(counted)
        with self._lock:
            self._started = min(self._started, started)
            for labels, tally in table.items():
                self._table.setdefault(labels, Tally()).merge(tally)
            self._latest = deque(sorted([*self._latest, *latest], key=lambda call: call[0]), _LATEST)
            self._failing |= failing
            self._faults += faults
            self._turned_away += turned_away
            self._personal += personal
            self._recorded += recorded
            self._in_flight += in_flight

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
            if call.personal:
                self._personal[call.personal] += 1
            self._latest.append((self._now(), call))
            self._recorded += 1
            if forwarded or call.provider_failed:
                self._failing[call.upstream] = call.provider_failed or call.status == 0 or call.status >= 500
        for listener in self.listeners:
            listener(call, model)

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

    def latest(self, most: int = _LATEST) -> list[tuple[float, CallRecord]]:
        """The last calls and their Unix times, the newest first."""
        with self._lock:
            return list(islice(reversed(self._latest), most))

    def after(self, number: int, most: int) -> list[tuple[int, float, CallRecord]]:
        """The `most` calls that came next after that `number`, of those that are still held, with numbers and Unix
        times, the oldest first. Calls are numbered from 1 since the start."""
        with self._lock:
            oldest = self._recorded - len(self._latest) + 1
            first = max(number + 1, oldest)
            held = islice(self._latest, first - oldest, first - oldest + most)
            return [(at, *call) for at, call in enumerate(held, first)]

    @property
    def recorded(self) -> int:
        """The number of the last call; 0 before the first."""
        return self._recorded

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

    def personal_data(self) -> dict[str, int]:
        """Answers that were not kept because of personal data, by its kind."""
        with self._lock:
            return dict(self._personal)

    def turned_away(self) -> dict[str, int]:
        """How many were turned away, by why: "client", "key", "destination", "host", "loop"."""
        with self._lock:
            return dict(self._turned_away)

    def providers(self) -> dict[str, bool]:
        """upstream -> whether it answered (below 500) when it was last asked; those never asked are left out."""
        with self._lock:
            return {upstream: not failing for upstream, failing in self._failing.items()}

    @property
    def started(self) -> float:
        """When the counting began, in Unix seconds."""
        return self._started

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
        latest = [last_call(moment, call) for moment, call in self.latest(_IN_STATS)]
        return {
            **summary(self.sums(lambda labels: labels.outcome)),
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
            upstream: {outcome: watched_calls(by_agreement) for outcome, by_agreement in outcomes.items()}
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
        return {group: summary(grouped[group]) for group in sorted(grouped)}
