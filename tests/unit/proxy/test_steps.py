"""How many of our functions a call goes through before it is answered or sent on.

After a wait the processor has none of them at hand, and each costs a microsecond and more: the count is what
`askonce bench miss` measures, without the noise. It is a report (`-rA` prints it) under a bound that only a loop by
mistake would reach: no reason to keep functions long.
"""

import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest
from mitmproxy import http

import askonce

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = str(Path(askonce.__file__).parent)


async def steps(bench: "Bench", flow: http.HTTPFlow) -> int:
    """Our functions that are called from a request's head to the decision."""
    called: list[str] = []

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            called.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        await bench.enter(flow)
    finally:
        sys.setprofile(None)
    print(len(called), "functions")  # noqa: T201  # the report
    return len(called)


async def test_a_miss_among_questions_of_the_same_template(bench: "Bench") -> None:
    for number in range(12):
        await bench.call(bench.flow(f"Is {number} a prime number?"))
    flow = bench.flow("Is 57 a prime number?")
    count = await steps(bench, flow)
    assert flow.response is None
    assert 100 < count <= 350


async def test_an_exact_hit(bench: "Bench") -> None:
    await bench.call(bench.flow())
    await bench.call(bench.flow())
    flow = bench.flow()
    count = await steps(bench, flow)
    assert flow.response
    assert flow.response.headers["cache-status"].endswith("detail=exact")
    assert 20 < count <= 80


async def test_a_semantic_hit(bench: "Bench") -> None:
    await bench.call(bench.flow())
    await bench.call(bench.flow("Please tell me: what is the capital of France?"))
    flow = bench.flow("Tell me, what is the capital of France? Thanks!")
    count = await steps(bench, flow)
    assert flow.response
    assert "detail=semantic" in flow.response.headers["cache-status"]
    assert 100 < count <= 500
