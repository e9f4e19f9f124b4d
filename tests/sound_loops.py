"""Sound training loops in many styles, in which nothing may be found."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn import functional as F

import ganlab
from ganlab.loop import Check
from tests.loops import (
    BATCH,
    LATENT,
    STEPS,
    Loop,
    WithLabels,
    adam,
    alternate,
    bce,
    conditional_steps,
    conv_pair,
    d_loss,
    dcgan_steps,
    images,
    labelled,
    mlp,
    pair,
    penalty,
    real,
    under_r1,
    z,
)

SOUND: dict[str, Loop] = {}


def sound(loop: Loop) -> Loop:
    SOUND[loop.__name__] = loop
    return loop


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


@sound
def cleared_through_data(seed: int) -> Check:
    """As in loops of PyTorch's early days; autograd does not count what is done to `.data`."""
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)

    def clear(net: nn.Module) -> None:
        for p in net.parameters():
            if p.grad is not None:
                p.grad.data.zero_()

    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            clear(d)
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
            clear(g)
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


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
    with ganlab.check(g, d, objective="relativistic") as seen:
        for _ in range(STEPS):
            x, fake = real(), g(z())
            opt_d.zero_grad()
            F.softplus(d(fake.detach()) - d(x)).mean().backward()
            opt_d.step()
            opt_g.zero_grad()
            F.softplus(d(x) - d(fake)).mean().backward()
            opt_g.step()
    return seen


@sound
def conditional(seed: int) -> Check:
    x, y = labelled(seed)
    return conditional_steps(seed, x, y, data=(x, y))


@sound
def the_same_labels_in_each_step(seed: int) -> Check:
    """The latent is drawn anew, as it should be."""
    x, y = labelled(seed)
    return conditional_steps(seed, x, y, labels=lambda: torch.arange(BATCH) % 3)


class LabelsFirst(nn.Module):
    """A generator that is given labels before the latent."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(3 + LATENT, 2)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        return self.net(torch.cat([y, x], 1))


@sound
def batches_of_one_class(seed: int) -> Check:
    """All rows of the first thing that the generator is given are equal, but they are no latent."""
    _, d = pair(seed)
    g = LabelsFirst()
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for step in range(STEPS):
            labels = F.one_hot(torch.full((BATCH,), step % 3), 3).float()
            opt_d.zero_grad()
            d_loss(d, real(), g(labels, z()).detach()).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(labels, z())), 1).backward()
            opt_g.step()
    return seen


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
def bfloat16_with_copies_in_float32(seed: int) -> Check:
    """The discriminator's optimiser holds copies; the net has them rounded, for its next call."""
    g, d = pair(seed)
    d.bfloat16()
    copies = [p.detach().float().requires_grad_() for p in d.parameters()]
    opt_g, opt_d = adam(g), torch.optim.Adam(copies, lr=2e-3)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            d.zero_grad()
            d_loss(d, real().bfloat16(), g(z()).detach().bfloat16()).backward()
            for p, copied in zip(d.parameters(), copies, strict=True):
                copied.grad = p.grad.float()
            opt_d.step()
            with torch.no_grad():
                for p, copied in zip(d.parameters(), copies, strict=True):
                    p.copy_(copied)
            opt_g.zero_grad()
            bce(d(g(z()).bfloat16()), 1).backward()
            opt_g.step()
    return seen


class Compensated(torch.optim.SGD):
    """Keeps what rounding takes away, and adds it to the next update (Kahan)."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                lost = self.state[p].setdefault("lost", torch.zeros_like(p, dtype=torch.float32))
                wanted = p.float() - group["lr"] * p.grad.float() + lost
                p.copy_(wanted)
                lost.copy_(wanted - p.float())


@sound
def bfloat16_with_an_optimizer_that_keeps_what_is_lost(seed: int) -> Check:
    g, d = (net.bfloat16() for net in pair(seed))
    opt_g, opt_d = Compensated(g.parameters(), lr=0.01), Compensated(d.parameters(), lr=0.01)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad()
            d_loss(d, real().bfloat16(), g(z().bfloat16()).detach()).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(z().bfloat16())), 1).backward()
            opt_g.step()
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


class Lookahead(torch.optim.Optimizer):
    """An optimiser that steps another one, and goes half of the way every third time."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner, self.n = inner, 0
        super().__init__(inner.param_groups, {})
        self.slow = [p.detach().clone() for group in inner.param_groups for p in group["params"]]

    def step(self, closure: Any = None) -> None:
        self.inner.step()
        self.n += 1
        if self.n % 3 == 0:
            for slow, p in zip(self.slow, self.param_groups[0]["params"], strict=True):
                p.data.lerp_(slow, 0.5)
                slow.copy_(p.data)


@sound
def an_optimizer_inside_another(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = Lookahead(adam(g)), Lookahead(adam(d))
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad()
            d_loss(d, real(), g(z()).detach()).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
    return seen


@sound
def paired_translation_of_one_batch(seed: int) -> Check:
    """The generator is given a sample, the discriminator a pair, and both see the same batch in each step."""
    torch.manual_seed(seed)
    g, d = nn.Conv2d(1, 1, 3, 1, 1), nn.Sequential(nn.Conv2d(2, 4, 4, 2, 1), nn.LeakyReLU(), nn.Conv2d(4, 1, 4))
    one, other = images(), images()
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            fake = g(one)
            d.requires_grad_(True)
            opt_d.zero_grad()
            d_loss(d, torch.cat([one, other], 1), torch.cat([one, fake], 1).detach()).backward()
            opt_d.step()
            d.requires_grad_(False)
            opt_g.zero_grad()
            (bce(d(torch.cat([one, fake], 1)), 1) + 100 * F.l1_loss(fake, other)).backward()
            opt_g.step()
    return seen


@sound
def penalty_now_and_then_in_a_pass_and_update_of_its_own(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for step in range(STEPS):
            opt_g.zero_grad()
            F.softplus(-d(g(z()))).mean().backward()
            opt_g.step()
            opt_d.zero_grad()
            (F.softplus(-d(real())).mean() + F.softplus(d(g(z()).detach())).mean()).backward()
            opt_d.step()
            if step % 3 == 0:
                opt_d.zero_grad()
                penalty(d, real(), g(z())).backward()
                opt_d.step()
    return seen


@sound
def a_frozen_encoder_before_the_generator(seed: int) -> Check:
    """Its parameters would take gradients, and it is nobody's to train."""
    g, d = pair(seed)
    encoder = nn.Linear(LATENT, LATENT)
    return alternate(seed, nets=(g, d), latent=lambda: encoder(z()))


@sound
def recomputed_activations(seed: int) -> Check:
    g, d = pair(seed)
    again = lambda net, x: torch.utils.checkpoint.checkpoint(net, x, use_reentrant=False)  # noqa: E731
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for _ in range(STEPS):
            opt_d.zero_grad()
            (bce(again(d, real()), 1) + bce(again(d, g(z()).detach()), 0)).backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(again(d, again(g, z())), 1).backward()
            opt_g.step()
    return seen


@sound
def a_run_that_breaks(seed: int) -> Check:
    """Numbers that are not finite are an outcome, and no mistake in the loop's order."""
    return alternate(seed, of_g=lambda d, fake: (bce(d(fake), 1) * 1e38) ** 2)


@sound
def a_run_that_stops_where_it_breaks(seed: int) -> Check:
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d) as seen:
        for step in range(STEPS):
            loss = d_loss(d, real() + (float("nan") if step == 3 else 0.0), g(z()).detach())
            seen.step(step, d_loss=loss)
            if not torch.isfinite(loss):
                break
            opt_d.zero_grad()
            loss.backward()
            opt_d.step()
            opt_g.zero_grad()
            bce(d(g(z())), 1).backward()
            opt_g.step()
        d(g(z()))
    return seen


@sound
def a_run_that_goes_back_to_its_last_checkpoint(seed: int) -> Check:
    n = iter(range(1000))
    g, d = pair(seed)
    kept: list[Any] = []

    def after(g: nn.Module, d: nn.Module) -> None:
        if all(p.isfinite().all() for p in g.parameters()):
            kept.append(copy.deepcopy(g.state_dict()))
        else:
            g.load_state_dict(kept[-1])

    return alternate(
        seed, nets=(g, d), after=after, of_g=lambda d, fake: bce(d(fake), 1) * (float("nan") if next(n) == 2 else 1.0)
    )  # fmt: skip


@sound
def scaler_that_skips_an_infinite_loss(seed: int) -> Check:
    """The backward pass is made, and what it gave is not used; a call of no loss tells how sure the discriminator is."""
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    with ganlab.check(g, d) as seen:
        for step in range(2 * STEPS):
            opt_d.zero_grad()
            of_d = d_loss(d, real(), g(z()).detach()) * (float("inf") if step == 3 else 1.0)
            scaler.scale(of_d).backward()
            scaler.step(opt_d)
            opt_g.zero_grad()
            of_g = bce(d(g(z())), 1) * (float("inf") if step == 5 else 1.0)
            scaler.scale(of_g).backward()
            scaler.step(opt_g)
            scaler.update()
            d(real()).mean().item()
            seen.step(step, d_loss=of_d, g_loss=of_g)
    return seen


@sound
def nan_in_place_of_a_loss_that_is_not_there(seed: int) -> Check:
    """The generator is updated every third time, and its loss is told as NaN between."""
    g, d = pair(seed)
    opt_g, opt_d = adam(g), adam(d)
    with ganlab.check(g, d, objective="wasserstein") as seen:
        for step in range(3 * STEPS):
            x, fake = real(), g(z())
            opt_d.zero_grad()
            loss = d(fake.detach()).mean() - d(x).mean() + penalty(d, x, fake)
            loss.backward()
            opt_d.step()
            of_g = torch.tensor(float("nan"))
            if step % 3 == 2:
                opt_g.zero_grad()
                of_g = -d(fake).mean()
                of_g.backward()
                opt_g.step()
            seen.step(step, d_loss=loss, g_loss=of_g)
    return seen


@sound
def r1_and_a_part_of_the_data(seed: int) -> Check:
    return under_r1(seed, shown=500, told=False, scale=2, shift=-1)


@sound
def r1_and_batches_that_are_told(seed: int) -> Check:
    return under_r1(seed, shown=0, told=True, scale=2, shift=-1)
