"""What rules.yaml may say about Cachecore."""

from typing import Literal

from pydantic import Field

from askonce.rate_limits import Rate
from askonce.rules.sections import Duration, Section

__all__ = ["CachecoreSpec"]


class CachecoreSpec(Section):
    """Cachecore's tenants, and how long their answers are good."""

    secret: str | None = Field(default=None, min_length=32)
    """What tenant tokens are signed with (HS256), at least as long as RFC 7518 asks for. Without it tokens are believed
    as they are on loopback, and refused elsewhere."""
    fresh: Duration = Field(default=3000.0, gt=0)
    """How long an answer is served where its tenant's token says nothing else."""
    stale: Duration = 600.0
    """How long after that it is served once more while it is fetched anew."""
    threshold: float | None = Field(default=None, ge=-1, le=1)
    """Raw cosine below which another wording is never answered; the judge decides above it, and alone without it."""
    bypass_rate: Rate = "100/minute"
    """How often one address may call without a token."""
    anonymous_invalidate: Literal["loopback", "always", "never"] = "loopback"
    """From where dependencies may be invalidated without a token, for all tenants at once. The client sends none."""
    debug_headers: bool = False
    """Send X-CacheCore-Namespace-Hint."""
