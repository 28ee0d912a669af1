"""Secrets are compared in constant time, and all there are, so that no answer's time tells how near a guess came."""

import ast
import hmac
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import askonce
from askonce.api.app import create_app
from askonce.cache import NamedStores
from askonce.calls.dependencies import Dependencies
from askonce.network.api_keys import ApiKeys
from askonce.products.cachecore.routes import cachecore
from askonce.products.cachecore.section import CachecoreSpec
from askonce.products.gateway.errors import Users
from askonce.products.gateway.routes import gateway
from askonce.products.langcache.routes import langcache
from askonce.products.langcache.section import LangCacheSpec

SOURCES = [
    file
    for folder in ("api", "network", "products")
    for file in sorted((Path(askonce.__file__).parent / folder).rglob("*.py"))
] + [Path(askonce.__file__).parent / name for name in ("credentials.py", "runtime.py")]
SECRETS = {"token", "secret", "key", "given", "password", "credentials", "api_key", "operator", "hash"}

NO_SECRETS = {"found[0].item.text == key"}
"""Comparisons with a `key` that is what something is kept under."""


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """What was compared in constant time."""
    pairs = list[tuple[Any, Any]]()
    compare = hmac.compare_digest

    def noted(one: Any, other: Any) -> bool:
        pairs.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    return pairs


@pytest.fixture
def serve(cache: Any, accounting: Any, tmp_path: Path) -> Iterator[Callable[..., httpx.AsyncClient]]:
    keys = ApiKeys(tmp_path / "keys")
    for owner in ("ann", "bob", "eve"):
        keys.create(owner, admin=True)
    named_stores = NamedStores(tmp_path / "named-stores", cache.embed)

    def serve(section: dict[str, Any]) -> httpx.AsyncClient:
        spec = LangCacheSpec.model_validate(section)
        app = create_app(
            cache,
            accounting,
            token="s3cret",
            version="1",
            ready=lambda: None,
            reload=None,
            is_key=keys.is_good,
            products=[
                lambda shared: gateway(shared, keys, Users(), dict),
                lambda shared: cachecore(Dependencies(cache), CachecoreSpec, token=shared.token, believe=True),
                lambda shared: langcache(named_stores, lambda: spec, shared.accounting, token=shared.token),
            ],
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://askonce.internal")

    yield serve


@pytest.mark.parametrize(
    ("method", "path", "header", "comparisons"),
    [
        ("GET", "/v1/stats", "Authorization", 1),
        ("GET", "/metrics", "Authorization", 4),  # the token and three keys
        ("GET", "/stats", "X-API-Key", 4),
        ("POST", "/admin/cache/clear", "Authorization", 4),
        ("POST", "/cachecore/admin/x", "Authorization", 1),
        ("POST", "/v1/caches/c/flush", "Authorization", 3),
    ],
)
async def test_a_guess_is_compared_with_all_there_are_however_near_it_comes(
    serve: Callable[..., httpx.AsyncClient],
    compared: list[tuple[Any, Any]],
    method: str,
    path: str,
    header: str,
    comparisons: int,
) -> None:
    client = serve({"api_keys": ["one-key", "two-key"], "caches": {"d": {"api_keys": ["another"]}}})
    for guess in ("s3cre", "s3crez", "one-ke", "sk-", "x" * 200):
        compared.clear()
        value = guess if header == "X-API-Key" else f"Bearer {guess}"
        response = await client.request(
            method, path, headers={header: value}, json={"dep_id": "a"} if method == "POST" else None
        )
        assert response.status_code in (401, 403), response.text
        assert len(compared) == comparisons
        for secret in ("s3cret", "one-key", "two-key", "another"):
            assert secret not in response.text
    await client.aclose()


async def test_which_of_several_keys_it_is_makes_no_difference(
    serve: Callable[..., httpx.AsyncClient], compared: list[tuple[Any, Any]]
) -> None:
    client = serve({"api_keys": ["one-key", "two-key"], "caches": {"d": {"api_keys": ["another"]}}})
    for key, status in (("one-key", 200), ("two-key", 200), ("another", 403)):
        compared.clear()
        response = await client.post("/v1/caches/c/flush", headers={"Authorization": f"Bearer {key}"})
        assert (response.status_code, len(compared)) == (status, 3)
    await client.aclose()


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_nothing_that_names_a_secret_is_compared_otherwise(file: Path) -> None:
    """`==` stops at the first difference. Ids, and whether there is one at all, may be compared with it."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Constant) for side in sides):
                continue
            names = {getattr(side, "id", getattr(side, "attr", "")) for side in sides}
            if names & SECRETS and ast.unparse(node) not in NO_SECRETS:
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    assert found == []
