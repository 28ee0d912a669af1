"""The management app behind mitmproxy: one request in, one whole response out, without a socket.

mitmproxy's own ASGIApp encodes paths twice, upper-cases the scheme and damages compressed bodies; httpx builds the
scope right.
"""

from collections.abc import Sequence
from typing import Any

import httpx

__all__ = ["AsgiBridge", "Fields"]

Fields = Sequence[tuple[bytes, bytes]]
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})


class AsgiBridge:
    """Calls an ASGI app in process."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(
        self, method: str, url: str, headers: Fields, body: bytes, client: tuple[str, int] = ("", 0)
    ) -> tuple[int, Fields, bytes]:
        """Status, header fields (without those that frame the body, apart from its length) and body.

        `client` is the address and port that the request comes from, where they are known.
        """
        request = httpx.Request(method, url, headers=list(headers), content=body)
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False, client=client)
        response = await transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        content = b"".join([part async for part in response.stream])  # not aread(), which would decode
        fields = [(name, value) for name, value in response.headers.raw if name.lower() not in _FRAMING]
        return response.status_code, [*fields, (b"content-length", str(len(content)).encode())], content
