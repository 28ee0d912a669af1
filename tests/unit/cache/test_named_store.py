"""A named store gives back what was put into it, to nobody else, for as long as it may, by the text or one near it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from askonce.cache import NamedStores, StoreError
from askonce.cache.store.embedded.index.partition import Index

CAPITAL = "What is the capital of France?"
REWORDED = "what's the capital city of France"
MILES = "Convert 10 miles to km"
KILOMETRES = "Convert 10 km to miles"


@pytest.fixture
def open_named_stores(tmp_path: Path, wordllama: Any, clock: Any) -> Callable[..., NamedStores]:
    async def embed(text: str) -> Any:
        vector = wordllama.embed([text])[0]
        return (wordllama, vector) if len(text) <= wordllama.limit and vector.any() else None

    return lambda **given: NamedStores(tmp_path / "named-stores", embed, clock=clock, **given)


@pytest.fixture
async def named_stores(open_named_stores: Callable[..., NamedStores]) -> AsyncIterator[NamedStores]:
    named_stores = open_named_stores()
    yield named_stores
    await named_stores.close()


Texts = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def texts(named_stores: NamedStores) -> Texts:
    """The texts that a search of the store "a" finds, in order."""

    async def texts(text: str, **given: Any) -> list[str]:
        return [match.item.text for match in await named_stores.search("a", text, **given)]

    return texts


async def test_what_was_put_comes_back_by_id_text_and_another_wording(named_stores: NamedStores, clock: Any) -> None:
    put = await named_stores.put("a", CAPITAL, b"Paris\xff\x00", attributes={"model": "m"}, ttl=60)
    assert (put.text, put.value, put.attributes) == (CAPITAL, b"Paris\xff\x00", {"model": "m"})
    assert (put.created, put.expires) == (clock.now, clock.now + 60)
    assert await named_stores.get("a", put.id) == put
    [same] = await named_stores.search("a", CAPITAL)
    assert (same.item, same.similarity, same.strategy) == (put, 1.0, "semantic")
    [near] = await named_stores.search("a", REWORDED, min_cosine=0.6)
    assert near.item == put
    assert 0.6 < near.similarity < 1.0
    assert await named_stores.search("a", REWORDED, min_cosine=near.similarity + 0.01) == []
    assert await named_stores.search("a", "How do I bake bread?", min_cosine=0.6) == []


async def test_the_exact_strategy_passes_over_case_only(named_stores: NamedStores, texts: Texts) -> None:
    await named_stores.put("a", CAPITAL, b"Paris")
    assert await texts(CAPITAL.upper(), strategies=["exact"]) == [CAPITAL]
    assert await texts(REWORDED, strategies=["exact"]) == []
    assert await texts(REWORDED, strategies=["exact", "semantic"], min_cosine=0.5) == [CAPITAL]
    await named_stores.put("a", CAPITAL.upper(), b"PARIS")
    [found] = await named_stores.search("a", CAPITAL.upper(), strategies=["exact"])
    assert (found.item.value, found.similarity, found.strategy) == (b"PARIS", 1.0, "exact")
    assert await texts(CAPITAL, strategies=["exact"], limit=5) == [CAPITAL, CAPITAL.upper()]


async def test_the_strategy_that_finds_something_first_answers(texts: Texts, named_stores: NamedStores) -> None:
    await named_stores.put("a", CAPITAL, b"Paris")
    await named_stores.put("a", REWORDED, b"Paris, too")
    assert await texts(CAPITAL, strategies=["exact", "semantic"], limit=5) == [CAPITAL]
    assert await texts(CAPITAL, strategies=["semantic", "exact"], limit=5, min_cosine=0.5) == [CAPITAL, REWORDED]


async def test_the_best_come_first_and_no_more_than_asked_for(texts: Texts, named_stores: NamedStores) -> None:
    for text in (REWORDED, CAPITAL, "How do I bake bread?"):
        await named_stores.put("a", text, b"")
    assert await texts(CAPITAL) == [CAPITAL]
    assert await texts(CAPITAL, limit=2) == [CAPITAL, REWORDED]
    assert await texts(CAPITAL, limit=10, min_cosine=-1) == [CAPITAL, REWORDED, "How do I bake bread?"]


async def test_a_search_finds_only_what_has_all_attributes(texts: Texts, named_stores: NamedStores) -> None:
    await named_stores.put("a", CAPITAL, b"1", attributes={"user": "1", "model": "m"})
    await named_stores.put("a", CAPITAL, b"2", attributes={"user": "2", "model": "m"})

    async def values(**attributes: str) -> list[bytes]:
        found = await named_stores.search("a", REWORDED, attributes=attributes, min_cosine=0.5, limit=9)
        exact = await named_stores.search("a", CAPITAL, attributes=attributes, strategies=["exact"], limit=9)
        assert sorted(match.item.value for match in found) == sorted(match.item.value for match in exact)
        return sorted(match.item.value for match in found)

    assert await values(user="1") == [b"1"]
    assert await values(user="2", model="m") == [b"2"]
    assert await values(model="m") == [b"1", b"2"]
    assert await values() == [b"1", b"2"]
    assert await values(user="3") == await values(model="M") == await values(user="1", skill="x") == []
    with pytest.raises(ValueError, match="an attribute has an empty name"):
        await named_stores.put("a", CAPITAL, b"", attributes={"": "x"})


async def test_attributes_are_found_behind_many_nearer_texts(named_stores: NamedStores) -> None:
    await asyncio.gather(*(named_stores.put("a", f"{CAPITAL} {n}", b"", attributes={"user": "1"}) for n in range(100)))
    await named_stores.put("a", "Is bread good?", b"yes", attributes={"user": "2"})
    [found] = await named_stores.search("a", CAPITAL, attributes={"user": "2"}, min_cosine=-1.0)
    assert found.item.value == b"yes"
    assert len(await named_stores.search("a", CAPITAL, attributes={"user": "1"}, min_cosine=-1.0, limit=200)) == 100


async def test_named_stores_do_not_know_each_other(named_stores: NamedStores) -> None:
    put = await named_stores.put("a", CAPITAL, b"Paris", attributes={"x": "y"})
    for strategy in ("exact", "semantic"):
        assert await named_stores.search("b", CAPITAL, strategies=[strategy], min_cosine=-1.0) == []
    assert await named_stores.get("b", put.id) is None
    assert await named_stores.delete("b", put.id) is False
    assert (
        await named_stores.clear("b") == await named_stores.clear("b", {"x": "y"}) == await named_stores.count("b") == 0
    )
    assert await named_stores.get("a", put.id) == put


async def test_the_same_text_with_the_same_attributes_is_replaced(named_stores: NamedStores) -> None:
    first = await named_stores.put("a", CAPITAL, b"Lyon", attributes={"u": "1", "v": "2"})
    second = await named_stores.put("a", CAPITAL, b"Paris", attributes={"v": "2", "u": "1"})
    other = await named_stores.put("a", CAPITAL, b"Paris", attributes={"u": "1"})
    assert first.id == second.id != other.id
    assert await named_stores.count("a") == 2
    assert (await named_stores.get("a", first.id)) == second


async def test_a_near_text_is_replaced_where_asked_and_where_it_asks_the_same(named_stores: NamedStores) -> None:
    await named_stores.put("a", CAPITAL, b"Lyon")
    await named_stores.put("a", MILES, b"16.1")
    await named_stores.put("a", CAPITAL + " ", b"Paris", replaces=0.98)
    assert await named_stores.count("a") == 2
    [found] = await named_stores.search("a", CAPITAL)
    assert found.item.value == b"Paris"
    assert (await named_stores.search("a", KILOMETRES))[0].similarity > 0.98
    await named_stores.put("a", KILOMETRES, b"6.2", replaces=0.98)
    assert await named_stores.count("a") == 3
    await named_stores.put("a", CAPITAL + "  ", b"x", replaces=0.98, attributes={"user": "1"})
    assert await named_stores.count("a") == 4


async def test_guards_refuse_what_a_cosine_takes_for_the_same(texts: Texts, named_stores: NamedStores) -> None:
    await named_stores.put("a", MILES, b"16.1")
    assert await texts(KILOMETRES, min_cosine=0.95) == [MILES]
    assert await texts(KILOMETRES, min_cosine=0.95, guarded=True) == []
    assert await texts(MILES + ".", min_cosine=0.95, guarded=True) == [MILES]


async def test_what_expired_is_gone_everywhere(named_stores: NamedStores, clock: Any) -> None:
    put = await named_stores.put("a", CAPITAL, b"Paris", attributes={"x": "y"}, ttl=1)
    await named_stores.put("a", REWORDED, b"still")
    clock.now += 1
    assert await named_stores.search("a", CAPITAL, strategies=["exact"]) == []
    [left] = await named_stores.search("a", CAPITAL, min_cosine=-1.0, limit=5)
    assert (left.item.value, left.item.expires) == (b"still", None)
    assert await named_stores.get("a", put.id) is None
    assert await named_stores.delete("a", put.id) is False
    assert await named_stores.count("a", {"x": "y"}) == await named_stores.clear("a", {"x": "y"}) == 0


async def test_delete_by_id_by_attributes_and_all(named_stores: NamedStores) -> None:
    items = [await named_stores.put("a", f"{CAPITAL} {n}", b"", attributes={"user": str(n % 2)}) for n in range(6)]
    assert await named_stores.delete("a", items[0].id) is True
    assert await named_stores.delete("a", items[0].id) is False
    assert await named_stores.delete("a", "not-an-id") is False
    assert await named_stores.clear("a", {"user": "1"}) == 3
    assert await named_stores.count("a") == 2
    assert await named_stores.clear("a", {"user": "1"}) == 0
    assert await named_stores.clear("a") == 2
    assert await named_stores.search("a", CAPITAL, min_cosine=-1.0) == []


async def test_texts_too_long_or_empty_for_the_embedder_are_found_as_they_are(
    texts: Texts, named_stores: NamedStores
) -> None:
    long = "word " * 200
    for text in (long, "", "\U000e0001"):
        await named_stores.put("a", text, b"")
        assert await texts(text) == [text]
        assert await texts(text, strategies=["exact"]) == [text]
    assert await texts(long + "x", min_cosine=0.9) == []


async def test_half_a_surrogate_pair_is_no_text(named_stores: NamedStores) -> None:
    for call in (
        named_stores.put("a", "\ud800", b""),
        named_stores.put("\ud800", "a", b""),
        named_stores.search("a", "\ud800"),
    ):
        with pytest.raises(ValueError, match="surrogate"):
            await call


async def test_everything_is_there_after_a_restart(open_named_stores: Callable[..., NamedStores]) -> None:
    named_stores = open_named_stores()
    put = await named_stores.put("a", CAPITAL, b"Paris", attributes={"x": "y"})
    await named_stores.close()
    await named_stores.close()
    with pytest.raises(StoreError, match="the cache is closed"):
        await named_stores.get("a", put.id)
    again = open_named_stores()
    [found] = await again.search("a", REWORDED, attributes={"x": "y"}, min_cosine=0.5)
    assert found.item == put
    await again.close()


async def test_the_least_recently_found_goes_first(open_named_stores: Callable[..., NamedStores], clock: Any) -> None:
    named_stores = open_named_stores(max_entries=100)
    for number in range(100):
        clock.now += 1
        await named_stores.put("a", f"{number} {CAPITAL}", b"")
    clock.now += 1
    await named_stores.search("a", f"0 {CAPITAL}", strategies=["exact"])
    clock.now += 1
    await named_stores.put("a", "one more", b"")
    assert len(await named_stores.search("a", f"0 {CAPITAL}", strategies=["exact"])) == 1
    assert await named_stores.search("a", f"1 {CAPITAL}", strategies=["exact"]) == []
    await named_stores.close()


def test_the_nearest_among_some_are_exact() -> None:
    generator = np.random.default_rng(7)
    rows = generator.normal(size=(200, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = Index.of(np.arange(200), rows, dimension=8)
    among = [3, 50, 51, 199, 7_000]
    expected = sorted(((float(rows[id] @ rows[3]), id) for id in among[:-1]), reverse=True)
    assert [id for id, _ in index.nearest(rows[3], 3, among)] == [id for _, id in expected[:3]]
    assert index.nearest(rows[3], 3, []) == index.nearest(rows[3], 0, among) == []
    index.remove(3)
    assert [id for id, _ in index.nearest(rows[3], 9, among)] == [id for _, id in expected[1:]]


async def test_a_store_of_the_first_schema_is_carried_over(
    open_named_stores: Callable[..., NamedStores], tmp_path: Path
) -> None:
    named_stores = open_named_stores()
    put = await named_stores.put("a", CAPITAL, b"Paris")
    await named_stores.close()
    with sqlite3.connect(tmp_path / "named-stores" / "askonce.db") as connection:
        for column in ("labels", "kin", "shown", "request"):
            connection.execute(f"ALTER TABLE entry DROP COLUMN {column}")
        for table in ("label", "observation", "refused", "alias"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX usage_tenant")
        connection.execute("ALTER TABLE usage DROP COLUMN tenant")
        connection.execute("CREATE INDEX usage_last_used ON usage (last_used)")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    again = open_named_stores()
    assert await again.get("a", put.id) == put
    await again.put("a", CAPITAL, b"new", attributes={"x": "y"})
    assert await again.clear("a", {"x": "y"}) == 1
    await again.close()


# What stands around a question


def asked(question: str, system: str = "Be brief.") -> str:
    return orjson.dumps([{"role": "system", "content": system}, {"role": "user", "content": question}]).decode()


async def test_the_question_in_a_conversation_is_compared_and_the_rest_is_equal(
    named_stores: NamedStores, texts: Texts
) -> None:
    await named_stores.put("a", asked(CAPITAL), b"Paris")
    assert await texts(asked(CAPITAL)) == await texts(asked(REWORDED), min_cosine=0.6) == [asked(CAPITAL)]
    assert await texts(asked("How do I cook rice?"), min_cosine=0.6) == []
    assert await texts(asked(CAPITAL, "Be verbose.")) == await texts(CAPITAL) == []
    await named_stores.put("a", CAPITAL, b"Paris")
    assert await texts(REWORDED, min_cosine=0.6) == [CAPITAL]
    assert await texts(asked(CAPITAL).replace(" ", "  ", 1), min_cosine=0.6) == []


async def test_exact_passes_over_the_case_of_the_question_alone(named_stores: NamedStores, texts: Texts) -> None:
    await named_stores.put("a", asked(CAPITAL), b"Paris")
    assert await texts(asked(CAPITAL.upper()), strategies=["exact"]) == [asked(CAPITAL)]
    assert await texts(asked(CAPITAL, "BE BRIEF."), strategies=["exact"]) == []


async def test_guards_see_the_question_alone(named_stores: NamedStores, texts: Texts) -> None:
    await named_stores.put("a", asked(MILES), b"16.09 km")
    assert await texts(asked("Convert 10 miles to km."), min_cosine=0.6, guarded=True) == [asked(MILES)]
    assert await texts(asked(KILOMETRES), min_cosine=0.6, guarded=True) == []
    await named_stores.put("a", asked("Convert 10 miles to km!"), b"16 km", replaces=0.9)
    assert await named_stores.count("a") == 1


async def test_a_wrapper_is_never_compared(named_stores: NamedStores, texts: Texts) -> None:
    def wrapped(question: str) -> str:
        return orjson.dumps({"tenant": "acme", "locale": "en-GB", "q": question}).decode()

    await named_stores.put("a", wrapped(CAPITAL), b"Paris")
    await named_stores.put("a", "9f86d081884c7d659a2feaa0c55ad015", b"kept under a hash")
    assert await texts(wrapped(CAPITAL)) == [wrapped(CAPITAL)]
    assert await texts(wrapped(REWORDED), min_cosine=-1) == []
    assert await texts("9f86d081884c7d659a2feaa0c55ad016", min_cosine=-1) == []
    assert await texts(wrapped(CAPITAL).upper(), strategies=["exact", "semantic"], min_cosine=-1) == []
