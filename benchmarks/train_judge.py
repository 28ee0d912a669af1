"""Trains the judge that ships: `python -m benchmarks.train_judge [--out FILE]`, from the repository root.

Needs scikit-learn and the development sets (see `judge/data.py`); a few minutes on one core. It never sees the
held-out quarter of qqp, the held-out intents of banking77, nor any of checklist and gsmplus, which
`benchmarks.quality` measures with.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from benchmarks.corpus import Domain, domains
from benchmarks.judge.data import Row, banking_pairs, held_out, rows
from benchmarks.judge.generate import changed, generate
from benchmarks.judge.own import Met, met, neighbours, own_pairs
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression

from askonce.cache.embed import load_embedder
from askonce.cache.judge.difference import difference
from askonce.cache.judge.features import NAMES, features, sketch
from askonce.cache.judge.guards import Pair, objection
from askonce.cache.judge.reading import read
from askonce.cache.judge.rewording import reworded
from askonce.cache.judge.trained import PARAMETERS, TrainedJudge
from askonce.cache.judge.trees import LEAVES, Trees
from askonce.cache.judge.words import word_vectors

WEIGHTS = {"own": 1.0, "banking77": 0.15, "made": 0.1, "changed": 0.1}
"""Of one pair in training: what people wrote counts more than what was made."""
HIGHEST = 0.99
"""No score is worth more than this: what the pairs at hand can show."""
SHOWN = 0.9
"""From here on a probability is what was shown of all pairs above."""
UNCALIBRATED = 0.98
"""Below what a judge says of plain rewordings, so that those come first in an uncalibrated one, too."""
FOLDS = 3
BOOSTING = {
    "max_iter": 250,
    "learning_rate": 0.06,
    "max_leaf_nodes": LEAVES,
    "min_samples_leaf": 40,
    "l2_regularization": 5.0,
    "random_state": 0,
}


@cache
def fitted() -> list[Domain]:
    """The domains of the corpus that may be learned from."""
    return [domain for domain in domains("en") if not domain.is_held_out]


def collect(seed: int = 0) -> dict[str, list[Row]]:
    """The pairs to train on, by source."""
    embedder, dice = load_embedder("wordllama"), random.Random(seed)
    written = own_pairs(fitted())
    own = [*dice.sample(written, min(len(written), 60_000)), *neighbours(fitted(), embedder.embed, nearest=1)]
    banking = banking_pairs(embedder.embed, test=False)
    made = [Row(m.a, m.b, m.label, m.kind, m.kind) for m in generate(seed, 15_000)]
    asked = {intent.first: domain.name for domain in fitted() for intent in domain.intents}
    intents = [row["text"] for row in rows("banking77_stream") if not held_out(row["cls"])]
    groups = {row["text"]: row["cls"] for row in rows("banking77_stream")} | asked
    altered = [*changed(list(asked), dice, 6_000, "own"), *changed(intents, dice, 2_000, "banking77")]
    return {
        "own": own,
        "banking77": banking,
        "made": made,
        "changed": [Row(m.a, m.b, m.label, m.kind, groups[m.group]) for m in altered],
    }


GUARDED, UNDECIDED, SAME, REWORDED = range(-1, 3)
"""What stands before the trees: a guard objects, nothing, the same words but for courtesies, a plain rewording."""


@dataclass(frozen=True, slots=True)
class Table:
    """Feature rows, labels, folds by group, and what stood before the trees."""

    x: NDArray[np.float32]
    y: NDArray[np.int8]
    folds: NDArray[np.int64]
    verdicts: NDArray[np.int64]


def measured(found: Sequence[Row]) -> Table:
    words = word_vectors()
    table, verdicts = [], []
    for row in found:
        compared = difference(row.a, row.b)
        pair = Pair(*map(read, compared or (row.a, row.b)))
        if compared is None or objection(pair):
            verdicts.append(GUARDED)
        elif pair.alike:
            verdicts.append(SAME)
        else:
            verdicts.append(REWORDED if reworded(pair) else UNDECIDED)
        table.append(features(sketch(pair.a, words), sketch(pair.b, words), pair))
    return Table(
        np.array(table, np.float32),
        np.array([row.label for row in found], np.int8),
        np.array([fold_of(row.group) for row in found]),
        np.array(verdicts),
    )


def fold_of(group: str) -> int:
    """The fold of a group, or of one of its intents."""
    return sum(group.partition(":")[0].encode()) % FOLDS


def fit(x: NDArray[np.float32], y: NDArray[np.int8], weights: NDArray[np.float64]) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(**BOOSTING).fit(x, y, sample_weight=weights)


def uncalibrated(model: HistGradientBoostingClassifier) -> TrainedJudge:
    """A judge that says of what it is undecided about what the trees' sum is, as the log odds of `UNCALIBRATED` of a
    probability."""
    knots = np.linspace(-15, 15, 3001)
    return TrainedJudge(Trees(**flattened(model)), knots, UNCALIBRATED / (1 + np.exp(-knots)), word_vectors())


def undecided(asked: Sequence[Met]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """The trees' sums and the labels, of what an uncalibrated judge left to them."""
    left = [pair for pair in asked if not pair.judgement.reason and pair.judgement.probability < UNCALIBRATED]
    chances = np.array([pair.judgement.probability for pair in left]) / UNCALIBRATED
    return np.log(chances / (1 - chances)), np.array([pair.row.label for pair in left], np.int8)


def flattened(model: HistGradientBoostingClassifier) -> dict[str, NDArray[np.generic]]:
    """The arrays of `askonce.cache.judge.trees.Trees`."""
    trees = [iteration[0].nodes for iteration in model._predictors]
    tests = (len(trees), LEAVES - 1)
    feature, mask = np.zeros(tests, np.int16), np.full(tests, 0xFFFF, np.uint16)
    threshold, value = np.full(tests, np.inf, np.float32), np.zeros((len(trees), LEAVES), np.float32)
    for number, nodes in enumerate(trees):
        for test, (node, first, end) in enumerate(tests_of(nodes, 0, 0)):
            feature[number, test] = node["feature_idx"]
            threshold[number, test] = np.float32(node["num_threshold"])
            mask[number, test] = 0xFFFF & ~sum(1 << i for i in range(first, end))
        for leaf, node in enumerate(leaves_of(nodes, 0)):
            value[number, leaf] = node["value"]
    start = np.float64(model._baseline_prediction.item())
    return {"features": feature, "thresholds": threshold, "masks": mask, "values": value, "start": start}


def leaves_of(nodes: NDArray[np.void], index: int) -> Iterator[np.void]:
    """The leaves below a node, from left to right."""
    node = nodes[index]
    if node["is_leaf"]:
        yield node
    else:
        yield from leaves_of(nodes, int(node["left"]))
        yield from leaves_of(nodes, int(node["right"]))


def tests_of(nodes: NDArray[np.void], index: int, first: int) -> Iterator[tuple[np.void, int, int]]:
    """The tests at and below a node, each with the leaves of its left branch: the first and the one after the last."""
    node = nodes[index]
    if not node["is_leaf"]:
        end = first + sum(1 for _ in leaves_of(nodes, int(node["left"])))
        yield node, first, end
        yield from tests_of(nodes, int(node["left"]), first)
        yield from tests_of(nodes, int(node["right"]), end)


def calibrated(
    scores: NDArray[np.float64], labels: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots of a rising curve from score to probability.

    Isotonic up to `SHOWN`; from there on what is shown of all pairs of this score and above: the exact lower bound
    (Clopper and Pearson, 95 %) of the share that is alike. So of what is served at `max_error`, a share of at most
    `max_error` is wrong.
    """
    order = np.argsort(-scores, kind="stable")
    found, right = scores[order], np.cumsum(labels[order])
    count = np.arange(1, len(order) + 1)
    least = beta.ppf(0.05, right, count - right + 1)
    ends = np.unique(np.minimum(len(order), np.geomspace(50, len(order), 200).astype(int))) - 1
    local = IsotonicRegression(y_min=0, y_max=HIGHEST, out_of_bounds="clip").fit(scores, labels)
    knots = found[ends][::-1]
    tail = np.minimum(least[ends][::-1], HIGHEST)
    curve = np.where(tail >= SHOWN, tail, np.minimum(local.predict(knots), SHOWN))
    return knots, np.maximum.accumulate(curve)


def alike(labels: dict[str, NDArray[np.int8]]) -> str:
    """How many of each source's pairs people call alike."""
    return ", ".join(f"{name} {found.mean():.1%} of {len(found):,}" for name, found in labels.items() if len(found))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=PARAMETERS)
    out = options.parse_args().out
    started = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - started:4.0f} s  {text}", flush=True)

    embed = load_embedder("wordllama").embed
    tables = {name: measured(found) for name, found in collect().items()}
    say(f"{sum(len(t.y) for t in tables.values()):,} pairs read")
    for verdict, name in ((SAME, "the same words"), (REWORDED, "plain rewording"), (GUARDED, "a guard objects")):
        say(f"{name}: {alike({source: t.y[t.verdicts == verdict] for source, t in tables.items()})}")

    kept = {name: t.verdicts != GUARDED for name, t in tables.items()}
    x = np.vstack([t.x[kept[name]] for name, t in tables.items()])
    y = np.concatenate([t.y[kept[name]] for name, t in tables.items()])
    folds = np.concatenate([t.folds[kept[name]] for name, t in tables.items()])
    weights = np.concatenate([np.full(int(kept[name].sum()), WEIGHTS[name]) for name in tables])

    asked = list[Met]()
    for fold in range(FOLDS):
        model = fit(x[folds != fold], y[folds != fold], weights[folds != fold])
        asked += met([domain for domain in fitted() if fold_of(domain.name) == fold], embed, uncalibrated(model))
        say(f"fold {fold + 1} of {FOLDS}: {len(asked):,} pairs met")
    scores, labels = undecided(asked)
    knots, probabilities = calibrated(scores, labels)
    say(f"calibrated with {alike({'undecided': labels})}")
    found = np.interp(scores, knots, probabilities)
    for low, high in pairwise((0.5, 0.8, 0.9, 0.95, 0.98, 1.0)):
        say(f"{low} to {high}: {alike({'own': labels[(found >= low) & (found < high)]})}")

    model = fit(x, y, weights)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out,
        **flattened(model),
        knots=knots.astype(np.float32),
        probabilities=probabilities.astype(np.float32),
        names=np.array(json.dumps(NAMES)),
    )
    say(f"{out.name}: {out.stat().st_size / 1024:.0f} KiB, {len(model._predictors)} trees")


if __name__ == "__main__":
    main()
