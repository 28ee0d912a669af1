"""The OpenAI formats against the sample provider: a stream is stored as the JSON answer is, and replayed as it was."""

from typing import Any

import orjson
import pytest

from askonce.call import Call, Request
from askonce.sample import openai_chat, openai_completions, openai_embeddings, openai_responses
from askonce.sample.formats import Ask, Format
from askonce.wire import sse, wire_format
from askonce.wire.base import ReadOptions, Replay

Json = dict[str, Any]

NOW = 1_800_000_000.0
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}}}
FLAT_TOOL = {"type": "function", **TOOL["function"]}  # type: ignore[dict-item]
CHAT: Json = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
RESPONSE: Json = {"model": "gpt-5", "input": "What is the capital of France?"}
STREAMED: list[tuple[Format, str, Json]] = [
    (openai_chat.FORMAT, "/v1/chat/completions", CHAT),
    (openai_chat.FORMAT, "/v1/chat/completions", CHAT | {"n": 3}),
    (openai_chat.FORMAT, "/v1/chat/completions", CHAT | {"logprobs": True, "top_logprobs": 2}),
    (openai_chat.FORMAT, "/v1/chat/completions", CHAT | {"model": "deepseek-reasoner"}),
    (openai_chat.FORMAT, "/v1/chat/completions", CHAT | {"tools": [TOOL], "tool_choice": "required"}),
    (openai_completions.FORMAT, "/v1/completions", {"model": "m", "prompt": "Capital of France?", "max_tokens": 99}),
    (
        openai_completions.FORMAT,
        "/v1/completions",
        {"model": "m", "prompt": "Hi", "logprobs": 1, "n": 2, "max_tokens": 99},
    ),
    (openai_responses.FORMAT, "/v1/responses", RESPONSE),
    (openai_responses.FORMAT, "/v1/responses", RESPONSE | {"store": False, "reasoning": {"effort": "low"}}),
    (openai_responses.FORMAT, "/v1/responses", RESPONSE | {"tools": [FLAT_TOOL], "tool_choice": "required"}),
]


def provider(form: Format, path: str, body: Json) -> tuple[Call, Json, bytes]:
    """The call as we read it; the sample provider's answer to it as JSON, and as a stream."""
    match = form.paths.search(path)
    assert match
    ask = Ask(match, {}, body, NOW)
    whole = form.answer(ask)
    call = wire_format(form.name).read(Request("POST", "localhost", path, "", {}, orjson.dumps(body)), ReadOptions())
    return call, whole, b"".join(form.events(ask, whole))


@pytest.mark.parametrize(("form", "path", "body"), STREAMED)
def test_a_stream_is_stored_as_the_json_answer(form: Format, path: str, body: Json) -> None:
    body = (
        body
        | {"stream": True}
        | ({} if form is openai_responses.FORMAT else {"stream_options": {"include_usage": True}})
    )
    call, whole, stream = provider(form, path, body)
    from_stream = wire_format(form.name).assemble(stream, "text/event-stream", call)
    from_json = wire_format(form.name).assemble(orjson.dumps(whole), "application/json", call)
    assert orjson.loads(from_stream.body) == whole
    assert from_stream.usage == from_json.usage


@pytest.mark.parametrize(("form", "path", "body"), STREAMED)
def test_a_replay_has_the_events_of_the_provider(form: Format, path: str, body: Json) -> None:
    call, whole, stream = provider(form, path, body | {"stream": True})
    wire = wire_format(form.name)
    answer = wire.assemble(orjson.dumps(whole), "application/json", call)
    replayed = wire.replay(answer, call, Replay(NOW, lambda prefix: prefix + "fresh")).body
    assert kinds(replayed) == kinds(stream)


def kinds(stream: bytes) -> list[Any]:
    """What the events of a stream are, several pieces of one text counting once, whichever choice they are of."""
    told = list[Any]()
    for event in sse.decode(stream):
        if event.data == b"[DONE]":
            told.append("[DONE]")
            continue
        value = orjson.loads(event.data)
        value.pop("obfuscation", None)  # padding against eavesdroppers, of random length
        kind: Any = sorted(value), event.name
        for choice in value.get("choices", []):
            kind = (*kind, sorted(choice), choice.get("finish_reason"), sorted(choice.get("delta", ())))
        if kind not in told:
            told.append(kind)
    return told


def test_embeddings_of_the_sample_provider_are_kept() -> None:
    call, whole, _ = provider_of_embeddings(["a", "b"])
    answer = wire_format("openai-embeddings").assemble(orjson.dumps(whole), "application/json", call)
    assert orjson.loads(answer.body) == whole


def provider_of_embeddings(inputs: list[str]) -> tuple[Call, Json, bytes]:
    body = {"model": "text-embedding-3-small", "input": inputs}
    match = openai_embeddings.FORMAT.paths.search("/v1/embeddings")
    assert match
    whole = openai_embeddings.FORMAT.answer(Ask(match, {}, body, NOW))
    request = Request("POST", "localhost", "/v1/embeddings", "", {}, orjson.dumps(body))
    return wire_format("openai-embeddings").read(request, ReadOptions()), whole, b""
