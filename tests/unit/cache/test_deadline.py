"""No look-up takes longer than it may: the slow is a miss that is counted, the busy is waited for elsewhere."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from askonce.cache import Candidate, Judgement, Policy, Vector
from askonce.cache.store.embedded.index import blocks
from askonce.cache.store.embedded.index import partition as index_module
from askonce.cache.store.embedded.index.blocks import Busy
from askonce.cache.store.embedded.index.partition import Index

ASKED = "How do I sort a list in Python?"
REWORDED = "What is the way to sort a Python list?"
LONG = " ".join([REWORDED] * 12)
"""Too long to be looked up at once: what holds the judge up here would hold up the event loop."""
DIMENSION = 16


def units(count: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(7).normal(size=(count, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Slow:
    """A judge that waits until it is told to go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        self.go_on.wait(30)
        return [Judgement(1.0) for _ in candidates]


@pytest.fixture
async def slow(bench: Any) -> Any:
    """A cache with an entry, a deadline, and a judge that can be held up."""
    bench.judge = Slow()
    bench.lookup_deadline = 0.05
    await bench.restart()
    await bench.remember(ASKED)
    yield bench.judge
    bench.judge.go_on.set()


async def test_a_slow_look_up_is_a_miss_that_is_counted(bench: Any, slow: Slow) -> None:
    slow.go_on.clear()
    begin = time.perf_counter()
    found = await bench.ask(REWORDED)
    took = time.perf_counter() - begin
    assert (found.outcome, found.reason) == ("miss", "deadline")
    assert bench.counted == {"look-up deadline": 1}
    assert bench.cache.stats()["misses"] == 1
    assert took < 5, "it waited for the judge"
    slow.go_on.set()
    assert (await bench.remember(REWORDED, found=found)).vector is not None


async def test_what_nobody_waits_for_any_more_is_not_begun(bench: Any, slow: Slow) -> None:
    slow.go_on.clear()
    found = await asyncio.gather(*[bench.ask(LONG) for _ in range(40)])
    assert {one.reason for one in found} == {"deadline"}
    assert bench.counted == {"look-up deadline": 40}
    slow.go_on.set()
    bench.lookup_deadline = None
    await bench.restart()  # waits for all that was begun
    assert (await bench.ask(LONG)).outcome == "semantic"


async def test_a_batch_may_take_as_long_as_its_texts(bench: Any, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = bench.identify(bench.call(ASKED))
    assert bench.cache._timely._patience([identity] * 100) == 0.05
    assert bench.cache._timely._patience([identity] * 250) == 0.125
    same = bench.cache._finder.look_up_same

    def slowly(*given: Any) -> Any:
        time.sleep(0.005)
        return same(*given)

    monkeypatch.setattr(bench.cache._finder, "look_up_same", slowly)
    assert not any(await bench.cache.look_up_each([identity] * 100, Policy()))
    assert bench.counted == {"look-up deadline": 1}


async def test_a_remote_embedder_has_its_own_time(bench: Any, slow: Slow) -> None:
    real = bench.embedder

    class Remote:
        name, dimension, limit, timeout = real.name, real.dimension, real.limit, 5.0

        def embed(self, texts: Sequence[str]) -> Any:
            time.sleep(0.1)
            return real.embed(texts)

    bench.embedder = Remote()
    await bench.restart()
    assert (await bench.ask(REWORDED)).outcome == "semantic"


async def test_a_look_up_waits_for_a_loading_embedder_no_longer_than_it_may(bench: Any, slow: Slow) -> None:
    await bench.cache.close()
    loading = threading.Event()
    bench.embedder, real = "wordllama", bench.embedder

    def load() -> Any:
        loading.wait(30)
        return real

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("askonce.cache.cache.find_embedder", lambda name, options: load)
        bench.open()
        found = await bench.ask(REWORDED)
        assert (found.reason, bench.counted) == ("embedder loading", {})
        loading.set()
        assert await bench.cache.ready()
        assert (await bench.ask(REWORDED)).outcome == "semantic"


# The index


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index with a graph of 40 vectors and 60 that are not in it."""
    for name in ("FIT_FROM", "GRAPH_FROM", "TAIL"):
        monkeypatch.setattr(index_module, name, 8)
    index, rows = Index(DIMENSION), units(100)
    for id in range(40):
        index.add(id, rows[id])
    index.fold()
    for id in range(40, 100):
        index.add(id, rows[id])
    yield index


class Recorded:
    """A graph's inside that notes who had it, and takes its time to grow."""

    def __init__(self, real: Any) -> None:
        self._real, self.log, self.grown = real, list[str](), threading.Event()

    def add(self, *given: Any, **named: Any) -> Any:
        self.log.append("add")
        self.grown.set()
        time.sleep(0.005)
        return self._real.add(*given, **named)

    def search(self, *given: Any, **named: Any) -> Any:
        self.log.append("search")
        return self._real.search(*given, **named)


def test_a_search_comes_before_the_next_step_of_growing(graph: Index) -> None:
    block: Any = graph._block
    inside = block._graph = Recorded(block._graph)
    folding = threading.Thread(target=graph.fold)
    folding.start()
    inside.grown.wait()
    gaps = []
    for query in units(5):
        before = len(inside.log)
        graph.nearest(query, 3)
        gaps.append(inside.log[before:].index("search"))
    folding.join()
    assert max(gaps) <= 2, inside.log
    assert inside.log.count("add") == 60 / blocks.STEP and not graph.unfolded


def test_who_will_not_wait_is_told_at_once(graph: Index) -> None:
    block: Any = graph._block
    with block._lock, pytest.raises(Busy):
        graph.nearest(units(1)[0], 3, patience=0.0)
    assert len(graph.nearest(units(1)[0], 3, patience=0.0)) == 3
    with block._lock, pytest.raises(Busy):
        graph.nearest(units(1)[0], 3, patience=0.01)


def test_a_long_scan_is_nothing_for_who_will_not_wait(graph: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "AT_ONCE", 59)
    with pytest.raises(Busy):
        graph.nearest(units(1)[0], 3, patience=0.0)
    assert len(graph.nearest(units(1)[0], 3)) == 3


def test_searches_do_not_wait_for_changes(graph: Index) -> None:
    done = threading.Event()

    def search() -> None:
        graph.nearest(units(1)[0], 3)
        done.set()

    with graph._lock:
        thread = threading.Thread(target=search)
        thread.start()
        assert done.wait(30)
    thread.join()


def test_a_sweep_serves_from_the_old_graph_and_takes_in_what_came_meanwhile(
    graph: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.fold()
    for id in range(40):
        graph.remove(id)
    old, rows, real = graph._block, units(120), blocks.Graph.extend

    def extend(self: Any, *given: Any) -> None:
        if self is not old and not self.size:
            assert graph._block is old
            graph.remove(50)
            graph.add(110, rows[110])
            graph.add(60, rows[111])
            assert [id for id, _ in graph.nearest(rows[110], 1)] == [110]
        real(self, *given)

    monkeypatch.setattr(blocks.Graph, "extend", extend)
    graph.fold()
    assert graph._block is not old
    assert {id for id, _ in graph.nearest(rows[0], 200)} == {*range(40, 100), 110} - {50}
    assert graph.nearest(rows[111], 1)[0][0] == 60
    assert graph._used - len(graph) <= 2


def test_a_stopped_sweep_leaves_the_old_graph(graph: Index) -> None:
    graph.fold()
    for id in range(40):
        graph.remove(id)
    old, stop = graph._block, threading.Event()
    stop.set()
    graph.fold(stop)
    assert graph._block is old
    assert {id for id, _ in graph.nearest(units(1)[0], 200)} == set(range(40, 100))


def test_what_a_stop_cut_short_is_finished_once(graph: Index, tmp_path: Any) -> None:
    """A snapshot with a part of the graph is built on at the next start, and that is kept."""
    path, named = tmp_path / "one.npz", {"dimension": DIMENSION, "embedder": "", "change": 0}
    graph.save(path, "s")
    for unfolded in (True, False):
        index = Index.load(path, "s", **named)
        assert index is not None and index.unfolded == unfolded
        if unfolded:
            index.fold()
            assert index.unsaved
            index.save(path, "s")
