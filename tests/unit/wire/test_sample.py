"""Every wire format against the sample provider: whatever it can say, a stream of it is kept as the JSON answer is, and
what is replayed, as JSON or as a stream, says it again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.call import Answer, Call, Request, Unstorable
from askonce.sample import (
    anthropic_messages,
    cohere_chat,
    gemini,
    mistral,
    ollama_chat,
    openai_chat,
    openai_completions,
    openai_responses,
)
from askonce.sample.formats import Ask, Format
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions, Replay

Json = dict[str, Any]

NOW = 1_800_000_000.0
REPLAY = Replay(NOW, lambda prefix: prefix + "fresh")
SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
FUNCTION: Json = {"name": "get_weather", "description": "", "parameters": SCHEMA}
OWN = ("id", "created", "created_at", "completed_at", "responseId")
"""What a replay has afresh."""


@dataclass(frozen=True)
class Wish:
    """What a caller asks for, whatever the wire format."""

    question: str
    tools: bool
    thinking: bool
    several: int
    limit: int
    logprobs: bool


def messages(wish: Wish, **more: Any) -> Json:
    return {"model": "m", "messages": [{"role": "user", "content": wish.question}], **more}


def chat(wish: Wish) -> Json:
    body = messages(wish, n=wish.several, max_tokens=wish.limit, stream_options={"include_usage": True})
    if wish.thinking:
        body["model"] = "deepseek-reasoner"
    if wish.logprobs:
        body |= {"logprobs": True, "top_logprobs": 2}
    return body | ({"tools": [{"type": "function", "function": FUNCTION}]} if wish.tools else {})


def completions(wish: Wish) -> Json:
    body = {"model": "m", "prompt": wish.question, "n": wish.several, "max_tokens": wish.limit}
    return body | {"stream_options": {"include_usage": True}} | ({"logprobs": 1} if wish.logprobs else {})


def responses(wish: Wish) -> Json:
    body: Json = {"model": "m", "input": wish.question, "max_output_tokens": wish.limit, "store": False}
    if wish.thinking:
        body["reasoning"] = {"effort": "low", "summary": "auto"}
    if wish.logprobs:
        body |= {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    return body | ({"tools": [{"type": "function", **FUNCTION}]} if wish.tools else {})


def anthropic(wish: Wish) -> Json:
    body = messages(wish, max_tokens=wish.limit)
    if wish.thinking:
        body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    return body | ({"tools": [{"name": "get_weather", "input_schema": SCHEMA}]} if wish.tools else {})


def generate_content(wish: Wish) -> Json:
    config: Json = {"candidateCount": wish.several, "maxOutputTokens": wish.limit, "responseLogprobs": wish.logprobs}
    config["thinkingConfig"] = {"includeThoughts": wish.thinking}
    body: Json = {"contents": [{"role": "user", "parts": [{"text": wish.question}]}], "generationConfig": config}
    return body | ({"tools": [{"functionDeclarations": [FUNCTION]}]} if wish.tools else {})


def cohere(wish: Wish) -> Json:
    body = messages(wish, max_tokens=wish.limit, logprobs=wish.logprobs)
    if wish.thinking:
        body["thinking"] = {"type": "enabled"}
    return body | ({"tools": [{"type": "function", "function": FUNCTION}]} if wish.tools else {})


def ollama(wish: Wish) -> Json:
    body = messages(wish, options={"num_predict": wish.limit}, think=wish.thinking)
    return body | ({"tools": [{"type": "function", "function": FUNCTION}]} if wish.tools else {})


def generate(wish: Wish) -> Json:
    return {
        "model": "m",
        "prompt": wish.question,
        "options": {"num_predict": wish.limit},
        "think": wish.thinking,
    }


GENERATE = "/v1beta/models/m:generateContent"
FORMATS: list[tuple[Format, str, str, Callable[[Wish], Json]]] = [
    (openai_chat.FORMAT, "openai-chat", "/v1/chat/completions", chat),
    (mistral.CHAT, "openai-chat", "/v1/chat/completions", chat),
    (openai_completions.FORMAT, "openai-completions", "/v1/completions", completions),
    (openai_responses.FORMAT, "openai-responses", "/v1/responses", responses),
    (anthropic_messages.FORMAT, "anthropic-messages", "/v1/messages", anthropic),
    (gemini.FORMAT, "gemini", GENERATE, generate_content),
    (cohere_chat.FORMAT, "cohere-chat", "/v2/chat", cohere),
    (ollama_chat.CHAT, "ollama", "/api/chat", ollama),
    (ollama_chat.GENERATE, "ollama", "/api/generate", generate),
]
WISHES = st.builds(
    Wish,
    question=st.sampled_from(["What is the capital of France?", "The weather in Paris and Rome, please", "Hi 🤔"])
    | st.text(min_size=1, max_size=40),
    tools=st.booleans(),
    thinking=st.booleans(),
    several=st.integers(1, 3),
    limit=st.sampled_from([2, 500]),
    logprobs=st.booleans(),
)


def read(wire: str, path: str, query: str, body: Json) -> Call:
    return wire_format(wire).read(Request("POST", "host.test", path, query, {}, orjson.dumps(body)), ReadOptions())


def asked(form: Format, path: str, query: Json, body: Json) -> Ask:
    match = form.paths.search(path)
    assert match
    return Ask(match, query, body, NOW)


def kept(wire: str, body: bytes, content_type: str, call: Call) -> Answer | None:
    try:
        return wire_format(wire).assemble(body, content_type, call)
    except Unstorable:
        return None


def told(value: Json) -> Json:
    """Without what is each answer's own, and without nulls, which streams leave out."""
    return {key: plain(item) for key, item in value.items() if key not in OWN and item is not None}


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("form", "wire", "path", "request_"), FORMATS, ids=[form.name for form, *_ in FORMATS])
@settings(max_examples=40, deadline=None)
@given(wish=WISHES)
def test_a_stream_is_kept_and_replayed_as_the_json_answer(
    form: Format, wire: str, path: str, request_: Callable[[Wish], Json], wish: Wish
) -> None:
    body, stream_path, query = request_(wish), path, {}
    whole = form.answer(asked(form, path, {}, body))
    streamed_body = body | {"stream": True}
    if wire == "gemini":
        streamed_body, stream_path = body, path.replace("generate", "streamGenerate")
        query = {"alt": "sse"} if wish.thinking else {}
    ask = asked(form, stream_path, query, streamed_body)
    once = read(wire, path, "", body | ({} if wire == "gemini" else {"stream": False}))
    streamed = read(wire, stream_path, "alt=sse" if query else "", streamed_body)
    stream = b"".join(form.events(ask, whole))

    from_json = kept(wire, orjson.dumps(whole), "application/json", once)
    from_stream = kept(wire, stream, form.stream_type(ask), streamed)
    assert (from_json is None) == (from_stream is None)
    if from_json is None or from_stream is None:
        return
    assert told(orjson.loads(from_stream.body)) == told(whole)
    assert from_stream.usage == from_json.usage

    for answer in (from_json, from_stream):
        replayed = wire_format(wire).replay(answer, once, REPLAY)
        assert told(orjson.loads(replayed.body)) == told(whole)
        replayed = wire_format(wire).replay(answer, streamed, REPLAY)
        again = wire_format(wire).assemble(replayed.body, replayed.content_type, streamed)
        assert told(orjson.loads(again.body)) == told(whole)


@pytest.mark.parametrize(("form", "wire", "path", "request_"), FORMATS, ids=[form.name for form, *_ in FORMATS])
@settings(max_examples=40, deadline=None)
@given(wish=WISHES, data=st.data())
def test_no_beginning_of_a_stream_is_kept(
    form: Format, wire: str, path: str, request_: Callable[[Wish], Json], wish: Wish, data: st.DataObject
) -> None:
    body = request_(wish)
    if wire != "gemini":
        body["stream"] = True
    path = path.replace(":generate", ":streamGenerate")
    ask = asked(form, path, {}, body)
    pieces = list(form.events(ask, form.answer(ask)))
    cut = b"".join(pieces[: data.draw(st.integers(0, len(pieces) - 2))])
    if wire == "openai-chat" and pieces[-2] in cut:
        return
    assert kept(wire, cut, form.stream_type(ask), read(wire, path, "", body)) is None
