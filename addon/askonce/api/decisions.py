"""How right decisions were: what came of comparing answers, and what people said.

The rule: evidence holds no text; a prompt is shown only where its entry is still kept.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

from fastapi import APIRouter
from fastapi.params import Depends
from pydantic import BaseModel, Field

from askonce.api.errors import RESPONSES
from askonce.cache import Cache, Entry, Observation, probability
from askonce.jsontext import encodable

__all__ = ["router"]

_BINS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
_PARTITIONS = 50
_WRONG = 50


class Rights(BaseModel):
    """How many were right."""

    right: int
    wrong: int


class Bin(Rights):
    """Decisions of nearly the same probability."""

    above: float
    to: float
    said: float = Field(description="The judge's own probability, on average; what evidence corrects is not in it.")


class PartitionEvidence(Rights):
    """What is known of one partition."""

    partition: str
    upstream: str = Field(description="Empty where none of its entries that taught something is kept any more.")
    model: str
    last: datetime


class Wrong(BaseModel):
    """A hit that was wrong."""

    time: datetime
    source: str = Field(
        description="`audit`: the provider was asked, and said otherwise. `feedback`: somebody said so."
    )
    said: float
    key: str = Field(description="The entry that was served; empty where it is gone.")
    prompt: str = Field(description="The entry's.")


class AuditCost(Rights):
    """Served answers that were checked by asking the provider all the same."""

    tokens: int = Field(description="About what they cost: those of the entries that were checked and are still kept.")


class Decisions(BaseModel):
    """The last ten thousand observations, summed up."""

    misses: Rights = Field(description="Near misses: whether the stored answer would have been right.")
    audits: AuditCost
    feedback: Rights
    verdicts: Rights = Field(description="Near misses that the verifier was asked about.")
    refused: int = Field(description="Pairs of a question and an answer that are never served again.")
    reliability: list[Bin]
    partitions: list[PartitionEvidence] = Field(description="Those with most evidence, the most first.")
    wrong: list[Wrong] = Field(description="Hits that were wrong, the latest first.")


def router(cache: Cache, *, protected: Sequence[Depends]) -> APIRouter:
    """The route /v1/decisions."""
    routes = APIRouter(tags=["cache"], dependencies=list(protected), responses=RESPONSES)

    @routes.get("/v1/decisions")
    async def show_decisions() -> Decisions:
        """How right the judge was, by what it said; what was said to be wrong; and what is known of each partition."""
        known = await cache.observed()
        entries = {entry.id: entry for entry in known.entries}
        return await cache.run_apart(lambda: _summed(known.observations, entries, known.refused))

    return routes


def _summed(observations: Sequence[Observation], entries: dict[int, Entry], refused: int) -> Decisions:
    by_source = defaultdict[str, list[Observation]](list)
    for one in observations:
        by_source[one.source].append(one)
    audited = [entries[one.entry].answer.usage for one in by_source["audit"] if one.entry in entries]
    tokens = sum(usage.input_tokens + usage.output_tokens for usage in audited)
    return Decisions(
        misses=_rights(by_source["miss"]),
        audits=AuditCost(**_rights(by_source["audit"]).model_dump(), tokens=tokens),
        feedback=_rights(by_source["feedback"]),
        verdicts=_rights(by_source["verdict"]),
        refused=refused,
        reliability=list(_bins(observations)),
        partitions=_partitions(observations, entries),
        wrong=[_wrong(one, entries.get(one.entry)) for one in reversed(observations) if _is_wrong_hit(one)][:_WRONG],
    )


def _rights(observations: Sequence[Observation]) -> Rights:
    right = sum(one.right for one in observations)
    return Rights(right=right, wrong=len(observations) - right)


def _bins(observations: Sequence[Observation]) -> Iterable[Bin]:
    said = [(probability(one.score), one) for one in observations]
    for above, to in pairwise(_BINS):
        within = [(p, one) for p, one in said if above <= p < to or p == to == 1]
        if within:
            mean = sum(p for p, _ in within) / len(within)
            yield Bin(above=above, to=to, said=mean, **_rights([one for _, one in within]).model_dump())


def _partitions(observations: Sequence[Observation], entries: dict[int, Entry]) -> list[PartitionEvidence]:
    grouped: dict[bytes, list[Observation]] = {}
    for one in observations:
        grouped.setdefault(one.partition, []).append(one)
    most = sorted(grouped.items(), key=lambda group: -len(group[1]))[:_PARTITIONS]
    return [_partition(partition, group, entries) for partition, group in most]


def _partition(partition: bytes, group: Sequence[Observation], entries: dict[int, Entry]) -> PartitionEvidence:
    entry = next((entries[one.entry] for one in group if one.entry in entries), None)
    return PartitionEvidence(
        partition=partition.hex(),
        upstream=entry.upstream if entry else "",
        model=encodable(entry.model) if entry else "",
        last=_moment(max(one.time for one in group)),
        **_rights(group).model_dump(),
    )


def _is_wrong_hit(one: Observation) -> bool:
    return not one.right and one.source in ("audit", "feedback")


def _wrong(one: Observation, entry: Entry | None) -> Wrong:
    return Wrong(
        time=_moment(one.time),
        source=one.source,
        said=probability(one.score),
        key=entry.key if entry else "",
        prompt=encodable(entry.prompt) if entry else "",
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
