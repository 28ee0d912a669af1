import logging
import re

import httpx
import pytest

from askonce.api.app import create_app
from askonce.cache import Cache, StoreError

TOKEN = "s3cret-ü"
OPEN = ["/", "/health", "/health/ready", "/health/live", "/docs", "/redoc", "/openapi.json"]
PROTECTED = [
    ("GET", "/metrics"),
    ("GET", "/v1/stats"),
    ("GET", "/v1/cache"),
    ("GET", "/v1/cache/stats"),
    ("GET", "/v1/cache/search?q=x"),
    ("GET", "/v1/cache/export"),
    ("POST", "/v1/cache/import"),
    ("GET", "/v1/calls"),
    ("GET", "/v1/decisions"),
    ("GET", "/v1/why"),
    ("POST", "/v1/feedback"),
    ("GET", "/v1/cache/0011"),
    ("DELETE", "/v1/cache"),
    ("DELETE", "/v1/cache/0011"),
    ("POST", "/v1/reload"),
]


async def reload() -> None:
    pass


async def test_open_routes_need_no_token(connect):
    client = connect(token=TOKEN)
    assert [(await client.get(path)).status_code for path in OPEN] == [200] * len(OPEN)


async def test_protected_routes_need_the_token(connect, remember):
    stored = await remember("What is the capital of France?")
    client = connect(token=TOKEN, reload=reload)
    wrong = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
    ]
    for headers in [{}, *({"Authorization": value.encode()} for value in wrong)]:
        for method, path in PROTECTED:
            response = await client.request(method, path.replace("0011", stored.key), headers=headers)
            assert (response.status_code, response.json()) == (401, {"error": "Unauthorized"})
            assert response.headers["www-authenticate"] == "Bearer"
    assert (await client.get("/v1/cache", headers={"Authorization": f"Bearer {TOKEN}".encode()})).json()["count"] == 1


async def test_every_route_but_the_open_ones_is_protected(connect):
    client = connect(token=TOKEN, reload=reload)
    document = (await client.get("/openapi.json")).json()
    documented = {
        (method.upper(), path): "security" in operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "calls" not in operation["tags"]  # the proxy answers those
    }
    protected = {(method, re.sub(r"/0011$", "/{key}", path.split("?")[0])) for method, path in PROTECTED}
    assert {route for route, needs_token in documented.items() if needs_token} == protected
    assert {path for (_, path), needs_token in documented.items() if not needs_token} == set(OPEN[:4])


async def test_the_document_begins_with_askonces_own(connect):
    document = (await connect().get("/openapi.json")).json()
    tags = [tag["name"] for tag in document["tags"]]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    used = {tag for operation in operations for tag in operation["tags"]}
    assert tags == ["calls", "cache", "statistics", "rules", "health", "page"] and used <= set(tags)


async def test_the_right_token_opens_the_rest(connect, remember):
    await remember("What is the capital of France?")
    client = connect(token=TOKEN, headers={"Authorization": f"bearer {TOKEN}".encode()})
    assert (await client.get("/v1/cache")).json()["count"] == 1
    assert (await client.delete("/v1/cache")).json()["deleted_count"] == 1
    assert (await client.get("/metrics")).status_code == 200


async def test_an_empty_token_is_refused(cache, accounting):
    with pytest.raises(ValueError, match="token is empty"):
        create_app(cache, accounting, token="", version="1", ready=lambda: None, reload=None)


async def test_a_path_that_is_not_there_is_named(client):
    for path in ("/nothing", "/health/", "/v1/caches/x", "/docs/assets/no.js"):
        response = await client.get(path)
        error = f"There is nothing at {path}; /openapi.json lists what there is"
        assert (response.status_code, response.json()) == (404, {"error": error})


async def test_a_wrong_method_is_told_all_the_right_ones(client):
    for method, path, allowed in (
        ("PUT", "/v1/cache", "DELETE, GET"),
        ("POST", "/v1/cache/0011", "DELETE, GET"),
        ("DELETE", "/health", "GET"),
        ("POST", "/docs/assets/swagger-ui.css", "GET, HEAD"),
    ):
        response = await client.request(method, path)
        error = f"{method} is not allowed on {path}, only {allowed}"
        assert (response.status_code, response.json()) == (405, {"error": error})
        assert response.headers["allow"] == allowed


async def test_assets_do_not_lead_out_of_their_folder(client):
    response = await client.get("/docs/assets/..%2fcore.py")
    assert (response.status_code, list(response.json())) == (404, ["error"])


async def test_a_body_over_one_mebibyte_is_refused_before_the_route_runs(client, remember):
    await remember("What is the capital of France?")
    whole = await client.request("DELETE", "/v1/cache", content=b"x" * (1 << 20))
    assert whole.status_code == 200
    await remember("What is the capital of France?")

    async def unannounced():
        for _ in range(17):
            yield b"x" * (1 << 16)

    for content in (b"x" * ((1 << 20) + 1), unannounced()):
        refused = await client.request("DELETE", "/v1/cache", content=content)
        assert (refused.status_code, refused.json()) == (413, {"error": "Request body too large"})
    assert (await client.get("/v1/cache")).json()["count"] == 1


async def test_another_site_may_not_change_anything(client, remember):
    await remember("What is the capital of France?")
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://askonce.internal:8080"},
        {"Origin": "https://askonce.internal"},
        {"Origin": "http://askonce.internal.evil.example"},
        {"Origin": "http://[bad"},
        {"Origin": "http://askonce.internal:99999"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        refused = await client.delete("/v1/cache", headers=headers)
        error = "Refused: a page of another site may not change anything here"
        assert (refused.status_code, refused.json()) == (403, {"error": error})
        listing = await client.get("/v1/cache", headers=headers)
        assert (listing.status_code, listing.json()["count"]) == (200, 1)
        assert "access-control-allow-origin" not in listing.headers


async def test_our_own_page_may(client):
    for site, origin in (
        ("http://askonce.internal", "http://askonce.internal"),
        ("https://askonce.internal", "https://askonce.internal"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://ASKONCE.internal:80", "http://askonce.internal"),
    ):
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        assert (await client.delete(f"{site}/v1/cache", headers=headers)).status_code == 200


async def test_a_failure_is_logged_once_and_shows_the_caller_nothing(client, cache, accounting, monkeypatch, caplog):
    async def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(cache, "count", broken)
    with caplog.at_level(logging.INFO):
        responses = [await client.get("/v1/cache") for _ in range(3)]
    for response in responses:
        assert (response.status_code, response.json()) == (500, {"error": "Internal server error"})
        assert response.headers["x-request-id"]
    assert len([record for record in caplog.records if "the secret inside" in record.getMessage()]) == 1
    assert accounting.faults() == {"management": 3}


async def test_a_store_that_fails_says_what_it_could_not_do(client, cache, monkeypatch, accounting):
    async def full(*_args: object) -> int:
        raise StoreError("cannot delete: the disk is full")

    monkeypatch.setattr(cache, "clear", full)
    response = await client.delete("/v1/cache")
    assert (response.status_code, response.json()) == (503, {"error": "cannot delete: the disk is full"})
    assert accounting.faults() == {"store": 1}


async def test_reload_reads_the_rules_again(connect):
    reloads = []

    async def reload() -> None:
        reloads.append(1)

    response = await connect(reload=reload).post("/v1/reload")
    assert (response.status_code, response.json(), reloads) == (200, {"message": "Rules reloaded"}, [1])


async def test_rules_that_cannot_be_used_are_named(connect):
    async def reload() -> None:
        raise ValueError("rules.yaml:3: version: expected 1")

    response = await connect(reload=reload).post("/v1/reload")
    assert (response.status_code, response.json()) == (400, {"error": "rules.yaml:3: version: expected 1"})


async def test_without_a_reload_there_is_no_such_route(client):
    assert (await client.post("/v1/reload")).status_code == 404


async def test_pages_need_no_other_host(client):
    for path in ("/", "/docs", "/redoc"):
        page = await client.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", page.text, re.IGNORECASE) == []
        if path != "/":  # its own is stricter
            policy = "default-src 'self' 'unsafe-inline' data: blob:; frame-ancestors 'none'"
            assert page.headers["content-security-policy"] == policy
        for asset in re.findall(r"""(?:src|href)="(/[^"]*)""", page.text):
            assert (await client.get(asset)).status_code == 200


async def test_the_documents_scripts_are_served_from_here(client):
    page = (await client.get("/docs")).text
    assert '"/docs/assets/swagger-ui-bundle.js"' in page
    script = await client.get("/docs/assets/swagger-ui-bundle.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert len(script.content) > 1_000_000


async def test_the_openapi_document_is_about_these_routes(connect):
    document = (await connect(token=TOKEN, reload=reload).get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == "1.2.3"
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert "422" not in operation["responses"]
        assert operation["summary"]
        if "calls" not in operation["tags"]:
            assert operation["responses"]["4XX"]["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/Problem"
            }


async def test_calls_are_described_and_answered_by_the_proxy_alone(client):
    path = "/v1/chat/completions"
    assert (await client.get("/openapi.json")).json()["paths"][path]["post"]["responses"].keys() == {
        "200",
        "4XX",
        "5XX",
    }
    wrong = await client.get(path)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    alone = await client.post(path, json={})
    assert (alone.status_code, list(alone.json())) == (404, ["error"])


async def test_every_response_names_its_request(client):
    for given in ("req-1", "a" * 128):
        response = await client.get("/health", headers={"X-Request-ID": given})
        assert response.headers["x-request-id"] == given
    for odd in ("a" * 129, "", "a b", "aüb"):
        response = await client.get("/nothing", headers={"X-Request-ID": odd.encode()})
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", response.headers["x-request-id"])


async def test_every_response_is_private_and_plain(client):
    for response in (await client.get("/v1/cache"), await client.get("/nothing")):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"


async def test_two_apps_share_nothing(tmp_path, cache: Cache, accounting, connect):
    """One process may hold two (tests do): the registries and caches are each app's own."""
    first, second = connect(token="one"), connect(token="two")
    assert (await first.get("/metrics", headers={"Authorization": "Bearer two"})).status_code == 401
    assert (await second.get("/metrics", headers={"Authorization": "Bearer two"})).status_code == 200


async def test_it_runs_without_a_server(cache, accounting):
    """No lifespan, no socket: the proxy calls it as a function."""
    app = create_app(cache, accounting, token=None, version="1", ready=lambda: None, reload=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://askonce.internal") as client:
        assert (await client.get("/health/live")).json()["alive"] is True
