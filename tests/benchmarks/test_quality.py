"""`python -m benchmarks.quality` on development sets of a few lines."""

import gzip
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.corpus import domains
from benchmarks.judge import data
from benchmarks.quality import __main__ as quality
from benchmarks.quality.claims import (
    Claim,
    corpus_claims,
    corpus_pairs,
    coverage_claim,
    held_out_pairs,
    noise_note,
    stream_claims,
    trap_claims,
)

from askonce.quality.labelled import LabelledPair
from askonce.quality.metrics import PairDecisions

type Run = Callable[..., tuple[int, str]]


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Iterable[dict[str, Any]]], None]:
    """Writes a development set."""
    monkeypatch.setattr(data, "SHARED", tmp_path)
    monkeypatch.setattr(quality, "SHARED", tmp_path)

    def write(name: str, rows: Iterable[dict[str, Any]]) -> None:
        content = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(content.encode()))

    return write


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """run("--only", …) -> exit code, output"""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["quality", *arguments])
        return quality.main(), capsys.readouterr().out

    return call


def test_what_is_not_there_is_left_out(sets: object, run: Run, tmp_path: Path) -> None:
    names = ("checklist_pairs", "gsmplus_pairs", "qqp_pairs", "banking77_stream")
    code, out = run("--only", *names)
    for name in names:
        assert f"{name}: left out, there is no {tmp_path / name}.jsonl.gz\n" in out
    assert out.endswith("0 of 0 claims hold\n")
    assert code == 0


def test_each_claim_is_told(sets: Callable[..., None], run: Run, tmp_path: Path) -> None:
    right = {"a": "What is a cat?", "b": "what is a cat", "label": 1, "cat": "same"}
    wrong = {"a": "Convert 10 miles to km", "b": "Convert 10 km to miles", "label": 0, "cat": "order"}
    sets("checklist_pairs", [right, wrong])
    sets("banking77_stream", [{"text": f"Is it {n} o'clock", "cls": f"c{n}", "split": "train"} for n in range(3)])
    code, out = run("--only", "checklist_pairs", "banking77_stream", "--json", "measured.json")
    lines = out.splitlines()
    for judge in ("trees", "deep"):
        assert f"pass  checklist ({judge}): wrong reuse at most 1%: 0.00%" in lines
        assert (
            f"pass  checklist ({judge}): recall not below the cosine's at equal wrong reuse: 100.0%, cosine 0.0%"
            in lines
        )
        none = ", ".join(["0 of 0 = 0.00%"] * 3)
        assert f"pass  banking77 ({judge}), all intents: wrong among hits within 1%: {none}" in lines
        assert any(
            line.startswith(f"FAIL  banking77 ({judge}), all intents: more hits than the best cosine") for line in lines
        )
    assert code == 1
    for measured in json.loads((tmp_path / "measured.json").read_text()).values():
        assert (measured["checklist_pairs"]["pairs"], measured["banking77_stream"]["queries"]) == (2, 3)


def test_pairs_of_qqp_are_those_held_out(sets: Callable[..., None]) -> None:
    sets("qqp_pairs", [{"a": f"a{n}", "b": f"b{n}", "label": n % 2} for n in range(400)])
    found = held_out_pairs("qqp_pairs")
    assert 50 < len(found) < 110
    assert all(data.held_out(pair.a) for pair in found)
    assert {pair.category for pair in found} == {""}


SCORES, LABELS = np.array([0.9, 0.8, 0.7, 0.6]), (1, 1, 0, 1)


@pytest.mark.parametrize(
    ("false_reuse", "recall", "verdicts"),
    [(0.0, 2 / 3, [True, True]), (0.01, 0.5, [True, False]), (1.0, 1.0, [False, True])],
)
def test_traps(false_reuse: float, recall: float, verdicts: list[bool]) -> None:
    found = {"cosine 0.92": PairDecisions(SCORES >= 0.92, SCORES, 1.0)}
    pairs = [LabelledPair("a", "b", label) for label in LABELS]
    claims = list(trap_claims("x", found, pairs, {"false_reuse": false_reuse, "recall": recall}))
    assert [claim.passed for claim in claims] == verdicts


def test_the_corpus_shows_what_a_cache_is_for_and_what_it_must_not_do() -> None:
    shown = [claim.passed for claim in corpus_claims("corpus", {"recall": 0.6, "false_reuse": 0.01})]
    missed = [claim.passed for claim in corpus_claims("corpus", {"recall": 0.59, "false_reuse": 0.011})]
    assert (shown, missed) == ([True, True], [False, False])


def test_pairs_of_the_corpus_are_of_domains_that_no_training_saw() -> None:
    kept = {text for d in domains("en") if d.is_held_out for i in d.intents for text in (i.first, *i.rewordings)}
    pairs = corpus_pairs()
    assert {pair.a for pair in pairs} <= kept
    assert {pair.category for pair in pairs if pair.label} == {"rewording"}
    assert all(pair.b in kept for pair in pairs if pair.label)


@pytest.mark.parametrize(
    ("judge", "coverage", "passed"),
    [("trees", 0.15, True), ("trees", 0.1499, False), ("deep", 0.22, True), ("deep", 0.2199, False)],
)
def test_coverage(judge: str, coverage: float, passed: bool) -> None:
    report = {"coverage_at_5": coverage, "baselines": {"cosine 0.92": {"coverage_at_5": 0.02}}}
    measured = f"{coverage:.1%}, cosine 2.0%"
    least = {"trees": "15%", "deep": "22%"}[judge]
    claim = Claim("qqp", f"coverage at 5 % wrong at least {least}", measured, passed)
    assert coverage_claim("qqp", report, judge) == claim


def test_what_the_labels_get_wrong_is_told_beside_the_claims() -> None:
    known = [LabelledPair("What is a cat?", "what is a cat", label) for label in (1, 1, 1, 0)] + [
        LabelledPair("a", "b", 0)
    ]
    pairs = [LabelledPair("a", "b", label) for label in LABELS]
    note = noise_note("qqp", {"askonce": PairDecisions(SCORES >= 0.9, SCORES, 1.0)}, pairs, known)
    assert note == (
        "qqp: 25.0% of 4 pairs of the same words are labelled different; 5 % wrong beside that is 28.8% by the labels, "
        "and the coverage there is 100.0%"
    )
    assert noise_note("qqp", {}, pairs, known[-1:]) == "qqp: no two questions of the same words"


def test_what_calibrates_is_neither_trained_on_nor_measured_with(sets: Callable[..., None]) -> None:
    sets("qqp_pairs", [{"a": f"a{n}", "b": f"b{n}", "label": n % 2} for n in range(400)])
    kept = [pair.a for pair in data.pairs("qqp_pairs") if data.calibrates(pair.group)]
    assert 10 < len(kept) < 50
    assert all(data.held_out(group) for group in kept)
    assert not set(kept) & {pair.a for pair in held_out_pairs("qqp_pairs")}


def test_one_shuffle_over_the_bound_fails_the_claim() -> None:
    def shuffle(seed: int, wrong: int, theirs: int) -> dict[str, Any]:
        static = {"hits": theirs}
        shares = {"hits": 100, "wrong": wrong, "wrong_share": wrong / 100, "baselines": {"best static": static}}
        return {"part": "all", "seed": seed, "max_error": 0.02, **shares}

    def verdicts(*runs: dict[str, Any]) -> list[bool]:
        return [claim.passed for claim in stream_claims("b", {"runs": runs})]

    assert verdicts(shuffle(0, 2, 99), shuffle(1, 0, 99)) == [True, True]
    assert verdicts(shuffle(0, 3, 99), shuffle(1, 0, 99)) == [False, True]
    assert verdicts(shuffle(0, 2, 100), shuffle(1, 0, 99)) == [True, False]
