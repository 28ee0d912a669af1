"""Where two JSON values differ, as places in them.

One rule: putting every difference into the one value makes the other of it; equal values have none.
"""

import re
from collections.abc import Hashable, Iterable, Iterator
from itertools import takewhile
from typing import Any, Final, NamedTuple

from askonce.jsontext import ExactNumber, canonical

__all__ = [
    "ABSENT",
    "JsonDifference",
    "Path",
    "apply",
    "common_start",
    "differences",
    "excerpts",
    "normalised",
    "shorthand",
    "written",
]

type Path = tuple[str | int, ...]
"""Names of members and indexes of items, from the root on."""

_ESCAPED = re.compile(r"['\\\x00-\x1f]")
_ESCAPES = {"'": r"\'", "\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
_SHORT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""There is no such member or item on this side."""


class JsonDifference(NamedTuple):
    """A place whose values are not equal; the path leads to it in both."""

    path: Path
    one: Any
    """A JSON value, or ABSENT."""
    other: Any


def differences(one: Any, other: Any, limit: int = 100) -> list[JsonDifference]:
    """The smallest places where two JSON values differ.

    Members have no order. Of two lists the beginning and the end that both have are left out, and what is between is
    compared item by item. Numbers are equal by their text. A value with more than `limit` differences in it is one
    difference.
    """
    return _Comparison(limit).compare((), one, other)


def apply(one: Any, found: Iterable[JsonDifference]) -> Any:
    """What becomes of a JSON value when these differences are put into it; the value itself is changed."""
    root, gone = [one], list[Path]()
    for path, before, after in found:
        holder, last = _holder(root, path)
        if after is ABSENT:
            gone.append(path)
        elif before is ABSENT and isinstance(holder, list):
            holder.insert(last, after)
        else:
            holder[last] = after
    for path in reversed(gone):  # so that an index still means the same item
        holder, last = _holder(root, path)
        del holder[last]
    return root[0]


def _holder(root: list[Any], path: Path) -> tuple[Any, Any]:
    *way, last = (0, *path)
    holder: Any = root
    for step in way:
        holder = holder[step]
    return holder, last


class _Comparison:
    """Compares by numbers: equal values get the same, so that no value is walked through twice."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._numbers = dict[Hashable, int]()
        self._known = dict[int, int]()
        """By the address of a list or an object, both of which live as long as the comparison."""

    def compare(self, path: Path, one: Any, other: Any) -> list[JsonDifference]:
        if self._number(one) == self._number(other):
            return []
        if isinstance(one, dict) and isinstance(other, dict):
            pairs: Iterator[tuple[str | int, Any, Any]] = self._members(one, other)
        elif isinstance(one, list) and isinstance(other, list):
            pairs = self._items(one, other)
        else:
            return [JsonDifference(path, one, other)]
        found = list[JsonDifference]()
        for step, left, right in pairs:
            if left is ABSENT or right is ABSENT:
                found.append(JsonDifference((*path, step), left, right))
            else:
                found += self.compare((*path, step), left, right)
            if len(found) > self._limit:
                return [JsonDifference(path, one, other)]
        return found

    @staticmethod
    def _members(one: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str | int, Any, Any]]:
        for name in {**other, **one}:
            yield name, one.get(name, ABSENT), other.get(name, ABSENT)

    def _items(self, one: list[Any], other: list[Any]) -> Iterator[tuple[str | int, Any, Any]]:
        left, right = [self._number(item) for item in one], [self._number(item) for item in other]
        start = common_start(left, right)
        end = common_start(reversed(left[start:]), reversed(right[start:]))
        for at in range(start, max(len(left), len(right)) - end):
            yield (
                at,
                one[at] if at < len(left) - end else ABSENT,
                other[at] if at < len(right) - end else ABSENT,
            )

    def _number(self, value: Any) -> int:
        if not isinstance(value, dict | list):
            return self._numbers.setdefault(_scalar(value), len(self._numbers))
        number = self._known.get(id(value))
        if number is None:
            number = self._numbers.setdefault(self._inside(value), len(self._numbers))
            self._known[id(value)] = number
        return number

    def _inside(self, value: dict[str, Any] | list[Any]) -> Hashable:
        if isinstance(value, list):
            return ("list", *[self._number(item) for item in value])
        return frozenset((name, self._number(member)) for name, member in value.items())


def common_start(one: Iterable[Any], other: Iterable[Any]) -> int:
    """How many at the beginning are equal."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _scalar(value: Any) -> Hashable:
    """1, 1.0 and true are equal to Python."""
    return type(value).__name__, value.text if isinstance(value, ExactNumber) else value


def normalised(path: Path) -> str:
    """A path as RFC 9535, section 2.7, writes a normalized path: `$['messages'][0]['content']`."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f"['{_escaped(step)}']" for step in path)


def shorthand(path: Path) -> str:
    """The same as a person writes it: `$.messages[0].content`."""
    return "$" + "".join(
        f".{step}" if isinstance(step, str) and _SHORT.fullmatch(step) else normalised((step,))[1:] for step in path
    )


def _escaped(name: str) -> str:
    return _ESCAPED.sub(lambda sign: _ESCAPES.get(sign[0], f"\\u{ord(sign[0]):04x}"), name)


def written(value: Any) -> str:
    """A JSON value for people: a text as it is, nothing for `ABSENT`."""
    if isinstance(value, str):
        return value
    return "" if value is ABSENT else canonical(value).decode()


def excerpts(one: str, other: str, width: int) -> tuple[str, str]:
    """Both texts from a little before the first sign that differs, `width` characters at most; empty where they are
    alike. Texts that are short are shown whole: an excerpt is harder to read."""
    if one == other:
        return "", ""
    start = 0 if max(len(one), len(other)) <= width else max(0, common_start(one, other) - width // 4)
    return _cut(one, start, width), _cut(other, start, width)


def _cut(text: str, start: int, width: int) -> str:
    shown = text[start : start + width]
    return ("…" if start else "") + shown + ("…" if start + width < len(text) else "")
