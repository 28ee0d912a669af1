"""A response's body on its way from a provider to the client, past mitmproxy's layers that speak HTTP.

One rule: mitmproxy's own objects stay what counts. What a piece of a body changes in them is changed here as they would
have changed it, which is the reader and its buffer and nothing else; the end of a body, or a mistake in it, is theirs
to hear, when what came before is sent.
"""

from collections.abc import Iterator
from typing import cast

from h11._events import Data, EndOfMessage
from h11._util import LocalProtocolError
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http, tls
from mitmproxy.proxy.tunnel import TunnelState

from askonce.proxy import forwarding, http1
from askonce.proxy.fast_lane_input import InTls

__all__ = ["BodyOnItsWay", "on_its_way"]


class BodyOnItsWay:
    """One that is streamed to a client of HTTP/1.1, as `on_its_way` finds it."""

    def __init__(
        self,
        around: http.HttpLayer,
        session: tls.ServerTLSLayer | None,
        speaker: http1.Http1ToProvider,
        stream: http.HttpStream,
    ) -> None:
        """`session` is the provider's TLS, None without; `speaker` speaks to him."""
        self._http, self._session, self._speaker, self._stream = around, session, speaker, stream
        self._end: EndOfMessage | LocalProtocolError | None = None

    def open(self, data: bytes) -> bytes | None:
        """The text that the provider's `data` holds; None where it is for the layer of TLS to read."""
        if self._session is None:
            return data
        if (text := self._ahead(self._session).open(data)) is not None:
            self._ahead(self._session).take()
        return text

    def pending(self) -> bytes:
        """What is to be sent to the provider for the sake of TLS."""
        return self._ahead(self._session).pending() if self._session else b""

    @staticmethod
    def _ahead(session: tls.ServerTLSLayer) -> InTls:
        ahead = cast(object, session.tls)
        if not isinstance(ahead, InTls):
            ahead = session.tls = InTls(session.tls)  # type: ignore[assignment]
        return ahead

    def take(self, text: bytes) -> list[bytes]:
        """What is to be sent to the client when `text` has come; `is_over` says whether that is all."""
        response = self._stream.flow.response
        assert response
        is_chunked = "chunked" in response.headers.get("transfer-encoding", "").lower()
        said = list[bytes]()
        for piece in self._pieces(text):
            passed = response.stream(piece) if callable(response.stream) else piece
            for one in [passed] if isinstance(passed, bytes) else passed:
                said.append(b"%x\r\n%s\r\n" % (len(one), one) if is_chunked else one)
        return said

    def _pieces(self, text: bytes) -> Iterator[bytes]:
        read, buffer = self._speaker.body_reader, self._speaker.buf
        buffer += text
        try:
            while isinstance(event := read(buffer), Data):
                if piece := bytes(event.data):
                    yield piece
        except LocalProtocolError as error:
            self._end = error
        else:
            self._end = event

    @property
    def is_over(self) -> bool:
        """Nothing more of it comes: `end` is to be heard."""
        return self._end is not None

    def end(self) -> Iterator[commands.Command]:
        """Have the layers hear that it is over, or what is wrong with it."""
        assert self._end
        self._speaker.body_reader = _Given(self._end, self._speaker)  # type: ignore[assignment]
        heard = events.DataReceived(self._speaker.conn, b"")
        below = self._http.connections[self._speaker.conn]
        if self._session:
            below = cast(layer.Layer, _Below(self._session))
        yield from self._http.event_to_child(below, heard)


class _Given:
    """Reads what was read before, and leaves the rest to who reads it: more may follow a mistake, or an end."""

    def __init__(self, end: EndOfMessage | LocalProtocolError, speaker: http1.Http1ToProvider) -> None:
        self._end, self._speaker, self._reader = end, speaker, speaker.body_reader

    def __call__(self, _buffer: object) -> EndOfMessage:
        self._speaker.body_reader = self._reader
        if isinstance(self._end, LocalProtocolError):
            raise self._end
        return self._end


class _Below:
    """A layer of TLS that has nothing to decrypt: what is under it hears an event."""

    def __init__(self, session: tls.ServerTLSLayer) -> None:
        self._session = session

    def handle_event(self, event: events.Event) -> Iterator[commands.Command]:
        return self._session.event_to_child(event)


def on_its_way(around: http.HttpLayer, provider: Connection) -> BodyOnItsWay | None:
    """The body that comes from a provider, where it is streamed to its client; None where the layers have more to do
    than to pass it on."""
    first = around.connections[provider]
    session = first if isinstance(first, tls.ServerTLSLayer) else None
    opener = session.child_layer if session else first
    speaker = getattr(opener, "child_layer", None)
    if type(opener) is not forwarding.HttpClient or type(speaker) is not http1.Http1ToProvider:
        return None
    stream = around.streams.get(speaker.stream_id or 0)
    teller = around.connections.get(around.context.client)
    if stream is None or type(teller) is not http1.Http1ToClient:
        return None
    is_plain = (
        speaker.state == speaker.read_body
        and stream.server_state == stream.state_stream_response_body
        and _REPLACED.isdisjoint(stream.__dict__)
        and teller.stream_id == stream.stream_id
        and teller.response is stream.flow.response
        and (session is None or session.tunnel_state is TunnelState.OPEN)
        and all(each._paused is None for each in (around, first, opener, speaker, stream, teller))
    )
    return BodyOnItsWay(around, session, speaker, stream) if is_plain else None


_REPLACED = frozenset({"handle_event", "_handle_event"})
"""What a stream has of its own once it does more than pass on (`relay_stream`)."""
