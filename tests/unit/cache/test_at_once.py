"""What is looked up without leaving the event loop: all that memory can tell, and nothing that may wait."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from askonce.cache import Lookup, Policy

ASKED = "How do I sort a list in Python?"
REWORDED = "What is the way to sort a Python list?"
OTHER = "Who painted the Mona Lisa?"
LENIENT, EXACT = Policy(max_error=0.05), Policy(semantic=False)


class Remote:
    """Like the one that ships, but it does not say that it is local."""

    def __init__(self, real: Any) -> None:
        self.name, self.dimension, self.limit = real.name, real.dimension, real.limit
        self._real = real

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._real.embed(texts)
        return found


async def look_up(bench: Any, prompt: str, policy: Policy = LENIENT) -> tuple[bool, Lookup]:
    """Whether it was done at once, and what was found."""
    call = bench.call(prompt)
    looking = bench.cache.look_up(call, bench.identify(call), policy)
    try:
        waiting = looking.send(None)
    except StopIteration as over:
        return True, over.value
    looking.close()
    assert waiting is not None
    return False, await bench.cache.look_up(call, bench.identify(call), policy)


async def test_another_wording_is_found_at_once_in_an_index_that_is_in_memory(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    at_once, found = await look_up(bench, REWORDED)
    assert (at_once, found.outcome, found.entry) == (False, "semantic", entry)  # reads the index in
    at_once, again = await look_up(bench, REWORDED)
    assert (at_once, again) == (True, found)
    assert again.embedder == "wordllama" and again.vector is not None
    at_once, missed = await look_up(bench, OTHER)
    assert (at_once, missed.outcome, missed.nearest) == (True, "miss", entry)
    assert (bench.cache.stats()["semantic_hits"], bench.cache.stats()["misses"]) == (2, 1)


async def test_what_is_stored_meanwhile_is_found_at_once(bench: Any) -> None:
    await bench.remember(OTHER)
    await look_up(bench, REWORDED)
    entry = await bench.remember(ASKED)
    at_once, found = await look_up(bench, REWORDED)
    assert (at_once, found.entry) == (True, entry)


async def test_what_only_an_identical_call_may_answer_is_missed_at_once(bench: Any) -> None:
    at_once, found = await look_up(bench, ASKED, EXACT)
    assert (at_once, found.outcome, found.reason) == (True, "miss", "no entry")


async def test_an_entry_on_disk_is_not_read_on_the_event_loop(bench: Any) -> None:
    entry = await bench.remember(ASKED)
    await look_up(bench, REWORDED)
    bench.cache._store._memory.remove([entry.id])
    at_once, found = await look_up(bench, REWORDED)
    assert (at_once, found.entry) == (False, entry)
    assert (await look_up(bench, REWORDED))[0]
    await bench.restart()
    at_once, found = await look_up(bench, ASKED, EXACT)
    assert (at_once, found.outcome) == (False, "exact")


async def test_an_entry_that_does_not_fit_is_left_to_a_thread(bench: Any, clock: Any) -> None:
    await bench.remember(ASKED)
    clock.now += 1e9
    at_once, found = await look_up(bench, ASKED)
    assert (at_once, found.reason) == (False, "expired")


@pytest.mark.parametrize("prompt", [REWORDED, "word " * 300])
async def test_an_embedder_that_may_wait_and_a_long_prompt_are_left_to_a_thread(bench: Any, prompt: str) -> None:
    if prompt == REWORDED:
        bench.embedder = Remote(bench.embedder)
        await bench.restart()
    await bench.remember(ASKED)
    await look_up(bench, OTHER)
    assert not (await look_up(bench, prompt))[0]
