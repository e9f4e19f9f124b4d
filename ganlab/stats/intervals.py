"""An estimate with its interval, and the simplest: a mean over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval over `n` seeds; the interval is unbounded where n is too small for one."""

    estimate: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}] (n={self.n})"


def mean(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean over seeds with its Student-t interval.

    One value has no spread to learn from, and a non-finite one has no mean: both give an unbounded interval.

    Example
    -------
    >>> print(mean([1.0, 2.0, 3.0]))
    2 [-0.4841, 4.484] (n=3)
    """
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"a mean needs a list of at least one number; got shape {sample.shape}")
    n = sample.size
    if not np.isfinite(sample).all():
        with np.errstate(invalid="ignore"):  # the sum of two opposite infinities is NaN, and that is the answer
            return Interval(float(np.sum(sample)), -np.inf, np.inf, n)
    centre = float(sample.mean())
    if n == 1:
        return Interval(centre, -np.inf, np.inf, n)
    half = float(scipy_stats.t.ppf((1 + level) / 2, n - 1) * sample.std(ddof=1) / np.sqrt(n))
    return Interval(centre, centre - half, centre + half, n)


def mean_of_finite(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean over the seeds that have a finite value, and its interval; `n` is how many of them do.

    A seed that diverged has no value. Who leaves it out says so: what is left is the mean of those that did not.

    Example
    -------
    >>> print(mean_of_finite([1.0, 2.0, 3.0, float("nan")]))
    2 [-0.4841, 4.484] (n=3)
    """
    given = np.asarray(values, dtype=float)
    kept = given[np.isfinite(given)]
    return mean(kept, level) if len(kept) else Interval(float("nan"), -np.inf, np.inf, 0)
