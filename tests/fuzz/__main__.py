"""`python -m tests.fuzz --cases 100000`: many random calls through the addon, none of which may go wrong.

Case n of a seed is always the same call after the same ones before it; a failure prints both, and `--first` spares the
rounds before.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.fuzz.lanes import Lanes, lanes
from tests.fuzz.world import World, world
from tests.support.waiting import PATIENCE

type Make = Callable[[Path], AbstractAsyncContextManager[World | Lanes]]

ROUND = 2000
"""Cases that share a cache."""


async def run(
    cases: int, seed: int, first: int = 0, failures: int = 10, make: Make = world
) -> tuple[Counter[str], int]:
    """Outcomes by kind, and how many cases went wrong; each is printed."""
    outcomes, failed, number = Counter[str](), 0, first
    while number < cases and failed < failures:
        end = min(number - number % ROUND + ROUND, cases)
        with tempfile.TemporaryDirectory() as folder:
            async with make(Path(folder)) as at:
                while number < end:
                    number += 1
                    try:
                        async with asyncio.timeout(PATIENCE):
                            await at.case(random.Random(f"{seed}-{number - 1}"))
                            if number == end:
                                await at.end()
                    except Exception:
                        failed += 1
                        print(f"case {number - 1} of seed {seed}:\n{traceback.format_exc()}", file=sys.stderr)
                        break  # its call is still under way: the next ones get a proxy of their own
                outcomes += at.outcomes
        if number % (5 * ROUND) == 0:
            print(f"{number} cases, {failed} wrong", file=sys.stderr)
    return outcomes, failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--failures", type=int, default=10, help="stop after so many")
    parser.add_argument("--first", type=int, default=0, help=f"begin with this case; a multiple of {ROUND}")
    parser.add_argument("--lanes", action="store_true", help="compare the fast lane with mitmproxy's layers instead")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    began = time.monotonic()
    outcomes, failed = asyncio.run(
        run(asked.cases, asked.seed, asked.first, asked.failures, lanes if asked.lanes else world)
    )
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:8} {outcome}")
    print(f"{asked.cases - asked.first} cases, {failed} wrong, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
