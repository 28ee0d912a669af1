"""OpenAI's embeddings (`POST …/embeddings`).

One rule: only the very same input is answered, and one call is one answer. A batch is kept under `history` as it
came, and a single text is the prompt, so that the texts of a batch can later be looked up one by one as what a call
with that text alone would have asked. Source: OpenAI's API reference.
"""

from typing import Any

import orjson

from askonce.call import Answer, Call, Part, Reply, Request, Turn, Unreadable, Unstorable, Usage
from askonce.wire import openai_answers as answers
from askonce.wire import openai_reading as reading
from askonce.wire.base import ReadOptions, Replay
from askonce.wire.common import JsonObject, by_part, count_of, cut_prompt, drop, load_object, zeroed

__all__ = ["OpenAIEmbeddings"]

_PARTS: dict[str, Part] = dict.fromkeys(("encoding_format", "dimensions", "output_dimension", "output_dtype"), "format")


class OpenAIEmbeddings:
    name = "openai-embeddings"

    def read(self, request: Request, options: ReadOptions) -> Call:
        body = load_object(request.body)
        path = reading.find_prompt(body, options)
        elsewhere = cut_prompt(body, options) if path not in (None, ("input",)) else None
        drop(body, options.ignore)
        model = reading.string(body, "model")
        body.pop("model", None)
        inputs = _inputs(body)
        parts: dict[Part, Any] = {}
        text = elsewhere
        if text is None and len(inputs) == 1 and isinstance(inputs[0], str):
            text = inputs[0]
        else:
            parts["history"] = inputs
        parts |= by_part(body, _PARTS)
        parts["model"] = model
        if text is None:
            text = "\n".join(item for item in inputs if isinstance(item, str))
        return Call(
            wire=self.name,
            prompt=text,
            parts=parts,
            model=model,
            exact_only="an embedding is of its very text",
            turns=(Turn("user", text),),
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        record = answers.load_record(body, content_type)
        if isinstance(record, list):
            raise Unstorable("a stream, expected an object")
        answers.refuse_error(record)
        data = record.get("data")
        if not isinstance(data, list) or not all(isinstance(item, dict) and item.get("embedding") for item in data):
            raise Unstorable("data: expected a list of embeddings")
        wanted = len(call.parts.get("history", [None]))
        if len(data) != wanted:
            raise Unstorable(f"{len(data)} embeddings for {wanted} inputs")
        return Answer(body, "application/json", Usage(count_of(record.get("usage"), "prompt_tokens")))

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        body = answer.body  # OpenAI's has neither an identifier nor a time; Mistral's has an identifier
        if replay.zero_usage or b'"id"' in body:
            final: JsonObject = orjson.loads(body)
            if isinstance(final.get("id"), str):
                final["id"] = answers.fresh_like(final["id"], replay, "embd-")
            if replay.zero_usage:
                final["usage"] = zeroed(final.get("usage"))
            body = orjson.dumps(final)
        return Reply(body, "application/json")


def _inputs(body: JsonObject) -> list[Any]:
    """What to embed: texts, or lists of tokens."""
    asked = body.pop("input", None)
    if isinstance(asked, str):
        return [asked]
    if not isinstance(asked, list) or not asked:
        raise Unreadable(f"input: {reading.kind(asked)}, expected a string or a list of strings or tokens")
    if all(type(token) is int for token in asked):
        return [asked]
    for index, item in enumerate(asked):
        if not isinstance(item, str) and not (isinstance(item, list) and all(type(token) is int for token in item)):
            raise Unreadable(f"input[{index}]: {reading.kind(item)}, expected a string or a list of tokens")
    return asked
