"""Server-sent events, as bytes in and values out (WHATWG HTML, section 9.2).

One rule: whatever `encode` writes, `decode` reads back; and `decode` forgives what real providers send
(comments, CR or CRLF line ends, a missing space after the colon, a missing last blank line).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["CONTENT_TYPE", "Event", "decode", "encode"]

CONTENT_TYPE = "text/event-stream"
_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its `data`, and its `name` (the `event:` field) where there is one."""

    data: bytes
    name: str = ""


def decode(body: bytes) -> Iterator[Event]:
    """Yield the events of a whole stream; an event without data is passed over, as the standard says."""
    name, data = "", list[bytes]()
    for line in [*_LINE_END.split(body.removeprefix(b"\xef\xbb\xbf")), b""]:
        if not line:
            if data:
                yield Event(b"\n".join(data), name)
            name, data = "", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")


def encode(data: bytes, name: str = "") -> bytes:
    """Write one event; a line break inside `data` becomes a further `data:` line."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n"
