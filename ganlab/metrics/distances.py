"""Distances between two samples: Frechet, kernel, and Wasserstein, exact and sliced.

Every one is above 0 for a perfect sampler of finite size or, where unbiased, scatters about 0. So a value means something
only beside what a perfect sampler scores: `expected` where a closed form is known, else `null.perfect_band`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from ganlab.metrics.members import over_members, sizes
from ganlab.metrics.neighbours import Array
from ganlab.registry import InputError

LARGEST_ASSIGNMENT = 2000
"""Most samples whose exact Wasserstein distance is computed: a second at 2000, and it grows with the cube."""

CHUNK = 250
"""Rows of a kernel matrix that exist at a time: 250 x 10 000 fit the cache."""


class Frechet(NamedTuple):
    """Numbers for samples `[n, d]`, tensors `[member]` with members."""

    distance: Any
    expected: Any
    """Mean of a perfect sampler of Gaussian data with the real sample's covariance; other data have another one."""
    n_real: int
    n_fake: int


def frechet_distance(real: Tensor, fake: Tensor) -> Frechet:
    r"""Return the squared Frechet distance of the Gaussians with the two samples' means and covariances.

    .. math:: |\mu_1 - \mu_2|^2 + \mathrm{tr}(S_1 + S_2) - 2\,\|S_1^{1/2} S_2^{1/2}\|_*

    The nuclear norm equals the usual trace of a root, and is real and finite for a constant generator and for fewer samples
    than dimensions. One sample has covariance 0. The distance of a perfect sampler is not 0: for covariance s^2 I it is
    s^2 (2 d / n + d (d + 1) / (2 n)), so values at different n must not be compared.

    Parameters
    ----------
    real, fake
        `[n, d]` or `[member, n, d]`; features of a net make it the FID.

    Example
    -------
    >>> a = torch.tensor([[-1.0], [1.0]])
    >>> frechet_distance(a, 3 + 0 * a).distance  # squared means 9, and all of the variance 2
    11.0

    Source: Dowson and Landau 1982; Heusel et al. 2017. Expected value: derived to second order from the Wishart law, and exact
    to O(1 / n^2).
    """
    n_real, n_fake = sizes(real, fake)
    found = over_members(_frechet, ("distance", "expected"), real, fake)
    return Frechet(**found, n_real=n_real, n_fake=n_fake)


def _frechet(real: Array, fake: Array) -> tuple[float, float]:
    mean_gap = real.mean(0) - fake.mean(0)
    (one, spectrum), (other, others) = _root_covariance(real), _root_covariance(fake)
    overlap = np.linalg.svd(one @ other, compute_uv=False).sum()
    distance = max(0.0, float(mean_gap @ mean_gap + spectrum.sum() + others.sum() - 2 * overlap))
    total = np.maximum(spectrum[:, None] + spectrum, np.finfo(float).tiny)
    pairs = spectrum[:, None] * spectrum / total
    bias = (spectrum.sum() + (pairs.sum() + np.trace(pairs)) / 2) * (1 / len(real) + 1 / len(fake))
    return distance, float(bias)


def _root_covariance(samples: Array) -> tuple[Array, Array]:
    """Return the symmetric root of the covariance `[d, d]` and the covariance's eigenvalues."""
    apart = samples - samples.mean(0)
    value, vector = np.linalg.eigh(apart.T @ apart / max(1, len(samples) - 1))
    value = np.maximum(value, 0.0)  # rounding leaves some just below
    return (vector * np.sqrt(value)) @ vector.T, value


def kernel_distance(real: Tensor, fake: Tensor) -> Any:
    """Return the unbiased squared maximum mean discrepancy under the kernel (x.y / d + 1)^3, over all pairs.

    A perfect sampler scores 0 on average at any size, so negative values occur; how far it scatters is `perfect_band`'s to say.
    NaN with fewer than two samples on a side. The usual KID is its mean over subsets of 1000 features.

    Source: Gretton et al. 2012, eq. 3; Binkowski et al. 2018, section 4.
    """
    return over_members(_kernel_distance, ("value",), real, fake)["value"]


def _kernel_distance(real: Array, fake: Array) -> tuple[float]:
    n, m = len(real), len(fake)
    if min(n, m) < 2:
        return (np.nan,)
    within = [(_kernel_sum(x, x) - (((x * x).mean(1) + 1) ** 3).sum()) / (len(x) * (len(x) - 1)) for x in (real, fake)]
    return (float(sum(within) - 2 * _kernel_sum(real, fake) / (n * m)),)


def _kernel_sum(x: Array, y: Array) -> float:
    total = 0.0
    for start in range(0, len(x), CHUNK):
        product = x[start : start + CHUNK] @ y.T / x.shape[1] + 1
        total += float(np.einsum("nm,nm,nm->", product, product, product))  # numpy's cube is ten times slower
    return total


def wasserstein(real: Tensor, fake: Tensor, p: float = 1.0) -> Any:
    """Return the exact Wasserstein distance of order p between two samples, with Euclidean ground cost.

    In one dimension for any sizes; else for equal sizes up to 2000, by the best assignment. No closed form is known for a
    perfect sampler; it shrinks as n^(-1/d) for d > 2.

    Raises
    ------
    InputError
        In more than one dimension with unequal sizes or too many samples.

    Example
    -------
    >>> wasserstein(torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [2.0]]))
    2.0
    """
    (n, m), d = sizes(real, fake), real.shape[-1]
    if d > 1 and (n != m or n > LARGEST_ASSIGNMENT):
        raise InputError(
            f"the exact distance in {d} dimensions needs equal sizes of at most {LARGEST_ASSIGNMENT}; got {n} and {m}; take as "
            "many of each, or sliced_wasserstein"
        )
    return over_members(_wasserstein, ("value",), real, fake, p=p)["value"]


def _wasserstein(real: Array, fake: Array, p: float) -> tuple[float]:
    if real.shape[1] == 1:
        return (float(_along_lines(real.T, fake.T, p)[0] ** (1 / p)),)
    cost = cdist(real, fake) ** p
    return (float(cost[linear_sum_assignment(cost)].mean() ** (1 / p)),)


def sliced_wasserstein(real: Tensor, fake: Tensor, generator: torch.Generator, projections: int = 128, p: float = 2.0) -> Any:
    """Return the sliced Wasserstein distance: the p-th root of the mean over directions of the p-th power in one dimension.

    Between N(0, s1^2 I) and N(mu, s2^2 I) in d dimensions, p = 2, it is the root of |mu|^2 / d + (s1 - s2)^2. A perfect sampler
    is above 0 by an amount that depends on the data: 0.13 with 2000 samples of a ring of radius 2 (see `perfect_band`).

    Parameters
    ----------
    real, fake
        `[n, d]` or `[member, n, d]`, of any sizes.
    generator
        Draws the directions, the same for all members.

    Source: Rabin et al. 2011; Bonneel et al. 2015.
    """
    sizes(real, fake)
    directions = unit_vectors(projections, real.shape[-1], generator)
    return over_members(_sliced, ("value",), real, fake, directions=directions, p=p)["value"]


def _sliced(real: Array, fake: Array, directions: Array, p: float) -> tuple[float]:
    return (float(_along_lines(directions @ real.T, directions @ fake.T, p).mean() ** (1 / p)),)


def unit_vectors(n: int, d: int, generator: torch.Generator) -> Array:
    """Return n directions in d dimensions, uniform on the sphere, `[n, d]`."""
    drawn = torch.randn(n, d, generator=generator, device=generator.device, dtype=torch.float64).cpu().numpy()
    unit: Array = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def _along_lines(x: Array, y: Array, p: float) -> Array:
    """Return the p-th power of the distance in each row, for `x [line, n]` and `y [line, m]`, `[line]`.

    Between two steps of either quantile function both are constant, so the integral over them is a sum.
    """
    n, m = x.shape[1], y.shape[1]
    x, y = np.sort(x, axis=1), np.sort(y, axis=1)
    if n == m:
        power: Array = (np.abs(x - y) ** p).mean(1)
        return power
    steps = np.unique(np.concatenate([np.arange(n + 1) * m, np.arange(m + 1) * n]))  # levels, in whole parts of 1 / (n m)
    width, start = np.diff(steps) / (n * m), steps[:-1]
    power = (np.abs(x[:, start // m] - y[:, start // n]) ** p) @ width
    return power
