"""Files of labelled questions: JSON lines, gzipped or not.

One rule: a file is read whole or refused with its name and the line of the first mistake; nothing is skipped.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from askonce.cache.judge.reuse import ReuseKind

__all__ = ["LabelError", "LabelledPair", "Prompt", "Query", "groups", "read_pairs", "read_prompts", "read_stream"]

KINDS: tuple[ReuseKind, ...] = get_args(ReuseKind)
GZIP = b"\x1f\x8b"


class LabelError(ValueError):
    """A file cannot be measured with; the message is `file:line: what was expected`."""


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """A stored question, an asked one, and whether the answer to the first serves the second."""

    a: str
    b: str
    label: int
    """0 or 1."""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt by itself, and its kind: whether its answer may be given again."""

    text: str
    kind: ReuseKind


@dataclass(frozen=True, slots=True)
class Query:
    """A question, and what its right answer is called."""

    text: str
    answer: str


def read_pairs(path: Path) -> list[LabelledPair]:
    """Lines of {"a": text, "b": text, "label": 0 or 1, "cat": text, if any}. Raises LabelError, OSError."""
    found = []
    for place, row in _rows(path):
        label = row.get("label")
        if type(label) is not int or label not in (0, 1):
            raise LabelError(f'{place}: expected "label" to be 0 or 1; {_got(row, "label")}')
        category = "" if row.get("cat") is None else _text(row, "cat", place)
        found.append(LabelledPair(_text(row, "a", place), _text(row, "b", place), label, category))
    return _some(found, path, "pairs")


def read_stream(path: Path) -> list[Query]:
    """Lines of {"text": text, "cls": text}: one class is one answer. Raises LabelError, OSError."""
    found = [Query(_text(row, "text", place), _text(row, "cls", place)) for place, row in _rows(path)]
    return _some(found, path, "questions")


def read_prompts(path: Path) -> list[Prompt]:
    """Lines of {"text": text, "kind": "lasting", "volatile", …}. Raises LabelError, OSError."""
    found = []
    for place, row in _rows(path):
        text, kind = _text(row, "text", place), row.get("kind")
        if kind not in KINDS:
            raise LabelError(f'{place}: expected "kind" to be one of {", ".join(KINDS)}; {_got(row, "kind")}')
        found.append(Prompt(text, kind))
    return _some(found, path, "prompts")


def groups(pairs: Sequence[LabelledPair]) -> list[str]:
    """For each pair, the name of its group: pairs that share a question, directly or through others, are one group."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for pair in pairs:
        left, right = root(pair.a), root(pair.b)
        parent[max(left, right)] = min(left, right)
    return [root(pair.a) for pair in pairs]


def _some[T](found: list[T], path: Path, what: str) -> list[T]:
    if not found:
        raise LabelError(f"{path}:1: expected {what}, one JSON object a line; the file is empty")
    return found


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """`file:line` and the object of each line that is not blank."""
    for number, line in _lines(path):
        place = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LabelError(f"{place}: expected a JSON object: {error}") from None
        if not isinstance(row, dict):
            raise LabelError(f"{place}: expected a JSON object; got {_short(row)}")
        yield place, row


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The number and the bytes of each line that is not blank."""
    number = 0
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP
        file.seek(0)
        lines = gzip.GzipFile(fileobj=file) if zipped else file
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise LabelError(f"{path}:{number + 1}: the gzip file is broken here: {error}") from None


def _text(row: dict[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or (name != "cat" and not value.strip()):
        raise LabelError(f'{place}: expected "{name}" to be a text; {_got(row, name)}')
    if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
        raise LabelError(f'{place}: expected "{name}" to be Unicode text; half of a surrogate pair is in it')
    return value


def _got(row: dict[str, Any], name: str) -> str:
    return f"got {_short(row[name])}" if name in row else f"the line has {', '.join(sorted(row)) or 'nothing'}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:60] + "…"
