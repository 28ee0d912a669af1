"""What is asked of the tables of the embedded store. One rule: each read sees what is committed, from a connection of
its own."""

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from askonce.cache.learning.pools import Observation
from askonce.cache.store.embedded import database
from askonce.cache.store.embedded.writer import EmbeddedWriter
from askonce.cache.store.entry import COLUMNS, Entry, Filter, StoreError, from_row, raw_key
from askonce.cache.store.protocol import EVERYTHING, Entries

__all__ = ["EmbeddedReader", "Vectors", "failure"]

Block = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Ids (n,) and their vectors (n, dimension)."""

_PART = 4096
"""Vectors that are read at a time."""
_SELECT = (
    f"SELECT {', '.join('entry.' + name for name in COLUMNS.split(', '))}, "
    "entry.id, usage.hits, usage.last_used, vector.vector, (SELECT value FROM meta WHERE name = 'uses') "
    "FROM entry JOIN usage ON usage.id = entry.id LEFT JOIN vector ON vector.id = entry.id"
)


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of one partition by one embedder, all from the same moment."""

    change: int
    """The number of the partition's last change; 0 where it has no entry."""
    ids: NDArray[np.int64]
    """(n,)"""
    rows: NDArray[np.float32]
    """(n, dimension)"""


class EmbeddedReader:
    """Reads entries by key, and all else that is kept. Thread-safe; what fails raises StoreError."""

    def __init__(self, path: Path, writer: EmbeddedWriter) -> None:
        """`writer` knows the hits that are not in the file yet."""
        self.path, self._writer = path, writer
        self._closed = threading.Event()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()

    def get(self, key: str) -> Entry | None:
        """The entry, expired or not; None also for what is no key."""
        raw = raw_key(key)
        return next(iter(self._entries(f"{_SELECT} WHERE entry.key = ?", [raw])), None) if raw else None

    def request(self, key: str) -> bytes:
        """What was asked, as it was packed; empty where that was not kept."""
        rows = self._rows("SELECT request FROM entry WHERE key = ?", [raw_key(key)])
        return bytes(rows[0][0]) if rows else b""

    def get_many(self, ids: Iterable[int]) -> Entries:
        """Those of `ids` that exist, in no order."""
        wanted = [*ids]
        query = f"{_SELECT} WHERE entry.id IN (SELECT value FROM json_each(?))"
        return self._entries(query, [orjson.dumps(wanted).decode()], wanted)

    def list(self, filter: Filter = EVERYTHING, *, offset: int = 0, limit: int = 100) -> Entries:
        """A page of the entries that `filter` names, the newest first."""
        where, values = filter.where()
        query = f"{_SELECT} WHERE {where} ORDER BY entry.id DESC LIMIT ? OFFSET ?"
        return self._entries(query, [*values, max(0, limit), max(0, offset)])

    def after(self, id: int, limit: int) -> Entries:
        """The `limit` entries that were stored after that of `id`, the oldest first."""
        return self._entries(f"{_SELECT} WHERE entry.id > ? ORDER BY entry.id LIMIT ?", [id, max(0, limit)])

    def alike(self, prompt: str, limit: int) -> Entries:
        """Entries of this very prompt in whatever partition, the newest first. Reads every prompt."""
        return self._entries(f"{_SELECT} WHERE entry.prompt = ? ORDER BY entry.id DESC LIMIT ?", [prompt, limit])

    def count(self, filter: Filter = EVERYTHING) -> int:
        """How many entries `filter` names."""
        where, values = filter.where()
        return int(self._rows(f"SELECT count(*) FROM entry WHERE {where}", values)[0][0])

    def ids(self, filter: Filter) -> Sequence[int]:
        """The ids of the entries that `filter` names, in no order."""
        where, values = filter.where()
        return [id for (id,) in self._rows(f"SELECT id FROM entry WHERE {where}", values)]

    def change(self, partition: bytes) -> int:
        """The number of the partition's last change; 0 where it has no entry."""
        rows = self._rows("SELECT change FROM partition WHERE partition = ?", [partition])
        return int(rows[0][0]) if rows else 0

    def vectors(self, partition: bytes, embedder: str, dimension: int) -> Vectors:
        """All vectors of a partition made by `embedder`; those of another length are left out."""
        with self._reading() as connection:
            connection.execute("BEGIN")
            try:
                row = connection.execute("SELECT change FROM partition WHERE partition = ?", [partition]).fetchone()
                query = "SELECT id, vector FROM vector WHERE partition = ? AND embedder = ? AND length(vector) = ?"
                found = connection.execute(query, [partition, embedder, 4 * dimension])
                # A part at a time: making one piece of a hundred megabytes would hold up all other threads.
                parts = [_block(part, dimension) for part in iter(lambda: found.fetchmany(_PART), [])]
            finally:
                connection.execute("ROLLBACK")
        parts = parts or [_block([], dimension)]
        ids, rows = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
        return Vectors(row[0] if row else 0, ids, rows)

    def all_vectors(self, embedder: str, dimension: int) -> Iterator[Block]:
        """Every vector made by `embedder`, some thousands at a time."""
        query = "SELECT id, vector FROM vector WHERE id > ? AND embedder = ? AND length(vector) = ? ORDER BY id LIMIT ?"
        last = 0
        while found := self._rows(query, [last, embedder, 4 * dimension, _PART]):
            last = found[-1][0]
            yield _block(found, dimension)

    def observations(self) -> Sequence[Observation]:
        """What was learned, the oldest first."""
        columns = "partition, tenant, entry, score, agreement, right, source, time"
        rows = self._rows(f"SELECT {columns} FROM observation ORDER BY number", [])
        return [Observation(p, t, e, s, a, bool(right), *rest) for p, t, e, s, a, right, *rest in rows]

    def upstream_of(self, partition: bytes) -> str:
        """The rule by which an entry of the partition came that has a vector; empty where there is none."""
        query = "SELECT upstream FROM vector JOIN entry USING (id) WHERE vector.partition = ? LIMIT 1"
        return str(next((name for (name,) in self._rows(query, [partition])), ""))

    def refused(self) -> Sequence[bytes]:
        """The pairs that are never served again."""
        return [pair for (pair,) in self._rows("SELECT pair FROM refused", [])]

    def _close_readers(self) -> None:
        while not self._readers.empty():
            self._readers.get().close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if self._closed.is_set():
            raise StoreError("the cache is closed")
        try:
            try:
                connection = self._readers.get_nowait()
            except queue.Empty:
                connection = database.connect(self.path, reader=True)
            try:
                yield connection
            finally:
                if self._closed.is_set():
                    connection.close()
                else:
                    self._readers.put(connection)
        except sqlite3.Error as error:
            raise failure(self.path, "read", error) from error

    def _rows(self, query: str, values: Sequence[Any]) -> Any:
        with self._reading() as connection:
            return connection.execute(query, values).fetchall()

    def _entries(self, query: str, values: Sequence[Any], among: Collection[int] | None = None) -> Entries:
        """The query's. `among`: the ids that there may be, where these are known."""
        missing = self._writer.unwritten(among)
        rows = self._rows(query, values)
        uses = missing(rows[0][-1] or 0) if rows else {}
        entries = [from_row(row[:-1]) for row in rows]
        return [
            replace(entry, hits=entry.hits + uses[entry.id][0], last_used=uses[entry.id][1])
            if entry.id in uses
            else entry
            for entry in entries
        ]


def failure(path: Path, what: str, error: Exception) -> StoreError:
    """Why the file could not be read or written, in words."""
    if isinstance(error, sqlite3.Error) and database.is_damage(error):
        database.suspect(path)
    return StoreError(f"the cache could not {what} {path}: {database.describe(error)}")


def _block(found: Sequence[tuple[int, bytes]], dimension: int) -> Block:
    ids = np.array([id for id, _ in found], dtype=np.int64)
    rows = np.frombuffer(b"".join([vector for _, vector in found]), dtype=np.float32).reshape(len(found), dimension)
    return ids, rows
