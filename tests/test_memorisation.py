"""Copies of training data: exact statistics, level on fresh data, power on planted copies, null values of AuthPct."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from torch import Tensor

from ganlab import data, rng
from ganlab.metrics import authenticity, nearest_neighbour_test

GRID = data.get("grid25")


def draws(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh(n: int, seed: int) -> Tensor:
    return GRID.sample(n, rng.stream(seed, "data"))


@pytest.mark.parametrize("n", [100, 1000])
def test_exact_copies_have_the_published_statistic(n: int) -> None:
    """(0 - n^2 / 2 + 1/2) / sqrt(n^2 (2 n + 1) / 12); all distances of copies tie, which makes z larger still."""
    train = fresh(n, 0)
    got = nearest_neighbour_test(train, fresh(n, 1), train, draws())
    plain = n * n * (2 * n + 1) / 12
    assert got.c_t == pytest.approx((0.5 - n * n / 2) / math.sqrt(plain), rel=1e-9)
    if n == 1000:
        assert got.c_t == pytest.approx(-38.7, abs=0.05)
    tied = plain - n * n * (n**3 - n) / (12 * 2 * n * (2 * n - 1))
    assert got.z == pytest.approx((0.5 - n * n / 2) / math.sqrt(tied), rel=1e-9)
    assert got.p_value < 1e-9
    assert authenticity(train, fresh(n, 1), train).fake == 0


@pytest.mark.parametrize("cells", [1, 3])
@pytest.mark.parametrize("n", [60, 200])
def test_the_level_holds_for_fresh_samples(n: int, cells: int) -> None:
    """500 simulations, of training sets too: p is uniform, and p <= 0.05 comes up in 5 % of them."""
    clouds = [[fresh(m, 3 * i + j) for j, m in enumerate((100, n, n))] for i in range(500)]
    found = [nearest_neighbour_test(*three, draws(), cells) for three in clouds]
    z, p = (np.array([getattr(f, name) for f in found]) for name in ("z", "p_value"))
    assert scipy_stats.binom.ppf(1e-4, 500, 0.05) <= (p <= 0.05).sum() <= scipy_stats.binom.ppf(1 - 1e-4, 500, 0.05)
    assert scipy_stats.kstest(p, "uniform").pvalue > 1e-3
    assert cells > 1 or scipy_stats.kstest(z, "norm").pvalue > 1e-3


def test_the_level_of_authenticity_holds_for_fresh_samples() -> None:
    """Fisher's test is cautious, so at most 5 % of 500."""
    p = [authenticity(fresh(100, 3 * i), fresh(80, 3 * i + 1), fresh(80, 3 * i + 2)).p_value for i in range(500)]
    assert sum(value <= 0.05 for value in p) <= scipy_stats.binom.ppf(0.999, 500, 0.05)
    assert sum(value <= 0.2 for value in p) > 25


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_some_copies_among_good_samples_are_found(share: float) -> None:
    train, copies = fresh(1000, 0), int(1000 * share)
    fake = torch.cat([train[:copies] + 1e-5, fresh(1000 - copies, 2)])
    assert nearest_neighbour_test(train, fresh(1000, 1), fake, draws()).p_value < 0.01
    got = authenticity(train, fresh(1000, 1), fake)
    assert share < 0.5 or got.p_value < 1e-6  # counting neighbours has less power than ranks: not for a tenth
    assert got.fake == pytest.approx((1 - share) * got.held_out, abs=0.08)


def test_copies_of_points_that_the_training_data_hold_twice_are_copies() -> None:
    """Both distances are 0 then, and a tie is no sign of authenticity."""
    twice = fresh(100, 0).repeat(2, 1)
    assert authenticity(twice, fresh(100, 1), twice[:100]).fake == 0


def test_samples_further_than_fresh_data_are_no_copies() -> None:
    train = fresh(300, 0)
    got = nearest_neighbour_test(train, fresh(300, 1), fresh(300, 2) * 1.1, draws())
    assert got.z > 5
    assert got.p_value > 0.99


def test_copies_of_one_region_hide_behind_bad_samples_elsewhere_unless_cells_are_judged() -> None:
    """Two equal regions: all copied in one, all far off in the other, which the published mean takes for average."""
    apart, seen, unseen = torch.tensor([40.0, 0.0]), fresh(400, 0), fresh(400, 1)
    train, held_out = torch.cat([seen, seen + apart]), torch.cat([unseen, unseen + apart])
    fake = torch.cat([seen + 1e-4, fresh(400, 2) + 0.7 + apart])
    assert nearest_neighbour_test(train, held_out, fake, draws()).p_value > 0.05
    judged = nearest_neighbour_test(train, held_out, fake, draws(), cells=2)
    assert judged.p_value < 1e-9
    assert abs(judged.c_t) < 2 < 20 < -judged.z


@pytest.mark.parametrize(("d", "share"), [(1, 0.333), (2, 0.378), (3, 0.407)])
def test_the_null_value_of_authenticity_has_its_golden_values(d: int, share: float) -> None:
    """1 - P(mutual nearest neighbours) for evenly spread data; edges and chance leave 2 %."""
    generator = draws()
    cloud = torch.rand(12_000, d, generator=generator)
    got = authenticity(cloud[:4000], cloud[4000:8000], cloud[8000:])
    assert got.held_out == pytest.approx(share, abs=0.03)
    assert got.fake == pytest.approx(share, abs=0.03)


def test_in_fifty_dimensions_fresh_data_are_authentic_more_often() -> None:
    x = torch.randn(3000, 50, generator=draws())
    assert authenticity(x[:1000], x[1000:2000], x[2000:]).held_out == pytest.approx(0.81, abs=0.06)


def test_the_rank_sum_is_scipys_with_ties_or_without() -> None:
    rounded = (torch.randn(200, 1, generator=draws()) * 4).round()
    train, held_out, fake = rounded[:50], rounded[50:120] + 0.5, rounded[120:] + 0.25 * (rounded[120:] > 0)
    got = nearest_neighbour_test(train, held_out, fake, draws())
    distance = [torch.cdist(x.double(), train.double()).min(1).values.numpy() for x in (fake, held_out)]
    wanted = scipy_stats.mannwhitneyu(*distance, alternative="less", method="asymptotic")
    assert got.p_value == pytest.approx(wanted.pvalue, rel=1e-9)


def test_cells_with_few_samples_are_not_judged() -> None:
    train = fresh(200, 0)
    nothing = nearest_neighbour_test(train, fresh(9, 1), fresh(200, 2), draws())
    assert (math.isnan(nothing.z), math.isnan(nothing.p_value), nothing.cells) == (True, True, 0)
    few = nearest_neighbour_test(train, fresh(200, 1), GRID.modes[:1].float().expand(200, 2), draws(), cells=25)
    assert few.cells < 25
    assert math.isnan(authenticity(train[:1], fresh(9, 1), fresh(9, 2)).p_value)
