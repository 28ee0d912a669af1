"""Mistral: OpenAI's formats, but for what is told here. Source: https://docs.mistral.ai/api and its SDKs.

Identifiers are bare hexadecimal, every stream ends with the usage, asked or not, and a tool call comes whole.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace

from askonce.sample import answers, openai_chat, openai_embeddings
from askonce.sample.formats import Ask, Format, JsonObject, fresh, sse

__all__ = ["CHAT", "EMBEDDINGS"]


def answer(ask: Ask) -> JsonObject:
    """The `chat.completion` object."""
    whole = openai_chat.answer(ask)
    used = {key: whole["usage"][key] for key in ("prompt_tokens", "total_tokens", "completion_tokens")}
    return {
        "id": uuid.uuid4().hex,
        "created": whole["created"],
        "model": whole["model"],
        "usage": used,
        "object": whole["object"],
        "choices": [_choice(choice) for choice in whole["choices"]],
    }


def _choice(choice: JsonObject) -> JsonObject:
    message = choice["message"]
    calls = [{"id": fresh("", 9), "function": call["function"]} for call in message.get("tool_calls", ())]
    said = {"role": "assistant", "tool_calls": calls or None, "content": message["content"] or ""}
    return {"index": choice["index"], "finish_reason": choice["finish_reason"], "message": said}


def events(ask: Ask, whole: JsonObject) -> Iterator[bytes]:
    """The role, the text, then the end of each choice; the last end tells the usage; `[DONE]`."""
    frame = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def chunk(choice: JsonObject, delta: JsonObject, finish: str | None = None, **more: JsonObject) -> bytes:
        part = {"index": choice["index"], "delta": delta, "finish_reason": finish}
        return sse(frame | {"choices": [part]} | more)

    for position, choice in enumerate(whole["choices"]):
        message = choice["message"]
        yield chunk(choice, {"role": "assistant", "content": ""})
        for token in answers.tokens(message["content"]):
            yield chunk(choice, {"content": token})
        calls = [call | {"index": index} for index, call in enumerate(message["tool_calls"] or ())]
        used = {"usage": whole["usage"]} if position == len(whole["choices"]) - 1 else {}
        told = {"content": "", "tool_calls": calls} if calls else {"content": ""}
        yield chunk(choice, told, choice["finish_reason"], **used)
    yield b"data: [DONE]\n\n"


def _embeddings(ask: Ask) -> JsonObject:
    whole = openai_embeddings.answer(ask)
    return {"id": uuid.uuid4().hex, **whole, "usage": whole["usage"] | {"completion_tokens": 0}}


_HOSTS = re.compile(r"(?:.+\.)?mistral\.ai")
CHAT = Format(
    name="mistral-chat",
    paths=re.compile(r"/chat/completions$"),
    hosts=_HOSTS,
    answer=answer,
    events=events,
    streamed=lambda ask: bool(ask.body.get("stream")),
    error=openai_chat.error,
)
EMBEDDINGS = replace(openai_embeddings.FORMAT, name="mistral-embeddings", hosts=_HOSTS, answer=_embeddings)
