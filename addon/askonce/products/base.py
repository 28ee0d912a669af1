"""What a product says of a call that came to one of our own addresses.

One rule: a product decides where a call goes and how its answer is dressed; looking up, asking, streaming and
remembering are the life of every call, and stand in `life.py` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from askonce.call import Reply, Request
from askonce.life import Exchange
from askonce.rules import Rule, Rules

__all__ = ["Passage", "Product", "Translator"]

Headers = tuple[tuple[str, str], ...]


class Translator(Protocol):
    """Turns a provider's response body into the caller's wire format, as it comes. One for each response."""

    content_type: str

    def feed(self, data: bytes) -> bytes:
        """The bytes to send on; `b""` in means that the body is complete."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A call on its way through a product to a provider."""

    rule: Rule
    """The rule of the provider that is asked, or one made from it; its wire format is the caller's."""
    request: Request
    """As the caller means it: host and path of the provider, our own credentials taken out. Identity is taken of it."""
    scheme: str = "https"
    port: int = 443
    outgoing: Request | None = None
    """What the provider is sent, where that is another wire format than the caller's."""
    dress: Callable[[Exchange], Headers] = lambda _: ()
    """The product's own response headers, on hits and misses."""
    drops: frozenset[str] = frozenset()
    """Response headers (lower case) of ours that the product does not send."""
    translator: Callable[[Request], Translator] | None = None
    """Makes the translator of the provider's 2xx response; other answers pass as they are."""


class Product(Protocol):
    """One product's calls to providers."""

    name: str

    def claim(self, request: Request, rules: Rules) -> Passage | Reply | None:
        """What becomes of a request to our own address: a way to a provider, a refusal, or None: not this product's.

        `request.path` is without the product's prefix.
        """
