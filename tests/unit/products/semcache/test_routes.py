"""Semcache's put and get, its dashboard and its errors, without a socket."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from tests.support.clock import Clock
from tests.support.records import record

from askonce.accounting import Accounting
from askonce.api.app import create_app
from askonce.cache import Cache, NamedStores, StoreError
from askonce.products.semcache import routes as semcache_routes
from askonce.products.semcache.dashboard import Dashboard
from askonce.products.semcache.section import SemcacheSpec

FRANCE = "What is the capital of France?"
REWORDED = "Please, what is the capital of France?"
PUT, GET = "/semcache/v1/put", "/semcache/v1/get"
PLAIN = "text/plain; charset=utf-8"
Serve = Callable[..., httpx.AsyncClient]
BOTH = pytest.mark.parametrize("prefix", ["", "/semcache-app"])


@pytest.fixture
def dashboard(accounting: Accounting, cache: Cache, clock: Clock) -> Dashboard:
    return Dashboard(accounting, cache, clock)


@pytest.fixture
async def serve(
    cache: Cache, accounting: Accounting, named_stores: NamedStores, dashboard: Dashboard
) -> AsyncIterator[Serve]:
    clients = []

    def serve(token: str | None = None, prefix: str = "", **section: Any) -> httpx.AsyncClient:
        spec = SemcacheSpec.model_validate(section)
        app = create_app(
            cache,
            accounting,
            token=token,
            version="1.2.3",
            ready=lambda: None,
            reload=None,
            products=[
                lambda shared: semcache_routes.routes(
                    shared, named_stores=named_stores, dashboard=dashboard, spec=lambda: spec
                )
            ],
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        clients.append(httpx.AsyncClient(transport=transport, base_url=f"http://askonce.internal{prefix}"))
        return clients[-1]

    yield serve
    for client in clients:
        await client.aclose()


async def put(client: httpx.AsyncClient, key: str = FRANCE, data: str = "Paris", **headers: str) -> None:
    response = await client.put(PUT, json={"key": key, "data": data}, headers=headers)
    assert (response.status_code, response.content) == (200, b"")


async def get(client: httpx.AsyncClient, key: str = FRANCE, **headers: str) -> str | None:
    response = await client.post(GET, json={"key": key}, headers=headers)
    if response.status_code == 404:
        assert response.content == b""
        return None
    assert (response.status_code, response.headers["content-type"]) == (200, "application/octet-stream")
    return response.text


@BOTH
async def test_what_is_put_is_got_by_its_key_and_one_near_it(serve: Serve, prefix: str) -> None:
    client = serve(prefix=prefix)
    assert await get(client) is None
    await put(client)
    assert [await get(client), await get(client, REWORDED)] == ["Paris", "Paris"]
    assert await get(client, "How do I sort a list in Python?") is None
    await put(client, data="Paris!")
    assert await get(client, REWORDED) == "Paris!"


async def test_put_without_data_reads_as_the_document_has_it(serve: Serve) -> None:
    client = serve()
    missing = await client.put(PUT, json={"key": FRANCE})
    assert (missing.status_code, missing.content) == (404, b"")
    await put(client)
    for body in ({"key": FRANCE}, {"key": FRANCE, "data": None}):
        found = await client.put(PUT, json=body)
        assert (found.status_code, found.content) == (200, b"Paris")
        assert found.headers["content-type"] == "application/octet-stream"
    assert await get(client) == "Paris"


async def test_who_asks_for_json_reads_json_as_the_document_shows_it(serve: Serve) -> None:
    client = serve()
    await put(client, data='say "hé"')
    for accept in ("application/json", "application/json, text/plain, */*"):
        found = await client.put(PUT, json={"key": FRANCE}, headers={"accept": accept})
        assert (found.headers["content-type"], found.json()) == ("application/json", 'say "hé"')
        got = await client.post(GET, json={"key": FRANCE}, headers={"accept": accept})
        assert (got.headers["content-type"], got.text) == ("application/octet-stream", 'say "hé"')


async def test_thresholds_are_the_operators(serve: Serve) -> None:
    await put(serve())
    assert await get(serve(similarity_threshold=1.0), REWORDED) is None
    assert await get(serve(similarity_threshold=1.0)) == "Paris"
    overwriting = serve(overwrite_threshold=0.9)
    await put(overwriting, REWORDED, "Paris, once")
    assert await get(overwriting) == "Paris, once"
    await put(serve(overwrite_threshold=1.0), "What is the capital of France", "Paris, beside it")
    assert await get(overwriting, REWORDED) == "Paris, once"


async def test_guards_are_the_operators(serve: Serve) -> None:
    miles, other = "Convert 10 miles to km", "Convert 12 miles to km"
    await put(serve(), miles, "16.09 km")
    assert await get(serve(), other) is None
    assert await get(serve(guards=False), other) == "16.09 km"


async def test_without_a_ttl_there_is_no_end(serve: Serve, clock: Clock) -> None:
    await put(serve())
    await put(serve(ttl="1h"), "How tall is Everest?", "8849 m")
    clock.now += 3599
    assert await get(serve(), "How tall is Everest?") == "8849 m"
    clock.now += 2
    assert await get(serve(), "How tall is Everest?") is None
    clock.now += 10 * 365 * 86400
    assert await get(serve()) == "Paris"


async def test_a_namespace_is_a_store_of_its_own(serve: Serve) -> None:
    client = serve()
    await put(client, **{"X-Cache-Namespace": "blue"})
    assert [await get(client), await get(client, **{"X-Cache-Namespace": " blue "})] == [None, "Paris"]


@BOTH
@pytest.mark.parametrize(("method", "path"), [("PUT", PUT), ("POST", GET)])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"{", "application/json", 400, "Failed to parse the request body as JSON: "),
        (b"\xff", "application/json", 400, "Failed to parse the request body as JSON: "),
        (
            b"{}",
            "application/json",
            422,
            "Failed to deserialize the JSON body into the target type: missing field `key`",
        ),
        (b'{"key": 5}', "application/json", 422, "Failed to deserialize the JSON body into the target type: key: "),
        (b'{"key": null}', "application/json", 422, "Failed to deserialize the JSON body into the target type: key: "),
        (b"[]", "application/json", 422, "Failed to deserialize the JSON body into the target type: "),
        (b'{"key": "k"}', "text/plain", 415, "Expected request with `Content-Type: application/json`"),
        (b'{"key": "' + b"k" * (2 << 20) + b'"}', "application/json", 413, "Request body too large"),
    ],
)
async def test_what_is_refused_changes_nothing(
    serve: Serve,
    named_stores: NamedStores,
    prefix: str,
    method: str,
    path: str,
    body: bytes,
    content_type: str,
    status: int,
    said: str,
) -> None:
    client = serve(prefix=prefix)
    response = await client.request(method, path, content=body, headers={"content-type": content_type})
    assert (response.status_code, response.headers["content-type"]) == (status, PLAIN)
    assert response.text.startswith(said)
    assert await named_stores.count("semcache") == 0


@pytest.mark.parametrize("body", [{"key": FRANCE, "data": 5}, {"key": FRANCE, "data": ["Paris"]}])
async def test_data_is_text(serve: Serve, named_stores: NamedStores, body: Any) -> None:
    response = await serve().put(PUT, json=body)
    assert (response.status_code, response.headers["content-type"]) == (422, PLAIN)
    assert await named_stores.count("semcache") == 0


@pytest.mark.parametrize("body", [b'{"key": "k", "data": "\\ud800"}', b'{"key": "\\ud800", "data": "d"}'])
async def test_half_a_character_is_no_text(serve: Serve, named_stores: NamedStores, body: bytes) -> None:
    response = await serve().put(PUT, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.headers["content-type"]) in ((400, PLAIN), (422, PLAIN))
    assert await named_stores.count("semcache") == 0


@pytest.mark.parametrize("failing", ["put", "search"])
async def test_what_fails_inside_is_a_500_that_says_nothing(
    serve: Serve, named_stores: NamedStores, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    for error in (StoreError("the disk is full: /data/askonce.db"), RuntimeError("the secret inside")):

        async def broken(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(named_stores, failing, broken)
        client = serve()
        response = await (
            client.put(PUT, json={"key": FRANCE, "data": "Paris"})
            if failing == "put"
            else client.post(GET, json={"key": FRANCE})
        )
        assert (response.status_code, response.headers["content-type"], response.text) == (
            500,
            PLAIN,
            "Something went wrong",
        )


@BOTH
async def test_wrong_paths_and_methods_are_plain_text(serve: Serve, prefix: str) -> None:
    client = serve(prefix=prefix)
    for method, path, status in (("GET", PUT, 405), ("DELETE", "/admin", 405), ("POST", "/semcache/v1/x", 404)):
        response = await client.request(method, path)
        assert (response.status_code, response.headers["content-type"]) == (status, PLAIN)


async def test_with_a_token_everything_but_the_page_needs_it(serve: Serve) -> None:
    pair = {"key": FRANCE, "data": "Paris"}
    for client, is_open in ((serve("s3cret"), False), (serve("s3cret", open=True), True)):
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            for response in (
                await client.put(PUT, json=pair, headers=headers),
                await client.post(GET, json={"key": FRANCE}, headers=headers),
            ):
                assert response.status_code == (200 if is_open else 401)
                assert response.text in ("", "Paris") if is_open else response.text == "Unauthorized"
            for path in ("/dashboard-metrics", "/static/metrics_history.json"):
                refused = await client.get(path, headers=headers)
                assert (refused.status_code, refused.headers["content-type"], refused.text) == (
                    401,
                    PLAIN,
                    "Unauthorized",
                )
        assert (await client.get("/admin")).status_code == 200
        allowed = {"Authorization": "Bearer s3cret"}
        assert (await client.put(PUT, json=pair, headers=allowed)).status_code == 200
        assert (await client.get("/dashboard-metrics", headers=allowed)).status_code == 200


async def test_only_the_view_has_the_empty_page_of_a_health_check(serve: Serve) -> None:
    alone, root = await serve(prefix="/semcache-app").get("/"), await serve().get("/")
    assert (alone.status_code, alone.content) == (200, b"")
    assert (root.status_code, root.headers["content-type"]) == (200, "text/html; charset=utf-8")


# The dashboard


@BOTH
async def test_the_page_needs_nobody_else(serve: Serve, prefix: str) -> None:
    page = await serve(prefix=prefix).get("/admin")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "https://" not in page.text.replace("https://askonce", "")


async def test_figures_are_those_of_the_accounting(
    serve: Serve, accounting: Accounting, clock: Clock, remember: Any
) -> None:
    await remember(FRANCE)
    for outcome in ("exact", "semantic", "miss", "miss", "miss"):
        accounting.record(record(outcome=outcome))
    now = (await serve().get("/dashboard-metrics")).json()
    assert now["timestamp"] == "2027-01-15T08:00:00Z"
    memory = now["metrics"].pop()
    assert now["metrics"] == [
        {"name": "Num entries in the cache", "value": 1, "chart_type": "line"},
        {"name": "Total chat completion requests", "value": 5, "chart_type": "statcard"},
        {"name": "Cache hits", "value": 2, "chart_type": "doughnut"},
        {"name": "Cache miss", "value": 3, "chart_type": "doughnut"},
    ]
    assert memory["name"] == "Memory usage (mb) - only available in Linux systems"
    assert type(memory["value"]) is int


async def test_the_history_keeps_fifty_samples_the_oldest_first(
    serve: Serve, dashboard: Dashboard, clock: Clock
) -> None:
    client = serve()
    assert (await client.get("/static/metrics_history.json")).json() == []
    for _ in range(52):
        dashboard.sample()
        clock.now += 30
    history = (await client.get("/static/metrics_history.json")).json()
    assert len(history) == 50
    assert (history[0]["timestamp"], history[-1]["timestamp"]) == ("2027-01-15T08:01:00Z", "2027-01-15T08:25:30Z")
    assert history[0].keys() == {"timestamp", "metrics"}


# Metrics


async def test_its_view_shows_its_families_alone(serve: Serve) -> None:
    text = (await serve(prefix="/semcache-app").get("/metrics")).text
    kinds = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    assert kinds == {
        "semcache_chat_completion_http_requests": "histogram",
        "semcache_cache_size": "gauge",
        "semcache_memory_usage": "gauge",
        "semcache_cache_hit": "counter",
        "semcache_cache_miss": "counter",
    }


async def test_put_and_get_are_counted_beside_the_calls(serve: Serve, accounting: Accounting) -> None:
    client = serve()
    await get(client)
    await put(client)
    await get(client)
    await get(client, REWORDED)
    assert accounting.stats()["stores"] == {
        "semcache": {"get": {"exact": 1, "miss": 1, "semantic": 1}, "put": {"done": 1}}
    }
    assert accounting.stats()["calls"] == 0


@pytest.mark.parametrize("section", [{"similarity_threshold": 1.1}, {"ttl": 0}, {"threshold": 0.9}])
def test_a_wrong_section_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"validation error"):
        SemcacheSpec.model_validate(section)
