"""What a provider says, piece by piece, and the two forms in which OpenAI says it: `chat.completion`, and its chunks.

One rule: both forms are made from the same pieces, so that a stream says what the whole answer says.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from askonce import jsontext
from askonce.wire.common import JsonObject

__all__ = [
    "Arguments",
    "Called",
    "ChunkWriter",
    "Ended",
    "Opened",
    "Piece",
    "Text",
    "Thought",
    "TokenUsage",
    "complete",
]


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer begins. `id` is the provider's own."""

    id: str
    model: str


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """What the model thinks before it answers; DeepSeek was first to send it beside the content."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A function is to be called; its arguments follow."""

    id: str
    name: str
    extra: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of the last call's arguments, as JSON text."""

    text: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The usage, in OpenAI's sense: `input` holds what came from the provider's cache, `output` what was thought."""

    input: int = 0
    output: int = 0
    cached: int = 0
    thought: int = 0

    def usage(self) -> JsonObject:
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.thought},
        }


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is whole. `reason` is OpenAI's: stop, length, tool_calls, content_filter."""

    reason: str
    tokens: TokenUsage


type Piece = Opened | Text | Thought | Called | Arguments | Ended


def complete(pieces: Iterable[Piece], now: float) -> JsonObject:
    """The `chat.completion` that the pieces add up to; `now` is in Unix seconds."""
    frame, reason, tokens = Opened("", ""), "", TokenUsage()
    texts, thoughts, calls = list[str](), list[str](), list[JsonObject]()
    for piece in pieces:
        match piece:
            case Opened():
                frame = piece
            case Text(text):
                texts.append(text)
            case Thought(text):
                thoughts.append(text)
            case Called():
                calls.append(_call(piece))
            case Arguments(text):
                calls[-1]["function"]["arguments"] += text
            case Ended(reason, tokens):
                pass
    text = "".join(texts)
    message: JsonObject = {"role": "assistant", "content": text if text or not calls else None}
    message |= {"refusal": None, "annotations": []}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return {
        "id": _id(frame.id),
        "object": "chat.completion",
        "created": int(now),
        "model": frame.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": tokens.usage(),
    }


class ChunkWriter:
    """The pieces as the events of OpenAI's stream. One for each answer."""

    def __init__(self, now: float, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._frame: JsonObject = {"id": "", "object": "chat.completion.chunk", "created": int(now), "model": ""}
        self._begun = False
        self._has_text = False
        self._calls = 0

    def write(self, piece: Piece) -> bytes:
        match piece:
            case Opened(id, model):
                self._frame |= {"id": _id(id), "model": model}
                return b""
            case Text(""):
                return b""
            case Text(text):
                self._has_text = True
                return self._begin("") + self._chunk({"content": text})
            case Thought(text):
                return self._begin(None) + self._chunk({"reasoning_content": text})
            case Called():
                call = {"index": self._calls, **_call(piece)}
                self._calls += 1
                return self._begin(None) + self._chunk({"tool_calls": [call]})
            case Arguments(text):
                return self._chunk({"tool_calls": [{"index": self._calls - 1, "function": {"arguments": text}}]})
            case Ended(reason, tokens):
                return self._end(reason, tokens)

    def _begin(self, content: str | None) -> bytes:
        """The role, with the first that is said: only then is it known whether the content is a text."""
        if self._begun:
            return b""
        self._begun = True
        return self._chunk({"role": "assistant", "content": content, "refusal": None})

    def _end(self, reason: str, tokens: TokenUsage) -> bytes:
        said = self._begin("")
        if not self._has_text and not self._calls:
            said += self._chunk({"content": ""})
        said += self._chunk({}, reason)
        if self._include_usage:
            said += _event(self._frame | {"choices": [], "usage": tokens.usage()})
        return said + b"data: [DONE]\n\n"

    def _chunk(self, delta: JsonObject, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self._include_usage else {}
        return _event(self._frame | {"choices": [choice]} | usage)

    @staticmethod
    def fail(message: str, kind: str) -> bytes:
        """What ends a stream that cannot be whole: an error event, and no `[DONE]`."""
        return _event({"error": {"message": message, "type": kind, "param": None, "code": kind}})


def _call(called: Called) -> JsonObject:
    function = {"name": called.name, "arguments": ""}
    return {"id": called.id, "type": "function", "function": function, **called.extra}


def _id(provider: str) -> str:
    # The prefix says how OpenAI, and not one of those like it, streams the usage: only where it is asked for.
    return "chatcmpl-" + provider.removeprefix("msg_")


def _event(data: Any) -> bytes:
    return b"data: " + jsontext.line_safe(jsontext.dumps(data)) + b"\n\n"
