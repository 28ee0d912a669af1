"""OpenAI's chat completions, which most other providers speak too.

Source: https://platform.openai.com/docs/api-reference/chat and the streams recorded in the SDK's own tests.
"""

import re
from collections.abc import Iterator
from typing import Any

from askonce.sample import answers
from askonce.sample.answers import Question, Said, Tool
from askonce.sample.formats import (
    Ask,
    Format,
    JsonObject,
    Trouble,
    dumps,
    fresh,
    others,
    own,
    sse,
    text_of,
    texts,
    whole,
)

__all__ = ["FORMAT", "error", "headers", "logprob_rows", "usage"]


def answer(ask: Ask) -> JsonObject:
    """The `chat.completion` object."""
    body = ask.body
    choices = [_choice(ask, index) for index in range(whole(body.get("n"), 128) or 1)]
    spent = sum(answers.count(choice["message"]) - 1 for choice in choices)  # less the role
    return {
        "id": fresh("chatcmpl-"),
        "object": "chat.completion",
        "created": int(ask.now),
        "model": ask.model,
        "choices": choices,
        "usage": usage(answers.count([body.get("messages"), body.get("tools")]), spent),
        "service_tier": "default",
        "system_fingerprint": "fp_5a3b1c0d2e",
    }


def events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    """The `chat.completion.chunk` events: role, deltas, finish reason, usage where asked for, `[DONE]`."""
    options = ask.body.get("stream_options") or {}
    include_usage, obfuscated = bool(options.get("include_usage")), options.get("include_obfuscation") is not False
    frame = {key: whole[key] for key in ("id", "object", "created", "model", "service_tier", "system_fingerprint")}
    frame["object"] = "chat.completion.chunk"

    def chunk(index: int, delta: JsonObject, logprobs: Any = None, finish: str | None = None) -> bytes:
        part = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        padding = {"obfuscation": fresh("", 8)} if obfuscated else {}
        return sse(frame | {"choices": [part]} | ({"usage": None} if include_usage else {}) | padding)

    streams = [[chunk(choice["index"], *part) for part in _deltas(choice)] for choice in whole["choices"]]
    for position in range(max(map(len, streams))):  # several choices arrive interleaved
        yield from (stream[position] for stream in streams if position < len(stream))
    if include_usage:
        yield sse(frame | {"choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def question(body: JsonObject, variant: int = 0) -> Question:
    """What a chat request asks."""
    messages = [message for message in body.get("messages", []) if isinstance(message, dict)]
    users = [message for message in messages if message.get("role") == "user"]
    content = own(users[-1].get("content")) if users else ""
    results: list[str] = []
    for message in reversed(messages):
        if message.get("role") not in ("tool", "function"):
            break
        results.insert(0, text_of(message.get("content")))
    return Question(
        text=text_of(content),
        attachments=others(content),
        tools=tuple(_tools(body)),
        tool_choice=_tool_choice(body.get("tool_choice")),
        parallel=body.get("parallel_tool_calls") is not False,
        results=tuple(results),
        schema=_schema(body.get("response_format")),
        limit=whole(body.get("max_completion_tokens")) or whole(body.get("max_tokens")),
        stop=texts(body.get("stop")),
        variant=variant,
    )


def usage(prompt: int, completion: int) -> JsonObject:
    """Tokens, with the details that OpenAI gives."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def error(trouble: Trouble, model: str) -> tuple[int, JsonObject]:
    """OpenAI's status and error object."""
    status, message, code = {
        "body": (400, "We could not parse the JSON body of your request.", None),
        "key": (401, "You didn't provide an API key.", "invalid_api_key"),
        "model": (404, f"The model `{model}` does not exist or you do not have access to it.", "model_not_found"),
    }[trouble]
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def headers() -> dict[str, str]:
    """What OpenAI sends beside the answer; some of it is only for this caller or this call."""
    return {
        "openai-organization": "sample-org",
        "openai-processing-ms": "312",
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "x-request-id": fresh("req_", 24),
        "set-cookie": f"__cf_bm={fresh('', 16)}; path=/; HttpOnly; Secure",
        "cf-cache-status": "DYNAMIC",
    }


def _choice(ask: Ask, index: int) -> JsonObject:
    said = answers.answer(question(ask.body, index))
    refusal = said.refused and (ask.body.get("response_format") or {}).get("type") == "json_schema"
    message: JsonObject = {
        "role": "assistant",
        "content": None if refusal or said.tool_uses else said.text,
        "refusal": said.text if refusal else None,
        "annotations": [],
    }
    if "reasoner" in ask.model:  # as DeepSeek does
        message["reasoning_content"] = f"The user asks: {question(ask.body).text}"
    if said.tool_uses:
        message["tool_calls"] = [
            {
                "id": fresh("call_", 24),
                "type": "function",
                "function": {"name": use.name, "arguments": dumps(use.arguments)},
            }
            for use in said.tool_uses
        ]
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(said, refusal, ask.body),
        "finish_reason": "tool_calls" if said.finish == "tools" else said.finish,
    }


def _logprobs(said: Said, refusal: bool, body: JsonObject) -> JsonObject | None:
    if not body.get("logprobs") or said.tool_uses:
        return None
    rows = logprob_rows(said.text, int(body.get("top_logprobs") or 0))
    return {"content": None, "refusal": rows} if refusal else {"content": rows, "refusal": None}


def logprob_rows(text: str, top: int) -> list[JsonObject]:
    """For every token its log-probability and those of the `top` likeliest."""

    def row(token: str, rank: int = 0) -> JsonObject:
        return {"token": token, "logprob": answers.logprob(token, rank), "bytes": list(token.encode())}

    return [
        row(token) | {"top_logprobs": [row(token[rank:], rank) for rank in range(min(top, len(token)))]}
        for token in answers.tokens(text)
    ]


def _deltas(choice: JsonObject) -> Iterator[tuple[JsonObject, JsonObject | None, str | None]]:
    message, logprobs = choice["message"], choice["logprobs"]
    calls = message.get("tool_calls", [])
    head: JsonObject = {"role": "assistant", "content": None if calls else "", "refusal": None}
    said = "content"
    if message["refusal"] is not None:
        said, head = "refusal", {"role": "assistant", "content": None, "refusal": ""}
    if len(calls) == 1:  # one call is announced together with the role, several follow it
        head["tool_calls"] = [_announced(0, calls[0])]
    yield head, logprobs and {key: None if rows is None else [] for key, rows in logprobs.items()}, None
    for token in answers.tokens(message.get("reasoning_content", "")):
        yield {"reasoning_content": token}, None, None
    for position, token in enumerate(answers.tokens(message[said] or "")):
        rows = None if logprobs is None else logprobs | {said: [logprobs[said][position]]}
        yield {said: token}, rows, None
    for index, call in enumerate(calls):
        if len(calls) > 1:
            yield {"tool_calls": [_announced(index, call)]}, None, None
        for token in answers.tokens(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": token}}]}, None, None
    yield {}, None, choice["finish_reason"]


def _announced(index: int, call: JsonObject) -> JsonObject:
    return {"index": index, **call, "function": {"name": call["function"]["name"], "arguments": ""}}


def _tools(body: JsonObject) -> Iterator[Tool]:
    for tool in body.get("tools") or ():
        if function := tool.get("function"):
            yield Tool(function["name"], function.get("description", ""), function.get("parameters"))


def _tool_choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return str(choice.get("function", {}).get("name", "required"))
    return str(choice or "auto")


def _schema(response_format: Any) -> JsonObject | None:
    match response_format:
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
        case {"type": "json_object"}:
            return {}
    return None


FORMAT = Format(
    name="openai-chat",
    paths=re.compile(r"/chat/completions$"),
    answer=answer,
    events=events,
    streamed=lambda ask: bool(ask.body.get("stream")),
    error=error,
    keys=("authorization", "api-key"),
    headers=headers,
)
