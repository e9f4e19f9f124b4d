"""Coverage of known modes by samples, under every counting rule in use, each with what a perfect sampler would score.

"Modes covered" alone is worthless: a shapeless blob covers all modes of a ring under two of the published rules. So every
rule reports the share of high-quality samples beside the count, and the divergences include one with a bin for samples that
belong to no mode. The rule is part of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from scipy import stats as scipy_stats
from scipy.special import hyp1f1
from torch import Tensor

from ganlab.data.mixtures import Mixture
from ganlab.registry import InputError, Registry

WITHIN_3_STD = 1 - math.exp(-4.5)
"""Mass of a Gaussian within 3 standard deviations in two dimensions: 98.889 %, the ceiling of high quality there."""


@dataclass(frozen=True)
class Rule:
    """When a sample is of high quality, and when a mode counts as covered.

    Parameters
    ----------
    radius
        Largest Mahalanobis distance of a high-quality sample to its nearest mode, from the number of dimensions.
    strict
        Whether a sample exactly at the radius is out.
    minimum
        Samples a mode needs, from the sample size and the mode's weight.
    counts_nearest
        Whether a mode counts all samples nearest to it, at any distance, in place of its high-quality ones.
    """

    radius: Callable[[int], float]
    strict: bool
    minimum: Callable[[int, Tensor], Tensor]
    counts_nearest: bool = False


RULES: Registry[Rule] = Registry("counting rule")


def _one(n: int, weights: Tensor) -> Tensor:
    return torch.ones_like(weights)


RULES.add(
    "default",
    Rule(
        lambda d: float(scipy_stats.chi.ppf(WITHIN_3_STD, d)),
        strict=False,
        minimum=lambda n, weights: (0.1 * n * WITHIN_3_STD * weights).clamp(min=1.0),
    ),
    source="ganlab: a tenth of what a perfect sampler puts there",
    summary="Within the region that holds 98.889 % of a mode (3 std in 2-D); a mode needs a tenth of its due.",
)
RULES.add(
    "veegan",
    Rule(lambda d: 3.0, strict=False, minimum=_one),
    source="Srivastava et al. 2017, VEEGAN; the same in GDPP's code",
    summary="Within 3 std, inclusive; a mode needs one high-quality sample.",
)
RULES.add(
    "pacgan",
    Rule(lambda d: 3.0, strict=True, minimum=_one),
    source="Lin et al. 2018, PacGAN, released code",
    summary="Strictly within 3 std; a mode needs one high-quality sample.",
)
RULES.add(
    "tutorial",
    Rule(lambda d: 2.0, strict=False, counts_nearest=True, minimum=lambda n, weights: torch.full_like(weights, 20.0)),
    source="Toutouh 2026, tutorial on co-evolving GANs",
    summary="High quality within 2 std; a mode needs 20 nearest samples at any distance.",
)


class ModeCoverage(NamedTuple):
    """How samples lie over known modes. Numbers for samples `[n, d]`; tensors `[member]` for `[member, n, d]`.

    Divergences are in nats. `ceiling`, `reverse_kl_floor` are what a perfect sampler of the same size would score.
    """

    rule: str
    n: int
    n_modes: int
    modes_covered: Any
    """Modes with enough samples under the rule."""
    missing: Any
    """Places of the other modes, a tuple; with members, a mask `[member, mode]`."""
    high_quality_share: Any
    ceiling: float
    """Expected `high_quality_share` of a perfect sampler."""
    histogram: Any
    """High-quality samples per mode, `[mode]`."""
    nearest: Any
    """Samples per nearest mode at any distance, `[mode]`; non-finite samples are in none."""
    reverse_kl: Any
    """KL(histogram || weights) over high-quality samples; NaN when there are none."""
    reverse_kl_floor: float
    js: Any
    """Jensen-Shannon divergence of `nearest` to the weights; NaN when no sample is finite."""
    kl_off_mode: Any
    """KL with one more bin for samples that are not of high quality."""
    spread: Any
    """Std of high-quality samples about their own mode's mean, over that of a perfect sampler; NaN without pairs."""


def mode_coverage(samples: Tensor, distribution: Mixture, rule: str = "default") -> ModeCoverage:
    """Return how samples cover the modes of a mixture.

    Parameters
    ----------
    samples
        `[n, d]` or `[member, n, d]`; non-finite samples belong to no mode and are of low quality. Never modified.
    distribution
        The mixture whose modes are counted.
    rule
        Name in `RULES`.

    Raises
    ------
    InputError
        For an unknown rule, samples of the wrong shape, none at all, or a distribution without known modes.

    Example
    -------
    >>> from ganlab import data, rng
    >>> ring = data.get("ring8")
    >>> perfect = mode_coverage(ring.sample(10_000, rng.stream(0, "data")), ring)
    >>> perfect.modes_covered, round(perfect.ceiling, 5), abs(perfect.high_quality_share - perfect.ceiling) < 0.003
    (8, 0.98889, True)
    """
    if not isinstance(distribution, Mixture):
        raise InputError(f"mode coverage needs data with known modes; {distribution.name!r} has none")
    if samples.ndim not in (2, 3) or samples.shape[-1:] != distribution.shape or samples.shape[-2] == 0:
        raise InputError(
            f"samples must be [n, {distribution.shape[0]}] or [member, n, {distribution.shape[0]}] with n >= 1; "
            f"got {tuple(samples.shape)}"
        )
    chosen = RULES[rule]
    lying = nearest_modes(samples if samples.ndim == 3 else samples[None], distribution)
    n, k = samples.shape[-2], len(distribution.modes)
    values: dict[str, Any] = {**summary(lying, n, distribution, chosen)}
    covered = values.pop("covered")
    if samples.ndim == 2:
        values = {name: v[0].tolist() if v.ndim > 1 else v.item() for name, v in values.items()}
        missing: Any = tuple(torch.nonzero(~covered[0]).flatten().tolist())
    else:
        missing = ~covered
    return ModeCoverage(
        rule=rule, n=n, n_modes=k, missing=missing, ceiling=ceiling(distribution, chosen),
        reverse_kl_floor=(k - 1) / (2 * n), **values,
    )  # fmt: skip


class Nearest(NamedTuple):
    """How samples lie to their nearest modes, whatever the rule: `[..., n]`, of `place` `[..., n, d]`."""

    mode: Tensor
    here: Tensor
    """1 where a mode is a sample's nearest, else 0, `[..., n, mode]`."""
    distance2: Tensor
    """Squared Mahalanobis distance to it."""
    place: Tensor
    """Standardised offset from it."""
    finite: Tensor
    nearest: Tensor
    """Finite samples nearest to each mode, `[..., mode]`."""


def nearest_modes(samples: Tensor, distribution: Mixture) -> Nearest:
    """Return the nearest mode of each of the samples `[..., n, d]`; a pure function of the samples, so it maps."""
    modes = distribution.modes.float().to(samples)  # as samples have them, so that point masses are met in any precision
    std = distribution.std.to(samples)
    gap = samples[..., None, :] - modes
    if distribution.has_density:
        z = gap / std
    else:
        free = std > 0  # a dimension without spread must be met exactly
        z = torch.where(free, gap / torch.where(free, std, 1.0), torch.where(gap == 0, 0.0, math.inf))
    one = samples.new_ones(samples.shape[-1])  # a product with ones, since torch sums over a short last axis slowly
    distance = z.square() @ one
    # infinitely many standard deviations from every mode: the nearest is then the one at the least length
    length = torch.where(torch.isinf(distance.min(-1, keepdim=True).values), gap.square() @ one, distance)
    mode = torch.where(torch.isnan(length), math.inf, length).argmin(-1, keepdim=True)
    here = (mode == torch.arange(len(modes), device=samples.device)).to(samples.dtype)
    finite = torch.isfinite(samples).all(-1)
    return Nearest(
        mode=mode.squeeze(-1),
        here=here,
        distance2=distance.gather(-1, mode).squeeze(-1),
        place=z.gather(-2, mode[..., None].expand(*mode.shape, z.shape[-1])).squeeze(-2),
        finite=finite,
        nearest=_per_mode(finite, here),
    )


def high_quality(lying: Nearest, distribution: Mixture, rule: Rule) -> Tensor:
    """Return which samples are of high quality under a rule, `[..., n]`."""
    radius2 = _radius(rule, distribution.dimensions) ** 2
    close = lying.distance2 < radius2 if rule.strict else lying.distance2 <= radius2
    return lying.finite & close


def covered(lying: Nearest, histogram: Tensor, n: int, distribution: Mixture, rule: Rule) -> Tensor:
    """Return which modes have enough of n samples, of which `histogram [..., mode]` are of high quality."""
    counted = lying.nearest if rule.counts_nearest else histogram
    return counted >= rule.minimum(n, distribution.weights.to(counted))


def coverage_alone(lying: Nearest, n: int, distribution: Mixture, rule: Rule) -> tuple[Tensor, Tensor]:
    """Return the number of modes covered, and the share of high-quality samples."""
    histogram = _per_mode(high_quality(lying, distribution, rule), lying.here)
    return covered(lying, histogram, n, distribution, rule).sum(-1), histogram.sum(-1) / n


def _spread(lying: Nearest, good: Tensor, histogram: Tensor, distribution: Mixture, rule: Rule) -> Tensor:
    """Return the std of high-quality samples about their own mode's mean, over that of a perfect sampler."""
    own = torch.where(good[..., None], lying.place, 0.0)
    mean = lying.here.transpose(-1, -2) @ own / histogram.clamp(min=1)[..., None]
    scatter = (own.square().sum((-1, -2)) - (histogram * mean.square().sum(-1)).sum(-1)).clamp(min=0)
    freedom = (histogram - 1).clamp(min=0).sum(-1) * distribution.dimensions  # samples less one for each mode that has any
    return (scatter / freedom / _kept_variance(rule, distribution.dimensions)).sqrt()


def _per_mode(mask: Tensor, here: Tensor) -> Tensor:
    """Return how many of the marked samples `[..., n]` each mode has, `[..., mode]`."""
    return (mask.to(here.dtype)[..., None, :] @ here).squeeze(-2)


def summary(lying: Nearest, n: int, distribution: Mixture, rule: Rule) -> dict[str, Tensor]:
    """Return what n samples say under a rule: tensors `[...]`, and `[..., mode]` for the histograms."""
    good = high_quality(lying, distribution, rule)
    histogram = _per_mode(good, lying.here)
    enough = covered(lying, histogram, n, distribution, rule)
    weights, top = distribution.weights.to(histogram), ceiling(distribution, rule)
    off = n - histogram.sum(-1, keepdim=True)
    target = torch.cat([top * weights, weights.new_tensor([1 - top])])
    return {
        "covered": enough,
        "modes_covered": enough.sum(-1),
        "high_quality_share": histogram.sum(-1) / n,
        "histogram": histogram,
        "nearest": lying.nearest,
        "reverse_kl": kl(histogram, weights),
        "js": js(lying.nearest, weights),
        "kl_off_mode": kl(torch.cat([histogram, off], -1), target),
        "spread": _spread(lying, good, histogram, distribution, rule),
    }


def kl(counts: Tensor, target: Tensor) -> Tensor:
    """Return KL(counts / sum || target) over the last axis, in nats; NaN where the counts are all zero.

    Example
    -------
    >>> round(float(kl(torch.tensor([8.0, 0, 0, 0, 0, 0, 0, 0]), torch.full((8,), 1 / 8))), 5)
    2.07944
    """
    share = counts / counts.sum(-1, keepdim=True)
    return (torch.special.xlogy(share, share) - torch.special.xlogy(share, target)).sum(-1)


def js(counts: Tensor, target: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of counts to a target over the last axis, in nats (at most ln 2)."""
    share = counts / counts.sum(-1, keepdim=True)
    middle = (share + target) / 2
    return 0.5 * kl(counts, middle) + 0.5 * (torch.special.xlogy(target, target) - torch.special.xlogy(target, middle)).sum(-1)


def ceiling(distribution: Mixture, rule: Rule) -> float:
    """Return the share of high-quality samples of a perfect sampler; 1 for point masses."""
    return _mass(rule, distribution.dimensions) if bool((distribution.std > 0).any()) else 1.0


@cache
def _radius(rule: Rule, d: int) -> float:
    return rule.radius(d)


@cache
def _mass(rule: Rule, d: int) -> float:
    return float(scipy_stats.chi.cdf(rule.radius(d), d))


@cache
def _kept_variance(rule: Rule, d: int) -> float:
    """Return the variance per dimension of a unit Gaussian within the rule's radius (Tallis 1963).

    It is the ratio of the chi-square masses of d + 2 and d within the squared radius; the series has it where both are 0 in
    float64, as within 3 std in 700 dimensions.
    """
    half, x = d / 2, rule.radius(d) ** 2 / 2
    return float(x / (half + 1) * hyp1f1(1, half + 2, x) / hyp1f1(1, half + 1, x))
