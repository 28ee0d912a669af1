"""The file behind the store: its schema, its lock, and what happens when it is damaged.

The one rule here: a damaged file is evidence. It is moved aside, never deleted, and a fresh one takes its place.
"""

import contextlib
import logging
import os
import secrets
import sqlite3
import sys
import time
from pathlib import Path

from askonce.cache.store.entry import InUseError, StoreError

__all__ = ["FILE", "connect", "describe", "is_damage", "lock", "open_database", "suspect", "trouble"]

logger = logging.getLogger(__name__)

FILE = "askonce.db"
VERSION = 8
SCHEMA = """
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
MIGRATIONS = {
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
_LEAST = 16 << 20
"""Bytes of a disk that count as none: with less, the next answer may find no room."""
_VFS = "" if sys.platform == "win32" else "?vfs=unix-excl"
"""Keeps the log's index in memory of our own instead of a file that is mapped (sqlite.org/vfs.html). The system kills
who writes to a mapped file on a disk that has become read-only, and nobody else may open ours anyway."""
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: sqlite3.Error) -> bool:
    """The error says that the file is not what SQLite wrote."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in DAMAGE


def describe(error: Exception) -> str:
    """What went wrong, for a person: "the disk is full (database or disk is full)"."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    causes = {
        sqlite3.SQLITE_FULL: "the disk is full",
        sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
        sqlite3.SQLITE_READONLY: "the file cannot be written",
        sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
        sqlite3.SQLITE_CORRUPT: "the file is damaged and will be moved aside at the next start",
        sqlite3.SQLITE_NOTADB: "the file is not a database and will be moved aside at the next start",
    }
    return f"{causes[code]} ({error})" if code in causes else str(error)


def trouble(folder: Path) -> str:
    """Why files in `folder` cannot be written, or soon no more; empty where they can."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return str(error)
    if disk.f_flag & os.ST_RDONLY or not os.access(folder, os.W_OK):
        return f"{folder} cannot be written"
    free = disk.f_bavail * disk.f_frsize
    return f"the disk is full ({free >> 20} MiB are free)" if free < _LEAST else ""


def connect(path: Path, *, reader: bool = False) -> sqlite3.Connection:
    """A connection that any one thread at a time may use; transactions are begun by hand."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}{_VFS}",
        uri=True,
        timeout=10,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    try:
        connection.execute("PRAGMA cache_size = -4000")  # KiB
        if reader:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def lock(directory: Path) -> sqlite3.Connection:
    """Hold `directory` for this process until the connection closes or the process dies.

    SQLite's own lock, since it works the same on every system. Raises InUseError where another holds it.
    """
    path = directory / "lock"
    try:
        # Made only where missing: closing a second descriptor would let go of this process's own lock (POSIX).
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        holder = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{directory} cannot be used: {error}") from error
    try:
        holder.execute("PRAGMA journal_mode = MEMORY")
        holder.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        holder.close()
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise InUseError(f"{directory} is in use by another Askonce") from error
        raise StoreError(f"{directory} cannot be used: {error}") from error
    return holder


def suspect(path: Path) -> None:
    """Mark the file as damaged: the next start moves it aside."""
    with contextlib.suppress(OSError):  # a disk that takes not even this has said so already
        _mark(path).touch(mode=0o600)


def open_database(path: Path) -> sqlite3.Connection:
    """The writer's connection to the store at `path`, made where missing, moved aside and made anew where damaged.

    Raises StoreError for a file of a newer Askonce and for a disk that cannot be used.
    """
    try:
        if _mark(path).exists():
            _move_aside(path, "found damaged in the last run")
        try:
            return _open(path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            _move_aside(path, str(error))
            return _open(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} cannot be opened: {describe(error)}") from error


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its -wal the same mode
    connection = connect(path)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                f"{path} was written by a newer Askonce (schema {version}, this one knows {VERSION}): update Askonce, "
                "or move the file away"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # a deleted prompt is gone, not merely unlinked
        connection.execute("PRAGMA journal_size_limit = 16777216")
        if version == 0:
            _write(
                connection,
                SCHEMA + _LABELS + _LEARNED + _TENANTS + _SHOWN + _SHARES + _REQUEST + _ALIASES + _BORN,
                VERSION,
            )
        for older in range(version or VERSION, VERSION):
            _write(connection, MIGRATIONS[older], older + 1)
        # Every table and the indexes that opening relies on, touched once: damage shows here rather than in a call.
        for table in ("meta", "usage", "partition", "label", "observation", "refused", "alias"):
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        connection.execute("SELECT max(id) FROM entry").fetchone()
        connection.execute("SELECT max(id) FROM vector").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


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


def _move_aside(path: Path, why: str) -> None:
    moved = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(2)}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(moved.with_name(moved.name + suffix))
    _mark(path).unlink(missing_ok=True)
    # No error: mitmproxy takes one that is logged at a start for a reason not to start.
    logger.warning("%s is damaged (%s): moved to %s, starting with an empty cache", path, why, moved.name)


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")
