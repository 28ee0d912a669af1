"""The one thread of a proxy that writes to the shared store, and the one that waits until the others have obeyed.

One rule: a write is acknowledged once it is committed and, where it took something away, once no proxy serves that any
more. Nothing waits for a database that does not answer: then it fails at once, whole.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psycopg
from psycopg.errors import DeadlockDetected, UniqueViolation

from askonce.cache.store.entry import StoreError
from askonce.cache.store.eviction import Room
from askonce.cache.store.gathering import PURGE_SECONDS, TIDY_SECONDS, Gathering, Write
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.protocol import CacheLimits
from askonce.cache.store.shared.connections import WRITE_SECONDS, Connections, failure
from askonce.cache.store.shared.holdings import Holdings
from askonce.cache.store.shared.lease import Lease
from askonce.cache.store.shared.schema import Tables
from askonce.cache.store.shared.transaction import SharedTransaction, SharedUses

__all__ = ["SharedOperation", "SharedWriter"]

BATCH = 64
"""Writes in one transaction, at most."""
_CROSSED = (DeadlockDetected, UniqueViolation)
"""What another proxy's writing at the same time comes to; by now it has written."""

SharedOperation = Callable[[SharedTransaction], Any]


@dataclass(slots=True)
class _Job(Write):
    result: Any = None
    takes_away: bool = False


class SharedWriter:
    """Runs operations in the order they came."""

    def __init__(
        self,
        place: SharedPlace,
        tables: Tables,
        connections: Connections,
        lease: Lease,
        *,
        limits: CacheLimits,
        clock: Callable[[], float],
        before: Callable[[], int],
        committed: Callable[[SharedTransaction, int], None],
    ) -> None:
        """`before` is called as a transaction begins, and `committed` after its commit with what that returned, before
        anything is acknowledged."""
        self._place, self._tables, self._connections, self._lease = place, tables, connections, lease
        self._clock, self._before, self._committed = clock, before, committed
        self.holdings = Holdings(Room(limits.max_entries, limits.max_bytes, limits.max_share))
        self.failure = ""
        """Why the last write failed."""
        self._uses: SharedUses = {}
        self._using = threading.Lock()
        self._tidied = self._purged = monotonic()
        self._gathering = Gathering[_Job](BATCH, "the database")
        self._obeying: queue.Queue[tuple[int, list[_Job]] | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=run, name=f"askonce-{name}", daemon=True)
            for name, run in (("writer", self._run), ("obeyed", self._wait_for_others))
        ]

    def start(self) -> None:
        """Begin; the store is there."""
        for thread in self._threads:
            thread.start()

    def submit(self, operation: SharedOperation) -> "Future[Any]":
        """Run `operation` in the next transaction; its result, or StoreError, comes once that is acknowledged."""
        job = _Job(operation)
        try:
            if not self._gathering.is_closed and (failure := self._lease.failure):
                raise StoreError(failure)
            self._gathering.put(job)
        except StoreError as error:
            job.future.set_exception(error)
        return job.future

    def touch(self, partition: bytes, id: int) -> None:
        """Count a hit."""
        now = self._clock()
        with self._using:
            hits, last = self._uses.get((partition, id), (0, 0.0))
            self._uses[partition, id] = hits + 1, max(last, now)

    def close(self) -> None:
        """Write everything that waits and end the threads."""
        self._gathering.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run(self) -> None:
        end = False
        while not end:
            batch, end = self._gathering.take()
            if batch:
                self._commit(batch)
            self._keep_house(end)
        self._obeying.put(None)

    def _keep_house(self, end: bool) -> None:
        now = monotonic()
        if not self._lease.is_held:
            return
        due = self._uses and (end or now - self._tidied >= TIDY_SECONDS)
        if due or (self.holdings.is_old and not end):
            self._tidied = now
            self._commit([_Job(lambda _: None)])
        if now - self._purged >= PURGE_SECONDS:
            self._purged = now
            self._commit([_Job(lambda transaction: transaction.purge(self._clock()))])
            self._commit([_Job(SharedTransaction.prune)])

    def _commit(self, batch: list[_Job], again: int = 3) -> None:
        try:
            number = self._transact(batch)
            self.failure = ""
        except Exception as error:
            if again and len(batch) == 1 and isinstance(error, _CROSSED):
                self._commit(batch, again - 1)
            else:
                self._fail(batch, error)
            return
        waiting = [job for job in batch if number and job.takes_away]
        for job in batch:
            if job not in waiting:
                job.future.set_result(job.result)
        if waiting:
            self._obeying.put((number, waiting))

    def _fail(self, batch: list[_Job], error: Exception) -> None:
        failed = failure(self._place, "write to", error)
        gone = isinstance(error, psycopg.OperationalError) and not isinstance(error, DeadlockDetected)
        if gone:
            self._lease.doubt(str(failed))
        if gone or len(batch) == 1:
            if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.DataError):
                self.failure = str(failed)
            for job in batch:
                job.future.set_exception(failed)
        else:  # one of them cannot be written; the others must not suffer for it
            for job in batch:
                self._commit([job])

    def _transact(self, batch: list[_Job]) -> int:
        """The number of the change that it was."""
        with self._using:
            uses, self._uses = self._uses, {}
        try:
            with self._connections.use(WRITE_SECONDS) as connection:
                generation = self._before()
                with connection.transaction():
                    transaction = SharedTransaction(connection, self._tables)
                    if uses:
                        transaction.touch(uses)
                    for job in batch:
                        before = transaction.taken
                        job.result = job.operation(transaction)
                        job.takes_away = transaction.taken > before
                    evicted = self.holdings.keep_to(transaction)
                    number = transaction.tell()
        except BaseException:
            self.holdings.forget()
            with self._using:
                for one, (hits, last) in uses.items():
                    more, later = self._uses.get(one, (0, 0.0))
                    self._uses[one] = hits + more, max(last, later)
            raise
        self.holdings.evicted += evicted[0]
        self.holdings.evicted_over_share += evicted[1]
        self._committed(transaction, generation)
        return number

    def _wait_for_others(self) -> None:
        while (waiting := self._obeying.get()) is not None:
            number, jobs = waiting
            try:
                while (more := self._obeying.get_nowait()) is not None:
                    number, jobs = more[0], jobs + more[1]
                self._obeying.put(None)
            except queue.Empty:
                pass
            self._lease.wait_for_others(number, self._connections)
            for job in jobs:
                job.future.set_result(job.result)
