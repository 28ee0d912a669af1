"""What clients put around a question before they keep it under that: message lists, JSON, `Human: …`.

One rule: only a question is compared with other wording, and what stands around it must be equal. A text that looks
serialised and has no form that is known here has no question: of two wrappers an embedder sees little but the wrapper,
and finds them near whatever they ask.

Sources: langchain-core's `dumps` (its cache key of chat models), `message_to_dict` and `get_buffer_string` (of other
models); OpenAI's `messages`; the call options of Vercel's AI SDK, whose middleware keeps answers under their JSON.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Unwrapped", "unwrap"]

_USER = frozenset({"user", "human"})
_ROLES = re.compile(
    r"^(system|human|ai|user|assistant|tool|function|developer):(?=\s|\Z)", re.IGNORECASE | re.MULTILINE
)
_BRACKETS = re.compile(r"[{\[]\s*[\"'{\[]")
"""What JSON and reprs begin with, if something stands before them."""
_NAMED = re.compile(r"\w+=[\"'\[{(]|[A-Za-z_]\w*\(\w+=")
"""`content='…' response_metadata={}`, `HumanMessage(content=…)`."""
_TEMPLATE = re.compile(
    r"<\|[\w ]+\|>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>"  # the marks that models were trained with
    r"|^#+ *(?:system|user|human|instruction|input|question):?[ \t]*$|^\*\*(?:system|user|human|question):?\*\*"
    r"|(?:\A|\s)(?:assistant|ai|bot|model|response|answer|thought|output):\Z"  # and it is the model's turn
    r"|\A\w[\w -]{0,30}:(?: [^\n]*)?\n\w[\w -]{0,30}:(?:\s|\Z)"  # a line for each field, YAML
    r"|\A[\w.-]+=[^\s&;|]*[&;|][\w.-]+=",  # a query, or pairs of another sort
    re.IGNORECASE | re.MULTILINE,
)
"""What the whole prompt of a text model holds, whose question may stand anywhere in it."""
_ONE_WORD = re.compile(r"[!-~]{16,}")
"""A hash, an identifier, a URL: what two of them have in common says nothing. Scripts without spaces are not ASCII."""

type _Holder = tuple[dict[str, Any] | list[Any], str | int]
"""Where a text stands in a JSON value: what holds it, and under what."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A text, taken apart."""

    question: str
    """What may be worded otherwise; empty where there is nothing that may."""
    around: str = ""
    """What must be equal to the letter; empty where the text is a question and nothing else."""
    is_compared: bool = True
    """Whether the question is compared by its meaning, or only with itself."""


def unwrap(text: str) -> Unwrapped:
    """The question in a text."""
    bare = text.strip()
    if bare[:1] in {"{", "[", '"'}:
        try:
            value = json.loads(bare, object_pairs_hook=_object, parse_int=_number, parse_float=_number)
        except (ValueError, RecursionError):
            pass  # a repr, or brackets of another sort
        else:
            return _of_json(value, text)
    if found := _of_lines(text):
        return found
    return _no_question(text) if _looks_serialised(bare) else _question(text)


def _question(text: str, around: str = "") -> Unwrapped:
    return Unwrapped(text, around, is_compared=not _ONE_WORD.fullmatch(text.strip()))


def _no_question(text: str) -> Unwrapped:
    return Unwrapped("", text, is_compared=False)


def _is_plain(text: str) -> bool:
    """Whether a text is not itself a wrapper."""
    bare = text.strip()
    return bool(bare) and bare[0] not in "{[" and not _ROLES.match(bare) and not _looks_serialised(bare)


def _looks_serialised(bare: str) -> bool:
    if _NAMED.match(bare) or _BRACKETS.match(bare) or _TEMPLATE.search(bare):  # also one that was cut
        return True
    return bare[-1:] in {"]", "}", ")", ">"} and (bare[0] in "{[(<" or _BRACKETS.search(bare) is not None)


def _of_json(value: Any, text: str) -> Unwrapped:
    if isinstance(value, str):  # a question in quotes, or JSON in JSON
        return _question(text) if _is_plain(value) else _no_question(text)
    holder = _last_question(value)
    if holder is None:
        return _no_question(text)
    container, place = holder
    question: str = container[place]  # type: ignore[index]
    if not _is_plain(question) or not _is_unicode(question):
        return _no_question(text)
    container[place] = None  # type: ignore[index]
    return _question(question, json.dumps(value))


def _last_question(value: Any) -> _Holder | None:
    """Where the last text of the user's stands; None where there is none, or it is not a text alone."""
    messages = list(_messages(value))
    if not messages or None in messages:
        return None
    asked = next((message for message in reversed(messages) if message and message[0] in _USER), None)
    return asked and _text_in(asked[1])


def _messages(value: Any) -> Iterator[tuple[str, dict[str, Any]] | None]:
    """The role of each message in a conversation, and what holds its `content`; None for what is no message."""
    match value:
        case (
            {"lc": _, "kwargs": {"messages": list(messages)}}
            | {"messages": list(messages)}
            | {"prompt": list(messages)}
        ):
            pass
        case list(messages):
            pass
        case _:
            return
    for message in messages:
        match message:
            case {"lc": _, "type": "constructor", "kwargs": {"type": str(role)} as holder}:
                yield role.lower(), holder
            case {"type": str(role), "data": dict(holder)}:
                yield role.lower(), holder
            case {"role": str(role)} | {"type": str(role), "content": _}:
                yield role.lower(), message
            case _:
                yield None


def _text_in(holder: dict[str, Any]) -> _Holder | None:
    match holder.get("content"):
        case str():
            return holder, "content"
        case [str()] as parts:
            return parts, 0
        case list(parts):
            texts = [part for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
            if len(texts) == 1 and texts[0].get("type") in ("text", "input_text"):
                return texts[0], "text"
    return None


def _of_lines(text: str) -> Unwrapped | None:
    """`System: …`, `Human: …`, one after the other; None for a text that does not begin with one."""
    heads = list(_ROLES.finditer(text))
    if not heads or text[: heads[0].start()].strip():
        return None
    last = next((at for at in reversed(range(len(heads))) if heads[at][1].lower() in _USER), None)
    if last is None:
        return _no_question(text)
    begin, end = heads[last].end(), heads[last + 1].start() if last + 1 < len(heads) else len(text)
    question = text[begin:end].strip()
    return _question(question, text[:begin] + "\0" + text[end:]) if _is_plain(question) else _no_question(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in an object")  # one of the two would not be compared
    return found


def _number(text: str) -> str:
    """A number as the text that it is: none is rounded, and none is equal to a text."""
    return "\0" + text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
