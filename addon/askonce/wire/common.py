"""What several wire formats need: JSON in and out, fields sorted into parts, text cut for a stream.

One rule: nothing here knows a provider, and an answer that `assembling` lets through can be replayed.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from askonce import jsontext
from askonce.call import Call, Part, Unreadable, Usage
from askonce.wire.base import Replay
from askonce.wire.tokens import count, pieces

__all__ = [
    "Growing",
    "JsonObject",
    "by_part",
    "count_of",
    "digest",
    "encode_final",
    "estimate",
    "fresh_uuid",
    "is_name",
    "load_object",
    "named",
    "number",
    "same_number",
    "time_like",
    "token_groups",
    "zeroed",
]

type JsonObject = dict[str, Any]

_NAME = re.compile(r"[A-Za-z][\w.:-]{0,39}", re.ASCII)
_MOST = 2**53
"""More is no count of tokens, and no integer that JSON and SQLite can be trusted with."""

_REALS = frozenset(
    {
        *("temperature", "top_p", "p", "min_p", "top_a"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty"),
    }
)
"""Fields that every provider documents as a `number`, so that 1 and 1.0 are one value to it. Elsewhere they may not be:
an integer's field may refuse 1.0, and what a tool is given is anybody's to read."""


def is_name(kind: object) -> TypeGuard[str]:
    """Whether something is a name, such as `image_url`, and not text that may be anything."""
    return isinstance(kind, str) and _NAME.fullmatch(kind) is not None


def named(kind: object) -> str:
    """What a caller or a provider calls a kind of thing, as it may stand in a reason, which headers, traces and sums
    tell; "unknown" where that is no name."""
    return kind if is_name(kind) else "unknown" if kind is not None else "None"


def load_object(body: bytes) -> JsonObject:
    """The request body as a JSON object of our own, free to change. Raises `Unreadable`.

    A repeated key is refused: each parser picks its own, so two requests alike to us could differ for the provider.
    """
    try:
        value = jsontext.loads(body)
    except jsontext.NotJson as error:
        raise Unreadable(f"request body is {error}") from None
    if not isinstance(value, dict):
        raise Unreadable(f"request body: expected a JSON object, found {type(value).__name__}")
    return value


def by_part(body: Mapping[str, Any], table: Mapping[str, Part]) -> dict[Part, Any]:
    """Sort the fields of a request into parts; a field that `table` does not know is "other"."""
    parts: dict[Part, Any] = {}
    for name, value in body.items():
        parts.setdefault(table.get(name, "other"), {})[name] = same_number(value) if name in _REALS else value
    return parts


def number(value: Any) -> float | None:
    """A JSON number; None for anything else."""
    return value if jsontext.is_number(value) else None


def same_number(value: Any) -> Any:
    """1.0 as 1, in a field that takes any number: JavaScript cannot write the one, and Python's SDKs write it."""
    return int(value) if type(value) is float and value.is_integer() else value


def digest(data: str) -> str:
    """What stands for an image or a file in a call's parts."""
    return "sha256:" + hashlib.sha256(data.encode()).hexdigest()


class Growing:
    """Texts that a stream adds to piece by piece, joined once: adding to a string copies it each time."""

    def __init__(self) -> None:
        self._texts: dict[tuple[int, str], tuple[JsonObject, list[str]]] = {}

    def add(self, holder: JsonObject, field: str, text: str | None) -> None:
        """`holder[field] += text`, when `join` is called; null adds nothing. Raises `TypeError` for anything else."""
        if text is None:
            return
        grown = self._texts.get((id(holder), field))
        if grown is None:
            grown = self._texts[id(holder), field] = (holder, [holder[field] or ""])
        grown[1].append(text)

    def join(self) -> None:
        for (_, field), (holder, texts) in self._texts.items():
            holder[field] = "".join(texts)


def encode_final(final: JsonObject) -> bytes:
    """The final object as JSON. Raises `TypeError` where it nests too deeply for a stream's event to hold it too."""
    # 254 levels are written; an event wraps the answer in a few more than the JSON form does.
    return jsontext.dumps([[[[[[final]]]]]])[6:-6]


def count_of(holder: Any, *names: str) -> int:
    """The sum of the token counts under `names`; 0 for what is missing or cannot be a count."""
    if not isinstance(holder, dict):
        return 0
    counts = [number(holder.get(name)) or 0 for name in names]
    return sum([int(count) for count in counts if 0 <= count <= _MOST])


def zeroed(usage: Any) -> Any:
    """The same usage with every number 0."""
    if isinstance(usage, dict):
        return {key: zeroed(value) for key, value in usage.items()}
    if isinstance(usage, list):
        return [zeroed(value) for value in usage]
    return 0 if jsontext.is_number(usage) else usage


def token_groups(text: str, tokens: Iterable[Any], key: str, model: str = "") -> list[tuple[str, list[Any]]]:
    """Cut `text` for a stream, and give each piece its log-probability items.

    `tokens` are the items, each holding the text that it stands for under `key`. Where they do not spell `text`, all
    of them go with the first piece.
    """
    items = list(tokens)
    spelled = [item.get(key) if isinstance(item, dict) else None for item in items]
    if items and all(isinstance(part, str) for part in spelled) and "".join(map(str, spelled)) == text:
        return [(str(part), [item]) for part, item in zip(spelled, items, strict=True)]
    groups: list[tuple[str, list[Any]]] = [(piece, []) for piece in pieces(text, model)]
    if items:
        groups[:1] = [(groups[0][0] if groups else "", items)]
    return groups


def estimate(call: Call, said: str) -> Usage:
    """The usage as we count it, for an answer that does not tell."""
    # OpenAI frames each message with some four tokens and the reply with three more.
    asked = sum(count(turn.text, call.model) + 4 for turn in call.turns) + 3
    return Usage(asked, count(said, call.model))


def fresh_uuid(replay: Replay) -> str:
    """A fresh identifier in the shape of a UUID (version 4), drawn from the caller's own source of identifiers."""
    seed = hashlib.sha256(replay.fresh_id("").encode()).digest()
    return str(uuid.UUID(bytes=seed[:16], version=4))


def time_like(now: float, like: str) -> str:
    """`now` in UTC as RFC 3339, with as many digits after the second as `like` has, and its way to write UTC."""
    match = re.search(r"\.(\d+)", like)
    digits = len(match[1]) if match else 0
    second, _, fraction = jsontext.rfc3339(now, "microseconds").removesuffix("Z").partition(".")
    zone = "+00:00" if like.endswith("+00:00") else "Z"
    return second + (f".{fraction.ljust(digits, '0')[:digits]}" if digits else "") + zone
