"""Sums over calls: what is added up in one row of the table, or in several together."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from askonce.accounting.records import CallRecord

__all__ = ["BUCKETS", "Exemplar", "Tally", "Totals", "add_up"]

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds in seconds: from a hit's half millisecond to a long answer's minutes."""


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
        add_up(self, other, _NUMBERS)
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.decision_buckets = [a + b for a, b in zip(self.decision_buckets, other.decision_buckets, strict=True)]
        for bucket, exemplar in other.exemplars.items():
            known = self.exemplars.get(bucket)
            if known is None or known.ended <= exemplar.ended:
                self.exemplars[bucket] = exemplar


_NUMBERS = tuple(each.name for each in fields(Tally) if each.type in (int, float))


def add_up[S](sums: S, more: S, names: Iterable[str]) -> None:
    """Add to the fields of these names in `sums` what `more` has in them."""
    for name in names:
        setattr(sums, name, getattr(sums, name) + getattr(more, name))


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
