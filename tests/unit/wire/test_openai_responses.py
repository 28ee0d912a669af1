"""OpenAI's Responses."""

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type_unchecked
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent

from askonce.call import Answer, Call, Request, Unreadable, Unstorable, Usage
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import sse, wire_format
from askonce.wire.base import ReadOptions, Replay

Json = dict[str, Any]

RESPONSES = wire_format("openai-responses")
SSE = "text/event-stream"
USER = {"role": "user", "content": "What is the capital of France?"}


def read(body: Json, options: ReadOptions = ReadOptions()) -> Call:  # noqa: B008 - frozen
    return RESPONSES.read(Request("POST", "api.openai.com", "/v1/responses", "", {}, orjson.dumps(body)), options)


def ask(given: Any = "What is the capital of France?", **fields: Any) -> Call:
    return read({"model": "gpt-5", "input": given, **fields})


def key(call: Call) -> tuple[bytes, str]:
    return orjson.dumps(dict(call.parts), option=orjson.OPT_SORT_KEYS), call.prompt


def fresh(**options: Any) -> Replay:
    return Replay(1_800_000_000.5, lambda prefix: prefix + "fresh", **options)


# --- read -----------------------------------------------------------------------------------------------------------


def test_a_call_is_split_into_prompt_and_parts() -> None:
    call = read(
        {
            "model": "gpt-5",
            "instructions": "Be brief.",
            "input": [
                {"role": "developer", "content": "Be kind."},
                {"type": "message", "role": "user", "content": "Hi"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello!"}]},
                {"role": "user", "content": [{"type": "input_text", "text": "Who are you?"}]},
            ],
            "temperature": 1.0,
            "reasoning": {"effort": "low"},
            "text": {"verbosity": "low"},
            "tools": [],
            "metadata": {"a": "b"},
            "store": False,
            "stream": True,
            "stream_options": {"include_obfuscation": False},
        },
        ReadOptions(ignore=(parse_jsonpath("$.metadata"),)),
    )
    assert call == Call(
        wire="openai-responses",
        prompt="Who are you?",
        parts={
            "model": "gpt-5",
            "system": [{"instructions": "Be brief."}, {"role": "developer", "content": "Be kind."}],
            "history": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": [{"type": "output_text", "text": "Hello!"}]},
                {"role": "user"},
            ],
            "tools": {"tools": []},
            "format": {"text": {"verbosity": "low"}},
            "sampling": {"temperature": 1, "reasoning": {"effort": "low"}},
            "other": {"store": False},
        },
        model="gpt-5",
        temperature=1.0,
        stream=True,
        turns=call.turns,
        echo={"metadata": {"a": "b"}},
    )
    assert [(turn.role, turn.text) for turn in call.turns] == [
        ("developer", "Be kind."),
        ("user", "Hi"),
        ("assistant", "Hello!"),
        ("user", "Who are you?"),
    ]


def test_the_many_ways_to_write_one_message_are_one_call() -> None:
    plain = key(ask())
    text = USER["content"]
    assert plain == key(ask([USER]))
    assert plain == key(ask([USER | {"type": "message"}]))
    assert plain == key(ask([USER | {"content": [{"type": "input_text", "text": text}]}]))
    assert plain == key(ask(stream=True))
    for path in ("$.input", "$.input[-1].content"):
        assert plain == key(read({"model": "gpt-5", "input": [USER]}, ReadOptions(parse_jsonpath(path))))
    assert plain == key(read({"model": "gpt-5", "input": text}, ReadOptions(parse_jsonpath("$.input"))))


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "5"}
SAID = {"role": "assistant", "content": "5"}
IMAGE = {
    "role": "user",
    "content": [{"type": "input_text", "text": "q"}, {"type": "input_image", "image_url": "data:,a"}],
}


def test_whatever_could_change_the_answer_makes_another_call() -> None:
    other_image = orjson.loads(orjson.dumps(IMAGE).replace(b"data:,a", b"data:,b"))
    calls = [
        ask(),
        ask([{"role": "developer", "content": "x"}, USER]),
        ask(instructions="x"),
        ask([USER, {"role": "developer", "content": "x"}, USER]),
        ask([{"role": "developer", "content": "x"}, USER, USER]),
        ask([USER, SAID, USER]),
        ask([USER, CALL, RESULT, SAID, USER]),
        ask([USER, CALL, RESULT | {"output": "6"}, SAID, USER]),
        ask([USER, CALL, RESULT]),
        ask([USER, CALL, RESULT | {"output": "6"}]),
        ask([IMAGE]),
        ask([other_image]),
        ask(previous_response_id="resp_1"),
        ask(previous_response_id="resp_2"),
        ask(temperature=0),
        ask(tools=[{"type": "web_search"}]),
        ask(text={"format": {"type": "json_object"}}),
        ask(reasoning={"effort": "high"}),
        ask(include=["message.output_text.logprobs"]),
        ask(store=True),
        ask(store=False),
        ask(unknown=1),
        read({"model": "gpt-5-mini", "input": USER["content"]}),
    ]
    for one, other in itertools.combinations(calls, 2):
        assert key(one) != key(other)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (ask(), ""),
        (ask(store=False), ""),
        (ask([USER, CALL, RESULT, SAID, USER]), ""),
        (ask([USER, {"type": "reasoning", "summary": []}, SAID, USER]), ""),
        (ask([USER, CALL, RESULT]), "function_call_output in the last turn"),
        (ask([USER, CALL, RESULT, USER]), "function_call_output in the last turn"),
        (ask([USER, SAID]), "last message from the assistant"),
        (ask([IMAGE]), "input_image in the last message"),
        (ask([{"type": "item_reference", "id": "m"}, USER]), "state kept by the provider: item_reference"),
        (ask(store=True), "state kept by the provider: store"),
        (ask(previous_response_id="r"), "state kept by the provider: previous_response_id"),
        (ask(conversation={"id": "c"}), "state kept by the provider: conversation"),
        (ask(background=True), "state kept by the provider: background"),
        (read({"prompt": {"id": "pmpt_1"}}), "state kept by the provider: prompt"),
        (ask(" "), "empty prompt"),
    ],
)
def test_when_only_an_identical_call_may_be_answered(call: Call, reason: str) -> None:
    assert call.exact_only == reason


def test_items_are_shown_as_a_person_would_read_them() -> None:
    call = ask([USER, CALL, RESULT])
    assert [(turn.role, turn.text) for turn in call.turns] == [
        ("user", "What is the capital of France?"),
        ("tool", "f({})"),
        ("tool", "5"),
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "input: nothing, expected"),
        ({"input": []}, "input: a list, expected"),
        ({"input": {}}, "input: an object, expected"),
        ({"input": ["q"]}, r"input\[0\]: a string, expected an object"),
        ({"input": [{}]}, r"input\[0\]: expected a type or a role"),
        ({"input": [{"type": 5}]}, r"input\[0\]: expected a type or a role"),
        ({"input": [{"type": "x", "role": 5}]}, r"input\[0\].role: a number"),
        ({"input": [{"role": "user"}]}, r"input\[0\].content: nothing"),
        ({"input": "q", "temperature": "x"}, "temperature: a string"),
        ({"input": "q", "stream": "x"}, "stream: a string"),
    ],
)
def test_what_cannot_be_read_says_why(body: Json, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        read(body)


# --- assemble and replay --------------------------------------------------------------------------------------------

MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "It is Paris."}],
}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 13,
}
WHOLE: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 7,
    "status": "completed",
    "completed_at": 8,
    "background": False,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "model": "gpt-5-2025-08-07",
    "output": [MESSAGE],
    "parallel_tool_calls": True,
    "store": False,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "usage": USAGE,
    "user": None,
    "metadata": {},
}


def replayed(whole: Json, call: Call, **options: Any) -> bytes:
    return RESPONSES.replay(Answer(orjson.dumps(whole)), call, fresh(**options)).body


def events(stream: bytes) -> list[Json]:
    told = list(sse.decode(stream))
    values = [orjson.loads(event.data) for event in told]
    assert [event.name for event in told] == [value["type"] for value in values]
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    return values


def test_json_comes_back_with_fresh_identifier_and_time() -> None:
    body = orjson.dumps(WHOLE)
    answer = RESPONSES.assemble(body, "application/json", ask())
    assert answer == Answer(body, usage=Usage(9, 4))
    reply = RESPONSES.replay(answer, ask(), fresh())
    now = {"created_at": 1_800_000_000, "completed_at": 1_800_000_000}
    assert orjson.loads(reply.body) == WHOLE | now | {"id": "resp_fresh"}


def test_a_response_that_the_provider_keeps_can_be_gone_on_from() -> None:
    assert orjson.loads(replayed(WHOLE | {"store": True}, ask()))["id"] == "resp_1"
    assert orjson.loads(replayed({k: v for k, v in WHOLE.items() if k != "store"}, ask()))["id"] == "resp_1"


def test_each_caller_gets_back_what_it_sent_along() -> None:
    stored = WHOLE | {"metadata": {"trace": "old"}, "user": "ann"}
    options = ReadOptions(ignore=(parse_jsonpath("$.metadata"), parse_jsonpath("$.user")))
    call = read({"input": "q", "metadata": {"trace": "new"}}, options)
    told = orjson.loads(replayed(stored, call))
    assert (told["metadata"], told["user"]) == ({"trace": "new"}, None)
    assert "safety_identifier" not in told


def test_a_stream_comes_back_event_by_event() -> None:
    told = events(replayed(WHOLE, ask(stream=True)))
    done = WHOLE | {"id": "resp_fresh", "created_at": 1_800_000_000, "completed_at": 1_800_000_000}
    opening = done | {"status": "in_progress", "completed_at": None, "output": [], "usage": None}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = MESSAGE["content"][0]
    expected = [
        {"type": "response.created", "response": opening},
        {"type": "response.in_progress", "response": opening},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": MESSAGE | {"status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": part | {"text": ""}},
        *(
            {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
            for piece in ("It", " is", " Paris", ".")
        ),
        {"type": "response.output_text.done", **place, "text": "It is Paris.", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE},
        {"type": "response.completed", "response": done},
    ]
    assert told == [{"sequence_number": number, **event} for number, event in enumerate(expected)]


ITEMS: list[tuple[Json, list[str]]] = [
    (
        {
            "id": "rs_1",
            "type": "reasoning",
            "encrypted_content": "x",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "content": [{"type": "reasoning_text", "text": "So."}],
        },
        [
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "content_part.added",
            "reasoning_text.delta",
            "reasoning_text.delta",
            "reasoning_text.done",
            "content_part.done",
        ],
    ),
    (
        {"id": "fc_1", "type": "function_call", "status": "completed", "arguments": "{}", "call_id": "c", "name": "f"},
        ["function_call_arguments.delta", "function_call_arguments.done"],
    ),
    (
        {"id": "ct_1", "type": "custom_tool_call", "status": "completed", "input": "go", "call_id": "c", "name": "f"},
        ["custom_tool_call_input.delta", "custom_tool_call_input.done"],
    ),
    (
        {"id": "mc_1", "type": "mcp_call", "status": "completed", "arguments": "{}", "name": "f", "server_label": "s"},
        ["mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done", "mcp_call.completed"],
    ),
    (
        {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
        ["web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed"],
    ),
    (
        {"id": "ci_1", "type": "code_interpreter_call", "status": "completed", "code": "5", "container_id": ""},
        [
            "code_interpreter_call.in_progress",
            "code_interpreter_call_code.delta",
            "code_interpreter_call_code.done",
            "code_interpreter_call.interpreting",
            "code_interpreter_call.completed",
        ],
    ),
    (
        {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "QUJD"},
        ["image_gen_call.in_progress", "image_gen_call.generating", "image_gen_call.completed"],
    ),
    (
        MESSAGE | {"content": [{"type": "refusal", "refusal": "No."}]},
        ["content_part.added", "refusal.delta", "refusal.delta", "refusal.done", "content_part.done"],
    ),
    ({"id": "zz_1", "type": "brand_new", "status": "completed", "content": "as it is"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("item", "names"), ITEMS, ids=[str(item["type"]) for item, _ in ITEMS])
def test_every_item_has_its_events(item: Json, names: list[str]) -> None:
    told = events(replayed(WHOLE | {"output": [item]}, ask(stream=True)))
    assert [event["type"] for event in told] == [
        f"response.{name}"
        for name in ("created", "in_progress", "output_item.added", *names, "output_item.done", "completed")
    ]
    assert told[-2]["item"] == told[-1]["response"]["output"][0] == item


def test_annotations_and_log_probabilities_are_told() -> None:
    rows = [
        {"token": piece, "bytes": list(piece.encode()), "logprob": -0.5, "top_logprobs": []}
        for piece in ("It is", " so")
    ]
    note = {"type": "url_citation", "url": "https://a", "title": "A", "start_index": 0, "end_index": 2}
    part = {"type": "output_text", "annotations": [note], "logprobs": rows, "text": "It is so"}
    told = events(replayed(WHOLE | {"output": [MESSAGE | {"content": [part]}]}, ask(stream=True)))
    deltas = [event for event in told if event["type"] == "response.output_text.delta"]
    assert [(event["delta"], event["logprobs"]) for event in deltas] == [("It is", rows[:1]), (" so", rows[1:])]
    assert told[6]["type"] == "response.output_text.annotation.added"
    assert (told[6]["annotation"], told[6]["annotation_index"]) == (note, 0)
    assert told[7]["logprobs"] == rows


@pytest.mark.parametrize("odd", [1.5, 1, "text", True, {"a": 1}, None])
def test_what_should_be_a_list_and_is_none_is_told_as_it_is(odd: Any) -> None:
    part = {"type": "output_text", "annotations": odd, "logprobs": odd, "text": "It is so"}
    told = events(replayed(WHOLE | {"output": [MESSAGE | {"content": [part]}]}, ask(stream=True)))
    assert told[-1]["response"]["output"][0]["content"] == [part]


def test_zero_usage_keeps_the_fields() -> None:
    told = orjson.loads(replayed(WHOLE, ask(), zero_usage=True))["usage"]
    assert told["input_tokens_details"] == {"cached_tokens": 0}
    assert (told["input_tokens"], told["output_tokens"], told["total_tokens"]) == (0, 0, 0)


def test_what_the_last_event_leaves_out_is_taken_from_the_others() -> None:
    stream = replayed(WHOLE, ask(stream=True))
    *first, last = list(sse.decode(stream))
    short = orjson.loads(last.data)
    short["response"]["output"] = None
    short_stream = b"".join(sse.encode(event.data, event.name) for event in first)
    short_stream += sse.encode(orjson.dumps(short), last.name)
    assert RESPONSES.assemble(short_stream, SSE, ask()).body == RESPONSES.assemble(stream, SSE, ask()).body


def said(text: str, **annotation: Any) -> Json:
    """A message, with a file cited where `annotation` says which."""
    annotations = [{"type": "container_file_citation", **annotation}] if annotation else []
    return {"type": "message", "content": [{"type": "output_text", "text": text, "annotations": annotations}]}


def changed(**change: Any) -> bytes:
    return orjson.dumps(WHOLE | change)


def ended(name: str, status: str, error: Any) -> bytes:
    """A stream of nothing but its last event."""
    return sse.encode(orjson.dumps({"type": name, "response": WHOLE | {"status": status, "error": error}}), name)


STREAM = replayed(WHOLE, ask(stream=True))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty body"),
        (b"{}", "status None"),
        (changed(error={"message": "died"}), "error: died"),
        (changed(status="failed"), "status failed"),
        (changed(status="queued"), "status queued"),
        (changed(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), r"\(max_output_tokens\)"),
        (changed(output=None), "expected a list of items"),
        (changed(output=[]), "empty answer"),
        (changed(output=[MESSAGE | {"content": []}]), "empty answer"),
        (changed(output=[{"type": "reasoning", "summary": []}]), "empty answer"),
        (changed(output=[MESSAGE | {"status": "incomplete"}]), "message: status incomplete"),
        (STREAM[:-500], "an event is not JSON"),
        (changed(output=[CALL | {"arguments": '{"a": 1'}]), "a tool call's arguments are not JSON"),
        (changed(output=[CALL | {"arguments": "{}{}"}]), "a tool call's arguments are not JSON"),
        (changed(output=[CALL | {"type": "mcp_call", "arguments": "{"}]), "a tool call's arguments are not JSON"),
        (changed(output=[said(" \n")]), "an empty answer"),
        (changed(output=[said("Here.", container_id="cntr_1", file_id="cfile_1")]), "a container, which expires"),
        (
            changed(output=[{"type": "code_interpreter_call", "code": "5", "container_id": "cntr_1"}, said("5")]),
            "a container, which expires",
        ),
        (
            changed(output=[{"type": "shell_call", "environment": {"container_id": "cntr_1"}}, said("5")]),
            "a container, which expires",
        ),
        (STREAM.rpartition(b"event: ")[0], "without response.completed"),
        (STREAM.replace(b'"completed"', b'"incomplete"'), "status incomplete"),
        (ended("response.incomplete", "incomplete", None), "status incomplete"),
        (ended("response.failed", "failed", {"message": "no"}), "error: no"),
        (sse.encode(b'{"type":"error","message":"busy"}', "error"), "an error event"),
        (sse.encode(b'{"type":"error","message":"busy"}'), "an error event"),
        (sse.encode(b'{"type":"response.completed"}'), "without a response"),
    ],
)  # fmt: skip
def test_what_is_not_whole_and_good_is_not_stored(body: bytes, message: str) -> None:
    with pytest.raises(Unstorable, match=message):
        RESPONSES.assemble(body, "", ask())


TEXT = st.text(max_size=30)
PART = st.fixed_dictionaries({"type": st.just("output_text"), "text": TEXT, "annotations": st.just([])}) | st.builds(
    lambda text: {"type": "refusal", "refusal": text}, TEXT
)
ITEM = st.one_of(
    st.lists(PART, max_size=3).map(lambda content: MESSAGE | {"content": content}),
    st.lists(TEXT, max_size=2).map(
        lambda texts: ITEMS[0][0] | {"summary": [{"type": "summary_text", "text": text} for text in texts]}
    ),
    st.builds(lambda text: ITEMS[1][0] | {"arguments": orjson.dumps({text: 1}).decode()}, TEXT),
    st.builds(lambda text: ITEMS[2][0] | {"input": text}, TEXT),
    st.sampled_from([item for item, _ in ITEMS[:-1]]),
)


@st.composite
def responses(draw: st.DrawFn) -> Json:
    output = [
        item | {"id": f"{item['id']}_{number}"} | ({"call_id": f"call_{number}"} if "call_id" in item else {})
        for number, item in enumerate(draw(st.lists(ITEM, min_size=1, max_size=4)))
    ]
    return WHOLE | {"output": output, "model": draw(TEXT)}


@settings(max_examples=60, deadline=None)
@given(responses())
def test_a_replayed_stream_assembles_to_the_answer(whole: Json) -> None:
    stream = replayed(whole, ask(stream=True))
    expected = orjson.loads(replayed(whole, ask()))
    try:
        RESPONSES.assemble(orjson.dumps(whole), "", ask())
    except Unstorable:
        return
    rough = b": hello\r\n\r\n" + stream.replace(b"\n\n", b"\r\n: ping\r\n\r\n").replace(b"data: ", b"data:")
    for told in (stream, stream.rstrip(), rough):
        answer = RESPONSES.assemble(told, SSE, ask())
        assert orjson.loads(answer.body) == expected
        assert answer.usage == Usage(9, 4)


@settings(max_examples=40, deadline=None)
@given(responses())
def test_the_deltas_add_up_and_the_sdk_follows_them(whole: Json) -> None:
    state: ResponseStreamState[None] = ResponseStreamState(input_tools=omit, text_format=omit)
    texts: dict[tuple[Any, ...], str] = {}
    told = events(replayed(whole, ask(stream=True)))
    for event in told:
        place = tuple(event.get(name) for name in ("output_index", "content_index", "summary_index"))
        stem, _, ending = event["type"].rpartition(".")
        if ending == "delta":
            texts[stem, *place] = texts.get((stem, *place), "") + event["delta"]
        elif ending == "done" and stem.endswith(("text", "refusal", "arguments", "input", "code")):
            final = next(event[name] for name in ("text", "refusal", "arguments", "input", "code") if name in event)
            assert texts.get((stem, *place), "") == final
        state.handle_event(construct_type_unchecked(type_=ResponseStreamEvent, value=event))  # type: ignore[arg-type]
    parsed = state._completed_response
    assert parsed is not None
    plain = Response.construct(**orjson.loads(replayed(whole, ask())))
    assert parsed.output_text == plain.output_text
    assert [item.id for item in parsed.output] == [item["id"] for item in whole["output"]]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
INPUT = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["message", "function_call", "reasoning"]) | JSON,
        "role": st.sampled_from(["user", "assistant", "system"]) | JSON,
        "content": JSON | st.lists(st.fixed_dictionaries({"type": st.just("input_text"), "text": JSON}), max_size=2),
        "output": JSON,
    },
)


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries({"input": JSON | st.lists(INPUT, max_size=3)}, optional=dict.fromkeys(("prompt", "x"), JSON)),
    st.sampled_from([None, "$.input", "$.input[-1].content", "$..text", "$.x"]),
)
def test_reading_raises_nothing_but_unreadable(body: Json, path: str | None) -> None:
    try:
        call = read(body, ReadOptions(parse_jsonpath(path) if path else None, (parse_jsonpath("$.input[0]"),)))
    except Unreadable:
        return
    key(call)
    assert all(isinstance(turn.role, str) and isinstance(turn.text, str) for turn in call.turns)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_assembling_raises_nothing_but_unstorable(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([STREAM, orjson.dumps(WHOLE)])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4) | JSON.map(orjson.dumps))
    try:
        answer = RESPONSES.assemble(bytes(body), data.draw(st.sampled_from([SSE, ""])), ask())
    except Unstorable:
        return
    for call in (ask(), ask(stream=True)):
        assert RESPONSES.replay(answer, call, fresh()).status == 200


TOOLS = {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "shell"}]}


def test_a_developers_tools_are_no_tools_result() -> None:
    call = ask([TOOLS, USER])
    assert (call.prompt, call.exact_only) == ("What is the capital of France?", "")
    others = [ask([USER]), ask([USER, TOOLS]), ask([TOOLS | {"tools": []}, USER])]
    assert len({key(other) for other in (call, *others)}) == 4
    assert ask([TOOLS | {"role": "tool"}, USER]).exact_only == "additional_tools in the last turn"
