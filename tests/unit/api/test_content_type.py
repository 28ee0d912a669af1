"""A JSON body is read as JSON, whatever its Content-Type says: curl's `-d` alone calls it a form."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from askonce.runtime import Runtime
from askonce.settings import Settings

RULES = """\
version: 1
upstreams:
  - {name: chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}
"""
TYPES: dict[str, dict[str, str]] = {
    "curl's": {"content-type": "application/x-www-form-urlencoded"},
    "text": {"content-type": "text/plain;charset=UTF-8"},
    "none": {},
    "nonsense": {"content-type": "json"},
}
CACHE = "/v1/caches/c"
ENTRY = {"prompt": "What is semantic caching?", "response": "A cache that knows meaning."}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of everything that a proxy serves."""
    (tmp_path / "rules.yaml").write_text(RULES)
    runtime = Runtime(
        Settings("127.0.0.1", 8080, rules=tmp_path / "rules.yaml", data=tmp_path / "data", certs=tmp_path / "certs")
    )
    transport = httpx.ASGITransport(runtime.management(_nothing), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://askonce.internal") as client:
        yield client
    await runtime.close()


async def _nothing() -> None:
    pass


async def ask(client: httpx.AsyncClient, method: str, path: str, body: Any, kind: Mapping[str, str]) -> httpx.Response:
    return await client.request(method, path, content=orjson.dumps(body), headers=kind)


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
async def test_every_product_reads_json(client: httpx.AsyncClient, kind: Mapping[str, str]) -> None:
    for method, path, body, status in [
        ("POST", f"{CACHE}/entries", ENTRY, 201),
        ("POST", f"{CACHE}/entries/search", {"prompt": ENTRY["prompt"]}, 200),
        ("POST", f"/langcache{CACHE}/entries/search", {"prompt": ENTRY["prompt"]}, 200),
        ("DELETE", f"{CACHE}/entries", {"attributes": {"user_id": "1"}}, 200),
        ("PATCH", "/v1/config", {"low_threshold": 0.2}, 200),
        ("PATCH", "/promptcache/v1/config", {"low_threshold": 0.2}, 200),
        ("POST", "/v1/config/provider", {"provider": "wordllama"}, 200),
        ("POST", "/v1/cache/warm", {"entries": [{"prompt": "", "response": {}}]}, 200),
        ("POST", "/v1/invalidate", {"dep_id": "doc:1"}, 200),
        ("POST", "/cachecore/v1/invalidate", {"dep_id": "doc:1"}, 200),
        ("POST", "/v1/feedback", {"key": "0" * 32, "right": True}, 404),
        ("POST", "/v1/warm", {"like": "0" * 32, "entries": [{"prompt": "p", "response": "a"}]}, 404),
    ]:
        response = await ask(client, method, path, body, kind)
        assert response.status_code == status, (method, path, response.text)


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
async def test_semcache_refuses_what_does_not_say_that_it_is_json(
    client: httpx.AsyncClient, kind: Mapping[str, str]
) -> None:
    for prefix in ("", "/semcache-app"):
        response = await ask(client, "PUT", f"{prefix}/semcache/v1/put", {"key": "k", "data": "d"}, kind)
        assert response.status_code == 415


async def test_what_is_no_json_is_told_as_before(client: httpx.AsyncClient) -> None:
    response = await client.post(f"{CACHE}/entries/search", content=b"prompt=x", headers=TYPES["curl's"])
    assert response.status_code == 400
    assert "expected JSON" in response.json()["error"]["message"]
