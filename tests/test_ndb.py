"""Different bins: how many a perfect sampler has, raw and corrected, and what is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from ganlab import data, metrics, rng, stats
from ganlab.metrics import ndb
from tests.planted import of_modes

RING = data.get("ring8")


def draws(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_real_against_real_a_twentieth_of_bins_differs_and_after_correction_none() -> None:
    """200 pairs, 20 bins: raw alarms near their expected number, corrected ones in at most 5 % of pairs."""
    generator = rng.stream(0, "evaluation")
    pairs = [metrics.from_law(RING, 1000, 1000)(generator) for _ in range(200)]
    found = [metrics.different_bins(*pair, draws(), bins=20) for pair in pairs]
    raw = np.array([f.different for f in found])
    assert found[0].expected == 1
    assert abs(raw.mean() - 1) < 4 * raw.std() / math.sqrt(200)
    alarms = sum(f.different_corrected > 0 for f in found)
    assert alarms <= scipy_stats.binom.ppf(0.999, 200, 0.05)
    js = np.array([f.js for f in found])
    assert js.mean() == pytest.approx(found[0].js_floor, rel=0.15)
    assert sum(f.different > 0 for f in found) > 80  # the raw count cries wolf in most pairs


def test_lost_modes_are_different_bins() -> None:
    real = RING.sample(2000, rng.stream(0, "data"))
    found = metrics.different_bins(real, of_modes(RING, [0, 1, 2, 3])(2000, 0, rng.stream(1, "data")), draws(), bins=8)
    assert found.different == found.different_corrected == found.bins == 8  # four are empty, four have twice their due
    assert found.js == pytest.approx(0.21576, abs=0.01)


def test_bins_nobody_is_in_and_bins_everybody_is_in_are_equal_and_not_zero_over_zero() -> None:
    empty = np.array([0, 50, 50]), np.array([0, 60, 40])
    assert ndb._z_test(*empty)[0] == ndb._exact_test(*empty)[0] == 1
    full = np.array([50]), np.array([70])
    assert ndb._z_test(*full)[0] == ndb._exact_test(*full)[0] == 1
    one = metrics.different_bins(torch.ones(50, 2), torch.zeros(70, 2), draws())
    assert (one.different, one.different_corrected, one.js, one.bins, one.expected) == (0, 0, 0, 1, 0)


def test_the_raw_test_is_the_pooled_z_test_and_the_corrected_one_exact() -> None:
    ours, theirs = np.array([30, 70]), np.array([45, 55])
    chi2 = scipy_stats.chi2_contingency([[30, 70], [45, 55]], correction=False)
    assert ndb._z_test(ours, theirs)[0] == pytest.approx(chi2.pvalue, rel=1e-9)
    one_sided = scipy_stats.fisher_exact([[30, 70], [45, 55]], alternative="less").pvalue
    assert ndb._exact_test(ours, theirs)[0] == pytest.approx(2 * one_sided, rel=1e-9)


@pytest.mark.parametrize(
    ("p", "rejected"), [([0.01, 0.02, 0.03, 0.04], 1), ([0.001, 0.004, 0.02, 0.04], 4), ([0.04, 0.5], 0), ([0.01, 0.5], 1)]
)
def test_holm_steps_down(p: list[float], rejected: int) -> None:
    """Against 0.05 / 4, 0.05 / 3, 0.05 / 2, 0.05; the first that is kept ends it."""
    assert (stats.holm(p) <= ndb.LEVEL).sum() == rejected


def test_fewer_distinct_samples_than_bins_make_fewer_bins() -> None:
    real = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).repeat(20, 1)
    found = metrics.different_bins(real, real, draws(), bins=50)
    assert (found.bins, found.different) == (3, 0)
