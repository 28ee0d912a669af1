"""rules.yaml: what it may say, and which rule a call falls under."""

from askonce.rules.advice import describe, explain, review, warnings
from askonce.rules.document import (
    AccessSpec,
    Behaviour,
    ConfigError,
    Document,
    Price,
    RuleSpec,
    ScrubSpec,
    VerifierSpec,
)
from askonce.rules.limits import LimitsSpec
from askonce.rules.rules import Rule, Rules, Target
from askonce.rules.sections import take_up
from askonce.rules.upstream_proxy import UpstreamProxy, UpstreamProxySpec

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
    "ScrubSpec",
    "Target",
    "UpstreamProxy",
    "UpstreamProxySpec",
    "VerifierSpec",
    "describe",
    "explain",
    "review",
    "take_up",
    "warnings",
]
