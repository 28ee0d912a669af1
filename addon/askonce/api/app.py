"""The application on the reserved host and on the proxy's own port: which routers it has, and what they share.

At the root it is the union of all products, which a view of its own serves alone.

The rule: a product's routes are one router in one file; what all of them share (guard, errors, documents) is here.
It runs without a server, inside the proxy's event loop, so it has no lifespan and needs no threads of its own.
"""

import time
from collections.abc import Awaitable, Callable, Sequence

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.params import Depends
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.types import Scope

from askonce.accounting import Accounting
from askonce.api import (
    IMPORT_PATH,
    approvals,
    calls,
    cassette,
    checks,
    decisions,
    entries,
    evidence,
    feedback,
    page,
    probes,
    transfer,
    why,
)
from askonce.api import history as history_routes
from askonce.api import rules as rules_routes
from askonce.api import strays as stray_routes
from askonce.api import warm as warming
from askonce.api.errors import RESPONSES, install
from askonce.api.guard import MAX_BODY, AccessGuard, bearer, bearer_or_key
from askonce.api.openapi_calls import describe_call
from askonce.api.product_routes import ProductRoutes, Shared
from askonce.api.product_views import Dispatch, Views
from askonce.api.warm import Warm
from askonce.cache import Cache, CacheLimits
from askonce.calls.dependencies import Dependencies
from askonce.faults import Faults
from askonce.network.strays import Strays

__all__ = ["create_app"]

_OWN_TAGS = ("calls", "cache", "statistics", "rules", "health", "page")
"""Askonce's own, in the order in which /docs shows them; the products' follow."""


class Reloaded(BaseModel):
    message: str = "Rules reloaded"


def create_app(
    cache: Cache,
    accounting: Accounting,
    *,
    token: str | None,
    version: str,
    ready: Callable[[], str | None],
    reload: Callable[[], Awaitable[None]] | None,
    limits: CacheLimits | None = None,
    ttl: Callable[[], float] | None = None,
    warm: Warm | None = None,
    compare: why.CompareEntries | None = None,
    strays: Strays | None = None,
    dependencies: Dependencies | None = None,
    rewind: Callable[[], None] | None = None,
    approving: Callable[[], Sequence[str]] | None = None,
    rules: rules_routes.DescribeRules | None = None,
    history: history_routes.ReadHistory | None = None,
    rules_file: rules_routes.RulesFile | None = None,
    parts: checks.Parts | None = None,
    products: Sequence[Callable[[Shared], ProductRoutes]] = (),
    host: str = "askonce.internal",
    is_key: Callable[[str], bool] = lambda _: False,
    counts: Callable[[], Awaitable[Accounting]] | None = None,
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The management API as an ASGI application.

    `token` is asked for as `Authorization: Bearer`; None leaves every route open. `ready` gives the reason why the
    proxy cannot do its work, or None. `reload` reads rules.yaml again and raises ValueError where it cannot be used;
    None leaves that route out. `limits` are the cache's, and `ttl` gives the seconds that an answer is kept where its
    rule does not say; both are only shown, as unknown where they are None. `warm` keeps answers that nobody asked
    for; None leaves that route out. `compare` tells where two requests differ. `strays` is what came to a proxy and
    became no call, `rewind` counts a cassette's calls anew, `approving` names the rules whose answers
    have to be approved, `rules` gives those in force, `rules_file` tells where
    they come from, `history` what became of calls over time, `parts` what else is looked at to tell how all is;
    without one its routes are left out.
    `products` are those that are served; their views are below `host` and at paths of their own. `is_key` tells a good
    key of the gateway, which opens the metrics of all products, as its document has it.

    `dependencies` are those of the cache. `counts` gives the accounting of all workers of the proxy; without it,
    `accounting` is all there is.

    Raises ValueError for an empty token, which would protect nothing.
    """
    if token == "":
        raise ValueError("the management token is empty; expected a text, or none at all")

    async def own_counts() -> Accounting:
        return accounting

    protected: list[Depends] = [bearer(token)] if token is not None else []
    shared = Shared(
        cache=cache,
        accounting=accounting,
        counts=counts or own_counts,
        faults=Faults(accounting.fault),
        version=version,
        token=token,
        protected=protected,
        ready=ready,
        reload=reload,
        dependencies=dependencies or Dependencies(cache),
        limits=limits,
        ttl=ttl,
    )
    served = [product(shared) for product in products]
    views = Views(host, served, MAX_BODY)
    app = _application("Askonce", shared, views)
    app.add_middleware(Dispatch, views=views)
    app.add_middleware(
        AccessGuard,
        faults=shared.faults,
        render_for=views.render_for,
        max_body=lambda scope: _max_body(scope, views),
        checks_type=views.checks_type,
    )
    page.mount(app)
    app.include_router(_own(protected, reload))
    for product in served:
        app.include_router(product.routes)
    app.include_router(probes.health(shared))
    reading = [bearer_or_key(token, is_key)] if token is not None else []
    app.include_router(probes.metrics(shared, protected=reading))
    app.include_router(probes.statistics(shared))
    app.include_router(transfer.router(cache, protected=protected))
    app.include_router(feedback.router(cache, protected=protected))
    app.include_router(calls.router(accounting, protected=protected))
    app.include_router(why.router(cache, accounting, compare=compare, protected=protected))
    if rules:
        app.include_router(evidence.router(cache, rules, protected=protected))
    if strays:
        app.include_router(stray_routes.router(strays, protected=protected))
    app.include_router(decisions.router(cache, protected=protected))
    if approving:
        app.include_router(approvals.router(cache, approving, protected=protected))
    if rewind:
        app.include_router(cassette.router(rewind, protected=protected))
    if rules and rules_file:
        app.include_router(rules_routes.router(rules_file, rules, protected=protected))
    if parts:
        app.include_router(checks.router(shared, parts, protected=protected))
    if history:
        app.include_router(history_routes.router(history, protected=protected, clock=clock))
    if warm:
        app.include_router(warming.router(warm, protected=protected))
    app.include_router(entries.router(shared))
    views.apps = {product.name: _view(product, shared, views) for product in served}
    return app


def _max_body(scope: Scope, views: Views) -> int:
    return transfer.MAX_IMPORT if scope["path"] in (IMPORT_PATH, "/v1/warm") else views.max_body(scope)


def _view(product: ProductRoutes, shared: Shared, views: Views) -> FastAPI:
    app = _application(product.title, shared, views)
    app.include_router(product.view)
    app.include_router(product.routes)
    for shared_routes in (
        probes.health(shared, product.errors),
        probes.metrics(shared, product.families, errors=product.errors),
    ):
        # Of two routes at a path the first answers, but the last would be in the OpenAPI document.
        own = {route.path for route in product.view.routes if isinstance(route, APIRoute)}
        shared_routes.routes = [
            route for route in shared_routes.routes if not (isinstance(route, APIRoute) and route.path in own)
        ]
        app.include_router(shared_routes)
    return app


def _application(title: str, shared: Shared, views: Views) -> FastAPI:
    app = FastAPIOffline(
        title=title,
        version=shared.version,
        description="The cache between your programs and their LLM providers: look, search, forget, measure.",
        redirect_slashes=False,
        static_url="/docs/assets",
        swagger_ui_parameters={"validatorUrl": None},
        openapi_tags=[{"name": name} for name in _OWN_TAGS],
        generate_unique_id_function=_operation_id,
    )
    app.state.run_apart = lambda work: shared.cache.run_apart(work)
    install(app, shared.faults, views.render_for)
    return app


def _own(protected: list[Depends], reload: Callable[[], Awaitable[None]] | None) -> APIRouter:
    routes = APIRouter(responses=RESPONSES)
    describe_call(routes, "/v1/chat/completions", "chat")

    if reload is not None:

        @routes.post("/v1/reload", tags=["rules"], dependencies=protected)
        async def reload_rules() -> Reloaded:
            """Read rules.yaml again; a file that cannot be used changes nothing."""
            try:
                await reload()
            except ValueError as error:
                raise HTTPException(400, str(error)) from error
            return Reloaded()

    return routes


def _operation_id(route: APIRoute) -> str:
    return route.name
