"""Which entry is nearest to a call, and what differs."""

from types import SimpleNamespace
from typing import Any

import pytest

from askonce import jsontext
from askonce.cache import ComparedCall, Difference, Entry
from askonce.cache.why import differences
from askonce.call import Turn

ASKED = "What is the capital of France?"


async def nearest(
    bench: Any, prompt: str | None, scope: str = "sk-1", namespace: str = "", upstream: str = "", **parts: Any
) -> Any:
    call = bench.call(prompt or "", **parts)
    identity = bench.identify(call, scope, namespace)
    asked = ComparedCall.by(call, identity, namespace=namespace, host="api.openai.com", upstream=upstream)
    if prompt is None:
        asked = ComparedCall(asked.parts, asked.key)
    found = await bench.cache.nearest(asked)
    return found and (found.entry, *found.differs)


async def test_nothing_is_near_in_an_empty_cache(bench: Any) -> None:
    assert await nearest(bench, ASKED) is None


async def test_the_call_itself_is_not_its_nearest(bench: Any) -> None:
    await bench.remember(ASKED)
    assert await nearest(bench, ASKED) is None


async def test_the_same_prompt_with_the_fewest_other_parts_is_nearest(bench: Any) -> None:
    await bench.remember(ASKED, sampling={"seed": 1}, format="json")
    near = await bench.remember(ASKED, sampling={"seed": 1})
    await bench.remember(ASKED + "!")
    assert await nearest(bench, ASKED, sampling={"seed": 2}) == (
        near,
        Difference("sampling", '{"seed":1}', '{"seed":2}'),
    )
    assert await nearest(bench, ASKED, sampling={"seed": 1}, model="n") == (near, Difference("model", "m", "n"))


async def test_numbers_are_shown_as_they_were(bench: Any) -> None:
    tools = [jsontext.loads(f'[{{"const":{number}}}]') for number in ("123456789012345678901", "123456789012345678902")]
    near = await bench.remember(ASKED, tools=tools[0])
    difference = Difference("tools", '[{"const":123456789012345678901}]', '[{"const":123456789012345678902}]')
    assert await nearest(bench, ASKED, tools=tools[1]) == (near, difference)


async def test_the_nearest_wording_within_the_partition(bench: Any) -> None:
    await bench.remember("Who wrote Hamlet?")
    near = await bench.remember("What is the capital of Germany?")
    assert await nearest(bench, ASKED) == (near, Difference("prompt", "What is the capital of Germany?", ASKED))


async def test_credential_namespace_and_system_are_named(bench: Any) -> None:
    near = await bench.remember(ASKED, system="Be brief.")
    found = await nearest(bench, ASKED, "sk-2", "blue", system="Be verbose.")
    assert found == (near, Difference("credential"), Difference("namespace", "", "blue"), Difference("system"))


async def test_a_call_whose_prompt_is_not_known_is_compared_by_its_parts(bench: Any) -> None:
    await bench.remember(ASKED, model="n")
    near = await bench.remember(ASKED, seed=1)
    assert await nearest(bench, None, seed=2) == (near, Difference("seed", "1", ""))


async def test_long_texts_are_shown_from_where_they_differ(bench: Any) -> None:
    text = "Lorem ipsum. " * 100
    near: Entry = await bench.remember(text + "How many words?")
    found, difference = await nearest(bench, text + "How many letters?")
    assert found == near
    assert difference.stored.startswith("…") and difference.stored.endswith("How many words?")
    assert difference.asked.endswith("How many letters?") and len(difference.asked) < 170


async def test_more_entries_than_are_compared(bench: Any) -> None:
    near = await bench.remember(ASKED, seed=1)
    for number in range(150):
        await bench.remember(f"Question number {number}", exact_only="yes")
    assert await nearest(bench, ASKED, seed=2) == (near, Difference("seed", "1", "2"))


async def test_the_nearest_is_of_the_same_rule_where_there_is_one(bench: Any) -> None:
    same = await bench.remember("Who painted the Mona Lisa?", upstream="mine", sampling={"seed": 1})
    other = await bench.remember(ASKED, model="n", upstream="theirs")
    for number in range(150):
        await bench.remember(f"Question number {number}", exact_only="yes", upstream="theirs")
    found = await nearest(bench, ASKED, upstream="mine")
    assert (found[0], [difference.part for difference in found[1:]]) == (same, ["sampling", "prompt"])
    assert (await nearest(bench, ASKED, upstream="nobody's"))[0] == other


@pytest.mark.parametrize("part", ["tools", "format", "sampling", "other", "media"])
async def test_each_part_is_shown_from_where_it_differs(bench: Any, part: str) -> None:
    long = {"a": ["x" * 300], "b": {"strict": True}}
    near = await bench.remember(ASKED, **{part: long})
    for _ in range(2):
        found, difference = await nearest(bench, ASKED, **{part: {**long, "b": {"strict": False}}})
        assert (found, difference.part) == (near, part)
        assert difference.stored.startswith("…") and difference.stored.endswith('"b":{"strict":true}}')
        assert difference.asked.endswith('"b":{"strict":false}}')
        await bench.restart()
    [_, gone] = await nearest(bench, ASKED)
    assert gone.stored.startswith('{"a":["xxx') and gone.asked == ""


async def test_what_a_huge_part_differs_in_is_not_kept(bench: Any) -> None:
    near = await bench.remember(ASKED, media="x" * 100_000)
    assert len(near.values["media"]) == 2_000
    assert await nearest(bench, ASKED, media="x" * 100_001) == (near, Difference("media"))


def test_the_last_turn_is_shown_where_it_is_not_the_prompt() -> None:
    def asked(*turns: tuple[str, str]) -> ComparedCall:
        said = tuple(Turn(role, text) for role, text in turns)
        return ComparedCall({"history": repr(turns)}, prompt="Why?", turns=said)

    def stored(*turns: tuple[str, str]) -> Any:
        return SimpleNamespace(**dict.fromkeys(("model", "namespace", "wire", "host"), ""), **vars_of(asked(*turns)))

    def vars_of(of: ComparedCall) -> dict[str, Any]:
        return {"parts": of.parts, "turns": of.turns, "prompt": of.prompt, "values": {}}

    answered = stored(("user", "Why?"), ("assistant", "calls a tool"), ("tool", "42"))
    [difference] = differences(asked(("user", "Why?"), ("assistant", "calls a tool"), ("tool", "43")), answered)
    assert difference == Difference("history", "assistant: calls a tool\ntool: 42", "assistant: calls a tool\ntool: 43")
    answered = stored(("user", "Hello"), ("assistant", "Hi"), ("user", "Why?"))
    [difference] = differences(asked(("user", "Hello"), ("assistant", "Ho"), ("user", "Why?")), answered)
    assert difference == Difference("history", "user: Hello\nassistant: Hi", "user: Hello\nassistant: Ho")
