"""Anthropic's messages as the other side of OpenAI's chat completions.

One rule: what the model is told stays in its order; only the system's messages move, to the one place that Anthropic
has for them. Source: the provider's API reference for messages, their streams, tools and structured outputs.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from askonce import jsontext
from askonce.products.translate import asking
from askonce.products.translate.answering import Arguments, Called, Ended, Opened, Piece, Text, Thought, TokenUsage
from askonce.products.translate.asking import Asked, Untranslatable
from askonce.products.translate.chat import Chat, ChatMessage, Media
from askonce.products.translate.stream import FreshId, ProviderTrouble
from askonce.wire.common import JsonObject, count_of
from askonce.wire.sse import Event

__all__ = ["ANTHROPIC"]

_NAME = "Anthropic"
_VERSION = "2023-06-01"
_ENDS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
}
"""Any other reason, `refusal` among them, is OpenAI's `content_filter`: there is no whole answer."""
_EFFORT = {"minimal": "low"}
"""OpenAI's words for Anthropic's, where they are others."""
_WITHOUT_EFFORT = re.compile(
    r"claude-(?:[123]\b|instant|(?:opus|sonnet)-4(?:-[01])?(?:-2025\d{4})?$|(?:sonnet|haiku)-4-5\b)"
)
"""Models older than the setting (Opus 4.5 was the first to have it), which refuse it."""
_SAYS_NOTHING = frozenset({"redacted_thinking"})


class _Anthropic:
    def ask(self, body: JsonObject, *, max_tokens: int) -> Asked:
        chat = asking.read(body, _NAME)
        settings = chat.settings
        asking.refuse(
            [("presence_penalty", settings.presence_penalty), ("frequency_penalty", settings.frequency_penalty)], _NAME
        )
        if settings.json and settings.schema is None:
            raise Untranslatable("response_format: Anthropic makes JSON of a schema only; use json_schema")
        out: JsonObject = {"model": chat.model, "max_tokens": settings.max_tokens or max_tokens}
        if chat.system:
            out["system"] = chat.system
        out["messages"] = _messages(chat)
        if settings.temperature is not None:
            out["temperature"] = min(settings.temperature, 1.0)  # Anthropic's scale ends where OpenAI's default is
        if settings.top_p not in (None, 1.0):  # newer models refuse it beside a temperature
            out["top_p"] = settings.top_p
        if settings.stop:
            out["stop_sequences"] = list(settings.stop)
        config: JsonObject = {}
        if settings.schema is not None:
            config["format"] = {"type": "json_schema", "schema": settings.schema}
        if settings.effort and not _WITHOUT_EFFORT.match(chat.model):
            if settings.effort == "none":
                out["thinking"] = {"type": "disabled"}
            else:
                config["effort"] = _EFFORT.get(settings.effort, settings.effort)
        if config:
            out["output_config"] = config
        out |= _tools(chat)
        if chat.stream:
            out["stream"] = True
        return Asked("/v1/messages", out, headers=(("anthropic-version", _VERSION),))

    def pieces(self, answer: JsonObject, fresh_id: FreshId) -> Iterator[Piece]:
        if answer["type"] != "message":
            raise ProviderTrouble(str((answer.get("error") or {}).get("message") or "not a message"))
        yield Opened(answer["id"], answer["model"])
        for block in answer["content"]:
            yield from _opening(block)
            if block["type"] == "tool_use":
                yield Arguments(jsontext.dumps(block["input"]).decode())
        yield _ended(answer["stop_reason"], answer.get("usage") or {})

    def reader(self, fresh_id: FreshId) -> "_AnthropicReader":
        return _AnthropicReader()


class _AnthropicReader:
    def __init__(self) -> None:
        self._usage: JsonObject = {}
        self._reason = ""
        self._stopped = False
        self._argued: bool | None = None
        """Whether the open tool use has said any arguments; None where none is open."""

    def read(self, event: Event) -> Iterator[Piece]:
        data = jsontext.loads(event.data)
        match data["type"]:
            case "message_start":
                self._usage = dict(data["message"].get("usage") or {})
                yield Opened(data["message"]["id"], data["message"]["model"])
            case "content_block_start":
                block = data["content_block"]
                self._argued = False if block["type"] == "tool_use" else None
                yield from _opening(block)
            case "content_block_delta":
                yield from self._delta(data["delta"])
            case "content_block_stop":
                if self._argued is False:
                    yield Arguments("{}")  # a tool without parameters; OpenAI's clients expect JSON
                self._argued = None
            case "message_delta":
                self._reason = data["delta"]["stop_reason"] or self._reason
                # The counts are totals, so they replace; one that is left out or null has not changed.
                self._usage |= {name: count for name, count in (data.get("usage") or {}).items() if count is not None}
            case "message_stop":
                self._stopped = True
                yield _ended(self._reason, self._usage)
            case "error":
                raise ProviderTrouble(str(data["error"]["message"]))

    def _delta(self, delta: JsonObject) -> Iterator[Piece]:
        match delta["type"]:
            case "text_delta":
                yield Text(delta["text"])
            case "thinking_delta":
                yield Thought(delta["thinking"])
            case "input_json_delta" if delta["partial_json"]:
                self._argued = True
                yield Arguments(delta["partial_json"])

    def end(self) -> Iterable[Piece]:
        if not self._stopped:
            raise ProviderTrouble("the provider's stream ended before its answer did")
        return ()


ANTHROPIC = _Anthropic()


def _opening(block: JsonObject) -> Iterator[Piece]:
    """What a block says when it opens: all of it in a whole answer, nothing or little in a stream."""
    match block["type"]:
        case "text":
            if block["text"]:
                yield Text(block["text"])
        case "thinking":
            if block["thinking"]:
                yield Thought(block["thinking"])
        case "tool_use":
            yield Called(block["id"], block["name"])
        case kind if kind not in _SAYS_NOTHING:
            raise ProviderTrouble(f"the provider answered with a block of the type {kind!r}")


def _ended(reason: str, usage: JsonObject) -> Ended:
    cached = count_of(usage, "cache_read_input_tokens")
    asked = count_of(usage, "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    thought = count_of(usage.get("output_tokens_details"), "thinking_tokens", "reasoning_tokens")
    return Ended(
        _ENDS.get(reason, "content_filter"), TokenUsage(asked, count_of(usage, "output_tokens"), cached, thought)
    )


def _messages(chat: Chat) -> list[JsonObject]:
    """The conversation; messages of one side that follow each other are one, as Anthropic reads them."""
    messages = list[JsonObject]()
    for message in chat.messages:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [*_blocks(message)]
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": role, "content": blocks})
    for message_out in messages:
        match message_out["content"]:
            case [{"type": "text", "text": text}]:
                message_out["content"] = text
    return messages


def _blocks(message: ChatMessage) -> Iterator[JsonObject]:
    if message.role == "tool":
        yield {"type": "tool_result", "tool_use_id": message.answers, "content": "".join(map(str, message.parts))}
        return
    for part in message.parts:
        if isinstance(part, Media):
            yield _media(part)
        elif part:  # Anthropic refuses a block of empty text
            yield {"type": "text", "text": part}
    for call in message.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}


def _media(media: Media) -> JsonObject:
    source: dict[str, Any] = {"type": "base64", "media_type": media.type, "data": media.data}
    if media.url:
        source = {"type": "url", "url": media.url}
    if media.kind == "audio":
        raise Untranslatable("messages: input_audio: Anthropic takes no sound")
    if media.kind == "image":
        return {"type": "image", "source": source}
    if media.type != "application/pdf":
        raise Untranslatable(f"messages: file: Anthropic takes application/pdf; got {media.type}")
    return {"type": "document", "source": source}


def _tools(chat: Chat) -> JsonObject:
    if not chat.tools:
        return {}
    out: JsonObject = {"tools": []}
    for tool in chat.tools:
        description = {"description": tool.description} if tool.description else {}
        schema = tool.parameters or {"type": "object", "properties": {}}
        strict = {"strict": True} if tool.strict else {}
        out["tools"].append({"name": tool.name, **description, "input_schema": schema, **strict})
    choice: JsonObject = {}
    if chat.choice:
        choice = {"type": {"required": "any"}.get(chat.choice, chat.choice)}
        if chat.choice.startswith("="):
            choice = {"type": "tool", "name": chat.choice[1:]}
    if not chat.parallel and chat.choice != "none":
        choice = (choice or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    return out | ({"tool_choice": choice} if choice else {})
