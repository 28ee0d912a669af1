"""Hosts, paths and JSONPaths as rules.yaml writes them, parsed once into something quick to match.

One rule: each `parse_*` raises ValueError with what was expected; what it returns never fails.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonpath_rfc9535
from jsonpath_rfc9535 import JSONPathError

from askonce.settings import DEFAULT_PORTS

__all__ = ["HostPattern", "JsonPathQuery", "parse_host", "parse_jsonpath", "parse_path", "parse_text", "parse_value"]

JsonPathQuery = Callable[[Any], list[tuple[tuple[str | int, ...], Any]]]
"""A JSON value -> the (path, value) pairs that match, in document order."""

_STEP = re.compile(r"""\.[^\W\d]\w*|\[-?[0-9]+\]|\['[^'\\]*'\]|\["[^"\\]*"\]""")
_PLAIN = re.compile(rf"\$(?:{_STEP.pattern})*")
"""Names and indexes alone, no escapes, no spaces: at most one value is there."""
_HOST = re.compile(r"(?:(https?)://)?((?:\*\.)?[a-z0-9](?:[a-z0-9_-]*\.?)*|\[[0-9a-f:]+\])(?::([0-9]{1,5}))?")
_HOLE = re.compile(r"\{(number|hex|word)\}")
_HOLES = {
    "number": r"-?+[0-9]{1,64}+(?:\.[0-9]{1,64}+)?+(?:[eE][-+]?+[0-9]{1,3}+)?+(?![0-9])",
    "hex": r"[0-9A-Fa-f]{1,64}+(?![0-9A-Fa-f])",
    "word": r"\w{1,64}+(?!\w)",
}
"""What may stand for what differs. Each takes what it can, at most some 200 characters, and gives nothing back."""


@dataclass(frozen=True, slots=True)
class HostPattern:
    """`https://NAME:443`, where NAME may begin with `*.` for all names below it."""

    scheme: str
    name: str
    """An IPv6 address without brackets."""
    port: int

    @property
    def is_wild(self) -> bool:
        return self.name.startswith("*.")

    def matches(self, host: str) -> bool:
        """Whether a lower-case host name is this one, or below it where it is wild."""
        return host.endswith(self.name[1:]) if self.is_wild else host == self.name


@cache
def parse_host(text: str) -> HostPattern:
    """`[https://|http://]NAME[:PORT]`; https where the scheme is left out. Raises ValueError."""
    found = _HOST.fullmatch(text.lower())
    name = found[2] if found else ""
    try:
        name = str(ipaddress.IPv6Address(name.strip("[]"))) if ":" in name else name
    except ValueError:
        name = ""
    if not found or not name:
        raise ValueError(
            f"expected a host such as api.example.com, *.example.com or http://localhost:8000; got {text!r}"
        )
    scheme = found[1] or "https"
    port = int(found[3] or DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        raise ValueError(f"expected a port from 1 to 65535; got {text!r}")
    if name.startswith("*.") and name.count(".") < 2:
        raise ValueError(f"expected a wildcard below a domain of one's own, such as *.example.com; got {text!r}")
    return HostPattern(scheme, name, port)


@cache
def parse_path(text: str) -> re.Pattern[str]:
    """A path where `*` stands for anything within a segment and `**` for anything. Raises ValueError."""
    if not text.startswith("/") or "?" in text or "#" in text:
        raise ValueError(f"expected a path that begins with / and has no query; got {text!r}")
    parts = (".*" if part == "**" else "[^/]*" if part == "*" else re.escape(part) for part in _stars(text))
    return re.compile("".join(parts), re.DOTALL)


def parse_value(text: str) -> re.Pattern[str]:
    """A header's value where `*` stands for anything, in any case. Cannot fail, and cannot run away: nothing is
    matched twice."""
    return re.compile(".*".join(re.escape(part) for part in re.split(r"\*+", text)), re.DOTALL | re.IGNORECASE)


@cache
def parse_text(text: str) -> re.Pattern[str]:
    """A piece of text where `{number}`, `{hex}` and `{word}` stand for one each. Raises ValueError.

    It cannot run away: between literal characters are possessive repetitions with a bound, so that at each place of a
    text there is one way to match, of a bounded length. It begins with a literal, and no two that vary touch, so that
    it says which number it means.
    """
    parts = _HOLE.split(text)
    literals, holes = parts[::2], parts[1::2]
    if not all((literals[0], *literals[1:-1])):
        raise ValueError(
            "expected text with {number}, {hex} or {word} in it, other text before and between these; "
            f"got {text!r}"
        )
    pieces = [re.escape(literals[0])]
    for hole, literal in zip(holes, literals[1:], strict=True):
        pieces += [_HOLES[hole], re.escape(literal)]
    return re.compile("".join(pieces))


def _stars(text: str) -> list[str]:
    return [part for part in re.split(r"(\*\*|\*)", text) if part]


@cache
def parse_jsonpath(text: str) -> JsonPathQuery:
    """A JSONPath (RFC 9535). Raises ValueError.

    A path of plain names and indexes is walked directly: the library takes some 10 µs for `$.messages[-1].content`, and
    every intercepted call pays for it.
    """
    try:
        query = jsonpath_rfc9535.compile(text)
    except JSONPathError as error:
        raise ValueError(
            f"expected a JSONPath (RFC 9535) such as $.messages[-1].content; got {text!r}: {error.args[0]}"
        ) from None
    if _PLAIN.fullmatch(text):
        return _walker(
            tuple(int(step[1:-1]) if step[1] in "-0123456789" else _name(step) for step in _STEP.findall(text))
        )
    return lambda value: [(node.location, node.value) for node in query.finditer(value)]


def _name(step: str) -> str:
    return step[1:] if step[0] == "." else step[2:-2]


def _walker(steps: tuple[str | int, ...]) -> JsonPathQuery:
    def walk(value: Any) -> list[tuple[tuple[str | int, ...], Any]]:
        path: list[str | int] = []
        for step in steps:
            if isinstance(step, str):
                if not isinstance(value, dict) or step not in value:
                    return []
                path.append(step)
            else:
                if not isinstance(value, list) or not -len(value) <= step < len(value):
                    return []
                path.append(step % len(value))
            value = value[step]
        return [(tuple(path), value)]

    return walk
