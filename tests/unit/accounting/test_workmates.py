"""What one worker is told of the others' counts."""

import dataclasses
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.clock import Clock
from tests.unit.accounting.recorded import HIT, MISS

from askonce.accounting import Accounting, workmates
from askonce.accounting.workmates import Workmates, socket_of
from askonce.faults import Faults


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: that of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def counted(*calls: object, clock: Clock) -> Accounting:
    accounting = Accounting(clock)
    for call in calls:
        accounting.record(call)  # type: ignore[arg-type]
    return accounting


def test_what_is_absorbed_is_counted_as_if_it_had_come_here() -> None:
    clock = Clock()
    one, other = counted(HIT, clock=clock), Accounting(clock)
    clock.now += 10
    other = counted(MISS, HIT, dataclasses.replace(MISS, status=503), clock=clock)
    other.begin()
    other.fault("judge")
    other.turn_away("key")
    with other.store_request("langcache", "search"):
        pass
    whole = counted(HIT, MISS, HIT, dataclasses.replace(MISS, status=503), clock=clock)
    both = Accounting(clock)
    for each in (one, other):
        both.absorb(each.counted())
    assert both.totals() == whole.totals() and both.sums(lambda row: row) == whole.sums(lambda row: row)
    assert both.in_flight == 1 and both.recorded == 4
    assert both.faults() == {"judge": 1} and both.turned_away() == {"key": 1}
    assert both.providers() == {"openai-chat": False}
    assert both.started == one.started
    stats = both.stats()
    assert len(stats["latest"]) == 4 and stats["stores"]["langcache"]["search"]
    assert [call["time"] for call in stats["latest"]] == sorted(
        (call["time"] for call in stats["latest"]), reverse=True
    )
    assert one.totals().all.calls == 1  # as it was


async def test_each_gives_the_counts_of_all(folder: Path) -> None:
    faults = Counter[str]()
    one = Workmates(counted(HIT, clock=Clock()), folder, 1, Faults(faults.update))
    other = Workmates(counted(MISS, HIT, clock=Clock()), folder, 2, Faults(faults.update))
    await one.start()
    assert (await one.all()).totals().all.calls == 1
    socket_of(folder, 2).touch()  # of one that crashed
    assert (await one.all()).totals().all.calls == 1
    await other.start()
    for each in (one, other):
        assert (await each.all()).totals().all.calls == 3
    await other.close()
    assert (await one.all()).totals().all.calls == 1
    await one.close()
    assert not faults and not socket_of(folder, 1).exists()


async def test_who_does_not_answer_is_left_out_and_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workmates, "_PATIENCE", 0.05)
    faults = list[str]()
    one = Workmates(counted(HIT, clock=Clock()), folder, 1, Faults(faults.append))
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(socket_of(folder, 2)))
        hung.listen()
        assert (await one.all()).totals().all.calls == 1
    assert faults == ["workers"]
