"""What can happen to a request or an answer: bytes lost, flipped and doubled; values changed, taken out and put in.

One rule: `rewritten` must not change what a request asks, everything else may.
"""

from __future__ import annotations

import copy
import json
import random
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
    value = _shuffled(json.loads(body), rng)
    if wire not in ("gemini", "generic", "openai-embeddings"):
        value["stream"] = rng.random() < 0.5
        if not value["stream"]:
            value.pop("stream_options", None)
    if "user" in value or rng.random() < 0.3:
        value["user"] = rng.choice(("me", "you", "them"))
    indent, ascii_only = rng.choice((None, 1, 4)), rng.random() < 0.5
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
