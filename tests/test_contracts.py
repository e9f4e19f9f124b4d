"""Laws for everything registered: to register a thing is to have it tested.

Here are registries, data, nets, counting rules, probes and variants; `test_objectives`, `test_penalties`, `test_regularizers`,
`test_optim` and `test_updates` have the laws of theirs. Expected values come from closed forms, numpy and torch's own
functions, never from the code under test.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import math
import pkgutil
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.utils._pytree import tree_map

import ganlab
from ganlab import data, rng
from ganlab.data import DATA, images
from ganlab.data.mixtures import Mixture
from ganlab.game import Batch, Game, State, initial
from ganlab.layers import Bidirectional
from ganlab.metrics import RULES, cells_of, mode_coverage
from ganlab.net import Net
from ganlab.nets import NETS
from ganlab.objectives import OBJECTIVES
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
DENSE = [n for n in MIXTURES if (made := data.get(n)).has_density and made.shape[0] <= 2 and len(made.modes) <= 36]
"""With more modes the quadrature takes gigabytes; `test_density` holds samples of those against their density."""
DOUBLED = {"ring8_unrolled_notebook", "ring12_lipizzaner"}
"""Their sources counted one centre twice."""
DECLARED = {"ring8_unequal": [10 / 44, 1 / 44] * 4}


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
    wanted = np.array(DECLARED.get(name, wanted))
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
    "linear": (lambda: NETS["linear"](3, 2), (3,), (2,)),
    "rnn": (lambda: NETS["rnn"]((4, 3), 2, 5), (4, 3), (2,)),
    "lstm": (lambda: NETS["lstm"]((4, 3), 2, 5), (4, 3), (2,)),
    "gru": (lambda: NETS["gru"]((4, 3), (6,), 5), (4, 3), (6,)),
    "mlp_classifier": (lambda: NETS["mlp_classifier"](8, 8, (9, 7)), (1, 8, 8), (10,)),
    "cnn_classifier": (lambda: NETS["cnn_classifier"](8, 8, (3, 4)), (1, 8, 8), (10,)),
    "maxout": (lambda: NETS["maxout"](3, 2, (6, 5), pieces=4), (3,), (2,)),
    "dcgan_generator": (lambda: NETS["dcgan_generator"](3, (1, 8, 8), (4, 3), norm=None), (3,), (1, 8, 8)),
    "dcgan_discriminator": (lambda: NETS["dcgan_discriminator"]((1, 8, 8), 1, (3, 4), norm=None), (1, 8, 8), (1,)),
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

def small_game(objective: str = "non_saturating", **parts: Any) -> Game:
    """A game on the plane; what is no setting of a game is the weight of a penalty."""
    structure = {name: parts.pop(name) for name in ("categories", "labelled", "shown", "packing") if name in parts}
    categories, shown = structure.get("categories", 0), structure.get("shown", "sample")
    n_in = {"sample": 2 * structure.get("packing", 1), "label": 2 + categories, "latent": 2 + 3}[shown]
    n_out = 1 + categories if "classification" in parts else 1

    def generator() -> nn.Module:
        norm = nn.BatchNorm1d(6, track_running_stats=False)
        made = nn.Sequential(nn.Linear(3 + categories, 6), norm, nn.Tanh(), nn.Linear(6, 2))
        return Bidirectional(made, nn.Linear(2, 3)) if shown == "latent" else made

    def discriminator() -> nn.Module:
        return nn.Sequential(nn.Linear(n_in, 7), nn.LeakyReLU(0.2), nn.Linear(7, n_out))

    return Game(generator, discriminator, objective, penalties=parts, latent=3, **structure)


def views(game: Game, n_members: int = 3, spread: float = 2.0, n: int = 9) -> list[View]:
    ring = data.get("ring8_tutorial")
    made = []
    for seed in range(n_members):
        state = State(*(
            tree_map(torch.Tensor.double, p._replace(parameters=spread * p.parameters)) for p in initial(game, seed)
        ))  # fmt: skip
        generator = rng.stream(seed, "evaluation")
        real = ring.sample(n, generator).double()
        latent = torch.randn(n + 40, 3, generator=generator, dtype=F64)
        if game.categories:
            label = torch.randint(game.categories, (n + 40,), generator=generator)
            latent = torch.cat([latent, nn.functional.one_hot(label, game.categories)], 1)
        batch = Batch(
            real,
            latent[:n],
            torch.rand(game.noise_shape(n, (2,)), generator=generator, dtype=F64),
            torch.randn(2, n, 2, generator=generator, dtype=F64) if game.perturbed else (),
        )
        numbers = {name: torch.tensor(w, dtype=F64) for name, w in {"noise_steps": 0.0, **game.penalties}.items()}
        held = ring.held_out(n, generator).double()
        made.append(View(game, state, batch, latent[n:], numbers, ring, real, held))
    return made


def hiding_modes(seen: list[View]) -> list[View]:
    """The same views of data of which only samples are known, as somebody's points are."""
    points = data.Points(seen[0].data.points)
    cells = tree_map(torch.Tensor.double, cells_of(points.sample(600, rng.stream(0, "reference")), 100))
    return [replace(view, data=points, cells=cells) for view in seen]


def stacked(views_: list[View]) -> tuple:
    parts = [(v.state, v.batch, v.latent, v.numbers, v.real, v.held_out, (), v.cells) for v in views_]
    return tree_map(lambda *leaves: torch.stack(leaves), *parts)


GAMES = {"non_saturating": {"r1": 0.3}, "relativistic": {"r2": 0.2}, "wasserstein": {"gradient_penalty": 0.5}, "hinge": {}}
ALL_GAMES: list[tuple[str, dict[str, Any]]] = [
    *GAMES.items(),
    ("softmax", {"instance_noise": 0.5, "historical_averaging": 0.1}),
    ("least_squares", {"packing": 3, "dragan": 0.4, "mode_seeking": 0.2}),
    ("minimax", {"categories": 4, "labelled": True, "classification": 0.6, "gdpp": 0.5}),
    ("non_saturating", {"categories": 4, "labelled": True, "shown": "label", "discriminator_gradient": 0.2}),
    ("two_sided", {"shown": "latent", "r2": 0.3, "orthogonal": 0.1}),
]
"""With parts of every kind: what they are shown, and what they are asked for."""


@pytest.mark.parametrize(("objective", "parts"), ALL_GAMES, ids=lambda v: v if isinstance(v, str) else "-".join(v))
@pytest.mark.parametrize("name", PROBES)
def test_probe_reads_the_same_from_mapped_parameters_and_from_ordinary_modules(
    name: str, objective: str, parts: dict[str, Any]
) -> None:
    """1e-9: float64, and norms of sums taken in another order."""
    game = small_game(objective, **parts)
    seen = hiding_modes(views(game)) if PROBES.entry(name).facts.get("needs") == "no modes" else views(game)
    assert PROBES[name] in applicable(seen[0].data, PROBES.entry(name).facts["reads"])
    mapped = vmap(lambda s, b, z, n, *kinds: dict(PROBES[name](View(game, s, b, z, n, seen[0].data, *kinds))))(*stacked(seen))
    for m, view in enumerate(seen):
        plain = copy.copy(game)
        modules = [net.to_module(p.parameters) for net, p in zip(game.nets, view.state, strict=True)]
        object.__setattr__(plain, "nets", tuple(map(Plain, ("generator", "discriminator"), modules)))
        vectors = [nn.utils.parameters_to_vector(module.parameters()).detach() for module in modules]
        state = State(*(p._replace(parameters=v) for p, v in zip(view.state, vectors, strict=True)))
        own = PROBES[name](replace(view, game=plain, state=state))
        assert set(own) == set(mapped)
        for (quantity, labels), value in own.items():
            got = mapped[quantity, labels]
            assert got.shape == (3, len(labels)), quantity
            np.testing.assert_allclose(got[m].numpy(), value.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=quantity)


class Plain:
    """An ordinary module in place of a net: its own forward pass, its own parameters as a vector."""

    def __init__(self, role: str, module: nn.Module) -> None:
        self.role, self.module = role, module
        named = dict(module.named_parameters())
        self.layers, self.sizes = tuple(named), [p.numel() for p in named.values()]

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        parts = vector.split(self.sizes)
        return {name: part.view(p.shape) for part, (name, p) in zip(parts, self.module.named_parameters(), strict=True)}

    def apply(self, vector: Tensor, x: Tensor, part: str = "") -> Tensor:
        if part:
            own = {name.removeprefix(f"{part}."): v for name, v in self.unflatten(vector).items() if name.startswith(part)}
            return torch.func.functional_call(self.module.get_submodule(part), own, (x,))
        return torch.func.functional_call(self.module, self.unflatten(vector), (x,))

    def features(self, vector: Tensor, x: Tensor) -> Tensor:
        *_, (_, last) = self.module.named_children()
        kept = []
        hook = last.register_forward_hook(lambda module, inputs, output: kept.append(inputs[0]))
        self.apply(vector, x)
        hook.remove()
        return kept[0]


@pytest.mark.parametrize("name", PROBES)
def test_probe_changes_neither_parameters_nor_draws_nor_global_random_states(name: str) -> None:
    view = views(small_game("wasserstein", gradient_penalty=0.5), 1)[0]
    leaves = torch.utils._pytree.tree_leaves((view.state, view.batch, view.latent, view.numbers, view.data.modes))
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
    for probe in applicable(view.data, "players"):
        got |= {name: value for (name, _), value in probe(view).items()}
    g, d = (net.to_module(p.parameters) for net, p in zip(game.nets, view.state, strict=True))
    real, latent, noise, _ = view.batch

    d_loss = TEXTBOOK[objective][0](d(real), d(g(latent).detach()))
    at, penalty = {
        "non_saturating": (lambda: real, lambda s: 0.3 * s**2 / 2),
        "relativistic": (lambda: g(latent), lambda s: 0.2 * s**2 / 2),
        "wasserstein": (lambda: noise[:, :1] * real + (1 - noise[:, :1]) * g(latent), lambda s: 0.5 * (s - 1) ** 2),
        "hinge": (lambda: real, lambda s: 0 * s),
    }[objective]
    at = at().detach().requires_grad_()
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
    for probe in applicable(view.data, "players"):
        got |= {name: value for (name, _), value in probe(replace(view, state=flat)).items()}
    for name in ("generator_gradient", "signal_at_fakes", "signal_at_fakes_median"):
        assert float(got[name]) == 0.0
    assert float(got["separation"]) == 0.5


def test_readings_of_modes_are_those_of_mode_coverage() -> None:
    view = views(small_game(), 1)[0]
    ring = view.data
    fake = torch.cat([view.fake, ring.sample(100, rng.stream(0, "data")).double()])
    got = PROBES["modes"](SimpleNamespace(fake=fake, data=ring))
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
    for probe in applicable(view.data, "players"):
        got |= {name: value for (name, _), value in probe(replace(view, state=state)).items()}
    for name in ("generator_loss", "generator_gradient", "separation", "fake_logit_mean", "discriminator_accuracy"):
        assert got[name].isnan().all(), name


# --- variants ----------------------------------------------------------------------------------------------------------


def small_data(name: str) -> str:
    """Its own data, small digits in place of files that may not be here, the ring where it has none."""
    own = VARIANTS[name].get("data", "ring8") if name in VARIANTS else "ring8"
    return "digits" if own.startswith("mnist") else own


def small_nets(name: str) -> dict[str, Any]:
    """Eight units a layer; recipes keep their nets."""
    return {} if name.startswith("recipe:") else {"hidden": (8, 8)}


@pytest.mark.parametrize("name", [*VARIANTS, *(o for o in OBJECTIVES if o not in VARIANTS)])
def test_variant_plans_builds_and_trains(name: str) -> None:
    steps = 1 if name.startswith("recipe:") else 3
    made = plan(name, small_data(name), seeds=2, steps=steps, every=1, batch=12, latent=4, evaluation=32, **small_nets(name))
    result = train(*build(made), made, keep_state=True)
    assert list(result.outcome["status"]) == ["finished", "finished"]
    for player in ("generator", "discriminator"):
        assert np.isfinite(result.samples[player]).all()
    always = result.trace["name"].isin(["generator_loss", "discriminator_loss", "generator_gradient", "signal_at_fakes"])
    assert np.isfinite(result.trace[always]["value"]).all()
    assert sorted(set(result.trace["step"])) == list(range(steps + 1))


@pytest.mark.parametrize("name", VARIANTS)
def test_members_of_a_population_differ_from_the_first_step_on(name: str) -> None:
    game, _ = build(plan(name, small_data(name), seeds=2, steps=1, batch=12, latent=4, **small_nets(name)))
    one, other, again = (initial(game, seed) for seed in (0, 1, 0))
    for player in range(2):
        assert not torch.equal(one[player].parameters, other[player].parameters)
        assert torch.equal(one[player].parameters, again[player].parameters)
    assert len({rng.derive(seed, purpose) for seed in range(50) for purpose in rng.PURPOSES}) == 50 * len(rng.PURPOSES)
