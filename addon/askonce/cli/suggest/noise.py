"""Noise in a pair of values that should be one: ids, times, counters, ports, temporary paths.

One rule: what is not known for noise is content, and content is never proposed to be overlooked.
"""

import difflib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from askonce.jsontext import is_number
from askonce.jsontext.differences import Path, common_start

__all__ = ["Noise", "field_noise", "header_noise", "text_noise"]

_MOST = 1_500
"""Pieces of a text, between what begins and ends both, that are compared."""
_PIECE = re.compile(
    r"""
    [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}                        # a UUID, RFC 9562
    | \d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?   # a time, RFC 3339
    | \d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?(?!\w)
    | \d+\.\d+(?![\w.])
    | \w+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_TIME = re.compile(r"(?:\d{4}-\d\d-\d\d[T ])?\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_EPOCH = re.compile(r"1[5-9]\d{8}(?:\d{3}){0,3}(?:\.\d+)?")
"""Seconds since 1970 from 2017 on, or thousandths and less of them."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_HEX = re.compile(r"[0-9a-f]{8,64}|[0-9A-F]{8,64}")
_SHORT_HEX = re.compile(r"[0-9a-f]{5,7}")
_WORD = re.compile(r"\w{1,64}")
_TEMPORARY = re.compile(r"(?:/tmp|/var/folders|/dev/shm|\\Temp)[/\\][\w./\\-]*$", re.IGNORECASE)
_PORT = re.compile(r"(?:\b(?:localhost|127\.0\.0\.1|0\.0\.0\.0)|\[::1?\]):$|\bport\W{0,3}$", re.IGNORECASE)
_COUNTED = re.compile(
    r"(?:\b|_)(?:id|pid|process|thread|seq|sequence|request|req|run|attempt|session|trace|span|nonce|counter|build|job)"
    r"[\s#:='\"_-]{0,4}$",
    re.IGNORECASE,
)
_TOOK = re.compile(
    r"(?:\b|_)(?:took|elapsed|duration|wall[ _]time|uptime|latency)(?:_\w{1,12})?\W{0,4}(?:in |of |for )?$",
    re.IGNORECASE,
)
_UNIT = re.compile(r"\s?(?:ms|µs|us|ns|s|secs?|seconds?|milliseconds?)\b")
_NAMES = {
    "id": frozenset(
        "id ids uuid guid nonce trace span session request correlation invocation conversation turn".split()  # noqa: SIM905
    ),
    "time": frozenset("time timestamp ts at date created started updated now moment".split()),  # noqa: SIM905
    "counter": frozenset("seq sequence counter pid port attempt".split()),  # noqa: SIM905
    "hash": frozenset("hash digest checksum signature etag sha".split()),  # noqa: SIM905
    "wall time": frozenset("elapsed duration latency took ms seconds".split()),  # noqa: SIM905
}
"""What fields of a kind are called: one of the words of their names."""
_SPOKEN = frozenset(
    {"content", "text", "output", "input", "arguments", "query", "prompt", "instructions", "description"}
)
"""Fields that a model reads: no such field is noise as a whole."""


@dataclass(frozen=True, slots=True)
class Noise:
    """A piece of a text that is another in every run."""

    start: int
    """In the first of both texts."""
    end: int
    kind: str
    pattern: str
    """As `normalise` writes it."""


def text_noise(one: str, other: str, place: str = "") -> Sequence[Noise] | None:
    """Where two texts differ, where all of it is noise; None where some of it, or nothing, is not known to be.

    `place`: the name of the field, for a text that is nothing but the noise.
    """
    found = list[Noise]()
    for start, end, before, after in _pairs(one, other):
        known = _noise(before, after, one[max(0, start - 80) : start] or f"{place} ", one[end : end + 20])
        if known is None:
            return None
        found.append(Noise(start, end, *known))
    return found or None


def field_noise(path: Path, one: Any, other: Any) -> str:
    """The kind of noise that a field as a whole is; empty where it is none."""
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    if name in _SPOKEN or not all(isinstance(value, str) or is_number(value) for value in (one, other)):
        return ""
    before, after = str(one), str(other)
    if re.search(r"\s", before + after) and not (_TIME.fullmatch(before) and _TIME.fullmatch(after)):
        return ""
    called = _kind_of(name)
    if is_number(one) and is_number(other):
        return "time" if _are(_EPOCH, before, after) else called
    if called and not re.search(r"[/\\@]", before + after):
        return called
    found = text_noise(before, after)
    return found[0].kind if found else ""


def header_noise(name: str) -> str:
    """The kind of noise that a header is called; empty where it is none."""
    return _kind_of(name)


def _kind_of(name: str) -> str:
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)}
    return next((kind for kind, names in _NAMES.items() if not words.isdisjoint(names)), "")


def _pairs(one: str, other: str) -> Iterator[tuple[int, int, str, str]]:
    """(start, end, text, other text) of the pieces that differ; what has no counterpart is a piece with nothing."""
    left, right = _PIECE.findall(one), _PIECE.findall(other)
    places = [0, *itertools.accumulate(map(len, left))]
    for i, j, k, m in _unequal(left, right):
        if j - i == m - k:
            for at in range(j - i):
                if left[i + at] != right[k + at]:
                    yield places[i + at], places[i + at + 1], left[i + at], right[k + at]
        else:
            yield places[i], places[j], "".join(left[i:j]), "".join(right[k:m])


def _unequal(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Ranges of both that stand for one another and are not equal."""
    if len(left) == len(right):  # noise is mostly one piece for one
        yield 0, len(left), 0, len(right)
        return
    start = common_start(left, right)
    end = common_start(reversed(left[start:]), reversed(right[start:]))
    left, right = left[start : len(left) - end], right[start : len(right) - end]
    if max(len(left), len(right)) > _MOST:
        yield start, start + len(left), start, start + len(right)
        return
    for tag, *(i, j, k, m) in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag != "equal":
            yield start + i, start + j, start + k, start + m


def _noise(one: str, other: str, before: str, after: str) -> tuple[str, str] | None:
    """(kind, pattern) of a piece that differs."""
    if _are(_UUID, one, other):
        return "id", "{hex}-{hex}-{hex}-{hex}-{hex}"
    if _are(_TIME, one, other):
        pattern = _NUMBER.sub("{number}", one)
        return ("time", pattern) if pattern == _NUMBER.sub("{number}", other) else None
    if not _are(_WORD, one, other) and not _are(_NUMBER, one, other):
        return None
    if _TEMPORARY.search(before):
        return "temporary path", "{word}"
    if _are(_NUMBER, one, other):
        kind = _number_kind(one, other, before, after)
        return (kind, "{number}") if kind else None
    return _id(one, other, before)


def _number_kind(one: str, other: str, before: str, after: str) -> str:
    if _are(_EPOCH, one, other):
        return "time"
    if _PORT.search(before):
        return "port"
    if _TOOK.search(before) or (_UNIT.match(after) and ("." in one or "." in other)):
        return "wall time"
    if _COUNTED.search(before):
        return "counter"
    # An id may have digits alone by chance; nobody counts so far.
    return "id" if min(len(one), len(other)) >= 12 and "." not in one + other else ""


def _id(one: str, other: str, before: str) -> tuple[str, str] | None:
    length = common_start(one, other)
    stem = one[: one.rfind("_", 0, length) + 1]  # `call_`, `req_`
    left, right = one[len(stem) :], other[len(stem) :]
    if _are(_HEX, left, right):
        kind = "hash" if len(left) == len(right) >= 32 else "id"
        return kind, stem + "{hex}"
    if before.endswith("=") and len(left) == len(right) and _are(_SHORT_HEX, left, right):
        return "id", stem + "{hex}"
    if len(left) == len(right) >= 6 and _is_random(left) and _is_random(right):
        return "id", stem + "{word}"
    return ("id", stem + "{word}") if _COUNTED.search(before) and len(left) == len(right) >= 4 else None


def _is_random(text: str) -> bool:
    """Digits among letters, as no word has them."""
    return bool(re.search(r"[A-Za-z]\d|\d[A-Za-z]", text))


def _are(pattern: re.Pattern[str], one: str, other: str) -> bool:
    return bool(pattern.fullmatch(one) and pattern.fullmatch(other))
