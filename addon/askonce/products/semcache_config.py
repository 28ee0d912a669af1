"""What rules.yaml may say about Semcache."""

from pydantic import Field

from askonce.sections import Section, Size

__all__ = ["SemcacheSpec"]


class SemcacheSpec(Section):
    """Semcache's proxy and its put and get."""

    similarity_threshold: float = Field(default=0.90, ge=0, le=1)
    """On Semcache's own scale, (1 + cosine) / 2: 0.90 is a cosine of 0.80."""
    max_request: Size = 2 * 2**20
    """Larger requests are refused with 413."""
