import sqlite3
import stat

import pytest
from tests.support.clock import Clock
from tests.support.records import record

from askonce.accounting import CallRecord
from askonce.accounting.history import STEP, Group, History, Sums
from askonce.call import Usage
from askonce.faults import Faults


def call(outcome="miss", **more) -> CallRecord:
    return record(outcome=outcome, upstream="chat", seconds=0.1, usage=Usage(10, 5), **more)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_sums_of_ten_minutes_outlive_the_process(tmp_path, clock):
    first = History(tmp_path, Faults(), clock)
    first.count(call(), "gpt-4o")
    first.write()
    first.count(call("exact", seconds_saved=2.0, money_saved=0.5), "gpt-4o")
    first.write()
    clock.now += STEP
    second = History(tmp_path, Faults(), clock)
    second.count(call("semantic", namespace="kitchen", money_saved=None), "gpt-4o")
    start = int(clock.now) // STEP * STEP
    assert second.read(0, clock.now + 1) == [
        (start - STEP, Group("chat", "gpt-4o", "", ""), Sums(1, 0, 1, 0, 0, 2.0, 0.5, 15, 15)),
        (start, Group("chat", "gpt-4o", "kitchen", ""), Sums(semantic=1, tokens_saved=15)),
    ]
    assert second.read(start, clock.now + 1)[0][0] == start


def test_callers_are_told_apart_and_what_was_only_watched_is_summed(tmp_path, clock):
    history = History(tmp_path, Faults(), clock)
    history.count(call(parts={"credential": "c1", "namespace": "n"}, watched="semantic", money_watched=0.25), "gpt-4o")
    history.count(call(parts={"credential": "c2"}, watched="exact", money_watched=None), "gpt-4o")
    told = {
        group.caller: (sums.miss, sums.watched, sums.usd_watched) for _, group, sums in history.read(0, clock.now + 1)
    }
    assert told == {"c1": (1, 1, 0.25), "c2": (1, 1, 0.0)}


def test_names_that_callers_choose_are_bounded(tmp_path, clock):
    history = History(tmp_path, Faults(), clock)
    for number in range(1000):
        history.count(call(), f"model {number} \ud800" + "x" * 500)
        if number % 100 == 0:
            history.write()
    rows = history.read(0, clock.now + 1)
    assert len(rows) == 201
    assert sum(sums.miss for _, _, sums in rows) == 1000
    assert max(len(group.model) for _, group, _ in rows) <= 128


def test_what_is_old_goes(tmp_path, clock):
    history = History(tmp_path, Faults(), clock)
    history.count(call(), "gpt-4o")
    history.write()
    clock.now += 401 * 86400
    history.count(call(), "gpt-4o")
    assert len(history.read(0, clock.now + 1)) == 1


def test_the_oldest_of_too_much_goes_once_a_step_begins(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("askonce.accounting.history._KEPT_ROWS", 2)
    history = History(tmp_path, Faults(), clock)
    for _ in range(4):
        history.count(call(), "gpt-4o")
        history.write()
        clock.now += STEP
    rows = history.read(0, clock.now)
    assert 0 < len(rows) <= 2
    assert rows[-1][0] == int(clock.now) // STEP * STEP - STEP


def test_a_file_that_cannot_be_used_is_told_and_holds_nobody_up(tmp_path, clock):
    (tmp_path / "history.db").write_bytes(b"no database" * 100)
    counted = list[str]()
    history = History(tmp_path, Faults(counted.append), clock)
    with pytest.raises(OSError, match=r"history\.db cannot be read"):
        history.read(0, clock.now)
    history.count(call(), "gpt-4o")
    history.write()
    assert counted == ["history"]
    history.count(call(), "gpt-4o")
    assert len(history.read(0, clock.now + 1)) == 1
    assert [file.name for file in tmp_path.glob("*.corrupt-*")] == ["history.db.corrupt-1800000000"]


def test_nobody_else_may_read_it(tmp_path, clock):
    history = History(tmp_path, Faults(), clock)
    history.count(call(), "gpt-4o")
    history.write()
    assert stat.S_IMODE((tmp_path / "history.db").stat().st_mode) == 0o600
    with sqlite3.connect(tmp_path / "history.db") as connection:
        assert connection.execute("SELECT count(*) FROM sums").fetchone() == (1,)
    connection.close()
