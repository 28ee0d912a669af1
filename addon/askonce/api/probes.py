"""What probes, monitors and dashboards read: health, metrics, statistics.

The rule: each response is the union of what the products that claim its path document, so that a client of any of them
finds its fields; which field is whose stands beside it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypedDict

from fastapi import APIRouter, Header, Response
from fastapi.params import Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from askonce.accounting import Stats, Totals
from askonce.api.errors import RESPONSES
from askonce.api.metrics import IN_DOCUMENT, Exposition
from askonce.api.product_routes import Shared
from askonce.api.vital_signs import LIVE, READY, liveness, readiness

__all__ = ["health", "metrics", "statistics"]


class Services(BaseModel):
    """Prometheus Gateway's. Its Redis holds the exact answers, which here the store does as well."""

    redis: Literal["connected", "disconnected"]
    database: Literal["connected", "disconnected"]
    providers: dict[str, Literal["available", "unavailable"]]
    """How each provider answered when it was last asked; those not asked yet are left out."""


class Health(BaseModel):
    """PromptCache: status, time. Prometheus Gateway: status, timestamp, services, version."""

    status: Literal["healthy", "degraded"]
    time: datetime
    timestamp: datetime
    version: str
    services: Services


class GatewayChecks(BaseModel):
    """Prometheus Gateway's."""

    redis: bool
    database: bool
    config: bool


class Ready(BaseModel):
    """PromptCache: status. Prometheus Gateway: ready, checks."""

    status: Literal["ready"] = "ready"
    ready: Literal[True] = True
    checks: GatewayChecks


class Degraded(BaseModel):
    """Ready, but for what `error` says: calls are answered with what is kept, and nothing is kept besides."""

    status: Literal["degraded"] = "degraded"
    ready: Literal[True] = True
    error: str
    checks: GatewayChecks


class NotReady(BaseModel):
    """PromptCache: status, error. Prometheus Gateway: ready, checks."""

    status: Literal["not ready"] = "not ready"
    ready: Literal[False] = False
    error: str
    checks: GatewayChecks


class Alive(BaseModel):
    """PromptCache: status. Prometheus Gateway: alive, uptime (seconds)."""

    status: Literal["alive"] = "alive"
    alive: Literal[True] = True
    uptime: int


class CacheFigures(TypedDict):
    hits: int
    misses: int
    gray_zone: int
    hit_rate: float
    stored_vectors: int


class LatencyFigures(TypedDict):
    avg_ms: float
    request_count: int


class RequestFigures(TypedDict):
    total: int
    failed: int


class ProviderFigures(TypedDict):
    calls: int
    errors: int


class PromptCacheStats(TypedDict):
    """PromptCache's statistics: flat as it documents them, nested as its server sends them."""

    cache_hits: int
    cache_misses: int
    cache_hit_rate: float
    gray_zone_checks: int
    """Lookups that a judge decided."""
    total_requests: int
    failed_requests: int
    avg_latency_ms: float
    stored_vectors: int
    provider_calls: int
    provider_errors: int
    cache: CacheFigures
    latency: LatencyFigures
    requests: RequestFigures
    provider: ProviderFigures


class RootStats(Stats, PromptCacheStats):
    """Our own statistics and PromptCache's."""


type DocumentedResponses = Mapping[int | str, dict[str, Any]]


def health(shared: Shared, errors: DocumentedResponses = RESPONSES) -> APIRouter:
    """The health trio, which is always open. `errors` are the shapes of what may go wrong."""
    routes = APIRouter(responses={**errors})
    accounting = shared.accounting

    @routes.get("/health", tags=["health"], name="health")
    async def overall() -> Health:
        """How it is, and how its providers were when they were last asked."""
        well = shared.ready() is None and not shared.cache.failure
        now = datetime.now(UTC).replace(microsecond=0)
        store: Literal["connected", "disconnected"] = "connected" if well else "disconnected"
        return Health(
            status="healthy" if well else "degraded",
            time=now,
            timestamp=now,
            version=shared.version,
            services=Services(
                redis=store,
                database=store,
                providers={
                    name: "available" if answers else "unavailable" for name, answers in accounting.providers().items()
                },
            ),
        )

    @routes.get(
        READY, tags=["health"], response_model=Ready | Degraded, responses={503: {"model": NotReady}}, name="readiness"
    )
    async def is_ready() -> JSONResponse:
        """Whether it can do its work: 200, also where nothing can be kept at the moment; or 503 and why."""
        status, said = readiness(shared.ready(), shared.cache.failure)
        return JSONResponse(said, status)

    @routes.get(LIVE, tags=["health"], response_model=Alive, name="liveness")
    async def is_live() -> JSONResponse:
        """Whether it runs at all."""
        return JSONResponse(liveness(accounting.uptime))

    return routes


def metrics(
    shared: Shared,
    families: Sequence[str] = (),
    protected: Sequence[Depends] | None = None,
    errors: DocumentedResponses = RESPONSES,
) -> APIRouter:
    """`/metrics`, of all families or of those whose names begin so; `protected` in place of the shared one."""
    routes = APIRouter(responses={**errors}, dependencies=shared.protected if protected is None else protected)
    exposition = Exposition(shared.counts, shared.cache, shared.version, families)

    @routes.get("/metrics", tags=["statistics"], response_class=Response, responses=IN_DOCUMENT, name="metrics")
    async def expose(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        """Prometheus' text format, or OpenMetrics with exemplars for whoever accepts it: askonce_*, promptcache_*,
        semcache_*, gateway_*, process_*."""
        return await exposition.response(accept)

    return routes


def statistics(shared: Shared) -> APIRouter:
    """`/v1/stats`, for people and for PromptCache's clients."""
    routes = APIRouter(responses=RESPONSES, dependencies=shared.protected)

    @routes.get("/v1/stats", tags=["statistics"])
    async def stats() -> RootStats:
        """What was asked, answered and saved since the process started; PromptCache's fields among them."""
        accounting = await shared.counts()
        totals = accounting.totals()
        return {**accounting.stats(), **_promptcache(totals, shared.cache.stats()["entries"])}

    return routes


def _promptcache(totals: Totals, stored: int) -> PromptCacheStats:
    milliseconds = round(1000 * totals.avg_seconds, 3)
    return {
        "cache_hits": totals.hits,
        "cache_misses": totals.misses,
        "cache_hit_rate": totals.hit_rate,
        "gray_zone_checks": totals.all.judged,
        "total_requests": totals.all.calls,
        "failed_requests": totals.failed,
        "avg_latency_ms": milliseconds,
        "stored_vectors": stored,
        "provider_calls": totals.asked,
        "provider_errors": totals.refused,
        "cache": {
            "hits": totals.hits,
            "misses": totals.misses,
            "gray_zone": totals.all.judged,
            "hit_rate": totals.hit_rate,
            "stored_vectors": stored,
        },
        "latency": {"avg_ms": milliseconds, "request_count": totals.all.calls},
        "requests": {"total": totals.all.calls, "failed": totals.failed},
        "provider": {"calls": totals.asked, "errors": totals.refused},
    }
