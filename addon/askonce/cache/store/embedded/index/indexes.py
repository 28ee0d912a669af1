"""The indexes that are in memory: read in when a partition is asked for, kept in step with the store, let go when
room is short.

The one rule here: an index follows the store's numbered changes, each exactly once and in order, so that its number
says exactly what is in it. Reading one in and following happen under one lock for that reason.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

from askonce.cache.embed import Embedder
from askonce.cache.store.embedded.index.partition import GRAPH_FROM, GRAPHS, Index
from askonce.cache.store.embedded.store import Store
from askonce.cache.store.embedded.transaction import Change
from askonce.faults import Faults

__all__ = ["Indexes"]

logger = logging.getLogger("askonce")

MOST = 4_096
"""Indexes in memory; conversations make many partitions of one entry."""
SNAPSHOT_FROM = 512
"""Vectors from which a snapshot pays: below, reading them from the store takes a few milliseconds."""


class Indexes:
    """Index by partition, at most `max_bytes` of them. Thread-safe."""

    def __init__(self, directory: Path, store: Store, background: Executor, max_bytes: int, faults: Faults) -> None:
        """`background` folds and writes snapshots to `directory`; one thread is enough."""
        self._directory, self._store, self._background, self._max_bytes = directory, store, background, max_bytes
        self._faults = faults
        self.size = 0
        """Bytes, roughly."""
        self._loaded: OrderedDict[bytes, Index] = OrderedDict()
        self._sizes: dict[bytes, int] = {}
        self._busy: set[bytes] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._told = GRAPHS
        """Whether it was said what large partitions need."""

    def __len__(self) -> int:
        return len(self._loaded)

    def get(self, partition: bytes, embedder: Embedder) -> Index:
        """The partition's index of vectors by `embedder`; may read the disk, and raise StoreError."""
        if (index := self.loaded(partition, embedder)) is not None:
            return index
        with self._lock:
            index = self._loaded.get(partition)
            if index is None or index.embedder != embedder.name:
                index = self._read(partition, embedder)
                self._loaded[partition] = index
                self._weigh(partition, index)
            self._loaded.move_to_end(partition)
            self._make_room()
        self._tend(partition, index)
        return index

    def loaded(self, partition: bytes, embedder: Embedder) -> Index | None:
        """The same where it is in memory; in microseconds."""
        index = self._loaded.get(partition)
        if index is None or index.embedder != embedder.name:
            return None
        try:  # noqa: SIM105  # every miss comes by here
            self._loaded.move_to_end(partition)
        except KeyError:  # let go at this very moment, it serves all the same
            pass
        return index

    def follow(self, changes: Iterable[Change]) -> None:
        """Take in what the store has committed."""
        for change in changes:
            partition = change.partition
            with self._lock:
                index = self._loaded.get(partition)
                if index is not None:
                    entry = change.added
                    fits = entry is not None and entry.vector is not None and entry.embedder == index.embedder
                    added = [(entry.id, entry.vector)] if fits and entry and entry.vector is not None else []
                    try:
                        index.apply(change.number, change.removed, added)
                    except Exception:  # a vector that does not fit, memory: read in again, which leaves it out
                        self._drop(partition)
                        index = None
                    else:
                        self._weigh(partition, index)
                        self._make_room()
            if index is not None:
                self._tend(partition, index)
            if change.emptied:
                self._later(self._forget, partition)

    def sweep(self) -> None:
        """Delete, in the background, the snapshots of partitions that are no more and what a killed process left
        half-written."""
        self._later(self._sweep)

    def _sweep(self) -> None:
        for path in self._directory.glob("*"):
            try:
                known = path.suffix == ".npz" and self._store.change(bytes.fromhex(path.stem)) > 0
            except ValueError:
                known = False
            if not known:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write the snapshots that pay. `background` must have been told to end, and the store must not change."""
        self._stop.set()
        with self._lock:
            for partition, index in self._loaded.items():
                self._save(partition, index)

    def stop(self) -> None:
        """End long work in the background early."""
        self._stop.set()

    def _read(self, partition: bytes, embedder: Embedder) -> Index:
        name, dimension = embedder.name, embedder.dimension
        path = self._path(partition)
        if path.exists():
            change = self._store.change(partition)
            index = Index.load(path, self._store.id, dimension=dimension, embedder=name, change=change)
            if index is not None:
                return index
        vectors = self._store.vectors(partition, name, dimension)
        index = Index.of(vectors.ids, vectors.rows, dimension=dimension, embedder=name, change=vectors.change)
        index.unsaved = len(index)
        return index

    def _weigh(self, partition: bytes, index: Index) -> None:
        size = index.nbytes
        self.size += size - self._sizes.get(partition, 0)
        self._sizes[partition] = size

    def _drop(self, partition: bytes) -> None:
        self._loaded.pop(partition, None)
        self.size -= self._sizes.pop(partition, 0)

    def _make_room(self) -> None:
        while len(self._loaded) > 1 and (len(self._loaded) > MOST or self.size > self._max_bytes):
            partition, index = self._loaded.popitem(last=False)
            self.size -= self._sizes.pop(partition, 0)
            if len(index) >= SNAPSHOT_FROM:
                self._later(self._save, partition, index)

    def _tend(self, partition: bytes, index: Index) -> None:
        """Have done in the background what would keep a call waiting."""
        if not self._told and len(index) >= GRAPH_FROM:
            self._told = True
            logger.info(
                'over %d questions of one kind are compared one by one; pip install "askonce[graph]" makes it faster',
                GRAPH_FROM,
            )
        if partition in self._busy or not (index.unfolded or index.unsaved >= max(SNAPSHOT_FROM, len(index) // 4)):
            return
        self._busy.add(partition)
        self._later(self._fold_and_save, partition, index)

    def _fold_and_save(self, partition: bytes, index: Index) -> None:
        if index.unfolded:
            index.fold(self._stop)
        if not self._stop.is_set():
            self._save(partition, index)
        with self._lock:
            if self._loaded.get(partition) is index:
                self._weigh(partition, index)
        self._busy.discard(partition)  # not after a fault: the scan goes on serving, and the log has said why once

    def _save(self, partition: bytes, index: Index) -> None:
        if not index.unsaved or len(index) < SNAPSHOT_FROM:
            return
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            index.save(self._path(partition), self._store.id)
        except OSError as error:  # a full disk
            self._faults.report("index", error, "the next start reads the database instead")

    def _forget(self, partition: bytes) -> None:
        if not self._store.change(partition):
            self._path(partition).unlink(missing_ok=True)

    def _path(self, partition: bytes) -> Path:
        return self._directory / f"{partition.hex()}.npz"

    def _later(self, job: object, *args: object) -> None:
        try:
            self._background.submit(self._quietly, job, *args)
        except RuntimeError:  # closing
            self._busy.clear()

    def _quietly(self, job: object, *args: object) -> None:
        try:
            job(*args)  # type: ignore[operator]
        except Exception as error:
            self._faults.report("index", error, "it serves on, only slower")
