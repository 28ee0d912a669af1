"""How sure a share counted on few is: the exact binomial bound of Clopper and Pearson (Biometrika 26, 1934).

It is solved by halving: SciPy's inverse of the beta function is as exact, and 140 MB to install.
"""

import math

import numpy as np

__all__ = ["lower", "needed", "upper"]


def upper(wrong: int, of: int, confidence: float = 0.95) -> float:
    """The largest share under which `wrong` or fewer in `of` have a chance of 1 - `confidence`; 1 for none of 0."""
    if wrong >= of:
        return 1.0
    count = np.arange(wrong + 1)
    ways = np.concatenate(([0.0], np.cumsum(np.log((of - count[:-1]) / count[1:]))))
    least, most = wrong / of, 1.0
    while least < (share := (least + most) / 2) < most:
        chance = np.logaddexp.reduce(ways + count * math.log(share) + (of - count) * math.log1p(-share))
        least, most = (share, most) if chance > math.log(1 - confidence) else (least, share)
    return share


def lower(wrong: int, of: int, confidence: float = 0.95) -> float:
    """The smallest true share under which `wrong` or more in `of` have that chance."""
    return 0.0 if wrong <= 0 else 1.0 - upper(of - wrong, of, confidence)


def needed(share: float, confidence: float = 0.95) -> int:
    """How many without a mistake it takes for `upper` to be at most `share`."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-share))
