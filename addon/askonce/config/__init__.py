"""What rules.yaml may say: the whole of it in `document`, each product's part in a file of its own.

One rule: only what is read is checked here, and nothing that reads it is known: products and rules stand above.
"""

from askonce.config.document import Behaviour, Config, ConfigError, Price, RuleSpec, VerifierSpec, load, parse

__all__ = ["Behaviour", "Config", "ConfigError", "Price", "RuleSpec", "VerifierSpec", "load", "parse"]
