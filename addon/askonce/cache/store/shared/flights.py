"""The calls for which a provider is being asked, by any of the proxies: a row for each while it is under way.

One rule: a row holds nobody up for long. It counts while its proxy holds a lease, which a dead one does not, and no
longer than a flight may take.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from askonce.cache.store.entry import Entry, StoreError
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.protocol import SOMEBODY, Led
from askonce.cache.store.shared.connections import LOOK_SECONDS, Connections, failure
from askonce.cache.store.shared.lease import Lease
from askonce.cache.store.shared.reading import OF_KEY
from askonce.cache.store.shared.schema import Tables
from askonce.cache.store.shared.transaction import SharedTransaction
from askonce.cache.store.shared.values import entry_of

__all__ = ["FLIGHT_SECONDS", "ProxyFlights"]

FLIGHT_SECONDS = 30.0
"""How long others leave a call to the proxy that asks."""

# Whose it is: ours where there is a row of ours now, else whose row stood in the way ("" where that came this moment,
# and is not in what this statement sees).
_LEAD = """
WITH taken AS (
    INSERT INTO {s}.flight AS flight VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s))
    ON CONFLICT (key) DO UPDATE SET proxy = excluded.proxy, until = excluded.until
    WHERE flight.proxy = excluded.proxy OR flight.until < clock_timestamp() OR NOT EXISTS (
        SELECT FROM {s}.proxy AS proxy WHERE proxy.id = flight.proxy AND proxy.until > clock_timestamp()
    ) RETURNING proxy
) SELECT coalesce((SELECT proxy FROM taken), (SELECT proxy FROM {s}.flight WHERE key = %s), '')
"""


class ProxyFlights:
    """`SharedFlights`, in the database."""

    def __init__(
        self,
        place: SharedPlace,
        tables: Tables,
        connections: Connections,
        lease: Lease,
        *,
        hold: Callable[[Callable[[], Entry | None]], Entry | None],
        submit: Callable[[Callable[[SharedTransaction], Any]], object],
    ) -> None:
        """`hold` reads an entry and has it in memory from then on; `submit` has something written, later."""
        self._place, self._tables, self._connections, self._lease = place, tables, connections, lease
        self._hold, self._submit = hold, submit
        self._ours = set[bytes]()
        """Keys of which there may be a row of this proxy's."""
        self._lock = threading.Lock()

    def lead(self, partition: bytes, key: bytes) -> Led:
        """See `SharedFlights`. The entry is read after the row was tried for, in the same round trip: whoever ends a
        flight keeps its answer first, so that one of the two is seen."""
        holder = ""

        def read() -> Entry | None:
            nonlocal holder
            holder, entry = self._take(partition, key)
            return entry

        with self._lock:
            self._ours.add(key)
        entry = self._hold(read)
        if holder != self._lease.id:
            self.forget([key])
        elif not self._is_ours(key):  # it was over before this came about
            self._land(key)
        return Led("" if holder == self._lease.id else holder or SOMEBODY, entry)

    def end(self, key: bytes) -> None:
        """See `SharedFlights`."""
        if self._is_ours(key):
            self.forget([key])
            self._land(key)

    def _land(self, key: bytes) -> None:
        self._submit(lambda transaction: transaction.land(key, self._lease.id))

    def forget(self, keys: Sequence[bytes]) -> None:
        """There are no rows of these any more; at once."""
        with self._lock:
            self._ours.difference_update(keys)

    def _is_ours(self, key: bytes) -> bool:
        with self._lock:
            return key in self._ours

    def _take(self, partition: bytes, key: bytes) -> tuple[str, Entry | None]:
        try:
            with self._connections.use(LOOK_SECONDS) as connection, connection.pipeline():
                given = [key, self._lease.id, FLIGHT_SECONDS, key]
                taken = connection.execute(self._tables(_LEAD), given, binary=True)
                found = connection.execute(self._tables(OF_KEY), [partition, key], binary=True)
                holder, row = taken.fetchone(), found.fetchone()
        except psycopg.Error as error:
            raise failure(self._place, "write to", error) from error
        if holder is None:
            raise StoreError("the database said nothing")
        return holder[0], entry_of(row) if row else None
