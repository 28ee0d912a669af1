"""Trees evaluated with numpy against scikit-learn, which grew them."""

import numpy as np
import pytest
from benchmarks.train_judge import flattened
from sklearn.ensemble import HistGradientBoostingClassifier

from askonce.cache.judge.trees import LEAVES, Trees


def test_they_agree_with_what_grew_them() -> None:
    dice = np.random.default_rng(0)
    x = dice.normal(size=(2_000, 6)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] + dice.normal(size=2_000) > x[:, 2]).astype(int)
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=LEAVES, random_state=0).fit(x, y)
    arrays = flattened(model)
    trees = Trees(arrays["features"], arrays["thresholds"], arrays["masks"], arrays["values"], float(arrays["start"]))
    rows = np.vstack([dice.normal(size=(500, 6)), x[:500], np.zeros((1, 6))]).astype(np.float32)
    assert trees(rows) == pytest.approx(model.decision_function(rows), abs=1e-4)
    assert trees(rows[:1]) == pytest.approx(trees(rows)[:1])


def test_arrays_that_do_not_fit_are_refused() -> None:
    good = np.zeros((2, LEAVES - 1), np.int16), np.zeros((2, LEAVES - 1), np.float32)
    masks, values = np.zeros((2, LEAVES - 1), np.uint16), np.zeros((2, LEAVES), np.float32)
    assert Trees(*good, masks, values, 0.5)(np.zeros((3, 1), np.float32)).shape == (3,)
    with pytest.raises(ValueError, match="arrays of tests"):
        Trees(good[0][:, :3], good[1], masks, values, 0.0)
    with pytest.raises(ValueError, match="array of leaves"):
        Trees(*good, masks, values[:, :3], 0.0)
