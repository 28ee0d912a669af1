"""Cohere's chat, version 2. Source: https://docs.cohere.com/reference/chat and .../chat-stream."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

from askonce.sample import answers
from askonce.sample.answers import Question, Said, Tool
from askonce.sample.formats import Ask, Format, JsonObject, Trouble, dumps, fresh, others, sse, text_of, texts

__all__ = ["FORMAT"]

_FINISH_REASONS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tools": "TOOL_CALL"}


def answer(ask: Ask) -> JsonObject:
    """The chat response."""
    body, asked = ask.body, _question(ask.body)
    said = answers.answer(asked)
    message = _message(body, asked, said)
    read = answers.count([body.get("messages"), body.get("tools"), body.get("documents")])
    spent = answers.count([said.text, [use.arguments for use in said.tool_uses]])
    whole: JsonObject = {
        "id": str(uuid.uuid4()),
        "finish_reason": "STOP_SEQUENCE" if said.stopped_by else _FINISH_REASONS[said.finish],
        "message": message,
        "usage": {
            "billed_units": {"input_tokens": read, "output_tokens": spent},
            "tokens": {"input_tokens": read + 60, "output_tokens": spent + 2},
            "cached_tokens": 0,
        },
    }
    if body.get("logprobs") and said.text:
        whole["logprobs"] = [_logprob(token) for token in answers.tokens(said.text)]
    return whole


def events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    """`message-start`, the plan and the tool calls, the contents, `message-end`, `[DONE]`."""

    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    def delta(**message: Any) -> JsonObject:
        return {"message": message}

    message, rows = whole["message"], iter(whole.get("logprobs", ()))
    start = delta(role="assistant", content=[], tool_plan="", tool_calls=[], citations=[])
    yield event("message-start", id=whole["id"], delta=start)
    for token in answers.tokens(message.get("tool_plan", "")):
        yield event("tool-plan-delta", delta=delta(tool_plan=token))
    for index, call in enumerate(message.get("tool_calls", ())):
        opened = call | {"function": call["function"] | {"arguments": ""}}
        yield event("tool-call-start", index=index, delta=delta(tool_calls=opened))
        for token in answers.tokens(call["function"]["arguments"]):
            yield event("tool-call-delta", index=index, delta=delta(tool_calls={"function": {"arguments": token}}))
        yield event("tool-call-end", index=index)
    for index, content in enumerate(message.get("content", ())):
        kind = content["type"]
        yield event("content-start", index=index, delta=delta(content={"type": kind, kind: ""}))
        for token in answers.tokens(content[kind]):
            row = {"logprobs": next(rows)} if kind == "text" and "logprobs" in whole else {}
            yield event("content-delta", index=index, delta=delta(content={kind: token}), **row)
        yield event("content-end", index=index)
    yield event("message-end", delta={key: whole[key] for key in ("finish_reason", "usage")})
    yield b"data: [DONE]\n\n"


def _message(body: JsonObject, asked: Question, said: Said) -> JsonObject:
    if said.tool_uses:
        calls = [
            {"id": fresh(f"{use.name}_", 12), "type": "function", "function": _function(use.name, use.arguments)}
            for use in said.tool_uses
        ]
        return {"role": "assistant", "tool_plan": "I will look that up.", "tool_calls": calls}
    content = [{"type": "text", "text": said.text}]
    if (body.get("thinking") or {}).get("type") == "enabled":
        content.insert(0, {"type": "thinking", "thinking": f"The user asks: {asked.text}"})
    return {"role": "assistant", "content": content}


def _function(name: str, arguments: JsonObject) -> JsonObject:
    return {"name": name, "arguments": dumps(arguments)}


def _question(body: JsonObject) -> Question:
    messages = body.get("messages") or []
    users = [message for message in messages if message.get("role") == "user"]
    content = users[-1].get("content", "") if users else ""
    results: list[str] = []
    for message in reversed(messages):
        if message.get("role") != "tool":
            break
        results.insert(0, _result(message.get("content")))
    form = body.get("response_format") or {}
    return Question(
        text=text_of(content),
        attachments=others(content),
        tools=tuple(
            Tool(tool["function"]["name"], tool["function"].get("description", ""), tool["function"].get("parameters"))
            for tool in body.get("tools") or ()
        ),
        tool_choice=str(body.get("tool_choice") or "auto").lower(),
        results=tuple(results),
        schema=(form.get("json_schema") or form.get("schema") or {}) if form.get("type") == "json_object" else None,
        limit=body.get("max_tokens"),
        stop=texts(body.get("stop_sequences")),
    )


def _result(content: Any) -> str:
    """The text of a tool's result: a string, or parts that are text or documents."""
    if isinstance(content, list):
        return " ".join(dumps(part["document"]) if "document" in part else str(part.get("text")) for part in content)
    return str(content)


def _logprob(token: str) -> JsonObject:
    return {"text": token, "token_ids": [len(token)], "logprobs": [answers.logprob(token)]}


def error(trouble: Trouble, model: str) -> tuple[int, JsonObject]:
    """Cohere's status and error object."""
    status, message = {
        "body": (400, "invalid request: the body is not valid JSON"),
        "key": (401, "no api key supplied"),
        "model": (404, f"model '{model}' not found, make sure the correct model ID was used and that you have access"),
    }[trouble]
    return status, {"id": str(uuid.uuid4()), "message": message}


def headers() -> dict[str, str]:
    """What Cohere sends beside the answer."""
    return {
        "x-debug-trace-id": uuid.uuid4().hex,
        "x-endpoint-monthly-call-limit": "1000",
        "x-trial-endpoint-call-limit": "20",
    }


FORMAT = Format(
    name="cohere-chat",
    paths=re.compile(r"/v2/chat$"),
    answer=answer,
    events=events,
    streamed=lambda ask: bool(ask.body.get("stream")),
    error=error,
    headers=headers,
)
