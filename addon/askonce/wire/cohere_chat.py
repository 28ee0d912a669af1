"""Cohere's Chat API, version 2 (`POST /v2/chat`).

One rule: the events of a stream and the JSON answer carry the same message; only that is kept. Source: the
provider's API reference and its SDK's types.
"""

from collections.abc import Iterator
from typing import Any

from askonce import jsontext
from askonce.call import Answer, Call, Part, Reply, Request, Turn, Unreadable, Unstorable, Usage
from askonce.wire import sse
from askonce.wire.base import ReadOptions, Replay
from askonce.wire.common import (
    Growing,
    JsonObject,
    by_part,
    count_of,
    digest,
    encode_final,
    fresh_uuid,
    load_object,
    named,
    number,
    token_groups,
    zeroed,
)
from askonce.wire.keeping import assembling, refuse_bad_arguments, refuse_error
from askonce.wire.prompt import (
    MEDIA,
    NO_PROMPT,
    NOT_THE_USER,
    TOOL_RESULT,
    around_the_prompt,
    cut_instructions,
    cut_prompt,
    cut_text,
    overlook,
    plain_text,
    turns_of,
)
from askonce.wire.tokens import pieces

__all__ = ["CohereChat"]

_PARTS: dict[str, Part] = {
    "tools": "tools",
    "tool_choice": "tools",
    "strict_tools": "tools",
    "response_format": "format",
    "citation_options": "format",
    "logprobs": "format",
    "frequency_penalty": "sampling",
    "k": "sampling",
    "max_tokens": "sampling",
    "p": "sampling",
    "presence_penalty": "sampling",
    "seed": "sampling",
    "stop_sequences": "sampling",
    "temperature": "sampling",
    "thinking": "sampling",
}
_DONE = frozenset({"COMPLETE", "STOP_SEQUENCE", "TOOL_CALL"})
_EMPTY: JsonObject = {"content": [], "tool_plan": "", "tool_calls": [], "citations": []}
"""What a message-start says of a message that has nothing yet; the JSON form leaves out what stays empty."""


class CohereChat:
    name = "cohere-chat"

    def read(self, request: Request, options: ReadOptions) -> Call:
        body = load_object(request.body)
        overlook(body, options)
        found = cut_prompt(body, options)
        stream = body.pop("stream", None) is True
        model = body.pop("model", None)
        if not isinstance(model, str) or not model:
            raise Unreadable("model: expected a name")
        messages = _messages(body.pop("messages", None))
        instructions = cut_instructions(messages)
        last = messages[-1]
        reason = _why_exact(last)
        if found is None and last["role"] == "user":
            found = cut_text(last, "content")
        text = found or ""
        if not reason and not text.strip():
            reason = NO_PROMPT
        content = last["content"] = _plain(last["content"])

        parts = by_part(body, _PARTS)
        parts["model"] = model
        parts |= around_the_prompt(messages, instructions, "content", reason, system_first=True)
        return Call(
            wire=self.name,
            prompt=text,
            parts=parts,
            model=model,
            temperature=number(body.get("temperature")),
            stream=stream,
            exact_only=reason,
            turns=(*turns_of(messages[:-1] + instructions), Turn(last["role"], text or plain_text(content))),
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        with assembling(self.name):
            if body.lstrip()[:1] == b"{":
                final = jsontext.loads(body)
            else:
                final, content_type = _accumulate(body), "application/json"
            _check(final)
            usage = final.get("usage")
            tokens = (usage.get("tokens") or usage.get("billed_units")) if isinstance(usage, dict) else None
            return Answer(
                body=encode_final(final),
                content_type=content_type or "application/json",
                usage=Usage(count_of(tokens, "input_tokens"), count_of(tokens, "output_tokens")),
            )

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        final = jsontext.loads(answer.body)
        final["id"] = fresh_uuid(replay)
        if replay.zero_usage and "usage" in final:
            final["usage"] = zeroed(final["usage"])
        if not call.stream:
            return Reply(jsontext.dumps(final), answer.content_type)
        events = [sse.encode(jsontext.dumps(event), event["type"]) for event in _events(final)]
        return Reply(jsontext.line_safe(b"".join(events)), sse.CONTENT_TYPE)


def _messages(value: Any) -> list[JsonObject]:
    if not isinstance(value, list) or not value:
        raise Unreadable("messages: expected a list that is not empty")
    for index, message in enumerate(value):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Unreadable(f"messages[{index}]: expected an object with a role")
        content = message.setdefault("content", None)
        if isinstance(content, dict):  # the provider takes a single block where a list is meant
            content = message["content"] = [content]
        if not isinstance(content, list):
            if content is not None and not isinstance(content, str):
                raise Unreadable(f"messages[{index}].content: expected text or a list of blocks")
            continue
        for block in content:
            if not isinstance(block, dict):
                raise Unreadable(f"messages[{index}].content: expected blocks, found {type(block).__name__}")
            image = block.get("image_url")
            if isinstance(image, dict) and isinstance(image.get("url"), str) and image["url"].startswith("data:"):
                image["url"] = digest(image["url"])
        message["content"] = _plain(content)
    return value


def _plain(content: Any) -> Any:
    """A list of one plain text block means the same as its text."""
    if isinstance(content, list) and len(content) == 1:
        block = content[0]
        if block.get("type") == "text" and len(block) == 2 and isinstance(block.get("text"), str):
            return block["text"]
    return content


def _why_exact(last: JsonObject) -> str:
    role = last["role"]
    if role != "user":
        return TOOL_RESULT if role == "tool" else NOT_THE_USER
    for block in last["content"] if isinstance(last["content"], list) else ():
        kind = block.get("type")
        if kind == "image_url":
            return MEDIA
        if kind != "text":
            return f"{named(kind)} block in the last message"
    return ""


def _check(final: Any) -> None:
    if not isinstance(final, dict) or not isinstance(final.get("message"), dict):
        raise Unstorable("no message in the answer")
    reason = final.get("finish_reason")
    if reason not in _DONE:
        raise Unstorable(f"finish_reason {named(reason)}")
    message = final["message"]
    blocks = message.get("content") or []
    for block in blocks:
        if not isinstance(block["type"], str) or not isinstance(block.get(block["type"], ""), str):
            raise Unstorable("a content block is not what its type says")
    calls = message.get("tool_calls") or []
    for call in calls:
        if not isinstance(call["function"]["arguments"], str):
            raise Unstorable("a tool call whose arguments are no text")
        refuse_bad_arguments(call["function"]["arguments"])
    if not isinstance(message.get("tool_plan") or "", str):
        raise Unstorable("a tool_plan that is no text")
    for name in ("content", "tool_calls", "citations"):
        if not isinstance(message.get(name) or [], list):
            raise Unstorable(f"message.{name} is no list")
    if not isinstance(final.get("logprobs") or [], list):
        raise Unstorable("logprobs is no list")
    if not calls and not any(block["type"] == "text" and block["text"].strip() for block in blocks):
        raise Unstorable("empty answer")


def _accumulate(body: bytes) -> JsonObject:
    final: JsonObject = {}
    message: JsonObject = {}
    texts, logprobs = Growing(), list[Any]()
    still_open = set[tuple[str, Any]]()
    for event in sse.decode(body):
        if event.data == b"[DONE]":
            break
        data = jsontext.loads(event.data)
        kind = data["type"]
        what, _, step = kind.rpartition("-")
        delta = (data.get("delta") or {}).get("message") or {}
        if kind == "message-start":
            final = {"id": data.get("id"), "message": delta}
            message = delta
            for name, value in _EMPTY.items():
                message.setdefault(name, list(value) if isinstance(value, list) else value)
        elif kind == "message-end":
            if still_open:
                raise Unstorable(f"{next(iter(still_open))[0]} was not ended")
            refuse_error(data["delta"])
            final.update(data["delta"])
        elif kind == "debug":
            continue
        elif not message:
            raise Unstorable(f"{named(kind)} before message-start")
        elif step == "end" and what in ("content", "tool-call", "citation"):
            still_open.remove((what, data.get("index")))
        elif kind == "tool-plan-delta":
            texts.add(message, "tool_plan", delta["tool_plan"])
        elif kind == "content-delta":
            for name, text in delta["content"].items():
                texts.add(message["content"][data["index"]], name, text)
            if data.get("logprobs") is not None:
                logprobs.append(data["logprobs"])
        elif kind == "tool-call-delta":
            function = message["tool_calls"][data["index"]]["function"]
            texts.add(function, "arguments", delta["tool_calls"]["function"]["arguments"])
        elif step == "start" and what in ("content", "tool-call", "citation"):
            still_open.add((what, data.get("index")))
            name = {"content": "content", "tool-call": "tool_calls", "citation": "citations"}[what]
            message[name].append(delta[name])
        else:
            raise Unstorable(f"unknown event {named(kind)}")
    if "finish_reason" not in final:
        raise Unstorable("no message-end: the stream was cut off")
    texts.join()
    final["message"] = {name: value for name, value in message.items() if name not in _EMPTY or value}
    if logprobs:
        final["logprobs"] = logprobs
    return final


def _events(final: JsonObject) -> Iterator[JsonObject]:
    message = final["message"]
    started = {**{name: value for name, value in message.items() if name not in _EMPTY}, **_EMPTY}
    yield {"id": final["id"], "type": "message-start", "delta": {"message": started}}
    for text in pieces(message.get("tool_plan") or ""):
        yield _of("tool-plan-delta", None, {"tool_plan": text})
    logprobs = final.get("logprobs") or []
    for index, block in enumerate(message.get("content") or ()):
        kind = block["type"]
        yield _of("content-start", index, {"content": {**block, kind: ""} if kind in block else block})
        for text, items in token_groups(block.get(kind, ""), logprobs if kind == "text" else [], "text"):
            # One event carries one item; what is left over goes with events that add no text.
            for position, item in enumerate(items or [None]):
                event = _of("content-delta", index, {"content": {kind: text if position == 0 else ""}})
                yield event if item is None else {**event, "logprobs": item}
        if kind == "text":
            logprobs = []
        yield {"type": "content-end", "index": index}
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        opening = {**call, "function": {**function, "arguments": ""}}
        yield _of("tool-call-start", index, {"tool_calls": opening})
        for text in pieces(function["arguments"]):
            yield _of("tool-call-delta", index, {"tool_calls": {"function": {"arguments": text}}})
        yield {"type": "tool-call-end", "index": index}
    for index, citation in enumerate(message.get("citations") or ()):
        yield _of("citation-start", index, {"citations": citation})
        yield {"type": "citation-end", "index": index}
    end = {name: value for name, value in final.items() if name not in ("id", "message", "logprobs")}
    if logprobs:  # of an answer without text
        end["logprobs"] = logprobs
    yield {"type": "message-end", "delta": end}


def _of(kind: str, index: int | None, message: JsonObject) -> JsonObject:
    return {"type": kind} | ({} if index is None else {"index": index}) | {"delta": {"message": message}}
