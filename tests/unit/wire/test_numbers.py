"""A number is the text that it was, in what tells calls apart and in what is replayed, in every wire format."""

import re
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.cache import Identifier
from askonce.call import Call, Request, Unstorable
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions, Replay

IDENTIFIER = Identifier(bytes(32))
REPLAY = Replay(1_800_000_000.0, lambda prefix: prefix + "fresh")
NUMBERS = st.from_regex(
    re.compile(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?", re.ASCII), fullmatch=True
)
PAIRS = [
    ("123456789012345678901", "123456789012345678902"),
    ("9007199254740993.0", "9007199254740992.0"),
    ("0.10000000000000000555", "0.1"),
    ("1e0", "1"),
    ("1.0", "1"),
    ("1.50", "1.5"),
    ("-0", "0"),
    ("1e-400", "0.0"),
]
GEMINI = "/v1beta/models/m:generateContent"
REQUESTS = {
    "chat, unknown field": ("openai-chat", "", '{"model":"m","x":@,"messages":[{"role":"user","content":"q"}]}'),
    "chat, seed": ("openai-chat", "", '{"model":"m","seed":@,"messages":[{"role":"user","content":"q"}]}'),
    "chat, schema": (
        "openai-chat",
        "",
        '{"model":"m","messages":[{"role":"user","content":"q"}],"tools":[{"type":"function","function":{"name":"f",'
        '"parameters":{"type":"object","properties":{"wei":{"const":@}}}}}]}',
    ),
    "chat, response format": (
        "openai-chat",
        "",
        '{"model":"m","messages":[{"role":"user","content":"q"}],"response_format":{"json_schema":{"minimum":@}}}',
    ),
    "chat, logit bias": ("openai-chat", "", '{"messages":[{"role":"user","content":"q"}],"logit_bias":{"50256":@}}'),
    "chat, a part of the last message": (
        "openai-chat",
        "",
        '{"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"video","video":{"fps":@}}]}]}',
    ),
    "responses, tool": ("openai-responses", "", '{"model":"m","input":"q","tools":[{"parameters":{"const":@}}]}'),
    "responses, item": ("openai-responses", "", '{"input":[{"role":"user","content":"q","x":{"y":[@]}}]}'),
    "completions": ("openai-completions", "", '{"model":"m","prompt":"q","logit_bias":{"50256":@}}'),
    "embeddings": ("openai-embeddings", "", '{"model":"m","input":"q","dimensions":@}'),
    "messages, tool input": (
        "anthropic-messages",
        "",
        '{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use",'
        '"id":"t","name":"f","input":{"wei":@}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t",'
        '"content":"ok"}]},{"role":"user","content":"q"}]}',
    ),
    "messages, schema": (
        "anthropic-messages",
        "",
        '{"model":"m","tools":[{"name":"f","input_schema":{"const":@}}],"messages":[{"role":"user","content":"q"}]}',
    ),
    "messages, limit": (
        "anthropic-messages",
        "",
        '{"model":"m","max_tokens":@,"messages":[{"role":"user","content":"q"}]}',
    ),
    "gemini, args": (
        "gemini",
        GEMINI,
        '{"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[{"functionCall":{"name":"f",'
        '"args":{"wei":@}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}},{"text":"q"}]}]}',
    ),
    "gemini, response": (
        "gemini",
        GEMINI,
        '{"contents":[{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"wei":@}}}]}]}',
    ),
    "gemini, schema": (
        "gemini",
        GEMINI,
        '{"contents":[{"parts":[{"text":"q"}]}],"generationConfig":{"responseJsonSchema":{"const":@}}}',
    ),
    "cohere, schema": (
        "cohere-chat",
        "",
        '{"model":"m","tools":[{"function":{"parameters":{"const":@}}}],"messages":[{"role":"user","content":"q"}]}',
    ),
    "cohere, document": (
        "cohere-chat",
        "",
        '{"model":"m","documents":[{"data":{"wei":@}}],"messages":[{"role":"user","content":"q"}]}',
    ),
    "ollama, tool call": (
        "ollama",
        "/api/chat",
        '{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":'
        '[{"function":{"name":"f","arguments":{"wei":@}}}]},{"role":"tool","content":"ok"}]}',
    ),
    "ollama, format": (
        "ollama",
        "/api/chat",
        '{"model":"m","format":{"const":@},"messages":[{"role":"user","content":"q"}]}',
    ),
    "ollama, context": ("ollama", "/api/generate", '{"model":"m","prompt":"q","context":[@]}'),
    "generic": ("generic", "/ask", '{"query":"q","deep":[{"wei":@}]}'),
}
"""Where a number may stand in a request; @ is the number."""
ASKED = sorted(REQUESTS)


def ask(place: str, number: str) -> Call:
    wire, path, body = REQUESTS[place]
    options = ReadOptions(parse_jsonpath("$.query")) if wire == "generic" else ReadOptions()
    return wire_format(wire).read(Request("POST", "h", path, "", {}, body.replace("@", number).encode()), options)


def key(place: str, number: str) -> str:
    return IDENTIFIER.identify(ask(place, number), host="h", scope="").key


@pytest.mark.parametrize("place", ASKED)
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_calls_that_differ_in_a_number_s_text_are_different(place: str, one: str, other: str) -> None:
    assert key(place, one) != key(place, other)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ASKED), NUMBERS, NUMBERS)
def test_any_two_texts_are_different(place: str, one: str, other: str) -> None:
    assert (key(place, one) == key(place, other)) == (one == other)


@pytest.mark.parametrize("field", ["temperature", "top_p", "presence_penalty", "frequency_penalty"])
def test_of_a_field_that_takes_any_number_one_is_one(field: str) -> None:
    """Python's SDKs write 1.0 where JavaScript's cannot but write 1."""

    def said(number: str) -> str:
        body = f'{{"model":"m","{field}":{number},"messages":[{{"role":"user","content":"q"}}]}}'
        call = wire_format("openai-chat").read(Request("POST", "h", "", "", {}, body.encode()), ReadOptions())
        return IDENTIFIER.identify(call, host="h", scope="").key

    assert said("1.0") == said("1")
    assert len({said(number) for number in ("1", "1e0", "1.00", "1.5", "1.50", "0.1", "0.10000000000000000555")}) == 7


CHAT = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    '{"role":"assistant","content":"a"},"finish_reason":"stop",'
)
ANSWERS = {
    "chat, log-probabilities": (
        "openai-chat",
        CHAT + '"logprobs":{"content":[{"token":"a","bytes":[97],"logprob":@}]}}]}',
    ),
    "chat, an added field": ("openai-chat", CHAT + '"stop_reason":@}]}'),
    "chat, usage": ("openai-chat", CHAT + '"logprobs":null}],"usage":{"prompt_tokens":1,"cost":@}}'),
    "responses": (
        "openai-responses",
        '{"id":"resp_1","created_at":1,"model":"m","status":"completed","temperature":@,"output":[{"type":"message",'
        '"id":"i","status":"completed","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],'
        '"logprobs":[{"token":"a","bytes":[97],"logprob":@}]}]}],"usage":{"x":@}}',
    ),
    "completions": (
        "openai-completions",
        '{"id":"cmpl-1","created":1,"model":"m","choices":[{"index":0,"text":"a","finish_reason":"stop","logprobs":'
        '{"tokens":["a"],"token_logprobs":[@]}}]}',
    ),
    "messages": (
        "anthropic-messages",
        '{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"tool_use","id":"t","name":'
        '"f","input":{"wei":@,"deep":[{"x":@}]}}],"stop_reason":"tool_use","stop_sequence":null,'
        '"usage":{"input_tokens":1,"output_tokens":2}}',
    ),
    "gemini": (
        "gemini",
        '{"candidates":[{"content":{"parts":[{"text":"a"},{"functionCall":{"name":"f","args":{"wei":@}}}],"role":'
        '"model"},"finishReason":"STOP","index":0,"avgLogprobs":@}],"usageMetadata":{"promptTokenCount":1}}',
    ),
    "cohere": (
        "cohere-chat",
        '{"id":"i","message":{"role":"assistant","content":[{"type":"text","text":"a"}],"citations":[{"start":0,'
        '"sources":[{"tool_output":{"wei":@}}]}]},"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":1}},'
        '"logprobs":[{"text":"a","logprobs":[@]}]}',
    ),
    "ollama": (
        "ollama",
        '{"model":"m","created_at":"2026-11-20T09:12:04Z","message":{"role":"assistant","content":"","tool_calls":'
        '[{"function":{"name":"f","arguments":{"wei":@}}}]},"done":true,"done_reason":"stop"}',
    ),
    "generic": ("generic", '{"answer": "a",\n "wei": @}'),
}


def numbers_in(data: bytes, number: str) -> int:
    return len(re.findall(rb"[:\[]\s*" + re.escape(number.encode()) + rb"\s*[,}\]]", data))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(ANSWERS)), st.sampled_from([one for pair in PAIRS for one in pair]) | NUMBERS)
def test_an_answer_s_numbers_are_replayed_as_they_came(place: str, number: str) -> None:
    wire, template = ANSWERS[place]
    form = wire_format(wire)
    call = Call(wire, "q", {}, framing="sse", include_usage=True)
    kept = form.assemble(template.replace("@", number).encode(), "application/json", call)
    whole = form.replay(kept, call, REPLAY)
    least = template.count("@")
    assert numbers_in(whole.body, number) >= least
    if wire != "generic":
        # Out of the stream that is made of it, as out of a provider's, the same comes again.
        streamed = form.replay(kept, replace(call, stream=True), REPLAY)
        again = form.assemble(streamed.body, streamed.content_type, call)
        assert numbers_in(form.replay(again, call, REPLAY).body, number) >= least


@pytest.mark.parametrize("number", ["-2.5e-05", "0.0100", "123456789012345678901", "0.1"])
def test_an_embedding_s_numbers_are_replayed_as_they_came(number: str) -> None:
    form = wire_format("openai-embeddings")
    request = Request("POST", "h", "", "", {}, b'{"model":"m","input":["a","b"]}')
    call = form.read(request, ReadOptions())
    vectors = f"[ {number}, 1.0]", f"[1,\n{number}]"
    data = [f'{{"object": "embedding", "index": {at}, "embedding" : {vectors[at]}}}' for at in (0, 1)]
    body = f'{{"id":"e-1","data":[{", ".join(data)}],"usage":{{"prompt_tokens":2}}}}'.encode()
    kept = form.assemble(body, "application/json", call)
    assert numbers_in(form.replay(kept, call, REPLAY).body, number) == 1
    parts = form.divide(kept, call)  # type: ignore[attr-defined]
    for part, vector in zip(parts, vectors, strict=True):
        assert vector.encode() in part.body
        assert orjson.loads(part.body)["data"][0]["embedding"] == orjson.loads(vector)
    whole = form.join(parts)  # type: ignore[attr-defined]
    assert orjson.loads(whole.body)["data"] == orjson.loads(body)["data"]
    assert all(vector.encode() in whole.body for vector in vectors)


def test_what_looks_like_a_vector_elsewhere_is_none() -> None:
    form = wire_format("openai-embeddings")
    call = form.read(Request("POST", "h", "", "", {}, b'{"model":"m","input":"a"}'), ReadOptions())
    for frame in (
        rb'{"id":"e-1","model":"\"embedding\":[1.50]","data":[{"embedding":[1.50]}]}',
        rb'{"id":"e-1","embedding":[1.50],"data":[{"embedding":[1.50]}]}',
        rb'{"id":"e-1","data":[{"embedding":"AAAA"}],"usage":{"cost":1.50}}',
        rb'{"id":"e-1","data":[{"embedding":[[1.50],[2.50]]}]}',
    ):
        reply = form.replay(form.assemble(frame, "application/json", call), call, REPLAY)
        assert reply.body == frame.replace(b"e-1", b"e-fresh")


def test_an_answer_that_says_one_thing_twice_is_not_kept() -> None:
    for place in sorted(set(ANSWERS) - {"chat, usage"}):
        wire, template = ANSWERS[place]
        body = template.replace("@", '{"a":1,"a":2}').encode()
        with pytest.raises(Unstorable, match="the key 'a' is there twice"):
            wire_format(wire).assemble(body, "application/json", Call(wire, "q", {}))
