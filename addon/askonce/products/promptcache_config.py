"""What rules.yaml may say about PromptCache."""

from typing import Literal, Self

from pydantic import Field, model_validator

from askonce.sections import Duration, Section, Size

__all__ = ["PromptCacheSpec"]


class PromptCacheSpec(Section):
    """Starting values: `PATCH /v1/config` and `POST /v1/config/provider` change some of them until the next start."""

    high_threshold: float = Field(default=0.70, ge=0, le=1)
    """Raw cosine from which another wording is answered without asking the verifier."""
    low_threshold: float = Field(default=0.30, ge=0, le=1)
    """Raw cosine below which it never is."""
    gray_zone_verifier: bool = True
    """Have an LLM decide what thresholds and judge leave open, where `provider_keys` has a key to ask it with."""
    decided_by: Literal["judge", "thresholds"] = "judge"
    """`thresholds`: what is at least as near as `high_threshold` is answered, whatever the judge thinks of it. PromptCache
    does so, and answers opposites."""
    verify_timeout: Duration = 5.0
    """How long the verifier may take; after that the question is a miss."""
    verify_models: dict[Literal["openai", "mistral", "claude"], str] = {
        "openai": "gpt-4o-mini",
        "mistral": "mistral-small-latest",
        "claude": "claude-3-haiku-20240307",
    }
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
