"""OpenAI's chat request, taken apart and checked: what every other wire format is made from.

One rule: every field of the request is accounted for. It is read here, it is a hint that does not change what is
answered (`_HINTS`), it has the value that means nothing, or the request is refused by its name.
"""

import mimetypes
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from askonce import jsontext
from askonce.products.translate.chat import EFFORTS, Chat, ChatMessage, Generation, Media, ToolCall, ToolDefinition
from askonce.wire.common import JsonObject

__all__ = ["Asked", "Untranslatable", "read", "refuse"]


class Untranslatable(ValueError):
    """The request is malformed, or the provider has no counterpart for something in it; the message says what."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in a provider's wire format."""

    path: str
    body: JsonObject
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()


_READ = frozenset(
    """
    model messages stream stream_options max_tokens max_completion_tokens temperature top_p seed presence_penalty
    frequency_penalty stop response_format tools tool_choice parallel_tool_calls reasoning_effort
    """.split()  # noqa: SIM905  # reads better than a column of quoted names
)
_HINTS = frozenset(
    """
    user metadata safety_identifier prompt_cache_key prompt_cache_retention prompt_cache_options store service_tier
    prediction verbosity
    """.split()  # noqa: SIM905
)
"""Who asks, how fast and at what length: left out, as nobody else takes them in OpenAI's words."""
_NOTHING: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "functions": ([],),
}
"""Values that ask for nothing special."""
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*;base64,(.*)", re.S)
_ROLES = frozenset({"user", "assistant", "tool", "system", "developer"})


def read(body: JsonObject, provider: str) -> Chat:
    """A chat request; `provider` is named where it has no counterpart for something. Raises `Untranslatable`."""
    for name, value in body.items():
        if value is None or name in _READ or name in _HINTS or value in _NOTHING.get(name, ()):
            continue
        if name == "n":
            raise Untranslatable(f"n: {value!r}; {provider} is asked for one answer at a time, expected 1")
        if name in ("functions", "function_call"):
            raise Untranslatable(f"{name}: is not translated for {provider}; use tools and tool_choice")
        raise Untranslatable(f"{name}: {provider} has no counterpart for it")
    model = _text(body.get("model"), "model")
    system, messages = _messages(body.get("messages"))
    tools = tuple(_tools(body.get("tools")))
    choice = _choice(body.get("tool_choice"))
    if isinstance(choice, _Allowed):
        tools, choice = choice.of(tools), choice.mode
    if choice.startswith("=") and choice[1:] not in {tool.name for tool in tools}:
        raise Untranslatable(f"tool_choice: there is no tool named {choice[1:]!r}")
    return Chat(
        model=model,
        system=system,
        messages=messages,
        settings=_settings(body),
        tools=tools,
        choice=choice if tools else "",
        parallel=_flag(body, "parallel_tool_calls", default=True),
        stream=_flag(body, "stream", default=False),
    )


def _settings(body: JsonObject) -> Generation:
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else [] if stop is None else stop
    if not isinstance(stops, list) or not all(isinstance(one, str) and one for one in stops):
        raise Untranslatable("stop: expected a text or a list of texts")
    as_json, schema = _response_format(body.get("response_format"))
    limit = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in EFFORTS:
        raise Untranslatable(f"reasoning_effort: expected one of {', '.join(EFFORTS)}; got {effort!r}")
    return Generation(
        max_tokens=_whole(body, limit, least=1),
        temperature=_number(body, "temperature", 0, 2),
        top_p=_number(body, "top_p", 0, 1),
        seed=_whole(body, "seed"),
        presence_penalty=_number(body, "presence_penalty", -2, 2),
        frequency_penalty=_number(body, "frequency_penalty", -2, 2),
        stop=tuple(stops),
        json=as_json,
        schema=schema,
        effort=effort or "",
    )


def _response_format(value: Any) -> tuple[bool, JsonObject | None]:
    match value:
        case None | {"type": "text"}:
            return False, None
        case {"type": "json_object"}:
            return True, None
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return True, schema
    raise Untranslatable('response_format: expected {"type": "text"}, "json_object", or "json_schema" with its schema')


def _messages(value: Any) -> tuple[str, tuple[ChatMessage, ...]]:
    if not isinstance(value, list) or not value:
        raise Untranslatable("messages: expected a list with at least one message")
    system, messages = list[str](), list[ChatMessage]()
    called: dict[str, str] = {}
    for index, message in enumerate(value):
        where = f"messages[{index}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise Untranslatable(f"{where}.role: expected one of {', '.join(sorted(_ROLES))}; got {role!r}")
        content = message.get("content")
        if role in ("system", "developer"):
            system.append(_words(content, where))
        elif role == "user":
            messages.append(ChatMessage("user", tuple(_parts(content, where))))
        elif role == "tool":
            identifier = _text(message.get("tool_call_id"), f"{where}.tool_call_id")
            if identifier not in called:
                raise Untranslatable(f"{where}.tool_call_id: no assistant message before it calls {identifier!r}")
            name = called[identifier]
            messages.append(ChatMessage("tool", (_words(content, where),), answers=identifier, tool=name))
        else:
            calls = tuple(_calls(message, where))
            called |= {call.id: call.name for call in calls}
            words = "" if content is None else _words(content, where)
            messages.append(ChatMessage("assistant", (words,) if words else (), calls))
    if not messages:
        raise Untranslatable("messages: expected at least one that is not the system's")
    return "\n".join(text for text in system if text), tuple(messages)


def _calls(message: JsonObject, where: str) -> Iterator[ToolCall]:
    if message.get("function_call"):
        raise Untranslatable(f"{where}.function_call: is not translated; use tool_calls")
    for number, call in enumerate(_list(message.get("tool_calls"), f"{where}.tool_calls")):
        at = f"{where}.tool_calls[{number}]"
        match call:
            case {"id": str(identifier), "function": {"name": str(name), "arguments": str(arguments)}}:
                yield ToolCall(identifier, name, _arguments(arguments, at), _signature(call))
            case _:
                raise Untranslatable(f"{at}: expected a function call with id, name and arguments")


def _arguments(text: str, where: str) -> JsonObject:
    try:
        value = jsontext.loads(text or "{}")
    except jsontext.NotJson as error:
        raise Untranslatable(f"{where}.function.arguments: {error}") from None
    if not isinstance(value, dict):
        raise Untranslatable(f"{where}.function.arguments: expected a JSON object")
    return value


def _signature(call: JsonObject) -> str:
    match call.get("extra_content"):
        case {"google": {"thought_signature": str(signature)}}:
            return signature
    return ""


def _words(content: Any, where: str) -> str:
    """The text of a message that may only hold text."""
    if isinstance(content, str):
        return content
    texts = []
    for index, part in enumerate(_list(content, f"{where}.content")):
        match part:
            case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                texts.append(text)
            case _:
                raise Untranslatable(f"{where}.content[{index}]: expected a part of text")
    if not texts and content is None:
        raise Untranslatable(f"{where}.content: expected text")
    return "\n".join(texts)


def _parts(content: Any, where: str) -> Iterator[str | Media]:
    if isinstance(content, str):
        yield content
        return
    if not isinstance(content, list) or not content:
        raise Untranslatable(f"{where}.content: expected text or a list of parts")
    for index, part in enumerate(content):
        at = f"{where}.content[{index}]"
        match part:
            case {"type": "text", "text": str(text)}:
                yield text
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                yield _linked("image", url, f"{at}.image_url.url")
            case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
                yield Media("audio", f"audio/{form}", data)
            case {"type": "file", "file": {"file_data": str(data)}}:
                yield _linked("file", data, f"{at}.file.file_data")
            case {"type": "file"}:
                raise Untranslatable(f"{at}.file: expected file_data; a file kept at OpenAI cannot be read elsewhere")
            case _:
                raise Untranslatable(f"{at}: expected a part of the type text, image_url, input_audio or file")


def _linked(kind: Literal["image", "file"], url: str, where: str) -> Media:
    if url.startswith("data:"):
        found = _DATA_URL.fullmatch(url)
        if not found or not found[1]:
            raise Untranslatable(f"{where}: expected data:TYPE;base64,DATA")
        return Media(kind, found[1].lower(), data=found[2])
    if kind == "image" and url.startswith(("https://", "http://")):
        return Media(kind, mimetypes.guess_type(urlsplit(url).path)[0] or "", url=url)
    raise Untranslatable(f"{where}: expected a data: URL{', or one of http or https' if kind == 'image' else ''}")


def _tools(value: Any) -> Iterator[ToolDefinition]:
    for index, tool in enumerate(_list(value, "tools")):
        match tool:
            case {"type": "function", "function": {"name": str(name), **function}}:
                description, parameters = function.get("description"), function.get("parameters")
                if parameters is not None and not isinstance(parameters, dict):
                    raise Untranslatable(f"tools[{index}].function.parameters: expected a JSON Schema")
                strict = function.get("strict") is True
                yield ToolDefinition(name, description if isinstance(description, str) else "", parameters, strict)
            case _:
                raise Untranslatable(f"tools[{index}]: expected a function; other kinds of tools are OpenAI's own")


@dataclass(frozen=True, slots=True)
class _Allowed:
    """`allowed_tools`: those of the tools that may be called this time. The others need not be told of."""

    mode: Literal["auto", "required"]
    names: frozenset[str]

    def of(self, tools: tuple[ToolDefinition, ...]) -> tuple[ToolDefinition, ...]:
        if unknown := self.names - {tool.name for tool in tools}:
            raise Untranslatable(f"tool_choice: there is no tool named {min(unknown)!r}")
        return tuple(tool for tool in tools if tool.name in self.names)


def _choice(value: Any) -> str | _Allowed:
    match value:
        case None:
            return ""
        case "auto" | "none" | "required":
            return str(value)
        case {"type": "function", "function": {"name": str(name)}}:
            return "=" + name
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": [*tools]}}:
            names = [tool["function"]["name"] for tool in tools if _names_function(tool)]
            if names and len(names) == len(tools):
                return _Allowed(mode, frozenset(names))
            raise Untranslatable("tool_choice.allowed_tools.tools: expected functions with their names")
    raise Untranslatable("tool_choice: expected auto, none, required, a function or allowed_tools")


def _names_function(tool: Any) -> bool:
    match tool:
        case {"type": "function", "function": {"name": str()}}:
            return True
    return False


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Untranslatable(f"{where}: expected a list")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise Untranslatable(f"{where}: expected a text")
    return value


def _flag(body: JsonObject, name: str, *, default: bool) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Untranslatable(f"{name}: expected true or false; got {value!r}")
    return default if value is None else value


def _number(body: JsonObject, name: str, least: float, most: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if not jsontext.is_number(value) or not least <= value <= most:
        raise Untranslatable(f"{name}: expected a number from {least:g} to {most:g}; got {value!r}")
    return float(value)


def _whole(body: JsonObject, name: str, least: int | None = None) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or (least is not None and value < least):
        at_least = "" if least is None else f" of at least {least}"
        raise Untranslatable(f"{name}: expected a whole number{at_least}; got {value!r}")
    return value


def refuse(named: Iterable[tuple[str, object]], provider: str) -> None:
    """Raise `Untranslatable` for the first setting that is there and says something."""
    for name, value in named:
        if value:
            raise Untranslatable(f"{name}: {provider} has no counterpart for it")
