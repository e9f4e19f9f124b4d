"""Rates, intervals and comparisons over seeds. Plain numpy and SciPy; no torch, no disk.

Every estimate here carries its n and an interval, and a claim that the seeds cannot carry is "inconclusive".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats

Claim = Literal["present", "absent", "inconclusive"]

TOLERATED_RATE = 0.10
"""The failure rate a claim is made about: present above it, absent below it. A tenth is what a user who restarts once
in ten runs still accepts; it is printed beside every claim."""


@dataclass(frozen=True)
class Rate:
    """A share of seeds with its interval."""

    estimate: float
    low: float
    high: float
    failures: int
    n: int

    def __str__(self) -> str:
        return f"{self.failures}/{self.n} = {self.estimate:.0%} [{self.low:.0%}, {self.high:.0%}]"


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval over `n` seeds; the interval is unbounded where n is too small for one."""

    estimate: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}] (n={self.n})"


def rate(failures: int, n: int, level: float = 0.95) -> Rate:
    """Return the share of failures with its Wilson score interval.

    Raises ValueError unless 0 <= failures <= n and n >= 1.

    Example
    -------
    >>> print(rate(0, 10))
    0/10 = 0% [0%, 28%]

    Source: Wilson 1927; recommended for small n by Brown, Cai and DasGupta 2001.
    """
    if n < 1 or not 0 <= failures <= n:
        raise ValueError(f"a rate needs 0 <= failures <= n and n >= 1; got failures={failures}, n={n}")
    interval = scipy_stats.binomtest(failures, n).proportion_ci(level, method="wilson")
    return Rate(failures / n, float(interval.low), float(interval.high), failures, n)


def claim(failures: int, n: int, tolerated: float = TOLERATED_RATE, level: float = 0.95) -> Claim:
    """Return what n seeds allow to be said about the failure rate: above `tolerated`, below it, or neither.

    Exact binomial tails, (1 - level) / 2 on each side, so that a false claim is no more frequent than stated at any n;
    the Wilson interval is for reading, this is for claiming.

    Example
    -------
    >>> claim(4, 8), claim(2, 8), claim(0, 8), claim(0, 36)
    ('present', 'inconclusive', 'inconclusive', 'absent')
    """
    tail = (1 - level) / 2
    if scipy_stats.binom.sf(failures - 1, n, tolerated) <= tail:
        return "present"
    if scipy_stats.binom.cdf(failures, n, tolerated) <= tail:
        return "absent"
    return "inconclusive"


def seeds_to_claim_absence(failures: int = 0, tolerated: float = TOLERATED_RATE, level: float = 0.95) -> int:
    """Return the smallest n at which `failures` failures still allow the claim "absent".

    Example
    -------
    >>> seeds_to_claim_absence(0)
    36
    """
    if failures < 0 or not 0 < tolerated < 1 or not 0 < level < 1:
        raise ValueError(
            f"failures must be at least 0, tolerated and level between 0 and 1; got {failures}, {tolerated}, {level}"
        )
    n = failures + 1
    while scipy_stats.binom.cdf(failures, n, tolerated) > (1 - level) / 2:
        n += 1
    return n


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


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean of a - b over seeds that both share, with its paired Student-t interval.

    Parameters
    ----------
    a, b
        One number per seed, in the same order of seeds.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape:
        raise ValueError(f"paired values need the same seeds; got {first.shape} and {second.shape}")
    with np.errstate(invalid="ignore"):  # two infinities have no difference
        return mean(first - second, level)


def mcnemar(failed_a: Sequence[bool], failed_b: Sequence[bool]) -> float:
    """Return the two-sided exact p-value that two variants fail equally often on the same seeds.

    Only the seeds on which exactly one of them failed speak; with none of those the answer is 1.

    Example
    -------
    >>> round(mcnemar([True] * 6, [False] * 6), 4)
    0.0312

    Source: McNemar 1947, in its exact binomial form.
    """
    a, b = np.asarray(failed_a, dtype=bool), np.asarray(failed_b, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"paired outcomes need the same seeds; got {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(scipy_stats.binomtest(only_a, only_a + only_b).pvalue)
