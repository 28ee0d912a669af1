"""Answers put beside that of a stored call, in every wire format that has texts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from askonce import jsontext
from askonce.cache import Cache, Entry, Policy, load_embedder
from askonce.cache.judge import load_judge
from askonce.call import Answer, Call, Turn, Usage
from askonce.calls.warming import LikeWarmer
from askonce.rules import Document, Rules
from askonce.wire import WIRE_FORMATS
from askonce.wire.base import Replay

EMBEDDER = load_embedder("wordllama")
RULES = Rules(
    Document.parse(
        "version: 1\ndefaults: {ttl: 1h}\nupstreams:\n"
        "  - {name: chat, hosts: [api.example.com], paths: [/v1/chat], wire: openai-chat, ttl: 60s}\n"
    )
)
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
OUTPUT = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
FINALS: dict[str, dict[str, Any]] = {
    "openai-chat": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "OLD"}, "finish_reason": "stop"}],
        "usage": USAGE,
    },
    "openai-completions": {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": "OLD", "finish_reason": "stop", "logprobs": None}],
        "usage": USAGE,
    },
    "openai-responses": {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "m",
        "output": [{**OUTPUT, "content": [{"type": "output_text", "text": "OLD", "annotations": []}]}],
        "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
    },
    "anthropic-messages": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "OLD"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 3},
    },
    "gemini": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "OLD"}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12},
        "modelVersion": "m",
        "responseId": "r1",
    },
    "cohere-chat": {
        "id": "1",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "OLD"}]},
        "finish_reason": "COMPLETE",
        "usage": {"tokens": {"input_tokens": 9, "output_tokens": 3}},
    },
    "ollama": {
        "model": "m",
        "created_at": "2026-01-19T12:00:00Z",
        "message": {"role": "assistant", "content": "OLD"},
        "done_reason": "stop",
        "done": True,
        "prompt_eval_count": 9,
        "eval_count": 3,
    },
}


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    cache = Cache.open(tmp_path / "data", embedder=EMBEDDER, judge=load_judge(), clock=lambda: 1_800_000_000.0)
    yield cache
    await cache.close()


@pytest.fixture
def warm(cache: Cache) -> LikeWarmer:
    return LikeWarmer(cache, lambda: RULES, clock=lambda: 1_800_000_000.0)


async def remember(cache: Cache, wire: str, final: Any = None, prompt: str = "Who are you?", **more: Any) -> Entry:
    call = Call(
        wire, prompt, {"system": "Be kind."}, model="m", turns=(Turn("system", "Be kind."), Turn("user", prompt))
    )
    return await cache.remember(
        call,
        cache.identify(call, host="api.example.com", scope="sk-1"),
        Answer(orjson.dumps(final or FINALS[wire]), usage=Usage(9, 3)),
        upstream="chat",
        host="api.example.com",
        ttl=3600,
        upstream_seconds=0.8,
        **more,
    )


@pytest.mark.parametrize("wire", FINALS)
async def test_a_text_is_told_in_the_wire_format_of_the_stored_call(cache: Cache, warm: LikeWarmer, wire: str) -> None:
    like = await remember(cache, wire)
    ((key, error),) = await warm(like.key, [("What is your name?", "I am Onzé.")])
    assert error == ""
    kept = await cache.get(key)
    assert kept
    call = Call(wire, kept.prompt, {}, model="m")
    told = WIRE_FORMATS[wire].replay(kept.answer, call, Replay(0.0, str)).body.decode()
    assert "I am Onzé." in told and "OLD" not in told
    assert kept.answer.usage == Usage(0, 0)
    assert (kept.partition, kept.parts, kept.model) == (like.partition, like.parts, "m")
    assert kept.turns == (Turn("system", "Be kind."), Turn("user", "What is your name?"))
    assert kept.expires - kept.created == 60


async def test_it_serves_the_call_and_its_other_wordings(cache: Cache, warm: LikeWarmer) -> None:
    like = await remember(cache, "openai-chat")
    await warm(like.key, [("What is the capital of France?", "Paris.")])
    for prompt in ("What is the capital of France?", "Please, what is the capital of France?"):
        call = Call("openai-chat", prompt, {"system": "Be kind."}, model="m")
        identity = cache.identify(call, host="api.example.com", scope="sk-1")
        found = await cache.look_up(call, identity, Policy())
        assert found.entry and b"Paris." in found.entry.answer.body
        other = cache.identify(call, host="api.example.com", scope="sk-2")
        assert (await cache.look_up(call, other, Policy())).entry is None


async def test_the_providers_own_object_is_kept_as_it_is(cache: Cache, warm: LikeWarmer) -> None:
    like = await remember(cache, "openai-chat")
    final = FINALS["openai-chat"] | {"system_fingerprint": "fp_1"}
    ((key, _),) = await warm(like.key, [("What is your name?", final)])
    kept = await cache.get(key)
    assert kept and orjson.loads(kept.answer.body) == final and kept.answer.usage == Usage(9, 3)


async def test_its_numbers_are_kept_as_they_are(cache: Cache, warm: LikeWarmer) -> None:
    like = await remember(cache, "openai-chat")
    final = jsontext.loads(orjson.dumps(FINALS["openai-chat"])[:-1] + b',"wei":123456789012345678901,"x":0.10}')
    ((key, _),) = await warm(like.key, [("What is your name?", final)])
    kept = await cache.get(key)
    assert kept and kept.answer.body.endswith(b'"wei":123456789012345678901,"x":0.10}')


async def test_one_that_cannot_be_kept_does_not_hold_up_the_others(cache: Cache, warm: LikeWarmer) -> None:
    like = await remember(cache, "openai-chat")
    done = await warm(like.key, [("a", {"error": {"message": "no"}}), ("b", ""), ("c", "C")])
    assert [bool(key) for key, _ in done] == [False, False, True]
    assert all(error for key, error in done if not key)
    assert await cache.count() == 2


async def test_an_answer_without_text_is_no_pattern_for_one(cache: Cache, warm: LikeWarmer) -> None:
    tool = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [tool]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    like = await remember(cache, "openai-chat", FINALS["openai-chat"] | {"choices": [choice]})
    ((key, error),) = await warm(like.key, [("a", "A")])
    assert (key, error) == (
        "",
        "the entry's own answer has no text to stand for this one; give the provider's whole object",
    )


async def test_there_must_be_an_entry_to_be_like(warm: LikeWarmer) -> None:
    with pytest.raises(LookupError, match="The entry to be like is not there"):
        await warm("00" * 16, [("a", "A")])
