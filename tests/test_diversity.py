"""Vendi score and birthday test: known numbers of different things, level, and detectors that others got wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from torch import Tensor

from ganlab import data, metrics, rng
from ganlab.metrics import birthday_test, chance_of_no_repeat, vendi_score
from tests.planted import of_modes

RING = data.get("ring8")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def draws(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- Vendi -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_orthogonal_equal_groups_are_counted(groups: int) -> None:
    real = torch.eye(5).repeat(8, 1)
    fake = torch.eye(5)[torch.arange(40) % groups] * torch.linspace(1, 9, 40)[:, None]  # the length says nothing
    got = vendi_score(real, fake, "cosine")
    assert (got.fake, got.real) == (pytest.approx(groups), pytest.approx(5))


@pytest.mark.parametrize("m", [1, 2, 4, 8])
def test_far_points_are_counted_under_the_gaussian_kernel(m: int) -> None:
    """Groups many widths apart: the real samples set the width, here by being close to each other."""
    real = 0.01 * normal(80, 2)
    fake = RING.modes.float()[torch.arange(80) % m]
    assert vendi_score(real, fake).fake == pytest.approx(m, rel=1e-6)


def test_both_sides_are_cut_to_one_size() -> None:
    x = normal(60, 2)
    got = vendi_score(x, x[:30])
    assert got.n == 30
    assert got.fake == pytest.approx(got.real)


def test_a_collapsed_generator_scores_less_than_the_data_and_a_perfect_one_the_same() -> None:
    real = RING.sample(200, rng.stream(0, "data"))
    perfect = vendi_score(real, RING.sample(200, rng.stream(1, "data")))
    assert perfect.fake == pytest.approx(perfect.real, rel=0.1)
    half = vendi_score(real, of_modes(RING, [0, 1, 2, 3])(200, 0, rng.stream(1, "data")))
    assert half.fake < 0.8 * half.real
    assert vendi_score(real, real[:1].expand(200, 2)).fake == pytest.approx(1)


def test_the_score_is_that_of_the_definition() -> None:
    x = normal(50, 3).double()
    unit = torch.nn.functional.normalize(x)
    value = torch.linalg.eigvalsh(unit @ unit.T / 50).clamp(min=1e-30)
    assert vendi_score(x, x, "cosine").fake == pytest.approx(float(torch.exp(-(value * value.log()).sum())), rel=1e-6)
    wide = vendi_score(normal(20, 60), normal(20, 60), "cosine")  # fewer samples than dimensions
    assert 1 < wide.fake <= 20


# --- birthday ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("support", "median"), [(1000, 37), (10_000, 118), (160_000, 471), (1_000_000, 1177)])
def test_the_first_repeat_is_due_at_its_golden_values(support: int, median: int) -> None:
    assert median == round(1.1774 * math.sqrt(support))
    assert chance_of_no_repeat(median, support) == pytest.approx(0.5, abs=0.02)
    assert chance_of_no_repeat(median, support) == pytest.approx(math.exp(-(median**2) / (2 * support)), abs=0.02)


def test_more_draws_than_outcomes_must_repeat() -> None:
    assert chance_of_no_repeat(3, 2) == 0
    assert chance_of_no_repeat(2, 2) == 0.5


def test_a_support_of_known_size_is_estimated() -> None:
    """200 equally likely points, 400 draws: 399 pairs on average, and their number has the std of a binomial."""
    places = normal(200, 2)
    fake = places[torch.randint(200, (400,), generator=draws(1))]
    got = birthday_test(normal(400, 2, seed=2), fake, draws(), within=0.0)
    assert got.pairs == pytest.approx(399, abs=4 * math.sqrt(399))
    assert got.support == pytest.approx(400 * 399 / 2 / got.pairs)
    assert got.support == pytest.approx(200, rel=0.25)
    assert (got.real_pairs, got.p_value) == (0, 1 / 200)


def test_a_continuous_generator_that_jitters_about_one_mode_is_flagged() -> None:
    """No sample repeats exactly, so a share of duplicates would say that nothing is wrong."""
    jitter = RING.modes[5].float() + 1e-4 * normal(300, 2)
    assert len(torch.unique(jitter, dim=0)) == 300
    got = birthday_test(RING.sample(300, rng.stream(0, "data")), jitter, draws())
    assert got.p_value == 1 / 200
    assert got.real_pairs == 0
    assert birthday_test(RING.sample(300, rng.stream(0, "data")), jitter, draws(), within=0.0).support == math.inf


def test_real_against_real_is_flagged_in_five_percent() -> None:
    """Alike is what a generator should be: a perfect one is flagged no more often than the level says."""
    generator = rng.stream(0, "evaluation")
    p = [birthday_test(*metrics.from_law(RING, 80, 80)(generator), generator, permutations=19).p_value for _ in range(500)]
    assert np.mean(np.array(p) <= 0.05) <= scipy_stats.binom.ppf(0.999, 500, 0.05) / 500
    assert np.mean(np.array(p) <= 0.2) > 0.08  # and the test is not asleep: ties alone make it cautious


def test_real_against_real_no_detector_of_this_package_cries_collapse() -> None:
    """Similarity to the data is no sign of collapse: a second real sample passes every measure at its own band."""
    real, again = (RING.sample(1000, rng.stream(seed, "data")) for seed in (10, 11))
    assert metrics.mode_coverage(again, RING).modes_covered == 8
    assert metrics.energy_test(real[:300], again[:300], draws()).p_value > 0.01
    assert metrics.cell_divergence(again, RING, draws()).p_value > 0.01
    assert metrics.log_density_gap(again, RING).p_value > 0.01
    assert metrics.different_bins(real, again, draws()).different_corrected == 0
    support = metrics.precision_recall_density_coverage(real, again)
    assert support.coverage == pytest.approx(support.expected_coverage, abs=0.02)
    score = vendi_score(real[:200], again)
    assert score.fake == pytest.approx(score.real, rel=0.1)
