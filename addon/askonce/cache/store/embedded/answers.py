"""The store of answers in a folder: rows on disk, the entries used last and the vectors in memory.

One rule: memory follows what is committed, on the writer's thread, before anyone is told that it is done.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from askonce.cache.embed import Embedder
from askonce.cache.identity import load_secret
from askonce.cache.judge import Vector
from askonce.cache.learning.pools import Observation
from askonce.cache.store.embedded.index.blocks import Busy
from askonce.cache.store.embedded.index.indexes import Indexes
from askonce.cache.store.embedded.index.partition import Index
from askonce.cache.store.embedded.store import Store
from askonce.cache.store.embedded.transaction import Change
from askonce.cache.store.entry import Entry, Filter, StoreError
from askonce.cache.store.memory import Memory
from askonce.cache.store.protocol import (
    EVERYTHING,
    CacheLimits,
    Entries,
    Near,
    NotAtOnceError,
    Observer,
    StoreStats,
)
from askonce.faults import Faults

__all__ = ["EmbeddedAnswers"]

PATIENCE = 1.0
"""Seconds that a thread waits for an index in use; whoever waits for the thread gives up long before."""


class EmbeddedAnswers:
    """An `AnswerStore`."""

    flights = None

    def __init__(self, directory: Path, limits: CacheLimits, *, clock: Callable[[], float], faults: Faults) -> None:
        """Raises StoreError; see `Store`."""
        self._directory = directory
        self._memory = Memory(limits.memory_bytes)
        self._rows = Store(
            directory,
            max_entries=limits.max_entries,
            max_bytes=limits.max_bytes,
            max_share=limits.max_share,
            clock=clock,
            faults=faults,
        )
        self._background = ThreadPoolExecutor(1, thread_name_prefix="askonce-indexes")
        self._indexes = Indexes(directory / "index", self._rows, self._background, limits.index_bytes, faults)
        self._followers: list[Observer] = []
        self._rows.observe(self._follow)
        self._indexes.sweep()

    def follow(self, follower: Observer) -> None:
        self._followers.append(follower)

    def secret(self) -> bytes:
        try:
            return load_secret(self._directory / "secret")
        except (OSError, ValueError) as error:
            raise StoreError(f"the cache's secret cannot be used: {error}") from error

    def _follow(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._memory.remove(change.removed)
            for follower in self._followers:
                follower.forget(change.removed)
            if change.added:
                self._memory.add(change.added)
        self._indexes.follow(changes)

    # Looking up

    def held(self, key: bytes) -> Entry | None:
        id = self._rows.keys.get(key)
        return None if id is None else self._memory.get(id)

    def lacks(self, key: bytes) -> bool:
        return key not in self._rows.keys

    def has(self, key: bytes) -> bool:
        return key in self._rows.keys

    def is_there(self, entry: Entry) -> bool:
        return self._rows.keys.get(bytes.fromhex(entry.key)) == entry.id

    def same(self, partition: bytes, key: bytes) -> Entry | None:
        id = self._rows.keys.get(key)
        if id is None:
            return None
        if (entry := self._memory.get(id)) is None and (entry := self._rows.get(key.hex())) is not None:
            self._memory.add(entry)
        return entry

    def alias_of(self, partition: bytes, key: bytes, *, at_once: bool = False) -> bytes | None:
        return self._rows.aliases.get(key)

    def is_empty(self, partition: bytes) -> bool:
        return not self._rows.change(partition)

    def may_have_near(self, partition: bytes, embedder: Embedder, *, at_once: bool = False) -> bool:
        return len(self._index(partition, embedder, at_once=at_once)) > 0

    def nearest(
        self,
        partition: bytes,
        embedder: Embedder,
        vector: Vector,
        most: int | None,
        *,
        among: Filter | None = None,
        at_once: bool = False,
    ) -> list[Near]:
        index = self._index(partition, embedder, at_once=at_once)
        ids = None if among is None else self._rows.ids(among)
        most = len(index) if most is None else most
        try:
            found = index.nearest(vector, most, ids, patience=0.0 if at_once else PATIENCE)
        except Busy:
            if at_once:
                raise NotAtOnceError from None
            raise
        kins = self._rows.kins
        return [Near(id, cosine, kins.get(id, 0)) for id, cosine in found]

    def take(self, partition: bytes, ids: Sequence[int], *, at_once: bool = False) -> dict[int, Entry]:
        found = self._memory.get_many(ids)
        missing = [id for id in ids if id not in found]
        if missing:
            if at_once:
                raise NotAtOnceError
            for entry in self._rows.get_many(missing):
                found[entry.id] = entry
                self._memory.add(entry)
        return found

    def touch(self, partition: bytes, id: int) -> None:
        self._rows.touch(id)

    def _index(self, partition: bytes, embedder: Embedder, *, at_once: bool) -> Index:
        if not at_once:
            return self._indexes.get(partition, embedder)
        if (index := self._indexes.loaded(partition, embedder)) is None:
            raise NotAtOnceError
        return index

    # Management

    def get(self, key: str) -> Entry | None:
        return self._rows.get(key)

    def request(self, key: str) -> bytes:
        return self._rows.request(key)

    def list(self, filter: Filter = EVERYTHING, *, offset: int = 0, limit: int = 100) -> Entries:
        return self._rows.list(filter, offset=offset, limit=limit)

    def after(self, id: int, limit: int) -> Entries:
        return self._rows.after(id, limit)

    def alike(self, prompt: str, limit: int) -> Entries:
        return self._rows.alike(prompt, limit)

    def count(self, filter: Filter = EVERYTHING) -> int:
        return self._rows.count(filter)

    def search(self, embedder: Embedder, vector: Vector, limit: int) -> Sequence[tuple[Entry, float]]:
        if limit < 1:
            return []
        best: Sequence[tuple[float, int]] = []
        for ids, rows in self._rows.all_vectors(embedder.name, embedder.dimension):
            cosines = rows @ vector
            near = np.argsort(-cosines, kind="stable")[:limit]
            best = sorted([*best, *zip((-cosines[near]).tolist(), ids[near].tolist(), strict=True)])[:limit]
        entries = {entry.id: entry for entry in self._rows.get_many([id for _, id in best])}
        return [(entries[id], -distance) for distance, id in best if id in entries]

    def observations(self) -> Sequence[Observation]:
        return self._rows.observations()

    def upstream_of(self, partition: bytes) -> str:
        return self._rows.upstream_of(partition)

    def refused(self) -> Sequence[bytes]:
        return self._rows.refused()

    @property
    def failure(self) -> str:
        return self._rows.failure

    def stats(self) -> StoreStats:
        rows = self._rows
        return StoreStats(
            entries=len(rows),
            bytes=rows.size,
            partitions=rows.partitions,
            memory_entries=len(self._memory),
            memory_bytes=self._memory.size,
            indexes=len(self._indexes),
            index_bytes=self._indexes.size,
            evicted=rows.evicted,
            evicted_over_share=rows.evicted_over_share,
            failure=rows.failure,
        )

    # Writing

    def put(self, entry: Entry) -> Future[Entry]:
        return self._rows.put(entry)

    def put_over(self, entry: Entry) -> Future[Entry | None]:
        return self._rows.put_over(entry)

    def delete(self, key: str) -> Future[bool]:
        return self._rows.delete(key)

    def clear(self, filter: Filter = EVERYTHING) -> Future[int]:
        return self._rows.clear(filter)

    def observe_answer(self, observation: Observation, refused: bytes | None = None) -> Future[None]:
        return self._rows.observe_answer(observation, refused)

    def refuse(self, pair: bytes, time: float) -> Future[None]:
        return self._rows.refuse(pair, time)

    def keep_verdict(self, observation: Observation, key: bytes, entry: str, pair: bytes) -> Future[None]:
        return self._rows.keep_verdict(observation, key, entry, pair)

    def spend(self, name: str, day: int, most: int) -> Future[bool]:
        return self._rows.spend(name, day, most)

    def flush(self) -> Future[None]:
        return self._rows.flush()

    def close(self) -> None:
        self._indexes.stop()
        self._background.shutdown(cancel_futures=True)
        self._rows.close()
        self._indexes.close()
