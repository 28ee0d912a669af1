"""Entries on disk: SQLite is the truth, every index and every copy in memory is derived from it.

The one rule here: reads see what is committed, and all writes go through the one `EmbeddedWriter`.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from askonce.cache.store.embedded import database
from askonce.cache.store.embedded.reading import EmbeddedReader, Vectors, failure
from askonce.cache.store.embedded.transaction import Change
from askonce.cache.store.embedded.writer import EmbeddedWriter
from askonce.cache.store.entry import Entry, Filter, StoreError
from askonce.cache.store.writing import Writing
from askonce.faults import Faults
from askonce.files import make_folder

__all__ = ["Change", "Entry", "Filter", "Store", "StoreError", "Vectors"]


class Store(EmbeddedReader, Writing[EmbeddedWriter]):
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
        path = directory / database.FILE
        self._max_bytes = int(max_bytes * max_share)
        self._lock = database.lock(directory)
        try:
            self._connection = database.open_database(path)
            try:
                self.id: str = self._connection.execute("SELECT value FROM meta WHERE name = 'store'").fetchone()[0]
                """Made with the file, at random."""
                writer = EmbeddedWriter(
                    self._connection,
                    directory,
                    max_entries=max_entries,
                    max_bytes=max_bytes,
                    max_share=max_share,
                    clock=clock,
                    failure=partial(failure, path),
                    faults=faults or Faults(),
                )
            except sqlite3.Error as error:
                self._connection.close()
                raise failure(path, "read", error) from error
        except BaseException:
            self._lock.close()
            raise
        super().__init__(path, writer)

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

    # Writing, besides what every store writes

    def purge(self, now: float) -> Future[int]:
        """Delete what is past `stale_until`, rather than within a minute; the result is how many, 1,000 at most."""
        return self._writer.submit(lambda transaction: transaction.purge(now))

    def touch(self, id: int) -> None:
        """An entry was served: it counts, and is the last to be evicted. On disk within seconds."""
        self._writer.touch(id)

    def close(self) -> None:
        """Write what waits, fold the log into the file, let go of everything. May be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._writer.close()
        self._close_readers()
        with contextlib.suppress(sqlite3.Error):  # the log is read at the next start all the same
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        self._lock.close()
