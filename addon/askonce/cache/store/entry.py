"""What the store keeps, and how it becomes rows. The one rule: what goes in as an `Entry` comes out equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from askonce.cache.identity import tenant
from askonce.cache.judge import Vector
from askonce.call import Answer, Turn, Usage
from askonce.faults import Foreseen

__all__ = ["COLUMNS", "Entry", "Filter", "StoreError", "from_row", "payload", "raw_key", "to_row"]


class StoreError(Foreseen):
    """The store could not do what was asked; nothing was half-done. The message says what and why."""


class InUseError(StoreError):
    """Another process holds the data folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One remembered answer, and everything needed to decide whom it may serve."""

    key: str
    """The exact key in hex; unique."""
    partition: bytes
    parts: Mapping[str, str]
    upstream: str
    """The rule's name."""
    host: str
    wire: str
    model: str
    namespace: str
    prompt: str
    turns: tuple[Turn, ...]
    answer: Answer
    created: float
    """Unix seconds, as the two that follow."""
    expires: float
    stale_until: float
    """Not before `expires`; never served after it."""
    upstream_seconds: float
    """How long the provider took."""
    embedder: str = ""
    """Whose vector it is; empty without one."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Names and values under which it can be found and deleted besides its key: what it depends on, whose it is."""
    values: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What there is to show of `parts`; see `why.values_of`."""
    request: bytes = field(default=b"", repr=False, compare=False)
    """What was asked, packed (`calls.kept_request`), on its way to the disk; empty in what comes from there."""
    vector: Vector | None = field(default=None, repr=False, compare=False)
    kin: int = field(default=0, compare=False)
    """Equal for entries whose answers are the same; 0 where it is not known. See `agreement.kin`."""
    id: int = 0
    """Given by the store, never reused."""
    hits: int = field(default=0, compare=False)
    last_used: float = field(default=0.0, compare=False)
    """Unix seconds; like `hits` written in batches, so it may lag on disk by seconds."""

    @property
    def tenant(self) -> str:
        """See `Identity.tenant`. What no caller asked (an item in a named store) is its partition's."""
        return tenant(self.parts) if "credential" in self.parts else self.partition.hex()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries; fields that are None do not narrow."""

    upstream: str | None = None
    model: str | None = None
    namespace: str | None = None
    since: float | None = None
    """Created at this Unix time or later."""
    prompt: str | None = None
    """A part of the prompt, in any ASCII case."""
    partition: bytes | None = None
    alive: float | None = None
    """Not expired at this Unix time."""
    semantic: bool | None = None
    """Serves other wordings, too; or identical calls alone."""
    labels: Mapping[str, str | None] | None = None
    """All of these labels; a value of None stands for any."""
    keys: tuple[bytes, bytes] | None = None
    """Its key is one of these or between them."""
    upstreams: tuple[str, ...] | None = None
    """Its rule is one of these."""
    without: str | None = None
    """It has no label of this name."""

    def where(self) -> tuple[str, list[Any]]:
        """The condition in SQL over table `entry`, and its values."""
        terms: list[str] = []
        values: list[Any] = []
        for name in ("upstream", "model", "namespace", "partition"):
            value = getattr(self, name)
            if value is not None:
                terms.append(f"entry.{name} = ?")
                values.append(value)
        if self.since is not None:
            terms.append("entry.created >= ?")
            values.append(self.since)
        if self.prompt is not None:
            escaped = self.prompt.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            terms.append("entry.prompt LIKE ? ESCAPE '\\'")
            values.append(f"%{escaped}%")
        if self.alive is not None:
            terms.append("entry.expires > ?")
            values.append(self.alive)
        if self.semantic is not None:
            terms.append(f"entry.embedder {'!=' if self.semantic else '='} ''")
        if self.keys is not None:
            terms.append("entry.key BETWEEN ? AND ?")
            values += self.keys
        if self.upstreams is not None:
            terms.append("entry.upstream IN (SELECT value FROM json_each(?))")
            values.append(orjson.dumps(self.upstreams).decode())
        if self.without is not None:
            terms.append("entry.id NOT IN (SELECT id FROM label WHERE name = ?)")
            values.append(self.without)
        for name, value in (self.labels or {}).items():
            terms.append(
                f"entry.id IN (SELECT id FROM label WHERE name = ?{'' if value is None else ' AND value = ?'})"
            )
            values += [name] if value is None else [name, value]
        return " AND ".join(terms) or "1", values


COLUMNS = (
    "key, partition, parts, upstream, host, wire, model, namespace, created, expires, stale_until, upstream_seconds, "
    "embedder, prompt, turns, content_type, headers, input_tokens, output_tokens, body, "
    "labels, kin, shown"
)
"""Of table `entry`, in the order of `to_row` and `from_row`."""
_STATUS = ":status"
"""As HTTP/2 has it among the headers (RFC 9113 section 8.3.2); no header that is sent has such a name."""


def to_row(entry: Entry) -> tuple[Any, ...]:
    """The values of COLUMNS. ValueError where a text cannot be written (a lone surrogate)."""
    answer = entry.answer
    return (
        bytes.fromhex(entry.key),
        entry.partition,
        orjson.dumps(dict(entry.parts)),
        entry.upstream,
        entry.host,
        entry.wire,
        entry.model,
        entry.namespace,
        entry.created,
        entry.expires,
        entry.stale_until,
        entry.upstream_seconds,
        entry.embedder,
        entry.prompt,
        orjson.dumps([(turn.role, turn.text) for turn in entry.turns]),
        answer.content_type,
        orjson.dumps(_with_status(answer)),
        answer.usage.input_tokens,
        answer.usage.output_tokens,
        answer.body,
        orjson.dumps(dict(entry.labels)),
        entry.kin,
        orjson.dumps(dict(entry.values)),
    )


def from_row(row: tuple[Any, ...]) -> Entry:
    """The entry of a row of COLUMNS followed by id, hits, last_used and the vector's bytes or None."""
    (key, partition, parts, upstream, host, wire, model, namespace, created, expires, stale_until, seconds) = row[:12]
    (embedder, prompt, turns, content_type, headers, input_tokens, output_tokens, body, labels, kin, shown) = row[12:23]
    id, hits, last_used, vector = row[23:]
    return Entry(
        key=key.hex(),
        partition=partition,
        parts=orjson.loads(parts),
        upstream=upstream,
        host=host,
        wire=wire,
        model=model,
        namespace=namespace,
        prompt=prompt,
        turns=tuple(Turn(role, text) for role, text in orjson.loads(turns)),
        answer=_answer(body, content_type, Usage(input_tokens, output_tokens), orjson.loads(headers)),
        created=created,
        expires=expires,
        stale_until=stale_until,
        upstream_seconds=seconds,
        embedder=embedder,
        labels=orjson.loads(labels),
        values=orjson.loads(shown),
        kin=kin,
        vector=None if vector is None else np.frombuffer(vector, dtype=np.float32),
        id=id,
        hits=hits,
        last_used=last_used,
    )


def _with_status(answer: Answer) -> list[tuple[str, str]]:
    """The headers, after the status where that is another than 200."""
    return [*([(_STATUS, str(answer.status))] if answer.status != 200 else []), *answer.headers]


def _answer(body: bytes, content_type: str, usage: Usage, written: list[list[str]]) -> Answer:
    headers = tuple((name, value) for name, value in written if name != _STATUS)
    return Answer(body, content_type, usage, headers, int(dict(written).get(_STATUS, 200)))


def payload(entry: Entry) -> int:
    """The payload in bytes, with 512 for what every row costs besides (indexes, bookkeeping)."""
    texts = sum(len(turn.role) + len(turn.text.encode("utf-8", "replace")) for turn in entry.turns)
    texts += sum(len(name) + len(value) for named in (entry.labels, entry.values) for name, value in named.items())
    vector = 0 if entry.vector is None else entry.vector.nbytes
    return (
        512
        + len(entry.answer.body)
        + len(entry.request)
        + len(entry.prompt.encode("utf-8", "replace"))
        + texts
        + vector
    )


def raw_key(key: str) -> bytes:
    """A key in bytes; empty for what is none."""
    try:
        return bytes.fromhex(key)
    except ValueError:
        return b""
