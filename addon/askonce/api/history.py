"""What became of calls over time.

The rule: sums only; how they are drawn is for whoever asks.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.params import Depends
from pydantic import BaseModel, Field

from askonce.accounting.history import STEP, Group, Sums
from askonce.api.errors import RESPONSES
from askonce.api.request_models import RequestModel

__all__ = ["ReadHistory", "router"]

type ReadHistory = Callable[[float, float], Awaitable[list[tuple[int, Group, Sums]]]]
"""The sums of each step and group that began between two Unix times. Raises OSError."""

_STEPS = (STEP, 3600, 6 * 3600, 86400)
_POINTS = 200


class WhichTime(RequestModel):
    """Which time, and which calls; all that are given must hold."""

    seconds: int = Field(default=86400, ge=STEP, le=400 * 86400, description="How far back.")
    upstream: str | None = Field(default=None, description="The rule's name.")
    model: str | None = None
    namespace: str | None = Field(default=None, description="Empty for the default one.")
    caller: str | None = Field(default=None, description="The digest of a caller's credential.")


class Sum(BaseModel):
    """Sums of calls, as in the statistics."""

    exact: int
    semantic: int
    miss: int
    bypass: int
    error: int
    seconds_saved: float
    usd_saved: float = Field(description="Of models whose price is known.")
    tokens_saved: int
    tokens_used: int
    watched: int = Field(description="Misses that would have been hits, of rules with `match: watch`.")
    usd_watched: float = Field(description="What those would have saved.")


class Point(Sum):
    """Those of one step."""

    start: datetime


class CallHistory(BaseModel):
    """The steps in which there were calls, the oldest first."""

    step: int = Field(description="Seconds from one point to the next.")
    since: datetime
    until: datetime
    total: Sum
    points: list[Point]
    upstreams: dict[str, Sum]
    models: dict[str, Sum]
    namespaces: dict[str, Sum]
    callers: dict[str, Sum] = Field(description="By the digest of a caller's credential.")


def router(read: ReadHistory, *, protected: Sequence[Depends], clock: Callable[[], float]) -> APIRouter:
    """The route /v1/history."""
    routes = APIRouter(tags=["statistics"], dependencies=list(protected), responses=RESPONSES)

    @routes.get("/v1/history")
    async def call_history(which: Annotated[WhichTime, Query()]) -> CallHistory:
        """What was asked, answered and saved over time, also before the last start."""
        until = clock()
        step = next((step for step in _STEPS if which.seconds / step <= _POINTS), _STEPS[-1])
        since = (until - which.seconds) // step * step
        try:
            rows = [row for row in await read(since, until) if _is_meant(row[1], which)]
        except OSError as error:
            raise HTTPException(503, str(error)) from error
        return CallHistory(
            step=step,
            since=_moment(since),
            until=_moment(until),
            total=_sums(rows, lambda *_: "").get("", _sum(Sums())),
            points=[
                Point(start=_moment(start), **summed.model_dump())
                for start, summed in _sums(rows, lambda start, _: start // step * step).items()
            ],
            upstreams=_sums(rows, lambda _, group: group.upstream),
            models=_sums(rows, lambda _, group: group.model),
            namespaces=_sums(rows, lambda _, group: group.namespace),
            callers=_sums(rows, lambda _, group: group.caller),
        )

    return routes


def _is_meant(group: Group, which: WhichTime) -> bool:
    return all(getattr(which, name) in (None, mine) for name, mine in group._asdict().items())


def _sums[K](rows: Sequence[tuple[int, Group, Sums]], by: Callable[[int, Group], K]) -> dict[K, Sum]:
    sums: dict[K, Sums] = {}
    for start, group, one in rows:
        sums.setdefault(by(start, group), Sums()).add(one)
    return {key: _sum(one) for key, one in sums.items()}


def _sum(sums: Sums) -> Sum:
    return Sum.model_validate(sums, from_attributes=True)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
