"""Distances of samples and of class frequencies: closed forms, independent twins, what a perfect sampler scores."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from torch import Tensor

from ganlab import data, metrics, rng
from ganlab.registry import InputError


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draws(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- Frechet -----------------------------------------------------------------------------------------------------------


def test_frechet_is_exact_for_moments_that_are_known() -> None:
    """Corners of a box have the covariance of its sides: |mu|^2 + d (s1 - s2)^2 for cubes of different size."""
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3).double() * math.sqrt(7 / 8)  # n - 1 = 7: variance 1
    got = metrics.frechet_distance(2 * corners, 0.5 * corners + torch.tensor([1.0, 2.0, 2.0]))
    assert got.distance == pytest.approx(9 + 3 * 1.5**2, rel=1e-12)


@pytest.mark.slow
def test_frechet_agrees_with_torchmetrics() -> None:
    fid = pytest.importorskip("torchmetrics.image.fid", reason="needs torchmetrics")
    mix = normal(6, 6, seed=3)
    real, fake = normal(300, 6), normal(200, 6, seed=1) @ mix + 1
    wanted = fid._compute_fid(real.mean(0), torch.cov(real.T), fake.mean(0), torch.cov(fake.T))
    assert metrics.frechet_distance(real, fake).distance == pytest.approx(float(wanted), rel=1e-9)


@pytest.mark.parametrize("scales", [(1.0,) * 5, (3.0, 2.0, 1.0, 0.5, 0.1)])
def test_a_perfect_sampler_of_gaussian_data_scores_the_expected_frechet_distance(scales: tuple[float, ...]) -> None:
    """Over 300 pairs, to 4 standard errors; for scales of 1 it is the published 2d / n + d (d + 1) / (2 n)."""
    n, s = 400, torch.tensor(scales, dtype=torch.float64)
    found = [metrics.frechet_distance(s * normal(n, 5, seed=i), s * normal(n, 5, seed=1000 + i)) for i in range(300)]
    distance = np.array([f.distance for f in found])
    expected = float(np.mean([f.expected for f in found]))
    assert abs(distance.mean() - expected) < 4 * distance.std() / math.sqrt(300) + 0.01 * expected
    if set(scales) == {1.0}:
        assert expected == pytest.approx((2 * 5 + 5 * 6 / 2) / n, rel=0.02)


# --- kernel ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kernel_distance_agrees_with_torchmetrics() -> None:
    kid = pytest.importorskip("torchmetrics.image.kid", reason="needs torchmetrics")
    real, fake = normal(150, 7), 1.2 * normal(150, 7, seed=1) + 0.1
    assert metrics.kernel_distance(real, fake) == pytest.approx(float(kid.poly_mmd(real, fake)), rel=1e-9)


def test_kernel_distance_of_shifted_gaussians_is_its_closed_form_on_average() -> None:
    d, shift = 4, 0.5
    m = shift**2  # |mu|^2 / d
    wanted = 3 * m + 3 * m**2 + m**3 + (3 * m + 6 * m**2) / d + 6 * m / d**2
    got = np.array([metrics.kernel_distance(normal(300, d, seed=i), normal(300, d, seed=500 + i) + shift) for i in range(150)])
    assert abs(got.mean() - wanted) < 4 * got.std() / math.sqrt(150)
    null = np.array([metrics.kernel_distance(normal(100, d, seed=i), normal(80, d, seed=500 + i)) for i in range(200)])
    assert abs(null.mean()) < 4 * null.std() / math.sqrt(200)
    assert (null < 0).any()


def test_kernel_distance_needs_two_samples_on_each_side() -> None:
    assert math.isnan(metrics.kernel_distance(normal(1, 2), normal(40, 2)))


# --- Wasserstein -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 30), (7, 40), (1, 9)])
@pytest.mark.parametrize("p", [1, 2])
def test_one_dimension_agrees_with_pot_at_any_sizes(n: int, m: int, p: int) -> None:
    ot = pytest.importorskip("ot", reason="needs POT")
    x, y = normal(n, 1), 2 * normal(m, 1, seed=1) + 1
    wanted = float(ot.emd2_1d(x.numpy(), y.numpy(), metric="minkowski", p=p)) ** (1 / p)
    assert metrics.wasserstein(x, y, p) == pytest.approx(wanted, rel=1e-9)
    if p == 1:
        assert metrics.wasserstein(x, y) == pytest.approx(scipy_stats.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-9)
    directions = metrics.sliced_wasserstein(x, y, draws(), projections=3, p=p)
    assert directions == pytest.approx(wanted, rel=1e-9)  # a line has two directions, and they agree


def test_the_plane_agrees_with_pot() -> None:
    ot = pytest.importorskip("ot", reason="needs POT")
    x, y = normal(120, 2), normal(120, 2, seed=1) + 0.5
    weight = np.full(120, 1 / 120)
    for p in (1, 2):
        wanted = ot.emd2(weight, weight, ot.dist(x.numpy(), y.numpy(), metric="euclidean") ** p) ** (1 / p)
        assert metrics.wasserstein(x, y, p) == pytest.approx(float(wanted), rel=1e-9)


def test_sliced_agrees_with_pot_on_the_same_directions() -> None:
    ot = pytest.importorskip("ot", reason="needs POT")
    x, y = normal(90, 3), normal(60, 3, seed=1) + 0.5
    directions = metrics.distances.unit_vectors(40, 3, draws())
    wanted = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), projections=directions.T, p=2)
    assert metrics.sliced_wasserstein(x, y, draws(), 40) == pytest.approx(float(wanted), rel=1e-9)


def test_a_shift_is_as_far_as_it_is_long() -> None:
    x = normal(200, 1)
    assert metrics.wasserstein(x, x + 3) == pytest.approx(3)
    y = normal(200, 2)
    assert metrics.wasserstein(y, y + torch.tensor([3.0, 4.0])) == pytest.approx(5)


def test_sliced_distance_of_gaussians_is_its_closed_form() -> None:
    """|mu|^2 / d + (s1 - s2)^2; 4000 samples and 400 directions leave about 2 %."""
    x, y = normal(4000, 2), 1.5 * normal(4000, 2, seed=1) + torch.tensor([3.0, 0.0])
    wanted = math.sqrt(9 / 2 + 0.25)
    assert metrics.sliced_wasserstein(x, y, draws(), 400) == pytest.approx(wanted, rel=0.05)


def test_two_perfect_samples_of_the_tutorial_ring_are_as_far_apart_as_its_published_result() -> None:
    """0.132 +- 0.029 at 2000 samples: a generator said to be at 0.1318 is as good as the data."""
    draw = metrics.from_law(data.get("ring", std=0.08), 2000, 2000)
    measure = partial(metrics.sliced_wasserstein, generator=draws(), projections=32)
    band = metrics.perfect_band(measure, draw, rng.stream(0, "evaluation"), 60)
    assert band.mean == pytest.approx(0.132, abs=4 * 0.029 / math.sqrt(60) + 0.001)
    assert band.low < 0.1318 < band.high


@pytest.mark.parametrize(("n", "m"), [(50, 40), (2001, 2001)])
def test_an_assignment_that_cannot_be_is_refused(n: int, m: int) -> None:
    with pytest.raises(InputError, match=f"equal sizes of at most 2000; got {n} and {m}; .* sliced_wasserstein"):
        metrics.wasserstein(torch.zeros(n, 2), torch.zeros(m, 2))


# --- classes -----------------------------------------------------------------------------------------------------------


def test_total_variation_has_its_golden_values() -> None:
    counts = torch.zeros(2, 10)
    counts[0, 3], counts[1, :2] = 1000, 500
    got = metrics.class_histogram_distance(counts, torch.full((10,), 0.1))
    assert got.distance.tolist() == pytest.approx([0.9, 0.8])
    assert metrics.class_histogram_distance(torch.ones(10) * 5000, torch.ones(10)).expected == pytest.approx(0.0054, abs=5e-5)
    both = metrics.class_histogram_distance(torch.ones(10) * 96, torch.ones(10), n_reference=960)
    assert both.expected == pytest.approx(0.055, abs=5e-4)
    for k in (8, 10, 25):
        one = torch.zeros(k)
        one[0] = 7
        assert metrics.class_histogram_distance(one, torch.ones(k)).distance == pytest.approx(1 - 1 / k)


def test_a_perfect_sampler_of_classes_scores_the_expected_distance() -> None:
    law = np.array([0.4, 0.3, 0.2, 0.1])
    generator = np.random.default_rng(0)
    counts = torch.from_numpy(generator.multinomial(500, law, size=4000))
    got = metrics.class_histogram_distance(counts, torch.from_numpy(law))
    assert float(got.distance.mean()) == pytest.approx(float(got.expected[0]), rel=0.03)


def test_no_counts_have_no_distance() -> None:
    got = metrics.class_histogram_distance(torch.tensor([[0.0, 0.0], [math.nan, 1.0], [1.0, 1.0]]), torch.ones(2))
    assert got.distance.isnan().tolist() == got.expected.isnan().tolist() == [True, True, False]
    with pytest.raises(InputError, match=r"got \(3,\) and \(2,\)"):
        metrics.class_histogram_distance(torch.ones(3), torch.ones(2))


def test_inception_score_of_sure_and_of_unsure_classifiers() -> None:
    """The exponential of the entropy of the classes, 9.98 for the digits of MNIST's test set."""
    frequencies = torch.tensor([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
    sure = torch.eye(10).repeat_interleave(frequencies, 0)
    assert metrics.inception_score(sure).score == pytest.approx(9.983, abs=1e-3)
    assert metrics.inception_score(sure[:50]).score == 1
    assert metrics.inception_score(torch.full((50, 10), 0.1)).score == pytest.approx(1)
    assert metrics.inception_score(sure).ceiling == 10


def test_inception_score_agrees_with_its_definition_and_refuses_to_score_what_is_no_probability() -> None:
    p = torch.softmax(3 * normal(2, 50, 4), -1)
    wanted = [math.exp(np.mean([scipy_stats.entropy(row, x.mean(0)) for row in x.numpy()])) for x in p]
    assert metrics.inception_score(p).score.tolist() == pytest.approx(wanted, rel=1e-9)
    p[1, 3] = 0.4
    found = metrics.inception_score(p).score
    assert found.isnan().tolist() == [False, True]
    assert math.isnan(metrics.inception_score(torch.full((5, 2), math.nan)).score)
