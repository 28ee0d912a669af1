"""A database that is slow, gone, cut off, read-only: nobody waits for it long, and what was acknowledged is there."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from tests.support.entries import NOW, P, entry
from tests.support.postgres import Postgres, running
from tests.support.waiting import until

from askonce.cache.store import CacheLimits, Entry, SharedPlace, StoreError
from askonce.cache.store.shared.answers import SharedAnswers
from askonce.cache.store.shared.connections import LOOK_SECONDS, WRITE_SECONDS
from askonce.cache.store.shared.lease import LEASE_SECONDS
from askonce.faults import Faults

SLACK = 20.0
"""Seconds that a busy machine may take over what should take none."""
UNKNOWN = bytes(16)


@pytest.fixture(autouse=True)
def _busy_machine() -> None:
    """With the patience that a proxy has."""


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    """A server to which bad things happen."""
    with running() as server:
        yield server


class Store:
    """One store, and what was told of it."""

    def __init__(self, place: SharedPlace) -> None:
        self.counted = Counter[str]()
        faults = Faults(lambda kind: self.counted.update([kind]))
        self.answers = SharedAnswers(place, CacheLimits(), clock=lambda: NOW, faults=faults)

    def until_well(self) -> None:
        """The database has answered again, and may be asked."""

        def asked() -> bool:
            try:
                self.answers.same(P, UNKNOWN)
                return not self.answers.failure
            except StoreError:
                return False

        until(asked)

    def put(self, number: int) -> Entry:
        """An entry that is acknowledged, however often it takes."""
        return until(lambda: _result(self.answers.put(entry(number))))


def _result[T](future: "Future[T]") -> T | None:
    try:
        return future.result(WRITE_SECONDS + LEASE_SECONDS + SLACK)
    except StoreError:
        return None


@pytest.fixture
def store(own: Postgres) -> Iterator[Store]:
    store = Store(own.place())
    yield store
    store.answers.close()


def refused(store: Store) -> float:
    """Seconds that a look-up took to fail."""
    start = time.monotonic()
    with pytest.raises(StoreError):
        store.answers.same(P, UNKNOWN)
    return time.monotonic() - start


def test_a_server_that_stands_still_is_waited_for_once(store: Store, own: Postgres) -> None:
    kept = store.put(1)
    own.signal(signal.SIGSTOP)
    try:
        assert refused(store) < LOOK_SECONDS + SLACK
        assert not store.answers._lease.is_held  # from now on nobody waits
        start = time.monotonic()
        for _ in range(100):
            refused(store)
            with pytest.raises(StoreError):
                store.answers.put(entry(2)).result()
        assert time.monotonic() - start < SLACK
        assert store.answers.held(bytes.fromhex(kept.key)) is None
        assert "database" in store.answers.failure
    finally:
        own.signal(signal.SIGCONT)
    store.until_well()
    assert store.answers.same(P, bytes.fromhex(kept.key)) == kept


def test_memory_is_not_served_from_once_the_lease_is_over(store: Store, own: Postgres) -> None:
    key = bytes.fromhex(store.put(1).key)
    until(lambda: store.answers.held(key))
    own.signal(signal.SIGSTOP)
    try:
        until(lambda: store.answers.held(key) is None)
    finally:
        own.signal(signal.SIGCONT)
    store.until_well()


def test_a_cut_connection_costs_nothing_that_was_acknowledged(
    store: Store, own: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    kept = store.put(1)
    for _ in range(5):
        with own.connect() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")
        store.until_well()
        assert until(lambda: _same(store, kept)) == kept
    assert store.put(2).key == entry(2).key
    told = [record for record in caplog.records if record.message.startswith("shared store: the cache could not reach")]
    assert len(told) == 1 and not told[0].exc_info  # a line, and no traceback


def _same(store: Store, kept: Entry) -> Entry | None:
    try:
        return store.answers.same(P, bytes.fromhex(kept.key))
    except StoreError:
        return None


def test_a_database_that_cannot_be_written_is_told_of(store: Store, own: Postgres) -> None:
    kept = store.put(1)

    def read_only(word: str) -> None:
        with own.connect() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER DATABASE postgres SET default_transaction_read_only = {word}".encode())
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")

    read_only("on")
    try:
        until(lambda: "read-only transaction" in store.answers.failure)
        with pytest.raises(StoreError, match="read-only transaction"):
            store.answers.put(entry(2)).result()
    finally:
        read_only("off")
    store.until_well()
    assert until(lambda: _same(store, kept)) == kept


def test_killed_under_load_it_keeps_what_was_acknowledged(store: Store, own: Postgres) -> None:
    """Three times; `python -m tests.shared --kills 20` has proxies before it, and kills those as well."""
    kept, gone = set[str](), set[str]()
    stop = threading.Event()

    def work(part: int) -> None:
        number = part
        while not stop.is_set():
            number += 4
            one = _result(store.answers.put(entry(number)))
            if one is None:
                stop.wait(0.01)
            elif number % 3:
                kept.add(one.key)
            elif _result(store.answers.delete(one.key)):
                gone.add(one.key)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            before = len(kept), len(gone)
            until(lambda before=before: len(kept) > before[0] + 10 and len(gone) > before[1] + 3)  # type: ignore[misc]
            own.kill()
            own.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    store.until_well()
    there = {one.key for one in store.answers.list(limit=100_000)}
    assert kept <= there and not gone & there
    assert store.counted["shared store"] >= 1


def test_many_entries_may_take_long_to_clear(store: Store, own: Postgres) -> None:
    store.put(1)
    schema = store.answers._place.schema
    with own.connect() as connection:
        body = f"BEGIN PERFORM pg_sleep({WRITE_SECONDS + 1}); RETURN OLD; END"
        connection.execute(f"CREATE FUNCTION {schema}.slow() RETURNS trigger LANGUAGE plpgsql AS $${body}$$".encode())
        each = f"BEFORE DELETE ON {schema}.entry FOR EACH ROW EXECUTE FUNCTION {schema}.slow()"
        connection.execute(f"CREATE TRIGGER slow {each}".encode())
    assert until(lambda: _result(store.answers.clear())) == 1


def test_a_start_without_the_database_says_so() -> None:
    place = SharedPlace("postgresql://askonce@/askonce?host=/nowhere")
    with pytest.raises(StoreError, match="the cache could not use the database at /nowhere/askonce: "):
        SharedAnswers(place, CacheLimits(), clock=lambda: NOW, faults=Faults())
