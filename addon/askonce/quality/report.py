"""What the measures come to, as JSON values.

One rule: ours and every baseline are described by the same keys, so that a program compares them without knowing which
is which.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from askonce.cache import Embedder, Judge, Policy
from askonce.quality.labelled import LabelledPair, Query
from askonce.quality.metrics import PairDecisions, labels_of, measure
from askonce.quality.pairs import THRESHOLDS, cosines, decide_pairs, known, plain
from askonce.quality.reuse import apart
from askonce.quality.static import Static, best_static
from askonce.quality.stream import Counts, run_stream, shuffled
from askonce.quality.trial import Known, OnProgress, unwatched
from askonce.quality.tune import Tuned

__all__ = ["Contest", "contest", "described", "pairs_report", "rules_lines", "stream_report", "tune_report"]

Contest = dict[str, PairDecisions]
"""What each contestant decided on the same pairs; ours is the first."""
EVERYTHING: Mapping[str, Callable[[Query], bool]] = {"all": lambda _: True}


async def contest(
    pairs: Sequence[LabelledPair],
    embedder: Embedder,
    judge: Judge,
    policy: Policy,
    *,
    beside: Sequence[Embedder] = (),
    watch: OnProgress = unwatched,
) -> Contest:
    """Ours under `policy`, then plain cosine of the same embedder and of those in `beside`, at each of `THRESHOLDS`."""
    vectors = known(embedder, pairs, watch)
    found = {"askonce": await decide_pairs(pairs, vectors, judge, policy, watch)}
    for number, other in enumerate([embedder, *beside]):
        if number:
            vectors = known(other, pairs, watch)
        scores = cosines(pairs, vectors)
        name = f"{other.name} cosine" if number else "cosine"
        found |= {f"{name} {t}": plain(scores, t, vectors.us_per_text) for t in THRESHOLDS}
    return found


def described(decisions: PairDecisions, pairs: Sequence[LabelledPair]) -> dict[str, Any]:
    """One contestant's measures, whole and by category."""
    labels = labels_of(pairs)
    categories = np.array([pair.category for pair in pairs])
    return {
        **measure(decisions, labels).as_json(),
        "us_per_decision": round(decisions.us_per_decision, 1),
        "categories": {
            str(name): measure(decisions, labels, categories == name).as_json()
            for name in sorted(set(categories.tolist()) - {""})
        },
    }


def pairs_report(pairs: Sequence[LabelledPair], found: Contest, embedder: str, max_error: float) -> dict[str, Any]:
    """The measures of a contest; `reuse` has what was decided of single prompts, apart from the pairs, and `misses`
    counts why ours did not serve."""
    ours, *others = found
    return {
        "embedder": embedder,
        "max_error": max_error,
        **described(found[ours], pairs),
        "reuse": apart(pairs, found[ours]),
        "misses": dict(Counter(map(_kind, filter(None, found[ours].reasons))).most_common()),
        "baselines": {name: described(found[name], pairs) for name in others},
    }


def _kind(reason: str) -> str:
    """ "number: 5 / 7" -> "number", "probability 0.91 < 0.98" -> "probability", "too long (…)" -> "too long"."""
    name, colon, _ = reason.partition(":")
    return name if colon else re.split(r" (?:-?\d|\()", reason, maxsplit=1)[0]


async def stream_report(
    queries: Sequence[Query],
    embedder: Embedder,
    judge: Judge,
    max_errors: Sequence[float],
    *,
    seeds: Sequence[int],
    audit: float = 0.0,
    parts: Mapping[str, Callable[[Query], bool]] = EVERYTHING,
    watch: OnProgress = unwatched,
) -> dict[str, Any]:
    """Each shuffle at each bound, beside the best static threshold that keeps the same bound.

    All questions are asked; those of each part are counted apart. `audit` as for `run_stream`.
    """
    vectors = Known(embedder, (query.text for query in queries), watch)
    runs = []
    for seed in seeds:
        order = shuffled(queries, seed)
        rows = vectors.embed([query.text for query in order])
        counted = {name: np.array([is_in(query) for query in order]) for name, is_in in parts.items()}
        static = {name: best_static(order, rows, max_errors, which) for name, which in counted.items()}
        for max_error in max_errors:
            run = await run_stream(order, vectors, judge, Policy(max_error=max_error), audit=audit, watch=watch)
            for name, which in counted.items():
                told = _run(run.counts(which), static[name][max_error])
                us = round(run.us_per_decision, 1)
                runs.append({"part": name, "seed": seed, "max_error": max_error, **told, "us_per_decision": us})
    return {
        "embedder": embedder.name,
        "queries": len(queries),
        "classes": len({query.answer for query in queries}),
        "runs": runs,
    }


def _run(counts: Counts, static: Static) -> dict[str, Any]:
    theirs = Counts(counts.queries, static.exact, static.hits, static.wrong)
    return {**_counts(counts), "baselines": {"best static": {"threshold": static.threshold, **_counts(theirs)}}}


def _counts(counts: Counts) -> dict[str, Any]:
    return {**asdict(counts), "wrong_share": counts.wrong_share, "hit_share": counts.hit_share}


def tune_report(tuned: Tuned) -> dict[str, Any]:
    """What was tried, chosen and checked, and the lines for rules.yaml."""

    def point(value: Any) -> Mapping[str, Any] | None:
        return {**asdict(value), "wrong_share": value.wrong_share} if value else None

    return {
        "target": tuned.target,
        "confidence": tuned.confidence,
        "tried": [point(value) for value in tuned.tried],
        "chosen": point(tuned.chosen),
        "check": point(tuned.check),
        "holds": tuned.holds,
        "is_shown": tuned.is_shown,
        "rules": rules_lines(tuned),
    }


def rules_lines(tuned: Tuned) -> str:
    """What to paste into rules.yaml: the chosen value, or identical questions only."""
    if tuned.chosen and tuned.holds:
        return f"defaults:\n  max_error: {tuned.chosen.max_error}\n"
    return "defaults:\n  match: exact\n"
