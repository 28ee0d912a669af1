"""What rules.yaml may say about Semcache."""

from pydantic import Field

from askonce.rules.sections import Duration, Section, Size

__all__ = ["SemcacheSpec"]


class SemcacheSpec(Section):
    """Semcache's proxy and its put and get. Thresholds are on Semcache's own scale, (1 + cosine) / 2."""

    similarity_threshold: float = Field(default=0.90, ge=0, le=1)
    """How near other wording must be, in calls and in get: 0.90 is a cosine of 0.80. In calls the judge must agree."""
    overwrite_threshold: float = Field(default=0.99, ge=0, le=1)
    """How near a key must be for put to replace it."""
    guards: bool = True
    """Have the guards refuse a key that is near and asks another thing (a number, a negation, a name that differs)."""
    ttl: Duration | None = Field(default=None, gt=0)
    """How long what was put is kept; without end where this is left out, as in Semcache."""
    open: bool = False
    """Let put and get go without `manage.token` where there is one: Semcache's own clients know no token."""
    max_request: Size = 2 * 2**20
    """Larger requests are refused with 413."""
