"""What a model's tokens cost: public list prices (`prices.tsv`), and what rules.yaml says instead.

One rule: a price is known or it is not. A model counts as a listed one only by its whole name, or by that name with a
date or a `latest` behind it; nothing is guessed from a name that begins alike.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files

from askonce.call import Usage
from askonce.rules.document import Price

__all__ = ["Prices", "cost", "listed"]

_REMEMBERED = 256
"""Models whose price is at hand; callers choose their names."""
_EDITION = re.compile(r"[-@:](?:\d{4}-\d{2}-\d{2}|\d{3,8}|latest|default)$")
"""What providers put behind a name for one edition of a model: `-2024-08-06`, `-20241022`, `@001`, `-latest`."""


@cache
def listed() -> Mapping[str, Price]:
    """The list that is part of the package, by model."""
    rows = (line.split("\t") for line in files(__package__).joinpath("prices.tsv").read_text("utf-8").splitlines())
    return {row[0]: Price.model_construct(input=float(row[1]), output=float(row[2])) for row in rows if len(row) == 3}


class Prices:
    """Prices of models, the operator's own first."""

    def __init__(self, own: Mapping[str, Price]) -> None:
        """`own`: by what a model's name begins with; the longest counts."""
        self._own = sorted(own.items(), key=lambda item: -len(item[0]))
        self.of = lru_cache(_REMEMBERED)(self._of)
        """A model's price; None: not known."""

    def _of(self, model: str) -> Price | None:
        own = next((price for name, price in self._own if model.startswith(name)), None)
        return own or listed().get(model) or listed().get(_EDITION.sub("", model))


def cost(usage: Usage, price: Price | None) -> float | None:
    """US dollars; None where the price is not known."""
    return (usage.input_tokens * price.input + usage.output_tokens * price.output) / 1e6 if price else None
