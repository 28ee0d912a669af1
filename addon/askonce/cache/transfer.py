"""An entry as one line of JSON that a person can read, for export, import and cassettes.

The one rule here: what is written down holds no credential and nothing of the machine it was written on; and what is
read is checked whole before any of it is used.
"""

import base64
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from askonce import jsontext
from askonce.cache.store.entry import Entry
from askonce.call import Answer, Turn, Usage
from askonce.jsontext import rfc3339

__all__ = ["FOREVER", "Record", "TransferError", "read_record", "write_record"]

FOREVER = 4102444800.0
"""The Unix time until which an entry without an end is served: the year 2100."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPAQUE = "generic"
"""The wire format whose answers are replayed byte for byte."""


class TransferError(ValueError):
    """A line is not an entry; the message says where in it, and what was expected."""


class Record(NamedTuple):
    """An entry on its way in or out, its vector left behind."""

    entry: Entry
    semantic: bool
    """It may serve other wordings: it had a vector, and is to get one again."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)  # most proxies never read a line


class _Usage(_Model):
    input: int = 0
    output: int = 0


class _Answer(_Model):
    status: int = Field(default=200, ge=200, le=599)
    content_type: str
    headers: list[tuple[str, str]] = []
    encoding: Literal["json", "text", "base64"] = "json"
    body: Any


_Key = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class _Line(_Model):
    """The fields in the order in which they are written."""

    upstream: str
    host: str
    wire: str
    model: str = ""
    namespace: str = ""
    prompt: str = ""
    turns: list[tuple[str, str]] | None = None
    answer: _Answer
    usage: _Usage = _Usage()
    semantic: bool = False
    recorded: AwareDatetime
    expires: AwareDatetime | None = None
    stale_until: AwareDatetime | None = None
    upstream_seconds: float = Field(ge=0)
    labels: dict[str, str] = {}
    key: _Key
    partition: _Key
    parts: dict[str, str] = {}


def write_record(record: Record, *, lasting: bool = False) -> bytes:
    """One line, its line break included. `lasting` leaves out when the entry ends."""
    entry = record.entry
    line = {
        "upstream": entry.upstream,
        "host": entry.host,
        "wire": entry.wire,
        "model": entry.model,
        "namespace": entry.namespace,
        "prompt": entry.prompt,
        "turns": None
        if entry.turns == (Turn("user", entry.prompt),)
        else [(turn.role, turn.text) for turn in entry.turns],
        "answer": _write_answer(entry.answer, entry.wire),
        "usage": {"input": entry.answer.usage.input_tokens, "output": entry.answer.usage.output_tokens},
        "semantic": record.semantic,
        "recorded": _moment(entry.created, whole=lasting),
        "expires": None if lasting else _moment(entry.expires),
        "stale_until": None if lasting else _moment(entry.stale_until),
        "upstream_seconds": round(entry.upstream_seconds, 3),
        "labels": dict(sorted(entry.labels.items())),
        "key": entry.key,
        "partition": entry.partition.hex(),
        "parts": dict(sorted(entry.parts.items())),
    }
    return jsontext.dumps({name: value for name, value in line.items() if value not in (None, "", {})}) + b"\n"


def read_record(line: bytes) -> Record:
    """The entry of a line. Raises `TransferError`."""
    try:
        found = _Line.model_validate(jsontext.loads(line))
    except jsontext.NotJson as error:
        raise TransferError(f"expected a JSON object: {error}") from None
    except ValidationError as error:
        raise TransferError(_first_mistake(error)) from None
    created = _seconds(found.recorded)
    expires = FOREVER if found.expires is None else _seconds(found.expires)
    turns = [("user", found.prompt)] if found.turns is None else found.turns
    entry = Entry(
        key=found.key,
        partition=bytes.fromhex(found.partition),
        parts=found.parts,
        upstream=found.upstream,
        host=found.host,
        wire=found.wire,
        model=found.model,
        namespace=found.namespace,
        prompt=found.prompt,
        turns=tuple(Turn(role, text) for role, text in turns),
        answer=_read_answer(found.answer, Usage(found.usage.input, found.usage.output)),
        created=created,
        expires=expires,
        stale_until=expires if found.stale_until is None else max(expires, _seconds(found.stale_until)),
        upstream_seconds=found.upstream_seconds,
        labels=found.labels,
    )
    return Record(entry, found.semantic)


def _write_answer(answer: Answer, wire: str) -> dict[str, Any]:
    written: dict[str, Any] = {"status": answer.status} if answer.status != 200 else {}
    written["content_type"] = answer.content_type
    if answer.headers:
        written["headers"] = answer.headers
    try:
        value = jsontext.loads(answer.body)
        if wire != _OPAQUE or jsontext.dumps(value) == answer.body:
            return written | {"body": value}
    except jsontext.NotJson:
        pass
    try:
        return written | {"encoding": "text", "body": answer.body.decode()}
    except UnicodeDecodeError:
        return written | {"encoding": "base64", "body": base64.b64encode(answer.body).decode()}


def _read_answer(answer: _Answer, usage: Usage) -> Answer:
    if answer.encoding == "json":
        body = jsontext.dumps(answer.body)
    elif not isinstance(answer.body, str):
        raise TransferError(f"answer.body: expected a string, as the encoding is {answer.encoding}")
    elif answer.encoding == "text":
        body = answer.body.encode()
    else:
        try:
            body = base64.b64decode(answer.body, validate=True)
        except ValueError as error:
            raise TransferError(f"answer.body: expected base64: {error}") from None
    return Answer(body, answer.content_type, usage, tuple(answer.headers), answer.status)


def _first_mistake(error: ValidationError) -> str:
    mistake = error.errors(include_url=False)[0]
    place = ".".join(map(str, mistake["loc"]))
    what = "is not known here" if mistake["type"] == "extra_forbidden" else mistake["msg"]
    return f"{place}: {what[:1].lower()}{what[1:]}" if place else "expected a JSON object"


def _moment(seconds: float, *, whole: bool = False) -> str:
    return rfc3339(min(seconds, FOREVER), "seconds" if whole else "microseconds")


def _seconds(moment: datetime) -> float:
    return (moment - _EPOCH).total_seconds()
