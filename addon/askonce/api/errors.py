"""What goes wrong, as a sentence, in the shape of whoever's route it is; our own is `{"error": "<a sentence>"}`."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from askonce.api.product_routes import Mistakes, Render
from askonce.api.request_models import LONGEST, SHOWN
from askonce.cache import StoreError
from askonce.faults import Faults
from askonce.jsontext import shortened

__all__ = ["RESPONSES", "Problem", "install"]


class Problem(BaseModel):
    """What went wrong."""

    error: str = Field(examples=["Entry not found"])


# Written out, because `model` would take on the media type of a route that answers with text or HTML.
_PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"content": _PROBLEM, "description": "The request was refused; nothing was changed."},
    "5XX": {"content": _PROBLEM, "description": "The request could not be carried out."},
}
"""What any route may answer besides its own responses."""

_PLACES = {"query": "query parameter", "path": "path parameter", "header": "header", "cookie": "cookie", "body": "body"}


def install(app: FastAPI, faults: Faults, render_for: Callable[[Scope], Render]) -> None:
    """Make `app` answer every error; `render_for` tells whose shape it has."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail, headers = error.detail, dict(error.headers or {})
        if error.status_code == 404 and detail == HTTPStatus(404).phrase:
            root = request.scope.get("app_root_path", request.scope.get("root_path", ""))
            detail = f"There is nothing at {request.url.path}; {root}/openapi.json lists what there is"
        elif error.status_code == 405:
            headers["Allow"] = _allowed(app, request) or headers["Allow"]
            detail = f"{request.method} is not allowed on {request.url.path}, only {headers['Allow']}"
        return render_for(request.scope)(request.scope, error.status_code, detail, headers)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = error.errors()
        shown, more = found[:SHOWN], len(found) - SHOWN
        sentences = [*map(_mistake, shown), *([f"and {more} more"] if more > 0 else [])]
        mistakes = Mistakes("; ".join(sentences))
        mistakes.errors = shown
        return render_for(request.scope)(request.scope, 400, mistakes, {})

    async def store_failed(request: Request, error: Exception) -> Response:
        faults.report("store", error, f"{request.method} {request.url.path!r} was answered with 503")
        return render_for(request.scope)(request.scope, 503, str(error), {})

    async def failed(request: Request, _error: Exception) -> Response:
        # In a view's application, whose own last resort would be plain text; the guard reports it.
        return render_for(request.scope)(request.scope, 500, "Internal server error", {})

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(StoreError, store_failed)
    app.add_exception_handler(Exception, failed)


def _allowed(app: FastAPI, request: Request) -> str:
    """The methods of every route at this path; the router itself names those of the first one only, and that may be
    one for any key."""
    route, paths = request.scope.get("route"), app.openapi()["paths"]
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    operations = paths.get(path) or (paths.get(route.path, {}) if route else {})
    return ", ".join(sorted(method.upper() for method in operations))


def _mistake(mistake: Mapping[str, Any]) -> str:
    """`query parameter limit: input should be …, got "x"`: where, what was expected, what came."""
    place, *rest = mistake["loc"]
    where = " ".join([_PLACES.get(str(place), str(place)), _dotted(rest)]).strip()
    if mistake["type"] == "json_invalid":
        return f"{where}: expected JSON: {mistake['ctx']['error']}"
    if mistake["type"] == "missing":
        return f"{where}: is required"
    if mistake["type"] == "extra_forbidden":
        return f"{where}: is not known here"
    if mistake["type"] == "unknown_fields":
        return f"{where}: {mistake['msg']}"
    message = mistake["msg"].removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}, got {shortened(repr(mistake['input']), LONGEST)}"


def _dotted(steps: Sequence[str | int]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return shortened(text, LONGEST)
