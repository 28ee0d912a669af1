"""The official SDKs ask through a transport that answers as Askonce would: both forms must say the same to them."""

from collections.abc import Callable
from typing import Any

import anthropic
import cohere
import httpx
import httpx2
import ollama
import orjson
import pytest
from google import genai

from askonce.call import Call, Request
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions, Replay

HM = "Hm \u2028\u2029\x85🤔"
"""With what ends a line for Python's `str.splitlines`."""
REPLAY = Replay(now=1_800_000_000.0, fresh_id=lambda prefix: prefix + "fresh")


def answering(wire: str, answer: Any, seen: list[Call], library: Any = httpx) -> Callable[[Any], Any]:
    def respond(http: Any) -> Any:
        headers = {name.lower(): value for name, value in http.headers.items()}
        query = http.url.query.decode()
        request = Request(http.method, http.url.host, http.url.path, query, headers, http.read())
        call = wire_format(wire).read(request, ReadOptions())
        seen.append(call)
        kept = wire_format(wire).assemble(orjson.dumps(answer), "application/json", call)
        reply = wire_format(wire).replay(kept, call, REPLAY)
        return library.Response(200, headers={"content-type": reply.content_type}, content=reply.body)

    return respond


def one_question(seen: list[Call], streams: list[bool]) -> None:
    assert [call.stream for call in seen] == streams
    identities = {orjson.dumps([call.prompt, call.parts], option=orjson.OPT_SORT_KEYS) for call in seen}
    assert len(identities) == 1
    assert (seen[0].prompt, seen[0].exact_only) == ("What is the weather?", "")


MESSAGE: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "usage": {"input_tokens": 12, "cache_read_input_tokens": 3, "output_tokens": 30, "service_tier": "standard"},
}
ASKED: dict[str, Any] = {
    "model": "claude-sonnet-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "What is the weather?"}],
}


def test_anthropic() -> None:
    message = MESSAGE | {
        "content": [
            {"type": "thinking", "thinking": "A capital … \u2028\u2029\x85🗼", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "xyz"},
            {"type": "text", "text": "Paris 🇫🇷.", "citations": [{"type": "char_location", "cited_text": "x"}]},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris", "days": [1, 2.5]}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ]
    }
    seen: list[Call] = []
    transport = httpx2.MockTransport(answering("anthropic-messages", message, seen, httpx2))
    sdk = anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport))
    asked = ASKED | {"system": "Be brief.", "tools": [{"name": "weather", "input_schema": {"type": "object"}}]}
    once = sdk.messages.create(**asked)
    with sdk.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    raw = [event.type for event in sdk.messages.create(**asked, stream=True)]
    assert once.to_dict() == message | {"id": "msg_fresh"}
    assert streamed.to_dict() == once.to_dict()
    assert (raw[0], raw[-1]) == ("message_start", "message_stop")
    one_question(seen, [False, True, True])


def test_anthropic_without_usage() -> None:
    """Some servers that speak this format do not tell it, and the SDK reads it from every stream."""
    message = {name: value for name, value in MESSAGE.items() if name != "usage"}
    message |= {"content": [{"type": "text", "text": "It is sunny."}], "stop_reason": "end_turn"}
    seen: list[Call] = []
    transport = httpx2.MockTransport(answering("anthropic-messages", message, seen, httpx2))
    sdk = anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport))
    once = sdk.messages.create(**ASKED)
    with sdk.messages.stream(**ASKED) as stream:
        streamed = stream.get_final_message()
    assert streamed.to_dict() == once.to_dict()
    assert once.usage.input_tokens > 0 and once.usage.output_tokens > 0


def test_anthropic_beta() -> None:
    message = MESSAGE | {
        "content": [
            {"type": "compaction", "content": "So far …", "encrypted_content": "xyz"},
            {"type": "mcp_tool_use", "id": "m", "name": "echo", "input": {"a": "b"}, "server_name": "s"},
            {
                "type": "mcp_tool_result",
                "tool_use_id": "m",
                "is_error": False,
                "content": [{"type": "text", "text": "b"}],
            },
            {"type": "text", "text": "Done"},
        ],
        "context_management": {"applied_edits": []},
        "stop_reason": "end_turn",
    }
    seen: list[Call] = []
    transport = httpx2.MockTransport(answering("anthropic-messages", message, seen, httpx2))
    sdk = anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport))
    once = sdk.beta.messages.create(**ASKED, betas=["mcp-client-2025-11-20"])
    with sdk.beta.messages.stream(**ASKED, betas=["mcp-client-2025-11-20"]) as stream:
        streamed = stream.get_final_message()
    assert once.to_dict() == message | {"id": "msg_fresh"}
    assert streamed.to_dict() == once.to_dict()
    one_question(seen, [False, True])


@pytest.mark.parametrize("vertex", [False, True])
def test_google_genai(vertex: bool) -> None:
    answer = {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "Let me see \u2028\u2029\x85🤔", "thought": True},
                        {"text": "It is sunny, and ", "thoughtSignature": "c2ln"},
                        {"functionCall": {"name": "weather", "args": {"city": "Paris"}}},
                    ],
                    "role": "model",
                },
                "finishReason": "STOP",
                "index": index,
                "groundingMetadata": {"webSearchQueries": ["weather"]},
            }
            for index in range(2)
        ],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 31},
        "modelVersion": "gemini-3-pro",
        "responseId": "abc",
    }
    seen: list[Call] = []
    transport = httpx.MockTransport(answering("gemini", answer, seen))
    options = genai.types.HttpOptions(httpx_client=httpx.Client(transport=transport), base_url="https://gemini.test")
    sdk = genai.Client(vertexai=vertex, api_key="k", http_options=options)
    asked: Any = {
        "model": "gemini-3-pro",
        "contents": "What is the weather?",
        "config": {"system_instruction": "Be brief.", "temperature": 0.5, "max_output_tokens": 9, "candidate_count": 2},
    }
    once = sdk.models.generate_content(**asked)
    chunks = list(sdk.models.generate_content_stream(**asked))
    assert once.candidates
    assert [len(once.candidates), once.response_id, once.candidates[0].content.parts[1].thought_signature] == [
        2,
        "fresh",
        b"sig",
    ]
    for number, candidate in enumerate(once.candidates):
        pieces = [piece for chunk in chunks for piece in chunk.candidates if (piece.index or 0) == number]
        parts = [part for piece in pieces for part in piece.content.parts]
        said = "".join(part.text for part in parts if part.text and not part.thought)
        thought = "".join(part.text for part in parts if part.text and part.thought)
        calls = [part.function_call for part in parts if part.function_call]
        assert [thought, said, calls] == [
            "Let me see \u2028\u2029\x85🤔",
            "It is sunny, and ",
            [candidate.content.parts[2].function_call],
        ]
        assert pieces[-1].finish_reason == candidate.finish_reason
        assert pieces[-1].grounding_metadata == candidate.grounding_metadata
    assert chunks[-1].usage_metadata == once.usage_metadata
    assert {chunk.response_id for chunk in chunks} == {"fresh"}
    one_question(seen, [False, True])
    assert (seen[1].framing, seen[0].model, seen[0].temperature) == ("sse", "gemini-3-pro", 0.5)
    assert seen[0].parts["sampling"]["maxOutputTokens"] == 9


def test_cohere() -> None:
    answer = {
        "id": "53bcb235-5179-4a91-a578-cb372b5430bc",
        "message": {
            "role": "assistant",
            "tool_plan": "I will look",
            "content": [
                {"type": "thinking", "thinking": HM},
                {"type": "text", "text": "It is sunny."},
            ],
            "tool_calls": [{"id": "t", "type": "function", "function": {"name": "weather", "arguments": '{"a": 1}'}}],
            "citations": [{"start": 0, "end": 2, "text": "It", "sources": [], "type": "TEXT_CONTENT"}],
        },
        "finish_reason": "COMPLETE",
        "usage": {"tokens": {"input_tokens": 9, "output_tokens": 4}},
    }
    seen: list[Call] = []
    transport = httpx.MockTransport(answering("cohere-chat", answer, seen))
    sdk = cohere.ClientV2(api_key="k", httpx_client=httpx.Client(transport=transport))
    asked: Any = {
        "model": "command-a",
        "messages": [{"role": "user", "content": "What is the weather?"}],
        "temperature": 0.5,
    }
    once = sdk.chat(**asked)
    events = [event.model_dump(exclude_none=True) for event in sdk.chat_stream(**asked)]
    assert once.model_dump(exclude_none=True) == answer | {"id": once.id}
    assert len(once.id) == 36
    assert once.id != answer["id"]

    def joined(kind: str, *way: str) -> str:
        found = [event["delta"]["message"] for event in events if event["type"] == kind]
        for step in way:
            found = [message.get(step, "") for message in found]
        return "".join(found)

    assert joined("content-delta", "content", "thinking") == HM
    assert joined("content-delta", "content", "text") == "It is sunny."
    assert joined("tool-plan-delta", "tool_plan") == "I will look"
    assert joined("tool-call-delta", "tool_calls", "function", "arguments") == '{"a": 1}'
    assert [event["delta"]["message"]["citations"] for event in events if event["type"] == "citation-start"] == answer[
        "message"
    ]["citations"]
    assert events[0]["id"] == once.id
    assert events[-1] == {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": answer["usage"]}}
    one_question(seen, [False, True])


def test_ollama() -> None:
    done = {"created_at": "2026-11-20T09:12:04.123456789Z", "done": True, "done_reason": "stop", "eval_count": 3}
    call = {"function": {"name": "weather", "arguments": {"city": "Paris"}}}
    answer = {
        "model": "llama4",
        "message": {
            "role": "assistant",
            "content": "It is sunny.",
            "thinking": HM,
            "tool_calls": [call],
        },
        **done,
    }
    seen: list[Call] = []
    sdk = ollama.Client(host="http://ollama.test", transport=httpx.MockTransport(answering("ollama", answer, seen)))
    asked: Any = {
        "model": "llama4",
        "messages": [{"role": "user", "content": "What is the weather?"}],
        "options": {"temperature": 0.5},
        "keep_alive": "5m",
    }
    once = sdk.chat(**asked)
    lines = list(sdk.chat(**asked, stream=True))
    assert once.message.model_dump(exclude_none=True) == answer["message"]
    assert "".join(line.message.content or "" for line in lines) == "It is sunny."
    assert "".join(line.message.thinking or "" for line in lines) == HM
    assert [each for line in lines for each in line.message.tool_calls or ()] == once.message.tool_calls
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1].eval_count, lines[-1].created_at) == (3, "2027-01-15T08:00:00.000000000Z")
    one_question(seen, [False, True])


def test_ollama_generate() -> None:
    answer = {
        "model": "llama4",
        "created_at": "2026-11-20T09:12:04.1Z",
        "response": "It is sunny.",
        "context": [1, 2],
        "done": True,
    }
    seen: list[Call] = []
    sdk = ollama.Client(host="http://ollama.test", transport=httpx.MockTransport(answering("ollama", answer, seen)))
    once = sdk.generate(model="llama4", prompt="What is the weather?", system="Be brief.")
    lines = list(sdk.generate(model="llama4", prompt="What is the weather?", system="Be brief.", stream=True))
    assert (once.response, "".join(line.response or "" for line in lines)) == ("It is sunny.", "It is sunny.")
    assert lines[-1].context == once.context == [1, 2]
    one_question(seen, [False, True])
