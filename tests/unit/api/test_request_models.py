"""Requests with thousands of mistakes: making and telling them is bounded, for each route and each of its fields."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from askonce import jsontext
from askonce.api import request_models
from askonce.api.request_models import SHOWN
from askonce.calls.limits import SMALL
from askonce.runtime import Runtime
from askonce.settings import Settings

RULES = """\
version: 1
upstreams:
  - {name: chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}
"""
MANY = 8000
MOST = SHOWN + 8
"""Mistakes that may be made: those that are told, and those of a route's own fields."""


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[FastAPI]:
    """All that a proxy serves."""

    async def nothing() -> None: ...

    (tmp_path / "rules.yaml").write_text(RULES)
    runtime = Runtime(
        Settings("127.0.0.1", 8080, rules=tmp_path / "rules.yaml", data=tmp_path / "data", certs=tmp_path / "certs")
    )
    yield runtime.management(nothing)
    await runtime.close()


@pytest.fixture
def made(app: FastAPI) -> list[int]:
    """How many mistakes were made of each request that was refused."""
    counts = list[int]()
    tell = app.exception_handlers[RequestValidationError]

    async def count(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        counts.append(len(error.errors()))
        return await tell(request, error)  # type: ignore[misc]

    app.add_exception_handler(RequestValidationError, count)
    return counts


def send(app: FastAPI, method: str, path: str, **sent: Any) -> Any:
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://askonce.internal")
    return client.request(method, path, **sent)


def bodies(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and schema of each route that is sent JSON."""
    document = app.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if schema := content.get("application/json", {}).get("schema"):
                name = schema.get("$ref", "").rpartition("/")[2]
                schema = document["components"]["schemas"].get(name, schema)
                yield method.upper(), path.replace("{", "").replace("}", ""), schema


def hostile(schema: dict[str, Any]) -> Iterator[Any]:
    """Bodies that are wrong in many places: fields that nobody knows, and many values where one is wanted."""
    unknown = {f"k{number}": 0 for number in range(MANY)}
    yield unknown
    yield [0] * MANY
    for name in schema.get("properties", {}):
        for value in ([0] * MANY, [{}] * MANY, unknown):
            yield {name: value}


async def test_no_request_makes_many_mistakes(app: FastAPI, made: list[int]) -> None:
    tried = set[str]()
    for method, path, schema in bodies(app):
        for body in hostile(schema):
            answer = await send(app, method, path, json=body)
            if answer.status_code == 400:
                tried.add(path)
                assert len(answer.content) < 4096, (path, answer.text[:500])
                assert max(made, default=0) <= MOST, (path, str(body)[:80])
    assert {"/v1/feedback", "/v1/warm", "/v1/cache/warm", "/v1/caches/cacheId/entries"} <= tried


async def test_of_many_unknown_names_few_are_looked_at(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = list[str]()

    def shortened(name: str, most: int) -> str:
        looked_at.append(name)
        return jsontext.shortened(name, most)

    monkeypatch.setattr(request_models, "shortened", shortened)
    answer = await send(app, "POST", "/v1/feedback", json={"right": True} | {f"k{n}": 0 for n in range(MANY)})
    assert answer.json()["error"] == f"body: k0, k1, k2, k3, k4, k5, k6, k7 and {MANY - SHOWN} more are not known here"
    assert len(looked_at) == SHOWN


async def test_large_bodies_are_read_apart_from_the_event_loop(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    apart = list[bool]()

    async def run_apart[T](work: Callable[[], T]) -> T:
        apart.append(True)
        return work()

    monkeypatch.setattr(app.state, "run_apart", run_apart)
    large = {f"k{number}": 0 for number in range(MANY)}
    assert len(json.dumps(large)) > SMALL
    tried = set[str]()
    for method, path, _ in bodies(app):
        apart.clear()
        answer = await send(app, method, path, json=large)
        if answer.status_code in (400, 422):
            tried.add(path)
            assert apart, path
    assert {"/v1/feedback", "/v1/invalidate", "/v1/caches/cacheId/entries/search", "/semcache/v1/get"} <= tried


async def test_neither_does_a_query(app: FastAPI, made: list[int]) -> None:
    answer = await send(app, "GET", "/v1/cache", params={f"k{number}": 0 for number in range(MANY)})
    assert answer.json()["error"].endswith(f"k7 and {MANY - SHOWN} more are not known here")
    assert made == [1]


async def test_few_mistakes_are_told_one_by_one_and_the_others_counted(app: FastAPI, made: list[int]) -> None:
    said = {"right": True, "key": "0" * 32, "one": 1, "two": 2}
    answer = await send(app, "POST", "/v1/feedback", json=said)
    assert answer.json()["error"] == "body one: is not known here; body two: is not known here"
    pair = {"prompt": "", "response": 0}
    answer = await send(app, "POST", "/v1/warm", json={"like": "0" * 32, "entries": [pair] * 10})
    told, _, more = answer.json()["error"].rpartition("; ")
    assert (told.count("; ") + 1, more) == (SHOWN, f"and {made[-1] - SHOWN} more")


async def test_a_callers_own_long_text_is_not_repeated(app: FastAPI) -> None:
    answer = await send(app, "POST", "/v1/feedback", json={"right": True, "key": "0" * 32, "k" * 10_000: 0})
    assert len(answer.content) < 200
