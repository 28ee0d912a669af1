"""What LangCache is sent and sends: the union of its document and of what the service's SDKs accept.

The rule: a field of either is there; similarities are on LangCache's scale, (1 + cosine) / 2.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from askonce.api.product_routes import Mistakes
from askonce.cache import Match, Strategy

__all__ = [
    "ConversationSearch",
    "Created",
    "Deleted",
    "DeletedSome",
    "FieldMistake",
    "Flushed",
    "Found",
    "FoundInConversation",
    "LangCacheProblem",
    "NewEntry",
    "Refusal",
    "Search",
    "Selection",
    "render",
    "tell",
]

_LONGEST_TTL = 31_556_952_000
"""Milliseconds: the service's limit, a year."""
_LONGEST_VALUE = 65_536
"""Characters of an attribute's value: LangChain sends all settings of a model as one, with its tools' schemas."""
_VERSION = re.compile(r"speakeasy-sdk/\S+ (\d+)\.(\d+)")
_SINCE = (0, 14)
"""The first version whose SDKs know a 404 by its new name."""
_KINDS = {
    400: ("INVALID_REQUEST", "Invalid request", "/errors/invalid-data"),
    401: ("UNAUTHORIZED", "Authentication failed", "/errors/authentication-failed"),
    403: ("FORBIDDEN", "Insufficient permissions", "/errors/insufficient-permissions"),
    404: ("NOT_FOUND", "Not found", "/errors/resource-not-found"),
    413: ("PAYLOAD_TOO_LARGE", "Payload too large", "/errors/payload-too-large"),
    429: ("RATE_LIMITED", "Too many requests", "/errors/too-many-requests"),
    500: ("INTERNAL_ERROR", "Unexpected error", "/errors/unexpected-error"),
}
"""By status: the document's code, then the service's title and type."""


class _FailFast(FailFast):
    """One with a hash, without which Python 3.12 takes it into no union."""

    def __hash__(self) -> int:
        return hash(self.fail_fast)


EntryAttributes = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=256)], Annotated[str, Field(max_length=_LONGEST_VALUE)]],
    _FailFast(),
    Field(max_length=64, examples=[{"model": "gpt-5", "user_id": "user_123"}]),
]


def _whole(value: object) -> object:
    """JSON Schema takes 5.0 for an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Body(BaseModel):
    model_config = ConfigDict(strict=True)


class Search(_Body):
    prompt: str = Field(min_length=1, examples=["What is semantic caching?"])
    similarityThreshold: float | None = Field(default=None, ge=0, le=1, examples=[0.9])
    searchStrategies: list[Strategy] | None = Field(default=None, min_length=1, max_length=8)
    attributes: EntryAttributes | None = None
    maxResults: Annotated[int, Field(ge=1, le=100), BeforeValidator(_whole)] | None = None


class ConversationSearch(Search):
    context: list[str] | None = Field(default=None, max_length=1000, description="What was asked before, oldest first.")


class NewEntry(_Body):
    prompt: str = Field(min_length=1)
    response: str
    attributes: EntryAttributes | None = None
    ttlMillis: Annotated[int, Field(ge=1, le=_LONGEST_TTL), BeforeValidator(_whole)] | None = None


class Selection(_Body):
    attributes: EntryAttributes = Field(min_length=1)


class SearchHit(BaseModel):
    id: str
    prompt: str
    response: str
    attributes: dict[str, str]
    similarity: float
    searchStrategy: Strategy


class Found(BaseModel):
    """The document's fields tell the first of `data`; all but `hit` are left out where there is none."""

    hit: bool
    entryId: str | None = None
    prompt: str | None = None
    response: str | None = None
    similarity: float | None = None
    attributes: dict[str, str] | None = None
    data: list[SearchHit]


class FoundInConversation(Found):
    actualPrompt: str = Field(description="What was searched for, to store an answer under.")


class Created(BaseModel):
    entryId: str
    created: Literal[True] = True


class Deleted(BaseModel):
    deleted: Literal[True] = True


class DeletedSome(BaseModel):
    deletedCount: int
    deletedEntriesCount: int


class Flushed(BaseModel):
    flushed: Literal[True] = True


class FieldMistake(BaseModel):
    field: str
    rule: str
    message: str


class ShortError(BaseModel):
    code: str
    message: str


class LangCacheProblem(BaseModel):
    title: str
    type: str
    status: int
    detail: str
    fields: list[FieldMistake] | None = None
    error: ShortError


def render(scope: Scope, status: int, detail: Any, headers: Mapping[str, str]) -> Response:
    """An error as the document has it and as every version of the SDKs takes it."""
    status = min(status, 500)
    refusal = detail if isinstance(detail, Refusal) else Refusal(str(detail))
    if isinstance(detail, Mistakes):
        refusal.fields = [_mistake(mistake) for mistake in detail.errors]
        refusal.message = "; ".join(map(_told, refusal.fields))
    code, title, kind = _KINDS.get(status) or _KINDS[500 if status >= 500 else 400]
    version = _VERSION.match(Headers(scope=scope).get("user-agent", ""))
    if status == 404 and version and (int(version[1]), int(version[2])) < _SINCE:
        kind = f"/errors/{refusal.what}/not-found"
    body = LangCacheProblem(
        title=title,
        type=kind,
        status=status,
        detail=refusal.message,
        fields=refusal.fields or None,
        error=ShortError(code=code, message=refusal.message),
    )
    return JSONResponse(body.model_dump(exclude_none=True), status, dict(headers))


@dataclass(slots=True)
class Refusal:
    """What `HTTPException` carries."""

    message: str
    fields: list[FieldMistake] = field(default_factory=list)
    what: Literal["cache", "cache/entry"] = "cache"
    """What a 404 did not find."""


def tell(matches: Sequence[Match]) -> dict[str, Any]:
    """The fields of `Found`."""
    data = [
        {
            "id": match.item.id,
            "prompt": match.item.text,
            "response": match.item.value.decode(),
            "attributes": dict(match.item.attributes),
            "similarity": min(1.0, round((1 + match.similarity) / 2, 6)),
            "searchStrategy": match.strategy,
        }
        for match in matches
    ]
    if not data:
        return {"hit": False, "data": []}
    first = {name: value for name, value in data[0].items() if name not in ("id", "searchStrategy")}
    return {"hit": True, "entryId": data[0]["id"], **first, "data": data}


def _told(mistake: FieldMistake) -> str:
    """With the field's name, where the message, as the document words it, does not have it already."""
    return mistake.message if mistake.rule == "missing" else f"{mistake.field}: {mistake.message}"


def _mistake(mistake: Mapping[str, Any]) -> FieldMistake:
    place, *rest = mistake["loc"]
    if mistake["type"] == "json_invalid":
        return FieldMistake(field=str(place), rule="json_invalid", message=f"expected JSON: {mistake['ctx']['error']}")
    name = ".".join(map(str, rest)) or str(place)
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "missing":
        message = f"Missing required field: {name}"
    return FieldMistake(field=name, rule=mistake["type"], message=message)
