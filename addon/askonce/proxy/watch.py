"""mitmproxy's hooks around what becomes no call, which notes it.

One rule: nothing is decided here, and nothing is on the way of a call but one look into a dict.
"""

from mitmproxy import connection, http, tls
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from askonce.calls.origin import is_own_name
from askonce.proxy.flow_state import Visit
from askonce.runtime import Runtime

__all__ = ["Watch"]


class Watch:
    """The addon that notes. `unnamed` is told by who knows which rule a request has."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._strays = runtime, runtime.strays
        self._silent = dict[str, tuple[str, int]]()
        """Clients, by id, who have completed a handshake and asked nothing yet, and for which place it was. Some look
        at the certificate only then (Node.js), and leave without a word."""

    def client_connected(self, _client: connection.Client) -> None:
        self._strays.connections += 1

    def client_disconnected(self, client: connection.Client) -> None:
        self._strays.connections -= 1
        if place := self._silent.pop(client.id, None):
            self._strays.note("untrusted", *place, "it left after the handshake")

    def http_connected(self, flow: http.HTTPFlow) -> None:
        host, port = flow.request.host.lower(), flow.request.port
        if self._is_own(host):
            self._strays.note("own", host, port)
        elif not self._runtime.rules.is_read(host, port):
            self._strays.note("foreign", host, port, "tunnel")

    def tls_failed_client(self, data: tls.TlsData) -> None:
        if place := _place(data):
            self._strays.note("untrusted", *place, data.conn.error or "")

    def tls_established_client(self, data: tls.TlsData) -> None:
        place = _place(data)
        if place and not self._is_own(place[0]):
            self._silent[data.context.client.id] = place

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self.heard(flow.client_conn)

    def heard(self, client: connection.Client) -> None:
        """A client has asked something."""
        self._silent.pop(client.id, None)

    def unnamed(self, flow: http.HTTPFlow, visit: Visit) -> None:
        """A request passes on that no rule takes."""
        request, host = flow.request, visit.origin.host
        if self._runtime.rules.at(request.scheme, host, request.port):
            self._strays.note("unmatched", host, request.port, f"{request.method} {request.path.partition('?')[0]}")
        else:
            self._strays.note("foreign", host, request.port, request.scheme)

    def server_connect_error(self, data: ServerConnectionHookData) -> None:
        if data.server.address:
            self._strays.note("unreachable", *data.server.address[:2], data.server.error or "")

    def tls_failed_server(self, data: tls.TlsData) -> None:
        if isinstance(data.conn, connection.Server) and data.conn.address:
            self._strays.note("unreachable", *data.conn.address[:2], data.conn.error or "")

    def _is_own(self, host: str) -> bool:
        return is_own_name(host, self._runtime.rules.config.manage.host)


def _place(data: tls.TlsData) -> tuple[str, int] | None:
    """Where a client wanted to go; None where it spoke TLS to the proxy itself."""
    address = data.context.server.address
    if address is None:
        return None
    return (data.context.client.sni or address[0]).lower(), address[1]
