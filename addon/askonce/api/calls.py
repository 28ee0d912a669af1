"""The last calls, as the page shows them while they come.

The rule: what is told of a call was recorded when it was over; nothing is looked up for it here.
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.params import Depends
from pydantic import BaseModel, Field

from askonce.accounting import Accounting, CallRecord, Outcome, Watched
from askonce.api.errors import RESPONSES
from askonce.api.request_models import RequestModel
from askonce.jsontext import encodable, rfc3339

__all__ = ["RecentCall", "RecentCalls", "router"]


class WhichCalls(RequestModel):
    """Which of the last calls."""

    after: int = Field(default=0, ge=0, le=2**53, description="Those that came after the call of this number.")
    limit: int = Field(default=500, ge=1, le=2000)


class RecentCall(BaseModel):
    """One of the last calls."""

    number: int = Field(description="Counted from 1 since the start.")
    time: str
    outcome: Outcome
    detail: str = Field(description="Why, in a few words.")
    upstream: str
    model: str
    namespace: str
    prompt: str = Field(description="Its beginning; empty where nothing of the call may be kept.")
    status: int
    seconds: float
    decision_seconds: float | None = Field(description="Reading, identifying and looking up.")
    seconds_saved: float
    usd_saved: float | None = Field(description="Null where the model's price is not known.")
    input_tokens: int
    output_tokens: int
    similarity: float | None
    probability: float | None = Field(description="That the nearest entry's answer is right.")
    asked: str = Field(description="The call's own key.")
    key: str = Field(description="The entry that answered, or was kept.")
    nearest: str = Field(description="The entry that came closest within the partition, served or refused.")
    decision: str = Field(description="The name under which feedback finds a semantic hit.")
    watched: Watched = Field(description="What it would have been where its rule only watches; empty for all others.")
    stored: bool
    unkept: str = Field(description="Why the provider's answer was not kept.")


class RecentCalls(BaseModel):
    """Calls that are over, the oldest first; the last two thousand are held."""

    since: str = Field(description="When the counting began: numbers begin anew with it.")
    last: int = Field(description="The number of the last call of all.")
    calls: list[RecentCall]


def router(accounting: Accounting, *, protected: Sequence[Depends]) -> APIRouter:
    """The route /v1/calls."""
    routes = APIRouter(tags=["statistics"], dependencies=list(protected), responses=RESPONSES)

    @routes.get("/v1/calls")
    async def list_calls(which: Annotated[WhichCalls, Query()]) -> RecentCalls:
        """The last calls, one by one: what was decided on each, and why."""
        return RecentCalls(
            since=rfc3339(accounting.started, "microseconds"),
            last=accounting.recorded,
            calls=[_call(*one) for one in accounting.after(which.after, which.limit)],
        )

    return routes


def _call(number: int, moment: float, record: CallRecord) -> RecentCall:
    return RecentCall(
        number=number,
        time=rfc3339(moment),
        outcome=record.outcome,
        detail=encodable(record.detail),
        upstream=record.upstream,
        model=encodable(record.model),
        namespace=encodable(record.namespace),
        prompt=encodable(record.prompt),
        status=record.status,
        seconds=record.seconds,
        decision_seconds=record.decision_seconds,
        seconds_saved=record.seconds_saved,
        usd_saved=record.money_saved,
        input_tokens=record.usage.input_tokens,
        output_tokens=record.usage.output_tokens,
        similarity=record.similarity,
        probability=record.probability,
        asked=record.asked,
        key=record.key,
        nearest=record.nearest,
        decision=record.decision,
        watched=record.watched,
        stored=record.stored,
        unkept=encodable(record.unkept),
    )
