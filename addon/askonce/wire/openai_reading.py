"""What reading a request has in common within the OpenAI family: typed fields, messages, content parts.

One rule: nothing here knows one endpoint. What serves every provider is in `common`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from askonce.call import Part, Turn, Unreadable
from askonce.jsontext import is_number
from askonce.jsontext.differences import Path
from askonce.wire import common
from askonce.wire.common import JsonObject, named
from askonce.wire.prompt import is_reminder, where_it_asks

__all__ = [
    "Conversation",
    "cut_stream",
    "flag",
    "if_empty",
    "instructs",
    "kind",
    "media_in",
    "number",
    "string",
    "where",
]

_INLINE = 1024
"""Characters; a longer string in an image or a file is kept as its hash."""
_SYSTEM = frozenset({"system", "developer"})
_TEXTS = frozenset({"text", "input_text", "output_text"})
_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "nothing"}


def flag(document: Mapping[str, Any], key: str) -> bool:
    """True or false; false where it is absent or null."""
    value = document.get(key)
    if value is not None and type(value) is not bool:
        raise Unreadable(f"{key}: {kind(value)}, expected true or false")
    return bool(value)


def number(document: Mapping[str, Any], key: str) -> float | None:
    """A number; None where it is absent or null."""
    value = document.get(key)
    if value is not None and not is_number(value):
        raise Unreadable(f"{key}: {kind(value)}, expected a number")
    return value


def string(document: Mapping[str, Any], key: str) -> str:
    """A string; empty where it is absent or null."""
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise Unreadable(f"{key}: {kind(value)}, expected a string")
    return value or ""


def cut_stream(document: JsonObject) -> tuple[bool, bool]:
    """Take out what only shapes the reply: whether it is to be a stream, and one that ends with the usage."""
    stream = flag(document, "stream")
    document.pop("stream", None)
    options = document.pop("stream_options", None)
    if not isinstance(options, dict | None):
        raise Unreadable(f"stream_options: {kind(options)}, expected an object")
    return stream, stream and bool((options or {}).get("include_usage"))


def instructs(item: JsonObject) -> bool:
    """Whether it is a message of the system's or the developer's."""
    return item.get("role") in _SYSTEM and "type" not in item


class Conversation:
    """Messages or items, split into what may be worded differently and what must be equal."""

    def __init__(
        self, items: Sequence[JsonObject], field: str, prompt: str | None, words: Callable[[JsonObject], str]
    ) -> None:
        """`items`: those under `field`, at least one. `prompt`: what a rule's path has cut out; None where the text of
        the item that asks is the prompt. `words`: an item as a person would read it. Raises `Unreadable`."""
        self.system: list[Any] = []
        self.history: list[Any] = []
        """All but the system messages, the prompt's text and the last message's media."""
        self.media: list[Any] = []
        asks = where_it_asks(items, instructs)
        self.prompt, turns = prompt or "", list[Turn]()
        for at, item in enumerate(items):
            role = item.get("role") or "tool"
            if prompt is None and at == asks:
                self.prompt = self._take(item, (field, at, "content"))
                turns.append(Turn(role, self.prompt or words(item)))
            else:
                self._keep(item)
                turns.append(Turn(role, words(item)))
        if prompt is not None:
            turns.append(Turn("user", prompt))
        self.turns = tuple(turns)

    def _keep(self, item: JsonObject) -> None:
        if isinstance(item.get("content"), list):
            item = item | {"content": digested(item["content"])}
        role = item.get("role")
        if role not in _SYSTEM:
            self.history.append(item)
            return
        self.system.append(item)
        if self.history:  # where a later system message stood, so that moving it makes another call
            self.history.append({"role": role})

    def _take(self, item: JsonObject, path: Path) -> str:
        """The text of the last message; the rest of it is kept."""
        content = item.get("content")
        if content is None and item.get("role") != "user":
            self.history.append(item)
            return ""
        text, shape = text_and_shape(content, path, self.media)
        rest = {key: value for key, value in item.items() if key != "content"}
        self.history.append(rest if shape is None else rest | {"content": shape})
        return text

    def parts(self) -> dict[Part, Any]:
        """What must be equal, as `Call.parts` has it."""
        parts: dict[Part, Any] = {"history": self.history}
        if self.system:
            parts["system"] = self.system
        if self.media:
            parts["media"] = self.media
        return parts


def text_and_shape(content: Any, path: Path, media: list[Any]) -> tuple[str, list[Any] | None]:
    """Split content into its text, which may be worded differently, and its shape; all but text goes to `media`.

    The shape is the list of parts without their texts, but for reminders; None for a string, or for a single text part,
    which says the same. Text and shape together still tell where each text began: line breaks inside of several texts
    are counted.
    """
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list):
        raise Unreadable(f"{where(path)}: {kind(content)}, expected a string or a list of parts")
    texts, shape = list[str](), list[Any]()
    for index, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise Unreadable(f"{where((*path, index))}: expected an object with a type")
        if part["type"] not in _TEXTS:
            shape.append({"type": part["type"]})
            media.append(digested(part))
            continue
        if not isinstance(text := part.get("text"), str):
            raise Unreadable(f"{where((*path, index, 'text'))}: {kind(text)}, expected a string")
        if is_reminder(text):
            shape.append(part)
            continue
        texts.append(text)
        shape.append({key: value for key, value in part.items() if key != "text"})
    if shape == [{"type": "text"}] or shape == [{"type": "input_text"}]:
        return texts[0], None
    if len(texts) > 1:
        shape.append([text.count("\n") for text in texts])
    return "\n".join(texts), shape


def media_in(message: JsonObject) -> str:
    """What a message holds beside text, as a reason why only an identical call may be answered."""
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type") not in _TEXTS:
            return f"{named(part.get('type'))} in the last message"
    return ""


def if_empty(prompt: str) -> str:
    """The reason why only an identical call may be answered, where the prompt has no words."""
    return "" if prompt.strip() else "empty prompt"


def digested(value: Any, depth: int = 8) -> Any:
    """A part of a message, its images and files (data: URLs, base64) replaced by their hashes."""
    if isinstance(value, str):
        if len(value) > _INLINE or value.startswith("data:"):
            return common.digest(value)
    elif depth:
        if isinstance(value, dict):
            return {key: digested(item, depth - 1) for key, item in value.items()}
        if isinstance(value, list):
            return [digested(item, depth - 1) for item in value]
    return value


def where(path: Iterable[str | int]) -> str:
    """A path as people write it: `messages[2].content`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def kind(value: Any) -> str:
    """A JSON type in words."""
    return _KINDS.get(type(value), "a number")
