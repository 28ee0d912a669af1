from collections.abc import Iterator
from typing import Any

import cohere
import httpx
import pytest

from askonce.sample import SampleProvider

FRANCE: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: list[Any] = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
def client(provider: SampleProvider) -> Iterator[cohere.ClientV2]:
    with (
        httpx.Client(trust_env=False) as http,
        cohere.ClientV2("k", base_url=provider.url, httpx_client=http) as client,
    ):
        yield client


def test_json(client: cohere.ClientV2) -> None:
    answer: Any = client.chat(model="command-a-03-2025", messages=FRANCE)
    assert (answer.message.content[0].text, answer.finish_reason) == ("The capital of France is Paris.", "COMPLETE")
    assert client.chat(model="m", messages=FRANCE, max_tokens=3).finish_reason == "MAX_TOKENS"
    assert client.chat(model="m", messages=FRANCE, stop_sequences=[" is"]).finish_reason == "STOP_SEQUENCE"


def test_stream(client: cohere.ClientV2) -> None:
    thinking = cohere.Thinking(type="enabled")
    whole: Any = client.chat(model="m", messages=FRANCE, logprobs=True, thinking=thinking)
    events: list[Any] = list(client.chat_stream(model="m", messages=FRANCE, logprobs=True, thinking=thinking))
    assert events[0].type == "message-start" and events[-1].type == "message-end"
    assert [event.type for event in events if event.type.endswith(("start", "end"))] == [
        "message-start",
        *["content-start", "content-end"] * 2,
        "message-end",
    ]
    deltas = [event for event in events if event.type == "content-delta"]
    texts = [event.delta.message.content.text or "" for event in deltas]
    thoughts = [event.delta.message.content.thinking or "" for event in deltas]
    assert "".join(texts) == whole.message.content[1].text == "The capital of France is Paris."
    assert "".join(thoughts) == whole.message.content[0].thinking == "The user asks: What is the capital of France?"
    assert [event.logprobs for event in deltas if event.logprobs] == whole.logprobs
    assert (events[-1].delta.finish_reason, events[-1].delta.usage) == (whole.finish_reason, whole.usage)


def test_tool_call_and_its_result(client: cohere.ClientV2) -> None:
    asked: Any = client.chat(model="m", messages=WEATHER, tools=[TOOL])
    calls = asked.message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"city":"Paris"}', '{"city":"Rome"}']
    assert (asked.finish_reason, asked.message.content) == ("TOOL_CALL", None)
    events: list[Any] = list(client.chat_stream(model="m", messages=WEATHER, tools=[TOOL]))
    deltas = [event for event in events if event.type == "tool-call-delta"]
    arguments = [
        "".join(event.delta.message.tool_calls.function.arguments for event in deltas if event.index == at)
        for at in (0, 1)
    ]
    assert arguments == [call.function.arguments for call in calls]
    plan = "".join(event.delta.message.tool_plan for event in events if event.type == "tool-plan-delta")
    assert plan == asked.message.tool_plan
    results: list[Any] = [{"role": "tool", "tool_call_id": call.id, "content": "18 °C"} for call in calls]
    told: Any = client.chat(model="m", messages=[*WEATHER, asked.message, *results], tools=[TOOL])
    assert told.message.content[0].text == "The tool says: 18 °C; 18 °C"


def test_json_object(client: cohere.ClientV2) -> None:
    form: Any = {"type": "json_object", "schema": {"type": "object", "properties": {"big": {"type": "boolean"}}}}
    answer: Any = client.chat(model="m", messages=FRANCE, response_format=form)
    assert answer.message.content[0].text == '{"big":true}'


def test_errors(client: cohere.ClientV2, http: httpx.Client) -> None:
    with pytest.raises(cohere.NotFoundError):
        client.chat(model="no-such-model", messages=FRANCE)
    keyless = http.post("/v2/chat", json={"model": "m", "messages": FRANCE}, headers={"authorization": ""})
    assert (keyless.status_code, keyless.json()["message"]) == (401, "no api key supplied")


def test_end_of_a_stream(http: httpx.Client) -> None:
    text = http.post("/v2/chat", json={"model": "m", "messages": FRANCE, "stream": True}).text
    assert text.startswith("event: message-start\ndata: ")
    assert text.endswith("}\n\ndata: [DONE]\n\n")
