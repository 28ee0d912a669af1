"""Boosted decision trees evaluated with numpy: all trees of all rows at once, in time that hardly grows with the rows.

The method is QuickScorer's (Lucchese et al., SIGIR 2015): each test that fails strikes out the leaves of its left
branch, and the first leaf left in a tree is where the row arrives. Parameters are plain arrays in one `.npz`; nothing
is unpickled.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAVES", "Trees"]

LEAVES = 16
"""The most leaves that a tree may have: one bit of a word each."""

_FIRST_BIT = np.array([(word & -word).bit_length() - 1 if word else 0 for word in range(1 << LEAVES)], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Trees:
    """A sum of trees. A row goes left where its feature is at most the threshold."""

    features: NDArray[np.int16]
    """(trees, LEAVES - 1): what each test looks at."""
    thresholds: NDArray[np.float32]
    """(trees, LEAVES - 1): infinite where a tree has fewer tests."""
    masks: NDArray[np.uint16]
    """(trees, LEAVES - 1): the leaves that remain when the test fails."""
    values: NDArray[np.float32]
    """(trees, LEAVES)."""
    start: float
    """What the sum begins with."""
    _tests: tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.uint16]] = field(init=False, repr=False)
    """The same, test by test: numpy reduces the outer axis several times as fast as the inner."""

    def __post_init__(self) -> None:
        tests = (len(self.values), LEAVES - 1)
        if self.features.shape != tests or self.thresholds.shape != tests or self.masks.shape != tests:
            raise ValueError(f"trees: arrays of tests {self.features.shape}, expected {tests}")
        if self.values.shape != (tests[0], LEAVES):
            raise ValueError(f"trees: array of leaves {self.values.shape}, expected {(tests[0], LEAVES)}")
        features, thresholds, masks = (np.ascontiguousarray(a.T) for a in (self.features, self.thresholds, self.masks))
        object.__setattr__(self, "_tests", (features.astype(np.intp), thresholds, masks))

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The sum of each row of (n, features)."""
        features, thresholds, masks = self._tests
        failed = rows.take(features, axis=1) > thresholds
        left = np.bitwise_and.reduce(np.where(failed, masks, np.uint16(0xFFFF)), axis=1)
        leaves = _FIRST_BIT[left]
        reached = self.values[np.arange(len(self.values)), leaves]
        total: NDArray[np.float64] = reached.sum(axis=1, dtype=np.float64) + self.start
        return total
