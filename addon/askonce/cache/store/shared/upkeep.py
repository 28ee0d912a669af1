"""What a shared store's keepers ask for: whether all is well, its tables made, the statements that make them.

One rule: nothing here needs a running proxy, and nothing but `migrate`, `drop` and `adopt_secret` changes anything.
"""

from dataclasses import dataclass
from time import monotonic

import psycopg

from askonce.cache.store.entry import StoreError
from askonce.cache.store.place import SharedPlace
from askonce.cache.store.shared import schema
from askonce.cache.store.shared.connections import MANAGE_SECONDS, connect, failure

__all__ = ["Condition", "adopt_secret", "check", "drop", "migrate", "statements"]


@dataclass(frozen=True, slots=True)
class Condition:
    """Of one schema."""

    server: str
    pgvector: str
    """Its version; empty where it is not installed in this database."""
    schema: int
    """The version of the tables; 0 where there are none."""
    entries: int
    proxies: int
    """That hold a lease."""
    round_trip: float
    """Seconds."""


def check(place: SharedPlace) -> Condition:
    """Look without changing anything. Raises StoreError."""
    try:
        with connect(place) as connection:
            connection.within(MANAGE_SECONDS)
            tables, version = schema.Tables(place.schema), schema.version_of(connection, place.schema)

            def one(query: str) -> int:
                row = connection.execute(tables(query)).fetchone()
                return int(row[0]) if row else 0

            start = monotonic()
            one("SELECT 1")
            round_trip = monotonic() - start
            found = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
            return Condition(
                server=str(connection.info.parameter_status("server_version")),
                pgvector=str(found[0]) if found else "",
                schema=version,
                entries=one("SELECT count(*) FROM {s}.entry") if version else 0,
                proxies=one("SELECT count(*) FROM {s}.proxy WHERE until > now()") if version else 0,
                round_trip=round_trip,
            )
    except psycopg.Error as error:
        raise failure(place, "use", error) from error


def migrate(place: SharedPlace, *, partitions: int = 0) -> tuple[int, int]:
    """Make the tables, or those of an older Askonce into those of this one; the versions before and after. Raises
    StoreError, also where there are some and `partitions` of each are asked for."""
    try:
        with connect(place) as connection:
            connection.within(MANAGE_SECONDS)
            before = schema.version_of(connection, place.schema)
            if before and partitions:
                raise StoreError(f"there are tables in schema {place.schema} already; name another for ones in parts")
            schema.prepare(connection, place.schema, partitions=partitions)
            return before, schema.VERSION
    except psycopg.Error as error:
        raise failure(place, "use", error) from error


def drop(place: SharedPlace) -> None:
    """Have its tables no more, nor those of the named stores. Raises StoreError."""
    try:
        with connect(place) as connection:
            connection.within(MANAGE_SECONDS)
            for one in (place, place.beside("named_stores")):
                connection.execute(schema.Tables(one.schema)("DROP SCHEMA IF EXISTS {s} CASCADE"))
    except psycopg.Error as error:
        raise failure(place, "use", error) from error


def adopt_secret(place: SharedPlace, secret: bytes) -> None:
    """Have the keys of answers made under `secret`. Raises StoreError where there are some of another one, or a proxy
    that would go on with it."""
    tables = schema.Tables(place.schema)
    try:
        with connect(place) as connection, connection.transaction():
            connection.within(MANAGE_SECONDS)
            query = (
                "SELECT value, EXISTS (SELECT FROM {s}.entry), "
                "EXISTS (SELECT FROM {s}.proxy WHERE until > now()) FROM {s}.meta WHERE name = 'secret' FOR UPDATE"
            )
            known, filled, used = connection.execute(tables(query)).fetchall()[0]
            if bytes.fromhex(known) == secret:
                return
            if filled or used:
                what = "answers" if filled else "a proxy that makes keys"
                raise StoreError(f"schema {place.schema} has {what} under another secret; name another schema")
            connection.execute(tables("UPDATE {s}.meta SET value = %s WHERE name = 'secret'"), [secret.hex()])
    except psycopg.Error as error:
        raise failure(place, "use", error) from error


def statements(place: SharedPlace, *, partitions: int = 0) -> list[str]:
    """What makes the tables, for somebody who may."""
    return schema.ddl(place.schema, partitions=partitions)
