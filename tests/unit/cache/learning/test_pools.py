"""What a cache learns: through its own door, with a judge that is wrong in a known way."""

import contextlib
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from askonce.cache import Candidate, Judgement, Lookup, Policy, StoreError, Vector
from askonce.cache.learning.pools import OWN, Learning, Observation, Weighed, pair
from askonce.cache.learning.recalibration import probability

ASKED = "How do I sort a list in Python?"
REWORDED = "What is the way to sort a Python list?"
TWO = Policy(max_error=0.02)
HERE, THERE = b"p" * 16, b"q" * 16
US, THEM = "us", "them"


class Says:
    """One probability for all."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [Judgement(self.probability) for _ in candidates]


def seen(right: bool, *, partition: bytes = HERE, tenant: str = US, entry: int = 0, score: float = 3.0) -> Observation:
    return Observation(partition, tenant, entry, score, 0.0, right, "miss", 0.0)


def judged(
    learning: Learning,
    partition: bytes = HERE,
    said: float = 0.97,
    *,
    tenant: str = US,
    entry: int = 0,
    kin: int = 5,
) -> float:
    return learning.pool(partition, tenant).weigh(said, entry, kin, 1.0, [(kin, 1.0)]).probability


def test_without_evidence_the_judges_word_counts_to_the_last_digit() -> None:
    pool = Learning().pool(HERE, US)
    for said in (0.0, 0.001, 0.98, 0.9999, 1.0):
        assert pool.weigh(said, 1, 5, 1.0, [(5, 1.0), (5, 0.9)]).probability == said
    assert pool.serves(Weighed(3.9, 0.0, 0.98, True), 0.02)
    assert not pool.serves(Weighed(3.9, 0.0, 0.9799, True), 0.02)


def test_only_its_own_evidence_makes_a_partition_bolder() -> None:
    learning = Learning([seen(True) for _ in range(OWN)])
    assert judged(learning) > 0.98
    assert judged(learning, THERE) == 0.97


def test_the_evidence_of_the_tenants_others_makes_it_more_careful() -> None:
    learning = Learning([seen(False) for _ in range(OWN)])
    assert judged(learning) < 0.9
    assert judged(learning, THERE) < 0.9


@pytest.mark.parametrize("right", [True, False])
def test_nobody_teaches_another_tenants_cache(right: bool) -> None:
    taught = [seen(right, partition=THERE, tenant=THEM) for _ in range(10 * OWN)]
    for learning in (Learning(taught), Learning()):
        for observation in taught:
            learning.learn(observation)
        assert judged(learning, said=0.97) == 0.97
        assert judged(learning, said=0.985) == 0.985
        assert judged(learning, THERE, tenant=THEM) != 0.97


@pytest.mark.parametrize("other", [{"namespace": "theirs"}, {"scope": "sk-2"}])
async def test_answers_that_differ_at_every_call_cost_another_tenant_no_hit(bench: Any, other: dict[str, str]) -> None:
    bench.judge = Says(0.985)
    await bench.restart()
    await bench.remember(ASKED)
    for number in range(3 * OWN):
        question = f"Question {'abcdefghij'[number % 10]} in other words {number}"
        await bench.remember(question, body=b"%d" % number, found=await bench.ask(question, TWO, **other), **other)
    assert (await bench.ask("Question a in yet other words", TWO, **other)).outcome == "miss"
    for _ in range(2):
        assert (await bench.ask(REWORDED, TWO)).outcome == "semantic"
        await bench.restart()


def test_one_tenants_observations_push_out_none_of_anothers(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("askonce.cache.store.embedded.transaction.OBSERVATIONS", 300)
    store = bench.cache._store
    done = [store.observe_answer(seen(True, tenant=US)) for _ in range(100)]
    done += [store.observe_answer(replace(seen(True, tenant=THEM), score=float(n))) for n in range(924)]
    done[-1].result()
    kept = store.observations()
    assert [observation.tenant for observation in kept] == [US] * 100 + [THEM] * 200
    assert kept[-1].score == 923.0


async def test_observations_of_the_schema_before_are_given_their_tenant(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    identity = bench.identify(bench.call(ASKED))
    store = bench.cache._store
    store.observe_answer(seen(True, partition=entry.partition, tenant="")).result()
    store.observe_answer(seen(False, partition=THERE, tenant="")).result()
    await bench.cache.close()
    with contextlib.closing(sqlite3.connect(store._rows.path)) as connection:
        connection.executescript(
            "DROP INDEX observation_tenant; ALTER TABLE observation DROP COLUMN tenant; PRAGMA user_version = 3;"
            "DROP TABLE alias; ALTER TABLE entry DROP COLUMN shown; ALTER TABLE entry DROP COLUMN request;"
            "DROP INDEX usage_tenant; ALTER TABLE usage DROP COLUMN tenant;"
            "CREATE INDEX usage_last_used ON usage (last_used);"
        )
    bench.open()
    kept = bench.cache._store.observations()
    assert [(one.tenant, one.right) for one in kept] == [(identity.tenant, True), (THERE.hex(), False)]


def test_a_wrong_answer_weighs_on_its_entry() -> None:
    learning = Learning([seen(True, entry=1)] * 5 + [seen(False, entry=2)] + [seen(True)] * OWN)
    assert judged(learning, entry=2) < 0.97 < judged(learning, entry=3) <= judged(learning, entry=1)
    learning.forget([2])
    assert judged(learning, entry=2) == judged(learning, entry=3)


def test_safe_answers_make_room_for_others_but_only_with_evidence() -> None:
    chance, learning = random.Random(1), Learning()
    for _ in range(2_000):
        score = chance.choice((1.0, 3.0, 7.0))
        learning.learn(seen(chance.random() < {1.0: 0.5, 3.0: 0.97, 7.0: 0.9999}[score], score=score))
    pool = learning.pool(HERE, US)
    unsure = pool.weigh(probability(3.1), 0, 5, 1.0, [(5, 1.0)])
    assert 0.9 < unsure.probability < 0.98
    assert not pool.serves(unsure, 0.02)
    for _ in range(3_000):
        pool.decided(pool.weigh(1.0, 0, 5, 1.0, [(5, 1.0)]), 0.02, served=True)
    learning.learn(seen(True, score=7.0))
    pool._own.fit()
    assert pool.serves(unsure, 0.02)
    assert not pool.serves(replace(unsure, probability=0.6), 0.02)
    assert not pool.serves(replace(unsure, comparable=False), 0.02)
    for _ in range(2_000):
        if pool.serves(unsure, 0.02):
            pool.decided(unsure, 0.02, served=True)
    account = pool._accounts[0.02]
    assert account.served > 3_000 and account.wrong <= 0.02 * account.served


def test_answers_that_cannot_be_told_apart_are_never_trusted_more_than_the_judge_does() -> None:
    learning = Learning([seen(True) for _ in range(OWN)])
    assert judged(learning, kin=5) > 0.98
    assert judged(learning, kin=0) == judged(learning, kin=-5) == 0.97
    learning = Learning([seen(False) for _ in range(OWN)])
    assert judged(learning, kin=-5) < 0.9


async def test_a_near_miss_is_compared_and_learned_from(bench: Any) -> None:
    bench.judge = Says(0.9)
    await bench.restart()
    stored = await bench.remember(ASKED, body=b"sorted()")
    found = await bench.ask(REWORDED, TWO)
    assert (found.outcome, found.reason) == ("miss", "probability 0.90 < 0.98")
    await bench.remember(REWORDED, body=b"Sorted().", found=found)
    await bench.cache.flush()
    (observation,) = bench.cache._store.observations()
    assert (observation.entry, observation.right, observation.source) == (stored.id, True, "miss")
    other = await bench.cache.get(bench.identify(bench.call(REWORDED)).key)
    assert other.kin == stored.kin > 0


@pytest.mark.parametrize(
    ("body", "count"),
    [(b"list.sort", 1), (b"x" * 70_000, 0), (b"sorted() or list.sort()", 0), (b"You may call it " * 9, 0)],
)
async def test_what_is_not_plain_teaches_nothing(bench: Any, body: bytes, count: int) -> None:
    bench.judge = Says(0.9)
    await bench.restart()
    await bench.remember(ASKED, body=b"sorted()")
    await bench.remember(REWORDED, body=body, found=await bench.ask(REWORDED, TWO))
    await bench.cache.flush()
    assert [o.right for o in bench.cache._store.observations()] == [False] * count


async def test_it_learns_to_trust_and_a_restart_remembers_it(bench: Any) -> None:
    bench.judge = Says(0.9)
    await bench.restart()
    for number in range(3 * OWN):
        question = f"Question {'abcdefghij'[number % 10]} in other words {number}"
        await bench.remember(question, body=b"same", found=await bench.ask(question, TWO))
    assert (await bench.ask("Question a in yet other words", TWO)).outcome == "semantic"
    await bench.restart()
    assert (await bench.ask("Question a in yet other words", TWO)).outcome == "semantic"
    assert (await bench.ask("Question a in yet other words", TWO, scope="sk-2")).outcome == "miss"


async def test_a_wrong_hit_is_never_served_again_even_after_a_restart(bench: Any) -> None:
    entry = await bench.remember(ASKED, body=b"one")
    found = await bench.ask(REWORDED)
    assert found.decision == pair(entry.partition, REWORDED, entry.key).hex()
    assert await bench.cache.feedback(found.decision, right=False) == "learned"
    for _ in range(2):
        again = await bench.ask(REWORDED)
        assert (again.outcome, again.reason, again.nearest) == ("miss", "said to be wrong", entry)
        assert (await bench.ask(ASKED)).outcome == "exact"
        await bench.restart()
    assert await bench.cache.feedback(found.decision, right=False) == "noted"


async def test_a_pair_is_refused_for_a_later_answer_to_the_same_prompt_too(bench: Any) -> None:
    await bench.remember(ASKED, body=b"one")
    found = await bench.ask(REWORDED)
    await bench.cache.feedback(found.decision, right=False)
    await bench.remember(ASKED, body=b"two")
    assert (await bench.ask(REWORDED)).outcome == "miss"


async def test_feedback_finds_a_hit_by_key_or_by_key_and_prompt(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    assert await bench.cache.decision(entry.key) is None
    found = await bench.ask(REWORDED)
    assert await bench.cache.decision(entry.key) == found.decision
    assert await bench.cache.decision(entry.key, REWORDED) == found.decision
    assert await bench.cache.decision("00" * 16, REWORDED) is None
    with pytest.raises(ValueError, match="32 hex digits"):
        await bench.cache.feedback("abcd", right=True)


async def test_a_checked_hit_that_was_wrong_is_evidence_and_is_not_served_again(bench: Any) -> None:
    entry = await bench.remember(ASKED, body=b"one")
    found = await bench.ask(REWORDED)
    assert found.outcome == "semantic"
    kept = await bench.remember(REWORDED, body=b"two", found=found)
    await bench.cache.flush()
    (observation,) = bench.cache._store.observations()
    assert (observation.right, observation.source) == (False, "audit")
    await bench.cache.delete(kept.key)
    assert (await bench.ask(REWORDED)).reason == "said to be wrong"
    await bench.cache.delete(entry.key)
    assert [o.entry for o in bench.cache._store.observations()] == [0]


async def test_a_fault_while_comparing_costs_no_answer(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_body: bytes) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr("askonce.cache.labelling.text_of", broken)
    await bench.remember(ASKED)
    assert (await bench.ask(ASKED)).outcome == "exact"


async def test_what_was_learned_cannot_be_read(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_store: Any) -> list[Observation]:
        raise StoreError("no")

    monkeypatch.setattr("askonce.cache.store.embedded.store.Store.observations", broken)
    await bench.remember(ASKED)
    await bench.restart()
    assert isinstance(await bench.ask(ASKED), Lookup)


def test_old_observations_make_room(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("askonce.cache.store.embedded.transaction.OBSERVATIONS", 300)
    store = bench.cache._store
    done = [store.observe_answer(replace(seen(True), score=float(n))) for n in range(512)]
    done[-1].result()
    kept = store.observations()
    assert (len(kept), kept[-1].score) == (300, 511.0)


def test_where_partitions_are_too_many_those_that_taught_least_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("askonce.cache.learning.pools.PARTITIONS", 8)
    learning = Learning([seen(True) for _ in range(OWN)])
    for number in range(100):
        learning.pool(number.to_bytes(16), str(number))
    assert judged(learning) > 0.98
    assert len(learning._pools) <= 8
    assert learning._tenants.keys() == {pool.tenant for pool in learning._pools.values()}
