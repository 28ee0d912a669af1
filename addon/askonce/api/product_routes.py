"""What a product adds to the application, and what all of them are given for it.

One rule: a product's routes and the shape of its errors stand in its own module, `manage/<product>.py`; which of them
answers, at the root or in a view, is decided here and in `app.py` alone.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Scope

from askonce.accounting import Accounting
from askonce.api.product_addresses import ViewName
from askonce.cache import Cache, CacheLimits
from askonce.calls.dependencies import Dependencies
from askonce.faults import Faults

__all__ = ["Mistakes", "ProductRoutes", "Render", "Shared", "hours", "render_plainly"]


class Render(Protocol):
    """Makes the response to a request that went wrong."""

    def __call__(self, scope: Scope, status: int, detail: Any, headers: Mapping[str, str]) -> Response:
        """`detail` is a sentence, `Mistakes`, or what a route of the product's own gave `HTTPException`."""


class Mistakes(str):
    """What is wrong with a request, as a sentence and one by one."""

    errors: Sequence[Mapping[str, Any]]
    """The first ones, as pydantic tells them: loc, type, msg, input."""


def render_plainly(scope: Scope, status: int, detail: Any, headers: Mapping[str, str]) -> Response:
    """`{"error": "<a sentence>"}`."""
    return JSONResponse({"error": detail}, status, dict(headers))


def hours(seconds: float) -> int:
    """Whole hours, rounded up: PromptCache has them as integers, and its clients may read nothing else."""
    return math.ceil(seconds / 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What routers are made of. `protected` lets only callers with the management token through, where there is one."""

    cache: Cache
    accounting: Accounting
    counts: Callable[[], Awaitable[Accounting]]
    """Those of all workers of this proxy."""
    faults: Faults
    version: str
    token: str | None
    protected: Sequence[Depends]
    ready: Callable[[], str | None]
    """The reason why the proxy cannot do its work, or None."""
    reload: Callable[[], Awaitable[None]] | None
    dependencies: Dependencies
    limits: CacheLimits | None
    ttl: Callable[[], float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRoutes:
    """One product's part of the application."""

    name: ViewName
    title: str
    routes: APIRouter
    """At the root and in the product's view."""
    view: APIRouter = field(default_factory=APIRouter)
    """In its view alone, and there before everything else: what the root serves as the union of several products."""
    render: Render = render_plainly
    errors: Mapping[int | str, dict[str, Any]]
    """The same for the OpenAPI document."""
    owns: tuple[str, ...] = ()
    """Paths at the root, each with all below it, where errors are the product's."""
    families: tuple[str, ...] = ()
    """Beginnings of the names of the metrics that its view shows."""
    max_body: Callable[[], int] | None = None
    """Gives the bytes that a request's body may have; None for what holds everywhere."""
    checks_type: bool = False
    """Its routes refuse a body by its Content-Type; all others read JSON whatever it says."""

    def owned(self, path: str) -> str:
        """The longest of `owns` that a path at the root is at or below; empty where there is none."""
        return max((own for own in self.owns if path == own or path.startswith(own + "/")), key=len, default="")
