"""JSON in and out, so that a number stays the text that it was.

One rule: what `loads` reads, `dumps` writes again digit for digit. orjson makes a double of every number with a
fraction or an exponent and of every integer beyond 64 bits (RFC 8259, section 6, leaves that to each reader), so two
numbers could become one, and another would be told than was said. Of two members with one name it drops the first in
silence; here that is no JSON. Whatever a caller or a provider wrote is read and written here, not with orjson.
"""

import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Never

import orjson

_EPOCH = datetime.fromtimestamp(0, UTC)
_SPACE = b" \t\r\n"
_LINE_ENDS = tuple(
    (sign.encode(), f"\\u{ord(sign):04x}".encode()) for sign in ("\N{NEXT LINE}", "\N{LINE SEPARATOR}", "\u2029")
)
_SAFE_DIGITS = 18
"""An integer of so many characters, its sign included, has its own text whatever it is."""


class NotJson(ValueError):
    """No JSON, or such that its readers do not agree on what it says; the message tells why."""


class ExactNumber(float):
    """A number whose text is not what orjson would write for its value. As a float it is the nearest double.

    Two of the same value but of different texts are equal to Python; `canonical` tells them apart.
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "ExactNumber":
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # what a copy is made from
        return (self.text,)

    def __repr__(self) -> str:
        return self.text


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true and false, which Python counts among the integers, are none."""
    return type(value) in (int, float, ExactNumber)


def loads(data: bytes | str) -> Any:
    """The value of a JSON text; numbers that orjson would not write as they stand there are `ExactNumber`.

    Raises `NotJson`, also where a name is there twice in one object and where `dumps` could not write it again.
    """
    try:
        value = orjson.loads(data)
        written = orjson.dumps(value)
    except orjson.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error}") from error
    except TypeError:  # orjson reads 1024 levels and writes 254
        raise NotJson("nested too deeply") from None
    data = data.encode() if isinstance(data, str) else data
    # Most JSON is written as orjson writes it, but for white space. Where escapes differ, too, then at least all that
    # is outside of strings is equal: every number, and the count of members.
    if (
        written == data
        or written.translate(None, _SPACE) == data.translate(None, _SPACE)
        or _outside_strings(written) == _outside_strings(data)
    ):
        return value
    return json.loads(data, parse_int=_integer, parse_float=_real, object_pairs_hook=_members)


def _text(value: Any) -> Any:
    if isinstance(value, ExactNumber):
        return orjson.Fragment(value.text)
    raise TypeError(f"no JSON: {type(value).__name__}")


def canonical(value: Any) -> bytes:
    """The same bytes for the same JSON, whatever the order of members; numbers are the same by their text alone.

    Raises TypeError as `dumps` does, and for text that UTF-8 cannot hold.
    """
    return orjson.dumps(value, _text, orjson.OPT_SORT_KEYS)


dumps: Callable[[Any], bytes] = functools.partial(orjson.dumps, default=_text)
"""A value as compact JSON. Raises TypeError where it is none, or nests deeper than 254 levels."""


def shortened(text: str, most: int) -> str:
    """A caller's text, as it is repeated to him: `most` characters of it, the last a mark that there were more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def encodable(text: str) -> str:
    """The text with a "?" in place of each lone surrogate: JSON allows those in a string, and UTF-8 has none."""
    return text.encode(errors="replace").decode()


def rfc3339(moment: float, precision: Literal["seconds", "milliseconds", "microseconds"] = "seconds") -> str:
    """Unix seconds as `2026-01-19T12:00:00Z`, or with three or six digits behind; JSON has no type for a time."""
    return (_EPOCH + timedelta(seconds=moment)).isoformat(timespec=precision).replace("+00:00", "Z")


def line_safe(stream: bytes) -> bytes:
    """A stream of JSON with U+0085, U+2028 and U+2029 escaped.

    JSON allows them in a string as they are. Readers that cut a stream into lines with Python's `str.splitlines`
    (httpx's `iter_lines`, and with it several providers' SDKs) would cut there.
    """
    if not stream.isascii():
        for sign, escaped in _LINE_ENDS:
            stream = stream.replace(sign, escaped)
    return stream


def _outside_strings(data: bytes) -> bytes:
    """All that is outside of strings, without white space; each string leaves a quotation mark."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b'"'.join(data.split(b'"')[::2]).translate(None, _SPACE)


def _integer(text: str) -> int | ExactNumber:
    return int(text) if len(text) <= _SAFE_DIGITS and text != "-0" else ExactNumber(text)


def _real(text: str) -> float:
    value = float(text)
    return value if orjson.dumps(value) == text.encode() else ExactNumber(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        _refuse_repeated([name for name, _ in pairs])
    return members


def _refuse_repeated(names: list[str]) -> Never:
    name = next(name for at, name in enumerate(names) if name in names[:at])
    raise NotJson(f"not clear: the key {name!r} is there twice")
