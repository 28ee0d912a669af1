"""mitmproxy's hooks around a call: who is let in, and what may be connected to for him.

One rule: what is turned away is told so in plain words and counted, and nothing of it is sent anywhere.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Iterable, Mapping
from weakref import WeakKeyDictionary

from mitmproxy import connection, ctx, http
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from askonce.call import Reply
from askonce.calls.origin import is_own_name
from askonce.network import peers, tunnels
from askonce.network.peers import Place, Refused
from askonce.network.tunnels import Tunnel, UpstreamProxyError
from askonce.proxy import error_stream, forwarding, messages
from askonce.proxy.flow_state import Visit
from askonce.runtime import Runtime

__all__ = ["Gate"]

_CREDENTIALS = b"proxy-authorization"
_CAME_BACK = "This call came back to Askonce, which had sent it on"
_ITSELF = "Request destination unknown"
"""How mitmproxy's own guard begins, which knows four spellings of an address."""


class Gate:
    """The addon that lets callers in, and their connections out."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._mark = f"askonce-{secrets.token_hex(6)}".encode()
        """Our name in `Via` (RFC 9110 7.6.3), which tells nobody but us whose it is."""
        self._came_by = WeakKeyDictionary[connection.Client, str]()
        """The `Via` of a client's CONNECT."""

    # Connections

    def running(self) -> None:
        peers.watch(asyncio.get_running_loop())
        tunnels.install()
        self._runtime.peers.listening = _listening

    def client_connected(self, client: connection.Client) -> None:
        if not self._runtime.admission.lets_in(client.peername[0], client.sockname[0]):
            client.error = "Askonce lets nobody in from there"
            self._runtime.accounting.turn_away("client")

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        host, port = flow.request.host.lower(), flow.request.port
        if not self._runtime.admission.opens_tunnel(flow.client_conn, _credentials(flow.request)):
            flow.response = self._ask_for_key()
        elif self._mark.decode() in (via := flow.request.headers.get("via", "")):
            flow.response = self._turn_away("loop", 508, _CAME_BACK)
        elif not is_own_name(host, self._runtime.rules.config.manage.host) and (
            why := await self._runtime.peers.why_not((host, port))
        ):
            flow.response = self._turn_away("destination", 403, why)
        else:
            self._came_by[flow.client_conn] = via
            if not self._runtime.rules.is_read(host, port):
                error_stream.connect_first(flow)

    def server_connect(self, data: ServerConnectionHookData) -> Awaitable[None] | None:
        if not data.server.address:
            return None
        place = data.server.address[0].lower(), data.server.address[1]
        if data.server.error and data.server.error.startswith(_ITSELF):
            data.server.error = str(Refused(place, "that is Askonce itself"))
        proxies, is_plain = self._runtime.upstream_proxies, forwarding.is_plain(data.server)
        proxy = proxies.of("http" if is_plain else "https", place)
        via = self._via("" if is_plain else self._came_by.get(data.client, "")).encode()
        tunnel = Tunnel(proxy, place, proxies.verify, via, is_plain) if proxy else None
        tunnels.through(tunnel)
        self._runtime.peers.connecting(data.client, place, (proxy.host, proxy.port) if proxy else None)
        return self._connect_by(tunnel, data) if tunnel else None

    async def _connect_by(self, tunnel: Tunnel, data: ServerConnectionHookData) -> None:
        if tunnel.is_plain:
            forwarding.forward_by(data.server, tunnel)
        if why := await self._runtime.peers.why_not(tunnel.place, data.client):
            data.server.error = why

    def server_connected(self, _data: ServerConnectionHookData) -> None:
        self._runtime.peers.connected()

    def server_connect_error(self, data: ServerConnectionHookData) -> None:
        self._runtime.peers.connected()
        if said := UpstreamProxyError.said_in(data.server.error or ""):
            self._runtime.faults.report("upstream proxy", OSError(said), "what needs it is answered with 502")

    # Calls

    def refuse(self, flow: http.HTTPFlow, visit: Visit, heads: Mapping[bytes, bytes]) -> http.Response | None:
        """What a call is answered that is let no further; None where it is let in."""
        request, config = flow.request, self._runtime.rules.config
        given = heads.get(_CREDENTIALS)
        if given is not None:  # meant for us, and for nobody behind us
            del request.headers[_CREDENTIALS]
        if b"via" in heads and self._mark.decode() in request.headers["via"]:
            return self._turn_away("loop", 508, _CAME_BACK)
        if visit.origin.managed:
            return None
        if visit.origin.direct and not self._is_meant(request, heads):
            return self._turn_away(
                "host",
                421,
                f"Askonce is not {request.host}:{request.port}. A proxy is sent whole URLs (HTTPS_PROXY); "
                "other names of Askonce itself stand in manage.aliases of rules.yaml",
            )
        if config.access.authenticate and not self._runtime.admission.authenticates(flow.client_conn, given):
            return self._ask_for_key()
        return None

    def admits(self, client: connection.Client) -> bool:
        """Whether a call is let in, as `refuse` says, that shows nothing of its own, out of a tunnel to a provider."""
        access = self._runtime.rules.config.access
        return not access.authenticate or self._runtime.admission.authenticates(client, None)

    def send_on(self, flow: http.HTTPFlow, visit: Visit) -> None:
        """Take care of a call that its sender did not send there by way of HTTPS_PROXY, or that could come back.

        What goes to a provider over TLS gets no `Via`: it cannot come back, as Askonce trusts no certificate of its
        own.
        """
        request = flow.request
        if visit.origin.direct or visit.passage:
            self._runtime.peers.only_public(flow.client_conn, (request.host.lower(), request.port))
        if request.scheme == "http" or (visit.rule and visit.rule.target):
            request.headers["via"] = self._via(request.headers.get("via", ""))

    def _via(self, before: str) -> str:
        return f"{f'{before}, ' if before else ''}1.1 {self._mark.decode()}"

    def refuse_connection(self, error: str) -> http.Response | None:
        """What a call is answered whose connection was not made; None where it failed for another reason."""
        if said := Refused.said_in(error):
            return self._turn_away("destination", 403, said)
        if said := UpstreamProxyError.said_in(error):
            return _plain(502, f"Askonce cannot connect: {said}")
        return None

    def _is_meant(self, request: http.Request, heads: Mapping[bytes, bytes]) -> bool:
        """Whether a request that came as to a server is for one that a rule names, as by a name that leads here."""
        rule = self._runtime.rules.at(request.scheme, request.host.lower(), request.port)
        return rule is not None and not any(name.startswith(b"x-llm-") for name in heads)

    def _ask_for_key(self) -> http.Response:
        # RFC 9110 11.7.1, RFC 7617 2.1
        asked = (("proxy-authenticate", 'Basic realm="askonce", charset="UTF-8"'),)
        return self._turn_away(
            "key", 407, "Askonce asks for a key of `askonce keys`: HTTPS_PROXY=http://NAME:KEY@HOST:PORT", asked
        )

    def _turn_away(self, why: str, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> http.Response:
        self._runtime.accounting.turn_away(why)
        return _plain(status, text, headers)


def _plain(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> http.Response:
    return messages.make_response(Reply(f"{text}\n".encode(), "text/plain; charset=utf-8", status, headers))


def _listening() -> Iterable[Place]:
    proxyserver = ctx.master.addons.get("proxyserver")
    return [(address[0], address[1]) for server in proxyserver.servers for address in server.listen_addrs]


def _credentials(request: http.Request) -> bytes | None:
    return next((value for name, value in request.headers.fields if name.lower() == _CREDENTIALS), None)
