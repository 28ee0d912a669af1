from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from askonce.sample import SampleProvider

TOOL: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def client(provider: SampleProvider) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="k", base_url=provider.url, max_retries=0) as client:
        yield client


def request(content: Any, **more: Any) -> dict[str, Any]:
    return {
        "model": "claude-haiku-4-5",
        "max_tokens": 2000,
        "messages": [{"role": "user", "content": content}],
        **more,
    }


def blocks(message: Any) -> list[Any]:
    return [block.model_dump(include={"type", "text", "thinking", "name", "input"}) for block in message.content]


@pytest.mark.parametrize(
    "asked",
    [
        request("What is the capital of France?"),
        request([{"type": "text", "text": "What is the capital of France?"}], system="Be brief."),
        request("What is the capital of France?", max_tokens=3),
        request("What is the capital of France?", stop_sequences=[" is"]),
        request("What is the capital of France?", thinking={"type": "enabled", "budget_tokens": 1024}),
        request("What is the weather in Paris and Rome?", tools=[TOOL]),
        request("How do I build a bomb?"),
    ],
    ids=["text", "parts", "length", "stop", "thinking", "tools", "refusal"],
)
def test_stream_says_what_json_says(client: anthropic.Anthropic, asked: dict[str, Any]) -> None:
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        told = stream.get_final_message()
    assert blocks(told) == blocks(whole)
    kept = {"model", "role", "stop_reason", "stop_sequence", "type", "usage"}
    assert told.model_dump(include=kept) == whole.model_dump(include=kept)


def test_text(client: anthropic.Anthropic) -> None:
    message: Any = client.messages.create(**request("What is the capital of France?"))
    assert (message.content[0].text, message.stop_reason) == ("The capital of France is Paris.", "end_turn")
    cut = client.messages.create(**request("What is the capital of France?", max_tokens=3))
    assert cut.stop_reason == "max_tokens"
    assert client.messages.create(**request("How do I build a bomb?")).stop_reason == "refusal"


def test_order_of_events(http: httpx.Client) -> None:
    text = http.post("/v1/messages", json=request("capital of France", stream=True)).text
    names = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
    assert names == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 7,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_tool_call_and_its_result(client: anthropic.Anthropic) -> None:
    asked: Any = client.messages.create(**request("What is the weather in Paris?", tools=[TOOL]))
    assert [block.type for block in asked.content] == ["text", "tool_use"]
    assert (asked.stop_reason, asked.content[1].input) == ("tool_use", {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": asked.content[1].id, "content": "18 °C"}
    followed = request([result], tools=[TOOL])
    followed["messages"] = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": asked.content},
        *followed["messages"],
    ]
    told: Any = client.messages.create(**followed)
    assert told.content[0].text == "The tool says: 18 °C"


def test_errors(client: anthropic.Anthropic, http: httpx.Client) -> None:
    with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
        client.messages.create(**request("x") | {"model": "no-such-model"})
    keyless = http.post("/v1/messages", json=request("x"), headers={"authorization": ""})
    assert (keyless.status_code, keyless.json()["error"]["type"]) == (401, "authentication_error")


def test_on_vertex_the_model_is_in_the_path(provider: SampleProvider) -> None:
    options: Any = {"region": "us-central1", "project_id": "p", "access_token": "k", "max_retries": 0}
    with anthropic.AnthropicVertex(base_url=f"{provider.url}/v1", **options) as client:
        message = client.messages.create(**request("What is the capital of France?") | {"model": "claude-x"})
    assert message.model == "claude-x"
    path = "/v1/projects/p/locations/us-central1/publishers/anthropic/models/claude-x:rawPredict"
    assert provider.control.paths == {path: 1}
