"""What the OpenAPI documents say of the calls to providers, which the proxy answers before any route is asked.

One rule: nothing is answered here. A route says what can be sent and what comes back, and makes other methods a 405.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

__all__ = ["ANY_ERROR", "describe_call"]

_ANY: dict[str, Any] = {"application/json": {"schema": {}}, "text/plain": {"schema": {"type": "string"}}}
ANY_ERROR: dict[int | str, dict[str, Any]] = {
    "4XX": {"content": _ANY, "description": "A refusal: the product's, or the provider's as it came."},
    "5XX": {"content": _ANY, "description": "A failure: the product's, or the provider's as it came."},
}

_CHAT = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        "max_tokens": {"type": ["integer", "null"], "minimum": 1},
        "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
        "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 128},
        "stop": {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"type": "string"}}]},
        "stream": {
            "type": ["boolean", "null"],
            "description": "True for a stream; what else there may be, the provider decides.",
        },
    },
    "examples": [{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is the capital of France?"}]}],
}
_EVENT = {
    "description": "One event of the stream.",
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "string"}, "event": {"type": "string"}},
}
_ANSWER: dict[str, Any] = {
    "description": "The provider's answer, or one that it gave before, whole or as a stream.",
    "content": {
        "application/json": {"schema": {"type": "object"}},
        "text/event-stream": {"schema": _EVENT},
    },
}


def describe_call(
    routes: APIRouter,
    path: str,
    name: str,
    *,
    summary: str = "Ask, in OpenAI's wire format.",
    errors: Mapping[int | str, dict[str, Any]] = ANY_ERROR,
    body: Mapping[str, Any] = _CHAT,
    headers: Mapping[str, bool] = {},  # never changed
) -> None:
    """Add the route of a call. `errors` are the shapes of what may go wrong, `body` is the request's schema, and
    `headers` tells by name whether one is required."""

    async def answered_elsewhere() -> None:
        raise HTTPException(404, "Not Found")  # the proxy answers the calls that it takes; this one it left

    routes.add_api_route(
        path,
        answered_elsewhere,
        methods=["POST"],
        name=name,
        summary=summary,
        tags=["calls"],
        response_class=Response,
        responses={200: _ANSWER, **errors},
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": dict(body)}}},
            "parameters": [
                {"name": name, "in": "header", "required": required, "schema": {"type": "string"}}
                for name, required in headers.items()
            ],
        },
    )
