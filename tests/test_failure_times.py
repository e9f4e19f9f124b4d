"""Survival and the cost of starting anew, against published values, SciPy, closed forms and simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ganlab import stats

WEEKS = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
RELAPSED = [True] * 9 + [False] * 12
"""Weeks of remission under 6-mercaptopurine (Freireich et al. 1963), the textbooks' example."""


def test_survival_has_its_published_values() -> None:
    """Kalbfleisch and Prentice 1980, table 1.1 and their estimate."""
    curve = stats.survival(WEEKS, RELAPSED).set_index("step")
    wanted = {0: 1, 6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448, 35: 0.448}
    for step, share in wanted.items():
        assert curve.loc[step, "survival"] == pytest.approx(share, abs=5e-4)
    assert curve.loc[[6, 10, 35], ["at_risk", "failures", "ended"]].to_numpy().tolist() == [[21, 3, 1], [15, 1, 1], [1, 0, 1]]
    median = stats.median_time(stats.survival(WEEKS, RELAPSED))
    assert (median.estimate, median.low, median.high, median.n) == (23, 13, math.inf, 21)


@pytest.mark.filterwarnings("ignore:The confidence interval is undefined at some")
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_survival_and_its_interval_are_scipys(level: float) -> None:
    """Where the log-log interval exists, from the first failure on while some are left."""
    generator = np.random.default_rng(0)
    time, end = generator.integers(1, 30, 40), generator.integers(5, 60, 40)
    failed, steps = time <= end, np.minimum(time, end)
    data = scipy_stats.CensoredData(uncensored=steps[failed], right=steps[~failed])
    twin = scipy_stats.ecdf(data).sf
    bounds = twin.confidence_interval(level, method="log-log")
    curve = stats.survival(steps, failed, level).set_index("step")
    assert curve["survival"].iloc[1:].to_numpy() == pytest.approx(twin.probabilities, rel=1e-12)
    inside = (twin.probabilities > 0) & (twin.probabilities < 1)
    assert inside.sum() > 15
    for column, wanted in (("low", bounds.low.probabilities), ("high", bounds.high.probabilities)):
        assert curve[column].iloc[1:].to_numpy()[inside] == pytest.approx(wanted[inside], rel=1e-9)


def test_without_censoring_survival_is_the_share_that_has_not_failed() -> None:
    steps = np.random.default_rng(1).integers(0, 20, 25)
    for row in stats.survival(steps, [True] * 25).itertuples():
        assert row.survival == pytest.approx((steps > row.step).mean(), abs=1e-12)


def test_survival_of_none_and_of_all_has_the_exact_binomial_bound() -> None:
    """Where the log-log interval has no width it is not used: 0.025^(1 / n), Clopper and Pearson's."""
    whole = stats.survival([100] * 8, [False] * 8)
    exact = scipy_stats.binomtest(0, 8).proportion_ci(0.95, method="exact").high
    assert whole["step"].tolist() == [0, 100]
    assert whole[["survival", "high"]].to_numpy().tolist() == [[1, 1], [1, 1]]
    assert whole["low"].tolist() == pytest.approx([1 - exact] * 2, rel=1e-9)
    gone = stats.survival([0] * 5 + [10] * 3, [True] * 8)
    assert gone["step"].tolist() == [0, 10]
    assert (gone["survival"].iloc[-1], gone["low"].iloc[-1]) == (0, 0)
    assert gone["high"].iloc[-1] == pytest.approx(exact, rel=1e-9)
    fewer = stats.survival([50, 100], [False, False])
    assert fewer["low"].tolist() == pytest.approx([0.025**0.5, 0.025**0.5, 0.025])


def test_survival_bounds_stay_inside_and_around_the_curve() -> None:
    generator = np.random.default_rng(2)
    for n in (1, 2, 5, 30):
        curve = stats.survival(generator.integers(0, 9, n), generator.random(n) < 0.6)
        assert (curve["low"] >= 0).all()
        assert (curve["low"] <= curve["survival"]).all()
        assert (curve["survival"] <= curve["high"]).all()
        assert (curve["high"] <= 1).all()
        assert curve["survival"].is_monotonic_decreasing
        assert curve[["failures", "ended"]].to_numpy().sum() == n


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 30])
def test_survival_intervals_cover_the_truth_in_93_percent_of_studies(n: int) -> None:
    """1500 studies of seeds that fail at a constant rate, a half of which are stopped early by chance."""
    generator = np.random.default_rng(n)
    at, hits, medians = np.array([30.0, 100.0, 200.0]), np.zeros(3), 0
    for _ in range(1500):
        time, end = generator.exponential(100, n), generator.uniform(0, 300, n)
        end[: n // 2] = 300
        curve = stats.survival(np.minimum(time, end), time <= end)
        rows = curve.iloc[np.searchsorted(curve["step"], at, side="right") - 1]
        hits += (rows["low"].to_numpy() <= np.exp(-at / 100)) & (np.exp(-at / 100) <= rows["high"].to_numpy())
        median = stats.median_time(curve)
        medians += median.low <= 100 * math.log(2) <= median.high
    assert (hits / 1500 >= 0.93).all()
    assert medians / 1500 >= 0.93


def test_a_median_that_is_not_reached_is_infinite_with_a_lower_bound_where_there_is_one() -> None:
    lasting = stats.median_time(stats.survival([10] + [100] * 29, [True] + [False] * 29))
    assert (lasting.estimate, lasting.low, lasting.high) == (math.inf, math.inf, math.inf)
    few = stats.median_time(stats.survival([100, 100], [False, False]))
    assert (few.estimate, few.low, few.high) == (math.inf, 0, math.inf)
    half = stats.median_time(stats.survival([1, 2, 3, 4, 5, 6], [True] * 3 + [False] * 3))
    assert half.estimate == 3  # 5/6 * 4/5 * 3/4 is a half but for rounding


def test_times_that_cannot_be_are_refused() -> None:
    for steps, failed in (([], []), ([1, 2], [True]), ([-1], [True]), ([math.nan], [True])):
        with pytest.raises(ValueError, match="survival needs a step of at least 0"):
            stats.survival(steps, failed)
        with pytest.raises(ValueError, match="a finite cost of at least 0"):
            stats.cost_to_first_success(steps, failed)


# --- the cost of a success ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("failures", "n"), [(0, 8), (3, 8), (7, 8), (15, 30)])
def test_at_equal_costs_it_is_the_cost_over_the_share_of_successes(failures: int, n: int) -> None:
    got = stats.cost_to_first_success([500] * n, [True] * failures + [False] * (n - failures))
    success = stats.rate(n - failures, n)
    wanted = (500 / success.estimate, 500 / success.high, 500 / success.low)
    assert (got.estimate, got.low, got.high) == pytest.approx(wanted, rel=1e-12)
    assert got.n == n


def test_it_is_all_costs_over_the_number_of_successes() -> None:
    costs, failed = [10, 20, 30, 100, 100], [True, True, True, False, False]
    assert stats.cost_to_first_success(costs, failed).estimate == pytest.approx(sum(costs) / 2)


def test_without_a_success_only_the_lower_bound_is_finite() -> None:
    got = stats.cost_to_first_success([100] * 10, [True] * 10)
    assert (got.estimate, got.high) == (math.inf, math.inf)
    assert got.low == pytest.approx(100 / stats.rate(0, 10).high)
    one = stats.cost_to_first_success([100], [False])
    assert (one.estimate, one.low, one.high) == (100, 0, math.inf)  # one seed tells nothing about what others cost


def test_it_is_what_starting_anew_costs_on_average() -> None:
    """20,000 simulated restarts: failed seeds stop early, after 40 steps in the mean; one in four succeeds, after 100."""
    generator = np.random.default_rng(0)
    failures = generator.geometric(0.25, 20_000) - 1
    spent = np.array([generator.uniform(0, 80, k).sum() + 100 for k in failures])
    failed = generator.random(200_000) >= 0.25
    got = stats.cost_to_first_success(np.where(failed, generator.uniform(0, 80, failed.size), 100), failed)
    assert got.estimate == pytest.approx(40 * 3 + 100, rel=0.02)
    assert spent.mean() == pytest.approx(got.estimate, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_costs_cover_the_truth_in_93_percent_of_studies(p: float, n: int) -> None:
    """Whether failures cost as much as successes, or stop early; at equal costs the coverage is that of `rate`."""
    generator = np.random.default_rng(n)
    for early in (False, True):
        failed = generator.random((1000, n)) >= p
        costs = np.where(failed & early, generator.exponential(0.5, failed.shape), 1.0)
        truth = (0.5 if early else 1.0) * (1 - p) / p + 1
        bounds = [stats.cost_to_first_success(c, f) for c, f in zip(costs, failed, strict=True)]
        covered = np.mean([b.low - 1e-9 <= truth <= b.high + 1e-9 for b in bounds])
        assert covered >= (0.93 if early else 0.915 - 2 * math.sqrt(0.085 * 0.915 / 1000))
