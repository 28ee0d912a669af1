"""Plain HTTP by way of an upstream proxy, which mitmproxy speaks in its upstream mode alone: which connections carry
it, and how a request is written for a proxy (absolute-form, RFC 9112 3.2.2).

One rule: it goes by the connection, so that no password for a proxy is ever sent to anybody else. Many proxies let no
CONNECT through but to port 443, so plain HTTP does without.
"""

from weakref import WeakKeyDictionary, WeakSet

from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, ResponseHeaders, ResponseProtocolError

from askonce.network.peers import Place
from askonce.network.tunnels import Tunnel, UpstreamProxyError, refusal, written_host

__all__ = ["HttpClient", "forward_by", "is_plain", "refused", "tunnel_of", "written"]

_plain = WeakSet[Server]()
_by = WeakKeyDictionary[Connection, Tunnel]()


class HttpClient(http.HttpClient):
    """The layer that opens a connection for HTTP, which alone knows that it is for HTTP, with TLS or without."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        server = self.context.server
        if not server.connected and not server.tls:
            _plain.add(server)
        yield from super()._handle_event(event)


def is_plain(server: Server) -> bool:
    """Whether a connection that is about to be opened is for requests of plain HTTP, and for nothing else."""
    return server in _plain


def forward_by(server: Server, tunnel: Tunnel) -> None:
    """Note that a connection leads to a proxy, which is to ask the server itself."""
    _by[server] = tunnel


def tunnel_of(connection: Connection) -> Tunnel | None:
    """What `forward_by` noted; None where a connection leads to its own address."""
    return _by.get(connection)


def written(steps: layer.CommandGenerator[None], tunnel: Tunnel) -> layer.CommandGenerator[None]:
    """What sends a request's head, so that it is written for the proxy."""
    for step in steps:
        if isinstance(step, commands.SendData):
            step.data = _absolute(step.data, tunnel)
        yield step


def _absolute(head: bytes, tunnel: Tunnel) -> bytes:
    line, _, fields = head.partition(b"\r\n")
    method, target, version = line.split(b" ", 2)
    url = _origin(tunnel.place) + (b"" if target == b"*" else target)
    return b"%s %s %s\r\n%s%s" % (method, url, version, tunnel.fields(), fields)


def _origin(place: Place) -> bytes:
    host, port = place
    return f"http://{written_host(host)}{'' if port == 80 else f':{port}'}".encode()


def refused(
    steps: layer.CommandGenerator[None], connection: Connection, tunnel: Tunnel
) -> layer.CommandGenerator[None]:
    """What reads a response's head, so that a proxy that asks for a password is no provider's answer: the caller would
    take it for a question of Askonce's, and has no password to give."""
    for step in steps:
        if not (isinstance(step, ReceiveHttp) and isinstance(step.event, ResponseHeaders)):
            yield step
            continue
        response = step.event.response
        if response.status_code != 407:
            yield step
            continue
        head = b"HTTP/1.1 407 \r\n" + bytes(response.headers)
        error = UpstreamProxyError(tunnel.proxy, refusal(tunnel.proxy, tunnel.place, head))
        yield commands.CloseConnection(connection)
        yield ReceiveHttp(ResponseProtocolError(step.event.stream_id, str(error), ErrorCode.GENERIC_SERVER_ERROR))
        return
