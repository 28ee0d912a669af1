"""What people say of a hit, over the management API."""

import asyncio

import pytest

from askonce.cache import Policy
from askonce.call import Call, Turn

ASKED = "How do I sort a list in Python?"
REWORDED = "What is the way to sort a Python list?"


@pytest.fixture
def ask(cache):
    async def ask(prompt):
        call = Call("openai-chat", prompt, {"model": "gpt-4o"}, model="gpt-4o", turns=(Turn("user", prompt),))
        identity = cache.identify(call, host="api.openai.com", scope="key")
        return await cache.look_up(call, identity, Policy())

    return ask


async def test_a_hit_said_to_be_wrong_is_not_served_to_that_question_again(client, remember, ask):
    await remember(ASKED)
    found = await ask(REWORDED)
    said = await client.post("/v1/feedback", json={"decision": found.decision, "right": False})
    assert (said.status_code, said.json()) == (200, {"decision": found.decision, "right": False, "learned": True})
    assert (await ask(REWORDED)).reason == "said to be wrong"
    assert (await ask(ASKED)).outcome == "exact"


async def test_a_hit_said_to_be_right_is_served_again(client, remember, ask):
    await remember(ASKED)
    found = await ask(REWORDED)
    said = await client.post("/v1/feedback", json={"decision": found.decision.upper(), "right": True})
    assert said.json() == {"decision": found.decision, "right": True, "learned": True}
    assert (await ask(REWORDED)).outcome == "semantic"


async def test_what_one_caller_says_of_a_decision_counts_once(client, cache, remember, ask):
    await remember(ASKED)
    found = await ask(REWORDED)
    learned = []
    for _ in range(20):
        again = await ask(REWORDED)
        assert again.decision == found.decision
        said = await client.post("/v1/feedback", json={"decision": found.decision, "right": True})
        learned.append(said.json()["learned"])
    many = [client.post("/v1/feedback", json={"decision": found.decision, "right": True}) for _ in range(20)]
    learned += [said.json()["learned"] for said in await asyncio.gather(*many)]
    assert learned == [True] + [False] * 39
    await cache.flush()
    assert len(cache._store.observations()) == 1


async def test_nobody_counts_again_by_a_header_that_names_another(client, cache, remember, ask):
    await remember(ASKED)
    told = {"decision": (await ask(REWORDED)).decision, "right": True}
    learned = []
    for header in ("x-forwarded-for", "x-real-ip", "forwarded", "x-user-id", "authorization", "cookie"):
        for value in ("10.0.0.1", "10.0.0.2"):
            said = await client.post("/v1/feedback", json=told, headers={header: value})
            learned.append(said.json()["learned"])
    assert learned == [True] + [False] * 11
    await cache.flush()
    assert len(cache._store.observations()) == 1


async def test_each_caller_counts_up_to_a_number(cache, remember, ask):
    await remember(ASKED)
    decision = (await ask(REWORDED)).decision
    said = [await cache.feedback(decision, right=True, caller=f"10.0.0.{number}") for number in range(100)]
    assert said == ["learned"] * 64 + ["noted"] * 36


async def test_who_said_right_may_still_say_wrong(client, cache, remember, ask):
    await remember(ASKED)
    decision = (await ask(REWORDED)).decision
    for right in (True, False, False, True):
        await client.post("/v1/feedback", json={"decision": decision, "right": right})
    assert (await ask(REWORDED)).reason == "said to be wrong"
    await cache.flush()
    assert [observation.right for observation in cache._store.observations()] == [True, False]


async def test_a_hit_is_named_by_its_key_too(client, remember, ask):
    entry = await remember(ASKED)
    unknown = await client.post("/v1/feedback", json={"key": entry.key, "right": False})
    assert (unknown.status_code, unknown.json()) == (404, {"error": "No hit on it is remembered: say the prompt"})
    found = await ask(REWORDED)
    said = await client.post("/v1/feedback", json={"key": entry.key, "right": False})
    assert said.json() == {"decision": found.decision, "right": False, "learned": True}


async def test_a_key_and_a_prompt_need_no_hit(client, remember, ask):
    entry = await remember(ASKED)
    said = await client.post("/v1/feedback", json={"key": entry.key, "prompt": REWORDED, "right": False})
    assert (said.status_code, said.json()["learned"]) == (200, False)
    assert (await ask(REWORDED)).reason == "said to be wrong"
    gone = await client.post("/v1/feedback", json={"key": "00" * 16, "prompt": REWORDED, "right": False})
    assert (gone.status_code, gone.json()) == (404, {"error": "Entry not found"})


@pytest.mark.parametrize(
    "body",
    [
        {"right": True},
        {"key": "00" * 16},
        {"key": "00" * 16, "decision": "00" * 16, "right": True},
        {"decision": "00" * 16, "prompt": "x", "right": True},
        {"decision": "xyz", "right": True},
        {"decision": "00" * 16, "right": True, "more": 1},
    ],
)
async def test_what_names_no_hit_or_two_is_refused(client, body):
    assert (await client.post("/v1/feedback", json=body)).status_code == 400
