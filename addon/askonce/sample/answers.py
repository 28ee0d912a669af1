"""What the sample provider's model says: one deterministic answer to one question, whatever the wire format.

The rule: the same question always gets the same answer, and a question that means something else gets a different
one, so that a wrong hit shows. Nothing here knows a wire format, a clock or a socket.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

__all__ = ["JsonObject", "Question", "Said", "Tool", "ToolUse", "answer", "count", "logprob", "tokens"]

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the caller offers, with the JSON Schema of its arguments."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The model's wish to have a function called."""

    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Question:
    """What a call asks, whatever wire format it came in."""

    text: str
    """The last user message."""
    attachments: tuple[str, ...] = ()
    """Images and files of the last message, each as the caller wrote it."""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the name of the one to call."""
    parallel: bool = True
    """Several tools may be called at once."""
    results: tuple[str, ...] = ()
    """Tool results, where they are what the last turn brings."""
    schema: Mapping[str, Any] | None = None
    """The answer is to be JSON of this schema; an empty schema: any JSON object."""
    limit: int | None = None
    """Most tokens of the answer."""
    stop: tuple[str, ...] = ()
    variant: int = 0
    """Which of several answers to the same question is wanted."""


@dataclass(frozen=True, slots=True)
class Said:
    """The model's answer."""

    text: str = ""
    tool_uses: tuple[ToolUse, ...] = ()
    refused: bool = False
    """`text` declines to answer."""
    finish: Literal["stop", "length", "tools"] = "stop"
    stopped_by: str | None = None
    """The stop sequence that ended the text."""


_KNOWN: tuple[tuple[tuple[str, ...], str], ...] = (
    (("capital", "france|french"), "The capital of France is Paris."),
    (("capital", "german"), "The capital of Germany is Berlin."),
    (("capital", "australia"), "The capital of Australia is Canberra, not Sydney."),
    (("water", "boil"), "At sea level water boils at 100 °C (212 °F)."),
    (("water", "freez"), "At sea level water freezes at 0 °C (32 °F)."),
    (
        ("python", "list", "sort", "descend|reverse|largest first"),
        "Call sorted(items, reverse=True) to get a new list.",
    ),
    (("python", "list", "sort"), "Call sorted(items) for a new list, or items.sort() to sort in place."),
    (("python", "string", "revers"), "Slice it backwards: text[::-1]."),
    (("romeo",), "William Shakespeare wrote Romeo and Juliet, around 1595."),
    (("hamlet",), "William Shakespeare wrote Hamlet, around 1600."),
    (("speed|fast", "light"), "Light travels at 299,792,458 metres per second in a vacuum."),
    (("planet", "large|big"), "Jupiter is the largest planet of the Solar System."),
    (("planet", "small"), "Mercury is the smallest planet of the Solar System."),
    (("moon", "first"), "Neil Armstrong was the first person on the Moon, on 20 July 1969."),
    (("dark mode", "disable|turn off|switch off|deactivate"), "Open Settings, then Appearance, and choose Light."),
    (("dark mode", "enable|turn on|switch on|activate"), "Open Settings, then Appearance, and choose Dark."),
    (
        ("subscription", "cancel|end|stop"),
        "Open Billing and choose Cancel subscription; it runs until the period ends.",
    ),
    (("subscription", "renew|extend"), "Open Billing and choose Renew; the new period starts when the old one ends."),
    (("password", "reset|forgot|change"), "Choose Forgot password on the sign-in page and follow the mail you get."),
    (("photosynthesis",), "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen."),
    (("world war (?:ii|2|two)|second world war", "end|over"), "The Second World War ended on 2 September 1945."),
    (("world war (?:ii|2|two)|second world war", "start|begin|began|broke"), "It began on 1 September 1939."),
    (("404",), "HTTP 404 means that the server found nothing at that address."),
    (("500", "http|status|server"), "HTTP 500 means that the server failed while answering."),
    (("tcp", "udp"), "TCP delivers every byte in order; UDP sends single datagrams and may lose some."),
    (("git", "undo|revert", "commit"), "git reset --soft HEAD~1 takes the last commit back and keeps the changes."),
)
"""Word stems that must all occur, and the answer; the first match wins, so the narrower question comes first."""

_REFUSED = re.compile(r"\b(?:build|make)\b.*\bbomb|\bpick\b.*\block\b|\bsteal\b", re.I | re.S)
_REFUSAL = "I'm sorry, but I can't help with that."
_DISTANCE = re.compile(r"(\d+(?:\.\d+)?)\s*(miles?|mi|kilomet(?:er|re)s?|km)\b", re.I)
_KM_PER_MILE = 1.609344
_VARIANTS = ("", "In short: ", "Put simply: ", "Briefly: ")
_TOKEN = re.compile(r"\s?[^\W_]{1,7}|\s?[^\w\s]|\s|_")
_NAME = re.compile(r"\b(?!What|Which|Who|How|Is|Are|Do|Does|Please|Tell|Give|Get|Use|In|The|And|I)[A-Z][a-zé]+")
_WORD = re.compile(r"[a-z]{4,}")
_QUOTED = re.compile(r"`([^`]+)`")


def answer(question: Question) -> Said:
    """Answer with tool calls where a tool fits, with JSON where a schema asks for it, else in a sentence."""
    if question.results:
        return _limited("The tool says: " + "; ".join(question.results), question)
    if uses := _tool_uses(question):
        return Said(tool_uses=uses, finish="tools")
    if _REFUSED.search(question.text):
        return Said(_REFUSAL, refused=True)
    text = _VARIANTS[question.variant % len(_VARIANTS)] + _sentence(question.text)
    if question.attachments:
        digest = hashlib.sha256("\n".join(question.attachments).encode()).hexdigest()[:8]
        text += f" (I looked at {len(question.attachments)} attachment: {digest}.)"
    if question.schema is not None:
        value = _example(question.schema, question.schema, text, question.text) if question.schema else {"answer": text}
        text = orjson.dumps(value).decode()
    return _limited(text, question)


def tokens(text: str) -> list[str]:
    """Cut a text into pieces about as long as a model's tokens; joined again they are the text."""
    return _TOKEN.findall(text)


def count(value: Any) -> int:
    """The tokens of every string in a JSON value: what a provider would bill as input."""
    if isinstance(value, str):
        return len(tokens(value))
    if isinstance(value, Mapping):
        return sum(map(count, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(count, value))
    return 0


def logprob(token: str, rank: int = 0) -> float:
    """A plausible log-probability, the same for the same token."""
    return -(zlib.crc32(token.encode()) % 1000) / 2000 - rank


def _sentence(text: str) -> str:
    lowered = text.lower()
    if match := _DISTANCE.search(lowered):
        number, unit = float(match[1]), match[2]
        if unit.startswith("mi") and re.search(r"\bk(?:ilo)?m", lowered):
            return f"{number:g} miles is {number * _KM_PER_MILE:.2f} kilometres."
        if unit.startswith("k") and "mi" in lowered:
            return f"{number:g} kilometres is {number / _KM_PER_MILE:.2f} miles."
    for words, known in _KNOWN:
        if all(re.search(rf"\b(?:{word})", lowered) for word in words):
            return known
    asked = " ".join(text.split())
    return f"The sample model has no better answer to “{asked}” than this sentence."


def _tool_uses(question: Question) -> tuple[ToolUse, ...]:
    if question.tool_choice == "none" or not question.tools:
        return ()
    chosen = next((tool for tool in question.tools if tool.name == question.tool_choice), None)
    asked = set(_WORD.findall(question.text.lower()))
    fitting = chosen or next((tool for tool in question.tools if asked & _words(tool)), None)
    if fitting is None:
        if question.tool_choice != "required":
            return ()
        fitting = question.tools[0]
    schema = fitting.schema or {}
    if quoted := _QUOTED.search(question.text):  # word for word, and nothing that the tool can do without
        return (
            ToolUse(
                fitting.name,
                _example(_required(schema) if "properties" in schema else schema, schema, quoted[1], question.text),
            ),
        )
    names = _NAME.findall(question.text) or [" ".join(question.text.split())]
    if not question.parallel:
        names = names[:1]
    return tuple(ToolUse(fitting.name, _example(schema, schema, name, question.text) or {}) for name in names)


def _required(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = schema.get("required") or ()
    return {**schema, "properties": {name: part for name, part in schema["properties"].items() if name in wanted}}


def _words(tool: Tool) -> set[str]:
    return set(_WORD.findall(tool.name.lower().replace("_", " ")))


def _limited(text: str, question: Question) -> Said:
    ends = [(at, stop) for stop in question.stop if stop and (at := text.find(stop)) >= 0]
    stopped_by = None
    if ends:
        at, stopped_by = min(ends)
        text = text[:at]
    pieces = tokens(text)
    if question.limit is not None and len(pieces) > question.limit:
        return Said("".join(pieces[: question.limit]), finish="length")
    return Said(text, stopped_by=stopped_by)


def _example(schema: Mapping[str, Any], root: Mapping[str, Any], text: str, asked: str) -> Any:
    """A value of a JSON Schema: strings are `text`, numbers are those of the question."""
    if reference := schema.get("$ref"):
        target: Any = root
        for key in str(reference).removeprefix("#/").split("/"):
            target = target[key]
        return _example(target, root, text, asked)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for option in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if option.get("type") != "null":
            return _example(option, root, text, asked)
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    match str(kind).lower():  # Gemini's schemas write the types in capitals
        case "object":
            properties = schema.get("properties", {})
            return {name: _example(part, root, text, asked) for name, part in properties.items()}
        case "array":
            return [_example(schema.get("items", {"type": "string"}), root, text, asked)]
        case "integer" | "number":
            number = re.search(r"\d+", asked)
            return int(number[0]) if number else 1
        case "boolean":
            return True
        case "null":
            return None
    return text
