"""Real requests of every wire format, and the sample provider's answers to them.

One rule: every choice is drawn from the `random.Random` that is given, so that a case is made again by its number, and
hypothesis can make a failing one smaller.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from askonce.sample import (
    anthropic_messages,
    cohere_chat,
    gemini,
    mistral,
    ollama_chat,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from askonce.sample.formats import Ask, Format

Json = dict[str, Any]
NOW = 1_800_000_000.0
QUESTIONS = (
    "What is the capital of France?",
    "Tell me what the capital of France is.",
    "what's the capital of France",
    "Please tell me: What is the capital of France?",
    "What is the capital of Germany?",
    "How many miles are 10 km?",
    "How many km are 10 miles?",
    'Translate "good night 🌙" into Greek, please.\nOnly the words.',
)
SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
FUNCTION: Json = {"name": "get_weather", "description": "The weather", "parameters": SCHEMA}
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass
class Sent:
    """A request as an app sends it; `body` is what is meant, `raw` the bytes on the way."""

    wire: str
    host: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes = b""
    form: Format = field(default=openai_chat.FORMAT, repr=False)
    asked: Any = field(default=None, repr=False)
    """The call as it was before anything was done to it, for the provider to answer."""


@dataclass(frozen=True)
class Kind:
    """One way to ask: where, and the making of a body."""

    wire: str
    form: Format
    path: str
    make: Callable[[random.Random], Json]
    key: str = "authorization"


def _turns(rng: random.Random) -> list[Json]:
    """Messages in the manner of OpenAI, ending with the user's."""
    messages: list[Json] = []
    if rng.random() < 0.4:
        messages.append({"role": "system", "content": rng.choice(("Be brief.", "You are a pirate."))})
    if rng.random() < 0.3:
        messages += [
            {"role": "user", "content": "Hi!"},
            {"role": "assistant", "content": rng.choice(("Hello.", "Yes?"))},
        ]
    return [*messages, {"role": "user", "content": rng.choice(QUESTIONS)}]


def _more(rng: random.Random, **choices: Any) -> Json:
    """Some of the fields, each with one of its values."""
    return {name: rng.choice(values) for name, values in choices.items() if rng.random() < 0.25}


def _chat(rng: random.Random) -> Json:
    body: Json = {"model": rng.choice(("gpt-4o", "gpt-4o-mini")), "messages": _turns(rng)}
    if rng.random() < 0.2:
        text = body["messages"][-1]["content"]
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
        body["messages"][-1]["content"] = [{"type": "text", "text": text}, *rng.choice(([], [image]))]
    if rng.random() < 0.15:
        body["tools"] = [{"type": "function", "function": FUNCTION}]
    if rng.random() < 0.1:
        call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
        body["messages"] += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ]
    stream = {"stream": True} | rng.choice(({}, {"stream_options": {"include_usage": True}}))
    return body | rng.choice(({}, {"stream": False}, stream)) | _more(
        rng, temperature=(0, 0.7, 1), n=(1, 2), seed=(1, 2), stop=("\n", ["a", "b"]), user=("me", "you"),
        top_p=(1, 0.5), metadata=({"a": "b"}, {}), response_format=({"type": "json_object"}, {"type": "text"}),
        max_tokens=(2, 500), logprobs=(True, False), logit_bias=({"50256": -100}, {"50256": 100}),
    )  # fmt: skip


def _completions(rng: random.Random) -> Json:
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": rng.choice(QUESTIONS), "max_tokens": 500}
    return body | _more(rng, stream=(True, False), n=(1, 2), echo=(False, True), logprobs=(1, None), suffix=("x", "y"))


def _responses(rng: random.Random) -> Json:
    content = [{"type": "input_text", "text": rng.choice(QUESTIONS)}]
    asked = rng.choice((rng.choice(QUESTIONS), [{"role": "user", "content": content}]))
    return {"model": "gpt-5", "input": asked} | _more(
        rng, stream=(True, False), store=(True, False), instructions=("Be brief.", "Be rude."), temperature=(0, 1),
        previous_response_id=("resp_1", "resp_2"), reasoning=({"effort": "low"}, {"effort": "high"}),
        tools=([{"type": "function", **FUNCTION}], []), metadata=({"a": "b"}, {}), text=({"verbosity": "low"}, {}),
    )  # fmt: skip


def _embeddings(rng: random.Random) -> Json:
    one = rng.choice((rng.choice(QUESTIONS), [1, 2, rng.randrange(5)]))
    several = [rng.choice((*QUESTIONS, "")) for _ in range(rng.randint(1, 4))]
    tokens = [[rng.randrange(9)] for _ in range(rng.randint(1, 3))]
    body = {"model": "text-embedding-3-small", "input": rng.choice((one, several, several, tokens))}
    return body | {"dimensions": 2} | _more(rng, encoding_format=("float", "base64"), user=("me", "you"))


def _anthropic(rng: random.Random) -> Json:
    messages = [turn for turn in _turns(rng) if turn["role"] != "system"]
    if rng.random() < 0.3:
        block: Json = {"type": "text", "text": messages[-1]["content"]}
        source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
        block |= rng.choice(({}, {"cache_control": {"type": "ephemeral"}}))
        messages[-1]["content"] = [*rng.choice(([], [{"type": "image", "source": source}])), block]
    if rng.random() < 0.1:
        messages += [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "get_weather", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sunny"}]},
        ]
    return {"model": "claude-sonnet-4-5", "max_tokens": rng.choice((2, 500)), "messages": messages} | _more(
        rng, stream=(True, False), system=("Be brief.", [{"type": "text", "text": "Be rude."}]), temperature=(0, 1),
        metadata=({"user_id": "a"}, {"user_id": "b"}), stop_sequences=(["x"], ["y"]), top_k=(1, 2),
        thinking=({"type": "enabled", "budget_tokens": 1024}, {"type": "disabled"}),
        tools=([{"name": "get_weather", "input_schema": SCHEMA}], []),
    )  # fmt: skip


def _gemini(rng: random.Random) -> Json:
    parts: list[Json] = [{"text": rng.choice(QUESTIONS)}]
    if rng.random() < 0.2:
        parts.append({"inlineData": {"mimeType": "image/png", "data": IMAGE}})
    contents = [{"role": "user", "parts": parts}]
    if rng.random() < 0.3:
        contents = [
            {"role": "user", "parts": [{"text": "Hi!"}]},
            {"role": "model", "parts": [{"text": "Yes?"}]},
            *contents,
        ]
    config = _more(
        rng, temperature=(0, 1), candidateCount=(1, 2), seed=(1, 2), responseMimeType=("text/plain", "a/json")
    )
    return {"contents": contents} | rng.choice(({}, {"generationConfig": config})) | _more(
        rng, systemInstruction=({"parts": [{"text": "Be brief."}]}, {"parts": [{"text": "Be rude."}]}),
        tools=([{"functionDeclarations": [FUNCTION]}], []), safetySettings=([{"category": "A"}], []),
    )  # fmt: skip


def _cohere(rng: random.Random) -> Json:
    return {"model": "command-a-03-2025", "messages": _turns(rng)} | _more(
        rng, stream=(True, False), temperature=(0, 0.3), seed=(1, 2), documents=(["One."], ["Two."]), k=(1, 2),
        tools=([{"type": "function", "function": FUNCTION}], []), safety_mode=("STRICT", "OFF"),
    )  # fmt: skip


def _ollama(rng: random.Random) -> Json:
    messages = _turns(rng)
    if rng.random() < 0.2:
        messages[-1]["images"] = [IMAGE]
    return {"model": "llama3.2", "messages": messages} | _more(
        rng, stream=(True, False), options=({"temperature": 0}, {"seed": 1}), format=("json", SCHEMA),
        think=(True, False), tools=([{"type": "function", "function": FUNCTION}], []), keep_alive=("5m", 0),
    )  # fmt: skip


def _generate(rng: random.Random) -> Json:
    return {"model": "llama3.2", "prompt": rng.choice(QUESTIONS)} | _more(
        rng, stream=(True, False), system=("Be brief.", "Be rude."), options=({"seed": 1}, {"seed": 2}),
        raw=(True, False), context=([1, 2], [3]), suffix=("x", "y"), template=("a", "b"),
    )  # fmt: skip


def _house(rng: random.Random) -> Json:
    return {"query": rng.choice(QUESTIONS), "top": rng.choice((1, 2))} | _more(
        rng, user=("me", "you"), lang=("en", "el")
    )


_GEMINI = "/v1beta/models/gemini-2.5-flash:generateContent"
KINDS = (
    Kind("openai-chat", openai_chat.FORMAT, "/v1/chat/completions", _chat),
    Kind("openai-chat", mistral.CHAT, "/v1/chat/completions", _chat),
    Kind("openai-completions", openai_completions.FORMAT, "/v1/completions", _completions),
    Kind("openai-responses", openai_responses.FORMAT, "/v1/responses", _responses),
    Kind("openai-embeddings", openai_embeddings.FORMAT, "/v1/embeddings", _embeddings),
    Kind("anthropic-messages", anthropic_messages.FORMAT, "/v1/messages", _anthropic, "x-api-key"),
    Kind("gemini", gemini.FORMAT, _GEMINI, _gemini, "x-goog-api-key"),
    Kind("gemini", gemini.FORMAT, _GEMINI.replace("generate", "streamGenerate"), _gemini, "x-goog-api-key"),
    Kind("cohere-chat", cohere_chat.FORMAT, "/v2/chat", _cohere),
    Kind("ollama", ollama_chat.CHAT, "/api/chat", _ollama),
    Kind("ollama", ollama_chat.GENERATE, "/api/generate", _generate),
    Kind("generic", openai_chat.FORMAT, "/v2/ask", _house),
)


def request(rng: random.Random, *, semantic: bool) -> Sent:
    """A request as an SDK would send it. Its host says whether its rule looks for other wordings."""
    kind = rng.choice(KINDS)
    body = kind.make(rng)
    query = (
        rng.choice(("", "alt=sse", "alt=json")) if kind.wire == "gemini" else rng.choice(("", "", "", "api-version=1"))
    )
    key = rng.choice(("sk-1", "sk-1", "sk-1", "sk-2"))
    headers = [
        ("content-type", "application/json"),
        (kind.key, f"Bearer {key}" if kind.key == "authorization" else key),
        ("x-request-id", f"{rng.getrandbits(32):x}"),
    ]
    if rng.random() < 0.05:
        headers.append(("X-Cache-Namespace", rng.choice(("a", "b"))))
    host = f"{'near' if semantic else 'exact'}.{kind.wire}.example.com"
    written = orjson.dumps(body)
    sent = Sent(kind.wire, host, kind.path, query, headers, written, written, kind.form)
    sent.asked = (kind.path, query, body)
    return sent


def _is_input(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return bool(items) and len({type(item) for item in items}) == 1 and isinstance(items[0], str | int | list)


def answer(sent: Sent, body: bytes | None = None) -> tuple[bytes, str, Json | None, bool]:
    """What the provider answers: bytes, content type, the whole answer as an object (None for an error), streamed?

    `body` is what reached it. Of that it takes only what is to be embedded and whether to stream; for all else it
    answers what the request was made of, since it promises nothing for what no SDK sends.
    """
    path, query, made = sent.asked
    if sent.wire == "generic":
        whole = {"answer": f"It is about {made['query']}.", "top": made["top"]}
        return orjson.dumps(whole), "application/json", whole, False
    try:
        came = orjson.loads(body or b"")
        if isinstance(came.get("stream"), bool) and sent.wire != "gemini":
            made = made | {"stream": came["stream"]}
        if sent.wire == "openai-embeddings" and _is_input(came.get("input")):
            made = {"model": came.get("model") or "", "input": came["input"], "dimensions": 2}
            made["encoding_format"] = came.get("encoding_format")
    except (ValueError, AttributeError):
        pass
    match = sent.form.paths.search(path)
    assert match
    pairs = dict(pair.split("=") for pair in query.split("&")) if query else {}
    ask = Ask(match, pairs, made, NOW)
    try:
        whole = sent.form.answer(ask)
    except (TypeError, ValueError):
        ask = Ask(match, pairs, sent.asked[2], NOW)
        whole = sent.form.answer(ask)
    if not sent.form.streamed(ask):
        return orjson.dumps(whole), "application/json", whole, False
    return b"".join(sent.form.events(ask, whole)), sent.form.stream_type(ask), whole, True
