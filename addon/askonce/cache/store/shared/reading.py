"""What is asked of the tables of a shared store. One rule: a look-up names its partition, and is one round trip."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from askonce.cache.embed import Embedder
from askonce.cache.judge import Vector
from askonce.cache.learning.pools import Observation
from askonce.cache.store.entry import COLUMNS, Entry, Filter, StoreError
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.protocol import Entries, Near
from askonce.cache.store.shared.connections import LOOK_SECONDS, MANAGE_SECONDS, Connections, failure
from askonce.cache.store.shared.schema import Tables
from askonce.cache.store.shared.selection import where
from askonce.cache.store.shared.values import Reals, entry_of, text, text_of

__all__ = ["OF_KEY", "Same", "SharedReader"]

_ENTRY = ", ".join([f"entry.{name}" for name in COLUMNS.split(", ")] + ["entry.id", "usage.hits", "usage.last_used"])
_ENTRY += ", vector.vector::real[]"
_JOINED = """
{s}.entry AS entry
JOIN {s}.usage AS usage ON usage.partition = entry.partition AND usage.id = entry.id
LEFT JOIN {s}.vector AS vector
    ON vector.partition = entry.partition AND vector.embedder = entry.embedder AND vector.id = entry.id
"""
_SELECT = f"SELECT {_ENTRY} FROM {_JOINED}"
OF_KEY = f"{_SELECT} WHERE entry.partition = %s AND entry.key = %s"
"""The entry of a partition and a key, for `entry_of`."""
_SAME = f"""
SELECT alias.entry, EXISTS (SELECT FROM {{s}}.entry AS other WHERE other.partition = asked.partition), found.*
FROM (SELECT %s::bytea AS partition, %s::bytea AS key) AS asked
LEFT JOIN {{s}}.alias AS alias ON alias.partition = asked.partition AND alias.key = asked.key
LEFT JOIN LATERAL ({_SELECT} WHERE entry.partition = asked.partition AND entry.key = asked.key) AS found ON true
"""
# The partition's vectors are compared one by one. By the second column, which is no order that an index has: one over
# all partitions finds the nearest of everybody, and drops those of other partitions afterwards. `<#>` is the negative
# inner product: unlike the cosine, it is a number for a vector of zeros, too.
_NEAREST = """
SELECT id, -(vector <#> %s::real[]::halfvec), kin FROM {s}.vector AS entry
WHERE partition = %s AND embedder = %s AND vector_dims(vector) = %s{among} ORDER BY 2 DESC, id LIMIT %s
"""
_AMONG = " AND id IN (SELECT entry.id FROM {s}.entry AS entry WHERE entry.partition = %s AND {terms})"
_SEARCH = """
SELECT partition, id, -(vector <#> %s::real[]::halfvec) FROM {s}.vector
WHERE embedder = %s AND vector_dims(vector) = %s ORDER BY 3 DESC, id LIMIT %s
"""


class Same(NamedTuple):
    """What is known of one exact key."""

    entry: Entry | None
    alias: bytes | None
    """The key of the entry that the wording was said to ask for."""
    is_empty: bool
    """Of the partition."""


class SharedReader:
    """Raises StoreError. Thread-safe."""

    def __init__(self, place: SharedPlace, tables: Tables, connections: Connections) -> None:
        self._place, self._tables, self._connections = place, tables, connections

    def same(self, partition: bytes, key: bytes) -> Same:
        """The entry of this exact key, and what else a look-up of it needs."""
        alias, filled, *row = self._look(_SAME, [partition, key])[0]
        return Same(entry_of(row) if row[0] is not None else None, alias, not filled)

    def nearest(
        self, partition: bytes, embedder: Embedder, vector: Vector, most: int | None, among: Filter | None
    ) -> list[Near]:
        """The nearest of the partition, by comparing all of it."""
        given: list[Any] = [Reals(vector), partition, text(embedder.name), embedder.dimension]
        narrowed = ""
        if among is not None:
            terms, values = _where(among)
            narrowed = _AMONG.replace("{terms}", terms)
            given += [partition, *values]
        query = _NEAREST.replace("{among}", narrowed)
        return [Near(*row) for row in self._look(query, [*given, most])]

    def take(self, partition: bytes, ids: Sequence[int]) -> Entries:
        """Those of `ids` that exist, in no order."""
        query = f"{_SELECT} WHERE entry.partition = %s AND entry.id = ANY(%s::bigint[])"
        return [entry_of(row) for row in self._look(query, [partition, [*ids]])]

    def get(self, key: bytes) -> Entry | None:
        return next(iter(self._entries("entry.key = %s", [key])), None)

    def request(self, key: bytes) -> bytes:
        rows = self._manage("SELECT request FROM {s}.entry WHERE key = %s", [key])
        return bytes(rows[0][0]) if rows else b""

    def list(self, filter: Filter, offset: int, limit: int) -> Entries:
        terms, given = _where(filter)
        return self._entries(
            f"{terms} ORDER BY entry.id DESC LIMIT %s OFFSET %s", [*given, max(0, limit), max(0, offset)]
        )

    def after(self, id: int, limit: int) -> Entries:
        return self._entries("entry.id > %s ORDER BY entry.id LIMIT %s", [id, max(0, limit)])

    def alike(self, prompt: str, limit: int) -> Entries:
        return self._entries("entry.prompt = %s ORDER BY entry.id DESC LIMIT %s", [_text(prompt), limit])

    def count(self, filter: Filter) -> int:
        terms, given = _where(filter)
        return int(self._manage(f"SELECT count(*) FROM {{s}}.entry AS entry WHERE {terms}", given)[0][0])

    def search(self, embedder: Embedder, vector: Vector, limit: int) -> Sequence[tuple[Entry, float]]:
        near = self._manage(_SEARCH, [Reals(vector), text(embedder.name), embedder.dimension, max(0, limit)])
        terms = "(entry.partition, entry.id) IN (SELECT * FROM unnest(%s::bytea[], %s::bigint[]))"
        found = self._entries(terms, [[row[0] for row in near], [row[1] for row in near]])
        entries = {entry.id: entry for entry in found}
        return [(entries[id], cosine) for _, id, cosine in near if id in entries]

    def observations(self) -> Sequence[Observation]:
        columns = "partition, tenant, entry, score, agreement, is_right, source, time"
        rows = self._manage(f"SELECT {columns} FROM {{s}}.observation ORDER BY number", [])
        return [Observation(partition, text_of(tenant), *rest) for partition, tenant, *rest in rows]

    def upstream_of(self, partition: bytes) -> str:
        query = (
            "SELECT entry.upstream FROM {s}.vector AS vector JOIN {s}.entry AS entry "
            "ON entry.partition = vector.partition AND entry.id = vector.id WHERE vector.partition = %s LIMIT 1"
        )
        return next((text_of(name) for (name,) in self._manage(query, [partition])), "")

    def refused(self) -> Sequence[bytes]:
        return [pair for (pair,) in self._manage("SELECT pair FROM {s}.refused", [])]

    def meta(self, name: str) -> str:
        """What the store was given when it was made."""
        return str(self._manage("SELECT value FROM {s}.meta WHERE name = %s", [name])[0][0])

    def _entries(self, terms: str, given: Sequence[Any]) -> Entries:
        return [entry_of(row) for row in self._manage(f"{_SELECT} WHERE {terms}", given)]

    def _look(self, query: str, given: Sequence[Any]) -> Sequence[Any]:
        return self._rows(query, given, LOOK_SECONDS)

    def _manage(self, query: str, given: Sequence[Any]) -> Sequence[Any]:
        return self._rows(query, given, MANAGE_SECONDS)

    def _rows(self, query: str, given: Sequence[Any], seconds: float) -> Sequence[Any]:
        try:
            return self._connections.rows(self._tables(query), given, seconds)
        except psycopg.Error as error:
            raise failure(self._place, "read", error) from error


def _where(filter: Filter) -> tuple[str, list[Any]]:
    try:
        return where(filter)
    except ValueError as error:
        raise StoreError(f"what was looked for is no text: {error}") from error


def _text(value: str) -> str:
    try:
        return text(value)
    except ValueError as error:
        raise StoreError(f"what was looked for is no text: {error}") from error
