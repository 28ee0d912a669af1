"""The remembered answers: list, search, show, delete.

The rule: what a caller gets wrong never widens what he deletes; an unknown filter is refused, not ignored.
"""

import base64
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, HTTPException, Query
from pydantic import AfterValidator, BaseModel, Field

from askonce import jsontext
from askonce.api.errors import RESPONSES, Problem
from askonce.api.product_routes import Shared, hours
from askonce.api.request_models import RequestModel
from askonce.cache import Cache, Entry, Filter
from askonce.call import Answer
from askonce.calls.dependencies import declared, depending_on
from askonce.calls.kept_request import KeptRequest, unpack
from askonce.jsontext import encodable
from askonce.rules.dependencies import parse_tag

__all__ = ["EntrySummary", "StoredAnswer", "router", "shown_answer", "summary", "whole_key"]

_SHOWN = ("bytes", "memory_bytes", "index_bytes", "partitions", "evicted", "evicted_over_share", "embedder")
_BEGINNING = re.compile(r"[0-9a-f]{4,63}")
"""A digit less is a mistake more often than a key."""
_LAST_MOMENT = 253402300799.0
"""The end of the year 9999: what an endless lifetime shows as."""


def _is_tag(text: str) -> str:
    parse_tag(text)
    return text


class WhichEntries(RequestModel):
    """Which entries; all that are given must hold."""

    upstream: str | None = Field(default=None, description="The rule's name.")
    model: str | None = Field(default=None, description="The model's name as the app asked for it.")
    namespace: str | None = Field(default=None, description="The namespace; empty for the default one.")
    since: float | None = Field(default=None, ge=0, le=_LAST_MOMENT, description="Created at this Unix time or later.")
    prompt: str | None = Field(default=None, description="A part of the prompt, in any case.")
    depends: Annotated[str, AfterValidator(_is_tag)] | None = Field(
        default=None, description="What the answer depends on: a tag, of any version or of one: `doc:17@v3`."
    )

    def filter(self) -> Filter:
        labels = depending_on(*parse_tag(self.depends)) if self.depends else None
        return Filter(self.upstream, self.model, self.namespace, self.since, self.prompt, labels=labels)


class EntryPage(WhichEntries):
    """Which entries, and which of them to show."""

    offset: int = Field(default=0, ge=0, le=2**31)
    limit: int = Field(default=100, ge=1, le=1000)


class EntrySearch(RequestModel):
    q: str = Field(min_length=1, description="A prompt; entries that ask something near it are found.")
    limit: int = Field(default=10, ge=1, le=100)


class EntrySummary(BaseModel):
    """One remembered answer, without the answer."""

    key: str
    upstream: str
    host: str
    wire: str
    model: str
    namespace: str
    prompt: str
    created: datetime
    expires: datetime
    upstream_seconds: float = Field(description="How long the provider took.")
    input_tokens: int
    output_tokens: int
    hits: int
    last_used: datetime | None


class Message(BaseModel):
    role: str
    text: str


class StoredAnswer(BaseModel):
    content_type: str
    encoding: Literal["json", "text", "base64"] = Field(description="What `body` is: a JSON value, text, or bytes.")
    body: Any


class AskedRequest(BaseModel):
    """What was asked, without what says who asks."""

    path: str
    headers: dict[str, str] = Field(description="Those that choose the answer, each with a digest of its value.")
    body: Any


class EntryDetail(EntrySummary):
    """One remembered answer."""

    version: int = Field(description="Of the answer: another one has another.")
    stale_until: datetime
    partition: str = Field(description="Only calls of one partition may share answers.")
    parts: dict[str, str] = Field(description="The digests that the partition is made of, by part of the call.")
    depends: dict[str, str] = Field(description="What the answer depends on: version by tag, empty where it has none.")
    turns: list[Message]
    answer: StoredAnswer
    request: AskedRequest | None = Field(description="Null where it was not kept: too large, a batch, imported.")


class Listing(BaseModel):
    """`count` and `keys` are PromptCache's."""

    count: int = Field(description="How many there are in all.")
    keys: list[str]
    entries: list[EntrySummary]


class FoundEntry(BaseModel):
    entry: EntrySummary
    similarity: float = Field(description="Cosine, -1 to 1.")


class Results(BaseModel):
    results: list[FoundEntry] = Field(description="Nearest first.")


class CacheStats(BaseModel):
    """`entry_count`, `max_entries` and `ttl_hours` are PromptCache's."""

    entry_count: int
    max_entries: int | None
    ttl_hours: int | None = Field(description="How long an answer is kept where its rule does not say, rounded up.")
    bytes: int = Field(description="On disk.")
    max_bytes: int | None
    memory_bytes: int = Field(description="Entries held in memory.")
    index_bytes: int = Field(description="Vectors held in memory.")
    partitions: int = Field(description="Groups of calls that may share answers.")
    evicted: int = Field(description="Entries that had to make room since the start.")
    evicted_over_share: int = Field(description="Those of them whose caller held more than max_share.")
    embedder: str = Field(description="What makes the vectors; empty where only identical calls are answered.")


class EntryDeleted(BaseModel):
    message: str = "Entry deleted successfully"
    key: str


class Cleared(BaseModel):
    message: str = "Cache cleared successfully"
    deleted_count: int


def router(shared: Shared) -> APIRouter:
    """The routes under /v1/cache."""
    routes = APIRouter(prefix="/v1/cache", tags=["cache"], dependencies=shared.protected, responses=RESPONSES)
    cache, limits, ttl = shared.cache, shared.limits, shared.ttl

    @routes.get("")
    async def list_entries(page: Annotated[EntryPage, Query()]) -> Listing:
        """Remembered answers, newest first."""
        which = page.filter()
        entries = await cache.list(which, offset=page.offset, limit=page.limit)
        return Listing(
            count=await cache.count(which), keys=[entry.key for entry in entries], entries=[*map(summary, entries)]
        )

    @routes.get("/stats")
    async def cache_stats() -> CacheStats:
        """How full it is."""
        stats = cache.stats()
        return CacheStats(
            entry_count=stats["entries"],
            max_entries=limits.max_entries if limits else None,
            max_bytes=limits.max_bytes if limits else None,
            ttl_hours=hours(ttl()) if ttl else None,
            **{name: stats[name] for name in _SHOWN},
        )

    @routes.get("/search")
    async def search(query: Annotated[EntrySearch, Query()]) -> Results:
        """Remembered answers to prompts near `q`, whoever asked them."""
        found = await cache.search(query.q, query.limit)
        return Results(results=[FoundEntry(entry=summary(entry), similarity=cosine) for entry, cosine in found])

    @routes.get("/{key}", responses={404: {"model": Problem}, 409: {"model": Problem}})
    async def show(key: str) -> EntryDetail:
        """One remembered answer, whole. A beginning of its key will do, where no other key begins so."""
        entry = await cache.get(await whole_key(cache, key))
        if entry is None:
            raise HTTPException(404, "Entry not found")
        return _detail(entry, unpack(await cache.request(entry.key)))

    @routes.delete("/{key}", responses={404: {"model": Problem}, 409: {"model": Problem}})
    async def delete(key: str) -> EntryDeleted:
        """Forget one answer. A beginning of its key will do, where no other key begins so."""
        whole = await whole_key(cache, key)
        if not await cache.delete(whole):
            raise HTTPException(404, "Entry not found")
        return EntryDeleted(key=whole)

    @routes.delete("")
    async def clear(which: Annotated[WhichEntries, Query()]) -> Cleared:
        """Forget all answers, or those that the filters name. With `depends`, an answer that is still on its way is not
        kept either."""
        if which.depends is None:
            return Cleared(deleted_count=await cache.clear(which.filter()))
        deleted = await shared.dependencies.invalidate(*parse_tag(which.depends), which=which.filter())
        return Cleared(deleted_count=deleted)

    return routes


async def whole_key(cache: Cache, key: str) -> str:
    """The key that a beginning names, or what is given where none begins so. HTTPException where several do."""
    if not _BEGINNING.fullmatch(key):
        return key
    found = await cache.keys(key)
    if len(found) > 1:
        raise HTTPException(409, f"Several keys begin with {key}, such as {found[0]} and {found[1]}")
    return found[0] if found else key


def summary(entry: Entry) -> EntrySummary:
    """An entry without its answer."""
    return EntrySummary(**_fields(entry))


def _detail(entry: Entry, kept: KeptRequest | None) -> EntryDetail:
    return EntryDetail(
        **_fields(entry),
        version=entry.id,
        stale_until=_moment(entry.stale_until),
        partition=entry.partition.hex(),
        parts=dict(entry.parts),
        depends={encodable(tag): encodable(version) for tag, version in declared(entry.labels).items()},
        turns=[Message(role=encodable(turn.role), text=encodable(turn.text)) for turn in entry.turns],
        answer=shown_answer(entry.answer),
        request=AskedRequest(path=kept.path, headers=dict(kept.headers), body=kept.body) if kept else None,
    )


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "upstream": entry.upstream,
        "host": entry.host,
        "wire": entry.wire,
        "model": encodable(entry.model),
        "namespace": encodable(entry.namespace),
        "prompt": encodable(entry.prompt),
        "created": _moment(entry.created),
        "expires": _moment(entry.expires),
        "upstream_seconds": entry.upstream_seconds,
        "input_tokens": entry.answer.usage.input_tokens,
        "output_tokens": entry.answer.usage.output_tokens,
        "hits": entry.hits,
        "last_used": _moment(entry.last_used) if entry.last_used else None,
    }


def shown_answer(answer: Answer) -> StoredAnswer:
    """An answer as JSON can hold it."""
    if "json" in answer.content_type:
        try:
            value = jsontext.loads(answer.body)
            shown = orjson.loads(answer.body)
            if jsontext.dumps(value) == orjson.dumps(shown):  # else a number would be rounded
                return StoredAnswer(content_type=answer.content_type, encoding="json", body=shown)
        except jsontext.NotJson:
            pass
    try:
        return StoredAnswer(content_type=answer.content_type, encoding="text", body=answer.body.decode())
    except UnicodeDecodeError:
        body = base64.b64encode(answer.body).decode()
        return StoredAnswer(content_type=answer.content_type, encoding="base64", body=body)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(min(seconds, _LAST_MOMENT), UTC)
