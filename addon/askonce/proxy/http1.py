"""HTTP/1.1 as mitmproxy speaks it, and the six things of it that mitmproxy does not know.

One rule: what RFC 9110 and RFC 9112 let an intermediary drop is dropped, and ends nothing. mitmproxy 12.2.3 raises
`NotImplementedError` at trailers, takes the first interim response for the answer, sends chunks to HTTP/1.0 clients,
gives no end to the body of an HTTP/2 client that says no length, and reads a head of any size (its issues #2474 and
#2229, and the FIXMEs in its `_http1.py`); and it asks a proxy for plain HTTP in none but its upstream mode.

Beside another `_http1.py` than the one that this was written for, mitmproxy stays as it is.
"""

import re
from types import ModuleType

from h11._events import Data, EndOfMessage
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from h11._util import LocalProtocolError
from mitmproxy.http import Request, Response
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)

from askonce.calls.limits import Limits
from askonce.proxy import forwarding
from askonce.proxy.known_source import is_known

__all__ = ["Http1ToClient", "Http1ToProvider", "install", "replacements"]

_INTERIM = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d[ \r\n]")
"""101 is no interim response: what follows it is another protocol."""
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_HEAD_END = re.compile(rb"\n\r?\n")
_SWITCHING = 101


class _Chunks(ChunkedReader):
    """Leaves trailers out, as RFC 9110 6.5.1 allows, and bounds what may come between two chunks."""

    def __call__(self, buf: ReceiveBuffer) -> Data | EndOfMessage | None:
        event = super().__call__(buf)
        # What is left where more is wanted is a line that has no end yet, or trailers that have none.
        if event is None and len(buf) > Limits.in_force.max_header:
            raise LocalProtocolError("trailers or a chunk's extensions are too large")
        return EndOfMessage() if isinstance(event, EndOfMessage) and event.headers else event


class Http1ToClient(_http1.Http1Server):
    """The side that a client speaks to."""

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if type(event) is ResponseTrailers:
            return _nothing()  # an HTTP/2 provider's
        if type(event) is ResponseHeaders:
            assert self.request
            is_old = self.request.data.http_version == b"HTTP/1.0"
            if 100 <= event.response.status_code < 200 and event.response.status_code != _SWITCHING:
                return _nothing() if is_old else self._interim(event.response)
            if is_old and event.response.headers.get("transfer-encoding", "").lower() == "chunked":
                event = ResponseHeaders(event.stream_id, _until_closed(event.response), event.end_stream)
        return super().send(event)

    def _interim(self, response: Response) -> layer.CommandGenerator[None]:
        # mitmproxy takes it for the response, and then has none to send where the provider cannot be reached.
        yield commands.SendData(self.conn, http1.assemble_response_head(response))

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        if len(self.buf._data) > Limits.in_force.max_header and not _is_head(self.buf):
            return self._refuse()
        return super().read_headers(event)

    def _refuse(self) -> layer.CommandGenerator[None]:
        message = f"The request's head is larger than {Limits.in_force.max_header} bytes."  # RFC 6585 section 5
        yield commands.SendData(self.conn, _http1.make_error_response(431, message))
        yield commands.CloseConnection(self.conn)
        self.state = self.done


class Http1ToProvider(_http1.Http1Client):
    """The side that speaks to a provider."""

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, RequestTrailers):
            return _nothing()  # an HTTP/2 client's
        if isinstance(event, RequestHeaders) and event.request.is_http2 and not event.end_stream:
            event = RequestHeaders(event.stream_id, _framed(event.request), False)
        if isinstance(event, RequestHeaders) and (tunnel := forwarding.tunnel_of(self.conn)):
            return forwarding.written(super().send(event), tunnel)
        return super().send(event)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        if self.request:
            while _INTERIM.match(self.buf._data) and self.buf.maybe_extract_lines():
                pass  # RFC 9110 15.2: whoever did not ask for it may go without
            if len(self.buf._data) > Limits.in_force.max_header and not _is_head(self.buf):
                return self._give_up()
        if tunnel := forwarding.tunnel_of(self.conn):
            return forwarding.refused(super().read_headers(event), self.conn, tunnel)
        return super().read_headers(event)

    def _give_up(self) -> layer.CommandGenerator[None]:
        assert self.stream_id
        message = f"the head of the provider's response is larger than {Limits.in_force.max_header} bytes"
        yield commands.CloseConnection(self.conn)
        yield ReceiveHttp(ResponseProtocolError(self.stream_id, message, ErrorCode.GENERIC_SERVER_ERROR))


def _nothing() -> layer.CommandGenerator[None]:
    yield from ()


def _is_head(buf: ReceiveBuffer) -> bool:
    """Whether a head's end is where it may be."""
    return _HEAD_END.search(buf._data, 0, Limits.in_force.max_header) is not None


def _framed(request: Request) -> Request:
    """With an end to its body: an HTTP/2 client need not say how long it is (RFC 9113 section 8.1.1)."""
    if not _FRAMING.isdisjoint({name.lower() for name, _ in request.headers.fields}):
        return request
    request = request.copy()
    if request.raw_content is None:
        request.headers["transfer-encoding"] = "chunked"
    else:
        request.headers["content-length"] = str(len(request.raw_content))
    return request


def _until_closed(response: Response) -> Response:
    """The same, for a client that knows no chunks: its body ends where the connection does (RFC 9112 section 6.3)."""
    response = response.copy()
    del response.headers["transfer-encoding"]
    response.headers["connection"] = "close"
    return response


def _body_reader(size: int | None) -> _http1.TBodyReader:
    return _Chunks() if size is None else _make_body_reader(size)


_make_body_reader = _http1.make_body_reader


def replacements() -> tuple[tuple[ModuleType, dict[str, object]], ...]:
    """What mitmproxy looks up for each connection, by module and name."""
    return (
        (layers, {"Http1Server": Http1ToClient, "Http1Client": Http1ToProvider, "HttpClient": forwarding.HttpClient}),
        (_http1, {"make_body_reader": _body_reader}),
    )


def install() -> None:
    """Have mitmproxy make connections of this kind. Says so where that cannot be done."""
    if is_known("trailers, interim responses and limits to heads are", (_http1,)):
        for module, names in replacements():
            for name, ours in names.items():
                setattr(module, name, ours)
