"""The one thread that writes to the store.

The one rule here: it commits what has gathered in one transaction (one fsync for many), tells its observer what
changed, in order, and only then acknowledges. What is acknowledged survives a kill, and memory never runs ahead of
the disk.
"""

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from askonce.cache.learning.pools import Observation
from askonce.cache.store.embedded import database
from askonce.cache.store.entry import COLUMNS, Entry, Filter, StoreError, payload, to_row
from askonce.cache.store.shares import ENTRIES, Measure, Room, Shares, caller_of
from askonce.faults import Faults

__all__ = ["Change", "Transaction", "Writer"]

BATCH = 256
"""Writes in one transaction, at most."""
WAITING = 10_000
"""Writes that may wait for the disk before more are refused."""
TIDY_SECONDS = 2.0
"""How long hits may wait to be written."""
PURGE_SECONDS = 30.0
"""How often expired entries are deleted."""
OBSERVATIONS = 10_000
"""Kept, the latest."""
ALIASES = 10_000
"""The same of those."""

_INSERT = f"INSERT INTO entry ({COLUMNS}, request) VALUES ({', '.join('?' * (len(COLUMNS.split(', ')) + 1))})"
_OLDEST = """
DELETE FROM observation WHERE number IN (
    SELECT number FROM observation
    WHERE tenant = (SELECT tenant FROM observation GROUP BY tenant ORDER BY count(*) DESC LIMIT 1)
    ORDER BY number LIMIT ?
)
"""
_OLDEST_ALIASES = """
DELETE FROM alias WHERE key IN (
    SELECT key FROM alias
    WHERE tenant = (SELECT tenant FROM alias GROUP BY tenant ORDER BY count(*) DESC LIMIT 1)
    ORDER BY time LIMIT ?
) RETURNING key
"""
_AMONG = "IN (SELECT value FROM json_each(?))"

Uses = dict[int, tuple[int, float]]
"""Id -> hits and the last one's time."""


@dataclass(frozen=True, slots=True)
class Change:
    """One committed change of a partition."""

    partition: bytes
    number: int
    """Grows with every change of the store."""
    removed: tuple[int, ...] = ()
    added: Entry | None = None
    emptied: bool = False
    """The partition has no entry left."""


class Transaction:
    """What one transaction does, and what memory has to learn from it once it is committed."""

    def __init__(self, connection: sqlite3.Connection, number: int, size: int, shares: Shares) -> None:
        self._connection, self._shares = connection, shares
        self._moves: list[tuple[str, int, int]] = []
        """What was counted in `shares`, which is the writer's."""
        self._grown: set[str] = set()
        """Callers who hold more than before."""
        self.number = number
        """Of the last change."""
        self.size, self.partitions = size, 0
        self.changes: list[Change] = []
        self.gone: list[tuple[bytes, int]] = []
        self.aliased: dict[bytes, bytes | None] = {}
        """Alias -> the entry's key; None where it is no more."""
        self.evicted = self.evicted_over_share = 0

    def put(self, entry: Entry) -> Entry:
        """Insert, in place of the entry of the same key."""
        row = to_row(entry)
        execute = self._connection.execute
        old = execute("SELECT id FROM entry WHERE key = ?", row[:1]).fetchone()
        if old:
            self.drop([old[0]])
        id = execute(_INSERT, (*row, entry.request)).lastrowid
        assert id is not None
        size, used = payload(entry), max(entry.created, entry.last_used)
        usage = (id, size, entry.stale_until, used, entry.hits, entry.tenant)
        execute("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?)", usage)
        self._move(entry.tenant, 1, size)
        self._grown.add(caller_of(entry.tenant))
        if entry.vector is not None:
            values = (id, entry.partition, entry.embedder, entry.vector.tobytes())
            execute("INSERT INTO vector (id, partition, embedder, vector) VALUES (?, ?, ?, ?)", values)
        for name, value in entry.labels.items():
            execute("INSERT INTO label VALUES (?, ?, ?)", (name, value, id))
        self.number += 1
        upsert = (
            "INSERT INTO partition VALUES (?, 1, ?) "
            "ON CONFLICT DO UPDATE SET entries = entries + 1, change = excluded.change RETURNING entries"
        )
        if execute(upsert, (entry.partition, self.number)).fetchone()[0] == 1:
            self.partitions += 1
        self.size += size
        kept = replace(entry, id=id, last_used=used, request=b"")
        self.changes.append(Change(entry.partition, self.number, added=kept))
        return kept

    def delete(self, key: bytes) -> bool:
        """Delete an entry, and what was said of its wording."""
        row = self._connection.execute("SELECT id FROM entry WHERE key = ?", (key,)).fetchone()
        forgotten = self._forget_aliases("key = ? OR entry = ?", [key, key])
        return bool((row and self.drop([row[0]])) or forgotten)

    def clear(self, filter: Filter) -> int:
        """Delete entries, and what was said of their wordings."""
        where, values = filter.where()
        gone = f"IN (SELECT entry.key FROM entry WHERE {where})"
        everything = filter == Filter()
        self._forget_aliases("true" if everything else f"key {gone} OR entry {gone}", () if everything else values * 2)
        return self.drop([id for (id,) in self._connection.execute(f"SELECT id FROM entry WHERE {where}", values)])

    def try_to_write(self) -> None:
        """Change nothing, by writing."""
        self._connection.execute("UPDATE meta SET value = value WHERE name = 'change'")

    def purge(self, now: float, limit: int = 1_000) -> int:
        """Delete what expired, `limit` at most."""
        rows = self._connection.execute("SELECT id FROM usage WHERE stale_until <= ? LIMIT ?", (now, limit))
        return self.drop([id for (id,) in rows])

    def evict(self, room: Room) -> None:
        """Delete until the limits hold. Whoever holds most gives what he used least recently."""
        evicted, over = room.make(self._shares, self._grown, self._shed)
        self.evicted += evicted
        self.evicted_over_share += over

    def _shed(self, tenant: str, measure: Measure, excess: int) -> int:
        query = "SELECT id, bytes FROM usage WHERE tenant = ? ORDER BY last_used, id LIMIT 1000"
        gone = 0
        while excess > 0:
            victims = []
            for id, size in self._connection.execute(query, (tenant,)):
                if excess <= 0:
                    break
                victims.append(id)
                excess -= 1 if measure == ENTRIES else size
            gone += self.drop(victims)
        return gone

    def _move(self, tenant: str, entries: int, size: int) -> None:
        self._shares.add(tenant, entries, size)
        self._moves.append((tenant, entries, size))

    def undo(self) -> None:
        """Take back what memory was told: the transaction failed."""
        for tenant, entries, size in reversed(self._moves):
            self._shares.add(tenant, -entries, -size)

    def touch(self, uses: Uses, number: int) -> None:
        """Count hits; `number` is that of the transactions that did so."""
        update = "UPDATE usage SET hits = hits + ?, last_used = max(last_used, ?) WHERE id = ?"
        self._connection.executemany(update, [(hits, used, id) for id, (hits, used) in uses.items()])
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('uses', ?)", (number,))

    def observe(self, observation: Observation, refused: bytes | None) -> None:
        """Keep what came of comparing two answers, and the pair that is wrong; of too many go the oldest of whoever has
        most, so that nobody's evidence is pushed out by another's."""
        execute = self._connection.execute
        columns = "partition, tenant, entry, score, agreement, right, source, time"
        insert = f"INSERT INTO observation ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        number = execute(insert, astuple(observation)).lastrowid
        if number and number % 256 == 0:
            excess: int = execute("SELECT count(*) FROM observation").fetchone()[0] - OBSERVATIONS
            while excess > 0:
                excess -= max(1, execute(_OLDEST, (min(excess, 64),)).rowcount)
        if refused:
            self.refuse(refused, observation.time)

    def refuse(self, pair: bytes, time: float) -> None:
        self._connection.execute("INSERT OR REPLACE INTO refused VALUES (?, ?)", (pair, time))
        self._forget_aliases("pair = ?", [pair])

    def alias(self, key: bytes, entry: bytes, pair: bytes, tenant: str, time: float) -> None:
        """Have a call's key stand for that of an entry, which is still there. Of too many go the oldest of whoever has
        most."""
        execute = self._connection.execute
        if execute("SELECT 1 FROM entry WHERE key = ?", (entry,)).fetchone():
            execute("INSERT OR REPLACE INTO alias VALUES (?, ?, ?, ?, ?)", (key, entry, pair, tenant, time))
            self.aliased[key] = entry
            while execute("SELECT count(*) FROM alias").fetchone()[0] > ALIASES:
                self.aliased |= dict.fromkeys(gone for (gone,) in execute(_OLDEST_ALIASES, (64,)).fetchall())

    def _forget_aliases(self, where: str, values: Sequence[Any]) -> int:
        rows = self._connection.execute(f"DELETE FROM alias WHERE {where} RETURNING key", values).fetchall()
        self.aliased |= dict.fromkeys(key for (key,) in rows)
        return len(rows)

    def spend(self, name: str, day: int, most: int) -> bool:
        """Take one of `most` a day; whether there was one left."""
        execute = self._connection.execute
        row = execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        before, spent = map(int, row[0].split()) if row else (day, 0)
        spent = spent if before == day else 0
        if spent >= most:
            return False
        execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, f"{day} {spent + 1}"))
        return True

    def drop(self, ids: Sequence[int]) -> int:
        """Delete entries by id."""
        if not ids:
            return 0
        among = (orjson.dumps(ids).decode(),)
        execute = self._connection.execute
        columns = "entry.id, key, partition, bytes, tenant"
        query = f"SELECT {columns} FROM entry JOIN usage USING (id) WHERE entry.id {_AMONG}"
        by_partition: dict[bytes, list[int]] = {}
        rows = execute(query, among).fetchall()
        for id, key, partition, size, tenant in rows:
            self._move(tenant, -1, -size)
            by_partition.setdefault(partition, []).append(id)
            self.gone.append((key, id))
            self.size -= size
        for table in ("entry", "usage", "vector", "label"):
            execute(f"DELETE FROM {table} WHERE id {_AMONG}", among)
        execute(f"UPDATE observation SET entry = 0 WHERE entry {_AMONG}", among)
        update = "UPDATE partition SET entries = entries - ?, change = ? WHERE partition = ? RETURNING entries"
        for partition, members in by_partition.items():
            self.number += 1
            left = execute(update, (len(members), self.number, partition)).fetchone()[0]
            if left <= 0:
                execute("DELETE FROM partition WHERE partition = ?", (partition,))
                self.partitions -= 1
            self.changes.append(Change(partition, self.number, removed=tuple(members), emptied=left <= 0))
        return len(rows)


Operation = Callable[[Transaction], Any]


class Writer:
    """Runs operations in the order they came. Keeps, besides, what every call needs to know without asking the disk."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: Path,
        *,
        max_entries: int,
        max_bytes: int,
        max_share: float,
        clock: Callable[[], float],
        failure: Callable[[str, Exception], StoreError],
        faults: Faults,
    ) -> None:
        self._connection, self._folder = connection, folder
        self._room = Room(max_entries, max_bytes, max_share)
        self._clock, self._failure, self._faults = clock, failure, faults
        self.observer: Callable[[Sequence[Change]], None] = lambda changes: None
        """Called on this thread after each commit and before its acknowledgement."""
        read = connection.execute
        self._shares = Shares(read("SELECT tenant, count(*), sum(bytes) FROM usage GROUP BY tenant"))
        self._number: int = read("SELECT value FROM meta WHERE name = 'change'").fetchone()[0]
        self.keys: dict[bytes, int] = dict(read("SELECT key, id FROM entry").fetchall())
        self.kins: dict[int, int] = dict(read("SELECT id, kin FROM entry WHERE kin != 0").fetchall())
        self.aliases: dict[bytes, bytes] = dict(read("SELECT key, entry FROM alias").fetchall())
        self.size: int = read("SELECT ifnull(sum(bytes), 0) FROM usage").fetchone()[0]
        self.partitions: int = read("SELECT count(*) FROM partition").fetchone()[0]
        self.evicted = self.evicted_over_share = 0
        self._uses: Uses = {}
        """Not yet on their way to the disk."""
        self._writing: Uses = {}
        """In the transaction of the moment."""
        self._written: int = next((number for (number,) in read("SELECT value FROM meta WHERE name = 'uses'")), 0)
        """Transactions that wrote uses. The file has the number as well: whoever reads it can tell which it has."""
        self._using = threading.Lock()
        self._refused, self._short = "", database.trouble(folder)
        """Why the last write failed, and why the next is likely to."""
        self._queue: queue.Queue[tuple[Operation, Future[Any]] | None] = queue.Queue(WAITING)
        self._door = threading.Lock()
        self._closed = False
        self._tidied = self._purged = self._tried = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="askonce-writer", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str:
        """Why nothing can be written, or soon no more; empty where all is well, as of two seconds ago."""
        return self._refused or self._short

    def submit(self, operation: Operation) -> "Future[Any]":
        """Run `operation` in the next transaction; its result, or StoreError, comes once that is committed."""
        future: Future[Any] = Future()
        with self._door:
            if self._closed:
                future.set_exception(StoreError("the cache is closed"))
                return future
            try:
                self._queue.put_nowait((operation, future))
            except queue.Full:
                future.set_exception(StoreError(f"{WAITING} writes already wait for the disk"))
        return future

    def touch(self, id: int) -> None:
        """Count a hit."""
        now = self._clock()
        with self._using:
            _count(self._uses, id, 1, now)

    def unwritten(self, among: Collection[int] | None = None) -> Callable[[int], Uses]:
        """To be asked before the file is read: what tells which uses are missing in what was read, given the number of
        transactions with uses that was in it. `among`: of these entries, where they are known before."""
        with self._using:
            written, batches = self._written, [_some(uses, among) for uses in (self._writing, self._uses) if uses]

        def missing(read: int) -> Uses:
            found: Uses = {}
            for uses in batches[read - written :]:
                _add(found, uses)
            return found

        return missing

    def close(self) -> None:
        """Write everything that waits and end the thread; the connection stays open."""
        with self._door:
            closing, self._closed = not self._closed, True
        if closing:
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        end = False
        while not end:
            batch: list[tuple[Operation, Future[Any]]] = []
            try:
                item = self._queue.get(timeout=TIDY_SECONDS)
                while True:
                    if item is None:
                        end = True
                        break
                    if item[1].set_running_or_notify_cancel():
                        batch.append(item)
                    if len(batch) >= BATCH:
                        break
                    item = self._queue.get_nowait()
            except queue.Empty:
                pass
            if batch:
                self._commit(batch)
            self._keep_house(end)

    def _keep_house(self, now: bool) -> None:
        moment = time.monotonic()
        if self._uses and (now or moment - self._tidied >= TIDY_SECONDS):
            self._tidied = moment
            self._commit([(lambda _: None, Future())])
        if moment - self._tried >= TIDY_SECONDS:
            self._tried = moment
            self._short = database.trouble(self._folder)
            if self._refused:
                self._commit([(Transaction.try_to_write, Future())])
        if moment - self._purged >= PURGE_SECONDS:
            self._purged = moment
            self._commit([(lambda transaction: transaction.purge(self._clock()), Future())])

    def _commit(self, batch: list[tuple[Operation, "Future[Any]"]]) -> None:
        try:
            results = self._transact([operation for operation, _ in batch])
            self._refused = ""
        except Exception as error:
            if isinstance(error, OSError | sqlite3.OperationalError):
                self._refused = database.describe(error)
            alone = len(batch) == 1 or isinstance(error, sqlite3.OperationalError)
            if alone or (isinstance(error, sqlite3.Error) and database.is_damage(error)):
                failure = error if isinstance(error, StoreError) else self._failure("write", error)
                for _, future in batch:
                    future.set_exception(failure)
            else:  # one of them cannot be written; the others must not suffer for it
                for one in batch:
                    self._commit([one])
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

    def _transact(self, operations: list[Operation]) -> list[Any]:
        with self._using:
            self._writing, self._uses = self._uses, {}
        try:
            return self._write(operations)
        finally:
            with self._using:
                _add(self._uses, self._writing)  # none, where they were written
                self._writing = {}

    def _write(self, operations: list[Operation]) -> list[Any]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        transaction = Transaction(connection, self._number, self.size, self._shares)
        try:
            if self._writing:
                transaction.touch(self._writing, self._written + 1)
            results = [operation(transaction) for operation in operations]
            transaction.evict(self._room)
            if transaction.changes:
                connection.execute("UPDATE meta SET value = ? WHERE name = 'change'", (transaction.number,))
            connection.execute("COMMIT")
        except BaseException:
            transaction.undo()
            if connection.in_transaction:  # a full disk may have rolled back already
                connection.execute("ROLLBACK")
            raise
        self._learn(transaction)
        return results

    def _learn(self, transaction: Transaction) -> None:
        self._number, self.size = transaction.number, transaction.size
        self.partitions += transaction.partitions
        self.evicted += transaction.evicted
        self.evicted_over_share += transaction.evicted_over_share
        added = {change.added.id: bytes.fromhex(change.added.key) for change in transaction.changes if change.added}
        self.keys.update({key: id for id, key in added.items()})
        self.kins.update({c.added.id: c.added.kin for c in transaction.changes if c.added and c.added.kin})
        for key, id in transaction.gone:
            self.kins.pop(id, None)
            if self.keys.get(key) == id:
                del self.keys[key]
        for key, entry in transaction.aliased.items():
            if entry is None:
                self.aliases.pop(key, None)
            else:
                self.aliases[key] = entry
        if self._writing:
            with self._using:
                self._written, self._writing = self._written + 1, {}
        if transaction.changes:
            try:
                self.observer(transaction.changes)
            except Exception as error:
                self._faults.report("memory", error, "a committed change could not be followed in memory")


def _add(uses: Uses, more: Uses) -> None:
    for id, (hits, used) in more.items():
        _count(uses, id, hits, used)


def _some(uses: Uses, among: Collection[int] | None) -> Uses:
    return dict(uses) if among is None else {id: uses[id] for id in among if id in uses}


def _count(uses: Uses, id: int, hits: int, used: float) -> None:
    before, last = uses.get(id, (0, 0.0))
    uses[id] = (before + hits, max(last, used))
