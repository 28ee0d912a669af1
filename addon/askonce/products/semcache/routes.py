"""Semcache's own store, read and written by its key's meaning, and its dashboard.

The rule: errors are plain text, with the status codes of Semcache's own web framework; and what is put here is reached
by nobody's call to a provider.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response
from starlette.types import Scope

from askonce.api.exact import read_json
from askonce.api.guard import bearer
from askonce.api.openapi_calls import describe_call
from askonce.api.product_routes import ProductRoutes, Shared
from askonce.cache import NamedStores
from askonce.jsontext import NotJson
from askonce.products.semcache.dashboard import Dashboard, Figures
from askonce.products.semcache.section import SemcacheSpec

__all__ = ["routes"]

_STORE_NAME = "semcache"
_PAGE = Path(__file__).with_name("semcache.html")
_TEXT: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"content": _TEXT, "description": "The request was refused; nothing was changed."},
    "5XX": {"content": _TEXT, "description": "The request could not be carried out."},
}
_BYTES = "application/octet-stream"
_FOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {_BYTES: {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "string"}}},
        "description": "What was put; empty once it is.",
    },
    404: {"description": "Nothing was put under this key, or one near it."},
}


class Key(BaseModel):
    model_config = ConfigDict(strict=True)

    key: str = Field(examples=["What is the capital of France?"])


class PutBody(Key):
    data: str | None = Field(default=None, description="What to keep; without it, what is kept is read.")


def routes(
    shared: Shared, *, named_stores: NamedStores, dashboard: Dashboard, spec: Callable[[], SemcacheSpec]
) -> ProductRoutes:
    """Semcache's part of the application."""
    own = APIRouter(tags=["semcache"], responses=_ERRORS)
    guarded = [] if shared.token is None else [bearer(shared.token, lambda: spec().open)]
    page = _PAGE.read_text("utf-8")

    async def read(request: Request, key: str, *, as_json: bool = False) -> Response:
        with shared.accounting.store_request("semcache", "get") as counted:
            found = await named_stores.search(
                _store_name(request), key, min_cosine=_cosine(spec().similarity_threshold), guarded=spec().guards
            )
            same = found and found[0].item.text == key
            counted.outcome = "exact" if same else "semantic" if found else "miss"
        if not found:
            return Response(status_code=404)
        value = found[0].item.value
        if as_json:
            return Response(orjson.dumps(value.decode()), media_type="application/json")
        return Response(value, media_type=_BYTES)

    @own.put(
        "/semcache/v1/put",
        dependencies=guarded,
        response_class=Response,
        responses=_FOUND,
        openapi_extra=_body(PutBody),
    )
    async def semcache_put(request: Request) -> Response:
        """Keep a text under a key, in place of what has nearly the same one. Without `data`, read it: as JSON where
        that is asked for, as the document shows it, and else as it is, as Semcache's server sends it."""
        pair = await _read(request, PutBody)
        if pair.data is None:
            return await read(request, pair.key, as_json="application/json" in request.headers.get("accept", ""))
        replaces = _cosine(spec().overwrite_threshold)
        with shared.accounting.store_request("semcache", "put"):
            await named_stores.put(_store_name(request), pair.key, _utf8(pair.data), ttl=spec().ttl, replaces=replaces)
        return Response(media_type=_BYTES)

    @own.post(
        "/semcache/v1/get", dependencies=guarded, response_class=Response, responses=_FOUND, openapi_extra=_body(Key)
    )
    async def semcache_get(request: Request) -> Response:
        """The text that was put under this key, or one near it."""
        return await read(request, (await _read(request, Key)).key)

    @own.get("/admin", response_class=HTMLResponse)
    async def semcache_admin() -> HTMLResponse:
        """The dashboard."""
        return HTMLResponse(page)

    @own.get("/dashboard-metrics", dependencies=shared.protected)
    async def semcache_figures() -> Figures:
        """The dashboard's figures now."""
        return dashboard.now()

    @own.get("/static/metrics_history.json", dependencies=shared.protected)
    async def semcache_history() -> list[Figures]:
        """The dashboard's figures every half minute, the oldest first."""
        return dashboard.history

    optional = {"x-llm-proxy-upstream": False, "x-llm-proxy-host": False, "x-llm-proxy-prompt": False}
    required = optional | {"x-llm-proxy-upstream": True, "x-llm-proxy-prompt": True}
    view = APIRouter(responses=_ERRORS)
    describe_call(view, "/v1/chat/completions", "semcache_v1_chat", headers=optional)
    describe_call(own, "/chat/completions", "semcache_chat", headers=optional)
    anthropic = "Ask, in Anthropic's wire format."
    describe_call(own, "/v1/messages", "semcache_messages", summary=anthropic, headers=optional)
    other = "Ask, in any wire format."
    generic = "/semcache/v1/chat/completions"
    describe_call(own, generic, "semcache_generic", summary=other, body={"type": "object"}, headers=required)

    @view.get("/", tags=["semcache"], response_class=PlainTextResponse)
    async def semcache_alive() -> PlainTextResponse:
        """Nothing, with 200."""
        return PlainTextResponse("")

    return ProductRoutes(
        name="semcache",
        title="Semcache",
        routes=own,
        view=view,
        render=_render,
        errors=_ERRORS,
        owns=("/semcache", "/admin", "/dashboard-metrics", "/static", "/chat/completions", "/v1/messages"),
        families=("semcache_",),
        max_body=lambda: spec().max_request,
        checks_type=True,
    )


def _render(scope: Scope, status: int, detail: Any, headers: Mapping[str, str]) -> Response:
    if status >= 500:
        status, detail = 500, "Something went wrong"
    return PlainTextResponse(str(detail), status, dict(headers))


async def _read[B: BaseModel](request: Request, kind: type[B]) -> B:
    """The body; what is refused, and how, is as in Semcache's own web framework."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not (
        content_type.startswith("application/") and content_type.endswith("+json")
    ):
        raise HTTPException(415, "Expected request with `Content-Type: application/json`")
    try:
        return kind.model_validate(await read_json(request))
    except NotJson as error:
        raise HTTPException(400, f"Failed to parse the request body as JSON: {error}") from None
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        where = ".".join(map(str, mistake["loc"]))
        message = f"missing field `{where}`" if mistake["type"] == "missing" else f"{where}: {mistake['msg']}"
        raise HTTPException(422, f"Failed to deserialize the JSON body into the target type: {message}") from None


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def _store_name(request: Request) -> str:
    namespace = request.headers.get("x-cache-namespace", "").strip()
    return f"{_STORE_NAME}:{namespace}" if namespace else _STORE_NAME


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise HTTPException(422, "data: not valid Unicode: it holds half of a surrogate pair") from None


def _cosine(similarity: float) -> float:
    return 2 * similarity - 1
