"""Penalties on the discriminator's slope, constraints on its weights, and noise on what it sees: a function each.

A penalty is `(discriminator, real, fake, noise) -> scalar`, added to the discriminator's loss with its weight. `noise` is
uniform in [0, 1), `[batch, 1 + d]`: one number per sample to interpolate with, and d for a perturbation; a penalty that uses
it says so by `draws=True`. A constraint is `(parameters, limit) -> parameters`, applied after each discriminator update. What
reaches further than the discriminator's function - both players, their memories, the latents - is in `regularizers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ganlab.registry import Registry

Discriminator = Callable[[Tensor], Tensor]

PENALTIES: Registry[Callable[[Discriminator, Tensor, Tensor, Tensor], Tensor]] = Registry("penalty")
CONSTRAINTS: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("constraint")
PERTURBATIONS: Registry[Callable[[Tensor, Tensor, Mapping[str, Tensor], Tensor], Tensor]] = Registry("noise")


def slope(discriminator: Discriminator, x: Tensor) -> Tensor:
    """Return the gradient of each sample's logit at the sample, flattened: `[batch, d]`."""
    return torch.func.grad(lambda points: discriminator(points).sum())(x).flatten(1)


def _mix(weight: Tensor, a: Tensor, b: Tensor) -> Tensor:
    weight = weight.reshape(-1, *[1] * (a.ndim - 1))
    return weight * a + (1 - weight) * b


@PENALTIES.register(source="Mescheder, Geiger and Nowozin 2018, equation 9", draws=False)
def r1(discriminator: Discriminator, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    r"""Half the squared slope at real samples, :math:`\frac12 E|\nabla D(x)|^2`."""
    return 0.5 * slope(discriminator, real).square().sum(1).mean()


@PENALTIES.register(source="Mescheder, Geiger and Nowozin 2018, equation 10", draws=False)
def r2(discriminator: Discriminator, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    r"""Half the squared slope at fake samples, :math:`\frac12 E|\nabla D(G(z))|^2`."""
    return 0.5 * slope(discriminator, fake).square().sum(1).mean()


@PENALTIES.register(source="Gulrajani et al. 2017, equation 3", draws=True)
def gradient_penalty(discriminator: Discriminator, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    r"""Squared distance of the slope to 1 between real and fake, :math:`E(|\nabla D(\hat x)| - 1)^2`."""
    between = _mix(noise[:, 0], real, fake)
    return (_norm(slope(discriminator, between)) - 1).square().mean()


@PENALTIES.register(source="Petzka, Fischer and Lukovnikov 2018 (WGAN-LP), equation 8", draws=True)
def gradient_penalty_one_sided(discriminator: Discriminator, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    r"""Squared excess of the slope over 1 between real and fake, :math:`E\max(0, |\nabla D(\hat x)| - 1)^2`."""
    between = _mix(noise[:, 0], real, fake)
    return torch.relu(_norm(slope(discriminator, between)) - 1).square().mean()


@PENALTIES.register(source="Thanh-Tung, Tran and Venkatesh 2019, equation 10 (0-GP)", draws=True)
def zero_centred_penalty(discriminator: Discriminator, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    r"""The squared slope between real and fake, :math:`E|\nabla D(\hat x)|^2`."""
    return slope(discriminator, _mix(noise[:, 0], real, fake)).square().sum(1).mean()


@PENALTIES.register(source="Kodali et al. 2017, released notebook", draws=True)
def dragan(discriminator: Discriminator, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    r"""Squared distance of the slope to 1 around real samples only.

    The points lie between a real sample and the same sample moved by half the batch's standard deviation (one number for
    the batch) times uniform noise.
    """
    moved = real + 0.5 * real.std(correction=0) * noise[:, 1:].reshape(real.shape)
    return (_norm(slope(discriminator, _mix(noise[:, 0], moved, real))) - 1).square().mean()


@CONSTRAINTS.register(source="Arjovsky, Chintala and Bottou 2017, algorithm 1, line 7")
def weight_clipping(parameters: Tensor, limit: Tensor) -> Tensor:
    """Every weight of the discriminator held within [-limit, limit]."""
    return torch.minimum(torch.maximum(parameters, -limit), limit)


@PERTURBATIONS.register(source="Sonderby et al. 2017, section 3.2; Arjovsky and Bottou 2017, section 3")
def instance_noise(x: Tensor, normal: Tensor, numbers: Mapping[str, Tensor], age: Tensor) -> Tensor:
    """Gaussian noise on all that the discriminator sees: of this std at first, gone after `noise_steps` (0: never)."""
    steps = numbers["noise_steps"]
    left = torch.where(steps > 0, torch.clamp(1 - age / torch.where(steps > 0, steps, 1.0), min=0.0), 1.0)
    return x + numbers["instance_noise"] * left * normal


def _norm(rows: Tensor) -> Tensor:
    """Length of each row; its gradient at a zero row is 0 in place of NaN (a flat critic is a state, not an accident)."""
    squared = rows.square().sum(1)
    flat = squared == 0
    return torch.where(flat, 0.0, torch.where(flat, 1.0, squared).sqrt())
