"""Entries on disk: SQLite is the truth, every index and every copy in memory is derived from it.

The one rule here: reads see what is committed, and all writes go through the one `Writer`.
"""

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from askonce.cache.learning.pools import Observation
from askonce.cache.store.embedded import database
from askonce.cache.store.embedded.transaction import Change, Transaction
from askonce.cache.store.embedded.writer import Writer
from askonce.cache.store.entry import COLUMNS, Entry, Filter, StoreError, from_row, payload
from askonce.faults import Faults
from askonce.files import make_folder

__all__ = ["Change", "Entry", "Filter", "Store", "StoreError", "Vectors"]

EVERYTHING = Filter()
Entries = list[Entry]
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


class Store:
    """Entries by key, kept within limits. Thread-safe. Reads raise StoreError, writes give it to their future."""

    def __init__(
        self,
        directory: Path,
        *,
        max_entries: int = 100_000,
        max_bytes: int = 2 << 30,
        max_share: float = 1.0,
        clock: Callable[[], float] = time.time,
        faults: Faults | None = None,
    ) -> None:
        """Open the store in `directory`, which it holds for this process alone. `max_share` is the part of both limits
        that one caller may hold, 0 to 1.

        Raises StoreError where another process holds it, a newer Askonce wrote it or the disk cannot be used; a
        damaged file is moved aside and a fresh one made.
        """
        try:
            make_folder(directory)
        except OSError as error:
            raise StoreError(f"{directory} cannot be made: {error}") from error
        self.path = directory / database.FILE
        self._max_bytes = int(max_bytes * max_share)
        self._closed = threading.Event()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._lock = database.lock(directory)
        try:
            self._connection = database.open_database(self.path)
            try:
                self.id: str = self._connection.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()[0]
                """Made with the file, at random."""
                self._writer = Writer(
                    self._connection,
                    directory,
                    max_entries=max_entries,
                    max_bytes=max_bytes,
                    max_share=max_share,
                    clock=clock,
                    failure=self._failure,
                    faults=faults or Faults(),
                )
            except sqlite3.Error as error:
                self._connection.close()
                raise self._failure("read", error) from error
        except BaseException:
            self._lock.close()
            raise

    # Known without the disk

    @property
    def keys(self) -> Mapping[bytes, int]:
        """Exact key -> id of every entry, as of the last commit."""
        return self._writer.keys

    @property
    def aliases(self) -> Mapping[bytes, bytes]:
        """Exact key of a wording -> that of the entry that it was said to ask for, as of the last commit."""
        return self._writer.aliases

    @property
    def kins(self) -> Mapping[int, int]:
        """Id -> kin of every entry whose answer can be compared, as of the last commit."""
        return self._writer.kins

    def __len__(self) -> int:
        return len(self._writer.keys)

    @property
    def size(self) -> int:
        """The entries' payload in bytes."""
        return self._writer.size

    @property
    def partitions(self) -> int:
        """How many have an entry."""
        return self._writer.partitions

    @property
    def failure(self) -> str:
        """Why nothing can be written at the moment; empty where it can, as far as is known."""
        return self._writer.failure

    @property
    def evicted(self) -> int:
        """Entries that went for want of room, since the start."""
        return self._writer.evicted

    @property
    def evicted_over_share(self) -> int:
        """Those of them that went because their caller held more than `max_share`."""
        return self._writer.evicted_over_share

    def observe(self, observer: Callable[[Sequence[Change]], None]) -> None:
        """Have `observer` called on the writer's thread after each commit and before its acknowledgement."""
        self._writer.observer = observer

    # Reading

    def get(self, key: str) -> Entry | None:
        """The entry, expired or not; None also for what is no key."""
        raw = _raw(key)
        return next(iter(self._entries(f"{_SELECT} WHERE entry.key = ?", [raw])), None) if raw else None

    def request(self, key: str) -> bytes:
        """What was asked, as it was packed; empty where that was not kept."""
        rows = self._rows("SELECT request FROM entry WHERE key = ?", [_raw(key)])
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

    # Writing

    def put(self, entry: Entry) -> Future[Entry]:
        """Keep `entry`, in place of the one with its key. The result carries its id."""
        size = payload(entry)
        if size > self._max_bytes:
            future: Future[Entry] = Future()
            most = f"the cache may hold of one caller ({self._max_bytes})"
            future.set_exception(StoreError(f"{size} bytes are more than {most}"))
            return future
        return self._writer.submit(lambda transaction: transaction.put(entry))

    def delete(self, key: str) -> Future[bool]:
        """Whether there was one to delete."""
        raw = _raw(key)
        return self._writer.submit(lambda transaction: transaction.delete(raw))

    def clear(self, filter: Filter = EVERYTHING) -> Future[int]:
        """Delete what `filter` names; the result is how many."""
        return self._writer.submit(lambda transaction: transaction.clear(filter))

    def observe_answer(self, observation: Observation, refused: bytes | None = None) -> Future[None]:
        """Keep an observation and, where it is about a pair that was served wrongly, that pair."""
        return self._writer.submit(lambda transaction: transaction.observe(observation, refused))

    def keep_verdict(self, observation: Observation, key: bytes, entry: str, pair: bytes) -> Future[None]:
        """Keep what a verifier said of a call's key and an entry: an alias where the observation is right, else a pair
        that is never served."""
        raw = _raw(entry)

        def keep(transaction: Transaction) -> None:
            transaction.observe(observation, None if observation.right else pair)
            if observation.right:
                transaction.alias(key, raw, pair, observation.tenant, observation.time)

        return self._writer.submit(keep)

    def spend(self, name: str, day: int, most: int) -> Future[bool]:
        """Take one of the `most` that a day has; whether there was one left, which holds over restarts."""
        return self._writer.submit(lambda transaction: transaction.spend(name, day, most))

    def refuse(self, pair: bytes, time: float) -> Future[None]:
        """Keep a pair that is never to be served again."""
        return self._writer.submit(lambda transaction: transaction.refuse(pair, time))

    def purge(self, now: float) -> Future[int]:
        """Delete what is past `stale_until`, rather than within a minute; the result is how many, 1,000 at most."""
        return self._writer.submit(lambda transaction: transaction.purge(now))

    def flush(self) -> Future[None]:
        """Done when everything asked before it is on disk, hits included."""
        return self._writer.submit(lambda transaction: None)

    def touch(self, id: int) -> None:
        """An entry was served: it counts, and is the last to be evicted. On disk within seconds."""
        self._writer.touch(id)

    def close(self) -> None:
        """Write what waits, fold the log into the file, let go of everything. May be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._writer.close()
        while not self._readers.empty():
            self._readers.get().close()
        with contextlib.suppress(sqlite3.Error):  # the log is read at the next start all the same
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._lock.close()

    # Inside

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
            raise self._failure("read", error) from error

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

    def _failure(self, what: str, error: Exception) -> StoreError:
        if isinstance(error, sqlite3.Error) and database.is_damage(error):
            database.suspect(self.path)
        return StoreError(f"the cache could not {what} {self.path}: {database.describe(error)}")


def _raw(key: str) -> bytes:
    try:
        return bytes.fromhex(key)
    except ValueError:
        return b""


def _block(found: Sequence[tuple[int, bytes]], dimension: int) -> Block:
    ids = np.array([id for id, _ in found], dtype=np.int64)
    rows = np.frombuffer(b"".join([vector for _, vector in found]), dtype=np.float32).reshape(len(found), dimension)
    return ids, rows
