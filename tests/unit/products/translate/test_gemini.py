from typing import Any

import orjson
import pytest

from askonce.products.translate import GEMINI, StreamTranslator, Untranslatable, WholeTranslator
from askonce.products.translate.stream import ProviderTrouble

USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}}}
SIGNED = {"extra_content": {"google": {"thought_signature": "c2ln"}}}


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    request = {"model": "gemini-3-pro", "messages": list(messages) or [USER], **more}
    return GEMINI.ask(request, max_tokens=4096).body


def test_smallest_request() -> None:
    out = GEMINI.ask({"model": "gemini-3-pro", "messages": [USER]}, max_tokens=4096)
    assert (out.path, out.query, out.headers) == ("/v1beta/models/gemini-3-pro:generateContent", "", ())
    assert out.body == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    streamed = GEMINI.ask({"model": "gemini-3-pro", "messages": [USER], "stream": True}, max_tokens=4096)
    assert (streamed.path, streamed.query) == ("/v1beta/models/gemini-3-pro:streamGenerateContent", "alt=sse")
    assert streamed.body == out.body


def test_settings() -> None:
    out = asked(
        {"role": "system", "content": "Be brief."},
        USER,
        max_tokens=9,
        temperature=2,
        top_p=0.5,
        seed=3,
        presence_penalty=0.5,
        frequency_penalty=-1,
        stop="END",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    )
    assert out["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert out["generationConfig"] == {
        "maxOutputTokens": 9,
        "temperature": 2.0,
        "topP": 0.5,
        "seed": 3,
        "presencePenalty": 0.5,
        "frequencyPenalty": -1.0,
        "stopSequences": ["END"],
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    assert asked(response_format={"type": "json_object"})["generationConfig"] == {
        "responseMimeType": "application/json"
    }
    assert "generationConfig" not in asked(response_format={"type": "text"})


def test_tools_and_their_results() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
    out = asked(
        USER,
        {"role": "assistant", "content": "I look.", "tool_calls": [call | SIGNED, call | {"id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "clear"}'},
        {"role": "tool", "tool_call_id": "call_2", "content": "rain"},
        tools=[TOOL, {"type": "function", "function": {"name": "now"}}],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    use = {"name": "weather", "args": {"city": "Paris"}}
    assert out["contents"] == [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {
            "role": "model",
            "parts": [
                {"text": "I look."},
                {"functionCall": {"id": "call_1", **use}, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "call_2", **use}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "call_1", "name": "weather", "response": {"sky": "clear"}}},
                {"functionResponse": {"id": "call_2", "name": "weather", "response": {"output": "rain"}}},
            ],
        },
    ]
    assert out["tools"] == [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "d", "parametersJsonSchema": {"type": "object"}},
                {"name": "now"},
            ]
        }
    ]
    assert out["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}
    assert asked(tools=[TOOL], tool_choice="none")["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}


def test_tools_that_are_not_allowed_are_not_offered() -> None:
    now = {"type": "function", "function": {"name": "now"}}
    for mode, meant in (("auto", "AUTO"), ("required", "ANY")):
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [now]}}
        out = asked(tools=[TOOL, now], tool_choice=choice)
        assert out["tools"] == [{"functionDeclarations": [{"name": "now"}]}]
        assert out["toolConfig"] == {"functionCallingConfig": {"mode": meant}}


def test_a_strict_tool_is_validated_where_the_model_may_also_answer() -> None:
    strict = {"type": "function", "function": {"name": "now", "strict": True}}
    said: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "VALIDATED"),
        ({"tool_choice": "auto"}, "VALIDATED"),
        ({"tool_choice": "required"}, "ANY"),
        ({"tool_choice": "none"}, "NONE"),
    )
    for choice, mode in said:
        assert asked(tools=[TOOL, strict], **choice)["toolConfig"] == {"functionCallingConfig": {"mode": mode}}


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "minimal", {"thinkingBudget": 1024}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576}),
        ("gemini-3-flash", "none", {"thinkingLevel": "minimal"}),
        ("gemini-3-pro", "low", {"thinkingLevel": "low"}),
        ("gemini-3.1-pro", "xhigh", {"thinkingLevel": "high"}),
        ("gemini-1.5-pro", "high", None),
        ("gemini-2.0-flash", "high", None),
    ],
)
def test_effort(model: str, effort: str, expected: dict[str, Any] | None) -> None:
    config = asked(model=model, reasoning_effort=effort).get("generationConfig", {})
    assert config.get("thinkingConfig") == expected


def test_media() -> None:
    content = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg?x=1"}},
        {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "wav"}},
    ]
    assert asked({"role": "user", "content": content})["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"fileUri": "https://example.com/a.jpg?x=1", "mimeType": "image/jpeg"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "CCCC"}},
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 2}, "n: 2; Gemini is asked for one answer at a time, expected 1"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls: Gemini cannot be held to one call"),
        ({"model": "gemini/../x"}, "model: 'gemini/../x' is no name of a model"),
        ({"logit_bias": {"1": 2}}, "logit_bias: Gemini has no counterpart for it"),
    ],
)
def test_refusals_name_what_is_wrong(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(Untranslatable, match=message):
        asked(**wrong)


def whole(**changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "Let me see", "thought": True},
                        {"text": "It is "},
                        {"text": "sunny"},
                        {"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "c2ln"},
                        {"functionCall": {"name": "now", "id": "own"}},
                    ],
                },
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 30,
            "cachedContentTokenCount": 20,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 3,
            "toolUsePromptTokenCount": 1,
        },
        "modelVersion": "gemini-3-pro",
        "responseId": "abc",
    }
    translator = WholeTranslator(GEMINI, now=7, fresh_id=lambda prefix: prefix + "fresh")
    translator.feed(orjson.dumps(answer | changes))
    return dict(orjson.loads(translator.feed(b"")))


def test_whole_answer() -> None:
    told = whole()
    assert told["id"] == "chatcmpl-abc"
    assert told["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "It is sunny",
                "refusal": None,
                "annotations": [],
                "reasoning_content": "Let me see",
                "tool_calls": [
                    {
                        "id": "call_fresh",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
                        **SIGNED,
                    },
                    {"id": "own", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    assert told["usage"] == {
        "prompt_tokens": 31,
        "completion_tokens": 7,
        "total_tokens": 38,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }


@pytest.mark.parametrize(
    ("changes", "finish"),
    [
        ({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]}, "stop"),
        ({"candidates": [{"content": {}, "finishReason": "MAX_TOKENS"}]}, "length"),
        ({"candidates": [{"finishReason": "SAFETY"}]}, "content_filter"),
        ({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}, "content_filter"),
        ({"candidates": None, "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "content_filter"),
    ],
)
def test_finish_reasons(changes: dict[str, Any], finish: str) -> None:
    assert whole(**changes)["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": []}, "the provider's stream ended before its answer did"),
        ({"error": {"message": "Quota"}}, "Quota"),
        ({"candidates": [{"content": {"parts": [{"inlineData": {}}]}}]}, "answered with a part of inlineData"),
        ({"candidates": [1]}, "cannot be read: a value is not of the kind"),
    ],
)
def test_what_is_no_answer(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ProviderTrouble, match=message):
        whole(**changes)


def test_finish_reason_in_every_chunk() -> None:
    translator = StreamTranslator(GEMINI, now=7, fresh_id=lambda prefix: prefix, include_usage=False)
    said = b""
    for text in ("one ", "two"):
        chunk = {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}], "responseId": "r"}
        said += translator.feed(b"data: " + orjson.dumps(chunk) + b"\r\n\r\n")
    assert b"[DONE]" not in said
    said += translator.feed(b"")
    assert (said.count(b'"finish_reason":"stop"'), said.endswith(b"data: [DONE]\n\n")) == (1, True)
