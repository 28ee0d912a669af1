"""The tables of the store's file, and how a file of an older Askonce comes to have them.

One rule: what an older Askonce wrote is never read by guess. Each schema makes the next one of itself, whole or not at
all.
"""

import sqlite3
from pathlib import Path

from askonce.cache.store.entry import StoreError

__all__ = ["VERSION", "bring_up", "version_of"]

VERSION = 8
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: indexes and lookups in flight name entries by it
    key BLOB NOT NULL UNIQUE,
    partition BLOB NOT NULL,
    parts BLOB NOT NULL,
    upstream TEXT NOT NULL,
    host TEXT NOT NULL,
    wire TEXT NOT NULL,
    model TEXT NOT NULL,
    namespace TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL NOT NULL,
    stale_until REAL NOT NULL,
    upstream_seconds REAL NOT NULL,
    embedder TEXT NOT NULL,
    prompt TEXT NOT NULL,
    turns BLOB NOT NULL,
    content_type TEXT NOT NULL,
    headers BLOB NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    body BLOB NOT NULL,
    labels BLOB NOT NULL DEFAULT '{}',
    kin INTEGER NOT NULL DEFAULT 0
);
-- What changes with every hit stands apart, so that a hit does not rewrite an answer.
CREATE TABLE usage (
    id INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL,
    stale_until REAL NOT NULL,
    last_used REAL NOT NULL,
    hits INTEGER NOT NULL
);
CREATE INDEX usage_last_used ON usage (last_used);
CREATE INDEX usage_stale_until ON usage (stale_until);
CREATE TABLE vector (id INTEGER PRIMARY KEY, partition BLOB NOT NULL, embedder TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX vector_partition ON vector (partition, embedder);
-- `change` comes from one sequence for the whole store: a partition that empties and fills again never repeats one.
CREATE TABLE partition (partition BLOB PRIMARY KEY, entries INTEGER NOT NULL, change INTEGER NOT NULL) WITHOUT ROWID;
"""
_LABELS = """
CREATE TABLE label (name TEXT, value TEXT, id INTEGER, PRIMARY KEY (name, value, id)) WITHOUT ROWID;
CREATE INDEX label_id ON label (id);
"""
_KIN = "ALTER TABLE entry ADD COLUMN kin INTEGER NOT NULL DEFAULT 0;\n"
_LEARNED = """
-- What came of comparing answers. It holds no text, and outlives the entry (then 0): what it taught stays.
CREATE TABLE observation (
    number INTEGER PRIMARY KEY,
    partition BLOB NOT NULL,
    entry INTEGER NOT NULL,
    score REAL NOT NULL,
    agreement REAL NOT NULL,
    right INTEGER NOT NULL,
    source TEXT NOT NULL,
    time REAL NOT NULL
);
CREATE INDEX observation_entry ON observation (entry);
-- Pairs of an asked prompt and an entry that were said to be wrong, by a digest of both.
CREATE TABLE refused (pair BLOB PRIMARY KEY, time REAL NOT NULL) WITHOUT ROWID;
"""
_TENANTS = """
-- Whose the partition is. Where no entry of it is left to tell, it stands for itself.
ALTER TABLE observation ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
CREATE INDEX observation_tenant ON observation (tenant);
UPDATE observation SET tenant = ifnull((
    SELECT json_extract(parts, '$.credential') || json_extract(parts, '$.namespace')
    FROM vector JOIN entry USING (id) WHERE vector.partition = observation.partition LIMIT 1
), lower(hex(partition)));
"""
_SHOWN = "ALTER TABLE entry ADD COLUMN shown BLOB NOT NULL DEFAULT '{}';\n"
_REQUEST = """
-- What was asked, packed; the last column, so that whoever reads the others does not read it.
ALTER TABLE entry ADD COLUMN request BLOB NOT NULL DEFAULT x'';
"""
_SHARES = """
-- Whose the entry is, as in `observation`.
ALTER TABLE usage ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
UPDATE usage SET tenant = (
    SELECT ifnull(json_extract(parts, '$.credential') || json_extract(parts, '$.namespace'), lower(hex(partition)))
    FROM entry WHERE entry.id = usage.id
);
CREATE INDEX usage_tenant ON usage (tenant, last_used);
DROP INDEX usage_last_used;
"""
_ALIASES = """
-- Wordings that were said to ask for the same as an entry: the keys of both, and the pair's name as in `refused`. They
-- outlive an entry that expires, so that they hold for the next one of its key.
CREATE TABLE alias (
    key BLOB PRIMARY KEY,
    entry BLOB NOT NULL,
    pair BLOB NOT NULL,
    tenant TEXT NOT NULL,
    time REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX alias_entry ON alias (entry);
CREATE INDEX alias_pair ON alias (pair);
CREATE INDEX alias_tenant ON alias (tenant, time);
"""
_MIGRATIONS = {
    1: "ALTER TABLE entry ADD COLUMN labels BLOB NOT NULL DEFAULT '{}';\n" + _LABELS,
    2: _KIN + _LEARNED,
    3: _TENANTS,
    4: _SHOWN,
    5: _SHARES,
    6: _REQUEST,
    7: _ALIASES,
}
"""By schema, what makes the next one of it."""
_BORN = "INSERT INTO meta VALUES ('store', lower(hex(randomblob(8)))), ('change', 0);\n"


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """The schema of the file at `path`; 0 where it is new. Raises StoreError for one of a newer Askonce."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StoreError(
            f"{path} was written by a newer Askonce (schema {version}, this one knows {VERSION}): update Askonce, "
            "or move the file away"
        )
    return version


def bring_up(connection: sqlite3.Connection, version: int) -> None:
    """Make what a file of `version` lacks."""
    if version == 0:
        whole = _SCHEMA + _LABELS + _LEARNED + _TENANTS + _SHOWN + _SHARES + _REQUEST + _ALIASES + _BORN
        _write(connection, whole, VERSION)
    for older in range(version or VERSION, VERSION):
        _write(connection, _MIGRATIONS[older], older + 1)


def _write(connection: sqlite3.Connection, schema: str, version: int) -> None:
    """Run the statements of `schema`, all or none of them, and note `version`."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in schema.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
