"""Two prompts as they are compared: without what differs between them in writing alone."""

from askonce.cache.judge.quantities import in_same_units
from askonce.cache.judge.slips import mended

__all__ = ["aligned"]


def aligned(one: str, other: str) -> tuple[str, str]:
    """Both without the slips that the other shows to be such, and in the first one's units; the same texts where there
    is nothing of the kind."""
    return in_same_units(*mended(one, other))
