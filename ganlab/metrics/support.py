"""Where two samples lie in each other's neighbourhoods: precision, recall, density and coverage, without known modes.

Not here: coverage of known modes (`modes.py`), differences in weight at equal support (`ndb.py`, `two_sample.py`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ganlab.metrics.members import over_members, sizes
from ganlab.metrics.neighbours import Array, in_balls, to_kth_other


class Support(NamedTuple):
    """Shares in [0, 1], and density from 0 up: numbers for samples `[n, d]`, tensors `[member]` with members."""

    precision: Any
    """Share of fake samples in the ball of some real one."""
    recall: Any
    """Share of real samples in the ball of some fake one."""
    density: Any
    """Real balls that hold a fake sample, over k; a generator that sits where data are dense scores above 1."""
    coverage: Any
    """Share of real balls that hold a fake sample."""
    expected_density: float
    """Of a perfect sampler: 1 in any dimension. Precision and recall have no such value; `perfect_band` simulates it."""
    expected_coverage: float
    n_real: int
    n_fake: int
    k: int


def precision_recall_density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> Support:
    """Return how far two samples lie in each other's neighbourhoods.

    The ball of a point reaches to its k-th nearest other point of the same sample, rim included, so that identical samples
    score 1 in precision, recall and coverage even when they are all one point.

    Parameters
    ----------
    real, fake
        `[n, d]` or `[member, n, d]`; take the same sizes where numbers are compared. With k points or fewer in a sample the
        quantities that need its balls are NaN.
    k
        Neighbour that gives the radius; 5 is the choice of Naeem et al.

    Example
    -------
    >>> import torch
    >>> line = torch.arange(10.0)[:, None]
    >>> got = precision_recall_density_coverage(line, line[:5] + 0.1, k=1)
    >>> got.precision, got.recall, got.coverage
    (1.0, 0.6, 0.6)

    Source: precision and recall Kynkaanniemi et al. 2019, eq. 1; density and coverage Naeem et al. 2020, eq. 3 and 4. Their
    code leaves the rim outside; the two differ on ties alone.
    """
    names = ("precision", "recall", "density", "coverage")
    n_real, n_fake = sizes(real, fake)
    return Support(
        **over_members(_support, names, real, fake, k=k), expected_density=1.0,
        expected_coverage=expected_coverage(n_real, n_fake, k), n_real=n_real, n_fake=n_fake, k=k,
    )  # fmt: skip


def _support(real: Array, fake: Array, k: int) -> tuple[float, float, float, float]:
    precision = recall = density = coverage = math.nan
    if len(real) > k:
        balls, points = in_balls(fake, real, to_kth_other(real, k))
        precision, density, coverage = float(np.mean(balls > 0)), float(np.mean(balls)) / k, float(np.mean(points > 0))
    if len(fake) > k:
        recall = float(np.mean(in_balls(real, fake, to_kth_other(fake, k))[0] > 0))
    return precision, recall, density, coverage


def expected_coverage(n_real: int, n_fake: int, k: int) -> float:
    """Return the mean coverage of a perfect sampler, 1 - prod_{j=1..k} (N - j) / (N + M - j), in any dimension.

    A ball is missed when, of the N - 1 other real and M fake points about its centre, the k nearest are all real.

    Example
    -------
    >>> round(expected_coverage(10_000, 10_000, 5), 6)
    0.968773
    """
    j = np.arange(1, k + 1)
    return float(1 - np.prod((n_real - j) / (n_real + n_fake - j))) if n_real > k else math.nan
