"""The embedder of a cache: waited for while it loads, done without where it cannot be loaded."""

import asyncio
import threading
from typing import Any

import pytest

from askonce.cache import StoreError, embed

ASKED = "How do I sort a list in Python?"
REWORDED = "What is the way to sort a Python list?"  # cosine 0.963
OTHER = "Who painted the Mona Lisa?"


async def test_the_embedder_loads_in_the_background_and_the_first_lookup_waits_for_it(
    bench: Any, wordllama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    monkeypatch.setattr(embed, "WordLlamaEmbedder", lambda: asked.wait() and wordllama)
    entry = await bench.remember(ASKED)
    bench.embedder = None
    cache = await bench.restart()
    assert cache.stats()["embedder"] == ""
    assert (await bench.ask(ASKED)).outcome == "exact"
    lookup = asyncio.ensure_future(bench.ask(REWORDED))
    await asyncio.sleep(0)
    asked.set()
    assert (await lookup).entry == entry
    assert await cache.ready() is True
    assert cache.stats()["embedder"] == "wordllama"


async def test_an_embedder_that_cannot_be_loaded_leaves_exact_hits(
    bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.remember(OTHER)
    bench.embedder = "openai:m@http://127.0.0.1:9/v1"
    cache = await bench.restart()
    assert await cache.ready() is False
    entry = await bench.remember(ASKED)
    assert (await bench.ask(ASKED)).entry == entry
    assert (await bench.ask(REWORDED)).reason == "no embedder"
    with pytest.raises(StoreError, match="no embedder"):
        await cache.search(ASKED)
    [record] = [record for record in caplog.records if record.name.startswith("askonce")]
    assert "; only identical questions are recognised" in record.message
    assert bench.counted == {"embedder": 1}
