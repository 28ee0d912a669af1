"""Trains the judge that ships: `python -m benchmarks.train_judge [--out FILE]`, from the repository root.

Needs scikit-learn and the development sets (see `judge/data.py`); a few minutes on one core. It never sees the held-out
quarter of qqp, the held-out intents of banking77, nor any of checklist and gsmplus, which `benchmarks.quality` measures with.
"""

import argparse
import json
import random
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression

from askonce.cache.embed import load_embedder
from askonce.cache.features import NAMES, features, sketch
from askonce.cache.guards import Pair, objection
from askonce.cache.judge import PARAMETERS
from askonce.cache.reading import read
from askonce.cache.trees import LEAVES
from askonce.cache.words import word_vectors
from benchmarks.judge.data import Row, banking_pairs, held_out, pairs, rows
from benchmarks.judge.generate import changed, generate

WEIGHTS = {"qqp": 1.0, "banking77": 0.3, "made": 0.3, "changed": 0.1}
"""Of one pair in training: what people labelled counts more than what was made."""
SHARES = {"qqp": 0.4, "banking77": 0.2, "made": 0.3, "changed": 0.1}
"""Of each source among all pairs that the calibration is fitted to."""
FOLDS = 4
BOOSTING = {
    "max_iter": 250,
    "learning_rate": 0.06,
    "max_leaf_nodes": LEAVES,
    "min_samples_leaf": 40,
    "l2_regularization": 5.0,
    "random_state": 0,
}


def collect(seed: int = 0) -> dict[str, list[Row]]:
    """The pairs to train on, by source."""
    embedder, dice = load_embedder("wordllama"), random.Random(seed)
    qqp = [row for row in pairs("qqp_pairs") if not held_out(row.group)]
    banking = banking_pairs(embedder.embed, test=False)
    made = [Row(m.a, m.b, m.label, m.kind, m.kind) for m in generate(seed, 30_000)]
    groups = {row.a: row.group for row in qqp} | {row["text"]: row["cls"] for row in rows("banking77_stream")}
    asked = [row.a for row in qqp[::2]]
    intents = [row["text"] for row in rows("banking77_stream") if not held_out(row["cls"])]
    altered = [*changed(asked, dice, 12_000, "qqp"), *changed(intents, dice, 5_000, "banking77")]
    return {
        "qqp": qqp,
        "banking77": banking,
        "made": made,
        "changed": [Row(m.a, m.b, m.label, m.kind, groups[m.group]) for m in altered],
    }


def measured(found: Iterable[Row]) -> tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
    """Feature rows, labels, folds by group, and verdicts (-1 a guard objects, 1 word for word the same, 0 the trees')."""
    words = word_vectors()
    table, labels, folds, verdicts = [], [], [], []
    for row in found:
        pair = Pair(read(row.a), read(row.b))
        verdicts.append(1 if pair.same else -1 if objection(pair) else 0)
        table.append(features(sketch(pair.a, words), sketch(pair.b, words), pair))
        labels.append(row.label)
        folds.append(sum(row.group.encode()) % FOLDS)
    return np.array(table, np.float32), np.array(labels, np.int8), np.array(folds), np.array(verdicts)


def flattened(model: HistGradientBoostingClassifier) -> dict[str, NDArray[np.generic]]:
    """The arrays of `askonce.cache.trees.Trees`."""
    trees = [iteration[0].nodes for iteration in model._predictors]
    tests = (len(trees), LEAVES - 1)
    feature, mask = np.zeros(tests, np.int16), np.full(tests, 0xFFFF, np.uint16)
    threshold, value = np.full(tests, np.inf, np.float32), np.zeros((len(trees), LEAVES), np.float32)
    for number, nodes in enumerate(trees):
        leaf = test = 0

        def walk(index: int) -> tuple[int, int]:
            """Numbers the leaves below a node from left to right; returns the first and the one after the last."""
            nonlocal leaf, test
            node = nodes[index]
            if node["is_leaf"]:
                value[number, leaf] = node["value"]
                leaf += 1
                return leaf - 1, leaf
            place, test = test, test + 1
            first, end = walk(int(node["left"]))
            _, last = walk(int(node["right"]))
            feature[number, place] = node["feature_idx"]
            threshold[number, place] = np.float32(node["num_threshold"])
            mask[number, place] = 0xFFFF & ~sum(1 << i for i in range(first, end))
            return first, last

        walk(0)
    start = np.float64(model._baseline_prediction.item())
    return {"features": feature, "thresholds": threshold, "masks": mask, "values": value, "start": start}


def calibrated(
    scores: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots of a rising curve from score to probability: isotonic over the scores' quantiles."""
    order = np.argsort(scores)
    bins = [chunk for chunk in np.array_split(order, 60) if len(chunk)]
    middle = np.array([np.average(scores[chunk], weights=weights[chunk]) for chunk in bins])
    share = np.array([np.average(labels[chunk], weights=weights[chunk]) for chunk in bins])
    mass = np.array([weights[chunk].sum() for chunk in bins])
    curve = IsotonicRegression(y_min=0, y_max=1).fit(middle, share, sample_weight=mass)
    return middle, curve.predict(middle)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=PARAMETERS)
    out = options.parse_args().out
    started = time.perf_counter()
    tables = {name: measured(found) for name, found in collect().items()}
    print(f"{sum(len(t[1]) for t in tables.values()):,} pairs read in {time.perf_counter() - started:.0f} s")

    names = list(tables)
    undecided = {name: tables[name][3] == 0 for name in names}
    x = np.vstack([tables[name][0][undecided[name]] for name in names])
    y = np.concatenate([tables[name][1][undecided[name]] for name in names])
    folds = np.concatenate([tables[name][2][undecided[name]] for name in names])
    sources = np.concatenate([[name] * int(undecided[name].sum()) for name in names])
    weights = np.array([WEIGHTS[name] for name in sources])

    scores = np.zeros(len(y))
    for fold in range(FOLDS):
        train = folds != fold
        model = HistGradientBoostingClassifier(**BOOSTING).fit(x[train], y[train], sample_weight=weights[train])
        scores[~train] = model.decision_function(x[~train])
        print(f"fold {fold + 1} of {FOLDS}: {time.perf_counter() - started:.0f} s")
    counts = {name: int((sources == name).sum()) for name in names}
    masses = np.array([SHARES[name] / counts[name] for name in sources])
    knots, probabilities = calibrated(scores, y, masses)
    same = {name: (tables[name][1][tables[name][3] == 1].mean(), int((tables[name][3] == 1).sum())) for name in names}
    print("word for word the same:", same)

    model = HistGradientBoostingClassifier(**BOOSTING).fit(x, y, sample_weight=weights)
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        out,
        **flattened(model),
        knots=knots.astype(np.float32),
        probabilities=probabilities.astype(np.float32),
        names=np.array(json.dumps(NAMES)),
    )
    print(f"{out}: {out.stat().st_size / 1024:.0f} KiB, {len(model._predictors)} trees, {time.perf_counter() - started:.0f} s")
    np.savez("/tmp/w/judge/oof.npz", scores=scores, y=y, sources=sources)


if __name__ == "__main__":
    main()
