"""The cache as the rest of Askonce sees it: identity, index, judge and store behind one door.

The one rule here: a fault is a miss. Nothing in `exact` and `lookup` raises, each kind of fault is logged once an
hour, and all that computes or touches the disk runs in the cache's own threads.
"""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from askonce.cache.embed import Embedder, find_embedder
from askonce.cache.identity import Identifier, Identity, load_secret
from askonce.cache.indexes import Indexes
from askonce.cache.judge import Candidate, Judge, Vector
from askonce.cache.memory import Memory
from askonce.cache.store import Change, Entry, Filter, Store, StoreError
from askonce.call import Answer, Call

__all__ = ["Cache", "Limits", "Lookup", "Policy"]

logger = logging.getLogger(__name__)

EVERYTHING = Filter()
CANDIDATES = 5
"""Nearest entries that the judge is shown."""
LOADING_SECONDS = 2.0
"""How long a lookup waits, at most, for the embedder of a cache that has just been opened."""
REPEAT_SECONDS = 3600.0
"""A kind of fault is logged at most this often."""

LOADING = "embedder loading"
Entries = list[Entry]
Found = list[tuple[Entry, float]]


@dataclass(frozen=True, slots=True)
class Policy:
    """What one caller accepts."""

    semantic: bool = True
    max_error: float = 0.02
    """The share of served answers that may be wrong."""
    max_age: float | None = None
    """Seconds; from the request's Cache-Control."""
    min_similarity: float | None = None
    """Raw cosine; only ever tightens."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What was found, and why not more."""

    outcome: Literal["exact", "semantic", "miss"]
    entry: Entry | None = None
    similarity: float | None = None
    """Cosine of the entry served (1.0 for an exact one); on a miss, that of `nearest`."""
    probability: float | None = None
    """The judge's, of the same entry."""
    reason: str = ""
    """Why it is a miss: "no entry", "number: 5 / 7", "probability 0.91 < 0.98", "expired", …"""
    nearest: Entry | None = None
    """The candidate that came closest to being served, refused or not, for `cache why`."""
    stale: bool = False
    """The entry is past `expires` and not yet past `stale_until`: for a caller that has nothing better."""
    vector: Vector | None = field(default=None, repr=False, compare=False)
    """The prompt's vector where the lookup made one: give it to `remember`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept; the least recently used goes first."""

    max_entries: int = 100_000
    max_bytes: int = 2 << 30
    memory_bytes: int = 64 << 20
    """Entries held in memory for the hot path."""
    index_bytes: int = 256 << 20
    """Vectors held in memory."""


class Cache:
    """Finds and remembers answers. Its coroutines belong to one event loop; `close` it at the end."""

    def __init__(
        self, directory: Path, embedder: Embedder | str, judge: Judge, limits: Limits, clock: Callable[[], float]
    ) -> None:
        load = find_embedder(embedder) if isinstance(embedder, str) else lambda: embedder
        self._judge, self._clock = judge, clock
        self._told: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._memory = Memory(limits.memory_bytes)
        self._store = Store(directory, max_entries=limits.max_entries, max_bytes=limits.max_bytes, clock=clock)
        try:
            self._identifier = Identifier(load_secret(directory / "secret"))
        except (OSError, ValueError) as error:
            self._store.close()
            raise StoreError(f"the cache's secret cannot be used: {error}") from error
        self._pool = ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 2), thread_name_prefix="askonce-cache")
        self._background = ThreadPoolExecutor(1, thread_name_prefix="askonce-background")
        self._indexes = Indexes(directory / "index", self._store, self._background, limits.index_bytes)
        self._store.observe(self._follow)
        self._loading: Future[Embedder | None] = Future()
        if isinstance(embedder, str):
            self._background.submit(self._load, load)
        else:
            self._load(load)
        self._background.submit(self._indexes.sweep)
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        embedder: Embedder | str | None = None,
        judge: Judge,
        limits: Limits = Limits(),
        clock: Callable[[], float] = time.time,
    ) -> "Cache":
        """The cache in `directory`, made where missing.

        `embedder` is one at hand, or a name for `load_embedder`, loaded in the background; None is "wordllama".
        Raises ValueError for a name that does not exist.
        Raises StoreError where the directory cannot be used, another process holds it, or a newer Askonce wrote it.
        """
        return cls(directory, embedder or "wordllama", judge, limits, clock)

    async def ready(self) -> bool:
        """Wait until the embedder is loaded; false where it failed to, and only exact hits are to be had."""
        return await asyncio.wrap_future(self._loading_shielded()) is not None

    # The life of a call

    def identify(self, call: Call, *, host: str, scope: str, namespace: str = "") -> Identity:
        """See `Identifier.identify`."""
        return self._identifier.identify(call, host=host, scope=scope, namespace=namespace)

    def exact(self, identity: Identity, policy: Policy) -> Lookup | None:
        """A hit from memory, in microseconds; None = ask `lookup`."""
        id = self._store.keys.get(identity.exact)
        entry = None if id is None else self._memory.get(id)
        if entry is None:
            return None
        now = self._clock()
        if _unfit(entry, policy, now):
            return None
        return self._hit(_exact(entry, now))

    async def lookup(self, call: Call, identity: Identity, policy: Policy) -> Lookup:
        """The best that `policy` allows, from memory, disk and index. Never raises; a fault is a miss that says so."""
        try:
            found = await self._run(self._find, call, identity, policy)
            if found.reason == LOADING:
                await asyncio.wait({asyncio.wrap_future(self._loading_shielded())}, timeout=LOADING_SECONDS)
                found = await self._run(self._find, call, identity, policy)
        except Exception as error:
            self._report("lookup", "a lookup failed", error)
            found = Lookup("miss", reason="lookup failed")
        if found.entry and self._store.keys.get(bytes.fromhex(found.entry.key)) != found.entry.id:
            found = Lookup("miss", reason="deleted meanwhile", vector=found.vector)
        if found.entry:
            return self._hit(found)
        self._counts["miss"] += 1
        return found

    async def remember(
        self,
        call: Call,
        identity: Identity,
        answer: Answer,
        *,
        upstream: str,
        host: str,
        ttl: float,
        stale: float = 0,
        namespace: str = "",
        upstream_seconds: float,
        vector: Vector | None = None,
    ) -> Entry:
        """Keep `answer` for `ttl` seconds, and `stale` more for callers that have nothing better.

        Returns once it is committed. Raises StoreError, logged already. Without a vector of the embedder the entry
        serves identical calls only.
        """
        embedder = await asyncio.wrap_future(self._loading_shielded())
        if embedder is None or self._exact_only(call, embedder):
            vector = None
        elif vector is None:
            vector, _ = await self._run(self._embed, call.prompt, embedder)
        now = self._clock()
        entry = Entry(
            key=identity.key,
            partition=identity.partition,
            parts=identity.parts,
            upstream=upstream,
            host=host,
            wire=call.wire,
            model=call.model,
            namespace=namespace,
            prompt=call.prompt,
            turns=call.turns,
            answer=answer,
            created=now,
            expires=now + ttl,
            stale_until=now + ttl + stale,
            upstream_seconds=upstream_seconds,
            embedder=embedder.name if embedder and vector is not None else "",
            vector=vector,
        )
        try:
            kept = await asyncio.wrap_future(self._store.put(entry))
        except StoreError as error:
            self._report("store", "answers are not kept", error)
            raise
        self._counts["stored"] += 1
        return kept

    # Management; these raise StoreError

    async def get(self, key: str) -> Entry | None:
        """The entry of this key, expired or not."""
        return await self._run(self._store.get, key)

    async def list(self, filter: Filter = EVERYTHING, *, offset: int = 0, limit: int = 100) -> Entries:
        """A page of the entries that `filter` names, the newest first."""
        return await self._run(lambda: self._store.list(filter, offset=offset, limit=limit))

    async def count(self, filter: Filter = EVERYTHING) -> int:
        """How many entries `filter` names."""
        return await self._run(self._store.count, filter)

    async def search(self, text: str, limit: int = 10) -> Found:
        """Entries of all partitions near `text` and their cosine, the nearest first."""
        embedder = await asyncio.wrap_future(self._loading_shielded())
        if embedder is None:
            raise StoreError("there is no embedder to search with; the log of the start says why")
        return await self._run(self._search, text, limit, embedder)

    async def delete(self, key: str) -> bool:
        """Whether there was one to delete. Once this returns, it is never served again."""
        return await asyncio.wrap_future(self._store.delete(key))

    async def clear(self, filter: Filter = EVERYTHING) -> int:
        """Delete what `filter` names; how many. Once this returns, none of them is served again."""
        return await asyncio.wrap_future(self._store.clear(filter))

    async def flush(self) -> None:
        """Returns once everything asked before, hits included, is on disk."""
        await asyncio.wrap_future(self._store.flush())

    def stats(self) -> dict[str, Any]:
        """Sizes now, and counts since the start."""
        embedder = self._embedder()
        return {
            "entries": len(self._store),
            "bytes": self._store.size,
            "partitions": self._store.partitions,
            "memory_entries": len(self._memory),
            "memory_bytes": self._memory.size,
            "indexes": len(self._indexes),
            "index_bytes": self._indexes.size,
            "embedder": embedder.name if embedder else "",
            "exact_hits": self._counts["exact"],
            "semantic_hits": self._counts["semantic"],
            "misses": self._counts["miss"],
            "stored": self._counts["stored"],
            "evicted": self._store.evicted,
        }

    async def close(self) -> None:
        """Write what waits and let go of the directory. May be called twice."""
        if self._closing is None:
            closer = ThreadPoolExecutor(1, thread_name_prefix="askonce-close")
            self._closing = asyncio.get_running_loop().run_in_executor(closer, self._close)
            closer.shutdown(wait=False)
        await self._closing

    def _close(self) -> None:
        self._indexes.stop()
        self._background.shutdown(cancel_futures=True)
        self._pool.shutdown()
        if not self._loading.done():  # cancelled before it began
            self._loading.set_result(None)
        self._store.close()
        self._indexes.close()

    # Inside; these run in the cache's threads

    def _find(self, call: Call, identity: Identity, policy: Policy) -> Lookup:
        now = self._clock()
        reason = ""
        id = self._store.keys.get(identity.exact)
        if id is not None:
            entry = self._memory.get(id) or self._store.get(identity.key)
            if entry:
                reason = _unfit(entry, policy, now)
                if not reason:
                    self._memory.add(entry)
                    return _exact(entry, now)
        if not policy.semantic:
            return Lookup("miss", reason=reason or "no entry")
        embedder = self._embedder()
        if embedder is None:
            if call.exact_only or not self._store.change(identity.partition):
                return Lookup("miss", reason=reason or call.exact_only or "no entry")
            return Lookup("miss", reason=reason or "no embedder" if self._loading.done() else LOADING)
        exact_only = self._exact_only(call, embedder)
        if exact_only:
            return Lookup("miss", reason=reason or exact_only)
        found = self._reworded(call.prompt, identity.partition, policy, embedder, now)
        return replace(found, reason=reason) if reason and not found.entry else found

    def _reworded(self, prompt: str, partition: bytes, policy: Policy, embedder: Embedder, now: float) -> Lookup:
        index = self._indexes.get(partition, embedder)
        if not len(index):
            return Lookup("miss", reason="no entry")
        vector, fault = self._embed(prompt, embedder)
        if vector is None:
            return Lookup("miss", reason=fault)
        near = [
            (entry, cosine)
            for entry, cosine in self._entries(index.nearest(vector, CANDIDATES))
            if not _unfit(entry, policy, now) and entry.vector is not None
        ]
        if not near:
            return Lookup("miss", reason="no entry", vector=vector)
        floor = -1.0 if policy.min_similarity is None else policy.min_similarity
        if near[0][1] < floor:
            refused = f"similarity {near[0][1]:.3f} < {floor:.3f}"
            return Lookup("miss", None, near[0][1], reason=refused, nearest=near[0][0], vector=vector)
        near = [(entry, cosine) for entry, cosine in near if cosine >= floor]
        candidates = [Candidate(e.prompt, e.vector, cosine) for e, cosine in near if e.vector is not None]
        try:
            judged = list(zip(near, self._judge.judge(prompt, vector, candidates), strict=True))
        except Exception as error:
            self._report("judge", "the judge failed, so answers to reworded questions are not reused", error)
            return Lookup("miss", None, near[0][1], reason="judge failed", nearest=near[0][0], vector=vector)
        enough = 1 - policy.max_error
        good = [item for item in judged if item[1].probability >= enough]
        if not good:
            (entry, cosine), judgement = max(judged, key=lambda item: item[1].probability)
            reason = judgement.reason or f"probability {judgement.probability:.2f} < {enough:.2f}"
            return Lookup("miss", None, cosine, judgement.probability, reason, entry, vector=vector)
        (entry, cosine), judgement = max(good, key=lambda item: (now < item[0][0].expires, item[1].probability))
        stale = now >= entry.expires
        return Lookup("semantic", entry, cosine, judgement.probability, "", entry, stale, vector)

    def _entries(self, near: Sequence[tuple[int, float]]) -> Found:
        """The entries of (id, cosine) pairs that are still there, in their order."""
        found = {id: entry for id, _ in near if (entry := self._memory.get(id))}
        missing = [id for id, _ in near if id not in found]
        if missing:
            for entry in self._store.get_many(missing):
                found[entry.id] = entry
                self._memory.add(entry)
        return [(found[id], cosine) for id, cosine in near if id in found]

    def _embed(self, prompt: str, embedder: Embedder) -> tuple[Vector | None, str]:
        """The prompt's vector, or why there is none."""
        try:
            vector: Vector = np.asarray(embedder.embed([prompt])[0], dtype=np.float32)
            length = float(vector @ vector)
        except Exception as error:
            self._report("embedder", "the embedder failed, so reworded questions are not recognised", error)
            return None, "embedder failed"
        if vector.shape != (embedder.dimension,) or not abs(length - 1) < 1e-2:  # NaN is not less, either
            return None, "nothing in the prompt that the embedder knows"
        return vector, ""

    def _search(self, text: str, limit: int, embedder: Embedder) -> Found:
        vector, _ = self._embed(text, embedder)
        if vector is None or limit < 1:
            return []
        best: list[tuple[float, int]] = []
        for ids, rows in self._store.all_vectors(embedder.name, embedder.dimension):
            cosines = rows @ vector
            near = np.argsort(-cosines, kind="stable")[:limit]
            best = sorted([*best, *zip((-cosines[near]).tolist(), ids[near].tolist(), strict=True)])[:limit]
        entries = {entry.id: entry for entry in self._store.get_many([id for _, id in best])}
        return [(entries[id], -distance) for distance, id in best if id in entries]

    def _exact_only(self, call: Call, embedder: Embedder) -> str:
        """Why another wording cannot be recognised, or empty."""
        if call.exact_only:
            return call.exact_only
        if len(call.prompt) > embedder.limit:
            return f"prompt too long to compare ({len(call.prompt)} characters, at most {embedder.limit})"
        return ""

    def _follow(self, changes: Sequence[Change]) -> None:
        """What the store committed reaches memory. On the writer's thread, before anyone is told that it is done."""
        for change in changes:
            self._memory.remove(change.removed)
            if change.added:
                self._memory.add(change.added)
        self._indexes.follow(changes)

    def _load(self, load: Callable[[], Embedder]) -> None:
        embedder = None
        try:
            embedder = load()
        except Exception as error:
            self._report("embedder", "no embedder, so only identical questions are recognised", error)
        self._loading.set_result(embedder)

    def _embedder(self) -> Embedder | None:
        return self._loading.result() if self._loading.done() else None

    def _loading_shielded(self) -> "Future[Embedder | None]":
        """The loading embedder, in a future of the caller's own: cancelling it leaves the loading alone."""
        own: Future[Embedder | None] = Future()

        def hand_on(loading: "Future[Embedder | None]") -> None:
            if own.set_running_or_notify_cancel():
                own.set_result(loading.result())

        self._loading.add_done_callback(hand_on)
        return own

    async def _run[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closing is not None:
            raise StoreError("the cache is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **kwargs))

    def _hit(self, found: Lookup) -> Lookup:
        assert found.entry
        self._counts[found.outcome] += 1
        self._store.touch(found.entry.id)
        return found

    def _report(self, kind: str, what: str, error: Exception) -> None:
        now = time.monotonic()
        if now - self._told.get(kind, -REPEAT_SECONDS) >= REPEAT_SECONDS:
            self._told[kind] = now
            logger.warning("%s: %s", what, error or type(error).__name__, exc_info=not isinstance(error, StoreError))


def _unfit(entry: Entry, policy: Policy, now: float) -> str:
    """Why this caller cannot be given the entry at this time, or empty."""
    if now >= entry.stale_until or (policy.max_age is not None and now >= entry.expires):
        return "expired"
    if policy.max_age is not None and now - entry.created > policy.max_age:
        return "older than max-age"
    return ""


def _exact(entry: Entry, now: float) -> Lookup:
    return Lookup("exact", entry, 1.0, 1.0, "", entry, now >= entry.expires)
