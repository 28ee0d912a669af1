from collections.abc import Iterator
from typing import Any

import openai
import pytest

from askonce.sample import SampleProvider


@pytest.fixture
def client(provider: SampleProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0) as client:
        yield client


def test_json_and_stream(client: openai.OpenAI) -> None:
    request: dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "prompt": ["capital of France", "x"], "n": 2}
    request |= {"max_tokens": 50, "logprobs": 1}
    whole = client.completions.create(**request)
    assert [choice.text for choice in whole.choices[:2]] == [
        "The capital of France is Paris.",
        "In short: The capital of France is Paris.",
    ]
    assert [choice.index for choice in whole.choices] == [0, 1, 2, 3]
    texts, tokens, reasons = [""] * 4, [[], [], [], []], [""] * 4  # type: ignore[var-annotated]
    for chunk in client.completions.create(**request, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            tokens[choice.index] += (choice.logprobs and choice.logprobs.tokens) or []
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
        usage = chunk.usage
    assert texts == [choice.text for choice in whole.choices]
    assert tokens == [choice.logprobs.tokens for choice in whole.choices if choice.logprobs]
    assert reasons == ["stop"] * 4
    assert usage == whole.usage


def test_default_limit(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="m", prompt="Something that nobody ever asked before, at some length")
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage and answer.usage.completion_tokens == 16


def test_chat_is_another_format(client: openai.OpenAI) -> None:
    assert client.chat.completions.create(model="m", messages=[]).object == "chat.completion"
