"""What the sample provider says in its own wire format, asked and read through the translation: its formats share no
code with ours. A translated stream must say what the translated whole answer says, however its bytes are split."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.call import Call, Unstorable
from askonce.products.translate import ANTHROPIC, GEMINI, Dialect, StreamTranslator, WholeTranslator
from askonce.sample import anthropic_messages, gemini
from askonce.sample.formats import Ask, Format
from askonce.wire import openai_deltas, sse, wire_format

NOW = 1_800_000_000.5
BOTH = pytest.mark.parametrize(
    ("dialect", "form"), [(ANTHROPIC, anthropic_messages.FORMAT), (GEMINI, gemini.FORMAT)], ids=["anthropic", "gemini"]
)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "As it says",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
        },
    }
    for name in ("get_weather", "find_restaurant")
]
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def numbered() -> Any:
    counter = iter(range(1000))
    return lambda prefix: f"{prefix}{next(counter)}"


def sample(form: Format, dialect: Dialect, asked: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """The provider's whole answer to an OpenAI request, and the events of the same answer."""
    out = dialect.ask(asked | {"stream": True}, max_tokens=4096)
    path = form.paths.search(out.path)
    assert path
    query = dict(pair.split("=") for pair in out.query.split("&") if pair)
    ask = Ask(path, query, orjson.loads(orjson.dumps(out.body)), NOW)
    assert form.streamed(ask)
    whole = form.answer(ask)
    return whole, list(form.events(ask, whole))


def whole(dialect: Dialect, answer: Any) -> dict[str, Any]:
    translator = WholeTranslator(dialect, now=NOW, fresh_id=numbered())
    data = orjson.dumps(answer)
    assert translator.feed(data[:7]) == translator.feed(data[7:]) == b""
    return dict(orjson.loads(translator.feed(b"")))


def streamed(dialect: Dialect, parts: list[bytes], *, include_usage: bool = True) -> bytes:
    translator = StreamTranslator(dialect, now=NOW, fresh_id=numbered(), include_usage=include_usage)
    return b"".join(translator.feed(part) for part in parts) + translator.feed(b"")


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    start = 0
    for place in sorted({place % len(data) for place in places}):
        if place > start:
            yield data[start:place]
            start = place
    yield data[start:]


questions = st.one_of(
    st.sampled_from(
        ["What is the capital of France?", "What is the weather in Paris and Rome?", "How do I pick a lock?"]
    ),
    st.text(min_size=1, max_size=30).filter(str.strip),
)
requests = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["claude-sonnet-5", "gemini-3-pro"]),
        "messages": questions.map(lambda text: [{"role": "user", "content": text}]),
    },
    optional={
        "tools": st.just(TOOLS),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
        "reasoning_effort": st.sampled_from(["none", "low", "high"]),
        "max_tokens": st.integers(1, 30),
        "temperature": st.sampled_from([0, 0.7, 1, 2]),
        "stop": st.sampled_from([" is", ["the", "of"]]),
        "response_format": st.just({"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}),
    },
)


@BOTH
@given(asked=requests, places=st.lists(st.integers(0, 10**6), max_size=12))
@settings(max_examples=60, deadline=None)
def test_stream_says_what_the_whole_answer_says(
    dialect: Dialect, form: Format, asked: dict[str, Any], places: list[int]
) -> None:
    answer, events = sample(form, dialect, asked)
    told = whole(dialect, answer)
    stream = streamed(dialect, list(cut(b"".join(events), places)))
    folded, ended = openai_deltas.fold(sse.decode(stream))
    assert ended
    assert folded == told
    call = Call("openai-chat", "", {}, stream=True, include_usage=True)
    if told["choices"][0]["finish_reason"] in ("stop", "tool_calls"):
        kept = wire_format("openai-chat").assemble(stream, "text/event-stream", call)
        assert orjson.loads(kept.body) == told
        assert kept.usage.output_tokens == told["usage"]["completion_tokens"]
    else:
        with pytest.raises(Unstorable):
            wire_format("openai-chat").assemble(stream, "text/event-stream", call)


blocks = st.lists(
    st.one_of(
        st.text(max_size=20).map(lambda text: {"type": "text", "text": text}),
        st.text(min_size=1, max_size=20).map(lambda text: {"type": "thinking", "thinking": text, "signature": "c2ln"}),
        st.just({"type": "redacted_thinking", "data": "xyz"}),
        st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2).map(
            lambda given: {"type": "tool_use", "id": "toolu_1", "name": "f", "input": given}
        ),
    ),
    max_size=5,
)


@given(content=blocks, places=st.lists(st.integers(0, 10**6), max_size=12), lines=st.sampled_from([b"\n", b"\r\n"]))
@settings(max_examples=80, deadline=None)
def test_any_message_of_anthropics(content: list[dict[str, Any]], places: list[int], lines: bytes) -> None:
    message = {
        "type": "message",
        "id": "msg_1",
        "model": "claude-sonnet-5",
        "role": "assistant",
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 30,
            "output_tokens": 4,
        },
    }
    plain = [block if block["type"] != "redacted_thinking" else block | {"text": ""} for block in content]
    path = anthropic_messages.FORMAT.paths.search("/v1/messages")
    assert path
    events = b"".join(anthropic_messages.FORMAT.events(Ask(path, {}, {}, NOW), message | {"content": plain}))
    stream = streamed(ANTHROPIC, list(cut(events.replace(b"\n", lines), places)))
    told, ended = openai_deltas.fold(sse.decode(stream))
    assert ended
    assert told == whole(ANTHROPIC, message)
    assert told["usage"] == {
        "prompt_tokens": 41,
        "completion_tokens": 4,
        "total_tokens": 45,
        "prompt_tokens_details": {"cached_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


@BOTH
def test_every_event_is_passed_on_at_once(dialect: Dialect, form: Format) -> None:
    asked = {"model": "gemini-claude", "messages": [{"role": "user", "content": "What is the capital of Australia?"}]}
    _, events = sample(form, dialect, asked)
    translator = StreamTranslator(dialect, now=NOW, fresh_id=numbered(), include_usage=False)
    said = ""
    for event in events:
        chunks = [orjson.loads(one.data) for one in sse.decode(translator.feed(event)) if one.data != b"[DONE]"]
        said += "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        if b"Canb" in event:
            assert "Canb" in said
    assert said == "The capital of Australia is Canberra, not Sydney."


@BOTH
def test_a_stream_that_breaks_off_has_no_end_mark(dialect: Dialect, form: Format) -> None:
    asked = {"model": "gemini-claude", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    _, events = sample(form, dialect, asked)
    data = b"".join(events)
    end = len(data) if form is gemini.FORMAT else data.index(b"event: message_stop")
    for length in (1, len(data) // 2, end - 30):
        stream = streamed(dialect, [data[:length]])
        assert b"[DONE]" not in stream
        last = list(sse.decode(stream))[-1]
        assert orjson.loads(last.data)["error"]["type"] == "provider_error"
        with pytest.raises(Unstorable, match="error"):
            wire_format("openai-chat").assemble(stream, "text/event-stream", Call("openai-chat", "", {}, stream=True))
