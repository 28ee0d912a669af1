"""Which rules are in force, what is wrong with the file, and which rule takes a URL.

The rule: what is said of the file is of the file as it lies there now; what is said of calls, of the rules in force.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.params import Depends
from pydantic import BaseModel, Field

from askonce.api.errors import RESPONSES
from askonce.api.request_models import RequestModel
from askonce.workers import Compute

__all__ = ["DescribeRules", "RulesFile", "router"]

DescribeRules = Callable[[], list[dict[str, Any]]]
"""The rules in force, each by the fields of `OneRule`."""


@dataclass(frozen=True, slots=True)
class RulesFile:
    """Where the rules come from."""

    path: Path
    review: Callable[[], tuple[list[str], list[str]]]
    """Mistakes and warnings; it reads the file."""
    explain: Callable[[str, Mapping[str, str]], tuple[bool, list[str]]]
    """Whether a rule takes a URL, and what is to be said of it. Raises ValueError."""
    run: Compute


class OneRule(BaseModel):
    """One rule in force."""

    name: str
    hosts: list[str]
    paths: list[str]
    wire: str
    match: str
    scope: str
    ttl: float = Field(description="Seconds that an answer is kept.")
    max_error: float = Field(description="The share of semantic hits that may be wrong.")
    when: dict[str, str] = Field(description="Headers that it asks for.")


class AllRules(BaseModel):
    """The rules in force, in their order, and what is to be said of the file."""

    file: str
    rules: list[OneRule]
    mistakes: list[str] = Field(description="Why the file as it is now cannot be used, each with its line.")
    warnings: list[str] = Field(description="Of a file without mistakes: what it probably does not mean.")


class WhichUrl(RequestModel):
    """A call."""

    url: str = Field(min_length=1, max_length=2000, description="Such as https://api.openai.com/v1/chat/completions.")
    header: list[str] = Field(default=[], description="NAME: VALUE, where a rule's `when` asks for it.")


class Explained(BaseModel):
    """Which rule takes a call."""

    taken: bool
    lines: list[str] = Field(description="Which one, how it answers, and why others do not.")


def router(file: RulesFile, in_force: DescribeRules, *, protected: Sequence[Depends]) -> APIRouter:
    """The routes /v1/rules and /v1/rules/explain."""
    routes = APIRouter(prefix="/v1/rules", tags=["rules"], dependencies=list(protected), responses=RESPONSES)

    @routes.get("")
    async def list_rules() -> AllRules:
        """The rules in force, and what is wrong with the file as it is now."""
        mistakes, warnings = await file.run(file.review)
        rules = [OneRule(**rule) for rule in in_force()]
        return AllRules(file=str(file.path), rules=rules, mistakes=mistakes, warnings=warnings)

    @routes.get("/explain")
    async def explain_url(which: Annotated[WhichUrl, Query()]) -> Explained:
        """Which rule takes a URL, and why others do not."""
        headers = dict(map(_header, which.header))
        try:
            taken, lines = await file.run(lambda: file.explain(which.url, headers))
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return Explained(taken=taken, lines=lines)

    return routes


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise HTTPException(400, f"header: expected NAME: VALUE; got {text!r}")
    return name.strip(), value.strip()
