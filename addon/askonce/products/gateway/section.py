"""What rules.yaml may say about the Prometheus Gateway."""

from typing import Literal

from pydantic import Field

from askonce.network.rate_limits import Rate
from askonce.rules.sections import Section

__all__ = ["GatewayProvider", "GatewaySpec"]

GatewayProvider = Literal["openai", "google", "anthropic"]
_MODELS: dict[str, GatewayProvider] = {
    "gpt*": "openai",
    "chatgpt*": "openai",
    "o[0-9]*": "openai",
    "gemini*": "google",
    "claude*": "anthropic",
}


class GatewaySpec(Section):
    """The gateway: OpenAI's chat completions for the models of three providers, for those who have one of its keys."""

    rate: Rate | None = "10/minute"
    """How often one key may ask; null for as often as it likes."""
    models: dict[str, GatewayProvider] = Field(default=_MODELS, min_length=1)
    """Which provider has a model, by patterns of its name (`*`, `?`, `[…]`); the first that matches counts."""
    max_tokens: int = Field(default=4096, gt=0)
    """What is asked of Anthropic, which wants to be told, where a request does not say."""
    share_answers: bool = False
    """Answer one key's question with what another key was answered; otherwise each key has its own answers."""
