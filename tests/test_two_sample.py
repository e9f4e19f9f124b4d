"""Two-sample tests: right level on one law, power on two, the statistic against its formula, ties."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from torch import Tensor

from ganlab import data, metrics, rng
from ganlab.metrics import TwoSample
from tests.planted import of_modes

TESTS: dict[str, Callable[..., TwoSample]] = {
    "energy": metrics.energy_test,
    "mmd": metrics.mmd_test,
    "sliced": partial(metrics.sliced_test, projections=8),
}
RING = data.get("ring8")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draws(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("law", ["ring8", "few values"])
def test_the_level_is_five_percent_on_one_law(name: str, law: str) -> None:
    """600 pairs of 20 and 15 samples, 19 permutations: rejections are binomial with chance 1/20, and rarer with ties."""
    generator = rng.stream(3, "evaluation")
    p = []
    for _ in range(600):
        if law == "ring8":
            real, fake = metrics.from_law(RING, 20, 15)(generator)
        else:
            real, fake = (torch.randint(2, (n, 1), generator=generator).float() for n in (20, 15))
        p.append(TESTS[name](real, fake, generator, permutations=19).p_value)
    rejections = sum(value <= 0.05 for value in p)
    assert rejections <= scipy_stats.binom.ppf(0.9999, 600, 0.05)
    if law == "ring8":
        assert rejections >= scipy_stats.binom.ppf(0.0001, 600, 0.05)
        assert np.mean(p) == pytest.approx(0.525, abs=4 * 0.29 / math.sqrt(600))  # of 1/20, 2/20, ..., 1


@pytest.mark.parametrize("name", TESTS)
def test_what_differs_is_found(name: str) -> None:
    """Lost modes, tilted weights, and one mode alone; 200 samples on each side."""
    real = RING.sample(200, rng.stream(0, "data"))
    for fault in (
        of_modes(RING, [0, 1, 2, 3, 4]),
        of_modes(RING, list(range(8)), weights=[14, 2, 2, 2, 2, 2, 2, 2]),
        of_modes(RING, [3], std=0.01),
    ):
        found = TESTS[name](real, fault(200, 0, rng.stream(1, "data")), draws(), permutations=99)
        assert found.p_value == 0.01
        assert found.statistic > found.null_high > found.null_mean > 0


def test_statistics_follow_their_formulas() -> None:
    x, y = normal(30, 2), normal(20, 2, seed=1) + 0.3
    both = torch.cdist(x, y), torch.cdist(x, x), torch.cdist(y, y)
    energy = 2 * both[0].mean() - both[1].mean() - both[2].mean()
    assert metrics.energy_test(x, y, draws()).statistic == pytest.approx(float(energy), rel=1e-9)
    pooled = torch.cdist(*[torch.cat([x, y])] * 2).square()
    width2 = np.median(pooled[~torch.eye(50, dtype=torch.bool)])
    kernel = [torch.exp(-d.square() / (2 * width2)).mean() for d in both]
    assert metrics.mmd_test(x, y, draws()).statistic == pytest.approx(float(kernel[1] + kernel[2] - 2 * kernel[0]), rel=1e-9)


def test_the_sliced_statistic_is_the_sliced_distance_of_order_one() -> None:
    x, y = normal(30, 3), normal(20, 3, seed=1) + 0.3
    found = metrics.sliced_test(x, y, draws(), projections=16)
    assert found.statistic == pytest.approx(metrics.sliced_wasserstein(x, y, draws(), 16, p=1), rel=1e-9)
    line = metrics.energy_test(x[:, :1], y[:, :1], draws()).statistic
    assert line == pytest.approx(scipy_stats.energy_distance(x[:, 0], y[:, 0]) ** 2, rel=1e-9)


@pytest.mark.parametrize("name", TESTS)
def test_one_point_against_itself_is_no_difference_and_one_sample_no_test(name: str) -> None:
    point = torch.full((12, 2), 0.1)
    assert TESTS[name](point, point, draws()).p_value == 1
    assert math.isnan(TESTS[name](point[:1], point, draws()).p_value)


@pytest.mark.parametrize("name", TESTS)
def test_two_points_are_told_apart(name: str) -> None:
    """A constant generator beside constant data: every kernel and distance must see that the points differ."""
    assert TESTS[name](torch.zeros(12, 2), torch.ones(12, 2), draws()).p_value == 1 / 200
