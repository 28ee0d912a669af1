"""`python -m tests.kill --rounds 1000`: a cache under load is killed with `kill -9`, again and again.

Nothing that was acknowledged may be lost, and nothing that was deleted may be there again. Ends with 1 where that is
not so, and by itself once its time is over; it says how many rounds that were.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.kill.rounds import Tally, run
from tests.support.processes import answer_for_all

FOLDER = 50
"""Rounds on one folder: each round reads all of it."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60.0, help="end after this time in any case")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    asked = parser.parse_args()
    print(f"seed: {asked.seed}", flush=True)
    answer_for_all()
    chance, begin = random.Random(asked.seed), time.monotonic()
    end, done = begin + 60 * asked.minutes, list[Tally]()
    while (left := asked.rounds - sum(tally.rounds for tally in done)) and time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            done.append(run(Path(folder), min(FOLDER, left), chance, end))
        print(f"{sum(tally.rounds for tally in done)} rounds, {time.monotonic() - begin:.0f} s", file=sys.stderr)
    kept, gone, lost, back = (
        sum(len(getattr(tally, name)) for tally in done) for name in ("kept", "gone", "lost", "back")
    )
    rounds = sum(tally.rounds for tally in done)
    print(f"{rounds} kills, {kept} acknowledged, {lost} lost; {gone} deleted, {back} back")
    return int(bool(lost or back or rounds < asked.rounds))


if __name__ == "__main__":
    sys.exit(main())
