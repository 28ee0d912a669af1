"""PromptCache's management: warm the cache, see and change how near is near enough, and who makes the vectors.

The rule: what is refused changes nothing. Its health, statistics and entries are the ones that everybody gets.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, FailFast, Field
from starlette.responses import Response
from starlette.types import Scope

from askonce.api import entries, probes
from askonce.api.errors import RESPONSES, Problem
from askonce.api.exact import ExactRoute
from askonce.api.openapi_calls import describe_call
from askonce.api.product_routes import Mistakes, ProductRoutes, Shared, hours, render_plainly
from askonce.products.promptcache.state import PromptCacheState, WarmEntry, WarmPrompts

__all__ = ["routes"]


_UNIT: dict[str, Any] = {"minimum": 0, "maximum": 1}


class Current(BaseModel):
    """How it is set now."""

    provider: str = Field(description="Who makes the vectors.")
    available_providers: list[str]
    high_threshold: float = Field(description="Cosine from which another wording is answered without the verifier.")
    low_threshold: float = Field(description="Cosine below which it never is.")
    enable_gray_zone_verifier: bool
    cache_ttl_hours: int | None = Field(description="Rounded up.")
    cache_max_entries: int | None


class ProviderChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(strict=True)

    # What PromptCache refuses in words of its own is said in the schema alone: pydantic would refuse it in others.
    high_threshold: float | None = Field(
        default=None, examples=[0.85], description="Above low_threshold.", json_schema_extra=_UNIT
    )
    low_threshold: float | None = Field(default=None, examples=[0.40], json_schema_extra=_UNIT)
    enable_gray_zone_verifier: bool | None = None


class Provider(BaseModel):
    model_config = ConfigDict(strict=True, json_schema_extra={"required": ["provider"]})

    provider: str = Field(default="", examples=["mistral"], description="One of `available_providers`.")


class Providers(BaseModel):
    provider: str
    available_providers: list[str]


class Switched(BaseModel):
    message: Literal["Provider updated successfully"] = "Provider updated successfully"
    provider: str


class WarmItem(BaseModel):
    """One answer; `model` and `request` are ours."""

    model_config = ConfigDict(strict=True)

    prompt: str = Field(default="", description="Required. The text that is asked.")
    response: Any = Field(default=None, description="A whole chat completion.")
    model: str = Field(default="", description="For calls of this model; else the response's, without its date.")
    request: dict[str, Any] | None = Field(
        default=None, description="The whole request that is answered, where it is more than a model and a prompt."
    )


class Items(BaseModel):
    model_config = ConfigDict(strict=True, json_schema_extra={"required": ["entries"]})

    entries: Annotated[list[WarmItem], FailFast()] = Field(default_factory=list, json_schema_extra={"minItems": 1})


class Outcome(BaseModel):
    key: str | None = None
    status: Literal["ok", "error"]
    error: str | None = None


class Outcomes(BaseModel):
    processed: int
    failed: int
    entries: list[Outcome]


def routes(shared: Shared, state: PromptCacheState, warm: WarmPrompts) -> ProductRoutes:
    """PromptCache's part of the application."""
    own = APIRouter(
        prefix="/v1",
        tags=["promptcache"],
        dependencies=shared.protected,
        responses=RESPONSES,
        route_class=ExactRoute,
    )
    max_entries = shared.limits.max_entries if shared.limits else None

    def current() -> Current:
        return Current(
            provider=state.provider,
            available_providers=list(state.available),
            high_threshold=state.thresholds.high,
            low_threshold=state.thresholds.low,
            enable_gray_zone_verifier=state.gray_zone,
            cache_ttl_hours=hours(shared.ttl()) if shared.ttl else None,
            cache_max_entries=max_entries,
        )

    @own.get("/config")
    async def config() -> Current:
        """Thresholds, verifier and provider as they are now."""
        return current()

    @own.patch("/config", responses={400: {"model": Problem}})
    async def change_config(change: ProviderChange) -> Current:
        """Change thresholds or the verifier's switch until the next start."""
        try:
            state.patch(change.high_threshold, change.low_threshold, change.enable_gray_zone_verifier)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return current()

    @own.get("/config/provider")
    async def provider() -> Providers:
        """Who makes the vectors."""
        return Providers(provider=state.provider, available_providers=list(state.available))

    @own.post("/config/provider", responses={400: {"model": Problem}})
    async def change_provider(wanted: Provider) -> Switched:
        """Have another provider make the vectors, and answer, until the next start."""
        if not wanted.provider.strip():
            raise HTTPException(400, "provider field is required")
        try:
            unreachable = await state.switch(wanted.provider)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        except OSError as error:
            shared.faults.report("embedding provider", error, "the one before stays")
            raise HTTPException(500, f"Failed to call {wanted.provider.strip()}: {error}") from None
        if unreachable:
            shared.faults.report("embedding provider", unreachable, "until it answers, only identical calls do")
        return Switched(provider=wanted.provider)

    @own.post("/cache/warm", response_model_exclude_none=True, responses={400: {"model": Problem}})
    async def warm_cache(items: Annotated[Items, Body()], x_cache_namespace: Annotated[str, Header()] = "") -> Outcomes:
        """Keep answers before anybody asked for them."""
        if not items.entries:
            raise HTTPException(400, "entries array must not be empty")
        given = [WarmEntry(item.prompt, item.response, item.model, item.request) for item in items.entries]
        found = [
            Outcome(key=one.key or None, status="error" if one.error else "ok", error=one.error or None)
            for one in await warm(given, x_cache_namespace.strip())
        ]
        failed = sum(one.status == "error" for one in found)
        return Outcomes(processed=len(found) - failed, failed=failed, entries=found)

    view = APIRouter()
    describe_call(view, "/v1/chat/completions", "promptcache_chat")
    view.include_router(entries.router(shared))
    view.include_router(probes.statistics(shared))
    return ProductRoutes(
        name="promptcache",
        title="PromptCache",
        routes=own,
        view=view,
        render=_render,
        errors=RESPONSES,
        owns=("/v1/config", "/v1/cache/warm"),
        families=("promptcache_",),
    )


def _render(scope: Scope, status: int, detail: Any, headers: Mapping[str, str]) -> Response:
    """`{"error": "<text>"}`; PromptCache says no more of a body that it cannot read, so what is wrong stands beside."""
    if isinstance(detail, Mistakes) and any(mistake["loc"][0] == "body" for mistake in detail.errors):
        return JSONResponse({"error": "Invalid request body", "detail": detail}, status, dict(headers))
    return render_plainly(scope, status, detail, headers)
