"""What a person says of answers, over the API."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from askonce.accounting import Accounting
from askonce.api.app import create_app
from askonce.cache import Cache

TOKEN = "a token"
HEADERS = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def desk(cache: Cache, accounting: Accounting) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(
        cache, accounting, token=TOKEN, version="1", ready=lambda: None, reload=None, approving=lambda: ["openai-chat"]
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=HEADERS) as client:
        yield client


async def states(desk: httpx.AsyncClient) -> dict[str, int]:
    return {
        state: (await desk.get("/v1/approvals", params={"state": state})).json()["count"]
        for state in ("waiting", "approved", "rejected")
    }


async def test_one_is_shown_and_approved(desk: httpx.AsyncClient, remember: Any) -> None:
    kept = await remember("What is the capital of France?")
    await remember("Of another rule", upstream="other")
    told = (await desk.get("/v1/approvals")).json()
    assert (told["rules"], told["count"]) == (["openai-chat"], 1)
    (one,) = told["answers"]
    assert one["entry"]["prompt"] == "What is the capital of France?"
    assert one["answer"]["body"]["choices"][0]["message"]["content"] == "Paris"

    said = {"key": kept.key, "version": one["version"], "approve": True}
    noted = (await desk.post("/v1/approvals", json=said)).json()
    assert (noted["key"], noted["state"]) == (kept.key, "approved")
    assert await states(desk) == {"waiting": 0, "approved": 1, "rejected": 0}

    late = await desk.post("/v1/approvals", json=said | {"approve": False})
    assert (late.status_code, late.json()["error"]) == (409, "There is another answer by now; look at it first")
    await desk.post("/v1/approvals", json=said | {"version": noted["version"], "approve": False})
    assert await states(desk) == {"waiting": 0, "approved": 0, "rejected": 1}


async def test_one_that_is_not_there(desk: httpx.AsyncClient) -> None:
    said = {"key": "0" * 32, "version": 1, "approve": True}
    assert (await desk.post("/v1/approvals", json=said)).status_code == 404
    assert (await desk.post("/v1/approvals", json={**said, "key": "0"})).status_code == 400


async def test_it_needs_the_token(desk: httpx.AsyncClient) -> None:
    for method in ("GET", "POST"):
        response = await desk.request(method, "/v1/approvals", headers={"authorization": ""})
        assert response.status_code == 401
