"""What tests and the demo ask of the provider itself: how often it was called, and what it is to do next.

One rule: nothing here changes an answer unless a test asked for it, and `reset` takes all of that back.
"""

import asyncio
import base64
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from askonce.sample.performance import Address, Chunk, Script, encoder

__all__ = ["PREFIX", "Control", "Pace"]

PREFIX = "/__sample/"
"""Paths below it are the control API: the only ones that are neither counted nor scripted."""

_KEPT_REQUESTS = 200
_MANY = 1_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the model is, in seconds; or that it holds each answer until it is let go."""

    first_token: float = 0.0
    per_token: float = 0.0
    is_held: bool = False


@dataclass(slots=True)
class Control:
    """The provider's counters, and the behaviour that tests set."""

    started_pace: Pace = Pace()
    """What `reset` goes back to."""
    pace: Pace = field(init=False)
    content_encoding: str = ""
    """How ordinary answers are encoded, whatever the caller accepts."""
    scripts: deque[Script] = field(default_factory=deque)
    """The next responses, in place of answers."""
    calls: int = 0
    connections: int = 0
    """TCP connections accepted, less those of the control API's own callers."""
    left: int = 0
    """Calls whose caller went away before the answer was whole."""
    paths: Counter[str] = field(default_factory=Counter)
    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_KEPT_REQUESTS))
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """What held chunks wait for, in the order in which they came to it."""
    _own: set[Address] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.pace = self.started_pace

    def accepted(self, address: Address) -> None:
        """Count a connection."""
        self.connections += 1
        self._own.discard(address)

    def called(self, request: Request, body: bytes) -> None:
        """Count a call and keep what it looked like, its body as it came."""
        self.calls += 1
        self.paths[request.url.path] += 1
        self.requests.append(
            {
                "method": request.method,
                "host": request.headers.get("host", ""),
                "path": request.url.path,
                "query": request.url.query,
                "http_version": request.scope["http_version"],
                "headers": request.headers.items(),
                "body": body.decode("utf-8", "replace"),
                "body_base64": base64.b64encode(body).decode(),
            }
        )

    def connected(self, socket: WebSocket) -> None:
        """Count a WebSocket as one call, however many messages it brings."""
        self.calls += 1
        self.paths[socket.url.path] += 1

    def caller_left(self) -> None:
        """Count a caller who did not stay for the end."""
        self.left += 1

    async def respond(self, request: Request) -> Response:
        """Answer a call to the control API."""
        self._leave_out(request.scope["client"])
        body = await request.body()  # a body left unread would close the connection
        try:
            match request.method, request.url.path.removeprefix(PREFIX):
                case "GET", "stats":
                    return JSONResponse(self.stats())
                case "POST", "script":
                    asked = orjson.loads(body)
                    self.scripts.extend(map(_script, asked if isinstance(asked, list) else [asked]))
                    return JSONResponse({"queued": len(self.scripts)})
                case "POST", "settings":
                    self.set(**orjson.loads(body))
                    return JSONResponse({})
                case "POST", "release":
                    self.release(orjson.loads(body)["chunks"])
                    return JSONResponse({})
                case "POST", "reset":
                    self.reset()
                    return JSONResponse({})
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)
        return JSONResponse(
            {"error": f"expected GET {PREFIX}stats or POST {PREFIX}script, settings, release or reset"}, 404
        )

    def stats(self) -> dict[str, Any]:
        """The counters, and the last calls, oldest first."""
        return {
            "calls": self.calls,
            "connections": self.connections,
            "left": self.left,
            "scripts_left": len(self.scripts),
            "paths": dict(self.paths),
            "last": self.requests[-1] if self.requests else None,
            "requests": list(self.requests),
        }

    def set(
        self,
        first_token: float | None = None,
        per_token: float | None = None,
        content_encoding: str | None = None,
        is_held: bool | None = None,
    ) -> None:
        """Change the pace (seconds), how answers are encoded, or whether they wait for `release`, until `reset`."""
        if content_encoding is not None:
            encoder(content_encoding)  # refuses an unknown one
            self.content_encoding = content_encoding
        if first_token is not None:
            self.pace = replace(self.pace, first_token=first_token)
        if per_token is not None:
            self.pace = replace(self.pace, per_token=per_token)
        if is_held is not None:
            self.pace = replace(self.pace, is_held=is_held)

    def release(self, chunks: int) -> None:
        """Let so many held chunks go, those that wait and those that will."""
        for _ in range(chunks):
            self.gate.release()

    def reset(self) -> None:
        """Forget every call, script and setting."""
        self.scripts.clear()
        self.release(_MANY)  # nobody waits for what was forgotten
        self.gate = asyncio.Semaphore(0)
        self.calls = self.connections = self.left = 0
        self.paths.clear()
        self.requests.clear()
        self.pace, self.content_encoding = self.started_pace, ""

    def _leave_out(self, address: Address) -> None:
        if address not in self._own:
            self._own.add(address)
            self.connections -= 1


def _script(asked: dict[str, Any]) -> Script:
    """A script from its JSON: `chunks` are strings or {"data" | "base64", "delay", "held"}; the rest is `Script`'s."""
    encoder(asked.get("content_encoding") or "")
    headers = asked.get("headers", {"content-type": "application/json"})
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Script(
        status=asked.get("status", 200),
        headers=tuple((name, value) for name, value in pairs),
        chunks=tuple(_chunk(chunk) for chunk in asked.get("chunks", ())),
        abort=bool(asked.get("abort")),
        content_encoding=asked.get("content_encoding") or "",
    )


def _chunk(asked: str | dict[str, Any]) -> Chunk:
    if isinstance(asked, str):
        return Chunk(asked.encode())
    data = base64.b64decode(asked["base64"]) if "base64" in asked else asked["data"].encode()
    return Chunk(data, asked.get("delay", 0.0), bool(asked.get("held")))
