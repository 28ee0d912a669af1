"""A real cache in a temporary folder: the embedder that ships, a clock that stands still, a transparent judge."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.clock import Clock

from askonce.cache import Cache, CacheLimits, Candidate, Entry, Judgement, Lookup, Policy, Vector
from askonce.cache.embed import WordLlamaEmbedder
from askonce.cache.store import SharedPlace
from askonce.cache.uses import USES, Uses
from askonce.call import Answer, Call, Turn, Usage
from askonce.faults import Faults

LENIENT = Policy(max_error=0.2)


class CosineJudge:
    """The cosine is the probability."""

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [Judgement(candidate.cosine) for candidate in candidates]


class Bench:
    """One folder, and the calls that go through the cache in it; `open` again to restart."""

    def __init__(self, directory: Path, embedder: Any, clock: Clock, shared: SharedPlace | None = None) -> None:
        self.shared = shared
        self.directory, self.embedder, self.clock = directory, embedder, clock
        self.judge: Any = CosineJudge()
        self.limits = CacheLimits()
        self.lookup_deadline: float | None = None
        self.counted = Counter[str]()
        """Faults, by kind."""
        self.cache: Cache

    def open(self) -> Cache:
        self.cache = Cache.open(
            self.directory,
            embedder=self.embedder,
            judge=self.judge,
            limits=self.limits,
            lookup_deadline=self.lookup_deadline,
            clock=self.clock,
            faults=Faults(lambda kind: self.counted.update([kind])),
            shared=self.shared,
        )
        return self.cache

    async def restart(self) -> Cache:
        await self.cache.close()
        return self.open()

    def call(self, prompt: str, *, model: str = "m", exact_only: str = "", **parts: Any) -> Call:
        return Call(
            "openai-chat",
            prompt,
            cast(Any, {"model": model, **parts}),
            model=model,
            exact_only=exact_only,
            turns=(Turn("system", "Be brief."), Turn("user", prompt)),
        )

    def identify(self, call: Call, scope: str = "sk-1", namespace: str = "") -> Any:
        return self.cache.identify(call, host="api.openai.com", scope=scope, namespace=namespace)

    async def ask(
        self, prompt: str, policy: Policy = LENIENT, scope: str = "sk-1", namespace: str = "", **parts: Any
    ) -> Lookup:
        call = self.call(prompt, **parts)
        identity = self.identify(call, scope, namespace)
        return self.cache.look_up_in_memory(identity, policy) or await self.cache.look_up(call, identity, policy)

    async def remember(
        self,
        prompt: str,
        *,
        body: bytes = b'{"answer":42}',
        ttl: float = 3600,
        stale: float = 0,
        upstream: str = "openai-chat",
        scope: str = "sk-1",
        namespace: str = "",
        found: Lookup | None = None,
        uses: Uses = USES,
        **parts: Any,
    ) -> Entry:
        call = self.call(prompt, **parts)
        return await self.cache.remember(
            call,
            self.identify(call, scope, namespace),
            Answer(body, usage=Usage(9, 3), headers=(("openai-version", "2020-10-01"),)),
            upstream=upstream,
            host="api.openai.com",
            ttl=ttl,
            stale=stale,
            uses=uses,
            namespace=namespace,
            upstream_seconds=0.8,
            found=found,
        )


@pytest.fixture(scope="session")
def wordllama() -> WordLlamaEmbedder:
    return WordLlamaEmbedder()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def bench(
    tmp_path: Path, wordllama: WordLlamaEmbedder, clock: Clock, kept_at: SharedPlace | None
) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "data", wordllama, clock, kept_at)
    bench.open()
    yield bench
    await bench.cache.close()
