import dataclasses
import timeit
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.accounting import BUCKETS, OUTCOMES, Accounting, CallRecord, Tally
from askonce.call import Usage

HIT = CallRecord(
    outcome="exact",
    upstream="openai-chat",
    wire="openai-chat",
    model="gpt-4o",
    status=200,
    seconds=0.001,
    decision_seconds=0.0004,
    similarity=1.0,
    usage=Usage(10, 40),
    seconds_saved=0.8,
    money_saved=0.002,
    key="ab",
    endpoint="/v1/chat/completions",
)
MISS = dataclasses.replace(
    HIT, outcome="miss", detail="no entry", seconds=0.8, similarity=None, seconds_saved=0, money_saved=0, stored=True
)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


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


def test_models_that_callers_make_up_do_not_grow_the_table():
    accounting = Accounting(Clock())
    for number in range(500):
        accounting.record(dataclasses.replace(MISS, model=f"model-{number}"))
    models = accounting.stats()["models"]
    assert len(models) == 101
    assert models["other"]["calls"] == 400
    assert sum(summary["calls"] for summary in models.values()) == 500


def test_reasons_of_a_bypass_are_bounded_and_those_of_a_miss_make_no_rows():
    accounting = Accounting(Clock())
    for number in range(300):
        accounting.record(dataclasses.replace(MISS, outcome="bypass", detail=f"reason {number}"))
        accounting.record(dataclasses.replace(MISS, detail=f"number: {number} / 7"))
    assert len(accounting.sums(lambda row: row)) == 52
    assert accounting.stats()["bypasses"]["other"] == 250


def test_a_model_name_that_is_not_text_can_still_be_shown():
    accounting = Accounting(Clock())
    accounting.record(dataclasses.replace(MISS, model="gpt\ud800", detail="odd \udfff"))
    accounting.record(dataclasses.replace(MISS, model=""))
    accounting.record(dataclasses.replace(MISS, model="x" * 1000))
    stats = accounting.stats()
    assert sorted(stats["models"]) == ["gpt?", "unknown", "x" * 128]
    assert [decision["model"] for decision in stats["latest"]] == ["x" * 128, "", "gpt?"]
    assert stats["latest"][-1]["detail"] == "odd ?"


def test_totals_say_what_went_to_a_provider_and_what_failed():
    accounting = Accounting(Clock())
    only_if_cached = dataclasses.replace(MISS, status=504, forwarded=False)
    refused = dataclasses.replace(MISS, status=429, stored=False)
    unreachable = dataclasses.replace(MISS, outcome="error", status=0, stored=False)
    near = dataclasses.replace(MISS, similarity=0.7, detail="number: 5 / 7")
    for call in (HIT, MISS, only_if_cached, refused, unreachable, near):
        accounting.record(call)
    totals = accounting.totals()
    assert (totals.all.calls, totals.hits, totals.misses) == (6, 1, 4)
    assert totals.asked == 4  # neither the hit nor the one that asked for the cache only
    assert totals.refused == 2  # 429, and the unreachable provider
    assert totals.failed == 2  # the 504, and the unreachable provider
    assert totals.all.judged == 1  # an exact hit needs no judge


def test_a_provider_is_as_it_was_when_last_asked():
    accounting = Accounting(Clock())
    assert accounting.providers() == {}
    accounting.record(dataclasses.replace(MISS, status=503))
    accounting.record(HIT)
    assert accounting.providers() == {"openai-chat": False}
    accounting.record(dataclasses.replace(MISS, status=401))
    assert accounting.providers() == {"openai-chat": True}


def test_faults_are_counted_by_kind():
    accounting = Accounting(Clock())
    accounting.fault("embedder")
    accounting.fault("embedder")
    accounting.fault("store")
    assert accounting.faults() == accounting.stats()["faults"] == {"embedder": 2, "store": 1}


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.0005, 0), (0.00051, 1), (1.0, BUCKETS.index(1.0)), (120.0, 16), (121.0, 17)],
)
def test_a_bucket_includes_its_bound(seconds, bucket):
    tally = Tally()
    tally.add(dataclasses.replace(HIT, seconds=seconds))
    assert [index for index, count in enumerate(tally.buckets) if count] == [bucket]


@given(
    st.lists(
        st.builds(
            CallRecord,
            outcome=st.sampled_from(OUTCOMES),
            upstream=st.sampled_from(["a", "b"]),
            wire=st.just("generic"),
            model=st.text(max_size=3),
            status=st.integers(0, 599),
            seconds=st.floats(0, 300),
            detail=st.text(max_size=3),
            usage=st.builds(Usage, st.integers(0, 99), st.integers(0, 99)),
        )
    )
)
def test_every_view_counts_every_call_once(calls):
    accounting = Accounting(Clock())
    for call in calls:
        accounting.record(call)
    stats, totals = accounting.stats(), accounting.totals()
    tokens = sum(call.usage.input_tokens for call in calls)
    assert stats["calls"] == totals.all.calls == sum(totals.all.buckets) == len(calls)
    assert sum(stats["outcomes"].values()) == len(calls)
    assert sum(summary["calls"] for summary in stats["models"].values()) == len(calls)
    assert sum(summary["calls"] for summary in stats["upstreams"].values()) == len(calls)
    assert stats["tokens_used"]["input"] + stats["tokens_saved"]["input"] == tokens


def test_requests_to_a_products_own_store_are_counted_beside_the_calls():
    accounting = Accounting(Clock())
    accounting.record(HIT)
    with accounting.store_request("langcache", "search") as counted:
        counted.outcome = "semantic"
    for _ in range(2):
        with accounting.store_request("langcache", "set"):
            pass
    with pytest.raises(KeyError), accounting.store_request("langcache", "set"):
        raise KeyError
    stats = accounting.stats()
    assert stats["stores"] == {"langcache": {"search": {"semantic": 1}, "set": {"done": 2, "error": 1}}}
    assert (stats["calls"], accounting.totals().hits, len(stats["latest"])) == (1, 1, 1)
    sums = accounting.store_sums(lambda row: row.operation)
    assert (sums["set"].calls, sum(sums["set"].buckets)) == (3, 3)


def test_threads_lose_no_count():
    accounting = Accounting(Clock())
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(lambda: [accounting.record(HIT) for _ in range(2000)])
    assert accounting.totals().all.calls == 8000


def test_recording_costs_less_than_15_microseconds():
    accounting = Accounting()
    assert min(timeit.repeat(lambda: accounting.record(HIT), number=1000, repeat=5)) / 1000 < 15e-6


def test_tokens_at_a_price_that_is_not_known_are_in_no_sum_of_dollars() -> None:
    accounting = Accounting(Clock())
    accounting.record(HIT)
    accounting.record(dataclasses.replace(HIT, money_saved=None))
    stats = accounting.stats()
    assert (stats["usd_saved"], stats["tokens_unpriced"]) == (0.002, 50)
    assert [call["usd_saved"] for call in stats["latest"]] == [None, 0.002]
