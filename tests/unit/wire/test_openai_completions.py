"""OpenAI's older completions."""

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion

from askonce.call import Answer, Call, Request, Unreadable, Unstorable, Usage
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import sse, wire_format
from askonce.wire.base import ReadOptions, Replay

Json = dict[str, Any]

COMPLETIONS = wire_format("openai-completions")
SSE = "text/event-stream"
MODEL = "gpt-3.5-turbo-instruct"


def read(body: Json, options: ReadOptions = ReadOptions()) -> Call:  # noqa: B008 - frozen
    return COMPLETIONS.read(Request("POST", "api.openai.com", "/v1/completions", "", {}, orjson.dumps(body)), options)


def ask(prompt: Any = "Once upon a", **fields: Any) -> Call:
    return read({"model": MODEL, "prompt": prompt, **fields})


def key(call: Call) -> tuple[bytes, str]:
    return orjson.dumps(dict(call.parts), option=orjson.OPT_SORT_KEYS), call.prompt


def fresh() -> Replay:
    return Replay(1_800_000_000.5, lambda prefix: prefix + "fresh")


def test_a_call_is_split_into_prompt_and_parts() -> None:
    call = ask(temperature=0.5, max_tokens=16, echo=True, user="u", stream=True, stream_options={"include_usage": True})
    assert call == Call(
        wire="openai-completions",
        prompt="Once upon a",
        parts={
            "model": MODEL,
            "sampling": {"temperature": 0.5, "max_tokens": 16},
            "format": {"echo": True},
            "other": {"user": "u"},
        },
        model=MODEL,
        temperature=0.5,
        stream=True,
        include_usage=True,
        turns=call.turns,
    )
    assert [(turn.role, turn.text) for turn in call.turns] == [("user", "Once upon a")]


def test_a_list_of_one_text_is_the_text() -> None:
    assert key(ask(["q"])) == key(ask("q"))


def test_whatever_could_change_the_answer_makes_another_call() -> None:
    calls = [
        ask(),
        ask(["Once upon a", ""]),
        ask(["Once upon", "a"]),
        ask([1, 2]),
        ask([[1, 2]]),
        ask(suffix="end"),
        ask(best_of=2),
        ask(n=2),
        ask(echo=True),
        ask(logprobs=1),
        ask(temperature=0),
        ask(stop="\n"),
        ask(unknown=1),
        read({"model": "davinci-002", "prompt": "Once upon a"}),
    ]
    for one, other in itertools.combinations(calls, 2):
        assert key(one) != key(other)


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("q", ""),
        (["q"], ""),
        (["q", "r"], "several prompts"),
        ([1, 2], "a prompt of tokens"),
        ([[1], [2]], "a prompt of tokens"),
        (" ", "empty prompt"),
    ],
)
def test_when_only_an_identical_call_may_be_answered(prompt: Any, reason: str) -> None:
    assert ask(prompt).exact_only == reason


def test_a_rule_may_say_where_the_prompt_is() -> None:
    assert key(read({"prompt": "q"}, ReadOptions(parse_jsonpath("$.prompt")))) == key(read({"prompt": "q"}))
    call = read({"prompt": "q", "suffix": "r"}, ReadOptions(parse_jsonpath("$.suffix")))
    assert (call.prompt, call.parts["other"]) == ("r", {"prompt": "q"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "prompt: nothing, expected"),
        ({"prompt": []}, "prompt: a list, expected"),
        ({"prompt": {}}, "prompt: an object, expected"),
        ({"prompt": "q", "stream": 1}, "stream: a number"),
        ({"prompt": "q", "temperature": "0"}, "temperature: a string"),
        ({"prompt": "q", "model": 1}, "model: a number"),
    ],
)
def test_what_cannot_be_read_says_why(body: Json, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        read(body)


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
WHOLE: Json = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 7,
    "model": MODEL,
    "choices": [{"text": " time there", "index": 0, "logprobs": None, "finish_reason": "stop"}],
    "usage": USAGE,
}


def chunk(*choices: Json, **fields: Any) -> bytes:
    frame = {"id": "cmpl-1", "object": "text_completion", "created": 7, "model": MODEL}
    return sse.encode(orjson.dumps(frame | {"choices": list(choices)} | fields))


def text(words: str, finish: str | None = None, index: int = 0) -> Json:
    return {"text": words, "index": index, "logprobs": None, "finish_reason": finish}


DONE = b"data: [DONE]\n\n"
STREAM = chunk(text(" time")) + chunk(text(" there")) + chunk(text("", "stop")) + chunk(usage=USAGE) + DONE


def final(stream: bytes, call: Call | None = None) -> Json:
    result: Json = orjson.loads(COMPLETIONS.assemble(stream, SSE, call or ask()).body)
    return result


def test_a_stream_becomes_what_json_would_have_been() -> None:
    assert final(STREAM) == WHOLE
    assert COMPLETIONS.assemble(STREAM, SSE, ask()).usage == Usage(3, 2)
    assert final(STREAM.replace(b"\n", b"\r\n")) == WHOLE


def test_json_is_kept_as_it_came() -> None:
    body = orjson.dumps(WHOLE)
    assert COMPLETIONS.assemble(body, "application/json", ask()) == Answer(body, usage=Usage(3, 2))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty body"),
        (b'{"error": {"message": "no"}}', "error: no"),
        (b'{"choices": [{"text": " \\n", "finish_reason": "stop"}]}', "an empty answer"),
        (orjson.dumps(WHOLE | {"choices": []}), "no choices"),
        (orjson.dumps(WHOLE | {"choices": [{"finish_reason": "stop"}]}), "without a text"),
        (orjson.dumps(WHOLE | {"choices": [text("a", "length")]}), "finish_reason length"),
        (orjson.dumps(WHOLE | {"choices": [text("", "stop")]}), "empty answer"),
        (chunk(text("a")) + DONE, "no finish_reason"),
        (chunk({"text": 5}) + DONE, "no string"),
        (chunk(text("a", "content_filter")) + DONE, "content_filter"),
        (chunk(text("a")) + b'data: {"error": "busy"}\n\n' + DONE, "error: busy"),
        (chunk(text("a")) + b"event: error\ndata: x\n\n", "an error event"),
    ],
)
def test_what_is_not_whole_and_good_is_not_stored(body: bytes, message: str) -> None:
    with pytest.raises(Unstorable, match=message):
        COMPLETIONS.assemble(body, "", ask())


def test_without_an_end_mark_all_that_was_asked_for_must_be_there() -> None:
    stream = chunk(text("a", "stop"))
    assert final(stream)["choices"] == [text("a", "stop")]
    with pytest.raises(Unstorable, match="without"):
        final(stream, ask(stream=True, stream_options={"include_usage": True}))


def test_a_stream_comes_back_event_by_event() -> None:
    reply = COMPLETIONS.replay(Answer(orjson.dumps(WHOLE)), ask(stream=True), fresh())
    assert reply.content_type == "text/event-stream; charset=utf-8"
    *told, done = sse.decode(reply.body)
    assert done.data == b"[DONE]"
    frame = {"id": "cmpl-fresh", "object": "text_completion", "created": 1_800_000_000, "model": MODEL}
    assert [orjson.loads(event.data) for event in told] == [
        frame | {"choices": [text(" time")]},
        frame | {"choices": [text(" there")]},
        frame | {"choices": [text("", "stop")]},
    ]


LOGPROBS = st.sampled_from(
    [
        None,
        {"tokens": ["a", "b"], "token_logprobs": [-0.5, -1.0], "top_logprobs": None, "text_offset": [0, 1]},
        {"tokens": ["ab"], "token_logprobs": [-0.5], "top_logprobs": [{"ab": -0.5, "index": -3}], "text_offset": [0]},
        {"tokens": ["?"], "token_logprobs": [-0.5], "text_offset": [0, 9]},
    ]
)

WORDS = st.text(min_size=1, max_size=40).filter(str.strip) | st.just("ab")
"""White space alone is an empty answer, and not kept."""


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(WORDS, LOGPROBS), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_a_replayed_stream_assembles_to_the_answer(
    said: list[tuple[str, Json | None]], include_usage: bool, has_extras: bool
) -> None:
    whole = WHOLE | {
        "choices": [
            text(words, "stop", index) | {"logprobs": logprobs} | ({"stop_reason": 5} if has_extras else {})
            for index, (words, logprobs) in enumerate(said)
        ]
    }
    if has_extras:
        whole |= {"system_fingerprint": "fp", "provider": "x"}
    call = ask(stream=True, stream_options={"include_usage": include_usage})
    stream = COMPLETIONS.replay(Answer(orjson.dumps(whole)), call, fresh()).body
    expected = whole | {"id": "cmpl-fresh", "created": 1_800_000_000}
    if not include_usage:
        del expected["usage"]
    assert final(stream, call) == expected
    json = COMPLETIONS.replay(Answer(orjson.dumps(whole)), ask(), fresh()).body
    assert orjson.loads(json) == expected | {"usage": USAGE}
    for value in [json, *(event.data for event in sse.decode(stream) if event.data != b"[DONE]")]:
        Completion.construct(**orjson.loads(value))


def test_usage_is_estimated_where_the_stream_had_none() -> None:
    answer = COMPLETIONS.assemble(chunk(text(" time there", "stop")) + DONE, SSE, ask())
    assert "usage" not in orjson.loads(answer.body)
    told = orjson.loads(COMPLETIONS.replay(answer, ask(), fresh()).body)["usage"]
    assert told["completion_tokens"] == 2
    assert told["total_tokens"] == told["prompt_tokens"] + 2


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nothing_else_is_ever_raised(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([STREAM, orjson.dumps(WHOLE)])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    try:
        answer = COMPLETIONS.assemble(bytes(body), data.draw(st.sampled_from([SSE, ""])), ask())
    except Unstorable:
        return
    for call in (ask(), ask(stream=True)):
        assert COMPLETIONS.replay(answer, call, fresh()).status == 200
