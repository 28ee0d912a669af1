"""Which product a request to one of our own addresses is meant for.

One rule: a view (`/promptcache/…`, `promptcache.askonce.internal`) names the product; at the root the first that
recognises the request as its own gets it, and what none recognises is the default dialect's: where rules.yaml names
none, the gateway's once it has keys, so that a mistyped one opens nothing, and PromptCache's before.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from askonce.api.product_addresses import ViewName, find_view, is_own_site
from askonce.call import Reply, Request
from askonce.credentials import bears_key
from askonce.faults import Faults
from askonce.products.base import Passage, Product
from askonce.products.keys import without_ours
from askonce.rules import Rules

__all__ = ["Products"]

_KEEPERS = frozenset({"gateway", "cachecore"})
"""Products whose callers show a credential of ours; they take it out themselves."""
_CHECKS_TYPE = frozenset({"semcache"})
"""Products that refuse a call by its Content-Type. The others read JSON whatever it says, and say so to the provider:
curl's `-d` calls everything a form."""


class Products:
    """All products with calls to providers, in the order in which they are asked at the root."""

    def __init__(
        self,
        products: Sequence[Product],
        faults: Faults,
        is_ours: Callable[[str], bool] = lambda _: False,
        has_keys: Callable[[], bool] = lambda: False,
        default: Callable[[], ViewName | None] = lambda: None,
    ) -> None:
        """`is_ours` tells whether a secret opens Askonce itself: the management token, a key of the gateway;
        `has_keys` whether the gateway has any, `default` whose call is what none recognises, where rules.yaml says."""
        self._faults, self._is_ours, self._has_keys, self._default = faults, is_ours, has_keys, default
        self._products = tuple(products)
        self._by_name: dict[ViewName, Product] = {product.name: product for product in products}

    def claim(self, request: Request, scheme: str, rules: Rules) -> Passage | Reply | None:
        """What becomes of a request; None where it is one for the management API."""
        view = find_view(request.host, request.path, rules.config.manage.host)
        if not view.known:
            return None
        product = self._by_name.get(view.name) if view.name else self._at_root(request, rules)
        if product is None:
            return None
        request = replace(request, path=request.path[len(view.prefix) :], scheme="https", port=443)
        try:
            if product.name not in _KEEPERS:
                request = without_ours(request, self._is_ours)
            if product.name not in _CHECKS_TYPE:
                request = replace(request, headers={**request.headers, "content-type": "application/json"})
            claimed = product.claim(request, rules)
        except Exception as error:
            self._faults.report(f"a call to {product.name}", error, "it was answered with 500")
            return product.refuse(500, "Internal server error")
        # Without a key in it, a page of another site could have a browser send the request.
        if claimed is None or bears_key(request.headers) or _from_program(request, scheme):
            return claimed
        return product.refuse(403, "Refused: a page of another site may not use this cache")

    def _at_root(self, request: Request, rules: Rules) -> Product | None:
        recognised = (product for product in self._products if product.recognises(request, rules))
        if product := next(recognised, None):
            return product
        return self._by_name.get(self._default() or ("gateway" if self._has_keys() else "promptcache"))


def _from_program(request: Request, scheme: str) -> bool:
    headers = request.headers
    url = f"{scheme}://{headers.get('host', request.host)}"
    return is_own_site(headers.get("origin"), headers.get("sec-fetch-site"), url)
