"""An index finds what a scan over everything would find, through adding, removing, folding and a snapshot."""

import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from askonce.cache.store.embedded.index import blocks
from askonce.cache.store.embedded.index import partition as index_module
from askonce.cache.store.embedded.index.partition import Index

DIMENSION = 16
KINDS = ["scan", "neighbours", "graph", "without usearch"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way of searching, at sizes that a test can afford."""
    monkeypatch.setattr(index_module, "FIT_FROM", 10**9 if request.param == "scan" else 8)
    monkeypatch.setattr(index_module, "GRAPH_FROM", 8 if request.param in ("graph", "without usearch") else 10**9)
    monkeypatch.setattr(index_module, "GRAPHS", request.param != "without usearch")
    monkeypatch.setattr(index_module, "TAIL", 8)
    return str(request.param)


def units(count: int, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def filled(count: int, **given: Any) -> Index:
    index = Index(DIMENSION, **given)
    for id, row in enumerate(units(count)):
        index.add(id, row)
    return index


def test_empty() -> None:
    index = Index(DIMENSION)
    assert index.nearest(units(1)[0], 5) == []
    assert len(index) == 0 and not index.unfolded


def test_nearest_first_with_its_cosine() -> None:
    index = Index(2)
    for id, angle in enumerate([0.5, 0.1, 3.0]):
        index.add(id, np.array([np.cos(angle), np.sin(angle)], dtype=np.float32))
    found = index.nearest(np.array([1, 0], dtype=np.float32), 2)
    assert [id for id, _ in found] == [1, 0]
    np.testing.assert_allclose([cosine for _, cosine in found], np.cos([0.1, 0.5]), rtol=1e-6)


def test_a_cosine_never_leaves_its_range() -> None:
    index = Index(3)
    vector = np.full(3, np.float32(3**-0.5) * np.float32(1.0001), dtype=np.float32)
    index.add(1, vector)
    assert index.nearest(vector, 1) == [(1, 1.0)]
    assert index.nearest(-vector, 1) == [(1, -1.0)]


@pytest.mark.parametrize("shape", [(3,), (1, 16), ()])
def test_a_vector_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    index = Index(DIMENSION)
    with pytest.raises(ValueError, match=r"expected \(16,\)"):
        index.add(1, np.zeros(shape, dtype=np.float32))
    assert len(index) == 0


steps = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "remove", "fold"]), st.integers(0, 40)), min_size=20, max_size=120
)


@pytest.mark.parametrize("kind", KINDS, indirect=True)
@given(steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_finds_what_a_scan_finds(kind: str, steps: list[tuple[str, int]]) -> None:
    index = Index(DIMENSION)
    kept: dict[int, NDArray[np.float32]] = {}
    rows, queries = units(41), units(3, seed=1)
    for what, id in steps:
        if what == "add":
            index.add(id, rows[id])
            kept[id] = rows[id]
        elif what == "remove":
            assert index.remove(id) == (kept.pop(id, None) is not None)
        else:
            index.fold()
        assert len(index) == len(kept)
    for query in queries:
        found = index.nearest(query, 4)
        expected = sorted(((float(row @ query), id) for id, row in kept.items()), reverse=True)[:4]
        np.testing.assert_allclose([cosine for _, cosine in found], [cosine for cosine, _ in expected], atol=1e-5)
        for id, cosine in found:
            assert float(kept[id] @ query) == pytest.approx(cosine, abs=1e-5)


def test_folding_changes_how_and_not_what(kind: str) -> None:
    index, query = filled(100), units(1, seed=9)[0]
    before = index.nearest(query, 5)
    assert index.unfolded == (kind != "scan")
    index.fold()
    assert not index.unfolded
    kinds = {"scan": "NoneType", "neighbours": "Neighbours", "graph": "Graph", "without usearch": "Neighbours"}
    assert type(index._block).__name__ == kinds[kind]
    assert [id for id, _ in index.nearest(query, 5)] == [id for id, _ in before]


def test_removed_vectors_are_swept_out(kind: str) -> None:
    index = filled(200)
    index.fold()
    for id in range(0, 200, 2):
        index.remove(id)
    assert index.unfolded
    assert all(id % 2 for id, _ in index.nearest(units(1, seed=5)[0], 5))
    before = index.nbytes
    index.fold()
    assert index.nbytes < before
    assert {id for id, _ in index.nearest(units(1, seed=5)[0], 200)} == set(range(1, 200, 2))


def test_a_stopped_fold_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "FIT_FROM", 8)
    monkeypatch.setattr(index_module, "GRAPH_FROM", 8)
    index, stop = filled(300), threading.Event()
    stop.set()
    index.fold(stop)
    assert {id for id, _ in index.nearest(units(1)[0], 300)} == set(range(300))


class _StopsAfter(threading.Event):
    """A stop that comes while a graph is extended."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def is_set(self) -> bool:
        self._steps -= 1
        return self._steps < 0


def test_what_was_built_before_a_stop_is_built_on_after_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FIT_FROM", "GRAPH_FROM", "TAIL"):
        monkeypatch.setattr(index_module, name, 8)
    index, path, built = filled(100, embedder="e", change=7), tmp_path / "one.npz", list[int]()
    for _ in range(3):
        index.unsaved = 0
        index.fold(_StopsAfter(10))
        built.append(index._block.size if index._block else 0)
        assert index.unsaved, "nothing of it would be written at the stop"
        index.save(path, "s")
        again = load(path)
        assert again is not None
        index = again
    assert built == [10 * blocks.STEP, 20 * blocks.STEP, 30 * blocks.STEP]
    assert {id for id, _ in index.nearest(units(1)[0], 100)} == set(range(100))


def test_a_change_is_applied_once_and_in_order() -> None:
    index, rows = Index(DIMENSION, change=3), units(3)
    index.apply(3, [], [(1, rows[0])])
    assert len(index) == 0
    index.apply(5, [], [(2, rows[1])])
    index.apply(5, [2], [])
    index.apply(4, [2], [])
    assert [id for id, _ in index.nearest(rows[1], 5)] == [2]
    index.apply(6, [2, 99], [(7, rows[2])])
    assert [id for id, _ in index.nearest(rows[1], 5)] == [7]
    assert index.change == 6


def test_threads_may_add_remove_fold_and_search_at_once(kind: str) -> None:
    index, rows = Index(DIMENSION), units(400)
    done = threading.Event()
    faults: list[BaseException] = []

    def guard(work: Any) -> None:
        try:
            work()
        except BaseException as fault:
            faults.append(fault)

    def write(part: int) -> None:
        for id in range(part, 400, 2):
            index.add(id, rows[id])
            if id % 5 == 0:
                index.remove(id)

    def read() -> None:
        while not done.is_set():
            for id, cosine in index.nearest(rows[3], 5):
                assert float(rows[id] @ rows[3]) == pytest.approx(cosine, abs=1e-5)

    def fold() -> None:
        while not done.is_set():
            index.fold()

    others = [threading.Thread(target=guard, args=(work,)) for work in (read, fold)]
    writers = [threading.Thread(target=guard, args=(lambda part=part: write(part),)) for part in (0, 1)]
    for thread in others + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in others:
        thread.join()
    assert faults == []
    index.fold()
    assert {id for id, _ in index.nearest(rows[3], 400)} == {id for id in range(400) if id % 5}


def load(path: Path, **given: Any) -> Index | None:
    values: dict[str, Any] = {"store": "s", "dimension": DIMENSION, "embedder": "e", "change": 7}
    return Index.load(path, **values | given)


@pytest.fixture
def saved(kind: str, tmp_path: Path) -> tuple[Index, Path]:
    index, path = filled(60, embedder="e", change=7), tmp_path / "one.npz"
    index.remove(5)
    index.fold()
    index.add(60, units(61)[60])
    index.save(path, "s")
    return index, path


def test_a_snapshot_gives_the_same_index(saved: tuple[Index, Path]) -> None:
    index, path = saved
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert index.unsaved == 0
    again = load(path)
    assert again is not None
    assert again.nearest(units(1)[0], 60) == index.nearest(units(1)[0], 60)
    assert (len(again), again.change, again.unsaved) == (60, 7, 0)
    again.add(61, units(62)[61])
    again.remove(60)
    assert {id for id, _ in again.nearest(units(1)[0], 99)} == {*range(60), 61} - {5}
    assert [p.name for p in path.parent.iterdir()] == ["one.npz"]


@pytest.mark.parametrize("other", [{"store": "t"}, {"embedder": "f"}, {"change": 8}, {"change": 6}, {"dimension": 8}])
def test_a_snapshot_of_something_else_is_not_used(saved: tuple[Index, Path], other: dict[str, Any]) -> None:
    assert load(saved[1], **other) is None


def test_a_missing_snapshot_is_not_used(tmp_path: Path) -> None:
    assert load(tmp_path / "none.npz") is None


def test_a_torn_or_damaged_snapshot_is_not_used(saved: tuple[Index, Path]) -> None:
    index, path = saved
    whole = path.read_bytes()
    expected = index.nearest(units(1)[0], 60)
    for cut in range(0, len(whole), 331):
        path.write_bytes(whole[:cut])
        assert load(path) is None
    for at in range(0, len(whole), 131):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        again = load(path)  # a flipped bit that nothing reads (a date in the zip) is no damage
        assert again is None or again.nearest(units(1)[0], 60) == expected
    path.write_bytes(b"\x80\x04cposix\nsystem\n")
    assert load(path) is None


def test_a_snapshot_that_cannot_be_written_leaves_the_old_one(saved: tuple[Index, Path]) -> None:
    index, path = saved
    with pytest.raises(OSError):
        index.save(path.parent / "missing" / "one.npz", "s")
    assert load(path) is not None
