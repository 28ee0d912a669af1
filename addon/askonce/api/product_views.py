"""Puts the applications together: the root, which serves everything, and one application for each product's view.

One rule: the address alone picks the application; the path is left as it came, with the view's prefix as `root_path`.
"""

from collections.abc import Mapping, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from askonce.api.product_addresses import View, ViewName, find_view
from askonce.api.product_routes import ProductRoutes, Render, render_plainly

__all__ = ["Views"]


class Views:
    """Which product a request is for, and so whose errors, limits and routes count."""

    def __init__(self, own_host: str, products: Sequence[ProductRoutes], max_body: int) -> None:
        self._own_host = own_host
        self._products = {product.name: product for product in products}
        self._max_body = max_body
        self.apps: Mapping[ViewName, ASGIApp] = {}
        """Filled once the applications are made."""

    def of(self, scope: Scope) -> View:
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
        return find_view(_without_port(host), scope["path"], self._own_host)

    def product(self, scope: Scope) -> ProductRoutes | None:
        """Whose view, or whose path at the root, it is; None for what is shared or ours."""
        view = self.of(scope)
        if view.name:
            return self._products.get(view.name)
        # The nearest owner: /admin is Semcache's page, and /admin/cache the gateway's.
        owners = [(product.owned(scope["path"]), product) for product in self._products.values()]
        owned, owner = max(owners, key=lambda pair: len(pair[0]), default=("", None))
        return owner if owned else None

    def render_for(self, scope: Scope) -> Render:
        """The shape of an error."""
        product = self.product(scope)
        return product.render if product else render_plainly

    def max_body(self, scope: Scope) -> int:
        """Bytes that a request's body may have."""
        product = self.product(scope)
        return product.max_body() if product and product.max_body else self._max_body

    def checks_type(self, scope: Scope) -> bool:
        """Whether whoever's route it is looks at the Content-Type itself."""
        product = self.product(scope)
        return product is not None and product.checks_type


class Dispatch:
    """The middleware that hands a view's requests to its application."""

    def __init__(self, app: ASGIApp, views: Views) -> None:
        self._app = app
        self._views = views

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            view = self._views.of(scope)
            own = self._views.apps.get(view.name) if view.name else None
            if own:
                app, scope = own, {**scope, "root_path": view.prefix}
            elif view.name or not view.known:
                scope = {**scope, "path": "", "raw_path": b""}  # nobody's host: nothing is there
        await app(scope, receive, send)


def _without_port(authority: str) -> str:
    host, colon, port = authority.rpartition(":")
    return host if colon and port.isdecimal() else authority
