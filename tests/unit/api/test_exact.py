"""Routes whose bodies keep their numbers."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette import requests

from askonce import jsontext
from askonce.api.exact import ExactRoute
from askonce.calls.limits import SMALL


class Given(BaseModel):
    response: str | dict[str, Any]
    count: int = 0


async def test_a_number_stays_its_text_and_what_is_no_json_is_told_as_everywhere() -> None:
    seen = list[Given]()
    app, routes = FastAPI(), APIRouter(route_class=ExactRoute)

    @routes.post("/x")
    async def take(given: Given) -> None:
        seen.append(given)

    app.include_router(routes)
    body = b'{"response":{"wei":123456789012345678901,"deep":[0.10,{"x":1e-07}]},"count":7}'
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://h") as client:
        headers = {"content-type": "application/json"}
        assert (await client.post("/x", content=body, headers=headers)).status_code == 200
        statuses = [
            (await client.post("/x", content=bad, headers=headers)).status_code
            for bad in (b"{", b'{"response":"a","count":"b"}', b'{"response":"a","response":"b"}')
        ]
    assert jsontext.dumps(seen[0].model_dump()) == body
    assert statuses == [422, 422, 400]


async def test_a_large_body_that_is_no_json_is_read_once_and_apart() -> None:
    app, routes, apart = FastAPI(), APIRouter(route_class=ExactRoute), list[bool]()

    async def run_apart[T](work: Callable[[], T]) -> T:
        apart.append(True)
        return work()

    @routes.post("/x")
    async def take(given: Given) -> None: ...

    app.state.run_apart = run_apart
    app.include_router(routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://h") as client:
        headers = {"content-type": "application/json"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(requests.Request, "json", None)  # json itself, on the event loop
            answer = await client.post("/x", content=b'{"x":' + b" " * SMALL, headers=headers)
    assert (answer.status_code, answer.json()["detail"][0]["type"], apart) == (422, "json_invalid", [True])
