"""Whether this proxy knows what the others have deleted, which is when it may serve from memory.

One rule: a proxy serves from memory only while it holds a lease, and the database extends a lease only where the proxy
has obeyed the last change. So whoever deletes has to wait for those who hold one, and for nobody any longer than one
lasts: a proxy that is cut off, hangs or died serves nothing from memory once its lease has run out.

Notifications make this quick, and nothing relies on them: each extension compares the number of the last change.
"""

import contextlib
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, sleep

import psycopg

from askonce.cache.store.place import SharedPlace
from askonce.cache.store.shared.connections import Connections, TimelyConnection, connect, failure
from askonce.cache.store.shared.schema import Tables
from askonce.faults import Faults

__all__ = ["LEASE_SECONDS", "Lease", "Told"]

LEASE_SECONDS = 3.0
"""How long a proxy may serve from memory without having asked; and how long a deletion waits for one that is gone."""
BEAT_SECONDS = 0.5
"""How often it asks."""
BEAT_PATIENCE = 1.0
"""Seconds that one answer may take."""
_MARGIN = 0.1
"""Seconds by which it runs out earlier here than it does for the others: clocks differ in their pace."""
_AGAIN = (0.1, 0.25, 0.5, 1.0)
"""Seconds before the next attempt to connect; the last for all further ones."""

# FOR SHARE waits for a change that is being committed, and reads what was: no lease is given for what came before it.
_BEAT = """
WITH last AS (SELECT number FROM {s}.counter FOR SHARE)
UPDATE {s}.proxy SET seen = %s, until = CASE
    WHEN last.number <= %s THEN clock_timestamp() + make_interval(secs => %s) ELSE until END
FROM last WHERE id = %s RETURNING last.number
"""
_JOIN = """
INSERT INTO {s}.proxy SELECT %s, number, '-infinity' FROM {s}.counter
ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, until = '-infinity' RETURNING seen
"""
_BEHIND = """
SELECT count(*) FROM {s}.proxy WHERE seen < %s AND until > clock_timestamp() AND id != %s
"""


@dataclass(frozen=True, slots=True)
class Told:
    """One committed change, as every proxy is told of it."""

    removed: Sequence[int] | None
    """Ids of entries that are gone; None: whatever is held may be."""
    refused: Sequence[bytes] = ()
    """Pairs that are never served again."""


class Lease:
    """Keeps one, on a thread and a connection of its own."""

    def __init__(
        self,
        place: SharedPlace,
        tables: Tables,
        obey: Callable[[Told], None],
        again: Callable[[], None],
        faults: Faults,
    ) -> None:
        """`obey` is called for each change, on this thread. `again` is called after each connecting, before anything
        is served: to check what is there."""
        self._place, self._tables, self._obey, self._again, self._faults = place, tables, obey, again, faults
        self.id = secrets.token_hex(8)
        """This proxy's name among the others."""
        self._until = 0.0
        self._failure = "not connected yet"
        self._seen = 0
        self._held = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="askonce-lease", daemon=True)

    @property
    def is_held(self) -> bool:
        """At once."""
        return monotonic() < self._until

    @property
    def failure(self) -> str:
        """Why there is none; empty where there is one. At once."""
        return "" if self.is_held else self._failure

    def start(self, patience: float) -> bool:
        """Begin; whether it was held within so many seconds."""
        self._thread.start()
        return self._held.wait(patience)

    def doubt(self, why: str) -> None:
        """Somebody waited for the database in vain: nothing is served until it has answered here."""
        self._failure, self._until = why, 0.0

    def wait_for_others(self, number: int, connections: Connections) -> None:
        """Until no other proxy serves what the change of this number took away."""
        deadline = monotonic() + LEASE_SECONDS + _MARGIN
        pause = 0.001
        while monotonic() < deadline:
            try:
                rows = connections.rows(self._tables(_BEHIND), [number, self.id], BEAT_PATIENCE)
            except psycopg.Error:  # nobody can be asked, and all leases run out
                sleep(max(0.0, deadline - monotonic()))
                return
            if not rows[0][0]:
                return
            sleep(pause)
            pause = min(0.02, pause * 1.5)

    def stop(self, connections: Connections) -> None:
        """Give it back."""
        self._stopping.set()
        if self._thread.is_alive():
            with contextlib.suppress(psycopg.Error):  # it wakes in a moment all the same
                connections.rows(b"SELECT pg_notify(%s, '')", [self._tables.channel], BEAT_PATIENCE)
            self._thread.join()

    def _run(self) -> None:
        attempts = 0
        while not self._stopping.is_set():
            try:
                with connect(self._place) as connection:
                    self._keep(connection)
            except Exception as error:
                known = failure(self._place, "reach", error) if isinstance(error, psycopg.Error) else error
                self._failure = str(known)
                if self._held.is_set() and not self._stopping.is_set():
                    self._faults.report("shared store", known, "calls go to the provider until the database answers")
            attempts = 0 if self.is_held else attempts + 1
            self._until = 0.0
            self._stopping.wait(_AGAIN[min(attempts, len(_AGAIN) - 1)])

    def _keep(self, connection: TimelyConnection) -> None:
        connection.execute(b"LISTEN " + self._tables.channel.encode())
        self._seen = _first(connection.execute(self._tables(_JOIN), [self.id]).fetchone())
        self._obey(Told(None))
        self._again()
        while not self._stopping.is_set():
            self._beat(connection)
            connection.within(BEAT_SECONDS + BEAT_PATIENCE)
            for _ in connection.notifies(timeout=BEAT_SECONDS, stop_after=1):
                pass
        connection.within(BEAT_PATIENCE)
        self._until = 0.0
        connection.execute(self._tables("DELETE FROM {s}.proxy WHERE id = %s"), [self.id])

    def _beat(self, connection: TimelyConnection) -> None:
        """Extend the lease, having obeyed all there is."""
        while True:
            connection.within(BEAT_PATIENCE)
            start = monotonic()
            given = [self._seen, self._seen, LEASE_SECONDS, self.id]
            last = _first(connection.execute(self._tables(_BEAT), given).fetchone())
            if last <= self._seen:
                self._until = start + LEASE_SECONDS - _MARGIN
                self._held.set()
                return
            query = "SELECT number, removed, refused FROM {s}.change WHERE number > %s ORDER BY number"
            changes = connection.execute(self._tables(query), [self._seen]).fetchall()
            if [number for number, *_ in changes] != list(range(self._seen + 1, self._seen + 1 + (len(changes) or 1))):
                raise psycopg.OperationalError("changes are missing; beginning anew")
            for number, removed, refused in changes:
                self._obey(Told(removed, refused))
                self._seen = number


def _first(row: tuple[int, ...] | None) -> int:
    if row is None:
        raise psycopg.OperationalError("the tables are not what they were; beginning anew")
    return row[0]
