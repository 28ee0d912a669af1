"""A cache of the product's own in a temporary folder, to ask it things and throw it away.

One rule: it is opened, asked and told as a proxy does it; only the embedding of many texts is done ahead, in batches,
because an embedder behind a network is slow one text at a time.
"""

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from askonce.cache import Cache, CacheLimits, Embedder, Identity, Judge, Lookup
from askonce.call import Answer, Call

__all__ = ["BLANK", "HOST", "Known", "OnProgress", "TrialCall", "keep", "opened", "unwatched"]

HOST = "quality.invalid"
FOREVER = 1e9
BATCH = 256
BLANK = " "
"""Asks nothing."""

OnProgress = Callable[[str, int], Callable[[], None]]
"""watch("embedding", 500) -> what to call after each of 500 steps."""


def unwatched(_phase: str, _total: int) -> Callable[[], None]:
    """Nobody looks."""
    return lambda: None


class Known:
    """An embedder whose vectors of some texts are known."""

    def __init__(self, embedder: Embedder, texts: Iterable[str], watch: OnProgress = unwatched) -> None:
        """Raises what the embedder raises."""
        self._embedder = embedder
        self.name, self.dimension, self.limit = embedder.name, embedder.dimension, embedder.limit
        self._vectors = {BLANK: np.zeros(embedder.dimension, dtype=np.float32)}
        distinct = list(dict.fromkeys(texts))
        step = watch("embedding", len(distinct))
        start = time.perf_counter()
        for first in range(0, len(distinct), BATCH):
            batch = distinct[first : first + BATCH]
            for text, vector in zip(batch, embedder.embed(batch), strict=True):
                self._vectors[text] = vector
                step()
        self.us_per_text = (time.perf_counter() - start) / max(1, len(distinct)) * 1e6

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        known = [self._vectors.get(text) for text in texts]
        made = [self._embedder.embed([text])[0] if row is None else row for text, row in zip(texts, known, strict=True)]
        return np.array(made, dtype=np.float32).reshape(len(texts), self.dimension)


@dataclass(frozen=True, slots=True)
class TrialCall:
    """A call that asks `text`, and who it is."""

    call: Call
    identity: Identity

    @classmethod
    def of(cls, cache: Cache, text: str, namespace: str = "") -> "TrialCall":
        call = Call("generic", text, {})
        return cls(call, cache.identify(call, host=HOST, scope="", namespace=namespace))


@asynccontextmanager
async def opened(embedder: Embedder, judge: Judge, entries: int) -> AsyncIterator[Cache]:
    """An empty cache with room for `entries`."""
    with tempfile.TemporaryDirectory(prefix="askonce-quality-") as folder:
        cache = Cache.open(
            Path(folder), embedder=embedder, judge=judge, limits=CacheLimits(max_entries=entries + 1, max_bytes=1 << 40)
        )
        try:
            yield cache
        finally:
            await cache.close()


async def keep(
    cache: Cache, question: TrialCall, answer: str, namespace: str = "", found: Lookup | None = None
) -> None:
    """Remember `answer` for `question`, whose lookup found `found`."""
    await cache.remember(
        question.call,
        question.identity,
        Answer(answer.encode(), "text/plain"),
        upstream="quality",
        host=HOST,
        ttl=FOREVER,
        namespace=namespace,
        upstream_seconds=1.0,
        found=found,
    )
