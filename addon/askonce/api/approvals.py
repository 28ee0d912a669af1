"""Answers that a person approves or rejects, where a rule asks for that.

The rule: what is said is said of the answer that was seen, by its version; another one by now is told, and nothing
changes.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.params import Depends
from pydantic import BaseModel, Field

from askonce.api.entries import EntrySummary, StoredAnswer, shown_answer, summary
from askonce.api.errors import RESPONSES, Problem
from askonce.api.exact import ExactRoute
from askonce.api.request_models import RequestModel
from askonce.cache import Approval, Cache, awaiting

__all__ = ["router"]


class WhichApprovals(RequestModel):
    """Which of the answers that have to be approved."""

    state: Approval = Field(default="waiting", description="What was said of them.")
    offset: int = Field(default=0, ge=0, le=2**31)
    limit: int = Field(default=50, ge=1, le=1000)


class OneApproval(BaseModel):
    entry: EntrySummary
    version: int = Field(description="Of the answer: another one has another.")
    answer: StoredAnswer


class Approvals(BaseModel):
    """Newest first."""

    rules: list[str] = Field(description="Those whose answers have to be approved.")
    count: int = Field(description="How many there are in all.")
    answers: list[OneApproval]


class ApprovalSaid(RequestModel):
    """What is to become of an answer."""

    key: str = Field(pattern="^[0-9a-f]{32}$", description="The answer's key.")
    version: int = Field(description="Of the answer that was seen.")
    approve: bool = Field(description="It is served from now on; false: it is not, until the provider says another.")


class ApprovalNoted(BaseModel):
    key: str
    version: int = Field(description="Of the answer from now on.")
    state: Approval


def router(cache: Cache, rules: Callable[[], Sequence[str]], *, protected: Sequence[Depends]) -> APIRouter:
    """The routes at /v1/approvals. `rules` gives the names of those whose answers have to be approved."""
    routes = APIRouter(tags=["cache"], dependencies=list(protected), responses=RESPONSES, route_class=ExactRoute)

    @routes.get("/v1/approvals")
    async def list_approvals(which: Annotated[WhichApprovals, Query()]) -> Approvals:
        """Answers that have to be approved, as far as their rules still say so."""
        named = list(rules())
        wanted = awaiting(named, which.state)
        entries = await cache.list(wanted, offset=which.offset, limit=which.limit)
        return Approvals(
            rules=named,
            count=await cache.count(wanted),
            answers=[
                OneApproval(entry=summary(one), version=one.id, answer=shown_answer(one.answer)) for one in entries
            ],
        )

    @routes.post("/v1/approvals", responses={404: {"model": Problem}, 409: {"model": Problem}})
    async def say(said: ApprovalSaid) -> ApprovalNoted:
        """Approve an answer, or reject it. It holds over restarts, until the provider gives another answer."""
        state: Approval = "approved" if said.approve else "rejected"
        entry = await cache.approve(said.key, said.version, state)
        if entry:
            return ApprovalNoted(key=entry.key, version=entry.id, state=state)
        if await cache.get(said.key) is None:
            raise HTTPException(404, "Entry not found")
        raise HTTPException(409, "There is another answer by now; look at it first")

    return routes
