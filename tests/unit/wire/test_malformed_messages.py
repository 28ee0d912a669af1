"""Whatever comes in, a format of messages reads it or calls it unreadable, assembles it or calls it unstorable."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.call import Answer, Call, Request, Unreadable, Unstorable
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions, Replay

EXAMPLES = 40
REPLAY = Replay(now=1_800_000_000.0, fresh_id=lambda prefix: prefix + "fresh")
QUESTION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image", "source": {"data": "aa"}}]},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "input": {"a": [1]}}]},
    {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "x"}]}]},
    {
        "role": "user",
        "content": [{"type": "text", "text": "And now?"}, {"type": "image_url", "image_url": {"url": "u"}}],
    },
]
PLAIN = [{"role": "user", "content": "What?", "images": ["aa"]}, {"role": "user", "content": "And now?"}]
GEMINI = "/v1/models/m:"
REQUESTS: list[tuple[str, str, Any]] = [
    (
        "anthropic-messages",
        "/v1/messages",
        {"model": "m", "system": [{"type": "text", "text": "s"}], "messages": QUESTION},
    ),
    ("cohere-chat", "/v2/chat", {"model": "m", "messages": QUESTION, "tools": [{}], "temperature": 1}),
    ("ollama", "/api/chat", {"model": "m", "messages": PLAIN, "options": {"temperature": 1}, "stream": False}),
    ("ollama", "/api/generate", {"model": "m", "prompt": "What?", "system": "s", "images": ["aa"], "context": [1]}),
    (
        "gemini",
        GEMINI + "streamGenerateContent",
        {
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "What?"}, {"inlineData": {"data": "aa"}}]},
                {"parts": [{"text": "And now?"}, {"functionResponse": {"name": "f"}}]},
            ],
            "generationConfig": {"temperature": 1, "responseSchema": {}},
        },
    ),
]
ANSWERS: list[tuple[str, Any]] = [
    (
        "anthropic-messages",
        {
            "type": "message",
            "id": "i",
            "model": "m",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "Yes.", "citations": [{"type": "c"}]},
                {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}},
                {"type": "compaction", "content": "c"},
            ],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 2},
            "context_management": {"a": 1},
        },
    ),
    (
        "cohere-chat",
        {
            "id": "i",
            "message": {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Yes."}],
                "tool_plan": "I will",
                "tool_calls": [{"id": "t", "function": {"name": "n", "arguments": "{}"}}],
                "citations": [{"start": 0}],
            },
            "finish_reason": "COMPLETE",
            "usage": {"tokens": {"input_tokens": 1}},
            "logprobs": [{"text": "Yes."}],
        },
    ),
    (
        "ollama",
        {
            "model": "m",
            "created_at": "2026-11-20T09:12:04Z",
            "message": {"role": "assistant", "content": "Yes.", "thinking": "hm", "tool_calls": [{}]},
            "logprobs": [{"token": "Yes."}],
            "done": True,
        },
    ),
    ("ollama", {"model": "m", "response": "Yes.", "thinking": "hm", "context": [1], "done": True}),
    (
        "gemini",
        {
            "candidates": [
                {
                    "content": {"parts": [{"text": "Yes.", "thoughtSignature": "s"}, {"functionCall": {"name": "f"}}]},
                    "finishReason": "STOP",
                    "index": 0,
                    "citationMetadata": {"citations": [1]},
                }
            ],
            "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 2},
            "createTime": "2026-11-20T09:12:04.5Z",
            "responseId": "r",
        },
    ),
]
CALLS = [
    Call(wire="", prompt="", parts={}),
    Call(wire="", prompt="", parts={}, stream=True, framing="json-array"),
    Call(wire="", prompt="", parts={}, stream=True, framing="sse"),
]
values = st.recursive(
    st.sampled_from([None, True, 0, -1, 2.5, "", "text", "user", "tool_use", "\n", "data:x"]) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "role", "content", "text", "parts", "x"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) in a JSON value."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from spots(item)


def mutated(value: Any, data: st.DataObject) -> Any:
    value = orjson.loads(orjson.dumps(value))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(spots(value)) or [({"": 0}, "")]))
        if data.draw(st.booleans()):
            holder[key] = data.draw(values)
        else:
            del holder[key]
    return value


def read(wire: str, path: str, body: bytes, options: ReadOptions) -> None:
    try:
        call = wire_format(wire).read(Request("POST", "h", path, "", {}, body), options)
    except Unreadable:
        return
    assert isinstance(call.prompt, str)
    assert isinstance(call.exact_only, str)
    assert call.prompt.strip() or call.exact_only
    assert all(isinstance(turn.role, str) and isinstance(turn.text, str) for turn in call.turns)
    orjson.dumps(call.parts)


def assemble(wire: str, body: bytes) -> Answer | None:
    try:
        answer = wire_format(wire).assemble(body, "", CALLS[0])
    except Unstorable:
        return None
    for call in CALLS:
        assert wire_format(wire).replay(answer, call, REPLAY).body
    return answer


@pytest.mark.parametrize(("wire", "path", "body"), REQUESTS)
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_any_request_is_read_or_unreadable(wire: str, path: str, body: Any, data: st.DataObject) -> None:
    changed = mutated(body, data)
    prompt = data.draw(st.none() | st.sampled_from([None, *range(9)]))
    found = list(spots(changed)) if isinstance(changed, dict) else []
    options = ReadOptions()
    if prompt is not None and found:
        path_to = paths(changed)
        options = ReadOptions(prompt=lambda _: [(path_to[prompt % len(path_to)], None)])
    read(wire, path, orjson.dumps(changed), options)


def paths(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in items for path in [(*way, key), *paths(item, (*way, key))]]


@pytest.mark.parametrize(("wire", "path", "body"), REQUESTS)
@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | values.map(orjson.dumps))
def test_any_bytes_are_read_or_unreadable(wire: str, path: str, body: Any, raw: bytes) -> None:
    read(wire, path, raw, ReadOptions())
    read(wire, path, b'{"model":"m","messages":' + raw + b"}", ReadOptions())


@pytest.mark.parametrize(("wire", "answer"), ANSWERS)
def test_the_unchanged_answers_are_stored(wire: str, answer: Any) -> None:
    assert assemble(wire, orjson.dumps(answer)) is not None


@pytest.mark.parametrize(("wire", "answer"), ANSWERS)
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_any_answer_is_stored_whole_or_unstorable(wire: str, answer: Any, data: st.DataObject) -> None:
    assemble(wire, orjson.dumps(mutated(answer, data)))


@pytest.mark.parametrize(("wire", "answer"), ANSWERS)
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_any_stream_is_stored_whole_or_unstorable(wire: str, answer: Any, data: st.DataObject) -> None:
    call = data.draw(st.sampled_from(CALLS[1:]))
    body = wire_format(wire).replay(wire_format(wire).assemble(orjson.dumps(answer), "", call), call, REPLAY).body
    lines = body.split(b"\n")
    at = data.draw(st.sampled_from([index for index, line in enumerate(lines) if b"{" in line]))
    before, brace, event = lines[at].partition(b"{")
    with suppress(orjson.JSONDecodeError):  # a line of the JSON array form
        lines[at] = before + orjson.dumps(mutated(orjson.loads(brace + event), data))
    assemble(wire, b"\n".join(lines))
    assemble(wire, body[: data.draw(st.integers(0, len(body)))])


def test_what_nests_too_deeply_to_be_written_is_refused() -> None:
    deep = b"[" * 250 + b"]" * 250
    with pytest.raises(Unstorable):
        wire_format("anthropic-messages").assemble(
            orjson.dumps(ANSWERS[0][1])[:-1] + b',"x":' + deep + b"}", "", CALLS[0]
        )
    deeper = b"[" * 300 + b"]" * 300
    with pytest.raises(Unreadable):
        read_or_raise = wire_format("ollama").read
        read_or_raise(Request("POST", "h", "/api/chat", "", {}, b'{"model":' + deeper + b"}"), ReadOptions())
