"""The statistics as JSON values."""

import dataclasses

import pytest
from tests.support.clock import Clock
from tests.unit.accounting.recorded import HIT, MISS

from askonce.accounting import Accounting
from askonce.call import Usage


def test_nothing_recorded_yet():
    stats = Accounting(Clock()).stats()
    assert stats == {
        "calls": 0,
        "outcomes": {"exact": 0, "semantic": 0, "miss": 0, "bypass": 0, "error": 0},
        "hit_rate": 0.0,
        "stored": 0,
        "tokens_used": {"input": 0, "output": 0},
        "tokens_saved": {"input": 0, "output": 0},
        "seconds_saved": 0.0,
        "usd_saved": 0.0,
        "tokens_unpriced": 0,
        "avg_seconds": 0.0,
        "in_flight": 0,
        "since": "2027-01-15T08:00:00Z",
        "uptime_seconds": 0.0,
        "upstreams": {},
        "models": {},
        "watched": {},
        "bypasses": {},
        "faults": {},
        "stores": {},
        "latest": [],
    }


def test_tokens_of_a_hit_are_saved_and_those_of_a_miss_are_used():
    clock = Clock()
    accounting = Accounting(clock)
    accounting.record(MISS)
    clock.now += 60
    accounting.record(HIT)
    accounting.record(dataclasses.replace(HIT, outcome="semantic", similarity=0.93, model="gpt-4o-mini"))
    accounting.record(dataclasses.replace(MISS, outcome="bypass", detail="Cache-Control: no-store", usage=Usage(1, 2)))

    stats = accounting.stats()
    assert stats["outcomes"] == {"exact": 1, "semantic": 1, "miss": 1, "bypass": 1, "error": 0}
    assert stats["hit_rate"] == pytest.approx(2 / 3)  # the bypass counts for neither
    assert stats["stored"] == 2
    assert stats["tokens_used"] == {"input": 11, "output": 42}
    assert stats["tokens_saved"] == {"input": 20, "output": 80}
    assert stats["seconds_saved"] == pytest.approx(1.6)
    assert stats["usd_saved"] == pytest.approx(0.004)
    assert stats["avg_seconds"] == pytest.approx((0.8 + 0.001 + 0.001 + 0.8) / 4)
    assert stats["uptime_seconds"] == 60
    assert stats["bypasses"] == {"Cache-Control: no-store": 1}
    assert stats["models"]["gpt-4o-mini"]["outcomes"]["semantic"] == 1
    assert stats["models"]["gpt-4o-mini"]["hit_rate"] == 1.0
    assert stats["models"]["gpt-4o"]["calls"] == 3
    assert stats["upstreams"]["openai-chat"]["calls"] == 4


def test_the_latest_decisions_come_newest_first_and_are_bounded():
    accounting = Accounting(Clock())
    for number in range(60):
        accounting.record(dataclasses.replace(HIT, key=str(number)))
    latest = accounting.stats()["latest"]
    assert [decision["key"] for decision in latest] == [str(number) for number in range(59, 9, -1)]
    assert latest[0] == {
        "time": "2027-01-15T08:00:00Z",
        "outcome": "exact",
        "detail": "",
        "upstream": "openai-chat",
        "model": "gpt-4o",
        "status": 200,
        "seconds": 0.001,
        "similarity": 1.0,
        "seconds_saved": 0.8,
        "usd_saved": 0.002,
        "key": "59",
    }


def test_tokens_at_a_price_that_is_not_known_are_in_no_sum_of_dollars() -> None:
    accounting = Accounting(Clock())
    accounting.record(HIT)
    accounting.record(dataclasses.replace(HIT, money_saved=None))
    stats = accounting.stats()
    assert (stats["usd_saved"], stats["tokens_unpriced"]) == (0.002, 50)
    assert [call["usd_saved"] for call in stats["latest"]] == [None, 0.002]
