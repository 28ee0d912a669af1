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

WIRE = wire_format("cohere-chat")
REPLAY = Replay(now=1_800_000_000.0, fresh_id=lambda prefix: prefix + "fresh")
FRESH = "d098ab5e-44b9-4abb-b55f-76d806598f43"
BASE: dict[str, Any] = {
    "model": "command-a",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}
CALL = Call(wire="cohere-chat", prompt="", parts={})
STREAMED = replace(CALL, stream=True)
USAGE = {"billed_units": {"input_tokens": 8, "output_tokens": 4}, "tokens": {"input_tokens": 90, "output_tokens": 6}}
ANSWER: dict[str, Any] = {
    "id": "53bcb235-5179-4a91-a578-cb372b5430bc",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "Paris."}]},
    "finish_reason": "COMPLETE",
    "usage": USAGE,
}


def read(body: Any, options: ReadOptions | None = None) -> Call:
    return WIRE.read(
        Request("POST", "api.cohere.com", "/v2/chat", "", {}, orjson.dumps(body)), options or ReadOptions()
    )


def identity(call: Call) -> bytes:
    return orjson.dumps([call.prompt, call.parts], option=orjson.OPT_SORT_KEYS)


def say(*blocks: Any, **fields: Any) -> dict[str, Any]:
    return BASE | {"messages": [{"role": "user", "content": list(blocks)}]} | fields


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def keep(answer: Any) -> Answer:
    return WIRE.assemble(orjson.dumps(answer), "application/json", CALL)


def test_read_takes_the_last_words_of_the_user_apart_from_the_rest() -> None:
    call = read(
        {
            "model": "command-a",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": {"type": "text", "text": "Hello"}},
                {"role": "assistant", "tool_calls": [{"id": "t"}], "tool_plan": "x"},
                {"role": "tool", "tool_call_id": "t", "content": [text("1")]},
                {"role": "assistant", "content": [text("Hi!")]},
                {"role": "user", "content": [text("What is the capital of France?")]},
            ],
            "temperature": 0.3,
            "seed": 1,
            "documents": ["d"],
            "response_format": {"type": "json_object"},
            "tools": [{"type": "function"}],
            "stream": True,
        }
    )
    assert call.prompt == "What is the capital of France?"
    assert call.parts == {
        "model": "command-a",
        "system": {"role": "system", "content": "Be brief."},
        "tools": {"tools": [{"type": "function"}]},
        "format": {"response_format": {"type": "json_object"}},
        "sampling": {"temperature": 0.3, "seed": 1},
        "history": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "tool_calls": [{"id": "t"}], "tool_plan": "x", "content": None},
            {"role": "tool", "tool_call_id": "t", "content": "1"},
            {"role": "assistant", "content": "Hi!"},
        ],
        "other": {"documents": ["d"]},
    }
    assert (call.model, call.temperature, call.stream, call.exact_only) == ("command-a", 0.3, True, "")
    assert call.turns[0].text == "Be brief."
    assert call.turns[-1].text == call.prompt


@pytest.mark.parametrize("other", [BASE | {"stream": True}, say(text("What is the capital of France?"))])
def test_what_does_not_matter_leaves_the_identity_alone(other: dict[str, Any]) -> None:
    assert identity(read(other)) == identity(read(BASE))


@pytest.mark.parametrize(
    "other",
    [
        BASE | {"model": "command-r"},
        BASE | {"temperature": 0},
        BASE | {"documents": ["d"]},
        BASE | {"safety_mode": "OFF"},
        BASE | {"logprobs": True},
        BASE | {"messages": [{"role": "system", "content": "x"}, *BASE["messages"]]},
        say(text("What is the capital"), text("of France?")),
        say(text("What is the capital of France?"), image("https://a")),
        say(text("What is the capital of France?"), image("https://b")),
    ],
)
def test_what_matters_changes_the_identity(other: dict[str, Any]) -> None:
    assert identity(read(other)) != identity(read(BASE))


def test_images_are_kept_as_their_hash() -> None:
    url = "data:image/png;base64,aGVsbG8="
    call = read(say(text("What is this?"), image(url)))
    assert call.parts["media"]["content"] == [text(""), image("sha256:" + sha256(url.encode()).hexdigest())]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (say(text("x"), image("https://a")), "media in the last message"),
        (BASE | {"messages": [{"role": "tool", "tool_call_id": "t", "content": "1"}]}, "tool result in the last turn"),
        (BASE | {"messages": [{"role": "assistant", "content": "1"}]}, "not from the user"),
        (say(text("x"), {"type": "document"}), "document block"),
        (say(), "no text in the last message"),
    ],
)
def test_exact_only(body: dict[str, Any], reason: str) -> None:
    assert reason in read(body).exact_only


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"model":"m"}',
        b'{"message":"x","model":"m"}',
        b'{"model":"m","messages":[]}',
        b'{"model":"m","messages":["x"]}',
        b'{"model":"m","messages":[{"role":"user","content":1}]}',
        b'{"model":"m","messages":[{"role":"user","content":["x"]}]}',
        b'{"messages":[{"role":"user","content":"x"}]}',
    ],
)
def test_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        WIRE.read(Request("POST", "h", "/v2/chat", "", {}, body), ReadOptions())


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events)


def event(kind: str, index: int | None = None, message: Any = None, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind}
    if index is not None:
        made["index"] = index
    return made | ({} if message is None else {"delta": {"message": message}}) | fields


START = event(
    "message-start",
    message={"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []},
    id="53bcb235-5179-4a91-a578-cb372b5430bc",
)
TEXT = (
    event("content-start", 0, {"content": text("")}),
    event("content-delta", 0, {"content": {"text": "Par"}}, logprobs={"text": "Par", "token_ids": [1]}),
    event("content-delta", 0, {"content": {"text": "is."}}, logprobs={"text": "is.", "token_ids": [2]}),
    event("content-end", 0),
)
END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}}


def test_assemble_text_with_citations() -> None:
    citation = {"start": 0, "end": 5, "text": "Paris", "sources": [], "type": "TEXT_CONTENT"}
    stream = sse(START, *TEXT, event("citation-start", 0, {"citations": citation}), event("citation-end", 0), END)
    answer = WIRE.assemble(stream + b"data: [DONE]\n\n", "text/event-stream", STREAMED)
    assert orjson.loads(answer.body) == ANSWER | {
        "message": ANSWER["message"] | {"citations": [citation]},
        "logprobs": [{"text": "Par", "token_ids": [1]}, {"text": "is.", "token_ids": [2]}],
    }
    assert answer.usage == Usage(90, 6)


def test_assemble_tool_calls() -> None:
    def opened(name: str) -> dict[str, Any]:
        return {"tool_calls": {"id": name, "type": "function", "function": {"name": name, "arguments": ""}}}

    def more(words: str) -> dict[str, Any]:
        return {"tool_calls": {"function": {"arguments": words}}}

    stream = sse(
        START,
        event("tool-plan-delta", message={"tool_plan": "I will "}),
        event("tool-plan-delta", message={"tool_plan": "look."}),
        event("tool-call-start", 0, opened("a")),
        event("tool-call-delta", 0, more('{"x":')),
        event("tool-call-delta", 0, more(" 1}")),
        event("tool-call-end", 0),
        event("tool-call-start", 1, opened("b")),
        event("tool-call-end", 1),
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": USAGE}},
    )
    assert orjson.loads(WIRE.assemble(stream, "", STREAMED).body) == ANSWER | {
        "message": {
            "role": "assistant",
            "tool_plan": "I will look.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "a", "arguments": '{"x": 1}'}},
                {"id": "b", "type": "function", "function": {"name": "b", "arguments": ""}},
            ],
        },
        "finish_reason": "TOOL_CALL",
    }


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no message-end"),
        (sse(START, *TEXT), "no message-end"),
        (sse(START, *TEXT[:-1], END), "content was not ended"),
        (sse(*TEXT, END), "before message-start"),
        (sse(START, END), "empty answer"),
        (sse(START, {"type": "new-event"}, END), "unknown event"),
        (sse(START, *TEXT, {"type": "message-end", "delta": {"error": "boom", "finish_reason": "ERROR"}}), "boom"),
        *((orjson.dumps(ANSWER | {"finish_reason": reason}), reason) for reason in ("MAX_TOKENS", "ERROR", "TIMEOUT")),
        (orjson.dumps({"message": "invalid api token"}), "no message"),
        (orjson.dumps(ANSWER | {"message": {"role": "assistant", "content": [text(" ")]}}), "empty answer"),
    ],
)
def test_unstorable(body: bytes, why: str) -> None:
    with pytest.raises(Unstorable, match=why):
        WIRE.assemble(body, "", CALL)


def test_replay_as_json_has_a_fresh_id() -> None:
    reply = WIRE.replay(keep(ANSWER), CALL, REPLAY)
    assert orjson.loads(reply.body) == ANSWER | {"id": FRESH}


def test_replay_as_stream_is_the_providers_sequence() -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, text("Yes")],
        "citations": [{"start": 0}],
    }
    reply = WIRE.replay(keep(ANSWER | {"message": message}), STREAMED, REPLAY)
    assert reply.content_type == "text/event-stream"
    assert reply.body == sse(
        {"id": FRESH, **{name: value for name, value in START.items() if name != "id"}},
        event("content-start", 0, {"content": {"type": "thinking", "thinking": ""}}),
        event("content-delta", 0, {"content": {"thinking": "hm"}}),
        event("content-end", 0),
        event("content-start", 1, {"content": text("")}),
        event("content-delta", 1, {"content": {"text": "Yes"}}),
        event("content-end", 1),
        event("citation-start", 0, {"citations": {"start": 0}}),
        event("citation-end", 0),
        END,
    )


def test_usage_may_be_zero_on_a_hit() -> None:
    reply = orjson.loads(WIRE.replay(keep(ANSWER), CALL, replace(REPLAY, zero_usage=True)).body)
    assert reply["usage"]["tokens"] == {"input_tokens": 0, "output_tokens": 0}


words = st.text(min_size=1)
objects = st.dictionaries(words, st.integers(0, 9) | words, max_size=2)
contents = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})
    | st.fixed_dictionaries({"type": st.just("thinking"), "thinking": st.text()})
    | st.fixed_dictionaries({"type": st.just("of_next_year"), "data": objects}),
    max_size=2,
).map(lambda blocks: [*blocks, text("end")])
calls = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(),
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": st.text(), "arguments": words.map(lambda text: orjson.dumps(text).decode())}
            ),
        }
    ),
    min_size=1,
    max_size=2,
)
citations = st.lists(objects, min_size=1, max_size=2)
messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": contents}, optional={"citations": citations, "tool_calls": calls}
) | st.fixed_dictionaries({"role": st.just("assistant"), "tool_calls": calls}, optional={"tool_plan": words})
answers = st.fixed_dictionaries(
    {
        "id": st.just(FRESH),
        "message": messages,
        "finish_reason": st.sampled_from(["COMPLETE", "STOP_SEQUENCE", "TOOL_CALL"]),
        "usage": st.just(USAGE),
    },
    optional={"logprobs": st.lists(objects, min_size=1, max_size=3)},
)


@given(answers, st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_stream_says_what_the_json_says(answer: dict[str, Any], line_end: bytes) -> None:
    body = b": hello" + line_end * 2 + WIRE.replay(keep(answer), STREAMED, REPLAY).body.replace(b"\n", line_end)
    again = WIRE.assemble(body, "text/event-stream", STREAMED)
    assert orjson.loads(again.body) == answer
    assert again.usage == Usage(90, 6)


def test_arguments_that_are_no_json_are_not_kept() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "a", "arguments": '{"x": 1}{"x": 2}'}}
    with pytest.raises(Unstorable, match="a tool call's arguments are not JSON"):
        keep(ANSWER | {"message": {"role": "assistant", "tool_calls": [call]}})


def test_a_text_of_null_adds_nothing() -> None:
    nothing = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": None}}}}
    bodies = sse(START, *TEXT, END), sse(START, *TEXT[:-1], nothing, TEXT[-1], END)
    plain, with_null = (WIRE.assemble(body, "text/event-stream", STREAMED) for body in bodies)
    assert with_null == plain


def test_log_probabilities_go_with_their_text() -> None:
    logprobs = [{"text": "Par", "token_ids": [1]}, {"text": "is.", "token_ids": [2]}]
    reply = WIRE.replay(keep(ANSWER | {"logprobs": logprobs}), STREAMED, REPLAY)
    assert reply.body == sse({"id": FRESH, **{k: v for k, v in START.items() if k != "id"}}, *TEXT, END)


def test_no_beginning_of_a_stream_is_stored() -> None:
    body = WIRE.replay(keep(ANSWER), STREAMED, REPLAY).body
    for end in range(len(body) - 3):
        with pytest.raises(Unstorable):
            WIRE.assemble(body[:end], "text/event-stream", STREAMED)
