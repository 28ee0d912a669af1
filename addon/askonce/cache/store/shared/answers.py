"""The store of answers of several proxies: rows in PostgreSQL, and in memory what this proxy has seen.

One rule: memory is served from only while the lease holds, and an entry that was read comes into it only where nothing
was taken away since the reading began.
"""

import threading
from collections.abc import Callable, Sequence

import psycopg

from askonce.cache.embed import Embedder
from askonce.cache.judge import Vector
from askonce.cache.learning.pools import Observation
from askonce.cache.lru import LRU
from askonce.cache.store.entry import Entry, Filter, StoreError, raw_key
from askonce.cache.store.memory import Memory
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.protocol import EVERYTHING, CacheLimits, Entries, Near, NotAtOnceError, Observer, StoreStats
from askonce.cache.store.shared.connections import MANAGE_SECONDS, Connections, connect, failure
from askonce.cache.store.shared.flights import ProxyFlights
from askonce.cache.store.shared.lease import Lease, Told
from askonce.cache.store.shared.reading import Same, SharedReader
from askonce.cache.store.shared.schema import Tables, prepare
from askonce.cache.store.shared.transaction import SharedTransaction
from askonce.cache.store.shared.writer import SharedWriter
from askonce.cache.store.writing import Writing
from askonce.faults import Faults

__all__ = ["SharedAnswers"]

CONNECTIONS = 12
"""At most, besides the lease's own: the cache's threads for look-ups, the writer, and who waits for others."""
START_SECONDS = 10.0
"""How long a start waits for the database."""
GONE = 10_000
"""Entries that are known to be gone, for who found one a moment before."""


class _Noted(threading.local):
    """What this thread's last look-up of a key brought along, for the questions that follow from it."""

    partition, key = b"", b""
    same: Same | None = None


class SharedAnswers(Writing[SharedWriter]):
    """An `AnswerStore`."""

    def __init__(
        self,
        place: SharedPlace,
        limits: CacheLimits,
        *,
        clock: Callable[[], float],
        faults: Faults,
        closing: Callable[[], object] = lambda: None,
    ) -> None:
        """Make the tables where they are missing. `closing` is called at the end of `close`. Raises StoreError where
        the database cannot be used."""
        self._closing = closing
        self._place, self._tables = place, Tables(place.schema)
        self._max_bytes = int(limits.max_bytes * limits.max_share)
        self._memory = Memory(limits.memory_bytes, self._left)
        self._keys: dict[bytes, int] = {}
        """Exact key -> id of what memory holds."""
        self._gone = LRU[int, None](GONE)
        self._generation = 0
        """Grows with whatever is taken away."""
        self._lock = threading.Lock()
        self._followers: list[Observer] = []
        self._noted = _Noted()
        try:
            with connect(place) as connection:
                connection.within(MANAGE_SECONDS)
                prepare(connection, place.schema)
        except psycopg.Error as error:
            raise failure(place, "use", error) from error
        self._connections = Connections(place, CONNECTIONS)
        self._reader = SharedReader(place, self._tables, self._connections)
        self._lease = Lease(place, self._tables, self._obey, self._again, faults)
        self._writer = SharedWriter(
            place,
            self._tables,
            self._connections,
            self._lease,
            limits=limits,
            clock=clock,
            before=lambda: self._generation,
            committed=self._committed,
        )
        self.flights = ProxyFlights(
            place, self._tables, self._connections, self._lease, hold=self._read, submit=self._writer.submit
        )
        self._connections.open()
        try:
            if not self._lease.start(START_SECONDS):
                raise StoreError(self._lease.failure or "the database did not answer")
            self._secret = bytes.fromhex(self._reader.meta("secret"))
            self._writer.start()
            self.flush().result()
        except BaseException:
            self.close()
            raise

    def follow(self, follower: Observer) -> None:
        self._followers.append(follower)
        for pair in self._reader.refused():  # some may have come since the follower read them
            follower.refuse(pair)

    def secret(self) -> bytes:
        return self._secret

    # What others did, and this proxy itself

    def _obey(self, told: Told) -> None:
        with self._lock:
            self._generation += 1
            if told.removed is None:
                self._memory.clear()
            else:
                self._memory.remove(told.removed)
                for id in told.removed:
                    self._gone.put(id, None)
        for follower in self._followers:
            follower.forget(told.removed or ())
            for pair in told.refused:
                follower.refuse(pair)

    def _again(self) -> None:
        """After each connecting: what was refused meanwhile was not told."""
        self._connections.check()
        for pair in self._reader.refused() if self._followers else ():
            for follower in self._followers:
                follower.refuse(pair)

    def _committed(self, transaction: SharedTransaction, generation: int) -> None:
        if told := transaction.told:
            self._obey(told)
            generation += 1
        for entry in transaction.added:
            self._hold(entry, generation)
        self.flights.forget([bytes.fromhex(entry.key) for entry in transaction.added])

    def _hold(self, entry: Entry, generation: int) -> None:
        with self._lock:
            if generation == self._generation and entry.id not in self._gone:
                self._memory.add(entry)
                if self._memory.get(entry.id):
                    self._keys[bytes.fromhex(entry.key)] = entry.id

    def _left(self, entry: Entry) -> None:
        key = bytes.fromhex(entry.key)
        if self._keys.get(key) == entry.id:
            del self._keys[key]

    # Looking up

    def held(self, key: bytes) -> Entry | None:
        id = self._keys.get(key)
        return None if id is None or not self._lease.is_held else self._memory.get(id)

    def lacks(self, key: bytes) -> bool:
        return False  # another proxy may just have stored it

    def has(self, key: bytes) -> bool:
        return self.held(key) is not None

    def is_there(self, entry: Entry) -> bool:
        return entry.id not in self._gone

    def same(self, partition: bytes, key: bytes) -> Entry | None:
        self._noted.same = None
        return self.held(key) or self._same(partition, key).entry

    def _same(self, partition: bytes, key: bytes) -> Same:
        generation = self._generation
        found = self._ask(lambda: self._reader.same(partition, key))
        self._noted.partition, self._noted.key, self._noted.same = partition, key, found
        if found.entry:
            self._hold(found.entry, generation)
        return found

    def alias_of(self, partition: bytes, key: bytes, *, at_once: bool = False) -> bytes | None:
        noted = self._noted
        if noted.same and (noted.partition, noted.key) == (partition, key):
            return noted.same.alias
        if at_once:
            raise NotAtOnceError
        return self._same(partition, key).alias

    def is_empty(self, partition: bytes) -> bool:
        noted = self._noted
        if noted.same and noted.partition == partition:
            return noted.same.is_empty
        return not self._ask(lambda: self._reader.count(Filter(partition=partition)))

    def may_have_near(self, partition: bytes, embedder: Embedder, *, at_once: bool = False) -> bool:
        if at_once:
            raise NotAtOnceError
        noted = self._noted
        return not (noted.same and noted.partition == partition and noted.same.is_empty)

    def nearest(
        self,
        partition: bytes,
        embedder: Embedder,
        vector: Vector,
        most: int | None,
        *,
        among: Filter | None = None,
        at_once: bool = False,
    ) -> list[Near]:
        if at_once:
            raise NotAtOnceError
        return self._ask(lambda: self._reader.nearest(partition, embedder, vector, most, among))

    def take(self, partition: bytes, ids: Sequence[int], *, at_once: bool = False) -> dict[int, Entry]:
        if at_once:
            raise NotAtOnceError
        generation = self._generation
        found = self._memory.get_many(ids) if self._lease.is_held else {}
        if missing := [id for id in ids if id not in found]:
            for entry in self._ask(lambda: self._reader.take(partition, missing)):
                found[entry.id] = entry
                self._hold(entry, generation)
        return found

    def touch(self, partition: bytes, id: int) -> None:
        self._writer.touch(partition, id)

    def _read(self, read: Callable[[], Entry | None]) -> Entry | None:
        generation = self._generation
        if entry := self._ask(read):
            self._hold(entry, generation)
        return entry

    def _ask[T](self, work: Callable[[], T]) -> T:
        """What `work` reads. Where the database was waited for in vain, nobody else waits until it answers again."""
        if failure := self._lease.failure:
            raise StoreError(failure)
        try:
            return work()
        except StoreError as error:
            self._lease.doubt(str(error))
            raise

    # Management

    def get(self, key: str) -> Entry | None:
        return self._reader.get(raw) if (raw := raw_key(key)) else None

    def request(self, key: str) -> bytes:
        return self._reader.request(raw_key(key))

    def list(self, filter: Filter = EVERYTHING, *, offset: int = 0, limit: int = 100) -> Entries:
        return self._reader.list(filter, offset, limit)

    def after(self, id: int, limit: int) -> Entries:
        return self._reader.after(id, limit)

    def alike(self, prompt: str, limit: int) -> Entries:
        return self._reader.alike(prompt, limit)

    def count(self, filter: Filter = EVERYTHING) -> int:
        return self._reader.count(filter)

    def search(self, embedder: Embedder, vector: Vector, limit: int) -> Sequence[tuple[Entry, float]]:
        return self._reader.search(embedder, vector, limit)

    def observations(self) -> Sequence[Observation]:
        return self._reader.observations()

    def upstream_of(self, partition: bytes) -> str:
        return self._reader.upstream_of(partition)

    def refused(self) -> Sequence[bytes]:
        return self._reader.refused()

    @property
    def failure(self) -> str:
        return self._lease.failure or self._writer.failure

    def stats(self) -> StoreStats:
        holdings = self._writer.holdings
        return StoreStats(
            entries=holdings.entries,
            bytes=holdings.bytes,
            partitions=holdings.partitions,
            memory_entries=len(self._memory),
            memory_bytes=self._memory.size,
            evicted=holdings.evicted,
            evicted_over_share=holdings.evicted_over_share,
            failure=self.failure,
        )

    def close(self) -> None:
        self._writer.close()
        self._lease.stop(self._connections)
        self._connections.close()
        self._closing()
