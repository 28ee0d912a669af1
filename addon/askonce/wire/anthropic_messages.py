"""Anthropic's Messages API (`POST /v1/messages`; on Vertex AI `…/models/M:rawPredict` and `:streamRawPredict`).

One rule: what a stream of named events carries and what the JSON answer carries are the same message, so only the
message is kept, and either form is made from it. Source: the provider's API reference and its SDK's accumulator.
"""

import re
from typing import Any

from askonce import jsontext
from askonce.call import Answer, Call, Part, Reply, Request, Turn, Unreadable, Unstorable, Usage
from askonce.wire import anthropic_events, sse
from askonce.wire.base import ReadOptions, Replay
from askonce.wire.common import (
    JsonObject,
    by_part,
    count_of,
    digest,
    encode_final,
    estimate,
    load_object,
    named,
    number,
    zeroed,
)
from askonce.wire.keeping import assembling
from askonce.wire.prompt import (
    MEDIA,
    NO_PROMPT,
    NOT_THE_USER,
    TOOL_RESULT,
    around_the_prompt,
    cut_instructions,
    cut_prompt,
    cut_text,
    is_reminder,
    overlook,
    plain_text,
    turns_of,
)

__all__ = ["AnthropicMessages"]

_PARTS: dict[str, Part] = {
    "tools": "tools",
    "tool_choice": "tools",
    "mcp_servers": "tools",
    "output_config": "format",
    "output_format": "format",
    "max_tokens": "sampling",
    "stop_sequences": "sampling",
    "temperature": "sampling",
    "thinking": "sampling",
    "top_k": "sampling",
    "top_p": "sampling",
}
_STATE = ("container", "thread", "fallback_credit_token")
"""Fields that refer to something the provider keeps, or remembers of an earlier call."""
_OF_THE_PROMPT_CACHE = ("cache_control", "diagnostics")
"""Fields for the provider's prompt cache: what to keep, and what to tell of why something was not found."""
_MEDIA = frozenset({"image", "document", "search_result", "container_upload"})
_ON_VERTEX = re.compile(r"^(.+/models/([^/:]+)):(rawPredict|streamRawPredict)$")
_DONE = frozenset({"end_turn", "stop_sequence", "tool_use"})


class AnthropicMessages:
    name = "anthropic-messages"

    def read(self, request: Request, options: ReadOptions) -> Call:
        body = load_object(request.body)
        overlook(body, options)
        found = cut_prompt(body, options)
        stream = body.pop("stream", None) is True
        model = body.pop("model", None)
        if on_vertex := _ON_VERTEX.match(request.path):
            stream = stream or on_vertex[3] == "streamRawPredict"
            model = model or on_vertex[2]
        if not isinstance(model, str) or not model:
            raise Unreadable("model: expected a name")
        messages = _messages(body.pop("messages", None))
        for name in _OF_THE_PROMPT_CACHE:
            body.pop(name, None)
        system = _clean(body.pop("system", None), "system")
        for tool in body["tools"] if isinstance(body.get("tools"), list) else ():
            if isinstance(tool, dict):
                tool.pop("cache_control", None)

        instructions = cut_instructions(messages)
        last = messages[-1]
        reason = _why_exact(messages, body)
        if found is None and last["role"] == "user":
            found = _cut_question(last)
        text = found or ""
        if not reason and not text.strip():
            reason = NO_PROMPT

        parts = by_part(body, _PARTS)
        parts["model"] = model
        if system:
            parts["system"] = system
        content = last["content"] = _plain(last["content"])
        parts |= around_the_prompt(messages, instructions, "content", reason)
        turns = [Turn("system", plain_text(system))] if system else []
        turns += turns_of(messages[:-1] + instructions)
        turns.append(Turn(last["role"], text or plain_text(content)))
        return Call(
            wire=self.name,
            prompt=text,
            parts=parts,
            model=model,
            endpoint=on_vertex[1] if on_vertex else "",
            temperature=number(body.get("temperature")),
            stream=stream,
            exact_only=reason,
            turns=tuple(turns),
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        with assembling(self.name):
            if body.lstrip()[:1] == b"{":
                message = jsontext.loads(body)
            else:
                message, content_type = anthropic_events.accumulate(body), "application/json"
            _check(message)
            usage = message["usage"] = _usage(message, call)
            return Answer(
                body=encode_final(message),
                content_type=content_type or "application/json",
                usage=Usage(
                    count_of(usage, "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
                    count_of(usage, "output_tokens"),
                ),
            )

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        message = jsontext.loads(answer.body)
        message["id"] = replay.fresh_id("msg_")
        if message.get("diagnostics"):
            message["diagnostics"] = None  # which were of the call that it answered first
        if replay.zero_usage:
            message["usage"] = zeroed(message.get("usage"))
        if not call.stream:
            return Reply(jsontext.dumps(message), answer.content_type)
        return Reply(jsontext.line_safe(b"".join(anthropic_events.encode(message))), sse.CONTENT_TYPE)


def _messages(value: Any) -> list[JsonObject]:
    if not isinstance(value, list) or not value:
        raise Unreadable("messages: expected a list that is not empty")
    for index, message in enumerate(value):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Unreadable(f"messages[{index}]: expected an object with a role")
        message["content"] = _clean(message.get("content"), f"messages[{index}].content")
        if message["content"] is None:
            raise Unreadable(f"messages[{index}].content: expected text or a list of blocks")
    return value


def _cut_question(message: JsonObject) -> str | None:
    """Cut out the last text that is the user's own; what stands before it, a document, say, is to be equal."""
    content = message["content"]
    if isinstance(content, str):
        return cut_text(message, "content")
    for block in reversed(content):
        if block["type"] == "text" and not is_reminder(text := block["text"]):
            block["text"] = ""
            return str(text)
    return None


def _clean(content: Any, where: str, depth: int = 0) -> Any:
    """Content without cache marks and with files replaced by their hash; a lone plain text block becomes its text."""
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Unreadable(f"{where}: expected text or a list of blocks, found {type(content).__name__}")
    for index, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise Unreadable(f"{where}[{index}]: expected an object with a type")
        block.pop("cache_control", None)
        if block["type"] == "text":
            if not isinstance(block.get("text"), str):
                raise Unreadable(f"{where}[{index}].text: expected a string")
            continue
        source = block.get("source")
        if isinstance(source, dict):
            if isinstance(source.get("data"), str):
                source["data"] = digest(source["data"])
            holder, key = source, "content"
        else:
            holder, key = block, "content"
        # A tool result holds blocks, one of which may be a document that holds blocks; no deeper.
        if depth < 2 and isinstance(holder.get(key), list) and all(isinstance(item, dict) for item in holder[key]):
            holder[key] = _clean(holder[key], f"{where}[{index}].{key}", depth + 1)
    return _plain(content)


def _plain(content: Any) -> Any:
    """A list of one plain text block means the same as its text."""
    if isinstance(content, list) and len(content) == 1:
        block = content[0]
        if block.get("type") == "text" and len(block) == 2:
            return block["text"]
    return content


def _why_exact(messages: list[JsonObject], body: JsonObject) -> str:
    role = messages[-1]["role"]
    if role != "user":
        return "the answer is begun by the caller" if role == "assistant" else NOT_THE_USER
    # Messages from the user that follow each other are one turn to the provider.
    for message in reversed(messages):
        if message["role"] != "user":
            break
        for block in message["content"] if isinstance(message["content"], list) else ():
            kind = block["type"]
            if kind == "text":
                continue
            if kind in _MEDIA:
                return MEDIA
            return TOOL_RESULT if "tool" in kind else f"{named(kind)} block in the last message"
    return next((f"state kept by the provider: {name}" for name in _STATE if body.get(name)), "")


def _check(message: Any) -> None:
    if not isinstance(message, dict) or message.get("type") != "message":
        kind = message.get("type") if isinstance(message, dict) else type(message).__name__
        raise Unstorable(f"expected a message, found {named(kind)}")
    reason = message.get("stop_reason")
    if reason not in _DONE:
        raise Unstorable(f"stop_reason {named(reason)}")
    if message.get("container"):
        raise Unstorable("the answer refers to a container, which expires")
    content = message["content"]
    for block in content:
        kind = block["type"]
        if not isinstance(kind, str) or not isinstance(block[kind] if kind in ("text", "thinking") else "", str):
            raise Unstorable("a content block is not what its type says")
    if not any(_says_something(block) for block in content):
        raise Unstorable("empty answer")
    for block in content:
        result = block.get("content")
        if block.get("is_error") or (isinstance(result, dict) and str(result.get("type")).endswith("_error")):
            raise Unstorable(f"a tool at the provider failed: {named(block['type'])}")


def _usage(message: JsonObject, call: Call) -> JsonObject:
    """The usage as the provider told it. Some that speak this format do not, or not whole, and the SDK reads both
    counts: what is missing is as we count it."""
    told = message.get("usage")
    told = told if isinstance(told, dict) else {}
    if number(told.get("input_tokens")) is not None and number(told.get("output_tokens")) is not None:
        return told
    said = [block.get(block["type"]) or jsontext.dumps(block.get("input")).decode() for block in message["content"]]
    counted = estimate(call, "\n".join(text for text in said if isinstance(text, str)))
    ours = {"input_tokens": counted.input_tokens, "output_tokens": counted.output_tokens}
    return told | {name: count for name, count in ours.items() if number(told.get(name)) is None}


def _says_something(block: JsonObject) -> bool:
    kind = block["type"]
    if kind == "text":
        return bool(block["text"].strip())
    return kind not in ("thinking", "redacted_thinking", "fallback")
