"""Every update rule on games whose paths are known: bilinear, Dirac-GANs, and quadratic games of several numbers.

Distances and rates are closed forms (Gidel et al. 2019; Mescheder, Geiger and Nowozin 2018; Daskalakis et al. 2018); whole
paths are held to `ganlab.dynamics`, which plays vector fields in numpy and shares no line with the rules under test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ganlab.dynamics import simulate
from ganlab.game import Batch, Game, Player, State, step
from ganlab.objectives import OBJECTIVES
from ganlab.optim import OPTIMIZERS
from ganlab.updates import UPDATES, move_generator, remembered

F64 = torch.float64
RULES: dict[str, Any] = {
    "unroll": 0, "n_critic": 1, "lookahead": 0, "average": None, "perturbed": False, "penalties": {}, "frozen_at": None,
}  # fmt: skip
"""What a step asks of a game beside its losses and its update."""

Loss = Callable[[Tensor, Tensor], Tensor]


class Draws(NamedTuple):
    """Draws of a game that needs none, which keep count of what is asked for."""

    asked: list[int]

    def draw(self, i: int) -> Draws:
        self.asked.append(i)
        return self


def game_of(generator: Loss, discriminator: Loss, update: str = "simultaneous", optimizer: str = "sgd", **rules: Any) -> Any:
    """A game with these losses of (theta, psi)."""
    return SimpleNamespace(
        generator_loss=lambda theta, psi, batch, numbers, kept: generator(theta, psi),
        discriminator_loss=lambda psi, theta, batch, numbers, kept: discriminator(theta, psi),
        nets=(SimpleNamespace(sizes=[1]), SimpleNamespace(sizes=[1])), update=update, optimizer=optimizer,
        **{**RULES, **rules},
    )  # fmt: skip


def bilinear(update: str = "simultaneous", optimizer: str = "sgd", **rules: Any) -> Any:
    """min over theta, max over psi of theta psi."""
    return game_of(lambda t, p: (t * p).sum(), lambda t, p: -(t * p).sum(), update, optimizer, **rules)


def dirac(objective: str, update: str, gamma: float = 0.0, **rules: Any) -> Any:
    """Data at 0, the sample at theta, D(x) = psi x, R1 of weight gamma."""

    def loss(i: int, t: Tensor, p: Tensor) -> Tensor:
        return OBJECTIVES[objective](0 * p, p * t)[i]

    return game_of(lambda t, p: loss(1, t, p), lambda t, p: loss(0, t, p) + gamma / 2 * p.square().sum(), update, **rules)


def numbers(lr: float, lr_discriminator: float | None = None, **others: float) -> dict[str, Tensor]:
    given = {"momentum": 0.0, **others, "lr": lr, "lr_discriminator": lr if lr_discriminator is None else lr_discriminator}
    return {name: torch.tensor(value, dtype=F64) for name, value in given.items()}


def start(game: Any, theta: Any, psi: Any) -> State:
    players = []
    for i, value in enumerate((theta, psi)):
        x = torch.atleast_1d(torch.as_tensor(value, dtype=F64))
        players.append(Player(x, OPTIMIZERS[game.optimizer].init(x), remembered(game, x, generator=i == 0)))
    return State(*players)


def path_of(game: Any, given: Mapping[str, Tensor], steps: int, theta: Any = 1.0, psi: Any = 1.0) -> np.ndarray:
    """Both players after each step, `[steps + 1, player]`, the generator's numbers first."""
    state = start(game, theta, psi)
    points = []
    for _ in range(steps + 1):
        points.append(torch.cat([player.parameters for player in state]).numpy())
        state, _ = step(game, state, Draws([]), given)
    return np.stack(points)


def squares(path: np.ndarray) -> np.ndarray:
    return (path**2).sum(1)


def flat(state: State) -> np.ndarray:
    """Parameters and memories as one vector; counts of steps, which have no axis, are left out."""
    return torch.cat([x for player in state for x in (player.parameters, *player.memory) if x.ndim]).numpy()


def spectrum(game: Any, given: Mapping[str, Tensor], size: float = 1.0) -> np.ndarray:
    """Moduli of the eigenvalues of a step as a linear map of parameters and memories, largest first.

    The map is read off steps from each unit vector of length `size`, after a step was taken from 0.
    """
    origin, _ = step(game, start(game, 0.0, 0.0), Draws([]), given)
    columns = []
    for i in range(len(flat(origin))):
        places = iter(size * np.eye(len(flat(origin)))[i])
        moved = State(*(
            Player(filled(player.parameters, places), tuple(filled(x, places) for x in player.memory)) for player in origin
        ))  # fmt: skip
        columns.append(flat(step(game, moved, Draws([]), given)[0]) / size)
    return np.sort(np.abs(np.linalg.eigvals(np.stack(columns, 1))))[::-1]


def filled(like: Tensor, places: Any) -> Tensor:
    return torch.tensor([next(places) for _ in like], dtype=F64) if like.ndim else like


# --- laws --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", UPDATES)
def test_rule_asks_for_as_many_batches_as_it_is_registered_to(update: str) -> None:
    facts = UPDATES.entry(update).facts
    for n_critic in (1,) if facts["paired"] else (1, 3):
        draws = Draws([])
        game = bilinear(update, n_critic=n_critic)
        step(game, start(game, 1.0, 1.0), draws, numbers(0.1, consensus=1.0))
        assert set(draws.asked) == set(range(n_critic + facts["n_draws"]))


@pytest.mark.parametrize("update", UPDATES)
def test_rule_rests_at_an_equilibrium_and_passes_what_is_not_finite_on(update: str) -> None:
    game = dirac("non_saturating", update)
    given = numbers(0.2, consensus=1.0)
    assert squares(path_of(game, given, 3, theta=0.0, psi=0.0)).tolist() == [0, 0, 0, 0]
    assert np.isnan(path_of(game, given, 2, theta=math.nan)[2]).all()


@pytest.mark.parametrize("update", UPDATES)
def test_rule_reports_the_losses_that_it_moved_by(update: str) -> None:
    """On the bilinear game from (2, 3): where the step begins, but for what has moved by then."""
    game = bilinear(update)
    _, losses = step(game, start(game, 2.0, 3.0), Draws([]), numbers(0.1, consensus=1.0))
    theta, psi = 2.0, 3.0
    if update == "alternating":
        wanted = (-theta * psi, theta * (psi + 0.1 * theta))
    elif update == "extragradient":
        wanted = (-(theta - 0.1 * psi) * (psi + 0.1 * theta), (theta - 0.1 * psi) * (psi + 0.1 * theta))
    else:
        wanted = (-theta * psi, theta * psi)
    assert [float(loss) for loss in losses] == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("update", UPDATES)
def test_rule_moves_each_player_by_its_own_learning_rate(update: str) -> None:
    """On the bilinear game a rate tau times higher for psi is the same game in psi / sqrt(tau), at the rate's mean."""
    if update in ("consensus", "symplectic"):  # their adjustments multiply by both rates in turn
        given = numbers(0.1, 0.0, consensus=1.0)
        assert path_of(bilinear(update), given, 1)[1, 1] == 1.0
        assert path_of(bilinear(update), numbers(0.1, 0.4, consensus=1.0), 1)[1, 0] == path_of(bilinear(update), given, 1)[1, 0]
        return
    path = path_of(bilinear(update), numbers(0.1, 0.4), 5, theta=1.0, psi=2.0)
    even = path_of(bilinear(update), numbers(0.2), 5, theta=1.0, psi=1.0)
    np.testing.assert_allclose(path, even * [1.0, 2.0], rtol=1e-12)


# --- bilinear game: contraction of the squared distance -------------------------------------------------------------------


@pytest.mark.parametrize("h", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("update", "factor"),
    [
        ("simultaneous", lambda h: 1 + h**2),
        ("extragradient", lambda h: 1 - h**2 + h**4),
        ("consensus", lambda h: (1 - 0.7 * h) ** 2 + h**2),  # weight 0.7
        ("symplectic", lambda h: (1 - h) ** 2 + h**2),  # weight 1
    ],
)
def test_squared_distance_is_multiplied_by_its_known_factor_in_every_step(
    update: str, factor: Callable[[float], float], h: float
) -> None:
    r2 = squares(path_of(bilinear(update), numbers(h, consensus=0.7), 20))
    np.testing.assert_allclose(r2[1:] / r2[:-1], factor(h), rtol=1e-12)


def test_extragradient_converges_below_1_and_fastest_where_the_factor_is_three_quarters() -> None:
    def factor(h: float) -> float:
        return float(np.divide(*squares(path_of(bilinear("extragradient"), numbers(h), 1))[::-1]))

    assert factor(0.99) < 1 < factor(1.01)
    assert factor(math.sqrt(0.5)) == pytest.approx(0.75, rel=1e-12)
    assert min(factor(0.65), factor(0.75)) > 0.75


@pytest.mark.parametrize("gamma", [0.3, 2.0])
def test_consensus_converges_exactly_below_its_bound(gamma: float) -> None:
    bound = 2 * gamma / (1 + gamma**2)
    for h, shrinks in ((0.99 * bound, True), (1.01 * bound, False)):
        r2 = squares(path_of(bilinear("consensus"), numbers(h, consensus=gamma), 1))
        assert (r2[1] < r2[0]) == shrinks


@pytest.mark.parametrize("h", [0.1, 0.3, 0.5])
def test_optimistic_steps_contract_at_their_known_rate(h: float) -> None:
    """In the long run by (1 + sqrt(1 - 4 h^2)) / 2."""
    game = bilinear("simultaneous", "optimistic")
    assert spectrum(game, numbers(h))[0] ** 2 == pytest.approx((1 + math.sqrt(1 - 4 * h**2)) / 2, rel=1e-7)
    r2 = squares(path_of(game, numbers(h), 200))
    assert r2[200] < r2[100] < r2[0]


def test_optimistic_steps_converge_below_one_over_the_root_of_three() -> None:
    game = bilinear("simultaneous", "optimistic")
    for h, below in ((0.577, True), (0.578, False)):
        assert (spectrum(game, numbers(h))[0] < 1) == below


@pytest.mark.parametrize("h", [0.1, 0.2, 1.0])
def test_alternating_steps_keep_a_quadratic_form(h: float) -> None:
    """theta^2 + psi^2 + h theta psi, the discriminator first; simultaneous steps do not."""
    for update, kept in (("alternating", True), ("simultaneous", False)):
        theta, psi = path_of(bilinear(update), numbers(h), 50).T
        form = theta**2 + psi**2 + h * theta * psi
        assert bool(np.allclose(form, 2 + h, rtol=1e-12)) == kept


@pytest.mark.parametrize("n_critic", [1, 3])
def test_alternating_steps_circle_until_the_rates_are_too_high(n_critic: int) -> None:
    """Modulus 1 for a = h sqrt(n) up to 2, and above it that of 1 - a^2/2 - sqrt((1 - a^2/2)^2 - 1)."""
    game = bilinear("alternating", n_critic=n_critic)
    np.testing.assert_allclose(spectrum(game, numbers(1.9 / math.sqrt(n_critic)))[:2], 1, rtol=1e-6)
    a = 2.05
    half = 1 - a**2 / 2
    wanted = abs(half - math.sqrt(half**2 - 1))
    assert spectrum(game, numbers(a / math.sqrt(n_critic)))[0] == pytest.approx(wanted, rel=1e-9)
    assert wanted == pytest.approx(1.5625)


@pytest.mark.parametrize(("h", "momentum"), [(0.5, -0.5), (0.2, -0.3), (0.2, 0.5)])
def test_momentum_under_alternating_steps_has_the_eigenvalues_of_its_polynomial(h: float, momentum: float) -> None:
    """(z - 1)^2 (z - beta)^2 + h^2 z^3 = 0, Gidel et al. 2019b, section 5."""
    polynomial = np.polymul(np.polymul([1, -1], [1, -1]), np.polymul([1, -momentum], [1, -momentum]))
    roots = np.roots(np.polyadd(polynomial, [h**2, 0, 0, 0]))
    got = spectrum(bilinear("alternating"), numbers(h, momentum=momentum))
    np.testing.assert_allclose(got, np.sort(np.abs(roots))[::-1], rtol=1e-6)


def test_negative_momentum_converges_where_none_and_positive_momentum_do_not() -> None:
    """Under alternating steps (Gidel et al. 2019b, theorem 6); under simultaneous ones it does not help."""
    largest = {
        (update, momentum): spectrum(bilinear(update), numbers(0.2, momentum=momentum))[0]
        for update in ("alternating", "simultaneous")
        for momentum in (-0.5, 0.0, 0.5)
    }
    assert largest.pop(("alternating", -0.5)) < 0.996
    assert largest.pop(("alternating", 0.0)) == pytest.approx(1, abs=1e-9)
    assert min(largest.values()) > 1.001
    r2 = squares(path_of(bilinear("alternating"), numbers(0.2, momentum=-0.5), 100))
    assert r2[100] < 0.5 * r2[0]


# --- Dirac-GANs ----------------------------------------------------------------------------------------------------------

H = 0.2


def test_simultaneous_steps_leave_the_dirac_gan_by_the_square_of_its_slope() -> None:
    """r^2 is multiplied by 1 + h^2 f'(s)^2 in each step; with D(x) = psi x for real, f'(s) = sigma(psi theta)."""
    path = path_of(dirac("minimax", "simultaneous"), numbers(H), 300)
    slope = 1 / (1 + np.exp(-path[:-1].prod(1)))
    r2 = squares(path)
    np.testing.assert_allclose(r2[1:] / r2[:-1], 1 + H**2 * slope**2, rtol=1e-12)
    assert (np.diff(r2) > 0).all()


@pytest.mark.parametrize("objective", ["minimax", "non_saturating"])
def test_simultaneous_steps_with_r1_contract_at_their_known_rate(objective: str) -> None:
    """sqrt(1 - h gamma + h^2 f'(0)^2) near the equilibrium, which is 0.97468; unstable from h = 4 gamma on."""
    rate = math.sqrt(1 - H * 0.3 + H**2 / 4)
    assert rate == pytest.approx(0.97468, abs=1e-5)
    moduli = spectrum(dirac(objective, "simultaneous", 0.3), numbers(H), 1e-6)
    np.testing.assert_allclose(moduli[:2], rate, rtol=1e-9)
    for h, stable in ((1.19, True), (1.21, False)):
        assert (spectrum(dirac(objective, "simultaneous", 0.3), numbers(h), 1e-6)[0] < 1) == stable


@pytest.mark.parametrize("objective", ["minimax", "non_saturating"])
def test_alternating_steps_with_r1_contract_at_their_known_rate(objective: str) -> None:
    """sqrt(1 - h gamma), which is 0.96954."""
    moduli = spectrum(dirac(objective, "alternating", 0.3), numbers(H), 1e-6)
    np.testing.assert_allclose(moduli[:2], math.sqrt(1 - H * 0.3), rtol=1e-9)
    assert math.sqrt(1 - H * 0.3) == pytest.approx(0.96954, abs=1e-5)


RADII = [
    ("minimax", 0.0, "simultaneous", 1, {100: 1.963, 500: 3.097}),
    ("minimax", 0.0, "alternating", 1, {100: 1.404, 500: 1.421}),
    ("minimax", 0.0, "alternating", 5, {100: 2.447}),
    ("non_saturating", 0.0, "simultaneous", 1, {100: 0.7415, 500: 0.6402}),
    ("non_saturating", 0.0, "alternating", 1, {100: 0.5755, 500: 0.2839}),
    ("non_saturating", 0.0, "alternating", 5, {100: 0.546}),
    ("minimax", 0.3, "simultaneous", 1, {100: 0.0990}),
    ("minimax", 0.3, "alternating", 1, {100: 0.0610, 500: 2.30e-7}),
    ("minimax", 1.0, "simultaneous", 1, {100: 3.79e-4, 500: 9.5e-22}),
    ("minimax", 1.0, "alternating", 5, {100: 7.4e-3}),
    ("non_saturating", 0.3, "simultaneous", 1, {100: 0.0766}),
    ("non_saturating", 0.3, "alternating", 1, {100: 0.0485}),
]


@pytest.mark.parametrize(("objective", "gamma", "update", "n_critic", "radii"), RADII, ids=str)
def test_distances_from_the_equilibrium_of_the_dirac_gan(
    objective: str, gamma: float, update: str, n_critic: int, radii: dict[int, float]
) -> None:
    """From (1, 1) in the notebook's sign of psi, to the digits known; there the generator moves first."""
    game = dirac(objective, update, gamma, n_critic=n_critic)
    given = numbers(H)
    theta, psi = torch.tensor([1.0], dtype=F64), torch.tensor([-1.0], dtype=F64)
    if update == "alternating":
        first = start(game, theta, psi)
        theta = move_generator(game, first.generator, first.discriminator, Draws([]), given)[0].parameters
    thetas, psis = path_of(game, given, max(radii), theta, psi).T
    if update == "alternating":  # the generator's move that began each pair was made at the end of the step before
        thetas = np.concatenate([[1.0], thetas[:-1]])
    for at, wanted in radii.items():
        assert math.hypot(thetas[at], psis[at]) == pytest.approx(wanted, rel=0.06 if wanted < 1e-10 else 0.01)


TWINS = [
    ("minimax", "dirac_gan", "simultaneous", "simultaneous", {"r1": 0.3}, {}),
    ("non_saturating", "dirac_non_saturating", "simultaneous", "simultaneous", {}, {}),
    ("relativistic", "dirac_non_saturating", "simultaneous", "simultaneous", {"r1": 0.1}, {}),
    ("minimax", "dirac_gan", "extragradient", "extragradient", {"r1": 0.1}, {}),
    ("non_saturating", "dirac_non_saturating", "extragradient", "extragradient", {}, {}),
    ("minimax", "dirac_gan", "consensus", "consensus", {}, {"gamma": 0.7}),
    ("non_saturating", "dirac_non_saturating", "consensus", "consensus", {"r1": 0.1}, {"gamma": 0.7}),
]


@pytest.mark.parametrize(("objective", "field", "update", "rule", "of_game", "of_rule"), TWINS)
def test_path_is_that_of_the_vector_field(
    objective: str, field: str, update: str, rule: str, of_game: dict[str, float], of_rule: dict[str, float]
) -> None:
    """In numpy, with the notebook's sign of psi."""
    path = path_of(dirac(objective, update, of_game.get("r1", 0.0)), numbers(H, consensus=0.7), 100, 1.0, -0.5)
    twin = simulate(field, rule=rule, step_size=H, steps=100, start=(1.0, 0.5), **of_game, **of_rule)
    np.testing.assert_allclose(path, twin * [1, -1], rtol=1e-9, atol=1e-13)


def test_optimistic_path_is_that_of_the_vector_field() -> None:
    path = path_of(dirac("minimax", "simultaneous", optimizer="optimistic"), numbers(H), 100, 1.0, -0.5)
    twin = simulate("dirac_gan", rule="optimistic", step_size=H, steps=100, start=(1.0, 0.5))
    np.testing.assert_allclose(path, twin * [1, -1], rtol=1e-9, atol=1e-13)


def test_clipped_critic_circles_inside_its_band() -> None:
    """Constraints hold after each of the discriminator's moves."""
    game = game_of(
        lambda t, p: -(t * p).sum(), lambda t, p: (t * p).sum(), penalties={"weight_clipping": 0.8}, n_critic=1,
    )  # fmt: skip
    path = path_of(game, numbers(H, weight_clipping=0.8), 100, 1.0, -0.5)
    twin = simulate("dirac_wgan", step_size=H, steps=100, start=(1.0, 0.5), clip=0.8)
    np.testing.assert_allclose(path, twin * [1, -1], rtol=1e-9, atol=1e-13)
    assert np.abs(path[:, 1]).max() == 0.8


@pytest.mark.parametrize("update", UPDATES)
def test_a_game_of_nets_plays_the_dirac_gan_as_the_game_of_numbers_does(update: str) -> None:
    """G(z) = theta z with z = 1, D(x) = psi x, data at 0, R1 of weight 0.3: the same path, parameters of one weight each."""
    nets = Game(
        lambda: nn.Linear(1, 1, bias=False), lambda: nn.Linear(1, 1, bias=False), "non_saturating", {"r1": 0.3},
        update=update, optimizer="sgd",
    )  # fmt: skip
    real = torch.zeros(nets.n_draws, 4, 1, dtype=F64)
    batch = Batch(real, real + 1, torch.empty(nets.n_draws, 0))
    given = numbers(H, r1=0.3, consensus=0.7)
    state = start(nets, 1.0, -0.5)
    for point in path_of(dirac("non_saturating", update, 0.3), given, 20, 1.0, -0.5):
        np.testing.assert_allclose(torch.cat([player.parameters for player in state]).numpy(), point, rtol=1e-10, atol=1e-14)
        state, _ = step(nets, state, batch, given)


# --- quadratic games of two and three numbers ------------------------------------------------------------------------------


def quadratic(seed: int, update: str) -> tuple[Any, np.ndarray]:
    """A random quadratic game, and its Hessian: the joint gradient at x is H x."""
    random = np.random.default_rng(seed)
    a, b, c, d = (random.standard_normal(shape) for shape in ((2, 2), (2, 3), (3, 3), (3, 2)))
    a, c = a + a.T, c + c.T
    hessian = np.block([[a, b], [d, c]])
    of_a, of_b, of_c, of_d = (torch.from_numpy(part) for part in (a, b, c, d))
    game = game_of(
        lambda t, p: t @ of_a @ t / 2 + t @ of_b @ p, lambda t, p: p @ of_c @ p / 2 + p @ of_d @ t, update
    )
    game.nets = (SimpleNamespace(sizes=[1, 1]), SimpleNamespace(sizes=[3]))
    return game, hessian


X = np.array([0.3, -0.7, 0.5, 1.1, -0.2])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("update", ["simultaneous", "alternating", "extragradient", "consensus", "symplectic"])
def test_step_on_a_quadratic_game_is_its_formula_in_matrices(update: str, seed: int) -> None:
    game, hessian = quadratic(seed, update)
    lr, gamma = 0.05, 0.7
    gradient = hessian @ X
    turning = (hessian - hessian.T) / 2
    if update == "alternating":
        after = X - lr * gradient * [0, 0, 1, 1, 1]
        wanted = after - lr * (hessian @ after) * [1, 1, 0, 0, 0]
    else:
        agreed = (gradient @ hessian.T @ gradient) * ((turning.T @ gradient) @ (hessian.T @ gradient)) / 3 + 0.1  # 3 tensors
        wanted = X - lr * {
            "simultaneous": gradient,
            "extragradient": hessian @ (X - lr * gradient),
            "consensus": gradient + gamma * hessian.T @ gradient,
            "symplectic": gradient + np.sign(agreed) * turning.T @ gradient,
        }[update]
    got = path_of(game, numbers(lr, consensus=gamma), 1, X[:2], X[2:])[1]
    np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-13)


def test_symplectic_adjustment_leans_either_way_on_these_games() -> None:
    """So that the test above sees both signs; it is always towards +1 where the game only turns."""
    signs = set()
    for seed in range(6):
        game, hessian = quadratic(seed, "symplectic")
        adjustment = X - path_of(game, numbers(1.0), 1, X[:2], X[2:])[1] - hessian @ X
        signs.add(float(np.sign(adjustment @ ((hessian - hessian.T).T @ hessian @ X))))
    assert signs == {-1.0, 1.0}


# --- looking through the discriminator's updates -----------------------------------------------------------------------------


@pytest.mark.parametrize("unroll", [0, 1, 2, 5])
@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_unrolled_generator_on_the_bilinear_game(update: str, unroll: int) -> None:
    """k updates ahead psi is psi + k l theta, so the loss is theta psi + k l theta^2 and its slope psi + 2 k l theta."""
    theta, psi, lr, lr_discriminator = 2.0, 3.0, 0.1, 0.3
    moved = psi + lr_discriminator * theta
    faced = moved if update == "alternating" else psi
    wanted = (theta - lr * (faced + 2 * unroll * lr_discriminator * theta), moved)
    game = bilinear(update, unroll=unroll)
    state, losses = step(game, start(game, theta, psi), Draws([]), numbers(lr, lr_discriminator))
    assert [float(player.parameters) for player in state] == pytest.approx(wanted, rel=1e-14)
    assert float(losses.generator) == pytest.approx(theta * faced + unroll * lr_discriminator * theta**2, rel=1e-14)


def test_unrolling_goes_through_adam_and_leaves_the_discriminator_where_it_was() -> None:
    """The generator's slope by central differences of the loss after three of Adam's steps by torch."""
    adam = {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}
    given = numbers(1.0, 0.1, **adam)
    game = dirac("minimax", "simultaneous", unroll=3)
    game.optimizer = "adam"
    state = start(game, 0.8, -0.4)

    def loss_ahead(theta: float) -> float:
        psi = torch.tensor([-0.4], dtype=F64, requires_grad=True)
        optimizer = torch.optim.Adam([psi], lr=0.1, betas=(0.5, 0.9), eps=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            OBJECTIVES["minimax"](0 * psi, psi * theta).discriminator.backward()
            optimizer.step()
        return float(OBJECTIVES["minimax"](0 * psi, psi * theta).generator.detach())

    game.optimizer = "adam"
    moved, loss = move_generator(game, state.generator, state.discriminator, Draws([]), given)
    assert float(loss) == pytest.approx(loss_ahead(0.8), rel=1e-12)
    slope = (loss_ahead(0.8 + 1e-5) - loss_ahead(0.8 - 1e-5)) / 2e-5
    first_moment = float(moved.memory[0])  # (1 - beta1) times the gradient
    assert first_moment / 0.5 == pytest.approx(slope, rel=1e-7)
    assert float(state.discriminator.parameters) == -0.4


def test_unrolling_makes_the_bilinear_game_converge() -> None:
    """Metz et al. 2017: without it the same steps circle."""
    for unroll, converges in ((0, False), (1, True)):
        r2 = squares(path_of(bilinear("alternating", unroll=unroll), numbers(0.2), 200))
        assert (r2[-1] < 1e-3) == converges


# --- what players remember -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "rate"), [(1, 0.5), (5, 0.5), (4, 0.3)])
def test_lookahead_goes_back_to_its_slow_weights_every_k_steps(k: int, rate: float) -> None:
    """As complex numbers the fast steps multiply by 1 + i h; a return by 1 - a + a (1 + i h)^k since the last one."""
    h = 0.3
    path = path_of(bilinear("simultaneous", lookahead=k), numbers(h, lookahead_rate=rate), 3 * k + 1)
    slow = 1 + 1j
    for t, (theta, psi) in enumerate(path):
        here = slow * (1 + 1j * h) ** (t % k)
        assert complex(theta, psi) == pytest.approx(here, rel=1e-12), t
        if (t + 1) % k == 0:
            slow = slow * (1 - rate + rate * (1 + 1j * h) ** k)


def test_lookahead_is_that_of_the_vector_field_and_converges_where_plain_steps_do_not() -> None:
    path = path_of(bilinear("simultaneous", lookahead=5), numbers(0.3, lookahead_rate=0.5), 100)
    twin = simulate("bilinear", rule="lookahead", step_size=0.3, steps=100, k=5, alpha=0.5)
    np.testing.assert_allclose(path, twin, rtol=1e-12, atol=1e-14)
    assert squares(path)[-1] < 0.1 < squares(path_of(bilinear(), numbers(0.3), 100))[-1]


def test_lookahead_keeps_the_optimisers_memory_when_it_goes_back() -> None:
    game = bilinear("simultaneous", lookahead=1)
    given = numbers(0.1, momentum=0.5, lookahead_rate=0.5)
    state, _ = step(game, start(game, 1.0, 2.0), Draws([]), given)
    assert float(state.generator.parameters) == pytest.approx(1 - 0.5 * 0.1 * 2)
    assert float(state.generator.memory[0]) == 2.0


def test_running_mean_of_the_generator_alone_follows_its_definition_and_moves_nobody() -> None:
    """Yaz et al. 2019, equation 5, from the first weights on."""
    game, plain = bilinear("alternating", average=0.9), bilinear("alternating")
    given = numbers(0.1, average=0.9)
    path = path_of(plain, given, 10)
    state, mean = start(game, 1.0, 1.0), 1.0
    assert "average" not in state.discriminator.kept
    for theta, psi in path[1:]:
        state, _ = step(game, state, Draws([]), given)
        mean = 0.9 * mean + 0.1 * theta
        assert float(state.generator.kept["average"]) == pytest.approx(mean, rel=1e-13)
        assert [float(player.parameters) for player in state] == [theta, psi]


def test_history_is_the_mean_of_start_and_all_steps_after_a_return_to_slow_weights() -> None:
    game = bilinear("simultaneous", lookahead=2, penalties={"historical_averaging": 0.0})
    state, given = start(game, 1.0, 1.0), numbers(0.3, lookahead_rate=0.5)
    past = [[float(player.parameters)] for player in state]
    for _ in range(6):
        state, _ = step(game, state, Draws([]), given)
        for own, player in zip(past, state, strict=True):
            own.append(float(player.parameters))
            assert float(player.kept["history"]) == pytest.approx(np.mean(own), rel=1e-12)


def test_a_game_that_reads_nothing_of_the_past_remembers_nothing() -> None:
    game = bilinear()
    state, _ = step(game, start(game, 1.0, 1.0), Draws([]), numbers(0.1))
    assert all(not player.kept for player in state)


# --- a generator that freezes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_frozen_generator_stands_and_the_discriminator_climbs_from_its_start_in_equal_steps(at: int) -> None:
    """On theta psi the discriminator alone gains h theta a step; fresh, it begins at 0.7 again."""
    game, free = (bilinear("alternating", frozen_at=f, fresh_discriminator=True) for f in (at, None))
    path, unfrozen = (path_of(g, numbers(0.1), at + 5, 1.0, 0.7) for g in (game, free))
    np.testing.assert_array_equal(path[:at], unfrozen[:at])
    np.testing.assert_array_equal(path[at:, 0], unfrozen[at, 0])
    np.testing.assert_allclose(path[at:, 1], 0.7 + 0.1 * unfrozen[at, 0] * np.arange(6), rtol=1e-12)


def test_a_discriminator_that_goes_on_keeps_its_place_and_its_memory() -> None:
    """Heavy ball: v <- 0.5 v + theta, psi <- psi + 0.1 v, with the speed that it had when the generator froze."""
    game = bilinear("simultaneous", frozen_at=2, fresh_discriminator=False)
    path = path_of(game, numbers(0.1, momentum=0.5), 6, 1.0, 0.7)
    theta, psi, speed = path[2, 0], path[2, 1], (path[2, 1] - path[1, 1]) / 0.1
    for there in path[3:, 1]:
        speed = 0.5 * speed + theta
        psi += 0.1 * speed
        assert there == pytest.approx(psi, rel=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_fresh_discriminator_has_no_memory_and_a_frozen_generator_keeps_its_own(optimizer: str) -> None:
    game = bilinear("alternating", optimizer, frozen_at=2, fresh_discriminator=True, average=0.5)
    given = numbers(0.1, momentum=0.5, beta1=0.5, beta2=0.9, epsilon=1e-8, decay=0.9, average=0.5)
    states = [start(game, 1.0, 0.7)]
    for _ in range(5):
        states.append(step(game, states[-1], Draws([]), given)[0])
    first, frozen = states[0].discriminator, states[2].generator
    assert torch.equal(states[2].discriminator.parameters, first.parameters)
    for one, other in zip(tree_leaves(states[2].discriminator.memory), tree_leaves(first.memory), strict=True):
        assert torch.equal(one, other)
    for later in states[3:]:
        assert torch.equal(later.generator.parameters, frozen.parameters)
        assert torch.equal(later.generator.kept["average"], frozen.kept["average"])
        assert not torch.equal(later.discriminator.parameters, first.parameters)
    assert [float(state.generator.kept["left"]) for state in states] == [2.0, 1.0, 0.0, -1.0, -2.0, -3.0]
