"""The statistics that `askonce stats` and the management API tell, as JSON values.

One rule: each is made of the table's sums, and nothing is counted here.
"""

from typing import TypedDict

from askonce.accounting.labels import as_label
from askonce.accounting.records import OUTCOMES, Agreed, CallRecord, Outcome, StoreOutcome, Watched
from askonce.accounting.tally import Tally
from askonce.jsontext import rfc3339

__all__ = ["LastCall", "Stats", "Summary", "WatchedCalls", "last_call", "summary", "watched_calls"]


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


def summary(by_outcome: dict[Outcome, Tally]) -> Summary:
    """Of the sums of one upstream, one model or all, by outcome."""
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


def watched_calls(by_agreement: dict[Agreed, Tally]) -> WatchedCalls:
    """Of the sums of one rule's calls that would have been hits, by what the provider said to them."""
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


def last_call(moment: float, call: CallRecord) -> LastCall:
    """`moment`: the Unix time of its end."""
    return {
        "time": rfc3339(moment),
        "outcome": call.outcome,
        "detail": as_label(call.detail),
        "upstream": call.upstream,
        "model": as_label(call.model),
        "status": call.status,
        "seconds": call.seconds,
        "similarity": call.similarity,
        "seconds_saved": call.seconds_saved,
        "usd_saved": call.money_saved,
        "key": call.key,
    }
