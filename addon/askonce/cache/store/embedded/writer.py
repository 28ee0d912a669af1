"""The one thread that writes to the store.

The one rule here: it commits what has gathered in one transaction (one fsync for many), tells its observer what
changed, in order, and only then acknowledges. What is acknowledged survives a kill, and memory never runs ahead of
the disk.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from askonce.cache.store.embedded import database
from askonce.cache.store.embedded.transaction import Change, EmbeddedTransaction, EmbeddedUses
from askonce.cache.store.entry import StoreError
from askonce.cache.store.eviction import Room, Shares
from askonce.cache.store.gathering import PURGE_SECONDS, TIDY_SECONDS, Gathering, Write
from askonce.faults import Faults

__all__ = ["EmbeddedWriter"]

BATCH = 256
"""Writes in one transaction, at most."""

EmbeddedOperation = Callable[[EmbeddedTransaction], Any]


class EmbeddedWriter:
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
        self._uses: EmbeddedUses = {}
        """Not yet on their way to the disk."""
        self._writing: EmbeddedUses = {}
        """In the transaction of the moment."""
        self._written: int = next((number for (number,) in read("SELECT value FROM meta WHERE name = 'uses'")), 0)
        """Transactions that wrote uses. The file has the number as well: whoever reads it can tell which it has."""
        self._using = threading.Lock()
        self._refused, self._short = "", database.trouble(folder)
        """Why the last write failed, and why the next is likely to."""
        self._gathering = Gathering[Write](BATCH, "the disk")
        self._tidied = self._purged = self._tried = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="askonce-writer", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str:
        """Why nothing can be written, or soon no more; empty where all is well, as of two seconds ago."""
        return self._refused or self._short

    def submit(self, operation: EmbeddedOperation) -> "Future[Any]":
        """Run `operation` in the next transaction; its result, or StoreError, comes once that is committed."""
        write = Write(operation)
        try:
            self._gathering.put(write)
        except StoreError as error:
            write.future.set_exception(error)
        return write.future

    def touch(self, id: int) -> None:
        """Count a hit."""
        now = self._clock()
        with self._using:
            _count(self._uses, id, 1, now)

    def unwritten(self, among: Collection[int] | None = None) -> Callable[[int], EmbeddedUses]:
        """To be asked before the file is read: what tells which uses are missing in what was read, given the number of
        transactions with uses that was in it. `among`: of these entries, where they are known before."""
        with self._using:
            written, batches = self._written, [_some(uses, among) for uses in (self._writing, self._uses) if uses]

        def missing(read: int) -> EmbeddedUses:
            found: EmbeddedUses = {}
            for uses in batches[read - written :]:
                _add(found, uses)
            return found

        return missing

    def close(self) -> None:
        """Write everything that waits and end the thread; the connection stays open."""
        self._gathering.close()
        self._thread.join()

    def _run(self) -> None:
        end = False
        while not end:
            batch, end = self._gathering.take()
            if batch:
                self._commit(batch)
            self._keep_house(end)

    def _keep_house(self, now: bool) -> None:
        moment = time.monotonic()
        if self._uses and (now or moment - self._tidied >= TIDY_SECONDS):
            self._tidied = moment
            self._commit([Write(lambda _: None)])
        if moment - self._tried >= TIDY_SECONDS:
            self._tried = moment
            self._short = database.trouble(self._folder)
            if self._refused:
                self._commit([Write(EmbeddedTransaction.try_to_write)])
        if moment - self._purged >= PURGE_SECONDS:
            self._purged = moment
            self._commit([Write(lambda transaction: transaction.purge(self._clock()))])

    def _commit(self, batch: list[Write]) -> None:
        try:
            results = self._transact([write.operation for write in batch])
            self._refused = ""
        except Exception as error:
            if isinstance(error, OSError | sqlite3.OperationalError):
                self._refused = database.describe(error)
            alone = len(batch) == 1 or isinstance(error, sqlite3.OperationalError)
            if alone or (isinstance(error, sqlite3.Error) and database.is_damage(error)):
                failure = error if isinstance(error, StoreError) else self._failure("write", error)
                for write in batch:
                    write.future.set_exception(failure)
            else:  # one of them cannot be written; the others must not suffer for it
                for one in batch:
                    self._commit([one])
            return
        for write, result in zip(batch, results, strict=True):
            write.future.set_result(result)

    def _transact(self, operations: list[EmbeddedOperation]) -> list[Any]:
        with self._using:
            self._writing, self._uses = self._uses, {}
        try:
            return self._write(operations)
        finally:
            with self._using:
                _add(self._uses, self._writing)  # none, where they were written
                self._writing = {}

    def _write(self, operations: list[EmbeddedOperation]) -> list[Any]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        transaction = EmbeddedTransaction(connection, self._number, self.size, self._shares)
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

    def _learn(self, transaction: EmbeddedTransaction) -> None:
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


def _add(uses: EmbeddedUses, more: EmbeddedUses) -> None:
    for id, (hits, used) in more.items():
        _count(uses, id, hits, used)


def _some(uses: EmbeddedUses, among: Collection[int] | None) -> EmbeddedUses:
    return dict(uses) if among is None else {id: uses[id] for id in among if id in uses}


def _count(uses: EmbeddedUses, id: int, hits: int, used: float) -> None:
    before, last = uses.get(id, (0, 0.0))
    uses[id] = (before + hits, max(last, used))
