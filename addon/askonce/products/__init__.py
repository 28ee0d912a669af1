"""The five products whose clients may be pointed here: which of their calls go to a provider, and how they look.

Their management routes are routers in `manage/`; here is only what travels the life of a call.
"""

from askonce.products.base import Passage, Product, Translator
from askonce.products.registry import Products

__all__ = ["Passage", "Product", "Products", "Translator"]
