"""What Askonce claims of its decisions, measured: `python -m benchmarks.quality`, from the repository root.

Needs the development sets, in `../shared/data` beside the repository; says so and leaves out what is not there. A few
minutes. Exit code 1 where a claim fails.
"""

import argparse
import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.judge.data import SHARED, banking_pairs, present
from benchmarks.judge.data import pairs as labelled
from benchmarks.quality.claims import (
    Claim,
    corpus_claims,
    corpus_pairs,
    coverage_claim,
    held_out_pairs,
    is_held_out,
    noise_note,
    stream,
    stream_claims,
    trap_claims,
)
from rich.console import Console

from askonce.cache import Embedder, Policy, load_embedder
from askonce.cache.judge import load_judge
from askonce.cli.quality_tables import show_pairs, show_stream, watching
from askonce.quality.labelled import LabelledPair
from askonce.quality.metrics import PairDecisions, labels_of
from askonce.quality.pairs import EXACT
from askonce.quality.plots import coverage_plot, reliability_plot
from askonce.quality.report import Contest, contest, pairs_report, stream_report
from askonce.quality.trial import OnProgress
from askonce.rules import Behaviour

MAX_ERRORS = (0.01, 0.02, 0.05)
SHUFFLES = (0, 1, 2)
IMAGES = Path("docs/img")
JUDGES = ("trees", "deep")
PAIRS = ("checklist_pairs", "gsmplus_pairs", "qqp_pairs")
STREAM = "banking77_stream"
CORPUS = "corpus"
"""Our own, which is always here."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--max-error", type=float, default=Policy().max_error, help="for the traps; %(default)s")
    options.add_argument("--only", nargs="*", choices=(CORPUS, *PAIRS, STREAM), default=(CORPUS, *PAIRS, STREAM))
    options.add_argument("--plots", action="store_true", help=f"draw {IMAGES}/reliability.png and coverage.png")
    options.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    options.add_argument("--judge", nargs="*", choices=JUDGES, default=JUDGES)
    chosen = options.parse_args()
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    embedder = load_embedder("wordllama")
    claims: list[Claim] = []
    benches: list[Bench] = []
    for name in chosen.only:
        if not _is_here(name):
            console.print(f"{name}: left out, there is no {SHARED / name}.jsonl.gz\n", markup=False)
    with watching() as watch:
        for judge in chosen.judge:
            benches.append(bench := Bench(embedder, judge, chosen.max_error, watch))
            for name in filter(_is_here, chosen.only):
                console.print(f"--- {name}, judge: {judge} ---", style="bold")
                claims += bench.measure(name)
                console.print()
        if chosen.plots:
            draw(benches, embedder, watch)
    show(claims, [note for bench in benches for note in bench.notes], console)
    if chosen.json:
        reports = {bench.name: bench.reports for bench in benches}
        chosen.json.write_text(json.dumps(reports, indent=2) + "\n", "utf-8")
    return int(not all(claim.passed for claim in claims))


def _is_here(name: str) -> bool:
    return name == CORPUS or present(name)


class Bench:
    """Measures one judge, and keeps what was measured."""

    def __init__(self, embedder: Embedder, judge: str, max_error: float, watch: OnProgress) -> None:
        self.judge = load_judge(judge)
        self.name = judge
        self.notes: list[str] = []
        """What is worth knowing beside the claims."""
        self.reports: dict[str, Any] = {}
        self.ranked: dict[str, tuple[list[LabelledPair], Contest]] = {}
        self._embedder, self._max_error, self._watch = embedder, max_error, watch

    def measure(self, name: str) -> Iterable[Claim]:
        """Print what a development set shows; what it says of each claim."""
        if name == STREAM:
            parts = {"all intents": lambda _: True, "held-out intents": is_held_out}
            report = asyncio.run(
                stream_report(
                    stream(),
                    self._embedder,
                    self.judge,
                    MAX_ERRORS,
                    seeds=SHUFFLES,
                    audit=Behaviour().audit,
                    parts=parts,
                    watch=self._watch,
                )
            )
            show_stream(report)
            self.reports[name] = report
            return stream_claims(f"banking77 ({self.name})", report)
        pairs = corpus_pairs() if name == CORPUS else held_out_pairs(name)
        policy = Policy(max_error=self._max_error)
        found = asyncio.run(contest(pairs, self._embedder, self.judge, policy, watch=self._watch))
        report = pairs_report(pairs, found, self._embedder.name, self._max_error)
        show_pairs(report)
        self.reports[name], self.ranked[name] = report, (pairs, found)
        subject = f"{name.removesuffix('_pairs')} ({self.name})"
        if name == CORPUS:
            return corpus_claims(subject, report)
        if name == "qqp_pairs":
            known = [LabelledPair(row.a, row.b, row.label) for row in labelled(name)]
            self.notes.append(noise_note(subject, found, pairs, known))
            return [coverage_claim(subject, report, self.name)]
        return trap_claims(subject, found, pairs, report)


def show(claims: list[Claim], notes: list[str], console: Console) -> None:
    for claim in claims:
        verdict = "pass" if claim.passed else "FAIL"
        console.print(f"{verdict}  {claim.subject}: {claim.claim}: {claim.measured}", markup=False)
    for note in notes:
        console.print(f"note  {note}", markup=False)
    console.print(f"\n{sum(claim.passed for claim in claims)} of {len(claims)} claims hold")


def draw(benches: Sequence[Bench], embedder: Embedder, watch: OnProgress) -> None:
    """The pictures of docs/judge.md, from held-out pairs."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    near = (
        [LabelledPair(row.a, row.b, row.label) for row in banking_pairs(embedder.embed, test=True)]
        if present(STREAM)
        else []
    )
    groups, curves = [], dict[str, PairDecisions]()
    for bench in benches:
        shown = {"qqp": bench.ranked["qqp_pairs"]} if "qqp_pairs" in bench.ranked else {}
        for _, found in shown.values():
            curves = {f"askonce/{bench.name}": found["askonce"]} | curves | found
        if near:
            shown["banking77"] = near, asyncio.run(contest(near, embedder, bench.judge, Policy(), watch=watch))
        for name, (pairs, found) in shown.items():
            ours = found["askonce"]
            judged = np.array([not reason or reason.startswith("probability") for reason in ours.reasons])
            judged &= ours.scores < EXACT
            groups.append((f"{name}, {bench.name}", ours.scores[judged], labels_of(pairs)[judged]))
    if groups:
        reliability_plot(IMAGES / "reliability.png", groups, "What came true of the judges' probabilities, held out")
    if curves:
        pairs, _ = benches[0].ranked["qqp_pairs"]
        del curves["askonce"]  # it is there by its judge's name
        title = f"Quora question pairs, held out: {len(pairs):,}"
        coverage_plot(IMAGES / "coverage.png", curves, np.asarray(labels_of(pairs)), title)


if __name__ == "__main__":
    raise SystemExit(main())
