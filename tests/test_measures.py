"""Laws for every measure of samples: members alone and in a crowd, what is not finite, what is degenerate, what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ganlab import data, metrics
from ganlab.data.mixtures import Mixture
from ganlab.registry import InputError


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


BLOBS = Mixture([[0.0, 0.0], [4.0, 0.0]], 1.0)
FRESH = normal(40, 2, seed=9)

MEASURES: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "support": metrics.precision_recall_density_coverage,
    "different bins": lambda real, fake: metrics.different_bins(real, fake, draws(), bins=5),
    "vendi": metrics.vendi_score,
    "vendi, cosine": lambda real, fake: metrics.vendi_score(real, fake, "cosine"),
    "birthday": lambda real, fake: metrics.birthday_test(real, fake, draws(), permutations=39),
    "frechet": metrics.frechet_distance,
    "kernel": metrics.kernel_distance,
    "wasserstein": metrics.wasserstein,
    "sliced": lambda real, fake: metrics.sliced_wasserstein(real, fake, draws(), 8),
    "energy test": lambda real, fake: metrics.energy_test(real, fake, draws(), 39),
    "mmd test": lambda real, fake: metrics.mmd_test(real, fake, draws(), 39),
    "sliced test": lambda real, fake: metrics.sliced_test(real, fake, draws(), 8, 39),
    "log-density": lambda real, fake: metrics.log_density_gap(fake, BLOBS),
    "cells": lambda real, fake: metrics.cell_divergence(fake, BLOBS, draws(), simulations=39),
    "memorisation": lambda real, fake: metrics.nearest_neighbour_test(real, FRESH, fake, draws()),
    "memorisation in cells": lambda real, fake: metrics.nearest_neighbour_test(real, FRESH, fake, draws(), cells=2),
    "authenticity": lambda real, fake: metrics.authenticity(real, FRESH, fake),
}
BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(["precision", "recall", "coverage", "p_value", "held_out"], (0, 1)),
    **dict.fromkeys(["density", "different", "js", "pairs", "distance", "null_high"], (0, math.inf)),
}


def values(found: Any) -> dict[str, Any]:
    return found._asdict() if isinstance(found, tuple) else {"value": found}


@pytest.mark.parametrize("name", MEASURES)
def test_a_member_alone_scores_as_in_a_crowd(name: str) -> None:
    real, crowd = normal(40, 2), normal(3, 40, 2, seed=1) + torch.arange(3.0)[:, None, None]
    together = values(MEASURES[name](real, crowd))
    for member in range(3):
        for field, value in values(MEASURES[name](real, crowd[member])).items():
            there = together[field]
            assert (there[member].item() if isinstance(there, Tensor) else there) == value, field
    moved = [field for field, v in together.items() if isinstance(v, Tensor) and len(set(v.tolist())) > 1]
    assert moved, "the members differ, so something must"


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_member_with_a_sample_that_is_not_finite_is_nan_and_the_others_are_not(name: str, bad: float) -> None:
    real, crowd = normal(40, 2), normal(2, 40, 2, seed=1)
    whole = values(MEASURES[name](real, crowd))
    crowd[1, 7, 0] = bad
    found = {field: v for field, v in values(MEASURES[name](real, crowd)).items() if isinstance(v, Tensor)}
    assert found
    for field, value in found.items():
        assert value[0] == whole[field][0]
        assert math.isnan(value[1])


CLOUDS = {
    "constant": torch.full((40, 2), 0.1),
    "one point": torch.tensor([[0.3, -0.7]]),
    "two points": torch.tensor([[0.3, -0.7], [0.4, 0.0]]),
    "a flat dimension": normal(40, 2) * torch.tensor([1.0, 0.0]),
    "duplicates": normal(4, 2).repeat(10, 1),
    "huge": 1e30 * normal(40, 2),
    "tiny": 1e-30 * normal(40, 2),
    "half precision": normal(40, 2).half(),
    "zeros": torch.zeros(40, 2),
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("fake", CLOUDS)
@pytest.mark.parametrize("real", ["a flat dimension", "constant", "one point", "healthy"])
def test_degenerate_samples_have_values_in_range_or_nan(name: str, real: str, fake: str) -> None:
    ours, theirs = {"healthy": normal(40, 2, seed=3), **CLOUDS}[real], CLOUDS[fake]
    if name == "wasserstein" and len(ours) != len(theirs):
        ours, theirs = ours[:1], theirs[:1]
    for field, value in values(MEASURES[name](ours, theirs)).items():
        low, high = BOUNDS.get(field, (-math.inf, math.inf))
        assert math.isnan(value) or low <= value <= high, field


@pytest.mark.parametrize("d", [2, 20])
@pytest.mark.parametrize("cloud", ["healthy", "constant", "duplicates"])
def test_identical_clouds_are_as_good_as_can_be(cloud: str, d: int) -> None:
    x = {"healthy": normal(60, d), "constant": torch.full((60, d), 0.1), "duplicates": normal(6, d).repeat(10, 1)}[cloud]
    got = metrics.precision_recall_density_coverage(x, x)
    assert (got.precision, got.recall, got.coverage) == (1, 1, 1)
    assert metrics.frechet_distance(x, x).distance == pytest.approx(0, abs=1e-9)
    assert metrics.wasserstein(x, x) == 0
    assert metrics.sliced_wasserstein(x, x, draws()) == 0
    assert metrics.energy_test(x, x, draws(), 39).p_value == 1
    assert metrics.different_bins(x, x, draws(), 5).different == 0


@pytest.mark.parametrize("name", ["frechet", "kernel", "sliced", "wasserstein"])
def test_a_constant_generator_is_at_a_finite_distance(name: str) -> None:
    """Where the usual matrix root is complex or NaN: one point, and fewer points than dimensions."""
    ring = data.get("ring8").sample(100, draws())
    point = ring[:1].expand(100, 2)
    distance = values(MEASURES[name](ring, point))
    assert math.isfinite(distance.get("distance", distance.get("value")))
    few = values(MEASURES[name](normal(5, 30), normal(5, 30, seed=1)))
    assert math.isfinite(few.get("distance", few.get("value")))


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_measured_is_not_modified(name: str) -> None:
    real, fake = normal(40, 2), normal(40, 2, seed=1).requires_grad_()
    before = real.clone(), fake.detach().clone()
    MEASURES[name](real, fake)
    assert torch.equal(real, before[0])
    assert torch.equal(fake.detach(), before[1])


@pytest.mark.parametrize("name", [n for n in MEASURES if n not in ("log-density", "cells")])
@pytest.mark.parametrize(
    ("real", "fake"), [((40, 2), (40, 3)), ((40, 2), (0, 2)), ((40,), (40, 2)), ((2, 40, 2), (3, 40, 2)), ((40, 1, 2, 2),) * 2]
)
def test_clouds_that_do_not_fit_are_refused(name: str, real: tuple[int, ...], fake: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\[member, n, d\]|equal sizes"):
        MEASURES[name](torch.zeros(real), torch.zeros(fake))


# --- the band of a perfect sampler -------------------------------------------------------------------------------------


def test_the_band_of_the_mean_is_the_normal_one() -> None:
    """The difference of two means of 50 standard normals has std 0.2, so its band is 0.392 to either side."""

    class Normal:
        def sample(self, n: int, generator: torch.Generator) -> Tensor:
            return torch.randn(n, 1, generator=generator)

    band = metrics.perfect_band(
        lambda real, fake: float(real.mean() - fake.mean()), metrics.from_law(Normal(), 50, 50), draws(), 2000
    )
    assert band.mean == pytest.approx(0, abs=4 * 0.2 / math.sqrt(2000))
    assert (band.low, band.high) == (pytest.approx(-0.392, abs=0.04), pytest.approx(0.392, abs=0.04))
    assert band.repeats == 2000


def test_real_against_real_takes_disjoint_parts() -> None:
    real = torch.arange(30.0)[:, None]
    one, other = metrics.from_data(real, 10, 20)(draws())
    assert sorted(torch.cat([one, other]).flatten().tolist()) == real.flatten().tolist()
    with pytest.raises(InputError, match="takes n_real \\+ n_fake = 31 samples; there are 30"):
        metrics.from_data(real, 11, 20)


def test_a_band_needs_enough_repeats_for_its_tails() -> None:
    with pytest.raises(InputError, match="at least 40 repeats"):
        metrics.perfect_band(metrics.kernel_distance, metrics.from_data(normal(40, 2), 20, 20), draws(), 39)


def test_bands_come_back_by_the_names_of_the_measure() -> None:
    band = metrics.perfect_band(
        metrics.precision_recall_density_coverage, metrics.from_data(normal(200, 2), 100, 100), draws(), 40
    )
    assert isinstance(band, metrics.Support)
    assert band.coverage.low < band.expected_coverage.mean < band.coverage.high
