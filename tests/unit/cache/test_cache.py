"""The cache through its own door: what hits, what misses and why, what is remembered, and what a fault does."""

import asyncio
import logging
import math
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.waiting import PATIENCE

from askonce.cache import Cache, CacheLimits, Candidate, Entry, Judgement, Policy, StoreError, Vector
from askonce.cache.judge import load_judge
from askonce.cache.judge.difference import LONGEST
from askonce.cache.store.embedded.index import indexes as indexes_module
from askonce.cache.store.embedded.index import partition as index_module
from askonce.call import Answer

ASKED = "How do I sort a list in Python?"
REWORDED = "What is the way to sort a Python list?"  # cosine 0.963
OTHER = "Who painted the Mona Lisa?"
STRICT = Policy(max_error=0.0)


@pytest.mark.both_stores
async def test_an_identical_call_hits_from_memory(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    found = bench.cache.look_up_in_memory(bench.identify(bench.call(ASKED)), Policy())
    assert found is not None
    assert (found.outcome, found.entry, found.similarity, found.stale) == ("exact", entry, 1.0, False)


async def test_an_identical_call_hits_from_disk(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    await bench.restart()
    identity = bench.identify(bench.call(ASKED))
    assert bench.cache.look_up_in_memory(identity, Policy()) is None
    found = await bench.cache.look_up(bench.call(ASKED), identity, Policy())
    assert (found.outcome, found.entry) == ("exact", entry)
    assert bench.cache.look_up_in_memory(identity, Policy()) is not None


@pytest.mark.both_stores
async def test_another_wording_hits(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    await bench.remember(OTHER)
    found = await bench.ask(REWORDED)
    assert (found.outcome, found.entry, found.nearest, found.reason) == ("semantic", entry, entry, "")
    assert found.similarity == found.probability == pytest.approx(0.963, abs=0.001)


@pytest.mark.both_stores
async def test_a_refused_candidate_is_told(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    found = await bench.ask(REWORDED, STRICT)
    assert (found.outcome, found.entry, found.nearest) == ("miss", None, entry)
    assert found.reason == "probability 0.96 < 1.00"
    assert found.similarity == found.probability == pytest.approx(0.963, abs=0.001)


async def test_the_shipping_judge_says_what_spoke_against_it(bench: Any) -> None:
    bench.judge = load_judge()
    await bench.restart()
    await bench.remember("How do I convert 10 miles to km?")
    found = await bench.ask("How do I convert 10 km to miles?")
    assert found.outcome == "miss"
    assert found.similarity is not None and found.similarity > 0.97
    assert found.reason


@pytest.mark.both_stores
async def test_nothing_there(bench: Any) -> None:
    found = await bench.ask(ASKED)
    assert (found.outcome, found.reason, found.nearest, found.vector) == ("miss", "no entry", None, None)


@pytest.mark.parametrize(
    "other",
    [{"model": "n"}, {"system": "Be rude."}, {"sampling": {"temperature": 0}}, {"scope": "sk-2"}, {"history": []}],
)
async def test_the_same_prompt_with_another_part_misses(bench: Any, other: dict[str, Any]) -> None:
    await bench.remember(ASKED)
    for prompt in (ASKED, REWORDED):
        assert (await bench.ask(prompt, Policy(max_error=1.0), **other)).reason == "no entry"


class Yes:
    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [Judgement(1.0)] * len(candidates)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.booleans()), min_size=1, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
def test_partitions_never_mix(
    tmp_path_factory: pytest.TempPathFactory, wordllama: Any, steps: list[tuple[int, str, bool]]
) -> None:
    async def run() -> None:
        directory = tmp_path_factory.mktemp("data")
        cache = Cache.open(directory, embedder=wordllama, judge=Yes())
        kept: set[int] = set()
        for number, (system, word, restart) in enumerate(steps):
            call = _call(f"Is {word} the item number {number} in the list?", system)
            identity = cache.identify(call, host="h", scope="s")
            found = await cache.look_up(call, identity, Policy(max_error=1.0))
            assert (found.outcome == "semantic") == (system in kept)
            assert found.entry is None or found.entry.parts == identity.parts
            await cache.remember(call, identity, Answer(b"{}"), upstream="u", host="h", ttl=9, upstream_seconds=1)
            kept.add(system)
            if restart:
                await cache.close()
                cache = Cache.open(directory, embedder=wordllama, judge=Yes())
        await cache.close()

    asyncio.run(run())


def _call(prompt: str, system: int) -> Any:
    from askonce.call import Call

    return Call("generic", prompt, {"system": system})


async def test_the_most_probable_candidate_is_served(bench: Any) -> None:
    class Backwards:
        def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
            assert [c.cosine for c in candidates] == sorted((c.cosine for c in candidates), reverse=True)
            assert all(float(c.vector @ vector) == pytest.approx(c.cosine, abs=1e-5) for c in candidates)
            return [Judgement(0.9 if c.prompt == farther else 0.82) for c in candidates]

    farther = "In Python, how do I sort a dictionary?"

    bench.judge = Backwards()
    await bench.restart()
    await bench.remember(ASKED)
    other = await bench.remember(farther, body=b'{"answer":43}')
    assert (await bench.ask(REWORDED)).entry == other


async def test_a_closer_look_is_prepared_for_once_there_is_something_to_compare_with(bench: Any) -> None:
    class Closer:
        prepared = 0

        def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
            return [Judgement(0.5) for _ in candidates]

        def prepare(self) -> None:
            self.prepared += 1
            is_prepared.set()

        def doubts(self, judgement: Judgement) -> bool:
            return False

        def look_closer(self, prompt: str, candidate: str, judgement: Judgement) -> Judgement:
            return judgement

    is_prepared = threading.Event()
    bench.judge = Closer()
    await bench.restart()
    await bench.remember(ASKED, exact_only="media")
    assert not bench.judge.prepared
    await bench.remember(ASKED)
    assert await asyncio.to_thread(is_prepared.wait, PATIENCE)
    await bench.remember(REWORDED)
    await bench.restart()
    assert bench.judge.prepared == 1


async def test_a_caller_can_only_tighten(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    found = await bench.ask(REWORDED, Policy(max_error=0.2, min_similarity=0.97))
    assert (found.outcome, found.reason, found.nearest) == ("miss", "similarity 0.963 < 0.970", entry)
    assert (await bench.ask(REWORDED, Policy(max_error=0.0, min_similarity=0.1))).outcome == "miss"
    assert (await bench.ask(REWORDED, Policy(max_error=0.2, min_similarity=0.96))).outcome == "semantic"


@pytest.mark.both_stores
async def test_exact_only(bench: Any) -> None:
    await bench.remember(ASKED)
    assert (await bench.ask(REWORDED, Policy(semantic=False))).reason == "no entry"
    assert (
        await bench.ask(REWORDED, exact_only="tool result in the last turn")
    ).reason == "tool result in the last turn"
    other = "How do I sort a tuple in Python?"
    await bench.remember(other, exact_only="tool result in the last turn")
    assert (await bench.ask(other, exact_only="tool result in the last turn")).outcome == "exact"
    found = await bench.ask(other + "?", Policy(max_error=2.0))
    assert found.entry is not None and found.entry.prompt == ASKED


async def test_a_prompt_too_long_to_compare_is_matched_exactly_only(bench: Any) -> None:
    limit = LONGEST
    long = "word " * (limit // 5) + "x"
    entry = await bench.remember(long)
    assert entry.vector is None and entry.embedder == ""
    assert (await bench.ask(long)).outcome == "exact"
    assert (
        await bench.ask(long + "y")
    ).reason == f"prompt too long to compare ({limit + 2} characters, at most {limit})"


@pytest.mark.parametrize("hidden", ["\u200b", "\u202e", "\U000e0041", "\ue000", "\u0378", "\u3164"])
async def test_a_prompt_with_a_hidden_character_is_matched_exactly_only(bench: Any, hidden: str) -> None:
    entry = await bench.remember(ASKED + hidden)
    assert entry.vector is None
    assert (await bench.ask(ASKED, Policy(max_error=1.0))).reason == "no entry"
    assert (await bench.ask(ASKED + hidden)).outcome == "exact"
    await bench.remember(ASKED)
    found = await bench.ask(REWORDED + hidden, Policy(max_error=1.0))
    assert (found.outcome, found.entry) == ("miss", None)
    assert found.reason.startswith(f"hidden character in the prompt (U+{ord(hidden):04X} ")
    assert await bench.cache.embed(ASKED + hidden) is None
    assert await bench.cache.embed(ASKED) is not None


async def test_an_empty_prompt(bench: Any) -> None:
    entry = await bench.remember("")
    assert entry.vector is None
    assert (await bench.ask("")).outcome == "exact"
    await bench.remember(ASKED)
    assert (await bench.ask("", system=None)).reason == "no entry"


@pytest.mark.both_stores
async def test_time_to_live(bench: Any, clock: Any) -> None:
    await bench.remember(ASKED, ttl=60)
    clock.now += 59.9
    assert [(await bench.ask(prompt)).outcome for prompt in (ASKED, REWORDED)] == ["exact", "semantic"]
    clock.now += 0.1
    assert bench.cache.look_up_in_memory(bench.identify(bench.call(ASKED)), Policy()) is None
    assert [(await bench.ask(prompt)).outcome for prompt in (ASKED, REWORDED)] == ["miss", "miss"]
    assert (await bench.ask(ASKED)).reason == "expired"


@pytest.mark.both_stores
async def test_stale_entries_are_marked_and_fresh_ones_preferred(bench: Any, clock: Any) -> None:
    old = await bench.remember(ASKED, ttl=60, stale=60)
    clock.now += 60
    may_be_stale = Policy(max_error=0.2, max_stale=math.inf)
    for prompt, outcome in ((ASKED, "exact"), (REWORDED, "semantic")):
        found = await bench.ask(prompt, may_be_stale)
        assert (found.outcome, found.entry, found.stale) == (outcome, old, True)
        assert (await bench.ask(prompt)).outcome == "miss"
    fresh = await bench.remember("In Python, how do I sort a list?")
    found = await bench.ask(REWORDED, may_be_stale)
    assert (found.entry, found.stale) == (fresh, False)
    clock.now += 29
    assert (await bench.ask(ASKED, Policy(max_stale=30))).stale
    assert (await bench.ask(ASKED, Policy(semantic=False, max_stale=29))).reason == "expired"
    clock.now += 31
    assert (await bench.ask(ASKED, replace(may_be_stale, semantic=False))).reason == "expired"


@pytest.mark.both_stores
async def test_min_fresh(bench: Any, clock: Any) -> None:
    await bench.remember(ASKED, ttl=60)
    clock.now += 30
    for prompt in (ASKED, REWORDED):
        assert (await bench.ask(prompt, Policy(max_error=0.2, min_fresh=30))).outcome != "miss"
        assert (await bench.ask(prompt, Policy(max_error=0.2, min_fresh=30.1))).outcome == "miss"
    assert (await bench.ask(ASKED, Policy(semantic=False, min_fresh=31))).reason == "fresh for less than min-fresh"


@pytest.mark.both_stores
async def test_max_age(bench: Any, clock: Any) -> None:
    await bench.remember(ASKED)
    clock.now += 10
    for prompt in (ASKED, REWORDED):
        assert (await bench.ask(prompt, Policy(max_error=0.2, max_age=10))).outcome != "miss"
        assert (await bench.ask(prompt, Policy(max_error=0.2, max_age=9.9))).outcome == "miss"
    assert (await bench.ask(ASKED, Policy(semantic=False, max_age=9.9))).reason == "older than max-age"


@pytest.mark.both_stores
async def test_remember_replaces(bench: Any) -> None:
    await bench.remember(ASKED, body=b"old")
    await bench.remember(ASKED, body=b"new")
    for prompt in (ASKED, REWORDED):
        found = await bench.ask(prompt)
        assert found.entry is not None and found.entry.answer.body == b"new"
    assert bench.cache.stats()["entries"] == 1


@pytest.mark.both_stores
async def test_a_restart_keeps_everything(bench: Any) -> None:
    entries = [await bench.remember(f"{ASKED} {number}", namespace="blue", scope="sk-1") for number in range(5)]
    await bench.restart()
    assert await bench.cache.list() == entries[::-1]
    for entry in entries:
        assert await bench.cache.get(entry.key) == entry


async def test_the_vector_of_a_lookup_serves_to_remember(bench: Any) -> None:
    texts: list[str] = []
    real = bench.embedder

    class Counting:
        name, dimension, limit = real.name, real.dimension, real.limit

        def embed(self, asked: Sequence[str]) -> NDArray[np.float32]:
            texts.extend(asked)
            rows: NDArray[np.float32] = real.embed(asked)
            return rows

    bench.embedder = Counting()
    await bench.restart()
    await bench.remember(ASKED)
    found = await bench.ask(OTHER)
    await bench.remember(OTHER, found=found)
    assert texts == [ASKED, OTHER]
    await bench.ask(OTHER)
    await bench.ask("Something in an empty partition", system="none yet")
    assert texts == [ASKED, OTHER]


async def test_an_entry_deleted_while_it_is_looked_up_is_not_served(bench: Any) -> None:
    judging, go = threading.Event(), threading.Event()

    class Slow:
        def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
            judging.set()
            assert go.wait(PATIENCE)
            return [Judgement(1.0)] * len(candidates)

    bench.judge = Slow()
    await bench.restart()
    entry = await bench.remember(ASKED)
    lookup = asyncio.create_task(bench.ask(REWORDED))
    await asyncio.to_thread(judging.wait, 10)
    assert await bench.cache.delete(entry.key)
    go.set()
    found = await lookup
    assert (found.outcome, found.entry, found.reason) == ("miss", None, "deleted meanwhile")


async def test_evicted_entries_are_not_served(bench: Any, clock: Any) -> None:
    bench.limits = CacheLimits(max_entries=2)
    await bench.restart()
    for prompt in (ASKED, OTHER):
        await bench.remember(prompt)
        clock.now += 1
    assert (await bench.ask(REWORDED)).outcome == "semantic"  # used last, so OTHER goes
    clock.now += 1
    await bench.remember("Why is the sky blue?")
    assert (await bench.ask(OTHER)).outcome == "miss"
    assert (await bench.ask(ASKED)).outcome == "exact"
    assert bench.cache.stats()["evicted"] == 1


async def test_memory_is_bounded_and_the_rest_comes_from_disk(bench: Any) -> None:
    bench.limits = CacheLimits(memory_bytes=40_000)
    await bench.restart()
    for number in range(20):
        await bench.remember(f"{ASKED} {number}", body=b"x" * 5_000)
    stats = bench.cache.stats()
    assert 0 < stats["memory_bytes"] <= 40_000 and stats["memory_entries"] < 20
    for number in range(20):
        assert (await bench.ask(f"{ASKED} {number}")).outcome == "exact"


async def test_hits_are_counted(bench: Any, clock: Any) -> None:
    entry = await bench.remember(ASKED)
    clock.now += 5
    await bench.ask(ASKED)
    await bench.ask(REWORDED)
    await bench.ask(OTHER)
    found = await bench.cache.get(entry.key)
    assert found is not None and (found.hits, found.last_used) == (2, clock.now)
    stats = bench.cache.stats()
    assert (stats["exact_hits"], stats["semantic_hits"], stats["misses"], stats["stored"]) == (1, 1, 1, 1)
    await bench.restart()
    again = await bench.cache.get(entry.key)
    assert again is not None and (again.hits, again.last_used) == (2, clock.now)


class Failing:
    name, dimension, limit = "wordllama", 256, 1000

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise RuntimeError("out of order")


class Nonsense(Failing):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.full((len(texts), 256), np.nan, dtype=np.float32)


async def test_a_failing_embedder_is_a_miss_and_is_logged_once(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    await bench.remember(OTHER)
    bench.embedder = Failing()
    await bench.restart()
    await bench.remember(ASKED)
    assert (await bench.ask(ASKED)).outcome == "exact"
    for _ in range(3):
        assert (await bench.ask(REWORDED)).reason == "embedder failed"
    [record] = caplog.records
    assert record.message.startswith("embedder: out of order; reworded questions are not recognised")
    assert bench.counted == {"embedder": 4}


async def test_vectors_that_are_none_are_not_compared(bench: Any) -> None:
    await bench.remember(OTHER)
    bench.embedder = Nonsense()
    await bench.restart()
    assert (await bench.remember(ASKED)).vector is None
    assert (await bench.ask(REWORDED)).reason == "nothing in the prompt that the embedder knows"


@pytest.mark.parametrize("answer", [[], [Judgement(1.0)] * 9, None])
async def test_a_failing_judge_is_a_miss_and_is_logged_once(
    bench: Any, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    class Broken:
        def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
            return answer  # type: ignore[no-any-return]

    bench.judge = Broken()
    await bench.restart()
    await bench.remember(ASKED)
    for _ in range(3):
        assert (await bench.ask(REWORDED)).reason == "judge failed"
    assert len(caplog.records) == 1
    assert bench.counted == {"judge": 3}


async def test_a_store_that_cannot_write_says_so_once_and_serves_on(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    entry = await bench.remember(ASKED)
    connection = bench.cache._store._rows._connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    for number in range(3):
        with pytest.raises(StoreError, match="the disk is full"):
            await bench.remember(f"{OTHER} {number}", body=bytes(100_000))
    assert (await bench.ask(ASKED)).entry == entry
    assert (await bench.ask(REWORDED)).entry == entry
    [record] = caplog.records
    assert record.levelno == logging.WARNING and record.message.startswith("store: the cache could not write ")
    assert "the disk is full" in record.message and "; answers are not kept" in record.message
    assert record.exc_info is None
    assert bench.counted == {"store": 3}
    connection.execute("PRAGMA max_page_count = 1000000")
    await bench.remember(OTHER, body=bytes(100_000))


async def test_a_store_that_cannot_be_read_is_a_miss_that_is_logged_once(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.remember(ASKED)
    await bench.restart()
    bench.cache._store._rows._connection.execute("DROP TABLE vector")
    for _ in range(3):
        assert (await bench.ask(ASKED)).reason == "lookup failed"
    assert len(caplog.records) == 1
    assert bench.counted == {"look-up": 3}


@pytest.mark.both_stores
async def test_vectors_of_embedders_never_mix(bench: Any) -> None:
    real = bench.embedder

    class Renamed:
        name, dimension, limit = "another", real.dimension, real.limit
        embed = staticmethod(real.embed)

    await bench.remember(ASKED)
    bench.embedder = Renamed()
    await bench.restart()
    assert (await bench.ask(REWORDED)).reason == "no entry"
    assert (await bench.ask(ASKED)).outcome == "exact"
    assert await bench.cache.search(ASKED) == []
    await bench.remember(ASKED)
    assert (await bench.ask(REWORDED)).outcome == "semantic"


def test_an_unknown_embedder_is_refused_when_opening(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown embedder"):
        Cache.open(tmp_path / "data", embedder="bert", judge=Yes())
    assert not (tmp_path / "data").exists()


async def test_no_credential_is_anywhere_in_the_folder(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes_module, "SNAPSHOT_FROM", 1)
    secret = "sk-proj-abcdefghij0123456789"
    await bench.remember(ASKED, scope=secret)
    await bench.ask(REWORDED, scope=secret)
    await bench.cache.flush()

    def holding(needle: bytes) -> list[str]:
        return [path.name for path in bench.directory.rglob("*") if path.is_file() and needle in path.read_bytes()]

    assert holding(b"sk-proj") == []
    assert holding(ASKED.encode()) != []  # it does look
    await bench.cache.close()
    assert holding(b"sk-proj") == holding(secret.encode("utf-16-le")) == []
    assert len(list(bench.directory.rglob("*.npz"))) == 1


async def fill(bench: Any, count: int) -> list[Entry]:
    entries = await asyncio.gather(*(bench.remember(f"question number {n}?") for n in range(count)))
    await bench.ask("question number 7, please?")  # which reads the index in
    return entries


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots and folding at sizes that a test can afford."""
    monkeypatch.setattr(indexes_module, "SNAPSHOT_FROM", 20)
    monkeypatch.setattr(index_module, "FIT_FROM", 40)
    monkeypatch.setattr(index_module, "GRAPH_FROM", 40)
    monkeypatch.setattr(index_module, "TAIL", 10)


def snapshots(bench: Any) -> list[Path]:
    return sorted((bench.directory / "index").glob("*"))


@pytest.mark.usefixtures("small")
async def test_an_index_is_read_from_its_snapshot(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(bench, 50)
    before = await bench.ask("question number 7 please?")
    await bench.restart()
    assert [path.stat().st_mode & 0o777 for path in snapshots(bench)] == [0o600]
    monkeypatch.setattr(bench.cache._store._rows, "vectors", lambda *args: pytest.fail("read from the store"))
    found = await bench.ask("question number 7 please?")
    assert (found.outcome, found.entry, found.reason) == (before.outcome, before.entry, before.reason)
    assert found.similarity == pytest.approx(before.similarity)  # NumPy adds up in another order


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("damage", ["missing", "torn", "flipped", "empty", "stale"])
async def test_an_index_without_a_good_snapshot_is_silently_right(
    bench: Any, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    entries = await fill(bench, 30)
    await bench.restart()
    [path] = snapshots(bench)
    whole = path.read_bytes()
    if damage == "stale":
        await bench.cache.delete(entries[7].key)
        await bench.remember("question number 7 please!")
    await bench.cache.close()
    if damage == "missing":
        path.unlink()
    else:
        half = len(whole) // 2
        flipped = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
        path.write_bytes({"torn": whole[:half], "flipped": flipped, "empty": b"", "stale": whole}[damage])
    bench.open()
    found = await bench.ask("question number 7 please?")
    assert found.entry is not None
    assert found.entry.prompt == ("question number 7 please!" if damage == "stale" else "question number 7?")
    assert caplog.records == []


@pytest.mark.usefixtures("small")
async def test_snapshots_of_what_is_gone_are_deleted(bench: Any) -> None:
    await fill(bench, 30)
    await bench.restart()
    assert len(snapshots(bench)) == 1
    await bench.cache.clear()
    await bench.restart()
    assert snapshots(bench) == []
    (bench.directory / "index" / "0123.npz.4567").touch()
    (bench.directory / "index" / ("00" * 16 + ".npz")).touch()
    await bench.restart()
    await bench.cache.close()
    assert snapshots(bench) == []


@pytest.mark.usefixtures("small")
async def test_indexes_are_let_go_when_room_is_short(bench: Any) -> None:
    bench.limits = CacheLimits(index_bytes=60_000)
    await bench.restart()
    for number in range(60):
        await bench.remember(ASKED, scope=f"sk-{number}")
        assert (await bench.ask(REWORDED, scope=f"sk-{number}")).outcome == "semantic"
        assert bench.cache.stats()["index_bytes"] <= 60_000
    assert 1 <= bench.cache.stats()["indexes"] < 60
    for number in range(60):
        assert (await bench.ask(REWORDED, scope=f"sk-{number}")).outcome == "semantic"


@pytest.mark.usefixtures("small")
async def test_an_index_that_cannot_be_folded_serves_on_and_is_logged_once(
    bench: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "usearch.index", None)  # importing it fails
    await fill(bench, 60)
    await fill(bench, 70)
    found = await bench.ask("question number 7 please?")
    assert found.entry is not None and found.entry.prompt == "question number 7?"
    await bench.cache.close()
    [record] = caplog.records
    assert record.message.startswith("index: ") and "; it serves on, only slower" in record.message
    assert bench.counted["index"] >= 1


@pytest.mark.usefixtures("small")
async def test_many_at_once(bench: Any) -> None:
    async def one(number: int) -> None:
        scope = f"sk-{number % 3}"
        entry = await bench.remember(f"question number {number}?", scope=scope)
        assert (await bench.ask(f"question number {number}?", scope=scope)).entry == entry
        found = await bench.ask(f"question number {number} please?", scope=scope)
        # The nearest may be one that another of these has just deleted.
        assert found.entry.partition == entry.partition if found.entry else found.reason == "deleted meanwhile"
        if number % 2:
            assert await bench.cache.delete(entry.key)

    await asyncio.gather(*(one(number) for number in range(200)))
    await bench.restart()
    assert {entry.prompt for entry in await bench.cache.list(limit=999)} == {
        f"question number {number}?" for number in range(0, 200, 2)
    }


async def test_a_cancelled_remember_and_lookup_harm_nobody(bench: Any) -> None:
    tasks = [asyncio.create_task(bench.remember(f"{ASKED} {number}")) for number in range(20)]
    tasks += [asyncio.create_task(bench.ask(REWORDED)) for _ in range(20)]
    await asyncio.sleep(0.002)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    entry = await bench.remember(OTHER)
    assert (await bench.ask(OTHER)).entry == entry


@pytest.mark.both_stores
async def test_after_closing(bench: Any) -> None:
    await bench.remember(ASKED)
    await asyncio.gather(bench.cache.close(), bench.cache.close())
    await bench.cache.close()
    call = bench.call(OTHER)
    assert (await bench.cache.look_up(call, bench.identify(call), Policy())).outcome == "miss"
    with pytest.raises(StoreError, match="closed"):
        await bench.cache.delete("00" * 16)
    with pytest.raises(StoreError, match="closed"):
        await bench.cache.get("00" * 16)


async def test_closing_at_once(tmp_path: Path) -> None:
    cache = Cache.open(tmp_path / "data", judge=Yes())
    await cache.close()
    assert await cache.ready() in (True, False)


async def test_a_cut_secret_stops_the_start_and_frees_the_folder(bench: Any) -> None:
    await bench.cache.close()
    path = bench.directory / "secret"
    secret = path.read_bytes()
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="secret"):
        bench.open()
    path.write_bytes(secret)
    bench.open()
