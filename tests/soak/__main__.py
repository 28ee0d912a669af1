"""`python -m tests.soak --minutes 60`: a mixed load for an hour, with a curve of memory, descriptors and latency.

Ends with 1 where memory or descriptors still grow once the cache is full, or a call failed; `--picture FILE` draws the
curve, `--data FILE` keeps its figures as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.attack.target import Target, rules, target
from tests.soak.load import ENTRIES, Load, memory_and_descriptors
from tests.support.processes import answer_for_all

MEMORY = 64.0
"""MiB that the last quarter's median may lie above the second quarter's."""
DESCRIPTORS = 50
SAMPLES = 240

type Sample = dict[str, float]


async def soak(at: Target, minutes: float, callers: int, chance: random.Random) -> tuple[list[Sample], Load]:
    begin, seconds = time.monotonic(), 60 * minutes
    load, samples = Load(at, chance), list[Sample]()
    running = asyncio.create_task(load.run(callers, lambda: time.monotonic() - begin > seconds))
    while not running.done():
        await asyncio.sleep(max(1.0, seconds / SAMPLES))
        memory, descriptors = memory_and_descriptors(at.proxy.process.pid)
        took = load.taken()
        hits, misses = took["asked again"] + took["reworded"], took["new"] + took["stream"]
        samples.append(
            {
                "minute": (time.monotonic() - begin) / 60,
                "memory": memory,
                "descriptors": descriptors,
                "hit": 1000 * statistics.median(hits or [0.0]),
                "miss": 1000 * statistics.median(misses or [0.0]),
            }
        )
    await running
    return samples, load


def grown(samples: list[Sample], name: str) -> float:
    """How much the median of the last quarter lies above that of the second."""
    quarter = max(1, len(samples) // 4)
    before, after = samples[quarter : 2 * quarter], samples[-quarter:]
    return statistics.median(one[name] for one in after) - statistics.median(one[name] for one in before or samples)


def draw(samples: list[Sample], file: Path, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (top, middle, bottom) = pyplot.subplots(3, 1, sharex=True, figsize=(8, 7), layout="constrained")
    minutes = [one["minute"] for one in samples]
    top.plot(minutes, [one["memory"] for one in samples], color="tab:blue")
    top.set(ylabel="resident MiB", title=title)
    middle.plot(minutes, [one["descriptors"] for one in samples], color="tab:green")
    middle.set(ylabel="descriptors")
    for name, color in (("miss", "tab:orange"), ("hit", "tab:red")):
        bottom.plot(minutes, [one[name] for one in samples], label=f"{name} (p50)", color=color)
    bottom.set(ylabel="milliseconds", xlabel="minutes")
    bottom.legend()
    for axes in (top, middle, bottom):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    print(f"seed: {asked.seed}", flush=True)
    logging.disable(logging.WARNING)  # of connections that a proxy had closed meanwhile
    answer_for_all()
    cache = f"{{max_entries: {ENTRIES}, max_bytes: 2GiB}}"
    with tempfile.TemporaryDirectory() as folder, target(Path(folder), rules(cache=cache)) as at:
        samples, load = asyncio.run(soak(at, asked.minutes, asked.callers, random.Random(asked.seed)))
    memory, descriptors = grown(samples, "memory"), grown(samples, "descriptors")
    what = f"{load.calls} calls in {asked.minutes:g} minutes, {load.failed} failed"
    print(f"{what}; memory {memory:+.1f} MiB, descriptors {descriptors:+.0f} (last quarter beside the second)")
    if asked.data:
        asked.data.write_text(json.dumps(samples))
    if asked.picture:
        draw(samples, asked.picture, f"{what}; at most {ENTRIES:,} answers")
    return int(memory > MEMORY or descriptors > DESCRIPTORS or load.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
