from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from askonce.sample import SampleProvider

FRANCE = "What is the capital of France?"
MODEL = "gemini-2.5-flash"
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            parameters=types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}),
        )
    ]
)


@pytest.fixture
def client(provider: SampleProvider) -> Iterator[genai.Client]:
    with genai.Client(api_key="k", http_options=types.HttpOptions(base_url=provider.url)) as client:
        yield client


@pytest.mark.parametrize(
    ("asked", "config"),
    [
        (FRANCE, {}),
        (FRANCE, {"max_output_tokens": 3}),
        (FRANCE, {"stop_sequences": [" is"]}),
        (FRANCE, {"thinking_config": {"include_thoughts": True}}),
        (FRANCE, {"response_mime_type": "application/json"}),
    ],
    ids=["text", "length", "stop", "thoughts", "json"],
)
def test_stream_says_what_json_says(client: genai.Client, asked: str, config: Any) -> None:
    whole: Any = client.models.generate_content(model=MODEL, contents=asked, config=config)
    pieces: list[Any] = list(client.models.generate_content_stream(model=MODEL, contents=asked, config=config))
    assert len(pieces) > 1 or config
    for thought in (True, None):
        parts = [part for part in whole.candidates[0].content.parts if part.thought == thought]
        cut = [part for piece in pieces for part in piece.candidates[0].content.parts if part.thought == thought]
        assert "".join(part.text for part in cut) == "".join(part.text for part in parts)
    assert pieces[-1].candidates[0].finish_reason == whole.candidates[0].finish_reason
    assert [piece.candidates[0].finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].usage_metadata == whole.usage_metadata
    assert len({piece.response_id for piece in pieces}) == 1


def test_text(client: genai.Client) -> None:
    answer: Any = client.models.generate_content(model=MODEL, contents=FRANCE)
    assert answer.text == "The capital of France is Paris."
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.model_version == MODEL


def test_candidates(client: genai.Client) -> None:
    answer: Any = client.models.generate_content(model=MODEL, contents=FRANCE, config={"candidate_count": 2})
    assert [candidate.content.parts[0].text for candidate in answer.candidates] == [
        "The capital of France is Paris.",
        "In short: The capital of France is Paris.",
    ]


def test_array_is_the_same_stream(http: httpx.Client) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": FRANCE}]}]}
    url = f"/v1beta/models/{MODEL}:streamGenerateContent"
    array = http.post(url, json=body)
    assert array.headers["content-type"].startswith("application/json")
    lines = http.post(url, params={"alt": "sse"}, json=body).text
    assert lines.count("data: ") == len(array.json())
    assert lines.endswith("\r\n\r\n")
    texts = [piece["candidates"][0]["content"]["parts"][0]["text"] for piece in array.json()]
    assert "".join(texts) == "The capital of France is Paris."


def test_structured_output(client: genai.Client) -> None:
    class City(BaseModel):
        name: str

    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
    answer = client.models.generate_content(model=MODEL, contents=FRANCE, config=config)
    assert answer.parsed == City(name="The capital of France is Paris.")


def test_tool_call_and_its_result(client: genai.Client) -> None:
    config = types.GenerateContentConfig(tools=[WEATHER])
    asked: Any = client.models.generate_content(model=MODEL, contents="What is the weather in Paris?", config=config)
    assert [(call.name, call.args) for call in asked.function_calls] == [("get_weather", {"city": "Paris"})]
    streamed: list[Any] = list(
        client.models.generate_content_stream(model=MODEL, contents="What is the weather in Paris?", config=config)
    )
    assert [piece.function_calls for piece in streamed] == [asked.function_calls]
    contents: list[Any] = [
        types.Content(role="user", parts=[types.Part(text="What is the weather in Paris?")]),
        asked.candidates[0].content,
        types.Content(role="user", parts=[types.Part.from_function_response(name="get_weather", response={"t": 18})]),
    ]
    told = client.models.generate_content(model=MODEL, contents=contents, config=config)
    assert told.text == 'The tool says: {"t":18}'


def test_the_python_sdk_s_spelling_of_a_schema(client: genai.Client) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    function: Any = {"name": "get_weather", "parameters_json_schema": schema}
    config = types.GenerateContentConfig(tools=[{"function_declarations": [function]}])
    asked: Any = client.models.generate_content(model=MODEL, contents="What is the weather in Paris?", config=config)
    assert [call.args for call in asked.function_calls] == [{"city": "Paris"}]


def test_errors(client: genai.Client, http: httpx.Client) -> None:
    with pytest.raises(errors.ClientError) as unknown:
        client.models.generate_content(model="no-such-model", contents="x")
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    keyless = http.post(f"/v1beta/models/{MODEL}:generateContent", json={}, headers={"authorization": ""})
    assert (keyless.status_code, keyless.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert http.post(f"/v1beta/models/{MODEL}:generateContent?key=k", json={}).status_code == 200
