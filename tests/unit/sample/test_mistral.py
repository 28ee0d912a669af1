import re
from typing import Any

import httpx
import orjson

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
WEATHER = BODY | {"messages": [{"role": "user", "content": "What is the weather in Paris?"}]}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def ask(http: httpx.Client, body: dict[str, Any]) -> httpx.Response:
    return http.post("/v1/chat/completions", json=body, headers={"host": "api.mistral.ai"})


def chunks(response: httpx.Response) -> list[Any]:
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [orjson.loads(event.removeprefix("data: ")) for event in events]


def test_the_host_decides_who_answers(http: httpx.Client) -> None:
    theirs, openais = ask(http, BODY).json(), http.post("/v1/chat/completions", json=BODY).json()
    assert re.fullmatch("[0-9a-f]{32}", theirs["id"])
    assert openais["id"].startswith("chatcmpl-")
    (choice,) = theirs["choices"]
    said = {"role": "assistant", "tool_calls": None, "content": "The capital of France is Paris."}
    assert choice == {"index": 0, "finish_reason": "stop", "message": said}


def test_a_stream_ends_with_the_usage_unasked(http: httpx.Client) -> None:
    whole, told = ask(http, BODY).json(), chunks(ask(http, BODY | {"stream": True}))
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in told) == "The capital of France is Paris."
    assert [chunk.get("usage") for chunk in told] == [None] * (len(told) - 1) + [whole["usage"]]
    assert told[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_tool_call_comes_whole(http: httpx.Client) -> None:
    body = WEATHER | {"tools": [TOOL], "stream": True}
    (choice,) = chunks(ask(http, body))[-1]["choices"]
    (call,) = choice["delta"]["tool_calls"]
    assert (call["function"], call["index"]) == ({"name": "get_weather", "arguments": '{"city":"Paris"}'}, 0)
    assert choice["finish_reason"] == "tool_calls"


def test_embeddings_have_an_identifier(http: httpx.Client) -> None:
    asked = {"model": "mistral-embed", "input": ["a", "b"]}
    found = http.post("/v1/embeddings", json=asked, headers={"host": "api.mistral.ai"}).json()
    assert re.fullmatch("[0-9a-f]{32}", found["id"])
    assert (len(found["data"]), found["usage"]["completion_tokens"]) == (2, 0)
