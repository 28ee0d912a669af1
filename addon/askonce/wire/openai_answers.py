"""What storing and replaying an answer has in common within the OpenAI family: recorded bodies, identifiers, usage.

One rule: nothing here knows one endpoint. What serves every provider is in `common`.
"""

import re
import uuid
from typing import Any

from askonce import jsontext
from askonce.call import Unstorable, Usage
from askonce.wire import common, sse
from askonce.wire.base import Replay
from askonce.wire.common import JsonObject

__all__ = [
    "DONE",
    "STREAM_TYPE",
    "RecordedAnswer",
    "cut_by",
    "fresh_like",
    "load_json",
    "load_record",
    "settle_usage",
]

type RecordedAnswer = JsonObject | list[sse.Event]
"""A recorded answer: the JSON object, or the events of a stream."""
STREAM_TYPE = "text/event-stream; charset=utf-8"
DONE = b"[DONE]"
"""The data of the event that ends a stream."""
_EVENT_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
_PREFIX = re.compile(r"[A-Za-z]+[-_]")


def load_record(body: bytes, content_type: str) -> RecordedAnswer:
    """A whole recorded answer as its JSON object or its events; where header and body disagree, the body is right."""
    start = body.lstrip()[:8]
    if not start:
        raise Unstorable("empty body")
    if not start.startswith(b"{") and ("event-stream" in content_type or start.startswith(_EVENT_FIELDS)):
        return list(sse.decode(body))
    return load_json(body, "the answer")


def load_json(data: bytes, what: str) -> JsonObject:
    """A JSON object of a recorded answer, shallow enough to be written again. Raises `Unstorable`."""
    try:
        value = jsontext.loads(data)
    except jsontext.NotJson as error:
        raise Unstorable(f"{what} is {error}") from None
    if not isinstance(value, dict):
        raise Unstorable(f"{what}: expected an object, found {type(value).__name__}")
    return value


def fresh_like(old: Any, replay: Replay, prefix: str) -> str:
    """A new identifier that looks like the old one: its prefix, or a UUID; `prefix` where the old has neither."""
    old = old if isinstance(old, str) else ""
    if _UUID.fullmatch(old):
        fresh = uuid.UUID(common.fresh_uuid(replay))
        return str(fresh) if "-" in old else fresh.hex
    found = _PREFIX.match(old)
    return replay.fresh_id(found[0] if found else prefix)


def settle_usage(final: JsonObject, counted: Usage, replay: Replay) -> None:
    """Give the answer its usage: a JSON answer has it always, a stream only where its caller asked for it."""
    if final.get("usage") is None:
        total = counted.input_tokens + counted.output_tokens
        final["usage"] = {
            "prompt_tokens": counted.input_tokens,
            "completion_tokens": counted.output_tokens,
            "total_tokens": total,
        }
    if replay.zero_usage:
        final["usage"] = common.zeroed(final["usage"])


def cut_by(rows: Any, text: Any) -> list[tuple[str, list[Any]]] | None:
    """Cut a text where its tokens end; None where they do not spell it. Tokens of one character stay together."""
    if not isinstance(rows, list) or not isinstance(text, str):
        return None
    cut, held, spelled = list[tuple[str, list[Any]]](), list[Any](), b""
    for row in rows:
        if not isinstance(row, dict):
            return None
        octets, token = row.get("bytes"), row.get("token")
        try:
            spelled += bytes(octets) if isinstance(octets, list) else str(token).encode()
        except (TypeError, ValueError):
            return None
        held.append(row)
        try:
            cut.append((spelled.decode(), held))
        except UnicodeDecodeError:
            continue
        held, spelled = [], b""
    return cut if not held and "".join(piece for piece, _ in cut) == text else None
