"""The whole of rules.yaml: what `rules` knows of it, and the products' sections.

One rule: a product is told its own section, as it is now, by whoever makes it; none reads another's, or this one.
"""

from typing import Literal

from askonce.products.cachecore.section import CachecoreSpec
from askonce.products.gateway.section import GatewaySpec
from askonce.products.keys import ProviderKeys
from askonce.products.langcache.section import LangCacheSpec
from askonce.products.promptcache.section import PromptCacheSpec
from askonce.products.semcache.section import SemcacheSpec
from askonce.rules import Document
from askonce.rules.sections import Section

__all__ = ["Config", "ProductsSpec"]


class ProductsSpec(Section):
    """What clients of the five products are offered on the reserved host and on the proxy's own port."""

    default_dialect: Literal["promptcache", "semcache", "gateway", "cachecore"] | None = None
    """Whose call `/v1/chat/completions` at the root is, where nothing in it says. Without it, PromptCache's, which is
    public, and the gateway's, which asks for a key, once keys were made (`askonce keys create`)."""
    provider_keys: ProviderKeys = ProviderKeys()
    promptcache: PromptCacheSpec = PromptCacheSpec()
    semcache: SemcacheSpec = SemcacheSpec()
    gateway: GatewaySpec = GatewaySpec()
    cachecore: CachecoreSpec = CachecoreSpec()
    langcache: LangCacheSpec = LangCacheSpec()


class Config(Document):
    """The whole of rules.yaml."""

    products: ProductsSpec = ProductsSpec()
