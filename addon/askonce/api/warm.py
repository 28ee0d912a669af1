"""Answers put into the cache before anybody asked.

The rule: one pair that cannot be kept does not hold up the others; what became of each is told in their order.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.params import Depends
from pydantic import BaseModel, Field

from askonce.api.errors import RESPONSES, Problem
from askonce.api.exact import ExactRoute
from askonce.api.request_models import RequestModel

__all__ = ["Warm", "router"]

type Warm = Callable[[str, Sequence[tuple[str, Any]]], Awaitable[list[tuple[str, str]]]]
"""(key of an entry, pairs of prompt and answer) -> for each pair its key, or an empty one and why not. Raises
LookupError where there is no such entry."""


class WarmPair(RequestModel):
    prompt: str = Field(min_length=1)
    response: str | dict[str, Any] = Field(description="The text, or the provider's own final object.")


class Pairs(RequestModel):
    like: str = Field(description="The key of an entry; the answers will be found by calls that differ in the prompt.")
    entries: list[WarmPair] = Field(min_length=1, max_length=1000)


class WarmOutcome(BaseModel):
    key: str = Field(description="Empty where the answer was not kept.")
    error: str = Field(description="Why not.")


class WarmOutcomes(BaseModel):
    warmed: int
    failed: int
    entries: list[WarmOutcome]


def router(warm: Warm, *, protected: Sequence[Depends]) -> APIRouter:
    """The route /v1/warm."""
    routes = APIRouter(tags=["cache"], dependencies=protected, responses=RESPONSES, route_class=ExactRoute)

    @routes.post("/v1/warm", responses={404: {"model": Problem}})
    async def warm_like(pairs: Pairs) -> WarmOutcomes:
        """Keep answers for calls like a stored one, but for the prompt."""
        try:
            done = await warm(pairs.like, [(pair.prompt, pair.response) for pair in pairs.entries])
        except LookupError as error:
            raise HTTPException(404, str(error)) from error
        failed = sum(not key for key, _ in done)
        return WarmOutcomes(
            warmed=len(done) - failed, failed=failed, entries=[WarmOutcome(key=key, error=error) for key, error in done]
        )

    return routes
