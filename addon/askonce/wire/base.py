"""What every wire format provides. Bytes in, values out: no sockets, no clock, no mitmproxy.

A wire format is a stateless object. `read` may only raise `Unreadable`; `assemble` may only raise `Unstorable`
(translate every parsing error). `replay` never fails on what `assemble` returned.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from askonce.call import Answer, Call, Reply, Request

__all__ = ["Divisible", "ReadOptions", "Replay", "WireFormat"]

Find = Callable[[Any], list[tuple[tuple[str | int, ...], Any]]]
"""A compiled JSONPath: JSON value -> the (path, value) pairs that match, in document order."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a rule says about reading: where the prompt is, and what does not change the answer."""

    prompt: Find | None = None
    """Where the prompt may be: the last match that holds text is meant, and where none does, the wire format's own."""
    ignore: Sequence[Find] = field(default=())
    normalise: Sequence[tuple[Find, Callable[[str], str]]] = field(default=())
    """Texts, and what makes one text of those that differ in nothing that matters."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What makes a replayed answer this caller's own: a moment and fresh identifiers."""

    now: float
    """Unix seconds."""
    fresh_id: Callable[[str], str]
    """prefix -> a new identifier in the provider's style, e.g. "chatcmpl-" -> "chatcmpl-C3x…"."""
    zero_usage: bool = False
    """Say that no tokens were used, where the rule wants hits to add nothing to a caller's own count."""


class WireFormat(Protocol):
    """One provider's way of asking and answering."""

    name: str

    def read(self, request: Request, options: ReadOptions) -> Call:
        """Read a request. Raises `Unreadable`; never changes the request."""

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        """Turn a whole 2xx response body (JSON, or the stream as recorded) into the answer that JSON would have given.

        Raises `Unstorable` where the answer is not whole and good: end mark missing, error event, cut by length or
        filter, empty.
        """

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        """Render `answer` the way `call` asked for it: JSON, or the provider's own sequence of events."""


@runtime_checkable
class Divisible(WireFormat, Protocol):
    """A wire format whose calls may be several in one (`Call.items`), each answered as if it had been asked alone."""

    def only(self, body: bytes, wanted: Sequence[int]) -> bytes:
        """The request body `body`, asking for these of its items alone and for all else as it did."""

    def divide(self, answer: Answer, call: Call) -> list[Answer]:
        """What `assemble` returned as the answer to each of `call.items`; their usage adds up to the whole's.

        Raises `Unstorable` where they do not fit.
        """

    def join(self, answers: Sequence[Answer]) -> Answer:
        """The answers to items as the answer to them all, in this order. Never fails on what `divide` returned."""
