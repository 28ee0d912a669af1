"""When two requests are the same: slow, plain, and written without a look at how Askonce does it.

One rule: two requests are the same if every value in them is, but for what says how to reply or who asks on whose
behalf. What the wire formats take for equal besides is listed here, so that whoever adds to it has to say so.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import orjson
from tests.fuzz.corpus import Sent

HOW = {"stream", "stream_options"}
"""How to reply."""
IGNORED = {"user"}
"""What the rules of the fuzzed proxy ignore."""
REALS = {"temperature", "top_p", "p", "min_p", "top_a", "presence_penalty", "frequency_penalty", "repetition_penalty"}
"""Where every provider documents a `number`, so that 1.0 is 1 (docs/wire-formats.md)."""
OPTIONS = {"gemini": "generationConfig", "ollama": "options"}
"""Objects whose members the provider reads so, whatever they are called."""
WHO = {"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"}


class Wrong(AssertionError):
    """A case that shows what must not be."""


class Unreadable(Exception):
    """No JSON object, or one that says something twice."""


class Number(str):
    """A number is the text that it was: what a reader makes of its digits is the reader's business."""

    __slots__ = ()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise Unreadable
    return dict(pairs)


def _refuse(word: str) -> Any:
    raise Unreadable(word)


def parse(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_pairs, parse_constant=_refuse, parse_int=Number, parse_float=Number
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable from error
    if not isinstance(value, dict):
        raise Unreadable
    return value


def plain(value: Any) -> Any:
    """A value that compares as its text does: true is not 1, and neither are 1.0 and 1e0."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return (type(value).__name__, value) if isinstance(value, bool | Number) else value


def _by_value(value: Any) -> Any:
    """An integer for a number that is one and is written as a double is."""
    match value:
        case ("Number", text) if (real := float(text)).is_integer() and orjson.dumps(real).decode() == text:
            return ("Number", str(int(real)))
    return value


def meant(sent: Sent) -> Any:
    """What a request asks, as a value to compare."""
    body = parse(sent.body)
    how = HOW if sent.wire not in ("generic", "gemini", "openai-embeddings") else set()
    how = how | {"keep_alive"} if sent.wire == "ollama" else how  # how long the model stays in memory
    value = {key: plain(item) for key, item in body.items() if key not in how | IGNORED}
    if sent.wire != "generic":
        value |= {name: _by_value(value[name]) for name in REALS & value.keys()}
    place = OPTIONS.get(sent.wire)
    if place and isinstance(options := value.get(place), dict):
        value[place] = {name: _by_value(item) for name, item in options.items()}
    query = sorted(parse_qsl(sent.query, keep_blank_values=True))
    path = sent.path
    if sent.wire == "gemini":
        path = path.replace("streamGenerate", "generate")
        query = [pair for pair in query if pair[0] != "alt"]
    if sent.wire == "gemini":
        value = _gemini(value)
    if sent.wire == "ollama" and value.get("options", 0) in ({}, None):
        del value["options"]  # no options are none
    if sent.wire == "openai-responses" and isinstance(value.get("input"), str):
        value["input"] = [{"role": "user", "content": value["input"]}]
    for name in ("messages", "input"):
        if isinstance(turns := value.get(name), list) and sent.wire != "generic":
            value[name] = [
                turn | {"content": _content(turn["content"])} if _has_content(turn) else turn for turn in turns
            ]
    if sent.wire == "anthropic-messages":
        value = _unmarked(value)
    if sent.wire == "openai-embeddings":
        asked = value.get("input")
        if isinstance(asked, list) and len(asked) == 1 and isinstance(asked[0], str | list):
            value["input"] = asked[0]
    return {"path": path, "query": query, "body": value}


def _has_content(turn: Any) -> bool:
    return isinstance(turn, dict) and "content" in turn


def _content(content: Any) -> Any:
    """A message's content; one text and nothing more is its text."""
    match content:
        case [{"type": "text" | "input_text", "text": str(text), **more}] if not more:
            return text
    return content


def _unmarked(body: dict[str, Any]) -> dict[str, Any]:
    """A request to Anthropic without its cache marks, which may have any form: they say how the provider is to keep the
    prompt, not what is asked. One text and nothing more is its text, also in `system` and in a tool's result."""
    value = {name: _blocks(item) if name == "system" else item for name, item in body.items() if name != _MARK}
    for name in ("messages", "tools"):
        if isinstance(items := value.get(name), list):
            value[name] = [_without_mark(item) if name == "tools" else _message(item) for item in items]
    if not value.get("system", True):
        del value["system"]  # an empty one is none
    return value


_MARK = "cache_control"


def _message(turn: Any) -> Any:
    return turn | {"content": _blocks(turn["content"])} if _has_content(turn) else turn


def _blocks(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    found = [_without_mark(block) for block in content]
    for block in found:
        holder = block.get("source") if isinstance(block, dict) else None
        for holding in (block, holder):
            if _has_content(holding):
                holding["content"] = _blocks(holding["content"])
    return _content(found)


def _without_mark(value: Any) -> Any:
    return {name: item for name, item in value.items() if name != _MARK} if isinstance(value, dict) else value


def _gemini(value: Any, name: str = "") -> Any:
    """Google's JSON is written protocol buffers: null, an empty list and an object with nothing in it are what is not
    there; one object may stand for a list of one; and the role that is left out is the user's."""
    if isinstance(value, list):
        return [_gemini(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _gemini(item, key) for key, item in value.items()}
    if name in ("contents", "systemInstruction") and isinstance(found.get("parts"), dict):
        found["parts"] = [found["parts"]]
    if name in ("contents", "systemInstruction") and not found.get("parts", [()]):
        del found["parts"]
    if name == "contents":
        found["role"] = found.get("role") or "user"
    if isinstance(found.get("contents"), dict):
        found["contents"] = [found["contents"]]
    if found.get("generationConfig", 0) in ({}, None):
        del found["generationConfig"]
    return found


def who(sent: Sent) -> Any:
    """On whose behalf, and in which namespace."""
    told = [(name.lower(), value) for name, value in sent.headers]
    namespace = [value.strip() for name, value in told if name == "x-cache-namespace" and value.strip()]
    return sent.host, sorted((name, value) for name, value in told if name in WHO and value), namespace


def differences(one: Any, other: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths at which two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        return [
            path
            for key in keys
            for path in (differences(one[key], other[key], (*at, key)) if key in one and key in other else [(*at, key)])
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            path for index, pair in enumerate(zip(one, other, strict=True)) for path in differences(*pair, (*at, index))
        ]
    return [] if type(one) is type(other) and one == other else [at]


def is_prompt(sent: Sent, path: tuple[Any, ...]) -> bool:
    """Whether a path leads into the text of the last message, which alone may be worded differently."""
    body = parse(sent.body)
    match path:
        case ("body", "prompt"):
            return sent.wire in ("openai-completions", "ollama") and "messages" not in body
        case ("body", "query"):
            return sent.wire == "generic"
        case ("body", ("messages" | "input" | "contents") as name, int(index), *rest):
            last = not isinstance(body[name], list) or index == len(body[name]) - 1  # one may stand without a list
            return last and rest[:1] in (["content"], ["parts"]) and (len(rest) == 1 or rest[-1] == "text")
    return False
