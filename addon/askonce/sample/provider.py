"""The provider as a web application: finds the format by the path, checks the key, answers at a model's pace.

One rule: everything that is one provider's own (paths, keys, errors, events) stands in that provider's format file.
"""

import gzip
import time
import zlib
from collections.abc import Callable
from dataclasses import replace

import brotli
import orjson
import zstandard
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from askonce.sample import (
    anthropic_messages,
    cohere_chat,
    gemini,
    mistral,
    ollama_chat,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from askonce.sample import control as controls
from askonce.sample.control import Control
from askonce.sample.formats import Ask, Format, JsonObject, Trouble
from askonce.sample.performance import Address, Chunk, Perform, Script

__all__ = ["FORMATS", "UNKNOWN_MODEL", "application"]

FORMATS: tuple[Format, ...] = (
    mistral.CHAT,
    mistral.EMBEDDINGS,
    openai_chat.FORMAT,
    openai_completions.FORMAT,
    openai_embeddings.FORMAT,
    openai_responses.FORMAT,
    anthropic_messages.FORMAT,
    gemini.FORMAT,
    cohere_chat.FORMAT,
    ollama_chat.CHAT,
    ollama_chat.GENERATE,
)
"""The first whose host and path match answers, so `/chat/completions` comes before `/completions`."""

UNKNOWN_MODEL = "no-such-model"

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_MODELS = {"object": "list", "data": [{"id": "sample-1", "object": "model", "created": 0, "owned_by": "askonce"}]}


def application(control: Control, cut: Callable[[Address], None]) -> Starlette:
    """The provider and its control API as an ASGI application; `cut` closes the connection of a client."""

    async def endpoint(request: Request) -> ASGIApp:
        if request.url.path.startswith(controls.PREFIX):
            return await control.respond(request)
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response()  # to nobody
        control.called(request, body)
        script = control.scripts.popleft() if control.scripts else _answer(request, body, control)
        return Perform(script, cut, control.caller_left, control.gate.acquire)

    async def responses(socket: WebSocket) -> None:
        control.connected(socket)
        await socket.accept()
        async for message in socket.iter_text():
            for event in openai_responses.answer_message(orjson.loads(message), time.time()):
                await socket.send_text(event)

    return Starlette(
        routes=[
            WebSocketRoute("/v1/responses", responses),
            Route("/{path:path}", endpoint, methods=_METHODS),
        ]
    )


def _answer(request: Request, body: bytes, control: Control) -> Script:
    for form in FORMATS:
        match = form.paths.search(request.url.path)
        if match and form.hosts.fullmatch(request.url.hostname or ""):
            break
    else:
        if request.url.path.endswith("/models"):
            return _json(_MODELS)
        return _json({"error": {"message": f"Unknown request URL: {request.method} {request.url.path}."}}, 404)
    try:
        value = orjson.loads(_decoded(body, request.headers.get("content-encoding", "")))
    except (ValueError, OSError, zlib.error, brotli.error, zstandard.ZstdError):
        return _trouble(form, "body")
    if not isinstance(value, dict):
        return _trouble(form, "body")
    ask = Ask(match, dict(request.query_params), value, time.time())
    if form.keys and not any(_key(request, name) for name in form.keys):
        return _trouble(form, "key", ask.model)
    if ask.model == UNKNOWN_MODEL:
        return _trouble(form, "model", ask.model)
    try:
        return _paced(form, ask, control)
    except (TypeError, AttributeError, LookupError):
        return _trouble(form, "body")  # a list where there should be a message, and so on


def _paced(form: Format, ask: Ask, control: Control) -> Script:
    pace, whole = control.pace, form.answer(ask)
    pieces = list(form.events(ask, whole))
    if not form.streamed(ask):  # the whole answer takes as long as its stream would
        pause = pace.first_token + pace.per_token * len(pieces)
        script = _json(whole, headers=dict(form.headers()), delay=pause, content_encoding=control.content_encoding)
        return _held(script) if pace.is_held else script
    headers = dict(form.headers()) | {"content-type": form.stream_type(ask), "cache-control": "no-cache"}
    script = Script(
        headers=tuple(headers.items()),
        chunks=tuple(Chunk(piece, pace.per_token if at else pace.first_token) for at, piece in enumerate(pieces)),
        content_encoding=control.content_encoding,
    )
    return _held(script) if pace.is_held else script


def _held(script: Script) -> Script:
    """With its first chunk held."""
    first, *others = script.chunks
    return replace(script, chunks=(replace(first, is_held=True), *others))


def _trouble(form: Format, trouble: Trouble, model: str = "") -> Script:
    status, value = form.error(trouble, model)
    return _json(value, status, headers=dict(form.headers()))


def _json(
    value: JsonObject,
    status: int = 200,
    headers: dict[str, str] | None = None,
    delay: float = 0.0,
    content_encoding: str = "",
) -> Script:
    data = orjson.dumps(value)
    headers = (headers or {}) | {"content-type": "application/json"}
    if not content_encoding:
        headers["content-length"] = str(len(data))
    return Script(status, tuple(headers.items()), (Chunk(data, delay),), content_encoding=content_encoding)


def _decoded(body: bytes, encoding: str) -> bytes:
    match encoding.lower():
        case "" | "identity":
            return body
        case "gzip":
            return gzip.decompress(body)
        case "br":
            return bytes(brotli.decompress(body))
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    raise ValueError(f"content-encoding {encoding!r} is not known")


def _key(request: Request, name: str) -> str | None:
    """The key that a call brings: from a header, or for `?name` from the query."""
    if name.startswith("?"):
        return request.query_params.get(name[1:])
    return request.headers.get(name, "").removeprefix("Bearer").strip()
