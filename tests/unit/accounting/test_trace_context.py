"""Where a call stands in a trace: W3C Trace Context, section 3.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.accounting.trace_context import join_trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("traceparent", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", "01"),
        (f" 00-{TRACE}-{SPAN}-00 ", "00"),
        (f"00-{TRACE}-{SPAN}-03", "03"),
        (f"cc-{TRACE}-{SPAN}-03-what-comes", "01"),
    ],
)
def test_a_trace_is_joined(traceparent: str, flags: str) -> None:
    joined = join_trace(traceparent, "a=1")
    assert (joined.trace_id, joined.parent_id, joined.flags, joined.state) == (TRACE, SPAN, flags, "a=1")
    assert joined.traceparent == f"00-{TRACE}-{joined.span_id}-{flags}"
    assert joined.span_id != SPAN


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_what_cannot_be_read_begins_a_trace(traceparent: str) -> None:
    begun = join_trace(traceparent, "a=1")
    assert (begun.parent_id, begun.state, begun.flags) == ("", "", "01")
    assert begun.trace_id != TRACE


@given(st.text())
def test_what_the_provider_is_told_can_be_read(traceparent: str) -> None:
    told = join_trace(traceparent)
    assert join_trace(told.traceparent).trace_id == told.trace_id
