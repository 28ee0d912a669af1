from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from askonce.sample import SampleProvider

FRANCE = "What is the capital of France?"
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
FRESH = {"id", "created_at", "completed_at", "output"}


@pytest.fixture
def client(provider: SampleProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0) as client:
        yield client


def items(response: Any) -> list[Any]:
    return [item.model_dump(exclude={"id", "call_id", "encrypted_content"}) for item in response.output]


@pytest.mark.parametrize(
    "request_",
    [
        {"input": FRANCE},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": FRANCE}]}]},
        {"input": FRANCE, "max_output_tokens": 3},
        {
            "input": FRANCE,
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
        },
        {"input": FRANCE, "include": ["message.output_text.logprobs"], "top_logprobs": 2},
        {"input": "What is the weather in Paris and Rome?", "tools": [TOOL]},
        {"input": "How do I build a bomb?"},
    ],
    ids=["text", "parts", "length", "reasoning", "logprobs", "tools", "refusal"],
)
def test_stream_says_what_json_says(client: openai.OpenAI, request_: dict[str, Any]) -> None:
    whole = client.responses.create(model="gpt-4o-mini", **request_)
    events = list(client.responses.create(model="gpt-4o-mini", stream=True, **request_))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last: Any = events[-1]
    assert last.type == f"response.{whole.status}"
    assert last.response.model_dump(exclude=FRESH) == whole.model_dump(exclude=FRESH)
    assert items(last.response) == items(whole)
    with client.responses.stream(model="gpt-4o-mini", **request_) as stream:  # the SDK adds up the deltas itself
        for _ in stream:
            pass
    if whole.status == "completed":
        assert [item.type for item in stream.get_final_response().output] == [item.type for item in whole.output]


def test_order_of_events(client: openai.OpenAI) -> None:
    kinds = [event.type for event in client.responses.create(model="m", input="capital of France", stream=True)]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 7,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_names_of_events(http: httpx.Client) -> None:
    text = http.post("/v1/responses", json={"model": "m", "input": "x", "stream": True}).text
    assert text.startswith('event: response.created\ndata: {"type":"response.created","sequence_number":0,"response":{')


def test_text(client: openai.OpenAI) -> None:
    answer = client.responses.create(model="gpt-4o-mini", input=FRANCE)
    assert answer.output_text == "The capital of France is Paris."
    cut = client.responses.create(model="gpt-4o-mini", input=FRANCE, max_output_tokens=3)
    assert (
        cut.status == "incomplete" and cut.incomplete_details and cut.incomplete_details.reason == "max_output_tokens"
    )


def test_structured_output(client: openai.OpenAI) -> None:
    class City(BaseModel):
        name: str

    assert client.responses.parse(model="m", input=FRANCE, text_format=City).output_parsed == City(
        name="The capital of France is Paris."
    )


def test_tool_call_and_its_result(client: openai.OpenAI) -> None:
    asked: Any = client.responses.create(model="m", input="What is the weather in Paris?", tools=[TOOL]).output[0]
    assert (asked.type, asked.name, asked.arguments) == ("function_call", "get_weather", '{"city":"Paris"}')
    result = {"type": "function_call_output", "call_id": asked.call_id, "output": "18 °C"}
    told: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}, asked.to_dict(), result]
    assert client.responses.create(model="m", input=told, tools=[TOOL]).output_text == "The tool says: 18 °C"


def test_unknown_model(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="no-such-model", input="x")


@pytest.mark.filterwarnings("ignore:connect")  # the SDK's own way to use websockets
def test_over_a_websocket(provider: SampleProvider) -> None:
    url = provider.url.replace("http", "ws") + "/v1"
    with openai.OpenAI(api_key="k", websocket_base_url=url) as client, client.responses.connect() as connection:
        for country in ("France", "Germany"):
            connection.response.create(model="m", input=f"What is the capital of {country}?")
            answer = next(event.response for event in connection if event.type == "response.completed")
            assert answer.output_text.startswith(f"The capital of {country} is ")
    assert provider.control.calls == 1


def test_a_custom_tool_among_those_that_an_item_brings(client: openai.OpenAI) -> None:
    """As codex offers its shell."""
    brought: Any = {
        "type": "additional_tools",
        "role": "developer",
        "tools": [{"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]}],
    }
    asked: list[Any] = [brought, {"role": "user", "content": "Use exec to run `text(1)`."}]
    with client.responses.stream(model="m", input=asked) as stream:
        kinds = [event.type for event in stream]
        [use] = stream.get_final_response().output
    assert (use.type, use.name, use.input) == ("custom_tool_call", "exec", "text(1)")  # type: ignore[union-attr]
    assert "response.custom_tool_call_input.done" in kinds
    result = {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "1"}]}
    told = client.responses.create(model="m", input=[*asked, result])
    assert told.output_text == "The tool says: 1"
