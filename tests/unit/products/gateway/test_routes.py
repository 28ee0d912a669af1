"""The gateway's document, endpoint by endpoint, at the root and in its view."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.records import record

from askonce.accounting import Accounting, CallRecord
from askonce.api.app import create_app
from askonce.cache import Cache, Entry
from askonce.call import Answer, Call, Usage
from askonce.network.api_keys import ApiKeys
from askonce.products.gateway.errors import Users
from askonce.products.gateway.routes import gateway

PROVIDERS = {"openai": True, "google": False, "anthropic": True}
BOTH = pytest.mark.parametrize("prefix", ["", "/gateway"])


class Served:
    def __init__(self, keys: ApiKeys, users: Users) -> None:
        self.keys, self.users = keys, users
        self.admin, _ = keys.create("root", admin=True)
        self.user, self.user_key = keys.create("ann")
        self.reloads = 0
        self.mistake = ""
        self.client: httpx.AsyncClient

    async def reload(self) -> None:
        if self.mistake:
            raise ValueError(self.mistake)
        self.reloads += 1


@pytest.fixture
async def serve(tmp_path: Path, cache: Cache, accounting: Accounting) -> AsyncIterator[Callable[..., Served]]:
    served = []

    def serve(token: str | None = None) -> Served:
        one = Served(ApiKeys(tmp_path / "keys"), Users())
        app = create_app(
            cache,
            accounting,
            token=token,
            version="1.2.3",
            ready=lambda: None,
            reload=one.reload,
            products=[lambda shared: gateway(shared, one.keys, one.users, lambda: PROVIDERS)],
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        one.client = httpx.AsyncClient(transport=transport, base_url="http://askonce.internal")
        served.append(one)
        return one

    yield serve
    for one in served:
        await one.client.aclose()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


ROUTES = [
    ("GET", "/stats", False),
    ("POST", "/admin/reload-config", True),
    ("GET", "/admin/cache/stats", True),
    ("POST", "/admin/cache/clear", True),
]


@BOTH
@pytest.mark.parametrize(("method", "path", "for_admins"), ROUTES)
async def test_who_may(served: Served, prefix: str, method: str, path: str, for_admins: bool) -> None:
    async def ask(**headers: str) -> httpx.Response:
        said = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return await served.client.request(method, prefix + path, headers=said)

    for headers, message in [
        ({}, "No API key: expected one in X-API-Key"),
        ({"x_api_key": "sk-wrong"}, "Invalid API key provided"),
        ({"x_api_key": "sk-ünïcode"}, "Invalid API key provided"),
        ({"authorization": "Bearer sk-wrong"}, "Invalid API key provided"),
    ]:
        response = await ask(**headers)
        body = response.json()
        assert response.status_code == 401
        assert body["error"] == {"code": "invalid_api_key", "message": message, "type": "authentication_error"}
        assert body["request_id"] == response.headers["x-request-id"]
        assert body["timestamp"].endswith("Z")
    by_user = await ask(x_api_key=served.user)
    if for_admins:
        assert by_user.status_code == 403
        assert by_user.json()["error"] == {
            "code": "permission_denied",
            "message": "This needs an administrator's API key",
            "type": "permission_error",
        }
        assert served.reloads == 0
    else:
        assert by_user.status_code == 200
    assert (await ask(x_api_key=served.admin)).status_code == 200
    assert (await ask(authorization=f"Bearer {served.admin}")).status_code == 200
    served.keys.revoke(served.user_key.id)
    assert (await ask(x_api_key=served.user)).status_code == 401


async def test_the_management_token_is_an_administrators(serve: Callable[..., Served]) -> None:
    served = serve(token="s3crét")
    headers = {b"authorization": "Bearer s3crét".encode()}
    assert (await served.client.get("/admin/cache/stats", headers=headers)).status_code == 200
    assert (await served.client.get("/gateway/metrics", headers=headers)).status_code == 200


def call(**changes: Any) -> CallRecord:
    fields: dict[str, Any] = {
        "upstream": "openai",
        "usage": Usage(9, 3),
        "owner": "ann",
        "endpoint": "/v1/chat/completions",
    }
    return record(**fields | changes)


@BOTH
async def test_stats(served: Served, accounting: Accounting, prefix: str) -> None:
    for changes in (
        {},
        {"outcome": "exact", "seconds": 0.001},
        {"outcome": "semantic", "seconds": 0.003, "similarity": 0.9},
        {"upstream": "anthropic", "seconds": 1.2},
        {"upstream": "gateway", "outcome": "error", "status": 429, "forwarded": False},
        {"owner": ""},  # not the gateway's
    ):
        accounting.record(call(**changes))
    served.users.asked(served.user_key)
    served.users.asked(served.user_key, throttled=True)
    response = await served.client.get(f"{prefix}/stats", headers={"x-api-key": served.user})
    assert response.json() == {
        "total_requests": 5,
        "cache_stats": {
            "exact_cache": {"hits": 1, "misses": 3, "hit_rate": 0.25},
            "semantic_cache": {"hits": 1, "misses": 2, "hit_rate": 0.3333},
        },
        "provider_stats": {
            "openai": {"requests": 3, "tokens": 12, "avg_latency": 0.8},
            "google": {"requests": 0, "tokens": 0, "avg_latency": 0.0},
            "anthropic": {"requests": 1, "tokens": 12, "avg_latency": 1.2},
        },
        "rate_limit_stats": {
            "requests_throttled": 1,
            "top_users": [{"api_key": served.user_key.hint, "requests": 2}],
        },
    }


async def test_stats_of_nothing(served: Served) -> None:
    stats = (await served.client.get("/stats", headers={"x-api-key": served.user})).json()
    assert stats["total_requests"] == 0
    assert stats["cache_stats"]["exact_cache"] == {"hits": 0, "misses": 0, "hit_rate": 0.0}
    assert stats["rate_limit_stats"] == {"requests_throttled": 0, "top_users": []}


@BOTH
async def test_reload(served: Served, prefix: str) -> None:
    headers = {"x-api-key": served.admin}
    response = await served.client.post(f"{prefix}/admin/reload-config", headers=headers)
    body = response.json()
    assert body == {
        "status": "success",
        "message": "Configuration reloaded successfully",
        "timestamp": body["timestamp"],
    }
    assert served.reloads == 1
    served.mistake = "rules.yaml:3: upstreams: expected at least one"
    response = await served.client.post(f"{prefix}/admin/reload-config", headers=headers)
    assert (response.status_code, response.json()["error"]) == (
        400,
        {"code": "invalid_request", "message": served.mistake, "type": "invalid_request_error"},
    )


Remember = Callable[..., Awaitable[Entry]]


async def remember_exact(cache: Cache) -> None:
    """An answer that serves identical calls alone."""
    call = Call("openai-chat", "What is it?", {"model": "gpt-4o"}, exact_only="media in the last message")
    identity = cache.identify(call, host="api.openai.com", scope="key")
    answer = Answer(b"{}", "application/json", Usage(9, 3))
    await cache.remember(call, identity, answer, upstream="o", host="api.openai.com", ttl=60, upstream_seconds=1)


@BOTH
async def test_cache_stats(
    served: Served, cache: Cache, accounting: Accounting, remember: Remember, prefix: str
) -> None:
    await remember("What is the capital of France?")
    await remember_exact(cache)
    for changes in (
        {"outcome": "exact"},
        {"outcome": "semantic", "similarity": 0.9},
        {"outcome": "semantic", "similarity": 0.8, "owner": ""},
        {"similarity": 0.3},
    ):
        accounting.record(call(**changes))
    response = await served.client.get(f"{prefix}/admin/cache/stats", headers={"x-api-key": served.admin})
    body = response.json()
    assert body["redis"]["memory_usage"].endswith(("KB", "MB"))
    assert body["semantic_cache"]["index_size"].endswith(("KB", "MB"))
    assert body == {
        "redis": {
            "connected": True,
            "memory_usage": body["redis"]["memory_usage"],
            "keys": 2,
            "hits": 1,
            "misses": 3,
            "evictions": 0,
        },
        "semantic_cache": {
            "collection_size": 1,
            "index_size": body["semantic_cache"]["index_size"],
            "queries": 3,
            "hits": 2,
            "avg_similarity": 0.85,
        },
    }


@BOTH
@pytest.mark.parametrize(
    ("asked", "cleared", "left"),
    [
        ({"json": {"cache_type": "all"}}, (2, 1), 0),
        ({"json": {"cache_type": "exact"}}, (2, 1), 0),
        ({"json": {"cache_type": "semantic"}}, (1, 1), 1),
        ({"json": {}}, (2, 1), 0),
        ({}, (2, 1), 0),
    ],
)
async def test_clear(
    served: Served,
    cache: Cache,
    remember: Remember,
    prefix: str,
    asked: dict[str, Any],
    cleared: tuple[int, int],
    left: int,
) -> None:
    await remember("What is the capital of France?")
    await remember_exact(cache)
    url = f"{prefix}/admin/cache/clear"
    response = await served.client.post(url, headers={"x-api-key": served.admin}, **asked)
    assert response.json() == {
        "status": "success",
        "message": "Cache cleared successfully",
        "cleared": {"exact_cache": cleared[0], "semantic_cache": cleared[1]},
    }
    assert cache.stats()["entries"] == left


@BOTH
@pytest.mark.parametrize(
    "asked", [{"json": {"cache_type": "everything"}}, {"json": {"what": "all"}}, {"json": [1]}, {"content": b"{"}]
)
async def test_clear_of_what_there_is_not(
    served: Served, cache: Cache, remember: Remember, prefix: str, asked: dict[str, Any]
) -> None:
    await remember("What is the capital of France?")
    headers = {"x-api-key": served.admin, "content-type": "application/json"}
    response = await served.client.post(f"{prefix}/admin/cache/clear", headers=headers, **asked)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")
    assert cache.stats()["entries"] == 1


async def test_health_in_the_view(served: Served, accounting: Accounting) -> None:
    accounting.record(call(upstream="anthropic", status=529))
    response = await served.client.get("/gateway/health", headers={"x-api-key": served.user})
    body = response.json()
    assert body == {
        "status": "healthy",
        "timestamp": body["timestamp"],
        "services": {
            "redis": "connected",
            "database": "connected",
            "providers": {"openai": "available", "google": "unavailable", "anthropic": "unavailable"},
        },
        "version": "1.2.3",
    }
    headers = {"x-api-key": served.user}
    assert (await served.client.get("/gateway/health/ready", headers=headers)).json()["ready"] is True
    assert (await served.client.get("/gateway/health/live", headers=headers)).json()["alive"] is True


@pytest.mark.parametrize("path", ["/gateway/health", "/gateway/metrics"])
async def test_the_view_is_open_only_without_keys(served: Served, path: str) -> None:
    assert (await served.client.get(path)).status_code == 401
    assert (await served.client.get(path.removeprefix("/gateway"))).status_code == 200
    served.keys.path.unlink()
    assert (await served.client.get(path)).status_code == 200


async def test_metrics_in_the_view(served: Served, accounting: Accounting) -> None:
    accounting.record(call())
    accounting.record(call(outcome="exact", owner=""))
    text = (await served.client.get("/gateway/metrics", headers={"x-api-key": served.user})).text
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert families == {
        "gateway_requests_total",
        "gateway_request_duration_seconds",
        "gateway_cache_hits_total",
        "gateway_tokens_used_total",
    }
    labels = 'endpoint="/v1/chat/completions",method="POST",model="gpt-4o",owner="{}",status="200"'
    assert f"gateway_requests_total{{{labels.format('ann')}}} 1.0" in text
    assert f"gateway_requests_total{{{labels.format('')}}} 1.0" in text
    assert 'gateway_cache_hits_total{cache_type="exact"} 1.0' in text
    assert 'gateway_tokens_used_total{model="gpt-4o",provider="openai",type="prompt"} 9.0' in text


@BOTH
@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_documents_are_open(served: Served, prefix: str, path: str) -> None:
    assert (await served.client.get(prefix + path)).status_code == 200


@BOTH
async def test_the_document_tells_what_a_call_may_hold(served: Served, prefix: str) -> None:
    document = (await served.client.get(f"{prefix}/openapi.json")).json()
    call = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(call["properties"]) == {
        "model", "messages", "max_tokens", "temperature", "top_p", "n", "stream", "stop",
    }  # fmt: skip


async def test_errors_of_the_view(served: Served) -> None:
    for method, path, status, code in [
        ("GET", "/gateway/nothing", 404, "not_found"),
        ("DELETE", "/gateway/stats", 405, "method_not_allowed"),
        ("DELETE", "/stats", 405, "method_not_allowed"),
    ]:
        response = await served.client.request(method, path)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert response.json()["request_id"] == response.headers["x-request-id"]


@BOTH
async def test_a_body_that_is_too_large_clears_nothing(
    served: Served, cache: Cache, remember: Callable[..., Awaitable[Entry]], prefix: str
) -> None:
    await remember("What is the capital of France?")
    body = b'{"cache_type": "all", "pad": "' + b"x" * (1 << 20) + b'"}'
    headers = {"x-api-key": served.admin, "content-type": "application/json"}
    response = await served.client.post(f"{prefix}/admin/cache/clear", content=body, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
    assert await cache.count() == 1


async def test_a_damaged_key_file_is_an_error_and_opens_nothing(served: Served) -> None:
    served.keys.path.write_text("{")
    for path in ("/gateway/metrics", "/stats", "/admin/cache/stats"):
        response = await served.client.get(path, headers={"x-api-key": served.admin})
        assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
        assert "keys" not in response.json()["error"]["message"]
