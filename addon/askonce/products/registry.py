"""Which product a request to one of our own addresses is meant for.

A view names the product (`/promptcache/…`, `promptcache.askonce.internal`); at the root the first that claims a
request gets it.
"""

from dataclasses import replace

from askonce.call import Reply, Request
from askonce.products.base import Passage, Product
from askonce.products.promptcache import PromptCache
from askonce.rules import Rules

__all__ = ["Products"]


class Products:
    """All products, in the order in which they are asked at the root."""

    def __init__(self) -> None:
        self._products: tuple[Product, ...] = (PromptCache(),)

    def claim(self, request: Request, rules: Rules) -> Passage | Reply | None:
        """What becomes of a request; None where it is one for the management API."""
        for product in self._products:
            prefix = f"/{product.name}"
            if request.path.startswith(prefix + "/"):
                return product.claim(replace(request, path=request.path.removeprefix(prefix)), rules)
        for product in self._products:
            if (claimed := product.claim(request, rules)) is not None:
                return claimed
        return None
