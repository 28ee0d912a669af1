"""Hosts, paths and JSONPaths as rules.yaml writes them, parsed once into something quick to match.

One rule: each `parse_*` raises ValueError with what was expected; what it returns never fails.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonpath
from jsonpath.exceptions import JSONPathError
from jsonpath.selectors import IndexSelector, NameSelector

__all__ = ["Find", "HostPattern", "OverwrittenError", "parse_host", "parse_jsonpath", "parse_path", "parse_value"]

Find = Callable[[Any], list[tuple[tuple[str | int, ...], Any]]]
"""A JSON value -> the (path, value) pairs that match, in document order."""

_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"(?:(https?)://)?((?:\*\.)?[a-z0-9](?:[a-z0-9_-]*\.?)*|\[[0-9a-f:]+\])(?::([0-9]{1,5}))?")


class OverwrittenError(RuntimeError):
    """Another package has put its files over those of a library that Askonce needs; pip does not notice."""


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
    port = int(found[3] or _PORTS[scheme])
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


def _stars(text: str) -> list[str]:
    return [part for part in re.split(r"(\*\*|\*)", text) if part]


@cache
def parse_jsonpath(text: str) -> Find:
    """A JSONPath (RFC 9535). Raises ValueError, and OverwrittenError where the library is not the one installed.

    A path of plain names and indexes is walked directly: python-jsonpath takes some 15 µs for `$.messages[-1].content`,
    and every intercepted call pays for it.
    """
    try:
        query = jsonpath.compile(text, strict=True)
    except JSONPathError as error:
        raise ValueError(
            f"expected a JSONPath (RFC 9535) such as $.messages[-1].content; got {text!r}: {error.args[0]}"
        ) from None
    except TypeError:  # it knows no `strict`: mistralai 3 brings jsonpath-python, which has a module of the same name
        raise OverwrittenError(
            "the package python-jsonpath was overwritten by another, jsonpath-python most likely (mistralai needs it); "
            "install Askonce into an environment of its own (uv tool install, pipx), or undo it with: "
            "pip uninstall jsonpath-python; pip install --force-reinstall --no-deps python-jsonpath"
        ) from None
    if not isinstance(query, jsonpath.JSONPath):
        raise ValueError(f"expected a single JSONPath, not a compound one; got {text!r}")
    steps: list[str | int] = []
    for segment in query.segments if query.singular_query() else ():
        (selector,) = segment.selectors
        if isinstance(selector, NameSelector):
            steps.append(selector.name)
        elif isinstance(selector, IndexSelector):
            steps.append(selector.index)
    if query.singular_query():
        return _walker(tuple(steps))
    return lambda value: [
        (tuple(part for part in match.parts if isinstance(part, str | int)), match.obj)
        for match in query.finditer(value)
    ]


def _walker(steps: tuple[str | int, ...]) -> Find:
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
