"""A cassette: recorded answers in one file that a repository can hold, for tests that ask no provider.

One rule: a file that nothing new was recorded in stays as it is. Its keys are made under a secret that follows from
the id in its first line, so that they are the same on every machine, and no credential is in them.
"""

import fcntl
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import orjson

from askonce.cache import (
    REPEAT,
    Identifier,
    Identity,
    Record,
    StoreError,
    TransferError,
    read_record,
    write_record,
)

__all__ = ["Cassette", "CassetteError"]

logger = logging.getLogger("askonce")

VERSION = 1
_ID = "askonce"
"""Of a new file: two that are recorded side by side have the same keys, so that lines of both may stand in one."""


class CassetteError(StoreError):
    """A cassette cannot be used; the message names the file, the line and what was expected."""


class Cassette:
    """The file at `path`. Raises `CassetteError` where it cannot be read, or could not be written."""

    def __init__(self, path: Path, *, must_exist: bool) -> None:
        self.path = path
        self.records: list[Record] = []
        """What the file holds."""
        try:
            self._text = path.read_bytes()
        except FileNotFoundError:
            if must_exist:
                raise CassetteError(
                    f"{path}: there is no such cassette; record it first with --mode record, or --mode replay"
                ) from None
            self._text = b""
        except OSError as error:
            raise CassetteError(f"{path}: cannot be read: {error.strerror}") from error
        if not must_exist and not os.access(path if self._text else path.parent, os.W_OK):
            raise CassetteError(f"{path}: cannot be written")
        first, *lines = self._text.splitlines() or [b""]
        self._id = self._read_first(first) if self._text.strip() else _ID
        self.secret = blake2b(self._id.encode(), digest_size=32, person=b"askonce-cassette").digest()
        """Of the cache that plays it; 32 bytes."""
        self._identifier = identifier = Identifier(self.secret)
        for number, line in enumerate(lines, 2):
            if line.strip():
                self.records.append(self._read(line, number, identifier))
        self.fingerprint = identifier.fingerprint
        """As of the cache that plays it; see `Cache.fingerprint`."""

    def _read_first(self, line: bytes) -> str:
        expected = f'{self.path}:1: expected {{"askonce":"cassette","version":{VERSION},"id":"…"}}'
        try:
            first = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise CassetteError(expected) from None
        if not isinstance(first, dict) or first.get("askonce") != "cassette" or not isinstance(first.get("id"), str):
            raise CassetteError(expected)
        if first.get("version") != VERSION:
            raise CassetteError(f"{self.path}:1: version {first.get('version')} is not known here; update Askonce")
        return str(first["id"])

    def _read(self, line: bytes, number: int, identifier: Identifier) -> Record:
        try:
            record = read_record(line)
        except TransferError as error:
            raise CassetteError(f"{self.path}:{number}: {error}") from error
        entry = record.entry
        if identifier.exact(entry.partition, entry.prompt).hex() != entry.key:
            raise CassetteError(
                f"{self.path}:{number}: prompt: is not the one that was recorded, so no call would find the answer; "
                "record it again rather than edit it"
            )
        return record

    def open_folder(self) -> tempfile.TemporaryDirectory[str]:
        """A data folder for a cache that plays this cassette."""
        folder = tempfile.TemporaryDirectory(prefix="askonce-")
        with os.fdopen(os.open(Path(folder.name) / "secret", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(self.secret)
        return folder

    @staticmethod
    def write_blank(path: Path) -> None:
        """A new file without answers."""
        path.write_bytes(_first_line(_ID))

    def save(self, records: Iterable[Record]) -> None:
        """Take over into the file what `records`, all that the cache holds now, change of what it held. What others
        recorded there meanwhile stays. Raises OSError or `CassetteError`."""
        before = {record.entry.key: record for record in self.records}
        now = {record.entry.key: _lasting(record, before.get(record.entry.key)) for record in records}
        self._drop_old_repeats(now, before)
        new = {key: record for key, record in now.items() if key not in before or _line(record) != _line(before[key])}
        gone = before.keys() - now.keys()
        if new or gone:
            with _alone_in(self.path.parent):
                there = Cassette(self.path, must_exist=False)
                kept = (one for one in there.records if one.entry.key not in gone or one != before[one.entry.key])
                held = {one.entry.key: one for one in kept} | new
                self._write(held.values())
            logger.info("%d answers in %s", len(held), self.path)
        self.records = list(now.values())

    def _drop_old_repeats(self, now: dict[str, Record], before: Mapping[str, Record]) -> None:
        """Of a call that was recorded anew, the answers to later times stay only where they were, too."""
        for key in [key for key, record in now.items() if REPEAT not in record.entry.parts]:
            first = now[key].entry
            if key in before and _line(now[key]) == _line(before[key]):
                continue
            identity = Identity(first.partition, bytes.fromhex(key), first.parts)
            number = 2
            while (repeat := self._identifier.repeated(identity, first.prompt, number).key) in now:
                if repeat in before and _line(now[repeat]) == _line(before[repeat]):
                    del now[repeat]
                number += 1

    def _write(self, records: Iterable[Record]) -> None:
        lines = [_line(record) for record in sorted(records, key=_place)]
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            fresh.write_bytes(_first_line(self._id) + b"".join(lines))
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)


def _first_line(id: str) -> bytes:
    return orjson.dumps({"askonce": "cassette", "version": VERSION, "id": id}) + b"\n"


def _place(record: Record) -> tuple[str, str, str, str, str]:
    entry = record.entry
    return entry.upstream, entry.model, entry.prompt, entry.parts.get(REPEAT, ""), entry.key


def _line(record: Record) -> bytes:
    return write_record(record, lasting=True)


def _lasting(record: Record, before: Record | None) -> Record:
    """An embedder that failed to load this time is no reason to change the file."""
    return Record(replace(record.entry, labels={}), record.semantic or (before is not None and before.semantic))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time writes to a folder, such as the workers of pytest-xdist."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
