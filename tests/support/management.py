"""The management API over a real cache, without a socket."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import httpx
import pytest
from tests.support.clock import Clock

from askonce.accounting import Accounting
from askonce.api.app import create_app
from askonce.api.checks import Parts
from askonce.api.history import ReadHistory
from askonce.api.rules import DescribeRules
from askonce.api.why import CompareEntries
from askonce.cache import Cache, CacheLimits, Candidate, Embedder, Entry, Judgement, NamedStores, Vector, load_embedder
from askonce.call import Answer, Call, Turn, Usage


class CosineJudge:
    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [Judgement(1.0 if candidate.cosine > 0.9 else 0.0) for candidate in candidates]


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return load_embedder("wordllama")


@pytest.fixture
async def cache(tmp_path: Path, embedder: Embedder) -> AsyncIterator[Cache]:
    cache = Cache.open(tmp_path, embedder=embedder, judge=CosineJudge())
    yield cache
    await cache.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def named_stores(tmp_path: Path, cache: Cache, clock: Clock) -> AsyncIterator[NamedStores]:
    named_stores = NamedStores(tmp_path / "named-stores", cache.embed, clock=clock)
    yield named_stores
    await named_stores.close()


@pytest.fixture
def accounting() -> Accounting:
    return Accounting()


@pytest.fixture
def remember(cache: Cache) -> Callable[..., Awaitable[Entry]]:
    """Stores an answer to `prompt`, as the life of a call does."""

    async def remember(
        prompt: str,
        *,
        model: str = "gpt-4o",
        namespace: str = "",
        body: bytes = b'{"choices":[{"message":{"content":"Paris"}}]}',
        content_type: str = "application/json",
        upstream: str = "openai-chat",
        request: bytes = b"",
    ) -> Entry:
        call = Call("openai-chat", prompt, {"model": model}, model=model, turns=(Turn("user", prompt),))
        return await cache.remember(
            call,
            cache.identify(call, host="api.openai.com", scope="key", namespace=namespace),
            Answer(body, content_type, Usage(9, 3)),
            upstream=upstream,
            host="api.openai.com",
            ttl=3600,
            namespace=namespace,
            upstream_seconds=0.8,
            request=request,
        )

    return remember


Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def connect(cache: Cache, accounting: Accounting) -> AsyncIterator[Connect]:
    """Clients of the app, made as the proxy makes it."""
    clients = []

    def connect(
        *,
        token: str | None = None,
        ready: Callable[[], str | None] = lambda: None,
        reload: Callable[[], Awaitable[None]] | None = None,
        headers: dict[str, str] | None = None,
        compare: CompareEntries | None = None,
        history: ReadHistory | None = None,
        rules: DescribeRules | None = None,
        parts: Parts | None = None,
        clock: Callable[[], float] = time.time,
    ) -> httpx.AsyncClient:
        app = create_app(
            cache,
            accounting,
            token=token,
            version="1.2.3",
            ready=ready,
            reload=reload,
            limits=CacheLimits(),
            ttl=lambda: 7 * 86400.0,
            compare=compare,
            history=history,
            rules=rules,
            parts=parts,
            clock=clock,
        )
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://askonce.internal",
            headers=headers,
        )
        clients.append(client)
        return client

    yield connect
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    """A client of an app without a token."""
    return connect()
