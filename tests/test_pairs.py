"""Paired comparisons against all signs counted out, SciPy, power summed over all outcomes, and variants against themselves."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from ganlab import stats
from ganlab.diagnoses import corrected
from ganlab.stats import pairs
from ganlab.stats.bootstrap import RESAMPLES

# --- exact tests -------------------------------------------------------------------------------------------------------


def counted_out(a: np.ndarray, b: np.ndarray) -> float:
    signs = np.array(list(itertools.product([-1, 1], repeat=len(a))))
    return float((np.abs(signs @ (a - b)) >= abs((a - b).sum()) - 1e-9).mean())


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 10])
@pytest.mark.parametrize("digits", [0, 6], ids=["with ties", "without"])
def test_sign_flip_counts_all_signs(n: int, digits: int) -> None:
    a, b = np.random.default_rng(n).normal(0.5, 1, (2, n)).round(digits)
    assert stats.sign_flip(a, b) == pytest.approx(counted_out(a, b), rel=1e-12)
    assert stats.sign_flip(b, a) == stats.sign_flip(a, b)
    assert stats.sign_flip(3 * a + 7, 3 * b + 7) == pytest.approx(stats.sign_flip(a, b), rel=1e-12)


def test_sign_flip_is_scipys_permutation_test() -> None:
    a, b = np.random.default_rng(0).normal(0.4, 1, (2, 12))
    twin = scipy_stats.permutation_test((a - b,), np.mean, permutation_type="samples", vectorized=True, n_resamples=2**12)
    assert stats.sign_flip(a, b) == pytest.approx(twin.pvalue, rel=1e-12)


@pytest.mark.parametrize(("n", "least"), [(1, 1.0), (5, 0.0625), (6, 0.03125), (30, 2.0**-29)])
def test_no_paired_test_has_a_smaller_p_value_than_two_to_one_minus_n(n: int, least: float) -> None:
    assert stats.sign_flip(np.arange(1, n + 1), np.zeros(n)) == pytest.approx(least, rel=1e-12)
    assert stats.mcnemar([True] * n, [False] * n) == pytest.approx(least, rel=1e-12)


def test_seeds_that_do_not_differ_say_nothing() -> None:
    a, b = np.array([3.0, 1, 4, 1, 5, 9]), np.array([2.0, 7, 1, 8, 2, 8])
    assert stats.sign_flip(np.append(a, [5, 5]), np.append(b, [5, 5])) == stats.sign_flip(a, b)
    assert stats.sign_flip([1, 2], [1, 2]) == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_seed_without_a_score_leaves_no_p_value(value: float) -> None:
    assert math.isnan(stats.sign_flip([1.0, value, 3.0], [0.0, value, 0.0]))


def test_drawn_signs_agree_with_counted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above so many seeds signs are drawn: within 4 standard errors of all of them, and never 0."""
    a, b = np.random.default_rng(0).normal(0.5, 1, 16), np.zeros(16)
    exact = stats.sign_flip(a, b)
    monkeypatch.setattr(pairs, "EXACT", 15)
    drawn = stats.sign_flip(a, b)
    assert 0.01 < exact < 0.5
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact / RESAMPLES))
    assert stats.sign_flip(np.ones(41), np.zeros(41)) == 1 / (1 + RESAMPLES)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(outcomes=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=14))
def test_on_outcomes_the_sign_flip_is_mcnemars_test(outcomes: list[tuple[bool, bool]]) -> None:
    a, b = zip(*outcomes, strict=True)
    assert stats.sign_flip(a, b) == pytest.approx(stats.mcnemar(a, b), rel=1e-12)


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


def test_pairs_of_different_seeds_are_refused() -> None:
    for compared in (stats.paired_difference, stats.sign_flip):
        with pytest.raises(ValueError, match=r"paired values need the same seeds; got \(2,\) and \(3,\)"):
            compared([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="paired outcomes need the same seeds"):
        stats.mcnemar([True], [True, False])


# --- the interval of a difference --------------------------------------------------------------------------------------


def test_paired_interval_is_nearly_students_on_gaussian_differences_and_uses_the_pairs() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 30)) + 5 * np.arange(30)
    wanted = scipy_stats.ttest_rel(a, b).confidence_interval(0.95)
    got = stats.paired_difference(a, b)
    assert got.estimate == pytest.approx((a - b).mean(), rel=1e-12)
    assert (got.low, got.high) == pytest.approx((wanted.low, wanted.high), abs=0.06 * (wanted.high - wanted.low))
    back = stats.paired_difference(b, a)
    assert (back.low, back.high) == pytest.approx((-got.high, -got.low), rel=1e-9)


def test_paired_interval_is_scipys_percentile_bootstrap_at_the_widened_level() -> None:
    differences = np.random.default_rng(1).lognormal(0, 1, 12)
    tail = scipy_stats.norm.cdf(-scipy_stats.t.ppf(0.975, 11) * math.sqrt(12 / 11))
    how = {"n_resamples": 50_000, "method": "percentile", "random_state": np.random.default_rng(2)}
    twin = scipy_stats.bootstrap((differences,), np.mean, confidence_level=1 - 2 * tail, **how).confidence_interval
    got = stats.paired_difference(differences, np.zeros(12))
    assert (got.low, got.high) == pytest.approx((twin.low, twin.high), abs=0.06)  # the spread of such quantiles of 9999
    plain = np.quantile(differences[np.random.default_rng(3).integers(0, 12, (9999, 12))].mean(1), [0.025, 0.975])
    assert got.high - got.low > 1.1 * (plain[1] - plain[0])


def test_the_same_values_have_the_same_interval_and_other_draws_nearly() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 8))
    assert stats.paired_difference(a, b) == stats.paired_difference(a, b)
    other = stats.paired_difference(a, b, seed=1)
    assert other != stats.paired_difference(a, b)
    assert other.low == pytest.approx(stats.paired_difference(a, b).low, abs=0.1)


@pytest.mark.parametrize("n", range(1, 8))
def test_few_seeds_have_an_estimate_without_bounds(n: int) -> None:
    """The range of all resampled means misses the truth in 2^(1 - n) of studies: more than 5 % below six seeds."""
    got = stats.paired_difference(np.arange(n), np.zeros(n))
    assert got.estimate == (n - 1) / 2
    assert np.isfinite([got.low, got.high]).all() == (n >= 6)
    assert math.isinf(stats.paired_difference(np.arange(7), np.zeros(7), level=0.99).low)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_seed_without_a_value_is_never_left_out(value: float) -> None:
    got = stats.paired_difference([value, *range(9)], [0] * 10)
    assert got.estimate == pytest.approx(value, nan_ok=True)
    assert (got.low, got.high, got.n) == (-math.inf, math.inf, 10)
    both = stats.paired_difference([math.inf, 1.0], [math.inf, 2.0])
    assert math.isnan(both.estimate)
    assert (both.low, both.high) == (-math.inf, math.inf)


def test_equal_differences_give_a_point() -> None:
    got = stats.paired_difference(np.arange(8) + 2, np.arange(8))
    assert (got.estimate, got.low, got.high) == (2, 2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("n", [6, 10, 30])
def test_paired_intervals_cover_no_difference_in_92_percent_of_studies(n: int) -> None:
    """A variant against itself, with scores that are skewed, or mostly perfect with some collapsed."""
    generator = np.random.default_rng(n)
    draws = {
        "log-normal": generator.lognormal(size=(400, 2, n)),
        "modes": np.where(generator.random((400, 2, n)) < 0.3, generator.integers(1, 7, (400, 2, n)), 8),
    }
    for name, studies in draws.items():
        hits = [(i := stats.paired_difference(a, b)).low <= 0 <= i.high for a, b in studies]
        assert np.mean(hits) >= 0.92 - 2 * math.sqrt(0.08 * 0.92 / 400), name


# --- a variant against itself ------------------------------------------------------------------------------------------


def against_itself(kind: str, n: int, n_splits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and failures `[split, variant, seed]` of comparisons of one variant with itself.

    "split": one population of 2 n seeds, dealt anew into two sets each time. "paired": each seed has an ease of its own,
    which both share, and noise, which they do not; a new study each time.
    """
    generator = np.random.default_rng(0)
    if kind == "split":
        modes = np.where(generator.random(2 * n) < 0.3, generator.integers(0, 6, 2 * n), 8)
        scores = modes + generator.lognormal(0, 1, 2 * n)
        deals = np.array([generator.permutation(2 * n) for _ in range(n_splits)])
        return scores[deals].reshape(n_splits, 2, n), (modes < 8)[deals].reshape(n_splits, 2, n)
    ease = generator.normal(size=(n_splits, 1, n))
    scores = np.exp(ease + generator.normal(size=(n_splits, 2, n)))
    return scores, ease + generator.normal(size=(n_splits, 2, n)) > 1


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_splits"), [(8, 5000), (16, 5000), (30, 1000)])
@pytest.mark.parametrize("kind", ["split", "paired"])
def test_a_variant_is_called_different_from_itself_in_at_most_6_percent_of_splits(kind: str, n: int, n_splits: int) -> None:
    """Five thousand where they are cheap: a test at 5 % says different in more than 6 % of 1000 splits once in 14 times."""
    scores, failures = against_itself(kind, n, n_splits)
    assert np.mean([stats.sign_flip(a, b) <= 0.05 for a, b in scores]) <= 0.06
    assert np.mean([stats.mcnemar(a, b) <= 0.05 for a, b in failures]) <= 0.06


def table(scores: np.ndarray) -> pd.DataFrame:
    """Return rows of comparisons `[quantity, variant, seed]`, without their correction."""
    rows = [("x", a.mean() - b.mean(), stats.sign_flip(a, b)) for a, b in scores]
    return pd.DataFrame(rows, columns=["quantity", "difference", "p_value"])


@pytest.mark.slow
def test_a_whole_table_calls_a_variant_different_from_itself_in_at_most_6_percent() -> None:
    """Ten comparisons of 12 seeds in each of 1000 tables; without the correction two in five tables would."""
    tables = [table(scores) for scores in np.random.default_rng(0).normal(size=(1000, 10, 2, 12))]
    assert np.mean([(corrected(t)["answer"] != "inconclusive").any() for t in tables]) <= 0.06
    assert np.mean([(t["p_value"] <= 0.05).any() for t in tables]) > 0.3


# --- many comparisons --------------------------------------------------------------------------------------------------


def test_holm_has_its_hand_values() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.2]) == pytest.approx([0.2])
    assert len(stats.holm([])) == 0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_bonferronis_test_of_every_set_that_holds_a_comparison(p: list[float]) -> None:
    """Closed testing (Marcus, Peritz and Gabriel 1976): each is as bad as the worst set it belongs to."""
    sets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size)]
    wanted = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(len(p))]
    assert stats.holm(p) == pytest.approx(wanted, rel=1e-12)


def test_what_was_not_tested_is_not_counted() -> None:
    got = stats.holm([0.02, math.nan, 0.03])
    assert (got[0], got[2]) == pytest.approx((0.04, 0.04))
    assert math.isnan(got[1])


@pytest.mark.parametrize("m", [1, 2, 5, 15, 16, 40, 100])
def test_fewest_seeds_is_the_first_n_that_can_tell(m: int) -> None:
    n = stats.fewest_seeds(m)
    assert stats.holm([2.0 ** (1 - n)] + [1.0] * (m - 1))[0] <= 0.05
    assert stats.holm([2.0 ** (2 - n)] + [1.0] * (m - 1))[0] > 0.05


def test_answers_allow_for_the_number_of_comparisons_of_their_kind() -> None:
    rows = [("x rate", 1.0, 0.03), ("u", -1.0, 0.03), ("v", 2.0, 0.001), ("w", 1.0, math.nan)]
    got = corrected(pd.DataFrame(rows, columns=["quantity", "difference", "p_value"]))
    assert got["answer"].tolist() == ["a is higher", "b is higher", "a is higher", "inconclusive"]
    assert got["p_holm"].tolist() == pytest.approx([0.03, 0.03, 0.002, math.nan], nan_ok=True)
    more = corrected(pd.concat([got, got], ignore_index=True))  # the corrected rows of two comparisons in one table
    assert more["answer"].tolist()[:4] == ["inconclusive", "inconclusive", "a is higher", "inconclusive"]


# --- how many more seeds -----------------------------------------------------------------------------------------------


def chance_to_compare(only_a: int, only_b: int, n: int, more: int) -> float:
    """Return the power, summed over all outcomes of the new seeds."""
    laws = scipy_stats.multinomial(more, [only_a / n, only_b / n, 1 - (only_a + only_b) / n])
    told = 0.0
    for x, y in itertools.product(range(more + 1), repeat=2):
        alone = np.repeat([True, False], [only_a + x, only_b + y])
        if x + y <= more and stats.mcnemar(list(alone), list(~alone)) <= 0.05:
            told += laws.pmf([x, y, more - x - y])
    return told


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(4, 0, 8), (0, 3, 6), (5, 1, 8), (5, 0, 5)])
def test_more_seeds_to_compare_is_where_the_power_reaches_80_percent(only_a: int, only_b: int, n: int) -> None:
    a = [True] * only_a + [False] * (n - only_a)
    b = [False] * only_a + [True] * only_b + [False] * (n - only_a - only_b)
    more = stats.more_seeds_to_compare(a, b)
    assert more is not None
    assert chance_to_compare(only_a, only_b, n, more) >= 0.8
    assert chance_to_compare(only_a, only_b, n, more - 1) < 0.8
    assert stats.more_seeds_to_compare(b, a) == more


def test_no_number_of_seeds_tells_apart_what_fails_equally_often() -> None:
    assert stats.more_seeds_to_compare([True, False, True], [False, True, True]) is None
    assert stats.more_seeds_to_compare([False] * 5, [False] * 5) is None
    assert stats.more_seeds_to_compare([True] * 6, [False] * 6) == 0
    few = [True] * 50 + [False] * 50
    assert stats.more_seeds_to_compare(few, [False] * 50 + [True] * 49 + [False]) is None  # it would take a million


def chance_to_claim(failures: int, n: int, more: int) -> float:
    return sum(
        float(scipy_stats.binom.pmf(k, more, failures / n))
        for k in range(more + 1)
        if stats.claim(failures + k, n + more) != "inconclusive"
    )


@pytest.mark.parametrize(("failures", "n"), [(2, 8), (1, 3), (1, 30), (2, 6), (0, 3)])
def test_more_seeds_to_claim_is_where_the_power_reaches_80_percent(failures: int, n: int) -> None:
    more = stats.more_seeds_to_claim(failures, n)
    assert more is not None
    assert chance_to_claim(failures, n, more) >= 0.8
    assert chance_to_claim(failures, n, more - 1) < 0.8


def test_without_a_failure_more_seeds_are_those_to_the_claim_of_absence() -> None:
    for n in (1, 8, 35):
        assert stats.more_seeds_to_claim(0, n) == stats.seeds_to_claim_absence(0) - n
    assert stats.more_seeds_to_claim(0, 36) == 0
    assert stats.more_seeds_to_claim(8, 8) == 0


def test_no_number_of_seeds_claims_anything_at_the_tolerated_rate() -> None:
    assert stats.more_seeds_to_claim(1, 10) is None
    assert stats.more_seeds_to_claim(0, 0) is None
