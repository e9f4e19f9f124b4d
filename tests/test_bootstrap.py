"""Scores over tasks against SciPy, hand values and simulated studies."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ganlab import stats
from ganlab.stats.bootstrap import RESAMPLES, percentiles

Law = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

LAWS: dict[str, Law] = {
    "normal": lambda g, shape: g.normal(size=shape),
    "log-normal": lambda g, shape: g.lognormal(size=shape),
    "two peaks": lambda g, shape: g.normal(size=shape) + 6 * (g.random(shape) < 0.6),
}

# --- percentiles -------------------------------------------------------------------------------------------------------


def test_percentiles_of_a_normal_law_are_students_interval() -> None:
    """Resampled means of spread s sqrt((n - 1) / n) / sqrt(n) give back mean +- t s / sqrt(n)."""
    n = 10
    replicates = scipy_stats.norm.ppf((np.arange(RESAMPLES) + 0.5) / RESAMPLES) * math.sqrt((n - 1) / n) / math.sqrt(n)
    low, high = percentiles(replicates, [n])
    wanted = scipy_stats.t.ppf(0.975, n - 1) / math.sqrt(n)
    assert (low, high) == pytest.approx((-wanted, wanted), rel=0.01)


def test_a_bound_beyond_all_resamples_is_open() -> None:
    assert percentiles(np.arange(99.0), [6]) == (-math.inf, math.inf)
    assert percentiles(np.arange(9999.0), [1, 30]) == (-math.inf, math.inf)  # a part of one seed has no spread
    assert percentiles(np.full(9999, math.nan), [30]) == (-math.inf, math.inf)


# --- interquartile mean ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(8,), (7,), (10, 10, 10), (3, 9)])
def test_interquartile_mean_is_scipys_trimmed_mean_of_all_scores(sizes: tuple[int, ...]) -> None:
    tasks = [np.random.default_rng(n).normal(i, 1, n) for i, n in enumerate(sizes)]
    got = stats.interquartile_mean(tasks)
    assert got.estimate == pytest.approx(scipy_stats.trim_mean(np.concatenate(tasks), 0.25), rel=1e-12)
    assert got.low < got.estimate < got.high
    assert got.n == sum(sizes)
    assert got == stats.interquartile_mean(tasks)


def test_seeds_are_drawn_again_within_their_task() -> None:
    """Tasks that differ widely add nothing to the interval of what is the same in each."""
    noise = np.random.default_rng(0).normal(size=(2, 12))
    near, far = (stats.interquartile_mean(noise + np.array([[0], [distance]])) for distance in (0, 0.5))
    pooled = stats.interquartile_mean([(noise + np.array([[-50], [50]])).ravel()])
    apart = stats.interquartile_mean(noise + np.array([[-50], [50]]))
    assert far.high - far.low == pytest.approx(near.high - near.low, rel=0.3)
    assert pooled.high - pooled.low > 10 * (apart.high - apart.low)


def test_fewer_failures_than_a_quarter_leave_it_and_more_do_not() -> None:
    scores = np.arange(12.0)
    failed = scores.copy()
    failed[:2] = -math.inf
    assert stats.interquartile_mean([failed]).estimate == stats.interquartile_mean([scores]).estimate
    failed[:4] = -math.inf
    got = stats.interquartile_mean([failed])
    assert (got.estimate, got.low) == (-math.inf, -math.inf)


def test_without_a_score_or_with_few_seeds_there_is_no_bound() -> None:
    got = stats.interquartile_mean([[math.nan, *range(11)]])
    assert math.isnan(got.estimate)
    assert (got.low, got.high) == (-math.inf, math.inf)
    few = stats.interquartile_mean([[1.0, 2.0, 4.0, 8.0, 9.0]])
    assert (few.estimate, few.low, few.high) == (pytest.approx(14 / 3), -math.inf, math.inf)


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 30])
@pytest.mark.parametrize("law", LAWS)
def test_interquartile_means_cover_the_truth_in_92_percent_of_studies(law: str, n: int) -> None:
    truth = scipy_stats.trim_mean(LAWS[law](np.random.default_rng(99), (400_000,)), 0.25)
    studies = LAWS[law](np.random.default_rng(n), (400, 1, n))
    hits = [(i := stats.interquartile_mean(study)).low <= truth <= i.high for study in studies]
    assert np.mean(hits) >= 0.92


# --- probability of improvement ----------------------------------------------------------------------------------------


def test_probability_of_improvement_is_mann_whitneys_u_in_the_mean_over_tasks() -> None:
    generator = np.random.default_rng(0)
    a, b = ([generator.integers(0, 9, n).astype(float) for n in sizes] for sizes in ((7, 12), (9, 5)))
    u = [scipy_stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in zip(a, b, strict=True)]
    got, back = stats.probability_of_improvement(a, b), stats.probability_of_improvement(b, a)
    assert got.estimate == pytest.approx(np.mean(u), rel=1e-12)
    assert got.n == 2 * 5
    assert (back.estimate, back.low, back.high) == pytest.approx((1 - got.estimate, 1 - got.high, 1 - got.low), rel=1e-12)


def test_equal_scores_are_improved_by_half() -> None:
    for scores in ([1.0, 2.0, 3.0], [8.0, 8.0, 8.0], [-math.inf, 0.0, math.inf]):
        assert stats.probability_of_improvement([scores], [scores]).estimate == 0.5


def test_full_separation_has_the_interval_of_as_many_seeds_without_a_failure() -> None:
    got = stats.probability_of_improvement([np.arange(8) + 10], [np.arange(8)])
    assert (got.estimate, got.high) == (1.0, 1.0)
    assert got.low == pytest.approx(1 - stats.rate(0, 8).high)


def test_a_score_that_is_no_number_is_neither_higher_nor_lower() -> None:
    got = stats.probability_of_improvement([[math.nan, 2.0]], [[1.0, 2.0]])
    assert math.isnan(got.estimate)
    assert (got.low, got.high) == (0.0, 1.0)


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize(
    ("law", "shift"), [("normal", 0.0), ("normal", 2.5), ("log-normal", 1.0), ("two peaks", 0.0)], ids=lambda x: str(x)
)
def test_probabilities_of_improvement_cover_the_truth_in_93_percent_of_studies(law: str, shift: float, n: int) -> None:
    """Against a narrow law too, where the variance of U is the largest there is."""
    for spread in (1.0, 0.01):
        generator = np.random.default_rng(n)
        x, y = np.sort(LAWS[law](generator, (100_000,)) + shift), spread * LAWS["normal"](generator, (100_000,))
        truth = 1 - np.searchsorted(x, y).mean() / len(x)
        a, b = LAWS[law](generator, (1000, 1, n)) + shift, spread * LAWS["normal"](generator, (1000, 1, n))
        hits = [(i := stats.probability_of_improvement(p, q)).low <= truth <= i.high for p, q in zip(a, b, strict=True)]
        assert np.mean(hits) >= 0.93


def test_tasks_must_be_lists_of_numbers_and_the_same_for_both() -> None:
    for bad in ([], [1.0, 2.0], [[]]):
        with pytest.raises(ValueError, match="a list of tasks, each a list of at least one number"):
            stats.interquartile_mean(bad)
    with pytest.raises(ValueError, match="the same tasks; got 1 and 2"):
        stats.probability_of_improvement([[1.0]], [[1.0], [2.0]])
