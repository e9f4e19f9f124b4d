"""Verdicts on analytic games: planted series of distances, the literature's verdict on each method, maps and closed forms."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from ganlab.dynamics import GAMES, eigenvalues, simulate
from ganlab.dynamics.methods import METHODS, PLAYS
from ganlab.dynamics.verdicts import VERDICTS, judge, long_run, two_time_scales, verdict
from ganlab.registry import InputError

N = np.arange(1.0, 2049.0)
RIPPLE = 1 + 0.3 * np.sin(0.1 * N)


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        (0.995**N * RIPPLE, "converges"),
        (1e-300**N, "converges"),
        (np.where(N < 50, 1.0, 1e-13 * RIPPLE), "converges"),  # round-off after arrival
        (N**-0.5 * RIPPLE, "converges sublinearly"),
        (N**-1.0, "converges sublinearly"),
        (RIPPLE, "cycles"),
        (np.ones(2048), "cycles"),
        (1.005**N * RIPPLE, "diverges"),
        (np.sqrt(np.log(N + 1)), "diverges"),  # ever slower, but never nearer
        (np.where(N < 2000, 1.0, math.inf), "diverges"),
        (np.where(N < 2000, 1.0, math.nan), "diverges"),
        (1 + 5 * 0.99**N, "undecided"),  # on its way to a circle
        (1 / (1 + 5 * 0.99**N) * RIPPLE, "undecided"),
    ],
)
def test_verdict_on_planted_distances(distances: np.ndarray, expected: str) -> None:
    with np.errstate(under="ignore"):
        assert verdict(distances) == expected
        assert verdict(1e6 * distances) == expected


def test_a_slowly_shrinking_circle_is_told_from_a_standing_one() -> None:
    """Per doubling of steps: 0.02 is seen, 0.005 is within the tolerance that is stated."""
    assert verdict(N ** -(0.02 / math.log(2)) * RIPPLE) == "converges sublinearly"
    assert verdict(N ** -(0.005 / math.log(2)) * RIPPLE) == "cycles"


@pytest.mark.parametrize(
    ("near", "far", "expected"),
    [
        ("converges", "diverges", "converges"),
        ("diverges", "cycles", "cycles"),
        ("diverges", "undecided", "undecided"),
        ("cycles", "converges sublinearly", "converges sublinearly"),
        ("cycles", "converges", "cycles"),
        ("cycles", "undecided", "cycles"),
        ("undecided", "cycles", "cycles"),
    ],
)
def test_the_near_path_is_asked_first(near: str, far: str, expected: str) -> None:
    assert long_run(near, far) == expected


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(InputError, match="a verdict needs at least 64 steps; got 63: take more steps"):
        verdict(np.ones(64))
    assert verdict(np.ones(65)) == "cycles"


# --- methods ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_eigenvalues_in_closed_form_are_those_of_the_jacobian(name: str) -> None:
    method = METHODS[name]
    numbers = {k: v for k, v in method.numbers.items() if k != "clip"}
    if method.eigenvalues is None:
        with pytest.raises(InputError, match="jumps"):
            eigenvalues(method.game, **numbers)
        return
    got = sorted(eigenvalues(method.game, **numbers), key=lambda z: (round(z.real, 6), z.imag))
    np.testing.assert_allclose(got, method.eigenvalues, atol=1e-8)


@pytest.mark.parametrize(("name", "play"), list(product(METHODS, PLAYS)))
def test_each_method_does_what_the_literature_says(name: str, play: str) -> None:
    """Where it says nothing: extragradient and optimistic steps arrive wherever the field has a Jacobian."""
    method = METHODS[name]
    found = judge(method.game, **PLAYS[play], **method.numbers)
    looks_ahead = {"extragradient", "optimistic"} & {play}
    expected = method.published.get(play) or (looks_ahead and "converges" if method.eigenvalues else "cycles")
    assert found.verdict in VERDICTS
    if expected:
        assert found.verdict == expected


def test_some_verdict_of_the_literature_stands_for_each_kind() -> None:
    stated = {word for method in METHODS.values() for word in method.published.values()}
    assert stated == set(VERDICTS) - {"undecided"}
    assert sum(len(method.published) for method in METHODS.values()) == 31


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.largest_step])
def test_simultaneous_steps_converge_up_to_the_largest_step(name: str) -> None:
    method = METHODS[name]
    below, above = (judge(method.game, step_size=f * method.largest_step, **method.numbers) for f in (0.95, 1.05))
    assert below.near == "converges"
    assert above.near != "converges"


def test_the_judged_path_is_that_of_the_game_from_its_start() -> None:
    found = judge("mean_wgan", rule="optimistic", step_size=0.1, steps=1000)
    np.testing.assert_array_equal(found.path, simulate("mean_wgan", rule="optimistic", step_size=0.1, steps=1000))
    np.testing.assert_allclose(found.distances, np.linalg.norm(found.path - [3, 4, 0, 0], axis=1), rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"rule": "simultaneous"}, "diverges"),
        ({"rule": "simultaneous", "clip": 1.5}, "cycles"),
        ({"rule": "alternating"}, "cycles"),
        ({"rule": "optimistic"}, "converges"),
    ],
)
def test_mean_learning_wgan_as_published(settings: dict[str, Any], expected: str) -> None:
    """Daskalakis et al. 2018: plain steps spiral out, clipped ones circle, optimistic ones end at the mean."""
    assert judge("mean_wgan", step_size=0.1, **settings).verdict == expected


@pytest.mark.parametrize(("tau", "expected"), [(1.5, "diverges"), (1.9, "diverges"), (2.1, "converges"), (4.0, "converges")])
def test_quadratic_game_as_published(tau: float, expected: str) -> None:
    assert judge("quadratic", step_size=0.002, steps=12_000, tau=tau).verdict == expected


def test_quadratic_game_circles_at_tau_2() -> None:
    """Along the flow; simultaneous steps of h add 16 h^2/2 a step, which 0.0005 and 20 000 steps make visible: 4 %."""
    assert judge("quadratic", rule="runge_kutta", step_size=0.01, tau=2.0).verdict == "cycles"


@pytest.mark.parametrize(("r1", "tau"), [(0.3, 1.0), (0.3, 4.0), (0.3, 8.0), (0.3, 16.0), (1.0, 1.0)])
def test_dirac_gan_with_r1_converges_at_every_tau_of_the_notebook(r1: float, tau: float) -> None:
    """Fiez and Ratliff 2021: tau* = 0, steps of 0.01, 4000 of them."""
    assert judge("dirac_gan", step_size=0.01, steps=4000, r1=r1, tau=tau).verdict == "converges"


# --- two time scales -------------------------------------------------------------------------------------------------------

STEP_SIZES = np.geomspace(0.005, 0.1, 7)


def test_quadratic_map_is_bounded_by_its_closed_form() -> None:
    """|1 + h z|^2 < 1 for the turning pair is tau > 2/(1 - 4h); the other pair limits h at large tau."""
    ratios = [f * 2 / (1 - 4 * h) for h, f in product(STEP_SIZES[:4], (0.97, 1.03))]
    found = two_time_scales("quadratic", STEP_SIZES[:4], ratios, steps=4000)
    for i in range(4):
        assert (found.radius[i, 2 * i], found.radius[i, 2 * i + 1]) == (pytest.approx(1, abs=0.01), pytest.approx(1, abs=0.01))
        assert found.verdicts[i, 2 * i : 2 * i + 2].tolist() == ["diverges", "converges"]
        assert found.radius[i, 2 * i] > 1 > found.radius[i, 2 * i + 1]


@pytest.mark.parametrize(("game", "numbers"), [("quadratic", {}), ("dirac_gan", {"r1": 0.3}), ("dirac_consensus", {})])
def test_maps_agree_with_the_eigenvalues_where_these_are_clear(game: str, numbers: dict[str, float]) -> None:
    found = two_time_scales(game, np.geomspace(0.02, 2, 6), np.geomspace(0.3, 20, 6), steps=2000, **numbers)
    assert (found.verdicts[found.radius < 0.99] == "converges").all()
    assert (found.verdicts[found.radius > 1.01] != "converges").all()
    assert 3 < (found.radius < 0.99).sum() < 33


def test_a_map_has_the_radius_of_the_closed_form_and_the_verdicts_of_single_paths() -> None:
    """Dirac-GAN: 1 + h z with z^2 = -tau/4."""
    ratios = [0.25, 1.0, 4.0]
    found = two_time_scales("dirac_non_saturating", [0.1, 0.4], ratios, steps=3000)
    expected = np.sqrt(1 + np.array([[0.1], [0.4]]) ** 2 * np.array(ratios) / 4)
    np.testing.assert_allclose(found.radius, expected, rtol=1e-12)
    for (i, h), (j, tau) in product(enumerate([0.1, 0.4]), enumerate(ratios)):
        assert found.verdicts[i, j] == judge("dirac_non_saturating", step_size=h, tau=tau, steps=3000).verdict


def test_the_plain_gan_diverges_everywhere_on_its_map() -> None:
    found = two_time_scales("dirac_gan", np.geomspace(0.05, 2, 5), np.geomspace(0.1, 30, 5))
    assert (found.verdicts == "diverges").all()


def test_maps_refuse_what_simulations_refuse() -> None:
    with pytest.raises(InputError, match="unknown number for simultaneous on dirac_gan 'r2'; did you mean 'r1'"):
        two_time_scales("dirac_gan", [0.1], [1.0], r2=0.1)
    with pytest.raises(InputError, match="jumps at"):
        two_time_scales("dirac_wgan_gp", [0.1], [1.0])
    with pytest.raises(InputError, match=r"step_size must be a finite number above 0; got -0\.1"):
        two_time_scales("dirac_gan", [0.1, -0.1], [1.0])
    with pytest.raises(InputError, match="tau must be a finite number above 0; got 0"):
        two_time_scales("dirac_gan", [0.1], [1.0, 0])


def test_every_dirac_game_has_a_method() -> None:
    assert {m.game for m in METHODS.values()} == {name for name in GAMES if name.startswith("dirac")}
