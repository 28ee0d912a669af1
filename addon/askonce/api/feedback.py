"""What people say of a semantic hit: that its answer was right, or wrong.

The rule: a hit that was wrong is never served again to that question; the entry stays for its own.
"""

from collections.abc import Sequence
from typing import Self

from fastapi import APIRouter, HTTPException, Request
from fastapi.params import Depends
from pydantic import BaseModel, Field, model_validator

from askonce.api.errors import RESPONSES, Problem
from askonce.api.exact import ExactRoute
from askonce.api.request_models import RequestModel
from askonce.cache import Cache

__all__ = ["router"]

_KEY = r"^[0-9a-fA-F]{32}$"


class Feedback(RequestModel):
    """Which hit, and whether it was right."""

    decision: str | None = Field(default=None, pattern=_KEY, description="The hit's `X-Cache-Decision`.")
    key: str | None = Field(default=None, pattern=_KEY, description="The served answer's `X-Cache-Key`.")
    prompt: str | None = Field(
        default=None, description="With `key`: what was asked. Without it the latest hit on that answer is meant."
    )
    right: bool

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.decision is None) == (self.key is None):
            raise ValueError("expected one of decision and key")
        if self.prompt is not None and self.key is None:
            raise ValueError("expected a key with the prompt")
        return self


class FeedbackNoted(BaseModel):
    decision: str
    right: bool
    learned: bool = Field(
        description="It counts as evidence; false where the hit is too long ago, or the same address said so before."
    )


def router(cache: Cache, *, protected: Sequence[Depends]) -> APIRouter:
    """The route /v1/feedback."""
    routes = APIRouter(tags=["cache"], dependencies=list(protected), responses=RESPONSES, route_class=ExactRoute)

    @routes.post("/v1/feedback", responses={404: {"model": Problem}})
    async def feedback(said: Feedback, request: Request) -> FeedbackNoted:
        """Say whether a semantic hit was right. One that was wrong is never served to that question again."""
        decision = said.decision or await cache.decision(said.key or "", said.prompt)
        if decision is None:
            found = said.key and await cache.get(said.key)
            raise HTTPException(404, "No hit on it is remembered: say the prompt" if found else "Entry not found")
        caller = request.client.host if request.client else ""
        learned = await cache.feedback(decision, right=said.right, caller=caller)
        return FeedbackNoted(decision=decision.lower(), right=said.right, learned=learned == "learned")

    return routes
