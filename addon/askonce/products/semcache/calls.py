"""Semcache's proxy: calls in OpenAI's and Anthropic's wire formats and in any other, to wherever a header says.

One rule: what a caller says about a call, where it goes, where its prompt is, how it is answered, stays within what
the rules name and allow. His JSONPath picks no other prompt than the wire format's own for being reworded; a call
whose prompt is elsewhere is answered with what the very same call was.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from askonce.api.product_addresses import ViewName
from askonce.cache import Policy
from askonce.call import Answer, Call, Reply, Request
from askonce.calls.product_terms import Terms
from askonce.calls.state import Exchange
from askonce.credentials import bears_key
from askonce.jsontext import shortened
from askonce.products.base import OwnHeaders, Passage
from askonce.products.destinations import Destination, DestinationError, ForbiddenDestination, find_destination
from askonce.products.keys import KeyOf, ProviderName, as_operator, with_key
from askonce.products.semcache.section import SemcacheSpec
from askonce.rules import Rule, Rules
from askonce.rules.patterns import JsonPathQuery, parse_jsonpath
from askonce.wire.base import ReadOptions, Replay, WireFormat

__all__ = ["Semcache", "cosine"]

_DEFAULTS = {
    "/v1/chat/completions": "https://api.openai.com/v1/chat/completions",
    "/chat/completions": "https://api.openai.com/v1/chat/completions",
    "/v1/messages": "https://api.anthropic.com/v1/messages",
}
"""Path -> whom it is for, where no header says."""
GENERIC = "/semcache/v1/chat/completions"
_UPSTREAM, _HOST = "x-llm-proxy-upstream", "x-llm-proxy-host"
_PROMPTS = ("x-llm-proxy-prompt", "x-llm-prompt")
"""The document's name for it, and the one that Semcache's server reads."""
_OPERATORS: dict[str, ProviderName] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.mistral.ai": "mistral",
    "generativelanguage.googleapis.com": "google",
}
"""Host -> whose key in `products.provider_keys` is for it."""
_SHOWN = 100


class _SemcacheRefusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class PromptElsewhere:
    """A wire format whose caller says where his prompt is.

    Where that is the text that the wire format takes for the prompt as well, nothing changes; elsewhere, only the very
    same call is answered.
    """

    def __init__(self, wire: WireFormat, text: str) -> None:
        self.name = wire.name
        self._wire, self._text = wire, text

    def read(self, request: Request, options: ReadOptions) -> Call:
        call = self._wire.read(request, options)
        return call if call.prompt == self._text else replace(call, exact_only=call.exact_only or "prompt elsewhere")

    def assemble(self, body: bytes, content_type: str, call: Call) -> Answer:
        return self._wire.assemble(body, content_type, call)

    def replay(self, answer: Answer, call: Call, replay: Replay) -> Reply:
        return self._wire.replay(answer, call, replay)


class _AtLeast(Terms):
    """How near another wording must be, whatever the judge thinks of it."""

    def __init__(self, min_similarity: float) -> None:
        self._min_similarity = min_similarity

    def policy(self, policy: Policy) -> Policy:
        return replace(policy, min_similarity=max(self._min_similarity, policy.min_similarity or -1.0))


class Semcache:
    name: ViewName = "semcache"

    def __init__(self, spec: Callable[[], SemcacheSpec], key: KeyOf) -> None:
        self._spec, self._key = spec, key

    def recognises(self, request: Request, rules: Rules) -> bool:
        return (
            request.path in ("/chat/completions", "/v1/messages")
            or request.path.startswith("/semcache/")
            or any(name.startswith("x-llm-") for name in request.headers)
        )

    def claim(self, request: Request, rules: Rules) -> Passage | Reply | None:
        if request.method != "POST" or not (request.path in _DEFAULTS or request.path == GENERIC):
            return None
        try:
            return self._passage(request, rules)
        except _SemcacheRefusal as refused:
            return self.refuse(refused.status, str(refused))

    def refuse(self, status: int, message: str) -> Reply:
        return Reply(message.encode(errors="replace"), "text/plain; charset=utf-8", status)

    def _passage(self, request: Request, rules: Rules) -> Passage:
        spec = self._spec()
        body = _json(request, spec.max_request)
        place = _destination(request, rules)
        headers = {name: value for name, value in request.headers.items() if not name.startswith("x-llm-")}
        meant = replace(
            request,
            scheme=place.scheme,
            host=place.host,
            port=place.port,
            path=place.path,
            query=place.query or request.query,
            headers=headers,
            raw=None,
        )
        provider = _OPERATORS.get(place.host) if (place.scheme, place.port) == ("https", 443) else None
        key = provider and self._key(provider)
        outgoing = None
        if provider and key and not bears_key(meant.headers, meant.query):
            outgoing = replace(as_operator(meant, provider, key, place.rule.headers.choosing), query=meant.query)
        return Passage(
            _rule(place.rule, request, body),
            with_key(meant, provider, key) if provider else meant,
            outgoing=outgoing,
            terms=_AtLeast(cosine(spec.similarity_threshold)),
            before=self._checked(place),
            dress=_dress,
            bare_misses=True,
            unreachable=lambda why: self.refuse(500, "Failed to call upstream"),
        )

    def _checked(self, place: Destination) -> Callable[[], Awaitable[Reply | None]]:
        async def before() -> Reply | None:
            try:
                await place.check()
            except ForbiddenDestination as error:
                return self.refuse(403, f"Refused: {error}")
            return None

        return before


def cosine(similarity: float) -> float:
    """A similarity on Semcache's scale as a cosine."""
    return 2 * similarity - 1


def _json(request: Request, limit: int) -> Any:
    """The body; what is refused, and how, is as in Semcache's own web framework."""
    if len(request.body) > limit:
        raise _SemcacheRefusal(413, "Failed to buffer the request body: length limit exceeded")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise _SemcacheRefusal(415, "Expected request with `Content-Type: application/json`")
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise _SemcacheRefusal(400, f"Failed to parse the request body as JSON: {error}") from None


def _destination(request: Request, rules: Rules) -> Destination:
    headers = request.headers
    url = headers.get(_UPSTREAM, "").strip()
    if request.path == GENERIC:
        missing = [name for name, given in ((_UPSTREAM, url), (_PROMPTS[0], _path_of_prompt(request))) if not given]
        if missing:
            message = f"Error handling request: Invalid generic provider: missing {' and '.join(missing)}"
            raise _SemcacheRefusal(400, message)
    elif not url:
        url = _DEFAULTS[request.path]
        if host := headers.get(_HOST, "").strip().rstrip("/"):
            url = (host if "://" in host else f"https://{host}") + urlsplit(url).path
    try:
        return find_destination(url, rules)
    except ForbiddenDestination as error:
        raise _SemcacheRefusal(403, f"Refused: {error}") from None
    except DestinationError as error:
        raise _SemcacheRefusal(400, f"Error handling request: Invalid upstream: {error}") from None


def _path_of_prompt(request: Request) -> str:
    return next((path for name in _PROMPTS if (path := request.headers.get(name, "").strip())), "")


def _rule(rule: Rule, request: Request, body: Any) -> Rule:
    """The rule with the caller's prompt in it."""
    path = _path_of_prompt(request)
    if not path:
        return rule
    found = _find(path)(body)
    if not found:
        raise _SemcacheRefusal(400, f"No element found at path '{path}'")
    text = found[-1][1]
    if not isinstance(text, str):
        raise _SemcacheRefusal(400, f"Expected a string at path '{path}', but found: {_shown(text)}")
    return replace(rule, wire=PromptElsewhere(rule.wire, text))


def _find(path: str) -> JsonPathQuery:
    try:
        return parse_jsonpath(path)
    except ValueError as error:
        raise _SemcacheRefusal(400, f"Invalid prompt path: {error}") from None


def _shown(value: Any) -> str:
    return shortened(orjson.dumps(value).decode(), _SHOWN)


def _dress(exchange: Exchange) -> OwnHeaders:
    return (("x-cache-status", "hit"),) if exchange.is_answered and exchange.status == 200 else ()
