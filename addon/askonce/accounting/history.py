"""What became of calls over time: sums of ten minutes by rule, model, namespace and caller, in a file of their own.

The rule: bounded in every direction, so that nobody who chooses names fills a disk; and never in a call's way, so a
file that cannot be written costs the sums of that time and nothing else.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from askonce.accounting.records import CallRecord
from askonce.accounting.tally import add_up
from askonce.faults import Faults

__all__ = ["STEP", "Group", "History", "Sums"]

STEP = 600
"""Seconds that are summed up together."""
_KEPT_SECONDS = 400 * 86400
_KEPT_ROWS = 200_000
_GROUPS = 200
"""Of one step; what comes after them is "other"."""
_NAME = 128
_FILE = "history.db"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sums (
    start INTEGER, {groups}, {columns}, PRIMARY KEY (start, {groups})
) WITHOUT ROWID
"""


class Group(NamedTuple):
    """Whose the sums are."""

    upstream: str
    model: str
    namespace: str
    caller: str
    """The digest of whose answers they are; empty where the call was not read so far."""


@dataclass(slots=True)
class Sums:
    """Of the calls of one group, or of several."""

    exact: int = 0
    semantic: int = 0
    miss: int = 0
    bypass: int = 0
    error: int = 0
    seconds_saved: float = 0.0
    usd_saved: float = 0.0
    tokens_saved: int = 0
    tokens_used: int = 0
    watched: int = 0
    """Misses that would have been hits, of rules that only watch."""
    usd_watched: float = 0.0

    def count(self, call: CallRecord) -> None:
        setattr(self, call.outcome, getattr(self, call.outcome) + 1)
        tokens = call.usage.input_tokens + call.usage.output_tokens
        if call.hit:
            self.tokens_saved += tokens
            self.seconds_saved += call.seconds_saved
            self.usd_saved += call.money_saved or 0.0
        else:
            self.tokens_used += tokens
        if call.watched:
            self.watched += 1
            self.usd_watched += call.money_watched or 0.0

    def add(self, other: "Sums") -> None:
        add_up(self, other, _COLUMNS)


_COLUMNS = tuple(field.name for field in fields(Sums))
_ADD = (
    f"INSERT INTO sums VALUES ({', '.join('?' * (1 + len(Group._fields) + len(_COLUMNS)))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _COLUMNS)
)


class History:
    """Counts calls on any thread; writes and reads where it is told to, on one thread at a time."""

    def __init__(self, folder: Path, faults: Faults, clock: Callable[[], float] = time.time) -> None:
        """`folder` is there; nothing is opened before the first `write` or `read`."""
        self._path, self._faults, self._clock = folder / _FILE, faults, clock
        self._lock, self._file = threading.Lock(), threading.Lock()
        self._waiting: dict[tuple[int, Group], Sums] = {}
        self._step, self._groups = 0, set[Group]()
        """Those of the step that is under way."""
        self._trimmed = 0
        """The step in which the file was trimmed last; once in each will do, since a step adds few rows."""

    def count(self, call: CallRecord, model: str) -> None:
        """A call is over; `model` is its model as one of few labels."""
        start = int(self._clock()) // STEP * STEP
        group = Group(call.upstream, model[:_NAME], call.namespace[:_NAME], call.parts.get("credential", ""))
        with self._lock:
            if start != self._step:
                self._step, self._groups = start, set()
            if group not in self._groups and len(self._groups) >= _GROUPS:
                group = Group(call.upstream, "other", "other", "other")
            self._groups.add(group)
            sums = self._waiting.get((start, group))
            if sums is None:
                sums = self._waiting[start, group] = Sums()
            sums.count(call)

    def write(self) -> None:
        """Put what was counted on disk. What cannot be written is dropped: it must not grow in memory instead."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        rows = [
            (start, *(_plain(name) for name in group), *astuple(sums))
            for (start, group), sums in sorted(waiting.items())
        ]
        try:
            with self._file, self._open() as connection, connection:
                connection.executemany(_ADD, rows)
                if rows[-1][0] != self._trimmed:
                    self._trim(connection)
                    self._trimmed = rows[-1][0]
        except (OSError, sqlite3.Error) as error:
            self._faults.report("history", error, f"the sums of {len(rows)} groups of calls are not kept")
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
                self._set_aside()

    def read(self, since: float, until: float) -> list[tuple[int, Group, Sums]]:
        """The sums of each step and group that began in that time, the oldest first. Raises OSError."""
        self.write()
        query = "SELECT * FROM sums WHERE start >= ? AND start < ? ORDER BY start"
        try:
            with self._file, self._open() as connection:
                rows = connection.execute(query, (since, until)).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"{self._path} cannot be read: {error}") from error
        names = 1 + len(Group._fields)
        return [(row[0], Group(*row[1:names]), Sums(*row[names:])) for row in rows]

    def _trim(self, connection: sqlite3.Connection) -> None:
        """Forget what is too old, and the oldest of what is too much. Counts the whole table."""
        connection.execute("DELETE FROM sums WHERE start < ?", (int(self._clock()) - _KEPT_SECONDS,))
        (excess,) = connection.execute("SELECT count(*) - ? FROM sums", (_KEPT_ROWS,)).fetchone()
        if excess > 0:
            oldest = "SELECT start FROM sums ORDER BY start LIMIT 1 OFFSET ?"
            connection.execute(f"DELETE FROM sums WHERE start <= ({oldest})", (excess,))

    def _set_aside(self) -> None:
        """A damaged file is evidence: it is moved, and history begins anew."""
        moved = self._path.with_name(f"{_FILE}.corrupt-{int(self._clock())}")
        with contextlib.suppress(OSError):
            self._path.rename(moved)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._path, timeout=5)
        try:
            columns = ", ".join(f"{name} NOT NULL" for name in _COLUMNS)
            connection.execute(_SCHEMA.format(groups=", ".join(Group._fields), columns=columns))
            yield connection
        finally:
            connection.close()


def _plain(name: str) -> str:
    """A name that SQLite can hold: a caller's may have a lone surrogate."""
    return name.encode("utf-8", "replace").decode()
