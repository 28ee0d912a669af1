"""The bytes that all calls hold together: never more than the limit, and none of a call that is over."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from askonce.calls.held_bodies import HeldBodies
from askonce.calls.limits import Limits
from askonce.rules import LimitsSpec


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldBodies]:
    monkeypatch.setattr(Limits, "in_force", LimitsSpec(max_held=100))
    return HeldBodies()


def test_what_does_not_fit_is_not_counted(held: HeldBodies) -> None:
    held.begin("a")
    held.begin("b")
    assert held.hold("a", 60)
    assert not held.hold("b", 41)
    assert held.hold("b", 40)
    assert held.total == 100


def test_a_call_that_is_over_or_passed_on_holds_nothing(held: HeldBodies) -> None:
    for call in "abc":
        held.begin(call)
        held.hold(call, 30)
    held.end("a")
    held.end("a")
    held.let_go("b")
    assert held.total == 30
    held.hold("a", 20)  # late: nobody would let go of it
    held.let_go("never begun")
    assert held.total == 30
    held.hold("b", 10)
    held.end("b")
    held.end("c")
    assert held.total == 0


def test_half_full(held: HeldBodies) -> None:
    held.begin("a")
    held.hold("a", 50)
    assert not held.is_half_full
    held.hold("a", 1)
    assert held.is_half_full


def test_from_many_threads(held: HeldBodies) -> None:
    def use(call: str) -> None:
        held.begin(call)
        for _ in range(1000):
            held.hold(call, 1)
        held.end(call)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, map(str, range(64))))
    assert held.total == 0
