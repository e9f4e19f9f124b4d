"""Do generated points lie closer to training points than fresh data do? Tests with a p-value, not a look at neighbours."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats as scipy_stats
from torch import Tensor

from ganlab.metrics.members import over_members, sizes
from ganlab.metrics.ndb import k_means
from ganlab.metrics.neighbours import Array, nearest, to_kth_other

FEWEST = 10
"""Samples of either kind that a cell needs to be judged: the normal law of the rank sum serves from there on."""


class Memorisation(NamedTuple):
    """Numbers for samples `[n, d]`, tensors `[member]` with members."""

    z: Any
    """Lowest z of a cell, each standard normal for a perfect sampler; far below 0 for copies."""
    p_value: Any
    """One-sided: chance of so low a `z`, in so many cells, if generated samples are as far from training data as fresh ones."""
    c_t: Any
    """The published statistic: the mean of the cells' z, weighted by fresh data, without correction for ties. Above 0 for
    samples further off than fresh data."""
    cells: Any
    """Cells that held enough samples to be judged."""
    n_train: int
    n_held_out: int
    n_fake: int


def nearest_neighbour_test(
    train: Tensor, held_out: Tensor, fake: Tensor, generator: torch.Generator, cells: int = 1
) -> Memorisation:
    """Test whether generated samples lie closer to training data than fresh data do, by the ranks of their distances.

    Given the training data, the distances of fresh and of perfect samples to their nearest training point are alike in law,
    so the level is right in any dimension. Bad samples are far from everything and hide copies; `authenticity` counts single
    ones.

    Parameters
    ----------
    train, held_out, fake
        `[n, d]` or `[member, n, d]`: training data, data that training never saw, generated samples.
    generator
        Seeds k-means, if there are cells.
    cells
        Cells of the training data, each judged by itself: copies in one region then do not hide behind bad samples in
        another, as they do in the mean of the cells. One, by default, which has most power for copies everywhere; the paper
        takes some tens.

    Example
    -------
    >>> x = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0))
    >>> copies = nearest_neighbour_test(x[:1000], x[1000:2000], x[:1000], torch.Generator())
    >>> round(copies.c_t, 1), copies.p_value < 1e-9
    (-38.7, True)

    Source: Meehan, Chaudhuri and Dasgupta 2020, section 4; Mann and Whitney 1947, with the variance for ties; over
    cells Sidak 1967, as they are independent. NaN where no cell holds `FEWEST` samples of both kinds.
    """
    n_train, n_held_out, n_fake = sizes(train, held_out, fake)
    seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    found = over_members(
        _nearest_neighbour_test, ("z", "p_value", "c_t", "cells"), train, held_out, fake, cells=cells, seed=seed
    )
    return Memorisation(**found, n_train=n_train, n_held_out=n_held_out, n_fake=n_fake)


def _nearest_neighbour_test(train: Array, held_out: Array, fake: Array, cells: int, seed: int) -> tuple[float, ...]:
    centres = k_means(train, cells, seed) if cells > 1 else train[:1]
    fresh, ours = ((nearest(x, train, 1)[0][:, 0], nearest(x, centres, 1)[1][:, 0]) for x in (held_out, fake))
    z, published, weight = [], [], []
    for cell in range(len(centres)):
        theirs, mine = fresh[0][fresh[1] == cell], ours[0][ours[1] == cell]
        if min(len(theirs), len(mine)) >= FEWEST:
            with_ties, without = _rank_sum(mine, theirs)
            z.append(with_ties)
            published.append(without)
            weight.append(len(theirs))
    if not z:
        return math.nan, math.nan, math.nan, 0
    p_value = -math.expm1(len(z) * scipy_stats.norm.logsf(min(z)))
    return min(z), p_value, float(np.average(published, weights=weight)), len(z)


def _rank_sum(mine: Array, theirs: Array) -> tuple[float, float]:
    """Return the standardised Mann-Whitney U of `mine` over `theirs`: with the variance for ties, and without.

    Half a pair is taken off the mean, as published: z moves that little up, so that the test errs on the side of the generator.
    """
    n, m = len(mine), len(theirs)
    together = np.concatenate([mine, theirs])
    above = scipy_stats.rankdata(together)[:n].sum() - n * (n + 1) / 2 - (n * m / 2 - 0.5)
    ties = np.unique(together, return_counts=True)[1].astype(float)
    plain = n * m * (n + m + 1) / 12
    variance = plain - n * m * (ties**3 - ties).sum() / (12 * (n + m) * (n + m - 1))
    return (float(above / math.sqrt(variance)) if variance > 1e-9 * plain else 0.0), float(above / math.sqrt(plain))


class Authenticity(NamedTuple):
    """Shares in [0, 1]; numbers for samples `[n, d]`, tensors `[member]` with members."""

    fake: Any
    """Share of generated samples whose nearest training point has another training point nearer than them; 0 for copies."""
    held_out: Any
    """The same for fresh data: what a perfect sampler scores. 33 % in one dimension, 38 % in two, above 80 % in fifty."""
    p_value: Any
    """One-sided: chance of so small a share of authentic samples beside that of fresh data, by Fisher's exact test."""
    n_train: int
    n_held_out: int
    n_fake: int


def authenticity(train: Tensor, held_out: Tensor, fake: Tensor) -> Authenticity:
    """Return the share of samples that are no mere neighbour of a training point, beside that of fresh data.

    A sample is authentic when the training point nearest to it is nearer to another training point than to it. Neither 50 % nor
    100 % is right: the share of fresh data is.

    Parameters
    ----------
    train, held_out, fake
        As for `nearest_neighbour_test`; NaN with a single training point.

    Source: Alaa et al. 2022 (AuthPct); null value and test: ours. Given the training data, fresh and perfect samples are
    authentic independently and with one chance, so the exact test keeps its level.
    """
    n_train, n_held_out, n_fake = sizes(train, held_out, fake)
    found = over_members(_authenticity, ("fake", "held_out", "p_value"), train, held_out, fake)
    return Authenticity(**found, n_train=n_train, n_held_out=n_held_out, n_fake=n_fake)


def _authenticity(train: Array, held_out: Array, fake: Array) -> tuple[float, float, float]:
    if len(train) < 2:
        return math.nan, math.nan, math.nan
    room = to_kth_other(train, 1)
    counts = []
    for x in (fake, held_out):
        distance, index = nearest(x, train, 1)
        counts.append(int((room[index[:, 0]] < distance[:, 0]).sum()))
    table = np.array([[c, len(x) - c] for c, x in zip(counts, (fake, held_out), strict=True)])
    p_value = float(scipy_stats.fisher_exact(table, alternative="less").pvalue)
    return counts[0] / len(fake), counts[1] / len(held_out), p_value


def copied_share(train: Tensor, held_out: Tensor, fake: Tensor, closeness: float = 0.01) -> Any:
    """Return the share of generated samples that lie closer to training data than all but `closeness` of fresh data do.

    A perfect sampler scores `closeness`, a generator of copies 1; one that is merely too tight about dense places, a few times
    `closeness`, where the rank test above already speaks.

    Parameters
    ----------
    train, held_out, fake
        As for `nearest_neighbour_test`.

    Example
    -------
    >>> x = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0))
    >>> copied_share(x[:1000], x[1000:2000], x[:1000])
    1.0
    """
    sizes(train, held_out, fake)
    return over_members(_copied_share, ("share",), train, held_out, fake, closeness=closeness)["share"]


def _copied_share(train: Array, held_out: Array, fake: Array, closeness: float) -> tuple[float, ...]:
    fresh, ours = (nearest(x, train, 1)[0][:, 0] for x in (held_out, fake))
    return (float((ours < np.quantile(fresh, closeness)).mean()),)
