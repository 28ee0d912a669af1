"""The stream of a chat completion: folded into the final object, and cut out of it again.

One rule: `fold` gives back what `Chunks` was made from, but for empty fields of a message, which streams leave out.
"""

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from askonce import jsontext
from askonce.call import Unstorable
from askonce.wire import openai_answers as answers
from askonce.wire.common import JsonObject
from askonce.wire.keeping import refuse_error
from askonce.wire.sse import Event
from askonce.wire.tokens import pieces

__all__ = ["Chunks", "collect", "fold", "merge"]

_SAID_ONCE = frozenset({"id", "type", "role", "index", "format", "signature"})
"""Strings that some providers repeat in every delta."""
_NOT_STORED = frozenset({"choices", "object", "obfuscation"})


def collect(events: Iterable[Event], kind: str) -> tuple[JsonObject, dict[int, list[JsonObject]], bool]:
    """What a stream tells: the object around the choices, the deltas of each choice, whether the end mark came.

    Raises `Unstorable` where it tells of an error, or cannot be read.
    """
    frame: JsonObject = {"id": None, "object": kind, "created": None, "model": None, "choices": []}
    deltas = defaultdict[int, list[JsonObject]](list)
    for event in events:
        data = event.data.strip()
        if data == answers.DONE:
            return _settled(frame), deltas, True
        if event.name == "error":
            raise Unstorable("an error event")
        if not data:
            continue
        chunk = answers.load_json(data, "an event")
        refuse_error(chunk)
        for key, value in chunk.items():
            if key not in _NOT_STORED and (value not in (None, "") or key not in frame):
                frame[key] = value
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or type(index := choice.get("index", 0)) is not int:
                raise Unstorable("a choice that is not an object with an index")
            deltas[index].append(choice)
    return _settled(frame), deltas, False


def _settled(frame: JsonObject) -> JsonObject:
    """Groq has the usage of a stream within `x_groq`; the JSON answer has it where everyone has."""
    if isinstance(groq := frame.get("x_groq"), dict) and (usage := groq.pop("usage", None)) and not frame.get("usage"):
        frame["usage"] = usage
    if frame.get("usage") is None:
        frame.pop("usage", None)
    return frame


def fold(events: Iterable[Event]) -> tuple[JsonObject, bool]:
    """The `chat.completion` that a stream tells, and whether its end mark `[DONE]` came. Raises `Unstorable`."""
    final, deltas, ended = collect(events, "chat.completion")
    for index in sorted(deltas):
        choice: JsonObject = {"index": index, "message": {}}
        for delta in deltas[index]:
            _fold_choice(choice, delta)
        final["choices"].append(_whole(choice))
    return final, ended


def _fold_choice(choice: JsonObject, delta: JsonObject) -> None:
    for key, value in delta.items():
        if key == "delta":
            if isinstance(value, dict):
                merge(choice["message"], value)
        elif key == "logprobs" and isinstance(value, dict):
            if not isinstance(choice.get(key), dict):
                choice[key] = {}
            merge(choice[key], value)
        elif key not in ("index", "message") and (value is not None or key not in choice):
            choice[key] = value  # Perplexity repeats the `message` so far beside each delta


def merge(whole: JsonObject, delta: JsonObject) -> None:
    """Add a delta to what earlier ones told: strings and lists grow, objects merge, anything else is replaced."""
    for key, new in delta.items():
        old = whole.get(key)
        if new is None:
            whole.setdefault(key, None)
        elif isinstance(new, list):
            whole[key] = _merge_lists(old, new, key)
        elif isinstance(old, str) and isinstance(new, str):
            whole[key] = _longer(key, old, new)
        elif isinstance(old, list) and isinstance(new, str):  # Mistral: thinking comes as parts, then text as strings
            whole[key] = _merge_lists(old, [{"type": "text", "text": new}] if new else [], key)
        elif isinstance(old, dict) and isinstance(new, dict):
            merge(old, new)
        else:
            whole[key] = new


def _longer(key: str, old: str, new: str) -> str:
    if key in _SAID_ONCE or (key == "name" and new == old):
        return new or old
    if key == "data" and old.endswith("="):
        # Audio in base64, each piece padded by itself: what is padded ends here, and more would not be read.
        try:
            return old[:-4] + base64.b64encode(base64.b64decode(old[-4:]) + base64.b64decode(new)).decode()
        except ValueError:
            raise Unstorable("pieces of data that are no base64") from None
    return old + new


def _merge_lists(old: Any, new: list[Any], key: str) -> list[Any]:
    whole = old if isinstance(old, list) else [{"type": "text", "text": old}] if isinstance(old, str) and old else []
    for item in new:
        if isinstance(item, dict) and (earlier := _earlier(whole, item, key)) is not None:
            merge(earlier, item)
        else:
            whole.append(item)
    return whole


def _earlier(whole: list[Any], item: JsonObject, key: str) -> JsonObject | None:
    """The item that this one goes on with, if it does."""
    known = [candidate for candidate in whole if isinstance(candidate, dict)]
    index, kind, identifier = item.get("index"), item.get("type"), item.get("id")
    if key in ("content", "thinking"):  # Mistral's parts have neither index nor identifier
        return known[-1] if known and kind in ("text", "thinking") and known[-1].get("type") == kind else None
    if key != "tool_calls":
        same = (part for part in known if index is not None and part.get("index") == index)
        return next((part for part in same if kind is None or part.get("type") in (None, kind)), None)
    is_named = isinstance(function := item.get("function"), dict) and bool(function.get("name"))
    if index is None:
        if identifier:
            return next((call for call in known if call.get("id") == identifier), None)
        return known[-1] if known and not is_named else None  # more of the last call
    earlier = next((call for call in reversed(known) if call.get("index") == index), None)
    # Gemini gives all parallel calls the index 0: one with another identifier and a name of its own is another call.
    is_other = earlier is not None and is_named and identifier and earlier.get("id") not in (None, identifier)
    return None if is_other else earlier


def _whole(choice: JsonObject) -> JsonObject:
    """A choice as the JSON answer has it."""
    told = choice.pop("message")
    message = {"role": told.pop("role", None) or "assistant", "content": told.pop("content", None), **told}
    if isinstance(calls := message.get("tool_calls"), list):
        for call in calls:
            if isinstance(call, dict):
                call.pop("index", None)
    if "refusal" in message:
        message.setdefault("annotations", [])  # OpenAI: in every JSON answer, in a stream only where there are any
        if message["refusal"] and message["content"] == "":
            message["content"] = None
    return {"index": choice.pop("index"), "message": message, **choice}


class Chunks:
    """A `chat.completion` as the bytes of its stream, made by joining what is common to all chunks with each delta."""

    def __init__(
        self, final: JsonObject, *, include_usage: bool = False, unasked_usage: bool = False, whole_calls: bool = False
    ) -> None:
        """`unasked_usage`: the last chunk with a choice tells the usage, though the caller did not ask.
        `whole_calls`: each tool call comes in one piece."""
        self._final = final
        self._include_usage = include_usage
        self._unasked_usage = unasked_usage
        self._whole_calls = whole_calls
        self._model = final["model"] if isinstance(final.get("model"), str) else ""
        frame = {"id": final["id"], "object": "chat.completion.chunk", "created": final["created"]}
        frame |= {key: final[key] for key in ("model", "service_tier", "system_fingerprint") if key in final}
        self._head = b"data: " + jsontext.dumps(frame)[:-1]
        self._end = b',"usage":null}\n\n' if include_usage else b"}\n\n"

    def stream(self) -> bytes:
        """All events, `[DONE]` at the end."""
        out = list[bytes]()
        choices = self._final["choices"]
        for position, choice in enumerate(choices):
            index = choice.get("index")
            index = index if type(index) is int else position
            head = b'%b,"choices":[{"index":%d,"delta":' % (self._head, index)
            tail = (b',"logprobs":null' if "logprobs" in choice else b"") + b',"finish_reason":null}]' + self._end
            logprobs = _Logprobs(choice.get("logprobs"), choice["message"])
            for delta, rows in self._deltas(choice["message"], logprobs):
                if rows is None:
                    out.append(b"%b%b%b" % (head, delta, tail))
                else:
                    out.append(b'%b%b,"logprobs":%b,"finish_reason":null}]%b' % (head, delta, rows, self._end))
            out.append(self._last(choice, index, logprobs, is_last=position == len(choices) - 1))
        if self._include_usage:
            out.append(b'%b,"choices":[],"usage":%b}\n\n' % (self._head, jsontext.dumps(self._final["usage"])))
        out.append(b"data: [DONE]\n\n")
        return b"".join(out)

    def _last(self, choice: JsonObject, index: int, logprobs: "_Logprobs", *, is_last: bool) -> bytes:
        """The chunk with the finish reason, and with what a provider adds to the choice or to the answer."""
        part = {"index": index, "delta": {}}
        part |= {key: value for key, value in choice.items() if key not in ("index", "message", "delta")}
        if "logprobs" in choice:
            part["logprobs"] = logprobs.unsaid
        extras = {key: value for key, value in self._final.items() if key not in _FRAME} if is_last else {}
        usage = self._final["usage"]
        if isinstance(extras.get("x_groq"), dict):
            extras["x_groq"] = extras["x_groq"] | {"usage": usage}
        if is_last and self._unasked_usage:
            extras["usage"] = usage
        elif self._include_usage:
            extras["usage"] = None
        return self._head + b"," + jsontext.dumps({"choices": [part], **extras})[1:] + b"\n\n"

    def _deltas(self, message: JsonObject, logprobs: "_Logprobs") -> Iterator[tuple[bytes, bytes | None]]:
        content, refusal, calls = message.get("content"), message.get("refusal"), message.get("tool_calls")
        calls = calls if isinstance(calls, list) else []
        rest = [item for item in message.items() if item[0] not in _MESSAGE and item[1] not in (None, [], {})]
        first: JsonObject = {"role": message.get("role") or "assistant"}
        if "content" in message:
            first["content"] = None if content is None else ""
        is_one_call = len(calls) == 1 and content is None and not rest and not self._whole_calls
        if is_one_call:  # OpenAI announces a single call together with the role
            first["tool_calls"] = [_announced(0, calls[0])]
        if "refusal" in message:
            first["refusal"] = None if refusal is None else ""
        yield jsontext.dumps(first), logprobs.opening
        for key, value in rest:
            if key.startswith("reasoning") and isinstance(value, str):
                yield from ((delta, None) for delta in self._strings(key, value))
        if isinstance(content, list):
            yield from ((jsontext.dumps({"content": part}), None) for part in self._content_parts(content))
        for key in ("content", "refusal"):
            if isinstance(value := message.get(key), str) and value:
                spread = logprobs.spread(key)
                yield from ((delta, None) for delta in self._strings(key, value)) if spread is None else spread
        for index, call in enumerate(calls):
            if self._whole_calls:
                yield (
                    jsontext.dumps({"tool_calls": [{"index": index, **call} if isinstance(call, dict) else call]}),
                    None,
                )
                continue
            if not is_one_call:
                yield jsontext.dumps({"tool_calls": [_announced(index, call)]}), None
            yield from ((delta, None) for delta in self._arguments(index, call))
        for key, value in rest:
            if not (key.startswith("reasoning") and isinstance(value, str)):
                yield jsontext.dumps({key: value}), None

    def _strings(self, key: str, text: str) -> Iterator[bytes]:
        head = b"{" + jsontext.dumps(key) + b":"
        for piece in pieces(text, self._model):
            yield b"%b%b}" % (head, orjson.dumps(piece))

    def _arguments(self, index: int, call: Any) -> Iterator[bytes]:
        for kind, key, text in _growing(call):
            head = b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (index, kind.encode(), key.encode())
            for piece in pieces(text, self._model):
                yield b"%b%b}}]}" % (head, orjson.dumps(piece))

    def _content_parts(self, content: list[Any]) -> Iterator[Any]:
        """Mistral's content of parts: thinking as a part with a piece of text, the answer's text as plain strings."""
        kinds = [part.get("type") if isinstance(part, dict) else None for part in content]
        for kind, part in zip(kinds, content, strict=True):
            if (
                kind == "text"
                and set(part) == {"type", "text"}
                and isinstance(part["text"], str)
                and kinds[0] != "text"
            ):
                yield from pieces(part["text"], self._model)
            else:
                yield [part]


def _growing(call: Any) -> Iterator[tuple[str, str, str]]:
    """What of a tool call comes in pieces, as (kind of tool, field, text); `custom` tools have an input."""
    for kind, key in (("function", "arguments"), ("custom", "input")):
        inner = call.get(kind) if isinstance(call, dict) else None
        if isinstance(inner, dict) and isinstance(text := inner.get(key), str):
            yield kind, key, text


def _announced(index: int, call: Any) -> Any:
    """The tool call without what comes in pieces."""
    if not isinstance(call, dict):
        return call
    return {"index": index, **call, **{kind: call[kind] | {key: ""} for kind, key, _ in _growing(call)}}


_FRAME = frozenset({"id", "object", "created", "model", "service_tier", "system_fingerprint", "choices", "usage"})
_MESSAGE = frozenset({"role", "content", "refusal", "tool_calls"})


class _Logprobs:
    """The log-probabilities of a choice, each to go with the piece of text that it is about."""

    def __init__(self, logprobs: Any, message: JsonObject) -> None:
        self.unsaid = logprobs
        """What no delta has carried yet."""
        self.opening: bytes | None = None
        self._cuts: dict[str, list[tuple[str, list[Any]]]] = {}
        self._empty: JsonObject = {}
        if not isinstance(logprobs, dict) or not logprobs or not set(logprobs) <= {"content", "refusal"}:
            return
        for key, rows in logprobs.items():
            if rows:
                if (cut := answers.cut_by(rows, message.get(key))) is None:
                    self._cuts = {}
                    return
                self._cuts[key] = cut
        if self._cuts:
            self.unsaid = None
            self._empty = {key: None if rows is None else [] for key, rows in logprobs.items()}
            self.opening = jsontext.dumps(self._empty)

    def spread(self, key: str) -> Iterator[tuple[bytes, bytes]] | None:
        """The deltas of that text with their log-probabilities; None where those do not tell where to cut."""
        if (cut := self._cuts.get(key)) is None:
            return None
        return ((jsontext.dumps({key: piece}), jsontext.dumps(self._empty | {key: rows})) for piece, rows in cut)
