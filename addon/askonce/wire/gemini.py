"""Google's Gemini API: `…/models/M:generateContent` and `:streamGenerateContent`, on the Gemini API and on Vertex AI.

One rule: the model and the way to answer are in the path, so they are read from there, and a call means the same
whether it asks for one object, for server-sent events (`alt=sse`) or for a JSON array of chunks. Field names may
come in camel case or in snake case; both are the same field. Source: the provider's API reference and its SDKs.
"""

import re
from typing import Any
from urllib.parse import unquote

from askonce import jsontext
from askonce.call import Answer, Call, Part, Reply, Request, Turn, Unreadable, Unstorable, Usage
from askonce.wire import gemini_chunks, sse
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
    zeroed,
)
from askonce.wire.keeping import assembling, refuse_bad_arguments, refuse_error
from askonce.wire.prompt import (
    MEDIA,
    NO_PROMPT,
    NOT_THE_USER,
    TOOL_RESULT,
    around_the_prompt,
    cut_prompt,
    cut_text,
    overlook,
    plain_text,
    turns_of,
)

__all__ = ["Gemini"]

_PATH = re.compile(r"^(.+/([^/:]+)):(generateContent|streamGenerateContent)$")
_PARTS: dict[str, Part] = {"tools": "tools", "toolConfig": "tools"}
_FORMAT = frozenset(
    {"responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities", "responseFormat"}
)
_FRAMING = frozenset({"alt", "$alt", "prettyPrint", "$prettyPrint"})
"""Query parameters that say how to frame the answer."""
_TOOL = frozenset(
    {"functionCall", "functionResponse", "executableCode", "codeExecutionResult", "toolCall", "toolResponse"}
)
_MEDIA = frozenset({"inlineData", "fileData"})
_JSON = "application/json; charset=UTF-8"


class Gemini:
    name = "gemini"

    def read(self, request: Request, options: ReadOptions) -> Call:
        path = _PATH.match(request.path)
        if path is None:
            raise Unreadable(f"path: expected …/models/M:generateContent, found {request.path}")
        query = [part for part in request.query.split("&") if part]
        framing = [(name, value) for name, value in map(_parameter, query) if name in _FRAMING]
        alt = next((value for name, value in framing if name in ("alt", "$alt")), "json")
        if alt not in ("json", "sse"):
            raise Unreadable("alt: expected json or sse")
        stream = path[3] == "streamGenerateContent"

        body = load_object(request.body)
        overlook(body, options)
        found = cut_prompt(body, options)
        body = _camel(body)
        contents = [
            _content(item, f"contents[{index}]")
            for index, item in enumerate(_listed(body.pop("contents", None), "contents"))
        ]
        if not contents:
            raise Unreadable("contents: expected a list that is not empty")
        _number_calls(contents)
        system = body.pop("systemInstruction", None)
        if isinstance(system, dict):
            system = _content(system, "systemInstruction")

        last = contents[-1]
        from_user = last["role"] == "user"
        reason = _why_exact(contents)
        if not reason and body.get("cachedContent"):
            reason = "state kept by the provider: cachedContent"
        if found is None and from_user:
            found = cut_text(last, "parts")
        text = found or ""
        if not reason and not text.strip():
            reason = NO_PROMPT

        config = body.pop("generationConfig", None)
        config = _camel(config) if isinstance(config, dict) else config
        parts = by_part(body, _PARTS)
        parts["model"] = path[1]
        if isinstance(config, dict):
            # Each of them is a field of a message of protocol buffers, whose JSON takes 1.0 for an integer, too.
            for name, value in config.items():
                parts.setdefault("format" if name in _FORMAT else "sampling", {})[name] = same_number(value)
        elif config is not None:
            parts["sampling"] = config
        if system is not None:
            parts["system"] = system
        parts |= around_the_prompt(contents, [], "parts", reason, empty=[{"text": ""}])

        turns = turns_of(contents[:-1], "parts")
        if system:
            turns.insert(0, Turn("system", plain_text(system["parts"] if isinstance(system, dict) else system)))
        turns.append(Turn(last["role"], text or plain_text(last["parts"])))
        return Call(
            wire=self.name,
            prompt=text,
            parts=parts,
            model=path[2],
            endpoint=path[1],
            query="&".join(part for part in query if _parameter(part)[0] not in _FRAMING) if framing else None,
            temperature=number(config.get("temperature")) if isinstance(config, dict) else None,
            stream=stream,
            framing="sse" if stream and alt == "sse" else "json-array" if stream else "",
            exact_only=reason,
            turns=tuple(turns),
        )

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        with assembling(self.name):
            opening = body.lstrip()[:1]
            if opening == b"{":
                final = jsontext.loads(body)
            elif opening == b"[":
                final = gemini_chunks.merge(jsontext.loads(body))
            else:
                final = gemini_chunks.merge([jsontext.loads(event.data) for event in sse.decode(body)])
            _check(final)
            usage = final.get("usageMetadata")
            return Answer(
                body=encode_final(final),
                content_type=content_type if "json" in content_type else _JSON,
                usage=Usage(
                    count_of(usage, "promptTokenCount", "toolUsePromptTokenCount"),
                    count_of(usage, "candidatesTokenCount", "thoughtsTokenCount"),
                ),
            )

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        final = jsontext.loads(answer.body)
        if "responseId" in final:
            final["responseId"] = replay.fresh_id("")
        if isinstance(final.get("createTime"), str):
            final["createTime"] = time_like(replay.now, final["createTime"])
        if replay.zero_usage and "usageMetadata" in final:
            final["usageMetadata"] = zeroed(final["usageMetadata"])
        if not call.stream:
            return Reply(jsontext.dumps(final), answer.content_type)
        chunks = [jsontext.line_safe(jsontext.dumps(chunk)) for chunk in gemini_chunks.chunks(final)]
        if call.framing == "sse":
            return Reply(b"".join(b"data: " + chunk + b"\r\n\r\n" for chunk in chunks), sse.CONTENT_TYPE)
        return Reply(b"[" + b"\n,\r\n".join(chunks) + b"\n]\n", _JSON)


def _parameter(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return unquote(name), unquote(value)


def _camel(fields: JsonObject) -> JsonObject:
    """`fields` with snake_case names in camelCase; the order stays."""
    if "_" not in "".join(fields):
        return fields
    camel = {re.sub(r"_([a-z])", lambda match: match[1].upper(), name): value for name, value in fields.items()}
    if len(camel) < len(fields):
        raise Unreadable(f"the same field in two spellings among {', '.join(fields)}")
    return camel


def _listed(value: Any, where: str) -> list[Any]:
    """The provider takes a single object where a list is meant, and null for none."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list | None):
        raise Unreadable(f"{where}: expected a list")
    return value or []


def _content(value: Any, where: str) -> JsonObject:
    if not isinstance(value, dict):
        raise Unreadable(f"{where}: expected an object")
    content: JsonObject = _camel(value)
    role = content.get("role")
    if role in (None, ""):  # what protocol buffers write for none; false and 0 are not that
        role = "user"
    if not isinstance(role, str):
        raise Unreadable(f"{where}.role: expected a string")
    content["role"] = role
    parts = _listed(content.get("parts"), f"{where}.parts")
    for index, part in enumerate(parts):
        if not isinstance(part, dict):
            raise Unreadable(f"{where}.parts[{index}]: expected an object")
        part = parts[index] = _camel(part)
        if not isinstance(part.get("text", ""), str):
            raise Unreadable(f"{where}.parts[{index}].text: expected a string")
        blob = part.get("inlineData")
        if isinstance(blob, dict):
            blob = part["inlineData"] = _camel(blob)
            if isinstance(blob.get("data"), str):
                blob["data"] = digest(blob["data"])
    content["parts"] = parts
    return content


def _number_calls(contents: list[JsonObject]) -> None:
    """Give each call of a function its number for an id: an id only says which response is whose, and a client that
    was given none makes one up, of the time, say (gemini-cli 0.61)."""
    numbers: dict[str, str] = {}
    for part in (part for content in contents for part in content["parts"]):
        for kind in ("functionCall", "functionResponse"):
            told = part.get(kind)
            if isinstance(told, dict) and isinstance(called := told.get("id"), str) and called:
                part[kind] = told | {"id": numbers.setdefault(called, str(len(numbers)))}


def _why_exact(contents: list[JsonObject]) -> str:
    role = contents[-1]["role"]
    if role != "user":
        return TOOL_RESULT if role == "function" else NOT_THE_USER
    for content in reversed(contents):
        if content["role"] != "user":
            break
        for part in content["parts"]:
            if part.keys() <= {"text"}:
                continue
            if not _TOOL.isdisjoint(part):
                return TOOL_RESULT
            if not _MEDIA.isdisjoint(part):
                return MEDIA
            return f"{named(next(iter(part.keys() - {'text'})))} in the last message"
    return ""


def _check(final: Any) -> None:
    if not isinstance(final, dict):
        raise Unstorable(f"expected an object, found {type(final).__name__}")
    refuse_error(final)
    blocked = (final.get("promptFeedback") or {}).get("blockReason")
    if blocked:
        raise Unstorable(f"the prompt was blocked: {named(blocked)}")
    candidates = final.get("candidates")
    if not isinstance(candidates, list) or not candidates:
        raise Unstorable("no candidates")
    for candidate in candidates:
        reason = candidate.get("finishReason")
        if reason is None:
            raise Unstorable("a candidate without finishReason: the answer was cut off")
        if reason != "STOP":
            raise Unstorable(f"finishReason {named(reason)}")
        parts = (candidate.get("content") or {}).get("parts") or []
        for part in parts:
            if not isinstance(part.get("text", ""), str):
                raise Unstorable("a text part that is no text")
            if part.get("fileData"):
                raise Unstorable("the answer refers to a file, which expires")
            call = part.get("functionCall")
            if isinstance(call, dict) and ("partialArgs" in call or "willContinue" in call):
                raise Unstorable("the arguments of a function call came in parts")
            if isinstance(call, dict):
                refuse_bad_arguments(call.get("args"))
        if not any(part.keys() - {"text", "thought", "thoughtSignature"} or _says_something(part) for part in parts):
            raise Unstorable("empty answer")


def _says_something(part: JsonObject) -> bool:
    return not part.get("thought") and bool(part.get("text", "").strip())
