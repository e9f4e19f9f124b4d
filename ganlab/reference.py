"""The plain loop everybody writes: one seed, ordinary modules, torch.optim, backward.

Written independently of `game.py` on purpose: it is the oracle of the equivalence tests and the baseline of the timings.
Read this one first if you want to see what training a GAN is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from ganlab import rng
from ganlab.game import Batch, Game
from ganlab.train import BLOCK, draw


class Trained(NamedTuple):
    """What the loop leaves: two modules, and the losses of every step."""

    generator: nn.Module
    discriminator: nn.Module
    discriminator_loss: list[float]
    generator_loss: list[float]


def train(
    game: Game,
    data: Any,
    *,
    seed: int = 0,
    steps: int,
    batch: int,
    numbers: Mapping[str, float],
    dtype: torch.dtype = torch.float32,
) -> Trained:
    """Train one seed of a game with an ordinary loop, on the draws that `ganlab.run` gives the same seed.

    Parameters
    ----------
    numbers
        Learning rates and the rest by name, as in `Experiment.members()[i].numbers`; weights of penalties included.
    """
    generator, discriminator = (net.build(seed).to(dtype) for net in game.nets)
    optimizer_g = _optimizer(game.optimizer, generator, numbers["lr"], numbers)
    optimizer_d = _optimizer(game.optimizer, discriminator, numbers["lr_discriminator"], numbers)
    streams = {purpose: rng.stream(seed, purpose) for purpose in rng.PURPOSES}
    d_losses, g_losses = [], []

    for now in range(steps):
        if now % BLOCK == 0:
            block = Batch(*(d.to(dtype) for d in draw(game, data, streams, batch)))
        today = Batch(*(d[now % BLOCK] for d in block))

        for i in range(game.n_critic):
            # 1. train the discriminator, on real samples and on fake ones
            real, latent, noise = today.draw(i)
            fake = generator(latent).detach()
            optimizer_d.zero_grad()
            d_loss = _discriminator_loss(game.objective, discriminator(real).flatten(), discriminator(fake).flatten())
            for name in game.penalties:
                if name in _PENALTIES:
                    d_loss = d_loss + numbers[name] * _PENALTIES[name](discriminator, real, fake, noise)
            d_loss.backward()
            if game.update == "alternating":
                optimizer_d.step()
                _clip(game, discriminator, numbers)

        # 2. train the generator
        real, latent, _ = today.draw(game.n_draws - 1)
        optimizer_g.zero_grad()
        fake_logits = discriminator(generator(latent)).flatten()
        real_logits = discriminator(real).flatten() if game.objective == "relativistic" else fake_logits
        g_loss = _generator_loss(game.objective, real_logits, fake_logits)
        g_loss.backward(inputs=list(generator.parameters()))  # leaves the discriminator's gradients as they are
        if game.update == "simultaneous":
            optimizer_d.step()
            _clip(game, discriminator, numbers)
        optimizer_g.step()

        d_losses.append(d_loss.item())
        g_losses.append(g_loss.item())
    return Trained(generator, discriminator, d_losses, g_losses)


def _optimizer(name: str, net: nn.Module, lr: float, numbers: Mapping[str, float]) -> torch.optim.Optimizer:
    if name == "adam":
        betas = numbers["beta1"], numbers["beta2"]
        return torch.optim.Adam(net.parameters(), lr=lr, betas=betas, eps=numbers["epsilon"])
    if name == "rmsprop":
        return torch.optim.RMSprop(net.parameters(), lr=lr, alpha=numbers["decay"], eps=numbers["epsilon"])
    return torch.optim.SGD(net.parameters(), lr=lr, momentum=numbers["momentum"])


def _discriminator_loss(objective: str, real: Tensor, fake: Tensor) -> Tensor:
    one, zero = torch.ones_like(real), torch.zeros_like(fake)
    if objective in ("minimax", "non_saturating"):
        return binary_cross_entropy_with_logits(real, one) + binary_cross_entropy_with_logits(fake, zero)
    if objective == "least_squares":
        return 0.5 * (mse_loss(real, one) + mse_loss(fake, zero))
    if objective == "hinge":
        return torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + fake, min=0).mean()
    if objective == "wasserstein":
        return fake.mean() - real.mean()
    return binary_cross_entropy_with_logits(real - fake, one)


def _generator_loss(objective: str, real: Tensor, fake: Tensor) -> Tensor:
    one, zero = torch.ones_like(fake), torch.zeros_like(fake)
    if objective == "minimax":
        return -binary_cross_entropy_with_logits(fake, zero)
    if objective == "non_saturating":
        return binary_cross_entropy_with_logits(fake, one)
    if objective == "least_squares":
        return 0.5 * mse_loss(fake, one)
    if objective in ("hinge", "wasserstein"):
        return -fake.mean()
    return binary_cross_entropy_with_logits(fake - real, one)


def _slope(discriminator: nn.Module, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return gradient.flatten(1)


def _r1(discriminator: nn.Module, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    return _slope(discriminator, real).pow(2).sum(1).mean() / 2


def _r2(discriminator: nn.Module, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    return _slope(discriminator, fake).pow(2).sum(1).mean() / 2


def _gradient_penalty(discriminator: nn.Module, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    alpha = noise[:, 0].view(-1, *[1] * (real.ndim - 1))
    return (_slope(discriminator, alpha * real + (1 - alpha) * fake).norm(2, dim=1) - 1).pow(2).mean()


def _dragan(discriminator: nn.Module, real: Tensor, fake: Tensor, noise: Tensor) -> Tensor:
    alpha = noise[:, 0].view(-1, *[1] * (real.ndim - 1))
    perturbed = real + 0.5 * real.std(correction=0) * noise[:, 1:].view_as(real)
    return (_slope(discriminator, real + alpha * (perturbed - real)).norm(2, dim=1) - 1).pow(2).mean()


_PENALTIES: Mapping[str, Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]] = {
    "r1": _r1, "r2": _r2, "gradient_penalty": _gradient_penalty, "dragan": _dragan,
}  # fmt: skip


def _clip(game: Game, discriminator: nn.Module, numbers: Mapping[str, float]) -> None:
    if "weight_clipping" in game.penalties:
        with torch.no_grad():
            for p in discriminator.parameters():
                p.clamp_(-numbers["weight_clipping"], numbers["weight_clipping"])
