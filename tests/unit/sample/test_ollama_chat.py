from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest

from askonce.sample import SampleProvider

FRANCE: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: list[Any] = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
def client(provider: SampleProvider) -> Iterator[ollama.Client]:
    with ollama.Client(provider.url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("think", [False, True])
def test_chat(client: ollama.Client, think: bool) -> None:
    whole = client.chat("llama3.2", FRANCE, think=think)
    assert whole.message.content == "The capital of France is Paris."
    assert whole.message.thinking == ("The user asks: What is the capital of France?" if think else None)
    lines = list(client.chat("llama3.2", FRANCE, think=think, stream=True))
    assert "".join(line.message.content or "" for line in lines) == whole.message.content
    assert "".join(line.message.thinking or "" for line in lines) == (whole.message.thinking or "")
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    ending = {"done", "done_reason", "eval_count", "prompt_eval_count", "total_duration", "model"}
    assert lines[-1].model_dump(include=ending) == whole.model_dump(include=ending)


@pytest.mark.parametrize("think", [False, True])
def test_generate(client: ollama.Client, think: bool) -> None:
    whole = client.generate("llama3.2", "What is the capital of France?", think=think)
    assert whole.response == "The capital of France is Paris."
    lines = list(client.generate("llama3.2", "What is the capital of France?", think=think, stream=True))
    assert "".join(line.response or "" for line in lines) == whole.response
    assert "".join(line.thinking or "" for line in lines) == (whole.thinking or "")
    assert lines[-1].context == whole.context
    assert [line.context for line in lines[:-1]] == [None] * (len(lines) - 1)


def test_tool_call_and_its_result(client: ollama.Client) -> None:
    asked = client.chat("m", WEATHER, tools=[TOOL])
    calls = asked.message.tool_calls or ()
    assert [call.function.arguments for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    lines = client.chat("m", WEATHER, tools=[TOOL], stream=True)
    assert [call for line in lines for call in line.message.tool_calls or ()] == calls
    told = client.chat("m", [*WEATHER, asked.message, {"role": "tool", "content": "18 °C"}], tools=[TOOL])
    assert told.message.content == "The tool says: 18 °C"


def test_format_and_limit(client: ollama.Client) -> None:
    schema = {"type": "object", "properties": {"big": {"type": "boolean"}}}
    assert client.chat("m", FRANCE, format=schema).message.content == '{"big":true}'
    assert client.chat("m", FRANCE, format="json").message.content == '{"answer":"The capital of France is Paris."}'
    cut = client.chat("m", FRANCE, options={"num_predict": 3})
    assert (cut.message.content, cut.done_reason) == ("The capital of", "length")


def test_streams_unless_asked_otherwise(http: httpx.Client) -> None:
    response = http.post("/api/chat", json={"model": "m", "messages": FRANCE}, headers={"authorization": ""})
    assert response.headers["content-type"] == "application/x-ndjson"
    assert len(response.text.splitlines()) == 8


def test_unknown_model(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'no-such-model' not found"):
        client.chat("no-such-model", FRANCE)
