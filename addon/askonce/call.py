"""The values that travel through Askonce: a request, the call it carries, the answer, the reply.

Nothing here does I/O or knows a wire format, the cache or mitmproxy; every other module speaks in these types.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["PARTS", "Answer", "Call", "Part", "Reply", "Request", "Turn", "Unreadable", "Unstorable", "Usage"]

Part = Literal["model", "system", "tools", "history", "format", "sampling", "media", "other"]
"""A named piece of what must be equal before an answer may be reused. Names are what `cache why` shows."""

PARTS: tuple[Part, ...] = ("model", "system", "tools", "history", "format", "sampling", "media", "other")


class Unreadable(ValueError):
    """The request is not what its wire format expects; it is forwarded untouched. The message says what and where."""


class Unstorable(ValueError):
    """The answer must not be kept (an error, cut off, filtered, empty, not whole). The message says which."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request to a provider, its body already decoded from any content-encoding."""

    method: str
    host: str
    path: str
    """Without the query."""
    query: str
    headers: Mapping[str, str]
    """Names in lower case; repeated headers joined by ", ", cookies by "; " (RFC 9113 section 8.2.3)."""
    body: bytes
    raw: Hashable = None
    """The request's bytes as they came: equal for two requests that are the same to the last byte. None: not known."""
    client: str = ""
    """The address that the connection comes from; empty where it is not known."""
    scheme: str = "https"
    port: int = 443


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation as a person would read it."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks, split into what may be reworded (`prompt`) and what must be equal (`parts`)."""

    wire: str
    prompt: str
    parts: Mapping[Part, Any]
    """JSON values by part, only those present. Together with `prompt` and the shape of the reply
    (`stream`, `include_usage`) they hold everything in the request that is not listed as ignorable."""
    model: str = ""
    endpoint: str = ""
    """The path as far as it changes the answer, where part of it only says how to reply (Gemini's method);
    empty means the whole path."""
    query: str | None = None
    """The query as far as it changes the answer, where part of it only says how to reply; None means all of it."""
    temperature: float | None = None
    stream: bool = False
    include_usage: bool = False
    """A stream is to end with the usage, where the wire format leaves that to the caller."""
    framing: str = ""
    """How the pieces of a stream are kept apart, where the wire format has several ways ("sse", "json-array")."""
    exact_only: str = ""
    """Why only an identical call may be answered ("tool result in the last turn"); empty where wording may differ."""
    turns: tuple[Turn, ...] = ()
    """The conversation for people (content view, `cache show`); the last one is the prompt."""
    items: tuple["Call", ...] = ()
    """The calls that this one is several of, each to be answered alone; empty where it is one."""
    echo: Mapping[str, Any] = field(default_factory=dict)
    """Fields that the provider repeats in its answer and a rule may ignore; a replay gives each caller its own."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them; the wire format's own estimate, or zero, where it does not say."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole, good answer in the provider's own final (unstreamed) form."""

    body: bytes
    """The provider's final object as JSON bytes; for `generic`, the body as it came."""
    content_type: str = "application/json"
    usage: Usage = Usage()
    headers: tuple[tuple[str, str], ...] = ()
    """The provider's own response headers worth repeating; nothing per-request, per-caller or per-connection."""
    status: int = 200
    """Another only for an error that a cassette holds, whose body is as it came."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer rendered for one caller, complete, to be sent in one write."""

    body: bytes
    content_type: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = field(default=())
