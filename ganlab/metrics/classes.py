"""What a classifier says about samples: distance of class frequencies, and the inception score.

The classifier is the caller's. Another one gives other numbers, so its name and accuracy belong beside them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganlab.registry import InputError


class ClassDistance(NamedTuple):
    """Total variation distance of class frequencies; numbers for `[class]`, tensors `[member]` with members."""

    distance: Any
    expected: Any
    """Mean of a perfect sampler of the same size."""
    n: Any


def class_histogram_distance(counts: Tensor, reference: Tensor, n_reference: int | None = None) -> ClassDistance:
    r"""Return the total variation distance of class frequencies, :math:`\frac12 \sum_c |p_c - q_c|`.

    One class only is at 0.9 of ten; a perfect sampler is not at 0 but, to first order, at
    :math:`\frac12 \sum_c \sqrt{2 q_c (1 - q_c) (1/n + 1/m) / \pi}`.

    Parameters
    ----------
    counts
        Samples of each class, `[class]` or `[member, class]`; none at all, or a count that is not finite, gives NaN.
    reference
        Relative frequencies of the data, `[class]`.
    n_reference
        Samples they were counted on (m above); None when they are known exactly.

    Example
    -------
    >>> got = class_histogram_distance(torch.tensor([1000] + [0] * 9), torch.ones(10))
    >>> round(got.distance, 6), round(got.expected, 3)
    (0.9, 0.038)

    Source: TVD of Lipizzaner (Toutouh, Hemberg and O'Reilly 2019). Expected value: half the mean size of a Gaussian each.
    """
    if counts.ndim not in (1, 2) or reference.ndim != 1 or counts.shape[-1:] != reference.shape:
        raise InputError(
            f"counts must be [class] or [member, class] and the reference [class]; got {tuple(counts.shape)} and "
            f"{tuple(reference.shape)}"
        )
    counts, q = counts.double(), reference.double() / reference.sum()
    n = counts.sum(-1)
    distance = (counts / n[..., None] - q).abs().sum(-1) / 2
    error = 1 / n + (1 / n_reference if n_reference else 0.0)
    expected = (2 * q * (1 - q) / math.pi).sqrt().sum() / 2 * error.sqrt()
    values = (distance, torch.where(distance.isnan(), math.nan, expected), n)
    return ClassDistance(*(v.item() if counts.ndim == 1 else v for v in values))


class InceptionScore(NamedTuple):
    """Numbers for probabilities `[n, class]`, tensors `[member]` with members."""

    score: Any
    """From 1, for one class or one answer to all, to `ceiling`."""
    ceiling: float
    """Classes: what equally frequent ones score if the classifier is always sure. Real samples say what is within reach."""
    n: int


def inception_score(probabilities: Tensor) -> InceptionScore:
    """Return exp of the mean KL divergence of each sample's class probabilities to their mean.

    Parameters
    ----------
    probabilities
        `[n, class]` or `[member, n, class]`, each row summing to 1. A member with one that is no probability scores NaN.

    Example
    -------
    >>> round(inception_score(torch.eye(10)).score, 6), inception_score(torch.full((5, 4), 0.25)).score
    (10.0, 1.0)

    Source: Salimans et al. 2016, section 4; in one split.
    """
    if probabilities.ndim not in (2, 3) or 0 in probabilities.shape:
        raise InputError(f"probabilities must be [n, class] or [member, n, class]; got {tuple(probabilities.shape)}")
    p = probabilities.double()
    proper = ((p >= 0).all(-1) & ((p.sum(-1) - 1).abs() < 1e-3)).all(-1)  # rows of a float16 softmax sum to 1 as closely
    mean = p.mean(-2, keepdim=True)
    kl = (torch.special.xlogy(p, p) - torch.special.xlogy(p, mean)).sum(-1)
    score = torch.where(proper, kl.mean(-1).clamp(min=0).exp(), math.nan)  # rounding leaves some just below 0
    return InceptionScore(score.item() if p.ndim == 2 else score, float(p.shape[-1]), p.shape[-2])
