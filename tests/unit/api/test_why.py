"""Why a call was, or was not, answered: decisions as the life of a call records them, over a real cache."""

import dataclasses

import pytest
from tests.support.lives import at_once
from tests.support.records import record

from askonce.api.why import _placed
from askonce.cache import ComparedCall
from askonce.cache.why import differences
from askonce.call import Request, Usage
from askonce.calls.comparison import Compare
from askonce.calls.kept_request import pack
from askonce.rules import Document, Rules

MISS = record(
    detail="no entry",
    usage=Usage(9, 3),
    stored=True,
)

RULES = """
version: 1
upstreams: [{name: openai-chat, hosts: [api.openai.com], paths: [/v1/chat/completions], wire: openai-chat}]
"""


def asked(entry, **more):
    """The record of the call that `entry` answers."""
    return dataclasses.replace(MISS, asked=entry.key, key=entry.key, parts=entry.parts, **more)


async def test_a_miss_names_the_part_that_differs(client, remember, accounting):
    first = await remember("What is the capital of France?")
    second = await remember("What is the capital of France?", model="gpt-4o-mini")
    accounting.record(asked(second))
    found = (await client.get("/v1/why")).json()
    assert found["why"] == "not answered: no entry; the nearest stored call differs in model"
    assert (found["nearest"]["key"], found["prompt"]) == (first.key, "What is the capital of France?")
    assert found["differs"] == [{"part": "model", "path": "", "stored": "gpt-4o", "asked": "gpt-4o-mini"}]
    assert (found["call"]["key"], found["call"]["stored"]) == (second.key, True)
    assert (await client.get("/v1/why", params={"key": second.key[:6]})).json() == found
    assert (await client.get("/v1/why", params={"last": 1})).json() == found


@pytest.mark.parametrize(
    ("watched", "agreed", "told"),
    [
        ("exact", "same", "the same call was asked before; the provider said the same"),
        ("semantic", "different", "taken for the same question (similarity 0.981); the provider said something else"),
    ],
)
async def test_what_would_have_been_answered(client, remember, accounting, watched, agreed, told):
    first, second = await remember("What is the capital of France?"), await remember("France's capital?")
    figures = {"nearest": first.key, "similarity": 0.981 if watched == "semantic" else None}
    accounting.record(asked(second, detail="watched", watched=watched, agreed=agreed, **figures))
    assert (await client.get("/v1/why")).json()[
        "why"
    ] == f"only watched (match: watch): it would have been answered, {told}"


async def test_a_refused_neighbour_and_what_refused_it(client, remember, accounting):
    first = await remember("How far is 5 miles in km?")
    second = await remember("How far is 7 miles in km?")
    figures = {"nearest": first.key, "similarity": 0.981, "probability": 0.0}
    accounting.record(asked(second, detail="number: 5 / 7", **figures))
    found = (await client.get("/v1/why")).json()
    assert found["why"] == (
        "not answered: the nearest question of its partition was refused: number: 5 / 7 "
        "(similarity 0.981, probability 0.000)"
    )
    assert found["differs"] == [
        {"part": "prompt", "path": "", "stored": "How far is 5 miles in km?", "asked": "How far is 7 miles in km?"}
    ]


async def test_a_prompt_whose_answer_does_not_last(client, remember, accounting):
    entry = await remember("Is the shop open right now?")
    accounting.record(asked(entry, detail="volatile: right now", reuse="volatile"))
    found = (await client.get("/v1/why")).json()
    assert found["why"].startswith("not answered: its answer is given to no other wording, being volatile: right now; ")
    metrics = (await client.get("/metrics")).text
    assert 'askonce_reuse_total{kind="volatile"} 1.0' in metrics


async def test_hits(client, remember, accounting):
    entry = await remember("What is the capital of France?")
    accounting.record(asked(entry, outcome="exact", detail=""))
    found = (await client.get("/v1/why")).json()
    assert (found["why"], found["differs"]) == ("answered: the same call was asked before", [])
    assert found["nearest"]["key"] == entry.key
    reworded = asked(entry, outcome="semantic", similarity=0.957, probability=0.99)
    accounting.record(dataclasses.replace(reworded, asked="ab" * 16))
    found = (await client.get("/v1/why")).json()
    assert found["why"] == "answered: taken for the same question (similarity 0.957, probability 0.990)"


@pytest.mark.parametrize(("detail", "said"), [("no-store", "the request says no-store"), ("own", "own")])
async def test_a_call_that_was_not_looked_up(client, accounting, detail, said):
    accounting.record(dataclasses.replace(MISS, outcome="bypass", detail=detail, stored=False))
    found = (await client.get("/v1/why")).json()
    assert (found["why"], found["nearest"], found["prompt"]) == (f"not looked up: {said}", None, None)


async def test_a_call_whose_answer_was_not_kept(client, remember, accounting):
    entry = await remember("What is the capital of France?", model="gpt-4o-mini")
    parts = {**entry.parts, "sampling": "00" * 8}
    accounting.record(
        dataclasses.replace(MISS, asked="cd" * 16, parts=parts, stored=False, unkept="finish_reason: length")
    )
    found = (await client.get("/v1/why")).json()
    assert found["why"] == "not answered: no entry; the nearest stored call differs in sampling"
    assert (found["prompt"], found["call"]["unkept"]) == (None, "finish_reason: length")


async def test_a_call_that_was_not_kept_and_differs_in_its_prompt_alone(client, remember, accounting):
    entry = await remember("What is the capital of France?")
    accounting.record(dataclasses.replace(MISS, asked="cd" * 16, parts=entry.parts, stored=False))
    found = (await client.get("/v1/why")).json()
    said = "the nearest stored call differs in its prompt; the one that was asked was not kept"
    assert found["why"] == f"not answered: no entry; {said}"
    assert (found["nearest"]["key"], found["differs"]) == (entry.key, [])


async def test_the_nearest_is_of_the_rule_that_was_asked(client, remember, accounting):
    mine = await remember("Who wrote Hamlet?", upstream="mine")
    await remember("What is the capital of France?", model="gpt-4o-mini", upstream="theirs")
    asked_now = await remember("What is the capital of France?", upstream="mine")
    accounting.record(asked(asked_now, upstream="mine"))
    assert (await client.get("/v1/why")).json()["nearest"]["key"] == mine.key


async def test_entries_are_compared_without_any_call(client, remember):
    france = await remember("What is the capital of France?")
    peru = await remember("What is the capital of Peru?")
    germany = await remember("What is the capital of France?", namespace="blue")
    found = (await client.get("/v1/why", params={"prompt": "capital of Peru"})).json()
    assert (found["prompt"], found["call"], found["nearest"]["key"]) == (peru.prompt, None, france.key)
    found = (await client.get("/v1/why", params={"key": france.key, "other": germany.key})).json()
    assert found["differs"] == [{"part": "namespace", "path": "", "stored": "blue", "asked": ""}]


async def test_the_places_in_the_request_are_named_where_it_was_kept(connect, cache, remember):
    def kept(body, **headers):
        return pack(Request("POST", "api.openai.com", "/v1/chat/completions", "", {}, body), headers)

    rules = Rules(Document.parse(RULES))
    client = connect(compare=Compare(cache, lambda: rules, at_once))
    bodies = [
        b'{"model":"gpt-4o","stream":%b,"metadata":{"request_id":"%b"},"messages":[{"role":"user","content":"%b"}]}'
        % of
        for of in ((b"true", b"id-1", b"A?"), (b"false", b"id-2", b"B?"))
    ]
    one = await remember("A?", namespace="blue", request=kept(bodies[0], **{"x-job": "1"}))
    other = await remember("B?", request=kept(bodies[1], **{"x-job": "2", "x-team": "a"}))
    found = (await client.get("/v1/why", params={"key": other.key, "other": one.key})).json()
    assert found["differs"] == [
        {"part": "namespace", "path": "", "stored": "blue", "asked": ""},
        {"part": "prompt", "path": "$['messages'][0]['content']", "stored": "A?", "asked": "B?"},
    ]
    # The entries of a real call have these parts as well.
    parts = {**other.parts, "other": "00" * 8, "headers": "00" * 8}
    differs = differences(ComparedCall.before(dataclasses.replace(other, parts=parts)), one)
    placed = await Compare(cache, lambda: rules, at_once)(one, other)
    assert [(place.part, place.path, place.stored, place.asked) for place in _placed(differs, placed)] == [
        ("namespace", "", "blue", ""),
        ("headers", "x-job", "", ""),
        ("headers", "x-team", "", ""),
        ("other", "$['metadata']['request_id']", "id-1", "id-2"),
        ("prompt", "$['messages'][0]['content']", "A?", "B?"),
    ]


async def test_what_is_not_there(client, accounting, remember):
    async def refused(**which):
        response = await client.get("/v1/why", params=which)
        return response.status_code, response.json()["error"]

    assert await refused() == (404, "There were 0 calls since the start; name a key or a prompt")
    assert await refused(key="abcdef") == (404, "Neither an entry nor one of the last calls has this key")
    assert await refused(prompt="x") == (404, "No entry has a prompt that is anything like this")
    entry = await remember("What is the capital of France?")
    assert await refused(key=entry.key, other="00" * 16) == (404, "The entry to compare with is not there")
    assert await refused(key="ab") == (400, "query parameter key: string should have at least 4 characters, got 'ab'")
    assert (await refused(key=entry.key, last=1))[0] == 400
    alone = (await client.get("/v1/why", params={"key": entry.key})).json()
    assert (alone["why"], alone["nearest"]) == ("no other call is stored", None)
