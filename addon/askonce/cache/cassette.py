"""A cassette: recorded answers in one file that a repository can hold, for tests that ask no provider.

One rule: a file that nothing new was recorded in is written back byte for byte. Its keys are made under a secret that
follows from the id in its first line, so that they are the same on every machine, and no credential is in them.
"""

import logging
import os
import secrets
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import orjson

from askonce.cache import Entry, Identifier, Record, StoreError, TransferError, read_record, write_record

__all__ = ["Cassette", "CassetteError"]

logger = logging.getLogger("askonce")

VERSION = 1


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
        self._id = self._read_first(first) if self._text.strip() else secrets.token_hex(16)
        self.secret = blake2b(self._id.encode(), digest_size=32, person=b"askonce-cassette").digest()
        """Of the cache that plays it; 32 bytes."""
        identifier = Identifier(self.secret)
        for number, line in enumerate(lines, 2):
            if line.strip():
                self.records.append(self._read(line, number, identifier))
        self._semantic = {record.entry.key for record in self.records if record.semantic}

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

    def save(self, entries: Iterable[Entry]) -> None:
        """Write `entries` in place of what the file holds, where that changes it. Raises OSError."""
        ordered = sorted(entries, key=lambda entry: (entry.upstream, entry.model, entry.prompt, entry.key))
        first = {"askonce": "cassette", "version": VERSION, "id": self._id}
        lines = [orjson.dumps(first) + b"\n"]
        for entry in ordered:
            # An embedder that failed to load this time is no reason to change the file.
            record = Record(replace(entry, labels={}), entry.vector is not None or entry.key in self._semantic)
            lines.append(write_record(record, lasting=True))
        text = b"".join(lines)
        if text == self._text or (not ordered and not self._text):
            return
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            fresh.write_bytes(text)
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)
        self._text = text
        logger.info("%d answers in %s", len(ordered), self.path)
