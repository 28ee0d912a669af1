"""Where a call stands in a trace: what a caller says in `traceparent`, and what the provider is told in its place.

W3C Trace Context, section 3.2. One rule: what cannot be read begins a trace of its own.
"""

import random
import re
from dataclasses import dataclass

__all__ = ["TraceContext", "join_trace"]

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A call's span, by name; all in hex as `traceparent` has it."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    """The caller's span; empty where he named none."""
    flags: str = "01"
    state: str = ""
    """The caller's `tracestate`."""

    @property
    def traceparent(self) -> str:
        """What the provider is told: our span is the parent of what it does."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def join_trace(traceparent: str, tracestate: str = "") -> TraceContext:
    """The span of a call in its caller's trace, or in a trace of its own."""
    said = _TRACEPARENT.fullmatch(traceparent.strip())
    if said is None or (said[1] == "00" and said[5]):
        return TraceContext(_id(16), _id(8))
    # Of a version that is not known here, the first flag alone has a meaning: section 4.3.
    flags = said[4] if said[1] == "00" else f"{int(said[4], 16) & 1:02x}"
    return TraceContext(said[2], _id(8), said[3], flags, tracestate)


def _id(size: int) -> str:
    return (random.getrandbits(8 * size) or 1).to_bytes(size).hex()
