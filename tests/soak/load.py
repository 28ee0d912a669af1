"""A mixed load on a proxy, for as long as one likes: hits, rewordings, misses, streams, callers who leave.

One rule: the cache is as large as it gets after a short while, so that what still grows is a leak.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import httpx
from tests.attack.target import CHAT, Target, body
from tests.support.waiting import PATIENCE

ENTRIES = 2_000
"""The cache's limit."""
QUESTION = "What is the population of town number {}?"
REWORDED = "Please tell me the population of town number {}."
KINDS = {"asked again": 40, "reworded": 20, "new": 20, "stream": 10, "left": 5, "watched": 5}
"""Of a hundred calls."""
_KEYS = 20


class Load:
    """Callers side by side; what they did, and how long it took, until it is taken."""

    def __init__(self, target: Target, chance: random.Random) -> None:
        self._target, self._chance = target, chance
        self._trusting = ssl.create_default_context(cafile=str(target.proxy.bundle))
        self._took = defaultdict[str, list[float]](list)
        self.calls = self.failed = 0

    def taken(self) -> dict[str, list[float]]:
        """Seconds by kind of call, since the last time."""
        taken, self._took = self._took, defaultdict(list)
        return taken

    async def run(self, callers: int, is_over: Callable[[], bool]) -> None:
        await asyncio.gather(*(self._call(is_over) for _ in range(callers)))

    async def _call(self, is_over: Callable[[], bool]) -> None:
        """One caller: a connection for some calls, then another."""
        while not is_over():
            headers = {"authorization": f"Bearer sk-{self._chance.randrange(_KEYS)}"}
            async with httpx.AsyncClient(
                proxy=self._target.proxy.url,
                verify=self._trusting,
                headers=headers,
                trust_env=False,
                timeout=PATIENCE,
            ) as client:
                for _ in range(self._chance.randint(1, 50)):
                    if is_over():
                        return
                    await self._one(client)

    async def _one(self, client: httpx.AsyncClient) -> None:
        (kind,) = self._chance.choices(list(KINDS), list(KINDS.values()))
        number = self._chance.randrange(20) if kind in ("asked again", "reworded") else self._chance.randrange(10**9)
        text = (REWORDED if kind == "reworded" else QUESTION).format(number)
        begin = time.perf_counter()
        self.calls += 1
        try:
            if kind == "watched":
                await client.get(f"{self._target.proxy.url}/metrics")
            elif kind in ("stream", "left"):
                async with client.stream("POST", CHAT, json=body(text, stream=True)) as answer:
                    async for _ in answer.aiter_raw():
                        if kind == "left":
                            break
            else:
                (await client.post(CHAT, json=body(text))).raise_for_status()
        except httpx.HTTPError:
            self.failed += 1
        self._took[kind].append(time.perf_counter() - begin)


def memory_and_descriptors(pid: int) -> tuple[float, int]:
    """Resident MiB and open files of a process (Linux)."""
    proc = Path(f"/proc/{pid}")
    (line,) = [line for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024, len(list((proc / "fd").iterdir()))
