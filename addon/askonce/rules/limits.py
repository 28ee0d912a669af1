"""`limits` in rules.yaml: how much one message may take of the proxy.

One rule: what is larger than Askonce reads passes on unread; only what could never be a good request is refused.
"""

from pydantic import Field

from askonce.rules.sections import Section, Size

__all__ = ["LimitsSpec"]


class LimitsSpec(Section):
    """The defaults hold for any app that is known."""

    max_header: Size = 64 * 2**10
    """Of a message's head, or of its trailers; a larger request is refused with 431, a larger response is a 502."""
    max_body: Size = 64 * 2**20
    """Of a request that is read, as it comes; a larger one passes on unread."""
    max_decoded: Size = 32 * 2**20
    """Of a body without its content-encoding; a larger one passes on unread, and a larger answer is not kept."""
    max_values: int = Field(default=100_000, gt=0)
    """Keys, lists and objects in a body's JSON, and a fourth of its other items; what has more passes on unread."""
