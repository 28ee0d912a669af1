"""Cachecore's own client, and OpenAI's SDK through its transport, against a real proxy: at the root and in the view."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import openai
import pytest
from cachecore import CacheCoreClient, CacheStatus, Dep
from tests.e2e.conftest import REPOSITORY
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider, Proxy, StartProxy

SECRET = "the-tenants-secret-of-32-characters"
OPERATOR = "sk-operator"
FRANCE = "What is the capital of France?"
REWORDED = "Tell me what the capital of France is."
PARIS = "The capital of France is Paris."


def token(tenant: str, secret: str = SECRET, **claims: Any) -> str:
    return jwt.encode({"tenant_id": tenant, "policy_version": "1", "exp": int(time.time()) + 300} | claims, secret)


def rules(folder: Path, section: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text((REPOSITORY / "rules.yaml").read_text("utf-8") + section, "utf-8")
    return path


@pytest.fixture(scope="module")
def gateway(start_module_proxy: StartProxy, tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    """A proxy with a tenant secret and the operator's key, whose answers are stale after a second."""
    section = f"""
products:
  provider_keys: {{openai: {OPERATOR}}}
  cachecore: {{secret: {SECRET}, bypass_rate: 40/day, debug_headers: true, stale: 1h}}
"""
    return start_module_proxy(rules=rules(tmp_path_factory.mktemp("rules"), section))


@pytest.fixture(params=["", "/cachecore"], ids=["root", "view"])
def base(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class App:
    """What an app of Cachecore's user has: the client, and OpenAI's SDK over its transport."""

    def __init__(self, url: str, jwt: str) -> None:
        self.client = CacheCoreClient(url, jwt)
        self._http = httpx.AsyncClient(transport=self.client.transport, timeout=PATIENCE)
        http: Any = self._http  # of httpx, as Cachecore's client is; the SDK takes it, whatever its types say
        self.openai = openai.AsyncOpenAI(api_key="ignored", base_url=f"{url}/v1", http_client=http, max_retries=0)
        self.headers = httpx.Headers()

    async def ask(self, question: str = FRANCE, **more: Any) -> str:
        """The status of the cache; the answer is checked to be there."""
        raw = await self.openai.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": question}], **more
        )
        self.headers = raw.headers
        assert raw.parse().choices[0].message.content
        status = CacheStatus.from_headers(raw.headers)
        assert status.similarity == {"HIT_L1": 1.0, "HIT_L1_STALE": 1.0}.get(
            status.status, status.similarity if status.status == "HIT_L2" else 0.0
        )
        return status.status

    async def close(self) -> None:
        await self.openai.close()
        await self.client.aclose()


@pytest.fixture
async def app(gateway: Proxy, base: str, api_key: str, provider: Provider) -> AsyncIterator[App]:
    app = App(gateway.url + base, token(api_key))
    yield app
    await app.close()
    assert provider.calls() == 0 or ["authorization", f"Bearer {OPERATOR}"] in provider.last()["headers"]


async def post(url: str, headers: dict[str, str], body: Any) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.post(url, headers=headers, json=body)


async def settled(gateway: Proxy, app: App, question: str = FRANCE, **more: Any) -> str:
    status = await app.ask(question, **more)
    await asyncio.to_thread(gateway.settle)
    return status


@pytest.mark.both_stores
async def test_miss_then_hits(gateway: Proxy, provider: Provider, app: App) -> None:
    assert await settled(gateway, app) == "MISS"
    assert await settled(gateway, app) == "HIT_L1"
    assert (app.headers["x-cache"], app.headers["x-cache-similarity"]) == ("HIT_L1", "1.00")
    assert 0 <= int(app.headers["x-cache-age"]) < 30
    assert await settled(gateway, app, REWORDED) == "HIT_L2"
    assert 0.5 < float(app.headers["x-cache-similarity"]) < 1
    assert len(app.headers["x-cache-similarity"]) == 4
    assert provider.calls() == 1
    sent = provider.last()["headers"]
    assert not [name for name, _ in sent if name.startswith("x-cachecore")]


async def test_streams_are_answered_alike(gateway: Proxy, provider: Provider, app: App) -> None:
    for expected in ("MISS", "HIT_L1"):
        async with app.openai.chat.completions.with_streaming_response.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": FRANCE}], stream=True
        ) as raw:
            chunks = [chunk async for chunk in await raw.parse()]
        assert CacheStatus.from_headers(httpx.Headers(dict(raw.headers))).status == expected
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == PARIS
        await asyncio.to_thread(gateway.settle)
    assert provider.calls() == 1


@pytest.mark.both_stores
async def test_a_dependency_is_invalidated(gateway: Proxy, provider: Provider, app: App) -> None:
    with app.client.request_context(deps=[Dep("table:products"), Dep("doc:1", hash="abc")]):
        assert await settled(gateway, app) == "MISS"
        assert await settled(gateway, app) == "HIT_L1"
    assert await settled(gateway, app) == "HIT_L1"
    assert (await app.client.invalidate("table:other")).ok
    assert await settled(gateway, app) == "HIT_L1"
    results = await app.client.invalidate_many(["table:products", "doc:2"])
    assert [(result.dep_id, result.ok) for result in results] == [("table:products", True), ("doc:2", True)]
    with app.client.request_context(deps=[Dep("table:products")]):
        assert await settled(gateway, app) == "MISS"
        assert await settled(gateway, app) == "HIT_L1"  # declared as "v1" again, and kept all the same
    assert provider.calls() == 2


async def test_a_version_is_pinned(gateway: Proxy, app: App) -> None:
    for version, expected in (("1", "MISS"), ("1", "HIT_L1"), ("2", "MISS"), ("2", "HIT_L1")):
        with app.client.request_context(deps=[Dep("doc:1", hash=version)]):
            assert await settled(gateway, app) == expected


@pytest.mark.both_stores
async def test_an_answer_overtaken_by_an_invalidation_is_not_kept(gateway: Proxy, provider: Provider, app: App) -> None:
    provider.set(is_held=True)
    with app.client.request_context(deps=[Dep("doc:1")]):
        asked = asyncio.create_task(settled(gateway, app))
        await asyncio.to_thread(until, provider.calls)
        assert (await app.client.invalidate("doc:1", "v2")).ok
        provider.set(is_held=False)
        provider.release(1)
        assert await asked == "MISS"
        assert await settled(gateway, app) == "MISS"
        assert await settled(gateway, app) == "HIT_L1"


@pytest.mark.both_stores
async def test_the_policy_version_forgets_a_tenant(gateway: Proxy, base: str, app: App, api_key: str) -> None:
    assert [await settled(gateway, app) for _ in range(2)] == ["MISS", "HIT_L1"]
    headers = {"authorization": f"Bearer cc_live_1.{token(api_key)}"}
    answer = await post(f"{gateway.url}{base}/v1/invalidate", headers, {"dep_id": "cc:policy-version"})
    assert (answer.status_code, answer.json()["keys_deleted"]) == (200, 1)
    assert await settled(gateway, app) == "MISS"


@pytest.mark.both_stores
async def test_tenants_and_policies_are_apart(gateway: Proxy, base: str, app: App, api_key: str) -> None:
    hints = set[str]()
    for claims in ({}, {"policy_version": "2"}, {"permissions": ["read"]}, {"tenant_id": api_key + "2"}):
        one = App(gateway.url + base, token(api_key, **claims))
        assert await settled(gateway, one) == "MISS"
        hints.add(one.headers["x-cachecore-namespace-hint"])
        assert await settled(gateway, one) == "HIT_L1"
        await one.close()
    assert len(hints) == 4
    assert {len(hint) for hint in hints} == {12}
    longer = App(gateway.url + base, f"cc_live_9.{token(api_key, exp=int(time.time()) + 999)}")
    assert await settled(gateway, longer) == "HIT_L1"
    await longer.close()


@pytest.mark.both_stores
async def test_a_stale_answer_is_served_and_fetched_anew(
    gateway: Proxy, base: str, provider: Provider, api_key: str
) -> None:
    app = App(gateway.url + base, token(api_key, fresh_ttl_secs=2))
    with app.client.request_context(deps=[Dep("doc:1")]):
        assert await settled(gateway, app) == "MISS"
        await asyncio.sleep(2.05)
        assert await app.ask() == "HIT_L1_STALE"
        await asyncio.to_thread(until, lambda: provider.calls() >= 2)  # in the background
        await asyncio.to_thread(gateway.settle)
        assert provider.calls() == 2
        assert await settled(gateway, app) == "HIT_L1"
    assert (await app.client.invalidate("doc:1")).ok
    assert await settled(gateway, app) == "MISS"
    await app.close()


async def test_around_the_cache_in_the_view(gateway: Proxy, provider: Provider, api_key: str) -> None:
    app = App(f"{gateway.url}/cachecore", token(api_key))
    with app.client.request_context(bypass=True):
        assert [await settled(gateway, app) for _ in range(2)] == ["BYPASS", "BYPASS"]
    assert (app.headers["x-cache-similarity"], app.headers["x-cache-age"]) == ("0.00", "0")
    assert provider.calls() == 2
    assert await settled(gateway, app) == "MISS"
    await app.close()


@pytest.mark.parametrize("wrong", [token("t", exp=1), token("t", "another-secret-of-32-characters-"), "nonsense"])
async def test_a_token_that_is_not_good_is_refused(gateway: Proxy, base: str, provider: Provider, wrong: str) -> None:
    app = App(gateway.url + base, wrong)
    with pytest.raises(openai.AuthenticationError) as caught:
        await app.ask()
    assert caught.value.body["type"] == "authentication_error"  # type: ignore[index]
    assert caught.value.response.headers["x-cache"] == "BYPASS"
    assert provider.calls() == 0
    await app.close()


async def test_deps_that_cannot_be_read_are_refused(gateway: Proxy, base: str, provider: Provider) -> None:
    headers = {"X-Cachecore-Token": token("t"), "X-Cachecore-Deps": "%%%"}
    answer = await post(f"{gateway.url}{base}/v1/chat/completions", headers, {})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert provider.calls() == 0


def test_the_documents_own_commands(gateway: Proxy, provider: Provider, base: str, api_key: str) -> None:
    """As the document writes them with curl and base64."""
    deps = "W3siZGVwX2lkIjoiZG9jOmNvbnRyYWN0LTEyMyIsImV4cGVjdGVkX2hhc2giOiJ2MSJ9XQo"  # with echo's line break
    headers = {"Authorization": f"Bearer cc_live_xxxxx.{token(api_key)}", "Content-Type": "application/json"}
    body = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": FRANCE}]}
    with httpx.Client(base_url=gateway.url + base, headers=headers, trust_env=False) as http:
        for expected in ("MISS", "HIT_L1"):
            answer = http.post("/v1/chat/completions", content=json.dumps(body), headers={"X-Cachecore-Deps": deps})
            assert answer.headers["x-cache"] == expected
            gateway.settle()
        told = http.post("/v1/invalidate", json={"dep_id": "doc:contract-123", "new_hash": "v2"})
        assert told.json() == {"ok": True, "dep_id": "doc:contract-123", "new_hash": "v2", "keys_deleted": 1}


@pytest.fixture
def limited(start_proxy: StartProxy, tmp_path: Path) -> Iterator[Proxy]:
    yield start_proxy(rules=rules(tmp_path, "products: {cachecore: {bypass_rate: 1/day}}\n"))


async def test_calls_around_the_cache_are_limited(limited: Proxy, provider: Provider) -> None:
    app = App(f"{limited.url}/cachecore", "unused")
    with app.client.request_context(bypass=True):
        assert await app.ask() == "BYPASS"
        with pytest.raises(openai.RateLimitError) as caught:
            await app.ask()
    assert int(caught.value.response.headers["retry-after"]) > 0
    assert provider.calls() == 1
    await app.close()
