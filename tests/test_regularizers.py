"""Every regulariser against its paper's formula, by torch's own functions and numpy, on games of a few numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import grad
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from ganlab.game import Batch, Game, initial, pack, step
from ganlab.layers import Bidirectional, Several
from ganlab.objectives import OBJECTIVES
from ganlab.regularizers import REGULARIZERS, Turn

F64 = torch.float64
N, LATENT, CATEGORIES = 6, 3, 4

MADE_FOR: dict[str, dict[str, Any]] = {
    "classification": {"categories": CATEGORIES, "labelled": True},
    "information": {"categories": CATEGORIES},
    "identification": {"categories": CATEGORIES},
    "reconstruction": {"shown": "latent"},
}
"""The structure of a game that a regulariser needs."""


def game_of(penalties: dict[str, float], objective: str = "non_saturating", **structure: Any) -> Game:
    """A game of small tanh nets on the plane, as these parts need them."""
    categories, shown = structure.get("categories", 0), structure.get("shown", "sample")
    scored = 1 + categories if penalties.keys() & {"classification", "information", "identification"} else 1

    def generator() -> nn.Module:
        if "identification" in penalties:
            return Several(categories, lambda: nn.Linear(LATENT, 2))
        made = nn.Sequential(nn.Linear(LATENT + categories, 5), nn.Tanh(), nn.Linear(5, 2))
        return Bidirectional(made, nn.Linear(2, LATENT)) if shown == "latent" else made

    def discriminator() -> nn.Module:
        n_in = 2 + (LATENT if shown == "latent" else 0)
        return nn.Sequential(nn.Linear(n_in, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, scored))

    return Game(generator, discriminator, objective, penalties, latent=LATENT, **structure)


def batch_of(game: Game, n: int = N, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(n, LATENT, generator=generator, dtype=F64)
    if game.categories:
        label = one_hot(torch.randint(game.categories, (n,), generator=generator), game.categories)
        latent = torch.cat([latent, label.to(F64)], 1)
    return Batch(torch.randn(n, 2, generator=generator, dtype=F64), latent, torch.empty(n, 0, dtype=F64))


def parameters(game: Game, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Of generator and discriminator, twice their usual size, for curvature."""
    theta, psi = (2 * player.parameters.double() for player in initial(game, seed))
    return theta, psi


def turn_of(game: Game, role: str, theta: Tensor, psi: Tensor, batch: Batch, kept: dict[str, Tensor] | None = None) -> Turn:
    """What a regulariser sees, put together by hand."""
    sample = game.nets[0].apply(theta, batch.latent)
    real, fake = batch.real, sample
    if game.shown == "latent":
        code = game.nets[0].apply(theta, batch.real, part="encoder")
        real, fake = torch.cat([real, code], 1), torch.cat([fake, batch.latent], 1)
    real, fake = pack(real, game.packing), pack(fake, game.packing)
    scores = [game.nets[1].apply(psi, x) for x in (real, fake)]
    return Turn(game, role, theta, psi, batch, sample, real, fake, *scores, kept or {})


def numbers(**values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=F64) for name, value in values.items()}


# --- laws --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGULARIZERS)
def test_regulariser_adds_its_weight_times_itself_to_the_loss_of_its_player_alone(name: str) -> None:
    game = game_of({name: 0.7}, **MADE_FOR.get(name, {}))
    theta, psi = parameters(game)
    batch = batch_of(game)
    kept = {"history": torch.tensor(0.1, dtype=F64)}
    losses = {"generator": (game.generator_loss, theta, psi), "discriminator": (game.discriminator_loss, psi, theta)}
    for role, (loss, own, other) in losses.items():
        added = loss(own, other, batch, numbers(**{name: 0.7}), kept) - loss(own, other, batch, numbers(**{name: 0.0}), kept)
        value = float(REGULARIZERS[name](turn_of(game, role, theta, psi, batch, kept)))
        player = REGULARIZERS.entry(name).facts["player"]
        assert abs(value) > 1e-4
        assert float(added) == pytest.approx(0.7 * value if player in (role, "both") else 0.0, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_regulariser_gradient_agrees_with_finite_differences(name: str) -> None:
    """Central differences, step 1e-5, for every parameter of the player that is asked."""
    game = game_of({name: 1.0}, **MADE_FOR.get(name, {}))
    theta, psi = parameters(game)
    batch = batch_of(game, 12)
    player = REGULARIZERS.entry(name).facts["player"]
    kept = {"history": torch.tensor(0.1, dtype=F64)}

    def of(role: str) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        if role == "generator":
            return lambda p: REGULARIZERS[name](turn_of(game, role, p, psi, batch, kept)), theta
        return lambda p: REGULARIZERS[name](turn_of(game, role, theta, p, batch, kept)), psi

    for role in ("generator", "discriminator") if player == "both" else (player,):
        value, at = of(role)
        wanted = torch.stack([(value(at + e) - value(at - e)) / 2e-5 for e in 1e-5 * torch.eye(len(at), dtype=F64)])
        np.testing.assert_allclose(grad(value)(at).numpy(), wanted.numpy(), rtol=2e-5, atol=1e-7)
        assert wanted.abs().max() > 1e-3


# --- label smoothing -----------------------------------------------------------------------------------------------------


def discriminator_loss_and_gradient(game: Game, weights: dict[str, float]) -> tuple[float, np.ndarray]:
    theta, psi = parameters(game)
    batch, given = batch_of(game), numbers(**weights)
    loss = game.discriminator_loss(psi, theta, batch, given)
    return float(loss), grad(game.discriminator_loss)(psi, theta, batch, given).numpy()


def by_hand(game: Game, loss: Callable[[Tensor, Tensor], Tensor]) -> tuple[float, np.ndarray]:
    """A loss of real and fake logits by backward through an ordinary module."""
    theta, psi = parameters(game)
    batch, module = batch_of(game), game.nets[1].to_module(psi)
    value = loss(module(batch.real)[:, 0], module(game.generate(theta, batch.latent))[:, 0])
    value.backward()
    return value.item(), torch.cat([p.grad.flatten() for p in module.parameters()]).numpy()


CROSS_ENTROPIES = ("minimax", "zero_sum", "non_saturating", "boundary_seeking", "density_ratio", "two_sided")


@pytest.mark.parametrize("objective", CROSS_ENTROPIES)
def test_label_smoothing_is_cross_entropy_with_a_smaller_target_for_real_samples(objective: str) -> None:
    game = game_of({"label_smoothing": 0.1}, objective)
    value, gradient = discriminator_loss_and_gradient(game, {"label_smoothing": 0.1})
    bce = binary_cross_entropy_with_logits
    wanted, slope = by_hand(game, lambda r, f: bce(r, torch.full_like(r, 0.9)) + bce(f, torch.zeros_like(f)))
    assert value == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-14)


def test_label_smoothing_of_least_squares_is_a_smaller_target_up_to_a_constant() -> None:
    """:math:`\\frac12(r - 1)^2 + e r = \\frac12(r - (1 - e))^2 + e - e^2/2`."""
    game = game_of({"label_smoothing": 0.1}, "least_squares")
    value, gradient = discriminator_loss_and_gradient(game, {"label_smoothing": 0.1})
    wanted, slope = by_hand(game, lambda r, f: 0.5 * (r - 0.9).square().mean() + 0.5 * f.square().mean())
    assert value == pytest.approx(wanted + 0.1 - 0.005, rel=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-14)


# --- weights ---------------------------------------------------------------------------------------------------------------


def weights_of(*matrices: np.ndarray, conv: bool = False) -> tuple[Game, Tensor]:
    """A discriminator of these weights, with biases of 7."""
    layers: list[nn.Module] = [nn.Linear(w.shape[1], w.shape[0]) for w in matrices]
    if conv:
        layers = [nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(3, 1)]
    game = Game(lambda: nn.Linear(LATENT, 2), lambda: nn.Sequential(*(type_of(layer) for layer in layers)), penalties={})
    psi = torch.cat([torch.cat([torch.from_numpy(w).flatten(), torch.full((w.shape[0],), 7.0, dtype=F64)]) for w in matrices])
    return game, psi


def type_of(layer: nn.Module) -> nn.Module:
    """A fresh layer of the same sizes: a net is built anew for each seed."""
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, layer.out_features)
    return nn.Conv2d(2, 3, 2) if isinstance(layer, nn.Conv2d) else nn.Flatten()


def orthogonality(game: Game, psi: Tensor) -> float:
    nothing: Any = None
    return float(REGULARIZERS["orthogonal"](Turn(game, "discriminator", nothing, psi, *[nothing] * 6, {})))


def rotation(n: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def test_orthogonal_is_zero_for_orthogonal_weights_whatever_the_biases() -> None:
    """Wide and tall ones too: rows or columns of unit length and at right angles, whichever are fewer."""
    game, psi = weights_of(rotation(4)[:, :2], rotation(4, 1), rotation(4, 2)[:1])
    assert orthogonality(game, psi) == pytest.approx(0, abs=1e-28)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_orthogonal_is_exact_for_a_scaled_rotation(scale: float) -> None:
    """n (c^2 - 1)^2 for each n x n weight."""
    game, psi = weights_of(scale * rotation(2), scale * rotation(2, 1))
    assert orthogonality(game, psi) == pytest.approx(4 * (scale**2 - 1) ** 2, rel=1e-12, abs=1e-28)


def test_orthogonal_of_any_weights_is_that_of_their_singular_values() -> None:
    random = np.random.default_rng(0)
    wide, tall = random.standard_normal((3, 5)), random.standard_normal((6, 3))
    wanted = sum(float(((np.linalg.svd(w, compute_uv=False) ** 2 - 1) ** 2).sum()) for w in (wide, tall))
    assert orthogonality(*weights_of(wide, tall)) == pytest.approx(wanted, rel=1e-12)


def test_orthogonal_reads_a_convolution_as_a_matrix_of_its_output_channels() -> None:
    random = np.random.default_rng(0)
    kernel, last = random.standard_normal((3, 8)), random.standard_normal((1, 3))
    wanted = sum(float(((np.linalg.svd(w, compute_uv=False) ** 2 - 1) ** 2).sum()) for w in (kernel, last))
    assert orthogonality(*weights_of(kernel, last, conv=True)) == pytest.approx(wanted, rel=1e-12)


def test_discriminator_gradient_is_what_autograd_finds_for_the_objective_alone() -> None:
    """With another penalty in the game, which is no part of it (Nagarajan and Kolter 2017)."""
    game = game_of({"discriminator_gradient": 0.5, "r1": 3.0}, "minimax")
    theta, psi = parameters(game)
    batch, module = batch_of(game), game.nets[1].to_module(psi)
    real, fake = module(batch.real), module(game.generate(theta, batch.latent))
    bce = binary_cross_entropy_with_logits
    (bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))).backward()
    wanted = sum(float(p.grad.square().sum()) for p in module.parameters())
    got = REGULARIZERS["discriminator_gradient"](turn_of(game, "generator", theta, psi, batch))
    assert float(got) == pytest.approx(wanted, rel=1e-10)


# --- the past ----------------------------------------------------------------------------------------------------------------


def test_historical_averaging_is_zero_at_the_start_and_then_the_distance_to_the_mean_of_the_past() -> None:
    """:math:`|\\theta - \\frac1t \\sum_i \\theta_i|^2`, the start counted."""
    game = game_of({"historical_averaging": 0.3}, optimizer="sgd")
    state, batch = initial(game, 0), batch_of(game)
    given = {name: v.float() for name, v in numbers(historical_averaging=0.3, lr=0.5, lr_discriminator=0.5, momentum=0).items()}
    past: list[list[np.ndarray]] = [[], []]
    for t in range(5):
        theta, psi = (player.parameters for player in state)
        for own, player, role in zip(past, state, ("generator", "discriminator"), strict=True):
            own.append(player.parameters.numpy())
            wanted = float(np.square(own[-1] - np.mean(own, 0)).sum())
            turn = Turn(game, role, theta, psi, batch, *[None] * 5, player.kept)
            got = float(REGULARIZERS["historical_averaging"](turn))
            assert got == pytest.approx(wanted, rel=1e-4, abs=1e-12)
            assert (got == 0) == (t == 0)
        batches = Batch(*(torch.stack([part.float()] * 2) for part in batch_of(game, seed=t)[:3]))
        state, _ = step(game, state, batches, given)


# --- diversity of samples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [6, 7])
def test_mode_seeking_is_one_over_the_ratio_of_mean_distances(n: int) -> None:
    """Between the halves of a batch, an odd sample left out; 1e-5 added to the ratio, as in the released code."""
    game = game_of({"mode_seeking": 1.0})
    theta, psi = parameters(game)
    turn = turn_of(game, "generator", theta, psi, batch_of(game, n))
    x, z = turn.sample.numpy(), turn.batch.latent.numpy()
    ratio = np.abs(x[:3] - x[3:6]).mean() / np.abs(z[:3] - z[3:6]).mean()
    assert float(REGULARIZERS["mode_seeking"](turn)) == pytest.approx(1 / (ratio + 1e-5), rel=1e-12)


def test_mode_seeking_of_a_collapsed_generator_is_the_largest_it_can_be() -> None:
    game = game_of({"mode_seeking": 1.0})
    theta, psi = parameters(game)
    turn = turn_of(game, "generator", theta, psi, batch_of(game))
    assert float(REGULARIZERS["mode_seeking"](turn._replace(sample=torch.ones(N, 2, dtype=F64)))) == pytest.approx(1e5)


IDENTITY = Game(nn.Linear(LATENT, 3), nn.Sequential(nn.Identity(), nn.Linear(3, 1)), penalties={"gdpp": 1.0})
"""A discriminator whose last layer reads what it is shown: features are the samples."""


def gdpp(real: Tensor, fake: Tensor) -> Tensor:
    nothing, psi = torch.empty(0), torch.zeros(4)
    turn = Turn(IDENTITY, "generator", nothing, psi, nothing, nothing, real, fake, nothing, nothing, {})
    return REGULARIZERS["gdpp"](turn)


def features(*sizes: float, seed: int = 0, n: int = 40) -> Tensor:
    """Features of different sizes, so that the eigenvalues of their kernel are well apart."""
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=F64) * torch.tensor(sizes, dtype=F64)


def spectrum(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    rows = x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True)
    return np.linalg.eigh(rows.T @ rows)


def test_gdpp_is_zero_for_equal_samples_in_any_order_and_of_any_length() -> None:
    """Each sample is scaled to length 1, and a kernel knows no order."""
    x = features(1, 2, 4)
    assert float(gdpp(x, x)) == pytest.approx(0, abs=1e-12)
    assert float(gdpp(x, x.flip(0))) == pytest.approx(0, abs=1e-12)
    assert float(gdpp(x, 3 * x)) == pytest.approx(0, abs=1e-12)
    assert float(gdpp(x, features(4, 2, 1))) > 1


def test_gdpp_equals_numpy() -> None:
    """Squared distance of eigenvalues, and cosines of eigenvectors, weighted by the real eigenvalues scaled to [0, 1]."""
    real, fake = features(1, 2, 4), features(1, 3, 2, seed=1)
    (values, vectors), (of_fake, turned) = spectrum(real), spectrum(fake)
    share = (values - values.min()) / (values.max() - values.min())
    cosines = np.abs((vectors * turned).sum(0))
    wanted = np.square(values - of_fake).mean() + (share * (1 - cosines)).mean()
    assert float(gdpp(real, fake)) == pytest.approx(wanted, rel=1e-6)


def test_gdpp_eigenvalues_are_those_of_the_kernel_between_samples() -> None:
    """The paper's kernel is `[batch, batch]`; ours has its eigenvalues without the zeros. Rotating features moves none."""
    real = features(1, 2, 4)
    rows = real.numpy() / np.linalg.norm(real.numpy(), axis=1, keepdims=True)
    between_samples = np.linalg.eigvalsh(rows @ rows.T)
    np.testing.assert_allclose(spectrum(real)[0], between_samples[-3:], rtol=1e-10)
    np.testing.assert_allclose(between_samples[:-3], 0, atol=1e-12)


def test_gdpp_gradient_agrees_with_finite_differences_and_with_eigh() -> None:
    """1e-5: what the width of 1e-5 does to eigenvalues that are 1 and more apart is far below; the rest is rounding."""
    real, fake = features(1, 2, 4), features(1, 3, 2, seed=1)
    gradient = grad(lambda x: gdpp(real, x))(fake)
    for i, j in ((0, 0), (7, 1), (39, 2)):
        e = torch.zeros_like(fake)
        e[i, j] = 1e-5
        difference = float(gdpp(real, fake + e) - gdpp(real, fake - e)) / 2e-5
        assert float(gradient[i, j]) == pytest.approx(difference, rel=1e-5, abs=1e-8)

    leaf = fake.clone().requires_grad_()
    rows = nn.functional.normalize(leaf, dim=1)
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    real_values, real_vectors = (torch.from_numpy(part) for part in spectrum(real))
    share = (real_values - real_values.min()) / (real_values.max() - real_values.min())
    cosines = (real_vectors * vectors).sum(0).abs()
    ((real_values - values).square().mean() + (share * (1 - cosines)).mean()).backward()
    np.testing.assert_allclose(gradient.numpy(), leaf.grad.numpy(), rtol=1e-4, atol=1e-7)


def test_gdpp_gradient_is_finite_where_eigenvalues_repeat() -> None:
    """Features along the axes alike: the kernel is a multiple of the identity, and eigh's own gradient is not finite."""
    even = torch.eye(3, dtype=F64).repeat(4, 1)
    assert torch.isfinite(grad(lambda x: gdpp(features(1, 2, 4), x))(even)).all()
    assert torch.isfinite(grad(lambda x: gdpp(even, x))(features(1, 2, 4))).all()
    control = even.clone().requires_grad_()
    torch.linalg.eigh(control.T @ control)[1][0, 1].backward()
    assert not torch.isfinite(control.grad).all()


# --- categories and codes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["classification", "information", "identification"])
def test_scores_of_categories_are_judged_by_torchs_cross_entropy(name: str) -> None:
    """Those after the logit; of real samples too where their categories are known."""
    game = game_of({name: 1.0}, **MADE_FOR[name])
    theta, psi = parameters(game)
    turn = turn_of(game, "discriminator", theta, psi, batch_of(game))
    label = turn.batch.latent[:, LATENT:].argmax(1)
    assert len(set(label.tolist())) > 1
    wanted = cross_entropy(turn.fake_scores[:, 1:], label)
    if name == "classification":
        wanted = wanted + cross_entropy(turn.real_scores[:, 1:], label)
    assert float(REGULARIZERS[name](turn)) == pytest.approx(float(wanted), rel=1e-12)


@pytest.mark.parametrize("name", ["classification", "information", "identification"])
def test_scores_that_tell_nothing_cost_the_logarithm_of_the_number_of_categories(name: str) -> None:
    game = game_of({name: 1.0}, **MADE_FOR[name])
    turn = turn_of(game, "discriminator", *parameters(game), batch_of(game))
    even = torch.ones(N, 1 + CATEGORIES, dtype=F64)
    sides = 2 if name == "classification" else 1
    got = REGULARIZERS[name](turn._replace(real_scores=even, fake_scores=even))
    assert float(got) == pytest.approx(sides * math.log(CATEGORIES), rel=1e-12)


def test_logits_of_the_objective_are_the_first_scores_alone() -> None:
    game = game_of({"information": 0.0}, **MADE_FOR["information"])
    theta, psi = parameters(game)
    batch = batch_of(game)
    turn = turn_of(game, "discriminator", theta, psi, batch)
    wanted = OBJECTIVES["non_saturating"](turn.real_scores[:, 0], turn.fake_scores[:, 0])
    given = numbers(information=0.0)
    assert float(game.discriminator_loss(psi, theta, batch, given)) == pytest.approx(float(wanted.discriminator), rel=1e-12)
    assert float(game.generator_loss(theta, psi, batch, given)) == pytest.approx(float(wanted.generator), rel=1e-12)


def test_reconstruction_is_the_mean_squared_distance_of_latents_to_what_is_encoded() -> None:
    game = game_of({"reconstruction": 1.0}, shown="latent")
    theta, psi = parameters(game)
    batch, module = batch_of(game), game.nets[0].to_module(theta)
    encoded = module.encoder(module(batch.latent)).detach().numpy()
    wanted = np.square(np.linalg.norm(batch.latent.numpy() - encoded, axis=1)).mean()
    got = REGULARIZERS["reconstruction"](turn_of(game, "generator", theta, psi, batch))
    assert float(got) == pytest.approx(float(wanted), rel=1e-12)


def test_reconstruction_is_zero_for_an_encoder_that_undoes_the_generator() -> None:
    def both() -> nn.Module:
        return Bidirectional(nn.Linear(2, 2), nn.Linear(2, 2))

    game = Game(both, nn.Linear(4, 1), penalties={"reconstruction": 1.0}, shown="latent")
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, -1.0])
    parts = (a, b, np.linalg.inv(a), -np.linalg.inv(a) @ b)
    theta = torch.cat([torch.from_numpy(part).flatten() for part in parts])
    real, latent = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    turn = turn_of(game, "generator", theta, torch.zeros(5, dtype=F64), Batch(real, latent, torch.empty(0)))
    assert float(REGULARIZERS["reconstruction"](turn)) == pytest.approx(0, abs=1e-28)
