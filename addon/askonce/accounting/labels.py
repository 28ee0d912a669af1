"""The rows of the table of counts: what calls are told apart by.

One rule: few values each, whatever callers send: what they choose is cut, and beyond a number of values is "other".
"""

from typing import NamedTuple

from askonce.accounting.records import Agreed, Outcome, StoreOutcome, Watched
from askonce.jsontext import encodable

__all__ = ["BoundedLabels", "Labels", "StoreLabels", "as_label"]

_LONGEST = 128
"""Characters."""


class Labels(NamedTuple):
    """One row of the table. Few values each: `model` and `detail` are bounded here, the rest by the rules."""

    outcome: Outcome
    detail: str
    """Of a bypass, and of a hit that stands in for a provider that failed; empty otherwise."""
    upstream: str
    wire: str
    model: str
    status: int
    method: str
    endpoint: str
    forwarded: bool
    owner: str = ""
    reuse: str = ""
    watched: Watched = ""
    agreed: Agreed = ""

    @property
    def hit(self) -> bool:
        return self.outcome in ("exact", "semantic")

    @property
    def failed(self) -> bool:
        """The app got no good response."""
        return self.outcome == "error" or self.status == 0 or self.status >= 500

    @property
    def provider_result(self) -> str:
        """What the provider made of it: "good", "failed", or "replaced", where an answer past its time was served in
        place of its error; empty where it was not asked."""
        if self.hit:
            return "replaced" if self.detail else ""
        return ("failed" if self.refused else "good") if self.forwarded else ""

    @property
    def refused(self) -> bool:
        """The provider was asked and did not give a good answer."""
        return self.forwarded and (self.status == 0 or self.status >= 400)


class StoreLabels(NamedTuple):
    """A row of what products' clients keep and find themselves (LangCache, Semcache's put and get): no call to a
    provider, and in none of the figures about those."""

    product: str
    operation: str
    outcome: StoreOutcome
    """`done` for what looks for nothing; `error` for what was refused or failed."""


class BoundedLabels:
    """Turns texts that callers choose into at most `limit` label values, then "other"."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        label = self._known.get(text)
        if label is None:
            if len(self._known) >= self._limit:
                return "other"
            label = self._known[text] = as_label(text)
        return label


def as_label(text: str) -> str:
    """A caller's text as a label."""
    return encodable(text[:_LONGEST])
