"""Analytic games against closed forms, published trajectories, autograd, plain loops and SciPy's integrators.

A distance is that to (0, 0); h is the step size. A start of 1e-9 keeps a path where the field is linear to 1e-18.
"""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import islice, pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp
from scipy.special import expit
from scipy.stats import norm

from ganlab.dynamics import GAMES, RULES, bilinear_contraction, eigenvalues, jacobian, running_mean, simulate, velocity
from ganlab.dynamics.games import NODES, WEIGHTS
from ganlab.dynamics.rules import Play
from ganlab.objectives import OBJECTIVES
from ganlab.registry import InputError


def radius(path: np.ndarray) -> np.ndarray:
    return np.linalg.norm(path, axis=1)


def linear_map(game: str, steps: int = 1, **settings: Any) -> np.ndarray:
    """Return the matrix that a rule without memory multiplies small distances with, `[player, player]`."""
    small = 1e-9
    return np.stack([simulate(game, start=small * unit, steps=steps, **settings)[-1] / small for unit in np.eye(2)], axis=1)


def ordered(values: Any) -> np.ndarray:
    """Sort complex numbers whose real parts may be equal but for round-off."""
    return np.array(sorted(np.asarray(values, complex), key=lambda z: (round(z.real, 6), z.imag)))


# --- fields ------------------------------------------------------------------------------------------------------------

POINTS = [(1.0, 1.0), (-0.7, 2.0), (0.3, -1.9), (-2.0, -0.4), (5.0, 4.0)]


@pytest.mark.parametrize("point", POINTS, ids=str)
@pytest.mark.parametrize(
    ("game", "objective", "r1"),
    [
        ("dirac_gan", "minimax", 0.0),
        ("dirac_gan", "minimax", 0.3),
        ("dirac_non_saturating", "non_saturating", 0.3),
        ("dirac_non_saturating", "relativistic", 0.0),
        ("dirac_wgan", "wasserstein", 0.0),
    ],
)
def test_field_is_the_descent_of_the_losses(game: str, objective: str, r1: float, point: tuple[float, float]) -> None:
    """By autograd. The source's D grows where the data are not, so the logit of a sample x is -psi x here."""
    theta, psi = (torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in point)
    losses = OBJECTIVES[objective](-psi * 0.0, -psi * theta)
    by_psi = torch.autograd.grad(losses.discriminator + r1 / 2 * psi.square().sum(), psi, retain_graph=True)
    by_theta = torch.autograd.grad(losses.generator, theta)
    expected = [-float(by_theta[0]), -float(by_psi[0])]
    np.testing.assert_allclose(velocity(game, point, **({"r1": r1} if r1 else {})), expected, rtol=1e-13)


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_wgan_gp_field_is_the_descent_of_its_loss(point: tuple[float, float]) -> None:
    theta, psi = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in point)
    value = psi * theta - 0.45 * (psi.abs() - 0.2).square()
    by_theta, by_psi = (float(g) for g in torch.autograd.grad(value, (theta, psi)))
    np.testing.assert_allclose(velocity("dirac_wgan_gp", point, weight=0.9, target=0.2), [-by_theta, by_psi], rtol=1e-13)


def test_mean_wgan_field_is_the_descent_of_its_loss() -> None:
    """E<w, x> - E<w, z + theta> = <w, v - theta>: the discriminator climbs it and the generator descends."""
    theta, w = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([0.5, -1.0], [2.0, 0.3]))
    value = w @ (torch.tensor([3.0, 4.0], dtype=torch.float64) - theta)
    by_theta, by_w = torch.autograd.grad(value, (theta, w))
    expected = [*(-by_theta).tolist(), *by_w.tolist()]
    assert velocity("mean_wgan", [0.5, -1.0, 2.0, 0.3]).tolist() == expected


def test_quadratic_field_is_the_descent_of_its_cost() -> None:
    x, y = (torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in ([0.5, -1.0], [2.0, 0.3]))
    cost = -2 * x[0] ** 2 + x[1] ** 2 - 4 * x[0] * y[0] + 2 * x[1] * y[1] - y[0] ** 2 - 2 * y[1] ** 2
    by_x, by_y = torch.autograd.grad(cost, (x, y))
    expected = [*(-by_x).tolist(), *(3 * by_y).tolist()]
    np.testing.assert_allclose(velocity("quadratic", [0.5, -1.0, 2.0, 0.3], tau=3), expected, rtol=1e-14)


@pytest.mark.parametrize("std", [0.3, 0.7, 1.5])
def test_noise_field_is_its_integral(std: float) -> None:
    theta, psi = 0.8, -1.2

    def mean(of: Any) -> float:
        return quad(lambda e: of(std * e) * norm.pdf(e), -12, 12, epsabs=1e-13, limit=200)[0]

    theta_dot = mean(lambda n: -psi * expit(-psi * (theta + n)))
    psi_dot = mean(lambda n: (theta + n) * expit(-psi * (theta + n)) - n * expit(psi * n))
    assert velocity("dirac_instance_noise", (theta, psi), std=std) == pytest.approx([theta_dot, psi_dot], abs=1e-12)


def test_noise_field_is_within_sampling_error_of_the_notebooks_draws() -> None:
    theta, psi, std, n = 1.0, 1.0, 0.7, 100_000
    real, fake = std * np.random.default_rng(0).standard_normal((2, n))
    draws = (theta + fake) * expit(-psi * (theta + fake)) - real * expit(psi * real)
    got = velocity("dirac_instance_noise", (theta, psi))[1]
    assert got == pytest.approx(draws.mean(), abs=4 * draws.std() / math.sqrt(n))


def test_no_noise_is_plain_dirac_gan() -> None:
    for point in POINTS:
        expected = velocity("dirac_gan", point)
        np.testing.assert_allclose(velocity("dirac_instance_noise", point, std=0.0), expected, rtol=1e-13, atol=1e-16)


def test_quadrature_integrates_polynomials_exactly() -> None:
    """Moments 0, 2, 4, 6 of the standard normal are 1, 1, 3, 15."""
    assert [float(WEIGHTS @ NODES**k) for k in (0, 1, 2, 4, 6)] == pytest.approx([1, 0, 1, 3, 15], abs=1e-11)


def test_consensus_field_is_the_consensus_rule_on_the_plain_game() -> None:
    """One has the gradient of |v|^2/2 by hand, the other by the Jacobian."""
    for gamma in (0.3, 1.0):
        by_hand = simulate("dirac_consensus", gamma=gamma, steps=100)
        np.testing.assert_allclose(by_hand, simulate("dirac_gan", rule="consensus", gamma=gamma, steps=100), atol=1e-14)


def test_relativistic_path_is_the_plain_one() -> None:
    for rule in RULES:
        paths = [simulate(game, rule=rule, steps=200) for game in ("dirac_relativistic", "dirac_gan")]
        np.testing.assert_allclose(*paths, rtol=1e-12)


# --- published radii on the Dirac-GAN ----------------------------------------------------------------------------------

REFERENCE = {
    ("dirac_gan",): "1.963 3.097  1.404 1.421  2.447 1.845",
    ("dirac_non_saturating",): "0.7415 0.6402  0.5755 0.2839  0.546 0.1389",
    ("dirac_wgan", "clip", 1.0): "1.272 1.002  0.9775 1.024  0.731 0.9169",
    ("dirac_wgan_gp",): "1.799 1.802  1.438 1.221  0.7057 0.7163",
    ("dirac_gan", "r1", 0.3): "0.0990 2.64e-6  0.0610 2.30e-7  2.7e-7 9e-34",
    ("dirac_gan", "r1", 1.0): "3.79e-4 9.5e-22  1.09e-3 7.5e-17  7.4e-3 5.1e-12",
    ("dirac_non_saturating", "r1", 0.3): "0.0766 2.2e-6  0.0485 1.5e-7  3.5e-7 4e-34",
}
"""Distances after 100 and 500 steps of 0.2 from (1, 1): simultaneous, alternating, alternating with n_critic = 5."""

PLAYS: list[dict[str, Any]] = [{}, {"rule": "alternating"}, {"rule": "alternating", "n_critic": 5}]


@pytest.mark.parametrize("game", REFERENCE, ids=str)
def test_reference_radii_agree_to_every_digit_they_are_stated_with(game: tuple[Any, ...]) -> None:
    """Stricter than 1 % but where a radius is stated with two digits, which 3.5e-7 for 3.458e-7 shows to be coarser."""
    name, numbers = game[0], dict([game[1:]] if len(game) > 1 else [])
    distances = [radius(simulate(name, **numbers, **play))[n] for play, n in product(PLAYS, (100, 500))]
    for stated, got in zip(REFERENCE[game].split(), distances, strict=True):
        n_digits = len(stated.partition("e")[0].replace(".", "").lstrip("0"))
        assert float(f"{got:.{n_digits - 1}e}") == float(stated), (stated, got)


def test_the_discriminator_first_would_be_seen() -> None:
    """The order of moves is in the reference: 2.447 after 100 steps of five moves with the generator first, by a plain loop."""
    radii = []
    for order in ("GDDDDD", "DDDDDG"):
        theta = psi = 1.0
        for player in 100 * order:
            slope = expit(-psi * theta)
            theta, psi = (theta - 0.2 * psi * slope, psi) if player == "G" else (theta, psi + 0.2 * theta * slope)
        radii.append(math.hypot(theta, psi))
    assert radii[0] == pytest.approx(2.447, abs=5e-4)
    assert radii[1] != pytest.approx(2.447, rel=0.05)


@pytest.mark.parametrize("h", [0.01, 0.2, 1.0, 5.0])
@pytest.mark.parametrize("start", [(1.0, 1.0), (0.1, -2.0), (-3.0, 0.5)], ids=str)
def test_simultaneous_squared_distance_grows_by_1_plus_h_squared_slope_squared(h: float, start: tuple[float, float]) -> None:
    path = simulate("dirac_gan", step_size=h, start=start, steps=200)
    squared = (path**2).sum(1)
    growth = 1 + h**2 * expit(-path[:-1].prod(1)) ** 2
    np.testing.assert_allclose(squared[1:] / squared[:-1], growth, rtol=1e-12)
    moved = growth > 1 + 1e-12
    assert (np.diff(squared)[moved] > 0).all()
    assert moved[0]


def test_continuous_gan_circles_and_non_saturating_falls_as_sqrt_8_over_t() -> None:
    """dr^2/dt is 0 and, averaged over a turn, -r^4/8: so r^2 = 8/(t + 8/r0^2), from a radius r0 of 0.4."""
    circle = solve_ivp(lambda t, x: velocity("dirac_gan", x), (0, 50), [1, 1], rtol=1e-9, atol=1e-12)
    assert radius(circle.y.T) == pytest.approx(math.sqrt(2), rel=1e-6)
    falling = solve_ivp(lambda t, x: velocity("dirac_non_saturating", x), (0, 400), [0.4, 0], rtol=1e-6, atol=1e-9)
    assert radius(falling.y.T)[-1] == pytest.approx(math.sqrt(8 / (400 + 50)), rel=0.01)


def test_non_saturating_simultaneous_ends_on_a_cycle_of_radius_sqrt_2h() -> None:
    """To leading order in h: the mean over a turn, 4 pi/h steps, falls short by 0.028 h^2, and the range over it is h/8."""
    short = []
    for h in (0.4, 0.2, 0.1):
        path = simulate("dirac_non_saturating", step_size=h, start=(math.sqrt(2 * h), 0), steps=int(600 / h))
        share = radius(path)[-round(4 * math.pi / h) :] / math.sqrt(2 * h)
        assert np.ptp(share) == pytest.approx(h / 8, rel=0.05)
        short.append(1 - share.mean())
    assert short[2] == pytest.approx(0.028 * 0.1**2, rel=0.05)
    assert [short[0] / short[1], short[1] / short[2]] == pytest.approx([4, 4], rel=0.1)


def test_non_saturating_alternating_falls_as_sqrt_8_over_hn() -> None:
    """n counts steps. The mean over a turn of 2 pi / (h/2) = 63 steps, as the path is no circle."""
    squared = radius(simulate("dirac_non_saturating", rule="alternating", steps=20_000)) ** 2
    after = {n: squared[n - 31 : n + 32].mean() * 0.2 * n / 8 for n in (2000, 19_900)}
    assert after[19_900] == pytest.approx(1, abs=0.02)
    assert abs(after[19_900] - 1) < abs(after[2000] - 1)


# --- eigenvalues -------------------------------------------------------------------------------------------------------


def pair(mean: float, discriminant: float) -> list[complex]:
    root = np.emath.sqrt(discriminant)
    return [mean - root, mean + root]


@pytest.mark.parametrize(
    ("game", "numbers", "expected"),
    [
        ("dirac_gan", {}, [-0.5j, 0.5j]),
        ("dirac_non_saturating", {}, [-0.5j, 0.5j]),
        ("dirac_relativistic", {}, [-0.5j, 0.5j]),
        ("dirac_wgan", {}, [-1j, 1j]),
        ("bilinear", {}, [-1j, 1j]),
        ("mean_wgan", {}, [-1j, -1j, 1j, 1j]),
        *[("dirac_instance_noise", {"std": s}, pair(-(s**2) / 4, s**4 / 16 - 1 / 4)) for s in (0.3, 0.7, 1.0, 2.0)],
        *[(g, {"r1": r}, pair(-r / 2, r**2 / 4 - 1 / 4)) for g in ("dirac_gan", "dirac_non_saturating") for r in (0.3, 0.9, 2)],
        *[("dirac_consensus", {"gamma": g}, [-g / 4 - 0.5j, -g / 4 + 0.5j]) for g in (0.3, 1.0)],
        *[("dirac_gan", {"r1": 0.3, "tau": t}, pair(-0.15 * t, 0.0225 * t**2 - t / 4)) for t in (1, 4, 8, 16)],
        *[
            ("quadratic", {"tau": t}, [*pair(2 - t, (2 - t) ** 2 - 8 * t), *pair(-1 - 2 * t, (1 + 2 * t) ** 2 - 12 * t)])
            for t in (1.0, 1.9, 2.0, 2.1, 4.0)
        ],
    ],
)
def test_eigenvalues_at_the_equilibrium(game: str, numbers: dict[str, float], expected: list[complex]) -> None:
    np.testing.assert_allclose(ordered(eigenvalues(game, **numbers)), ordered(expected), atol=1e-13)


def test_fiez_and_ratliff_eigenvalues_have_their_stated_digits() -> None:
    """Stated for x' = -Jx as -0.1 +- 3.90i, +-4i, 0.1 +- 4.10i: real parts change sign here."""
    turning = {tau: [z for z in eigenvalues("quadratic", tau=tau) if z.imag > 0] for tau in (1.9, 2.0, 2.1)}
    assert {tau: [complex(round(z.real, 9), round(z.imag, 2)) for z in zs] for tau, zs in turning.items()} == {
        1.9: [0.1 + 3.90j], 2.0: [4j], 2.1: [-0.1 + 4.10j],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("game", "number", "critical"),
    [
        ("dirac_gan", "r1", 1.0),
        ("dirac_non_saturating", "r1", 1.0),
        ("dirac_instance_noise", "std", math.sqrt(2)),
        ("dirac_gan", "tau", 1 / 0.3**2),
    ],
)
def test_rotation_ends_at_the_critical_number(game: str, number: str, critical: float) -> None:
    fixed = {"r1": 0.3} if number == "tau" else {}
    below, at, above = (eigenvalues(game, **fixed, **{number: critical * factor}) for factor in (0.99, 1.0, 1.01))
    assert abs(below.imag).min() > 0.01
    assert (above.imag == 0).all()
    assert at[0] == pytest.approx(at[1], abs=1e-6)
    assert (np.stack([below, at, above]).real < 0).all()


def test_jacobian_is_the_central_difference_anywhere() -> None:
    """1e-8: an error of order step^2 and one of round-off over the step."""
    step = 1e-5
    for name in GAMES:
        at = np.array([0.8, -1.3, 0.5, 0.2])[: len(GAMES.entry(name).facts["start"])]
        units = step * np.eye(len(at))
        differences = [(velocity(name, at + u, tau=1.7) - velocity(name, at - u, tau=1.7)) / (2 * step) for u in units]
        np.testing.assert_allclose(jacobian(name, at, tau=1.7), np.stack(differences, axis=1), atol=1e-8)


def test_wgan_gp_has_no_jacobian_where_it_jumps() -> None:
    with pytest.raises(InputError, match=r"field of dirac_wgan_gp jumps at \[0\.0, 0\.0\]: no Jacobian there; ask at a"):
        eigenvalues("dirac_wgan_gp")
    np.testing.assert_allclose(jacobian("dirac_wgan_gp", (0, 0.5)), [[0, -1], [1, -0.7]], atol=1e-15)
    np.testing.assert_allclose(jacobian("dirac_wgan_gp", target=0.0), [[0, -1], [1, -0.7]], atol=1e-15)


# --- rates and limits near (0, 0) on the Dirac-GAN ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "predicted", "digits", "in_reference"),
    [
        ("simultaneous", math.sqrt(1 - 0.2 * 0.3 + 0.2**2 / 4), "0.97468", 0.97485),
        ("alternating", math.sqrt(1 - 0.2 * 0.3), "0.96954", 0.96880),
    ],
)
def test_rate_with_gradient_penalty(rule: str, predicted: float, digits: str, in_reference: float) -> None:
    """The determinant of the linear map is the square of the modulus of its complex pair."""
    assert f"{predicted:.5f}" == digits
    one_step = linear_map("dirac_gan", rule=rule, r1=0.3)
    assert math.sqrt(np.linalg.det(one_step)) == pytest.approx(predicted, abs=1e-8)
    np.testing.assert_allclose(abs(np.linalg.eigvals(one_step)), predicted, atol=1e-8)
    distance = radius(simulate("dirac_gan", rule=rule, r1=0.3))
    assert (distance[500] / distance[100]) ** (1 / 400) == pytest.approx(predicted, abs=1e-3)
    assert in_reference == pytest.approx(predicted, abs=1e-3)


def grows(game: str, **settings: Any) -> bool:
    """Whether small distances are larger after 800 steps, from a first point on neither eigenvector."""
    start = 1e-9 * np.array([1.0, 0.2, 0.5, 0.7])[: len(GAMES.entry(game).facts["start"])]
    path = radius(simulate(game, steps=800, start=start, **settings))
    return bool(path[-1] > path[0])


@pytest.mark.parametrize(
    ("game", "numbers", "limit"),
    [
        ("dirac_gan", {"r1": 0.3}, 1.2),
        ("dirac_non_saturating", {"r1": 0.3}, 1.2),
        ("dirac_gan", {"r1": 0.9}, 3.6),
        ("dirac_consensus", {"gamma": 1.0}, 2 / (1 + 1 / 4)),
        ("dirac_consensus", {"gamma": 0.3}, 0.6 / (1 + 0.09 / 4)),
        ("dirac_instance_noise", {"std": 0.7}, 0.49 / 2 / 0.25),
        ("quadratic", {"tau": 3.0}, 2 / 24),
    ],
)
def test_simultaneous_limit_is_2_re_over_modulus_squared(game: str, numbers: dict[str, float], limit: float) -> None:
    values = eigenvalues(game, **numbers)
    assert (-2 * values.real / abs(values) ** 2).min() == pytest.approx(limit, rel=1e-9)
    assert not grows(game, step_size=0.98 * limit, **numbers)
    assert grows(game, step_size=1.02 * limit, **numbers)


@pytest.mark.parametrize("h", [1e-2, 0.2, 1.0])
def test_simultaneous_plain_gan_has_no_limit_to_stay_below(h: float) -> None:
    assert grows("dirac_gan", step_size=h)


@pytest.mark.parametrize("n_critic", [1, 2, 5])
@pytest.mark.parametrize("a", [0.1, 1.0, 1.98, 2.05])
def test_alternating_operator_of_the_plain_gan(n_critic: int, a: float) -> None:
    """a = sqrt(n_critic) h / 2; modulus 1 up to a = 2, and 1.5625 at h = 4.1 with one move each."""
    h = 2 * a / math.sqrt(n_critic)
    got = np.linalg.eigvals(linear_map("dirac_gan", rule="alternating", step_size=h, n_critic=n_critic))
    expected = pair(1 - a**2 / 2, (1 - a**2 / 2) ** 2 - 1)
    np.testing.assert_allclose(ordered(got), ordered(expected), atol=1e-6)
    if a <= 2:
        np.testing.assert_allclose(abs(got), 1, atol=1e-6)
    else:
        assert abs(got).max() == pytest.approx(1.5625, abs=1e-5)


@pytest.mark.parametrize("n_critic", [1, 5])
def test_alternating_plain_gan_is_bounded_up_to_its_limit_and_not_beyond(n_critic: int) -> None:
    limit = 4 / math.sqrt(n_critic)
    below, above = (
        radius(simulate("dirac_gan", rule="alternating", n_critic=n_critic, step_size=f * limit, start=(1e-12, 0), steps=n))
        for f, n in ((0.99, 2000), (1.01, 60))
    )
    assert below[1000:].max() == pytest.approx(below[:1000].max(), rel=0.01)
    assert below.max() < 20 * below[0]
    assert above[-1] > 1e5 * above[0]


# --- the bilinear game -------------------------------------------------------------------------------------------------


def optimistic_factor(h: float) -> float:
    return (1 + math.sqrt(1 - 4 * h**2)) / 2 if h <= 0.5 else (1 + (2 * h + math.sqrt(4 * h**2 - 1)) ** 2) / 4


BILINEAR = [
    *[("simultaneous", h, {}, 1 + h**2) for h in (0.01, 0.1, 0.5)],
    *[("implicit", h, {}, 1 / (1 + h**2)) for h in (0.1, 1.0, 10.0)],
    *[("runge_kutta", h, {}, 1 - h**6 / 72 + h**8 / 576) for h in (0.1, 1.0, 2.9)],
    *[("extragradient", h, {}, 1 - h**2 + h**4) for h in (0.1, 0.6, math.sqrt(0.5), 0.99, 1.01)],
    *[(past, h, {}, optimistic_factor(h)) for past in ("optimistic", "extrapolation_from_the_past") for h in (0.1, 0.45, 0.6)],
    *[(rule, h, {"gamma": g}, (1 - h * g) ** 2 + h**2) for rule in ("consensus", "sga") for h in (0.1, 0.7) for g in (0.3, 1)],
    *[("lookahead", h, {}, abs(0.5 + 0.5 * (1 + 1j * h) ** 5) ** 0.4) for h in (0.1, 0.5)],
    ("lookahead", 0.3, {"k": 2, "alpha": 0.2}, abs(0.8 + 0.2 * (1 + 0.3j) ** 2)),
]


@pytest.mark.parametrize(("rule", "h", "numbers", "factor"), BILINEAR)
def test_squared_contraction_on_the_bilinear_game(rule: str, h: float, numbers: dict[str, float], factor: float) -> None:
    """Over ten steps, a multiple of every k above, late enough for the memory of the start to be gone."""
    squared = radius(simulate("bilinear", rule=rule, step_size=h, steps=110, **numbers)) ** 2
    assert (squared[-1] / squared[-11]) ** 0.1 == pytest.approx(factor, abs=1e-6)
    assert bilinear_contraction(rule, h, **numbers) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(
    ("rule", "numbers", "limit"),
    [
        ("extragradient", {}, 1.0),
        ("optimistic", {}, 1 / math.sqrt(3)),
        ("extrapolation_from_the_past", {}, 1 / math.sqrt(3)),
        ("consensus", {"gamma": 1.0}, 1.0),
        ("sga", {"gamma": 0.5}, 0.8),
    ],
)
def test_bilinear_limit_from_both_sides(rule: str, numbers: dict[str, float], limit: float) -> None:
    below, above = (radius(simulate("bilinear", rule=rule, step_size=f * limit, steps=2000, **numbers)) for f in (0.99, 1.01))
    assert below[-1] < 1e-3 * below[0]
    assert above[-1] > 1e3 * above[0]
    assert bilinear_contraction(rule, 0.99 * limit, **numbers) < 1 < bilinear_contraction(rule, 1.01 * limit, **numbers)
    assert bilinear_contraction(rule, limit, **numbers) == pytest.approx(1, abs=1e-12)


def test_simultaneous_never_and_implicit_always_converges_on_the_bilinear_game() -> None:
    for h in (1e-3, 0.1, 3.0):
        assert (np.diff(radius(simulate("bilinear", step_size=h, steps=300))) > 0).all()
    for h in (1e-3, 0.1, 3.0, 1e3):
        assert (np.diff(radius(simulate("bilinear", rule="implicit", step_size=h, steps=50))) < 0).all()


def test_extragradient_is_best_at_step_size_sqrt_half() -> None:
    factors = {h: bilinear_contraction("extragradient", h) for h in np.linspace(0.01, 0.99, 99)}
    assert bilinear_contraction("extragradient", math.sqrt(0.5)) == pytest.approx(0.75, abs=1e-15)
    assert min(factors.values()) >= 0.75


@pytest.mark.parametrize("h", [0.2, 1.0, 1.9])
def test_alternating_conserves_its_quadratic_form_on_the_bilinear_game(h: float) -> None:
    """theta^2 + psi^2 - h theta psi with the generator first: 1.8 from (1, 1) at 0.2."""
    theta, psi = simulate("bilinear", rule="alternating", step_size=h, steps=2000).T
    np.testing.assert_allclose(theta**2 + psi**2 - h * theta * psi, 2 - h, rtol=1e-10)
    assert bilinear_contraction("alternating", h) == 1
    assert np.ptp((theta**2 + psi**2 + h * theta * psi)[:100]) > 0.1


@pytest.mark.parametrize("n_critic", [1, 4])
def test_alternating_on_the_bilinear_game_diverges_beyond_2(n_critic: int) -> None:
    h = 2.05 / math.sqrt(n_critic)
    squared = radius(simulate("bilinear", rule="alternating", step_size=h, steps=60, n_critic=n_critic)) ** 2
    assert squared[-1] / squared[-2] == pytest.approx(1.5625**2, rel=1e-4)
    assert bilinear_contraction("alternating", h, n_critic=n_critic) == pytest.approx(squared[-1] / squared[-2], rel=1e-6)
    assert bilinear_contraction("alternating", 1.95 / math.sqrt(n_critic), n_critic=n_critic) == 1


@pytest.mark.parametrize(("h", "momentum"), [(0.2, -0.5), (1.0, -0.5), (0.5, -0.1), (0.2, 0.5), (2.0, 0.0)])
def test_negative_momentum_is_its_matrix_on_the_bilinear_game(h: float, momentum: float) -> None:
    """State (theta, psi, previous theta, previous psi): the generator's move, then the discriminator's."""
    one = np.array([[1 + momentum, -h, -momentum, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    two = np.array([[1, 0, 0, 0], [h, 1 + momentum, 0, -momentum], [0, 0, 1, 0], [0, 1, 0, 0]])
    path = simulate("bilinear", rule="negative_momentum", step_size=h, momentum=momentum, steps=30)
    expected = np.linalg.matrix_power(two @ one, 30) @ [1, 1, 1, 1]
    np.testing.assert_allclose(path[-1], expected[:2], rtol=1e-9, atol=1e-12)
    largest = abs(np.linalg.eigvals(two @ one)).max() ** 2
    assert bilinear_contraction("negative_momentum", h, momentum=momentum) == pytest.approx(largest, abs=1e-6)


def test_momentum_converges_on_the_bilinear_game_only_when_negative() -> None:
    """From below 1 through 1 (plain alternating steps) to above."""
    assert bilinear_contraction("negative_momentum", 0.5, momentum=-0.5) < 1 - 1e-3
    assert bilinear_contraction("negative_momentum", 0.5, momentum=0.0) == pytest.approx(1, abs=1e-6)
    assert bilinear_contraction("negative_momentum", 0.5, momentum=0.5) > 1 + 1e-3
    plain = simulate("bilinear", rule="alternating")
    np.testing.assert_allclose(simulate("bilinear", rule="negative_momentum", momentum=0.0), plain, rtol=1e-12)


def test_running_mean_converges_where_the_iterates_circle() -> None:
    """The sum over alternating steps stays bounded, so the mean falls as 1/n; the mean itself by a plain loop."""
    path = simulate("bilinear", rule="alternating", steps=4000)
    mean = running_mean(path)
    assert (np.arange(1, 4002) * radius(mean)).max() < 15
    assert radius(mean)[-1] < 0.004
    assert radius(path)[-200:].min() > 1
    np.testing.assert_allclose(mean[7], sum(path[:8]) / 8, rtol=1e-14)


# --- rules against plain loops -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("game", ["dirac_gan", "dirac_non_saturating", "quadratic"])
def test_looks_of_extrapolation_from_the_past_are_the_optimistic_path(game: str) -> None:
    """With w the optimistic path, x_t = w_{t+1} - h v(w_t)."""
    h = 0.02
    w = simulate(game, rule="optimistic", step_size=h, steps=100)
    x = simulate(game, rule="extrapolation_from_the_past", step_size=h, steps=100)
    for t in range(100):
        np.testing.assert_allclose(x[t], w[t + 1] - h * velocity(game, w[t]), rtol=1e-12, atol=1e-14)


def test_extragradient_and_optimistic_by_plain_loops() -> None:
    h, far = 0.3, np.array([1.0, 1.0])
    past = velocity("dirac_gan", far)
    extra, optimistic = [far], [far]
    for _ in range(50):
        extra.append(extra[-1] + h * velocity("dirac_gan", extra[-1] + h * velocity("dirac_gan", extra[-1])))
        now = velocity("dirac_gan", optimistic[-1])
        optimistic.append(optimistic[-1] + h * (2 * now - past))
        past = now
    np.testing.assert_allclose(simulate("dirac_gan", rule="extragradient", step_size=h, steps=50), extra, rtol=1e-12)
    np.testing.assert_allclose(simulate("dirac_gan", rule="optimistic", step_size=h, steps=50), optimistic, rtol=1e-12)


@pytest.mark.parametrize("game", sorted(set(GAMES) - {"dirac_wgan_gp"}))
def test_implicit_steps_solve_their_equation(game: str) -> None:
    """Where the field is continuous and the clip is not met."""
    path = simulate(game, rule="implicit", step_size=0.1, steps=100, clip=1e9)
    for before, after in pairwise(path):
        np.testing.assert_allclose(after, before + 0.1 * velocity(game, after), rtol=1e-9, atol=1e-14)


def test_implicit_steps_without_a_solution_end_in_nan() -> None:
    """y = 1 + y has none, and its Newton step is singular; y = 1 - 2 sign(y) has none, and Newton's method jumps for ever."""
    for field in (lambda x: x, lambda x: -2 * np.sign(x.real) + 0 * x):
        points = list(islice(RULES["implicit"](Play(field, lambda x: x), np.ones(2), 1.0), 2))
        assert np.isnan(points).all()


def test_sga_uses_the_antisymmetric_part_only() -> None:
    """On a game with R1 it keeps the penalty's pull, which consensus steps change: one step by hand from (1, 1)."""
    v, j = velocity("dirac_gan", (1, 1), r1=0.5), jacobian("dirac_gan", (1, 1), r1=0.5)
    half = (j[0, 1] - j[1, 0]) / 2
    expected = 1 + 0.2 * (v - 0.7 * half * np.array([-v[1], v[0]]))
    np.testing.assert_allclose(simulate("dirac_gan", rule="sga", gamma=0.7, r1=0.5, steps=1)[1], expected, rtol=1e-13)
    by_consensus = simulate("dirac_gan", rule="consensus", gamma=0.7, r1=0.5, steps=1)[1]
    np.testing.assert_allclose(by_consensus, 1 + 0.2 * (v - 0.7 * j.T @ v), rtol=1e-13)
    assert abs(by_consensus - expected).max() > 0.01


def test_lookahead_goes_back_after_every_kth_step() -> None:
    plain = simulate("dirac_gan", steps=3)
    path = simulate("dirac_gan", rule="lookahead", k=3, alpha=0.25, steps=4)
    np.testing.assert_allclose(path[:3], plain[:3], rtol=1e-15)
    np.testing.assert_allclose(path[3], plain[0] + 0.25 * (plain[3] - plain[0]), rtol=1e-14)
    np.testing.assert_allclose(path[4], path[3] + 0.2 * velocity("dirac_gan", path[3]), rtol=1e-14)


@pytest.mark.parametrize("rule", sorted(set(RULES) - {"consensus", "sga", "lookahead", "negative_momentum", "runge_kutta"}))
def test_rules_follow_the_flow_to_first_order(rule: str) -> None:
    """Error against SciPy's integrator at t = 2: it halves with the step size."""
    flow = solve_ivp(lambda t, x: velocity("dirac_non_saturating", x), (0, 2), [1, 1], rtol=1e-10, atol=1e-12).y[:, -1]
    errors = [
        np.linalg.norm(simulate("dirac_non_saturating", rule=rule, step_size=2 / n, steps=n)[-1] - flow) for n in (100, 200)
    ]
    assert 0 < errors[1] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)


def test_runge_kutta_follows_the_flow_to_fourth_order() -> None:
    """Error against SciPy's integrator at t = 2: a sixteenth with half the step size."""
    field, start = (lambda t, x: velocity("dirac_non_saturating", x)), [1, 1]
    flow = solve_ivp(field, (0, 2), start, method="DOP853", rtol=1e-13, atol=1e-15).y[:, -1]
    paths = [simulate("dirac_non_saturating", rule="runge_kutta", step_size=2 / n, steps=n) for n in (8, 16)]
    errors = [np.linalg.norm(path[-1] - flow) for path in paths]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.1)


@pytest.mark.parametrize(("game", "rule"), list(product(GAMES, RULES)))
def test_many_points_at_once_are_each_as_alone(game: str, rule: str) -> None:
    starts = np.array([[1.0, 0.5, 0.3, -0.2], [-0.4, 0.9, 1.0, 0.1], [0.3, -1.0, -0.6, 0.7]])
    starts = starts[:, : len(GAMES.entry(game).facts["start"])]
    together = simulate(game, rule=rule, start=starts[:, None], step_size=0.05, steps=7)
    assert together.shape == (8, 3, 1, starts.shape[1])
    for i, start in enumerate(starts):
        alone = simulate(game, rule=rule, start=start, step_size=0.05, steps=7)
        np.testing.assert_allclose(together[:, i, 0], alone, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(velocity(game, starts)[i], velocity(game, start), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("game", "rule"), list(product(GAMES, RULES)))
def test_every_rule_plays_every_game_and_stays_at_its_equilibrium(game: str, rule: str) -> None:
    facts = GAMES.entry(game).facts
    path = simulate(game, rule=rule, step_size=0.01, steps=20)
    assert path.shape == (21, len(facts["start"]))
    assert path.dtype == np.float64
    assert np.isfinite(path).all()
    assert path[0].tolist() == list(facts["start"])
    assert abs(path[20] - path[0]).max() > 1e-3
    stays = simulate(game, rule=rule, steps=20, start=facts["equilibrium"])
    np.testing.assert_allclose(stays, np.tile(facts["equilibrium"], (21, 1)), atol=1e-14)


@pytest.mark.parametrize("rule", RULES)
def test_clip_holds_after_every_step_and_touches_no_generator(rule: str) -> None:
    path = simulate("dirac_wgan", rule=rule, clip=0.4, start=(5.0, 0.1), steps=50, step_size=0.3)
    assert abs(path[:, 1]).max() == 0.4
    assert path[:, 0].max() >= 4.9


def test_tau_multiplies_the_discriminators_moves_only() -> None:
    plain, faster = (simulate("dirac_gan", steps=1, tau=tau)[1] for tau in (1, 3))
    assert faster[0] == plain[0]
    assert faster[1] - 1 == pytest.approx(3 * (plain[1] - 1), rel=1e-14)


# --- games of several coordinates --------------------------------------------------------------------------------------


def test_mean_learning_wgan_ends_near_the_mean_only_by_optimism() -> None:
    """Daskalakis et al. 2018: v = (3, 4), 1000 steps of 0.1. Plain steps spiral out, clipped ones circle on."""
    mean = [3.0, 4.0]
    paths = {rule: simulate("mean_wgan", rule=rule, step_size=0.1, steps=1000) for rule in ("optimistic", "simultaneous")}
    clipped = simulate("mean_wgan", step_size=0.1, steps=1000, clip=1.5)
    away = {name: np.linalg.norm(path[:, :2] - mean, axis=1) for name, path in {**paths, "clipped": clipped}.items()}

    assert away["optimistic"][-1] < 0.02
    assert np.linalg.norm(running_mean(paths["optimistic"])[-1, :2] - mean) < 0.02
    squared = ((paths["simultaneous"] - [3, 4, 0, 0]) ** 2).sum(1)
    np.testing.assert_allclose(squared[1:] / squared[:-1], 1.01, rtol=1e-10)
    assert 0.5 < away["clipped"][-300:].max() < 3


def test_mean_learning_wgan_follows_the_published_loops() -> None:
    """Released loop: w += h (v - theta_old), theta += h w_old; optimistic from index 2, after two equal first points."""
    v, h, n = np.array([3.0, 4.0]), 0.1, 60
    w, theta = np.full((n + 2, 2), 1.4), np.full((n + 2, 2), 1.7)
    for t in range(2, n + 2):
        w[t] = w[t - 1] + 2 * h * (v - theta[t - 1]) - h * (v - theta[t - 2])
        theta[t] = theta[t - 1] + 2 * h * w[t - 1] - h * w[t - 2]
    path = simulate("mean_wgan", rule="optimistic", step_size=h, steps=n)
    np.testing.assert_allclose(path, np.hstack([theta, w])[1:], rtol=1e-12)


PRINTED = {
    2.0: [2.73389560, 2.44893353e-17, -12.1646086, 2.44893353e-17],
    2.5: [5.64020185e-02, 1.64035157e-15, -2.68301625e-02, 1.27169097e-15],
    10.0: [1.18962191e-34, 1.58909192e-13, -6.31218256e-34, 8.60912107e-14],
}
"""Points after 20 000 steps of 0.0005, by tau, as Fiez and Ratliff's notebook prints them."""


@pytest.mark.parametrize("tau", PRINTED)
def test_quadratic_game_ends_at_the_published_points(tau: float) -> None:
    assert simulate("quadratic", tau=tau, step_size=0.0005, steps=20_000)[-1] == pytest.approx(PRINTED[tau], rel=1e-8)


@pytest.mark.parametrize("tau", [1.9, 2.0, 2.1, 4.0])
def test_quadratic_game_converges_above_tau_2_only(tau: float) -> None:
    """Along its eigenvector the turning pair is multiplied by |1 + h z| a step: at 2 it circles, but for 16 h^2/2 a step."""
    h, n = 0.0005, 10_000
    turning = [0, 2]
    values, left = np.linalg.eig(np.array([[4.0, 4.0], [-4 * tau, -2 * tau]]).T)
    along = abs(simulate("quadratic", tau=tau, step_size=h, steps=n)[:, turning] @ left[:, 0])
    assert along[-1] / along[0] == pytest.approx(abs(1 + h * values[0]) ** n, rel=1e-8)
    assert math.log(along[-1] / along[0]) == pytest.approx((2 - tau) * h * n + 8 * tau * h**2 * n / 2, abs=0.03)
    assert (along[-1] < along[0]) == (tau > 2)


# --- outcomes and refusals ---------------------------------------------------------------------------------------------


def test_a_path_beyond_float64_goes_on_without_a_warning() -> None:
    path = simulate("bilinear", step_size=100, steps=400)
    assert np.isfinite(path[:100]).all()
    assert not np.isfinite(path[-1]).any()


def test_a_saturated_discriminator_neither_overflows_nor_stops() -> None:
    """At psi theta = 100 the slope is e^-100, not 0; at 10 000 it is as good as 0."""
    assert velocity("dirac_gan", (10, 10))[1] == pytest.approx(10 * math.exp(-100), rel=1e-12)
    assert abs(velocity("dirac_gan", (100, 100))).max() < 1e-300
    assert velocity("dirac_gan", (100, -100)).tolist() == [100, 100]
    assert np.isfinite(jacobian("dirac_gan", (100, 100))).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"game": "dirac_gun"}, r"unknown analytic game 'dirac_gun'; did you mean 'dirac_gan'\? Known: bilinear, "),
        ({"rule": "simultanous"}, r"unknown dynamics rule 'simultanous'; did you mean 'simultaneous'\? Known: alternating, "),
        ({"r2": 0.3}, r"unknown number for simultaneous on dirac_gan 'r2'; did you mean 'r1'\? Known: clip, r1, tau"),
        ({"n_critic": 5}, r"unknown number for simultaneous on dirac_gan 'n_critic'. Known: clip, r1, tau"),
        ({"rule": "alternating", "n_critic": 0}, "n_critic must be a whole number of at least 1; got 0"),
        ({"rule": "alternating", "n_critic": 2.5}, "n_critic must be a whole number of at least 1; got 2.5"),
        ({"rule": "lookahead", "alpha": 0}, "alpha must be a number above 0 and at most 1; got 0"),
        ({"rule": "negative_momentum", "momentum": -1}, "momentum must be a number above -1 and below 1; got -1"),
        ({"step_size": 0}, "step_size must be a finite number above 0; got 0"),
        ({"step_size": -0.1}, "step_size must be a finite number above 0; got -0.1"),
        ({"step_size": math.nan}, "step_size must be a finite number above 0; got nan"),
        ({"step_size": "0.1"}, "step_size must be a finite number above 0; got '0.1'"),
        ({"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        ({"r1": -0.3}, "r1 must be a finite number of at least 0; got -0.3"),
        ({"r1": True}, "r1 must be a finite number of at least 0; got True"),
        ({"tau": math.inf}, "tau must be a finite number above 0; got inf"),
        ({"clip": 0}, "clip must be a number above 0, infinity for none; got 0"),
        ({"start": (1, math.nan)}, r"start must be 2 finite numbers for dirac_gan, generator first; got \(1, nan\)"),
        ({"start": (1, 2, 3)}, r"start must be 2 finite numbers for dirac_gan, generator first; got \(1, 2, 3\)"),
        ({"start": "here"}, "start must be 2 finite numbers for dirac_gan; got 'here'"),
        ({"clip": 0.5}, r"start must have psi within \[-0.5, 0.5\], the clip; got \[1.0, 1.0\]; move start or widen clip"),
        (
            {"game": "dirac_consensus", "rule": "consensus", "gamma": 1.0},
            "dirac_consensus and consensus both read gamma; use dirac_consensus with simultaneous, or consensus on another",
        ),
    ],
)
def test_refusals_say_what_came_what_is_allowed_and_what_to_do(settings: dict[str, Any], message: str) -> None:
    game = settings.pop("game", "dirac_gan")
    with pytest.raises(InputError, match=message):
        simulate(game, **settings)


def test_refusals_of_the_other_questions() -> None:
    with pytest.raises(InputError, match=r"unknown number for the field of dirac_gan 'clip'\. Known: r1, tau"):
        eigenvalues("dirac_gan", clip=1.0)
    with pytest.raises(InputError, match="at must be 4 finite numbers for quadratic, generator first; got"):
        jacobian("quadratic", (0, 0))
    with pytest.raises(InputError, match=r"at must be one point, 2 numbers; got an array of shape \(3, 2\)"):
        jacobian("dirac_gan", np.zeros((3, 2)))
    with pytest.raises(InputError, match="unknown dynamics rule 'extragradent'; did you mean 'extragradient'"):
        bilinear_contraction("extragradent", 0.1)
    with pytest.raises(InputError, match="unknown number for sga 'lambda'"):
        bilinear_contraction("sga", 0.1, **{"lambda": 1.0})


def test_dynamics_need_no_torch() -> None:
    code = "import sys, ganlab; ganlab.dynamics.simulate('bilinear', steps=1); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
