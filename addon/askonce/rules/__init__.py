"""rules.yaml: what it may say, and which rule a call falls under."""

from askonce.rules.document import (
    AccessSpec,
    Behaviour,
    Config,
    ConfigError,
    Price,
    RuleSpec,
    VerifierSpec,
    load,
    parse,
)
from askonce.rules.limits import LimitsSpec
from askonce.rules.rules import Rule, Rules, Target
from askonce.rules.sections import take_up

__all__ = [
    "AccessSpec",
    "Behaviour",
    "Config",
    "ConfigError",
    "LimitsSpec",
    "Price",
    "Rule",
    "RuleSpec",
    "Rules",
    "Target",
    "VerifierSpec",
    "load",
    "parse",
    "take_up",
]
