"""PromptCache: OpenAI's chat completions at `/v1/chat/completions`, public, with `X-Cache: HIT|MISS`.

One rule: its thresholds and its verifier decide within a partition; two models, system prompts or credentials never
share an answer here either. Only what an operator warmed the cache with is everybody's.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from askonce.api.product_addresses import ViewName
from askonce.cache import Cache, Entry, Identity, Lookup, Policy
from askonce.call import Call, Reply, Request
from askonce.calls.product_terms import Terms
from askonce.calls.state import Exchange
from askonce.calls.verifier import Verifier
from askonce.products.base import OwnHeaders, Passage
from askonce.products.keys import ProviderName, as_operator, with_key
from askonce.products.promptcache import claude as claude
from askonce.products.promptcache.state import ChatProvider, PromptCacheState
from askonce.products.translate import Untranslatable
from askonce.rules import Rules

__all__ = ["PATH", "WARM_SCOPE", "PromptCache"]

PATH = "/v1/chat/completions"
WARM_SCOPE = "promptcache: warm"
"""Whose the answers are that the cache was warmed with: those of nobody in particular."""
HOSTS: dict[ChatProvider, str] = {
    "openai": "api.openai.com",
    "mistral": "api.mistral.ai",
    "claude": claude.HOST,
}
_NAMES: dict[ChatProvider, str] = {"openai": "OpenAI", "mistral": "Mistral", "claude": "Claude"}
_MAX_ID = 128


class PromptCacheTerms(Terms):
    """The two thresholds, the gray zone between them, and the answers that the cache was warmed with."""

    verifies = True

    def __init__(
        self,
        cache: Cache,
        state: PromptCacheState,
        verifier: Verifier,
        place: str,
        namespace: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`place` is the provider's host and path, `headers` are those of the call that choose the answer."""
        self._cache, self._state, self._verifier = cache, state, verifier
        self._place, self._namespace, self._headers = place, namespace, headers
        self._policy = Policy()

    def policy(self, policy: Policy) -> Policy:
        self._policy = policy
        return policy

    async def reconsider(self, call: Call, identity: Identity, lookup: Lookup) -> Lookup:
        found = await self._decide(call, identity, lookup)
        if found.entry:
            return found
        shared = self._warm(call)
        warm = await self._cache.look_up(call, shared, self._policy)
        if warm.outcome != "exact":
            warm = await self._decide(call, shared, warm)
        return warm if warm.entry else found

    async def _decide(self, call: Call, identity: Identity, lookup: Lookup) -> Lookup:
        near, cosine = lookup.entry or lookup.nearest, lookup.similarity
        if near is None or cosine is None:
            return lookup
        thresholds, sure = self._state.thresholds, lookup.outcome == "semantic"
        if cosine < thresholds.low:
            return _refused(lookup, f"similarity {cosine:.3f} < {thresholds.low:.3f}")
        if cosine >= thresholds.high:
            if sure:
                return lookup
            if self._state.spec.decided_by == "thresholds":
                return self._served(call, identity, lookup, near)
        if not sure and not lookup.probability:
            return lookup  # a guard objects, or the judge failed: no verifier is to overrule that
        if await self._verified(call.prompt, near.prompt):
            return lookup if sure else self._served(call, identity, lookup, near)
        return _refused(lookup, f"similarity {cosine:.3f} < {thresholds.high:.3f}") if sure else lookup

    def _served(self, call: Call, identity: Identity, lookup: Lookup, entry: Entry) -> Lookup:
        return self._cache.record_hit(replace(lookup, outcome="semantic", entry=entry, reason=""), call, identity)

    async def _verified(self, one: str, other: str) -> bool:
        asking = self._state.verifier
        return asking is not None and await self._verifier.same(one, other, asking)

    def _warm(self, call: Call) -> Identity:
        return self._cache.identify(
            call, host=self._place, scope=WARM_SCOPE, namespace=self._namespace, headers=self._headers
        )


def _refused(lookup: Lookup, reason: str) -> Lookup:
    near = lookup.entry or lookup.nearest
    return replace(lookup, outcome="miss", entry=None, stale=False, nearest=near, reason=lookup.reason or reason)


class PromptCache:
    name: ViewName = "promptcache"

    def __init__(self, cache: Cache, state: PromptCacheState, verifier: Verifier) -> None:
        self._cache, self._state, self._verifier = cache, state, verifier

    def recognises(self, request: Request, rules: Rules) -> bool:
        return False  # it asks for nothing that another product would not: it is the default

    def claim(self, request: Request, rules: Rules) -> Passage | Reply | None:
        if request.method != "POST" or request.path != PATH:
            return None
        identifier = (("x-request-id", _request_id(request)),)
        refusal = self._check(request)
        if refusal:
            return replace(refusal, headers=identifier)
        claimed = self._passage(request, rules, identifier)
        return replace(claimed, headers=identifier) if isinstance(claimed, Reply) else claimed

    def refuse(self, status: int, message: str) -> Reply:
        return Reply(orjson.dumps({"error": message}), "application/json", status)

    def _check(self, request: Request) -> Reply | None:
        if len(request.body) > self._state.spec.max_request:
            return self.refuse(413, "Request body too large")
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return self.refuse(400, "Invalid JSON")
        if not isinstance(body, dict):
            return self.refuse(400, "Invalid JSON")
        return None if _asks_something(body.get("messages")) else self.refuse(400, "No user prompt found")

    def _passage(self, request: Request, rules: Rules, identifier: OwnHeaders) -> Passage | Reply:
        provider = self._state.chat_provider
        host, path = HOSTS[provider], claude.PATH if provider == "claude" else PATH

        def fail(why: str) -> Reply:
            return replace(self.refuse(500, f"Failed to call {_NAMES[provider]}: {why}"), headers=identifier)

        rule = rules.find("https", host, 443, path)
        if rule is None:
            return fail(f"no rule names {host}{path}")
        bearer: ProviderName = "anthropic" if provider == "claude" else provider
        key = self._state.key(bearer)
        if not key and provider != "openai":  # what the caller brings is OpenAI's, as is the form of the call
            return fail(f"products.provider_keys.{bearer} is not set")
        # Whose answers they are, the caller's own credential says, where there is one.
        meant = with_key(replace(request, host=host, raw=None), bearer, key)
        if key and provider == "claude":
            try:
                passage = claude.passage(meant, rule, key, fail)
            except Untranslatable as error:
                return self.refuse(400, str(error))
        else:
            passage = Passage(rule, meant, as_operator(meant, bearer, key, rule.headers.choosing) if key else None)
        namespace = request.headers.get("x-cache-namespace", "").strip()
        echoed = identifier if request.headers.get("x-request-id") == identifier[0][1] else ()
        return replace(
            passage,
            terms=PromptCacheTerms(
                self._cache,
                self._state,
                self._verifier,
                f"{host}{path}",
                namespace,
                rule.headers.choices(meant.headers),
            ),
            dress=lambda exchange: (*_dress(exchange, provider), *echoed),
            defaults=identifier,
            unreachable=fail,
        )


def _dress(exchange: Exchange, provider: ChatProvider) -> OwnHeaders:
    found = exchange.lookup
    headers: list[tuple[str, str]] = [("x-provider", provider)]
    if found and found.similarity is not None and found.similarity > 0:
        headers.append(("x-similarity-score", f"{found.similarity:.4f}"))
    if exchange.is_answered:
        headers.append(("x-cache-status", "hit"))
        if exchange.call and exchange.call.stream:
            headers += [("cache-control", "no-cache"), ("x-accel-buffering", "no")]
    return tuple(headers)


def _asks_something(messages: Any) -> bool:
    """Whether there is a message of the user's that is not empty."""
    return isinstance(messages, list) and any(
        isinstance(message, dict) and message.get("role") == "user" and bool(message.get("content"))
        for message in messages
    )


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if given and len(given) <= _MAX_ID and given.isascii() and given.isprintable() else str(uuid.uuid4())
