"""Why a call was, or was not, answered from the cache.

The rule: what was decided is told as it was recorded then; what is nearest is looked for now.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Self

from fastapi import APIRouter, HTTPException, Query
from fastapi.params import Depends
from pydantic import BaseModel, Field, model_validator

from askonce.accounting import Accounting, CallRecord, Outcome
from askonce.api.entries import EntrySummary, summary, whole_key
from askonce.api.errors import RESPONSES
from askonce.api.request_models import RequestModel
from askonce.cache import ALIAS, Cache, ComparedCall, Difference, Entry, Nearest
from askonce.cache.why import differences
from askonce.jsontext import encodable, rfc3339

__all__ = ["CompareEntries", "router"]

_PAST = {"stale": ", past its time", "stale-if-error": ", past its time; the provider failed"}
_BYPASSES = {
    "rule": "its rule says match: off",
    "no-store": "the request says no-store",
    "no-cache": "the request says no-cache, or the proxy records",
    "unreadable": "the request is not what its wire format expects",
    "depends": "what its answer depends on cannot be read",
    "large": "the request is larger than limits of rules.yaml let Askonce read",
    "full": "there was no room for the request: all that were under way together were limits.max_held",
    "fault": "a fault in Askonce; its log says which",
}


_AGREED = {
    "same": "the provider said the same",
    "different": "the provider said something else",
    "unknown": "whether the provider said the same cannot be told",
}


class WhichCall(RequestModel):
    """Which call; without any of these the last one."""

    last: int | None = Field(default=None, ge=1, le=50, description="1 for the last call, 2 for the one before it.")
    call: int | None = Field(default=None, ge=1, le=2**53, description="The number of one of the last calls.")
    key: str | None = Field(default=None, min_length=4, description="The key of a call or an entry, or its beginning.")
    prompt: str | None = Field(default=None, description="The prompt of an entry; the nearest one counts.")
    other: str | None = Field(default=None, description="The entry to compare with; the nearest one by default.")

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if sum(value is not None for value in (self.last, self.call, self.key, self.prompt)) > 1:
            raise ValueError("expected one of last, call, key and prompt")
        return self


class Made(BaseModel):
    """What was decided on a call."""

    time: str
    outcome: Outcome
    detail: str
    upstream: str
    model: str
    status: int
    key: str = Field(description="The call's own; an entry of this key answers it.")
    similarity: float | None
    probability: float | None
    stored: bool
    unkept: str = Field(description="Why the provider's answer was not kept; empty where it was, or none came.")


class Differs(BaseModel):
    part: str = Field(description="A part of the key, or `prompt`; several where they differ in one place.")
    path: str = Field(
        description="Where in the request, as a normalized JSONPath (RFC 9535) into its body that a rule can `ignore`, "
        "or a header's name; empty where that is not known."
    )
    stored: str = Field(description="What the nearest entry has, in short; empty where that is not known.")
    asked: str


class Why(BaseModel):
    """Why a call was, or was not, answered; and what it is nearest to."""

    why: str
    call: Made | None = Field(description="Empty where the call is not among the last, and only its entry is known.")
    prompt: str | None = Field(
        description="The call's, or its beginning where its answer was not kept; empty where nothing of it may be kept."
    )
    nearest: EntrySummary | None
    differs: list[Differs] = Field(description="From the nearest entry to the call; empty where it is the same call.")


type CompareEntries = Callable[[Entry, Entry], Awaitable[Sequence[Difference]]]
"""Where the requests of two entries differ, stored and asked; nothing where they were not kept."""


def router(
    cache: Cache, accounting: Accounting, *, compare: CompareEntries | None, protected: Sequence[Depends]
) -> APIRouter:
    """The route /v1/why; without `compare`, parts are named and no places in the request."""
    routes = APIRouter(tags=["cache"], dependencies=protected, responses=RESPONSES)

    @routes.get("/v1/why")
    async def why(which: Annotated[WhichCall, Query()]) -> Why:
        """Why a call was, or was not, answered from the cache, and which part of its key differs from the nearest."""
        moment, record, entry = await _find(which)
        asked = _asked(record, entry)
        nearest = await _nearest(which.other, asked, record)
        places = await compare(nearest.entry, entry) if compare and nearest and entry and nearest.differs else ()
        return Why(
            why=_sentence(record, _compared(nearest)),
            call=_made(moment, record) if record else None,
            prompt=_prompt(record, asked),
            nearest=summary(nearest.entry) if nearest else None,
            differs=[
                Differs(part=part, path=encodable(path), stored=encodable(stored), asked=encodable(now))
                for part, stored, now, path in (_placed(nearest.differs, places) if nearest else ())
            ],
        )

    async def _find(which: WhichCall) -> tuple[float, CallRecord | None, Entry | None]:
        if which.prompt is not None:
            found = await cache.search(which.prompt, 1)
            if not found:
                raise HTTPException(404, "No entry has a prompt that is anything like this")
            return 0.0, None, found[0][0]
        if which.key is not None:
            known = ((moment, call) for moment, call in accounting.latest() if call.asked.startswith(which.key))
            moment, record = next(known, (0.0, None))
            entry = await cache.get(record.asked if record else await whole_key(cache, which.key))
            if record is None and entry is None:
                raise HTTPException(404, "Neither an entry nor one of the last calls has this key")
            return moment, record, entry
        if which.call is not None:
            found_call = accounting.after(which.call - 1, 1)
            if not found_call or found_call[0][0] != which.call:
                raise HTTPException(404, "That call is not among the last ones any more, or not yet")
            _, moment, record = found_call[0]
        else:
            place = which.last or 1
            calls = accounting.latest(place)
            if place > len(calls):
                raise HTTPException(404, f"There were {len(calls)} calls since the start; name a key or a prompt")
            moment, record = calls[-1]
        return moment, record, await cache.get(record.asked) if record.asked else None

    async def _nearest(other: str | None, asked: ComparedCall, record: CallRecord | None) -> Nearest | None:
        key = other
        if other is None and record and record.outcome != "bypass":
            key = record.key if record.hit else record.nearest
        if key:
            entry = await cache.get(await whole_key(cache, key))
            if entry:
                return Nearest(entry, differences(asked, entry))
            if other:
                raise HTTPException(404, "The entry to compare with is not there")
        if record and (record.hit or not record.asked):
            return None
        return await cache.nearest(asked)

    return routes


def _asked(record: CallRecord | None, entry: Entry | None) -> ComparedCall:
    if entry:
        return ComparedCall.before(entry)
    assert record
    return ComparedCall(record.parts, record.asked, model=record.model, wire=record.wire, upstream=record.upstream)


def _prompt(record: CallRecord | None, asked: ComparedCall) -> str | None:
    if asked.prompt is not None:
        return encodable(asked.prompt)
    return encodable(record.prompt) if record and record.prompt else None


def _compared(nearest: Nearest | None) -> str:
    if nearest is None:
        return "no other call is stored"
    # Without a difference in its key, it can only be in the prompt.
    parts = [difference.part for difference in nearest.differs] or ["its prompt; the one that was asked was not kept"]
    return f"the nearest stored call differs in {', '.join(parts)}"


def _placed(parts: Sequence[Difference], places: Sequence[Difference]) -> Sequence[Difference]:
    """The differences of a call, those in its request by their places, where these are known."""
    unlike = {part.part for part in parts}
    places = [place for place in places if not place.part or not unlike.isdisjoint(place.part.split(", "))]
    known = {name for place in places for name in place.part.split(", ")}
    return [*(part for part in parts if part.part not in known), *places]


def _sentence(record: CallRecord | None, compared: str) -> str:
    if record is None:
        return compared
    if record.detail == ALIAS:
        return "answered: a verifier said of this wording that it asks for the same"
    if record.outcome == "exact":
        return "answered: the same call was asked before" + _PAST.get(record.detail, "")
    if record.outcome == "semantic":
        return f"answered: taken for the same question{_figures(record)}"
    if record.outcome == "bypass":
        return f"not looked up: {_BYPASSES.get(record.detail, record.detail)}"
    if record.reuse not in ("", "lasting") and record.detail.startswith(record.reuse):
        return f"not answered: its answer is given to no other wording, being {record.detail}; {compared}"
    if record.watched:
        told = "the same call was asked before" if record.watched == "exact" else "taken for the same question"
        said = _AGREED[record.agreed]
        return f"only watched (match: watch): it would have been answered, {told}{_figures(record)}; {said}"
    if record.nearest:
        return f"not answered: the nearest question of its partition was refused: {record.detail}{_figures(record)}"
    return f"not answered: {record.detail or 'no entry'}; {compared}"


def _figures(record: CallRecord) -> str:
    figures = (("similarity", record.similarity), ("probability", record.probability))
    known = ", ".join(f"{name} {value:.3f}" for name, value in figures if value is not None)
    return f" ({known})" if known else ""


def _made(moment: float, record: CallRecord) -> Made:
    return Made(
        time=rfc3339(moment),
        outcome=record.outcome,
        detail=encodable(record.detail),
        upstream=record.upstream,
        model=encodable(record.model),
        status=record.status,
        key=record.asked,
        similarity=record.similarity,
        probability=record.probability,
        stored=record.stored,
        unkept=encodable(record.unkept),
    )
