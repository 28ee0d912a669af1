"""Which entry is nearest to a call, and what differs."""

from typing import Any

from askonce.cache import Asked, Difference, Entry

ASKED = "What is the capital of France?"


async def nearest(bench: Any, prompt: str | None, scope: str = "sk-1", namespace: str = "", **parts: Any) -> Any:
    call = bench.call(prompt or "", **parts)
    asked = Asked.by(call, bench.identify(call, scope, namespace), namespace)
    if prompt is None:
        asked = Asked(asked.parts, asked.key)
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
    assert await nearest(bench, ASKED, sampling={"seed": 2}) == (near, Difference("sampling"))
    assert await nearest(bench, ASKED, sampling={"seed": 1}, model="n") == (near, Difference("model", "m", "n"))


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
    assert await nearest(bench, None, seed=2) == (near, Difference("seed"))


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
    assert await nearest(bench, ASKED, seed=2) == (near, Difference("seed"))
