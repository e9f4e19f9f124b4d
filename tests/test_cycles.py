"""Cycles, drift, spectra and path statistics: pure waves, noise and walks of known kind, linear fields with closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from ganlab.cycles import SHORTEST, autocorrelation, cycle, main_plane, path_statistics, spectrum, wander
from ganlab.dynamics import running_mean, simulate

LOOKS = np.arange(90)
Rng = np.random.Generator


# --- cycles ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [4.0, 9.3, 20.0, 30.0])
@pytest.mark.parametrize("phase", [0.0, 1.0, 2.5])
def test_a_pure_wave_has_its_period_and_score_1(period: float, phase: float) -> None:
    found = cycle(5 + 0.01 * np.sin(2 * np.pi * LOOKS / period + phase))
    assert found.verdict == "cycle"
    assert found.period == pytest.approx(period, rel=0.03)
    assert found.score > 0.95
    assert found.peak > found.threshold
    assert found.n == 90


def test_a_wave_that_comes_round_only_twice_is_no_cycle() -> None:
    assert cycle(np.sin(2 * np.pi * LOOKS / 45)).verdict == "no cycle"


@pytest.mark.parametrize("period", [4.0, 6.5, 8.0, 12.0])
def test_the_shortest_series_is_long_enough_for_a_clean_wave(period: float) -> None:
    assert cycle(np.sin(2 * np.pi * np.arange(SHORTEST) / period)).verdict == "cycle"


def test_turning_modes_have_the_period_of_a_whole_round() -> None:
    """All weight on one of eight modes, the next one every second look, with sampling noise."""
    rng = np.random.default_rng(0)
    weights = 0.9 * np.eye(8)[(LOOKS // 2) % 8] + 0.1 / 8
    found = cycle(np.stack([rng.multinomial(500, w) for w in weights]) / 500)
    assert (found.verdict, round(found.period)) == ("cycle", 16)
    assert found.score > 0.95


def test_noise_on_a_wave_lowers_the_score_as_its_variance_says() -> None:
    """Variances 1/2 and 0.4^2: the series repeats itself to 0.5/0.66."""
    rng = np.random.default_rng(1)
    found = cycle(np.sin(2 * np.pi * np.arange(400) / 10) + 0.4 * rng.standard_normal(400))
    assert (found.verdict, round(found.period)) == ("cycle", 10)
    assert found.score == pytest.approx(0.5 / 0.66, abs=0.06)


def test_a_straight_trend_hides_no_wave_and_is_none() -> None:
    wave = np.sin(2 * np.pi * LOOKS / 9)
    assert cycle(wave + 0.3 * LOOKS).period == pytest.approx(cycle(wave).period, rel=1e-9)
    assert cycle(wave + 0.3 * LOOKS).score > 0.95
    assert cycle(0.3 * LOOKS).verdict == "no cycle"


NULLS: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "white noise": lambda rng, n: rng.standard_normal(n),
    "random walk": lambda rng, n: rng.standard_normal(n).cumsum(),
    "walk seen through noise": lambda rng, n: rng.standard_normal(n).cumsum() + 2 * rng.standard_normal(n),
    "counts of a perfect sampler": lambda rng, n: rng.multinomial(500, [1 / 8] * 8, n) / 500,
    "walk in 40 directions, main plane": lambda rng, n: main_plane(rng.standard_normal((n, 40)).cumsum(0))[0],
    "heavy tails": lambda rng, n: rng.standard_t(2, n),
    "settling": lambda rng, n: np.exp(-np.arange(n) / 10) + 0.02 * rng.standard_normal(n),
}


@pytest.mark.parametrize("kind", NULLS)
@pytest.mark.parametrize("n", [48, 90])
def test_false_cycles_are_rarer_than_the_level(kind: str, n: int) -> None:
    """At 5 % more than 18 of 200 have a chance of 0.4 %."""
    rng = np.random.default_rng(n)
    assert sum(cycle(NULLS[kind](rng, n)).verdict == "cycle" for _ in range(200)) <= 18


def test_the_level_is_not_idle() -> None:
    """At a level of 1 almost any noise has a cycle."""
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal(90) for _ in range(50)]
    assert sum(cycle(x, level=0.999).verdict == "cycle" for x in noise) > sum(cycle(x).verdict == "cycle" for x in noise) + 5


@pytest.mark.parametrize(
    ("series", "verdict"),
    [
        (np.full(50, 0.125), "no movement"),
        (np.zeros((50, 8)), "no movement"),
        (0.125 + 1e-14 * np.sin(LOOKS), "no movement"),
        (np.sin(LOOKS[: SHORTEST - 1]), "too short"),
        (np.where(LOOKS < 80, 1.0, math.nan), "not finite"),
    ],
)
def test_what_cannot_turn_is_said_so(series: np.ndarray, verdict: str) -> None:
    found = cycle(series)
    assert (found.verdict, found.score) == (verdict, 0.0)
    assert math.isnan(found.period)


def test_autocorrelation_is_its_formula_and_1_for_exact_repetition() -> None:
    x = np.random.default_rng(0).standard_normal((40, 3))
    r = autocorrelation(x, 5)
    assert r[0] == pytest.approx(1)
    by_hand = sum(x[t] @ x[t + 3] for t in range(37)) / math.sqrt((x[:37] ** 2).sum() * (x[3:] ** 2).sum())
    assert r[3] == pytest.approx(by_hand, rel=1e-12)
    assert autocorrelation(np.tile([1.0, 5.0, -2.0], 9), 6)[[3, 6]] == pytest.approx(1)


def test_a_path_that_circles_the_equilibrium_is_a_cycle_and_one_that_arrives_is_not() -> None:
    """Alternating steps of 0.5 on the bilinear game turn by an angle whose cosine is 1 - h^2/2."""
    circles = simulate("bilinear", rule="alternating", step_size=0.5, steps=200)
    assert cycle(circles).period == pytest.approx(2 * math.pi / math.acos(1 - 0.5**2 / 2), rel=0.01)
    arrived = simulate("dirac_gan", r1=1.0, steps=600)[300:]
    assert cycle(arrived + 1).verdict == "no movement"


# --- where it goes ---------------------------------------------------------------------------------------------------------


def test_wander_on_a_line_a_circle_and_a_point() -> None:
    line, point = wander(np.outer(LOOKS, [3.0, 4.0])), wander(np.full((90, 2), 7.0))
    assert line == pytest.approx((5 * LOOKS.std(), math.sqrt(3) * math.sqrt(89 / 91), 1.0))
    turn = 2 * np.pi * np.arange(101) / 25
    circle = wander(np.stack([2 * np.cos(turn), 2 * np.sin(turn)], axis=1))
    assert circle.spread == pytest.approx(2, rel=1e-3)
    assert circle.last_from_mean == pytest.approx(1, abs=0.02)
    assert circle.drift == pytest.approx(0, abs=1e-12)
    assert point == (0.0, 0.0, 0.0)


def test_the_drift_of_a_random_walk_falls_as_the_root_of_its_length() -> None:
    rng = np.random.default_rng(0)
    drift = {n: np.mean([wander(rng.standard_normal((n, 5)).cumsum(0)).drift for _ in range(100)]) for n in (100, 400)}
    assert drift[100] == pytest.approx(1 / math.sqrt(100), rel=0.15)
    assert drift[100] / drift[400] == pytest.approx(2, rel=0.2)


def test_the_average_is_good_and_the_last_is_not_where_a_path_circles() -> None:
    path = simulate("bilinear", rule="alternating", steps=2000)
    assert wander(path).last_from_mean == pytest.approx(1, abs=0.3)
    assert np.linalg.norm(running_mean(path)[-1]) < 0.01 * wander(path).spread


def test_main_plane_keeps_what_lies_in_a_plane() -> None:
    rng = np.random.default_rng(0)
    turn = 0.3 * LOOKS
    directions = np.linalg.qr(rng.standard_normal((50, 2)))[0]
    points = 7 + np.stack([3 * np.cos(turn), np.sin(turn)], axis=1) @ directions.T
    plane, shares = main_plane(points)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == pytest.approx(0.9, abs=0.02)
    centred = points - points.mean(axis=0)
    np.testing.assert_allclose(plane @ plane.T, centred @ centred.T, atol=1e-10)
    assert main_plane(np.ones((4, 3)))[1].tolist() == [0, 0]
    assert main_plane(LOOKS)[0].shape == (90, 2)


def test_a_random_walk_looks_like_waves_in_its_main_plane_and_is_no_cycle() -> None:
    """Half a wave and a whole one: Antognini and Sohl-Dickstein 2018. Shares 6/pi^2 and a quarter of it."""
    walk = np.random.default_rng(0).standard_normal((120, 400)).cumsum(0)
    plane, shares = main_plane(walk)
    assert shares == pytest.approx([6 / math.pi**2, 6 / math.pi**2 / 4], rel=0.2)
    half_a_wave = np.cos(np.pi * (np.arange(120) + 0.5) / 120)
    assert abs(np.corrcoef(plane[:, 0], half_a_wave)[0, 1]) > 0.99
    assert cycle(plane).verdict == "no cycle"


# --- spectra ---------------------------------------------------------------------------------------------------------------


def test_spectrum_finds_a_wave_in_noise_and_shares_sum_to_1() -> None:
    rng = np.random.default_rng(0)
    found = spectrum(np.sin(2 * np.pi * np.arange(200) / 10) + rng.standard_normal(200) + 0.02 * np.arange(200))
    assert found.period == pytest.approx(10)
    assert found.share.sum() == pytest.approx(1)
    assert found.p_white < 1e-6


def test_white_noise_has_no_peak_more_often_than_its_chance() -> None:
    """The bound is close to exact where it is small: of 1000, 50 are due at 5 %; 30 to 71 has all but 0.4 %."""
    rng = np.random.default_rng(0)
    assert 30 <= sum(spectrum(rng.standard_normal(101)).p_white < 0.05 for _ in range(1000)) <= 71


def test_spectrum_of_what_stands_still_and_of_nonsense() -> None:
    for series in (np.full(40, 0.7), 3.0 * np.arange(40)):
        found = spectrum(series)
        assert found.p_white == 1
        assert math.isnan(found.period)
        assert (found.share == 0).all()
    with pytest.raises(ValueError, match="a spectrum needs one finite series of at least 4 looks"):
        spectrum([1.0, math.nan, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"got shape \(40, 2\)"):
        spectrum(np.zeros((40, 2)))


# --- along a line ----------------------------------------------------------------------------------------------------------

START, BESIDE = np.array([3.0, 1.0]), np.array([0.1, -0.2])
TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])


def test_path_into_an_attractor_has_a_cosine_that_jumps_from_1_to_minus_1() -> None:
    found = path_statistics(lambda w: 2 * (w - BESIDE), START, BESIDE, 1)
    assert found.alpha[[0, -1]].tolist() == [-0.1, 1.1]
    np.testing.assert_allclose(found.cosine, np.where(found.alpha < 1, 1.0, -1.0), rtol=1e-12)
    length = float(((START - BESIDE) ** 2).sum())
    np.testing.assert_allclose(found.projection, 2 * (1 - found.alpha) * length, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.squared_norm, 4 * (1 - found.alpha) ** 2 * length, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.generator_squared_norm, 4 * (1 - found.alpha) ** 2 * 2.9**2, rtol=1e-9, atol=1e-12)


def test_path_in_a_field_that_only_turns_has_a_bump_of_one_sign_at_its_end() -> None:
    """From far off to beside the centre: the part along the line is constant, the cosine largest where the field is small."""
    found = path_statistics(lambda w: TURN @ w, START, BESIDE, 1)
    along = float(TURN @ BESIDE @ (START - BESIDE))
    np.testing.assert_allclose(found.projection, along, rtol=1e-9)
    assert (np.sign(found.cosine) == np.sign(along)).all()
    assert abs(found.cosine[0]) < 0.1
    assert found.alpha[np.abs(found.cosine).argmax()] == pytest.approx(1, abs=0.05)
    at_the_centre = path_statistics(lambda w: TURN @ w, START, [0.0, 0.0], 1)
    np.testing.assert_allclose(at_the_centre.cosine, 0, atol=1e-9)


def test_path_into_a_spiral_has_both() -> None:
    """w' = -(0.2 + turn) w, up to its centre: cosine 0.2/sqrt(1.04) before and minus that after."""
    found = path_statistics(lambda w: 0.2 * w + TURN @ w, START, [0.0, 0.0], 1)
    np.testing.assert_allclose(found.cosine, np.where(found.alpha < 1, 1, -1) * 0.2 / math.sqrt(1.04), rtol=1e-9)
    beside = path_statistics(lambda w: 0.2 * w + TURN @ w, START, BESIDE, 1)
    assert np.ptp(beside.cosine[:50]) < 0.1
    assert np.ptp(beside.cosine[80:]) > 0.4


def test_path_statistics_where_nothing_pulls_have_no_angle() -> None:
    found = path_statistics(lambda w: 0 * w, START, BESIDE, 1, [0.0, 0.5])
    assert np.isnan(found.cosine).all()
    assert found.squared_norm.tolist() == [0.0, 0.0]
