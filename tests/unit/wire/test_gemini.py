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

WIRE = wire_format("gemini")
REPLAY = Replay(now=1_800_000_000.25, fresh_id=lambda prefix: prefix + "fresh")
PATH = "/v1beta/models/gemini-3-pro"
ONCE, STREAM = PATH + ":generateContent", PATH + ":streamGenerateContent"
BASE: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "What is the capital of France?"}]}]}
CALL = Call(wire="gemini", prompt="", parts={})
SSE, ARRAY = replace(CALL, stream=True, framing="sse"), replace(CALL, stream=True, framing="json-array")
ANSWER: dict[str, Any] = {
    "candidates": [{"content": {"parts": [{"text": "Paris."}], "role": "model"}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {
        "promptTokenCount": 9,
        "candidatesTokenCount": 2,
        "totalTokenCount": 31,
        "thoughtsTokenCount": 20,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
    },
    "modelVersion": "gemini-3-pro",
    "responseId": "abc",
}


def read(body: Any, path: str = ONCE, query: str = "", options: ReadOptions | None = None) -> Call:
    request = Request("POST", "generativelanguage.googleapis.com", path, query, {}, orjson.dumps(body))
    return WIRE.read(request, options or ReadOptions())


def identity(call: Call) -> bytes:
    return orjson.dumps([call.prompt, call.parts], option=orjson.OPT_SORT_KEYS)


def test_an_answer_that_refers_to_a_file_is_not_kept() -> None:
    """Files end after two days."""
    part = {
        "fileData": {"mimeType": "image/png", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1"}
    }
    with pytest.raises(Unstorable, match="a file, which expires"):
        WIRE.assemble(orjson.dumps(answered({"text": "Here."}, part)), "application/json", CALL)


def say(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}]} | fields


def image(data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": data}}


def answered(*parts: Any, **fields: Any) -> dict[str, Any]:
    return ANSWER | {
        "candidates": [ANSWER["candidates"][0] | {"content": {"parts": [*parts], "role": "model"}} | fields]
    }


def keep(answer: Any) -> Answer:
    return WIRE.assemble(orjson.dumps(answer), "application/json; charset=UTF-8", CALL)


def test_read_takes_the_last_words_of_the_user_apart_from_the_rest() -> None:
    call = read(
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"parts": [{"text": "Hello"}]},
                {"role": "model", "parts": [{"text": "Hi!", "thoughtSignature": "s"}]},
                {"role": "user", "parts": [{"text": "What is the capital of France?"}]},
            ],
            "tools": [{"googleSearch": {}}],
            "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
            "generationConfig": {"temperature": 0.5, "topK": 3, "responseMimeType": "application/json"},
            "safetySettings": [],
        },
        path=STREAM,
        query="alt=sse&key=secret&fields=candidates",
    )
    assert call.prompt == "What is the capital of France?"
    assert call.parts == {
        "model": PATH,
        "system": {"role": "user", "parts": [{"text": "Be brief."}]},
        "tools": {"tools": [{"googleSearch": {}}], "toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
        "format": {"responseMimeType": "application/json"},
        "sampling": {"temperature": 0.5, "topK": 3},
        "history": [
            {"parts": [{"text": "Hello"}], "role": "user"},
            {"role": "model", "parts": [{"text": "Hi!", "thoughtSignature": "s"}]},
        ],
        "other": {"safetySettings": []},
    }
    assert (call.model, call.temperature, call.exact_only) == ("gemini-3-pro", 0.5, "")
    assert [(turn.role, turn.text) for turn in call.turns] == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("model", "Hi!"),
        ("user", "What is the capital of France?"),
    ]


@pytest.mark.parametrize(
    ("path", "query", "stream", "framing"),
    [
        (ONCE, "", False, ""),
        (ONCE, "key=k", False, ""),
        (STREAM, "alt=sse", True, "sse"),
        (STREAM, "%24alt=sse&key=k", True, "sse"),
        (STREAM, "", True, "json-array"),
        (STREAM, "alt=json", True, "json-array"),
    ],
)
def test_the_way_to_answer_is_in_the_path_and_leaves_the_identity_alone(
    path: str, query: str, stream: bool, framing: str
) -> None:
    call = read(BASE, path, query)
    assert (call.stream, call.framing, call.endpoint) == (stream, framing, ONCE.partition(":")[0])
    assert identity(call) == identity(read(BASE))


@pytest.mark.parametrize(
    "other",
    [
        {"contents": {"parts": {"text": "What is the capital of France?"}}},
        {"contents": [{"parts": [{"text": "What is the capital of France?"}]}]},
    ],
)
def test_spellings_of_one_question(other: dict[str, Any]) -> None:
    assert identity(read(other)) == identity(read(BASE))
    snake = BASE | {"system_instruction": {"parts": [{"text": "x"}]}, "generation_config": {"top_k": 1}}
    camel = BASE | {"systemInstruction": {"parts": [{"text": "x"}]}, "generationConfig": {"topK": 1.0}}
    assert identity(read(snake)) == identity(read(camel))


@pytest.mark.parametrize(
    "other",
    [
        BASE | {"systemInstruction": {"parts": [{"text": "x"}]}},
        BASE | {"generationConfig": {"temperature": 0}},
        BASE | {"generationConfig": {"seed": 1}},
        BASE | {"generationConfig": {"candidateCount": 2}},
        BASE | {"generationConfig": {"responseSchema": {}}},
        BASE | {"tools": []},
        BASE | {"labels": {"a": "b"}},
        BASE | {"cachedContent": "cachedContents/1"},
        say({"text": "What is the capital"}, {"text": "of France?"}),
        say({"text": "What is the capital of France?"}, image("a")),
        say({"text": "What is the capital of France?"}, image("b")),
        say({"text": "What is the capital of France?"}, {"fileData": {"fileUri": "u"}}),
        say({"text": "What is the capital of France?"}, {"functionResponse": {"name": "f", "response": {}}}),
        {"contents": [{"role": "model", "parts": [{"text": "x"}]}, *BASE["contents"]]},
    ],
)
def test_what_matters_changes_the_identity(other: dict[str, Any]) -> None:
    assert identity(read(other)) != identity(read(BASE))


def loop(*calls: str, responses: tuple[str, ...]) -> dict[str, Any]:
    """A question, the model's calls of one function by their ids, and the responses by theirs."""
    called = [{"functionCall": {"name": "f", "id": one}} for one in calls]
    done = [{"functionResponse": {"name": "f", "id": one, "response": {"at": at}}} for at, one in enumerate(responses)]
    turns = [{"role": "model", "parts": called}, {"role": "user", "parts": done}]
    return {"contents": [*BASE["contents"], *turns]}


def test_an_id_of_a_call_says_whose_a_response_is_and_nothing_else() -> None:
    first, again, other = (
        identity(read(loop(*calls, responses=responses)))
        for calls, responses in (
            (("a1", "a2"), ("a1", "a2")),
            (("b1", "b2"), ("b1", "b2")),
            (("a1", "a2"), ("a2", "a1")),
        )
    )
    assert first == again != other


def test_what_an_agent_says_beside_its_user_is_to_be_equal() -> None:
    def asked(date: str) -> dict[str, Any]:
        return say({"text": f"<session_context>\n{date}\n</session_context>"}, {"text": "Why?"})

    assert read(asked("2026-11-28")).prompt == "Why?"
    assert identity(read(asked("2026-11-28"))) != identity(read(asked("2026-11-29")))


def test_the_model_is_the_whole_resource() -> None:
    vertex = "/v1/projects/p/locations/l/publishers/google/models/gemini-3-pro:generateContent"
    calls = [read(BASE, path) for path in (ONCE, vertex, vertex.replace("/p/", "/q/"), ONCE.replace("pro", "flash"))]
    assert len({identity(call) for call in calls}) == 4
    assert [call.model for call in calls] == ["gemini-3-pro"] * 3 + ["gemini-3-flash"]


def test_files_are_kept_as_their_hash() -> None:
    snake = {"inline_data": {"mime_type": "image/png", "data": "aGVsbG8="}}
    call = read(say({"text": "What is this?"}, snake))
    assert call.parts["media"]["parts"] == [{"text": ""}, image("sha256:" + sha256(b"aGVsbG8=").hexdigest())]
    assert call.prompt == "What is this?"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (say({"text": "x"}, image("a")), "media in the last message"),
        (say({"functionResponse": {"name": "f", "response": {}}}), "tool result in the last turn"),
        ({"contents": [*BASE["contents"], {"role": "function", "parts": []}]}, "tool result in the last turn"),
        ({"contents": [*BASE["contents"], {"role": "model", "parts": []}]}, "not from the user"),
        (say({"text": ""}), "no text in the last message"),
        (say(), "no text in the last message"),
        (say({"text": "x"}, {"newKind": 1}), "newKind in the last message"),
        (BASE | {"cachedContent": "cachedContents/1"}, "cachedContent"),
    ],
)
def test_exact_only(body: dict[str, Any], reason: str) -> None:
    assert reason in read(body).exact_only


def test_the_rule_may_say_where_the_prompt_is() -> None:
    options = ReadOptions(prompt=lambda value: [(("contents", 0, "parts", 1, "text"), "")])
    call = read(say({"text": "<context>"}, {"text": "Why?"}), options=options)
    assert call.prompt == "Why?"
    assert call.parts["history"] == [{"role": "user", "parts": [{"text": "<context>"}, {"text": ""}]}]


@pytest.mark.parametrize(
    ("path", "query", "body"),
    [
        ("/v1beta/models/m:countTokens", "", b'{"contents":[{"parts":[{"text":"x"}]}]}'),
        ("/v1beta/models", "", b'{"contents":[{"parts":[{"text":"x"}]}]}'),
        (ONCE, "alt=proto", b'{"contents":[{"parts":[{"text":"x"}]}]}'),
        (ONCE, "", b""),
        (ONCE, "", b"{}"),
        (ONCE, "", b'{"contents":[]}'),
        (ONCE, "", b'{"contents":["x"]}'),
        (ONCE, "", b'{"contents":"x"}'),
        (ONCE, "", b'{"contents":[{"parts":"x"}]}'),
        (ONCE, "", b'{"contents":[{"parts":["x"]}]}'),
        (ONCE, "", b'{"contents":[{"parts":[{"text":1}]}]}'),
        (ONCE, "", b'{"contents":[{"role":1,"parts":[{"text":"x"}]}]}'),
        (ONCE, "", b'{"contents":[{"role":false,"parts":[{"text":"x"}]}]}'),
        (ONCE, "", b'{"generation_config":{},"generationConfig":{},"contents":[{"parts":[{"text":"x"}]}]}'),
    ],
)
def test_unreadable(path: str, query: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        WIRE.read(Request("POST", "h", path, query, {}, body), ReadOptions())


def chunk(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **fields}], "responseId": "abc"}


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + orjson.dumps(chunk) + b"\r\n\r\n" for chunk in chunks)


CHUNKS = (
    chunk({"text": "Let me ", "thought": True}, index=0),
    chunk({"text": "see", "thought": True}, index=0),
    chunk({"text": "Pa"}, index=0, citationMetadata={"citations": [{"uri": "a"}]}),
    chunk({"text": "ris"}, index=0, citationMetadata={"citations": [{"uri": "b"}]}),
    chunk({"text": "", "thoughtSignature": "sig"}, index=0, groundingMetadata={"webSearchQueries": ["q"]}),
    chunk({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s2"}, index=0),
    chunk({"text": ""}, index=0, finishReason="STOP", groundingMetadata={"groundingChunks": [1]})
    | {"usageMetadata": ANSWER["usageMetadata"], "modelVersion": "m"},
)


@pytest.mark.parametrize("body", [sse(*CHUNKS), orjson.dumps(CHUNKS), b"\n [" + orjson.dumps(CHUNKS)[1:-1] + b"\n]\n"])
def test_assemble_a_stream(body: bytes) -> None:
    answer = WIRE.assemble(body, "text/event-stream", SSE)
    assert orjson.loads(answer.body) == {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "Let me see", "thought": True},
                        {"text": "Paris", "thoughtSignature": "sig"},
                        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s2"},
                    ],
                    "role": "model",
                },
                "index": 0,
                "citationMetadata": {"citations": [{"uri": "a"}, {"uri": "b"}]},
                "groundingMetadata": {"webSearchQueries": ["q"], "groundingChunks": [1]},
                "finishReason": "STOP",
            }
        ],
        "responseId": "abc",
        "usageMetadata": ANSWER["usageMetadata"],
        "modelVersion": "m",
    }
    assert answer.usage == Usage(9, 22)
    assert answer.content_type == "application/json; charset=UTF-8"


def test_assemble_several_candidates() -> None:
    chunks = [
        {"candidates": [{"content": {"parts": [{"text": "b"}]}, "index": 1}, {"content": {"parts": [{"text": "a"}]}}]},
        {"candidates": [{"finishReason": "STOP", "index": 0}]},
        {"candidates": [{"content": {"parts": [{"text": "B"}]}, "finishReason": "STOP", "index": 1}]},
    ]
    answer = orjson.loads(WIRE.assemble(sse(*chunks), "", SSE).body)
    assert [candidate["content"]["parts"] for candidate in answer["candidates"]] == [[{"text": "a"}], [{"text": "bB"}]]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no candidates"),
        (sse(*CHUNKS[:-1]), "cut off"),
        (orjson.dumps(CHUNKS)[:-1], "whole"),
        (sse(*CHUNKS, {"error": {"code": 503}}), "503"),
        (orjson.dumps({"error": {"code": 503}}), "503"),
        (sse(chunk({"functionCall": {"name": "f", "willContinue": True}}, finishReason="STOP")), "in parts"),
        (orjson.dumps(ANSWER | {"candidates": []}), "no candidates"),
        (orjson.dumps({"promptFeedback": {"blockReason": "SAFETY"}}), "blocked: SAFETY"),
        (orjson.dumps(answered()), "empty answer"),
        (orjson.dumps(answered({"text": "x", "thought": True})), "empty answer"),
        (orjson.dumps(answered({"functionCall": {"name": "f", "args": '{"a": 1'}})), "arguments are not JSON"),
        *(
            (orjson.dumps(answered({"text": "x"}, finishReason=reason)), reason)
            for reason in ("MAX_TOKENS", "SAFETY", "RECITATION", "PROHIBITED_CONTENT", "MALFORMED_FUNCTION_CALL")
        ),
        (orjson.dumps(ANSWER | {"candidates": [*ANSWER["candidates"], {"index": 1}]}), "cut off"),
    ],
)
def test_unstorable(body: bytes, why: str) -> None:
    with pytest.raises(Unstorable, match=why):
        WIRE.assemble(body, "", SSE)


def test_replay_as_json_has_a_fresh_id_and_time() -> None:
    reply = WIRE.replay(keep(ANSWER | {"createTime": "2026-04-07T16:49:58.333958Z"}), CALL, REPLAY)
    assert orjson.loads(reply.body) == ANSWER | {"responseId": "fresh", "createTime": "2027-01-15T08:00:00.250000Z"}
    assert reply.content_type == "application/json; charset=UTF-8"
    assert orjson.loads(WIRE.replay(keep({"candidates": ANSWER["candidates"]}), CALL, REPLAY).body).keys() == {
        "candidates"
    }


def test_replay_as_stream_is_the_providers_chunks() -> None:
    answer = keep(answered({"text": "a b"}, {"functionCall": {"name": "f"}}, groundingMetadata={"x": [1]}))
    reply = WIRE.replay(answer, SSE, REPLAY)
    assert reply.content_type == "text/event-stream"
    chunks = [orjson.loads(line.removeprefix(b"data: ")) for line in reply.body.split(b"\r\n\r\n")[:-1]]
    assert b"".join(b"data: " + orjson.dumps(each) + b"\r\n\r\n" for each in chunks) == reply.body
    assert chunks[0] == {
        "candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "totalTokenCount": 29,
            "thoughtsTokenCount": 20,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
        },
        "modelVersion": "gemini-3-pro",
        "responseId": "fresh",
    }
    assert chunks[-1] == answered({"functionCall": {"name": "f"}}, groundingMetadata={"x": [1]}) | {
        "responseId": "fresh"
    }
    array = WIRE.replay(answer, ARRAY, REPLAY)
    assert array.content_type == "application/json; charset=UTF-8"
    assert orjson.loads(array.body) == chunks


def test_usage_may_be_zero_on_a_hit() -> None:
    reply = orjson.loads(WIRE.replay(keep(ANSWER), CALL, replace(REPLAY, zero_usage=True)).body)
    assert reply["usageMetadata"]["totalTokenCount"] == 0
    assert reply["usageMetadata"]["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": 0}]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(st.text(min_size=1), values, max_size=3)
texts = st.fixed_dictionaries({"text": st.text()}, optional={"thought": st.just(True), "thoughtSignature": st.text()})
others = st.one_of(
    st.fixed_dictionaries({"functionCall": st.fixed_dictionaries({"name": st.text(), "args": objects})}),
    st.fixed_dictionaries({"executableCode": objects}),
    st.fixed_dictionaries({"inlineData": objects}),
    st.fixed_dictionaries({"text": st.text(), "partMetadata": objects}),
)
candidates = st.fixed_dictionaries(
    {
        "content": st.fixed_dictionaries(
            {
                "parts": st.lists(texts | others, max_size=5).map(lambda parts: [*parts, {"text": "end"}]),
                "role": st.just("model"),
            }
        ),
        "finishReason": st.just("STOP"),
    },
    optional={
        "safetyRatings": st.lists(objects, max_size=2),
        "groundingMetadata": st.fixed_dictionaries({"webSearchQueries": st.lists(st.text(), max_size=2)}),
        "citationMetadata": st.fixed_dictionaries({"citations": st.lists(objects, max_size=2)}),
        "logprobsResult": st.fixed_dictionaries({"chosenCandidates": st.lists(objects, max_size=2)}),
        "avgLogprobs": st.floats(-9, 0),
    },
)
answers = st.fixed_dictionaries(
    {"candidates": st.lists(candidates, min_size=1, max_size=3)},
    optional={
        "usageMetadata": st.fixed_dictionaries(
            {"promptTokenCount": st.integers(0, 9)},
            optional={"totalTokenCount": st.integers(0, 99), "trafficType": st.text()},
        ),
        "modelVersion": st.text(),
        "responseId": st.just("fresh"),
        "promptFeedback": st.just({}),
        "modelStatus": objects,
    },
)


@given(answers, st.sampled_from([b"\r\n", b"\n", b"\r"]))
def test_a_stream_says_what_the_json_says(answer: dict[str, Any], line_end: bytes) -> None:
    for index, candidate in enumerate(answer["candidates"]):
        candidate["index"] = index
    kept = keep(answer)
    body = b": hello" + line_end * 2 + WIRE.replay(kept, SSE, REPLAY).body.replace(b"\r\n", line_end)
    assert orjson.loads(WIRE.assemble(body, "text/event-stream", SSE).body) == answer
    array = WIRE.assemble(WIRE.replay(kept, ARRAY, REPLAY).body, "application/json", ARRAY)
    assert orjson.loads(array.body) == answer
    assert array.usage == kept.usage


def test_no_beginning_of_a_stream_is_stored() -> None:
    for call, end_mark in ((SSE, b"}\r\n\r\n"), (ARRAY, b"]\n")):
        body = WIRE.replay(keep(ANSWER), call, REPLAY).body
        for end in range(len(body) - len(end_mark)):
            with pytest.raises(Unstorable):
                WIRE.assemble(body[:end], "", call)


@pytest.mark.parametrize("wrong", [[], "", 0, False])
def test_a_system_instruction_that_is_none_is_not_the_same_as_no_system_instruction(wrong: Any) -> None:
    """The provider refuses it, which an answer to the call without it would hide."""
    assert identity(read(say({"text": "a"}) | {"systemInstruction": wrong})) != identity(read(say({"text": "a"})))
    assert identity(read(say({"text": "a"}) | {"systemInstruction": None})) == identity(read(say({"text": "a"})))
