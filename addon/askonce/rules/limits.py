"""`limits` in rules.yaml: how much one message or one client may take of the proxy, and for how long.

One rule: what is larger than Askonce reads passes on unread; only what could never be a good request is refused.
"""

from pydantic import Field

from askonce.rules.sections import Duration, Section, Size

__all__ = ["LimitsSpec"]


class LimitsSpec(Section):
    """The defaults hold for any app that is known; a time of 0 is no limit."""

    max_header: Size = 64 * 2**10
    """Of a message's head, or of its trailers, and of a client's TLS greeting; a larger request is refused with 431, a
    larger response is a 502."""
    max_body: Size = 64 * 2**20
    """Of a request that is read, as it comes; a larger one passes on unread."""
    max_decoded: Size = 32 * 2**20
    """Of a body without its content-encoding; a larger one passes on unread, and a larger answer is not kept."""
    max_held: Size = 256 * 2**20
    """Of all bodies that are held at a time, requests and answers, as they come and decoded. What does not fit passes
    on unread, and an answer is not kept."""
    max_values: int = Field(default=100_000, gt=0)
    """Keys, lists and objects in a body's JSON, and a fourth of its other items; what has more passes on unread."""
    header_timeout: Duration = 60.0
    """From the first byte of a head, or from the connection, to the head's end."""
    body_timeout: Duration = 60.0
    """How long a request's body may stand still."""
    idle_timeout: Duration = 600.0
    """How long a connection is kept that nothing is asked on."""
    connections_per_client: int = Field(default=2000, ge=0)
    """At once, from one address; 0 is no limit."""
