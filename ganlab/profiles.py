"""Samples seen along a few directions: how far two sets of them are apart, cheap enough for every look.

A profile is the projections of samples, each in order. Two profiles of equally many samples differ by their sliced Wasserstein
distance (Rabin et al. 2012), and a profile takes less room than its samples.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

DIRECTIONS = 16
"""Of sliced distances, of `trace.SLICED` samples: a few tenths of a millisecond, and a tenth of the data's std is seen."""


def motion(now: Tensor, before: Tensor, real: Tensor) -> Tensor:
    """Return how far apart two profiles of generated samples are, in the unit of real ones `[n, *shape]`, see `movement`."""
    return (now - before).abs().mean() / unit_of(real)


def motions(profiles: Tensor, real: Tensor) -> Tensor:
    """Return the `motion` between any two of several profiles `[look, direction, n]`, `[look, look]`."""
    flat = profiles.flatten(1)
    return torch.cdist(flat, flat, p=1) / flat.shape[1] / unit_of(real)


def distance(of: Tensor, real: Tensor) -> Tensor:
    """Return the sliced distance of generated samples, given their profile, to real ones `[n, *shape]`, see `movement`."""
    return (of - profile(real)).abs().mean() / unit_of(real)


def unit_of(real: Tensor) -> Tensor:
    """Return the standard deviation of real samples `[n, *shape]` along a direction, never 0."""
    scale = scale_of(real)
    return scale.clamp(min=torch.finfo(scale.dtype).tiny) / math.prod(real.shape[1:]) ** 0.5


def profile(samples: Tensor) -> Tensor:
    """Return the projections of samples `[n, *shape]` on a few fixed directions, each in order, `[direction, n]`.

    The mean absolute difference of two profiles is the mean Wasserstein distance along these directions.
    """
    x = samples.flatten(1)
    return (_directions(x.shape[1]).to(x) @ x.T).sort(1).values


@cache
def _directions(d: int) -> Tensor:
    """Return `DIRECTIONS` random unit vectors, `[direction, d]`, the same in every process."""
    return normalize(torch.from_numpy(np.random.default_rng(0).standard_normal((DIRECTIONS, d))), dim=1)  # torch's not in vmap


def scale_of(real: Tensor) -> Tensor:
    """Return the root mean square distance of real samples `[n, *shape]` from their mean."""
    x = real.flatten(1)
    return (x - x.mean(0)).square().sum(1).mean().sqrt()
