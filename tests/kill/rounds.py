"""Rounds of `kill -9`: a cache that four callers write to and delete from is killed, opened anew, and compared with
what its management API had acknowledged.

One rule: only what was printed before the kill counts as acknowledged; what was under way may be there or not.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.kill import writer

_WRITER = Path(writer.__file__)


@dataclass
class Tally:
    """What was acknowledged in all rounds on one folder, and what became of it."""

    rounds: int = 0
    kept: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    """Acknowledged, and not there after a kill."""
    back: set[str] = field(default_factory=set)
    """Deleted, and there again."""


class Writer:
    """A process that forks one that writes, each time it is told to. `with` ends it."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [sys.executable, _WRITER, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._child = 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        if self._child:
            os.kill(self._child, signal.SIGKILL)  # a check failed, or somebody stopped us, in the middle of a round
        self._process.wait()
        self._process.stdout.close()

    def killed(self, after: int) -> dict[str, set[str]]:
        """Let it write, and kill it when it has acknowledged so much; keys by what was acknowledged until its end."""
        assert self._process.stdin and self._process.stdout
        acknowledged: dict[str, set[str]] = {"kept": set(), "gone": set()}
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        count = 0
        for line in self._process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "dead":
                self._child = 0
                return acknowledged
            if word == "child":
                self._child = int(rest)
            else:
                acknowledged[word].add(rest)
                count += 1
            if count == after:
                os.kill(self._child, signal.SIGKILL)
        raise AssertionError("the writing process ended by itself")


def run(folder: Path, rounds: int, chance: random.Random, end: float = float("inf")) -> Tally:
    """So many rounds on one folder, fewer where `end` (time.monotonic) comes before."""
    tally = Tally()
    with Writer(folder) as process:
        while tally.rounds < rounds and time.monotonic() < end:
            acknowledged = process.killed(chance.randint(1, 100))
            tally.rounds += 1
            tally.kept |= acknowledged["kept"]
            tally.gone |= acknowledged["gone"]
            there = asyncio.run(listed(folder))
            tally.lost |= tally.kept - there
            tally.back |= tally.gone & there
    return tally


async def listed(folder: Path) -> set[str]:
    """The keys that the management API of a cache opened anew lists."""
    cache = writer.open_cache(folder)
    keys: set[str] = set()
    try:
        async with writer.connect(cache) as client:
            while page := (await client.get("/v1/cache", params={"offset": len(keys), "limit": 1000})).json()["keys"]:
                keys.update(page)
    finally:
        await cache.close()
    return keys
