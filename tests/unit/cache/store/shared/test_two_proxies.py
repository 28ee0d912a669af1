"""Two proxies on one database: what one keeps the other serves, and what one takes away nobody does."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.entries import NOW, P, entry
from tests.support.postgres import Postgres
from tests.support.waiting import PATIENCE, until

from askonce.cache.store import CacheLimits, Entry, Filter, SharedPlace
from askonce.cache.store.shared import lease
from askonce.cache.store.shared.answers import SharedAnswers
from askonce.faults import Faults

Two = tuple[SharedAnswers, SharedAnswers]


def opened(place: SharedPlace) -> SharedAnswers:
    return SharedAnswers(place, CacheLimits(), clock=lambda: NOW, faults=Faults())


@pytest.fixture
def two(place: SharedPlace) -> Iterator[Two]:
    one, other = opened(place), opened(place)
    yield one, other
    one.close()
    other.close()


def key_of(kept: Entry) -> bytes:
    return bytes.fromhex(kept.key)


def test_what_one_keeps_the_other_finds_and_has_in_memory_from_then_on(two: Two) -> None:
    one, other = two
    kept = one.put(entry(1)).result(PATIENCE)
    assert other.held(key_of(kept)) is None
    assert other.same(P, key_of(kept)) == other.held(key_of(kept)) == kept
    assert one.secret() == other.secret()


@pytest.mark.parametrize("way", ["delete", "clear", "replace"])
def test_what_one_takes_away_the_other_serves_no_more(two: Two, way: str) -> None:
    """Fifty times; `python -m tests.shared` does it a thousand times, between processes."""
    one, other = two
    for number in range(50):
        kept = one.put(entry(number, labels={"n": str(number)})).result(PATIENCE)
        key = key_of(kept)
        assert other.same(P, key) == other.held(key) == kept
        if way == "delete":
            assert one.delete(kept.key).result(PATIENCE)
        elif way == "clear":
            assert one.clear(Filter(labels={"n": str(number)})).result(PATIENCE) == 1
        else:
            again = one.put(entry(number, prompt="again")).result(PATIENCE)
        assert other.held(key) is None and not other.is_there(kept)
        assert other.same(P, key) == (again if way == "replace" else None)


def test_what_two_keep_at_the_same_time_both_have_kept(two: Two, postgres: Postgres, place: SharedPlace) -> None:
    one, other = two
    late = entry(2)
    other.put(entry(1)).result(PATIENCE)
    with postgres.connect() as third:
        with third.transaction():  # the same key, on its way
            third.execute(f"UPDATE {place.schema}.entry SET key = %s".encode(), [key_of(late)])
            keeping = one.put(late)
            waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
            with postgres.connect() as watcher:
                until(lambda: watcher.execute(waits.encode(), [f"%{place.schema}%"]).fetchone())
        kept = keeping.result(PATIENCE)
    assert other.same(P, key_of(late)) == kept and not one.failure


class Refusing:
    """A follower that knows which pairs are wrong."""

    def __init__(self) -> None:
        self.pairs = set[bytes]()

    def forget(self, entries: Any, /) -> None: ...

    def refuse(self, pair: bytes, /) -> None:
        self.pairs.add(pair)


def test_what_one_says_is_wrong_the_other_knows_when_it_is_acknowledged(two: Two) -> None:
    one, other = two
    one.refuse(b"before", NOW).result(PATIENCE)
    follower = Refusing()
    other.follow(follower)
    assert follower.pairs == {b"before"}
    for number in range(50):
        one.refuse(b"%d" % number, NOW).result(PATIENCE)
        assert b"%d" % number in follower.pairs


def test_nothing_that_is_gone_comes_back_by_a_reading_that_began_before(two: Two) -> None:
    """A look-up that reads an entry while another proxy deletes it must not leave it in memory."""
    one, other = two
    stop = threading.Event()
    keys = [bytes.fromhex(entry(number).key) for number in range(20)]

    def look() -> None:
        while not stop.is_set():
            for key in keys:
                other.same(P, key)

    looking = [threading.Thread(target=look) for _ in range(2)]
    for thread in looking:
        thread.start()
    try:
        for number in range(20):
            for _ in range(3):
                kept = one.put(entry(number)).result(PATIENCE)
                assert one.delete(kept.key).result(PATIENCE)
                assert other.held(keys[number]) is None
    finally:
        stop.set()
        for thread in looking:
            thread.join()


def test_a_proxy_that_hangs_holds_nobody_up_for_longer_than_its_lease(
    place: SharedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    one, other = opened(place), opened(place)
    kept = one.put(entry(1)).result(PATIENCE)
    assert other.same(P, key_of(kept)) == kept
    hung = threading.Event()
    monkeypatch.setattr(other._lease, "_beat", lambda connection: hung.wait(PATIENCE))
    try:
        assert one.delete(kept.key).result(PATIENCE)  # not before the other's lease has run out
        assert not other._lease.is_held and other.held(key_of(kept)) is None
    finally:
        hung.set()
        one.close()
        other.close()


def test_a_lost_notification_hides_nothing(two: Two) -> None:
    """As behind a pooler, which gives the next transaction another connection of the server's."""
    one, other = two
    one._tables.channel = "elsewhere"
    kept = one.put(entry(1)).result(PATIENCE)
    assert other.same(P, key_of(kept)) == other.held(key_of(kept)) == kept
    assert one.delete(kept.key).result(PATIENCE)
    assert other.held(key_of(kept)) is None and other.same(P, key_of(kept)) is None


def test_what_is_missing_in_the_changes_empties_the_memory(two: Two, postgres: Postgres, place: SharedPlace) -> None:
    one, other = two
    kept = one.put(entry(1)).result(PATIENCE)
    assert other.same(P, key_of(kept)) == kept
    with postgres.connect() as connection:
        connection.execute(f"UPDATE {place.schema}.counter SET number = number + 2".encode())
    until(lambda: not other.stats().memory_entries)
    assert other.held(key_of(kept)) is None
    until(lambda: other._lease.is_held)
    assert other.same(P, key_of(kept)) == kept
