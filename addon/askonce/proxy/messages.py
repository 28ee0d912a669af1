"""mitmproxy's requests and responses as Askonce's values, and back.

One rule: no decisions. What costs on the way of a hit is written for speed, and says so.
"""

import time
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus

from mitmproxy import http

from askonce.api.vital_signs import Fields
from askonce.call import Reply, Request, Unstorable
from askonce.calls.decoding import TooLarge, decode_content
from askonce.calls.limits import Limits
from askonce.calls.origin import Arrival
from askonce.calls.state import Exchange
from askonce.products.base import Passage, Translator
from askonce.proxy import error_stream
from askonce.rules.request_headers import OURS
from askonce.settings import authority

__all__ = [
    "decoded",
    "dress",
    "finish",
    "http_response",
    "join_trace",
    "make_request",
    "make_response",
    "must_be_whole",
    "place",
    "put",
    "put_body",
    "put_decoded",
    "read_fields",
    "read_head",
    "read_request",
    "redirect",
    "send_to",
    "start_response",
    "start_translation",
    "strip_directives",
    "write",
]

_FRAMING = frozenset({b"host", b"content-length", b"content-encoding", b"transfer-encoding", b"connection"})
_OURS = frozenset(name.encode() for name in OURS)
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def read_head(flow: http.HTTPFlow) -> Arrival:
    """What is known of a request before its body has come."""
    request, client = flow.request, flow.client_conn
    scheme, own = request.scheme, client.sockname
    return Arrival(
        scheme,
        request.host,
        request.port,
        request.path.partition("?")[0],
        request.data.method,  # not `method`, which makes it upper case
        {name.lower(): value for name, value in request.headers.fields},  # each get costs a walk over all
        request.authority,
        client.sni,
        (own[0], own[1]),
        scheme == "http" and error_stream.is_direct(request),
    )


def read_request(request: http.Request, host: str, body: bytes, client: str = "") -> Request:
    """`body` is the request's without its content-encoding."""
    fields = request.headers.fields
    place = request.scheme, host, request.port
    return make_request(request.method, place, request.path, fields, read_fields(fields), body, client)


def make_request(
    method: str,
    place: tuple[str, str, int],
    target: str,
    fields: Fields,
    headers: Mapping[str, str],
    body: bytes,
    client: str = "",
) -> Request:
    """`place` is scheme, host and port, `target` the path with the query, and `headers` what `read_fields` makes of
    `fields`."""
    path, _, query = target.partition("?")
    scheme, host, port = place
    return Request(
        method, host, path, query, headers, body, (scheme, host, port, target, fields, body), client, scheme, port
    )


def read_fields(fields: Fields) -> dict[str, str]:
    """Header fields by their names, as `Request.headers` has them."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "surrogateescape")
        if name in headers:
            value = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
        headers[name] = value
    return headers


def place(request: http.Request, host: str) -> str:
    """The URL of a request to `host`, an IPv6 address in brackets, which mitmproxy's own leaves out."""
    return f"{request.scheme}://{authority(host, request.port)}{request.path if request.path.startswith('/') else '/'}"


def redirect(request: http.Request, passage: Passage) -> None:
    """Make a request to our own address one to the provider."""
    sent = passage.outgoing or passage.request
    send_to(request, sent.scheme, sent.host, sent.port)
    request.path = f"{sent.path}?{sent.query}" if sent.query else sent.path
    kept = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in sent.headers.items()]
    request.headers = http.Headers([(name, value) for name, value in kept if name not in _FRAMING])
    request.host_header = sent.host
    # Decoded, as a product reads it; the content-encoding went with the framing.
    request.content = sent.body


def send_to(request: http.Request, scheme: str, host: str, port: int) -> None:
    """Make a request one to another server."""
    request.data.scheme, request.data.port = scheme.encode(), port
    request.host = host  # and the Host header, which the setters of the other two would have written as well


def strip_directives(request: http.Request, signed: Collection[str]) -> None:
    """Take out the headers that are meant for Askonce, but for those that the request's signature covers."""
    fields = request.headers.fields
    if not _OURS.isdisjoint([name.lower() for name, _ in fields]):
        ours = _OURS - {name.encode() for name in signed}
        request.headers.fields = tuple([field for field in fields if field[0].lower() not in ours])


def join_trace(request: http.Request, traceparent: str, signed: Collection[str]) -> None:
    """Put our own span in the place of the caller's, where there is one that is not among the `signed` headers."""
    if "traceparent" in request.headers and "traceparent" not in signed:
        request.headers["traceparent"] = traceparent


def start_translation(response: http.Response, passage: Passage) -> Translator | None:
    if not passage.translator or not 200 <= response.status_code < 300:
        return None
    translator = passage.translator(passage.request)
    response.headers["content-type"] = translator.content_type
    response.headers.pop("content-length", None)
    return translator


def must_be_whole(response: http.Response, passage: Passage) -> bool:
    """Whether the product makes its response out of the provider's whole one."""
    if not passage.finish:
        return False
    is_coded = response.headers.get("content-encoding", "identity") != "identity"
    return passage.whole or not 200 <= response.status_code < 300 or (passage.translator is not None and is_coded)


def finish(response: http.Response, finish: Callable[[int, bytes], Reply]) -> Reply:
    """Put the product's response in place of the provider's, which is decoded; its headers stay where the product's
    names no others."""
    reply = finish(response.status_code, response.raw_content or b"")
    put(response, reply)
    return reply


def put(response: http.Response, reply: Reply) -> None:
    """Put a reply in place of the provider's response, whose headers stay where it names no others."""
    response.headers.pop("content-encoding", None)
    response.status_code, response.reason = reply.status, _REASONS.get(reply.status, b"").decode()
    for name, value in (("content-type", reply.content_type), *reply.headers):
        response.headers[name] = value
    response.content = reply.body  # and its length


def put_body(request: http.Request, body: bytes) -> None:
    """Put another body in place of the caller's."""
    request.headers.pop("content-encoding", None)
    request.content = body


def dress(response: http.Response, passage: Passage, exchange: Exchange) -> None:
    for name in passage.drops:
        response.headers.pop(name, None)
    for name, value in passage.dress(exchange):
        response.headers[name] = value
    for name, value in passage.defaults:
        response.headers.setdefault(name, value)


def make_response(reply: Reply) -> http.Response:
    fields = [(b"content-type", reply.content_type.encode()), (b"content-length", str(len(reply.body)).encode())]
    fields += [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in reply.headers]
    return http_response(reply.status, fields, reply.body)


def write(reply: Reply) -> bytes:
    """The bytes of a reply over HTTP/1.1, as mitmproxy would write what `make_response` makes of it."""
    said = (("content-type", reply.content_type), ("content-length", str(len(reply.body))), *reply.headers)
    lines = "".join([f"{name}: {value}\r\n" for name, value in said]).encode("utf-8", "surrogateescape")
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (reply.status, _REASONS.get(reply.status, b""), lines, reply.body)


def start_response(reply: Reply) -> http.Response:
    """A response whose body is still to come."""
    fields = [(b"content-type", reply.content_type.encode()), (b"transfer-encoding", b"chunked")]
    fields += [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in reply.headers]
    return http_response(reply.status, fields, b"")


def http_response(status: int, fields: Fields, body: bytes) -> http.Response:
    # Past the constructors, which check the type of every field: 35 µs of a hit's few hundred.
    headers, response, now = http.Headers(), http.Response.__new__(http.Response), time.time()
    headers.fields = tuple(fields)
    response.data = http.ResponseData.__new__(http.ResponseData)
    response.data.__dict__.update(
        http_version=b"HTTP/1.1",
        status_code=status,
        reason=_REASONS.get(status, b""),
        headers=headers,
        content=body,
        trailers=None,
        timestamp_start=now,
        timestamp_end=now,
    )
    return response


def decoded(body: bytes, codings: str) -> bytes:
    """An answer's body without its content-encoding. Raises Unstorable where it does not decode, or is too large."""
    try:
        return decode_content(body, codings, Limits.in_force.max_decoded)
    except TooLarge as error:
        raise Unstorable("larger than limits.max_decoded") from error
    except ValueError as error:
        raise Unstorable(f"does not decode as {codings}") from error


def put_decoded(response: http.Response, body: bytes) -> None:
    """Put the body without its content-encoding in place of the one with it."""
    del response.headers["content-encoding"]
    response.raw_content = body
    if "content-length" in response.headers:
        response.headers["content-length"] = str(len(body))
