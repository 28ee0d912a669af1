"""`stats`: what the running proxy has answered and saved."""

from collections.abc import Iterator, Mapping
from typing import Any

from askonce.cli.options import AsJson, Listen
from askonce.settings import Settings

__all__ = ["stats"]


def stats(listen: Listen = None, as_json: AsJson = False) -> None:
    """What the running proxy was asked, answered and saved."""
    from askonce.cli.client import running_proxy
    from askonce.cli.output import print_json, results, table

    found = running_proxy(Settings.from_env(listen=listen))("GET", "/v1/stats", {})
    if as_json:
        print_json(found)
        return
    console = results()
    console.print(f"since {found['since']}: [bold]{found['calls']}[/] calls, {found['hit_rate']:.1%} of lookups hit\n")
    columns = ("", ">calls", ">exact", ">semantic", ">miss", ">bypass", ">tokens saved", ">time saved", ">USD saved")
    groups = {"all": found, **found["upstreams"]}
    console.print(table(columns, [_row(name, summary) for name, summary in groups.items()]))
    if found["watched"]:
        console.print("\nwould have been served (match: watch):")
        columns = ("", "", ">calls", ">same answer", ">other", ">unclear", ">tokens", ">time", ">USD")
        console.print(table(columns, [*_watched(found["watched"])]))
    for title, counts in (("not looked up", found["bypasses"]), ("failures inside Askonce", found["faults"])):
        if counts:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            console.print(f"\n{title}: {listed}", markup=False)


def _watched(rules: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, outcomes in rules.items():
        for outcome, calls in outcomes.items():
            counts = [calls[one] for one in ("calls", "agreed", "differed", "unclear")]
            saved = (str(sum(calls["tokens"].values())), f"{calls['seconds']:.1f} s")
            usd = f"{calls['usd']:.4f}" + (" and more" if calls["tokens_unpriced"] else "")
            yield name, outcome, *map(str, counts), *saved, usd


def _row(name: str, summary: Mapping[str, Any]) -> tuple[str, ...]:
    outcomes = summary["outcomes"]
    counts = [summary["calls"], *(outcomes[outcome] for outcome in ("exact", "semantic", "miss", "bypass"))]
    return (
        name,
        *map(str, counts),
        str(sum(summary["tokens_saved"].values())),
        f"{summary['seconds_saved']:.1f} s",
        f"{summary['usd_saved']:.4f}" + (" and more" if summary["tokens_unpriced"] else ""),
    )
