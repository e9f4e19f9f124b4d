"""Eigenvalues of games of nets: the Dirac-GAN's closed forms, the dense matrix on tiny nets, and gradients along a path."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ganlab.cycles import path_statistics
from ganlab.dynamics import eigenvalues as analytic_eigenvalues
from ganlab.game import Batch, Game, State, initial
from ganlab.rotation import eigenvalues, jacobian_product, joint_gradient, joint_point, rotation_index
from ganlab.updates import both_gradients

F64 = torch.float64


class Point(nn.Module):
    """A generator that makes the same sample, theta, of any latent."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(1))

    def forward(self, z: Tensor) -> Tensor:
        return self.theta.expand(len(z), 1)


def dirac(objective: str, **rules: Any) -> Game:
    """Data at 0, the sample at theta, D(x) = psi x."""
    return Game(Point, nn.Linear(1, 1, bias=False), objective, latent=1, **rules)


def at(game: Game, *points: Any) -> State:
    players = zip(initial(game, 0), points, strict=True)
    return State(*(player._replace(parameters=torch.tensor(p, dtype=F64)) for player, p in players))


def numbers(**given: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=F64) for name, value in given.items()}


def draws(real: Tensor, latent: Tensor) -> Batch:
    return Batch(real, latent, torch.empty(len(real), 0))


def ordered(values: Any) -> list[complex]:
    return sorted(values, key=lambda z: (round(z.real, 6), z.imag))


AT_ZERO = draws(torch.zeros(4, 1), torch.zeros(4, 1))


# --- the Dirac-GAN ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["minimax", "non_saturating", "relativistic"])
@pytest.mark.parametrize("r1", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_dirac_gan_has_its_eigenvalues_in_closed_form(objective: str, r1: float, tau: float) -> None:
    """-tau r1/2 +- sqrt(tau^2 r1^2/4 - tau/4), and as the analytic games have them."""
    game = dirac(objective, penalties={"r1": r1})
    found = eigenvalues(game, at(game, [0.0], [0.0]), AT_ZERO, numbers(r1=r1), tau=tau)
    root = np.emath.sqrt(tau**2 * r1**2 / 4 - tau / 4)
    expected = [-tau * r1 / 2 + root, -tau * r1 / 2 - root]
    for others in (expected, analytic_eigenvalues("dirac_gan", r1=r1, tau=tau)):
        np.testing.assert_allclose(ordered(found), ordered(others), atol=1e-8)  # a double one is good to 1e-8 only


def test_wasserstein_dirac_turns_at_twice_the_rate_and_has_an_infinite_index() -> None:
    game = dirac("wasserstein")
    found = eigenvalues(game, at(game, [0.0], [0.0]), AT_ZERO, {})
    np.testing.assert_allclose(sorted(found.imag), [-1, 1], atol=1e-12)
    assert rotation_index(found) == math.inf


# --- tiny nets -------------------------------------------------------------------------------------------------------------


def tiny(**rules: Any) -> tuple[Game, State, Batch, dict[str, Tensor]]:
    """Return nets of 58 and 33 numbers, at their start, with a batch and the weights of their penalties."""
    nets = [nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, n)) for n in (2, 1)]
    game = Game(*nets, **{"penalties": {"r1": 0.3}, **rules})
    rng = torch.Generator().manual_seed(0)
    real, latent = (torch.randn(32, 2, generator=rng) for _ in range(2))
    return game, initial(game, 3), draws(real, latent), numbers(**game.penalties)


def dense(game: Game, state: State, batch: Batch, given: dict[str, Tensor], tau: float = 1.0) -> np.ndarray:
    """The Jacobian of the field, by autograd over autograd, with nothing shared but the losses."""
    n = len(state.generator.parameters)
    batch = Batch(*(x.double() for x in batch[:3]))
    w = torch.cat([player.parameters for player in state]).double()

    def field(w: Tensor) -> Tensor:
        theta, psi = w[:n], w[n:]
        of_theta = torch.autograd.grad(game.generator_loss(theta, psi, batch, given), theta, create_graph=True)[0]
        of_psi = torch.autograd.grad(game.discriminator_loss(psi, theta, batch, given), psi, create_graph=True)[0]
        return -torch.cat([of_theta, tau * of_psi])

    return torch.autograd.functional.jacobian(field, w).numpy()


@pytest.mark.parametrize(("objective", "tau"), [("non_saturating", 1.0), ("hinge", 3.0), ("relativistic", 1.0)])
def test_largest_eigenvalues_are_those_of_the_matrix(objective: str, tau: float) -> None:
    game, state, batch, given = tiny(objective=objective)
    matrix = dense(game, state, batch, given, tau)
    all_of_them = np.linalg.eigvals(matrix)
    by_size = all_of_them[np.argsort(-abs(all_of_them))]
    found = eigenvalues(game, state, batch, given, k=6, tau=tau)
    np.testing.assert_allclose(abs(found), abs(by_size[:6]), rtol=1e-7)
    for z in found:
        assert abs(all_of_them - z).min() < 1e-8 * abs(z)
    rightmost = eigenvalues(game, state, batch, given, k=4, which="LR", tau=tau)
    assert rightmost[0].real == pytest.approx(all_of_them.real.max(), rel=1e-6)


def test_product_is_that_with_the_transposed_matrix_and_all_eigenvalues_are_had_when_asked_for() -> None:
    game, state, batch, given = tiny()
    matrix, product = dense(game, state, batch, given, 2.0), jacobian_product(game, state, batch, given, 2.0)
    u = np.random.default_rng(0).standard_normal(len(matrix))
    np.testing.assert_allclose(product(u), matrix.T @ u, rtol=1e-9, atol=1e-12)
    assert len(eigenvalues(game, state, batch, given, k=90)) == len(matrix) == 75


def test_eigenvalues_are_the_same_at_every_call_and_the_state_is_left_alone() -> None:
    game, state, batch, given = tiny()
    before = [player.parameters.clone() for player in state]
    first, second = (eigenvalues(game, state, batch, given, k=5) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert all(torch.equal(a, player.parameters) for a, player in zip(before, state, strict=True))


def test_rotation_index_on_known_eigenvalues() -> None:
    assert rotation_index([-1.0 + 0j, -3.0 + 0j]) == 0
    assert rotation_index([0j, -1 + 2j, -1 - 2j, -10 + 0j]) == 2
    assert rotation_index([1j, -1j]) == math.inf


# --- along a path ----------------------------------------------------------------------------------------------------------


def test_joint_gradient_is_that_of_the_players_losses() -> None:
    game, state, batch, given = tiny()
    point = joint_point(state)
    theta, psi = (player.parameters.double() for player in state)
    exact = Batch(*(x.double() for x in batch[:3]))
    expected = torch.cat(both_gradients(game, state, (theta, psi), exact, given))
    np.testing.assert_allclose(joint_gradient(game, state, batch, given)(point), expected.numpy(), rtol=1e-12)
    unit = 1e-6 * torch.eye(len(theta), dtype=F64)[4]
    up, down = (game.generator_loss(x, psi, exact, given) for x in (theta + unit, theta - unit))
    assert float(up - down) / 2e-6 == pytest.approx(float(expected[4]), rel=1e-6)


def test_path_into_the_dirac_equilibrium_with_a_penalty_attracts_and_without_one_turns() -> None:
    """On the line from (0, 1) to the equilibrium the penalty pulls along it by psi, the loss across it by psi/2."""
    cosines = {}
    for r1 in (0.0, 1.0):
        game = dirac("non_saturating", penalties={"r1": r1})
        state = at(game, [0.0], [0.0])
        field = joint_gradient(game, state, AT_ZERO, numbers(r1=r1))
        cosines[r1] = path_statistics(field, [0.0, 1.0], [0.0, 0.0], 1, [0.5, 0.9, 1.1]).cosine
    np.testing.assert_allclose(cosines[0.0], 0, atol=1e-12)
    np.testing.assert_allclose(cosines[1.0], np.array([1, 1, -1]) / math.sqrt(1 + 0.5**2), rtol=1e-9)


def test_weights_at_their_limit_are_not_pushed_outward() -> None:
    """The critic's gradient pushes psi = 1 outward while the sample is on one side, and back when on the other."""
    game = dirac("wasserstein", penalties={"weight_clipping": 1.0})
    field = joint_gradient(game, at(game, [0.0], [0.0]), AT_ZERO, numbers(weight_clipping=1.0))
    outward, inward = (field(np.array([theta, 1.0]))[1] for theta in (-2.0, 2.0))
    assert (outward, inward) == (0.0, 2.0)
    assert field(np.array([-2.0, 0.5]))[1] == -2.0
