"""Two variants on the same seeds: exact tests that decide, and the interval of their difference for reading.

Both tests ask what the signs of the differences could have been, were the two variants one and the same: then each seed's
difference is as likely as its opposite. They need no assumption about how scores scatter, and hold their level at every n.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

from ganlab.stats.bootstrap import RESAMPLES, percentiles
from ganlab.stats.intervals import Interval, mean

EXACT = 40
"""Most differences whose 2^n signs are counted out, by 2^20 sums of either half; more of them are drawn at random."""


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95, seed: int = 0) -> Interval:
    """Return the mean of a - b over seeds that both share, with its paired bootstrap interval.

    Seeds are drawn again, with both their values; percentiles widened for few seeds (`bootstrap.percentiles`, which says why
    not BCa). Unbounded for fewer than 6 seeds at 95 %, and where a difference is not finite: a seed without a value is
    never left out.

    Parameters
    ----------
    a, b
        One number per seed, in the same order of seeds.
    seed
        Of the resampling: the same values have the same interval.

    Example
    -------
    >>> print(paired_difference([3, 5, 4, 6, 5, 7], [2, 3, 3, 4, 4, 4]))
    1.667 [1, 2.5] (n=6)

    Source: Efron 1979; Hesterberg 2015.
    """
    differences = _differences(a, b)
    n, estimate = differences.size, mean(differences).estimate
    if not np.isfinite(differences).all():
        return Interval(estimate, -np.inf, np.inf, n)
    drawn = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    return Interval(estimate, *percentiles(differences[drawn].mean(1), [n], level), n)


def sign_flip(a: ArrayLike, b: ArrayLike, seed: int = 0) -> float:
    """Return the two-sided exact p-value that the scores of two variants on the same seeds differ by chance alone.

    The share of all 2^n choices of signs whose sum of +-(a - b) is at least as far from 0 as the one seen. It is never below
    2^(1 - n): fewer than 6 seeds show nothing at 5 %. For outcomes of 0 and 1 it is McNemar's test. NaN where a
    difference is not finite.

    Example
    -------
    >>> sign_flip([3, 5, 4, 6, 5, 7], [2, 3, 3, 4, 4, 4])
    0.03125

    Source: Fisher 1935, section 21; above 40 differing seeds, signs are drawn and the seen ones counted among them, which
    keeps the level (Phipson and Smyth 2010).
    """
    differences = _differences(a, b)
    if not np.isfinite(differences).all():
        return float("nan")
    differences = differences[differences != 0]  # a zero has no sign, and moves no sum
    far = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()  # sums in another order are rounded otherwise
    if len(differences) > EXACT:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (RESAMPLES, len(differences)))
        return float((1 + (np.abs(signs @ differences) >= far).sum()) / (1 + RESAMPLES))
    one, other = (_signed_sums(half) for half in np.array_split(differences, 2))
    other.sort()
    above = len(other) - np.searchsorted(other, far - np.sort(one), side="left")  # as many are as far below
    return min(1.0, float(2 * above.sum() / 2 ** len(differences)))


def _differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape:
        raise ValueError(f"paired values need the same seeds; got {first.shape} and {second.shape}")
    with np.errstate(invalid="ignore"):  # two infinities have no difference
        return first - second


def _signed_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def mcnemar(failed_a: Sequence[bool], failed_b: Sequence[bool]) -> float:
    """Return the two-sided exact p-value that two variants fail equally often on the same seeds.

    Only the seeds on which exactly one of them failed speak; with none of those the answer is 1.

    Example
    -------
    >>> round(mcnemar([True] * 6, [False] * 6), 4)
    0.0312

    Source: McNemar 1947, in its exact binomial form.
    """
    only_a, only_b = discordant(failed_a, failed_b)
    if only_a + only_b == 0:
        return 1.0
    return float(scipy_stats.binomtest(only_a, only_a + only_b).pvalue)


def discordant(failed_a: Sequence[bool], failed_b: Sequence[bool]) -> tuple[int, int]:
    """Return the number of seeds on which only a failed, and only b."""
    a, b = np.asarray(failed_a, dtype=bool), np.asarray(failed_b, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"paired outcomes need the same seeds; got {a.shape} and {b.shape}")
    return int((a & ~b).sum()), int((b & ~a).sum())
