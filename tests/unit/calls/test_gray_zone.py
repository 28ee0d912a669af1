"""The gray zone of intercepted calls: what is asked about, what a yes serves, and what stays a miss."""

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.waiting import PATIENCE
from tests.unit.calls.verdicts import Endpoint, serving

from askonce.accounting import Accounting
from askonce.cache import Cache, Candidate, Entry, Identity, Judgement, Lookup, Policy, Vector, load_embedder
from askonce.call import Answer, Call
from askonce.calls.gray_zone import GrayZone
from askonce.calls.verifier import Verifier
from askonce.faults import Faults
from askonce.rules import VerifierSpec

STORED, ASKED = "How do I cook rice?", "What is the best way to boil rice?"


class Unsure:
    """A judge of one mind."""

    judgement = Judgement(0.7)

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [self.judgement for _ in candidates]


class World:
    def __init__(self, cache: Cache, judge: Unsure, endpoint: Endpoint, verifier: Verifier) -> None:
        self.cache, self.judge, self.endpoint = cache, judge, endpoint
        spec = VerifierSpec(url=endpoint.url, model="small", timeout=PATIENCE)
        self.now = time.time()
        self.zone = GrayZone(cache, verifier, spec, lambda: self.now)

    def identify(self, prompt: str) -> tuple[Call, Identity]:
        call = Call("openai-chat", prompt, {"model": "m"}, model="m")
        return call, self.cache.identify(call, host="h", scope="s")

    async def keep(self, prompt: str) -> Entry:
        call, identity = self.identify(prompt)
        answer = Answer(b"{}", "application/json")
        return await self.cache.remember(
            call, identity, answer, upstream="u", host="h", ttl=3600.0, upstream_seconds=1.0
        )

    async def ask(self, prompt: str = ASKED, policy: Policy | None = None) -> Lookup:
        call, identity = self.identify(prompt)
        return await self.zone(call, identity, await self.cache.look_up(call, identity, policy or Policy()))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as server:
        yield server


@pytest.fixture
async def world(tmp_path: Path, endpoint: Endpoint) -> AsyncIterator[World]:
    judge, verifier = Unsure(), Verifier(Faults(Accounting().fault))
    cache = Cache.open(tmp_path, embedder=load_embedder("wordllama"), judge=judge)
    await cache.ready()
    made = World(cache, judge, endpoint, verifier)
    await made.keep(STORED)
    yield made
    await verifier.close()
    await cache.close()


async def test_a_yes_is_a_hit_that_is_counted_and_can_be_called_wrong(world: World) -> None:
    found = await world.ask()
    assert (found.outcome, found.probability, found.reason) == ("semantic", 0.7, "")
    assert found.entry and found.entry.prompt == STORED
    assert len(found.decision) == 32
    assert (world.cache.stats()["semantic_hits"], world.cache.stats()["misses"]) == (1, 0)
    assert world.endpoint.asked[0]["key"] == "Bearer none"
    await world.ask()
    assert len(world.endpoint.asked) == 1, "verdicts are remembered"
    await world.cache.feedback(found.decision, right=False)
    assert (await world.ask()).reason == "said to be wrong"
    assert len(world.endpoint.asked) == 1


@pytest.mark.parametrize("trouble", ["no", "broken", "slow"])
async def test_anything_but_a_yes_is_a_miss(world: World, trouble: str) -> None:
    assert world.zone.spec
    if trouble == "no":
        world.endpoint.said = "NO"
    elif trouble == "broken":
        world.endpoint.status = 500
    else:
        world.endpoint.is_silent, world.zone.spec = True, world.zone.spec.model_copy(update={"timeout": 0.1})
    found = await world.ask()
    assert (found.outcome, found.entry, found.reason) == ("miss", None, "probability 0.70 < 0.98")
    assert world.cache.stats()["misses"] == 1


async def test_only_what_the_judge_leaves_open_is_asked(world: World) -> None:
    world.judge.judgement = Judgement(0.0, "number: 5 / 7")
    assert (await world.ask()).reason == "number: 5 / 7"
    world.judge.judgement = Judgement(0.9, "negation")
    assert (await world.ask()).outcome == "miss"
    world.judge.judgement = Judgement(0.49)
    assert (await world.ask()).outcome == "miss"
    world.judge.judgement = Judgement(0.7)
    assert (await world.ask(policy=Policy(semantic=False))).outcome == "miss"
    assert (await world.ask(policy=Policy(min_similarity=0.999))).outcome == "miss"
    world.now += 3601
    assert (await world.ask()).outcome == "miss", "what is no longer fresh"
    assert world.endpoint.asked == []


async def test_without_a_verifier_nobody_is_asked(world: World) -> None:
    world.zone.spec = None
    assert (await world.ask()).outcome == "miss"
    assert world.endpoint.asked == []


async def test_the_section_of_the_rules_says_from_where_on(world: World) -> None:
    assert world.zone.spec
    world.zone.spec = replace_above(world.zone.spec, 0.71)
    assert (await world.ask()).outcome == "miss"
    world.zone.spec = replace_above(world.zone.spec, 0.7)
    assert (await world.ask()).outcome == "semantic"


def replace_above(spec: VerifierSpec, above: float) -> VerifierSpec:
    return spec.model_copy(update={"above": above})
