"""Cachecore's management: `POST /v1/invalidate`.

The rule: a tenant's token reaches that tenant's answers alone; who has none reaches those of all tenants, and only
from where the operator allows it, or with the management token. An invalidation can only take answers away.
"""

import ipaddress
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Scope

from askonce.api.exact import ExactRoute
from askonce.api.openapi_calls import describe_call
from askonce.api.product_routes import ProductRoutes
from askonce.calls.dependencies import Dependencies
from askonce.credentials import bearer_token, is_secret, shown_in_header
from askonce.products.cachecore.errors import problem
from askonce.products.cachecore.section import CachecoreSpec
from askonce.products.cachecore.tokens import TokenError, read_tenant, take_token

__all__ = ["cachecore"]

_scheme = HTTPBearer(auto_error=False, scheme_name="Tenant token", description="cc_live_<id>.<jwt>")


class Invalidation(BaseModel):
    model_config = ConfigDict(strict=True)

    dep_id: str = Field(min_length=1, max_length=512, examples=["doc:contract-123"])
    new_hash: str | None = Field(default=None, max_length=512, examples=["v2"])


class Invalidated(BaseModel):
    ok: Literal[True] = True
    dep_id: str
    new_hash: str
    keys_deleted: int


class CachecoreError(BaseModel):
    message: str
    type: str
    param: None
    code: None


class CachecoreProblem(BaseModel):
    error: CachecoreError


_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": CachecoreProblem, "description": "The request was refused; nothing was changed."},
    "5XX": {"model": CachecoreProblem, "description": "The request could not be carried out."},
}


def cachecore(
    dependencies: Dependencies, spec: Callable[[], CachecoreSpec], *, token: str | None, believe: bool
) -> ProductRoutes:
    """Cachecore's routes. `token` is the operator's; `believe`: without a secret, tokens are taken as they are."""
    routes = APIRouter(responses=_ERRORS, tags=["cachecore"], route_class=ExactRoute)

    @routes.post("/v1/invalidate", dependencies=[Security(_scheme)], openapi_extra={"security": [{}]})
    async def cachecore_invalidate(request: Request, asked: Invalidation) -> Invalidated:
        """Forget every answer that depends on this."""
        tenant = _whose(request, spec(), token, believe)
        deleted = await dependencies.invalidate(asked.dep_id, owner=tenant)
        return Invalidated(dep_id=asked.dep_id, new_hash=asked.new_hash or str(uuid.uuid4()), keys_deleted=deleted)

    view = APIRouter(responses=_ERRORS)
    describe_call(view, "/v1/chat/completions", "cachecore_chat", headers={"X-Cachecore-Deps": False})

    @view.api_route("/admin/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def cachecore_admin(request: Request, rest: str) -> None:
        """Cachecore does not publish what it has here."""
        if token is not None and not _is_operator(request, token):
            raise HTTPException(403, "the admin token is missing or wrong")
        raise HTTPException(404, f"there is nothing at /admin/{rest}")

    return ProductRoutes(
        name="cachecore",
        title="Cachecore",
        routes=routes,
        view=view,
        render=render,
        errors=_ERRORS,
        owns=("/v1/invalidate",),
    )


def render(scope: Scope, status: int, detail: Any, headers: Mapping[str, str]) -> Response:
    """An error in the shape that OpenAI's SDKs read."""
    return JSONResponse(problem(status, str(detail)), status, dict(headers))


def _whose(request: Request, spec: CachecoreSpec, operator: str | None, believe: bool) -> str | None:
    """The tenant whose answers are meant; None for all."""
    if operator is not None and _is_operator(request, operator):
        return None
    given, _ = take_token(request.headers)
    if given:
        try:
            return read_tenant(given, spec, believe=believe).id
        except TokenError as error:
            raise HTTPException(401, str(error)) from error
    allowed = spec.anonymous_invalidate
    if allowed == "always" or (allowed == "loopback" and _is_loopback(request)):
        return None
    raise HTTPException(401, "a tenant token is needed to invalidate from here", {"WWW-Authenticate": "Bearer"})


def _is_operator(request: Request, token: str) -> bool:
    return is_secret(shown_in_header(bearer_token(request.headers) or ""), token)


def _is_loopback(request: Request) -> bool:
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
