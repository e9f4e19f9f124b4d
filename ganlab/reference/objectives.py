"""Objectives as one usually writes them, from the discriminator's logits `[n]` for real and for fake samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, logsigmoid, mse_loss

PAIRED = ("zero_sum", "relativistic", "relativistic_average", "softmax", "two_sided")
"""Objectives whose generator reads the logits of real samples too."""

CROSS_ENTROPY = ("minimax", "zero_sum", "non_saturating", "boundary_seeking", "density_ratio", "two_sided")
"""Objectives whose discriminator tells real from fake by the usual cross-entropy."""

F_GAN: Mapping[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "f_kl": (lambda v: v, lambda t: torch.exp(t - 1)),
    "f_reverse_kl": (lambda v: -torch.exp(-v), lambda t: -1 - torch.log(-t)),
    "f_pearson": (lambda v: v, lambda t: t**2 / 4 + t),
    "f_hellinger": (lambda v: 1 - torch.exp(-v), lambda t: t / (1 - t)),
    "f_jensen_shannon": (lambda v: math.log(2) - torch.log(1 + torch.exp(-v)), lambda t: -torch.log(2 - torch.exp(t))),
}
"""Output activation (Nowozin et al. 2016, table 6) and conjugate (table 5)."""


def discriminator_objective(objective: str, real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return what the discriminator minimises; the target of real samples is 1 - smoothing."""
    one, zero = torch.full_like(real, 1 - smoothing), torch.zeros_like(fake)
    if objective in CROSS_ENTROPY:
        return binary_cross_entropy_with_logits(real, one) + binary_cross_entropy_with_logits(fake, zero)
    if objective == "least_squares":
        return 0.5 * (mse_loss(real, one) + mse_loss(fake, zero))
    if objective == "hinge":
        return torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + fake, min=0).mean()
    if objective == "wasserstein":
        return fake.mean() - real.mean()
    if objective == "relativistic":
        return binary_cross_entropy_with_logits(real - fake, one)
    if objective == "relativistic_average":
        above, below = real - fake.mean(), fake - real.mean()
        return binary_cross_entropy_with_logits(above, one) + binary_cross_entropy_with_logits(below, zero)
    if objective == "softmax":
        return -log_softmax(torch.cat([real, fake]), 0)[: len(real)].mean()
    if objective == "donsker_varadhan":
        return fake.exp().mean().log() - real.mean()
    activation, conjugate = F_GAN[objective]
    return conjugate(activation(fake)).mean() - activation(real).mean()


def generator_objective(objective: str, real: Tensor, fake: Tensor) -> Tensor:
    """Return what the generator minimises."""
    one, zero = torch.ones_like(fake), torch.zeros_like(fake)
    if objective == "minimax":
        return -binary_cross_entropy_with_logits(fake, zero)
    if objective == "zero_sum":
        return -discriminator_objective(objective, real, fake)
    if objective == "non_saturating":
        return binary_cross_entropy_with_logits(fake, one)
    if objective == "least_squares":
        return 0.5 * mse_loss(fake, one)
    if objective in ("hinge", "wasserstein", "density_ratio"):
        return -fake.mean()
    if objective == "relativistic":
        return binary_cross_entropy_with_logits(fake - real, one)
    if objective == "relativistic_average":
        above, below = fake - real.mean(), real - fake.mean()
        return binary_cross_entropy_with_logits(above, one) + binary_cross_entropy_with_logits(below, zero)
    if objective == "softmax":
        return -log_softmax(torch.cat([real, fake]), 0).mean()
    if objective == "boundary_seeking":
        return 0.5 * (logsigmoid(fake) - logsigmoid(-fake)).pow(2).mean()
    if objective == "two_sided":
        return binary_cross_entropy_with_logits(real, zero) + binary_cross_entropy_with_logits(fake, one)
    if objective == "donsker_varadhan":
        return -fake.exp().mean().log()
    activation, conjugate = F_GAN[objective]
    return -conjugate(activation(fake)).mean()
