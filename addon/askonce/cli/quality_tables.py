"""What `eval` and `tune` show to people. One rule: it is the report that `--json` prints, and nothing more."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from askonce.cli.output import progress, results, table
from askonce.quality import bounds
from askonce.quality.report import rules_lines
from askonce.quality.trial import OnProgress
from askonce.quality.tune import Tuned, TunedPoint

__all__ = ["show_pairs", "show_reuse", "show_stream", "show_tuned", "watching"]

MEASURES = {
    "served": "served",
    "recall": "recall",
    "false_reuse": "false",
    "wrong_share": "wrong",
    "coverage_at_1": "at 1 %",
    "coverage_at_5": "at 5 %",
}
LEGEND = (
    "recall: served of the pairs that one answer serves; false: of the others; wrong: share of what was served; "
    "at 1 %, at 5 %: coverage with that share wrong"
)


def show_pairs(report: Mapping[str, Any]) -> None:
    console = results()
    console.print(f"{report['pairs']:,} pairs, embedder {report['embedder']}\n", markup=False)
    ours = f"askonce, max_error {report['max_error']:g}"
    rows = [
        (name, *_measures(one), f"{one['us_per_decision']:.0f}")
        for name, one in ({ours: report} | report["baselines"]).items()
    ]
    console.print(table(("", *(f">{heading}" for heading in MEASURES.values()), ">µs"), rows))
    if report["categories"]:
        by_category = [(name, one["pairs"], *_measures(one)) for name, one in report["categories"].items()]
        console.print()
        columns = ("askonce, by category", ">pairs", *(f">{heading}" for heading in MEASURES.values()))
        console.print(table(columns, by_category))
    console.print(f"\n{_held_back(report['reuse'])}", markup=False)
    if report["misses"]:
        listed = ", ".join(f"{name} {count}" for name, count in report["misses"].items())
        console.print(f"\nnot served because of: {listed}", markup=False)
    console.print(f"\n{LEGEND}", style="dim")


def _held_back(reuse: Mapping[str, Any]) -> str:
    """What was decided of single prompts, and how good the judge is on the rest."""
    held = [
        f"{kind} {both['same'] + both['other']} ({both['same']} that one answer serves)"
        for kind, both in reuse["held_back"].items()
    ]
    judged = reuse["judged"]
    recall, false = _percent(judged["recall"]), _percent(judged["false_reuse"])
    told = f"not to be given again: {', '.join(held) or 'none'}"
    return f"{told}; {judged['pairs']:,} pairs judged: recall {recall}, false {false}"


def show_reuse(report: Mapping[str, Any]) -> None:
    console = results()
    console.print(f"{report['prompts']:,} prompts\n", markup=False)
    called = report["called"]
    rows = [(kind, *(f"{count:,}" for count in row.values())) for kind, row in called.items()]
    console.print(table(("is, called", *(f">{kind}" for kind in called)), rows))
    otherwise, lasting = _percent(report["lasting_otherwise"]), _percent(report["others_lasting"])
    console.print(f"\nlasting called otherwise: {otherwise}; others called lasting: {lasting}")


def _measures(one: Mapping[str, Any]) -> Iterator[str]:
    for name in MEASURES:
        yield _percent(one["served"] / one["pairs"] if name == "served" else one[name])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def show_stream(report: Mapping[str, Any]) -> None:
    console = results()
    counted = f"{report['queries']:,} questions, {report['classes']} answers, embedder {report['embedder']}"
    console.print(counted, markup=False)
    for part in dict.fromkeys(run["part"] for run in report["runs"]):
        rows = []
        for run in report["runs"]:
            if run["part"] != part:
                continue
            static = run["baselines"]["best static"]
            for name, one in (("askonce", run), (f"best cosine: {static['threshold']:.3f}", static)):
                shares = (_percent(one["hit_share"]), one["wrong"], f"{one['wrong_share']:.2%}")
                time = f"{one['us_per_decision']:.0f}" if "us_per_decision" in one else ""
                rows.append((run["seed"], f"{run['max_error']:g}", name, one["exact"], one["hits"], *shares, time))
        console.print()
        columns = ("seed", ">max_error", part, ">exact", ">hits", ">of all", ">wrong", ">of hits", ">µs")
        console.print(table(columns, rows))


def show_tuned(tuned: Tuned) -> None:
    console = results()
    tried = [(f"{point.max_error:g}", *_point(point)) for point in tuned.tried]
    columns = (">max_error", ">pairs", ">served", ">wrong", ">of served", ">at most")
    console.print(table(columns, tried))
    sure = f"{tuned.confidence:.0%}"
    if tuned.chosen is None or tuned.check is None:
        few = bounds.needed(tuned.target, 1 - (1 - tuned.confidence) / len(tuned.tried))
        told = f"no value can be shown to keep wrong answers within {tuned.target:.2%} with {sure} confidence; "
        told += f"it takes at least {few:,} pairs that are served, in the half that chooses, without a mistake"
    else:
        _, served, wrong, share, bound = _point(tuned.check)
        told = f"{tuned.chosen.max_error:g} on the other half: {wrong} wrong of {served} served, {share}; "
        told += f"at most {bound} with {sure} confidence"
        if not tuned.holds:
            told += f", which is over {tuned.target:.2%}: the choice does not hold"
        elif not tuned.is_shown:
            told += "; more pairs would tell more"
    console.print(f"\n{told}\n", markup=False)
    console.print("for rules.yaml:\n", style="dim")
    console.print(rules_lines(tuned), markup=False, end="")


def _point(point: TunedPoint) -> tuple[str, ...]:
    counts = (f"{point.pairs:,}", f"{point.served:,}", f"{point.wrong:,}")
    return *counts, f"{point.wrong_share:.2%}", f"{point.bound:.2%}"


@contextmanager
def watching() -> Iterator[OnProgress]:
    """Progress on stderr, where a person sees it."""
    with progress() as shown:

        def watch(phase: str, total: int) -> Any:
            task = shown.add_task(phase, total=total)
            return lambda: shown.advance(task)

        yield watch
