"""Answers past their time, and some that are to be checked, fetched anew in the background.

It is done as the app would: through the proxy's own port, `no-cache`.

One rule: there is no second way to a provider. What is fetched again is matched, streamed, checked and stored by the
same life of a call; the caller's headers are held for as long as that takes and written nowhere.
"""

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from askonce.cache import Identity, Lookup
from askonce.cache.lru import LRU
from askonce.call import Reply, Request
from askonce.calls.background import Background
from askonce.calls.decoding import decode_content
from askonce.calls.limits import Limits
from askonce.calls.single_flight import Flights
from askonce.faults import Faults
from askonce.rules import Rule
from askonce.workers import Compute

if TYPE_CHECKING:
    import httpx

__all__ = ["Refresh", "Refresher", "Refreshes", "address"]

type Refresh = Callable[[Rule, Request], Awaitable[None]]
"""Asks a provider once more, by way of the proxy, and returns when the answer is whole."""

_AT_ONCE = 8
"""Past so many a stale answer is a miss."""
_SERVED = 4096
"""Stale answers of which it is remembered that they were served."""
_AFTER_REPLY = 0.005
"""Seconds: the caller is answered first."""

_TIMEOUT = {"connect": 10.0, "read": 600.0, "write": 10.0, "pool": 10.0}
"""Seconds; a reasoning model may think for long."""
_FRAMING = frozenset(
    """
    cache-control connection content-encoding content-length expect host keep-alive proxy-connection te trailer
    transfer-encoding upgrade
    """.split()  # noqa: SIM905  # reads better than a dozen quoted names
)


class Refreshes:
    """What is being fetched anew. Belongs to one event loop."""

    def __init__(self, ask: Refresh | None, flights: Flights, faults: Faults) -> None:
        """Without `ask` nothing is ever refreshed."""
        self._ask, self._flights, self._faults = ask, flights, faults
        self._background = Background()
        self._served = LRU[int, bool](_SERVED)
        self._awaited = set[bytes]()
        """Exact keys whose flight is led for a call that is on its way through the proxy and has not come in yet."""

    def begin(self, rule: Rule, request: Request, found: Lookup, identity: Identity) -> bool:
        """Fetch anew what was found stale; whether it may be served meanwhile, which it may be once."""
        entry = found.entry
        if entry is None or entry.id in self._served or not self.ask_again(rule, request, identity):
            return False
        self._served.put(entry.id, True)
        return True

    def ask_again(self, rule: Rule, request: Request, identity: Identity) -> bool:
        """Ask the provider a call that is answered already; whether that is possible now."""
        if self._ask is None or len(self._background) >= _AT_ONCE or not self._flights.lead(identity.exact):
            return False
        self._awaited.add(identity.exact)
        self._background.start(self._fetch(self._ask, rule, request, identity.exact))
        return True

    def arrived(self, identity: Identity) -> bool:
        """A call comes in that asks past the cache; whether it is one of ours and so leads the flight from here on."""
        if identity.exact not in self._awaited:
            return False
        self._awaited.remove(identity.exact)
        return True

    async def close(self) -> None:
        """End what is under way."""
        await self._background.close()

    async def _fetch(self, ask: Refresh, rule: Rule, request: Request, exact: bytes) -> None:
        try:
            await asyncio.sleep(_AFTER_REPLY)
            await ask(rule, request)
        except Exception as error:
            self._faults.report("refreshing an answer", error, "the next call of its kind goes to the provider")
        finally:
            if exact in self._awaited:
                self._awaited.remove(exact)
                self._flights.end(exact, "failed")


class Refresher:
    """Sends requests through the proxy at `proxy_url`, whose certificate authority is in `ca_cert`.

    Connections are kept: a new one costs a TLS handshake on both of its ends, which is ten times the call. Nothing else
    is: beneath an httpx client, whose cookies would go from one caller to the next, this is its transport alone.
    """

    def __init__(self, proxy_url: str, ca_cert: Path, compute: Compute, own_host: str = "") -> None:
        """`compute` runs what takes long; `own_host` is the proxy's reserved host, for calls by way of a product."""
        self._proxy_url, self._ca_cert, self._compute, self._own_host = proxy_url, ca_cert, compute, own_host
        self._transports: dict[bytes, httpx.AsyncHTTPTransport] = {}
        """By the authority's certificate: a change of the rules may make a new one while calls are under way."""

    async def __call__(self, rule: Rule, request: Request) -> None:
        """Ask once, and read the answer to its end. Raises httpx.HTTPError or OSError where there was none."""
        async with self._response(rule, request) as response:
            async for _ in response.aiter_raw():
                pass

    async def reply(self, rule: Rule, request: Request) -> Reply:
        """Ask once; the provider's response, decoded. Raises httpx.HTTPError or OSError where there was none, and
        ValueError where it does not decode or is too large."""
        async with self._response(rule, request) as response:
            coded = await _read(response)
        coding, most = response.headers.get("content-encoding", ""), Limits.in_force.max_decoded
        body = await self._compute(lambda: decode_content(coded, coding, most)) if coding else coded
        headers = [(name, value) for name, value in response.headers.items() if name not in _FRAMING]
        return Reply(body, response.headers.get("content-type", ""), response.status_code, tuple(headers))

    async def close(self) -> None:
        """Let go of the connections."""
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    @contextlib.asynccontextmanager
    async def _response(self, rule: Rule, request: Request) -> "AsyncIterator[httpx.Response]":
        if "httpx" not in sys.modules:
            await self._compute(_load_httpx)
        import httpx

        url = (
            f"http://{request.host}{request.path}{_query(request)}"
            if request.host == self._own_host
            else address(rule, request)
        )
        if url is None:
            raise OSError(f"{request.host} stands more than once in rule {rule.name}, so its port is not known")
        headers = [
            (name.encode("latin-1"), value.encode("utf-8", "surrogateescape"))
            for name, value in request.headers.items()
            if name not in _FRAMING
        ]
        again = httpx.Request(
            request.method,
            url,
            headers=[*headers, (b"cache-control", b"no-cache")],
            content=request.body,
            extensions={"timeout": _TIMEOUT},
        )
        async with contextlib.aclosing(await self._transport().handle_async_request(again)) as response:
            yield response

    def _transport(self) -> "httpx.AsyncHTTPTransport":
        authority = self._ca_cert.read_bytes()
        if authority not in self._transports:
            import httpx

            trusted = ssl.create_default_context(cadata=authority.decode())
            self._transports[authority] = httpx.AsyncHTTPTransport(verify=trusted, proxy=httpx.Proxy(self._proxy_url))
        return self._transports[authority]


def _load_httpx() -> None:
    import httpx  # noqa: F401  # with its command line's, 100 modules, which only who asks again needs


async def _read(response: "httpx.Response") -> bytes:
    """As it comes: httpx's own `aread` would decode, and neither of the two has a limit."""
    body, most = bytearray(), Limits.in_force.max_body
    async for part in response.aiter_raw():
        body += part
        if len(body) > most:
            raise ValueError(f"the provider's answer is larger than limits.max_body ({most} bytes)")
    return bytes(body)


def _query(request: Request) -> str:
    return f"?{request.query}" if request.query else ""


def address(rule: Rule, request: Request) -> str | None:
    """The URL of a request under a rule; None where the rule leaves its scheme or port open."""
    places = {(host.scheme, host.port) for host in rule.hosts if host.matches(request.host)}
    if len(places) != 1:
        return None
    scheme, port = places.pop()
    return f"{scheme}://{request.host}:{port}{request.path}{_query(request)}"
