"""Ollama's own API: `POST /api/chat` and `POST /api/generate`, streamed as lines of JSON unless `"stream": false`.

One rule: each line of a stream adds to the text, and the last one, `"done": true`, is the JSON answer but for that
text. Source: the provider's API reference and its SDK's types.
"""

from collections.abc import Iterator
from typing import Any

from askonce import jsontext
from askonce.call import Answer, Call, Part, Reply, Request, Turn, Unreadable, Unstorable, Usage
from askonce.wire.base import ReadOptions, Replay
from askonce.wire.common import (
    JsonObject,
    by_part,
    count_of,
    digest,
    encode_final,
    load_object,
    named,
    number,
    same_number,
    time_like,
    token_groups,
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
    turns_of,
)

__all__ = ["Ollama"]

_CHAT_PARTS: dict[str, Part] = {
    "format": "format",
    "logprobs": "format",
    "think": "sampling",
    "tools": "tools",
    "top_logprobs": "format",
}
_GENERATE_PARTS: dict[str, Part] = _CHAT_PARTS | {
    "context": "history",
    "images": "media",
    "raw": "system",
    "system": "system",
    "template": "system",
}
_STREAM_TYPE = "application/x-ndjson"
_JSON = "application/json; charset=utf-8"
_TEXTS = ("content", "thinking")


class Ollama:
    name = "ollama"

    def read(self, request: Request, options: ReadOptions) -> Call:
        body = load_object(request.body)
        overlook(body, options)
        found = cut_prompt(body, options)
        stream = body.pop("stream", None) is not False
        body.pop("keep_alive", None)  # how long the model stays loaded, not what it says
        model = body.pop("model", None)
        if not isinstance(model, str) or not model:
            raise Unreadable("model: expected a name")
        config = body.pop("options", None)
        config = {} if config is None else config
        if not isinstance(config, dict):
            raise Unreadable("options: expected an object")
        if request.path.endswith("/api/chat"):
            text, reason, parts, turns = _read_chat(body, found)
        elif request.path.endswith("/api/generate"):
            text, reason, parts, turns = _read_generate(body, found)
        else:
            raise Unreadable(f"path: expected /api/chat or /api/generate, found {request.path}")
        parts["model"] = model
        if config:
            sampling = parts.setdefault("sampling", {})
            # Ollama reads every number among them as a double (Go's `map[string]any`).
            sampling["options"] = {name: same_number(value) for name, value in config.items()}
        return Call(
            wire=self.name,
            prompt=text,
            parts=parts,
            model=model,
            temperature=number(config.get("temperature")),
            stream=stream,
            exact_only=reason or ("" if text.strip() else NO_PROMPT),
            turns=tuple(turns),
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        with assembling(self.name):
            try:
                final = jsontext.loads(body)
            except jsontext.NotJson:
                final = _merge([jsontext.loads(line) for line in body.splitlines() if line.strip()])
            _check(final)
            return Answer(
                body=encode_final(final),
                content_type=content_type if content_type.startswith("application/json") else _JSON,
                usage=Usage(count_of(final, "prompt_eval_count"), count_of(final, "eval_count")),
            )

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        final = jsontext.loads(answer.body)
        if isinstance(final.get("created_at"), str):
            final["created_at"] = time_like(replay.now, final["created_at"])
        if replay.zero_usage:
            final.update((name, 0) for name in ("prompt_eval_count", "eval_count") if name in final)
        if not call.stream:
            return Reply(_as_go_writes(jsontext.dumps(final)), answer.content_type)
        return Reply(_as_go_writes(b"".join([jsontext.dumps(line) + b"\n" for line in _lines(final)])), _STREAM_TYPE)


def _as_go_writes(data: bytes) -> bytes:
    """JSON with those signs escaped that Go's `encoding/json` escapes, which Ollama writes with."""
    for sign in (b"<", b">", b"&"):
        data = data.replace(sign, b"\\u%04x" % ord(sign))
    return jsontext.line_safe(data)


type _Reading = tuple[str, str, dict[Part, Any], list[Turn]]
"""The prompt, why it may not be worded differently, the parts, the conversation."""


def _read_chat(body: JsonObject, found: str | None) -> _Reading:
    messages = body.pop("messages", None)
    if not isinstance(messages, list) or not messages:
        raise Unreadable("messages: expected a list that is not empty")  # an empty one loads or unloads the model
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Unreadable(f"messages[{index}]: expected an object with a role")
        if not isinstance(message.setdefault("content", ""), str):
            raise Unreadable(f"messages[{index}].content: expected a string")
        if message.get("images") in (None, []):
            message.pop("images", None)
        else:
            message["images"] = _hashed(message["images"], f"messages[{index}].images")
    instructions = cut_instructions(messages)
    last = messages[-1]
    role, reason = last["role"], ""
    if role != "user":
        reason = TOOL_RESULT if role == "tool" else NOT_THE_USER
    elif "images" in last:
        reason = MEDIA
    if found is None and role == "user":
        found = cut_text(last, "content")
    parts = by_part(body, _CHAT_PARTS)
    parts |= around_the_prompt(messages, instructions, "content", reason, system_first=True)
    return found or "", reason, parts, [*turns_of(messages[:-1] + instructions), Turn(role, found or last["content"])]


def _read_generate(body: JsonObject, found: str | None) -> _Reading:
    if not isinstance(body.get("prompt", ""), str):
        raise Unreadable("prompt: expected a string")
    if found is None:
        found = body.pop("prompt", "")
    if not found and not body.get("prompt"):
        raise Unreadable("prompt: nothing is asked")  # loads or unloads the model
    reason = ""
    if body.get("images"):
        body["images"] = _hashed(body["images"], "images")
        reason = "media beside the prompt"
    elif body.get("raw"):
        reason = "the prompt is raw: it holds the whole conversation"
    elif body.get("suffix"):
        reason = "the prompt is the text before a gap"
    system = body.get("system")
    turns = [Turn("system", system)] if isinstance(system, str) and system else []
    return found, reason, by_part(body, _GENERATE_PARTS), [*turns, Turn("user", found)]


def _hashed(images: Any, where: str) -> list[str]:
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise Unreadable(f"{where}: expected a list of strings")
    return [digest(image) for image in images]


def _check(final: Any) -> None:
    if not isinstance(final, dict):
        raise Unstorable(f"expected an object, found {type(final).__name__}")
    refuse_error(final)
    if final.get("done") is not True:
        raise Unstorable("not done: the answer was cut off")
    # Versions before 0.1.45 give no reason.
    if final.get("done_reason", "stop") != "stop":
        raise Unstorable(f"done_reason {named(final['done_reason'])}")
    message, text = final.get("message"), final.get("response")
    if isinstance(message, dict):
        texts, calls = [message.get("content") or "", message.get("thinking")], message.get("tool_calls")
    else:
        texts, calls = [text or "", final.get("thinking")], None
    if not isinstance(texts[0], str) or not isinstance(texts[1] or "", str):
        raise Unstorable("a text that is no text")
    if not isinstance(calls or [], list) or not isinstance(final.get("logprobs") or [], list):
        raise Unstorable("a list that is no list")
    for called in calls or ():
        refuse_bad_arguments(called.get("function", {}).get("arguments"))
    if not texts[0].strip() and not calls and not final.get("image"):
        raise Unstorable("empty answer")


def _merge(lines: list[JsonObject]) -> JsonObject:
    """The object that the lines of a stream add up to."""
    texts: dict[str, list[str]] = {}
    lists: dict[str, list[Any]] = {}
    extras: JsonObject = {}
    if not lines:
        raise Unstorable("empty body")
    for line in lines:
        refuse_error(line)
        message = line.get("message")
        for name, value in line.items() if message is None else [*message.items(), ("logprobs", line.get("logprobs"))]:
            if name in ("response", *_TEXTS):
                texts.setdefault(name, []).append("" if value is None else value)
            elif name in ("tool_calls", "logprobs"):
                lists.setdefault(name, []).extend(value or [])
            elif message is not None:
                extras[name] = value
        if line.get("done"):
            break
    final = dict(line)
    joined = {name: "".join(parts) for name, parts in texts.items()}
    found = {name: items for name, items in lists.items() if items}
    logprobs = {"logprobs": found.pop("logprobs")} if "logprobs" in found else {}
    if "message" in final:
        final["message"] = extras | {name: text for name, text in joined.items() if text or name == "content"} | found
    else:
        final.update((name, text) for name, text in joined.items() if text or name == "response")
    return final | logprobs


def _lines(final: JsonObject) -> Iterator[JsonObject]:
    message = final.get("message")
    source: JsonObject = final if message is None else message
    shown = "response" if message is None else "content"
    head = {name: final[name] for name in ("model", "created_at", "remote_model", "remote_host") if name in final}
    frame = {} if message is None else {name: value for name, value in message.items() if name not in _HELD}

    def line(**fields: Any) -> JsonObject:
        said = {shown: "", **fields}
        return head | (said if message is None else {"message": frame | said}) | {"done": False}

    for text, _ in token_groups(source.get("thinking") or "", (), ""):
        yield line(thinking=text)
    for text, items in token_groups(source.get(shown) or "", final.get("logprobs") or (), "token"):
        yield line(**{shown: text}) | ({"logprobs": items} if items else {})
    if message is not None and message.get("tool_calls"):
        yield line(tool_calls=message["tool_calls"])
    last = {name: value for name, value in final.items() if name not in ("logprobs", "thinking")}
    yield last | ({shown: ""} if message is None else {"message": frame | {"content": ""}})


_HELD = frozenset({"content", "thinking", "tool_calls"})
