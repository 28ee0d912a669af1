"""Ollama's chat and generate, streamed as lines of JSON unless asked otherwise.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from askonce.sample import answers
from askonce.sample.answers import Question, Said, Tool
from askonce.sample.formats import Ask, Format, JsonObject, Trouble, texts

__all__ = ["CHAT", "GENERATE"]

_NANOSECONDS = 1_000_000
"""In a millisecond; Ollama counts durations in nanoseconds."""


def _chat(ask: Ask) -> JsonObject:
    messages = ask.body.get("messages") or [{}]
    users = [message for message in messages if message.get("role") == "user"]
    last = users[-1] if users else {}
    results: list[str] = []
    for message in reversed(messages):
        if message.get("role") != "tool":
            break
        results.insert(0, str(message.get("content", "")))
    asked = _question(ask.body, str(last.get("content") or ""), last.get("images"), tuple(results))
    said = answers.answer(asked)
    message = {"role": "assistant", "content": said.text, **_thinking(ask.body, asked)}
    if said.tool_uses:
        message["tool_calls"] = [{"function": {"name": use.name, "arguments": use.arguments}} for use in said.tool_uses]
    return _whole(ask, said, {"message": message}, answers.count([messages, ask.body.get("tools")]))


def _generate(ask: Ask) -> JsonObject:
    asked = _question(ask.body, str(ask.body.get("prompt") or ""), ask.body.get("images"), ())
    said = answers.answer(asked)
    context = [len(token) for token in answers.tokens(asked.text + said.text)]
    told = {"response": said.text, **_thinking(ask.body, asked)}
    return _whole(ask, said, told, answers.count([asked.text, ask.body.get("system")])) | {"context": context}


def _whole(ask: Ask, said: Said, told: JsonObject, read: int) -> JsonObject:
    spent = answers.count([said.text, [use.arguments for use in said.tool_uses]])
    return {
        "model": ask.model,
        "created_at": datetime.fromtimestamp(ask.now, UTC).isoformat().replace("+00:00", "Z"),
        **told,
        "done": True,
        "done_reason": "length" if said.finish == "length" else "stop",
        "total_duration": (read + 20 * spent) * _NANOSECONDS,
        "load_duration": 5 * _NANOSECONDS,
        "prompt_eval_count": read,
        "prompt_eval_duration": read * _NANOSECONDS,
        "eval_count": spent,
        "eval_duration": 20 * spent * _NANOSECONDS,
    }


def _chat_events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    message = whole["message"]
    for token in answers.tokens(message.get("thinking", "")):
        yield _line(whole, {"message": {"role": "assistant", "content": "", "thinking": token}})
    for call in message.get("tool_calls", ()):
        yield _line(whole, {"message": {"role": "assistant", "content": "", "tool_calls": [call]}})
    for token in answers.tokens(message["content"]):
        yield _line(whole, {"message": {"role": "assistant", "content": token}})
    yield orjson.dumps(whole | {"message": {"role": "assistant", "content": ""}}) + b"\n"


def _generate_events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    for token in answers.tokens(whole.get("thinking", "")):
        yield _line(whole, {"response": "", "thinking": token})
    for token in answers.tokens(whole["response"]):
        yield _line(whole, {"response": token})
    end = {key: value for key, value in whole.items() if key != "thinking"}
    yield orjson.dumps(end | {"response": ""}) + b"\n"


def _line(whole: JsonObject, told: JsonObject) -> bytes:
    return orjson.dumps({"model": whole["model"], "created_at": whole["created_at"], **told, "done": False}) + b"\n"


def _question(body: JsonObject, text: str, images: Any, results: tuple[str, ...]) -> Question:
    options, form = body.get("options") or {}, body.get("format")
    return Question(
        text=text,
        attachments=texts(images),
        tools=tuple(
            Tool(
                tool["function"]["name"], tool["function"].get("description") or "", tool["function"].get("parameters")
            )
            for tool in body.get("tools") or ()
        ),
        results=results,
        schema=form if isinstance(form, dict) else {} if form == "json" else None,
        limit=options.get("num_predict"),
        stop=texts(options.get("stop")),
    )


def _thinking(body: JsonObject, asked: Question) -> JsonObject:
    return {"thinking": f"The user asks: {asked.text}"} if body.get("think") else {}


def _error(trouble: Trouble, model: str) -> tuple[int, JsonObject]:
    if trouble == "model":
        return 404, {"error": f"model '{model}' not found"}
    return 400, {"error": "invalid character in the request body"}


def _format(
    name: str, path: str, answer: Callable[[Ask], JsonObject], events: Callable[[Ask, JsonObject], Iterator[bytes]]
) -> Format:
    return Format(
        name=name,
        paths=re.compile(path),
        answer=answer,
        events=events,
        streamed=lambda ask: ask.body.get("stream") is not False,
        error=_error,
        keys=(),
        stream_type=lambda ask: "application/x-ndjson",
    )


CHAT = _format("ollama-chat", r"/api/chat$", _chat, _chat_events)
GENERATE = _format("ollama-generate", r"/api/generate$", _generate, _generate_events)
