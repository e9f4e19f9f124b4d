"""Precision, recall, density, coverage and the distances under them: closed forms, an independent twin, what goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ganlab import data, metrics, rng
from ganlab.data.mixtures import Mixture
from ganlab.metrics import expected_coverage, precision_recall_density_coverage
from ganlab.metrics.neighbours import FEW_DIMENSIONS, in_balls, nearest, to_kth_other


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


TWENTY = Mixture([[0.0] * 20, [3.0] * 20], 1.0)
"""Two modes in twenty dimensions."""


@pytest.mark.parametrize("d", [2, 20])
def test_values_are_those_of_the_authors_package(d: int) -> None:
    prdc = pytest.importorskip("prdc", reason="needs prdc")
    real, fake = normal(300, d), 0.8 * normal(200, d, seed=1) + 0.3
    got = precision_recall_density_coverage(real, fake, k=3)
    wanted = prdc.compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=3)
    for name, value in wanted.items():
        assert getattr(got, name) == pytest.approx(float(value), rel=1e-9), name


@pytest.mark.parametrize(
    ("n", "m", "k", "wanted"),
    [(10_000, 10_000, 5, 0.968773), (1000, 1000, 3, 0.875375), (1000, 1000, 5, 0.968984), (2500, 2500, 5, 0.968844),
     (500, 1000, 5, 0.995967), (10**9, 10**9, 4, 1 - 2**-4)],
)  # fmt: skip
def test_expected_coverage_has_its_golden_values(n: int, m: int, k: int, wanted: float) -> None:
    assert expected_coverage(n, m, k) == pytest.approx(wanted, abs=6e-7)


@pytest.mark.parametrize(("law", "n", "m", "k"), [("ring8", 200, 200, 5), ("grid25", 100, 150, 3), (TWENTY, 40, 60, 2)])
def test_a_perfect_sampler_scores_the_expected_values_in_any_dimension(law: str | Mixture, n: int, m: int, k: int) -> None:
    """Means over 60 simulated pairs, within 4 standard errors of what was derived."""
    made, generator = data.get(law) if isinstance(law, str) else law, rng.stream(0, "evaluation")
    scores = [precision_recall_density_coverage(*metrics.from_law(made, n, m)(generator), k=k) for _ in range(60)]
    for field, wanted in (("density", 1.0), ("coverage", expected_coverage(n, m, k))):
        values = np.array([getattr(s, field) for s in scores])
        assert abs(values.mean() - wanted) < 4 * values.std() / np.sqrt(60), field
    assert scores[0].expected_coverage == expected_coverage(n, m, k)


def test_lost_modes_cost_recall_and_coverage_and_invented_ones_precision() -> None:
    ring = data.get("ring8")
    real, generator = ring.sample(800, rng.stream(0, "data")), rng.stream(1, "data")
    half = ring.sample(1600, generator)
    half = half[half[:, 0] + 1e-3 * half[:, 1] > 0][:800]
    lost = precision_recall_density_coverage(real, half)
    assert lost.precision > 0.98
    assert 0.4 < lost.recall < 0.6
    assert lost.coverage < 0.6
    invented = precision_recall_density_coverage(half, ring.sample(800, generator))
    assert invented.recall > 0.98
    assert 0.4 < invented.precision < 0.6


def test_a_collapsed_generator_never_covers_better_than_a_second_real_sample() -> None:
    """Its precision and density may: one real point over and over is in as many balls as it is dense there."""
    ring = data.get("ring8")
    real, again = (ring.sample(300, rng.stream(seed, "data")) for seed in (0, 1))
    healthy = precision_recall_density_coverage(real, again)
    for fake in (real[:1].expand(300, 2), real[:1] + 1e-4 * normal(300, 2), torch.zeros(300, 2), real[:38].repeat(8, 1)[:300]):
        got = precision_recall_density_coverage(real, fake)
        assert got.recall < healthy.recall
        assert got.coverage < healthy.coverage


def test_too_few_samples_for_the_neighbour_leave_open_what_needs_their_balls() -> None:
    got = precision_recall_density_coverage(normal(5, 2), normal(40, 2), k=5)
    assert np.isnan([got.precision, got.density, got.coverage, got.expected_coverage]).all()
    assert 0 <= got.recall <= 1
    few = precision_recall_density_coverage(normal(40, 2), normal(5, 2), k=5)
    assert np.isnan(few.recall)
    assert 0 <= few.coverage <= 1


# --- distances ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, FEW_DIMENSIONS, FEW_DIMENSIONS + 1, 50])
@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_neighbours_and_balls_are_those_of_all_differences(d: int, shift: float) -> None:
    """Far from the origin, products of the points would have lost every digit that tells neighbours apart."""
    points, among = (normal(n, d, seed=n).double().numpy() + shift for n in (270, 300))
    every = cdist(points, among)
    distance, index = nearest(points, among, 4)
    np.testing.assert_allclose(distance, np.sort(every, axis=1)[:, :4], rtol=1e-12)
    np.testing.assert_array_equal(index, np.argsort(every, axis=1)[:, :4])
    np.testing.assert_allclose(to_kth_other(among, 3), np.sort(cdist(among, among), axis=1)[:, 3], rtol=1e-12)
    radii = np.linspace(0.5, 1.5, 300) * np.median(every)
    held, holds = in_balls(points, among, radii)
    np.testing.assert_array_equal(held, (every <= radii).sum(1))
    np.testing.assert_array_equal(holds, (every <= radii).sum(0))


@pytest.mark.parametrize("d", [2, 20])
def test_near_copies_have_their_distance_to_nine_digits(d: int) -> None:
    """A millionth apart among points of length 10: the square of that is lost in the rounding of 100."""
    points = 10 / d**0.5 * normal(50, d).double().numpy()
    distance, index = nearest(points + 1e-6, points, 1)
    np.testing.assert_allclose(distance[:, 0], 1e-6 * d**0.5, rtol=1e-8)
    assert index[:, 0].tolist() == list(range(50))


@pytest.mark.parametrize("d", [2, 20])
def test_the_rim_belongs_to_the_ball_and_copies_are_others(d: int) -> None:
    points = np.zeros((4, d))
    points[:, 0] = [0.0, 0.1, 0.1, 0.3]
    np.testing.assert_allclose(to_kth_other(points, 1), [0.1, 0, 0, 0.2], atol=1e-15)
    held, holds = in_balls(points, points[[0, 3]], np.array([0.1, 0.2]))
    assert held.tolist() == [1, 2, 2, 1]
    assert holds.tolist() == [3, 3]


def test_a_ring_is_measured_without_the_loss_of_digits_that_float32_products_have() -> None:
    """The pitfall: norm 2, neighbours 0.003 apart; coverage by float32 products is off in the third digit."""
    ring = data.get("ring8")
    real, fake = (ring.sample(2000, rng.stream(seed, "data")) for seed in (0, 1))
    exact = cdist(real.double().numpy(), real.double().numpy())
    radii = np.sort(exact, axis=1)[:, 5]
    inside = cdist(real.double().numpy(), fake.double().numpy()) <= radii[:, None]
    got = precision_recall_density_coverage(real, fake)
    assert got.coverage == pytest.approx(inside.any(1).mean(), abs=1e-12)
    assert got.density == pytest.approx(inside.sum(0).mean() / 5, abs=1e-12)
    products = torch.cdist(real, real, compute_mode="use_mm_for_euclid_dist")
    careless = torch.cdist(real, fake, compute_mode="use_mm_for_euclid_dist") <= products.sort(1).values[:, 5:6]
    assert abs(float(careless.any(1).double().mean()) - got.coverage) > 1e-3
