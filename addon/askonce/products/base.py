"""What a product says of a call that came to one of our own addresses.

One rule: a product decides where a call goes and how its answer is dressed; looking up, asking, streaming and
remembering are the life of every call, and stand in `life.py` alone.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from askonce.api.product_addresses import ViewName
from askonce.call import Reply, Request
from askonce.calls.product_terms import PLAIN, Terms
from askonce.calls.state import Exchange
from askonce.rules import Rule, Rules

__all__ = ["OwnHeaders", "Passage", "Product", "Translator"]

OwnHeaders = tuple[tuple[str, str], ...]


class Translator(Protocol):
    """Turns a provider's response body into the caller's wire format, as it comes. One for each response."""

    content_type: str

    def feed(self, data: bytes) -> bytes:
        """The bytes to send on; `b""` in means that the body is complete."""


async def _go_on() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Passage:
    """A call on its way through a product to a provider."""

    rule: Rule
    """The rule of the provider that is asked, or one made from it (`dataclasses.replace`): other behaviour, another
    prompt; its wire format is the caller's."""
    request: Request
    """As the caller means it: scheme, host, port and path of the provider, our own credentials taken out, `raw` None.
    Identity is taken of it."""
    outgoing: Request | None = None
    """What the provider is sent, where that is something else: in another wire format, or as the operator's own."""
    terms: Terms = PLAIN
    """What the product asks of the cache for this call."""
    before: Callable[[], Awaitable[Reply | None]] = _go_on
    """Called on a miss, before the provider is asked: a refusal, or None."""
    dress: Callable[[Exchange], OwnHeaders] = lambda _: ()
    """The product's own response headers, on hits and misses, in place of those that are there."""
    defaults: OwnHeaders = ()
    """Response headers for where there is none of that name."""
    drops: frozenset[str] = frozenset()
    """Response headers (lower case) of ours that the product does not send."""
    bare_misses: bool = False
    """What the provider answers is passed on without any header that says what Askonce did."""
    translator: Callable[[Request], Translator] | None = None
    """Makes the translator of the provider's 2xx response; other answers pass as they are."""
    finish: Callable[[int, bytes], Reply] | None = None
    """Makes the caller's response out of the provider's whole one (status, decoded body), where that is not 2xx; where
    it is, only if `whole` says so or the translator cannot read it on its way."""
    whole: bool = False
    """A 2xx response, too, is read to its end and given to `finish`."""
    unreachable: Callable[[str], Reply] | None = None
    """What the caller is sent where the provider cannot be reached or breaks off before it answers; given why."""


class Product(Protocol):
    """One product's calls to providers."""

    name: ViewName

    def recognises(self, request: Request, rules: Rules) -> bool:
        """Whether a request to the root, where all products are served, is this one's by its headers or path alone."""

    def claim(self, request: Request, rules: Rules) -> Passage | Reply | None:
        """What becomes of a request: a way to a provider, a refusal, or None: not a call, so for the management API.

        `request.path` is without the product's prefix; its host is ours, its scheme and port are a provider's.
        """

    def refuse(self, status: int, message: str) -> Reply:
        """A refusal in the shape of the product's errors."""
