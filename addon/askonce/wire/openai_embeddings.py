"""OpenAI's embeddings (`POST …/embeddings`).

One rule: only the very same input is answered, and each input is a call of its own. A batch is those calls in one: its
answer is divided into theirs, and theirs are joined to its. Source: OpenAI's API reference.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from askonce import jsontext
from askonce.call import Answer, Call, Part, Reply, Request, Turn, Unreadable, Unstorable, Usage
from askonce.wire import openai_answers as answers
from askonce.wire import openai_reading as reading
from askonce.wire.base import ReadOptions, Replay
from askonce.wire.common import JsonObject, by_part, count_of, load_object, zeroed
from askonce.wire.keeping import assembling, refuse_error
from askonce.wire.prompt import cut_prompt, overlook
from askonce.wire.tokens import count

__all__ = ["OpenAIEmbeddings"]

_PARTS: dict[str, Part] = dict.fromkeys(("encoding_format", "dimensions", "output_dimension", "output_dtype"), "format")
_VECTOR = re.compile(rb'("embedding"\s*:\s*)(\[\s*[-\d][^]"{[]*\])')
"""A member that holds numbers. Within a string the quotation marks would be escaped."""
_EXACT = "an embedding is of its very text"


class OpenAIEmbeddings:
    name = "openai-embeddings"

    def read(self, request: Request, options: ReadOptions) -> Call:
        body = load_object(request.body)
        elsewhere = cut_prompt(body, options, own=[("input",)])
        overlook(body, options)
        model = reading.string(body, "model")
        body.pop("model", None)
        inputs = _inputs(body)
        parts: dict[Part, Any] = {**by_part(body, _PARTS), "model": model}
        if elsewhere is not None:
            return self._call(elsewhere, parts | {"history": inputs})
        items = [
            self._call(item, parts) if isinstance(item, str) else self._call("", parts | {"history": [item]})
            for item in inputs
        ]
        if len(items) == 1:
            return items[0]
        text = "\n".join(item for item in inputs if isinstance(item, str))
        return self._call(text, parts | {"history": inputs}, tuple(items))

    def _call(self, text: str, parts: dict[Part, Any], items: tuple[Call, ...] = ()) -> Call:
        return Call(
            wire=self.name,
            prompt=text,
            parts=parts,
            model=parts["model"],
            exact_only=_EXACT,
            turns=(Turn("user", text),),
            items=items,
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        with assembling(self.name):
            frame, vectors = _cut_vectors(body)
            for vector in vectors:
                orjson.loads(vector)  # it is JSON
            record = answers.load_record(frame, content_type)
            if isinstance(record, list):
                raise Unstorable("a stream, expected an object")
            refuse_error(record)
            data = record.get("data")
            if not isinstance(data, list) or not all(isinstance(item, dict) and item.get("embedding") for item in data):
                raise Unstorable("data: expected a list of embeddings")
            wanted = len(call.items) or len(call.parts.get("history", [None]))
            if len(data) != wanted:
                raise Unstorable(f"{len(data)} embeddings for {wanted} inputs")
            return Answer(body, "application/json", Usage(count_of(record.get("usage"), "prompt_tokens")))

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        body = answer.body  # OpenAI's has neither an identifier nor a time; Mistral's has an identifier
        if replay.zero_usage or b'"id"' in body:
            final = _load(body)
            if isinstance(final.get("id"), str):
                final["id"] = answers.fresh_like(final["id"], replay, "embd-")
            if replay.zero_usage:
                final["usage"] = zeroed(final.get("usage"))
            body = jsontext.dumps(final)
        return Reply(body, "application/json")

    # Batches

    def only(self, body: bytes, wanted: Sequence[int]) -> bytes:
        request = load_object(body)
        return jsontext.dumps(request | {"input": [request["input"][index] for index in wanted]})

    def divide(self, answer: Answer, call: Call) -> list[Answer]:
        final = _load(answer.body)
        indexes = [embedding.get("index", at) for at, embedding in enumerate(final["data"])]
        if any(type(index) is not int for index in indexes) or sorted(indexes) != list(range(len(call.items))):
            raise Unstorable("the embeddings' indexes are not those of the inputs")
        placed = dict(zip(indexes, final["data"], strict=True))
        data = [placed[at] for at in range(len(call.items))]
        weights = [_tokens(item) for item in call.items]
        shares = _shares(final.get("usage"), weights)
        return [
            Answer(
                jsontext.dumps(final | {"data": [embedding | {"index": 0}]} | ({"usage": share} if share else {})),
                usage=Usage(count_of(share, "prompt_tokens")),
            )
            for embedding, share in zip(data, shares, strict=True)
        ]

    def join(self, answers: Sequence[Answer]) -> Answer:
        finals = [_load(answer.body) for answer in answers]
        whole = finals[0] | {"data": [final["data"][0] | {"index": index} for index, final in enumerate(finals)]}
        if usage := _sum([final.get("usage") for final in finals]):
            whole["usage"] = usage
        return Answer(
            jsontext.dumps(whole),
            usage=Usage(sum(answer.usage.input_tokens for answer in answers)),
            headers=answers[0].headers,
        )


def _cut_vectors(body: bytes) -> tuple[bytes, list[bytes]]:
    """An answer with a string, "0" and so on, in the place of each vector of numbers; and those as they stood there."""
    vectors = list[bytes]()

    def cut(match: re.Match[bytes]) -> bytes:
        vectors.append(match[2])
        return b'%b"%d"' % (match[1], len(vectors) - 1)

    return _VECTOR.sub(cut, body), vectors


def _load(body: bytes) -> JsonObject:
    """An answer that `assemble` or `divide` let through. Nobody here looks at the numbers of a vector, and reading
    thousands of them takes long: they stay the text that they are."""
    frame, vectors = _cut_vectors(body)
    final: JsonObject = jsontext.loads(frame)
    if [item.get("embedding") for item in final["data"]] != [str(at) for at in range(len(vectors))]:
        whole: JsonObject = jsontext.loads(body)  # vectors in base64, or in an unknown form
        return whole
    for item, vector in zip(final["data"], vectors, strict=True):
        item["embedding"] = orjson.Fragment(vector)
    return final


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
        if type(item) is not type(asked[0]):
            raise Unreadable(f"input[{index}]: {reading.kind(item)} among others, expected all of one kind")
    return asked


def _tokens(call: Call) -> int:
    """How many tokens an input weighs among the others of its batch, at least one."""
    return max(1, len(call.parts["history"][0]) if "history" in call.parts else count(call.prompt, call.model))


def _shares(usage: Any, weights: Sequence[int]) -> list[Any]:
    """What was used for all, shared out by weight: each count's shares are whole and add up to it."""
    if isinstance(usage, dict):
        shared = {key: _shares(value, weights) for key, value in usage.items()}
        return [{key: values[index] for key, values in shared.items()} for index in range(len(weights))]
    if type(usage) is not int:
        return [usage] * len(weights)
    total, so_far, shares = sum(weights), 0, list[Any]()
    for weight in weights:
        shares.append(usage * (so_far + weight) // total - usage * so_far // total)
        so_far += weight
    return shares


def _sum(usages: Sequence[Any]) -> Any:
    """Counts added up; what is no count is the first one's."""
    first = usages[0]
    if isinstance(first, dict):
        return {key: _sum([usage.get(key) for usage in usages if isinstance(usage, dict)]) for key in first}
    return sum(usage for usage in usages if type(usage) is int) if type(first) is int else first
