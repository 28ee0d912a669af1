"""What one transaction of a shared store does, and what every proxy is told of it.

One rule: whatever takes something away (an entry, a pair) leaves its change in the same transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from askonce.cache.learning.pools import Observation
from askonce.cache.store.entry import COLUMNS, Entry, Filter, payload
from askonce.cache.store.shared.connections import MANAGE_SECONDS, TimelyConnection
from askonce.cache.store.shared.lease import Told
from askonce.cache.store.shared.schema import Tables
from askonce.cache.store.shared.selection import where
from askonce.cache.store.shared.values import Reals, row_of, text, text_of

__all__ = ["SharedTransaction", "SharedUses"]

OBSERVATIONS = 10_000
"""Kept, the latest."""
ALIASES = 10_000
"""The same of those."""
TOLD = 10_000
"""Of more entries that are gone, nobody is told which."""

_NAMES = COLUMNS.split(", ")
_PUT = f"""
WITH entry AS (
    INSERT INTO {{s}}.entry ({COLUMNS}, request) VALUES ({", ".join(["%s"] * (len(_NAMES) + 1))})
    RETURNING partition, id
), usage AS (
    INSERT INTO {{s}}.usage SELECT partition, id, %s, %s, %s, %s, %s FROM entry
), vector AS (
    INSERT INTO {{s}}.vector SELECT partition, %s, id, %s, given.vector::halfvec
    FROM entry, (SELECT %s::real[] AS vector) AS given WHERE given.vector IS NOT NULL
), label AS (
    INSERT INTO {{s}}.label SELECT partition, id, given.name, given.value
    FROM entry, unnest(%s::text[], %s::text[]) AS given (name, value)
), flight AS (
    DELETE FROM {{s}}.flight WHERE key = %s
) SELECT id FROM entry
"""
_DROP = """
WITH gone AS (
    DELETE FROM {s}.entry AS entry WHERE {where} RETURNING entry.partition, entry.id
), usage AS (
    DELETE FROM {s}.usage AS usage USING gone WHERE usage.partition = gone.partition AND usage.id = gone.id
    RETURNING usage.id, usage.tenant, usage.bytes
), vector AS (
    DELETE FROM {s}.vector AS vector USING gone WHERE vector.partition = gone.partition AND vector.id = gone.id
), label AS (
    DELETE FROM {s}.label AS label USING gone WHERE label.partition = gone.partition AND label.id = gone.id
), observation AS (
    UPDATE {s}.observation AS observation SET entry = 0
    FROM gone WHERE observation.partition = gone.partition AND observation.entry = gone.id
) SELECT id, tenant, bytes FROM usage
"""
_AMONG = "(entry.partition, entry.id) IN (SELECT partition, id FROM {s}.usage WHERE "
_TOUCH = """
UPDATE {s}.usage AS usage SET hits = usage.hits + used.hits, last_used = greatest(usage.last_used, used.last)
FROM unnest(%s::bytea[], %s::bigint[], %s::bigint[], %s::double precision[]) AS used (partition, id, hits, last)
WHERE usage.partition = used.partition AND usage.id = used.id
"""
_TELL = """
WITH last AS (UPDATE {s}.counter SET number = number + 1 RETURNING number), told AS (
    INSERT INTO {s}.change (number, removed, refused) SELECT number, %s::bigint[], %s::bytea[] FROM last
) SELECT number, pg_notify(%s, number::text) FROM last
"""
_OBSERVE = """
INSERT INTO {s}.observation (partition, tenant, entry, score, agreement, is_right, source, time)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING number
"""
_OLDEST_OBSERVATIONS = """
DELETE FROM {s}.observation WHERE (partition, number) IN (
    SELECT partition, number FROM {s}.observation
    WHERE tenant = (SELECT tenant FROM {s}.observation GROUP BY tenant ORDER BY count(*) DESC LIMIT 1)
    ORDER BY number LIMIT %s
)
"""
_OLDEST_ALIASES = """
DELETE FROM {s}.alias WHERE (partition, key) IN (
    SELECT partition, key FROM {s}.alias
    WHERE tenant = (SELECT tenant FROM {s}.alias GROUP BY tenant ORDER BY count(*) DESC LIMIT 1)
    ORDER BY time LIMIT %s
)
"""
_SPEND = """
INSERT INTO {s}.spent AS before VALUES (%s, %s, 1) ON CONFLICT (name) DO UPDATE
SET day = excluded.day, spent = CASE WHEN before.day = excluded.day THEN before.spent + 1 ELSE 1 END
WHERE before.day != excluded.day OR before.spent < %s RETURNING spent
"""

SharedUses = dict[tuple[bytes, int], tuple[int, float]]
"""Partition and id -> hits and the last one's time."""


@dataclass(slots=True)
class SharedTransaction:
    """On a connection that is in one."""

    connection: TimelyConnection
    tables: Tables
    added: list[Entry] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    """Ids."""
    refused: list[bytes] = field(default_factory=list)
    moves: list[tuple[str, int, int]] = field(default_factory=list)
    """Tenants, and the entries and bytes that came or, below zero, went."""

    def execute(self, statement: str, given: Sequence[Any] = ()) -> Any:
        """The cursor."""
        return self.connection.execute(self.tables(statement), given, binary=True)

    @property
    def taken(self) -> int:
        """Entries and pairs that are no more."""
        return len(self.removed) + len(self.refused)

    @property
    def told(self) -> Told | None:
        """What the proxies have to obey; None where that is nothing."""
        if not self.taken:
            return None
        return Told(self.removed if len(self.removed) <= TOLD else None, self.refused)

    def tell(self) -> int:
        """Leave it for them; the change's number, 0 for none. To be called last: it makes all proxies wait."""
        told = self.told
        if told is None:
            return 0
        row = self.execute(_TELL, [told.removed, [*told.refused], self.tables.channel]).fetchone()
        return int(row[0])

    def put(self, entry: Entry) -> Entry:
        """Insert, in place of the entry of the same key, which nobody waits for any more."""
        row, key = row_of(entry), bytes.fromhex(entry.key)
        self._drop("entry.partition = %s AND entry.key = %s", [entry.partition, key])
        used = max(entry.created, entry.last_used)
        size = payload(entry)
        usage = [size, entry.stale_until, used, entry.hits, text(entry.tenant)]
        vector = [text(entry.embedder), entry.kin, None if entry.vector is None else Reals(entry.vector)]
        labels = [[text(name) for name in entry.labels], [text(value) for value in entry.labels.values()]]
        id = self.execute(_PUT, [*row, entry.request, *usage, *vector, *labels, key]).fetchone()[0]
        kept = replace(entry, id=id, last_used=used, request=b"")
        self.added.append(kept)
        self.moves.append((entry.tenant, 1, size))
        return kept

    def id_of(self, partition: bytes, key: bytes) -> int:
        """The id of the entry of this key, which nobody else replaces now; 0 where there is none."""
        query = "SELECT id FROM {s}.entry WHERE partition = %s AND key = %s FOR UPDATE"
        row = self.execute(query, [partition, key]).fetchone()
        return int(row[0]) if row else 0

    def delete(self, key: bytes) -> bool:
        """Delete an entry, and what was said of its wording."""
        aliases = self.execute("DELETE FROM {s}.alias WHERE key = %s OR entry = %s", [key, key]).rowcount
        return bool(self._drop("entry.key = %s", [key]) or aliases)

    def clear(self, filter: Filter) -> int:
        """Delete entries, and what was said of their wordings."""
        self.connection.within(MANAGE_SECONDS)  # they may be a million
        terms, given = where(filter)
        picked = f"(SELECT entry.key FROM {{s}}.entry AS entry WHERE {terms})"
        if filter == Filter():
            self.execute("DELETE FROM {s}.alias")
        else:
            aliases = f"DELETE FROM {{s}}.alias WHERE key IN {picked} OR entry IN {picked}"
            self.execute(aliases, [*given, *given])
        return self._drop(terms, given)

    def purge(self, now: float, limit: int = 1_000) -> int:
        """Delete what expired, `limit` at most."""
        expired = _AMONG + "stale_until <= %s LIMIT %s FOR UPDATE SKIP LOCKED)"
        return self._drop(expired, [now, limit])

    def shed(self, tenant: str, most: int) -> int:
        """Delete what a tenant used least recently, so many at most; how many."""
        oldest = _AMONG + "tenant = %s ORDER BY last_used, id LIMIT %s)"
        return self._drop(oldest, [text(tenant), most])

    def touch(self, uses: SharedUses) -> None:
        """Count hits."""
        order = sorted(uses)  # as everybody does: two transactions never wait for each other
        used = [uses[one] for one in order]
        given = [[one[0] for one in order], [one[1] for one in order], [hits for hits, _ in used], [t for _, t in used]]
        self.execute(_TOUCH, given)

    def observe(self, observation: Observation, refused: bytes | None) -> None:
        """Keep what came of comparing two answers, and the pair that is wrong; of too many go the oldest of whoever has
        most, so that nobody's evidence is pushed out by another's."""
        one = observation
        given = [one.partition, text(one.tenant), one.entry, one.score, one.agreement, one.right, one.source, one.time]
        number = self.execute(_OBSERVE, given).fetchone()[0]
        if number % 256 == 0:
            excess = self._count("observation") - OBSERVATIONS
            while excess > 0:
                excess -= max(1, self.execute(_OLDEST_OBSERVATIONS, [min(excess, 64)]).rowcount)
        if refused:
            self.refuse(refused, observation.time)

    def refuse(self, pair: bytes, time: float) -> None:
        """Keep a pair that is never to be served again."""
        self.execute("INSERT INTO {s}.refused VALUES (%s, %s) ON CONFLICT (pair) DO NOTHING", [pair, time])
        self.execute("DELETE FROM {s}.alias WHERE pair = %s", [pair])
        self.refused.append(pair)

    def alias(self, key: bytes, entry: bytes, pair: bytes, observation: Observation) -> None:
        """Have a call's key stand for that of an entry, which is still there. Of too many go the oldest of whoever has
        most."""
        place = [observation.partition, entry]
        if not self.execute("SELECT 1 FROM {s}.entry WHERE partition = %s AND key = %s", place).fetchone():
            return
        insert = (
            "INSERT INTO {s}.alias VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (partition, key) DO UPDATE "
            "SET entry = excluded.entry, pair = excluded.pair, tenant = excluded.tenant, time = excluded.time"
        )
        self.execute(insert, [place[0], key, entry, pair, text(observation.tenant), observation.time])
        while self._count("alias") > ALIASES:
            self.execute(_OLDEST_ALIASES, [64])

    def spend(self, name: str, day: int, most: int) -> bool:
        """Take one of `most` a day; whether there was one left."""
        return most > 0 and self.execute(_SPEND, [name, day, most]).fetchone() is not None

    def land(self, key: bytes, proxy: str) -> None:
        """A call is no longer asked for by this proxy."""
        self.execute("DELETE FROM {s}.flight WHERE key = %s AND proxy = %s", [key, proxy])

    def prune(self) -> None:
        """Forget changes that everybody has obeyed, proxies that are gone, and what they were asking for."""
        self.execute("DELETE FROM {s}.flight WHERE until < now() - interval '10 minutes'")
        self.execute("DELETE FROM {s}.change WHERE time < now() - interval '10 minutes'")
        self.execute("DELETE FROM {s}.proxy WHERE until < now() - interval '10 minutes'")

    def _drop(self, terms: str, given: Sequence[Any]) -> int:
        rows = self.execute(_DROP.replace("{where}", terms), given).fetchall()
        self.removed += [id for id, _, _ in rows]
        self.moves += [(text_of(tenant), -1, -size) for _, tenant, size in rows]
        return len(rows)

    def _count(self, table: str) -> int:
        return int(self.execute(f"SELECT count(*) FROM {{s}}.{table}").fetchone()[0])
