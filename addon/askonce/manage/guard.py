"""What every request meets before a route, and every response before it leaves.

The rule: nothing reaches a route that another web site sent in a user's name, nothing larger than the limit is read,
and no failure shows a caller more than that there was one.
"""

import hmac
import string
import uuid
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import HTTPException, Security
from fastapi.params import Depends
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from askonce.faults import Faults

__all__ = ["MAX_BODY", "Guard", "bearer"]

MAX_BODY = 1 << 20
"""Bytes of a request's body."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PORTS = {"http": 80, "https": 443}
_ID = frozenset(string.ascii_letters + string.digits + "-_.:+/=")
_HEADERS = {
    "cache-control": "no-store",
    # The pages bring their own scripts; nothing may be fetched from, or framed by, anybody else.
    "content-security-policy": "default-src 'self' 'unsafe-inline' data: blob:; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def bearer(token: str) -> Depends:
    """A dependency that lets only `Authorization: Bearer <token>` through."""
    scheme = HTTPBearer(auto_error=False, scheme_name="token", description="The token of `manage` in rules.yaml.")
    expected = token.encode()

    async def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)]) -> None:
        # Headers arrive decoded as Latin-1; going back to the bytes lets a token hold any character.
        given = credentials.credentials.encode("latin-1") if credentials else b""
        if not hmac.compare_digest(given, expected):
            raise HTTPException(401, "Unauthorized", {"WWW-Authenticate": "Bearer"})

    return Depends(check)


class Guard:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, faults: Faults, max_body: int = MAX_BODY) -> None:
        self._app = app
        self._faults = faults
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get("x-request-id", ""))
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                out = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    out.setdefault(name, value)
                out["x-request-id"] = request_id
            await send(message)

        async def refuse(status: int, error: str) -> None:
            await JSONResponse({"error": error}, status)(scope, receive, send_guarded)

        if scope["method"] not in _SAFE and not _own_site(headers, scope["scheme"]):
            await refuse(403, "Refused: a page of another site may not change anything here")
            return
        body = await self._read(headers, receive)
        if body is None:
            await refuse(413, "Request body too large")
            return
        try:
            await self._app(scope, _replay(body, receive), send_guarded)
        except Exception as error:
            self._faults.report("management", error, f"{scope['method']} {scope['path']!r} was answered with 500")
            if not started:
                await refuse(500, "Internal server error")

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        """The whole body; None where it is over the limit."""
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._max_body:
            return None
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._max_body:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    unread = True

    async def replay() -> Message:
        nonlocal unread
        if unread:
            unread = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


def _request_id(given: str) -> str:
    return given if given and len(given) <= 128 and _ID.issuperset(given) else str(uuid.uuid4())


def _own_site(headers: Headers, scheme: str) -> bool:
    """Whether this came from our own page, or from a program (a browser tells the site, a program does not)."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") != "cross-site"
    return _site(origin) == _site(f"{scheme}://{headers.get('host', '')}") != ""


def _site(url: str) -> str:
    """`host:port` of an origin, the scheme's own port filled in; empty for "null" and what is no origin."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname else ""
