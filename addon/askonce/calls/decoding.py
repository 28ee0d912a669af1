"""Content-encodings taken off (RFC 9110 section 8.4.1), in steps and never past a limit.

One rule: a body of some kilobytes may decode to gigabytes, so nothing is decoded by a call that does not know when to
stop. Everything here takes long for a large body, and lets go of the interpreter's lock meanwhile.
"""

import io
import zlib
from collections.abc import Callable, Iterator

import brotli
import zstandard

__all__ = ["TooLarge", "decode_content"]

_STEP = 256 << 10
"""Bytes that are decoded at once."""
_CODINGS = 4
"""Applied to one body; each is another way to multiply it."""
_MEMBERS = 64
"""Of a gzip body (RFC 1952 section 2.2)."""
_WINDOW = 8 << 20
"""Bytes: RFC 9659 lets no zstd content ask for a larger window."""


class TooLarge(ValueError):
    """The body decodes to more than the limit."""


def decode_content(body: bytes, codings: str, limit: int) -> bytes:
    """`body` without the codings of a Content-Encoding field, the last one first.

    Raises `TooLarge` where that has more than `limit` bytes, ValueError where it does not decode or is cut off.
    """
    names = [name for coding in codings.split(",") if (name := coding.strip().lower())]
    if len(names) > _CODINGS:
        raise ValueError(f"{len(names)} content-encodings, expected at most {_CODINGS}")
    for name in reversed(names):
        if name == "identity" or not body:
            continue
        if name not in _DECODERS:
            raise ValueError(f"unknown content-encoding {name!r}")
        try:
            body = _gathered(_DECODERS[name](body), limit)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise ValueError(f"does not decode as {name}: {error}") from error
    return body


def _gathered(parts: Iterator[bytes], limit: int) -> bytes:
    # Whose value is no second copy; closed, since an error holds the frames that it came from, and they their values.
    with io.BytesIO() as whole:
        for part in parts:
            whole.write(part)
            if whole.tell() > limit:
                raise TooLarge(f"decodes to more than {limit} bytes")
        return whole.getvalue()


def _gunzip(body: bytes) -> Iterator[bytes]:
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        yield from _inflate(member, body)
        body = member.unused_data.lstrip(b"\0")  # padding, as gzip(1) allows
        if not body:
            return
    raise ValueError(f"more than {_MEMBERS} gzip members")


def _deflate(body: bytes) -> Iterator[bytes]:
    # RFC 9110 8.4.1.2: "deflate" is zlib's format, and some send it without that format's frame.
    is_framed = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    yield from _inflate(zlib.decompressobj(wbits=15 if is_framed else -15), body)


def _inflate(decoder: "zlib._Decompress", body: bytes) -> Iterator[bytes]:
    view = memoryview(body)
    for start in range(0, len(body), _STEP):
        rest: bytes | memoryview = view[start : start + _STEP]
        while rest and not decoder.eof:
            yield decoder.decompress(rest, _STEP)
            rest = decoder.unconsumed_tail
    while not decoder.eof and (part := decoder.decompress(b"", _STEP)):
        yield part
    if not decoder.eof:
        raise ValueError("cut off")


def _unbrotli(body: bytes) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    for start in range(0, len(body), _STEP):
        yield decoder.process(body[start : start + _STEP], output_buffer_limit=_STEP)
        while not decoder.is_finished() and (part := decoder.process(b"", output_buffer_limit=_STEP)):
            yield part
    if not decoder.is_finished():
        raise ValueError("cut off")


def _unzstd(body: bytes) -> Iterator[bytes]:
    decoder = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    with decoder.stream_reader(body, read_across_frames=True) as reader:
        while part := reader.read(_STEP):
            yield part


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _deflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
