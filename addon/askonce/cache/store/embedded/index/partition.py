"""The nearest vectors of one partition.

The one rule here: an index is derived. Whatever is wrong with its snapshot, the answer is to build it again from the
store. Nothing slow (an import, a fit, a graph) happens in `add` or `nearest`, only in `fold`, and `fold` holds nothing
for long that those need.
"""

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from math import copysign
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from askonce.cache.judge import Vector

__all__ = ["Busy", "Index"]

FIT_FROM = 4_096
"""Up to here a plain dot product finds the nearest (0.03 ms at 1,000 vectors of 256; NearestNeighbors takes 0.5)."""
GRAPH_FROM = 8_192
"""From here on an HNSW graph, where usearch is installed (0.15 ms at 20,000 vectors; a dot product 0.3,
NearestNeighbors 5)."""
GRAPHS = find_spec("usearch") is not None
TAIL = 512
"""So many vectors may wait to be folded in; they are found by a dot product meanwhile."""
SPARE = 32
"""So many removed vectors may stand in the way of the nearest before they are swept out."""
AT_ONCE = 16_384
"""So many vectors at most are scanned for who will not wait: 1 to 3 ms."""
STEP = 2
"""Vectors that a graph takes in between two searches: 2 ms at 100,000."""
COURTESY = 0.02
"""Seconds that searches which wait may keep a graph from growing, so that no crowd of them stops it for good."""


class Busy(TimeoutError):
    """The index is being searched or extended by others for longer than the caller would wait."""


class _Block(Protocol):
    size: int
    """It holds the rows 0 to size - 1."""

    def search(self, vector: Vector, k: int, patience: float) -> NDArray[np.int64]:
        """The rows of about the `k` nearest, in any order. Raises Busy after `patience` seconds."""


class _Neighbours:
    """scikit-learn's NearestNeighbors: exact, and fitted anew each time."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        import sklearn
        from sklearn.neighbors import NearestNeighbors

        self.size = len(rows)
        # On unit vectors the euclidean order is that of the cosine, at a third of its cost.
        self._context = sklearn.config_context
        with self._context(assume_finite=True, skip_parameter_validation=True):
            self._fitted = NearestNeighbors(metric="euclidean", algorithm="brute").fit(rows)

    def search(self, vector: Vector, k: int, patience: float) -> NDArray[np.int64]:
        with self._context(assume_finite=True, skip_parameter_validation=True):
            found: NDArray[np.int64] = self._fitted.kneighbors(
                vector[np.newaxis], min(k, self.size), return_distance=False
            )[0]
        return found


class _Graph:
    """usearch's HNSW: approximate, and grows.

    One lock, since growing moves what a search reads, and two searches on one of its threads share their scratch
    space. It is not fair: a thread that lets go and takes it again at once is nearly always first. So growing asks
    before each step whether a search waits, and lets it go first.
    """

    def __init__(self, dimension: int, saved: NDArray[np.uint8] | None = None) -> None:
        from usearch.index import Index as Usearch

        self._lock = threading.Lock()
        made: Any = Usearch(ndim=dimension, metric="ip", dtype="f16")
        if saved is not None:
            made.load(saved, progress=_breathing())
        if made.ndim != dimension:
            raise ValueError("not a graph of this dimension")
        self._graph = made
        self.size = len(made)
        self._waiting = set[int]()
        """Threads with a search to make."""

    def extend(self, rows: NDArray[np.float32], stop: threading.Event) -> None:
        """Take in `rows[size:]`, a few at a time so that searches come between; what `stop` leaves is tail."""
        for start in range(self.size, len(rows), STEP):
            if stop.is_set():
                break
            self._give_way()
            part = rows[start : start + STEP]
            with self._lock:
                self._graph.add(np.arange(start, start + len(part), dtype=np.uint64), part, threads=1)
                self.size = start + len(part)

    def _give_way(self) -> None:
        end = time.monotonic() + COURTESY
        while self._waiting and time.monotonic() < end:
            time.sleep(0.0002)

    def search(self, vector: Vector, k: int, patience: float) -> NDArray[np.int64]:
        if not self._lock.acquire(blocking=False):
            self._wait(patience)
        try:
            found: NDArray[np.int64] = self._graph.search(vector, k, threads=1).keys.astype(np.int64)
        finally:
            self._lock.release()
        return found

    def _wait(self, patience: float) -> None:
        if patience <= 0:
            raise Busy
        thread = threading.get_ident()
        self._waiting.add(thread)
        try:
            if not self._lock.acquire(timeout=patience):
                raise Busy
        finally:
            self._waiting.discard(thread)

    def save(self) -> NDArray[np.uint8]:
        """Its bytes. Not while it is extended; searches go on, which like this only read it."""
        return np.frombuffer(self._graph.save(progress=_breathing()), dtype=np.uint8)


def _breathing() -> Callable[[int, int], bool]:
    """For usearch, which reads and writes 100,000 vectors in 100 to 400 ms without letting go of the interpreter: it
    calls this for each, and now and then all others come to run."""
    count = 0

    def progress(done: int, total: int) -> bool:
        nonlocal count
        count += 1
        if not count % 64:
            time.sleep(0)
        return True

    return progress


class Index:
    """Vectors by id: the nearest by cosine. Thread-safe.

    Rows are only ever appended; a removed one loses its id and is swept out by a later `fold`. The front part may be
    held by a block that searches faster, the tail behind it is scanned.
    """

    def __init__(self, dimension: int, embedder: str = "", change: int = 0) -> None:
        self.dimension = dimension
        self.embedder = embedder
        self.change = change
        """The number of the partition's last change in the store that is in here."""
        self.unsaved = 0
        """Vectors added or removed since the last `save`."""
        self._lock = threading.RLock()
        """Of changes. Searches take none: they read `_seen`."""
        self._folding = threading.Lock()
        self._rows: NDArray[np.float32] = np.empty((1, dimension), dtype=np.float32)
        self._ids: NDArray[np.int64] = np.empty(1, dtype=np.int64)
        self._used = 0
        self._row_of: dict[int, int] = {}
        self._block: _Block | None = None
        self._removed: list[int] | None = None
        """Ids removed since a sweep began; None where there is none under way."""
        self._show()

    def _show(self) -> None:
        """Let searches see what was changed, all at once. Rows up to `_used` never change, ids become -1 in place."""
        self._seen = self._rows, self._ids, self._used, self._block

    @classmethod
    def of(
        cls, ids: NDArray[np.int64], rows: NDArray[np.float32], *, dimension: int, embedder: str = "", change: int = 0
    ) -> "Index":
        """An index over unit `rows` (n, dimension) with their `ids` (n,); an id of -1 is no vector."""
        if rows.shape != (len(ids), dimension):
            raise ValueError(f"rows of shape {rows.shape}, expected {(len(ids), dimension)}")
        index = cls(dimension, embedder, change)
        if len(ids):
            index._ids, index._rows, index._used = ids, rows, len(ids)
            index._row_of = {id: row for row, id in enumerate(ids.tolist()) if id >= 0}
            index._show()
        return index

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def nbytes(self) -> int:
        """Memory held, roughly."""
        graph = self._rows.nbytes if isinstance(self._block, _Graph) else 0
        return 1_000 + self._rows.nbytes + graph + 150 * self._used

    @property
    def _is_littered(self) -> bool:
        return self._used - len(self._row_of) > max(SPARE, self._used // 8)

    @property
    def unfolded(self) -> bool:
        """It is time to call `fold`."""
        if self._is_littered:
            return True
        block = self._block
        if block is None:
            return self._used >= FIT_FROM
        return self._used - block.size > TAIL or (_is_for_a_graph(self._used) and not isinstance(block, _Graph))

    def add(self, id: int, vector: Vector) -> None:
        """Add a unit vector (dimension,), or replace the one with this id."""
        if vector.shape != (self.dimension,):
            raise ValueError(f"a vector of shape {vector.shape}, expected {(self.dimension,)}")
        with self._lock:
            self.remove(id)
            self._append(id, vector)
            self.unsaved += 1
            self._show()

    def _append(self, id: int, vector: Vector) -> None:
        if self._used == len(self._ids):
            room = max(4, 2 * self._used)
            rows, ids = np.empty((room, self.dimension), dtype=np.float32), np.empty(room, dtype=np.int64)
            rows[: self._used], ids[: self._used] = self._rows[: self._used], self._ids[: self._used]
            self._rows, self._ids = rows, ids
        self._rows[self._used], self._ids[self._used] = vector, id
        self._row_of[id] = self._used
        self._used += 1

    def remove(self, id: int) -> bool:
        """Forget a vector, at once; false where there is none."""
        with self._lock:
            row = self._row_of.pop(id, None)
            if row is None:
                return False
            self._ids[row] = -1
            self.unsaved += 1
            if self._removed is not None:
                self._removed.append(id)
            return True

    def apply(self, change: int, removed: Iterable[int], added: Iterable[tuple[int, Vector]]) -> None:
        """One change of the partition as the store numbered it; one that is already in here is passed over."""
        with self._lock:
            if change <= self.change:
                return
            for id in removed:
                self.remove(id)
            for id, vector in added:
                self.add(id, vector)
            self.change = change

    def nearest(
        self, vector: Vector, k: int, among: Sequence[int] | None = None, *, patience: float = 10.0
    ) -> list[tuple[int, float]]:
        """Up to `k` (id, cosine), the nearest first. Exact below `GRAPH_FROM` vectors, nearly so above.

        `among` are the only ids that count: the nearest of them, exactly. Raises Busy where the graph is in use by
        others for more than `patience` seconds, and without any where finding them takes more than some milliseconds.
        """
        if among is not None:
            return self._nearest_among(vector, k, among)
        rows, ids, used, block = self._seen
        dead = max(0, used - len(self._row_of))
        if not used or k < 1:
            return []
        start = min(block.size, used) if block else 0
        if patience <= 0 and used - start > AT_ONCE:
            raise Busy
        cosines = rows[start:used] @ vector
        if dead:
            cosines[ids[start:used] < 0] = -2.0
        found: NDArray[np.int64] | None = None
        if len(cosines) > k:
            near = cosines.argpartition(-k)[-k:]
            found, cosines = near + start, cosines[near]
        if block:
            front = block.search(vector, k + min(dead, SPARE), patience)
            front = front[front < start]  # a graph may have grown since
            found = np.concatenate((front, np.arange(start, used) if found is None else found))
            cosines = np.concatenate((rows[front] @ vector, cosines))
        named = ids[:used] if found is None else ids[found]
        # A dozen at most, which Python sorts in the time that numpy takes to be called.
        pairs = sorted(zip(cosines.tolist(), named.tolist(), strict=True), reverse=True)
        # Of two unit vectors, a product may be one by a rounding too much.
        return [(id, cos if -1.0 <= cos <= 1.0 else copysign(1.0, cos)) for cos, id in pairs if id >= 0][:k]

    def _nearest_among(self, vector: Vector, k: int, among: Sequence[int]) -> list[tuple[int, float]]:
        with self._lock:
            rows, found = self._rows, [(id, row) for id in among if (row := self._row_of.get(id)) is not None]
        if not found:
            return []
        cosines = rows[[row for _, row in found]] @ vector
        order = np.argsort(-cosines, kind="stable")[: max(0, k)]
        return [(found[at][0], min(1.0, max(-1.0, float(cosines[at])))) for at in order.tolist()]

    def fold(self, stop: threading.Event | None = None) -> None:
        """Sweep out what was removed and take the tail into the block: milliseconds to a minute, never on a call's way.

        `stop` ends a long one early; what it left out is still found.
        """
        if not self._folding.acquire(blocking=False):
            return
        try:
            stop = stop or threading.Event()
            if self._is_littered:
                self._sweep(stop)
            rows, _, used, block = self._seen
            if _is_for_a_graph(used):
                graph = block if isinstance(block, _Graph) else _Graph(self.dimension)
                self._use(graph)
                if graph.size < used:
                    self.unsaved += 1  # else a stop would keep nothing of it, and every start begin again
                graph.extend(rows[:used], stop)
            elif used >= FIT_FROM and (block is None or block.size < used):
                self._use(_Neighbours(rows[:used]))
        finally:
            self._folding.release()

    def _use(self, block: _Block) -> None:
        with self._lock:
            self._block = block
            self._show()

    def _sweep(self, stop: threading.Event) -> None:
        """Put the vectors that are left together, beside the old ones, which serve until all is there."""
        with self._lock:
            rows, used = self._rows, self._used
            ids, self._removed = self._ids[:used].copy(), []
        try:
            kept = np.flatnonzero(ids >= 0)
            room = max(4, len(kept) + len(kept) // 8)
            fresh = np.empty((room, self.dimension), dtype=np.float32), np.empty(room, dtype=np.int64)
            fresh[0][: len(kept)], fresh[1][: len(kept)] = rows[kept], ids[kept]
            row_of = {id: row for row, id in enumerate(ids[kept].tolist())}
            graph = None
            if _is_for_a_graph(len(kept)):
                graph = _Graph(self.dimension)
                graph.extend(fresh[0][: len(kept)], stop)
                if stop.is_set():
                    return
            with self._lock:
                self._swap(fresh, row_of, len(kept), used, graph)
        finally:
            self._removed = None

    def _swap(
        self,
        fresh: tuple[NDArray[np.float32], NDArray[np.int64]],
        row_of: dict[int, int],
        kept: int,
        swept: int,
        block: _Block | None,
    ) -> None:
        """Put `kept` rows and ids in place of the first `swept`, with what came and went meanwhile."""
        for id in self._removed or ():
            if (row := row_of.pop(id, None)) is not None:
                fresh[1][row] = -1
        rows, ids, used = self._rows, self._ids, self._used
        (self._rows, self._ids), self._used, self._row_of, self._block = fresh, kept, row_of, block
        for row in range(swept, used):
            if ids[row] >= 0:
                self._append(int(ids[row]), rows[row])
        self.unsaved += 1
        self._show()

    def save(self, path: Path, store: str) -> None:
        """Write a snapshot, whole or not at all (mode 0600). `store` names the store it is derived from."""
        with self._folding:
            with self._lock:
                stamp = _stamp(store, self.embedder, self.change)
                rows, ids = self._rows[: self._used], self._ids[: self._used].copy()
                block, pending = self._block, self.unsaved
            graph = block.save() if isinstance(block, _Graph) else np.empty(0, dtype=np.uint8)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                np.savez(file, stamp=np.array(stamp), ids=ids, rows=rows, graph=graph)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        with self._lock:
            self.unsaved -= pending

    @classmethod
    def load(cls, path: Path, store: str, *, dimension: int, embedder: str, change: int) -> "Index | None":
        """The snapshot at `path` if it is whole and exactly of this store, embedder and change; else None."""
        try:
            # A zip: every part is read against its checksum.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                if str(saved["stamp"]) != _stamp(store, embedder, change):
                    return None
                ids, rows, graph = saved["ids"], saved["rows"], saved["graph"]
            if ids.dtype != np.int64 or rows.dtype != np.float32:
                return None
            index = cls.of(ids, rows, dimension=dimension, embedder=embedder, change=change)
            if GRAPHS and len(graph):
                block = _Graph(dimension, graph)
                if block.size <= len(ids):
                    index._use(block)
            return index
        except Exception:  # missing, torn, not a zip, not numpy's: all the same, it is rebuilt
            return None


def _is_for_a_graph(count: int) -> bool:
    return GRAPHS and count >= GRAPH_FROM


def _stamp(store: str, embedder: str, change: int) -> str:
    return f"askonce 1 {store} {change} {embedder}"
