"""The providers' own Python SDKs, and curl, each used as its documentation does."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

import cohere
import ollama
import openai
from google import genai
from openai_anthropic import OPENAI_TOOL, SDKS, chat_answer, chat_request, dumped, sdk
from protocol import WEATHER, Answer, Ask, serve


@lru_cache
def client(kind: str, key: str) -> Any:
    """The SDK's own client, once for each key."""
    match kind:
        case "gemini":
            return genai.Client(api_key=key)
        case "vertex":
            return genai.Client(vertexai=True, api_key=key)
        case "cohere":
            return cohere.ClientV2(api_key=key)
        case "ollama":
            return ollama.Client(host="https://ollama.com", headers={"authorization": f"Bearer {key}"})
        case "ollama-local":
            return ollama.Client(headers={"authorization": f"Bearer {key}"})
    raise KeyError(kind)


# Google


def genai_request(ask: Ask) -> dict[str, Any]:
    config: dict[str, Any] = {"temperature": 0.5, "automatic_function_calling": {"disable": True}}
    if ask.tools:
        config["tools"] = [
            {
                "function_declarations": [
                    {
                        "name": WEATHER["name"],
                        "description": WEATHER["description"],
                        "parameters_json_schema": WEATHER["parameters"],
                    }
                ]
            }
        ]
    return {"model": ask.model, "contents": ask.question, "config": config}


def genai_answer(responses: list[Any], streamed: bool) -> Answer:
    parts = [part for response in responses for part in response.candidates[0].content.parts]
    text = "".join(part.text for part in parts if part.text)
    calls = [(part.function_call.name, part.function_call.args) for part in parts if part.function_call]
    last = dumped(responses[-1])
    last.pop("sdkHttpResponse")
    assert len({response.response_id for response in responses}) == 1
    if streamed:  # each piece says the same again but for its part of the content
        last["candidates"][0].pop("content")
    return Answer(text, last, calls, ["chunk"] * streamed)


def generate(kind: str, ask: Ask) -> Answer:
    models = client(kind, ask.key).models
    if ask.stream:
        return genai_answer(list(models.generate_content_stream(**genai_request(ask))), True)
    return genai_answer([models.generate_content(**genai_request(ask))], False)


@sdk("google-genai")
def google_genai(ask: Ask) -> Answer:
    return generate("gemini", ask)


@sdk("google-genai-vertex")
def google_genai_vertex(ask: Ask) -> Answer:
    return generate("vertex", ask)


@sdk("google-genai-async")
def google_genai_async(ask: Ask) -> Answer:
    async def run() -> Answer:
        async with genai.Client(api_key=ask.key).aio as sdk:
            if not ask.stream:
                return genai_answer([await sdk.models.generate_content(**genai_request(ask))], False)
            stream: AsyncIterator[Any] = await sdk.models.generate_content_stream(**genai_request(ask))
            return genai_answer([chunk async for chunk in stream], True)

    return asyncio.run(run())


# Cohere


@sdk("cohere")
def cohere_chat(ask: Ask) -> Answer:
    cohere_client = client("cohere", ask.key)
    request: dict[str, Any] = {"model": ask.model, "messages": [{"role": "user", "content": ask.question}]}
    if ask.tools:
        request["tools"] = [OPENAI_TOOL]
    if not ask.stream:
        said = cohere_client.chat(**request)
        calls = [
            (call.function.name, json.loads(call.function.arguments or "")) for call in said.message.tool_calls or ()
        ]
        text = "".join(block.text for block in said.message.content or () if block.type == "text")
        return Answer(text, dumped(said), calls)
    events = [dumped(event) for event in cohere_client.chat_stream(**request)]

    def deltas(kind: str) -> list[Any]:
        return [event["delta"]["message"] for event in events if event["type"] == kind]

    text = "".join(delta["content"]["text"] or "" for delta in deltas("content-delta"))
    names = [delta["tool_calls"]["function"]["name"] for delta in deltas("tool-call-start")]
    arguments = "".join(delta["tool_calls"]["function"]["arguments"] for delta in deltas("tool-call-delta"))
    calls = [(names[0], json.loads(arguments))] if names else []
    whole = {"id": events[0]["id"], "end": events[-1]["delta"]}
    return Answer(text, whole, calls, [event["type"] for event in events])


# Ollama


def ollama_answer(whole: Any, text: str, calls: list[Any], streamed: int) -> Answer:
    spelled = [(call.function.name, dict(call.function.arguments)) for call in calls]
    return Answer(text, dumped(whole), spelled, ["line"] * bool(streamed))


@sdk("ollama-local")
@sdk("ollama-chat")
def ollama_chat(ask: Ask) -> Answer:
    request: dict[str, Any] = {"model": ask.model, "messages": [{"role": "user", "content": ask.question}]}
    if ask.tools:
        request["tools"] = [OPENAI_TOOL]
    chat = client(ask.sdk.removesuffix("-chat"), ask.key).chat
    lines = list(chat(**request, stream=True)) if ask.stream else [chat(**request)]
    text = "".join(line.message.content or "" for line in lines)
    calls = [call for line in lines for call in line.message.tool_calls or ()]
    return ollama_answer(lines[-1], text, calls, ask.stream)


@sdk("ollama-generate")
def ollama_generate(ask: Ask) -> Answer:
    generate = client("ollama", ask.key).generate
    request: dict[str, Any] = {"model": ask.model, "prompt": ask.question}
    lines = list(generate(**request, stream=True)) if ask.stream else [generate(**request)]
    return ollama_answer(lines[-1], "".join(line.response or "" for line in lines), [], ask.stream)


# curl


class CurlError(Exception):
    def __init__(self, status: int) -> None:
        self.status_code = status


@sdk("curl")
def curl(ask: Ask) -> Answer:
    body = chat_request(ask) | {"stream": ask.stream}
    command = ["curl", "--silent", "--show-error", "--no-buffer", "https://api.openai.com/v1/chat/completions"]
    command += ["--header", f"authorization: Bearer {ask.key}", "--json", "@-", "--write-out", "\n%{http_code}"]
    done = subprocess.run(command, input=json.dumps(body), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    text, _, status = done.stdout.rpartition("\n")
    if status != "200":
        raise CurlError(int(status))
    if not ask.stream:
        return chat_answer(openai.types.chat.ChatCompletion.model_validate_json(text))
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    spoken = "".join(delta.get("content") or "" for delta in deltas)
    called = [call["function"] for delta in deltas for call in delta.get("tool_calls") or ()]
    arguments = "".join(call["arguments"] for call in called)
    calls = [(called[0]["name"], json.loads(arguments))] if called else []
    return Answer(spoken, {"id": chunks[0]["id"], "usage": chunks[-1]["usage"]}, calls, ["data"])


if __name__ == "__main__":
    serve(SDKS)
