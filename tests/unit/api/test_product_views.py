"""The views: one product each, at a path or on a host of its own, with nothing of the others in its way."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import PlainTextResponse
from starlette.responses import Response

from askonce.api.app import create_app
from askonce.api.product_routes import ProductRoutes, Shared

NAMES = {"promptcache": "/promptcache", "semcache": "/semcache-app", "cachecore": "/cachecore"}
OWNS = {"promptcache": ("/shared",), "semcache": ("/shared/mine",)}
EVERYWHERE = pytest.mark.parametrize(
    "site",
    [
        "http://askonce.internal/{}",
        "https://askonce.internal/{}",
        "http://{}.askonce.internal",
        "http://127.0.0.1:8080/{}",
    ],
)


def product(name: Any) -> Any:
    """One whose errors say whose they are, and whose only route all of them have."""

    def routes(_: Shared) -> ProductRoutes:
        own, view = APIRouter(), APIRouter()

        @own.post(f"/v1/{name}", name=f"{name}_own")
        async def answer(request: Request) -> dict[str, Any]:
            return {"name": name, "root": request.scope["root_path"], "size": len(await request.body())}

        @own.get(f"/v1/{name}/broken", name=f"{name}_broken")
        async def broken() -> None:
            raise RuntimeError("the secret inside")

        @view.get("/health", name=f"{name}_health")
        async def health() -> str:
            return f"{name} is well"

        @view.get("/v1/refused", name=f"{name}_refused")
        async def refused() -> None:
            raise HTTPException(402, "no")

        def render(scope: Any, status: int, detail: Any, headers: Any) -> Response:
            return PlainTextResponse(f"{name}: {detail}", status, dict(headers))

        return ProductRoutes(
            name=name,
            title=name,
            routes=own,
            view=view,
            render=render,
            errors={"4XX": {"description": f"an error of {name}"}},
            owns=(f"/v1/{name}", *OWNS.get(name, ())),
            families=(f"{name}_",),
            max_body=(lambda: 10) if name == "semcache" else None,
        )

    return routes


@pytest.fixture
async def client(cache: Any, accounting: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(
        cache,
        accounting,
        token=None,
        version="1",
        ready=lambda: None,
        reload=None,
        products=[product(name) for name in NAMES],
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False)) as client:
        yield client


def at(site: str, name: str) -> str:
    """The address of a product's view."""
    label = NAMES[name].removeprefix("/")
    return site.format(label)


@EVERYWHERE
@pytest.mark.parametrize("name", NAMES)
async def test_a_view_serves_its_product_alone(client: httpx.AsyncClient, site: str, name: str) -> None:
    base = at(site, name)
    prefix = NAMES[name] if site.endswith("/{}") else ""
    answer = await client.post(f"{base}/v1/{name}", content=b"x")
    assert (answer.status_code, answer.json()) == (200, {"name": name, "root": prefix, "size": 1})
    assert (await client.get(f"{base}/health")).json() == f"{name} is well"
    for other in NAMES.keys() - {name}:
        missing = await client.post(f"{base}/v1/{other}")
        assert (missing.status_code, missing.text.partition(":")[0]) == (404, name)
    for ours in ("/v1/cache", "/v1/stats", "/v1/why"):
        assert (await client.get(base + ours)).status_code == 404
    assert (await client.get(f"{base}/health/ready")).json()["ready"] is True


@EVERYWHERE
@pytest.mark.parametrize("name", NAMES)
async def test_every_error_in_a_view_has_its_products_shape(client: httpx.AsyncClient, site: str, name: str) -> None:
    base = at(site, name)
    for method, path, status in (
        ("GET", "/v1/refused", 402),
        ("GET", "/nothing", 404),
        ("GET", f"/v1/{name}", 405),
        ("GET", f"/v1/{name}/broken", 500),
        ("DELETE", "/health/live", 405),
    ):
        response = await client.request(method, base + path)
        assert (response.status_code, response.text.partition(":")[0]) == (status, name), path
        assert "secret" not in response.text
    page = await client.post(f"{base}/v1/{name}", headers={"Origin": "https://evil.example"})
    assert (page.status_code, page.text.partition(":")[0]) == (403, name)


@EVERYWHERE
async def test_a_limit_is_the_products(client: httpx.AsyncClient, site: str) -> None:
    too_large = await client.post(f"{at(site, 'semcache')}/v1/semcache", content=b"x" * 11)
    assert (too_large.status_code, too_large.text) == (413, "semcache: Request body too large")
    assert (await client.post(f"{at(site, 'promptcache')}/v1/promptcache", content=b"x" * 11)).json()["size"] == 11


async def test_the_root_serves_all_and_errors_are_those_of_the_paths_owner(client: httpx.AsyncClient) -> None:
    root = "http://askonce.internal"
    for name in NAMES:
        assert (await client.post(f"{root}/v1/{name}")).json() == {"name": name, "root": "", "size": 0}
        assert (await client.get(f"{root}/v1/{name}/nothing")).text.startswith(f"{name}: There is nothing at")
        assert (await client.get(f"{root}/v1/{name}/broken")).text == f"{name}: Internal server error"
    assert (await client.get(f"{root}/health")).json()["status"] == "healthy"
    for path in ("/v1/refused", "/v1/promptcaches", "/promptcachex/health"):
        missing = await client.get(root + path)
        assert (missing.status_code, list(missing.json())) == (404, ["error"])


async def test_of_two_owners_the_nearer_one_answers(client: httpx.AsyncClient) -> None:
    for path, owner in (
        ("/shared", "promptcache"),
        ("/shared/else", "promptcache"),
        ("/shared/mine", "semcache"),
        ("/shared/mine/x", "semcache"),
        ("/shared/miners", "promptcache"),
    ):
        response = await client.get("http://askonce.internal" + path)
        assert (response.status_code, response.text.partition(":")[0]) == (404, owner), path


@pytest.mark.parametrize("host", ["nobody.askonce.internal", "a.promptcache.askonce.internal", ".askonce.internal"])
async def test_a_host_that_is_nobodys_has_nothing(client: httpx.AsyncClient, host: str) -> None:
    for path in ("/", "/health", "/v1/cache", "/docs", "/promptcache/health"):
        assert (await client.get("http://127.0.0.1" + path, headers={"Host": host})).status_code == 404


@pytest.mark.parametrize("host", ["PROMPTCACHE.askonce.internal", "promptcache.askonce.internal:8080"])
async def test_a_host_may_be_written_in_any_case_and_with_a_port(client: httpx.AsyncClient, host: str) -> None:
    response = await client.get("http://127.0.0.1/health", headers={"Host": host})
    assert response.json() == "promptcache is well"


async def test_a_prefix_is_none_on_a_products_own_host(client: httpx.AsyncClient) -> None:
    response = await client.get("http://promptcache.askonce.internal/promptcache/health")
    assert response.status_code == 404


@EVERYWHERE
@pytest.mark.parametrize("name", NAMES)
async def test_the_documents_of_a_view_are_its_own(client: httpx.AsyncClient, site: str, name: str) -> None:
    base = at(site, name)
    prefix = NAMES[name] if site.endswith("/{}") else ""
    document = (await client.get(f"{base}/openapi.json")).json()
    assert document["info"]["title"] == name
    assert f"/v1/{name}" in document["paths"]
    assert not [path for path in document["paths"] if any(f"/v1/{other}" in path for other in NAMES.keys() - {name})]
    assert document.get("servers", [{"url": ""}])[0]["url"] == prefix
    # Its own /health answers, so that is the one described; of the shared ones errors are described as it has them.
    assert document["paths"]["/health"]["get"]["operationId"] == f"{name}_health"
    for path in ("/health/ready", "/metrics"):
        assert document["paths"][path]["get"]["responses"]["4XX"]["description"] == f"an error of {name}"
    for path in ("/docs", "/redoc"):
        page = await client.get(base + path)
        assert page.status_code == 200
        assert f"{prefix}/openapi.json" in page.text


async def test_metrics_of_a_view_are_its_families(client: httpx.AsyncClient) -> None:
    text = (await client.get("http://askonce.internal/promptcache/metrics")).text
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names
    assert all(name.startswith("promptcache_") for name in names)
