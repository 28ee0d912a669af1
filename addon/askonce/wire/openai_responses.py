"""OpenAI's Responses (`POST …/responses`).

One rule: an answer that the provider keeps is given back under its own identifier. Apps go on from it with
`previous_response_id`, and one that the provider never made would be refused there; only a response made with
`store: false` gets a fresh one. Source: OpenAI's API reference and its SDK's types.
"""

import re
from typing import Any

from askonce import jsontext
from askonce.call import Answer, Call, Part, Reply, Request, Unreadable, Unstorable, Usage
from askonce.wire import openai_answers as answers
from askonce.wire import openai_reading as reading
from askonce.wire import sse
from askonce.wire.base import ReadOptions, Replay
from askonce.wire.common import JsonObject, by_part, count_of, load_object, named, zeroed
from askonce.wire.keeping import assembling, holds, refuse_bad_arguments, refuse_error
from askonce.wire.openai_events import events_of
from askonce.wire.prompt import cut_prompt, overlook, plain_text, where_it_asks

__all__ = ["OpenAIResponses"]

_PARTS: dict[str, Part] = {
    **dict.fromkeys(("tools", "tool_choice", "parallel_tool_calls", "max_tool_calls"), "tools"),
    **dict.fromkeys(("text", "include", "top_logprobs", "truncation"), "format"),
    **dict.fromkeys(("temperature", "top_p", "max_output_tokens", "reasoning"), "sampling"),
    **dict.fromkeys(("instructions", "prompt"), "system"),
}
_STATE = ("previous_response_id", "conversation", "background", "store", "prompt")
"""Fields by which the provider is to remember something, or has."""
_ECHOED: dict[str, Any] = {"metadata": {}, "user": None, "safety_identifier": None, "prompt_cache_key": None}
"""What an answer repeats of the call, though rules ignore it, and what stands there where the call has none."""
_FINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_EVENT_TYPE = re.compile(rb'"type"\s*:\s*"([a-z_.]+)"')


class OpenAIResponses:
    name = "openai-responses"

    def read(self, request: Request, options: ReadOptions) -> Call:
        body = load_object(request.body)
        items = _items(body)
        prompt = cut_prompt(body, options, own=[("input",), ("input", len(items) - 1, "content")])
        echo = {field: body[field] for field in _ECHOED if field in body}
        if options.ignore or options.normalise:
            overlook(body, options)
        items = _items(body)
        body.pop("input", None)

        stream, _ = reading.cut_stream(body)
        temperature = reading.number(body, "temperature")
        model = reading.string(body, "model")
        body.pop("model", None)
        conversation = reading.Conversation(items, "input", prompt, _words)
        parts = by_part(body, _PARTS)
        parts["model"] = model
        told = conversation.parts()
        if "system" in parts:  # instructions, beside the messages of a system or developer
            parts["system"] = [parts["system"], *told.pop("system", [])]
        parts |= told
        return Call(
            wire=self.name,
            prompt=conversation.prompt,
            parts=parts,
            model=model,
            temperature=temperature,
            stream=stream,
            exact_only=_why_exact(items, body) or reading.if_empty(conversation.prompt),
            turns=conversation.turns,
            echo=echo,
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        with assembling(self.name):
            record = answers.load_record(body, content_type)
            final = _completed(record) if isinstance(record, list) else record
            body = jsontext.dumps(final)
            _refuse_bad(final)
            if b'"container_id"' in body and holds(final["output"], "container_id"):
                raise Unstorable("the answer refers to a container, which expires")
            used = final.get("usage")
            usage = Usage(count_of(used, "input_tokens"), count_of(used, "output_tokens"))
            return Answer(body, "application/json", usage)

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        final: JsonObject = jsontext.loads(answer.body)
        if final.get("store") is False or not isinstance(final.get("id"), str):
            final["id"] = answers.fresh_like(final.get("id"), replay, "resp_")
        final["created_at"] = int(replay.now)
        if final.get("completed_at") is not None:
            final["completed_at"] = int(replay.now)
        final |= {field: call.echo.get(field, empty) for field, empty in _ECHOED.items() if field in final}
        if replay.zero_usage:
            final["usage"] = zeroed(final.get("usage"))
        if not call.stream:
            return Reply(jsontext.dumps(final), "application/json")
        return Reply(jsontext.line_safe(events_of(final)), answers.STREAM_TYPE)


def _items(body: JsonObject) -> list[JsonObject]:
    """The input as a list of items; a string is a message from the user, and so is any without a type."""
    items = body.get("input")
    if isinstance(items, str) or (items is None and body.get("prompt") is not None):
        return [{"role": "user", "content": items or ""}]
    if not isinstance(items, list) or not items:
        raise Unreadable(f"input: {reading.kind(items)}, expected a string or a list with at least one item")
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise Unreadable(f"input[{index}]: {reading.kind(item)}, expected an object")
        if item.get("type") == "message":
            del item["type"]
        if not isinstance(item.get("type" if "type" in item else "role"), str):
            raise Unreadable(f"input[{index}]: expected a type or a role")
        if not isinstance(item.get("role"), str | None):
            raise Unreadable(f"input[{index}].role: {reading.kind(item['role'])}, expected a string")
    return items


def _why_exact(items: list[JsonObject], body: JsonObject) -> str:
    for field in _STATE:
        if body.get(field):
            return f"state kept by the provider: {field}"
    if any(item.get("type") == "item_reference" for item in items):
        return "state kept by the provider: item_reference"
    last = items[where_it_asks(items, reading.instructs)]
    if "type" not in last and last["role"] != "user":
        return f"last message from the {named(last['role'])}"
    for item in reversed(items):
        kind = item.get("type", "message")
        if kind not in ("message", "reasoning") and not _defines_tools(item):
            return f"{named(kind)} in the last turn"
        if item.get("role") == "assistant":
            break
    return reading.media_in(last)


def _defines_tools(item: JsonObject) -> bool:
    """codex has its tools among the developer's items; they are no tool's result."""
    return item.get("type") == "additional_tools" and item.get("role") in ("developer", "system")


def _words(item: JsonObject) -> str:
    """An item as a person would read it."""
    if content := item.get("content"):
        return plain_text(content)
    if "arguments" in item or "input" in item:
        return f"{item.get('name')}({item.get('arguments', item.get('input'))})"
    return plain_text(item.get("output") or item.get("summary") or f"[{item.get('type')}]")


def _completed(events: list[sse.Event]) -> JsonObject:
    """The response that a stream ends with. Raises `Unstorable`."""
    items = dict[int, Any]()
    for event in events:
        kind = _EVENT_TYPE.search(event.data)
        name = event.name or (kind[1].decode() if kind else "")
        if name == "error":
            raise Unstorable("an error event")
        if name == "response.output_item.done":
            told = answers.load_json(event.data, "an event")
            if type(index := told.get("output_index")) is int:
                items[index] = told.get("item")
        elif name in _FINAL:
            final = answers.load_json(event.data, "an event").get("response")
            if not isinstance(final, dict):
                raise Unstorable(f"{name} without a response")
            if not final.get("output"):  # OpenAI may leave out what the events have told already
                final["output"] = [items[index] for index in sorted(items)]
            return final
    raise Unstorable("the stream ends without response.completed")


def _refuse_bad(final: JsonObject) -> None:
    refuse_error(final)
    if (status := final.get("status")) != "completed":
        details = final.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        raise Unstorable(f"status {named(status)}" + (f" ({named(reason)})" if reason else ""))
    output = final.get("output")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise Unstorable("output: expected a list of items")
    for item in output:
        if item.get("status", "completed") not in ("completed", None):
            raise Unstorable(f"{named(item.get('type'))}: status {named(item['status'])}")
        refuse_bad_arguments(item.get("arguments"))
    if not any(item.get("type") != "reasoning" and _says_something(item) for item in output):
        raise Unstorable("an empty answer")


def _says_something(item: JsonObject) -> bool:
    if item.get("type") != "message":
        return True
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") or part.get("refusal") for part in parts if isinstance(part, dict))
    return any(isinstance(text, str) and text.strip() for text in texts)
