"""A provider's response turned into OpenAI's while it comes: bytes in, bytes out, split anywhere.

One rule: nothing waits. Every event that is whole is passed on translated; a stream that ends before its answer did
ends with an error event instead of `[DONE]`, so that nobody takes it for whole.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from askonce import jsontext
from askonce.products.translate.answering import ChunkWriter, Piece, complete
from askonce.products.translate.asking import Asked
from askonce.wire import sse
from askonce.wire.common import JsonObject
from askonce.wire.keeping import in_words
from askonce.wire.sse import Event

__all__ = ["Dialect", "Events", "ProviderTrouble", "StreamReader", "StreamTranslator", "WholeTranslator", "message_of"]

FreshId = Callable[[str], str]
"""prefix -> a new identifier."""

# An event ends with an empty line. A CR at the end of what is there may be half of a CRLF.
_END_OF_EVENT = re.compile(rb"(?:\r\n|\n|\r(?=[^\n]))(?:\r\n|\n|\r(?=[^\n]))")
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError)
"""What reading an answer that is not as it should be may raise."""


class ProviderTrouble(ValueError):
    """The provider's answer says that something went wrong, or is not whole."""


class StreamReader(Protocol):
    """Reads one provider's stream. Raises `ProviderTrouble`, and whatever a malformed event makes it raise."""

    def read(self, event: Event) -> Iterable[Piece]:
        """What an event says."""

    def end(self) -> Iterable[Piece]:
        """What is left to say when the stream is over."""


class Dialect(Protocol):
    """One provider's wire format, as the other side of OpenAI's chat completions."""

    def ask(self, body: JsonObject, *, max_tokens: int) -> Asked:
        """The request; `max_tokens` is used where it must say and OpenAI's does not. Raises `Untranslatable`."""

    def pieces(self, answer: JsonObject, fresh_id: FreshId) -> Iterator[Piece]:
        """What a whole answer says. Raises `ProviderTrouble`, and whatever a malformed one makes it raise."""

    def reader(self, fresh_id: FreshId) -> StreamReader:
        """Reads one stream."""


class Events:
    """Cuts a stream into its server-sent events, however its bytes are split."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` completes; `b""` says that no more comes, and gives what is left."""
        seen = max(0, len(self._held) - 3)  # an end of an event is at most four bytes long
        self._held += data
        start = 0
        for found in _END_OF_EVENT.finditer(self._held, seen):
            yield from sse.decode(bytes(self._held[start : found.end()]))
            start = found.end()
        del self._held[:start]
        if not data and self._held:
            yield from sse.decode(bytes(self._held))
            self._held.clear()


class StreamTranslator:
    """A stream of a provider's as OpenAI's; see `products.base.Translator`."""

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, dialect: Dialect, *, now: float, fresh_id: FreshId, include_usage: bool) -> None:
        self._events = Events()
        self._reader = dialect.reader(fresh_id)
        self._chunks = ChunkWriter(now, include_usage=include_usage)
        self._failed = False

    def feed(self, data: bytes) -> bytes:
        """The translation of what has become whole; `b""` in means that the body is complete."""
        if self._failed:
            return b""
        out = list[bytes]()
        try:
            for event in self._events.feed(data):
                out += map(self._chunks.write, self._reader.read(event))
            if not data:
                out += map(self._chunks.write, self._reader.end())
        except _MALFORMED as error:
            self._failed = True
            out.append(ChunkWriter.fail(_told(error), "provider_error"))
        return b"".join(out)


class WholeTranslator:
    """A whole answer of a provider's as OpenAI's; see `products.base.Translator`."""

    content_type = "application/json"

    def __init__(self, dialect: Dialect, *, now: float, fresh_id: FreshId) -> None:
        self._dialect = dialect
        self._now = now
        self._fresh_id = fresh_id
        self._parts = list[bytes]()

    def feed(self, data: bytes) -> bytes:
        """Nothing, until `b""` says that the body is complete. Raises `ProviderTrouble` where it is no answer."""
        if data:
            self._parts.append(data)
            return b""
        try:
            pieces = self._dialect.pieces(jsontext.loads(b"".join(self._parts)), self._fresh_id)
            return jsontext.dumps(complete(pieces, self._now))
        except _MALFORMED as error:
            raise ProviderTrouble(_told(error)) from error


def _told(error: Exception) -> str:
    if isinstance(error, ProviderTrouble):
        return str(error)
    return f"the provider's answer cannot be read: {in_words(error)}"


def message_of(body: bytes) -> str:
    """The sentence in a provider's error, whichever provider's it is; empty where there is none."""
    try:
        value: Any = jsontext.loads(body)
    except jsontext.NotJson:
        return ""
    match value[0] if isinstance(value, list) and value else value:
        case {"error": {"message": str(message)}} | {"error": str(message)} | {"message": str(message)}:
            return message
    return ""
