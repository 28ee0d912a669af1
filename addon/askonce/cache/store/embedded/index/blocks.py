"""What finds the nearest of many vectors sooner than a scan: it holds the front part of a partition's rows.

One rule: a block knows rows and no ids; which vector a row is, and whether it is still there, `Index` knows.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from askonce.cache.judge import Vector

__all__ = ["Block", "Busy", "Graph", "Neighbours"]

STEP = 2
"""Vectors that a graph takes in between two searches: 2 ms at 100,000."""
COURTESY = 0.02
"""Seconds that searches which wait may keep a graph from growing, so that no crowd of them stops it for good."""


class Busy(TimeoutError):
    """The index is being searched or extended by others for longer than the caller would wait."""


class Block(Protocol):
    """Holds the front part of a partition's rows."""

    size: int
    """It holds the rows 0 to size - 1."""

    def search(self, vector: Vector, k: int, patience: float) -> NDArray[np.int64]:
        """The rows of about the `k` nearest, in any order. Raises Busy after `patience` seconds."""


class Neighbours:
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


class Graph:
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
