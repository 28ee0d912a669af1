"""The tables of a shared store, and how they become those of a newer Askonce.

One rule: the partition is the first column of every key, so that the same tables can be spread over many (partitions of
one server, or nodes of Citus) and no look-up asks more than one of them. A newer schema is refused and left alone.
"""

from collections.abc import Iterator

import psycopg

from askonce.cache.store.entry import StoreError

__all__ = ["VERSION", "Tables", "ddl", "prepare", "version_of"]

VERSION = 2
_LEAST_SERVER, _LEAST_VECTOR = 15, (0, 8)
_LOCK = 0x61736B6F
"""Of whoever makes tables; one at a time in a database."""

_SPREAD = """
CREATE SEQUENCE {s}.entry_ids;
CREATE TABLE {s}.entry (
    partition bytea NOT NULL,
    key bytea NOT NULL,
    id bigint NOT NULL DEFAULT nextval('{s}.entry_ids'),  -- never reused: look-ups in flight name entries by it
    parts bytea NOT NULL,
    upstream text NOT NULL,
    host text NOT NULL,
    wire text NOT NULL,
    model text NOT NULL,
    namespace text NOT NULL,
    created double precision NOT NULL,
    expires double precision NOT NULL,
    stale_until double precision NOT NULL,
    upstream_seconds double precision NOT NULL,
    embedder text NOT NULL,
    prompt text NOT NULL,
    turns bytea NOT NULL,
    content_type text NOT NULL,
    headers bytea NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    body bytea NOT NULL,
    labels bytea NOT NULL,
    kin bigint NOT NULL,
    shown bytea NOT NULL,
    request bytea NOT NULL,
    PRIMARY KEY (partition, key)
){by};
CREATE INDEX entry_id ON {s}.entry (id);
CREATE INDEX entry_key ON {s}.entry (key);
-- What changes with every hit stands apart: it rewrites no answer, and leaves no dead rows in an index of vectors.
CREATE TABLE {s}.usage (
    partition bytea NOT NULL,
    id bigint NOT NULL,
    bytes bigint NOT NULL,
    stale_until double precision NOT NULL,
    last_used double precision NOT NULL,
    hits bigint NOT NULL,
    tenant text NOT NULL,
    PRIMARY KEY (partition, id)
){by};
CREATE INDEX usage_tenant ON {s}.usage (tenant, last_used);
CREATE INDEX usage_stale_until ON {s}.usage (stale_until);
CREATE TABLE {s}.vector (
    partition bytea NOT NULL,
    embedder text NOT NULL,
    id bigint NOT NULL,
    kin bigint NOT NULL,
    vector halfvec NOT NULL,
    PRIMARY KEY (partition, embedder, id)
){by};
CREATE INDEX vector_id ON {s}.vector (id);
-- By digests: a label may be longer than a key of an index.
CREATE TABLE {s}.label (partition bytea NOT NULL, id bigint NOT NULL, name text NOT NULL, value text NOT NULL){by};
CREATE INDEX label_entry ON {s}.label (partition, id);
CREATE INDEX label_value ON {s}.label (md5(name), md5(value));
-- What came of comparing answers. It holds no text, and outlives the entry (then 0): what it taught stays.
CREATE SEQUENCE {s}.observation_numbers;
CREATE TABLE {s}.observation (
    partition bytea NOT NULL,
    number bigint NOT NULL DEFAULT nextval('{s}.observation_numbers'),
    tenant text NOT NULL,
    entry bigint NOT NULL,
    score double precision NOT NULL,
    agreement double precision NOT NULL,
    is_right boolean NOT NULL,
    source text NOT NULL,
    time double precision NOT NULL,
    PRIMARY KEY (partition, number)
){by};
CREATE INDEX observation_tenant ON {s}.observation (tenant, number);
CREATE INDEX observation_entry ON {s}.observation (partition, entry);
-- Wordings that were said to ask for the same as an entry: the keys of both, and the pair's name as in `refused`.
CREATE TABLE {s}.alias (
    partition bytea NOT NULL,
    key bytea NOT NULL,
    entry bytea NOT NULL,
    pair bytea NOT NULL,
    tenant text NOT NULL,
    time double precision NOT NULL,
    PRIMARY KEY (partition, key)
){by};
CREATE INDEX alias_key ON {s}.alias (key);
CREATE INDEX alias_entry ON {s}.alias (entry);
CREATE INDEX alias_pair ON {s}.alias (pair);
CREATE INDEX alias_tenant ON {s}.alias (tenant, time)
"""
"""The tables that are laid out by the partition."""
_COMMON = """
CREATE TABLE {s}.meta (name text PRIMARY KEY, value text NOT NULL);
-- Pairs of an asked prompt and an entry that were said to be wrong, by a digest of both.
CREATE TABLE {s}.refused (pair bytea PRIMARY KEY, time double precision NOT NULL);
CREATE TABLE {s}.spent (name text PRIMARY KEY, day bigint NOT NULL, spent bigint NOT NULL);
-- What every proxy has to obey: entries that are gone (null: forget all you hold) and pairs that are refused.
CREATE TABLE {s}.counter (number bigint NOT NULL);
INSERT INTO {s}.counter VALUES (0);
CREATE TABLE {s}.change (
    number bigint PRIMARY KEY,
    removed bigint[],
    refused bytea[] NOT NULL,
    time timestamptz NOT NULL DEFAULT now()
);
-- The proxies: up to which change each of them has obeyed, and until when it may serve from its memory.
CREATE TABLE {s}.proxy (id text PRIMARY KEY, seen bigint NOT NULL, until timestamptz NOT NULL);
"""
_FLIGHT = """
-- Calls that a proxy asks a provider for, by exact key, and until when others wait for it. Unlogged: a miss waits for
-- no disk, and after a crash nobody waits for anybody.
CREATE UNLOGGED TABLE {s}.flight (key bytea PRIMARY KEY, proxy text NOT NULL, until timestamptz NOT NULL)
"""
_PARTED = ("entry", "usage", "vector", "label", "observation", "alias")
MIGRATIONS = {1: _FLIGHT}
"""By schema, what makes the next one of it."""


class Tables:
    """Statements about the tables of one schema."""

    def __init__(self, schema: str) -> None:
        self.schema = schema
        self.channel = f"{schema}_changes"
        """What is notified of changes."""

    def __call__(self, statement: str) -> bytes:
        """`statement` with `{s}` for the schema."""
        return statement.replace("{s}", self.schema).encode()


def ddl(schema: str, *, partitions: int = 0) -> list[str]:
    """The statements that make the tables. `partitions`: so many of each, by a hash of the partition; 0 for tables that
    are whole."""
    by = " PARTITION BY HASH (partition)" if partitions else ""
    made = [f"CREATE SCHEMA IF NOT EXISTS {schema}"]
    for text in (_SPREAD, _COMMON, _FLIGHT):
        filled = text.replace("{s}", schema).replace("{by}", by)
        made += [statement.strip() for statement in filled.split(";\n") if statement.strip()]
    made += list(_parts(schema, partitions))
    secret = "replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')"
    made.append(f"INSERT INTO {schema}.meta VALUES ('version', '{VERSION}'), ('secret', {secret})")
    return made


def _parts(schema: str, partitions: int) -> Iterator[str]:
    for table in _PARTED:
        for number in range(partitions):
            yield (
                f"CREATE TABLE {schema}.{table}_{number} PARTITION OF {schema}.{table} "
                f"FOR VALUES WITH (MODULUS {partitions}, REMAINDER {number})"
            )


def version_of(connection: psycopg.Connection, schema: str) -> int:
    """The tables' schema; 0 where there are none."""
    # Not `to_regclass`, which in a transaction that waited for another still says what was before.
    query = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'meta'"
    if not connection.execute(query, [schema]).fetchone():
        return 0
    row = connection.execute(Tables(schema)("SELECT value FROM {s}.meta WHERE name = 'version'")).fetchone()
    return int(row[0]) if row else 0


def prepare(connection: psycopg.Connection, schema: str, *, partitions: int = 0) -> None:
    """Make the tables where they are missing, or of an older Askonce. Raises StoreError where the server is too old,
    lacks pgvector, or the tables are a newer Askonce's; psycopg.Error where the database does not let it."""
    if connection.info.server_version < _LEAST_SERVER * 10_000:
        raise StoreError(f"PostgreSQL {_LEAST_SERVER} or later is needed; this is {connection.info.server_version}")
    version = version_of(connection, schema)
    if version > VERSION:
        raise StoreError(
            f"the tables in schema {schema} were made by a newer Askonce (schema {version}, this one knows {VERSION}): "
            "update Askonce, or name another schema"
        )
    if version == VERSION:
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        version = version_of(connection, schema)  # another may have made them meanwhile
        if not version:
            _need_vectors(connection)
            for statement in ddl(schema, partitions=partitions):
                connection.execute(statement.encode())
        for older in range(version or VERSION, VERSION):
            for statement in MIGRATIONS[older].split(";\n"):
                connection.execute(Tables(schema)(statement))
        update = "UPDATE {s}.meta SET value = %s WHERE name = 'version'"
        connection.execute(Tables(schema)(update), [str(VERSION)])


def _need_vectors(connection: psycopg.Connection) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    version = row[0] if row else "0"
    if tuple(int(part) for part in version.split(".")[:2]) < _LEAST_VECTOR:
        raise StoreError(f"pgvector {'.'.join(map(str, _LEAST_VECTOR))} or later is needed; this is {version}")
