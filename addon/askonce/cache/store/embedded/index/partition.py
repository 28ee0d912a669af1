"""The nearest vectors of one partition.

The one rule here: an index is derived. Whatever is wrong with its snapshot, the answer is to build it again from the
store. Nothing slow (an import, a fit, a graph) happens in `add` or `nearest`, only in `fold`, and `fold` holds nothing
for long that those need.
"""

import os
import secrets
import threading
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from math import copysign
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from askonce.cache.judge import Vector
from askonce.cache.store.embedded.index.blocks import Block, Busy, Graph, Neighbours

__all__ = ["Index"]

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
        self._block: Block | None = None
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
        graph = self._rows.nbytes if isinstance(self._block, Graph) else 0
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
        return self._used - block.size > TAIL or (_is_for_a_graph(self._used) and not isinstance(block, Graph))

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
                graph = block if isinstance(block, Graph) else Graph(self.dimension)
                self._use(graph)
                if graph.size < used:
                    self.unsaved += 1  # else a stop would keep nothing of it, and every start begin again
                graph.extend(rows[:used], stop)
            elif used >= FIT_FROM and (block is None or block.size < used):
                self._use(Neighbours(rows[:used]))
        finally:
            self._folding.release()

    def _use(self, block: Block) -> None:
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
                graph = Graph(self.dimension)
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
        block: Block | None,
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
            graph = block.save() if isinstance(block, Graph) else np.empty(0, dtype=np.uint8)
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
                block = Graph(dimension, graph)
                if block.size <= len(ids):
                    index._use(block)
            return index
        except Exception:  # missing, torn, not a zip, not numpy's: all the same, it is rebuilt
            return None


def _is_for_a_graph(count: int) -> bool:
    return GRAPHS and count >= GRAPH_FROM


def _stamp(store: str, embedder: str, change: int) -> str:
    return f"askonce 1 {store} {change} {embedder}"
