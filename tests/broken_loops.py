"""Training loops with one mistake each: `PLANTED` has them with the codes that must be found, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import ganlab
from ganlab.loop import Check
from tests.loops import (
    BATCH,
    LATENT,
    STEPS,
    Loop,
    adam,
    alternate,
    bce,
    conditional_steps,
    conv_pair,
    d_loss,
    dcgan_steps,
    labelled,
    mlp,
    pair,
    real,
    under_r1,
    z,
)

PLANTED: dict[str, tuple[Loop, set[str]]] = {}


def planted(*codes: str) -> Callable[[Loop], Loop]:
    def keep(loop: Loop) -> Loop:
        PLANTED[loop.__name__] = loop, set(codes)
        return loop

    return keep


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


@planted("L204")
def weights_in_bfloat16(seed: int) -> Check:
    g, d = pair(seed)
    return alternate(seed, nets=(g.bfloat16(), d.bfloat16()), sample=lambda: real().bfloat16(), latent=lambda: z().bfloat16())


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


@planted("L306")
def parameters_that_are_not_finite_become_zero(seed: int) -> Check:
    n = iter(range(1000))

    def repair(g: nn.Module, d: nn.Module) -> None:
        for p in g.parameters():
            torch.nan_to_num_(p.data)

    return alternate(seed, after=repair, of_g=lambda d, fake: bce(d(fake), 1) * (float("nan") if next(n) == 2 else 1.0))


@planted("L306")
def steps_of_a_broken_batch_are_left_out(seed: int) -> Check:
    """The loop tells nothing of them."""
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for step in range(2 * STEPS):
            loss = d_loss(d, real() + (float("nan") if step == 3 else 0.0), g(z()).detach())
            if not torch.isfinite(loss):
                continue
            opt_d.zero_grad()
            loss.backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


@planted("L306")
def steps_of_an_infinite_loss_are_left_out(seed: int) -> Check:
    """What the nets return is finite; the loop tells its losses."""
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for step in range(2 * STEPS):
            opt_d.zero_grad()
            of_d = d_loss(d, real(), g(z()).detach())
            of_d.backward()
            opt_d.step()
            of_g = bce(d(g(z())), 1) * (float("inf") if step == 3 else 1.0)
            if torch.isfinite(of_g):
                opt_g.zero_grad()
                of_g.backward()
                opt_g.step()
            seen.step(step, d_loss=of_d, g_loss=of_g)
    return seen


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
def tanh_and_data_from_0_to_1_under_r1(seed: int) -> Check:
    return under_r1(seed, shown=500, told=False)


@planted("L401")
def tanh_and_data_from_0_to_1_under_r1_told_step_by_step(seed: int) -> Check:
    return under_r1(seed, shown=0, told=True)


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
def one_latent_for_all_steps_under_changing_labels(seed: int) -> Check:
    x, y = labelled(seed)
    fixed = z()
    return conditional_steps(seed, x, y, latent=lambda: fixed)


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
        state = np.random.RandomState([turn // self.n_workers, place])
        return torch.from_numpy(state.randn(2).astype(np.float32))


@planted("L502")
def workers_with_one_seed(seed: int) -> Check:
    """What a loader with two workers gives, each of which draws the same numbers; without the processes."""
    batches: Iterator[Tensor] = iter(DataLoader(Drawn(n_workers=2), batch_size=BATCH))
    return alternate(seed, sample=lambda: next(batches))
