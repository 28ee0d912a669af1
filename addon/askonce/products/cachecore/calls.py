"""Cachecore: OpenAI's chat completions for tenants, each with a token, whose answers depend on data that change.

One rule: without a token nothing is read from the cache and nothing is kept; with one that is not good nothing is
asked. Only tenant, policy version and permissions besides everything else that must be equal make a namespace.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b

import orjson

from askonce.api.product_addresses import ViewName
from askonce.cache import Entry, Identity, Lookup, Policy
from askonce.call import Call, Reply, Request
from askonce.calls.dependencies import Dependencies, Underway, declared, labels
from askonce.calls.product_terms import Terms
from askonce.calls.state import Exchange
from askonce.credentials import bearer_token
from askonce.network.rate_limits import Rates
from askonce.products.base import OwnHeaders, Passage
from askonce.products.cachecore.dependencies import POLICY, DepsError, read_deps
from askonce.products.cachecore.errors import problem
from askonce.products.cachecore.section import CachecoreSpec
from askonce.products.cachecore.tokens import TOKEN_HEADER, Tenant, TokenError, read_tenant, take_token
from askonce.products.keys import KeyOf, as_operator
from askonce.rules import Rule, Rules

__all__ = ["DEPS_HEADER", "Cachecore"]

PATH = "/v1/chat/completions"
DEPS_HEADER = "x-cachecore-deps"
_HOST = "api.openai.com"
_ASKED_NOT: OwnHeaders = (("x-cache", "BYPASS"), ("x-cache-similarity", "0.00"), ("x-cache-age", "0"))


class _Bypass(Terms):
    bypass = "no tenant token"


class CachecoreTerms(Terms):
    """A tenant's call."""

    def __init__(
        self, tenant: Tenant, deps: dict[str, str], underway: Underway, again: Request, threshold: float | None
    ) -> None:
        self.scope = tenant.scope
        self.labels = labels(underway.depends, tenant.id)
        self.again = again
        self._deps, self._underway, self._threshold = deps, underway, threshold

    def policy(self, policy: Policy) -> Policy:
        return policy if self._threshold is None else replace(policy, min_similarity=self._threshold)

    async def reconsider(self, call: Call, identity: Identity, lookup: Lookup) -> Lookup:
        if lookup.stale:  # only the very same call may have a stale answer
            return replace(lookup, outcome="miss", entry=None, stale=False, reason="expired")
        return lookup

    def admits(self, entry: Entry) -> str:
        known = declared(entry.labels)
        for dep, expected in self._deps.items():
            stored = known.get(dep)
            if stored is None:
                return "dependency not declared"  # it would outlive the invalidation that this caller counts on
            if stored != expected:
                return "dependency of another version"
        return ""

    def keeps(self) -> bool:
        return not self._underway.is_overtaken


class Cachecore:
    name: ViewName = "cachecore"

    def __init__(
        self,
        dependencies: Dependencies,
        rates: Rates,
        spec: Callable[[], CachecoreSpec],
        key: KeyOf,
        *,
        believe: bool,
    ) -> None:
        """`believe`: without a secret, tokens are taken as they are."""
        self._dependencies, self._rates, self._believe = dependencies, rates, believe
        self._spec, self._key = spec, key

    def recognises(self, request: Request, rules: Rules) -> bool:
        headers = request.headers
        return TOKEN_HEADER in headers or DEPS_HEADER in headers or (bearer_token(headers) or "").startswith("cc_")

    def claim(self, request: Request, rules: Rules) -> Passage | Reply | None:
        if request.method != "POST" or request.path != PATH:
            return None
        rule = rules.find("https", _HOST, 443, PATH)
        if rule is None:
            return self.refuse(502, f"no rule names {_HOST}{PATH}")
        spec = self._spec()
        token, headers = take_token(request.headers)
        try:
            deps = read_deps(headers.pop(DEPS_HEADER, "") or "W10")  # []
            tenant = read_tenant(token, spec, believe=self._believe) if token else None
        except DepsError as error:
            return self.refuse(400, str(error))
        except TokenError as error:
            return self.refuse(401, str(error))
        # The gateway asks with a key of its own; what its clients send in its place is "ignored".
        key = self._key("openai")
        if key:
            headers["authorization"] = f"Bearer {key}"
        meant = replace(request, host=_HOST, headers=headers, raw=None)
        outgoing = as_operator(meant, "openai", key, rule.headers.choosing) if key else None
        if tenant is None:
            return self._around(rule, meant, outgoing, spec)
        again = replace(request, host=rules.config.manage.host, path="/cachecore" + PATH, raw=None)
        underway = self._dependencies.begin({POLICY: tenant.policy_version, **deps}, tenant.id)
        return Passage(
            _timed(rule, tenant.fresh, tenant.stale),
            meant,
            outgoing=outgoing,
            terms=CachecoreTerms(tenant, deps, underway, again, spec.threshold),
            dress=_dress_and_hint if spec.debug_headers else _dress,
            unreachable=self._unreachable,
        )

    def _around(self, rule: Rule, meant: Request, outgoing: Request | None, spec: CachecoreSpec) -> Passage | Reply:
        standing = self._rates.take(spec.bypass_rate, "cachecore bypass", meant.client)
        if not standing.allowed:
            refusal = self.refuse(429, f"without a tenant token, at most {spec.bypass_rate} from one address")
            told = tuple((name.lower(), value) for name, value in standing.headers.items())
            return replace(refusal, headers=(*refusal.headers, *told))
        return Passage(rule, meant, outgoing, terms=_Bypass(), dress=_dress, unreachable=self._unreachable)

    def refuse(self, status: int, message: str) -> Reply:
        return Reply(orjson.dumps(problem(status, message)), "application/json", status, _ASKED_NOT)

    def _unreachable(self, why: str) -> Reply:
        return self.refuse(502, f"the provider cannot be reached: {why}")


@lru_cache(256)
def _timed(rule: Rule, fresh: float, stale: float) -> Rule:
    return replace(rule, behaviour=rule.behaviour.model_copy(update={"ttl": fresh, "stale_while_revalidate": stale}))


def _dress(exchange: Exchange) -> OwnHeaders:
    lookup = exchange.lookup
    entry = lookup.entry if lookup and lookup.outcome != "miss" else None
    if exchange.bypass:
        return _ASKED_NOT
    if lookup is None or entry is None:
        return (("x-cache", "MISS"), ("x-cache-similarity", "0.00"), ("x-cache-age", "0"))
    if lookup.outcome == "semantic":
        status, similarity = "HIT_L2", lookup.similarity or 0.0
    else:
        status, similarity = "HIT_L1_STALE" if lookup.stale else "HIT_L1", 1.0
    return (("x-cache", status), ("x-cache-similarity", f"{similarity:.2f}"))


def _dress_and_hint(exchange: Exchange) -> OwnHeaders:
    if exchange.identity is None:
        return _dress(exchange)
    parts = exchange.identity.parts
    said = "\0".join(parts.get(name, "") for name in ("credential", "system", "tools"))
    hint = blake2b(said.encode(), digest_size=6).hexdigest()
    return (*_dress(exchange), ("x-cachecore-namespace-hint", hint))
