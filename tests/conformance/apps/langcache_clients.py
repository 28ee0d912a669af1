"""Programs that keep answers in LangCache by way of another library, as that library's documentation has it.

A conformance app that knows nothing of Askonce. A line is {"client", "url", "cache", "base_url", …}; the line that
answers it is {"said": …}. The clients: LangChain's cache in front of ChatOpenAI ("chat": question, and what else the
conversation has), the same in front of a model of texts ("text"), and RedisVL's cache itself ("check", "store").
"""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_core.globals import set_llm_cache
from langchain_openai import ChatOpenAI, OpenAI
from langchain_redis import LangCacheSemanticCache
from redisvl.extensions.cache.llm import LangCacheSemanticCache as RedisvlCache


def settings(ask: dict[str, Any]) -> dict[str, Any]:
    return {"server_url": ask["url"], "cache_id": ask["cache"], "api_key": "any"}


def chat(ask: dict[str, Any]) -> str:
    set_llm_cache(LangCacheSemanticCache(**settings(ask)))
    model: Any = ChatOpenAI(model=ask["model"], api_key="sk-chat", base_url=ask["base_url"], max_retries=0)  # type: ignore[arg-type]
    if ask.get("tools"):
        model = model.bind_tools(ask["tools"])
    return str(model.invoke([*ask.get("before", ()), ("human", ask["question"])]).text)


def text(ask: dict[str, Any]) -> str:
    set_llm_cache(LangCacheSemanticCache(**settings(ask)))
    model = OpenAI(model=ask["model"], api_key="sk-text", base_url=ask["base_url"], max_retries=0)  # type: ignore[arg-type]
    return model.invoke([*ask.get("before", ()), ("human", ask["question"])])


def check(ask: dict[str, Any]) -> list[str]:
    cache = RedisvlCache(**settings(ask))
    found = cache.check(ask["prompt"], attributes=ask.get("attributes"), distance_threshold=ask.get("distance"))
    return [hit["response"] for hit in found]


def store(ask: dict[str, Any]) -> str:
    cache = RedisvlCache(**settings(ask))
    return str(cache.store(ask["prompt"], ask["response"], metadata=ask.get("attributes")))


def clear(ask: dict[str, Any]) -> None:
    RedisvlCache(**settings(ask)).clear()


CLIENTS = {"chat": chat, "text": text, "check": check, "store": store, "clear": clear}

channel, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
for line in sys.stdin:
    ask = json.loads(line)
    channel.write(json.dumps({"said": CLIENTS[ask["client"]](ask)}) + "\n")
    channel.flush()
