from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.call import Call, Request, Turn, Unreadable, Unstorable, Usage
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions, Replay

WIRE = wire_format("anthropic-messages")
REPLAY = Replay(now=1_800_000_000.0, fresh_id=lambda prefix: prefix + "fresh")
BASE: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
CALL = Call(wire="anthropic-messages", prompt="", parts={})
STREAMED = replace(CALL, stream=True)
ANSWER: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Paris."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "cache_read_input_tokens": 3, "output_tokens": 30, "service_tier": "standard"},
}


def read(body: dict[str, Any], options: ReadOptions | None = None, path: str = "/v1/messages", **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request("POST", "api.anthropic.com", path, "", named, orjson.dumps(body))
    return WIRE.read(request, options or ReadOptions())


def identity(call: Call) -> bytes:
    return orjson.dumps([call.prompt, call.parts], option=orjson.OPT_SORT_KEYS)


def say(*content: Any, **fields: Any) -> dict[str, Any]:
    return BASE | {"messages": [{"role": "user", "content": list(content)}]} | fields


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words} | fields


def image(data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


def test_read_takes_the_last_words_of_the_user_apart_from_the_rest() -> None:
    call = read(
        {
            "model": "claude-sonnet-5",
            "max_tokens": 64,
            "temperature": 1.0,
            "system": [text("Be brief.", cache_control={"type": "ephemeral"})],
            "tools": [{"name": "f", "input_schema": {}, "cache_control": {"type": "ephemeral"}}],
            "output_config": {"effort": "low"},
            "metadata": {"user_id": "u"},
            "stream": True,
            "messages": [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": [text("Hi!")]},
                {"role": "user", "content": [text("What is the capital of France?")]},
            ],
        },
        anthropic_version="2023-06-01",
        anthropic_beta="b, a",
        x_api_key="secret",
    )
    assert call.prompt == "What is the capital of France?"
    assert call.parts == {
        "model": "claude-sonnet-5",
        "system": "Be brief.",
        "tools": {"tools": [{"name": "f", "input_schema": {}}]},
        "format": {"output_config": {"effort": "low"}},
        "sampling": {"max_tokens": 64, "temperature": 1},
        "history": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}],
        "other": {"metadata": {"user_id": "u"}},
    }
    assert (call.model, call.temperature, call.stream, call.exact_only) == ("claude-sonnet-5", 1.0, True, "")
    assert [(turn.role, turn.text) for turn in call.turns] == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "Hi!"),
        ("user", "What is the capital of France?"),
    ]


@pytest.mark.parametrize(
    "other",
    [
        BASE | {"stream": True},
        say(text("What is the capital of France?")),
        say(text("What is the capital of France?", cache_control={"type": "ephemeral"})),
        BASE | {"cache_control": {"type": "ephemeral"}},
        BASE | {"diagnostics": {"previous_message_id": "msg_1"}},
        dict(reversed(BASE.items())),
    ],
)
def test_what_does_not_matter_leaves_the_identity_alone(other: dict[str, Any]) -> None:
    assert identity(read(other)) == identity(read(BASE))


@pytest.mark.parametrize(
    "other",
    [
        BASE | {"model": "claude-opus-5"},
        BASE | {"system": "Be brief."},
        BASE | {"temperature": 0},
        BASE | {"tools": [{"name": "f"}]},
        BASE | {"tools": [{"name": "f", "input_schema": {"properties": {"cache_control": {"type": "string"}}}}]},
        BASE | {"tools": [{"name": "f", "input_schema": {"properties": {}}}]},
        BASE | {"metadata": {"user_id": "u"}},
        BASE | {"a_new_field": 1},
        BASE | {"messages": [{"role": "assistant", "content": "x"}, *BASE["messages"]]},
        say(text("What is the capital"), text("of France?")),
        say(text("What is the capital of France?"), image("aaaa")),
        say(text("What is the capital of France?"), image("bbbb")),
        say(image("aaaa"), text("What is the capital of France?")),
        say(text("What is the capital of France?"), {"type": "document", "source": {"type": "file", "file_id": "f"}}),
        say(text("What is the capital of France?"), {"type": "tool_result", "tool_use_id": "t", "content": "1"}),
    ],
)
def test_what_matters_changes_the_identity(other: dict[str, Any]) -> None:
    assert identity(read(other)) != identity(read(BASE))


REMINDER = text("<system-reminder>\nToday's date is 2026-11-28.\n</system-reminder>\n\n")
OTHER_DAY = text("<system-reminder>\nToday's date is 2026-11-29.\n</system-reminder>\n\n")
TOOLS = {"role": "system", "content": "These tools can be had: Search"}


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        (say(REMINDER, text("Why?")), "Why?"),
        (say(text("Why?"), REMINDER), "Why?"),
        (say(text("A long document."), text("Why?")), "Why?"),
        (say(text("Why? <system-reminder>x</system-reminder>")), "Why? <system-reminder>x</system-reminder>"),
        (say(text("<system-reminder>x</system-reminder> Why? <system-reminder>y</system-reminder>")), None),
        (say(REMINDER), ""),
    ],
)
def test_the_prompt_is_the_last_text_of_the_users_own(body: dict[str, Any], prompt: str | None) -> None:
    expected = body["messages"][0]["content"][0]["text"] if prompt is None else prompt
    assert read(body).prompt == expected


def test_what_stands_beside_the_prompt_is_to_be_equal() -> None:
    bodies = [
        say(text("Why?")),
        say(REMINDER, text("Why?")),
        say(OTHER_DAY, text("Why?")),
        say(text("Why?"), REMINDER),
        say(text("A document."), text("Why?")),
        say(text("Another document."), text("Why?")),
    ]
    assert len({identity(read(body)) for body in bodies}) == len(bodies)
    assert len({read(body).prompt for body in bodies}) == 1


def test_instructions_behind_the_users_message_leave_its_words_free() -> None:
    def told(*messages: dict[str, Any]) -> dict[str, Any]:
        return BASE | {"messages": list(messages)}

    question = BASE["messages"][0]
    after, before = told(question, TOOLS), told(TOOLS, question)
    call = read(after)
    assert (call.prompt, call.exact_only) == ("What is the capital of France?", "")
    assert call.turns[-1].text == call.prompt
    other = told(question, TOOLS | {"content": "There are no tools"})
    assert len({identity(read(body)) for body in (after, before, BASE, other, told(question, TOOLS, TOOLS))}) == 5
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]}
    assert read(told(question, result, TOOLS)).exact_only == "tool result in the last turn"


def test_two_texts_are_not_mistaken_for_two_others() -> None:
    assert identity(read(say(text("a\nb"), text("c")))) != identity(read(say(text("a"), text("b\nc"))))


def test_files_are_kept_as_their_hash() -> None:
    call = read(say(text("What is this?"), image("aGVsbG8=")))
    assert call.parts["media"]["content"] == [text(""), image("sha256:" + sha256(b"aGVsbG8=").hexdigest())]
    assert call.prompt == "What is this?"
    nested = say({"type": "tool_result", "tool_use_id": "t", "content": [image("aGVsbG8=")]})
    assert b"aGVsbG8=" not in identity(read(nested))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (say(text("x"), image("a")), "media in the last message"),
        (say({"type": "tool_result", "tool_use_id": "t"}), "tool result in the last turn"),
        (
            BASE
            | {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
                    {"role": "user", "content": "Go on"},
                ]
            },
            "tool result in the last turn",
        ),
        (BASE | {"messages": [*BASE["messages"], {"role": "assistant", "content": "It is"}]}, "begun by the caller"),
        (BASE | {"messages": [{"role": "system", "content": "x"}]}, "not from the user"),
        (say(text(" \n")), "no text in the last message"),
        (say(text("x"), {"type": "new_kind"}), "new_kind block in the last message"),
        (BASE | {"container": "c_1"}, "state kept by the provider: container"),
        (BASE | {"thread": {"id": "t"}}, "state kept by the provider: thread"),
    ],
)
def test_exact_only(body: dict[str, Any], reason: str) -> None:
    assert reason in read(body).exact_only


def test_the_rule_may_say_where_the_prompt_is() -> None:
    body = say(text("<context>"), text("What is the capital of France?"))
    options = ReadOptions(prompt=lambda value: [(("messages", 0, "content", 1, "text"), "")])
    call = read(body, options)
    assert call.prompt == "What is the capital of France?"
    assert b"<context>" in orjson.dumps(call.parts)
    assert identity(call) != identity(read(say(text("<other>"), text("What is the capital of France?")), options))
    whole = ReadOptions(prompt=lambda value: [(("messages", 0, "content"), "")])
    assert identity(read(BASE, whole)) == identity(read(BASE))
    assert read(BASE, ReadOptions(prompt=lambda value: [])) == read(BASE)


def test_the_rule_may_say_what_to_ignore() -> None:
    options = ReadOptions(ignore=[lambda value: [(("metadata",), 0)] if "metadata" in value else []])
    assert identity(read(BASE | {"metadata": {"user_id": "u"}}, options)) == identity(read(BASE, options))


def test_on_vertex_the_model_is_in_the_path() -> None:
    body = {name: value for name, value in BASE.items() if name != "model"} | {"anthropic_version": "vertex-2023-10-16"}
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-5@20260101:"
    once, streamed = read(body, path=path + "rawPredict"), read(body | {"stream": True}, path=path + "streamRawPredict")
    assert (once.model, once.stream, streamed.stream) == ("claude-sonnet-5@20260101", False, True)
    assert identity(once) == identity(streamed)
    assert once.endpoint == streamed.endpoint == path.removesuffix(":")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"model":"m"}',
        b'{"model":"m","messages":[]}',
        b'{"model":"m","messages":{}}',
        b'{"model":1,"messages":[{"role":"user","content":"x"}]}',
        b'{"messages":[{"role":"user","content":"x"}]}',
        b'{"model":"m","messages":[{"content":"x"}]}',
        b'{"model":"m","messages":[{"role":"user"}]}',
        b'{"model":"m","messages":[{"role":"user","content":1}]}',
        b'{"model":"m","messages":[{"role":"user","content":["x"]}]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}',
        b'{"model":"m","system":1,"messages":[{"role":"user","content":"x"}]}',
        b'{"model":"m","model":"n","messages":[{"role":"user","content":"x"}]}',
    ],
)
def test_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        WIRE.read(Request("POST", "h", "/v1/messages", "", {}, body), ReadOptions())


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events)


START = {
    "type": "message_start",
    "message": ANSWER | {"content": [], "stop_reason": None, "usage": ANSWER["usage"] | {"output_tokens": 1}},
}
END = (
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 30, "input_tokens": None},
    },
    {"type": "message_stop"},
)


def block(index: int, opening: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": opening},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def test_assemble_every_kind_of_block() -> None:
    citation = {"type": "char_location", "cited_text": "x", "document_index": 0}
    stream = sse(
        START,
        {"type": "ping"},
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Let me "},
            {"type": "thinking_delta", "thinking": "see"},
            {"type": "signature_delta", "signature": "EqQB"},
        ),
        *block(1, {"type": "redacted_thinking", "data": "xyz"}),
        *block(
            2,
            {"type": "text", "text": "", "citations": []},
            {"type": "citations_delta", "citation": citation},
            {"type": "text_delta", "text": "Pa"},
            {"type": "text_delta", "text": "ris"},
        ),
        *block(
            3,
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"query": "ca'},
            {"type": "input_json_delta", "partial_json": 'pital"}'},
        ),
        *block(4, {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]}),
        *block(
            5,
            {"type": "tool_use", "id": "t", "name": "now", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
        ),
        *END,
    )
    answer = WIRE.assemble(stream, "text/event-stream; charset=utf-8", STREAMED)
    assert orjson.loads(answer.body) == ANSWER | {
        "content": [
            {"type": "thinking", "thinking": "Let me see", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "xyz"},
            {"type": "text", "text": "Paris", "citations": [citation]},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "capital"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]},
            {"type": "tool_use", "id": "t", "name": "now", "input": {}},
        ]
    }
    assert answer.usage == Usage(15, 30)
    assert answer.content_type == "application/json"


@pytest.mark.parametrize("early", [{}, {"usage": None}, {"usage": {"input_tokens": 7}}])
@pytest.mark.parametrize("late", [{}, {"usage": None}, {"usage": {"output_tokens": None}}])
def test_a_stream_that_does_not_tell_its_usage_is_kept(early: dict[str, Any], late: dict[str, Any]) -> None:
    start = {"type": "message_start", "message": {**START["message"], **early}}
    if not early:
        del start["message"]["usage"]
    call = replace(STREAMED, turns=(Turn("user", "Say hello"),))
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, **late}
    answer = WIRE.assemble(sse(start, *HELLO, end, END[1]), "text/event-stream", call)
    told = orjson.loads(answer.body)["usage"]
    assert answer.usage == Usage(told["input_tokens"], told["output_tokens"])
    assert told["input_tokens"] == 7 if early.get("usage") else told["input_tokens"] > 0
    assert told["output_tokens"] > 0  # as we count it
    # both forms of a hit tell a client's SDK what it reads
    replayed = WIRE.replay(answer, call, REPLAY).body
    assert b'"output_tokens":%d' % told["output_tokens"] in replayed.rpartition(b"message_delta")[2]
    assert orjson.loads(WIRE.replay(answer, CALL, REPLAY).body)["usage"] == told


def test_a_whole_answer_without_usage_is_kept() -> None:
    answer = WIRE.assemble(orjson.dumps(ANSWER | {"usage": None}), "application/json", CALL)
    assert orjson.loads(answer.body)["usage"].keys() == {"input_tokens", "output_tokens"}


HELLO = block(0, text(""), {"type": "text_delta", "text": "Hello"})


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no message_stop"),
        (sse(START, *HELLO, END[0]), "no message_stop"),
        (sse(START, *HELLO[:-1], *END), "not ended"),
        (sse(START, *HELLO, {"type": "error", "error": {"type": "overloaded_error"}}, *END), "overloaded_error"),
        (sse(*HELLO, *END), "before message_start"),
        (sse(START, *END), "empty answer"),
        (sse(START, *block(0, text(""), {"type": "new_delta"}), *END), "unknown delta"),
        (
            sse(START, *HELLO, {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {}}, END[1]),
            "max_tokens",
        ),
        (sse(START, *HELLO, END[1]), "stop_reason None"),
        (
            sse(
                START,
                *block(0, {"type": "tool_use", "input": {}}, {"type": "input_json_delta", "partial_json": '{"a'}),
                *END,
            ),
            "whole",
        ),
        (b'{"type":"error","error":{"type":"overloaded_error"}}', "expected a message, found error"),
        (orjson.dumps(ANSWER | {"stop_reason": "refusal"}), "refusal"),
        (orjson.dumps(ANSWER | {"stop_reason": "pause_turn"}), "pause_turn"),
        (orjson.dumps(ANSWER | {"stop_reason": "model_context_window_exceeded"}), "model_context_window_exceeded"),
        (orjson.dumps(ANSWER | {"content": []}), "empty answer"),
        (orjson.dumps(ANSWER | {"content": [text(" ")]}), "empty answer"),
        (orjson.dumps(ANSWER | {"content": [{"type": "thinking", "thinking": "x"}]}), "empty answer"),
        (orjson.dumps(ANSWER | {"container": {"id": "c"}}), "container"),
        (
            orjson.dumps(
                ANSWER
                | {
                    "content": [
                        {"type": "web_search_tool_result", "content": {"type": "web_search_tool_result_error"}},
                        text("Sorry"),
                    ]
                }
            ),
            "a tool at the provider failed",
        ),
        (orjson.dumps(ANSWER)[:-1], "whole"),
    ],
)
def test_unstorable(body: bytes, why: str) -> None:
    with pytest.raises(Unstorable, match=why):
        WIRE.assemble(body, "", CALL)


def test_replay_as_json_has_a_fresh_id() -> None:
    answer = WIRE.assemble(orjson.dumps(ANSWER), "application/json", CALL)
    reply = WIRE.replay(answer, CALL, REPLAY)
    assert orjson.loads(reply.body) == ANSWER | {"id": "msg_fresh"}
    assert (reply.status, reply.content_type) == (200, "application/json")


@pytest.mark.parametrize("call", [CALL, STREAMED])
def test_a_hit_does_not_tell_what_the_provider_s_cache_missed_at_another_call(call: Call) -> None:
    told = {"diagnostics": {"cache_miss_reason": {"type": "system_changed"}}}
    replayed = WIRE.replay(WIRE.assemble(orjson.dumps(ANSWER | told), "application/json", CALL), call, REPLAY).body
    assert b'"diagnostics":null' in replayed
    assert b"diagnostics" not in WIRE.replay(WIRE.assemble(orjson.dumps(ANSWER), "", CALL), call, REPLAY).body


def test_replay_as_stream_is_the_providers_sequence() -> None:
    message = ANSWER | {
        "content": [
            text("Paris", citations=[{"type": "char_location"}]),
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
    }
    answer = WIRE.assemble(orjson.dumps(message), "application/json", CALL)
    reply = WIRE.replay(answer, STREAMED, REPLAY)
    assert reply.content_type == "text/event-stream"
    lines = reply.body.decode().split("\n\n")
    assert lines.pop() == ""
    names, data = zip(*(line.split("\n") for line in lines), strict=True)
    events = [orjson.loads(item.removeprefix("data: ")) for item in data]
    assert [name.removeprefix("event: ") for name in names] == [event["type"] for event in events]
    assert [event["type"] for event in events if event.get("delta", {}).get("type") != "input_json_delta"] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["message"] == message | {
        "id": "msg_fresh",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 12, "cache_read_input_tokens": 3, "output_tokens": 1, "service_tier": "standard"},
    }
    assert events[1]["content_block"] == {"type": "text", "text": "", "citations": []}
    assert events[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"input_tokens": 12, "cache_read_input_tokens": 3, "output_tokens": 30},
    }


def test_usage_may_be_zero_on_a_hit() -> None:
    answer = WIRE.assemble(orjson.dumps(ANSWER), "application/json", CALL)
    reply = WIRE.replay(answer, CALL, replace(REPLAY, zero_usage=True))
    assert orjson.loads(reply.body)["usage"] == {
        "input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        "service_tier": "standard",
    }


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(min_size=1), values, max_size=3)
citations = st.fixed_dictionaries({"type": st.just("page_location"), "cited_text": st.text()})
blocks = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": st.text()},
        optional={"citations": st.none() | st.lists(citations, max_size=3), "extra": values},
    ),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": st.text(), "signature": st.text()}),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": st.text()}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["tool_use", "server_tool_use", "mcp_tool_use"]),
            "id": st.text(),
            "name": st.text(),
            "input": objects,
        },
        optional={"caller": objects},
    ),
    st.fixed_dictionaries({"type": st.just("web_search_tool_result"), "content": st.lists(objects, max_size=2)}),
    st.fixed_dictionaries(
        {"type": st.just("compaction"), "content": st.none() | st.text()}, optional={"encrypted_content": st.text()}
    ),
    st.fixed_dictionaries({"type": st.just("of_next_year"), "data": values}),
)
counts = st.integers(0, 10**6)
messages = st.fixed_dictionaries(
    {
        "id": st.just("msg_1"),
        "type": st.just("message"),
        "role": st.just("assistant"),
        "model": st.just("claude-sonnet-5"),
        "content": st.lists(blocks, max_size=3).map(lambda more: [*more, text("end")]),
        "stop_reason": st.sampled_from(["end_turn", "stop_sequence", "tool_use"]),
        "stop_sequence": st.none() | st.text(),
        "usage": st.fixed_dictionaries(
            {"input_tokens": counts, "output_tokens": counts},
            optional={
                "cache_read_input_tokens": counts | st.none(),
                "server_tool_use": st.none() | st.fixed_dictionaries({"web_search_requests": counts}),
                "service_tier": st.just("standard"),
                "iterations": st.lists(objects, max_size=2),
            },
        ),
    },
    optional={
        "stop_details": st.none(),
        "container": st.none(),
        "context_management": st.none() | objects.filter(bool),
        "input_transformations": st.lists(objects, max_size=2),
    },
)


@given(messages, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
def test_a_stream_says_what_the_json_says(message: dict[str, Any], line_end: bytes, commented: bool) -> None:
    answer = WIRE.assemble(orjson.dumps(message), "application/json", CALL)
    body = WIRE.replay(answer, STREAMED, REPLAY).body.replace(b"\n", line_end)
    if commented:
        body = b": hello" + line_end * 2 + body.replace(b"event: ping", b": x" + line_end + b"event: ping")
    again = WIRE.assemble(body, "text/event-stream", STREAMED)
    assert orjson.loads(again.body) == message | {"id": "msg_fresh"}
    assert again.usage == answer.usage


def test_no_beginning_of_a_stream_is_stored() -> None:
    answer = WIRE.assemble(orjson.dumps(ANSWER), "application/json", CALL)
    body = WIRE.replay(answer, STREAMED, REPLAY).body
    for end in range(len(body) - len(b'data: {"type":"message_stop"}\n\n')):
        with pytest.raises(Unstorable):
            WIRE.assemble(body[:end], "text/event-stream", STREAMED)
