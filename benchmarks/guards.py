"""What each guard costs and saves: `python -m benchmarks.guards [--show GUARD]`, from the repository root.

A guard costs the rewordings of our own corpus to which it objects, and saves the near misses to which no other does.
Both are told for the domains that the judge may be fitted to and for those that are held out.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.corpus import domains
from benchmarks.judge.data import Row
from benchmarks.judge.own import own_pairs

from askonce.cache.judge.difference import difference
from askonce.cache.judge.guards import objections
from askonce.cache.judge.lexicon import KINDS


@dataclass(slots=True)
class Tally:
    """Counts over pairs, by guard."""

    rewordings: int = 0
    near: int = 0
    refused: int = 0
    """Rewordings to which any guard objects."""
    stopped: int = 0
    """Near misses to which any guard objects."""
    costs: Counter[str] = field(default_factory=Counter)
    costs_alone: Counter[str] = field(default_factory=Counter)
    saves: Counter[str] = field(default_factory=Counter)
    saves_alone: Counter[str] = field(default_factory=Counter)

    def count(self, row: Row, guards: Sequence[str]) -> None:
        total, alone = (self.costs, self.costs_alone) if row.label else (self.saves, self.saves_alone)
        total.update(guards)
        if len(guards) == 1:
            alone.update(guards)
        if row.label:
            self.rewordings += 1
            self.refused += bool(guards)
        else:
            self.near += 1
            self.stopped += bool(guards)

    def shares(self, guard: str) -> tuple[float, float, float, float]:
        """Of the rewordings and of the near misses, what the guard objects to, and what it alone does."""
        refused, stopped = max(1, self.rewordings), max(1, self.near)
        return (
            self.costs[guard] / refused,
            self.costs_alone[guard] / refused,
            self.saves[guard] / stopped,
            self.saves_alone[guard] / stopped,
        )


def tally(rows: Iterable[Row]) -> Tally:
    """What the guards say of pairs."""
    found = Tally()
    for row in rows:
        found.count(row, guards_of(row))
    return found


def guards_of(row: Row) -> list[str]:
    """The guards that object to a pair, each once."""
    compared = difference(row.a, row.b)
    if compared is None:
        return ["text"]
    return list(dict.fromkeys(_named(found.guard) for found in objections(*compared)))


def _named(guard: str) -> str:
    return "kind" if any(guard in kinds for kinds in KINDS.values()) else guard


COLUMNS = ("guard", *(f"{name}{by}" for _ in range(2) for name in ("refused", "stopped") for by in ("", ", alone")))


def table(fitted: Tally, kept: Tally) -> str:
    """Markdown: what each guard refuses of the rewordings and stops of the near misses, and what it alone does; first
    of the fitted domains, then of those that are held out."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for guard, _ in (fitted.costs + fitted.saves).most_common():
        cells = [f"{share:.1%}" for found in (fitted, kept) for share in found.shares(guard)]
        lines.append(f"| {guard} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--show", metavar="GUARD", help="pairs of fitted domains to which this guard alone objects")
    shown = options.parse_args().show
    rows = {kept: own_pairs(d for d in domains("en") if d.is_held_out == kept) for kept in (False, True)}
    if shown:
        for row in rows[False]:
            if guards_of(row) == [shown]:
                print(row.label, row.category, "|", row.a, "|", row.b, "|", *objections(row.a, row.b))
        return
    fitted, kept = tally(rows[False]), tally(rows[True])
    print(table(fitted, kept))
    for name, found in (("fitted", fitted), ("held out", kept)):
        print(
            f"{name}: {found.refused / found.rewordings:.1%} of {found.rewordings:,} rewordings refused, "
            f"{found.stopped / found.near:.1%} of {found.near:,} near misses stopped"
        )


if __name__ == "__main__":
    main()
