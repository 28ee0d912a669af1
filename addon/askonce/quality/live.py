"""What a running cache's own evidence says of a rule's setting: tighten it, loosen it, or leave it.

One rule: a setting is only loosened to what is shown to keep within the target, with the confidence that was asked
for, and only tightened where it is shown to break it. Each observation counts once. That is careful: all near misses
are among them, and only some of what was served.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from askonce.quality import bounds
from askonce.quality.tune import TunedPoint, choices

__all__ = ["Advice", "Proven", "advise"]


@dataclass(frozen=True, slots=True)
class Proven:
    """Candidates of about one probability whose answers turned out to be right or wrong."""

    probability: float
    right: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Advice:
    """What is to be done, and the lines that do it."""

    say: Literal["tighten", "loosen", "keep"]
    now: TunedPoint
    """What the setting of today would serve of what was seen."""
    target: float
    lines: tuple[str, ...] = ()
    """For the rule's entry in rules.yaml; none where it may stay."""
    needed: int = 0
    """How many it takes to show anything, without a mistake."""


def advise(
    seen: Sequence[Proven], *, match: str, max_error: float, target: float | None = None, confidence: float = 0.95
) -> Advice:
    """The advice for one rule. `target` is the share of served answers that may be wrong, `max_error` by default."""
    target = max_error if target is None else target
    values = choices(target)
    # Bonferroni, as in `tune`: the best of several is taken.
    strict = 1 - (1 - confidence) / len(values)
    now = _point(seen, max_error, confidence)
    points = [_point(seen, value, strict) for value in values]
    best = max((p.max_error for p in points if p.served and p.bound <= target), default=None)
    if match == "semantic" and bounds.lower(now.wrong, now.served, confidence) > target:
        stricter = best is not None and best < max_error
        return Advice("tighten", now, target, (f"max_error: {best:g}",) if stricter else ("match: watch",))
    if best is not None and (match != "semantic" or best > max_error):
        lines = () if match == "semantic" else ("match: semantic",)
        return Advice("loosen", now, target, (*lines, f"max_error: {best:g}"))
    return Advice("keep", now, target, needed=bounds.needed(target, strict))


def _point(seen: Sequence[Proven], max_error: float, confidence: float) -> TunedPoint:
    served = [one for one in seen if one.probability >= 1 - max_error]
    wrong = sum(one.wrong for one in served)
    count = wrong + sum(one.right for one in served)
    pairs = sum(one.right + one.wrong for one in seen)
    return TunedPoint(max_error, pairs, count, wrong, bounds.upper(wrong, count, confidence))
