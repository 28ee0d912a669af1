"""What finds no room among all that is held passes through, and whatever a call held goes when it is over."""

import gzip
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from mitmproxy.flow import Error
from tests.support.waiting import until_so
from tests.unit.proxy.conftest import PARIS

from askonce.calls.held_bodies import held_bodies
from askonce.calls.limits import Limits

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWER = json.dumps(PARIS).encode()
CODED = [("content-type", "application/json"), ("content-encoding", "gzip")]


@pytest.fixture
def leave_room(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have room for so many bytes besides what is held now."""

    def leave(size: int) -> None:
        most = {"max_held": held_bodies.total + size}
        monkeypatch.setattr(Limits, "in_force", Limits.in_force.model_copy(update=most))

    return leave


def why(bench: "Bench") -> str:
    """Why the last call's answer was not kept."""
    return bench.askonce.runtime.accounting.latest()[0][1].unkept


async def test_an_answer_that_finds_no_room_passes_and_is_not_kept(bench: "Bench", leave_room: Any) -> None:
    leave_room(len(ANSWER) - 1)
    asked = await bench.enter(bench.flow())
    assert bench.answer(asked, ANSWER[:50], ANSWER[50:]) == [ANSWER[:50], ANSWER[50:]]
    await bench.until(calls=1)
    assert "stored" not in bench.counted
    assert why(bench) == "more than limits.max_held leaves room for"
    leave_room(len(ANSWER))
    await bench.call(bench.flow())
    assert bench.counted["stored"] == 1


async def test_an_answer_that_finds_no_room_once_it_is_decoded(bench: "Bench", leave_room: Any) -> None:
    coded = gzip.compress(json.dumps(PARIS | {"x": "y" * 1000}).encode())
    leave_room(1000)
    bench.answer(await bench.enter(bench.flow()), coded, headers=CODED)
    await bench.until(calls=1)
    assert why(bench) == "more than limits.max_held leaves room for"
    leave_room(2000)
    bench.answer(await bench.enter(bench.flow()), coded, headers=CODED)
    await bench.until(calls=2)
    assert bench.counted["stored"] == 1


async def test_a_request_that_finds_no_room_once_it_is_decoded(bench: "Bench", leave_room: Any) -> None:
    whole = json.dumps({"model": "gpt", "messages": [{"role": "user", "content": "x" * 2000}]}).encode()
    coded = gzip.compress(whole)
    leave_room(1000)
    asked = bench.flow(content=coded, headers=[("content-encoding", "gzip")])
    response = await bench.call(asked)
    assert response.headers["cache-status"] == "askonce; fwd=bypass; detail=full"
    assert asked.request.raw_content == coded


async def test_a_request_for_askonce_itself_that_finds_no_room(bench: "Bench", leave_room: Any) -> None:
    leave_room(1000)
    managed: dict[str, Any] = {"host": "askonce.internal", "path": "/v1/feedback", "scheme": "http", "port": 80}
    asked = bench.flow(**managed, content=gzip.compress(b"x" * 2000), headers=[("content-encoding", "gzip")])
    await bench.enter(asked)
    assert asked.response
    assert (asked.response.status_code, asked.response.headers["retry-after"]) == (503, "1")
    assert "limits.max_held" in asked.response.get_text()
    bench.askonce.response(asked)


@pytest.mark.parametrize("ends", ["hit", "miss", "left", "error", "cut", "unreadable"])
async def test_a_call_that_is_over_holds_nothing(bench: "Bench", ends: str) -> None:
    before = held_bodies.total
    if ends == "hit":
        await bench.call(bench.flow())
    asked = bench.flow(content=b"[" if ends == "unreadable" else None)
    asked.request.headers["content-encoding"] = "identity"  # decoded, and so held once more
    await bench.enter(asked)
    assert held_bodies.total > before
    if ends == "left":
        asked.error = Error("Client disconnected.")
        bench.askonce.error(asked)
    elif ends == "hit":
        bench.askonce.responseheaders(asked)
        bench.askonce.response(asked)
    elif ends == "cut":
        bench.answer_in_part(asked, ANSWER[:50])
        assert held_bodies.total > before + 50
        asked.error = Error("the provider broke off")
        bench.askonce.error(asked)
    else:
        bench.answer(asked, ANSWER, status=500 if ends == "error" else 200)
    await until_so(lambda: held_bodies.total == before)
