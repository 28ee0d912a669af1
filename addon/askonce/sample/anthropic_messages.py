"""Anthropic's messages. Source: https://docs.anthropic.com/en/api/messages and .../messages-streaming.

Vertex AI has the same bodies with the model in the path.
"""

import re
from collections.abc import Iterator
from typing import Any

from askonce.sample import answers
from askonce.sample.answers import Question, Said, Tool
from askonce.sample.formats import Ask, Format, JsonObject, Trouble, dumps, fresh, others, own, sse, text_of, texts

__all__ = ["FORMAT"]

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}


def answer(ask: Ask) -> JsonObject:
    """The `message` object."""
    body, asked = ask.body, _question(ask.body)
    said = answers.answer(asked)
    reason = "stop_sequence" if said.stopped_by else "refusal" if said.refused else _STOP_REASONS[said.finish]
    content = list(_blocks(body, asked, said))
    return {
        "model": ask.model,
        "id": fresh("msg_01", 22),
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": said.stopped_by,
        "usage": {
            "input_tokens": answers.count([body.get("system"), body.get("messages"), body.get("tools")]),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": sum(
                answers.count([block.get("text"), block.get("thinking"), block.get("input")]) for block in content
            ),
            "service_tier": "standard",
        },
    }


def events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    """`message_start`, every block opened, filled and closed, `message_delta`, `message_stop`; a ping early on."""

    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    opened = whole | {"content": [], "stop_reason": None, "stop_sequence": None}
    yield event("message_start", message=opened | {"usage": whole["usage"] | {"output_tokens": 1}})
    for index, block in enumerate(whole["content"]):
        emptied, deltas = _opened(block)
        yield event("content_block_start", index=index, content_block=emptied)
        if index == 0:
            yield event("ping")
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    ending = {key: whole[key] for key in ("stop_reason", "stop_sequence")}
    counted = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    yield event("message_delta", delta=ending, usage={key: whole["usage"][key] for key in counted})
    yield event("message_stop")


def _opened(block: JsonObject) -> tuple[JsonObject, list[JsonObject]]:
    """A block as it is announced, and the deltas that fill it."""
    match block["type"]:
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": token} for token in answers.tokens(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return block | {"thinking": "", "signature": ""}, [*deltas, signed]
        case "tool_use":
            pieces = ["", *answers.tokens(dumps(block["input"]))]
            return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block | {"text": ""}, [{"type": "text_delta", "text": token} for token in answers.tokens(block["text"])]


def _question(body: JsonObject) -> Question:
    messages = [message for message in body.get("messages") or () if message.get("role") != "system"] or [{}]
    last = own(messages[-1].get("content", ""))
    parts = last if isinstance(last, list) else []
    choice = body.get("tool_choice") or {"type": "auto"}
    form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    return Question(
        text=text_of(last),
        attachments=others([part for part in parts if part.get("type") != "tool_result"]),
        tools=tuple(
            Tool(tool["name"], tool.get("description", ""), tool.get("input_schema"))
            for tool in body.get("tools") or ()
            if "input_schema" in tool
        ),
        tool_choice={"any": "required", "tool": choice.get("name", "")}.get(choice["type"], choice["type"]),
        parallel=not choice.get("disable_parallel_tool_use"),
        results=tuple(text_of(part.get("content")) for part in parts if part.get("type") == "tool_result"),
        schema=form.get("schema"),
        limit=body.get("max_tokens"),
        stop=texts(body.get("stop_sequences")),
    )


def _blocks(body: JsonObject, asked: Question, said: Said) -> Iterator[JsonObject]:
    if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        signature = fresh("EqQB", 60)
        yield {"type": "thinking", "thinking": f"The user asks: {asked.text}", "signature": signature}
    if said.tool_uses:
        yield {"type": "text", "text": "I'll look that up."}
    for use in said.tool_uses:
        yield {"type": "tool_use", "id": fresh("toolu_01", 22), "name": use.name, "input": use.arguments}
    if not said.tool_uses:
        yield {"type": "text", "text": said.text}


def error(trouble: Trouble, model: str) -> tuple[int, JsonObject]:
    """Anthropic's status and error object."""
    status, kind, message = {
        "body": (400, "invalid_request_error", "The request body is not valid JSON"),
        "key": (401, "authentication_error", "x-api-key header is required"),
        "model": (404, "not_found_error", f"model: {model}"),
    }[trouble]
    return status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": fresh("req_01", 22)}


def headers() -> dict[str, str]:
    """What Anthropic sends beside the answer."""
    return {
        "request-id": fresh("req_01", 22),
        "anthropic-organization-id": "0a1b2c3d-sample",
        "anthropic-ratelimit-requests-limit": "4000",
        "anthropic-ratelimit-requests-remaining": "3999",
        "cf-cache-status": "DYNAMIC",
    }


FORMAT = Format(
    name="anthropic-messages",
    paths=re.compile(r"/messages$|/models/(?P<model>[^/:]+):(?:rawPredict|streamRawPredict)$"),
    answer=answer,
    events=events,
    streamed=lambda ask: bool(ask.body.get("stream")),
    error=error,
    keys=("x-api-key", "authorization"),
    headers=headers,
)
