"""PromptCache's document, endpoint by endpoint, at the root and in its view, without a socket."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest

from askonce.api.app import create_app
from askonce.api.product_routes import hours
from askonce.cache import Cache, CacheLimits
from askonce.products.promptcache import routes as promptcache_routes
from askonce.products.promptcache.section import PromptCacheSpec
from askonce.products.promptcache.state import PromptCacheState, Warmed, WarmEntry
from askonce.products.promptcache.warming import Warmer
from askonce.rules import Document, Rules

TOKEN = "s3crét"
BOTH = pytest.mark.parametrize("prefix", ["", "/promptcache"])
PROTECTED = [
    ("GET", "/metrics"),
    ("GET", "/v1/stats"),
    ("GET", "/v1/config"),
    ("PATCH", "/v1/config"),
    ("GET", "/v1/config/provider"),
    ("POST", "/v1/config/provider"),
    ("GET", "/v1/cache"),
    ("GET", "/v1/cache/stats"),
    ("DELETE", "/v1/cache"),
    ("DELETE", "/v1/cache/{key}"),
    ("POST", "/v1/cache/warm"),
]
RULES = Rules(
    Document.parse(
        "version: 1\nupstreams:\n"
        "  - {name: chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat, ttl: 1h}\n"
    )
)
SHOWN = {
    "provider": "wordllama",
    "available_providers": ["openai", "mistral", "claude", "wordllama"],
    "high_threshold": 0.7,
    "low_threshold": 0.3,
    "enable_gray_zone_verifier": True,
    "cache_ttl_hours": 168,
    "cache_max_entries": 100000,
}
Serve = Callable[..., httpx.AsyncClient]


@pytest.fixture
def state(cache: Cache) -> PromptCacheState:
    spec = PromptCacheSpec()
    return PromptCacheState(lambda: spec, lambda _: None, cache, embedder="wordllama")


@pytest.fixture
async def serve(cache: Cache, accounting: Any, state: PromptCacheState) -> AsyncIterator[Serve]:
    clients = []

    def serve(token: str | None = None, prefix: str = "", warm: Any = None, **more: Any) -> httpx.AsyncClient:

        warmer = warm or Warmer(cache, state, lambda: RULES)
        app = create_app(
            cache,
            accounting,
            token=token,
            version="1.2.3",
            ready=more.get("ready", lambda: None),
            reload=None,
            limits=CacheLimits(),
            ttl=lambda: 7 * 86400.0,
            products=[lambda shared: promptcache_routes.routes(shared, state=state, warm=warmer)],
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        clients.append(httpx.AsyncClient(transport=transport, base_url=f"http://askonce.internal{prefix}"))
        return clients[-1]

    yield serve
    for client in clients:
        await client.aclose()


def completion(answer: str) -> dict[str, Any]:
    message = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [message]}


# Who may


@BOTH
async def test_with_a_token_management_needs_it_and_nothing_changes_without(
    serve: Serve, cache: Cache, remember: Any, prefix: str
) -> None:
    stored = await remember("What is the capital of France?")
    client = serve(TOKEN, prefix)
    wrong = ["", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN]
    for headers in [{}, *({b"authorization": value.encode()} for value in wrong)]:
        for method, path in PROTECTED:
            body: Any = {"high_threshold": 0.9, "provider": "openai", "entries": [{"prompt": "x", "response": {}}]}
            at = path.replace("{key}", stored.key)
            refused = await client.request(method, at, headers=headers, json=None if method == "GET" else body)
            assert (refused.status_code, refused.json()) == (401, {"error": "Unauthorized"}), (method, path)
    allowed = {b"authorization": f"Bearer {TOKEN}".encode()}
    assert (await client.get("/v1/config", headers=allowed)).json() == SHOWN
    assert await cache.count() == 1
    for path in ("/health", "/health/ready", "/health/live"):
        assert (await client.get(path)).status_code == 200


@BOTH
async def test_without_a_token_everything_is_open(serve: Serve, prefix: str) -> None:
    client = serve(prefix=prefix)
    bodies: dict[str, Any] = {"/v1/config": {}, "/v1/config/provider": {"provider": "wordllama"}}
    bodies["/v1/cache/warm"] = {"entries": [{"prompt": "One?", "response": completion("1")}]}
    for method, path in PROTECTED:
        response = await client.request(method, path.replace("{key}", "0" * 32), json=bodies.get(path))
        assert response.status_code == (404 if "{key}" in path else 200), (method, path, response.text)


# Health


@BOTH
async def test_the_health_trio(serve: Serve, prefix: str) -> None:
    client = serve(prefix=prefix)
    health = (await client.get("/health")).json()
    assert (health["status"], health["time"][-1]) == ("healthy", "Z")
    assert (await client.get("/health/ready")).json()["status"] == "ready"
    assert (await client.get("/health/live")).json()["status"] == "alive"
    failing = serve(prefix=prefix, ready=lambda: "storage not accessible")
    ready = await failing.get("/health/ready")
    body = ready.json()
    assert (ready.status_code, body["status"], body["error"]) == (503, "not ready", "storage not accessible")


# Statistics


@BOTH
async def test_the_ten_figures(serve: Serve, prefix: str) -> None:
    stats = (await serve(prefix=prefix).get("/v1/stats")).json()
    for name in (
        *("cache_hits", "cache_misses", "cache_hit_rate", "gray_zone_checks", "total_requests"),
        *("failed_requests", "avg_latency_ms", "stored_vectors", "provider_calls", "provider_errors"),
    ):
        assert stats[name] == 0, name
    assert stats["cache"] == {"hits": 0, "misses": 0, "gray_zone": 0, "hit_rate": 0.0, "stored_vectors": 0}
    assert stats["latency"] == {"avg_ms": 0.0, "request_count": 0}
    assert stats["requests"] == {"total": 0, "failed": 0}
    assert stats["provider"] == {"calls": 0, "errors": 0}


async def test_its_view_shows_its_families_alone(serve: Serve) -> None:
    response = await serve(prefix="/promptcache").get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; ")
    kinds = {line.split()[2]: line.split()[3] for line in response.text.splitlines() if line.startswith("# TYPE")}
    assert kinds == {
        "promptcache_cache_hits_total": "counter",
        "promptcache_cache_misses_total": "counter",
        "promptcache_cache_gray_zone_total": "counter",
        "promptcache_requests_total": "counter",
        "promptcache_requests_failed_total": "counter",
        "promptcache_provider_calls_total": "counter",
        "promptcache_provider_errors_total": "counter",
        "promptcache_stored_vectors": "gauge",
        "promptcache_latency_avg_ms": "gauge",
        "promptcache_request_latency_seconds": "histogram",
    }


# The cache


@BOTH
async def test_entries_are_counted_and_deleted(serve: Serve, remember: Any, prefix: str) -> None:
    client = serve(prefix=prefix)
    stored = await remember("What is the capital of France?")
    await remember("How tall is Everest?")
    stats = (await client.get("/v1/cache/stats")).json()
    assert (stats["entry_count"], stats["max_entries"], stats["ttl_hours"]) == (2, 100000, 168)
    gone = await client.delete(f"/v1/cache/{stored.key}")
    assert (gone.status_code, gone.json()) == (200, {"message": "Entry deleted successfully", "key": stored.key})
    again = await client.delete(f"/v1/cache/{stored.key}")
    assert (again.status_code, again.json()) == (404, {"error": "Entry not found"})
    cleared = await client.delete("/v1/cache")
    assert (cleared.status_code, cleared.json()) == (200, {"message": "Cache cleared successfully", "deleted_count": 1})


async def test_an_entry_may_be_called_stats(serve: Serve) -> None:
    deleted = await serve().delete("/v1/cache/stats")
    assert (deleted.status_code, deleted.json()) == (404, {"error": "Entry not found"})


@BOTH
async def test_warming(serve: Serve, cache: Cache, prefix: str) -> None:
    client = serve(prefix=prefix)
    entries = [
        {"prompt": "What is Go?", "response": completion("Go is…")},
        {"prompt": "", "response": completion("x")},
        {"response": completion("x")},
        {"prompt": "Why?", "response": "because"},
    ]
    response = await client.post("/v1/cache/warm", json={"entries": entries})
    body = response.json()
    assert (response.status_code, body["processed"], body["failed"]) == (200, 1, 3)
    [entry] = await cache.list()
    assert body["entries"][0] == {"key": entry.key, "status": "ok"}
    assert body["entries"][1] == body["entries"][2] == {"status": "error", "error": "prompt is required"}
    assert body["entries"][3]["error"].startswith("failed to store response: ")
    assert entry.prompt == "What is Go?"


async def test_an_entry_whose_embedding_failed_says_so(serve: Serve) -> None:
    seen = list[tuple[Sequence[WarmEntry], str]]()

    async def warm(entries: Sequence[WarmEntry], namespace: str) -> list[Warmed]:
        seen.append((entries, namespace))
        return [Warmed("k1"), Warmed("k2", "embedding failed: embedder failed")]

    body = {"entries": [{"prompt": "a", "response": {}}, {"prompt": "b", "response": {}, "model": "m", "request": {}}]}
    response = await serve(warm=warm).post("/v1/cache/warm", json=body, headers={"X-Cache-Namespace": " blue "})
    assert (response.status_code, response.json()) == (
        200,
        {
            "processed": 1,
            "failed": 1,
            "entries": [
                {"key": "k1", "status": "ok"},
                {"key": "k2", "status": "error", "error": "embedding failed: embedder failed"},
            ],
        },
    )
    assert seen == [([WarmEntry("a", {}), WarmEntry("b", {}, "m", {})], "blue")]


@BOTH
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "Invalid request body"),
        (b"{", "Invalid request body"),
        (b"[]", "Invalid request body"),
        (b'{"entries": {}}', "Invalid request body"),
        (b'{"entries": [5]}', "Invalid request body"),
        (b'{"entries": [{"prompt": 5, "response": {}}]}', "Invalid request body"),
        (b"{}", "entries array must not be empty"),
        (b'{"entries": []}', "entries array must not be empty"),
    ],
)
async def test_a_body_that_warms_nothing(serve: Serve, cache: Cache, prefix: str, body: bytes, error: str) -> None:
    headers = {"content-type": "application/json"}
    response = await serve(prefix=prefix).post("/v1/cache/warm", content=body, headers=headers)
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert await cache.count() == 0


@BOTH
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/cache/warm"), ("PATCH", "/v1/config"), ("POST", "/v1/config/provider")]
)
async def test_a_body_over_the_limit_is_refused(
    serve: Serve, cache: Cache, prefix: str, method: str, path: str
) -> None:
    body = b'{"high_threshold": 0.9, "provider": "openai", "pad": "' + b"x" * (1 << 20) + b'"}'
    client = serve(prefix=prefix)
    response = await client.request(method, path, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()) == (413, {"error": "Request body too large"})
    assert (await client.get("/v1/config")).json() == SHOWN


@BOTH
async def test_a_wrong_method_is_told_the_right_ones_of_that_very_path(serve: Serve, prefix: str) -> None:
    client = serve(prefix=prefix)
    for method, path, allowed in (("PUT", "/v1/cache/warm", "POST"), ("PUT", "/v1/cache/00", "DELETE, GET")):
        refused = await client.request(method, path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


# Settings


@BOTH
async def test_the_configuration_is_shown_and_changed(serve: Serve, prefix: str) -> None:
    client = serve(prefix=prefix)
    assert (await client.get("/v1/config")).json() == SHOWN
    change = {"high_threshold": 0.85, "low_threshold": 0.4, "enable_gray_zone_verifier": False}
    for part, now in (
        (change, SHOWN | change),
        ({}, SHOWN | change),
        ({"low_threshold": 0}, SHOWN | change | {"low_threshold": 0}),
    ):
        changed = await client.patch("/v1/config", json=part)
        assert (changed.status_code, changed.json()) == (200, now)
    assert (await client.get("/v1/config")).json() == now


@BOTH
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "Invalid request body"),
        (b"{", "Invalid request body"),
        (b"[]", "Invalid request body"),
        (b'{"high_threshold": "0.9"}', "Invalid request body"),
        (b'{"high_threshold": true}', "Invalid request body"),
        (b'{"enable_gray_zone_verifier": 1}', "Invalid request body"),
        (b'{"high_threshold": 1.5}', "high_threshold must be between 0 and 1.0, got 1.5000"),
        (b'{"low_threshold": -0.1}', "low_threshold must be between 0 and 1.0, got -0.1000"),
        (
            b'{"high_threshold": 0.4, "low_threshold": 0.5}',
            "high_threshold (0.4000) must be greater than low_threshold (0.5000)",
        ),
        (
            b'{"low_threshold": 0.7, "enable_gray_zone_verifier": false}',
            "high_threshold (0.7000) must be greater than low_threshold (0.7000)",
        ),
    ],
)
async def test_a_change_that_is_refused_changes_nothing(serve: Serve, prefix: str, body: bytes, error: str) -> None:
    client = serve(prefix=prefix)
    response = await client.patch("/v1/config", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert (await client.get("/v1/config")).json() == SHOWN


@BOTH
async def test_the_provider_is_shown_and_switched(serve: Serve, state: PromptCacheState, prefix: str) -> None:
    client = serve(prefix=prefix)
    shown = await client.get("/v1/config/provider")
    assert shown.json() == {name: SHOWN[name] for name in ("provider", "available_providers")}
    state.provider = "mistral"
    switched = await client.post("/v1/config/provider", json={"provider": "WordLlama"})
    assert (switched.status_code, switched.json()) == (
        200,
        {"message": "Provider updated successfully", "provider": "WordLlama"},
    )
    assert (await client.get("/v1/config")).json()["provider"] == "wordllama"


@BOTH
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "Invalid request body"),
        (b'{"provider": 5}', "Invalid request body"),
        (b"{}", "provider field is required"),
        (b'{"provider": " "}', "provider field is required"),
        (b'{"provider": "Nobody"}', "unsupported provider: nobody (supported: openai, mistral, claude, wordllama)"),
        (b'{"provider": "openai"}', "provider openai has no key: set products.provider_keys.openai in rules.yaml"),
    ],
)
async def test_a_switch_that_is_refused_changes_nothing(serve: Serve, prefix: str, body: bytes, error: str) -> None:
    client = serve(prefix=prefix)
    headers = {"content-type": "application/json"}
    response = await client.post("/v1/config/provider", content=body, headers=headers)
    assert (response.status_code, response.json()["error"]) == (400, error)
    assert (await client.get("/v1/config")).json() == SHOWN


async def test_hours_are_integers(serve: Serve) -> None:
    assert [hours(seconds) for seconds in (3600, 3601, 1800, 0, 7 * 86400.0)] == [1, 2, 1, 0, 168]
    for path, name in (("/v1/config", "cache_ttl_hours"), ("/v1/cache/stats", "ttl_hours")):
        assert f'"{name}":168,' in (await serve().get(path)).text


async def test_a_provider_that_cannot_be_reached_is_switched_to_and_counted(
    serve: Serve, state: PromptCacheState, accounting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def switch(_: str) -> OSError:
        return ConnectionError("openai:m@u: APIConnectionError")

    monkeypatch.setattr(state, "switch", switch)
    response = await serve().post("/v1/config/provider", json={"provider": "openai"})
    assert (response.status_code, response.json()["provider"]) == (200, "openai")
    assert 'askonce_faults_total{kind="embedding provider"} 1.0' in (await serve().get("/metrics")).text


async def test_a_provider_that_cannot_be_asked_is_a_500_and_the_one_before_stays(
    serve: Serve, state: PromptCacheState, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def switch(_: str) -> None:
        raise OSError("openai:m@u: AuthenticationError 401")

    monkeypatch.setattr(state, "switch", switch)
    client = serve()
    response = await client.post("/v1/config/provider", json={"provider": "openai"})
    error = "Failed to call openai: openai:m@u: AuthenticationError 401"
    assert (response.status_code, response.json()) == (500, {"error": error})
    assert (await client.get("/v1/config")).json() == SHOWN


@BOTH
async def test_every_response_is_named(serve: Serve, prefix: str) -> None:
    client = serve(TOKEN, prefix)
    for path in ("/health", "/v1/config"):
        assert (await client.get(path, headers={"X-Request-ID": "mine-1"})).headers["x-request-id"] == "mine-1"
        assert len((await client.get(path)).headers["x-request-id"]) == 36
