"""What can happen to a request or an answer: bytes lost, flipped and doubled; values changed, taken out and put in.

One rule: `rewritten` must not change what a request asks, everything else may. It keeps each number's text.
"""

from __future__ import annotations

import copy
import functools
import json
import random
import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 2.5, 1e300, 2**53, 2**63, 2**64 + 1, "", " ", "text", "user", "assistant",
    "tool", "é", "\u0000", "\n", "\ud83c\udf19", [], {}, [[]], [{}], {"type": "text", "text": "x"}, [1, 2], "1",
    [None], {"a": {"b": []}},
)  # fmt: skip
NAMES = (
    "type",
    "role",
    "content",
    "text",
    "stream",
    "model",
    "n",
    "temperature",
    "user",
    "x",
    "",
    "input",
    "name",
    "id",
)
TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"null", b"true", b"1e999", b"\xff", b"\x00", b"\n\n", b"data: ",
    b"data: [DONE]\n\n", b"event: error\n", b"\\ud800", b"\r\n", b"-", b"NaN", b'"model":"gpt-4o",',
    b"1234567890123456789012", b"0.10000000000000000555", b"1e0", b"00",
)  # fmt: skip


NUMBERS = (
    "0", "-0", "1", "1.0", "1e0", "1.00", "10", "1e1", "1E+1", "0.1", "0.10", "1e-1", "0.10000000000000000555",
    "123456789012345678901", "123456789012345678902", "1.2345678901234567e+20", "9007199254740993",
    "9007199254740992", "9007199254740993.0", "18446744073709551616", "-9223372036854775809", "3.141592653589793238",
    "3.141592653589793", "1e-320", "1.7976931348623157e308",
)  # fmt: skip
"""Many of one value to whom reads them as doubles, each another text."""
_NUMBER = re.compile(rb'"\\u0000([-+.eE0-9]+)\\u0000"')


def _with_numbers(body: bytes) -> Any:
    """A JSON document with the text of each number, marked, in its place."""
    return json.loads(body, parse_int=_marked, parse_float=_marked)


def _marked(number: str) -> str:
    return f"\0{number}\0"


def _written(value: Any, **how: Any) -> bytes:
    """The document that `_with_numbers` read."""
    return _NUMBER.sub(rb"\1", json.dumps(value, **how).encode("utf-8", "surrogatepass"))


def cut(data: bytes, rng: random.Random) -> bytes:
    """The beginning."""
    return data[: rng.randrange(len(data) + 1)]


def bent(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, lost, doubled, moved or put in."""
    work = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(work) + 1)
        size = rng.choice((1, 1, 2, 8, 40))
        match rng.randrange(5):
            case 0 if at < len(work):
                work[at] ^= 1 << rng.randrange(8)
            case 1:
                del work[at : at + size]
            case 2:
                work[at:at] = work[at : at + size]
            case 3:
                work[at:at] = rng.choice(TOKENS)
            case _:
                work[at : at + size] = bytes(rng.randrange(256) for _ in range(rng.randrange(3)))
    return bytes(work)


def reworded(body: bytes, texts: Sequence[str], rng: random.Random) -> bytes:
    """One of the texts in another's place."""
    new = orjson.dumps(rng.choice(texts))
    for text in texts:
        body = body.replace(orjson.dumps(text), new)
    return body


def _spots(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        found.append((value, key))
        if isinstance(item, dict | list):
            _spots(item, found)
    return found


def changed(body: bytes, rng: random.Random) -> bytes:
    """One to three values of a JSON document replaced, taken out, put in, or exchanged."""
    value = json.loads(body)
    if not isinstance(value, dict | list):
        return body
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not (spots := _spots(value, [])):
            break
        holder, key = rng.choice(spots)
        other, at = rng.choice(spots)
        match rng.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[rng.choice(NAMES)] = copy.deepcopy(rng.choice(ODD))
            case 1:
                holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(rng.choice(ODD)))
            case 2 if isinstance(holder[key], str):
                words = holder[key].split(" ")
                rng.shuffle(words)
                holder[key] = " ".join(words)
            case 3 if isinstance(holder[key], int | float | str):
                holder[key] = holder[key] + type(holder[key])(1)
            case 4:
                copied = orjson.loads(json.dumps(other[at]))
                holder[key] = copied
            case _:
                holder[key] = copy.deepcopy(rng.choice(ODD))
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        items = list(value.items())
        rng.shuffle(items)
        return {key: _shuffled(item, rng) for key, item in items}
    return [_shuffled(item, rng) for item in value] if isinstance(value, list) else value


def rewritten(body: bytes, wire: str, rng: random.Random) -> bytes:
    """The same request in other bytes: order of keys, white space, escapes, `stream`, what the rule ignores."""
    value = _shuffled(_with_numbers(body), rng)
    if wire not in ("gemini", "generic", "openai-embeddings"):
        value["stream"] = rng.random() < 0.5
        if not value["stream"]:
            value.pop("stream_options", None)
    if "user" in value or rng.random() < 0.3:
        value["user"] = rng.choice(("me", "you", "them"))
    indent, ascii_only = rng.choice((None, 1, 4)), rng.random() < 0.5
    return _written(value, indent=indent, ensure_ascii=ascii_only)


def renumbered(body: bytes, rng: random.Random) -> bytes:
    """One number of a JSON document: its last digit changed, the same value in another text, or another in its place.
    Where it has none, a member more."""
    value = _with_numbers(body)
    if not isinstance(value, dict):
        return body
    spots = [(holder, key) for holder, key in _spots(value, []) if str(holder[key]).startswith("\0")]
    holder, key = rng.choice(spots or [(value, "x")])
    text = str(holder.get(key, "") if isinstance(holder, dict) else holder[key]).strip("\0")
    match rng.randrange(4):
        case 0 if text[-1:].isdecimal():
            text = text[:-1] + str((int(text[-1]) + 1) % 10)
        case 1 if text:
            text += "" if "e" in text.lower() else "0" if "." in text else rng.choice((".0", "e0"))
        case _:
            text = rng.choice(NUMBERS)
    holder[key] = _marked(text)
    return _written(value, ensure_ascii=False)


def respelt(body: bytes, rng: random.Random) -> bytes:
    """A character of any category, put in or in another's place, in one text of a JSON document."""
    value = _with_numbers(body)
    spots = [(holder, key) for holder, key in _spots(value, []) if _is_text(holder[key])]
    if not spots:
        return body
    holder, key = rng.choice(spots)
    text, categories = holder[key], _characters()
    at, character = rng.randrange(len(text) + 1), chr(rng.choice(categories[rng.choice(sorted(categories))]))
    holder[key] = text[:at] + character + text[at + rng.randrange(2) :]
    return _written(value, ensure_ascii=rng.random() < 0.5)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not value.startswith("\0")


@functools.cache
def _characters() -> dict[str, list[int]]:
    """Every character by its category, but for surrogates, which no UTF-8 has."""
    found = defaultdict[str, list[int]](list)
    for number in range(1, sys.maxunicode + 1):
        found[unicodedata.category(chr(number))].append(number)
    del found["Cs"]
    return found
