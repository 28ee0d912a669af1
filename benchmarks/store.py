"""`python -m benchmarks.store --entries 1000 100000`: look-ups in the embedded and the shared store, side by side.

The shared one is a PostgreSQL on this machine (the wheel that the tests use). `one`: all entries are in one partition;
`many`: in as many as there are entries, ten of each. Each figure is p50 and p99 in milliseconds, over 500 look-ups, by
one thread; nothing that is looked up is in memory but for the row that says so.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
from tests.support.entries import NOW, entry
from tests.support.postgres import running

from askonce.cache.judge import Vector
from askonce.cache.store import AnswerStore, CacheLimits, Entry, open_answers
from askonce.call import Answer
from askonce.faults import Faults

LOOKUPS = 500
NEAREST = 12
"""What a look-up asks for."""
DIMENSION = 256


class Embedding:
    name, dimension, limit = "benchmark", DIMENSION, 400

    def embed(self, texts: Any) -> Any:
        raise AssertionError("vectors are made by chance here")


def entries(count: int, each: int, chance: np.random.Generator) -> Iterator[Entry]:
    """`each` in a partition."""
    for number in range(count):
        partition = (number // each).to_bytes(16, "big")
        answer = Answer(b"x" * 1000)
        yield entry(
            number,
            partition=partition,
            answer=answer,
            embedder=Embedding.name,
            vector=unit(chance),
            expires=NOW * 2,
            stale_until=NOW * 2,
        )


def unit(chance: np.random.Generator) -> Vector:
    made: Vector = chance.normal(size=DIMENSION).astype(np.float32)
    return made / np.float32(np.linalg.norm(made))


def timed(look: Callable[[int], object], numbers: list[int]) -> str:
    """p50 and p99 of each look-up, in ms."""
    took = []
    for number in numbers:
        start = time.perf_counter()
        look(number)
        took.append(time.perf_counter() - start)
    return f"{1000 * np.median(took):8.3f} {1000 * np.percentile(took, 99):8.3f}"


@contextmanager
def opened(kind: str, folder: Path, place: Any, memory: int) -> Iterator[AnswerStore]:
    limits = CacheLimits(10**7, 1 << 40, memory_bytes=memory)
    store = open_answers(folder, limits, lambda: NOW, Faults(), place if kind == "shared" else None)
    try:
        yield store
    finally:
        store.close()


def measure(kind: str, count: int, each: int, folder: Path, place: Any) -> None:
    chance = np.random.default_rng(7)
    start = time.perf_counter()
    with opened(kind, folder, place, 0) as store:
        for batch in batched(entries(count, each, chance), 1000):
            for future in [store.put(one) for one in batch]:
                future.result()
    filled = time.perf_counter() - start
    start = time.perf_counter()
    with opened(kind, folder, place, 64 << 20) as store:
        started = time.perf_counter() - start
        numbers = chance.choice(count, min(LOOKUPS, count), replace=False).tolist()

        def same(number: int) -> object:
            found = store.same((number // each).to_bytes(16, "big"), number.to_bytes(16, "big"))
            assert found
            return found

        def near(number: int) -> object:
            return store.nearest((number // each).to_bytes(16, "big"), Embedding(), unit(chance), NEAREST)

        near(0)  # the embedded one reads the vectors of a partition when it is first asked
        rows = (
            ("exact", timed(same, numbers)),
            ("exact, in memory", timed(same, numbers)),
            ("nearest", timed(near, numbers)),
        )
    layout = "one" if each == count else "many"
    print(f"{kind:>9} {count:>8} {layout:>5}  filled in {filled:.1f} s, started in {started:.2f} s")
    for name, figures in rows:
        print(f"{name:>30} {figures}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 100_000])
    asked = parser.parse_args()
    with running() as postgres, tempfile.TemporaryDirectory() as folder:
        for count in asked.entries:
            for each in (count, 10):
                for kind in ("embedded", "shared"):
                    measure(kind, count, each, Path(folder, f"{kind}-{count}-{each}"), place := postgres.place())
                    postgres.drop(place)


if __name__ == "__main__":
    main()
