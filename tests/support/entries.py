"""Entries to keep, each told by its number."""

from typing import Any

import numpy as np

from askonce.cache.store import Entry
from askonce.call import Answer, Turn, Usage

__all__ = ["NOW", "P", "entry", "with_vector"]

NOW = 1_800_000_000.0
P = b"p" * 16
"""The partition, where none is given."""


def entry(number: int = 0, **given: Any) -> Entry:
    values: dict[str, Any] = {
        "key": f"{number:032x}",
        "partition": P,
        "parts": {"model": "0123456789abcdef"},
        "upstream": "openai-chat",
        "host": "api.openai.com",
        "wire": "openai-chat",
        "model": "m",
        "namespace": "",
        "prompt": f"question {number}",
        "turns": (Turn("user", f"question {number}"),),
        "answer": Answer(b'{"a":1}', usage=Usage(3, 4), headers=(("x", "y"),)),
        "created": NOW,
        "expires": NOW + 60,
        "stale_until": NOW + 60,
        "upstream_seconds": 0.5,
    }
    return Entry(**values | given)


def with_vector(number: int, partition: bytes = P, embedder: str = "e", dimension: int = 4, **given: Any) -> Entry:
    vector = np.zeros(dimension, dtype=np.float32)
    vector[number % dimension] = 1
    return entry(number, partition=partition, embedder=embedder, vector=vector, **given)
