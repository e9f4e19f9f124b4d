"""Rates and comparisons against hand values, SciPy, exact binomial sums and simulated studies."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from ganlab import stats

# --- rates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failures", "n", "low", "high"),
    [(0, 3, 0.0, 0.5615), (0, 10, 0.0, 0.2775), (3, 3, 0.4385, 1.0), (5, 10, 0.2366, 0.7634), (1, 10, 0.0179, 0.4042)],
)
def test_wilson_interval_has_its_hand_values(failures: int, n: int, low: float, high: float) -> None:
    got = stats.rate(failures, n)
    assert got.estimate == failures / n
    assert (got.low, got.high) == pytest.approx((low, high), abs=5e-5)
    assert (got.failures, got.n) == (failures, n)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_wilson_interval_is_its_formula_for_every_count(level: float) -> None:
    """Centre (p + z^2/2n) / (1 + z^2/n), half width z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n)."""
    z = scipy_stats.norm.ppf((1 + level) / 2)
    for n in (1, 2, 7, 30):
        for failures in range(n + 1):
            p = failures / n
            centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
            half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
            got = stats.rate(failures, n, level)
            assert (got.low, got.high) == pytest.approx((centre - half, centre + half), abs=1e-12)
            assert 0 <= got.low <= got.estimate <= got.high <= 1


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("p", [0.0, 0.05, 0.5, 0.95, 1.0])
def test_intervals_cover_the_truth_in_95_percent_of_studies_nearly(p: float, n: int) -> None:
    """2000 simulated studies against the exact coverage; both at least 93 %, but for one known dip.

    Wilson's interval keeps its level on average over rates, not at each: at p = 0.05 (or 0.95) and n = 10 it leaves out
    every study with two failures, and covers 91.4 % exactly.
    """
    covers = np.array([stats.rate(k, n).low <= p <= stats.rate(k, n).high for k in range(n + 1)])
    exact = float(scipy_stats.binom.pmf(range(n + 1), n, p) @ covers)
    simulated = covers[np.random.default_rng(n).binomial(n, p, size=2000)].mean()
    assert simulated == pytest.approx(exact, abs=4 * math.sqrt(max(exact * (1 - exact), 1e-9) / 2000))
    if (n, p) in ((10, 0.05), (10, 0.95)):
        assert exact == pytest.approx(0.9139, abs=1e-4)
    else:
        assert exact >= 0.93
        assert simulated >= 0.93 - 4 * math.sqrt(0.07 * 0.93 / 2000) * (exact < 0.95)


@pytest.mark.parametrize("n", [5, 10, 30])
def test_intervals_cover_95_percent_on_average_over_rates(n: int) -> None:
    rates = (np.arange(400) + 0.5) / 400
    bounds = [stats.rate(k, n) for k in range(n + 1)]
    covered = [sum(scipy_stats.binom.pmf(k, n, p) for k, b in enumerate(bounds) if b.low <= p <= b.high) for p in rates[::8]]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("failures", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(failures: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"a rate needs 0 <= failures <= n and n >= 1; got failures={failures}, n={n}"):
        stats.rate(failures, n)


def test_more_seeds_make_the_interval_narrower_and_more_confidence_wider() -> None:
    widths = [stats.rate(n // 5, n).high - stats.rate(n // 5, n).low for n in (5, 10, 20, 40)]
    assert widths == sorted(widths, reverse=True)
    by_level = [stats.rate(2, 10, level).high - stats.rate(2, 10, level).low for level in (0.5, 0.9, 0.99)]
    assert by_level == sorted(by_level)


def test_a_rate_prints_its_counts() -> None:
    assert str(stats.rate(3, 8)) == "3/8 = 38% [14%, 69%]"


# --- claims ------------------------------------------------------------------------------------------------------------


def binomial(n: int, p: float) -> list[float]:
    """Probabilities of 0..n failures, from factorials."""
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


@pytest.mark.parametrize("tolerated", [0.05, 0.1, 0.3, 0.5])
def test_a_false_claim_is_never_more_frequent_than_stated(tolerated: float) -> None:
    """At the tolerated rate itself both claims are false; each must come in at most 2.5 % of studies, at every n."""
    for n in range(1, 61):
        chance = binomial(n, tolerated)
        claims = [stats.claim(k, n, tolerated) for k in range(n + 1)]
        for said in ("present", "absent"):
            assert sum(c for c, k in zip(chance, claims, strict=True) if k == said) <= 0.025 + 1e-12, (n, said)


def test_claims_are_ordered_by_the_number_of_failures() -> None:
    rank = {"absent": 0, "inconclusive": 1, "present": 2}
    for n in range(1, 61):
        ranks = [rank[stats.claim(k, n)] for k in range(n + 1)]
        assert ranks == sorted(ranks)
        assert ranks[-1] == 2 if n >= 2 else ranks[-1] == 1


def test_claims_are_not_needlessly_timid() -> None:
    """One failure fewer than claimed present has a tail above 2.5 %: the rule says yes as early as it may."""
    for n in range(2, 61):
        first = next(k for k in range(n + 1) if stats.claim(k, n) == "present")
        assert sum(binomial(n, 0.1)[first - 1 :]) > 0.025


def test_a_collapse_on_every_seed_is_claimed_and_three_clean_seeds_are_not() -> None:
    assert stats.claim(8, 8) == "present"
    assert stats.claim(0, 3) == "inconclusive"
    assert stats.claim(0, 10) == "inconclusive"
    assert stats.claim(0, 36) == "absent"
    assert stats.claim(0, 35) == "inconclusive"
    assert stats.claim(0, 0) == "inconclusive"


@pytest.mark.parametrize("failures", [0, 1, 2, 5])
@pytest.mark.parametrize("tolerated", [0.05, 0.1, 0.3])
def test_seeds_to_claim_absence_is_the_first_n_that_claims_it(failures: int, tolerated: float) -> None:
    n = stats.seeds_to_claim_absence(failures, tolerated)
    assert stats.claim(failures, n, tolerated) == "absent"
    assert all(stats.claim(failures, m, tolerated) != "absent" for m in range(failures, n))
    if failures == 0:  # (1 - tolerated)^n <= 0.025
        assert n == math.ceil(math.log(0.025) / math.log(1 - tolerated))


@pytest.mark.parametrize(
    "bad", [{"tolerated": 0.0}, {"tolerated": 1.0}, {"level": 1.0}, {"level": 0.0}, {"failures": -1}], ids=str
)
def test_absence_that_no_number_of_seeds_shows_is_refused(bad: dict) -> None:
    """A tolerated rate of 0 needs infinitely many seeds: it must say so, not search for ever."""
    with pytest.raises(ValueError, match="failures must be at least 0, tolerated and level between 0 and 1"):
        stats.seeds_to_claim_absence(**bad)


# --- means -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 10])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_mean_is_scipys_student_interval(n: int, level: float) -> None:
    values = np.random.default_rng(n).normal(3, 2, n)
    wanted = scipy_stats.ttest_1samp(values, 0).confidence_interval(level)
    got = stats.mean(values, level)
    assert (got.estimate, got.low, got.high) == pytest.approx((values.mean(), wanted.low, wanted.high), rel=1e-12)
    assert got.n == n


def test_mean_covers_the_truth_in_95_percent_of_studies() -> None:
    """2000 studies of 5 Gaussian seeds: 95 % within 4 standard errors of 0.5 %."""
    draws = np.random.default_rng(0).normal(1, 3, (2000, 5))
    hits = [(i := stats.mean(study)).low <= 1 <= i.high for study in draws]
    assert np.mean(hits) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))


def test_paired_difference_is_scipys_paired_interval() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 12)) + 5 * np.arange(12)
    wanted = scipy_stats.ttest_rel(a, b).confidence_interval(0.95)
    got = stats.paired_difference(a, b)
    assert (got.estimate, got.low, got.high) == pytest.approx(((a - b).mean(), wanted.low, wanted.high), rel=1e-10)
    unpaired = scipy_stats.ttest_ind(a, b).confidence_interval(0.95)
    assert got.high - got.low < 0.2 * (unpaired.high - unpaired.low)  # what pairing is for
    back = stats.paired_difference(b, a)
    assert (back.low, back.high) == pytest.approx((-got.high, -got.low), rel=1e-12)


def test_one_seed_has_an_unbounded_interval_and_equal_seeds_a_point() -> None:
    one, same = stats.mean([2.5]), stats.mean([2.5, 2.5, 2.5])
    assert (one.estimate, one.low, one.high, one.n) == (2.5, -math.inf, math.inf, 1)
    assert (same.estimate, same.low, same.high) == (2.5, 2.5, 2.5)


@pytest.mark.parametrize(
    ("values", "estimate"),
    [
        ([1.0, math.inf], math.inf), ([1.0, -math.inf], -math.inf), ([1.0, math.nan], math.nan),
        ([math.inf, -math.inf], math.nan), ([math.nan], math.nan),
    ],
)  # fmt: skip
def test_a_non_finite_seed_is_never_dropped_or_averaged_away(values: list[float], estimate: float) -> None:
    """The estimate says what it is, the bounds are open and never NaN, and all seeds are counted."""
    got = stats.mean(values)
    assert got.estimate == pytest.approx(estimate, nan_ok=True)
    assert (got.low, got.high, got.n) == (-math.inf, math.inf, len(values))


def test_two_infinite_seeds_have_no_difference_and_no_bound() -> None:
    got = stats.paired_difference([math.inf, 1.0], [math.inf, 2.0])
    assert math.isnan(got.estimate)
    assert (got.low, got.high) == (-math.inf, math.inf)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], 3.0])
def test_a_mean_of_nothing_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="a mean needs a list of at least one number"):
        stats.mean(values)


def test_pairs_of_different_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"paired values need the same seeds; got \(2,\) and \(3,\)"):
        stats.paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="paired outcomes need the same seeds"):
        stats.mcnemar([True], [True, False])


# --- McNemar -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (6, 0), (5, 1), (3, 3), (10, 2), (0, 20)])
def test_mcnemar_is_the_exact_sign_test_of_discordant_seeds(only_a: int, only_b: int) -> None:
    """Twice the smaller tail of a fair coin, at most 1; seeds on which both or neither failed do not matter."""
    n, fewer = only_a + only_b, min(only_a, only_b)
    wanted = min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n)
    for both, neither in ((0, 0), (4, 7)):
        a = [True] * only_a + [False] * only_b + [True] * both + [False] * neither
        b = [False] * only_a + [True] * only_b + [True] * both + [False] * neither
        if a:
            assert stats.mcnemar(a, b) == pytest.approx(wanted, rel=1e-12)
            assert stats.mcnemar(b, a) == pytest.approx(wanted, rel=1e-12)


def test_mcnemar_raises_false_alarms_no_more_often_than_its_level() -> None:
    """Exactly, over all pairs of outcomes of six seeds that fail by fair coins."""
    alarms = [
        stats.mcnemar(a, b) <= 0.05
        for a, b in itertools.product(itertools.product([False, True], repeat=6), repeat=2)
    ]
    assert 0 < np.mean(alarms) <= 0.05


# --- laws --------------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, derandomize=True)
@given(data=st.data(), n=st.integers(1, 200))
def test_rates_are_symmetric_and_never_nan(data: st.DataObject, n: int) -> None:
    failures = data.draw(st.integers(0, n))
    got, mirror = stats.rate(failures, n), stats.rate(n - failures, n)
    assert (got.low, got.high) == pytest.approx((1 - mirror.high, 1 - mirror.low), abs=1e-12)
    assert all(math.isfinite(x) for x in (got.estimate, got.low, got.high))
    assert stats.claim(failures, n) in ("present", "absent", "inconclusive")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12), shift=st.floats(-100, 100))
def test_means_move_with_their_values_and_their_bounds_are_never_nan(values: list[float], shift: float) -> None:
    one, other = stats.mean(values), stats.mean([v + shift for v in values])
    assert other.estimate == pytest.approx(one.estimate + shift, rel=1e-9, abs=1e-6)
    assert one.low <= one.estimate <= one.high
    assert not math.isnan(one.low)
    assert stats.mean(values[::-1]).estimate == pytest.approx(one.estimate, rel=1e-9, abs=1e-9)
