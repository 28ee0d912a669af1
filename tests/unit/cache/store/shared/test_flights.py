"""Two proxies on one database that are asked the same: one asks the provider, and the other knows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.entries import NOW, P, entry
from tests.support.postgres import Postgres
from tests.support.waiting import PATIENCE, until

from askonce.cache.store import CacheLimits, SharedPlace, StoreError
from askonce.cache.store.protocol import Led
from askonce.cache.store.shared import flights, lease
from askonce.cache.store.shared.answers import SharedAnswers
from askonce.faults import Faults

Two = tuple[SharedAnswers, SharedAnswers]
KEY = bytes.fromhex(entry(1).key)


@contextmanager
def opened(place: SharedPlace) -> Iterator[SharedAnswers]:
    store = SharedAnswers(place, CacheLimits(), clock=lambda: NOW, faults=Faults())
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def two(place: SharedPlace) -> Iterator[Two]:
    with opened(place) as one, opened(place) as other:
        yield one, other


def lead(store: SharedAnswers, key: bytes = KEY) -> Led:
    return store.flights.lead(P, key)


def rows(postgres: Postgres, place: SharedPlace) -> int:
    with postgres.connect() as connection:
        found = connection.execute(f"SELECT count(*) FROM {place.schema}.flight".encode()).fetchone()
    return int(found[0]) if found else -1


def test_one_asks_and_the_other_knows_until_the_answer_is_there(
    two: Two, postgres: Postgres, place: SharedPlace
) -> None:
    one, other = two
    assert lead(one) == ("", None)
    assert lead(one) == ("", None)  # its own row holds it up no more than nothing
    assert lead(other) == lead(other) == (one._lease.id, None)
    kept = one.put(entry(1)).result(PATIENCE)
    assert rows(postgres, place) == 0  # it went with the answer
    led = lead(other)
    assert led == ("", kept) and other.held(KEY) == kept
    other.flights.end(KEY)
    other.flush().result(PATIENCE)
    assert rows(postgres, place) == 0
    assert not one.flights._ours and not other.flights._ours


def test_where_the_one_gives_up_the_other_asks(two: Two, postgres: Postgres, place: SharedPlace) -> None:
    one, other = two
    assert not lead(one).elsewhere and lead(other).elsewhere
    other.flights.end(KEY)  # not its own to end
    other.flush().result(PATIENCE)
    assert lead(other).elsewhere
    one.flights.end(KEY)
    one.flights.end(KEY)
    one.flush().result(PATIENCE)
    assert not lead(other).elsewhere and lead(one).elsewhere
    assert rows(postgres, place) == 1


def test_of_many_that_ask_at_the_same_time_one_leads(two: Two) -> None:
    """And whoever leads sees the answer that was kept just before: nobody asks for what is there."""
    for number in range(30):
        wanted = entry(number)
        key, asked, told = bytes.fromhex(wanted.key), list[Led](), list[Led]()
        barrier = threading.Barrier(2)

        def run(store: SharedAnswers) -> None:
            barrier.wait(PATIENCE)  # noqa: B023
            while True:
                led = lead(store, key)  # noqa: B023
                if led.entry:
                    store.flights.end(key)  # noqa: B023
                    told.append(led)  # noqa: B023
                    return
                if not led.elsewhere:
                    asked.append(led)  # noqa: B023
                    store.put(wanted).result(PATIENCE)  # noqa: B023
                    return

        threads = [threading.Thread(target=run, args=(store,)) for store in two]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(asked), len(told)) == (1, 1)


def test_a_proxy_that_died_holds_nobody_up_for_longer_than_its_lease(
    place: SharedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    with opened(place) as one, opened(place) as other:
        assert not lead(one).elsewhere
        hung = threading.Event()
        monkeypatch.setattr(one._lease, "_beat", lambda connection: hung.wait(PATIENCE))
        try:
            assert lead(other).elsewhere
            until(lambda: not lead(other).elsewhere)
        finally:
            hung.set()


def test_a_proxy_that_stopped_holds_nobody_up(place: SharedPlace) -> None:
    with opened(place) as other:
        with opened(place) as one:
            assert not lead(one).elsewhere and lead(other).elsewhere
        assert not lead(other).elsewhere


def test_a_flight_that_takes_too_long_is_left_to_others(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "FLIGHT_SECONDS", 0.0)
    one, other = two
    assert not lead(one).elsewhere and not lead(other).elsewhere
    one.flights.end(KEY)  # which is the other's by now
    one.flush().result(PATIENCE)
    monkeypatch.setattr(flights, "FLIGHT_SECONDS", 30.0)
    assert not lead(other).elsewhere and lead(one).elsewhere


def test_what_was_over_before_the_database_answered_holds_nobody_up(
    two: Two, postgres: Postgres, place: SharedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a look-up's deadline is over while the statement is under way."""
    one, _ = two
    take = one.flights._take

    def slow(partition: bytes, key: bytes) -> object:
        one.flights.end(key)
        return take(partition, key)

    monkeypatch.setattr(one.flights, "_take", slow)
    lead(one)
    one.flush().result(PATIENCE)
    assert rows(postgres, place) == 0


def test_without_the_database_nobody_waits(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = two
    one._lease.doubt("gone")
    monkeypatch.setattr(one._lease, "_beat", lambda connection: None)
    with pytest.raises(StoreError):
        lead(one)
