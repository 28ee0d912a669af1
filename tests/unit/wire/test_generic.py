"""The wire format for any JSON: all but the prompt must be equal, the answer comes back as it was."""

import contextlib

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.call import Answer, Call, Reply, Request, Unreadable, Unstorable, Usage
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions, Replay

GENERIC = wire_format("generic")
OPTIONS = ReadOptions(parse_jsonpath("$.query"), (parse_jsonpath("$.trace_id"),))


def read(body: object, options: ReadOptions = OPTIONS, **headers: str) -> Call:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return GENERIC.read(Request("POST", "llm.corp.example", "/v2/ask", "", headers, data), options)


def test_the_prompt_is_cut_out_and_all_else_must_be_equal() -> None:
    call = read({"query": "Why?", "tone": "dry", "trace_id": "7", "model": "m", "temperature": 0.5}, accept="*/*")
    assert call == Call(
        wire="generic",
        prompt="Why?",
        parts={
            "other": {
                "method": "POST",
                "headers": {"accept": "*/*"},
                "body": {"query": "", "tone": "dry", "model": "m", "temperature": 0.5},
            }
        },
        model="m",
        temperature=0.5,
        turns=call.turns,
    )
    assert [(turn.role, turn.text) for turn in call.turns] == [("user", "Why?")]


def test_key_order_space_and_ignored_fields_do_not_matter() -> None:
    assert read(b'{"query": "q", "a": 1, "trace_id": "x"}') == read(b'{"a":1,"query":"q"}')


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"query": "q", "tone": 1}, {"query": "q"}),
        ({"query": "q", "tone": None}, {"query": "q"}),
        ({"query": "q", "stream": True}, {"query": "q"}),
        ({"query": "q", "docs": ["a", "b"]}, {"query": "q", "docs": ["b", "a"]}),
    ],
)
def test_another_body_is_another_call(one: object, other: object) -> None:
    assert read(one).parts != read(other).parts


def test_what_the_headers_ask_for_is_part_of_the_call() -> None:
    plain = read({"query": "q"}, accept="application/json")
    assert plain.parts != read({"query": "q"}, accept="text/event-stream").parts
    assert (
        plain.parts == read({"query": "q"}, accept="application/json", **{"user-agent": "x", "x-request-id": "1"}).parts
    )


def test_a_stream_is_told_from_the_body_or_the_accept_header() -> None:
    assert not read({"query": "q"}).stream
    assert read({"query": "q", "stream": True}).stream
    assert read({"query": "q"}, accept="text/event-stream").stream


def test_content_parts_are_a_prompt_too() -> None:
    path = ReadOptions(parse_jsonpath("$.messages[-1].content"))  # as Bedrock's converse has it
    call = read({"messages": [{"role": "user", "content": [{"text": "Hi"}, {"text": "there"}]}]}, path)
    assert call.prompt == "Hi\nthere"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"query=1", "not JSON"),
        (b'{"query": "\xff"}', "not JSON"),
        (b'["q"]', "expected a JSON object"),
        (b'{"query": "a", "query": "b"}', "twice"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        read(body)


def test_without_a_path_only_the_same_body_is_answered() -> None:
    call = read({"query": "q", "a": 1}, ReadOptions())
    assert (call.prompt, call.exact_only, call.turns) == ("", "the rule names no prompt", ())
    assert call == read(b'{"a": 1, "query": "q"}', ReadOptions())
    assert call.parts != read({"query": "Q", "a": 1}, ReadOptions()).parts


def test_where_the_prompt_is_not_there_only_the_same_body_is_answered() -> None:
    for body in ({"ask": "q"}, {"query": 5}):
        call = read(body)
        assert (call.prompt, call.exact_only, call.turns) == ("", "the rule's prompt is not there", ())
        assert call.parts != read(body | {"a": 1}).parts


def test_an_empty_prompt_is_exact_only() -> None:
    assert read({"query": "  "}).exact_only == "empty prompt"
    assert read({"query": "q"}).exact_only == ""


@pytest.mark.parametrize(
    ("body", "content_type", "usage"),
    [
        (b'{"answer": "42"}', "application/json", Usage()),
        (b'[{"answer": "42"}]', "application/json", Usage()),
        (b' {"usage": {"inputTokens": 3, "outputTokens": 4}} ', "application/json; charset=utf-8", Usage(3, 4)),
        (
            b'{"usage": {"prompt_tokens": 3, "input_tokens": 3, "completion_tokens": 4}}',
            "application/json",
            Usage(3, 4),
        ),
        (b"Forty-two", "text/plain", Usage()),
        (
            b'data: {"a": 1}\n\ndata: {"usage": {"input_tokens": 1, "output_tokens": 2}}\n\n',
            "text/event-stream",
            Usage(1, 2),
        ),
    ],
)
def test_an_answer_comes_back_as_it_was(body: bytes, content_type: str, usage: Usage) -> None:
    call = read({"query": "q"})
    answer = GENERIC.assemble(body, content_type, call)
    assert answer == Answer(body, content_type, usage)
    assert GENERIC.replay(answer, call, Replay(0, str)) == Reply(body, content_type)


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"", "application/json", "empty body"),
        (b"\n", "text/plain", "empty body"),
        (b'{"error": {"message": "no"}}', "application/json", "error: no"),
        (b'{"error": "no"}', "text/plain", "error: no"),
        (b'{"answer": "4', "application/json", "not JSON"),
        (b'{"stopReason": "max_tokens", "output": {}}', "application/json", "stopReason max_tokens"),
        (b'{"results": [{"completionReason": "LENGTH"}]}', "application/json", "completionReason LENGTH"),
        (b'event: error\ndata: {"m": 1}\n\n', "text/event-stream", "an error event"),
        (b'data: {"error": "busy"}\n\n', "text/event-stream", "error: busy"),
        (b"\0\0\0\1", "application/vnd.amazon.eventstream", "binary event stream"),
    ],
)
def test_what_is_not_whole_and_good_is_not_stored(body: bytes, content_type: str, message: str) -> None:
    with pytest.raises(Unstorable, match=message):
        GENERIC.assemble(body, content_type, read({"query": "q"}))


JSON = st.recursive(
    st.none() | st.text() | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@settings(max_examples=50, deadline=None)
@given(
    st.binary() | JSON.map(orjson.dumps), st.sampled_from(["application/json", "text/event-stream", "", "text/plain"])
)
def test_nothing_else_is_ever_raised(data: bytes, content_type: str) -> None:
    for body in (data, b'{"query":' + data + b"}"):
        with contextlib.suppress(Unreadable):
            read(body)
    for body in (data, b"data: " + data + b"\n\n"):
        try:
            answer = GENERIC.assemble(body, content_type, read({"query": "q"}))
        except Unstorable:
            continue
        assert answer.body == body
