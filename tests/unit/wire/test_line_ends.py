"""A stream is whole for readers that cut it into lines as Python's `str.splitlines` does, at U+2028 and the like."""

import json
import re
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from askonce.call import Call
from askonce.wire import wire_format
from askonce.wire.base import Replay

REPLAY = Replay(1_800_000_000.0, lambda prefix: prefix + "fresh")
ENDS = st.text(st.sampled_from('\u0085\u2028\u2029\n\r\x0b\x0c\x1c\x1d\x1e \\"<é☃'), max_size=12)
TEXTS = ENDS | st.text(st.characters(codec="utf-8"))
CALLED = {"id": "t", "name": "f"}


def answer(wire: str, text: str) -> Any:
    """An answer that holds the text in all places where it can, and some words for those that must not be empty."""
    arguments = json.dumps({"x": text}, ensure_ascii=False)
    function = {"name": "f", "arguments": arguments}
    call = {"id": "t", "type": "function", "function": function}
    match wire:
        case "openai-chat":
            message = {"role": "assistant", "content": "a" + text, "reasoning_content": text, "tool_calls": [call]}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return {"id": "chatcmpl-1", "created": 1, "model": text, "choices": [choice], "extra": text}
        case "openai-responses":
            part = {"type": "output_text", "text": "a" + text, "annotations": [{"title": text}]}
            thought = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": text}]}
            said = {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [part]}
            called = {"type": "function_call", "id": "c", "status": "completed", **function}
            output = [thought, said, called]
            return {"id": "resp_1", "created_at": 1, "status": "completed", "model": "m", "output": output}
        case "openai-completions":
            choice = {"index": 0, "text": "a" + text, "finish_reason": "stop", "logprobs": {"tokens": [text]}}
            return {"id": "cmpl-1", "created": 1, "model": text, "choices": [choice]}
        case "anthropic-messages":
            content = [
                {"type": "thinking", "thinking": text, "signature": text},
                {"type": "text", "text": "a" + text, "citations": [{"cited_text": text}]},
                {"type": "tool_use", **CALLED, "input": {"x": text}},
            ]
            usage = {"input_tokens": 1, "output_tokens": 2}
            return {"id": "msg_1", "type": "message", "model": "m", "content": content, "stop_reason": "end_turn"} | {
                "stop_sequence": None,
                "usage": usage,
            }
        case "gemini":
            parts = [{"text": "a" + text}, {"functionCall": {"name": "f", "args": {"x": text}}}]
            candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}
            return {"candidates": [candidate], "modelVersion": text}
        case "cohere-chat":
            content = [{"type": "thinking", "thinking": text}, {"type": "text", "text": "a" + text}]
            message = {"role": "assistant", "content": content, "tool_calls": [call], "citations": [{"text": text}]}
            return {"id": "i", "message": message, "finish_reason": "COMPLETE"}
        case "ollama":
            call = {"function": {"name": "f", "arguments": {"x": text}}}
            message = {"role": "assistant", "content": "a" + text, "thinking": text, "tool_calls": [call]}
            return {"model": text, "message": message, "done": True}
    raise ValueError(wire)


@pytest.mark.parametrize("framing", ["sse", "json-array"])
@pytest.mark.parametrize(
    "wire",
    [
        *("openai-chat", "openai-responses", "openai-completions", "anthropic-messages", "gemini", "cohere-chat"),
        "ollama",
    ],
)
@settings(max_examples=40, deadline=None)
@given(TEXTS)
@example("\u0085\u2028\u2029")
def test_any_text_is_read_whole(wire: str, framing: str, text: str) -> None:
    form = wire_format(wire)
    call = Call(wire, "q", {}, stream=True, framing=framing)
    kept = form.assemble(orjson.dumps(answer(wire, text)), "application/json", call)
    stream = form.replay(kept, call, REPLAY)
    told = stream.body.decode()
    lines = [line for line in told.splitlines() if line]
    assert lines == [line for line in re.split("\r\n|\n|\r", told) if line]
    # as the SDKs of Ollama and Google read, in the pieces that a socket gives
    pieces = [stream.body[at : at + 7] for at in range(0, len(stream.body), 7)]
    assert [line for line in httpx.Response(200, content=iter(pieces)).iter_lines() if line] == lines
    whole = form.assemble(stream.body, stream.content_type, call)
    assert orjson.dumps("a" + text) in whole.body
