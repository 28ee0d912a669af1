from typing import Any

import orjson
import pytest

from askonce.products.translate import ANTHROPIC, StreamTranslator, Untranslatable, WholeTranslator, message_of
from askonce.products.translate.stream import ProviderTrouble

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}}}


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    request = {"model": "claude-sonnet-5", "messages": list(messages) or [USER], **more}
    return ANTHROPIC.ask(request, max_tokens=4096).body


def test_smallest_request() -> None:
    out = ANTHROPIC.ask({"model": "claude-sonnet-5", "messages": [USER]}, max_tokens=4096)
    assert (out.path, out.query, out.headers) == ("/v1/messages", "", (("anthropic-version", "2023-06-01"),))
    assert out.body == {
        "model": "claude-sonnet-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_documented_request() -> None:
    """The fields of the Gateway's document, its neutral values among them."""
    out = asked(max_tokens=150, temperature=0.7, top_p=1.0, n=1, stream=False, stop=None)
    assert out == {
        "model": "claude-sonnet-5",
        "max_tokens": 150,
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.7,
    }


def test_settings() -> None:
    out = asked(max_completion_tokens=9, temperature=1.5, top_p=0.5, stop="END", stream=True, seed=3, user="me")
    assert out == {
        "model": "claude-sonnet-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 1.0,
        "top_p": 0.5,
        "stop_sequences": ["END"],
        "stream": True,
    }
    assert asked(stop=["a", "b"])["stop_sequences"] == ["a", "b"]
    schema = {"type": "object"}
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    assert asked(response_format=form)["output_config"] == {"format": {"type": "json_schema", "schema": schema}}


def test_system_messages_are_joined() -> None:
    out = asked(
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
    )
    assert out["system"] == "Be brief.\nBe kind."
    assert out["messages"] == [{"role": "user", "content": "Hi"}]


def test_tools_and_their_results() -> None:
    out = asked(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL, CALL | {"id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "rain"}]},
        {"role": "user", "content": "And?"},
        tools=[TOOL, {"type": "function", "function": {"name": "now"}}],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    use = {"type": "tool_use", "name": "weather", "input": {"city": "Paris"}}
    assert out["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [use | {"id": "call_1"}, use | {"id": "call_2"}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "call_2", "content": "rain"},
                {"type": "text", "text": "And?"},
            ],
        },
    ]
    assert out["tools"] == [
        {"name": "weather", "description": "d", "input_schema": {"type": "object"}},
        {"name": "now", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert out["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
    ],
)
def test_tool_choice(choice: Any, expected: Any) -> None:
    assert asked(tools=[TOOL], tool_choice=choice)["tool_choice"] == expected


NOW = {"type": "function", "function": {"name": "now"}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(("mode", "kind"), [("auto", "auto"), ("required", "any")])
def test_tools_that_are_not_allowed_are_not_offered(mode: str, kind: str) -> None:
    out = asked(tools=[TOOL, NOW], tool_choice=allowed(mode, "now"))
    assert [tool["name"] for tool in out["tools"]] == ["now"]
    assert out["tool_choice"] == {"type": kind}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (allowed("auto", "x"), "tool_choice: there is no tool named 'x'"),
        (allowed("auto"), "tool_choice.allowed_tools.tools: expected functions with their names"),
        (allowed("never", "now"), "tool_choice: expected auto, none, required, a function or allowed_tools"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "mcp"}]}},
            "tool_choice.allowed_tools.tools: expected functions",
        ),
    ],
)
def test_allowed_tools_that_make_no_sense(choice: Any, message: str) -> None:
    with pytest.raises(Untranslatable, match=message):
        asked(tools=[TOOL, NOW], tool_choice=choice)


def test_a_strict_tool() -> None:
    strict = {"type": "function", "function": {**NOW["function"], "strict": True}}  # type: ignore[dict-item]
    loose = {"type": "function", "function": {**NOW["function"], "strict": False}}  # type: ignore[dict-item]
    assert [tool.get("strict") for tool in asked(tools=[strict, loose])["tools"]] == [True, None]


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("claude-sonnet-5", "minimal", {"output_config": {"effort": "low"}}),
        ("claude-sonnet-5", "max", {"output_config": {"effort": "max"}}),
        ("claude-opus-4-5-20251101", "high", {"output_config": {"effort": "high"}}),
        ("claude-sonnet-4-6", "medium", {"output_config": {"effort": "medium"}}),
        ("claude-sonnet-5", "none", {"thinking": {"type": "disabled"}}),
        *(
            (model, effort, {})  # they are older than the setting, and refuse it
            for model in (
                "claude-3-haiku-20240307", "claude-sonnet-4-20250514", "claude-opus-4-1-20250805", "claude-opus-4-0",
                "claude-sonnet-4-5", "claude-haiku-4-5-20251001",
            )
            for effort in ("none", "high")
        ),
    ],
)  # fmt: skip
def test_effort(model: str, effort: str, expected: dict[str, Any]) -> None:
    out = asked(model=model, reasoning_effort=effort)
    assert {name: out[name] for name in ("output_config", "thinking") if name in out} == expected


def test_effort_beside_a_schema() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    out = asked(response_format=form, reasoning_effort="low")["output_config"]
    assert out == {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}
    with pytest.raises(Untranslatable, match=r"reasoning_effort: expected one of none, minimal, .*; got 'hard'"):
        asked(reasoning_effort="hard")


def test_media() -> None:
    content = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
    ]
    assert asked({"role": "user", "content": content})["messages"][0]["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 2}, "n: 2; Anthropic is asked for one answer at a time, expected 1"),
        ({"logprobs": True}, "logprobs: Anthropic has no counterpart for it"),
        ({"presence_penalty": 0.5}, "presence_penalty: Anthropic has no counterpart for it"),
        ({"response_format": {"type": "json_object"}}, "response_format: Anthropic makes JSON of a schema only"),
        ({"audio": {"voice": "alloy"}}, "audio: Anthropic has no counterpart for it"),
        ({"functions": [{"name": "f"}]}, "functions: is not translated for Anthropic; use tools and tool_choice"),
        ({"temperature": 3}, "temperature: expected a number from 0 to 2; got 3"),
        ({"temperature": True}, "temperature: expected a number from 0 to 2; got True"),
        ({"max_tokens": 0}, "max_tokens: expected a whole number of at least 1; got 0"),
        ({"max_tokens": "9"}, "max_tokens: expected a whole number of at least 1; got '9'"),
        ({"stop": [1]}, "stop: expected a text or a list of texts"),
        ({"stream": "yes"}, "stream: expected true or false; got 'yes'"),
        ({"messages": []}, "messages: expected a list with at least one message"),
        ({"messages": "Hi"}, "messages: expected a list with at least one message"),
        (
            {"messages": [{"role": "system", "content": "x"}]},
            "messages: expected at least one that is not the system's",
        ),
        ({"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role: expected one of assistant, developer"),
        ({"messages": [{"role": "user"}]}, "messages[0].content: expected text or a list of parts"),
        ({"messages": [{"role": "user", "content": [{"type": "x"}]}]}, "messages[0].content[0]: expected a part of"),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id: expected a text"),
        (
            {"messages": [USER, {"role": "tool", "tool_call_id": "c", "content": "x"}]},
            "messages[1].tool_call_id: no assistant message before it calls 'c'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://a/b"}}]}]},
            "messages[0].content[0].image_url.url: expected a data: URL, or one of http or https",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
            "messages[0].content[0].file: expected file_data",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}]},
            "messages[0].tool_calls[0]: expected a function call",
        ),
        ({"tools": [{"type": "web_search"}]}, "tools[0]: expected a function"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "no tool named 'x'"),
    ],
)
def test_refusals_name_what_is_wrong(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(Untranslatable) as refusal:
        asked(**wrong) if "messages" not in wrong else ANTHROPIC.ask({"model": "claude"} | wrong, max_tokens=9)
    assert message in str(refusal.value)


ANSWER: dict[str, Any] = {
    "type": "message",
    "id": "msg_01ABC",
    "model": "claude-sonnet-5-20260101",
    "role": "assistant",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


def whole(**changes: Any) -> dict[str, Any]:
    translator = WholeTranslator(ANTHROPIC, now=7.9, fresh_id=lambda prefix: prefix)
    translator.feed(orjson.dumps(ANSWER | changes))
    return dict(orjson.loads(translator.feed(b"")))


def test_whole_answer() -> None:
    assert whole() == {
        "id": "chatcmpl-01ABC",
        "object": "chat.completion",
        "created": 7,
        "model": "claude-sonnet-5-20260101",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 1,
            "total_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("refusal", "content_filter"),
        ("something_new", "content_filter"),
    ],
)
def test_finish_reasons(reason: str, finish: str) -> None:
    assert whole(stop_reason=reason)["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "error", "error": {"message": "Overloaded"}}, "Overloaded"),
        ({"content": [{"type": "hologram"}]}, "the provider answered with a block of the type 'hologram'"),
        ({"content": None}, "the provider's answer cannot be read: a value is not of the kind"),
        ({"content": 1}, "the provider's answer cannot be read: a value is not of the kind"),
    ],
)
def test_what_is_no_answer(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ProviderTrouble, match=message):
        whole(**changes)


def test_error_event() -> None:
    translator = StreamTranslator(ANTHROPIC, now=7, fresh_id=lambda prefix: prefix, include_usage=False)
    assert translator.feed(b'event: error\ndata: {"type":"error","error":{"message":"Overloaded"}}\n\n') == (
        b'data: {"error":{"message":"Overloaded","type":"provider_error","param":null,"code":"provider_error"}}\n\n'
    )
    assert translator.feed(b'event: message_stop\ndata: {"type":"message_stop"}\n\n') == translator.feed(b"") == b""


def test_stream_bytes() -> None:
    events = [
        {"type": "message_start", "message": ANSWER | {"content": [], "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}},
        },
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    translator = StreamTranslator(ANTHROPIC, now=7, fresh_id=lambda prefix: prefix, include_usage=True)
    data = b"".join(b"event: x\ndata: " + orjson.dumps(event) + b"\n\n" for event in events)
    out = translator.feed(data) + translator.feed(b"")
    frame = (
        b'data: {"id":"chatcmpl-01ABC","object":"chat.completion.chunk","created":7,"model":"claude-sonnet-5-20260101"'
    )

    def chunk(delta: bytes, finish: bytes = b"null") -> bytes:
        choice = b'{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}' % (delta, finish)
        return frame + b',"choices":[' + choice + b'],"usage":null}\n\n'

    call = b'{"tool_calls":[{"index":0,"id":"toolu_1","type":"function","function":{"name":"now","arguments":""}}]}'
    assert out == b"".join(
        [
            chunk(b'{"role":"assistant","content":"","refusal":null}'),
            chunk(b'{"content":"Hi"}'),
            chunk(call),
            chunk(b'{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}'),
            chunk(b"{}", b'"tool_calls"'),
            frame + b',"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8,'
            b'"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}\n\n',
            b"data: [DONE]\n\n",
        ]
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"type":"error","error":{"type":"x","message":"Overloaded"}}', "Overloaded"),
        (b'{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}', "API key not valid."),
        (b'[{"error":{"code":429,"message":"Quota"}}]', "Quota"),
        (b'{"error":"no"}', "no"),
        (b"<html>", ""),
        (b"[]", ""),
    ],
)
def test_message_of_an_error(body: bytes, message: str) -> None:
    assert message_of(body) == message
