"""How what the store keeps travels to PostgreSQL and back. One rule: what goes in comes out, but for the vectors' last
bits (`halfvec` has 11 of them)."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

from askonce.cache.judge import Vector
from askonce.cache.store.entry import COLUMNS, Entry, from_row, to_row

__all__ = ["Reals", "entry_of", "register", "row_of", "text", "text_of"]

_REAL, _REALS = 700, 1021
"""The types `real` and `real[]` (pg_type.dat)."""
_ELEMENT = np.dtype([("length", ">i4"), ("value", ">f4")])
_HEADER = 20
"""Bytes before the elements of an array of one dimension."""
_NAMES = COLUMNS.split(", ")
_TEXTS = [_NAMES.index(name) for name in ("upstream", "host", "wire", "model", "namespace", "embedder", "prompt")]
_TEXTS.append(_NAMES.index("content_type"))
_ESCAPED = re.compile("\x01[\x01\x02]")
_VECTOR = len(_NAMES) + 3


class Reals:
    """A vector on its way to the database, as `real[]`."""

    def __init__(self, vector: Vector) -> None:
        self.vector = vector


class _RealsDumper(Dumper):
    format = Format.BINARY
    oid = _REALS

    def dump(self, obj: Reals) -> bytes:
        elements = np.empty(len(obj.vector), _ELEMENT)
        elements["length"], elements["value"] = 4, obj.vector
        head = np.array([1, 0, _REAL, len(obj.vector), 1], ">i4")
        return bytes(head.tobytes() + elements.tobytes())


class _RealsLoader(Loader):
    format = Format.BINARY

    def load(self, data: Any) -> Vector:
        return np.frombuffer(bytes(data)[_HEADER:], _ELEMENT)["value"].astype(np.float32)


def register(context: AdaptContext) -> None:
    """Have a connection know vectors."""
    context.adapters.register_dumper(Reals, _RealsDumper)
    context.adapters.register_loader(_REALS, _RealsLoader)


def text(value: str) -> str:
    """A text as PostgreSQL takes it, which knows no NUL. Raises ValueError for a lone surrogate."""
    value.encode()
    if "\x00" not in value and "\x01" not in value:
        return value
    return value.replace("\x01", "\x01\x01").replace("\x00", "\x01\x02")


def text_of(value: str) -> str:
    """The text that `text` was given."""
    if "\x01" not in value:
        return value
    return _ESCAPED.sub(lambda found: "\x00" if found[0] == "\x01\x02" else "\x01", value)


def row_of(entry: Entry) -> list[Any]:
    """The values of COLUMNS. ValueError for a text that cannot be written."""
    row = list(to_row(entry))
    for at in _TEXTS:
        row[at] = text(row[at])
    return row


def entry_of(row: Sequence[Any]) -> Entry:
    """The entry of a row of COLUMNS followed by id, hits, last_used and the vector or None."""
    values = list(row)
    for at in _TEXTS:
        values[at] = text_of(values[at])
    vector = values[_VECTOR]
    values[_VECTOR] = None if vector is None else vector.tobytes()
    return from_row(tuple(values))
