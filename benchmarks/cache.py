"""What each step of the cache costs, on one machine and one run: `python benchmarks/cache.py`.

CPU is that of the whole process, threads included.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from askonce.cache import Cache, Candidate, Identity, Judgement, Policy, Vector
from askonce.cache.embed import WordLlamaEmbedder
from askonce.cache.judge import load_judge
from askonce.cache.store.embedded.index.partition import Index
from askonce.call import Answer, Call, Turn

POLICY = Policy()
TOPICS = [
    "python list",
    "sql table",
    "tax form",
    "train ticket",
    "pasta sauce",
    "garden hose",
    "moon phase",
    "bank loan",
]
ASKED = ["How do I {} a {} number {}?", "What is the best way to {} a {}, number {}?", "Why {} a {} number {}?"]
VERBS = ["sort", "clean", "buy", "fix", "draw", "describe", "compare", "share"]


def prompt(number: int) -> str:
    form, verb, topic = ASKED[number % 3], VERBS[number // 3 % 8], TOPICS[number // 24 % 8]
    return form.format(verb, topic, number)


def call(text: str) -> Call:
    parts = {"model": "gpt-4o", "system": "You are a helpful assistant. " * 60, "sampling": {"temperature": 0.2}}
    return Call("openai-chat", text, parts, model="gpt-4o", turns=(Turn("user", text),))  # type: ignore[arg-type]


def report(name: str, times: list[float], cpu: float | None = None) -> None:
    middle, worst = statistics.median(times) * 1e3, np.percentile(times, 99) * 1e3
    shown = "" if cpu is None else f"   CPU {cpu / len(times) * 1e3:8.3f} ms"
    print(f"{name:<58} p50 {middle:9.4f} ms   p99 {worst:9.4f} ms{shown}")


def measure(name: str, work: Callable[[int], object], count: int = 1000) -> None:
    times: list[float] = []
    cpu = time.process_time()
    for number in range(count):
        start = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - start)
    report(name, times, time.process_time() - cpu)


async def measure_async(name: str, work: Callable[[int], Awaitable[object]], count: int = 500) -> None:
    times: list[float] = []
    cpu = time.process_time()
    for number in range(count):
        start = time.perf_counter()
        await work(number)
        times.append(time.perf_counter() - start)
    report(name, times, time.process_time() - cpu)


async def calls(directory: Path, embedder: WordLlamaEmbedder) -> None:
    cache = Cache.open(directory, embedder=embedder, judge=load_judge())

    def identify(asked: Call) -> Identity:
        return cache.identify(asked, host="api.openai.com", scope="Bearer sk-0123456789")

    async def remember(number: int) -> None:
        asked = call(prompt(number))
        answer = Answer(b'{"choices":[{"message":{"content":"' + b"word " * 200 + b'"}}]}')
        await cache.remember(
            asked, identify(asked), answer, upstream="openai", host="api.openai.com", ttl=9e6, upstream_seconds=1
        )

    await measure_async("remember, one after the other (committed, fsync)", remember, 100)
    start = time.perf_counter()
    await asyncio.gather(*(remember(number) for number in range(100, 1000)))
    print(f"{'remember, 900 at once, each':<58} {(time.perf_counter() - start) / 900 * 1e3:13.4f} ms")

    asked = [call(prompt(number)) for number in range(1000)]
    identities = [identify(one) for one in asked]
    measure("identify, a call of 2 kB", lambda n: identify(asked[n]))
    measure("exact, hit in memory", lambda n: cache.look_up_in_memory(identities[n], POLICY))
    unknown = [identify(call(f"Tell me: {prompt(number)}")) for number in range(1000)]
    measure("exact, nothing there", lambda n: cache.look_up_in_memory(unknown[n], POLICY))

    reworded = [call(f"Tell me: {prompt(number)}") for number in range(500)]
    pairs = [(one, identify(one)) for one in reworded]
    outcomes: dict[str, int] = {}

    async def lookup(number: int) -> None:
        found = await cache.look_up(*pairs[number], POLICY)
        outcomes[found.outcome] = outcomes.get(found.outcome, 0) + 1

    await cache.look_up(*pairs[0], POLICY)
    await measure_async("lookup, reworded, 1,000 in the partition, with the judge", lookup)
    print(f"    outcomes: {outcomes}")
    cache._finder._judge = Nobody()
    await measure_async("lookup, the same without a judge", lookup)
    index = cache._store._indexes.get(identities[0].partition, embedder)
    vectors = embedder.embed([one.prompt for one in reworded])
    measure("    of which: embed", lambda n: embedder.embed([reworded[n].prompt]), 500)
    measure("    of which: nearest 5 of 1,000", lambda n: index.nearest(vectors[n], 5), 500)
    partition = identities[0].partition
    measure("    of which: entries from memory", lambda n: cache._store.take(partition, range(n, n + 5)), 500)
    cache._store._memory.remove(range(10**4))
    measure("    or: entries from disk", lambda n: cache._store.take(partition, range(5 * n, 5 * n + 5)), 190)
    await cache.close()

    start = time.perf_counter()
    cache = Cache.open(directory, embedder=embedder, judge=load_judge())
    print(f"{'open, 1,000 entries':<58} {(time.perf_counter() - start) * 1e3:13.4f} ms")
    await measure_async("lookup, exact, from disk", lambda n: cache.look_up(asked[n], identities[n], POLICY), 900)
    await cache.close()


class Nobody:
    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [Judgement(0.0) for _ in candidates]


def indexes(directory: Path) -> None:
    random = np.random.default_rng(0)
    for size in (1_000, 5_000, 20_000):
        rows = random.normal(size=(size, 256)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        index = Index.of(np.arange(size), rows, dimension=256)
        queries = rows[:200] + random.normal(scale=0.02, size=(200, 256)).astype(np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        nearest = partial(_nearest, index, queries)
        measure(f"nearest 5 of {size:,}, scanned", nearest, 200)
        start = time.perf_counter()
        index.fold()
        took = time.perf_counter() - start
        if index._block:
            kind = type(index._block).__name__.strip("_")
            print(f"{f'    fold into {kind}':<58} {took * 1e3:13.4f} ms")
            measure(f"nearest 5 of {size:,}, {kind}", nearest, 200)
            found = sum(index.nearest(query, 1)[0][0] == number for number, query in enumerate(queries))
            print(f"    the right one first in {found} of 200")
        path = directory / f"{size}.npz"
        start = time.perf_counter()
        index.save(path, "s")
        middle = time.perf_counter()
        assert Index.load(path, "s", dimension=256, embedder="", change=0)
        print(
            f"{f'    snapshot of {path.stat().st_size / 1e6:.1f} MB: write, read':<58} "
            f"{(middle - start) * 1e3:13.4f} ms, {(time.perf_counter() - middle) * 1e3:.1f} ms"
        )


def _nearest(index: Index, queries: NDArray[np.float32], number: int) -> object:
    return index.nearest(queries[number], 5)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(calls(Path(directory) / "data", WordLlamaEmbedder()))
        indexes(Path(directory))


if __name__ == "__main__":
    main()
