"""What callers make up makes few rows."""

import dataclasses

from tests.support.clock import Clock
from tests.unit.accounting.recorded import MISS

from askonce.accounting import Accounting


def test_models_that_callers_make_up_do_not_grow_the_table():
    accounting = Accounting(Clock())
    for number in range(500):
        accounting.record(dataclasses.replace(MISS, model=f"model-{number}"))
    models = accounting.stats()["models"]
    assert len(models) == 101
    assert models["other"]["calls"] == 400
    assert sum(summary["calls"] for summary in models.values()) == 500


def test_reasons_of_a_bypass_are_bounded_and_those_of_a_miss_make_no_rows():
    accounting = Accounting(Clock())
    for number in range(300):
        accounting.record(dataclasses.replace(MISS, outcome="bypass", detail=f"reason {number}"))
        accounting.record(dataclasses.replace(MISS, detail=f"number: {number} / 7"))
    assert len(accounting.sums(lambda row: row)) == 52
    assert accounting.stats()["bypasses"]["other"] == 250


def test_a_model_name_that_is_not_text_can_still_be_shown():
    accounting = Accounting(Clock())
    accounting.record(dataclasses.replace(MISS, model="gpt\ud800", detail="odd \udfff"))
    accounting.record(dataclasses.replace(MISS, model=""))
    accounting.record(dataclasses.replace(MISS, model="x" * 1000))
    stats = accounting.stats()
    assert sorted(stats["models"]) == ["gpt?", "unknown", "x" * 128]
    assert [decision["model"] for decision in stats["latest"]] == ["x" * 128, "", "gpt?"]
    assert stats["latest"][-1]["detail"] == "odd ?"
