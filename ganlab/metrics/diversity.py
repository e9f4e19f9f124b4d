"""How many different things a sample holds: the Vendi score, and the birthday test for a small support."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist, pdist
from torch import Tensor

from ganlab.metrics.members import over_members, sizes
from ganlab.metrics.neighbours import Array, to_kth_other


class Vendi(NamedTuple):
    """Effective numbers, from 1 to n: numbers for samples `[n, d]`, tensors `[member]` with members."""

    fake: Any
    real: Any
    """Of as many real samples: what a perfect sampler scores."""
    n: int
    """Samples on each side: the score grows with it, so both are cut to the smaller size."""


def vendi_score(real: Tensor, fake: Tensor, kernel: Literal["gaussian", "cosine"] = "gaussian") -> Vendi:
    """Return the effective number of different samples: exp of the entropy of the eigenvalues of the kernel matrix over n.

    Parameters
    ----------
    real, fake
        `[n, d]` or `[member, n, d]`; at most a few thousand, since the matrix `[n, n]` is diagonalised.
    kernel
        "gaussian", as wide as the median distance of real samples, or "cosine", for features whose length says nothing; no
        more than d things differ by that.

    Example
    -------
    >>> three = torch.eye(3).repeat(10, 1)  # ten each of three orthogonal directions
    >>> round(vendi_score(three, three[::3], "cosine").fake, 6), round(vendi_score(three, three, "cosine").fake, 6)
    (1.0, 3.0)

    Source: Friedman and Dieng 2023, definition 3.1.
    """
    n = min(sizes(real, fake))
    found = over_members(_vendi, ("fake", "real"), real[..., :n, :], fake[..., :n, :], kernel=kernel)
    return Vendi(**found, n=n)


def _vendi(real: Array, fake: Array, kernel: str) -> tuple[float, float]:
    if kernel == "cosine":
        return _effective_number(_unit(fake)), _effective_number(_unit(real))
    width = float(np.median(pdist(real))) if len(real) > 1 else 0.0
    return tuple(_effective_rank(_gaussian(x, width)) for x in (fake, real))  # type: ignore[return-value]


def _gaussian(x: Array, width: float) -> Array:
    squared = cdist(x, x, "sqeuclidean")
    return np.exp(-squared / (2 * width**2)) if width > 0 else (squared == 0).astype(float)


def _unit(x: Array) -> Array:
    """Return rows of length 1; the zero vector has a direction of its own."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.hstack([np.divide(x, length, out=np.zeros_like(x), where=length > 0), length == 0])


def _effective_number(features: Array) -> float:
    """Return the score of a kernel given by features: whichever of the two products of them is smaller has its eigenvalues."""
    return _effective_rank(features @ features.T if len(features) < features.shape[1] else features.T @ features)


def _effective_rank(kernel: Array) -> float:
    value = np.linalg.eigvalsh(kernel)
    share = value[value > 0] / value[value > 0].sum()
    return float(np.exp(-(share * np.log(share)).sum()))


class Birthday(NamedTuple):
    """Numbers for samples `[n, d]`, tensors `[member]` with members; pairs are of samples at most `within` apart."""

    pairs: Any
    """Near-duplicates among the fake samples."""
    real_pairs: Any
    """The same among the real ones: what a perfect sampler of that size has on average."""
    p_value: Any
    """Chance of so many among the fake ones if both have one law, by permutation: small for a small support."""
    support: Any
    """Equally likely outcomes that would give so many pairs, n (n - 1) / (2 pairs); infinite without any."""
    support_low: Any
    support_high: Any
    """Where 95 % of permutations lie: what would be found if both had one law."""
    within: Any
    n_real: int
    n_fake: int
    permutations: int


def birthday_test(
    real: Tensor, fake: Tensor, generator: torch.Generator, within: float | None = None, permutations: int = 199
) -> Birthday:
    """Return how many near-duplicates a generator makes, whether they are too many, and the support that they suggest.

    With N equally likely outcomes s samples hold s (s - 1) / (2 N) pairs of equal ones on average, and the first is due at
    about s = 1.18 sqrt(N). Continuous samples repeat only nearly, so "equal" is a distance.

    Parameters
    ----------
    real, fake
        `[n, d]` or `[member, n, d]`, some hundreds to few thousands: a collapsed generator has n^2 / 2 pairs.
    generator
        Deals out the labels, the same for all members.
    within
        Largest distance of a duplicate. None: a twentieth of the pooled samples has another one that near, so that the test can
        tell a difference and keeps its level. 0 counts exact copies.

    Source: Arora, Risteski and Zhang 2018, section 2; the permutation test in place of the eye is ours.
    """
    n, m = sizes(real, fake)
    fakes = torch.tensor([False] * n + [True] * m)
    order = [torch.randperm(n + m, generator=generator, device=generator.device).cpu() for _ in range(permutations)]
    dealt = torch.stack([fakes, *(fakes[o] for o in order)]).numpy()
    names = ("pairs", "real_pairs", "p_value", "support", "support_low", "support_high", "within")
    return Birthday(
        **over_members(_birthday, names, real, fake, dealt=dealt, within=within), n_real=n, n_fake=m, permutations=permutations
    )


def _birthday(real: Array, fake: Array, dealt: Any, within: float | None) -> tuple[float, ...]:
    pooled = np.concatenate([real, fake])
    if within is None:
        within = float(np.quantile(to_kth_other(pooled, 1), 0.05)) if len(pooled) > 1 else 0.0
    near = cKDTree(pooled).query_pairs(within, output_type="ndarray")
    true, *null = [int(np.count_nonzero(labels[near[:, 0]] & labels[near[:, 1]])) for labels in dealt]
    among_real = int(np.count_nonzero(~dealt[0][near[:, 0]] & ~dealt[0][near[:, 1]]))
    p_value = (1 + np.count_nonzero(np.array(null) >= true)) / (1 + len(null))
    all_pairs = len(fake) * (len(fake) - 1) / 2
    most, fewest = np.quantile(null, [0.975, 0.025]) if null else (math.nan, math.nan)
    return true, among_real, p_value, *(all_pairs / n if n else math.inf for n in (true, most, fewest)), within


def chance_of_no_repeat(n: int, support: int) -> float:
    """Return the chance that n draws from equally likely outcomes are all different, about exp(-n^2 / (2 support)).

    Example
    -------
    >>> round(chance_of_no_repeat(23, 365), 4)
    0.4927
    """
    return float(np.prod(1 - np.arange(n) / support)) if n <= support else 0.0
