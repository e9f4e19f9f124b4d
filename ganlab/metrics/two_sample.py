"""Are two samples from one law? Permutation tests, whose level is exact at every size, in every dimension, ties or not.

Each compares a distance between the samples with the same distance after the labels "real" and "fake" were dealt out anew. A
perfect sampler has p <= 0.05 in at most 5 % of cases; what a small distance means to a user is not asked here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ganlab.metrics.distances import unit_vectors
from ganlab.metrics.members import over_members, sizes
from ganlab.metrics.neighbours import Array

PERMUTATIONS = 199
"""Smallest p-value 1/200, and 0.05 is a whole number of 200ths, so that the level is met and not merely kept."""

ROUNDING = 1e-9
"""Statistics closer than this part of the largest one are ties."""


class TwoSample(NamedTuple):
    """Numbers for samples `[n, d]`, tensors `[member]` with members; NaN with fewer than two samples on a side."""

    statistic: Any
    p_value: Any
    """(1 + permutations at least as far apart) / (1 + permutations); uniform for a perfect sampler."""
    null_mean: Any
    """Mean of the statistic over the permutations."""
    null_high: Any
    """Its 95 % quantile there: what a perfect sampler exceeds once in twenty."""
    n_real: int
    n_fake: int
    permutations: int


def energy_test(real: Tensor, fake: Tensor, generator: torch.Generator, permutations: int = PERMUTATIONS) -> TwoSample:
    """Test whether two samples have one law by the energy distance, 2 E|x - y| - E|x - x'| - E|y - y'|.

    Parameters
    ----------
    real, fake
        `[n, d]` or `[member, n, d]`; a matrix of all pairs is made, so a few thousand of them at most.
    generator
        Deals out the labels, the same for all members.

    Example
    -------
    >>> points = torch.arange(40.0)[:, None]
    >>> energy_test(points[:20], points[20:], torch.Generator().manual_seed(0)).p_value
    0.005

    Source: Szekely and Rizzo 2004; permutation p-value Phipson and Smyth 2010.
    """
    return _test(lambda pooled, dealt: _pairs(cdist(pooled, pooled), dealt), real, fake, generator, permutations)


def mmd_test(real: Tensor, fake: Tensor, generator: torch.Generator, permutations: int = PERMUTATIONS) -> TwoSample:
    """Test whether two samples have one law by the maximum mean discrepancy under a Gaussian kernel.

    Its width is the median distance of the pooled sample. Parameters as for `energy_test`. The statistic is the biased square.

    Source: Gretton et al. 2012, eq. 5.
    """

    def statistic(pooled: Array, dealt: Array) -> Array:
        squared = cdist(pooled, pooled, "sqeuclidean")
        width = np.median(squared[~np.eye(len(pooled), dtype=bool)])
        unlike = -np.expm1(-squared / (2 * width)) if width > 0 else (squared > 0).astype(float)
        return _pairs(unlike, dealt)  # 1 - kernel in place of - kernel: the ones cancel, and equal points are at exactly 0

    return _test(statistic, real, fake, generator, permutations)


def sliced_test(
    real: Tensor, fake: Tensor, generator: torch.Generator, projections: int = 32, permutations: int = PERMUTATIONS
) -> TwoSample:
    """Test whether two samples have one law by the sliced Wasserstein distance of order 1.

    No matrix of pairs, so tens of thousands of samples are possible. Parameters as for `energy_test`.
    """
    sizes(real, fake)
    directions = unit_vectors(projections, real.shape[-1], generator)

    def statistic(pooled: Array, dealt: Array) -> Array:
        along = [_line(line, dealt) for line in directions @ pooled.T]
        mean: Array = np.mean(along, axis=0)
        return mean

    return _test(statistic, real, fake, generator, permutations)


def _test(
    statistic: Callable[[Array, Array], Array], real: Tensor, fake: Tensor, generator: torch.Generator, permutations: int
) -> TwoSample:
    """`statistic(pooled [n + m, d], dealt [1 + permutation, n + m])` gives a distance for each deal; the first is the truth."""
    n, m = sizes(real, fake)
    order = [torch.randperm(n + m, generator=generator, device=generator.device).cpu() for _ in range(permutations)]
    signs = torch.tensor([1 / n] * n + [-1 / m] * m, dtype=torch.float64)
    dealt = torch.stack([signs, *(signs[o] for o in order)]).numpy()

    def measure(real: Array, fake: Array) -> tuple[float, float, float, float]:
        if min(n, m) < 2:
            return math.nan, math.nan, math.nan, math.nan
        true, *others = statistic(np.concatenate([real, fake]), dealt)
        null = np.array(others)
        as_far = null >= true - ROUNDING * np.abs(null).max(initial=0)
        return float(true), (1 + as_far.sum()) / (1 + permutations), float(null.mean()), float(np.quantile(null, 0.95))

    found = over_members(measure, ("statistic", "p_value", "null_mean", "null_high"), real, fake)
    return TwoSample(**found, n_real=n, n_fake=m, permutations=permutations)


def _pairs(distance: Array, dealt: Array) -> Array:
    """Return - s' D s for each deal s, which is 2 mean D(x, y) - mean D(x, x') - mean D(y, y'), equal pairs included."""
    form: Array = -np.einsum("bn,bn->b", dealt @ distance, dealt)
    return form


def _line(along: Array, dealt: Array) -> Array:
    """Return the area between the two empirical distribution functions on one line, for each deal."""
    order = np.argsort(along)
    area: Array = np.abs(np.cumsum(dealt[:, order], axis=1)[:, :-1]) @ np.diff(along[order])
    return area
