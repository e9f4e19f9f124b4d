"""Samples against a density that is known: mean log-density against the entropy, and cells of known mass."""

from __future__ import annotations

import math
import zlib
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import stats as scipy_stats
from torch import Tensor

from ganlab.data.mixtures import Mixture
from ganlab.metrics.members import over_members, sizes
from ganlab.metrics.neighbours import Array
from ganlab.registry import InputError

DRAWS = 20_000
"""Draws behind the part of an entropy that has no closed form: nothing where modes lie apart, as in all named mixtures."""


CHUNK = 1000
"""Samples that are held against all modes at a time."""


class LogDensityGap(NamedTuple):
    """In nats; numbers for samples `[n, d]`, tensors `[member]` with members."""

    gap: Any
    """Mean log-density of the samples less that of the data, which is minus their entropy. Below 0: samples where data are
    rare. Above 0: more often where data are densest than the data are, as when the spread is lost."""
    p_value: Any
    """Two-sided, by the normal law of a mean: of a perfect sampler at least this far from 0."""
    null_std: float
    """Standard deviation of the gap of a perfect sampler of this size; its mean is 0."""
    n: int


def log_density_gap(samples: Tensor, distribution: Mixture) -> LogDensityGap:
    """Return how much likelier samples are under the data's density than data are.

    Blind to weights where modes are alike: a generator that holds one mode of a ring scores 0. `cell_divergence` sees that.

    Parameters
    ----------
    samples
        `[n, d]` or `[member, n, d]`.
    distribution
        A mixture without point masses (else InputError).

    Example
    -------
    >>> normal = Mixture([[0.0]], 1.0)
    >>> round(log_density_gap(torch.zeros(10, 1), normal).gap, 9)  # densest point against the mean: half a nat a dimension
    0.5
    """
    _refuse(samples, distribution)
    mean, std = _log_density_moments(distribution)
    (n,) = sizes(samples)
    null_std = std / math.sqrt(n)

    def measure(x: Array) -> tuple[float, float]:
        gap = float(_log_prob(distribution, torch.from_numpy(x)).mean()) - mean
        return gap, float(2 * scipy_stats.norm.sf(abs(gap) / null_std))

    return LogDensityGap(**over_members(measure, ("gap", "p_value"), samples), null_std=null_std, n=n)


def _log_density_moments(distribution: Mixture) -> tuple[float, float]:
    """Return mean and standard deviation of the log-density under the mixture itself.

    log p(x) is log w_k N_k(x) of the mode that x came from, whose moments are known, plus what the others add at x, which is
    simulated; it is next to 0 where modes lie apart.
    """
    d, weights = distribution.shape[0], distribution.weights
    peak = weights.log() - distribution.std.log().sum(1) - d / 2 * math.log(2 * math.pi)
    mean = float(weights @ peak) - d / 2
    variance = float(weights @ (peak - weights @ peak) ** 2) + d / 2
    fresh = Mixture(distribution.modes, distribution.std, weights.tolist())  # whatever points the distribution is held to
    x, mode = fresh.sample_labelled(DRAWS, torch.Generator().manual_seed(0))
    log_p = _log_prob(distribution, x)
    own = peak[mode] - (((x - distribution.modes[mode]) / distribution.std[mode]) ** 2).sum(1) / 2
    added = log_p - own
    return mean + float(added.mean()), math.sqrt(variance + float(log_p.var() - own.var()))


def _log_prob(distribution: Mixture, x: Tensor) -> Tensor:
    return torch.cat([distribution.log_prob(part) for part in x.split(CHUNK)])


def _refuse(samples: Tensor, distribution: Mixture) -> None:
    if not isinstance(distribution, Mixture) or not distribution.has_density:
        raise InputError(f"this needs a mixture with a density, so without point masses; got {distribution.name!r}")
    if samples.shape[-1:] != distribution.shape:
        raise InputError(f"samples of this mixture have {distribution.shape[0]} dimensions; got {tuple(samples.shape)}")


class CellDivergence(NamedTuple):
    """Numbers for samples `[n, d]`, tensors `[member]` with members."""

    kl: Any
    """KL divergence of the samples' shares of the cells to the true ones, in nats."""
    p_value: Any
    """Share of perfect samplers with as large a chi-square statistic, simulated: exact at every size."""
    floor: float
    """`kl` of a perfect sampler, to first order: (cells - 1) / 2 n."""
    high: float
    """What 95 % of perfect samplers stay below, simulated."""
    cells: int
    n: int


def cell_divergence(
    samples: Tensor, distribution: Mixture, generator: torch.Generator, shells: int = 4, simulations: int = 999
) -> CellDivergence:
    """Return how far samples are from a mixture in cells whose masses are known exactly: modes, cut into shells.

    A cell is a mode and a shell about it; each shell holds an equal part of the mode's mass, by the chi law of the distance. A
    sample's mode is drawn with the chance that the density gives each (almost always certain, and exact where modes overlap),
    so that a perfect sampler is in the cell (k, j) with chance w_k / shells. It sees lost and tilted modes, lost spread and
    samples off the modes; not where in a shell they lie.

    Parameters
    ----------
    samples
        `[n, d]` or `[member, n, d]`.
    distribution
        A mixture without point masses (else InputError).
    generator
        Draws perfect samplers, the same for all members, and modes.
    shells
        4, so that a mode with 20 samples has 5 a cell.
    simulations
        Perfect samplers; 999 make 1/1000 the smallest p-value.

    Source: Pearson 1900; Monte Carlo p-value Phipson and Smyth 2010.
    """
    _refuse(samples, distribution)
    (n,), k = sizes(samples), len(distribution.modes)
    mass = np.repeat(distribution.weights.numpy(), shells) / shells
    seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    perfect = np.random.default_rng(seed).multinomial(n, mass, size=simulations)
    null, high = _chi_square(perfect, n * mass), float(np.quantile(scipy_stats.entropy(perfect, mass[None], axis=1), 0.95))
    edges = scipy_stats.chi2.ppf(np.arange(1, shells) / shells, distribution.shape[0])

    def measure(x: Array) -> tuple[float, float]:
        own = np.random.default_rng([seed, zlib.crc32(x.tobytes())])  # members draw apart, and each as if it were alone
        cell = _cells(torch.from_numpy(x), distribution, torch.from_numpy(own.random(n)), edges)
        counts = np.bincount(cell, minlength=k * shells)
        as_far = np.count_nonzero(null >= _chi_square(counts, n * mass) * (1 - 1e-12))
        return float(scipy_stats.entropy(counts, mass)), (1 + as_far) / (1 + simulations)

    found = over_members(measure, ("kl", "p_value"), samples)
    return CellDivergence(**found, floor=(k * shells - 1) / (2 * n), high=high, cells=k * shells, n=n)


def _cells(x: Tensor, distribution: Mixture, u: Tensor, edges: Array) -> Any:
    """Return the cell of each sample, `[n]`: its mode, drawn by u from p(mode | x), and the shell of its distance to that."""
    squared = (((x[:, None] - distribution.modes) / distribution.std) ** 2).sum(-1)
    chance = torch.softmax(distribution.weights.log() - distribution.std.log().sum(1) - squared / 2, 1)
    mode = (chance.cumsum(1) < u[:, None]).sum(1).clamp(max=len(distribution.modes) - 1)
    return mode.numpy() * (len(edges) + 1) + np.searchsorted(edges, squared.gather(1, mode[:, None])[:, 0].numpy())


def _chi_square(counts: Any, due: Array) -> Any:
    return ((counts - due) ** 2 / due).sum(-1)
