"""OpenAI's responses. Source: https://platform.openai.com/docs/api-reference/responses and .../responses-streaming.

The output is a list of items (reasoning, a message, function calls), and the stream announces, fills and closes each
of them before the whole response comes once more.
"""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

from askonce.sample import answers, openai_chat
from askonce.sample.answers import Question, Said, Tool
from askonce.sample.formats import Ask, Format, JsonObject, dumps, fresh, others, sse, text_of, texts

__all__ = ["FORMAT", "answer_message"]

_ECHOED: JsonObject = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}
"""Settings that the response repeats, with what they are where the request leaves them out."""


def answer(ask: Ask) -> JsonObject:
    """The `response` object."""
    body, said = ask.body, answers.answer(_question(ask.body))
    output = list(_items(body, ask.model, said))
    cut = said.finish == "length"
    spent, thought = answers.count(said.text or [use.arguments for use in said.tool_uses]), _thought(output)
    read = answers.count([body.get("input"), body.get("instructions"), body.get("tools")])
    return {
        "id": fresh("resp_", 48),
        "object": "response",
        "created_at": int(ask.now),
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": ask.model,
        "output": output,
        "service_tier": "default",
        "usage": {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": spent + thought,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": read + spent + thought,
        },
        **{key: body[key] if body.get(key) is not None else default for key, default in _ECHOED.items()},
    }


def events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    """`response.created` to `response.completed` (or `.incomplete`), numbered."""
    numbers = count()

    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, "sequence_number": next(numbers), **fields}, kind)

    begun = whole | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    for index, item in enumerate(whole["output"]):
        opened = item | ({} if item["type"] == "reasoning" else {"status": "in_progress"})
        opened |= {key: type(item[key])() for key in ("summary", "content", "arguments", "input") if key in item}
        yield event("response.output_item.added", output_index=index, item=opened)
        for kind, fields in _filled(item):
            yield event(kind, item_id=item["id"], output_index=index, **fields)
        yield event("response.output_item.done", output_index=index, item=item)
    yield event(f"response.{whole['status']}", response=whole)


def answer_message(message: JsonObject, now: float) -> Iterator[str]:
    """The messages that answer `response.create` on a WebSocket: the events of a stream, without its framing."""
    path = _PATH.search("/v1/responses")
    assert path
    ask = Ask(path, {}, message, now)
    for event in events(ask, answer(ask)):
        yield event.partition(b"data: ")[2].decode().strip()


def _filled(item: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """What fills an opened item."""
    if item["type"] == "function_call":
        for token in answers.tokens(item["arguments"]):
            yield "response.function_call_arguments.delta", {"delta": token, "obfuscation": fresh("", 8)}
        yield "response.function_call_arguments.done", {"arguments": item["arguments"]}
    if item["type"] == "custom_tool_call":
        for token in answers.tokens(item["input"]):
            yield "response.custom_tool_call_input.delta", {"delta": token, "obfuscation": fresh("", 8)}
        yield "response.custom_tool_call_input.done", {"input": item["input"]}
    for at, part in enumerate(item.get("summary", ())):
        where = {"summary_index": at}
        yield "response.reasoning_summary_part.added", where | {"part": {"type": "summary_text", "text": ""}}
        for token in answers.tokens(part["text"]):
            yield "response.reasoning_summary_text.delta", where | {"delta": token, "obfuscation": fresh("", 8)}
        yield "response.reasoning_summary_text.done", where | {"text": part["text"]}
        yield "response.reasoning_summary_part.done", where | {"part": part}
    for at, part in enumerate(item.get("content", ())):
        where, refusal = {"content_index": at}, part["type"] == "refusal"
        name, text = ("refusal", part["refusal"]) if refusal else ("output_text", part["text"])
        emptied = {"type": "refusal", "refusal": ""} if refusal else part | {"text": "", "logprobs": []}
        rows = part.get("logprobs", [])
        yield "response.content_part.added", where | {"part": emptied}
        for position, token in enumerate(answers.tokens(text)):
            logprobs = {} if refusal else {"logprobs": rows[position : position + 1]}
            yield f"response.{name}.delta", where | {"delta": token, "obfuscation": fresh("", 8)} | logprobs
        done = {"refusal": text} if refusal else {"text": text, "logprobs": rows}
        yield f"response.{name}.done", where | done
        yield "response.content_part.done", where | {"part": part}


def _question(body: JsonObject) -> Question:
    given = body.get("input", "")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    users = [item for item in items if item.get("role") == "user"]
    content = users[-1].get("content", "") if users else ""
    results: list[str] = []
    for item in reversed(items):
        if item.get("type") not in ("function_call_output", "custom_tool_call_output"):
            break
        results.insert(0, text_of(item.get("output")))
    choice = body.get("tool_choice") or "auto"
    return Question(
        text=text_of(content),
        attachments=others(content),
        tools=tuple(
            Tool(
                tool["name"],
                tool.get("description") or "",
                _FREE if tool["type"] == "custom" else tool.get("parameters"),
            )
            for tool in _tools(body)
        ),
        tool_choice=choice if isinstance(choice, str) else choice.get("name", "required"),
        parallel=body.get("parallel_tool_calls") is not False,
        results=tuple(results),
        schema=_schema((body.get("text") or {}).get("format")),
        limit=body.get("max_output_tokens"),
        stop=texts(body.get("stop")),
    )


def _tools(body: JsonObject) -> Iterator[JsonObject]:
    """The functions and custom tools on offer: of the request, of items that bring more, and those in namespaces."""
    given = body.get("input") or ()
    more = [item for item in given if item.get("type") == "additional_tools"] if isinstance(given, list) else []
    offered = [*(body.get("tools") or ()), *(tool for item in more for tool in item["tools"])]
    for tool in offered:
        for each in tool["tools"] if tool.get("type") == "namespace" else (tool,):
            if each.get("type") in ("function", "custom"):
                yield each


def _schema(form: Any) -> JsonObject | None:
    match form:
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
        case {"type": "json_object"}:
            return {}
    return None


def _items(body: JsonObject, model: str, said: Said) -> Iterator[JsonObject]:
    asked = text_of(_question(body).text)
    if model.startswith(("o1", "o3", "o4", "gpt-5")) or (body.get("reasoning") or {}).get("effort"):
        summary = []
        if (body.get("reasoning") or {}).get("summary"):
            summary = [{"type": "summary_text", "text": f"**Answering**\n\nThe user asks: {asked}"}]
        hidden = "reasoning.encrypted_content" in (body.get("include") or ())
        secret = {"encrypted_content": fresh("gAAAA", 40)} if hidden else {}
        yield {"id": fresh("rs_", 48), "type": "reasoning", "summary": summary, **secret}
    custom = {tool["name"] for tool in _tools(body) if tool["type"] == "custom"}
    for use in said.tool_uses:
        if use.name in custom:
            yield {
                "id": fresh("ctc_", 48),
                "type": "custom_tool_call",
                "status": "completed",
                "call_id": fresh("call_", 24),
                "name": use.name,
                "input": use.arguments["input"],
            }
            continue
        yield {
            "id": fresh("fc_", 48),
            "type": "function_call",
            "status": "completed",
            "arguments": dumps(use.arguments),
            "call_id": fresh("call_", 24),
            "name": use.name,
        }
    if not said.tool_uses:
        wanted = "message.output_text.logprobs" in (body.get("include") or ())
        rows = openai_chat.logprob_rows(said.text, int(body.get("top_logprobs") or 0)) if wanted else []
        part: JsonObject = {"type": "output_text", "annotations": [], "logprobs": rows, "text": said.text}
        if said.refused:
            part = {"type": "refusal", "refusal": said.text}
        yield {
            "id": fresh("msg_", 48),
            "type": "message",
            "status": "incomplete" if said.finish == "length" else "completed",
            "content": [part],
            "role": "assistant",
        }


def _thought(output: list[JsonObject]) -> int:
    return sum(64 for item in output if item["type"] == "reasoning")


_FREE: JsonObject = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""What a custom tool takes: one text."""
_PATH = re.compile(r"/responses$")
FORMAT = Format(
    name="openai-responses",
    paths=_PATH,
    answer=answer,
    events=events,
    streamed=lambda ask: bool(ask.body.get("stream")),
    error=openai_chat.error,
    keys=("authorization", "api-key"),
    headers=openai_chat.headers,
)
