"""Answers that depend on data: kept apart by version, forgotten by tag, also where they are still on their way."""

import pytest
from tests.unit.calls.conftest import FRANCE_REWORDED, Bench

from askonce.calls.dependencies import declared

DEPENDS = "x-askonce-depends"


@pytest.mark.both_stores
async def test_another_version_is_another_answer(bench: Bench) -> None:
    assert not await bench.is_hit(headers={DEPENDS: "doc:17@v3, prices"})
    assert await bench.is_hit(headers={DEPENDS: "prices,doc:17@v3"})
    assert await bench.is_hit(FRANCE_REWORDED, headers={DEPENDS: "prices,doc:17@v3"})
    for other in ("doc:17@v4, prices", "doc:17@v3", "doc:17, prices", "doc:18@v3, prices"):
        assert not await bench.is_hit(FRANCE_REWORDED, headers={DEPENDS: other})
    assert not await bench.is_hit()
    assert await bench.is_hit(headers={DEPENDS: "doc:17@v3, prices"})  # the old one is still there for who wants it


@pytest.mark.both_stores
async def test_invalidation_by_tag_and_by_version(bench: Bench) -> None:
    for said in ("doc:17@v3", "doc:17@v4", "doc:18"):
        await bench.call(headers={DEPENDS: said})
    await bench.call()
    invalidate = bench.life._dependencies.invalidate
    assert await invalidate("doc:17", "v3") == 1
    assert await invalidate("doc:1") == 0
    assert not await bench.is_hit(headers={DEPENDS: "doc:17@v3"})
    assert await invalidate("doc:17") == 2
    assert [declared(entry.labels) for entry in await bench.cache.list()] == [{}, {"doc:18": ""}]


@pytest.mark.both_stores
@pytest.mark.parametrize(("tag", "version", "is_kept"), [("a", None, False), ("a", "2", True), ("b", None, True)])
async def test_an_answer_on_its_way_is_not_kept(
    bench: Bench,
    tag: str,
    version: str | None,
    is_kept: bool,
) -> None:
    exchange, _ = await bench.enter(headers={DEPENDS: "a@1"})
    await bench.life._dependencies.invalidate(tag, version)
    await bench.answer(exchange)
    assert exchange.unkept == ("" if is_kept else "overtaken")
    assert await bench.is_hit(headers={DEPENDS: "a@1"}) is is_kept


async def test_a_stream_that_began_before_an_invalidation_is_not_passed_on(bench: Bench) -> None:
    first, _ = await bench.enter(headers={DEPENDS: "a"}, stream=True)
    bench.life.pass_on(first, 200)
    broadcast = bench.life.share(first, tuple, lambda: b"")
    assert broadcast
    await bench.life._dependencies.invalidate("a")
    second = bench.life.begin(bench.rule("chat"), bench.request(headers={DEPENDS: "a"}, stream=True))
    second.may_follow = True
    bench.life.account(first)
    assert await bench.life.look_up(second) is None
    assert not broadcast.followers


async def test_what_cannot_be_read_is_left_out(bench: Bench) -> None:
    assert (await bench.call(headers={DEPENDS: "two words"}))["cache-status"] == "askonce; fwd=bypass; detail=depends"
    assert bench.accounting.faults() == {"unreadable chat dependency": 1}
    assert await bench.cache.count() == 0
