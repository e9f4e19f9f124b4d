"""What the training loops of `sound_loops` and `broken_loops` share: nets, data, losses, and the loop most people write.

Each loop is a function of a seed that trains tiny nets under `ganlab.check` and returns what it saw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import ganlab
from ganlab.loop import Check

BATCH, LATENT, STEPS = 16, 4, 6
Loop = Callable[[int], Check]

# --- nets, data and losses -------------------------------------------------------------------------------------------------


def mlp(n_in: int, n_out: int, *last: nn.Module, inner: Callable[[], nn.Module] = nn.Tanh) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, 16), inner(), nn.Linear(16, 16), inner(), nn.Linear(16, n_out), *last)


def pair(seed: int, *, g_last: tuple[nn.Module, ...] = (), d_last: tuple[nn.Module, ...] = ()) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    return mlp(LATENT, 2, *g_last), mlp(2, 1, *d_last)


def adam(net: nn.Module, lr: float = 2e-3) -> torch.optim.Adam:
    return torch.optim.Adam(net.parameters(), lr=lr, betas=(0.5, 0.999))


def real(n: int = BATCH) -> Tensor:
    """Draw from a ring of radius 2."""
    angle = torch.rand(n) * 6.2832
    return 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(n, 2)


def z(n: int = BATCH) -> Tensor:
    return torch.randn(n, LATENT)


def bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def d_loss(d: nn.Module, x: Tensor, fake: Tensor) -> Tensor:
    return bce(d(x), 1) + bce(d(fake), 0)


def alternate(
    seed: int,
    *,
    nets: tuple[nn.Module, nn.Module] | None = None,
    sample: Callable[[], Tensor] = real,
    latent: Callable[[], Tensor] = z,
    of_d: Callable[[Any, Tensor, Tensor], Tensor] = d_loss,
    of_g: Callable[[Any, Tensor], Tensor] = lambda d, fake: bce(d(fake), 1),
    after: Callable[[nn.Module, nn.Module], None] = lambda g, d: None,
    between: Callable[[nn.Module], None] = lambda net: None,
    steps: int = STEPS,
    **settings: Any,
) -> Check:
    """Train as most people do; what a mistake changes is an argument."""
    g, d = nets or pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d, **settings) as seen:
        for _ in range(steps):
            opt_d.zero_grad()
            of_d(d, sample(), g(latent()).detach()).backward()
            between(d)
            opt_d.step()
            opt_g.zero_grad()
            of_g(d, g(latent())).backward()
            between(g)
            opt_g.step()
            after(g, d)
    return seen


def under_r1(seed: int, shown: int, told: bool, scale: float = 1.0, shift: float = 0.0) -> Check:
    """Train with R1, for which real samples require a gradient, and show the check some of the data, or each batch."""
    g, d = pair(seed, g_last=(nn.Tanh(),))
    opt_g, opt_d, data = adam(g), adam(d), scale * torch.rand(2000, 2) + shift
    with ganlab.check(g, d, data[:shown] if shown else None) as seen:
        for step in range(STEPS):
            x = data[torch.randint(len(data), (BATCH,))].requires_grad_()
            opt_d.zero_grad()
            out = d(x)
            (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
            (bce(out, 1) + 5 * slope.square().sum(1).mean()).backward()
            bce(d(g(z()).detach()), 0).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
            seen.step(step, real=x if told else None)
    return seen


def penalty(d: nn.Module, x: Tensor, fake: Tensor) -> Tensor:
    mix = torch.rand(len(x), *[1] * (x.ndim - 1))
    between = (mix * x + (1 - mix) * fake).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
    return 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()


def conv_pair(seed: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    g = nn.Sequential(
        nn.ConvTranspose2d(LATENT, 8, 4, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 1, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    d = nn.Sequential(
        nn.Conv2d(1, 8, 4, 2, 1, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.utils.spectral_norm(nn.Conv2d(8, 1, 4)), nn.Sigmoid(),
    )  # fmt: skip
    return g, d


def images(n: int = BATCH) -> Tensor:
    return (torch.rand(n, 1, 8, 8) > 0.5).float() * 1.6 - 0.8 + 0.1 * torch.rand(n, 1, 8, 8)


def dcgan_steps(g: nn.Module, d: nn.Module, steps: int) -> None:
    """The tutorial's loop: two backward passes for the discriminator, binary cross entropy of probabilities."""
    opt_g, opt_d, loss = adam(g), adam(d), nn.BCELoss()
    for _ in range(steps):
        d.zero_grad()
        loss(d(images()).view(-1), torch.ones(BATCH)).backward()
        fake = g(torch.randn(BATCH, LATENT, 1, 1))
        loss(d(fake.detach()).view(-1), torch.zeros(BATCH)).backward()
        opt_d.step()
        g.zero_grad()
        loss(d(fake).view(-1), torch.ones(BATCH)).backward()
        opt_g.step()


class WithLabels(nn.Module):
    """A net that takes a batch and its labels."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.embedding, self.net = nn.Embedding(3, 4), mlp(n_in + 4, n_out)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat([x, self.embedding(y)], 1))


def labelled(seed: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(100 + seed)
    y = torch.arange(96) % 3
    return torch.randn(96, 2) * 0.2 + torch.stack([y - 1.0, 1.0 - y], 1), y


def some_labels() -> Tensor:
    return torch.randint(3, (BATCH,))


def conditional_steps(
    seed: int,
    x: Tensor,
    y: Tensor,
    *,
    latent: Callable[[], Tensor] = z,
    labels: Callable[[], Tensor] = some_labels,
    **settings: Any,
) -> Check:
    torch.manual_seed(seed)
    g, d = WithLabels(LATENT, 2), WithLabels(2, 1)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d, **settings) as seen:
        for _ in range(STEPS):
            rows = torch.randperm(len(x))[:BATCH]
            given = labels()
            fake = g(latent(), given)
            opt_d.zero_grad()
            (bce(d(x[rows], y=y[rows]), 1) + bce(d(fake.detach(), given), 0)).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(fake, given), 1).backward()
            opt_g.step()
    return seen
