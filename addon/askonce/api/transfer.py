"""Remembered answers as JSON lines: written out, and read in again.

The rule: what is read in is checked whole before any of it is kept, and only a cache with the same secret takes it;
under another one no call would ever find it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import orjson
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.params import Depends
from fastapi.responses import Response
from pydantic import BaseModel, Field

from askonce.api.errors import RESPONSES
from askonce.api.request_models import RequestModel
from askonce.cache import Cache, Entry, Record, StoreError, TransferError, read_record, write_record

__all__ = ["MAX_IMPORT", "router"]

MAX_IMPORT = 48 << 20
"""Bytes of one import; a larger file comes in parts, each with the first line before it."""

_VERSION = 1
_PAGE_BYTES = 16 << 20
"""A page of an export ends with the entry that takes it past this."""
_PAGE_ENTRIES = 16
"""Entries that are read at once, of which each may have some MiB."""
_LINES = 256
"""Lines that are read at once, in a thread: some ten milliseconds."""
_TYPE = "application/jsonl"


class Page(RequestModel):
    after: int = Field(default=0, ge=0, le=2**62, description="`next` of the page before; 0 for the first one.")


class Imported(BaseModel):
    imported: int
    skipped: int = Field(description="Already over, or older than what is here.")


def router(cache: Cache, *, protected: Sequence[Depends]) -> APIRouter:
    """Routes under /v1/cache."""
    routes = APIRouter(prefix="/v1/cache", tags=["cache"], dependencies=protected, responses=RESPONSES)

    @routes.get("/export", response_class=Response, responses={200: {"content": {_TYPE: {}}}})
    async def export_entries(page: Annotated[Page, Query()]) -> Response:
        """Remembered answers as JSON lines, oldest first. Where the first line has `next`, there is another page."""
        lines, size, last, more = list[bytes](), 0, page.after, True
        while more and size < _PAGE_BYTES:
            entries = await cache.after(last, _PAGE_ENTRIES)
            written = await cache.run_apart(partial(_written, entries))
            for entry, line in zip(entries, written, strict=True):
                lines.append(line)
                size, last = size + len(line), entry.id
                if size >= _PAGE_BYTES:
                    break
            else:
                more = len(entries) == _PAGE_ENTRIES
        first = {"askonce": "cache", "version": _VERSION, "identity": cache.fingerprint}
        first |= {"next": last} if more else {}
        return Response(b"".join([orjson.dumps(first), b"\n", *lines]), media_type=_TYPE)

    @routes.post(
        "/import",
        openapi_extra={"requestBody": {"required": True, "content": {_TYPE: {"schema": {"type": "string"}}}}},
    )
    async def import_entries(request: Request) -> Imported:
        """Keep what an export of this cache holds; `application/jsonl`."""
        body = await request.body()
        lines = await cache.run_apart(lambda: body.split(b"\n"))
        _check_first(lines[0], cache.fingerprint)
        starts, entries, imported = range(1, len(lines), _LINES), 0, 0
        try:
            for start in starts:
                entries += await cache.check(await cache.run_apart(partial(_read, lines, start)), entries + 1)
            for start in starts:  # read twice: as entries, the lines would take several times as much memory
                imported += await cache.restore(await cache.run_apart(partial(_read, lines, start)))
        except StoreError:
            raise
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return Imported(imported=imported, skipped=entries - imported)

    return routes


def _written(entries: Sequence[Entry]) -> list[bytes]:
    return [write_record(Record(entry, entry.vector is not None)) for entry in entries]


def _read(lines: Sequence[bytes], start: int) -> list[Record]:
    part = enumerate(lines[start : start + _LINES], start + 1)
    return [_record(line, number) for number, line in part if line.strip()]


def _check_first(line: bytes, fingerprint: str) -> None:
    try:
        first = orjson.loads(line)
    except orjson.JSONDecodeError:
        first = None
    if not isinstance(first, dict) or first.get("askonce") != "cache":
        raise HTTPException(400, 'line 1: expected {"askonce":"cache","version":1,"identity":"…"}')
    if first.get("version") != _VERSION:
        raise HTTPException(400, f"line 1: version {first.get('version')!r} is not known here; update Askonce")
    if first.get("identity") != fingerprint:
        raise HTTPException(
            400,
            "line 1: written by a cache with another secret, so no call here would find its answers; "
            "copy the file `secret` of its data folder to a new one here first",
        )


def _record(line: bytes, number: int) -> Record:
    try:
        return read_record(line)
    except TransferError as error:
        raise HTTPException(400, f"line {number}: {error}") from error
