"""Trials of two proxies on one database: what is taken away by one, and acknowledged, is asked of the other at once.

One rule: the other has it in memory when it is taken away, so that only what it was told can keep it from serving it.
"""

from __future__ import annotations

import ssl
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
from tests.support.waiting import PATIENCE, until

if TYPE_CHECKING:
    from tests.e2e.conftest import Proxy

    from askonce.cache.store import SharedPlace

URL = "https://api.openai.com/v1/chat/completions"
FRANCE = "What is the capital of France?"
REWORDED = "Tell me what the capital of France is."
WAYS = ("deleted", "invalidated", "said to be wrong")


def rules_for(place: SharedPlace) -> str:
    """Rules of a proxy whose answers are there."""
    return f"""\
version: 1
defaults: {{audit: 0}}
upstreams:
  - {{name: openai-chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}}
cache: {{url: "{place.url}", database_schema: {place.schema}}}
"""


class App:
    """An app behind one of the proxies, and whoever manages that proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        trusting = ssl.create_default_context(cafile=str(proxy.bundle))
        self._client = httpx.Client(proxy=proxy.url, verify=trusting, trust_env=False, timeout=PATIENCE)
        self._manage = httpx.Client(base_url=proxy.url, trust_env=False, timeout=PATIENCE)

    def ask(self, key: str, question: str, **headers: str) -> httpx.Response:
        """Of an answer that depends on whatever is called like the key."""
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]}
        own = {"authorization": f"Bearer {key}", "x-askonce-depends": f"doc:{key}"}
        return self._client.post(URL, json=body, headers={**own, **headers})

    def cached(self, key: str, question: str) -> httpx.Response | None:
        """The answer that is served without asking the provider; None where there is none."""
        found = self.ask(key, question, **{"cache-control": "only-if-cached"})
        return found if found.status_code == 200 else None

    def take_away(self, way: str, entry: str, key: str) -> None:
        """Once this returns, it is acknowledged."""
        if way == "deleted":
            done = self._manage.delete(f"/v1/cache/{entry}")
        elif way == "invalidated":
            done = self._manage.delete("/v1/cache", params={"depends": f"doc:{key}"})
        else:
            done = self._manage.post("/v1/feedback", json={"key": entry, "prompt": REWORDED, "right": False})
        assert done.raise_for_status().json().get("deleted_count", 1) == 1, done.text

    def in_flight(self) -> int:
        """Calls of all apps of this proxy that are not over yet."""
        return int(self.proxy.get("/v1/stats")["in_flight"])

    def delete(self, entry: str) -> bool:
        """Whether that was acknowledged."""
        return self._manage.delete(f"/v1/cache/{entry}").is_success

    def close(self) -> None:
        self._client.close()
        self._manage.close()


@contextmanager
def apps(*proxies: Proxy) -> Iterator[tuple[App, ...]]:
    behind = tuple(App(proxy) for proxy in proxies)
    try:
        yield behind
    finally:
        for app in behind:
            app.close()


def trial(one: App, other: App, way: str) -> bool:
    """Whether the other served what the one had taken away."""
    key = f"sk-test-{uuid.uuid4().hex}"
    one.ask(key, FRANCE)
    question = REWORDED if way == "said to be wrong" else FRANCE
    found = until(lambda: other.cached(key, question))
    assert other.cached(key, question)
    one.take_away(way, found.headers["x-cache-key"], key)
    return other.cached(key, question) is not None


def run(one: App, other: App, trials: int) -> Counter[str]:
    """By way, how often that was so."""
    served = Counter[str](dict.fromkeys(WAYS, 0))
    for number in range(trials):
        way = WAYS[number % len(WAYS)]
        served[way] += trial(one, other, way)
        one, other = other, one
    return served
