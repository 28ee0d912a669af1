"""The seam of the sample provider: what a format gets, and what it must give.

One rule: a format is pure. It makes the whole answer first, and the stream out of that same answer, so that both
say the same; delays, encodings and scripted behaviour are the provider's business.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from askonce.sample.answers import JsonObject

__all__ = [
    "Ask",
    "Format",
    "JsonObject",
    "Trouble",
    "dumps",
    "fresh",
    "others",
    "own",
    "sse",
    "text_of",
    "texts",
    "whole",
]

Trouble = Literal["body", "key", "model"]
"""Why a call is refused: its body cannot be read, it brings no key, or nobody has that model."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One call as a format sees it."""

    path: re.Match[str]
    """The path, matched by the format's own pattern."""
    query: Mapping[str, str]
    body: JsonObject
    now: float
    """Unix seconds."""

    @property
    def model(self) -> str:
        """The model asked for, from the path where the format has it there."""
        return str(self.path.groupdict().get("model") or self.body.get("model", ""))


@dataclass(frozen=True, slots=True)
class Format:
    """One provider's way of answering."""

    name: str
    paths: re.Pattern[str]
    answer: Callable[[Ask], JsonObject]
    """The whole answer, as the JSON call gets it."""
    events: Callable[[Ask, JsonObject], Iterator[bytes]]
    """The same answer as the pieces of a stream, in the order and with the names of the provider."""
    streamed: Callable[[Ask], bool]
    error: Callable[[Trouble, str], tuple[int, JsonObject]]
    """(trouble, model) -> the provider's own status and error body."""
    keys: Sequence[str] = ("authorization",)
    """Where a key may be: header names, `?name` for one in the query; empty where none is needed."""
    stream_type: Callable[[Ask], str] = lambda ask: "text/event-stream; charset=utf-8"
    """The content type of a stream."""
    headers: Callable[[], Mapping[str, str]] = dict
    """What the provider sends along with every answer."""
    hosts: re.Pattern[str] = re.compile(".*")
    """The hosts that answer so, where others have the same path."""


def sse(value: Any, name: str = "") -> bytes:
    """One server-sent event with JSON data."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + orjson.dumps(value) + b"\n\n"


def fresh(prefix: str, length: int = 29) -> str:
    """A new identifier in the providers' style."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return prefix + "".join(secrets.choice(alphabet) for _ in range(length))


def dumps(value: Any) -> str:
    """JSON as text."""
    return orjson.dumps(value).decode()


def text_of(content: Any) -> str:
    """The text of a message whose content is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(part if isinstance(part, str) else str(part["text"]) for part in content if _has_text(part))
    return ""


def own(content: Any) -> Any:
    """The content of a message without what an agent says beside its user's words, which is no question."""
    if not isinstance(content, list):
        return content
    return [part for part in content if not (_has_text(part) and text_of([part]).startswith("<system-reminder>"))]


def others(content: Any) -> tuple[str, ...]:
    """The parts of a message that are not text (images, files), each as JSON."""
    parts = content if isinstance(content, list) else []
    return tuple(dumps(part) for part in parts if not _has_text(part))


def whole(value: Any, most: int = 1 << 30) -> int | None:
    """A number from 1 to `most`; None for what is none."""
    return min(value, most) if type(value) is int and value > 0 else None


def texts(value: Any) -> tuple[str, ...]:
    """A setting that may be absent, one string or several, as several."""
    if isinstance(value, list):
        return tuple(one for one in value if isinstance(one, str))
    return (value,) if isinstance(value, str) else ()


def _has_text(part: Any) -> bool:
    return isinstance(part, str) or (isinstance(part, dict) and isinstance(part.get("text"), str))
