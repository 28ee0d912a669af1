"""`match: watch`: all is looked up, nothing is served, and it is told what would have been."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.clock import Clock
from tests.unit.calls.conftest import FRANCE, FRANCE_REWORDED, PARIS, Bench

from askonce.cache import Cache, load_embedder
from askonce.cache.judge import load_judge
from askonce.calls.state import Passing

LYON = PARIS.replace(b"Paris.", b"Lyon.")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    clock = Clock()
    cache = Cache.open(tmp_path, embedder=load_embedder("wordllama"), judge=load_judge(), clock=clock)
    yield Bench(cache, clock)
    await cache.close()


async def call(bench: Bench, asked: str = FRANCE, answer: bytes = PARIS, **more: object) -> dict[str, str]:
    exchange, reply = await bench.enter(asked, rule="watch", **more)
    assert reply is None, "nothing is served"
    return await bench.answer(exchange, answer)


async def test_the_same_call_would_have_been_answered(bench: Bench) -> None:
    first = await call(bench)
    assert first["cache-status"] == "askonce; fwd=miss; stored"
    assert bench.accounting.stats()["watched"] == {}
    second = await call(bench)
    assert second["cache-status"] == "askonce; fwd=miss; stored; detail=watched-exact"
    assert len(second["x-cache-key"]) == 32
    assert bench.asked == 2
    stats = bench.accounting.stats()
    watched = stats["watched"]["watch"]["exact"]
    assert watched["seconds"] > 0
    assert {**watched, "seconds": 0} == {
        "calls": 1,
        "agreed": 1,
        "differed": 0,
        "unclear": 0,
        "tokens": {"input": 7, "output": 2},
        "seconds": 0,
        "usd": pytest.approx(2.000007),
        "tokens_unpriced": 0,
    }
    assert (stats["outcomes"]["miss"], stats["usd_saved"], bench.cache.stats()["exact_hits"]) == (2, 0.0, 0)
    assert bench.accounting.latest()[0][1].detail == "watched"


@pytest.mark.parametrize(("answer", "agreed"), [(PARIS, True), (LYON, False)])
async def test_another_wording_is_compared_and_is_evidence(bench: Bench, answer: bytes, *, agreed: bool) -> None:
    await call(bench)
    headers = await call(bench, FRANCE_REWORDED, answer)
    assert headers["cache-status"].endswith("detail=watched-semantic")
    assert float(headers["x-cache-similarity"]) < 1
    watched = bench.accounting.watched()["watch"]["semantic"]
    assert (watched["agreed"], watched["differed"]) == (int(agreed), int(not agreed))
    await bench.cache.flush()
    assert [(seen.right, seen.source) for seen in bench.cache._store.observations()] == [(agreed, "watch")]


async def test_a_pair_that_differed_is_not_taken_for_one_question_again(bench: Bench) -> None:
    key = (await call(bench))["cache-status"] and bench.accounting.latest()[0][1].key
    await call(bench, FRANCE_REWORDED, LYON)
    own = bench.accounting.latest()[0][1].key
    assert await bench.cache.delete(own)
    exchange, _ = await bench.enter(FRANCE_REWORDED, rule="watch")
    assert (exchange.why, exchange.lookup and exchange.lookup.nearest and exchange.lookup.nearest.key) == (
        "said to be wrong",
        key,
    )


async def test_nobody_waits_for_another(bench: Bench) -> None:
    entered = await asyncio.gather(*[bench.enter(FRANCE, rule="watch") for _ in range(2)])
    assert [(exchange.state, reply) for exchange, reply in entered] == [(Passing(), None)] * 2


async def test_a_call_that_only_a_stored_answer_serves_is_told_no(bench: Bench) -> None:
    await call(bench)
    exchange, reply = await bench.enter(FRANCE, rule="watch", headers={"cache-control": "only-if-cached"})
    assert reply
    assert reply.status == 504
    assert "watched" in json.loads(reply.body)["error"]["message"]
    bench.life.account(exchange)
