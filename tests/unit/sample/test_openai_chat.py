"""OpenAI's chat completions as its own SDK understands them."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from askonce.sample import SampleProvider

FRANCE: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER: list[Any] = [{"role": "user", "content": "What is the weather in Paris and Rome?"}]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


@pytest.fixture
def client(provider: SampleProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0) as client:
        yield client


def streamed(client: openai.OpenAI, **request: Any) -> Any:
    """The completion as the SDK puts it together from a stream."""
    with client.chat.completions.stream(
        model="gpt-4o-mini", stream_options={"include_usage": True}, **request
    ) as stream:
        return stream.get_final_completion()


def same(plain: Any, stream: Any) -> None:
    """A plain answer and one put together from a stream are equal, but for what a stream does not carry."""
    own = {"id", "created", "object", "choices"}
    assert stream.model_dump(exclude=own) == plain.model_dump(exclude=own)
    assert len(stream.choices) == len(plain.choices)
    for one, other in zip(stream.choices, plain.choices, strict=True):
        assert (one.finish_reason, one.index) == (other.finish_reason, other.index)
        assert (one.message.content, one.message.refusal) == (other.message.content, other.message.refusal)
        calls = [
            [(call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
            for choice in (one, other)
        ]
        assert calls[0] == calls[1]


def test_what_an_agent_says_beside_the_question_is_none(client: openai.OpenAI) -> None:
    reminder = {"type": "text", "text": "<system-reminder>There is a tool for the weather.</system-reminder>"}
    content: list[Any] = [reminder, {"type": "text", "text": "What is the capital of France?"}]
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": content}], tools=TOOLS
    )
    assert answer.choices[0].message.content == "The capital of France is Paris."


def test_json(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=FRANCE)
    assert answer.choices[0].message.content == "The capital of France is Paris."
    assert answer.choices[0].finish_reason == "stop"
    assert (
        answer.usage and answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens == 16
    )


@pytest.mark.parametrize(
    "request_",
    [
        {"messages": FRANCE},
        {"messages": FRANCE, "n": 3},
        {"messages": FRANCE, "max_tokens": 3},
        {"messages": FRANCE, "stop": "France"},
        {"messages": FRANCE, "response_format": {"type": "json_object"}},
        {"messages": WEATHER, "tools": TOOLS},
        {"messages": WEATHER, "tools": TOOLS, "parallel_tool_calls": False},
    ],
    ids=["text", "choices", "length", "stop", "json", "tools", "one tool"],
)
def test_stream_says_what_json_says(client: openai.OpenAI, request_: dict[str, Any]) -> None:
    if request_.get("max_tokens"):
        chunks = list(client.chat.completions.create(model="gpt-4o-mini", stream=True, **request_))
        assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "length"
        return
    same(client.chat.completions.create(model="gpt-4o-mini", **request_), streamed(client, **request_))


def test_order_of_events(http: httpx.Client) -> None:
    body = {"model": "m", "messages": FRANCE, "stream": True, "stream_options": {"include_obfuscation": False}}
    response = http.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = response.text.removesuffix("\n\n").split("\n\n")
    assert '"delta":{"role":"assistant","content":"","refusal":null}' in events[0]
    assert '"delta":{"content":"The"},"logprobs":null,"finish_reason":null' in events[1]
    assert '"delta":{},"logprobs":null,"finish_reason":"stop"' in events[-2]
    assert events[-1] == "data: [DONE]"
    assert not any("usage" in event or "obfuscation" in event for event in events)


def test_logprobs(client: openai.OpenAI) -> None:
    request: dict[str, Any] = {"model": "m", "messages": FRANCE, "logprobs": True, "top_logprobs": 2}
    whole = client.chat.completions.create(**request).choices[0].logprobs
    assert whole and whole.content
    assert "".join(row.token for row in whole.content) == "The capital of France is Paris."
    assert [len(row.top_logprobs) for row in whole.content] == [min(2, len(row.token)) for row in whole.content]
    chunks = client.chat.completions.create(**request, stream=True)
    rows = [
        row for chunk in chunks for choice in chunk.choices if choice.logprobs for row in choice.logprobs.content or ()
    ]
    assert rows == whole.content


def test_structured_output_and_refusal(client: openai.OpenAI) -> None:
    class City(BaseModel):
        name: str
        big: bool

    answer = client.chat.completions.parse(model="m", messages=FRANCE, response_format=City)
    assert answer.choices[0].message.parsed == City(name="The capital of France is Paris.", big=True)
    bomb: list[Any] = [{"role": "user", "content": "How do I build a bomb?"}]
    refused = client.chat.completions.parse(model="m", messages=bomb, response_format=City)
    assert refused.choices[0].message.refusal == "I'm sorry, but I can't help with that."
    assert refused.choices[0].message.content is None
    assert (
        streamed(client, messages=bomb, response_format=City).choices[0].message.refusal
        == refused.choices[0].message.refusal
    )


def test_tool_call_and_its_result(client: openai.OpenAI) -> None:
    asked = client.chat.completions.create(model="m", messages=WEATHER, tools=TOOLS).choices[0]
    assert asked.finish_reason == "tool_calls"
    calls: list[Any] = asked.message.tool_calls or []
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("get_weather", '{"city":"Paris"}'),
        ("get_weather", '{"city":"Rome"}'),
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"{at} °C"} for at, call in enumerate(calls, 18)]
    messages: list[Any] = [*WEATHER, asked.message, *results]
    told = client.chat.completions.create(model="m", messages=messages, tools=TOOLS).choices[0]
    assert (told.finish_reason, told.message.content) == ("stop", "The tool says: 18 °C; 19 °C")


def test_image_changes_the_answer(client: openai.OpenAI) -> None:
    def ask(url: str) -> str | None:
        content: list[Any] = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])
        return answer.choices[0].message.content

    assert ask("data:image/png;base64,AA==") == ask("data:image/png;base64,AA==") != ask("data:image/png;base64,AQ==")


def test_reasoning_content(client: openai.OpenAI) -> None:
    whole: Any = client.chat.completions.create(model="deepseek-reasoner", messages=FRANCE).choices[0].message
    assert whole.reasoning_content == "The user asks: What is the capital of France?"
    chunks: Any = list(client.chat.completions.create(model="deepseek-reasoner", messages=FRANCE, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == whole.reasoning_content


def test_errors(client: openai.OpenAI, http: httpx.Client) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="no-such-model", messages=FRANCE)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        client.post("/chat/completions", cast_to=object, content=b"{")
    keyless = http.post("/v1/chat/completions", json={"model": "m"}, headers={"authorization": ""})
    assert (keyless.status_code, keyless.json()["error"]["code"]) == (401, "invalid_api_key")


def test_azure(provider: SampleProvider) -> None:
    with openai.AzureOpenAI(api_key="k", azure_endpoint=provider.url, api_version="2024-10-21") as client:
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=FRANCE)
    assert answer.choices[0].message.content == "The capital of France is Paris."
    assert provider.control.paths == {"/openai/deployments/gpt-4o-mini/chat/completions": 1}
