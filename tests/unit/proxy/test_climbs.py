"""How often a prompt climbs on its way from the hook to the store and back.

Going down, a room calls one below it; it climbs where a room is called by one below it, as a callback is. What a
thread runs was handed to it by whoever waits for it, and is no climb.
"""

import threading
import tomllib
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

import askonce

if TYPE_CHECKING:
    from tests.unit.proxy.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = Path(askonce.__file__).parent


def floors() -> dict[str, int]:
    """The floor of each room, 0 the lowest, as the contract in pyproject.toml has them."""
    contracts = tomllib.loads((OURS.parents[1] / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each.get("containers") == ["askonce"])
    return {room.strip(): floor for floor, layer in enumerate(reversed(layers)) for room in layer.split("|")}


FLOORS = floors()


def room_of(frame: FrameType) -> str:
    """The room whose code runs; empty where it is none of ours."""
    path = Path(frame.f_code.co_filename)
    return path.relative_to(OURS).parts[0].removesuffix(".py") if path.is_relative_to(OURS) else ""


class Walk:
    """What a call passes through, from its request's head until it is counted."""

    def __init__(self) -> None:
        self.rooms = set[str]()
        self.climbs: list[str] = []

    def note(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call" or (room := room_of(frame)) not in FLOORS:
            return
        self.rooms.add(room)
        caller = caller_of(frame)
        if caller and FLOORS[caller] < FLOORS[room]:
            self.climbs.append(f"{caller} calls {room}: {frame.f_code.co_qualname}")


def caller_of(frame: FrameType) -> str:
    """The room that called, other libraries between them or not; empty where a thread was given the function, or Python
    imports."""
    below = frame.f_back
    while below and room_of(below) not in FLOORS:
        if below.f_code.co_filename.startswith("<frozen importlib"):
            return ""
        below = below.f_back
    room = room_of(below) if below else ""
    return "" if room == "workers" else room


async def walk(bench: "Bench", question: str) -> tuple[Walk, str]:
    """A whole call, and what its `Cache-Status` says."""
    walked = Walk()
    threading.setprofile_all_threads(walked.note)
    try:
        response = await bench.call(bench.flow(question))
    finally:
        threading.setprofile_all_threads(None)
    print(*walked.climbs, sep="\n")  # noqa: T201  # the report
    return walked, response.headers["cache-status"]


async def test_a_prompt_climbs_at_most_three_times_from_the_hook_to_the_store_and_back(bench: "Bench") -> None:
    await bench.call(bench.flow("How high is Mont Blanc?"))  # which loads what is loaded at the first use
    miss, status = await walk(bench, "What is the capital of Peru?")
    assert "fwd=miss" in status
    assert {"proxy", "calls", "rules", "wire", "cache", "accounting"} <= miss.rooms
    assert 0 < len(miss.climbs) <= 3
    hit, status = await walk(bench, "Please tell me: what is the capital of Peru?")
    assert "detail=semantic" in status
    assert {"proxy", "calls", "rules", "wire", "cache", "accounting"} <= hit.rooms
    assert 0 < len(hit.climbs) <= 3
