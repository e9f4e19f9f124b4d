"""Laws for everything registered: to register a thing is to have it tested here.

Expected values come from closed forms, numpy and torch's own optimisers, never from the code under test.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn.functional import binary_cross_entropy_with_logits as bce

import ganlab
from ganlab import data, rng
from ganlab.data import DATA, images
from ganlab.data.mixtures import Mixture
from ganlab.game import Game, State, initial
from ganlab.metrics import RULES, mode_coverage
from ganlab.nets import NETS, Net
from ganlab.objectives import OBJECTIVES
from ganlab.optim import OPTIMIZERS
from ganlab.penalties import CONSTRAINTS, PENALTIES
from ganlab.probes import PROBES, View, applicable
from ganlab.registry import Registry
from ganlab.train import build, plan, train
from ganlab.variants import VARIANTS

F64 = torch.float64


def registries() -> list[Registry]:
    for module in pkgutil.walk_packages(ganlab.__path__, "ganlab."):
        importlib.import_module(module.name)
    found = {
        id(value): value
        for module in pkgutil.walk_packages(ganlab.__path__, "ganlab.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, Registry)
    }
    return list(found.values())


def test_every_registered_thing_states_its_source_and_what_it_is() -> None:
    every = registries()
    assert {"objective", "penalty", "data distribution", "probe", "variant", "net"} <= {r.kind for r in every}
    for registry in every:
        assert len(registry) > 0, registry.kind
        for entry in registry.entries():
            assert entry.source.strip(), (registry.kind, entry.name)
            assert entry.summary.strip(), (registry.kind, entry.name)
            assert "\n" not in entry.summary, (registry.kind, entry.name)


# --- objectives --------------------------------------------------------------------------------------------------------

def slopes_of(objective: str, r: np.ndarray, f: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives of a pair's losses by hand: discriminator by real, by fake; generator by real, by fake."""
    zero = np.zeros_like(r)
    return {
        "minimax": (-expit(-r), expit(f), zero, -expit(f)),
        "non_saturating": (-expit(-r), expit(f), zero, -expit(-f)),
        "least_squares": (r - 1, f, zero, f - 1),
        "hinge": (np.where(r < 1, -1.0, 0.0), np.where(f > -1, 1.0, 0.0), zero, zero - 1),
        "wasserstein": (zero - 1, zero + 1, zero, zero - 1),
        "relativistic": (-expit(f - r), expit(f - r), expit(r - f), -expit(r - f)),
    }[objective]


AT_ZERO = {
    "minimax": (2 * math.log(2), -math.log(2)),
    "non_saturating": (2 * math.log(2), math.log(2)),
    "least_squares": (0.5, 0.5),
    "hinge": (2.0, 0.0),
    "wasserstein": (0.0, 0.0),
    "relativistic": (math.log(2), math.log(2)),
}

LOGITS = torch.tensor([-100, -63, -50, -20.5, -7, -1.5, -0.3, 0, 0.4, 1.7, 8, 19.5, 31, 50, 77, 100], dtype=F64)
"""From -100 to 100 with both ends, and off the corners of the hinge."""


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_has_its_known_value_at_zero(name: str) -> None:
    losses = OBJECTIVES[name](torch.zeros(4, dtype=F64), torch.zeros(4, dtype=F64))
    assert [float(x) for x in losses] == pytest.approx(AT_ZERO[name], abs=1e-15)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_slopes_equal_the_closed_form_from_minus_100_to_100(name: str) -> None:
    """1e-8: torch's softplus is a straight line above 20, where it is off by exp(-20) = 2e-9."""
    r, f = (g.flatten() for g in torch.meshgrid(LOGITS, LOGITS, indexing="ij"))
    mine = [
        grad(lambda a, b, i=i: OBJECTIVES[name](a, b)[i], argnums=argnum)(r, f) * len(r)
        for i in (0, 1)
        for argnum in (0, 1)
    ]
    for got, wanted in zip(mine, slopes_of(name, r.numpy(), f.numpy()), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-8, atol=1e-300)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_objective_is_finite_at_extreme_logits(name: str, dtype: torch.dtype) -> None:
    for r in (-100.0, -50.0, 50.0, 100.0):
        for f in (-100.0, -50.0, 50.0, 100.0):
            real, fake = (torch.full((3,), v, dtype=dtype, requires_grad=True) for v in (r, f))
            for loss in OBJECTIVES[name](real, fake):
                assert loss.shape == ()
                assert torch.isfinite(loss)
                for slope in torch.autograd.grad(loss, (real, fake), allow_unused=True, retain_graph=True):
                    assert slope is None or torch.isfinite(slope).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_generator_slope_vanishes_in_float32_only_where_it_is_smaller_than_float32(name: str) -> None:
    """No clamp and no epsilon inside a logarithm: exp(-80) = 2e-35 is a float32, so no slope may be cut off there.

    1e-5: a few roundings of float32, except that float32's exp(-80) itself is good to 80 times its rounding.
    """
    f = torch.linspace(-80, 80, 41)
    r = torch.zeros_like(f)
    got = grad(lambda b: OBJECTIVES[name](r, b).generator)(f) * len(f)
    wanted = slopes_of(name, r.double().numpy(), f.double().numpy())[3]
    np.testing.assert_allclose(got.numpy(), wanted, rtol=2e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_discriminator_loss_falls_when_real_logits_rise_and_rises_with_fake_ones(name: str) -> None:
    """Logits between -2 and 0.5, where no objective is yet content with either."""
    generator = torch.Generator().manual_seed(0)
    r, f = 2.4 * torch.rand(2, 50, generator=generator, dtype=F64) - 1.9
    f = f.clamp(min=0.05)
    here = OBJECTIVES[name](r, f).discriminator
    assert OBJECTIVES[name](r + 0.05, f).discriminator < here
    assert OBJECTIVES[name](r, f + 0.05).discriminator > here
    assert OBJECTIVES[name](r, f + 0.05).generator < OBJECTIVES[name](r, f).generator


@pytest.mark.parametrize("name", OBJECTIVES)
def test_discriminator_loss_ignores_a_common_shift_exactly_where_logits_have_no_zero_point(name: str) -> None:
    r, f = torch.randn(2, 20, generator=torch.Generator().manual_seed(0), dtype=F64)
    moved = float((OBJECTIVES[name](r + 3, f + 3).discriminator - OBJECTIVES[name](r, f).discriminator).abs())
    assert (moved < 1e-12) == (OBJECTIVES.entry(name).facts["threshold"] is None)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_generator_loss_depends_on_real_logits_exactly_when_registered_so(name: str) -> None:
    r, f = torch.randn(2, 20, generator=torch.Generator().manual_seed(0), dtype=F64)
    depends = bool(OBJECTIVES[name](r + 1, f).generator != OBJECTIVES[name](r, f).generator)
    assert depends == OBJECTIVES.entry(name).facts["pairs"]


@pytest.mark.parametrize("name", [e.name for e in OBJECTIVES.entries() if e.facts["threshold"] is not None])
def test_at_the_threshold_the_discriminator_is_undecided(name: str) -> None:
    """Pulled up by a real sample as strongly as down by a fake one."""
    threshold = OBJECTIVES.entry(name).facts["threshold"]
    at = np.array([threshold])
    up, down, *_ = slopes_of(name, at, at)
    assert float(up[0]) == pytest.approx(-float(down[0]))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_passes_non_finite_logits_on(name: str) -> None:
    """Never repaired: a NaN among the logits is a NaN in the loss that reads them."""
    good, bad = torch.zeros(3), torch.tensor([0.0, math.nan, 0.0])
    assert OBJECTIVES[name](bad, good).discriminator.isnan()
    assert OBJECTIVES[name](good, bad).discriminator.isnan()
    assert OBJECTIVES[name](good, bad).generator.isnan()


# --- penalties and constraints -----------------------------------------------------------------------------------------

SHAPES = [(2,), (5,), (1, 2, 3)]
CENTRED = {"r1": lambda s: s**2 / 2, "r2": lambda s: s**2 / 2}
ONE = {"gradient_penalty": lambda s: (s - 1) ** 2, "dragan": lambda s: (s - 1) ** 2}


def draws(shape: tuple[int, ...], n: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(n, *shape, generator=generator, dtype=F64) for _ in range(2))
    return real, fake, torch.rand(n, 1 + math.prod(shape), generator=generator, dtype=F64)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_is_exact_for_a_linear_discriminator(name: str, shape: tuple[int, ...]) -> None:
    w = torch.randn(math.prod(shape), generator=torch.Generator().manual_seed(1), dtype=F64)
    got = PENALTIES[name](lambda x: x.flatten(1) @ w + 3, *draws(shape))
    assert got.shape == ()
    assert float(got) == pytest.approx({**CENTRED, **ONE}[name](float(w.norm())), rel=1e-12)


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
        "dragan": (around.norm(dim=1) - 1).square().mean(),
    }
    assert set(wanted) == set(PENALTIES)
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
        assert float(value) == {**CENTRED, **ONE}[name](0.0)


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


# --- optimisers --------------------------------------------------------------------------------------------------------

TWINS: dict[str, tuple[dict[str, float], Callable[[list[Tensor]], torch.optim.Optimizer]]] = {
    "adam": (
        {"lr": 0.03, "beta1": 0.5, "beta2": 0.98, "epsilon": 1e-3},
        lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.5, 0.98), eps=1e-3),
    ),
    "rmsprop": ({"lr": 0.02, "decay": 0.9, "epsilon": 1e-3}, lambda p: torch.optim.RMSprop(p, lr=0.02, alpha=0.9, eps=1e-3)),
    "sgd": ({"lr": 0.05, "momentum": 0.8}, lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8)),
}


CHANGED = {"beta1": 0.0, "momentum": 0.0, "epsilon": 1e-8}


@pytest.mark.parametrize(
    ("name", "changed"),
    [(name, {}) for name in OPTIMIZERS]
    + [(name, {key: value}) for name in OPTIMIZERS for key, value in CHANGED.items() if key in OPTIMIZERS[name].numbers],
    ids=str,
)
def test_optimiser_steps_as_torch_does(name: str, changed: dict[str, float]) -> None:
    """50 steps on a bent valley with noisy gradients, in float64; 1e-12 for the order of operations."""
    numbers, make = TWINS[name]
    numbers = {**numbers, **changed}
    assert set(numbers) == set(OPTIMIZERS[name].numbers)
    generator = torch.Generator().manual_seed(0)
    mine = torch.randn(4, generator=generator, dtype=F64)
    theirs = mine.clone().requires_grad_()
    twin = make([theirs])
    for group in twin.param_groups:
        for ours, torchs in (("momentum", "momentum"), ("epsilon", "eps")):
            if ours in changed:
                group[torchs] = changed[ours]
        if "beta1" in changed:
            group["betas"] = (changed["beta1"], group["betas"][1])
    given = {key: torch.tensor(value, dtype=F64) for key, value in numbers.items()}
    memory = OPTIMIZERS[name].init(mine)
    start = mine.clone()
    for _ in range(50):
        noise = torch.randn(4, generator=generator, dtype=F64)
        gradient = mine**3 - mine.flip(0) + noise
        mine, memory = OPTIMIZERS[name].update(gradient, memory, mine, given)
        theirs.grad = theirs.detach() ** 3 - theirs.detach().flip(0) + noise
        twin.step()
        np.testing.assert_allclose(mine.numpy(), theirs.detach().numpy(), rtol=1e-11, atol=1e-12)
    assert (mine - start).abs().max() > 0.1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimiser_leaves_its_arguments_alone_and_passes_non_finite_gradients_on(name: str) -> None:
    given = {key: torch.tensor(value) for key, value in TWINS[name][0].items()}
    parameters, gradient = torch.ones(3), torch.tensor([1.0, math.nan, math.inf])
    memory = OPTIMIZERS[name].init(parameters)
    copies = [x.clone() for x in (parameters, gradient, *memory)]
    moved, _ = OPTIMIZERS[name].update(gradient, memory, parameters, given)
    for before, after in zip(copies, (parameters, gradient, *memory), strict=True):
        assert torch.equal(before.nan_to_num(7), after.nan_to_num(7))
    assert torch.isfinite(moved[0])
    assert not torch.isfinite(moved[1:]).any()


# --- data --------------------------------------------------------------------------------------------------------------


def named_data() -> list[str]:
    """Data that need no settings and no files."""
    names = []
    for entry in DATA.entries():
        needs = [p for p in inspect.signature(entry.thing).parameters.values() if p.default is p.empty]
        if not needs and (entry.name != "mnist" or images.mnist_is_here()):
            names.append(entry.name)
    return names


MIXTURES = [name for name in named_data() if isinstance(data.get(name), Mixture)]
DENSE = [name for name in MIXTURES if data.get(name).has_density and data.get(name).shape[0] <= 2]
DOUBLED = {"ring8_unrolled_notebook", "ring12_lipizzaner"}
"""Their sources counted one centre twice."""


@pytest.mark.parametrize("name", named_data())
def test_samples_have_shape_and_a_seed_repeats(name: str) -> None:
    made = data.get(name)
    assert made.name == name
    one, again, other = (made.sample(40, rng.stream(seed, "data")) for seed in (3, 3, 4))
    assert one.shape == (40, *made.shape)
    assert one.dtype == torch.float32
    assert torch.isfinite(one).all()
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", named_data())
def test_drawing_leaves_the_global_random_state_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    data.get(name).sample(10, rng.stream(0, "data"))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", named_data())
def test_building_data_twice_gives_the_same_data(name: str) -> None:
    one, other = (data.get(name).sample(10, rng.stream(0, "data")) for _ in range(2))
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", MIXTURES)
def test_modes_are_distinct_and_equally_likely_unless_declared(name: str) -> None:
    made = data.get(name)
    k = len(made.modes)
    distance = np.linalg.norm(made.modes.numpy()[:, None] - made.modes.numpy()[None], axis=-1)
    assert k > 1
    assert distance[~np.eye(k, dtype=bool)].min() > 1e-3
    assert made.weights.sum().item() == pytest.approx(1)
    wanted = np.full(k, 1 / k)
    if name in DOUBLED:
        wanted = np.array([2] + [1] * (k - 1)) / (k + 1)
    np.testing.assert_allclose(made.weights.numpy(), wanted, rtol=1e-12)


def nodes(made: Mixture) -> tuple[Tensor, Tensor]:
    """Points and weights of a quadrature over the plane: a trapezoidal rule around each mode, 9 std wide.

    The integrand is split between modes by an equal mixture of Gaussians 1.25 times as wide, made with numpy, so that
    no part of the plane is counted twice. For smooth bell shapes the trapezoidal rule has no error worth naming.
    """
    modes, std, d = made.modes.numpy(), 1.25 * made.std.numpy(), made.shape[0]
    u = np.linspace(-9, 9, 61)
    grid = np.stack(np.meshgrid(*[u] * d, indexing="ij"), -1).reshape(-1, d)
    weight = np.exp(-0.5 * (grid**2).sum(1)) * ((u[1] - u[0]) / math.sqrt(2 * math.pi)) ** d
    points = (modes[:, None] + std[:, None] * grid).reshape(-1, d)
    z = (points[:, None] - modes) / std
    share = np.exp(-0.5 * (z**2).sum(-1)) / np.prod(std * math.sqrt(2 * math.pi), axis=1)
    own = np.tile(weight, len(modes))
    return torch.from_numpy(points), torch.from_numpy(own / share.sum(1))


@pytest.mark.parametrize("name", DENSE)
def test_density_integrates_to_one_and_samples_follow_it(name: str) -> None:
    """The mean log-density of samples lies within 5 standard errors of its integral (chance of a miss 6e-7 each).

    The standard error counts a fixed set of points as the sample it was once.
    """
    made = data.get(name)
    x, weight = nodes(made)
    log_p = made.log_prob(x)
    p = log_p.exp() * weight
    assert float(p.sum()) == pytest.approx(1, abs=1e-9)
    wanted = float((p * log_p).sum())
    variance = float((p * (log_p - wanted) ** 2).sum())
    samples = made.sample(8000, rng.stream(0, "data"))
    n = min(8000, len(made.points)) if made.points is not None else 8000
    assert float(made.log_prob(samples).mean()) == pytest.approx(wanted, abs=5 * math.sqrt(variance / n * 2))
    mean = (p[:, None] * x).sum(0)
    spread = ((p[:, None] * (x - mean) ** 2).sum(0)).sqrt()
    assert ((samples.double().mean(0) - mean).abs() < 5 * spread * math.sqrt(2 / n)).all()


# --- nets --------------------------------------------------------------------------------------------------------------

BUILDERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "mlp": (lambda: NETS["mlp"](3, 2, (8, 7), "tanh"), (3,), (2,)),
    "mlp_classifier": (lambda: NETS["mlp_classifier"](8, 8, (9, 7)), (1, 8, 8), (10,)),
    "cnn_classifier": (lambda: NETS["cnn_classifier"](8, 8, (3, 4)), (1, 8, 8), (10,)),
}
"""A small net of each kind with the shapes of one sample and its output. Give a new net a line here."""


def net_named(name: str) -> tuple[Net, Tensor, tuple[int, ...]]:
    make, shape, out = BUILDERS[name]
    return Net(make, "generator"), torch.randn(5, *shape, generator=torch.Generator().manual_seed(0), dtype=F64), out


@pytest.mark.parametrize("name", NETS)
def test_net_has_its_shape_and_each_output_depends_on_its_own_sample(name: str) -> None:
    net, x, shape = net_named(name)
    vector = net.initial(0).double()
    y = net.apply(vector, x)
    assert y.shape == (5, *shape)
    for i in range(5):
        others = 5 * x
        others[i] = x[i]
        np.testing.assert_allclose(net.apply(vector, others)[i].numpy(), y[i].numpy(), rtol=1e-12, atol=1e-14)
    assert not torch.allclose(y[0], y[1])


@pytest.mark.parametrize("name", NETS)
def test_net_maps_over_members_with_gradients(name: str) -> None:
    """The mapped gradient against backward through an ordinary module; 1e-11 for the order of sums in float64."""
    net, x, _ = net_named(name)
    vectors = torch.stack([net.initial(seed).double() for seed in range(3)])
    mapped = vmap(grad(lambda v: net.apply(v, x).square().sum()))(vectors)
    for vector, gradient in zip(vectors, mapped, strict=True):
        module = net.to_module(vector)
        module(x).square().sum().backward()
        wanted = torch.cat([p.grad.flatten() for p in module.parameters()])
        np.testing.assert_allclose(gradient.numpy(), wanted.numpy(), rtol=1e-11, atol=1e-12)
        assert gradient.abs().max() > 0


# --- counting rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_rule_gives_a_perfect_sampler_its_ceiling_and_all_modes(name: str) -> None:
    ring = data.get("ring8")
    n = 20_000
    got = mode_coverage(ring.sample(n, rng.stream(1, "data")), ring, name)
    sigma = math.sqrt(got.ceiling * (1 - got.ceiling) / n)
    assert (got.modes_covered, got.missing, got.n, got.n_modes) == (8, (), n, 8)
    assert abs(got.high_quality_share - got.ceiling) < 4 * sigma
    assert got.spread == pytest.approx(1, abs=4 / math.sqrt(2 * 2 * n))


@pytest.mark.parametrize("name", RULES)
def test_rule_gives_samples_far_from_every_mode_no_quality(name: str) -> None:
    ring = data.get("ring8")
    got = mode_coverage(torch.full((200, 2), 50.0), ring, name)
    assert got.high_quality_share == 0
    assert sum(got.histogram) == 0
    assert got.modes_covered == (1 if RULES[name].counts_nearest else 0)


@pytest.mark.parametrize("name", RULES)
def test_rule_counts_each_member_as_if_alone(name: str) -> None:
    ring = data.get("ring8")
    crowd = torch.stack([s * ring.sample(300, rng.stream(i, "data")) for i, s in enumerate((1.0, 1.01, 0.5))])
    crowd[2, 7] = math.nan
    together = mode_coverage(crowd, ring, name)
    for m, samples in enumerate(crowd):
        alone = mode_coverage(samples, ring, name)
        assert tuple(torch.nonzero(together.missing[m]).flatten().tolist()) == alone.missing
        fields = ("modes_covered", "high_quality_share", "histogram", "nearest", "reverse_kl", "js", "kl_off_mode", "spread")
        for field in fields:
            np.testing.assert_allclose(np.asarray(getattr(together, field)[m]), getattr(alone, field), rtol=1e-6, err_msg=field)


@pytest.mark.parametrize("name", RULES)
def test_rule_is_a_radius_that_grows_or_stays_with_dimensions_and_needs_a_sample(name: str) -> None:
    rule = RULES[name]
    radii = [rule.radius(d) for d in (1, 2, 10, 700)]
    assert radii[0] > 0
    assert all(a <= b for a, b in pairwise(radii))
    assert (rule.minimum(100, torch.full((8,), 1 / 8)) >= 1).all()


# --- probes ------------------------------------------------------------------------------------------------------------

WEIGHTS = {"r1": 0.3, "r2": 0.2, "gradient_penalty": 0.5, "dragan": 0.7, "weight_clipping": 0.05}


def small_game(objective: str = "non_saturating", **penalties: float) -> Game:
    def generator() -> nn.Module:
        return nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.Tanh(), nn.Linear(6, 2))

    def discriminator() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 7), nn.LeakyReLU(0.2), nn.Linear(7, 1))

    return Game(generator, discriminator, objective=objective, penalties=penalties)


def views(game: Game, n_members: int = 3, spread: float = 2.0) -> list[View]:
    ring = data.get("ring8_tutorial")
    made = []
    for seed in range(n_members):
        state = State(*(p._replace(parameters=spread * p.parameters.double()) for p in initial(game, seed)))
        generator = rng.stream(seed, "evaluation")
        batch = ganlab.game.Batch(
            ring.sample(9, generator).double(),
            torch.randn(9, 3, generator=generator, dtype=F64),
            torch.rand(9, 3, generator=generator, dtype=F64),
        )
        latent = torch.randn(40, 3, generator=generator, dtype=F64)
        fake = game.generate(state.generator.parameters, latent)
        numbers = {name: torch.tensor(w, dtype=F64) for name, w in game.penalties.items()}
        made.append(View(game, state, batch, fake, numbers, ring))
    return made


def stacked(views_: list[View]) -> tuple:
    parts = [(v.state, v.batch, v.fake, v.numbers) for v in views_]
    return torch.utils._pytree.tree_map(lambda *leaves: torch.stack(leaves), *parts)


GAMES = {"non_saturating": {"r1": 0.3}, "relativistic": {"r2": 0.2}, "wasserstein": {"gradient_penalty": 0.5}, "hinge": {}}


@pytest.mark.parametrize("objective", GAMES)
@pytest.mark.parametrize("name", PROBES)
def test_probe_reads_the_same_from_mapped_parameters_and_from_ordinary_modules(name: str, objective: str) -> None:
    """1e-9: float64, and norms of sums taken in another order."""
    game = small_game(objective, **GAMES[objective])
    seen = views(game)
    assert PROBES[name] in applicable(seen[0].data)
    mapped = vmap(lambda s, b, f, n: dict(PROBES[name](View(game, s, b, f, n, seen[0].data))))(*stacked(seen))
    for m, view in enumerate(seen):
        g, d = (net.to_module(p.parameters) for net, p in zip(game.nets, view.state, strict=True))
        plain = Plain(g, d, game)
        own = PROBES[name](view._replace(game=plain, state=plain.state()))
        assert set(own) == set(mapped)
        for (quantity, labels), value in own.items():
            got = mapped[quantity, labels]
            assert got.shape == (3, len(labels)), quantity
            np.testing.assert_allclose(got[m].numpy(), value.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=quantity)


class Plain:
    """A game played by two ordinary modules: their own forward passes, their own parameters as vectors."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, game: Game) -> None:
        self.modules, self._game = (generator, discriminator), game
        self.nets, self.objective, self.penalties = game.nets, game.objective, game.penalties

    def state(self) -> State:
        return State(*(ganlab.game.Player(nn.utils.parameters_to_vector(m.parameters()).detach(), ()) for m in self.modules))

    def _call(self, i: int, vector: Tensor, x: Tensor) -> Tensor:
        named = dict(self.modules[i].named_parameters())
        parts = vector.split([p.numel() for p in named.values()])
        given = {name: part.view(p.shape) for (name, p), part in zip(named.items(), parts, strict=True)}
        return torch.func.functional_call(self.modules[i], given, (x,))

    def generate(self, theta: Tensor, latent: Tensor) -> Tensor:
        return self._call(0, theta, latent)

    def judge(self, psi: Tensor, x: Tensor) -> Tensor:
        return self._call(1, psi, x).flatten()

    def __getattr__(self, name: str) -> object:
        return getattr(type(self._game), name).__get__(self)


@pytest.mark.parametrize("name", PROBES)
def test_probe_changes_neither_parameters_nor_draws_nor_global_random_states(name: str) -> None:
    view = views(small_game("wasserstein", gradient_penalty=0.5), 1)[0]
    leaves = torch.utils._pytree.tree_leaves((view.state, view.batch, view.fake, view.numbers, view.data.modes))
    copies = [leaf.clone() for leaf in leaves]
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    for value in PROBES[name](view).values():
        assert value.ndim == 1
    assert all(torch.equal(a, b) for a, b in zip(copies, leaves, strict=True))
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert states[2] == random.getstate()


TEXTBOOK: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "non_saturating": (
        lambda r, f: bce(r, torch.ones_like(r)) + bce(f, torch.zeros_like(f)),
        lambda r, f: bce(f, torch.ones_like(f)),
    ),
    "relativistic": (lambda r, f: bce(r - f, torch.ones_like(f)), lambda r, f: bce(f - r, torch.ones_like(f))),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
    "hinge": (lambda r, f: (1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean(), lambda r, f: -f.mean()),
}
"""Losses of discriminator and generator as they are usually written."""


@pytest.mark.parametrize("objective", GAMES)
def test_readings_of_losses_logits_gradients_and_signal_agree_with_backward_through_modules(objective: str) -> None:
    """The textbook way: two modules, backward, and what is left in `.grad`."""
    game = small_game(objective, **GAMES[objective])
    view = views(game, 1)[0]
    got = {}
    for probe in applicable(view.data):
        got |= {name: value for (name, _), value in probe(view).items()}
    g, d = (net.to_module(p.parameters) for net, p in zip(game.nets, view.state, strict=True))
    real, latent, noise = view.batch

    d_loss = TEXTBOOK[objective][0](d(real), d(g(latent).detach()))
    at, penalty = {
        "non_saturating": (real, lambda s: 0.3 * s**2 / 2),
        "relativistic": (g(latent), lambda s: 0.2 * s**2 / 2),
        "wasserstein": (noise[:, :1] * real + (1 - noise[:, :1]) * g(latent), lambda s: 0.5 * (s - 1) ** 2),
        "hinge": (real, lambda s: 0 * s),
    }[objective]
    at = at.detach().requires_grad_()
    (slope,) = torch.autograd.grad(d(at).sum(), at, create_graph=True)
    d_loss = d_loss + penalty(slope.norm(dim=1)).mean()
    d_loss.backward()
    by_layer = [float(p.grad.norm()) for p in d.parameters()]
    np.testing.assert_allclose(got["discriminator_gradient_by_layer"].tolist(), by_layer, rtol=1e-10)
    assert float(got["discriminator_gradient"]) == pytest.approx(math.hypot(*by_layer), rel=1e-10)
    assert float(got["discriminator_loss"]) == pytest.approx(d_loss.item(), rel=1e-12)

    fake = g(latent)
    fake.retain_grad()
    g_loss = TEXTBOOK[objective][1](d(real), d(fake))
    g_loss.backward()
    by_layer = [float(p.grad.norm()) for p in g.parameters()]
    # The bias before a batch norm has no effect: its gradient is 0 up to rounding, 1e-17 here.
    np.testing.assert_allclose(got["generator_gradient_by_layer"].tolist(), by_layer, rtol=1e-10, atol=1e-14)
    assert float(got["generator_loss"]) == pytest.approx(g_loss.item(), rel=1e-12)
    pull = len(fake) * fake.grad.norm(dim=1)
    assert float(got["signal_at_fakes"]) == pytest.approx(float(pull.mean()), rel=1e-10)
    assert float(got["signal_at_fakes_median"]) == pytest.approx(float(np.sort(pull.numpy())[4]), rel=1e-10)

    r, f = d(real).detach().flatten().numpy(), d(g(latent)).detach().flatten().numpy()
    assert float(got["real_logit_mean"]) == pytest.approx(r.mean(), rel=1e-12)
    assert float(got["fake_logit_std"]) == pytest.approx(f.std(ddof=1), rel=1e-12)
    assert float(got["separation"]) == pytest.approx(np.mean(r[:, None] > f[None]), rel=1e-12)
    threshold = OBJECTIVES.entry(objective).facts["threshold"]
    assert ("discriminator_accuracy" in got) == (threshold is not None)
    if threshold is not None:
        accuracy = ((r > threshold).mean() + (f < threshold).mean()) / 2
        assert float(got["discriminator_accuracy"]) == pytest.approx(accuracy)


def test_a_flat_discriminator_reads_exact_zeros_not_gaps() -> None:
    view = views(small_game("wasserstein"), 1)[0]
    flat = view.state._replace(discriminator=view.state.discriminator._replace(parameters=torch.zeros(29, dtype=F64)))
    got = {}
    for probe in applicable(view.data):
        got |= {name: value for (name, _), value in probe(view._replace(state=flat)).items()}
    for name in ("generator_gradient", "signal_at_fakes", "signal_at_fakes_median"):
        assert float(got[name]) == 0.0
    assert float(got["separation"]) == 0.5


def test_readings_of_modes_are_those_of_mode_coverage() -> None:
    view = views(small_game(), 1)[0]
    ring = view.data
    fake = torch.cat([view.fake, ring.sample(100, rng.stream(0, "data")).double()])
    got = PROBES["modes"](view._replace(fake=fake))
    rules = tuple(RULES)
    for i, rule in enumerate(rules):
        wanted = mode_coverage(fake, ring, rule)
        assert int(got["modes_covered", rules][i]) == wanted.modes_covered
        assert float(got["high_quality_share", rules][i]) == pytest.approx(wanted.high_quality_share)
    spread = fake.numpy().std(axis=0)
    wanted_spread = math.sqrt((spread**2).sum() / (2**2 + 2 * 0.08**2))
    assert float(got["spread_overall", ("",)]) == pytest.approx(wanted_spread, rel=1e-10)


def test_readings_pass_non_finite_parameters_on() -> None:
    view = views(small_game(), 1)[0]
    broken = view.state.generator.parameters.clone()
    broken[-1] = math.nan
    state = view.state._replace(generator=view.state.generator._replace(parameters=broken))
    got = {}
    for probe in applicable(view.data):
        got |= {name: value for (name, _), value in probe(view._replace(state=state)).items()}
    for name in ("generator_loss", "generator_gradient", "separation", "fake_logit_mean", "discriminator_accuracy"):
        assert got[name].isnan().all(), name


# --- variants ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*VARIANTS, *(o for o in OBJECTIVES if o not in VARIANTS)])
def test_variant_plans_builds_and_trains(name: str) -> None:
    made = plan(name, "ring8", seeds=2, steps=3, every=1, hidden=(8, 8), batch=8, latent=4, evaluation=32)
    result = train(*build(made), made, keep_state=True)
    assert list(result.outcome["status"]) == ["finished", "finished"]
    for player in ("generator", "discriminator"):
        assert np.isfinite(result.samples[player]).all()
    always = result.trace["name"].isin(["generator_loss", "discriminator_loss", "generator_gradient", "signal_at_fakes"])
    assert np.isfinite(result.trace[always]["value"]).all()
    assert sorted(set(result.trace["step"])) == [0, 1, 2, 3]


@pytest.mark.parametrize("name", VARIANTS)
def test_members_of_a_population_differ_from_the_first_step_on(name: str) -> None:
    game, _ = build(plan(name, "ring8", seeds=2, steps=1, hidden=(8, 8), latent=4))
    one, other, again = (initial(game, seed) for seed in (0, 1, 0))
    for player in range(2):
        assert not torch.equal(one[player].parameters, other[player].parameters)
        assert torch.equal(one[player].parameters, again[player].parameters)
    assert len({rng.derive(seed, purpose) for seed in range(50) for purpose in rng.PURPOSES}) == 50 * len(rng.PURPOSES)
