"""What rules.yaml may say about PromptCache."""

from typing import Literal, Self

from pydantic import Field, model_validator

from askonce.rules.sections import Duration, Section, Size

__all__ = ["PromptCacheSpec", "ProviderSpec"]


class ProviderSpec(Section):
    """Where a provider's models are reached, in OpenAI's wire format, and which of them are asked."""

    verify_url: str = Field(pattern=r"^https?://[^/\s]+")
    verify_model: str
    embed_url: str = Field(pattern=r"^https?://[^/\s]+")
    embed_model: str


class PromptCacheSpec(Section):
    """Starting values: `PATCH /v1/config` and `POST /v1/config/provider` change some of them until the next start."""

    high_threshold: float = Field(default=0.70, ge=0, le=1)
    """Raw cosine from which another wording is answered without asking the verifier."""
    low_threshold: float = Field(default=0.30, ge=0, le=1)
    """Raw cosine below which it never is."""
    gray_zone_verifier: bool = True
    """Have an LLM decide what thresholds and judge leave open, where `provider_keys` has a key to ask it with."""
    decided_by: Literal["judge", "thresholds"] = "judge"
    """`thresholds`: what is at least as near as `high_threshold` is answered, whatever the judge thinks of it, as
    PromptCache does; it answers opposites."""
    verify_timeout: Duration = 5.0
    """How long the verifier may take; after that the question is a miss."""
    openai: ProviderSpec = ProviderSpec(
        verify_url="https://api.openai.com/v1",
        verify_model="gpt-4o-mini",
        embed_url="https://api.openai.com/v1",
        embed_model="text-embedding-3-small",
    )
    mistral: ProviderSpec = ProviderSpec(
        verify_url="https://api.mistral.ai/v1",
        verify_model="mistral-small-latest",
        embed_url="https://api.mistral.ai/v1",
        embed_model="mistral-embed",
    )
    claude: ProviderSpec = ProviderSpec(
        verify_url="https://api.anthropic.com/v1",
        verify_model="claude-3-haiku-20240307",
        embed_url="https://api.voyageai.com/v1",
        embed_model="voyage-3",
    )
    max_request: Size = 2**20
    """Larger requests are refused with 413."""

    @model_validator(mode="after")
    def _high_is_above_low(self) -> Self:
        if self.high_threshold <= self.low_threshold:
            raise ValueError(
                f"high_threshold ({self.high_threshold:.4f}) must be greater than low_threshold "
                f"({self.low_threshold:.4f})"
            )
        return self
