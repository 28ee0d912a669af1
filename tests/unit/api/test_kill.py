"""A sample of what `python -m tests.kill` does a thousand times."""

import random
from pathlib import Path

from tests.kill.rounds import run


def test_after_20_kills_every_acknowledged_entry_is_there_and_no_deleted_one(tmp_path: Path, seed: str) -> None:
    tally = run(tmp_path, 20, random.Random(seed))
    assert (tally.rounds, tally.lost, tally.back) == (20, set(), set())
    assert len(tally.kept) > 100
    assert len(tally.gone) > 20
