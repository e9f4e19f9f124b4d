"""Cells of real data, which play the part of modes where none are known: how many samples lie in each, and how they spread.

Fitted once on real samples; counting is a pure function of the samples, so it maps over members.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor
from torch.nn.functional import pad

CELLS = 20
"""Most cells of data that do not fall apart by themselves; 50 samples each at 1000."""

SEVERAL = 50
"""Most clumps that data are asked to fall apart into."""

APART = 3.0
"""Data fall apart into clumps where the cheapest join of two clumps costs this many times the dearest join inside one. A cloud
without clumps stays below 2; modes 6 standard deviations apart are above."""

LEAST = 25
"""Samples that each cell is due, of those that will be counted, and of the real ones that measure its share. Lighter cells are
given to their neighbours, and so are those with less than half of an even share where cells are no clumps: they are chance, not
modes. Clumps are due as many of those that will be counted alone."""

FEWEST = 5
"""Real samples in a clump, of those that measure the shares: fewer, and what is near the data there is not known."""

GROWN = 1000
"""Real samples from which the tree of clumps is made: its cost grows with the square."""

COMPARED = 512
"""Most real samples to which distances are taken, and generated ones that are held against each other; half of those that
measure the shares, where these are fewer than twice as many."""

WIDE = 1024
"""Most numbers of a sample as it is compared. Images that are wider would take gigabytes in float64; their distances are kept
to about 2 % by as many random sums, see `narrowed`."""

NEAR = 0.99
"""Share of the real samples of a cell that count as near the data."""


AT_ONCE = 32
"""Wide samples that are narrowed at a time."""


class Cells(NamedTuple):
    """Cells of real data; lengths are in the data's own units, see `units`, and of `narrowed` samples."""

    middle: Tensor
    """`[number]`, mean of the data, in theirs."""
    unit: Tensor
    """`[number]`"""
    centres: Tensor
    """`[cell, d]`"""
    landmarks: Tensor
    """Real samples, `[landmark, d]`: near the data is what is as near to one of them as other real samples are."""
    reach: Tensor
    """How near that is, `[cell]`."""
    quarter: Tensor
    """Of the way to the next centre, `[cell]`: near the data is also what is as near to a centre, where data fall apart."""
    share: Tensor
    """Of real samples, `[cell]`."""
    variance: Tensor
    """Mean squared distance of near real samples from the mean of their cell, `[cell]`."""
    scale: Tensor
    """Root mean square distance of real samples from their mean."""
    width: Tensor
    """Size of a cell, within which samples count as alike."""
    different: Tensor
    """`effective_number` of the landmarks."""


class Counted(NamedTuple):
    """How samples lie in cells."""

    counts: Tensor
    """Samples near the data, `[cell]`."""
    due: Tensor
    """What each cell should have of them, `[cell]`."""
    covered: Tensor
    """Cells with at least a tenth of what a perfect sampler of this size has there."""
    near: Tensor
    """Share of samples near the data."""
    spread: Tensor
    """Std of near samples about the mean of their cell, over that of real ones; NaN without pairs."""
    overall: Tensor
    """Std of all samples, over that of real ones."""
    diversity: Tensor
    """Effective number of different samples, near or not, over that of as many real ones."""


def units(real: Tensor) -> Tensor:
    """Return the unit of each number of a sample `[n, *shape]`, flat `[d]`: columns have each their std, pixels share one."""
    std = real.flatten(1).double().std(0, correction=0)
    if real.ndim > 2:
        std = std.square().mean().sqrt().expand(len(std))
    return torch.where(std > 0, std, 1.0)


def narrowed(samples: Tensor, unit: Tensor, middle: Tensor | float = 0.0) -> Tensor:
    """Return samples `[n, *shape]` in the data's units, flat `[n, d]`; wide ones as `WIDE` random sums of their numbers.

    Each number is in one sum, with a random sign, the same in every process. Squared distances are kept on average, whatever
    the samples, with a standard deviation of at most sqrt(2 / WIDE), 4 %.

    Example
    -------
    >>> x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> short = narrowed(x, torch.ones(3 * 64 * 64))
    >>> short.shape, round(float((short[0] - short[1]).norm() / (x[0] - x[1]).norm()), 1)
    (torch.Size([2, 1024]), 1.0)

    Source: Charikar, Chen and Farach-Colton 2002; Weinberger et al. 2009 (hashing of features).
    """
    x = samples.flatten(1)
    if x.shape[1] <= WIDE:
        return (x - middle) / unit
    order, sign = (part.to(x.device) for part in _folds(x.shape[1]))
    middle = middle.to(x) if isinstance(middle, Tensor) else middle
    weight = (sign / unit[order]).to(x)  # in the samples' own precision, and some at a time: float64 takes twice the room

    def folded(part: Tensor) -> Tensor:
        return pad((part - middle)[:, order] * weight, (0, -len(order) % WIDE)).unflatten(1, (-1, WIDE)).sum(1).double()

    return torch.cat([folded(part) for part in x.split(AT_ONCE)])


@cache
def _folds(d: int) -> tuple[Tensor, Tensor]:
    """Return a random order of d numbers, and a random sign for each."""
    dice = np.random.default_rng(0)
    return torch.from_numpy(dice.permutation(d)), torch.from_numpy(dice.choice([-1.0, 1.0], d))


class Reference(NamedTuple):
    """Real samples as they are compared."""

    x: Tensor
    """`[n, d]`, about the middle."""
    middle: Tensor
    unit: Tensor


def reference_of(parts: Iterable[Tensor]) -> Reference:
    """Return real samples `[n, *shape]` as they are compared, those that are not finite left out.

    They may come in parts, so that wide ones need not be held at once; the first part says where the middle is and what the
    units are.
    """
    finite = (part[torch.isfinite(part.flatten(1)).all(1)] for part in parts)
    first = next(finite)
    middle, unit = first.flatten(1).double().mean(0), units(first)
    return Reference(torch.cat([narrowed(part, unit, middle) for part in chain([first], finite)]), middle, unit)


def cells_of(real: Tensor | Reference, n: int) -> Cells:
    """Return cells of real samples, in which n others will be counted.

    Centres are fitted to one half of them and all else is measured on the other, as if it were a second sample. Where the data
    fall apart into clumps, each is a cell, so that what happens inside a mode is not taken for a lost one; else Ward's tree is
    cut into `CELLS`, fewer when n is small, and k-means goes on from there.

    Parameters
    ----------
    real
        `[m, *shape]`, some thousands, or what `reference_of` makes of them.

    Example
    -------
    >>> from ganlab import data, rng
    >>> ring = data.get("ring8")
    >>> len(cells_of(ring.sample(4000, rng.stream(0, "reference")), 2500).share)
    8

    Source: Richardson and Weiss 2018 (cells in place of modes); Ward 1963; Kynkaanniemi et al. 2019 (near the data); the rules
    of where to cut are ours.
    """
    x, middle, unit = real if isinstance(real, Reference) else reference_of([real])
    fitted, held = x[: len(x) // 2], x[len(x) // 2 :]
    centres = _centres(fitted, held, n)
    cell, gap = _nearest(held, centres)
    apart = torch.cdist(centres, centres).fill_diagonal_(torch.inf).amin(1) / 4
    quarter = torch.where(apart.isinf(), 0.0, apart)
    n_landmarks = min(COMPARED, max(1, len(held) // 2))
    landmarks = held[:n_landmarks]
    away = _to_nearest(held[n_landmarks:], landmarks)
    reach = torch.stack([_quantile(away[cell[n_landmarks:] == k]) for k in range(len(centres))])
    share = _share(cell, len(centres))
    width = torch.maximum(gap.square().sum(1).mean(), share @ quarter**2).sqrt().clamp(min=1e-6)
    inside = _one_hot(cell, len(centres)).to(x)
    return Cells(
        middle, unit, centres, landmarks, reach * (1 + 1e-4), quarter, share,
        _scatter(gap, inside) / inside.sum(0).clamp(min=1), (held - held.mean(0)).square().sum(1).mean().sqrt(),
        width, effective_number(landmarks, width),
    )  # fmt: skip


def count_in_cells(samples: Tensor, cells: Cells) -> Counted:
    """Return how samples `[n, *shape]` lie in the cells; a pure function of them."""
    x = narrowed(samples, cells.unit, cells.middle)
    cell, gap = _nearest(x, cells.centres)
    near_landmark = _to_nearest(x, cells.landmarks) <= cells.reach[cell]
    near = near_landmark | (gap.square().sum(1) <= cells.quarter[cell] ** 2)
    inside = (_one_hot(cell, len(cells.share)) & near[:, None]).to(x)
    count = inside.sum(0)
    wide = cells.variance > 0
    scatter = torch.where(wide, _scatter(gap, inside) / torch.where(wide, cells.variance, 1.0), 0.0).sum()
    pairs = torch.where(wide, (count - 1).clamp(min=0), 0.0).sum()
    return Counted(
        counts=count,
        due=count.sum() * cells.share,
        covered=(count >= 0.1 * len(x) * cells.share).sum(),
        near=count.sum() / len(x),
        spread=(scatter / pairs).sqrt(),
        overall=(x - x.mean(0)).square().sum(1).mean().sqrt() / cells.scale,
        diversity=effective_number(x[: len(cells.landmarks)], cells.width) / cells.different,
    )


def effective_number(x: Tensor, width: Tensor) -> Tensor:
    """Return how many different things points `[n, d]` are, from 1 to n: one over the mean squared kernel of two of them.

    The kernel is Gaussian; this is the Vendi score of order 2, which needs no eigenvalues.

    Example
    -------
    >>> three = 10 * torch.eye(3).repeat(10, 1)
    >>> round(float(effective_number(three, torch.tensor(1.0))), 6)
    3.0

    Source: Pasarkar and Dieng 2024, order 2.
    """
    x = (x - x.mean(0)).double()
    length = x.square().sum(1)
    squared = (length[:, None] + length - 2 * x @ x.T).clamp(min=0)
    return 1 / torch.exp(-squared / width**2).mean()


# --- geometry ----------------------------------------------------------------------------------------------------------


def _centres(x: Tensor, held: Tensor, n: int) -> Tensor:
    """Return the centres `[cell, d]` of points x, of which none is too light among the points `held`."""
    tree = linkage(x[:GROWN].numpy(), "ward")
    cost = tree[:, 2]
    dearer = cost[1:] / np.maximum(cost[:-1], 1e-6 * cost[-1] + np.finfo(float).tiny)  # than the join before
    known = min(n, len(held))  # a share is told by the fewer of both
    usual = max(1, min(CELLS, known // (2 * LEAST)))
    for k in range(min(SEVERAL, len(cost)), 1, -1):
        if dearer[1 - k] >= APART:
            centres = _cut(x, tree, k)
            share = _share(_nearest(held, centres)[0], k).min()
            if share * n >= LEAST and share * len(held) >= FEWEST:
                return centres
    centres = _cut(x, tree, usual)
    while len(centres) > 1:
        share = _share(_nearest(held, centres)[0], len(centres))
        if share.min() >= max(LEAST / known, 0.5 / usual):
            break
        centres = centres[torch.arange(len(centres)) != share.argmin()]
    return centres


def _cut(x: Tensor, tree: np.ndarray, k: int, rounds: int = 10) -> Tensor:
    """Return the centres of at most k branches of a tree of the first points, after some rounds of k-means."""
    label = torch.from_numpy(fcluster(tree, k, "maxclust"))
    centres = torch.stack([x[: len(label)][label == k].mean(0) for k in label.unique()])
    for _ in range(rounds):
        inside = _one_hot(_nearest(x, centres)[0], len(centres)).to(x)
        count = inside.sum(0)[:, None]
        centres = torch.where(count > 0, inside.T @ x / count.clamp(min=1), centres)
    return centres


def _nearest(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest centre of each point `[n, d]`, `[n]`, and the way from there, `[n, d]`."""
    cell = (centres.square().sum(1) - 2 * x @ centres.T).argmin(1)
    return cell, x - centres[cell]


def _to_nearest(x: Tensor, among: Tensor) -> Tensor:
    """Return the distance from each point `[n, d]` to the nearest of others, `[n]`.

    In float64, so that points much closer to each other than to the middle stay apart.
    """
    x, among = x.double(), among.double()
    beyond = torch.addmm(among.square().sum(1), x, among.T, alpha=-2)  # squared distances less squared lengths of x
    return (beyond.amin(1) + x.square().sum(1)).clamp(min=0).sqrt()


def _one_hot(cell: Tensor, k: int) -> Tensor:
    return cell[:, None] == torch.arange(k, device=cell.device)


def _share(cell: Tensor, k: int) -> Tensor:
    return _one_hot(cell, k).double().mean(0)


def _quantile(distance: Tensor) -> Tensor:
    return distance.quantile(NEAR) if len(distance) else torch.zeros((), dtype=torch.float64)


def _scatter(gap: Tensor, inside: Tensor) -> Tensor:
    """Return the summed squared distances of points to the mean of their cell, `[cell]`, by the ways from its centre."""
    count = inside.sum(0)
    mean = inside.T @ gap / count.clamp(min=1)[:, None]
    return (inside.T @ gap.square().sum(1) - count * mean.square().sum(1)).clamp(min=0)
