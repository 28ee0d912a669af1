"""OpenAI's chat completions: what is read, what is stored, what comes back."""

import base64
import dataclasses
import itertools
import random
import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from askonce.call import Answer, Call, Request, Unreadable, Unstorable, Usage
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import sse, wire_format
from askonce.wire.base import ReadOptions, Replay

Json = dict[str, Any]

CHAT = wire_format("openai-chat")
SSE = "text/event-stream"
NOW = 1_800_000_000.5
USER = {"role": "user", "content": "What is the capital of France?"}
SYSTEM = {"role": "system", "content": "Be brief."}


def read(body: Any, options: ReadOptions = ReadOptions()) -> Call:  # noqa: B008 - frozen
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return CHAT.read(Request("POST", "api.openai.com", "/v1/chat/completions", "", {}, data), options)


def ask(*messages: Json, **fields: Any) -> Call:
    return read({"model": "gpt-4o", "messages": list(messages) or [USER], **fields})


def key(call: Call) -> tuple[bytes, str]:
    """What decides whether two calls are the same."""
    return orjson.dumps(dict(call.parts), option=orjson.OPT_SORT_KEYS), call.prompt


def parts(*texts: str) -> list[Json]:
    return [{"type": "text", "text": text} for text in texts]


def fresh() -> Replay:
    numbers = itertools.count(1)
    return Replay(NOW, lambda prefix: f"{prefix}fresh{next(numbers)}")


# --- read -----------------------------------------------------------------------------------------------------------


def test_a_call_is_split_into_prompt_and_parts() -> None:
    call = read(
        {
            "model": "gpt-4o",
            "messages": [SYSTEM, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}, USER],
            "temperature": 1.0,
            "seed": 7,
            "response_format": {"type": "json_object"},
            "n": 2,
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "user": "u1",
            "brand_new": True,
            "stream": True,
            "stream_options": {"include_usage": True, "include_obfuscation": False},
        },
        ReadOptions(ignore=(parse_jsonpath("$.user"),)),
    )
    assert call.prompt == "What is the capital of France?"
    assert call.parts == {
        "model": "gpt-4o",
        "system": [SYSTEM],
        "history": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}, {"role": "user"}],
        "tools": {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "format": {"response_format": {"type": "json_object"}, "n": 2},
        "sampling": {"temperature": 1, "seed": 7},
        "other": {"brand_new": True},
    }
    assert (call.wire, call.model, call.temperature) == ("openai-chat", "gpt-4o", 1.0)
    assert (call.stream, call.include_usage, call.exact_only) == (True, True, "")
    assert [(turn.role, turn.text) for turn in call.turns] == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello!"),
        ("user", "What is the capital of France?"),
    ]


def test_the_shape_of_the_reply_is_not_part_of_the_call() -> None:
    plain = key(ask())
    assert plain == key(ask(stream=True))
    assert plain == key(ask(stream=False))
    assert plain == key(ask(stream=True, stream_options={"include_usage": True}))
    assert not ask(stream=False, stream_options={"include_usage": True}).include_usage


def test_writing_does_not_matter() -> None:
    one = b'{"model":"m","temperature":1,"messages":[{"role":"user","content":"caf\xc3\xa9"}]}'
    other = b'{ "messages": [ {"content": "caf\\u00e9", "role": "user"} ],\n "temperature": 1.0, "model": "m" }'
    assert key(read(one)) == key(read(other))


def test_a_single_text_part_is_a_string() -> None:
    assert key(ask({"role": "user", "content": parts("Hi")})) == key(ask({"role": "user", "content": "Hi"}))


DIFFERENT: dict[str, Json] = {
    "plain": {},
    "model": {"model": "gpt-4o-mini"},
    "no model": {"model": ""},
    "system": {"messages": [SYSTEM, USER]},
    "developer": {"messages": [SYSTEM | {"role": "developer"}, USER]},
    "system twice": {"messages": [SYSTEM, SYSTEM, USER]},
    "system between": {"messages": [USER, SYSTEM, USER]},
    "system before": {"messages": [SYSTEM, USER, USER]},
    "system after": {"messages": [USER, USER, SYSTEM]},
    "earlier turn": {"messages": [USER, {"role": "assistant", "content": "Paris"}, USER]},
    "other earlier turn": {"messages": [USER, {"role": "assistant", "content": "Rome"}, USER]},
    "name": {"messages": [USER | {"name": "ann"}]},
    "two parts": {"messages": [USER | {"content": parts("a", "b\nc")}]},
    "two other parts": {"messages": [USER | {"content": parts("a\nb", "c")}]},
    "one long part": {"messages": [USER | {"content": "a\nb\nc"}]},
    "image": {
        "messages": [USER | {"content": [*parts("a"), {"type": "image_url", "image_url": {"url": "https://a"}}]}]
    },
    "image first": {
        "messages": [USER | {"content": [{"type": "image_url", "image_url": {"url": "https://a"}}, *parts("a")]}]
    },
    "other image": {
        "messages": [USER | {"content": [*parts("a"), {"type": "image_url", "image_url": {"url": "https://b"}}]}]
    },
    "detail": {
        "messages": [
            USER | {"content": [*parts("a"), {"type": "image_url", "image_url": {"url": "https://a", "detail": "low"}}]}
        ]
    },
    "data image": {
        "messages": [
            USER | {"content": [*parts("a"), {"type": "image_url", "image_url": {"url": "data:;base64,AAAA"}}]}
        ]
    },
    "other data image": {
        "messages": [
            USER | {"content": [*parts("a"), {"type": "image_url", "image_url": {"url": "data:;base64,AAAB"}}]}
        ]
    },
    "audio": {
        "messages": [USER | {"content": [*parts("a"), {"type": "input_audio", "input_audio": {"data": "A" * 5000}}]}]
    },
    "other audio": {
        "messages": [
            USER | {"content": [*parts("a"), {"type": "input_audio", "input_audio": {"data": "A" * 4999 + "B"}}]}
        ]
    },
    "temperature": {"temperature": 0},
    "other temperature": {"temperature": 0.5},
    "seed": {"seed": 1},
    "n": {"n": 2},
    "stop": {"stop": ["\n"]},
    "stop string": {"stop": "\n"},
    "tools": {"tools": [{"type": "function", "function": {"name": "f"}}]},
    "other tools": {"tools": [{"type": "function", "function": {"name": "g"}}]},
    "tool choice": {"tool_choice": "none"},
    "format": {"response_format": {"type": "json_object"}},
    "max_tokens": {"max_tokens": 5},
    "max_completion_tokens": {"max_completion_tokens": 5},
    "logprobs": {"logprobs": True},
    "reasoning": {"reasoning_effort": "low"},
    "user": {"user": "u"},
    "unknown": {"brand_new": 0},
    "unknown null": {"brand_new": None},
    "prediction": {"prediction": {"type": "content", "content": "x"}},
    "tool result": {
        "messages": [
            USER,
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "5"},
        ]
    },
    "other tool result": {
        "messages": [
            USER,
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "6"},
        ]
    },
}


INSTRUCTS = {"role": "system", "content": "Give edits as whole files."}


@pytest.mark.parametrize("role", ["system", "developer"])
def test_what_instructs_behind_a_question_is_no_prompt(role: str) -> None:
    after = INSTRUCTS | {"role": role}
    call = ask(SYSTEM, USER, after, after)
    assert (call.prompt, call.exact_only) == (USER["content"], "")
    assert [turn.role for turn in call.turns] == ["system", "user", role, role]
    assert call.parts == ask(SYSTEM, USER | {"content": "Reworded"}, after, after).parts
    others = [
        ask(SYSTEM, USER, after),
        ask(SYSTEM, after, after, USER),
        ask(SYSTEM, USER, after, after | {"content": "Give diffs."}),
        ask(USER, after, after),
    ]
    assert all(other.parts != call.parts for other in others)


def test_what_an_agent_says_beside_a_question_is_no_prompt() -> None:
    def beside(date: str, *texts: str) -> Call:
        reminder = f"<system-reminder>\nToday is {date}.\n</system-reminder>\n"
        return ask({"role": "user", "content": parts(reminder, *texts)})

    call = beside("2026-11-30", USER["content"])
    assert (call.prompt, call.exact_only) == (USER["content"], "")
    assert call.parts == beside("2026-11-30", "Tell me the capital city of France.").parts
    assert all(other.parts != call.parts for other in (beside("2026-12-01", USER["content"]), ask(USER)))
    alone = beside("2026-11-30")
    assert (alone.prompt, alone.exact_only) == ("", "empty prompt")
    assert key(alone) != key(beside("2026-12-01"))


def test_whatever_could_change_the_answer_makes_another_call() -> None:
    keys = {name: key(read({"model": "gpt-4o", "messages": [USER], **change})) for name, change in DIFFERENT.items()}
    for one, other in itertools.combinations(keys, 2):
        assert keys[one] != keys[other], f"{one} / {other}"


def test_images_are_kept_as_hashes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    call = ask(
        {"role": "user", "content": [*parts("old"), picture]}, {"role": "user", "content": [*parts("new"), picture]}
    )
    assert len(orjson.dumps(dict(call.parts))) < 1000
    assert call.exact_only == "image_url in the last message"
    assert call.turns[-1].text == "new"
    assert call.turns[0].text == "old\n[image_url]"


TOOL_CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "5"}


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([USER], ""),
        ([USER, TOOL_CALL, RESULT, {"role": "assistant", "content": "5"}, USER], ""),
        ([USER, {"role": "assistant", "content": "Paris"}], "last message from the assistant"),
        ([USER, TOOL_CALL], "last message from the assistant"),
        ([USER, TOOL_CALL, RESULT], "tool result in the last turn"),
        ([USER, TOOL_CALL, RESULT, USER], "tool result in the last turn"),
        ([USER, TOOL_CALL, USER, USER], "tool call in the last turn"),
        ([SYSTEM], "last message from the system"),
        ([{"role": "user", "content": " \n"}], "empty prompt"),
        ([{"role": "user", "content": []}], "empty prompt"),
        ([{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}], "file in the last message"),
    ],
)
def test_when_only_an_identical_call_may_be_answered(messages: list[Json], reason: str) -> None:
    assert ask(*messages).exact_only == reason


def test_a_predicted_output_is_exact_only() -> None:
    assert ask(prediction={"type": "content", "content": "x"}).exact_only == "predicted output"


def test_the_last_message_is_shown_whoever_it_is_from() -> None:
    call = ask(USER, TOOL_CALL, RESULT)
    assert call.prompt == "5"
    assert [turn.text for turn in call.turns] == [USER["content"], "f({})", "5"]
    assert ask(USER, TOOL_CALL).prompt == ""


P, P_CUT = ({"role": "user", "content": text} for text in ("P", ""))
LAST = {"role": "user", "content": [{"type": "text"}, {"type": "text"}, [0, 0]]}


@pytest.mark.parametrize(
    ("path", "prompt", "history"),
    [
        ("$.messages[-1].content", "Q\nR", [P, LAST]),
        ("$.messages[*].content", "Q\nR", [P, LAST]),
        ("$.messages[0].content", "P", [P_CUT, {"role": "user", "content": parts("Q", "R")}]),
        ("$.messages[-1].content[0].text", "Q", [P, {"role": "user", "content": parts("", "R")}]),
    ],
)
def test_a_rule_says_where_the_prompt_is(path: str, prompt: str, history: list[Any]) -> None:
    body = {"messages": [{"role": "user", "content": "P"}, {"role": "user", "content": parts("Q", "R")}]}
    call = read(body, ReadOptions(parse_jsonpath(path)))
    assert (call.prompt, call.parts["history"]) == (prompt, history)
    assert call.turns[-1].text == prompt


def test_what_a_rule_ignores_is_left_out_exactly() -> None:
    options = ReadOptions(ignore=(parse_jsonpath("$.metadata.trace"), parse_jsonpath("$.messages[?@.role=='system']")))
    messages = [SYSTEM, USER]
    one = read({"messages": messages, "metadata": {"trace": 1, "tier": 2}}, options)
    assert one.parts == {"model": "", "history": [{"role": "user"}], "other": {"metadata": {"tier": 2}}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "expected a JSON object"),
        (b'{"messages": NaN}', "not JSON"),
        (b'{"messages": "\xff"}', "not JSON"),
        (b"[" * 2000 + b"]" * 2000, "not JSON"),
        (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "nested too deeply"),
        (b'{"model": "a", "messages": [{"role": "user", "content": "q"}], "model": "b"}', "'model' is there twice"),
        (
            b'{"messages": [{"role": "user", "content": "q", "content": "r"}], "a": "\\u003a"}',
            "'content' is there twice",
        ),
        (b'{"model": "m"}', "messages: nothing, expected a list"),
        (b'{"messages": []}', "messages: a list, expected a list with at least one message"),
        (b'{"messages": ["q"]}', r"messages\[0\]: expected an object with a role"),
        (b'{"messages": [{"content": "q"}]}', r"messages\[0\]: expected an object with a role"),
        (b'{"messages": [{"role": "user"}]}', r"messages\[0\].content: nothing, expected a string or a list of parts"),
        (b'{"messages": [{"role": "user", "content": 5}]}', r"messages\[0\].content: a number"),
        (b'{"messages": [{"role": "user", "content": ["q"]}]}', r"content\[0\]: expected an object with a type"),
        (b'{"messages": [{"role": "user", "content": [{"type": "text"}]}]}', r"content\[0\].text: nothing"),
        (b'{"messages": [{"role": "user", "content": "q"}], "stream": "yes"}', "stream: a string"),
        (b'{"messages": [{"role": "user", "content": "q"}], "stream_options": 1}', "stream_options: a number"),
        (b'{"messages": [{"role": "user", "content": "q"}], "temperature": "hot"}', "temperature: a string"),
        (b'{"messages": [{"role": "user", "content": "q"}], "temperature": true}', "temperature: true or false"),
        (b'{"messages": [{"role": "user", "content": "q"}], "model": {}}', "model: an object, expected a string"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        read(body)


def test_where_the_rules_prompt_is_not_there_it_is_the_wire_formats() -> None:
    for path in ("$.query", "$.n", "$.messages[0]"):
        body = {"n": 5, "messages": [USER]}
        assert read(body, ReadOptions(parse_jsonpath(path))) == read(body)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "tool", "developer"]) | ANYTHING},
    optional={
        "content": st.text(max_size=6)
        | ANYTHING
        | st.lists(
            st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"])}, optional={"text": ANYTHING})
        ),
        "tool_calls": ANYTHING | st.lists(st.fixed_dictionaries({"function": ANYTHING}), max_size=2),
        "name": ANYTHING,
    },
)
BODY = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, max_size=4) | ANYTHING},
    optional=dict.fromkeys(("model", "stream", "stream_options", "temperature", "prediction", "zzz"), ANYTHING),
)
PATHS = st.sampled_from(["$.messages[-1].content", "$.messages[?@.role=='user'].content", "$..text", "$.zzz", "$"])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40) | BODY.map(orjson.dumps), st.none() | PATHS, st.lists(PATHS, max_size=2))
def test_reading_raises_nothing_but_unreadable(body: bytes, prompt: str | None, ignore: list[str]) -> None:
    find: Callable[[str], Any] = parse_jsonpath
    try:
        call = read(body, ReadOptions(find(prompt) if prompt else None, [find(path) for path in ignore]))
    except Unreadable:
        return
    key(call)  # can be written as JSON
    assert isinstance(call.prompt, str)


# --- assemble -------------------------------------------------------------------------------------------------------


def chunk(*choices: Json, **fields: Any) -> bytes:
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o-2024"}
    return sse.encode(orjson.dumps({**frame, "choices": list(choices), **fields}))


def delta(finish: str | None = None, index: int = 0, /, **fields: Any) -> Json:
    return {"index": index, "delta": fields, "logprobs": None, "finish_reason": finish}


DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
EXTRAS: Json = {"service_tier": "default", "system_fingerprint": "fp"}
STREAM = b"".join(
    [
        chunk(delta(role="assistant", content="", refusal=None), **EXTRAS, obfuscation="x"),
        chunk(delta(content="Par"), **EXTRAS, obfuscation="yy"),
        chunk(delta(content="is"), **EXTRAS),
        chunk(delta("stop"), **EXTRAS),
        chunk(**EXTRAS, usage=USAGE),
        DONE,
    ]
)
WHOLE: Json = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 7,
    "model": "gpt-4o-2024",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Paris", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "service_tier": "default",
    "system_fingerprint": "fp",
    "usage": USAGE,
}


def final(stream: bytes, call: Call | None = None, content_type: str = SSE) -> Json:
    answer = CHAT.assemble(stream, content_type, call or ask())
    assert answer.content_type == "application/json"
    result: Json = orjson.loads(answer.body)
    return result


def test_a_stream_becomes_what_json_would_have_been() -> None:
    assert final(STREAM) == WHOLE
    assert CHAT.assemble(STREAM, SSE, ask()).usage == Usage(9, 3)


def test_json_is_kept_without_the_white_space() -> None:
    body = orjson.dumps(WHOLE, option=orjson.OPT_INDENT_2)
    assert CHAT.assemble(body, "application/json", ask()) == Answer(orjson.dumps(WHOLE), usage=Usage(9, 3))


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", "text/event-stream; charset=utf-8"])
def test_the_body_tells_what_it_is(content_type: str) -> None:
    assert final(STREAM, content_type=content_type) == WHOLE
    assert final(orjson.dumps(WHOLE), content_type=content_type) == WHOLE


@pytest.mark.parametrize(
    "stream",
    [
        STREAM.replace(b"\n", b"\r\n"),
        STREAM.replace(b"\n", b"\r"),
        b": ping\n\n" + STREAM.replace(b"\n\n", b"\n\n: keep-alive\n\n"),
        STREAM.replace(b"data: ", b"data:"),
        STREAM.rstrip(b"\n"),
        b"\xef\xbb\xbf" + STREAM,
        STREAM + b"data: {not json\n\n",
        STREAM.removesuffix(DONE),
    ],
    ids=["crlf", "cr", "pings", "no space", "no last line", "bom", "after done", "no done, but all there"],
)
def test_streams_as_real_servers_write_them(stream: bytes) -> None:
    assert final(stream, ask(stream=True, stream_options={"include_usage": True})) == WHOLE


def test_tool_calls_come_together() -> None:
    stream = b"".join(
        [
            chunk(delta(role="assistant", content=None, tool_calls=[
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
            ])),
            chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city":'}}])),
            chunk(delta(tool_calls=[
                {"index": 1, "id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}}
            ])),
            chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": '"Rome"}'}}])),
            chunk(delta("tool_calls")),
            DONE,
        ]
    )  # fmt: skip
    assert final(stream)["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
                    },
                    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]


@pytest.mark.parametrize("index", [{}, {"index": 0}], ids=["no index", "all of index 0"])
def test_parallel_tool_calls_of_careless_providers_stay_apart(index: Json) -> None:
    calls = [{"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
    stream = b"".join([*(chunk(delta(tool_calls=[call | index])) for call in calls), chunk(delta("tool_calls")), DONE])
    assert final(stream)["choices"][0]["message"]["tool_calls"] == calls


def test_a_tool_call_that_repeats_its_identifier_and_name_is_one() -> None:
    call = {"index": 0, "id": "a", "type": "function"}
    stream = b"".join(
        chunk(delta(tool_calls=[call | {"function": {"name": "f", "arguments": piece}}])) for piece in ("{", "}")
    )
    assert final(stream + chunk(delta("tool_calls")))["choices"][0]["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]


def piece(arguments: str, **fields: Any) -> Json:
    """A piece of a tool call; its name beside an identifier alone."""
    function = {"name": "f", "arguments": arguments} if fields.get("id") else {"arguments": arguments}
    return {**fields, "function": function}


@pytest.mark.parametrize(
    "pieces",
    [
        [piece("", id="a"), piece("{"), piece("}")],
        [piece("{", id="a"), {"id": None, "function": {"name": None, "arguments": "}"}}],
        [piece("{", id="a"), {"id": "", "function": {"name": "", "arguments": "}"}}],
        [piece("{", id="a", index=1), piece("}")],
        [piece("{", id="a"), piece("}", id="a")],
    ],
    ids=["absent", "null", "empty", "an index at first", "an identifier"],
)
def test_a_piece_of_a_tool_call_without_an_index_goes_on_with_the_last_one(pieces: list[Json]) -> None:
    first = {"index": 0, "id": "z", "type": "function", "function": {"name": "g", "arguments": "[]"}}
    stream = b"".join(chunk(delta(tool_calls=[one])) for one in [first, *pieces]) + chunk(delta("tool_calls"))
    calls = final(stream + DONE)["choices"][0]["message"]["tool_calls"]
    assert [(call["id"], call["function"]) for call in calls] == [
        ("z", {"name": "g", "arguments": "[]"}),
        ("a", {"name": "f", "arguments": "{}"}),
    ]


def test_pieces_of_audio_that_are_each_padded_are_one_piece_of_audio() -> None:
    parts = [b"a", b"bcd", b"ef", b"", b"ghijk"]
    stream = b"".join(chunk(delta(audio={"id": "audio_1", "data": base64.b64encode(part).decode()})) for part in parts)
    message = final(stream + chunk(delta("stop")) + DONE)["choices"][0]["message"]
    assert base64.b64decode(message["audio"]["data"], validate=True) == b"abcdefghijk"


def test_a_stream_of_audio_cut_anywhere_is_one_piece_of_audio() -> None:
    data = base64.b64encode(b"abcdefghijk").decode()
    stream = b"".join(chunk(delta(audio={"data": data[at : at + 3]})) for at in range(0, len(data), 3))
    assert final(stream + chunk(delta("stop")) + DONE)["choices"][0]["message"]["audio"]["data"] == data


def test_what_providers_add_is_kept() -> None:
    stream = b"".join(
        [
            chunk(delta(role="assistant", content="", reasoning_content="Hm"), citations=["https://a"]),
            chunk(delta(reasoning_content="m."), citations=["https://a", "https://b"]),
            chunk(delta(content="Yes", reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "H"}])),
            chunk(delta(content="", reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "m"}])),
            chunk({**delta("stop"), "native_finish_reason": "completed", "message": {"content": "Yes"}}),
            chunk(x_groq={"id": "req_1", "usage": USAGE}),
            DONE,
        ]
    )
    told = final(stream)
    assert told["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Yes",
                "reasoning_content": "Hmm.",
                "reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "Hm"}],
            },
            "logprobs": None,
            "finish_reason": "stop",
            "native_finish_reason": "completed",
        }
    ]
    assert told["citations"] == ["https://a", "https://b"]
    assert (told["usage"], told["x_groq"]) == (USAGE, {"id": "req_1"})


def test_thinking_as_parts_comes_together() -> None:
    def thought(text: str) -> Json:
        return delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": text}]}])

    pieces = [
        delta(role="assistant", content=""),
        thought("Hm"),
        thought("m."),
        delta(content="Y"),
        delta(content="es"),
    ]
    stream = b"".join([*map(chunk, pieces), chunk(delta("stop")), DONE])
    assert final(stream)["choices"][0]["message"]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}]},
        {"type": "text", "text": "Yes"},
    ]


def test_choices_are_sorted_out() -> None:
    stream = b"".join(
        [
            chunk(delta(None, 1, role="assistant", content="b")),
            chunk(delta(None, 0, role="assistant", content="a"), delta(None, 1, content="B")),
            chunk(delta("stop", 1)),
            chunk(delta("stop", 0, content="A")),
            DONE,
        ]
    )
    assert [(choice["index"], choice["message"]["content"]) for choice in final(stream)["choices"]] == [
        (0, "aA"),
        (1, "bB"),
    ]


def test_usage_is_estimated_where_the_stream_has_none() -> None:
    stream = b"".join([chunk(delta(role="assistant", content="It is Paris.")), chunk(delta("stop")), DONE])
    answer = CHAT.assemble(stream, SSE, ask(SYSTEM, USER, stream=True))
    assert "usage" not in orjson.loads(answer.body)
    assert 10 < answer.usage.input_tokens < 25
    assert 3 <= answer.usage.output_tokens <= 5


def changed(change: Json) -> bytes:
    """The JSON answer with another choice."""
    return orjson.dumps(WHOLE | {"choices": [WHOLE["choices"][0] | change]})


def said(**message: Any) -> bytes:
    """The JSON answer with another message."""
    return changed({"message": {"role": "assistant", **message}})


def called(arguments: str, name: str = "f") -> bytes:
    """The JSON answer that calls a tool."""
    return said(content=None, tool_calls=[{"id": "a", "function": {"name": name, "arguments": arguments}}])


def test_what_is_an_answer_without_words_is_kept() -> None:
    for body in (
        called(""),
        called('{"city": "Rome"}'),
        said(content=None, refusal="No."),
        said(content=None, tool_calls=[{"id": "a", "custom": {"name": "c", "input": "no JSON"}}]),
        said(content="", images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]),
        said(content=[{"type": "thinking", "thinking": []}, {"type": "text", "text": "Paris"}]),
        said(content=[{"type": "image_url", "image_url": {"url": "https://img.example/1"}}]),
    ):
        assert CHAT.assemble(body, "application/json", ask()).body == body


def without(choice: Json, *names: str) -> Json:
    return {name: value for name, value in choice.items() if name not in names}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty body"),
        (b"{", "not JSON"),
        (b"[]", "expected an object"),
        (b"<html>", "not JSON"),
        (orjson.dumps({"error": {"message": "overloaded"}}), "error: overloaded"),
        (orjson.dumps(WHOLE | {"choices": []}), "no choices"),
        (orjson.dumps(WHOLE | {"choices": [{"index": 0, "finish_reason": "stop"}]}), "without a message"),
        (changed({"finish_reason": "length"}), "finish_reason length"),
        (changed({"finish_reason": "content_filter"}), "content_filter"),
        (changed({"finish_reason": None}), "no finish_reason"),
        (changed({"finish_reason": ["stop"]}), "a value is not of the kind that belongs there"),
        (changed({"message": {"role": "assistant", "content": ""}}), "empty answer"),
        (said(content=" \n"), "empty answer"),
        (said(content="\n\n", reasoning_content="Hm. Paris?"), "empty answer"),
        (said(content=None, reasoning="Hm."), "empty answer"),
        (said(content="", reasoning_details=[{"type": "reasoning.text", "text": "Hm."}]), "empty answer"),
        (said(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]), "empty answer"),
        (said(content=[{"type": "text", "text": " "}]), "empty answer"),
        (said(content="", annotations=[{"type": "url_citation"}]), "empty answer"),
        (called('{"city": "Ro'), "a tool call's arguments are not JSON"),
        (called('{"city": "Rome"}{"city": "Oslo"}'), "a tool call's arguments are not JSON"),
        (called("{}", name=""), "a tool call without a name"),
        (said(function_call={"name": "f", "arguments": '{"a": 1'}), "a tool call's arguments are not JSON"),
        (said(content=None, audio={"id": "audio_1", "data": "QUJD", "expires_at": 9}), "something that expires"),
        (
            chunk(delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"a":'}}]))
            + chunk(delta("tool_calls")) + DONE,
            "a tool call's arguments are not JSON",
        ),
        (chunk(delta(reasoning_content="Hm.")) + chunk(delta("stop", content="\n")) + DONE, "empty answer"),
        (chunk(delta(audio={"data": "QQ=="})) + chunk(delta("stop", audio={"data": "Q"})) + DONE, "no base64"),
        (STREAM[:-60].rpartition(b"data: ")[0].rpartition(b"data: ")[0], "no finish_reason"),
        (STREAM.replace(b"stop", b"length"), "finish_reason length"),
        (STREAM.replace(b"stop", b"content_filter"), "content_filter"),
        (STREAM[:200], "an event is not JSON"),
        (chunk(delta(content="a")) + sse.encode(b'{"error":{"message":"busy"}}') + DONE, "error: busy"),
        (chunk(delta("stop", content="a")) + sse.encode(b'{"message":"busy"}', "error") + DONE, "an error event"),
        (chunk(delta(role="assistant", content="")) + chunk(delta("stop")) + DONE, "empty answer"),
        (chunk({**delta("stop", content="a"), "error": {"message": "died"}}) + DONE, "error: died"),
        (DONE, "no choices"),
        (b": ping\n\n", "no choices"),
        (chunk("x") + DONE, "a choice that is not an object"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_is_not_whole_and_good_is_not_stored(body: bytes, message: str) -> None:
    with pytest.raises(Unstorable, match=message):
        CHAT.assemble(body, "application/json", ask())


def test_without_an_end_mark_all_that_was_asked_for_must_be_there() -> None:
    stream = chunk(delta("stop", content="a"))
    assert final(stream)["choices"][0]["message"]["content"] == "a"
    for call in (ask(n=2), ask(stream=True, stream_options={"include_usage": True})):
        with pytest.raises(Unstorable, match="without"):
            CHAT.assemble(stream, SSE, call)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_assembling_raises_nothing_but_unstorable(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([STREAM, orjson.dumps(WHOLE)])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 9))] = data.draw(
            st.binary(max_size=4) | ANYTHING.map(orjson.dumps)
        )
    call = ask(stream=True)
    try:
        answer = CHAT.assemble(bytes(body), data.draw(st.sampled_from([SSE, "application/json"])), call)
    except Unstorable:
        return
    for shape in (call, ask(), ask(stream=True, stream_options={"include_usage": True})):
        assert CHAT.replay(answer, shape, fresh()).status == 200


# --- replay ---------------------------------------------------------------------------------------------------------


def replayed(answer: Json, call: Call, **options: Any) -> bytes:
    usage = answer.get("usage") or {}
    stored = Answer(
        orjson.dumps(answer), usage=Usage(usage.get("prompt_tokens", 21), usage.get("completion_tokens", 22))
    )
    return CHAT.replay(stored, call, dataclasses.replace(fresh(), **options)).body


def events(stream: bytes) -> list[Json]:
    *told, done = sse.decode(stream)
    assert done.data == b"[DONE]"
    return [orjson.loads(event.data) for event in told]


def test_json_comes_back_with_a_fresh_identifier_and_time() -> None:
    reply = CHAT.replay(Answer(orjson.dumps(WHOLE)), ask(), fresh())
    assert (reply.status, reply.content_type) == (200, "application/json")
    assert orjson.loads(reply.body) == WHOLE | {"id": "chatcmpl-fresh1", "created": 1_800_000_000}


def test_a_stream_comes_back_event_by_event() -> None:
    call = ask(stream=True)
    reply = CHAT.replay(Answer(orjson.dumps(WHOLE)), call, fresh())
    assert (reply.status, reply.content_type) == (200, "text/event-stream; charset=utf-8")
    frame = {
        "id": "chatcmpl-fresh1",
        "object": "chat.completion.chunk",
        "created": 1_800_000_000,
        "model": "gpt-4o-2024",
        "service_tier": "default",
        "system_fingerprint": "fp",
    }
    assert events(reply.body) == [
        frame | {"choices": [delta(role="assistant", content="", refusal=None)]},
        frame | {"choices": [delta(content="Paris")]},
        frame | {"choices": [delta("stop")]},
    ]


def test_usage_comes_only_to_who_asked_for_it() -> None:
    told = events(replayed(WHOLE, ask(stream=True, stream_options={"include_usage": True})))
    assert [chunk["usage"] for chunk in told] == [None, None, None, USAGE]
    assert told[-1]["choices"] == []


def test_usage_that_the_stream_did_not_tell_is_told_to_json() -> None:
    counted = {"prompt_tokens": 21, "completion_tokens": 22, "total_tokens": 43}
    silent = without(WHOLE, "usage")
    assert orjson.loads(replayed(silent, ask()))["usage"] == counted
    assert events(replayed(silent, ask(stream=True, stream_options={"include_usage": True})))[-1]["usage"] == counted
    assert all("usage" not in chunk for chunk in events(replayed(silent, ask(stream=True))))


def test_zero_usage_keeps_the_fields() -> None:
    detailed = WHOLE | {"usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 4}}}
    zero = {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert orjson.loads(replayed(detailed, ask(), zero_usage=True))["usage"] == zero


@pytest.mark.parametrize(
    ("old", "like"),
    [
        ("chatcmpl-abc", r"chatcmpl-fresh1"),
        ("gen-1731-x", r"gen-fresh1"),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("0f8fad5bd9cb469fa16570867728950e", r"[0-9a-f]{32}"),
        ("x", r"chatcmpl-fresh1"),
    ],
)
def test_identifiers_look_like_the_provider_s(old: str, like: str) -> None:
    told = orjson.loads(replayed(WHOLE | {"id": old}, ask()))["id"]
    assert told != old
    assert re.fullmatch(like, told)


def test_providers_that_always_tell_the_usage_do_so() -> None:
    told = events(replayed(WHOLE | {"id": "0f8fad5bd9cb469fa16570867728950e"}, ask(stream=True)))
    assert [chunk.get("usage") for chunk in told] == [None, None, USAGE]
    assert told[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(("identifier", "in_one"), [("0f8fad5bd9cb469fa16570867728950e", True), ("chatcmpl-1", False)])
def test_a_tool_call_comes_whole_but_in_openai_s_own_streams(identifier: str, in_one: bool) -> None:
    call = {"id": "D681PevKs", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    whole = WHOLE | {"id": identifier, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    deltas = [chunk["choices"][0]["delta"] for chunk in events(replayed(whole, ask(stream=True)))]
    told = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert "".join(part["function"]["arguments"] for part in told) == '{"city": "Paris"}'
    assert (len(told) == 1) is in_one
    assert told[0]["function"]["name"] == "weather"
    assert told[0]["id"] == "D681PevKs"


def test_groq_tells_the_usage_in_its_own_field() -> None:
    told = events(replayed(WHOLE | {"x_groq": {"id": "req_1"}}, ask(stream=True)))
    assert told[-1]["x_groq"] == {"id": "req_1", "usage": USAGE}


def row(token: str, octets: list[int] | None = None) -> Json:
    return {
        "token": token,
        "logprob": -0.1,
        "bytes": list(token.encode()) if octets is None else octets,
        "top_logprobs": [],
    }


def test_log_probabilities_say_where_to_cut() -> None:
    rows = [row("Pa"), row("ris "), row("\\xf0\\x9f", [0xF0, 0x9F]), row("\\x99\\x82", [0x99, 0x82])]
    choice = WHOLE["choices"][0] | {
        "message": {"role": "assistant", "content": "Paris 🙂"},
        "logprobs": {"content": rows, "refusal": None},
    }
    told = [chunk["choices"][0] for chunk in events(replayed(WHOLE | {"choices": [choice]}, ask(stream=True)))]
    assert [(part["delta"].get("content"), part["logprobs"]) for part in told] == [
        ("", {"content": [], "refusal": None}),
        ("Pa", {"content": rows[:1], "refusal": None}),
        ("ris ", {"content": rows[1:2], "refusal": None}),
        ("🙂", {"content": rows[2:], "refusal": None}),
        (None, None),
    ]


def test_log_probabilities_that_spell_something_else_are_not_lost() -> None:
    choice = WHOLE["choices"][0] | {"logprobs": {"content": [row("Rome")], "refusal": None}}
    whole = WHOLE | {"choices": [choice]}
    assert final(replayed(whole, ask(stream=True)))["choices"] == whole["choices"]


TEXT = st.text(max_size=30)
ARGUMENTS = st.just("") | st.dictionaries(TEXT, TEXT | st.floats(0, 1), max_size=2).map(
    lambda a: orjson.dumps(a).decode()
)
EXTRA = st.fixed_dictionaries({"a": TEXT, "b": st.lists(st.integers(0, 9), max_size=3)})
CITATION = st.builds(
    lambda url: {"type": "url_citation", "url_citation": {"url": url, "title": "", "start_index": 0, "end_index": 1}},
    TEXT,
)
TOOL = st.builds(
    lambda number, name, arguments, extra: {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
        **({"extra_content": extra} if extra else {}),
    },
    st.uuids(),
    st.text("abc_", min_size=1, max_size=8),
    ARGUMENTS,
    st.none() | EXTRA,
)
CUSTOM = st.builds(
    lambda number, text: {"id": f"call_{number}", "type": "custom", "custom": {"name": "c", "input": text}},
    st.uuids(),
    TEXT,
)
ROW = st.builds(
    lambda logprob, top: {"token": "?", "logprob": logprob, "bytes": None, "top_logprobs": top},
    st.floats(-9, 0),
    st.lists(st.fixed_dictionaries({"token": TEXT, "logprob": st.floats(-9, 0), "bytes": st.none()}), max_size=2),
)


@st.composite
def choices(draw: st.DrawFn, index: int) -> Json:
    message: Json = {"role": "assistant", "content": draw(st.none() | TEXT)}
    if draw(st.booleans()):
        message |= {"refusal": draw(st.none() | st.text(min_size=1)) if message["content"] is None else None}
        message["annotations"] = draw(st.lists(CITATION, max_size=2))
    for name in ("reasoning_content", "reasoning"):
        if draw(st.booleans()):
            message[name] = draw(st.text(min_size=1))
    if draw(st.booleans()):
        message["tool_calls"] = draw(st.lists(TOOL | CUSTOM, min_size=1, max_size=3))
    if draw(st.booleans()):
        message["function_call"] = {"name": "f", "arguments": draw(ARGUMENTS)}
    if draw(st.booleans()):
        message["audio"] = {"id": "audio_1", "data": "QUJD", "transcript": draw(TEXT), "expires_at": 0}
    if draw(st.booleans()):
        kinds = draw(
            st.lists(st.sampled_from(["reasoning.text", "reasoning.summary"]), min_size=1, max_size=3, unique=True)
        )
        message["reasoning_details"] = [{"type": kind, "text": draw(TEXT), "index": 0} for kind in kinds]
    choice: Json = {"index": index, "message": message, "finish_reason": draw(st.sampled_from(["stop", "tool_calls"]))}
    kind = draw(st.sampled_from(["none", "null", "tokens", "other", "astray"]))
    if kind == "null":
        choice["logprobs"] = None
    elif kind == "tokens" and message["content"]:
        octets = message["content"].encode()
        borders = sorted({0, len(octets), *draw(st.lists(st.integers(0, len(octets)), max_size=9))})
        rows = [draw(ROW) | {"bytes": list(octets[a:b])} for a, b in itertools.pairwise(borders)]
        choice["logprobs"] = {"content": rows, "refusal": None}
    elif kind == "other":
        choice["logprobs"] = {"tokens": ["a"], "token_logprobs": [-0.5]}
    elif kind == "astray":
        choice["logprobs"] = {"content": draw(st.lists(ROW, max_size=2)), "refusal": []}
    if draw(st.booleans()):
        choice |= {"native_finish_reason": "STOP", "content_filter_results": draw(EXTRA), "stop_reason": None}
    return choice


@st.composite
def answers(draw: st.DrawFn) -> Json:
    answer: Json = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": draw(st.sampled_from(["gpt-4o", "gpt-3.5-turbo", "☃"])),
        "choices": [draw(choices(index)) for index in range(draw(st.integers(1, 3)))],
    }
    if draw(st.booleans()):
        answer["usage"] = USAGE | {"prompt_tokens_details": draw(EXTRA)}
    for name, values in {
        "service_tier": st.sampled_from(["default", None]),
        "system_fingerprint": TEXT,
        "citations": st.lists(TEXT, min_size=1),
        "x_groq": st.just({"id": "req_1"}),
        "provider": TEXT,
    }.items():
        if draw(st.booleans()):
            answer[name] = draw(values)
    return answer


def normal(answer: Json) -> Json:
    """Without what a stream leaves out: empty fields of a message; and what every replay makes anew."""
    answer = answer | {"id": "", "created": 0}
    answer["choices"] = [dict(choice) for choice in answer["choices"]]
    for choice in answer["choices"]:
        message = choice["message"]
        choice["message"] = {
            name: value for name, value in message.items() if name == "content" or value not in (None, [], {}, "")
        }
    return answer


def is_stored(answer: Json) -> bool:
    try:
        CHAT.assemble(orjson.dumps(answer), "application/json", ask())
    except Unstorable:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(answers().filter(is_stored), st.booleans(), st.integers(0, 2**32))
def test_a_replayed_stream_assembles_to_the_answer(answer: Json, include_usage: bool, seed: int) -> None:
    call = ask(stream=True, **({"stream_options": {"include_usage": True}} if include_usage else {}))
    stream = replayed(answer, call)
    told = final(stream, call)
    expected = dict(answer)
    if not include_usage and "x_groq" not in answer:
        expected.pop("usage", None)
    elif "usage" not in answer:
        expected["usage"] = {"prompt_tokens": 21, "completion_tokens": 22, "total_tokens": 43}
    assert normal(told) == normal(expected)
    assert told["id"] == "chatcmpl-fresh1"
    # however a server writes it
    rough = b": hello\r\n\r\n" + stream.replace(b"\n\n", b"\r\n: ping\r\n\r\n").replace(b"data: ", b"data:")
    assert final(rough, call) == told


@settings(max_examples=40, deadline=None)
@given(answers().filter(is_stored))
def test_the_sdk_reads_the_stream_as_it_reads_the_json(answer: Json) -> None:
    parsed = ChatCompletion.model_validate(orjson.loads(replayed(answer, ask())))
    assert parsed.id == "chatcmpl-fresh1"
    assert parsed.usage is not None
    call = ask(stream=True, stream_options={"include_usage": True})
    # As the SDK does: its type of a chunk does not know custom tools, which its type of the answer does.
    chunks = [ChatCompletionChunk.construct(**value) for value in events(replayed(answer, call))]
    assert {chunk.id for chunk in chunks} == {"chatcmpl-fresh1"}
    assert chunks[-1].usage == parsed.usage
    for choice in parsed.choices:
        told = [part for chunk in chunks for part in chunk.choices if part.index == choice.index]
        assert told[0].delta.role == "assistant"
        assert "".join(part.delta.content or "" for part in told) == (choice.message.content or "")
        assert [part.finish_reason for part in told if part.finish_reason] == [choice.finish_reason]


def test_the_sdk_accumulates_a_replayed_stream_into_the_same_object() -> None:
    tool = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    rows = [row("It"), row(" is")]
    answer = WHOLE | {
        "choices": [
            WHOLE["choices"][0]
            | {
                "message": {"role": "assistant", "content": "It is", "refusal": None, "tool_calls": [tool]},
                "logprobs": {"content": rows, "refusal": None},
                "finish_reason": "tool_calls",
            }
        ]
    }
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for value in events(replayed(answer, ask(stream=True, stream_options={"include_usage": True}))):
        state.handle_chunk(ChatCompletionChunk.model_validate(value))
    told = state.get_final_completion().model_dump(exclude_none=True)
    parsed = ChatCompletion.model_validate(orjson.loads(replayed(answer, ask()))).model_dump(exclude_none=True)
    for call in told["choices"][0]["message"]["tool_calls"]:
        del call["index"]
    assert told == parsed


def test_a_stream_may_be_read_split_anywhere() -> None:
    stream = replayed(WHOLE, ask(stream=True))
    cuts = sorted(random.Random(1).sample(range(len(stream)), 40))
    parts_of_it = [stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])]
    assert final(b"".join(parts_of_it)) == without(WHOLE, "usage") | {"id": "chatcmpl-fresh1", "created": 1_800_000_000}
