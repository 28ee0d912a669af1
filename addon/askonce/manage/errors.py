"""Errors as `{"error": "<a sentence>"}`, whatever went wrong."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from askonce.cache import StoreError
from askonce.faults import Faults

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


def install(app: FastAPI, faults: Faults) -> None:
    """Make `app` answer every error in this shape."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        message, headers = error.detail, dict(error.headers or {})
        if error.status_code == 404 and message == HTTPStatus(404).phrase:
            message = f"There is nothing at {request.url.path}; /openapi.json lists what there is"
        elif error.status_code == 405:
            headers["Allow"] = _allowed(app, request) or headers["Allow"]
            message = f"{request.method} is not allowed on {request.url.path}, only {headers['Allow']}"
        return JSONResponse({"error": message}, error.status_code, headers)

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"error": "; ".join(_mistake(mistake) for mistake in error.errors())}, 400)

    async def store_failed(request: Request, error: Exception) -> JSONResponse:
        faults.report("store", error, f"{request.method} {request.url.path!r} was answered with 503")
        return JSONResponse({"error": str(error)}, 503)

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(StoreError, store_failed)


def _allowed(app: FastAPI, request: Request) -> str:
    """The methods of every route at this path; the router itself names those of the first one only."""
    route = request.scope.get("route")
    operations = app.openapi()["paths"].get(route.path, {}) if route else {}
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
    message = mistake["msg"].removeprefix("Value error, ")
    got = repr(mistake["input"])
    return f"{where}: {message[:1].lower()}{message[1:]}, got {got if len(got) <= 80 else got[:79] + '…'}"


def _dotted(steps: Sequence[str | int]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
