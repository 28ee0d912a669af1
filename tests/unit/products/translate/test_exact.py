"""What is translated is told digit for digit, and in lines that every reader sees alike."""

import re
from typing import Any

import pytest

from askonce import jsontext
from askonce.products.translate import ANTHROPIC, GEMINI, StreamTranslator, WholeTranslator
from askonce.products.translate.answering import ChunkWriter, Text
from askonce.wire.sse import encode

WEI = '{"wei":123456789012345678901,"x":[0.10,1e-07]}'


@pytest.mark.parametrize("dialect", [ANTHROPIC, GEMINI])
def test_numbers_towards_the_provider(dialect: Any) -> None:
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": WEI}}
    body = {
        "model": "gemini-3-pro",
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": None, "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "c", "content": WEI},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "const": 7}}}],
    }
    asked = dialect.ask(jsontext.loads(jsontext.dumps(body).replace(b":7", b":1.50")), max_tokens=9)
    sent = jsontext.dumps(asked.body)
    assert re.search(rb'"(input|args)":' + re.escape(WEI.encode()), sent)
    assert b'"const":1.50' in sent
    assert dialect is ANTHROPIC or b'"response":' + WEI.encode() in sent


ANSWERS = {
    ANTHROPIC: '{"type":"message","id":"msg_1","model":"m","content":[{"type":"tool_use","id":"t","name":"f","input":'
    + WEI
    + '}],"stop_reason":"tool_use"}',
    GEMINI: '{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":'
    + WEI
    + '}}]},"finishReason":"STOP"}]}',
}


@pytest.mark.parametrize("dialect", ANSWERS)
def test_numbers_from_the_provider_and_no_usage(dialect: Any) -> None:
    whole = WholeTranslator(dialect, now=0, fresh_id=str)
    whole.feed(ANSWERS[dialect].encode())
    told = jsontext.loads(whole.feed(b""))
    assert told["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == WEI
    assert told["usage"]["total_tokens"] == 0


def test_a_stream_without_usage_is_translated() -> None:
    events = (
        '{"type":"message_start","message":{"id":"msg_1","model":"m","content":[]}}',
        '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hi"}}',
        '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":null}',
        '{"type":"message_stop"}',
    )
    translator = StreamTranslator(ANTHROPIC, now=0, fresh_id=str, include_usage=True)
    told = translator.feed(b"".join(encode(event.encode()) for event in events)) + translator.feed(b"")
    assert b'"content":"Hi"' in told and told.endswith(b"data: [DONE]\n\n")


def test_an_event_is_one_line() -> None:
    written = ChunkWriter(0, include_usage=False).write(Text("a\u2028b\u2029c\x85d"))
    assert len([line for line in written.decode().splitlines() if line]) == 2  # the role, and the text
