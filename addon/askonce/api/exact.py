"""Routes that keep what they are given digit for digit, where the usual ones would round it.

One rule: only how a body's JSON is read differs; what is wrong with a body is told as everywhere.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from askonce import jsontext

__all__ = ["ExactRoute"]


class ExactRoute(APIRoute):
    """A route whose body's numbers are as they are written, for answers that are to be replayed so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_exactly(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return handle_exactly


class _ExactRequest(Request):
    async def json(self) -> Any:
        try:
            return jsontext.loads(await self.body())
        except jsontext.NotJson as error:
            await super().json()  # raises what FastAPI looks for where the body is no JSON
            raise HTTPException(400, f"The body is {error}") from None
