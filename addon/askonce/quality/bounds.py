"""How sure a share counted on few is: the exact binomial bound of Clopper and Pearson (Biometrika 26, 1934)."""

import math

from scipy.special import betaincinv

__all__ = ["lower", "needed", "upper"]


def upper(wrong: int, of: int, confidence: float = 0.95) -> float:
    """The largest share under which `wrong` or fewer in `of` have a chance of 1 - `confidence`; 1 for none of 0."""
    return 1.0 if wrong >= of else float(betaincinv(wrong + 1, of - wrong, confidence))


def lower(wrong: int, of: int, confidence: float = 0.95) -> float:
    """The smallest true share under which `wrong` or more in `of` have that chance."""
    return 0.0 if wrong <= 0 else float(betaincinv(wrong, of - wrong + 1, 1 - confidence))


def needed(share: float, confidence: float = 0.95) -> int:
    """How many without a mistake it takes for `upper` to be at most `share`."""
    return math.ceil(math.log(1 - confidence) / math.log1p(-share))
