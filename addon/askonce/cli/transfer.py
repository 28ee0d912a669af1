"""Files of answers, in the parts that one request carries. One rule: no file is ever held as a whole."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from askonce import jsontext
from askonce.cli.client import AskProxy

__all__ = ["FileError", "batches", "pages", "pairs"]

_BATCH = 8 << 20
"""Bytes of one request, or one line where that is longer."""
_PAIRS = 500


class FileError(ValueError):
    """A file is not what was expected; the message names the line."""


def pages(ask: AskProxy) -> Iterator[bytes]:
    """An export page by page: the first line once, then the answers."""
    after: int | None = None
    while True:
        page: bytes = ask("GET", "/v1/cache/export", {"after": after})
        line, _, answers = page.partition(b"\n")
        first = json.loads(line)
        more = first.pop("next", None)
        yield (json.dumps(first, separators=(",", ":")).encode() + b"\n" if after is None else b"") + answers
        if more is None:
            return
        after = more


def batches(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of an export, in parts that each begin with its first line."""
    first, batch, size = b"\n", list[bytes](), 0
    for number, line in enumerate(lines):
        whole = line if line.endswith(b"\n") else line + b"\n"
        if number == 0:
            first = whole
            continue
        if batch and size + len(whole) > _BATCH:
            yield first + b"".join(batch)
            batch, size = [], 0
        batch.append(whole)
        size += len(whole)
    yield first + b"".join(batch)


def pairs(lines: Iterable[bytes], name: str) -> Iterator[list[tuple[int, Any]]]:
    """JSON lines in parts: the number of each line, and its value. Raises `FileError`."""
    batch, size = list[tuple[int, Any]](), 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            batch.append((number, jsontext.loads(line)))
        except ValueError as error:
            raise FileError(f"{name}:{number}: expected a JSON object: {error}") from None
        size += len(line)
        if size > _BATCH or len(batch) >= _PAIRS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
