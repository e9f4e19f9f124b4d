"""Samples against a known density: closed forms, null bands on every named mixture, what each measure sees and does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from ganlab import data, rng
from ganlab.data.mixtures import Mixture
from ganlab.metrics import cell_divergence, density, log_density_gap
from ganlab.registry import InputError
from tests.planted import blob, of_modes
from tests.test_contracts import MIXTURES

RING = data.get("ring8")
OVERLAPPING = Mixture([[0.0], [1.5], [2.0]], [1.0, 0.5, 2.0], weights=[5, 3, 2])
DENSE = [name for name in MIXTURES if data.get(name).has_density]


def draws(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_entropy_of_modes_far_apart_is_its_closed_form() -> None:
    """ln K + d/2 ln(2 pi e) + d ln s, and the variance of a log-density of a Gaussian is d / 2."""
    mean, std = density._log_density_moments(RING)
    assert mean == pytest.approx(-math.log(8) - math.log(2 * math.pi * math.e * 0.02**2), abs=1e-9)
    assert std == pytest.approx(1, abs=1e-9)


def test_the_entropy_of_modes_that_overlap_is_that_of_quadrature() -> None:
    x = torch.linspace(-15, 15, 20_001, dtype=torch.float64)[:, None]
    log_p = OVERLAPPING.log_prob(x)
    weight = log_p.exp() * float(x[1] - x[0])
    wanted = float((weight * log_p).sum())
    spread = math.sqrt(float((weight * (log_p - wanted) ** 2).sum()))
    mean, std = density._log_density_moments(OVERLAPPING)
    assert mean == pytest.approx(wanted, abs=5e-3)
    assert std == pytest.approx(spread, rel=0.02)


@pytest.mark.parametrize("name", DENSE)
def test_samples_of_every_named_mixture_are_as_likely_as_they_should_be(name: str) -> None:
    """Also those with 100 and 1000 modes. Five standard errors, of the fixed points where there are some."""
    made = data.get(name)
    n = 2000 if made.points is None else min(2000, len(made.points))
    got = log_density_gap(made.sample(2000, rng.stream(1, "data")), made)
    assert abs(got.gap) < 5 * math.sqrt(2) * got.null_std * math.sqrt(2000 / n)


def test_the_p_values_of_perfect_samplers_are_uniform() -> None:
    """500 members each; Kolmogorov's test would say so once in a thousand if they were."""
    generator = np.random.default_rng(0)
    for made in (RING, OVERLAPPING):
        crowd = torch.stack([made.sample(200, rng.stream(seed, "data")) for seed in range(500)])
        for found in (log_density_gap(crowd, made), cell_divergence(crowd, made, draws(), simulations=199)):
            spread = found.p_value.numpy() - generator.random(500) / 200  # p comes in 200ths
            assert scipy_stats.kstest(spread, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("std", [0.1, 0.5, 2.0])
def test_the_gap_of_a_spread_that_is_wrong_is_its_closed_form(std: float) -> None:
    """E -|z|^2 / 2 is -std^2 against -1, in two dimensions: 1 - std^2."""
    got = log_density_gap(of_modes(RING, list(range(8)), std=std)(4000, 0, draws()), RING)
    assert got.gap == pytest.approx(1 - std**2, abs=5 * std**2 / math.sqrt(4000))
    assert got.p_value < 1e-6


def test_the_gap_does_not_see_lost_modes_and_cells_do() -> None:
    half = of_modes(RING, [0, 1, 2, 3])(2000, 0, draws())
    assert log_density_gap(half, RING).p_value > 1e-3
    got = cell_divergence(half, RING, draws())
    assert got.p_value == 1 / 1000
    assert got.kl == pytest.approx(math.log(2), abs=3 * got.floor)


@pytest.mark.parametrize(
    "fault",
    [
        of_modes(RING, list(range(8)), std=0.5),
        of_modes(RING, list(range(8)), std=1.5),
        of_modes(RING, list(range(8)), weights=[2, 1, 1, 1, 1, 1, 1, 1]),
        blob(2.0),
        lambda n, step, generator: RING.sample(n, generator) + 0.02,
    ],
)
def test_cells_see_what_is_wrong(fault: object) -> None:
    assert callable(fault)
    assert cell_divergence(fault(2000, 0, draws()), RING, draws()).p_value == 1 / 1000


@pytest.mark.parametrize("made", [RING, OVERLAPPING])
def test_a_perfect_sampler_scores_the_floor_and_cells_have_their_exact_masses(made: Mixture) -> None:
    crowd = torch.stack([made.sample(1000, rng.stream(seed, "data")) for seed in range(200)])
    got = cell_divergence(crowd, made, draws(), simulations=39)
    k = len(made.modes)
    assert got.cells == 4 * k
    assert got.floor == (4 * k - 1) / 2000
    assert float(got.kl.mean()) == pytest.approx(got.floor, rel=0.1)
    x = made.sample(40_000, rng.stream(7, "data"))
    u = torch.rand(40_000, generator=draws(), dtype=torch.float64)
    edges = scipy_stats.chi2.ppf([0.25, 0.5, 0.75], made.shape[0])
    counts = np.bincount(density._cells(x, made, u, edges), minlength=4 * k)
    assert scipy_stats.chisquare(counts, 40_000 * np.repeat(made.weights.numpy(), 4) / 4).pvalue > 1e-3


def test_the_worst_samples_have_numbers() -> None:
    """A full collapse off the modes: likelihoods are low, and neither infinite nor NaN."""
    for far in (torch.zeros(50, 2), torch.full((50, 2), 1e15)):
        got = log_density_gap(far, RING)
        assert math.isfinite(got.gap)
        assert got.p_value == 0
        assert math.isfinite(cell_divergence(far, RING, draws(), simulations=19).kl)


@pytest.mark.parametrize("name", ["ring12_lipizzaner", "digits"])
def test_data_without_a_density_are_refused(name: str) -> None:
    for measure in (lambda x, y: log_density_gap(x, y), lambda x, y: cell_divergence(x, y, draws())):
        with pytest.raises(InputError, match=f"without point masses; got '{name}'"):
            measure(torch.zeros(5, 2), data.get(name))
    with pytest.raises(InputError, match="2 dimensions"):
        log_density_gap(torch.zeros(5, 1), RING)
