"""OpenAI's embeddings, as floats and as base64. Source: https://platform.openai.com/docs/api-reference/embeddings.

The vectors are random directions seeded by the text: equal texts are equal, nothing else is near anything.
"""

import base64
import random
import re
import struct
from collections.abc import Iterator
from typing import Any

from askonce.sample import answers, openai_chat
from askonce.sample.formats import Ask, Format, JsonObject, dumps

__all__ = ["FORMAT"]

_DIMENSIONS = 1536
_MOST = 2048
"""Inputs of one call, as the reference has it; each takes a millisecond or two."""


def answer(ask: Ask) -> JsonObject:
    """The list of `embedding` objects, in the order of the inputs."""
    inputs = _inputs(ask.body.get("input", ""))
    dimensions = int(ask.body.get("dimensions") or _DIMENSIONS)
    as_text = ask.body.get("encoding_format") == "base64"
    spent = sum(answers.count(one) if isinstance(one, str) else len(one) for one in inputs)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(ask.model, one, dimensions, as_text)}
            for index, one in enumerate(inputs)
        ],
        "model": ask.model,
        "usage": {"prompt_tokens": spent, "total_tokens": spent},
    }


def _inputs(value: Any) -> list[Any]:
    """A text, texts, the tokens of a text, or the tokens of several: as a list of texts or token lists."""
    if isinstance(value, list) and value and isinstance(value[0], str | list):
        if len(value) > _MOST:
            raise LookupError(f"more than {_MOST} inputs")
        return value
    return [value]


def _vector(model: str, text: Any, dimensions: int, as_text: bool) -> list[float] | str:
    numbers = random.Random(f"{model} {dumps(text)}")  # seeded by the text
    raw = [numbers.gauss(0, 1) for _ in range(dimensions)]
    length = sum(number * number for number in raw) ** 0.5
    packed = struct.pack(f"<{dimensions}f", *(number / length for number in raw))
    return base64.b64encode(packed).decode() if as_text else list(struct.unpack(f"<{dimensions}f", packed))


def _no_events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    yield b""  # never sent: embeddings are not streamed


FORMAT = Format(
    name="openai-embeddings",
    paths=re.compile(r"/embeddings$"),
    answer=answer,
    events=_no_events,
    streamed=lambda ask: False,
    error=openai_chat.error,
    keys=("authorization", "api-key"),
    headers=openai_chat.headers,
)
