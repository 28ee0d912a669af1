"""What a cache holds, as whoever manages it sees it."""

from typing import Any

from askonce.cache import Filter

ASKED = "How do I sort a list in Python?"
REWORDED = "What is the way to sort a Python list?"  # cosine 0.963
OTHER = "Who painted the Mona Lisa?"


async def test_search_finds_across_partitions(bench: Any) -> None:
    one = await bench.remember(ASKED, scope="sk-1")
    two = await bench.remember(REWORDED, scope="sk-2")
    await bench.remember(OTHER)
    found = await bench.cache.search("sort a python list", 2)
    assert [entry for entry, _ in found] == [two, one]
    assert found[0][1] > found[1][1] > 0.5
    assert await bench.cache.search("", 5) == await bench.cache.search(ASKED, 0) == []


async def test_delete_reaches_memory_index_and_disk(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    assert (await bench.ask(REWORDED)).outcome == "semantic"
    assert await bench.cache.delete(entry.key) is True
    assert await bench.cache.delete(entry.key) is False
    assert [(await bench.ask(prompt)).outcome for prompt in (ASKED, REWORDED)] == ["miss", "miss"]
    assert await bench.cache.get(entry.key) is None
    assert await bench.cache.search(ASKED) == []


async def test_clear_by_filter(bench: Any) -> None:
    await bench.remember(ASKED, upstream="one")
    kept = await bench.remember(OTHER, upstream="two")
    assert await bench.cache.clear(Filter(upstream="one")) == 1
    assert (await bench.ask(REWORDED)).outcome == "miss"
    assert await bench.cache.list() == [kept]
    assert await bench.cache.count(Filter(upstream="two")) == 1
    assert await bench.cache.clear() == 1
    assert bench.cache.stats()["entries"] == bench.cache.stats()["partitions"] == 0
