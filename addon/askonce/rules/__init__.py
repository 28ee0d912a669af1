"""rules.yaml: what it may say, and which rule a call falls under."""

from askonce.rules.document import (
    AccessSpec,
    Behaviour,
    ConfigError,
    Document,
    Price,
    RuleSpec,
    VerifierSpec,
)
from askonce.rules.limits import LimitsSpec
from askonce.rules.rules import Rule, Rules, Target
from askonce.rules.sections import take_up

__all__ = [
    "AccessSpec",
    "Behaviour",
    "ConfigError",
    "Document",
    "LimitsSpec",
    "Price",
    "Rule",
    "RuleSpec",
    "Rules",
    "Target",
    "VerifierSpec",
    "take_up",
]
