"""Training loops as people write them: sound ones in many styles, and one mistake each in the rest.

Each is a function of a seed that trains tiny nets under `ganlab.check` and returns what it saw. `SOUND` has the sound ones,
`PLANTED` the mistakes with the codes that must be found, and no others.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import ganlab
from ganlab.loop import Check

BATCH, LATENT, STEPS = 16, 4, 6
Loop = Callable[[int], Check]

SOUND: dict[str, Loop] = {}
PLANTED: dict[str, tuple[Loop, set[str]]] = {}


def sound(loop: Loop) -> Loop:
    SOUND[loop.__name__] = loop
    return loop


def planted(*codes: str) -> Callable[[Loop], Loop]:
    def keep(loop: Loop) -> Loop:
        PLANTED[loop.__name__] = loop, set(codes)
        return loop

    return keep


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


def penalty(d: nn.Module, x: Tensor, fake: Tensor) -> Tensor:
    mix = torch.rand(len(x), *[1] * (x.ndim - 1))
    between = (mix * x + (1 - mix) * fake).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
    return 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()


# --- sound loops -----------------------------------------------------------------------------------------------------------


@sound
def alternating(seed: int) -> Check:
    return alternate(seed)


@sound
def not_detached_but_cleared(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            fake = g(z())
            opt_d.zero_grad()
            d_loss(d, real(), fake).backward(retain_graph=True)
            opt_d.step()
            opt_g.zero_grad()
            bce(d(fake), 1).backward()
            opt_g.step()
    return seen


@sound
def cleared_together_at_the_start(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad(set_to_none=False)
            opt_g.zero_grad(set_to_none=False)
            fake = g(z())
            d_loss(d, real(), fake.detach()).backward()
            opt_d.step()
            bce(d(fake), 1).backward()
            opt_g.step()
    return seen


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


@sound
def dcgan_of_the_tutorial(seed: int) -> Check:
    g, d = conv_pair(seed)
    with ganlab.check(g, d) as seen:
        dcgan_steps(g, d, STEPS)
    return seen


@sound
def joint_backward_with_toggled_gradients_and_one_optimizer(seed: int) -> Check:
    g, d = pair(seed)
    opt = torch.optim.Adam([{"params": g.parameters(), "lr": 1e-3}, {"params": d.parameters(), "lr": 2e-3}])
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt.zero_grad()
            fake = g(z())
            loss = d_loss(d, real(), fake.detach())
            d.requires_grad_(False)
            loss = loss + bce(d(fake), 1)
            d.requires_grad_(True)
            loss.backward()
            opt.step()
    return seen


@sound
def one_optimizer_in_turn(seed: int) -> Check:
    g, d = pair(seed)
    opt = torch.optim.Adam([{"params": g.parameters()}, {"params": d.parameters()}])
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt.step()
            opt.zero_grad()
            d.requires_grad_(False)
            bce(d(g(z())), 1).backward()
            d.requires_grad_(True)
            opt.step()
    return seen


@sound
def wgan_gp_with_several_critic_updates(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d, objective="wasserstein") as seen:
        for _ in range(STEPS):
            x = real()
            for _ in range(5):
                fake = g(z())
                opt_d.zero_grad()
                (d(fake).mean() - d(x).mean() + penalty(d, x, fake)).backward()
                opt_d.step()
            opt_g.zero_grad()
            (-d(g(z())).mean()).backward()
            opt_g.step()
    return seen


@sound
def wgan_with_clipped_weights(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = (torch.optim.RMSprop(net.parameters(), lr=1e-3) for net in (g, d))
    with ganlab.check(g, d, objective="wasserstein") as seen:
        for _ in range(STEPS):
            for _ in range(2):
                d.zero_grad()
                with torch.no_grad():
                    fake = g(z())
                (d(fake).mean() - d(real()).mean()).backward()
                opt_d.step()
                for p in d.parameters():
                    p.data.clamp_(-0.1, 0.1)
            g.zero_grad()
            (-d(g(z())).mean()).backward()
            opt_g.step()
    return seen


@sound
def hinge_with_spectral_norm(seed: int) -> Check:
    g, d = pair(seed)
    for layer in d:
        if isinstance(layer, nn.Linear):
            nn.utils.parametrizations.spectral_norm(layer)
    return alternate(
        seed, nets=(g, d), objective="hinge",
        of_d=lambda d, x, fake: F.relu(1 - d(x)).mean() + F.relu(1 + d(fake)).mean(), of_g=lambda d, fake: -d(fake).mean(),
    )  # fmt: skip


@sound
def least_squares(seed: int) -> Check:
    return alternate(
        seed, objective="least_squares", of_g=lambda d, fake: F.mse_loss(d(fake), torch.ones(BATCH, 1)),
        of_d=lambda d, x, fake: ((d(x) - 1) ** 2).mean() + (d(fake) ** 2).mean(),
    )  # fmt: skip


@sound
def softplus_with_labels_the_other_way_round(seed: int) -> Check:
    """Real is 0 and fake is 1, throughout."""
    return alternate(seed, of_d=lambda d, x, fake: bce(d(x), 0) + bce(d(fake), 1), of_g=lambda d, fake: bce(d(fake), 0))


@sound
def saturating(seed: int) -> Check:
    return alternate(seed, of_g=lambda d, fake: -bce(d(fake), 0), objective="minimax")


@sound
def relativistic(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d, objective="relativistic" if "relativistic" in ganlab.loop.OBJECTIVES else "non_saturating") as seen:
        for _ in range(STEPS):
            x, fake = real(), g(z())
            opt_d.zero_grad()
            F.softplus(d(fake.detach()) - d(x)).mean().backward()
            opt_d.step()
            opt_g.zero_grad()
            F.softplus(d(x) - d(fake)).mean().backward()
            opt_g.step()
    return seen


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


def conditional_steps(seed: int, x: Tensor, y: Tensor, **settings: Any) -> Check:
    torch.manual_seed(seed)
    g, d = WithLabels(LATENT, 2), WithLabels(2, 1)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d, **settings) as seen:
        for _ in range(STEPS):
            rows = torch.randperm(len(x))[:BATCH]
            labels = torch.randint(3, (BATCH,))
            fake = g(z(), labels)
            opt_d.zero_grad()
            (bce(d(x[rows], y=y[rows]), 1) + bce(d(fake.detach(), labels), 0)).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(fake, labels), 1).backward()
            opt_g.step()
    return seen


@sound
def conditional(seed: int) -> Check:
    x, y = labelled(seed)
    return conditional_steps(seed, x, y, data=(x, y))


@sound
def scaler_that_skips_steps(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=2)
    with ganlab.check(g, d) as seen:
        for _ in range(2 * STEPS):
            opt_d.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                fake = g(z())
                loss = d_loss(d, real(), fake.detach())
            scaler.scale(loss * 64).backward()
            scaler.unscale_(opt_d)
            nn.utils.clip_grad_norm_(d.parameters(), 5.0)
            scaler.step(opt_d)
            opt_g.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = bce(d(fake), 1)
            scaler.scale(loss).backward()
            scaler.step(opt_g)
            scaler.update()
    return seen


@sound
def closures(seed: int) -> Check:
    g, d = pair(seed)
    opt_g = torch.optim.LBFGS(g.parameters(), lr=0.05, max_iter=3)
    opt_d = torch.optim.LBFGS(d.parameters(), lr=0.05, max_iter=3)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            x, latent = real(), z()

            def of_d(x: Tensor = x, latent: Tensor = latent) -> Tensor:
                opt_d.zero_grad()
                loss = d_loss(d, x, g(latent).detach())
                loss.backward()
                return loss

            def of_g(latent: Tensor = latent) -> Tensor:
                opt_g.zero_grad()
                loss = bce(d(g(latent)), 1)
                loss.backward()
                return loss

            opt_d.step(of_d)
            opt_g.step(of_g)
    return seen


@sound
def accumulated_gradients(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad()
            for _ in range(3):
                (d_loss(d, real(), g(z()).detach()) / 3).backward()
            opt_d.step()
            opt_g.zero_grad()
            for _ in range(3):
                (bce(d(g(z())), 1) / 3).backward()
            opt_g.step()
    return seen


@sound
def moving_average_and_samples_in_eval_mode(seed: int) -> Check:
    g, d = conv_pair(seed)
    with ganlab.check(g, d) as seen:
        average = copy.deepcopy(g)
        for _ in range(STEPS):
            dcgan_steps(g, d, 1)
            with torch.no_grad():
                for p, q in zip(average.parameters(), g.parameters(), strict=True):
                    p.lerp_(q, 0.1)
                g.eval()
                g(torch.randn(4, LATENT, 1, 1))
                average(torch.randn(4, LATENT, 1, 1))
                g.train()
    return seen


@sound
def zero_centred_penalty_on_real(seed: int) -> Check:
    def of_d(d: nn.Module, x: Tensor, fake: Tensor) -> Tensor:
        x.requires_grad_(True)
        scores = d(x)
        (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        return F.softplus(-scores).mean() + F.softplus(d(fake)).mean() + 5 * slope.square().sum(1).mean()

    return alternate(seed, of_d=of_d)


class TwoHeads(nn.Module):
    """Scores, and logits of classes beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.score, self.classes = mlp(2, 8, nn.Tanh()), nn.Linear(8, 1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x)
        return self.score(h), self.classes(h)


@sound
def auxiliary_classifier(seed: int) -> Check:
    x, y = labelled(seed)
    torch.manual_seed(seed)
    g, d = WithLabels(LATENT, 2), TwoHeads()
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d, data=x) as seen:
        for _ in range(STEPS):
            rows, labels = torch.randperm(len(x))[:BATCH], torch.randint(3, (BATCH,))
            opt_d.zero_grad()
            fake = g(z(), labels)
            (score, logits), (wrong, _) = d(x[rows]), d(fake.detach())
            (bce(score, 1) + bce(wrong, 0) + F.cross_entropy(logits, y[rows])).backward()
            opt_d.step()
            opt_g.zero_grad()
            score, logits = d(fake)
            (bce(score, 1) + F.cross_entropy(logits, labels)).backward()
            opt_g.step()
    return seen


@sound
def infogan_with_a_third_optimizer_for_both(seed: int) -> Check:
    torch.manual_seed(seed)
    g, d = mlp(LATENT, 2), TwoHeads()
    opt_g, opt_d = adam(g), adam(d)
    opt_both = torch.optim.Adam([*g.parameters(), *d.parameters()], lr=1e-3)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_g.zero_grad()
            bce(d(g(z()))[0], 1).backward()
            opt_g.step()
            opt_d.zero_grad()
            (bce(d(real())[0], 1) + bce(d(g(z()).detach())[0], 0)).backward()
            opt_d.step()
            opt_both.zero_grad()
            codes = torch.randint(3, (BATCH,))
            F.cross_entropy(d(g(torch.cat([F.one_hot(codes, 3).float(), torch.randn(BATCH, 1)], 1)))[1], codes).backward()
            opt_both.step()
    return seen


@sound
def gradients_by_hand(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            fake = g(z())
            losses = d_loss(d, real(), fake), bce(d(fake), 1)
            for net, loss in zip((d, g), losses, strict=True):
                found = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
                for p, gradient in zip(net.parameters(), found, strict=True):
                    p.grad = gradient
            opt_d.step()
            opt_g.step()
    return seen


@sound
def simultaneous_with_named_inputs(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_g.zero_grad()
            opt_d.zero_grad()
            fake = g(z())
            d_loss(d, real(), fake).backward(inputs=list(d.parameters()), retain_graph=True)
            bce(d(fake), 1).backward(inputs=list(g.parameters()))
            opt_d.step()
            opt_g.step()
    return seen


@sound
def noise_on_all_the_discriminator_sees(seed: int) -> Check:
    """Samples of tanh and data in [-1, 1], with noise on both."""
    noisy = lambda d, x: d(x + 0.3 * torch.randn_like(x))  # noqa: E731
    return alternate(
        seed, nets=pair(seed, g_last=(nn.Tanh(),)), sample=lambda: (real() / 2).clamp(-1, 1),
        of_d=lambda d, x, fake: bce(noisy(d, x), 1) + bce(noisy(d, fake), 0), of_g=lambda d, fake: bce(noisy(d, fake), 1),
    )  # fmt: skip


@sound
def the_whole_of_a_small_data_set_in_each_step(seed: int) -> Check:
    torch.manual_seed(seed)
    x = real()
    return alternate(seed, sample=lambda: x)


@sound
def fakes_of_the_past_with_batch_norm(seed: int) -> Check:
    torch.manual_seed(seed)
    g, d = mlp(LATENT, 2), nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 1))
    opt_g, opt_d, pool = adam(g), adam(d), torch.zeros(0, 2)
    with ganlab.check(g, d, n_steps=None) as seen:
        for _ in range(14):
            fake = g(z())
            pool = torch.cat([pool[torch.randperm(len(pool))[:200]], fake.detach()])
            opt_d.zero_grad()
            d_loss(d, real(), pool[torch.randperm(len(pool))[:BATCH]]).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(fake), 1).backward()
            opt_g.step()
    return seen


@sound
def real_and_fake_in_one_batch_without_batch_norm(seed: int) -> Check:
    target = torch.cat([torch.ones(BATCH, 1), torch.zeros(BATCH, 1)])
    return alternate(seed, of_d=lambda d, x, fake: F.binary_cross_entropy_with_logits(d(torch.cat([x, fake])), target))


@sound
def two_updates_of_the_generator_a_step(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
            for _ in range(2):
                opt_g.zero_grad()
                bce(d(g(z())), 1).backward()
                opt_g.step()
    return seen


class Turned(torch.autograd.Function):
    """The identity, which turns gradients round."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient


@sound
def one_pass_with_the_gradient_turned_round(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d, objective="minimax") as seen:
        for _ in range(STEPS):
            opt_g.zero_grad()
            opt_d.zero_grad()
            d_loss(d, real(), Turned.apply(g(z()))).backward()
            opt_d.step()
            opt_g.step()
    return seen


# --- L1xx: updates and gradients -------------------------------------------------------------------------------------------


@planted("L101")
def optimizers_swapped(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(d), adam(g)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


@planted("L101", "L102")
def the_generators_optimizer_steps_twice(seed: int) -> Check:
    """The discriminator never moves, which is a finding too."""
    g, d = pair(seed)
    opt_g = adam(g)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            d.zero_grad()
            opt_g.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt_g.step()
            opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


@planted("L101", "L102")
def the_generator_follows_the_discriminators_loss(seed: int) -> Check:
    """The wrong optimiser steps, and nothing else does."""
    g, d = pair(seed)
    opt_g = adam(g)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            g.zero_grad()
            d.zero_grad()
            d_loss(d, real(), g(z())).backward()
            opt_g.step()
    return seen


@planted("L102")
def a_layer_missing_from_the_optimizer(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = torch.optim.Adam(g[:4].parameters()), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


class Listed(nn.Module):
    """Layers in a plain list, which no module knows of."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.others = nn.Linear(LATENT, 16), [nn.Linear(16, 16), nn.Linear(16, 2)]

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).tanh()
        for layer in self.others:
            x = layer(x)
        return x


@planted("L102")
def layers_in_a_plain_list(seed: int) -> Check:
    _, d = pair(seed)
    return alternate(seed, nets=(Listed(), d))


@planted("L103")
def fakes_not_detached_and_gradients_cleared_at_the_start(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_g.zero_grad()
            opt_d.zero_grad()
            d_loss(d, real(), g(z())).backward()
            opt_d.step()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


@planted("L103")
def fakes_not_detached_in_the_second_of_two_passes(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_g.zero_grad()
            opt_d.zero_grad()
            bce(d(real()), 1).backward()
            fake = g(z())
            bce(d(fake), 0).backward()
            opt_d.step()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


@planted("L103", "L104")
def one_backward_pass_for_both_losses(seed: int) -> Check:
    """The sum of both losses moves both players; which is whose cannot be told, and one of the two is said."""
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_g.zero_grad()
            opt_d.zero_grad()
            fake = g(z())
            d_loss(d, real(), fake).backward(retain_graph=True)
            bce(d(fake), 1).backward()
            opt_d.step()
            opt_g.step()
    return seen


@planted("L104")
def discriminator_cleared_after_its_update_only(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
            opt_d.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
            opt_g.zero_grad()
    return seen


@planted("L104")
def both_stepped_after_both_passes(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_g.zero_grad()
            opt_d.zero_grad()
            fake = g(z())
            d_loss(d, real(), fake.detach()).backward()
            bce(d(fake), 1).backward()
            opt_d.step()
            opt_g.step()
    return seen


@planted("L105")
def both_nets_in_one_of_the_optimizers(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), torch.optim.Adam([*g.parameters(), *d.parameters()])
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


@planted("L101", "L102", "L105")
def the_generators_parameters_in_both_optimizers(seed: int) -> Check:
    """Copied from one line to the next: the discriminator is in none."""
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(g)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad()
            d.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


def without_clearing(seed: int, which: str) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            if which != "d":
                opt_d.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
            if which != "g":
                opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


@planted("L106")
def discriminator_never_cleared(seed: int) -> Check:
    return without_clearing(seed, "d")


@planted("L106")
def generator_never_cleared(seed: int) -> Check:
    return without_clearing(seed, "g")


@planted("L107")
def the_generators_target_is_fake(seed: int) -> Check:
    return alternate(seed, of_g=lambda d, fake: bce(d(fake), 0))


@planted("L107")
def the_discriminator_calls_all_real(seed: int) -> Check:
    return alternate(seed, of_d=lambda d, x, fake: bce(d(x), 1) + bce(d(fake), 1))


@planted("L107")
def the_critics_sign_is_wrong(seed: int) -> Check:
    return alternate(
        seed, objective="wasserstein", of_d=lambda d, x, fake: d(fake).mean() - d(x).mean(), of_g=lambda d, fake: d(fake).mean()
    )


# --- L2xx: nets ------------------------------------------------------------------------------------------------------------


@planted("L201")
def generator_left_in_eval_mode(seed: int) -> Check:
    g, d = conv_pair(seed)
    with ganlab.check(g, d) as seen:
        for step in range(STEPS):
            dcgan_steps(g, d, 1)
            if step == 1:
                g.eval()
                g(torch.randn(4, LATENT, 1, 1))
    return seen


@planted("L201")
def discriminator_left_in_eval_mode(seed: int) -> Check:
    g, d = conv_pair(seed)
    d.eval()
    with ganlab.check(g, d) as seen:
        dcgan_steps(g, d, STEPS)
    return seen


@planted("L202")
def batch_norm_over_real_and_fake(seed: int) -> Check:
    torch.manual_seed(seed)
    g, d = mlp(LATENT, 2), nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.LeakyReLU(), nn.Linear(16, 1))
    target = torch.cat([torch.ones(BATCH, 1), torch.zeros(BATCH, 1)])
    of_d = lambda d, x, fake: F.binary_cross_entropy_with_logits(d(torch.cat([x, fake])), target)  # noqa: E731
    return alternate(seed, nets=(g, d), of_d=of_d)


@planted("L203")
def dead_units(seed: int) -> Check:
    torch.manual_seed(seed)
    d = mlp(2, 1, inner=nn.LeakyReLU)
    g = nn.Sequential(nn.Linear(LATENT, 8), nn.ReLU(), nn.Linear(8, 8), nn.LeakyReLU(), nn.Linear(8, 2))
    nn.init.constant_(g[0].bias, -50.0)
    return alternate(seed, nets=(g, d))


@planted("L204")
def weights_in_half_precision(seed: int) -> Check:
    g, d = pair(seed)
    return alternate(seed, nets=(g.half(), d.half()), sample=lambda: real().half(), latent=lambda: z().half())


# --- L3xx: losses ----------------------------------------------------------------------------------------------------------


@planted("L301")
def sigmoid_and_a_loss_with_logits(seed: int) -> Check:
    return alternate(seed, nets=pair(seed, d_last=(nn.Sigmoid(),)))


@planted("L301")
def sigmoid_and_softplus(seed: int) -> Check:
    return alternate(
        seed, nets=pair(seed, d_last=(nn.Sigmoid(), nn.Flatten(0))), of_g=lambda d, fake: F.softplus(-d(fake)).mean(),
        of_d=lambda d, x, fake: F.softplus(-d(x)).mean() + F.softplus(d(fake)).mean(),
    )  # fmt: skip


def log_loss(probability: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    return {
        "of_d": lambda d, x, fake: -(probability(d(x)).log().mean() + probability(1 - d(fake)).log().mean()),
        "of_g": lambda d, fake: -probability(d(fake)).log().mean(),
    }


@planted("L301")
def sigmoid_twice_before_cross_entropy(seed: int) -> Check:
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    loss = lambda d, x, target: F.binary_cross_entropy(torch.sigmoid(d(x)), target)  # noqa: E731
    return alternate(
        seed, nets=pair(seed, d_last=(nn.Sigmoid(),)), of_g=lambda d, fake: loss(d, fake, ones),
        of_d=lambda d, x, fake: loss(d, x, ones) + loss(d, fake, zeros),
    )  # fmt: skip


@planted("L302")
def logarithm_of_logits(seed: int) -> Check:
    return alternate(seed, **log_loss(lambda p: p.clamp(min=1e-3)))


@planted("L303")
def critic_with_sigmoid(seed: int) -> Check:
    return alternate(
        seed, nets=pair(seed, d_last=(nn.Sigmoid(),)), objective="wasserstein", of_g=lambda d, fake: -d(fake).mean(),
        of_d=lambda d, x, fake: d(fake).mean() - d(x).mean(),
    )  # fmt: skip


@planted("L304")
def logarithm_with_an_epsilon(seed: int) -> Check:
    return alternate(seed, nets=pair(seed, d_last=(nn.Sigmoid(),)), **log_loss(lambda p: p + 1e-8))


@planted("L304")
def clamp_in_the_logarithm(seed: int) -> Check:
    return alternate(seed, nets=pair(seed, d_last=(nn.Sigmoid(),)), **log_loss(lambda p: p.clamp(1e-6, 1)))


@planted("L304", "L305")
def loss_at_the_logarithm_of_the_clamp(seed: int) -> Check:
    """The discriminator is certain, and the clamp in the loss is a finding of its own."""
    g, d = pair(seed, d_last=(nn.Sigmoid(),))
    with torch.no_grad():
        d[4].bias.fill_(-60.0)
    return alternate(seed, nets=(g, d), **log_loss(lambda p: p.clamp(min=1e-6)))


@planted("L306")
def gradients_that_are_not_finite_become_zero(seed: int) -> Check:
    def repair(net: nn.Module) -> None:
        for p in net.parameters():
            torch.nan_to_num(p.grad, nan=0, posinf=1e5, neginf=-1e5, out=p.grad)

    n = iter(range(1000))
    return alternate(
        seed, between=repair, of_g=lambda d, fake: bce(d(fake), 1) * (float("nan") if next(n) == 2 else 1.0)
    )  # fmt: skip


@planted("L306")
def loss_that_is_not_finite_is_replaced(seed: int) -> Check:
    n = iter(range(1000))
    return alternate(seed, of_g=lambda d, fake: torch.nan_to_num(bce(d(fake), 1) + (float("inf") if next(n) == 3 else 0)))


# --- L4xx: data, and L5xx: randomness --------------------------------------------------------------------------------------


def of_unit_range(n: int = BATCH) -> Tensor:
    return torch.rand(n, 2) ** 2


@planted("L401")
def tanh_and_data_from_0_to_1(seed: int) -> Check:
    return alternate(seed, nets=pair(seed, g_last=(nn.Tanh(),)), sample=of_unit_range)


@planted("L401")
def sigmoid_and_data_from_minus_1_to_1(seed: int) -> Check:
    return alternate(seed, nets=pair(seed, g_last=(nn.Sigmoid(),)), sample=lambda: 2 * of_unit_range() - 1)


@planted("L401")
def tanh_and_standardised_data(seed: int) -> Check:
    return alternate(seed, nets=pair(seed, g_last=(nn.Tanh(),)), sample=lambda: torch.randn(BATCH, 2))


@planted("L402")
def raw_pixels(seed: int) -> Check:
    return alternate(seed, nets=pair(seed, g_last=(nn.Tanh(),)), sample=lambda: (256 * torch.rand(BATCH, 2)).floor())


@planted("L403")
def labels_shuffled_by_themselves(seed: int) -> Check:
    x, y = labelled(seed)
    return conditional_steps(seed, x, y[torch.randperm(len(y))], data=(x, y))


@planted("L404")
def scaled_and_then_cast_to_integers(seed: int) -> Check:
    torch.manual_seed(seed)
    data = 2 * torch.rand(64, 2) - 1
    return alternate(seed, sample=lambda: data[torch.randperm(64)[:BATCH]].mul(1.5).to(torch.int8).float(), data=data)


@planted("L501")
def one_latent_for_all_steps(seed: int) -> Check:
    torch.manual_seed(seed)
    fixed = z()
    return alternate(seed, latent=lambda: fixed)


@planted("L501")
def one_latent_for_all_samples(seed: int) -> Check:
    return alternate(seed, latent=lambda: z(1).expand(BATCH, LATENT))


class Drawn(Dataset[Tensor]):
    """Samples drawn by numpy's global state when they are asked for, as workers do who all begin from one seed."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers

    def __len__(self) -> int:
        return BATCH * STEPS

    def __getitem__(self, i: int) -> Tensor:
        turn, place = divmod(i, BATCH)
        state = np.random.RandomState([turn // self.n_workers, place])  # noqa: NPY002  (as they write it)
        return torch.from_numpy(state.randn(2).astype(np.float32))


@planted("L502")
def workers_with_one_seed(seed: int) -> Check:
    """What a loader with two workers gives, each of which draws the same numbers; without the processes."""
    batches: Iterator[Tensor] = iter(DataLoader(Drawn(n_workers=2), batch_size=BATCH))
    return alternate(seed, sample=lambda: next(batches))
