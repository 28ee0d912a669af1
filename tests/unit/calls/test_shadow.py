"""Near misses that an LLM is asked about afterwards: what a yes and a no make of them, for how long, at what cost."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.clock import Clock
from tests.support.waiting import PATIENCE, until_so
from tests.unit.calls.conftest import Bench
from tests.unit.calls.test_gray_zone import ASKED, STORED, Unsure
from tests.unit.calls.verdicts import Endpoint, serving

from askonce.accounting import Accounting
from askonce.cache import Cache, Embedder, Entry, Filter, Identity, Judgement, Lookup, Policy, load_embedder
from askonce.call import Answer, Call
from askonce.calls.shadow import Shadow
from askonce.calls.verifier import Verifier
from askonce.faults import Faults
from askonce.rules import VerifierSpec


class World:
    """A cache that may be opened again, and a verifier that says what it is told to."""

    def __init__(self, folder: Path, embedder: Embedder, endpoint: Endpoint) -> None:
        self.folder, self.embedder, self.endpoint = folder, embedder, endpoint
        self.spec = VerifierSpec(url=endpoint.url, model="small", timeout=PATIENCE, mode="shadow")
        self.now, self.accounting = time.time(), Accounting()
        self.open()

    def open(self) -> None:
        faults = Faults(self.accounting.fault)
        self.judge = Unsure()
        clock = lambda: self.now  # noqa: E731
        self.cache = Cache.open(self.folder, embedder=self.embedder, judge=self.judge, clock=clock, faults=faults)
        self.verifier = Verifier(faults)
        self.shadow = Shadow(self.cache, self.verifier, self.spec, faults, clock)

    async def close(self) -> None:
        await self.shadow.close()
        await self.verifier.close()
        await self.cache.close()

    async def restart(self) -> None:
        await self.close()
        self.open()

    def identify(self, prompt: str, scope: str = "s") -> tuple[Call, Identity]:
        call = Call("openai-chat", prompt, {"model": "m"}, model="m")
        return call, self.cache.identify(call, host="h", scope=scope)

    async def keep(self, prompt: str = STORED, body: bytes = b"{}") -> Entry:
        kept = Answer(body, "application/json")
        more = {"upstream": "u", "host": "h", "ttl": 3600.0, "upstream_seconds": 1.0}
        return await self.cache.remember(*self.identify(prompt), kept, **more)  # type: ignore[arg-type]

    async def ask(self, prompt: str = ASKED, policy: Policy | None = None, scope: str = "s") -> Lookup:
        return await self.cache.look_up(*self.identify(prompt, scope), policy or Policy())

    async def miss(self, prompt: str = ASKED) -> None:
        """A near miss whose caller has been answered, and all that comes of it."""
        self.shadow.consider(*self.identify(prompt), await self.ask(prompt))
        await asyncio.gather(*self.shadow._background._tasks)

    @property
    def key(self) -> str:
        return self.identify(ASKED)[1].key


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder("wordllama")


@pytest.fixture
async def world(tmp_path: Path, embedder: Embedder, endpoint: Endpoint) -> AsyncIterator[World]:
    world = World(tmp_path, embedder, endpoint)
    await world.keep()
    yield world
    await world.close()


async def test_a_yes_makes_the_wording_an_alias(world: World) -> None:
    assert (await world.ask()).outcome == "miss"
    await world.miss()
    assert len(world.endpoint.asked) == 1
    await world.restart()
    found = await world.ask()
    assert (found.outcome, found.reason, found.entry and found.entry.prompt) == ("exact", "alias", STORED)
    assert len(found.decision) == 32
    assert (await world.ask(policy=Policy(semantic=False))).outcome == "miss", "it is another wording all the same"
    assert (await world.ask(scope="s2")).outcome == "miss", "it is said of one partition"
    assert len(world.endpoint.asked) == 1


async def test_an_alias_is_as_fresh_as_its_entry_and_holds_for_the_next_one(world: World) -> None:
    await world.miss()
    world.now += 3601
    assert (await world.ask()).outcome == "miss"
    await world.keep(body=b'{"fresh":1}')
    found = await world.ask()
    assert found.entry
    assert found.entry.answer.body == b'{"fresh":1}'


async def test_the_wordings_own_answer_comes_first(world: World) -> None:
    await world.miss()
    await world.keep(ASKED, b'{"own":1}')
    found = await world.ask()
    assert (found.reason, found.entry and found.entry.prompt) == ("", ASKED)


@pytest.mark.parametrize("deleted", ["entry", "wording", "everything", "filter"])
async def test_an_alias_goes_with_what_is_deleted(world: World, deleted: str) -> None:
    await world.miss()
    assert (await world.ask()).outcome == "exact"
    if deleted == "everything":
        await world.cache.clear()
    elif deleted == "filter":
        await world.cache.clear(Filter(upstream="u"))
    else:
        assert await world.cache.delete(world.key if deleted == "wording" else world.identify(STORED)[1].key)
    assert (await world.ask()).outcome == "miss"
    await world.keep()
    assert (await world.ask()).outcome == "miss"
    await world.restart()
    assert (await world.ask()).outcome == "miss"


async def test_a_hit_that_was_wrong_ends_the_alias(world: World) -> None:
    await world.miss()
    decision = (await world.ask()).decision
    await world.cache.feedback(decision, right=False)
    assert (await world.ask()).outcome == "miss"
    await world.restart()
    assert (await world.ask()).reason == "said to be wrong"


async def test_a_no_keeps_the_pair_apart_for_good(world: World) -> None:
    world.endpoint.said = "NO"
    await world.miss()
    await world.restart()
    world.judge.judgement = Judgement(1.0)
    assert (await world.ask()).reason == "said to be wrong"
    await world.miss()
    assert len(world.endpoint.asked) == 1


@pytest.mark.parametrize("said", ["Perhaps", "YES, but", ""])
async def test_anything_else_says_nothing(world: World, said: str) -> None:
    world.endpoint.said = said
    await world.miss()
    world.judge.judgement = Judgement(1.0)
    assert (await world.ask()).outcome == "semantic"


async def test_a_days_budget_holds_over_a_restart_and_until_midnight(world: World) -> None:
    world.spec = world.shadow.spec = world.spec.model_copy(update={"per_day": 1})
    world.endpoint.said = "Perhaps"
    await world.miss()
    await world.restart()
    await world.miss("How should I cook the rice?")
    assert len(world.endpoint.asked) == 1
    world.now += 86400
    await world.keep()
    await world.miss("How should I cook the rice?")
    assert len(world.endpoint.asked) == 2


async def test_a_fault_is_counted_and_teaches_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> bool:
        raise OSError("the disk is full")

    world.endpoint.status = 500
    await world.miss()
    monkeypatch.setattr(world.cache, "spend", broken)
    await world.miss()
    assert world.accounting.faults() == {"gray zone verifier": 1, "shadow verifier": 1}
    world.judge.judgement = Judgement(1.0)
    assert (await world.ask()).outcome == "semantic"


async def test_only_what_the_judge_leaves_open_is_asked(world: World) -> None:
    world.judge.judgement = Judgement(0.4)
    await world.miss()
    world.judge.judgement = Judgement(0.0, "number: 5 / 7")
    await world.miss()
    world.judge.judgement = Judgement(0.7)
    world.spec = world.shadow.spec = world.spec.model_copy(update={"mode": "ask"})
    await world.miss()
    assert world.endpoint.asked == []


async def test_verdicts_are_evidence_but_no_pool_learns_from_them(world: World) -> None:
    await world.miss()
    await world.cache.flush()
    assert [(seen.right, seen.source) for seen in world.cache._store.observations()] == [(True, "verdict")]
    await world.restart()
    _, identity = world.identify(ASKED)
    assert world.cache._finder._learning.pool(identity.partition, identity.tenant).count == 0


async def test_the_caller_has_his_answer_before_anybody_is_asked(world: World) -> None:
    world.endpoint.is_silent = True
    bench = Bench(world.cache, Clock())
    bench.life._shadow = world.shadow
    await bench.call(STORED)
    await bench.call(ASKED, headers={"cache-control": "no-store"})
    assert not world.shadow._background, "what is not to be kept is shown to nobody"
    assert "fwd=miss; stored" in (await bench.call(ASKED))["cache-status"]
    assert (await until_so(lambda: len(world.endpoint.asked)), bench.accounting.in_flight) == (1, 0)
    world.endpoint.go.set()
    await asyncio.gather(*world.shadow._background._tasks)
    assert world.cache._store.observations()[-1].source == "verdict"
