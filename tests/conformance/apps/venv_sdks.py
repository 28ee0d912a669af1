"""SDKs that need an environment of their own: mistralai (a dependency of it replaces a library of ours), LangChain."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from langchain_openai import ChatOpenAI
from mistralai.client import Mistral
from protocol import WEATHER, Answer, Ask, serve

TOOL: Any = {"type": "function", "function": WEATHER}
mistral_client = lru_cache(lambda key: Mistral(api_key=key))


def mistral(ask: Ask) -> Answer:
    request: dict[str, Any] = {"model": ask.model, "messages": [{"role": "user", "content": ask.question}]}
    if ask.tools:
        request["tools"] = [TOOL]
    client = mistral_client(ask.key)
    if not ask.stream:
        said = client.chat.complete(**request)
        message = said.choices[0].message
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
        return Answer(message.content or "", said.model_dump(mode="json"), calls)
    with client.chat.stream(**request) as stream:
        chunks = [event.data for event in stream]
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    called = [call.function for delta in deltas for call in delta.tool_calls or ()]
    arguments = "".join(function.arguments for function in called)
    ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    usage = [chunk.usage.model_dump(mode="json") for chunk in chunks if chunk.usage]
    return Answer(
        "".join(delta.content or "" for delta in deltas),
        {"id": chunks[0].id, "ends": ends, "usage": usage},
        [(called[0].name, json.loads(arguments))] if called else [],
        [chunk.object for chunk in chunks],
    )


def mistral_embeddings(ask: Ask) -> Answer:
    found = mistral_client(ask.key).embeddings.create(model=ask.model, inputs=[ask.question])
    return Answer("", found.model_dump(mode="json"))


def langchain(ask: Ask) -> Answer:
    model: Any = ChatOpenAI(model=ask.model, api_key=ask.key, max_retries=0)  # type: ignore[arg-type]
    if ask.tools:
        model = model.bind_tools([TOOL])
    if ask.stream:
        chunks = list(model.stream(ask.question))
        message = chunks[0]
        for chunk in chunks[1:]:
            message += chunk
    else:
        chunks, message = [], model.invoke(ask.question)
    whole = message.model_dump(mode="json")
    if ask.stream:
        whole["id"] = chunks[0].id
    return Answer(
        message.text,
        whole,
        [(call["name"], call["args"]) for call in message.tool_calls],
        [type(chunk).__name__ for chunk in chunks],
    )


if __name__ == "__main__":
    serve({"mistral": mistral, "mistral-embeddings": mistral_embeddings, "langchain": langchain})
