"""The management app behind mitmproxy: one request in, one whole response out, without a socket.

mitmproxy's own ASGIApp encodes paths twice, upper-cases the scheme and damages compressed bodies; httpx builds the
scope right.

One rule: nothing is loaded before somebody asks, and then in a thread; whoever asks meanwhile waits for it too.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from askonce.api.vital_signs import Answered, Fields
from askonce.proxy.collector import set_aside
from askonce.workers import Compute

__all__ = ["AsgiBridge"]

_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})


class AsgiBridge:
    """Calls an ASGI app in process. Belongs to one event loop."""

    def __init__(
        self,
        make: Callable[[], Any],
        compute: Compute,
        *,
        probe: Callable[[str, str, Fields], Answered | None] = lambda method, url, headers: None,
    ) -> None:
        """`make` makes the app, once, in a thread of `compute`'s; `probe` answers what needs no app."""
        self._make, self._compute, self._probe = make, compute, probe
        self._app: Any = None
        self._making: asyncio.Future[Any] | None = None

    async def __call__(
        self, method: str, url: str, headers: Fields, body: bytes, client: tuple[str, int] = ("", 0)
    ) -> Answered:
        """Status, header fields (without those that frame the body, apart from its length) and body.

        `client` is the address and port that the request comes from, where they are known. Raises what `make` raises;
        it is tried again the next time.
        """
        if answered := self._probe(method, url, headers):
            return answered
        if self._app is None:
            self._app = await self._made()
        import httpx

        request = httpx.Request(method, url, headers=list(headers), content=body)
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False, client=client)
        response = await transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        content = b"".join([part async for part in response.stream])  # not aread(), which would decode
        fields = [(name, value) for name, value in response.headers.raw if name.lower() not in _FRAMING]
        return response.status_code, [*fields, (b"content-length", str(len(content)).encode())], content

    async def _made(self) -> Any:
        if self._making is None:
            self._making = asyncio.ensure_future(self._compute(self._load))
        try:
            return await asyncio.shield(self._making)
        except Exception:
            self._making = None
            raise

    def _load(self) -> Any:
        import httpx  # noqa: F401  # for `__call__`, which is on the event loop

        app = self._make()
        set_aside()
        return app
