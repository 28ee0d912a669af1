from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.call import Answer, Call, Request, Unreadable, Unstorable, Usage
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions, Replay

WIRE = wire_format("ollama")
REPLAY = Replay(now=1_800_000_000.5, fresh_id=lambda prefix: prefix + "fresh")
THEN, NOW = "2026-11-20T09:12:04.123456789Z", "2027-01-15T08:00:00.500000000Z"
CALL = Call(wire="ollama", prompt="", parts={})
STREAMED = replace(CALL, stream=True)
CHAT: dict[str, Any] = {"model": "llama4", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
GENERATE: dict[str, Any] = {"model": "llama4", "prompt": "What is the capital of France?"}
STATS = {"done_reason": "stop", "done": True, "total_duration": 5, "prompt_eval_count": 26, "eval_count": 3}
CHAT_ANSWER: dict[str, Any] = {
    "model": "llama4",
    "created_at": THEN,
    "message": {"role": "assistant", "content": "Paris."},
    **STATS,
}
GENERATE_ANSWER: dict[str, Any] = {
    "model": "llama4",
    "created_at": THEN,
    "response": "Paris.",
    "context": [1, 2],
    **STATS,
}


def read(body: Any, path: str = "/api/chat", options: ReadOptions | None = None) -> Call:
    return WIRE.read(Request("POST", "localhost", path, "", {}, orjson.dumps(body)), options or ReadOptions())


def identity(call: Call) -> bytes:
    return orjson.dumps([call.prompt, call.parts], option=orjson.OPT_SORT_KEYS)


def say(**fields: Any) -> dict[str, Any]:
    return CHAT | {"messages": [CHAT["messages"][0] | fields]}


def keep(answer: Any) -> Answer:
    return WIRE.assemble(orjson.dumps(answer), "application/json; charset=utf-8", CALL)


def lines(*values: Any) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


@pytest.mark.parametrize("thinking", [{"thinking": None}, {"thinking": ""}, {"content": None}, {"tool_calls": None}])
def test_null_is_nothing(thinking: dict[str, Any]) -> None:
    said = [{"role": "assistant", "content": text} for text in ("Par", "is.")]
    stream = lines(
        *({"model": "llama4", "created_at": THEN, "message": one, "done": False} for one in said),
        {"model": "llama4", "created_at": THEN, "message": {"role": "assistant", "content": "", **thinking}, **STATS},
    )
    assert orjson.loads(WIRE.assemble(stream, "application/x-ndjson", STREAMED).body) == CHAT_ANSWER


def test_an_answer_of_null_beside_a_tool_call_is_kept_and_replayed() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    answer = CHAT_ANSWER | {"message": {"role": "assistant", "content": None, "thinking": None, "tool_calls": [call]}}
    stream = WIRE.replay(keep(answer), STREAMED, REPLAY).body
    again = orjson.loads(WIRE.assemble(stream, "application/x-ndjson", STREAMED).body)
    assert again["message"]["tool_calls"] == [call]
    assert not again["message"]["content"]


def test_a_reply_is_escaped_as_ollama_s_own() -> None:
    """Go's `encoding/json` escapes what could end a script or a line of JavaScript."""
    kept = keep(CHAT_ANSWER | {"message": {"role": "assistant", "content": "<b>\u2028</b> & \u0085é"}})
    for call in (CALL, STREAMED):
        body = WIRE.replay(kept, call, REPLAY).body
        assert b"\\u003c" in body
        assert not set("<>&\u2028\u0085") & set(body.decode())
        assert "é" in body.decode()
        whole = WIRE.assemble(body, "application/x-ndjson", call)
        assert orjson.loads(whole.body)["message"]["content"] == "<b>\u2028</b> & \u0085é"


def test_read_a_chat() -> None:
    call = read(
        {
            "model": "llama4",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hello", "images": []},
                {"role": "assistant", "content": "Hi!"},
                {"role": "user", "content": "What is the capital of France?"},
            ],
            "options": {"temperature": 0.0, "seed": 7},
            "format": "json",
            "think": True,
            "tools": [],
            "keep_alive": "5m",
            "stream": False,
        }
    )
    assert call.prompt == "What is the capital of France?"
    assert call.parts == {
        "model": "llama4",
        "system": {"role": "system", "content": "Be brief."},
        "history": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}],
        "format": {"format": "json"},
        "sampling": {"think": True, "options": {"temperature": 0, "seed": 7}},
        "tools": {"tools": []},
    }
    assert (call.model, call.temperature, call.stream, call.exact_only) == ("llama4", 0.0, False, "")


def test_read_a_prompt() -> None:
    call = read(GENERATE | {"system": "Be brief.", "context": [1, 2], "raw": False}, "/api/generate")
    assert call.prompt == "What is the capital of France?"
    assert call.parts == {
        "model": "llama4",
        "system": {"system": "Be brief.", "raw": False},
        "history": {"context": [1, 2]},
    }
    assert (call.stream, call.exact_only) == (True, "")
    assert [(turn.role, turn.text) for turn in call.turns] == [("system", "Be brief."), ("user", call.prompt)]


def test_it_streams_unless_told_otherwise() -> None:
    assert [read(CHAT | fields).stream for fields in ({}, {"stream": True}, {"stream": False})] == [True, True, False]
    assert identity(read(CHAT)) == identity(read(CHAT | {"stream": False, "keep_alive": 0}))


@pytest.mark.parametrize(
    "other",
    [
        CHAT | {"model": "llama5"},
        CHAT | {"options": {"temperature": 0}},
        CHAT | {"format": "json"},
        CHAT | {"think": False},
        CHAT | {"new_field": 1},
        say(images=["aGVsbG8="]),
        say(images=["d29ybGQ="]),
        CHAT | {"messages": [{"role": "system", "content": "x"}, *CHAT["messages"]]},
    ],
)
def test_what_matters_changes_the_identity(other: dict[str, Any]) -> None:
    assert identity(read(other)) != identity(read(CHAT))


@pytest.mark.parametrize(
    "fields", [{"system": "x"}, {"context": [1]}, {"template": "x"}, {"raw": True}, {"suffix": "x"}]
)
def test_what_matters_beside_a_prompt_changes_the_identity(fields: dict[str, Any]) -> None:
    assert identity(read(GENERATE | fields, "/api/generate")) != identity(read(GENERATE, "/api/generate"))


def test_no_field_takes_the_place_of_another() -> None:
    asked = [{"role": "system", "content": "x"}, CHAT["messages"][0] | {"images": ["a"]}]
    for name in ("system", "template", "context", "images", "history", "media", "options"):
        other = {"model": "llama4", "messages": asked, name: {"y": 1}}
        assert identity(read(other)) != identity(read({"model": "llama4", "messages": asked})), name


def test_images_are_kept_as_their_hash() -> None:
    hashed = ["sha256:" + sha256(b"aGVsbG8=").hexdigest()]
    assert read(say(images=["aGVsbG8="])).parts["media"] == {"role": "user", "content": "", "images": hashed}
    assert read(GENERATE | {"images": ["aGVsbG8="]}, "/api/generate").parts["media"] == {"images": hashed}


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/api/chat", say(images=["aGVsbG8="]), "media in the last message"),
        ("/api/chat", say(role="tool"), "tool result in the last turn"),
        ("/api/chat", say(role="assistant"), "not from the user"),
        ("/api/chat", say(content=" "), "no text in the last message"),
        ("/api/generate", GENERATE | {"images": ["aGVsbG8="]}, "media"),
        ("/api/generate", GENERATE | {"raw": True}, "raw"),
        ("/api/generate", GENERATE | {"suffix": "}"}, "gap"),
    ],
)
def test_exact_only(path: str, body: dict[str, Any], reason: str) -> None:
    assert reason in read(body, path).exact_only


def test_the_rule_may_say_where_the_prompt_is() -> None:
    options = ReadOptions(prompt=lambda value: [(("system",), "x")])
    call = read(GENERATE | {"system": "Why?"}, "/api/generate", options)
    assert call.prompt == "Why?"
    assert call.parts["other"] == {"prompt": "What is the capital of France?"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", b""),
        ("/api/chat", b"{}"),
        ("/api/chat", b'{"model":"m","messages":[]}'),
        ("/api/chat", b'{"model":"m","messages":[{"role":"user","content":["x"]}]}'),
        ("/api/chat", b'{"model":"m","messages":[{"role":"user","content":"x","images":[1]}]}'),
        ("/api/chat", b'{"model":"m","messages":[{"role":"user","content":"x","images":{}}]}'),
        ("/api/chat", b'{"model":"m","messages":[{"role":"user","content":"x","images":""}]}'),
        ("/api/chat", b'{"model":"m","messages":[{"role":"user","content":"x","images":false}]}'),
        ("/api/chat", b'{"model":"m","options":[],"messages":[1]}'),
        ("/api/generate", b'{"model":"m","keep_alive":0}'),
        ("/api/generate", b'{"model":"m","prompt":""}'),
        ("/api/generate", b'{"model":"m","prompt":1}'),
        ("/api/embed", b'{"model":"m","input":"x"}'),
    ],
)
def test_unreadable(path: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        WIRE.read(Request("POST", "h", path, "", {}, body), ReadOptions())


def test_assemble_a_chat() -> None:
    def line(**message: Any) -> dict[str, Any]:
        return {"model": "llama4", "created_at": THEN, "message": {"role": "assistant", "content": "", **message}}

    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    stream = lines(
        line(thinking="Let me ") | {"done": False},
        line(thinking="see") | {"done": False},
        line(content="Par") | {"done": False, "logprobs": [{"token": "Par"}]},
        line(content="is.") | {"done": False, "logprobs": [{"token": "is."}]},
        line(tool_calls=[call]) | {"done": False},
        line() | STATS,
    )
    answer = WIRE.assemble(stream, "application/x-ndjson", STREAMED)
    assert orjson.loads(answer.body) == CHAT_ANSWER | {
        "message": {"role": "assistant", "content": "Paris.", "thinking": "Let me see", "tool_calls": [call]},
        "logprobs": [{"token": "Par"}, {"token": "is."}],
    }
    assert answer.usage == Usage(26, 3)
    assert answer.content_type == "application/json; charset=utf-8"


def test_assemble_a_completion() -> None:
    head = {"model": "llama4", "created_at": THEN}
    stream = lines(
        head | {"response": "", "thinking": "hm", "done": False},
        head | {"response": "Par", "done": False},
        head | {"response": "is.", "done": False},
        head | {"response": "", "context": [1, 2], **STATS},
    )
    answer = WIRE.assemble(stream.replace(b"\n", b"\r\n\r\n"), "application/x-ndjson", STREAMED)
    assert orjson.loads(answer.body) == GENERATE_ANSWER | {"thinking": "hm"}


def called(arguments: Any) -> dict[str, Any]:
    """An answer with a tool call; some servers that speak as Ollama does write the arguments as a text."""
    call = {"function": {"name": "f", "arguments": arguments}}
    return CHAT_ANSWER | {"message": {"role": "assistant", "content": "", "tool_calls": [call]}}


def test_arguments_that_are_a_text_are_replayed_as_one() -> None:
    kept = WIRE.assemble(lines(called('{"a": 1.50}')), "application/json", CALL)
    assert orjson.loads(kept.body)["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": 1.50}'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty body"),
        (lines(CHAT_ANSWER | {"done": False}), "cut off"),
        (lines(CHAT_ANSWER | {"done": False}, CHAT_ANSWER)[:-5], "whole"),
        (lines(CHAT_ANSWER | {"done": False}, {"error": "boom"}), "boom"),
        (lines({"error": "boom"}), "boom"),
        (lines(CHAT_ANSWER | {"done_reason": "length"}), "length"),
        (lines(CHAT_ANSWER | {"done_reason": "load"}), "load"),
        (lines(CHAT_ANSWER | {"message": {"role": "assistant", "content": ""}}), "empty answer"),
        (lines(GENERATE_ANSWER | {"response": " "}), "empty answer"),
        (lines({"done": True}), "empty answer"),
        (lines({"done": True, "response": 5}), "no text"),
        *((lines(called(bad)), "a tool call's arguments are not JSON") for bad in ('{"a": 1', '{"a": 1}{"b": 2}')),
    ],
)
def test_unstorable(body: bytes, why: str) -> None:
    with pytest.raises(Unstorable, match=why):
        WIRE.assemble(body, "", CALL)


@pytest.mark.parametrize("answer", [CHAT_ANSWER, GENERATE_ANSWER])
def test_replay_as_json_has_a_fresh_time(answer: dict[str, Any]) -> None:
    reply = WIRE.replay(keep(answer), CALL, REPLAY)
    assert orjson.loads(reply.body) == answer | {"created_at": NOW}
    assert reply.content_type == "application/json; charset=utf-8"


def test_replay_as_stream_is_the_providers_lines() -> None:
    head = {"model": "llama4", "created_at": NOW}
    reply = WIRE.replay(keep(CHAT_ANSWER), STREAMED, REPLAY)
    assert reply.content_type == "application/x-ndjson"
    assert reply.body == lines(
        head | {"message": {"role": "assistant", "content": "Paris"}, "done": False},
        head | {"message": {"role": "assistant", "content": "."}, "done": False},
        head | {"message": {"role": "assistant", "content": ""}, **STATS},
    )
    assert WIRE.replay(keep(GENERATE_ANSWER), STREAMED, REPLAY).body == lines(
        head | {"response": "Paris", "done": False},
        head | {"response": ".", "done": False},
        head | {"response": "", "context": [1, 2], **STATS},
    )


def test_usage_may_be_zero_on_a_hit() -> None:
    reply = orjson.loads(WIRE.replay(keep(CHAT_ANSWER), CALL, replace(REPLAY, zero_usage=True)).body)
    assert (reply["prompt_eval_count"], reply["eval_count"], reply["total_duration"]) == (0, 0, 5)


words = st.text(min_size=1)
content = st.text().map(lambda text: text + "end")
stats = {"done": st.just(True), "done_reason": st.just("stop"), "eval_count": st.integers(0, 99)}
logprobs = st.lists(st.fixed_dictionaries({"token": st.text(), "logprob": st.floats(-9, 0)}), min_size=1, max_size=3)
chats = st.fixed_dictionaries(
    {
        "model": st.text(),
        "created_at": st.just(NOW),
        "message": st.fixed_dictionaries(
            {"role": st.just("assistant"), "content": content},
            optional={
                "thinking": words,
                "tool_calls": st.lists(st.dictionaries(words, words), min_size=1, max_size=2),
                "extra": words,
            },
        ),
        **stats,
    },
    optional={"logprobs": logprobs, "remote_model": words, "load_duration": st.integers(0, 9)},
)
completions = st.fixed_dictionaries(
    {"model": st.text(), "created_at": st.just(NOW), "response": content, **stats},
    optional={"thinking": words, "context": st.lists(st.integers(0, 9)), "logprobs": logprobs},
)


@given(chats | completions, st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
def test_a_stream_says_what_the_json_says(answer: dict[str, Any], line_end: bytes) -> None:
    body = WIRE.replay(keep(answer), STREAMED, REPLAY).body.replace(b"\n", line_end)
    again = WIRE.assemble(body, "application/x-ndjson", STREAMED)
    assert orjson.loads(again.body) == answer
    assert again.usage == Usage(0, answer["eval_count"])


def test_no_beginning_of_a_stream_is_stored() -> None:
    for answer in (CHAT_ANSWER, GENERATE_ANSWER):
        body = WIRE.replay(keep(answer), STREAMED, REPLAY).body
        for end in range(len(body) - 1):
            with pytest.raises(Unstorable):
                WIRE.assemble(body[:end], "application/x-ndjson", STREAMED)


@pytest.mark.parametrize("wrong", [[], "", 0, False])
def test_options_that_are_none_cannot_be_read(wrong: Any) -> None:
    with pytest.raises(Unreadable, match=r"^options: expected an object$"):
        read(CHAT | {"options": wrong})
    assert identity(read(CHAT | {"options": {}})) == identity(read(CHAT | {"options": None})) == identity(read(CHAT))
