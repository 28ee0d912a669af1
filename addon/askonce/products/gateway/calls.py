"""Prometheus Gateway: OpenAI's chat completions for the models of three providers, for those who have one of its keys.

One rule: a caller's key opens the gateway and goes no further; what a provider is sent bears the operator's key, and
nothing else that says who asks.
"""

import fnmatch
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import orjson

from askonce import jsontext
from askonce.accounting import Accounting, CallRecord
from askonce.api.product_addresses import ViewName
from askonce.call import Reply, Request, Unreadable
from askonce.calls.product_terms import Terms
from askonce.calls.response_headers import fresh_id
from askonce.calls.state import Exchange
from askonce.credentials import KEYS, anonymous, bearer_token
from askonce.faults import Faults
from askonce.network.api_keys import ApiKey, ApiKeyError, ApiKeys
from askonce.network.rate_limits import Rates, Standing
from askonce.products.base import OwnHeaders, Passage
from askonce.products.gateway.errors import PROBLEMS, Code, Users, code_of, problem
from askonce.products.gateway.section import GatewayProvider, GatewaySpec
from askonce.products.keys import KeyOf, as_operator, with_key
from askonce.products.translate import (
    ANTHROPIC,
    GEMINI,
    Asked,
    Dialect,
    StreamTranslator,
    Untranslatable,
    WholeTranslator,
    message_of,
)
from askonce.products.translate.stream import ProviderTrouble
from askonce.rules import Rule, Rules
from askonce.rules.patterns import parse_jsonpath
from askonce.wire import wire_format
from askonce.wire.base import ReadOptions
from askonce.wire.common import JsonObject, load_object

__all__ = ["Gateway"]

_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class _Provider:
    """How a provider is asked."""

    host: str
    path: str
    """Where its rule is found; `{}` stands for the model."""
    variables: tuple[str, ...]
    """Environment variables that may hold the operator's key, where rules.yaml does not name one."""
    dialect: Dialect | None = None
    """None where it speaks OpenAI's chat completions itself."""


_PROVIDERS: dict[GatewayProvider, _Provider] = {
    "openai": _Provider("api.openai.com", _PATH, ("OPENAI_API_KEY",)),
    "google": _Provider(
        "generativelanguage.googleapis.com",
        "/v1beta/models/{}:generateContent",
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        GEMINI,
    ),
    "anthropic": _Provider("api.anthropic.com", "/v1/messages", ("ANTHROPIC_API_KEY",), ANTHROPIC),
}
_TRANSLATED = ReadOptions(
    ignore=tuple(map(parse_jsonpath, ("$.user", "$.metadata", "$.safety_identifier", "$.prompt_cache_key")))
)
"""How a translated request is read: what the translation leaves out does not change the answer."""
_FOR_TRANSLATED = frozenset({"content-type", "user-agent"})
"""What of a caller's headers a provider is sent that he does not know he asks."""
_OF_THE_OPERATOR = frozenset(
    """
    openai-organization openai-project anthropic-organization-id set-cookie x-ratelimit-limit-requests
    x-ratelimit-limit-tokens x-ratelimit-remaining-requests x-ratelimit-remaining-tokens x-ratelimit-reset-requests
    x-ratelimit-reset-tokens
    """.split()  # noqa: SIM905
)
_REQUEST_ID = re.compile(r"[\w.:+/=-]{1,128}", re.ASCII)


class _GatewayRefusal(Exception):
    """A call that is not made; the code says which of the document's errors it is."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


class _Terms(Terms):
    def __init__(self, owner: str) -> None:
        self.owner = owner


class Gateway:
    """The calls of the gateway's clients."""

    name: ViewName = "gateway"

    def __init__(
        self,
        keys: ApiKeys,
        users: Users,
        rates: Rates,
        accounting: Accounting,
        faults: Faults,
        spec: Callable[[], GatewaySpec],
        key: KeyOf,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self._users, self._rates = keys, users, rates
        self._accounting, self._faults = accounting, faults
        self._spec, self._key_of = spec, key
        self._environ, self._clock = environ, clock
        self._made: tuple[Rules, dict[str, Rule]] | None = None

    def recognises(self, request: Request, rules: Rules) -> bool:
        """A key of ours, good or revoked; or any in `X-API-Key` once there are keys, off Anthropic's own path."""
        try:
            if secret := bearer_token(request.headers):
                return self._keys.find(secret) is not None or self._is_named(request)
            return self._is_named(request)
        except ApiKeyError as error:
            self._report(error)
            return True  # it may be one of ours, and must not reach a provider

    def has_keys(self) -> bool:
        """Whether any key was ever made; where their file cannot be read, there may be some."""
        try:
            return bool(self._keys.all())
        except ApiKeyError as error:
            self._report(error)
            return True

    def _is_named(self, request: Request) -> bool:
        return bool(request.headers.get("x-api-key")) and request.path != "/v1/messages" and bool(self._keys.all())

    def claim(self, request: Request, rules: Rules) -> Passage | Reply | None:
        if request.method != "POST" or request.path != _PATH:
            return None
        started = time.perf_counter()
        owner, standing = "", None
        try:
            key = self._key(request)
            owner = key.owner
            standing = self._take(key, self._spec())
            return self._passage(request, rules, key, standing)
        except _GatewayRefusal as refused:
            reply = self._refusal(request, refused.code, str(refused), standing)
        except Unreadable as error:
            reply = self._refusal(request, "invalid_request", str(error), standing)
        except Untranslatable as error:
            reply = self._refusal(request, "invalid_request", str(error), standing)
        except ApiKeyError as error:
            self._report(error)
            reply = self._refusal(request, "internal_error", "The API keys cannot be read; the log says why", standing)
        self._accounting.record(
            CallRecord(
                outcome="error",
                detail="refused by the gateway",
                upstream=self.name,
                wire="openai-chat",
                model="",
                status=reply.status,
                seconds=time.perf_counter() - started,
                forwarded=False,
                endpoint=_PATH,
                owner=owner,
            )
        )
        return reply

    def refuse(self, status: int, message: str) -> Reply:
        code = code_of(status)
        return _reply(status, problem(code, message, _fresh_request_id()), ())

    def providers(self, rules: Rules) -> dict[GatewayProvider, bool]:
        """provider -> whether there are a rule and a key to ask it with."""
        return {
            name: self._rule(name, rules) is not None and self._provider_key(name) is not None for name in _PROVIDERS
        }

    # Who asks

    def _key(self, request: Request) -> ApiKey:
        secret = request.headers.get("x-api-key") or bearer_token(request.headers)
        if not secret:
            raise _GatewayRefusal(
                "invalid_api_key", "No API key: expected one in X-API-Key, or in Authorization: Bearer"
            )
        key = self._keys.find(secret)
        if key is None or key.revoked:
            raise _GatewayRefusal("invalid_api_key", "Invalid API key provided")
        return key

    def _take(self, key: ApiKey, spec: GatewaySpec) -> Standing | None:
        if spec.rate is None:
            self._users.asked(key)
            return None
        standing = self._rates.take(spec.rate, self.name, key.id)
        self._users.asked(key, throttled=not standing.allowed)
        return standing

    # Where it goes

    def _passage(self, request: Request, rules: Rules, key: ApiKey, standing: Standing | None) -> Passage:
        spec = self._spec()
        if standing and not standing.allowed:
            raise _GatewayRefusal("rate_limit_exceeded", f"Rate limit exceeded: {spec.rate} for each API key")
        body = load_object(request.body)
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise _GatewayRefusal("invalid_request", "model: expected the name of a model")
        name = next((spec.models[form] for form in spec.models if fnmatch.fnmatchcase(model, form)), None)
        if name is None:
            raise _GatewayRefusal(
                "model_not_found", f"There is no model {model!r} here; expected {' or '.join(spec.models)}"
            )
        provider, rule, secret = _PROVIDERS[name], self._rule(name, rules), self._provider_key(name)
        if rule is None:
            raise _GatewayRefusal(
                "provider_error", f"{name} is not asked: no rule names {provider.host}{provider.path}"
            )
        if not secret:
            raise _GatewayRefusal(
                "provider_error", f"{name} cannot be asked: there is no key in {provider.variables[0]}"
            )
        asked = provider.dialect.ask(body, max_tokens=spec.max_tokens) if provider.dialect else None
        sent = _outgoing(request, provider, asked)
        who = "gateway" if spec.share_answers else key.hash
        refusal = partial(self._refusal, request, "provider_error", standing=standing)
        whole = asked is not None and not body.get("stream")
        translator = partial(self._translator, provider.dialect, body) if provider.dialect else None
        return Passage(
            rule,
            # The identity's own credential is the caller's: the provider's is the same for all of them.
            replace(
                sent,
                path=provider.path.format(model),
                query="",
                headers=_unlocked(request, spec.share_answers) | {"authorization": who},
                body=request.body,
            ),
            outgoing=with_key(sent, name, secret) if asked else as_operator(sent, name, secret, rule.headers.choosing),
            terms=_Terms(key.owner),
            dress=partial(_rate_headers, standing),
            drops=_OF_THE_OPERATOR,
            translator=None if whole else translator,
            finish=partial(self._finish, name, partial(translator, request) if translator else None, refusal),
            whole=whole,
            unreachable=lambda why: refusal(message=f"{name} cannot be reached: {why}"),
        )

    def _rule(self, name: GatewayProvider, rules: Rules) -> Rule | None:
        if self._made is None or self._made[0] is not rules:
            self._made = rules, {}
        made = self._made[1]
        if name not in made:
            provider = _PROVIDERS[name]
            rule = rules.find("https", provider.host, 443, provider.path.format("any"))
            if rule is None:
                return None
            if provider.dialect:
                rule = replace(rule, wire=wire_format("openai-chat"), read=_TRANSLATED)
            # Statistics tell the gateway's calls by their provider, as its document does.
            made[name] = replace(rule, name=name, endpoint=_PATH)
        return made[name]

    def _provider_key(self, name: GatewayProvider) -> str | None:
        named = self._key_of(name)
        return named or next(
            (key for variable in _PROVIDERS[name].variables if (key := self._environ.get(variable))), None
        )

    # What comes back

    def _translator(self, dialect: Dialect, body: JsonObject, _request: Request) -> StreamTranslator | WholeTranslator:
        now = self._clock()
        if not body.get("stream"):
            return WholeTranslator(dialect, now=now, fresh_id=fresh_id)
        options = body.get("stream_options")
        include_usage = isinstance(options, dict) and options.get("include_usage") is True
        return StreamTranslator(dialect, now=now, fresh_id=fresh_id, include_usage=include_usage)

    @staticmethod
    def _finish(
        name: GatewayProvider,
        translate: Callable[[], StreamTranslator | WholeTranslator] | None,
        refusal: Callable[..., Reply],
        status: int,
        body: bytes,
    ) -> Reply:
        if translate is None or not 200 <= status < 300:
            reply = refusal(message=f"{name} answered {status}: {message_of(body) or 'no reason given'}")
            if 400 <= status < 500:  # SDKs tell by it what to raise, and whether to ask again
                return replace(reply, status=status)
            final = () if status >= 500 else (("x-should-retry", "false"),)
            return replace(reply, headers=(*reply.headers, *final))
        translator = translate()
        try:
            told = translator.feed(body) if body else b""
            return Reply(told + translator.feed(b""), translator.content_type, status)
        except ProviderTrouble as error:
            return refusal(message=f"{name} answered, but {error}")

    def _refusal(self, request: Request, code: Code, message: str, standing: Standing | None) -> Reply:
        request_id = request.headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = _fresh_request_id()
        return _reply(PROBLEMS[code].status, problem(code, message, request_id), _rate_headers(standing))

    def _report(self, error: Exception) -> None:
        self._faults.report("gateway keys", error, "nobody is let in")


def _outgoing(request: Request, provider: _Provider, asked: Asked | None) -> Request:
    """What the provider is sent, but for the key."""
    if asked is None:
        return replace(request, host=provider.host, raw=None)
    headers = {name: value for name, value in request.headers.items() if name in _FOR_TRANSLATED}
    # A compressed stream could not be translated event by event.
    headers |= {"accept-encoding": "identity", **dict(asked.headers)}
    body = jsontext.dumps(asked.body)
    return replace(
        request, host=provider.host, path=asked.path, query=asked.query, headers=headers, body=body, raw=None
    )


def _unlocked(request: Request, shared: bool) -> dict[str, str]:
    """The headers without the gateway's key; where answers are shared, without all that says who asks."""
    if shared:
        return anonymous(request.headers)
    return {name: value for name, value in request.headers.items() if name not in KEYS}


def _rate_headers(standing: Standing | None, _exchange: Exchange | None = None) -> OwnHeaders:
    return tuple((name.lower(), value) for name, value in standing.headers.items()) if standing else ()


def _reply(status: int, body: dict[str, object], headers: OwnHeaders) -> Reply:
    said = (("x-request-id", str(body["request_id"])), *headers)
    return Reply(orjson.dumps(body), "application/json", status, said)


def _fresh_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"
