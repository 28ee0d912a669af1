"""What `tune --live` shows. One rule: it is the report that `--json` prints, and nothing more."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from askonce.cli.output import results
from askonce.quality import bounds
from askonce.quality.live import Proven, advise

__all__ = ["live_report", "show_live"]


def live_report(rules: Iterable[Mapping[str, Any]], target: float | None, confidence: float) -> dict[str, Any]:
    """The advice for each rule of which anything was seen, as JSON values; `rules` as `/v1/evidence` has them."""
    return {
        "confidence": confidence,
        "rules": [_advice(rule, target, confidence) for rule in rules if rule["seen"] and rule["match"] != "off"],
    }


def _advice(rule: Mapping[str, Any], target: float | None, confidence: float) -> dict[str, Any]:
    seen = [Proven(one["probability"], one["right"], one["wrong"]) for one in rule["seen"]]
    named = {"match": rule["match"], "max_error": rule["max_error"]}
    advice = advise(seen, **named, target=target, confidence=confidence)
    sources = defaultdict[str, Counter[str]](Counter)
    for one in rule["seen"]:
        sources[one["source"]].update(right=one["right"], wrong=one["wrong"])
    now = advice.now
    return {
        "rule": rule["rule"],
        **named,
        "target": advice.target,
        "say": advice.say,
        "lines": list(advice.lines),
        "served": now.served,
        "wrong": now.wrong,
        "at_least": bounds.lower(now.wrong, now.served, confidence),
        "at_most": now.bound,
        "needed": advice.needed,
        "sources": dict(sorted(sources.items())),
    }


def show_live(report: Mapping[str, Any]) -> None:
    console = results()
    if not report["rules"]:
        console.print("nothing was seen yet: no near miss was compared, nothing watched, checked or called wrong")
    for rule in report["rules"]:
        console.print(f"[bold]{rule['rule']}[/]: {rule['say']}")
        for line in _told(rule, report["confidence"]):
            console.print(f"  {line}", markup=False)
        if rule["lines"]:
            console.print("  for its entry in rules.yaml:\n", style="dim")
            for line in rule["lines"]:
                console.print(f"    {line}", markup=False)
        console.print()


def _told(rule: Mapping[str, Any], confidence: float) -> Iterable[str]:
    share = f"{rule['wrong'] / rule['served']:.2%}, " if rule["served"] else ""
    yield (
        f"match {rule['match']}, max_error {rule['max_error']:g}: of what was seen it would serve {rule['served']:,}, "
        f"{rule['wrong']:,} of them wrong ({share}between {rule['at_least']:.2%} and {rule['at_most']:.2%}; "
        f"each with {confidence:.0%} confidence)"
    )
    yield "seen: " + ", ".join(
        f"{source} {counts['right']} right and {counts['wrong']} wrong" for source, counts in rule["sources"].items()
    )
    if rule["needed"]:
        yield (
            f"nothing is shown that would change it; for {rule['target']:.2%} it takes {rule['needed']:,} that would "
            "be served, without a mistake"
        )
