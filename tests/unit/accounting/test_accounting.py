"""The table of counts, and what is asked of it."""

import dataclasses
import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import Clock
from tests.unit.accounting.recorded import HIT, MISS

from askonce.accounting import OUTCOMES, Accounting, CallRecord
from askonce.call import Usage


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


def test_recording_costs_little():
    """2 to 15 µs, where 250 turns of a loop take 17 and more; in turns, since others work on this machine."""
    accounting = Accounting()

    def once(work: Callable[[], object]) -> float:
        return timeit.timeit(work, number=500)

    ratios = [once(lambda: accounting.record(HIT)) / once(lambda: sum(n * n for n in range(250))) for _ in range(9)]
    assert min(ratios) < 1, ratios
