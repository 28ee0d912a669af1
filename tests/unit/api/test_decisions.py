"""How right decisions were, over a real cache's observations."""

from askonce.cache import Observation
from askonce.cache.learning.recalibration import logit


async def test_evidence_is_summed_up_by_source_probability_and_partition(client, cache, remember):
    entry = await remember("What is the capital of France?")
    told = [
        (entry.id, 0.995, True, "audit"),
        (entry.id, 0.995, False, "audit"),
        (0, 0.92, False, "feedback"),
        (entry.id, 0.7, True, "miss"),
        (entry.id, 0.7, False, "verdict"),
    ]
    for number, (id, said, right, source) in enumerate(told):
        seen = Observation(entry.partition, entry.tenant, id, logit(said), 0.0, right, source, 1_800_000_000.0 + number)
        await cache.run_apart(lambda seen=seen: cache._store.observe_answer(seen).result())
    evidence = (await client.get("/v1/decisions")).json()
    assert evidence["misses"] == {"right": 1, "wrong": 0}
    assert evidence["audits"] == {"right": 1, "wrong": 1, "tokens": 24}
    assert evidence["verdicts"] == {"right": 0, "wrong": 1}
    assert evidence["feedback"] == {"right": 0, "wrong": 1}
    bins = [(one["above"], one["right"], one["wrong"]) for one in evidence["reliability"]]
    assert bins == [(0.5, 1, 1), (0.9, 0, 1), (0.99, 1, 1)]
    assert [(one["source"], one["prompt"]) for one in evidence["wrong"]] == [
        ("feedback", ""),
        ("audit", "What is the capital of France?"),
    ]
    (partition,) = evidence["partitions"]
    assert (partition["partition"], partition["model"]) == (entry.partition.hex(), "gpt-4o")
    assert (partition["right"], partition["wrong"], partition["last"]) == (2, 3, "2027-01-15T08:00:04Z")


async def test_without_evidence_there_is_none(client):
    evidence = (await client.get("/v1/decisions")).json()
    assert (evidence["refused"], evidence["reliability"], evidence["partitions"], evidence["wrong"]) == (0, [], [], [])
