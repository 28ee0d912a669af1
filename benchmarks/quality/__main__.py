"""What Askonce claims of its decisions, measured: `python -m benchmarks.quality`, from the repository root.

Needs the development sets, in `../shared/data` beside the repository; says so and leaves out what is not there. A few
minutes. Exit code 1 where a claim fails.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.judge.data import SHARED, banking_pairs, present
from benchmarks.quality.claims import (
    Claim,
    coverage_claim,
    held_out_pairs,
    is_held_out,
    stream,
    stream_claims,
    trap_claims,
)
from rich.console import Console

from askonce.cache import Embedder, Judge, Policy, load_embedder
from askonce.cache.judge import default_judge
from askonce.cli.quality_tables import show_pairs, show_stream, watching
from askonce.config import Behaviour
from askonce.quality.labelled import Pair
from askonce.quality.metrics import labels_of
from askonce.quality.pairs import EXACT
from askonce.quality.plots import coverage_plot, reliability_plot
from askonce.quality.report import Contest, contest, pairs_report, stream_report
from askonce.quality.trial import Watch

MAX_ERRORS = (0.01, 0.02, 0.05)
SHUFFLES = (0, 1, 2)
IMAGES = Path("docs/img")
PAIRS = ("checklist_pairs", "gsmplus_pairs", "qqp_pairs")
STREAM = "banking77_stream"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--max-error", type=float, default=Policy().max_error, help="for the traps; %(default)s")
    options.add_argument("--only", nargs="*", choices=(*PAIRS, STREAM), default=(*PAIRS, STREAM))
    options.add_argument("--plots", action="store_true", help=f"draw {IMAGES}/reliability.png and coverage.png")
    options.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    chosen = options.parse_args()
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    embedder, judge = load_embedder("wordllama"), default_judge()
    claims: list[Claim] = []
    reports: dict[str, Any] = {}
    ranked: dict[str, tuple[list[Pair], Contest]] = {}
    with watching() as watch:
        for name in chosen.only:
            if not present(name):
                console.print(f"{name}: left out, there is no {SHARED / name}.jsonl.gz\n", markup=False)
                continue
            console.print(f"--- {name} ---", style="bold")
            if name == STREAM:
                parts = {"all intents": lambda _: True, "held-out intents": is_held_out}
                audit = Behaviour().audit
                asked = stream_report(
                    stream(), embedder, judge, MAX_ERRORS, seeds=SHUFFLES, audit=audit, parts=parts, watch=watch
                )
                report = asyncio.run(asked)
                show_stream(report)
                claims += stream_claims("banking77", report)
            else:
                pairs = held_out_pairs(name)
                found = asyncio.run(contest(pairs, embedder, judge, Policy(max_error=chosen.max_error), watch=watch))
                report = pairs_report(pairs, found, embedder.name, chosen.max_error)
                ranked[name] = pairs, found
                show_pairs(report)
                subject = name.removesuffix("_pairs")
                if name == "qqp_pairs":
                    claims.append(coverage_claim(subject, report))
                else:
                    claims += trap_claims(subject, found, pairs, report)
            reports[name] = report
            console.print()
        if chosen.plots:
            draw(ranked, embedder, judge, watch)
    show(claims, console)
    if chosen.json:
        chosen.json.write_text(json.dumps(reports, indent=2) + "\n", "utf-8")
    return int(not all(claim.passed for claim in claims))


def show(claims: list[Claim], console: Console) -> None:
    for claim in claims:
        verdict = "pass" if claim.passed else "FAIL"
        console.print(f"{verdict}  {claim.subject}: {claim.claim}: {claim.measured}", markup=False)
    console.print("----  the claim of a deep judge (22 % of qqp at 5 % wrong): none ships, see docs/judge.md for why")
    console.print(f"\n{sum(claim.passed for claim in claims)} of {len(claims)} claims hold")


def draw(ranked: Mapping[str, tuple[list[Pair], Contest]], embedder: Embedder, judge: Judge, watch: Watch) -> None:
    """The pictures of docs/judge.md, from held-out pairs."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    shown = dict(ranked)
    if present(STREAM):
        near = [Pair(row.a, row.b, row.label) for row in banking_pairs(embedder.embed, test=True)]
        shown["banking77, nearest stored"] = near, asyncio.run(contest(near, embedder, judge, Policy(), watch=watch))
    groups = []
    for name, (pairs, found) in shown.items():
        if name in ("qqp_pairs", "banking77, nearest stored"):
            ours = found["askonce"]
            judged = np.array([not reason or reason.startswith("probability") for reason in ours.reasons])
            judged &= ours.scores < EXACT
            groups.append((name.removesuffix("_pairs"), ours.scores[judged], labels_of(pairs)[judged]))
    if groups:
        reliability_plot(IMAGES / "reliability.png", groups, "What came true of the judge's probabilities, held out")
    if "qqp_pairs" in ranked:
        pairs, found = ranked["qqp_pairs"]
        title = f"Quora question pairs, held out: {len(pairs):,}"
        coverage_plot(IMAGES / "coverage.png", found, np.asarray(labels_of(pairs)), title)


if __name__ == "__main__":
    raise SystemExit(main())
