"""Who may share an answer: none crosses a model, a system prompt or a credential, unless rules.yaml says so."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest

from askonce.accounting import Accounting
from askonce.cache import Cache, Candidate, Identity, Judgement, Vector
from askonce.call import Request
from askonce.calls.dependencies import Dependencies
from askonce.calls.life import Life
from askonce.calls.verifier import Verifier
from askonce.faults import Faults
from askonce.network.api_keys import ApiKeys
from askonce.network.rate_limits import Rates
from askonce.products.base import Passage, Product
from askonce.products.cachecore.calls import Cachecore
from askonce.products.document import ProductsSpec
from askonce.products.gateway.calls import Gateway
from askonce.products.gateway.errors import Users
from askonce.products.keys import ProviderKeys
from askonce.products.promptcache.calls import PromptCache
from askonce.products.promptcache.state import PromptCacheState
from askonce.products.semcache.calls import Semcache
from askonce.rules import Document, Rules

STRICT = "scope: credential"
LOOSE = """scope: shared, ignore: [$.model, "$.messages[?@.role == 'system']"]"""
QUESTION = {"role": "user", "content": "What is the capital of France?"}
PRODUCTS = ("promptcache", "semcache", "gateway", "cachecore")


class NoEmbedder:
    name, dimension, limit = "none", 2, 0

    def embed(self, texts: Sequence[str]) -> Any:
        raise OSError


class NoJudge:
    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return []


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    cache = Cache.open(tmp_path / "cache", embedder=NoEmbedder(), judge=NoJudge())
    yield cache
    await cache.close()


class World:
    def __init__(self, cache: Cache, folder: Path, behaviour: str) -> None:
        rule = f"name: chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat, {behaviour}"
        self.rules = Rules(Document.parse(f"version: 1\nupstreams: [{{{rule}}}]\n"))
        told, key = ProductsSpec(), ProviderKeys().of
        accounting = Accounting()
        faults, keys = Faults(accounting.fault), ApiKeys(folder)
        state = PromptCacheState(lambda: told.promptcache, key, cache, embedder="wordllama")
        self.secrets = [keys.create(owner)[0] for owner in ("ann", "bob")]
        environ = {"OPENAI_API_KEY": "sk-operator"}
        products: list[Product] = [
            PromptCache(cache, state, Verifier(faults)),
            Semcache(lambda: told.semcache, key),
            Gateway(keys, Users(), Rates(), accounting, faults, lambda: told.gateway, key, environ=environ),
            Cachecore(Dependencies(cache), Rates(), lambda: told.cachecore, key, believe=True),
        ]
        self.products = {product.name: product for product in products}

        async def compute(*_: Any) -> Any:
            raise NotImplementedError

        self.life = Life(rules=self.rules, cache=cache, accounting=accounting, faults=faults, compute=compute)

    def identity(self, name: Any, *, who: int = 0, model: str = "gpt-4o", system: str = "", **more: Any) -> Identity:
        messages = [{"role": "system", "content": system}] if system else []
        body = orjson.dumps({"model": model, "messages": [*messages, QUESTION], **more})
        secret = {
            "gateway": self.secrets[who],
            "cachecore": jwt.encode({"tenant_id": f"tenant-{who}"}, "s" * 32, "HS256"),
        }.get(name, f"sk-{who}")
        headers = {"content-type": "application/json", "authorization": f"Bearer {secret}"}
        request = Request("POST", "127.0.0.1", "/v1/chat/completions", "", headers, body, raw="r", client="10.0.0.1")
        claimed = self.products[name].claim(request, self.rules)
        assert isinstance(claimed, Passage), claimed
        exchange = self.life.begin(claimed.rule, claimed.request, claimed.terms)
        assert exchange.identity, exchange.bypass
        return exchange.identity


@pytest.mark.parametrize("name", PRODUCTS)
async def test_an_answer_crosses_neither_model_nor_system_prompt_nor_credential(
    cache: Cache, tmp_path: Path, name: str
) -> None:
    world = World(cache, tmp_path / "keys", STRICT)
    same = world.identity(name)
    assert world.identity(name) == same
    for other in ({"model": "gpt-4o-mini"}, {"system": "Be brief."}, {"who": 1}, {"temperature": 0}, {"tools": []}):
        assert world.identity(name, **other).partition != same.partition, other


async def test_products_share_what_the_same_caller_asked_the_same_provider(cache: Cache, tmp_path: Path) -> None:
    world = World(cache, tmp_path / "keys", STRICT)
    assert world.identity("promptcache") == world.identity("semcache")
    assert len({world.identity(name).partition for name in PRODUCTS}) == 3  # keys and tenants are callers of their own


@pytest.mark.parametrize("name", PRODUCTS)
async def test_an_operator_may_let_them(cache: Cache, tmp_path: Path, name: str) -> None:
    world = World(cache, tmp_path / "keys", LOOSE)
    same = world.identity(name)
    for other in ({"model": "gpt-4o-mini"}, {"system": "Be brief."}):
        assert world.identity(name, **other).partition == same.partition, other
    assert world.identity(name, temperature=0).partition != same.partition
    # A tenant's answers are that tenant's, whatever the rules say.
    assert (world.identity(name, who=1).partition == same.partition) is (name != "cachecore")
