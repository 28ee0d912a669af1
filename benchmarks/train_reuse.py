"""Trains what tells which answers may be given again: `python -m benchmarks.train_reuse [--corpus FOLDER]`.

Logistic regression over what `reuse_features` sees: one for whether a prompt lasts, and one for each kind of those that
do not. Learned from the domains of the corpus that are not held out, and from `reuse/prompts.txt`; a few minutes on one
core. The threshold is where, of domains left out in turn, so many lasting prompts would be called otherwise.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.reuse.data import FOLDER, Labelled, beside, labelled, of_corpus
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from askonce.cache.judge.reuse import PARAMETERS
from askonce.cache.judge.reuse_features import features, tokens, words

KINDS = ("lasting", "volatile", "act", "state", "conversation", "variety")
DOMAINS = 4
"""A word of fewer is rare: it would be learned by heart."""
LEAST = 3
"""Prompts that a feature is in, or it is passed over."""
OTHERWISE = 0.02
"""The share of lasting prompts that may be called otherwise."""
FOLDS = 4
MOST = 8_000
"""Features of whether a prompt lasts, those with the most weight; all of them say hardly more."""
BALANCE = 6.0
"""How much more one prompt that does not last counts than one that does."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--corpus", type=Path, default=FOLDER, metavar="FOLDER")
    options.add_argument("--out", type=Path, default=PARAMETERS, metavar="FILE")
    chosen = options.parse_args()
    found = [*labelled(domain for domain in of_corpus(chosen.corpus) if not domain.is_held_out), *beside()]
    known = frequent(found)
    table = Table(found, known)
    threshold = table.threshold()
    weights = table.weights(threshold)
    told = {"words": sorted(known), "weights": weights}
    chosen.out.write_text(json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    sizes = ", ".join(f"{kind} {len(own):,}" for kind, own in weights.items())
    print(f"{len(found):,} prompts, {len(known):,} words, threshold {threshold:.2f}; features: {sizes}")


def frequent(found: Sequence[Labelled]) -> frozenset[str]:
    """The words of several domains."""
    domains = defaultdict[str, set[str]](set)
    for one in found:
        for word in words(tokens(one.prompt)):
            domains[word].add(one.domain)
    return frozenset(word for word, of in domains.items() if len(of) >= DOMAINS)


class Table:
    """Which prompt has which features."""

    def __init__(self, found: Sequence[Labelled], known: frozenset[str]) -> None:
        seen = [sorted(features(tokens(one.prompt), known)) for one in found]
        names = {name: at for at, name in enumerate(sorted({name for some in seen for name in some}))}
        columns = np.array([names[name] for some in seen for name in some])
        starts = np.cumsum([0, *map(len, seen)])
        whole = csr_matrix((np.ones(len(columns)), columns, starts), (len(seen), len(names)))
        kept = np.flatnonzero(np.asarray(whole.sum(axis=0)).ravel() >= LEAST)
        self.rows = whole[:, kept]
        self.names = np.array(list(names))[kept]
        self.kinds = np.array([one.kind for one in found])
        self.lasting = self.kinds == KINDS[0]
        folds = {name: at % FOLDS for at, name in enumerate(sorted({one.domain for one in found} - {""}))}
        self.folds = np.array([folds.get(one.domain, -1) for one in found])
        self.measured = np.array([not one.is_near_miss and bool(one.domain) for one in found])

    def threshold(self) -> float:
        """The score from which a prompt lasts: of domains that were not learned from, `OTHERWISE` of it are below."""
        scores = np.full(len(self.kinds), np.nan)
        for fold in range(FOLDS):
            out = self.folds == fold
            weights, bias = whether_lasting(self.rows[~out], self.lasting[~out])
            scores[out] = self.rows[out] @ weights + bias
        measured = scores[self.measured]
        lasting = self.lasting[self.measured]
        threshold = float(np.quantile(measured[lasting], OTHERWISE))
        print(
            f"of domains left out in turn: {np.mean(measured[~lasting] >= threshold):.1%} of the others called lasting"
        )
        return threshold

    def weights(self, threshold: float) -> dict[str, dict[str, float]]:
        """By kind and feature, and by no name what is said before any."""
        weights, bias = whether_lasting(self.rows, self.lasting)
        found = {KINDS[0]: self._named(weights, bias - threshold)}
        others = ~self.lasting
        for kind in KINDS[1:]:
            model = LogisticRegression(l1_ratio=1.0, C=1.0, solver="liblinear", random_state=0)
            model.fit(self.rows[others], self.kinds[others] == kind)
            found[kind] = self._named(model.coef_[0], float(model.intercept_[0]))
        return found

    def _named(self, weights: NDArray[np.float64], bias: float) -> dict[str, float]:
        rounded = {str(self.names[at]): round(float(weights[at]), 2) for at in np.flatnonzero(weights)}
        return {"": round(bias, 2)} | {name: weight for name, weight in rounded.items() if weight}


def whether_lasting(rows: csr_matrix, lasting: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """The weights of the features, `MOST` of them not 0, and what the sum begins with."""
    balance = {False: BALANCE, True: 1.0}
    model = LogisticRegression(C=0.3, solver="liblinear", class_weight=balance, tol=1e-3, random_state=0)
    weights = model.fit(rows, lasting).coef_[0]
    weights[np.argsort(-np.abs(weights))[MOST:]] = 0.0
    return weights, float(model.intercept_[0])


if __name__ == "__main__":
    main()
