"""How the rules answer, as the proxy tells the management API.

One rule: it imports nothing, as the proxy has it before the API is loaded.
"""

from typing import NamedTuple

__all__ = ["RuleSetting"]


class RuleSetting(NamedTuple):
    """How a rule of rules.yaml answers, of today."""

    rule: str
    match: str
    max_error: float
