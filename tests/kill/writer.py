"""Run by rounds.py: writes until it is killed, and says what the management API acknowledged.

One process imports everything; for each line on its input it forks a child that opens the cache in the folder given
and writes. A line on the output, `kept KEY` or `gone KEY`, is printed once the API has answered so.
"""

import asyncio
import itertools
import os
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import httpx
import numpy as np
from numpy.typing import NDArray

from askonce.accounting import Accounting
from askonce.api.app import create_app
from askonce.cache import Cache, Candidate, Judgement, Vector
from askonce.call import Answer, Call


class Words:
    """Quick and deterministic, so that the time goes into writing."""

    name = "words"
    dimension = 64
    limit = 2_000

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[zlib.crc32(word.encode()) % self.dimension] += 1
            row /= np.linalg.norm(row)
        return rows


class Never:
    def judge(self, prompt: str, vector: Vector, candidates: Sequence[Candidate]) -> list[Judgement]:
        return [Judgement(0.0) for _ in candidates]


def open_cache(folder: Path) -> Cache:
    return Cache.open(folder, embedder=Words(), judge=Never())


def connect(cache: Cache) -> httpx.AsyncClient:
    app = create_app(cache, Accounting(), token=None, version="1", ready=lambda: None, reload=None)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://askonce.internal")


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")  # one write: a killed process leaves no half line in a pipe


async def write(folder: Path) -> None:
    cache = open_cache(folder)
    numbers = itertools.count()

    async def writer(client: httpx.AsyncClient) -> None:
        while True:
            number = next(numbers)
            call = Call("openai-chat", f"question {number} of {os.getpid()}", {"model": "m"}, model="m")
            identity = cache.identify(call, host="api.openai.com", scope="key")
            answer = Answer(b'{"text":"' + b"x" * 3000 + b'"}')
            entry = await cache.remember(
                call, identity, answer, upstream="o", host="api.openai.com", ttl=3600, upstream_seconds=1
            )
            path = f"/v1/cache/{entry.key}"
            if number % 5 == 4:
                (await client.delete(path)).raise_for_status()
                say(f"gone {entry.key}")
            else:
                (await client.get(path)).raise_for_status()
                say(f"kept {entry.key}")

    async with connect(cache) as client:
        await asyncio.gather(*(writer(client) for _ in range(4)))


def main() -> None:
    folder = Path(sys.argv[1])
    connect(cast(Cache, None))  # builds what FastAPI builds once a process, before there are children
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run(write(folder))
        say(f"child {child}")
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    main()
