"""`POST /v1/invalidate`: whose answers a caller reaches, and how refusals look."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from askonce.accounting import Accounting
from askonce.api.app import create_app
from askonce.cache import Cache, Entry
from askonce.call import Answer, Call
from askonce.calls.dependencies import Dependencies, labels
from askonce.products.cachecore.routes import cachecore
from askonce.products.cachecore.section import CachecoreSpec

SECRET = "s" * 32
Serve = Callable[..., httpx.AsyncClient]


def token(tenant: str = "acme", secret: str = SECRET, exp: float = 86400) -> str:
    return jwt.encode({"tenant_id": tenant, "exp": int(time.time() + exp)}, secret, "HS256")


@pytest.fixture
def serve(cache: Cache, accounting: Accounting) -> Serve:
    def serve(
        *, client: str = "127.0.0.1", operator: str | None = None, believe: bool = True, **section: Any
    ) -> httpx.AsyncClient:
        spec = CachecoreSpec.model_validate(section)
        app = create_app(
            cache,
            accounting,
            token=operator,
            version="1",
            ready=lambda: None,
            reload=None,
            products=[lambda _: cachecore(Dependencies(cache), lambda: spec, token=operator, believe=believe)],
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(client, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://askonce.internal")

    return serve


@pytest.fixture
async def entries(cache: Cache) -> None:
    """An answer that depends on `a`, for each of two tenants."""
    for tenant in ("acme", "other"):
        call = Call("openai-chat", "Hi", {"model": "m"})
        await cache.remember(
            call,
            cache.identify(call, host="h", scope=tenant),
            Answer(b"{}"),
            upstream="u",
            host="h",
            ttl=60,
            upstream_seconds=0,
            labels=labels({"a": "v1"}, tenant),
        )


async def left(cache: Cache) -> list[str]:
    found: list[Entry] = await cache.list()
    return sorted(entry.labels["depends.owner"] for entry in found)


@pytest.mark.parametrize("shape", ["{}", "cc_live_1.{}"])
@pytest.mark.parametrize("header", ["Authorization", "X-Cachecore-Token"])
async def test_a_token_reaches_its_tenants_answers(
    serve: Serve, cache: Cache, entries: None, shape: str, header: str
) -> None:
    value = shape.format(token())
    headers = {header: f"Bearer {value}" if header == "Authorization" else value}
    for client, deleted in ((serve(secret=SECRET, client="10.0.0.1"), 1), (serve(), 0)):
        answer = await client.post("/v1/invalidate", json={"dep_id": "a", "new_hash": "v2"}, headers=headers)
        assert answer.status_code == 200
        assert answer.json() == {"ok": True, "dep_id": "a", "new_hash": "v2", "keys_deleted": deleted}
    assert await left(cache) == ["other"]


async def test_a_new_hash_is_made_where_none_is_given(serve: Serve) -> None:
    hashes = {(await serve().post("/v1/invalidate", json={"dep_id": "a"})).json()["new_hash"] for _ in range(2)}
    assert len(hashes) == 2


async def test_without_a_token_this_machine_reaches_all_tenants(serve: Serve, cache: Cache, entries: None) -> None:
    answer = await serve(secret=SECRET).post("/v1/invalidate", json={"dep_id": "a"})
    assert answer.json()["keys_deleted"] == 2
    assert await left(cache) == []


@pytest.mark.parametrize(
    ("client", "allowed", "status"),
    [
        ("127.0.0.1", "loopback", 200),
        ("::1", "loopback", 200),
        ("::ffff:127.0.0.1", "loopback", 200),
        ("127.0.0.1", "never", 401),
        ("10.0.0.1", "loopback", 401),
        ("::ffff:10.0.0.1", "loopback", 401),
        ("", "loopback", 401),
        ("10.0.0.1", "always", 200),
    ],
)
async def test_from_where_no_token_is_needed(
    serve: Serve, cache: Cache, entries: None, client: str, allowed: str, status: int
) -> None:
    answer = await serve(client=client, anonymous_invalidate=allowed).post("/v1/invalidate", json={"dep_id": "a"})
    assert answer.status_code == status
    assert await left(cache) == ([] if status == 200 else ["acme", "other"])


async def test_the_operator_reaches_all_tenants_from_everywhere(serve: Serve, cache: Cache, entries: None) -> None:
    client = serve(secret=SECRET, client="10.0.0.1", operator="op")
    headers = {"Authorization": "Bearer op"}
    assert (await client.post("/v1/invalidate", json={"dep_id": "a"}, headers=headers)).json()["keys_deleted"] == 2


@pytest.mark.parametrize("wrong", [token(exp=-60), token(secret="t" * 32), "cc_live_1", "nonsense"])
async def test_a_token_that_is_not_good_changes_nothing(serve: Serve, cache: Cache, entries: None, wrong: str) -> None:
    client = serve(secret=SECRET)
    answer = await client.post("/v1/invalidate", json={"dep_id": "a"}, headers={"X-Cachecore-Token": wrong})
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
    assert await left(cache) == ["acme", "other"]


async def test_tokens_are_refused_where_they_could_be_anybodys(serve: Serve) -> None:
    client = serve(believe=False)
    answer = await client.post("/v1/invalidate", json={"dep_id": "a"}, headers={"X-Cachecore-Token": token()})
    assert answer.status_code == 401
    assert "secret is not set" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"dep_id":""}', b'{"dep_id":1}', b'{"dep_id":"a","new_hash":1}']
)
@pytest.mark.parametrize("path", ["/v1/invalidate", "/cachecore/v1/invalidate"])
async def test_a_wrong_body_is_refused(serve: Serve, cache: Cache, entries: None, path: str, body: bytes) -> None:
    answer = await serve().post(path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert await left(cache) == ["acme", "other"]


async def test_other_errors_have_the_same_shape(serve: Serve) -> None:
    large = await serve().post("/v1/invalidate", content=b"x" * (1 << 20) + b"x")
    assert (large.status_code, large.json()["error"]["type"]) == (413, "invalid_request_error")
    assert (await serve().get("/v1/invalidate")).json()["error"]["message"].startswith("GET is not allowed")
    assert (await serve().get("/cachecore/v1/nothing")).json()["error"]["type"] == "not_found_error"


async def test_admin_needs_the_operators_token_and_has_nothing(serve: Serve) -> None:
    client = serve(operator="op")
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = await client.post("/cachecore/admin/tenants", headers=headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")
    answer = await client.get("/cachecore/admin/tenants", headers={"Authorization": "Bearer op"})
    assert answer.status_code == 404


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 characters"):
        CachecoreSpec.model_validate({"secret": "short"})
