"""What goes in comes out, within limits, for as long as it may live; and a store that fails fails whole."""

import contextlib
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.entries import NOW, entry, with_vector
from tests.support.stores import closed_at_the_end
from tests.support.waiting import PATIENCE

from askonce.cache.store import Entry, StoreError
from askonce.cache.store.embedded import database, schema, writer
from askonce.cache.store.embedded.store import Store
from askonce.cache.store.embedded.transaction import Change
from askonce.cache.store.eviction import level
from askonce.call import Answer
from askonce.faults import Faults

Open = Callable[..., Store]


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    with closed_at_the_end(lambda **given: Store(tmp_path / "data", **{"clock": lambda: NOW} | given)) as opened:
        yield opened


@pytest.fixture
def store(open_store: Open) -> Store:
    return open_store()


def test_the_same_key_is_replaced_under_a_new_id(store: Store) -> None:
    first = store.put(entry(1)).result()
    second = store.put(entry(1, prompt="again")).result()
    assert second.id > first.id
    assert store.get_many([first.id, second.id]) == [second]
    assert dict(store.keys) == {bytes.fromhex(second.key): second.id}
    assert len(store) == 1


def test_it_is_all_there_after_a_restart(store: Store, open_store: Open) -> None:
    kept = [store.put(with_vector(number, bytes([number % 3]) * 16)).result() for number in range(10)]
    store.touch(kept[3].id)
    size, id = store.size, store.id
    store.close()
    again = open_store()
    assert again.list(limit=99) == kept[::-1]
    assert (len(again), again.size, again.partitions, again.id) == (10, size, 3, id)
    assert again.keys == {bytes.fromhex(e.key): e.id for e in kept}
    found = again.get(kept[3].key)
    assert found and found.hits == 1


def test_files_are_private(store: Store) -> None:
    store.put(entry(1)).result()
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}
    log = {"askonce.db-wal"} if sys.platform != "win32" else {"askonce.db-wal", "askonce.db-shm"}
    assert modes == dict.fromkeys({".gitignore", "askonce.db", "lock"} | log, 0o600)


def test_vectors_are_of_one_partition_and_one_embedder(store: Store) -> None:
    ours = [store.put(with_vector(number)).result() for number in range(3)]
    last = store.change(b"p" * 16)
    store.put(with_vector(3, partition=b"q" * 16)).result()
    store.put(entry(6)).result()
    store.put(with_vector(4, embedder="f")).result()
    store.put(with_vector(5, dimension=8)).result()
    found = store.vectors(b"p" * 16, "e", 4)
    assert found.ids.tolist() == [e.id for e in ours]
    np.testing.assert_array_equal(found.rows, np.eye(4, dtype=np.float32)[:3])
    assert found.change > last
    everywhere = [id for ids, _ in store.all_vectors("e", 4) for id in ids.tolist()]
    assert everywhere == [*found.ids.tolist(), ours[-1].id + 1]
    nothing = store.vectors(b"r" * 16, "e", 4)
    assert (nothing.change, nothing.ids.shape, nothing.rows.shape) == (0, (0,), (0, 4))


def test_changes_are_told_in_order_before_the_acknowledgement(store: Store) -> None:
    told: list[Change] = []
    store.observe(told.extend)
    one = store.put(entry(1)).result()
    assert told == [Change(one.partition, 1, added=one)]
    two = store.put(entry(2)).result()
    three = store.put(entry(1, prompt="again")).result()
    assert store.delete(two.key).result()
    store.clear().result()
    assert told[1:] == [
        Change(one.partition, 2, added=two),
        Change(one.partition, 3, removed=(one.id,)),
        Change(one.partition, 4, added=three),
        Change(one.partition, 5, removed=(two.id,)),
        Change(one.partition, 6, removed=(three.id,), emptied=True),
    ]
    assert store.change(one.partition) == 0


def test_a_partition_that_fills_again_never_repeats_a_change(store: Store, open_store: Open) -> None:
    store.put(entry(1)).result()
    before = store.change(b"p" * 16)
    store.clear().result()
    store.close()
    again = open_store()
    again.put(entry(1)).result()
    assert again.change(b"p" * 16) > before


def test_an_observer_that_fails_harms_nobody(open_store: Open, caplog: pytest.LogCaptureFixture) -> None:
    counted = list[str]()
    store = open_store(faults=Faults(counted.append))
    store.observe(lambda changes: 1 / 0)  # type: ignore[arg-type]
    assert store.put(entry(1)).result().id == 1
    assert store.put(entry(2)).result().id == 2
    assert counted == ["memory", "memory"]
    assert caplog.text.count("could not be followed") == 1


def test_a_hundredth_is_evicted_at_once(open_store: Open) -> None:
    store = open_store(max_entries=200)
    for future in [store.put(entry(number)) for number in range(201)]:
        future.result()
    assert len(store) == 198


def of(caller: str, namespace: str, number: int, **given: Any) -> Entry:
    """An entry of a caller's namespace."""
    parts = {"credential": caller * 16, "namespace": namespace * 16}
    return entry(number, parts=parts, partition=(caller * 8 + namespace * 8).encode(), **given)


def owners(store: Store) -> Counter[str]:
    return Counter(entry.tenant[0] + entry.tenant[-1] for entry in store.list(limit=10_000))


def test_full_callers_end_with_equal_shares(open_store: Open) -> None:
    store = open_store(max_entries=90)
    for number in range(90):
        store.put(of("a", "0", number)).result()
    for number in range(100, 400, 2):
        store.put(of("b", "0", number)).result()
        store.put(of("c", "0", number + 1)).result()
    assert all(abs(held - 30) <= 1 for held in owners(store).values()), owners(store)


def test_a_callers_namespaces_are_one_share(open_store: Open) -> None:
    store = open_store(max_entries=100)
    for number in range(40):
        store.put(of("a", "0", number, created=NOW - 100)).result()
    for number in range(100, 400):
        store.put(of("b", "0123456789"[number % 10], number)).result()
    held = owners(store)
    assert held.pop("a0") == 40
    assert all(5 <= one <= 6 for one in held.values()) and len(held) == 10, held


def test_shares_survive_a_restart_and_a_failed_write(open_store: Open) -> None:
    store = open_store(max_entries=100)
    for number in range(30):
        store.put(of("a", "0", number, created=NOW - 100)).result()
    with pytest.raises(StoreError):
        store.put(of("a", "0", 99, prompt="\ud800")).result()
    assert store._writer._shares.held(of("a", "0", 1).tenant, 0) == 30
    store.close()
    store = open_store(max_entries=100)
    for number in range(100, 300):
        store.put(of("b", "0", number)).result()
    assert owners(store)["a0"] == 30
    store.clear().result()
    assert store._writer._shares._held == {}


def test_entries_of_the_schema_before_are_given_their_tenant(open_store: Open) -> None:
    store = open_store()
    store.put(of("a", "0", 1)).result()
    store.put(entry(2, parts={})).result()
    store.close()
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        connection.executescript(
            "ALTER TABLE entry DROP COLUMN request; DROP TABLE alias;"
            "DROP INDEX usage_tenant; ALTER TABLE usage DROP COLUMN tenant; PRAGMA user_version = 5;"
            "CREATE INDEX usage_last_used ON usage (last_used);"
        )
    again = open_store()
    assert again._writer._shares.held("a" * 16 + "0" * 16, 0) == 1
    assert again._writer._shares.held(entry(2).partition.hex(), 0) == 1
    assert again.request(entry(2).key) == b""


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(0, 300))
def test_a_level_is_the_highest_that_fits(held: list[int], limit: int) -> None:
    found = level(held, limit)
    assert sum(min(one, found) for one in held) <= limit
    assert found >= max(held, default=0) or sum(min(one, found + 1) for one in held) > limit


def test_expired_entries_are_purged(store: Store) -> None:
    for number, life in enumerate([10, 20, 30]):
        store.put(entry(number, stale_until=NOW + life)).result()
    assert store.purge(NOW + 9.9).result() == 0
    assert store.purge(NOW + 20).result() == 2
    assert [int(e.key, 16) for e in store.list()] == [2]


@pytest.mark.parametrize("moment", ["committed", "read"])
def test_a_hit_counts_once_while_it_is_being_written(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whoever reads between the commit and what memory learns of it, or whose reading is overtaken by both."""
    store = open_store()
    store.put(entry()).result(PATIENCE)
    seen: list[int] = []

    def look() -> None:
        seen.extend(found.hits for found in store.list())

    if moment == "committed":
        learn = writer.EmbeddedWriter._learn
        monkeypatch.setattr(writer.EmbeddedWriter, "_learn", lambda *given: (look(), learn(*given)))
    else:
        rows = Store._rows

        def overtaken(store: Store, query: str, values: Any) -> Any:
            found = rows(store, query, values)
            store.flush().result(PATIENCE)
            return found

        monkeypatch.setattr(Store, "_rows", overtaken)
    store.touch(1)
    if moment == "committed":
        store.flush().result(PATIENCE)
    look()
    store.touch(1)
    look()
    assert seen == ([1, 1, 2] if moment == "committed" else [1, 2])


def test_hits_that_could_not_be_written_are_written_later(open_store: Open) -> None:
    store = open_store()
    store.put(entry()).result(PATIENCE)
    store.touch(1)

    def broken(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StoreError):
        store._writer.submit(broken).result(PATIENCE)
    store.touch(1)
    assert [found.hits for found in store.list()] == [2]
    store.flush().result(PATIENCE)
    assert [found.hits for found in store.list()] == [2]


def test_hits_and_purging_need_nobody_to_ask(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "TIDY_SECONDS", 0.01)
    monkeypatch.setattr(writer, "PURGE_SECONDS", 0.02)
    store = open_store(clock=lambda: NOW + 60)
    gone = threading.Event()
    kept = store.put(entry(1, stale_until=NOW + 99)).result()
    store.observe(lambda changes: gone.set() if any(change.removed for change in changes) else None)
    store.touch(kept.id)
    store.put(entry(2, partition=b"q" * 16)).result()
    assert gone.wait(PATIENCE)
    store.flush().result()
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT id, hits, last_used FROM usage").fetchall() == [(kept.id, 1, NOW + 60)]
    connection.close()


def hold(gate: threading.Event) -> None:
    assert gate.wait(PATIENCE)


def test_one_that_cannot_be_written_does_not_fail_the_others(store: Store) -> None:
    gate = threading.Event()
    store.observe(lambda changes: hold(gate))  # so that the rest comes in one batch
    first = store.put(entry(0))
    futures = [store.put(entry(number, prompt="\ud800" if number == 2 else "fine")) for number in range(1, 5)]
    gate.set()
    assert first.result().id == 1
    results = [future.exception() for future in futures]
    assert [type(result) for result in results] == [type(None), StoreError, type(None), type(None)]
    assert {int(e.key, 16) for e in store.list()} == {0, 1, 3, 4}


def test_too_many_waiting_writes_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    store.observe(lambda changes: hold(gate))
    futures: list[Future[Entry]] = [store.put(entry(0))]
    monkeypatch.setattr(store._writer._gathering._queue, "maxsize", 3)
    futures += [store.put(entry(number)) for number in range(1, 10)]
    gate.set()
    outcomes = [future.exception() for future in futures]
    assert any(isinstance(outcome, StoreError) and "already wait" in str(outcome) for outcome in outcomes)
    assert {int(e.key, 16) for e in store.list()} == {n for n, outcome in enumerate(outcomes) if outcome is None}


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.put(entry(1)).result()
    with pytest.raises(StoreError, match="closed"):
        store.get(entry(1).key)


def test_the_folder_belongs_to_one_process(store: Store) -> None:
    code = f"from askonce.cache.store.embedded.store import Path, Store; Store(Path({str(store.path.parent)!r}))"
    with pytest.raises(StoreError, match="in use by another Askonce"):
        Store(store.path.parent)  # in this process; which must not let go of the lock that keeps others out
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("data is in use by another Askonce")


def test_a_newer_schema_is_refused_and_left_alone(store: Store, open_store: Open) -> None:
    store.put(entry(1)).result()
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    before = store.path.read_bytes()
    with pytest.raises(StoreError, match=rf"newer Askonce \(schema {schema.VERSION + 1}, this"):
        open_store()
    assert store.path.read_bytes() == before


def test_the_kins_of_the_entries_are_known_without_the_disk(store: Store, open_store: Open) -> None:
    kept = [store.put(entry(n, kin=n - 1)).result() for n in (1, 2, 3)]
    assert dict(store.kins) == {kept[1].id: 1, kept[2].id: 2}
    again = store.put(entry(2, kin=9)).result()
    store.delete(kept[2].key).result()
    assert dict(store.kins) == {again.id: 9}
    store.close()
    assert dict(open_store().kins) == {again.id: 9}


def aside(store: Store) -> list[str]:
    return [path.name for path in store.path.parent.glob("*.corrupt-*") if not path.name.endswith(("-wal", "-shm"))]


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"this is no database" * 1000,
        lambda whole: whole[:100] + b"\xff" * 300 + whole[400:],
        lambda whole: whole[:4096],
        lambda whole: whole[:4096] + b"\xff" * (len(whole) - 4096),
    ],
    ids=["other", "header", "cut", "pages"],
)
def test_a_damaged_file_is_moved_aside(
    store: Store, open_store: Open, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        store.put(with_vector(number)).result()
    store.close()
    damaged = damage(store.path.read_bytes())
    store.path.write_bytes(damaged)
    again = open_store()
    assert len(again) == 0
    assert again.put(entry(1)).result() == again.get(entry(1).key)
    assert again.id != store.id
    [name] = aside(again)
    assert (again.path.parent / name).read_bytes() == damaged
    assert [r.levelno for r in caplog.records] == [logging.WARNING]  # an error would end the start
    assert name in caplog.text


def test_damage_that_shows_later_is_moved_aside_at_the_next_start(store: Store, open_store: Open) -> None:
    kept = store.put(entry(1, answer=Answer(b"x" * 100_000))).result()
    store.close()
    whole = bytearray(store.path.read_bytes())
    at = whole.index(b"x" * 4000) // 4096 * 4096  # an overflow page's link to the next
    whole[at : at + 4] = b"\xff\xff\xff\xff"
    store.path.write_bytes(whole)
    again = open_store()
    assert len(again) == 1
    with pytest.raises(StoreError, match="damaged and will be moved aside at the next start"):
        again.get(kept.key)
    again.close()
    last = open_store()
    assert len(last) == 0 and len(aside(last)) == 1
    last.close()
    assert len(aside(open_store())) == 1


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        Store(tmp_path / "file" / "data")


def test_deleted_text_is_gone_from_the_disk(store: Store) -> None:
    kept = store.put(entry(1, prompt="xyzzy-prompt", answer=Answer(b"xyzzy-answer" * 2000))).result()
    store.put(entry(2)).result()
    assert store.delete(kept.key).result()
    store.close()
    found = [path.name for path in store.path.parent.iterdir() if b"xyzzy" in path.read_bytes()]
    assert found == []


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store import entry
from askonce.cache.store import StoreError
from askonce.cache.store.embedded.store import Store
from askonce.call import Answer

store = Store(Path(sys.argv[1]))
body = bytes(20_000)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
kept, faults = [], []
for number in range(60):
    future = store.put(entry(number, answer=Answer(body)))
    try:
        kept.append(future.result())
    except StoreError as error:
        faults.append(str(error))
assert 5 < len(kept) < 60, len(kept)
assert all("the disk" in fault for fault in faults), faults
assert len(store) == len(kept) == store.count(), (len(store), len(kept), store.count())
assert [store.get(e.key) for e in kept] == kept
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
kept.append(store.put(entry(99, answer=Answer(body))).result())
store.close()
again = Store(Path(sys.argv[1]))
assert again.list(limit=999) == kept[::-1]
again.close()
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a limit on the size of files, which this system lacks")
def test_a_full_disk_fails_whole_and_reads_go_on(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "data"), here]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_why_a_write_failed_is_said_plainly() -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert database.describe(error) == "the disk is full (database or disk is full)"
    assert database.describe(ValueError("odd")) == "odd"
