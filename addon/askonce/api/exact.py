"""Bodies of JSON that are read digit for digit, where FastAPI would round numbers, and large ones apart from the loop.

One rule: only how a body's JSON is read differs; what is wrong with a body is told as everywhere.
"""

import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from askonce import jsontext

__all__ = ["ExactRoute", "read_json"]

_SMALL = 64 << 10
"""Bytes of a body that holds nobody up, whatever is in it (`calls/limits.py`)."""


async def read_json(request: Request) -> Any:
    """The value of a request's body. Raises NotJson.

    A body of 1 MiB takes json a few dozen milliseconds, in which it lets nobody else run; a large one is read by the
    app's `state.run_apart`, whose threads take turns with the loop.
    """
    body = await request.body()
    if len(body) <= _SMALL:
        return jsontext.loads(body)
    return await request.app.state.run_apart(partial(jsontext.loads, body))


class ExactRoute(APIRoute):
    """A route whose body's numbers are as they are written, and that holds nobody up while it is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_exactly(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return handle_exactly


class _ExactRequest(Request):
    async def json(self) -> Any:
        try:
            return await read_json(self)
        except jsontext.NotJson as error:
            if isinstance(error.__cause__, json.JSONDecodeError):  # what FastAPI looks for
                raise error.__cause__ from None
            raise HTTPException(400, f"The body is {error}") from None
