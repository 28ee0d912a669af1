"""A whole response cut into the typed events of OpenAI's stream, in their order and with their names.

One rule: the events tell the response item by item, and the last one, `response.completed`, is the response itself;
so a stored response loses nothing, whatever its items are.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from askonce import jsontext
from askonce.wire.common import JsonObject
from askonce.wire.openai_answers import cut_by
from askonce.wire.tokens import pieces

__all__ = ["events_of"]

_STEPS: Mapping[str, tuple[str, ...]] = {
    "web_search_call": ("in_progress", "searching", "completed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "mcp_call": ("in_progress", "completed"),
    "mcp_list_tools": ("in_progress", "completed"),
}
"""What the provider's own tools go through; the names are `response.<item type>.<step>`."""
_SHORT = {"image_generation_call": "image_gen_call"}
_GROWING: Mapping[str, tuple[str, str]] = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
    "mcp_call": ("arguments", "response.mcp_call_arguments"),
    "code_interpreter_call": ("code", "response.code_interpreter_call_code"),
}
"""Item type -> the field that comes piece by piece, and the stem of the names of its events."""
_TEXTS: Mapping[str, tuple[str, str]] = {
    "output_text": ("text", "response.output_text"),
    "refusal": ("refusal", "response.refusal"),
    "reasoning_text": ("text", "response.reasoning_text"),
}
"""Content part type -> the same."""


def events_of(final: JsonObject) -> bytes:
    """The stream of a completed response; it has no end mark beyond `response.completed`."""
    events = _Events(final.get("model"))
    opening = final | {"status": "in_progress", "output": [], "usage": None}
    if "completed_at" in final:
        opening["completed_at"] = None
    events.add("response.created", response=opening)
    events.add("response.in_progress", response=opening)
    for index, item in enumerate(final["output"]):
        _item(events, index, item)
    events.add("response.completed", response=final)
    return b"".join(events.out)


class _Events:
    """The events written so far."""

    def __init__(self, model: Any) -> None:
        self.out: list[bytes] = []
        self.model = model if isinstance(model, str) else ""

    def add(self, name: str, **fields: Any) -> None:
        data = jsontext.dumps({"type": name, "sequence_number": len(self.out), **fields})
        self.out.append(b"event: %b\ndata: %b\n\n" % (name.encode(), data))

    def deltas(self, name: str, fields: JsonObject, texts: Iterable[str], tails: Iterable[bytes]) -> None:
        """One event per piece of text, joined from bytes: these are nearly all events of a stream."""
        head = b'event: %b\ndata: {"type":"%b","sequence_number":' % (name.encode(), name.encode())
        middle = b"," + jsontext.dumps(fields)[1:-1] + b',"delta":'
        start = len(self.out)
        self.out += [
            b"%b%d%b%b%b}\n\n" % (head, start + offset, middle, orjson.dumps(text), tail)
            for offset, (text, tail) in enumerate(zip(texts, tails, strict=False))
        ]


def _item(events: _Events, index: int, item: JsonObject) -> None:
    kind = item.get("type")
    kind = kind if isinstance(kind, str) else ""
    growing, stem = _GROWING.get(kind, ("", ""))
    text = item.get(growing)
    opening = dict(item)
    if "status" in item:
        opening["status"] = "in_progress"
    if isinstance(text, str):
        opening[growing] = ""
    for field in ("content", "summary"):
        if isinstance(item.get(field), list):
            opening[field] = []
    place = {"item_id": item.get("id"), "output_index": index}
    events.add("response.output_item.added", output_index=index, item=opening)

    *steps, last = _STEPS.get(kind, ("",))
    stage = f"response.{_SHORT.get(kind, kind)}."
    for step in steps[:1]:
        events.add(stage + step, **place)
    if isinstance(text, str):
        cut = pieces(text, events.model)
        events.deltas(stem + ".delta", place, cut, [b""] * len(cut))
        events.add(stem + ".done", **place, **{growing: text})
    for step in [*steps[1:], *filter(None, [last])]:
        events.add(stage + step, **place)

    for number, part in _listed(item.get("summary")):
        _summary(events, {**place, "summary_index": number}, part)
    for number, part in _listed(item.get("content")):
        _part(events, {**place, "content_index": number}, part)
    events.add("response.output_item.done", output_index=index, item=item)


def _listed(parts: Any) -> Iterable[tuple[int, JsonObject]]:
    return (
        (number, part) for number, part in enumerate(parts if isinstance(parts, list) else ()) if isinstance(part, dict)
    )


def _summary(events: _Events, place: JsonObject, part: JsonObject) -> None:
    text = part.get("text")
    text = text if isinstance(text, str) else ""
    events.add("response.reasoning_summary_part.added", **place, part=part | {"text": ""})
    cut = pieces(text, events.model)
    events.deltas("response.reasoning_summary_text.delta", place, cut, [b""] * len(cut))
    events.add("response.reasoning_summary_text.done", **place, text=text)
    events.add("response.reasoning_summary_part.done", **place, part=part)


def _part(events: _Events, place: JsonObject, part: JsonObject) -> None:
    growing, stem = _TEXTS.get(str(part.get("type")), ("", ""))
    text = part.get(growing)
    opening = part | ({growing: ""} if isinstance(text, str) else {})
    opening |= {field: [] for field in ("annotations", "logprobs") if isinstance(part.get(field), list)}
    events.add("response.content_part.added", **place, part=opening)
    if isinstance(text, str):
        closing: JsonObject = {growing: text}
        if growing == "text" and part["type"] == "output_text":
            rows = part.get("logprobs") or []
            spread = cut_by(rows, text) if rows else None
            cut = spread or [(piece, []) for piece in pieces(text, events.model)]
            tails = [b',"logprobs":' + jsontext.dumps(rows_of) for _, rows_of in cut]
            events.deltas(stem + ".delta", place, [piece for piece, _ in cut], tails)
            closing["logprobs"] = rows
        else:
            plain = pieces(text, events.model)
            events.deltas(stem + ".delta", place, plain, [b""] * len(plain))
        notes = part.get("annotations")
        for number, annotation in enumerate(notes if isinstance(notes, list) else ()):
            name = "response.output_text.annotation.added"
            events.add(name, **place, annotation_index=number, annotation=annotation)
        events.add(stem + ".done", **place, **closing)
    events.add("response.content_part.done", **place, part=part)
