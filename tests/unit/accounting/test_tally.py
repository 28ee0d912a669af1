"""What is added up, in one row or in several."""

import dataclasses

import pytest
from tests.support.clock import Clock
from tests.unit.accounting.recorded import HIT, MISS

from askonce.accounting import BUCKETS, Accounting, Tally


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


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.0005, 0), (0.00051, 1), (1.0, BUCKETS.index(1.0)), (120.0, 16), (121.0, 17)],
)
def test_a_bucket_includes_its_bound(seconds, bucket):
    tally = Tally()
    tally.add(dataclasses.replace(HIT, seconds=seconds))
    assert [index for index, count in enumerate(tally.buckets) if count] == [bucket]
