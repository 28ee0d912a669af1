"""What the measures come to, as JSON values.

One rule: ours and every baseline are described by the same keys, so that a program compares them without knowing which
is which.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from askonce.cache import Embedder, Judge, Policy
from askonce.quality.labelled import Pair, Query
from askonce.quality.metrics import Decisions, labels_of, measure
from askonce.quality.pairs import THRESHOLDS, cosines, decide_pairs, known, plain
from askonce.quality.static import Static, best_static
from askonce.quality.stream import Run, run_stream, shuffled
from askonce.quality.trial import Known, Watch, unwatched
from askonce.quality.tune import Tuned

__all__ = ["Contest", "contest", "described", "pairs_report", "rules_lines", "stream_report", "tune_report"]

Contest = dict[str, Decisions]
"""What each contestant decided on the same pairs; ours is the first."""


async def contest(
    pairs: Sequence[Pair],
    embedder: Embedder,
    judge: Judge,
    policy: Policy,
    *,
    beside: Sequence[Embedder] = (),
    watch: Watch = unwatched,
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


def described(decisions: Decisions, pairs: Sequence[Pair]) -> dict[str, Any]:
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


def pairs_report(pairs: Sequence[Pair], found: Contest, embedder: str, max_error: float) -> dict[str, Any]:
    """The measures of a contest; `misses` counts why ours did not serve."""
    ours, *others = found
    return {
        "embedder": embedder,
        "max_error": max_error,
        **described(found[ours], pairs),
        "misses": dict(Counter(map(_kind, filter(None, found[ours].reasons))).most_common()),
        "baselines": {name: described(found[name], pairs) for name in others},
    }


def _kind(reason: str) -> str:
    """ "number: 5 / 7" -> "number", "probability 0.91 < 0.98" -> "probability"."""
    name, colon, _ = reason.partition(":")
    return name if colon else "".join(word + " " for word in reason.split("(")[0].split() if not _counts(word)).strip()


def _counts(word: str) -> bool:
    return word == "<" or word[:1].isdigit() or word[:2] == "-0"


async def stream_report(
    queries: Sequence[Query],
    embedder: Embedder,
    judge: Judge,
    max_errors: Sequence[float],
    *,
    seeds: Sequence[int],
    watch: Watch = unwatched,
) -> dict[str, Any]:
    """Each shuffle at each bound, beside the best static threshold that keeps the same bound."""
    vectors = Known(embedder, (query.text for query in queries), watch)
    runs = []
    for seed in seeds:
        order = shuffled(queries, seed)
        static = best_static(order, vectors.embed([query.text for query in order]), max_errors)
        for max_error in max_errors:
            run = await run_stream(order, vectors, judge, Policy(max_error=max_error), watch)
            runs.append({"seed": seed, "max_error": max_error, **_run(run, static[max_error])})
    return {
        "embedder": embedder.name,
        "queries": len(queries),
        "classes": len({query.answer for query in queries}),
        "runs": runs,
    }


def _run(run: Run, static: Static) -> dict[str, Any]:
    return {
        **asdict(run),
        "wrong_share": run.wrong_share,
        "hit_share": run.hit_share,
        "us_per_decision": round(run.us_per_decision, 1),
        "baselines": {
            "best static": {
                **asdict(static),
                "queries": run.queries,
                "wrong_share": static.wrong / static.hits if static.hits else 0.0,
                "hit_share": static.hits / run.queries,
            }
        },
    }


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
