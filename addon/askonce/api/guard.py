"""What every request meets before a route, and every response before it leaves.

The rule: nothing reaches a route that another web site sent in a user's name, nothing larger than the limit is read,
a body is read as JSON whatever its Content-Type says, and no failure shows a caller more than that there was one.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import HTTPException, Security
from fastapi.params import Depends
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from askonce.api.product_addresses import is_own_site
from askonce.api.product_routes import Render
from askonce.api.vital_signs import HEADERS, request_id
from askonce.credentials import is_secret, shown_in_header
from askonce.faults import Faults

__all__ = ["MAX_BODY", "AccessGuard", "bearer", "bearer_or_key"]

MAX_BODY = 1 << 20
"""Bytes of a request's body."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def bearer(token: str, is_open: Callable[[], bool] = lambda: False) -> Depends:
    """A dependency that lets only `Authorization: Bearer <token>` through, and everybody while it `is_open`."""
    scheme, is_token = _token_scheme(), _is_token(token)

    async def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)]) -> None:
        if not is_token(credentials) and not is_open():
            raise HTTPException(401, "Unauthorized", {"WWW-Authenticate": "Bearer"})

    return Depends(check)


def bearer_or_key(token: str, is_key: Callable[[str], bool]) -> Depends:
    """As `bearer`; what `is_key` knows opens it too, as a token or in `X-API-Key`."""
    scheme, is_token = _token_scheme(), _is_token(token)
    header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="gateway key", description="A gateway's key.")

    async def check(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(scheme)],
        in_header: Annotated[str | None, Security(header)],
    ) -> None:
        key = in_header or (credentials.credentials if credentials else "")
        if not is_token(credentials) and not (key and is_key(key)):
            raise HTTPException(401, "Unauthorized", {"WWW-Authenticate": "Bearer"})

    return Depends(check)


def _token_scheme() -> HTTPBearer:
    return HTTPBearer(auto_error=False, scheme_name="token", description="The token of `manage` in rules.yaml.")


def _is_token(token: str) -> Callable[[HTTPAuthorizationCredentials | None], bool]:
    def check(credentials: HTTPAuthorizationCredentials | None) -> bool:
        return is_secret(shown_in_header(credentials.credentials if credentials else ""), token)

    return check


class AccessGuard:
    """The outermost middleware."""

    def __init__(
        self,
        app: ASGIApp,
        faults: Faults,
        render_for: Callable[[Scope], Render],
        max_body: Callable[[Scope], int],
        checks_type: Callable[[Scope], bool],
    ) -> None:
        """`max_body` tells the bytes that a request's body may have, `render_for` whose shape a refusal has, and
        `checks_type` whether the route looks at the Content-Type itself."""
        self._app = app
        self._faults = faults
        self._render_for = render_for
        self._max_body = max_body
        self._checks_type = checks_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        identifier = request_id(headers.get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = identifier
        started = False

        async def send_guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
                out["x-request-id"] = identifier
            await send(message)

        async def refuse(status: int, error: str) -> None:
            await self._render_for(scope)(scope, status, error, {})(scope, receive, send_guarded)

        url = f"{scope['scheme']}://{headers.get('host', '')}"
        if scope["method"] not in _SAFE and not is_own_site(headers.get("origin"), headers.get("sec-fetch-site"), url):
            await refuse(403, "Refused: a page of another site may not change anything here")
            return
        body = await self._read(headers, receive, self._max_body(scope))
        if body is None:
            await refuse(413, "Request body too large")
            return
        try:
            told = scope if self._checks_type(scope) else _as_json(scope)
            await self._app(told, _replay(body, receive), send_guarded)
        except Exception as error:
            self._faults.report("management", error, f"{scope['method']} {scope['path']!r} was answered with 500")
            if not started:
                await refuse(500, "Internal server error")

    @staticmethod
    async def _read(headers: Headers, receive: Receive, limit: int) -> bytes | None:
        """The whole body; None where it is over the limit."""
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            return None
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > limit:
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


def _as_json(scope: Scope) -> Scope:
    """The request with the Content-Type of JSON: curl's `-d` calls everything a form, and every body here is JSON."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-type"]
    return {**scope, "headers": [*kept, (b"content-type", b"application/json")]}
