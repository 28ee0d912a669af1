"""Answers put into the cache before anybody asked: read as the wire format reads a call, and kept as its life does.

One rule: a warmed answer serves only the calls that its request is one of: same model, same context, same namespace.
What is not a whole, good answer is not kept.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from askonce import jsontext
from askonce.cache import EMBEDDER_FAILED, Cache, StoreError
from askonce.call import Answer, Request, Unreadable, Unstorable
from askonce.products.promptcache.calls import HOSTS, PATH, WARM_SCOPE
from askonce.products.promptcache.state import PromptCacheState, Warmed, WarmEntry
from askonce.rules import Rule, Rules

__all__ = ["Warmer"]

_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")
"""The end of a model's name as OpenAI's answers give it, where the call named it without."""


class Warmer:
    """Warms the cache for PromptCache's calls."""

    def __init__(self, cache: Cache, state: PromptCacheState, rules: Callable[[], Rules]) -> None:
        self._cache, self._state, self._rules = cache, state, rules

    async def __call__(self, entries: Sequence[WarmEntry], namespace: str) -> list[Warmed]:
        """What became of each entry, in their order."""
        host = HOSTS[self._state.chat_provider]
        rule = self._rules().find("https", host, 443, PATH)
        if rule is None:
            return [Warmed(error=f"failed to store response: no rule names {host}{PATH}") for _ in entries]
        return [await self._warm(entry, rule, host, namespace) for entry in entries]

    async def _warm(self, entry: WarmEntry, rule: Rule, host: str, namespace: str) -> Warmed:
        if not entry.prompt.strip():
            return Warmed(error="prompt is required")
        key = ""
        try:
            request = Request("POST", host, PATH, "", {}, jsontext.dumps(_request(entry)))
            call = rule.wire.read(request, rule.read)
            if call.prompt != entry.prompt:
                raise Unreadable("the request's last message is not the prompt")
            identity = self._cache.identify(call, host=host + PATH, scope=WARM_SCOPE, namespace=namespace)
            key = identity.key
            answer = rule.wire.assemble(jsontext.dumps(entry.response), "application/json", call)
            found = await self._cache.prepare(call)
            if found.reason.startswith(EMBEDDER_FAILED):
                return Warmed(key, f"embedding failed: {found.reason}")
            kept = await self._cache.remember(
                call,
                identity,
                Answer(answer.body, answer.content_type, answer.usage),
                upstream=rule.name,
                host=host,
                ttl=rule.behaviour.ttl,
                namespace=namespace,
                upstream_seconds=0.0,
                found=found,
            )
        except (Unreadable, Unstorable, StoreError, TypeError) as error:
            return Warmed(key, f"failed to store response: {error}")
        return Warmed(kept.key)


def _request(entry: WarmEntry) -> dict[str, Any]:
    if entry.request is not None:
        return entry.request
    response = entry.response if isinstance(entry.response, dict) else {}
    model = entry.model or _DATE.sub("", str(response.get("model") or ""))
    if not model:
        raise Unreadable("neither model nor response.model says whose answer it is")
    return {"model": model, "messages": [{"role": "user", "content": entry.prompt}]}
