"""The confusion of kinds, and what is held back of pairs before the judge."""

import numpy as np

from askonce.quality.labelled import KINDS, LabelledPair, Prompt
from askonce.quality.metrics import PairDecisions
from askonce.quality.reuse import apart, confusion, reuse_report, shares


def test_shares_are_of_what_a_prompt_is() -> None:
    table = confusion([("lasting", "lasting")] * 3 + [("lasting", "act"), ("act", "state"), ("state", "lasting")])
    assert shares(table) == (0.25, 0.5)
    assert shares(confusion([])) == (0.0, 0.0)


def test_a_report_has_every_kind_in_both_directions() -> None:
    report = reuse_report([Prompt("What is the capital of France?", "lasting"), Prompt("Where is my parcel?", "state")])
    assert (report["prompts"], report["lasting_otherwise"], report["others_lasting"]) == (2, 0.0, 0.0)
    assert [list(row) for row in report["called"].values()] == [list(KINDS)] * 6
    assert report["called"]["state"]["state"] == 1


def test_what_is_held_back_is_told_apart_from_what_is_judged() -> None:
    pairs = [
        LabelledPair("Where is my parcel?", "where's my parcel", 1),
        LabelledPair("What is the capital of France?", "Cancel my order.", 0),
        LabelledPair("What is the capital of France?", "What's the capital of France?", 1),
    ]
    served = PairDecisions(np.array([False, False, True]), np.array([0.0, 0.0, 1.0]), 1.0, ("", "", ""))
    found = apart(pairs, served)
    assert found["held_back"] == {"act": {"same": 0, "other": 1}, "state": {"same": 1, "other": 0}}
    assert (found["judged"]["pairs"], found["judged"]["recall"]) == (1, 1.0)
