"""The file behind the store: how it is opened, its lock, and what happens when it is damaged.

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

from askonce.cache.store.embedded import schema
from askonce.cache.store.entry import InUseError, StoreError

__all__ = ["FILE", "connect", "describe", "is_damage", "lock", "open_database", "suspect", "trouble"]

logger = logging.getLogger(__name__)

FILE = "askonce.db"
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
        version = schema.version_of(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # a deleted prompt is gone, not merely unlinked
        connection.execute("PRAGMA journal_size_limit = 16777216")
        schema.bring_up(connection, version)
        # Every table and the indexes that opening relies on, touched once: damage shows here rather than in a call.
        for table in ("meta", "usage", "partition", "label", "observation", "refused", "alias"):
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        connection.execute("SELECT max(id) FROM entry").fetchone()
        connection.execute("SELECT max(id) FROM vector").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


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
