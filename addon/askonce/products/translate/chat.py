"""A chat request, in nobody's wire format: what `asking` reads, and what each provider's request is made from.

One rule: values only; what may not be in them was refused before.
"""

from dataclasses import dataclass
from typing import Literal

from askonce.wire.common import JsonObject

__all__ = ["EFFORTS", "Chat", "ChatMessage", "Generation", "Media", "ToolCall", "ToolDefinition"]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""How thoroughly to think, from not at all."""


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a file or a sound in a message: inline (base64 `data`), or at a `url`."""

    kind: Literal["image", "file", "audio"]
    type: str
    """The media type; empty where it is not known."""
    data: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: JsonObject
    signature: str = ""
    """What Google signs its function calls with, as its own OpenAI endpoint hands it out and takes it back."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message after the system's: `parts` of the user, words and calls of the assistant, or a tool's result."""

    role: Literal["user", "assistant", "tool"]
    parts: tuple[str | Media, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""
    """Of a tool's result: the identifier of the call."""
    tool: str = ""
    """Of a tool's result: the name of the function, as the call has it."""


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    name: str
    description: str
    parameters: JsonObject | None
    strict: bool = False
    """The arguments must be of the schema."""


@dataclass(frozen=True, slots=True)
class Generation:
    """How the answer is to be made; None and empty: not said."""

    max_tokens: int | None = None
    temperature: float | None = None
    """0 to 2."""
    top_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()
    json: bool = False
    """The answer is to be JSON, of `schema` where there is one."""
    schema: JsonObject | None = None
    effort: str = ""
    """How thoroughly to think, in OpenAI's words: one of `EFFORTS`."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A whole chat request."""

    model: str
    system: str
    messages: tuple[ChatMessage, ...]
    settings: Generation
    tools: tuple[ToolDefinition, ...]
    """Those that may be called."""
    choice: str = ""
    """`auto`, `none`, `required`, `=NAME` for one function; empty: not said."""
    parallel: bool = True
    stream: bool = False
