"""Laws for every penalty, constraint and noise: linear and quadratic discriminators, whose slopes are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import grad

from ganlab import data, rng
from ganlab.draws import draw
from ganlab.game import Batch, Game, initial, step
from ganlab.net import Net
from ganlab.penalties import CONSTRAINTS, PENALTIES, PERTURBATIONS

F64 = torch.float64

# --- penalties -----------------------------------------------------------------------------------------------------------

SHAPES = [(2,), (5,), (1, 2, 3)]
OF_SLOPE = {
    "r1": lambda s: s**2 / 2,
    "r2": lambda s: s**2 / 2,
    "gradient_penalty": lambda s: (s - 1) ** 2,
    "gradient_penalty_one_sided": lambda s: max(0.0, s - 1) ** 2,
    "zero_centred_penalty": lambda s: s**2,
    "dragan": lambda s: (s - 1) ** 2,
}
"""What each is for a discriminator of the same slope everywhere."""


def draws(shape: tuple[int, ...], n: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(n, *shape, generator=generator, dtype=F64) for _ in range(2))
    return real, fake, torch.rand(n, 1 + math.prod(shape), generator=generator, dtype=F64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_is_exact_for_a_linear_discriminator(name: str, shape: tuple[int, ...]) -> None:
    """Of slope 1/2 and of slope 3, on either side of 1."""
    direction = torch.randn(math.prod(shape), generator=torch.Generator().manual_seed(1), dtype=F64)
    for slope in (0.5, 3.0):
        w = slope * direction / direction.norm()
        got = PENALTIES[name](lambda x, w=w: x.flatten(1) @ w + 3, *draws(shape))
        assert got.shape == ()
        assert float(got) == pytest.approx(OF_SLOPE[name](slope), rel=1e-12, abs=1e-30)


def test_penalties_are_measured_where_their_papers_say() -> None:
    """The discriminator |x|^2 / 2 has slope x, so the penalty tells where it was measured."""
    real, fake, noise = draws((3,))
    weight, moved = noise[:, :1], real + 0.5 * real.numpy().std() * noise[:, 1:]
    between = weight * real + (1 - weight) * fake
    around = weight * moved + (1 - weight) * real
    wanted = {
        "r1": real.square().sum(1).mean() / 2,
        "r2": fake.square().sum(1).mean() / 2,
        "gradient_penalty": (between.norm(dim=1) - 1).square().mean(),
        "gradient_penalty_one_sided": (between.norm(dim=1) - 1).clamp(min=0).square().mean(),
        "zero_centred_penalty": between.square().sum(1).mean(),
        "dragan": (around.norm(dim=1) - 1).square().mean(),
    }
    assert set(wanted) == set(PENALTIES)
    assert (between.norm(dim=1) < 1).any()  # so that one-sided and two-sided differ
    for name, value in wanted.items():
        got = PENALTIES[name](lambda x: x.square().sum(1) / 2, real, fake, noise)
        assert float(got) == pytest.approx(float(value), rel=1e-12), name


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_is_not_negative_and_reads_noise_exactly_when_registered_so(name: str) -> None:
    net = Net(lambda: nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)), "discriminator")
    real, fake, noise = draws((2,))
    values = []
    for seed in range(5):
        psi = 3 * net.initial(seed).double()
        pair = [PENALTIES[name](lambda x, p=psi: net.apply(p, x).flatten(), real, fake, n) for n in (noise, noise / 2)]
        values.append([float(value) for value in pair])
    assert min(map(min, values)) >= 0
    assert (values[0][0] != values[0][1]) == PENALTIES.entry(name).facts["draws"]


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e15])
def test_penalty_has_finite_gradients_for_flat_and_steep_discriminators(name: str, scale: float) -> None:
    """A flat discriminator has slope 0, where the length of a vector has no derivative: the gradient must not be NaN."""
    real, fake, noise = draws((2,))
    psi = torch.tensor([scale, scale], dtype=F64)
    gradient, value = torch.func.grad_and_value(lambda p: PENALTIES[name](lambda x: x @ p, real, fake, noise))(psi)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()
    if scale == 0:
        assert float(value) == OF_SLOPE[name](0.0)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_gradient_agrees_with_finite_differences(name: str) -> None:
    """Central differences, step 1e-5: error 1e-10 of third derivatives of size 1, and 1e-11 of rounding."""
    net = Net(lambda: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)), "discriminator")
    real, fake, noise = draws((2,))
    psi = net.initial(0).double()

    def value(p: Tensor) -> Tensor:
        return PENALTIES[name](lambda x: net.apply(p, x).flatten(), real, fake, noise)

    slope = [(value(psi + e) - value(psi - e)) / 2e-5 for e in 1e-5 * torch.eye(len(psi), dtype=F64)]
    np.testing.assert_allclose(grad(value)(psi).numpy(), torch.stack(slope).numpy(), rtol=1e-6, atol=1e-8)


# --- constraints ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraint_holds_its_limit_once_and_for_all_and_repairs_nothing(name: str) -> None:
    psi, limit = torch.linspace(-3, 3, 13), torch.tensor(0.5)
    held = CONSTRAINTS[name](psi, limit)
    assert held.abs().max() <= limit
    assert torch.equal(CONSTRAINTS[name](held, limit), held)
    bad = CONSTRAINTS[name](torch.tensor([math.nan, 1.0]), limit)
    assert bad.isnan().tolist() == [True, False]


def test_weight_clipping_moves_only_what_is_outside() -> None:
    psi = torch.tensor([-2.0, -0.5, -0.1, 0.0, 0.3, 0.5, 7.0])
    assert CONSTRAINTS["weight_clipping"](psi, torch.tensor(0.5)).tolist() == np.clip(psi.numpy(), -0.5, 0.5).tolist()


# --- noise on what the discriminator sees --------------------------------------------------------------------------------


def numbers(size: float, steps: float) -> dict[str, Tensor]:
    values = {"instance_noise": size, "noise_steps": steps, "lr": 0.1, "lr_discriminator": 0.1, "momentum": 0.0}
    return {name: torch.tensor(value, dtype=F64) for name, value in values.items()}


@pytest.mark.parametrize(
    ("steps", "age", "left"),
    [(200, 0, 1.0), (200, 50, 0.75), (200, 100, 0.5), (200, 200, 0.0), (200, 1000, 0.0), (0, 0, 1.0), (0, 10**6, 1.0)],
)
def test_instance_noise_falls_in_a_line_to_nothing_or_stays(steps: float, age: float, left: float) -> None:
    x, normal = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=F64)
    got = PERTURBATIONS["instance_noise"](x, normal, numbers(0.7, steps), torch.tensor(age, dtype=F64))
    np.testing.assert_allclose(got.numpy(), (x + 0.7 * left * normal).numpy(), rtol=1e-15, atol=1e-15)


def noisy(penalties: dict[str, float], **rules: str) -> Game:
    return Game(lambda: nn.Linear(2, 2), lambda: nn.Linear(2, 1), "wasserstein", penalties, optimizer="sgd", **rules)


def test_every_noise_is_drawn_standard_normal_and_apart_for_real_and_fake() -> None:
    """Mean, variance and correlation of 32 x 2 x 2 x 50 x 2 draws within 5 standard errors; 32 is a block of steps."""
    for name in PERTURBATIONS:
        streams = {purpose: rng.stream(0, purpose) for purpose in rng.PURPOSES}
        batch = draw(noisy({name: 0.7}), data.get("ring8"), streams, 50)
        assert batch.jitter.shape == (32, 2, 2, 50, 2)
        of_real, of_fake = batch.jitter.double().unbind(2)
        n = of_real.numel()
        for normal in (of_real, of_fake):
            assert abs(float(normal.mean())) < 5 / math.sqrt(n)
            assert float(normal.var()) == pytest.approx(1, abs=5 * math.sqrt(2 / n))
        assert abs(float((of_real * of_fake).mean())) < 5 / math.sqrt(n)


def test_instance_noise_is_added_to_all_that_either_player_shows_the_discriminator() -> None:
    """For a linear critic w the losses move by w times the mean noise, and go back to the clean ones with age."""
    game, clean = noisy({"instance_noise": 0.7}), noisy({})
    generator = torch.Generator().manual_seed(0)
    real, latent, *jitter = torch.randn(4, 6, 2, generator=generator, dtype=F64)
    batch = Batch(real, latent, torch.empty(6, 0), torch.stack(jitter))
    theta, psi = (player.parameters.double() for player in initial(game, 0))
    w, given = psi[:2], numbers(0.7, 10)
    for age, left in ((0, 1.0), (5, 0.5), (10, 0.0)):
        kept = {"age": torch.tensor(age, dtype=F64)}
        of_real, of_fake = (0.7 * left * float(normal.mean(0) @ w) for normal in jitter)
        moved = game.discriminator_loss(psi, theta, batch, given, kept) - clean.discriminator_loss(psi, theta, batch, given)
        assert float(moved) == pytest.approx(of_fake - of_real, abs=1e-14)
        moved = game.generator_loss(theta, psi, batch, given, kept) - clean.generator_loss(theta, psi, batch, given)
        assert float(moved) == pytest.approx(-of_fake, abs=1e-14)


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_age_of_the_noise_counts_steps(update: str) -> None:
    """After `noise_steps` steps, the next one is that of a game without noise."""
    game, clean = noisy({"instance_noise": 5.0}, update=update), noisy({}, update=update)
    generator = torch.Generator().manual_seed(0)
    state = initial(game, 0)
    for now in range(4):
        draws_ = (torch.randn(game.n_draws, *shape, generator=generator) for shape in ((6, 2), (6, 2), (6, 0), (2, 6, 2)))
        batch = Batch(*draws_)
        given = {name: value.float() for name, value in numbers(5.0, 3).items()}
        without, _ = step(clean, state._replace(**{r: p._replace(kept={}) for r, p in state._asdict().items()}), batch, given)
        state, _ = step(game, state, batch, given)
        same = all(torch.equal(a.parameters, b.parameters) for a, b in zip(state, without, strict=True))
        assert same == (now == 3)
        assert [float(player.kept["age"]) for player in state] == [now + 1, now + 1]
