"""Prometheus Gateway: its health, statistics and administration, behind its own API keys.

The rule: every response and every error is the one of the document. What the document calls Redis, which holds the
exact answers there, is the store here.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, HTTPException, Response, Security
from fastapi.params import Depends
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.types import Scope

from askonce.accounting import Labels, Tally
from askonce.api.metrics import IN_DOCUMENT, Exposition
from askonce.api.openapi_calls import describe_call
from askonce.api.product_routes import ProductRoutes, Shared
from askonce.api.request_models import RequestModel
from askonce.cache import Filter
from askonce.credentials import is_secret, shown_in_header
from askonce.network.api_keys import ApiKeys
from askonce.products.gateway.errors import Users, code_of, problem

__all__ = ["gateway"]

_TOP_USERS = 10

type ListProviders = Callable[[], Mapping[Any, bool]]
"""provider -> whether there are a rule and a key to ask it with."""


class GatewayError(BaseModel):
    code: str
    message: str
    type: str


class GatewayProblem(BaseModel):
    error: GatewayError
    timestamp: datetime
    request_id: str


class GatewayServices(BaseModel):
    redis: Literal["connected", "disconnected"]
    database: Literal["connected", "disconnected"]
    providers: dict[str, Literal["available", "unavailable"]]
    """Unavailable: there is no rule or no key for it, or it failed when it was last asked."""


class GatewayHealth(BaseModel):
    status: Literal["healthy", "degraded"]
    timestamp: datetime
    services: GatewayServices
    version: str


class HitFigures(BaseModel):
    hits: int
    misses: int
    hit_rate: float


class GatewayCacheStats(BaseModel):
    exact_cache: HitFigures
    semantic_cache: HitFigures


class ProviderStats(BaseModel):
    requests: int
    tokens: int
    avg_latency: float
    """Seconds that the provider took, cached answers left out."""


class TopUser(BaseModel):
    api_key: str
    requests: int


class RateLimitStats(BaseModel):
    requests_throttled: int
    top_users: list[TopUser]


class GatewayStats(BaseModel):
    """The calls of the gateway's keys since the start."""

    total_requests: int
    cache_stats: GatewayCacheStats
    provider_stats: dict[str, ProviderStats]
    rate_limit_stats: RateLimitStats


class GatewayReloaded(BaseModel):
    status: Literal["success"] = "success"
    message: str = "Configuration reloaded successfully"
    timestamp: datetime


class StoreFigures(BaseModel):
    connected: bool
    memory_usage: str
    keys: int
    hits: int
    misses: int
    evictions: int


class SemanticFigures(BaseModel):
    collection_size: int
    index_size: str
    queries: int
    hits: int
    avg_similarity: float
    """Mean cosine of the semantic hits; 0 where there were none."""


class AdminCacheStats(BaseModel):
    redis: StoreFigures
    semantic_cache: SemanticFigures


class ClearWhat(RequestModel):
    cache_type: Literal["all", "exact", "semantic"] = "all"


class ClearedCounts(BaseModel):
    exact_cache: int
    semantic_cache: int


class GatewayCleared(BaseModel):
    status: Literal["success"] = "success"
    message: str = "Cache cleared successfully"
    cleared: ClearedCounts


_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": GatewayProblem, "description": "The request was refused; nothing was changed."},
    "5XX": {"model": GatewayProblem, "description": "The request could not be carried out."},
}


def gateway(shared: Shared, keys: ApiKeys, users: Users, providers: ListProviders) -> ProductRoutes:
    """The gateway's routes; the management token, where there is one, is as good as an administrator's key."""
    return ProductRoutes(
        name="gateway",
        title="Prometheus Gateway",
        routes=_routes(shared, keys, users, providers),
        view=_view(shared, keys, providers),
        render=render,
        errors=_ERRORS,
        owns=("/stats", "/admin/reload-config", "/admin/cache"),
        families=("gateway_",),
    )


def render(scope: Scope, status: int, detail: Any, headers: Mapping[str, str]) -> JSONResponse:
    """An error as the document has it."""
    request_id = scope.get("state", {}).get("request_id", "")
    return JSONResponse(problem(code_of(status), str(detail), request_id), status, dict(headers))


def _routes(shared: Shared, keys: ApiKeys, users: Users, providers: ListProviders) -> APIRouter:
    routes = APIRouter(responses=_ERRORS, tags=["gateway"])
    known, admin = _allow(shared, keys), _allow(shared, keys, admin=True)
    cache = shared.cache

    @routes.get("/stats", dependencies=[known])
    async def gateway_stats() -> GatewayStats:
        """What the gateway's keys asked and were answered."""
        accounting = await shared.counts()
        return GatewayStats(
            total_requests=sum(tally.calls for tally in accounting.sums(lambda _: None, _is_gateways).values()),
            cache_stats=_cache_stats(accounting.sums(lambda row: row.outcome, _is_gateways)),
            provider_stats={
                name: _provider_stats(accounting.sums(lambda row: row.hit, _asks(name))) for name in providers()
            },
            rate_limit_stats=RateLimitStats(
                requests_throttled=users.throttled,
                top_users=[TopUser(**user._asdict()) for user in users.top(_TOP_USERS)],
            ),
        )

    reload = shared.reload
    if reload is not None:

        @routes.post("/admin/reload-config", dependencies=[admin])
        async def gateway_reload() -> GatewayReloaded:
            """Read rules.yaml again; a file that cannot be used changes nothing."""
            try:
                await reload()
            except ValueError as error:
                raise HTTPException(400, str(error)) from error
            return GatewayReloaded(timestamp=_now())

    @routes.get("/admin/cache/stats", dependencies=[admin])
    async def gateway_cache_stats() -> AdminCacheStats:
        """How full the cache is, and how well it answers, whoever asks."""
        accounting = await shared.counts()
        stats, totals = cache.stats(), accounting.totals()
        semantic = accounting.sums(lambda _: None, lambda row: row.outcome == "semantic").get(None, Tally())
        return AdminCacheStats(
            redis=StoreFigures(
                connected=shared.ready() is None,
                memory_usage=_megabytes(stats["bytes"]),
                keys=stats["entries"],
                hits=totals.exact,
                misses=totals.semantic + totals.misses,
                evictions=stats["evicted"],
            ),
            semantic_cache=SemanticFigures(
                collection_size=await cache.count(Filter(semantic=True)),
                index_size=_megabytes(stats["index_bytes"]),
                queries=totals.semantic + totals.misses,
                hits=totals.semantic,
                avg_similarity=round(semantic.similarity / semantic.judged, 4) if semantic.judged else 0.0,
            ),
        )

    @routes.post("/admin/cache/clear", dependencies=[admin])
    async def gateway_clear(what: ClearWhat | None = None) -> GatewayCleared:
        """Forget answers. One entry serves identical calls and other wordings alike, so `exact`, after which no call is
        answered, forgets all of them, as `all` does; `semantic` leaves those that serve identical calls alone."""
        serving_both = Filter(semantic=True)
        if what and what.cache_type == "semantic":
            count = await cache.clear(serving_both)
            return GatewayCleared(cleared=ClearedCounts(exact_cache=count, semantic_cache=count))
        semantic = await cache.clear(serving_both)
        return GatewayCleared(
            cleared=ClearedCounts(exact_cache=semantic + await cache.clear(), semantic_cache=semantic)
        )

    return routes


def _view(shared: Shared, keys: ApiKeys, providers: ListProviders) -> APIRouter:
    """What the root serves as the union of several products; open there, and here as long as there are no keys."""
    routes = APIRouter(responses=_ERRORS, dependencies=[_allow(shared, keys, open_without_keys=True)], tags=["gateway"])
    exposition = Exposition(shared.counts, shared.cache, shared.version, ("gateway_",))
    describe_call(routes, "/v1/chat/completions", "gateway_chat", errors=_ERRORS)

    @routes.get("/health")
    async def gateway_health() -> GatewayHealth:
        """How it is, and how its providers were when they were last asked."""
        well, last = shared.ready() is None, shared.accounting.providers()
        store: Literal["connected", "disconnected"] = "connected" if well else "disconnected"
        return GatewayHealth(
            status="healthy" if well else "degraded",
            timestamp=_now(),
            services=GatewayServices(
                redis=store,
                database=store,
                providers={
                    name: "available" if can_be_asked and last.get(name, True) else "unavailable"
                    for name, can_be_asked in providers().items()
                },
            ),
            version=shared.version,
        )

    @routes.get("/metrics", response_class=Response, responses=IN_DOCUMENT)
    async def gateway_metrics(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        """Prometheus' text format: gateway_*."""
        return await exposition.response(accept)

    return routes


def _allow(shared: Shared, keys: ApiKeys, *, admin: bool = False, open_without_keys: bool = False) -> Depends:
    """A dependency that lets only callers with a key through."""
    header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="gateway key", description="A gateway's key.")
    bearer = HTTPBearer(auto_error=False, scheme_name="gateway key as a token", description="The same.")

    async def check(
        in_header: Annotated[str | None, Security(header)],
        as_token: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    ) -> None:
        secret = in_header or (as_token.credentials if as_token else "")
        if not secret and open_without_keys and shared.token is None and not keys.all():
            return
        challenge = {"WWW-Authenticate": "Bearer"}
        if not secret:
            raise HTTPException(401, "No API key: expected one in X-API-Key", challenge)
        key = keys.find(secret)
        if shared.token is not None and is_secret(shown_in_header(secret), shared.token):
            return
        if key is None or key.revoked:
            raise HTTPException(401, "Invalid API key provided", challenge)
        if admin and not key.admin:
            raise HTTPException(403, "This needs an administrator's API key")

    return Depends(check)


def _is_gateways(row: Labels) -> bool:
    return bool(row.owner) or row.upstream == "gateway"


def _asks(provider: str) -> Callable[[Labels], bool]:
    return lambda row: bool(row.owner) and row.upstream == provider


def _cache_stats(by_outcome: Mapping[str, Tally]) -> GatewayCacheStats:
    exact, semantic, misses = (
        by_outcome[name].calls if name in by_outcome else 0 for name in ("exact", "semantic", "miss")
    )
    return GatewayCacheStats(
        exact_cache=_hit_figures(exact, semantic + misses), semantic_cache=_hit_figures(semantic, misses)
    )


def _hit_figures(hits: int, misses: int) -> HitFigures:
    return HitFigures(hits=hits, misses=misses, hit_rate=round(hits / (hits + misses), 4) if hits + misses else 0.0)


def _provider_stats(by_hit: Mapping[bool, Tally]) -> ProviderStats:
    asked = by_hit.get(False, Tally())
    return ProviderStats(
        requests=sum(tally.calls for tally in by_hit.values()),
        tokens=asked.input_tokens + asked.output_tokens,
        avg_latency=round(asked.seconds / asked.calls, 4) if asked.calls else 0.0,
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f}MB" if size >= 1e6 else f"{size / 1e3:.0f}KB"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
