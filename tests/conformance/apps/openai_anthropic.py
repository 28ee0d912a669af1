"""OpenAI's and Anthropic's own Python SDKs, whatever their generation, each used as its documentation does.

openai 3 and anthropic 2 stand on httpx2, openai 2 and anthropic 0 on httpx, and they send their keys in other headers;
`python_sdks.py` runs the new ones beside the SDKs of others, and this file alone the old ones, in an environment of
their own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import anthropic
import openai
from protocol import WEATHER, Answer, Ask, serve
from pydantic import BaseModel

OPENAI_TOOL: Any = {"type": "function", "function": WEATHER}
SDKS: dict[str, Callable[[Ask], Answer]] = {}
AZURE = "https://sample.openai.azure.com"


@lru_cache
def client(kind: str, key: str) -> Any:
    """The SDK's own client, once for each key."""
    match kind:
        case "openai":
            return openai.OpenAI(api_key=key, max_retries=0)
        case "azure":
            return openai.AzureOpenAI(api_key=key, api_version="2025-04-01", azure_endpoint=AZURE, max_retries=0)
        case "anthropic":
            return anthropic.Anthropic(api_key=key, max_retries=0)
        case "anthropic-vertex":
            return anthropic.AnthropicVertex(region="us-central1", project_id="p", access_token=key, max_retries=0)
    raise KeyError(kind)


class Capital(BaseModel):
    """What a structured answer is to be."""

    answer: str
    certain: bool


def sdk(name: str) -> Callable[[Callable[[Ask], Answer]], Callable[[Ask], Answer]]:
    def register(function: Callable[[Ask], Answer]) -> Callable[[Ask], Answer]:
        SDKS[name] = function
        return function

    return register


def dumped(model: BaseModel) -> Any:
    return model.model_dump(mode="json", by_alias=True, warnings=False)


# OpenAI


def chat_request(ask: Ask) -> dict[str, Any]:
    request: dict[str, Any] = {"model": ask.model, "messages": [{"role": "user", "content": ask.question}]}
    if ask.tools:
        request["tools"] = [OPENAI_TOOL]
    if ask.stream:
        request["stream_options"] = {"include_usage": True}
    return request


def chat_answer(completion: Any, events: list[str] | None = None) -> Answer:
    message = completion.choices[0].message
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
    return Answer(message.content or message.refusal or "", dumped(completion), calls, events or [])


def chat(kind: str, ask: Ask, **more: Any) -> Answer:
    completions = client(kind, ask.key).chat.completions
    if not ask.stream:
        method = completions.parse if more else completions.create
        return chat_answer(method(**chat_request(ask), **more))
    with completions.stream(**chat_request(ask), **more) as stream:
        kinds = [event.type for event in stream]
        return chat_answer(stream.get_final_completion(), kinds)


@sdk("openai-chat")
def openai_chat(ask: Ask) -> Answer:
    return chat("openai", ask)


@sdk("openai-chat-structured")
def openai_chat_structured(ask: Ask) -> Answer:
    answer = chat("openai", ask, response_format=Capital)
    assert answer.whole["choices"][0]["message"]["parsed"]["certain"] is True
    return answer


@sdk("azure-chat")
def azure_chat(ask: Ask) -> Answer:
    return chat("azure", ask)


@sdk("openai-chat-async")
def openai_chat_async(ask: Ask) -> Answer:
    async def run() -> Answer:
        async with openai.AsyncOpenAI(api_key=ask.key, max_retries=0) as sdk:
            if not ask.stream:
                return chat_answer(await sdk.chat.completions.create(**chat_request(ask)))
            async with sdk.chat.completions.stream(**chat_request(ask)) as stream:
                kinds = [event.type async for event in stream]
                return chat_answer(await stream.get_final_completion(), kinds)

    return asyncio.run(run())


def response_answer(response: Any, events: list[str] | None = None) -> Answer:
    calls = [(item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"]
    return Answer(response.output_text, dumped(response), calls, events or [])


def response(ask: Ask, **more: Any) -> Answer:
    responses = client("openai", ask.key).responses
    request: dict[str, Any] = {"model": ask.model, "input": ask.question, **more}
    if ask.tools:
        request["tools"] = [{"type": "function", "strict": False, **WEATHER}]
    if not ask.stream:
        return response_answer((responses.parse if more else responses.create)(**request))
    with responses.stream(**request) as stream:
        kinds = [event.type for event in stream]
        return response_answer(stream.get_final_response(), kinds)


@sdk("openai-responses")
def openai_responses(ask: Ask) -> Answer:
    return response(ask)


@sdk("openai-responses-structured")
def openai_responses_structured(ask: Ask) -> Answer:
    answer = response(ask, text_format=Capital)
    assert answer.whole["output"][0]["content"][0]["parsed"]["certain"] is True
    return answer


@sdk("openai-completions")
def openai_completions(ask: Ask) -> Answer:
    create = client("openai", ask.key).completions.create
    request = {"model": ask.model, "prompt": ask.question, "max_tokens": 99}
    if not ask.stream:
        completion = create(**request)
        return Answer(completion.choices[0].text, dumped(completion))
    chunks = list(create(**request, stream=True, stream_options={"include_usage": True}))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    text = "".join(choice.text for choice in choices)
    assert len({chunk.id for chunk in chunks}) == 1
    whole = {"id": chunks[0].id, "finish": choices[-1].finish_reason, "usage": dumped(chunks[-1].usage)}
    return Answer(text, whole, events=[chunk.object for chunk in chunks])


@sdk("openai-embeddings")
def openai_embeddings(ask: Ask) -> Answer:
    found = client("openai", ask.key).embeddings.create(model=ask.model, input=ask.question)
    assert len(found.data[0].embedding) == 1536
    return Answer("", dumped(found))


# Anthropic


def anthropic_request(ask: Ask) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": ask.model,
        "max_tokens": 99,
        "messages": [{"role": "user", "content": ask.question}],
    }
    if ask.tools:
        request["tools"] = [
            {
                "name": WEATHER["name"],
                "description": WEATHER["description"],
                "input_schema": WEATHER["parameters"],
            }
        ]
    return request


def anthropic_answer(message: Any, events: list[str] | None = None) -> Answer:
    text = "".join(block.text for block in message.content if block.type == "text")
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    return Answer(text, dumped(message), calls, events or [])


def messages(kind: str, ask: Ask) -> Answer:
    messages = client(kind, ask.key).messages
    if not ask.stream:
        return anthropic_answer(messages.create(**anthropic_request(ask)))
    with messages.stream(**anthropic_request(ask)) as stream:
        kinds = [event.type for event in stream]
        return anthropic_answer(stream.get_final_message(), kinds)


@sdk("anthropic")
def anthropic_messages(ask: Ask) -> Answer:
    return messages("anthropic", ask)


@sdk("anthropic-vertex")
def anthropic_vertex(ask: Ask) -> Answer:
    return messages("anthropic-vertex", ask)


@sdk("anthropic-async")
def anthropic_async(ask: Ask) -> Answer:
    async def run() -> Answer:
        async with anthropic.AsyncAnthropic(api_key=ask.key, max_retries=0) as sdk:
            if not ask.stream:
                return anthropic_answer(await sdk.messages.create(**anthropic_request(ask)))
            async with sdk.messages.stream(**anthropic_request(ask)) as stream:
                kinds = [event.type async for event in stream]
                return anthropic_answer(await stream.get_final_message(), kinds)

    return asyncio.run(run())


if __name__ == "__main__":
    serve(SDKS)
