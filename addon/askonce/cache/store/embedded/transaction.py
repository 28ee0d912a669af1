"""What one transaction of the embedded store does, and what memory learns from it once it is committed.

One rule: all of it is done on the writer's thread; what was counted in memory can be taken back where the disk refuses.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import orjson

from askonce.cache.learning.pools import Observation
from askonce.cache.store.entry import COLUMNS, Entry, Filter, payload, to_row
from askonce.cache.store.eviction import ENTRIES, Measure, Room, Shares, caller_of

__all__ = ["Change", "EmbeddedTransaction", "EmbeddedUses"]

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

EmbeddedUses = dict[int, tuple[int, float]]
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


class EmbeddedTransaction:
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
        if old := self._id_of(row[0]):
            self.drop([old])
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

    def id_of(self, _partition: bytes, key: bytes) -> int:
        """The id of the entry of this key; 0 where there is none."""
        return self._id_of(key)

    def _id_of(self, key: bytes) -> int:
        row = self._connection.execute("SELECT id FROM entry WHERE key = ?", (key,)).fetchone()
        return row[0] if row else 0

    def delete(self, key: bytes) -> bool:
        """Delete an entry, and what was said of its wording."""
        id = self._id_of(key)
        forgotten = self._forget_aliases("key = ? OR entry = ?", [key, key])
        return bool((id and self.drop([id])) or forgotten)

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

    def touch(self, uses: EmbeddedUses, number: int) -> None:
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

    def alias(self, key: bytes, entry: bytes, pair: bytes, observation: Observation) -> None:
        """Have a call's key stand for that of an entry, which is still there. Of too many go the oldest of whoever has
        most."""
        execute = self._connection.execute
        if execute("SELECT 1 FROM entry WHERE key = ?", (entry,)).fetchone():
            given = key, entry, pair, observation.tenant, observation.time
            execute("INSERT OR REPLACE INTO alias VALUES (?, ?, ?, ?, ?)", given)
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
