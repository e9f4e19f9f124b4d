"""Penalties on the discriminator's slope, `(logits, real, fake, noise) -> scalar`, and clipping of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

Logits = Callable[[Tensor], Tensor]


def _slope(logits: Logits, x: Tensor) -> Tensor:
    """Return the gradient of each sample's logit, `[n, d]`. Samples that the generator's graph hangs on stay on it."""
    x = x if x.requires_grad else x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(logits(x).sum(), x, create_graph=True)
    return gradient.flatten(1)


def _between(weight: Tensor, a: Tensor, b: Tensor) -> Tensor:
    weight = weight.view(-1, *[1] * (a.ndim - 1))
    return weight * a + (1 - weight) * b


def _r1(logits: Logits, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    return _slope(logits, real).pow(2).sum(1).mean() / 2


def _r2(logits: Logits, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    return _slope(logits, fake).pow(2).sum(1).mean() / 2


def _gradient_penalty(logits: Logits, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    return (_slope(logits, _between(noise[:, 0], real, fake)).norm(2, dim=1) - 1).pow(2).mean()


def _gradient_penalty_one_sided(logits: Logits, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    return (_slope(logits, _between(noise[:, 0], real, fake)).norm(2, dim=1) - 1).clamp(min=0).pow(2).mean()


def _zero_centred_penalty(logits: Logits, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    return _slope(logits, _between(noise[:, 0], real, fake)).pow(2).sum(1).mean()


def _dragan(logits: Logits, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    perturbed = real + 0.5 * real.std(correction=0) * noise[:, 1:].view_as(real)
    return (_slope(logits, _between(noise[:, 0], perturbed, real)).norm(2, dim=1) - 1).pow(2).mean()


PENALTIES: Mapping[str, Callable[[Logits, Tensor, Tensor, Tensor], Tensor]] = {
    "r1": _r1, "r2": _r2, "gradient_penalty": _gradient_penalty, "gradient_penalty_one_sided": _gradient_penalty_one_sided,
    "zero_centred_penalty": _zero_centred_penalty, "dragan": _dragan,
}  # fmt: skip


@torch.no_grad()
def clip(parameters: Iterable[Tensor], limit: float) -> None:
    """Hold every weight within [-limit, limit]."""
    for p in parameters:
        p.clamp_(-limit, limit)
