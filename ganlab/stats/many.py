"""Many comparisons at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values corrected for their number, so that at most 5 % of tables have any false one at or below 0.05.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is smaller than the one before it, or above 1.
    Holds however the tests depend on each other. NaN stands where nothing was tested: it stays, and is not counted.

    Example
    -------
    >>> [round(float(p), 3) for p in holm([0.01, 0.04, 0.02])]
    [0.03, 0.04, 0.04]

    Source: Holm 1979.
    """
    p = np.asarray(p_values, dtype=float)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    corrected = np.full_like(p, np.nan)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return corrected


def fewest_seeds(n_comparisons: int = 1, level: float = 0.95) -> int:
    """Return the fewest common seeds at which one of so many paired tests, corrected by `holm`, can tell a difference.

    No exact test of n pairs has a p-value below 2^(1 - n), and the smallest p-value is multiplied by the number of tests.

    Example
    -------
    >>> fewest_seeds(1), fewest_seeds(15)
    (6, 10)
    """
    return math.ceil(1 + math.log2(n_comparisons / (1 - level)) - 1e-9)  # where it is a whole number, rounded
