"""What mitmweb shows of a call, and that its list stays short."""

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from mitmproxy import contentviews, http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.addons.view import View
from mitmproxy.flow import Error
from mitmproxy.io import FlowWriter
from mitmproxy.test import taddons, tflow, tutils

from askonce.cache import Lookup
from askonce.calls.state import Exchange
from askonce.proxy.mitmweb import Inspector, summary

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")


def shown(flow: http.HTTPFlow) -> str:
    """What the content view that mitmproxy picks by itself makes of the request."""
    result = contentviews.prettify_message(flow.request, flow)
    assert result.view_name == "Askonce"
    return result.text


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    Inspector(Any).load(None)  # type: ignore[arg-type]


async def seen(bench: "Bench", flow: http.HTTPFlow) -> http.HTTPFlow:
    """A call that is over and annotated."""
    await bench.call(flow)
    Inspector(bench.askonce).response(flow)
    return flow


async def test_each_decision_has_a_comment_and_a_marker(bench: "Bench") -> None:
    def ask(*arguments: Any, **more: Any) -> Any:
        return seen(bench, bench.flow(*arguments, **more))

    miss = await ask()
    assert (miss.comment, miss.marked) == ("MISS (no entry) · What is the capital of France?", "")
    exact = await ask()
    assert exact.comment.startswith("EXACT saved ")
    assert exact.marked == ":zap:"
    semantic = await ask("Tell me what the capital of France is.")
    assert semantic.comment.startswith("SEMANTIC 0.")
    assert semantic.marked == ":sparkles:"
    bypass = await ask(headers=[("cache-control", "no-store")])
    assert (bypass.comment.split(" · ")[0], bypass.marked) == ("BYPASS (no-store)", ":heavy_minus_sign:")
    near = await ask("What is the capital of Germany?")
    assert near.comment.startswith("MISS 0.")
    foreign = await bench.enter(bench.flow(host="foreign.example", scheme="http", port=80))
    bench.answer(foreign, b"x")
    Inspector(bench.askonce).response(foreign)
    assert (foreign.comment, foreign.marked) == ("", "")


async def test_what_would_have_been_served_is_told() -> None:
    found = Lookup("miss", similarity=0.9, reason="watched", watched="semantic")
    nothing: Any = None
    assert summary(Exchange(nothing, nothing, 0.0, lookup=found)) == "MISS 0.900 (would have been semantic)"


async def test_a_call_that_failed_is_annotated_too(bench: "Bench") -> None:
    failed = await bench.enter(bench.flow())
    failed.error = Error("Connect call failed")
    bench.askonce.error(failed)
    Inspector(bench.askonce).error(failed)
    assert failed.comment.startswith("MISS")
    assert "conversation:" in shown(failed)


async def test_the_content_view_shows_the_conversation_and_why(bench: "Bench") -> None:
    question = "What is the capital of “France”?\nBriefly."
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": question}]
    await bench.call(bench.flow(messages=messages))
    lines = shown(await seen(bench, bench.flow(messages=messages))).splitlines()
    assert lines[0] == 'decision: "exact"'
    assert 'rule: "chat"' in lines
    assert 'model: "gpt"' in lines
    assert f"nearest prompt: {json.dumps(question, ensure_ascii=False)}" in lines
    assert any(re.fullmatch(r'stored at: "20..-..-..T..:..:..Z"', line) for line in lines)
    assert lines[-3:] == [
        "conversation:",
        '  - system: "Be kind."',
        f"  - user: {json.dumps(question, ensure_ascii=False)}",
    ]


async def test_the_content_view_says_why_a_look_alike_missed(bench: "Bench") -> None:
    await bench.call(bench.flow("Convert 10 miles to km"))
    text = shown(await seen(bench, bench.flow("Convert 10 km to miles")))
    assert 'decision: "miss"' in text
    assert "why: " in text
    assert 'nearest prompt: "Convert 10 miles to km"' in text


async def test_the_content_view_names_the_part_that_differs(bench: "Bench") -> None:
    await bench.call(bench.flow("Convert 10 miles to km"))
    missed = await seen(bench, bench.flow("Convert 10 miles to km", temperature=0.5))
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("compare")))
    assert 'differs in: ["sampling"]' in shown(missed).splitlines()
    assert 'nearest prompt: "Convert 10 miles to km"' in shown(missed)


async def test_other_flows_are_shown_as_ever(bench: "Bench") -> None:
    plain = tflow.tflow(resp=True)
    assert contentviews.prettify_message(plain.request, plain).view_name != "Askonce"
    unreadable = await seen(bench, bench.flow(content=b"{"))
    assert 'why: "unreadable"' in shown(unreadable)
    called = await seen(bench, bench.flow())
    assert called.response
    called.response.content = b"{}"
    assert contentviews.prettify_message(called.response, called).view_name == "JSON"


async def test_an_annotated_flow_can_be_saved(bench: "Bench", tmp_path: Any) -> None:
    await bench.call(bench.flow())
    with (tmp_path / "flows").open("wb") as file:
        FlowWriter(file).add(await seen(bench, bench.flow()))
    assert (tmp_path / "flows").stat().st_size > 1000


# The list


async def test_only_the_last_flows_are_kept(bench: "Bench") -> None:
    view = View()
    with taddons.context(Proxyserver(), view):
        inspector = Inspector(bench.askonce, kept=3)
        flows = [tflow.tflow(resp=True) for _ in range(5)]
        alive, socket = tflow.tflow(), tflow.twebsocketflow()
        view.add([alive, socket])
        inspector.response(socket)
        for number, flow in enumerate(flows):
            view.add([flow])
            flow.live = False
            if number % 2:
                inspector.response(flow)
            else:
                flow.error = Error("gone")
                inspector.error(flow)
        assert {flow.id for flow in view} == {flow.id for flow in (alive, socket, *flows[2:])}
        # What is still under way is neither counted nor ended.
        assert alive.killable
        assert socket.error is None
        inspector.websocket_end(socket)
        assert {flow.id for flow in view} == {flow.id for flow in (alive, socket, *flows[3:])}


async def test_of_a_websocket_only_the_last_messages_are_kept(bench: "Bench") -> None:
    flow = tflow.twebsocketflow()
    assert flow.websocket
    last = flow.websocket.messages[-1]
    flow.websocket.messages[:0] = flow.websocket.messages * 50
    bench.askonce.websocket_message(flow)
    assert len(flow.websocket.messages) == 20
    assert flow.websocket.messages[-1] is last
    bench.askonce.websocket_message(tflow.tflow(resp=tutils.tresp()))
