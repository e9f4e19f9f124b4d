"""Mode coverage against closed forms and planted samples: what is counted, what perfect is, what is told apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from ganlab import data, rng
from ganlab.data.mixtures import Mixture
from ganlab.metrics import RULES, js, kl, mode_coverage
from ganlab.registry import InputError

WITHIN_3, WITHIN_2 = 1 - math.exp(-4.5), 1 - math.exp(-2)
"""Mass of a plane Gaussian within 3 and 2 standard deviations: 98.889 % and 86.466 %."""


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def at_centres(k: int, n_modes: int, each: int = 40) -> tuple[Tensor, Mixture]:
    ring = data.get("ring", modes=k)
    return ring.modes[:n_modes].float().repeat_interleave(each, 0), ring


# --- how many modes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["default", "veegan", "pacgan"])
@pytest.mark.parametrize("m", range(9))
def test_samples_of_m_modes_are_counted_as_m(m: int, rule: str) -> None:
    """Twenty draws of 1000 samples over m random modes of ring8; with m = 0, all of them far away."""
    ring = data.get("ring8")
    draws, kept = [], []
    for i in range(20):
        generator = torch.Generator().manual_seed(100 * m + i)
        modes = torch.randperm(8, generator=generator)[:m]
        noise = ring.std[0].float() * torch.randn(1000, 2, generator=generator)
        centre = ring.modes[modes[torch.arange(1000) % m]].float() if m else torch.tensor([30.0, 30.0])
        draws.append(centre + noise)
        kept.append(set(modes.tolist()))
    got = mode_coverage(torch.stack(draws), ring, rule)
    assert got.modes_covered.tolist() == [m] * 20
    for missing, here in zip(got.missing, kept, strict=True):
        assert set(torch.nonzero(~missing).flatten().tolist()) == here


def test_the_radius_itself_is_inside_for_veegan_and_outside_for_pacgan() -> None:
    line = data.get("mixture", modes=[[0.0], [100.0]], std=1.0)
    edge = torch.tensor([[3.0], [-3.0], [97.0], [103.0]], dtype=torch.float64)
    assert mode_coverage(edge, line, "veegan").high_quality_share == 1
    assert mode_coverage(edge, line, "pacgan").high_quality_share == 0
    inside = torch.tensor([[2.999], [-2.999], [97.001], [102.999]], dtype=torch.float64)
    assert mode_coverage(inside, line, "pacgan").high_quality_share == 1


def test_a_mode_needs_a_tenth_of_its_due_by_its_weight() -> None:
    """Weights 9 : 1, n = 1000: the small mode is due 98.9 high-quality samples, so it needs 9.9."""
    pair = data.get("mixture", modes=[[0.0, 0.0], [10.0, 0.0]], std=0.1, weights=(9, 1))
    for few, covered in ((9, 1), (10, 2)):
        samples = torch.zeros(1000, 2)
        samples[:few, 0] = 10.0
        assert mode_coverage(samples, pair).modes_covered == covered
        assert mode_coverage(samples, pair, "veegan").modes_covered == 2


def test_an_elongated_mode_is_measured_in_its_own_standard_deviations() -> None:
    long = data.get("mixture", modes=[[0.0, 0.0], [0.0, 9.0]], std=[[10.0, 0.1], [1.0, 1.0]])
    got = mode_coverage(torch.tensor([[25.0, 0.0], [0.0, 0.5], [0.0, 9.0]]), long, "veegan")
    assert got.histogram == [1.0, 1.0]
    assert got.high_quality_share == pytest.approx(2 / 3)


# --- quality -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "ceiling"), [("default", WITHIN_3), ("veegan", WITHIN_3), ("pacgan", WITHIN_3), ("tutorial", WITHIN_2)]
)
@pytest.mark.parametrize("name", ["ring8", "grid25", "ring8_wgan_gp"])
def test_a_perfect_sampler_reaches_the_exact_ceiling_and_not_100_percent(name: str, rule: str, ceiling: float) -> None:
    made, n = data.get(name), 40_000
    got = mode_coverage(made.sample(n, rng.stream(7, "data")), made, rule)
    assert got.ceiling == pytest.approx(ceiling, abs=1e-12)
    assert abs(got.high_quality_share - ceiling) < 4 * math.sqrt(ceiling * (1 - ceiling) / n)


def test_1200_dimensions_score_the_ceiling_by_the_chi_law_and_nothing_by_three_standard_deviations() -> None:
    """Real samples lie 26.45 std from their mean in 700 noisy dimensions."""
    made, n = data.get("mixture1200"), 300
    samples = made.sample(n, rng.stream(0, "data"))
    got = mode_coverage(samples, made)
    assert got.ceiling == pytest.approx(WITHIN_3, abs=1e-9)
    assert abs(got.high_quality_share - WITHIN_3) < 4 * math.sqrt(WITHIN_3 * (1 - WITHIN_3) / n)
    assert got.modes_covered == 10
    veegan = mode_coverage(samples, made, "veegan")
    assert (veegan.high_quality_share, veegan.modes_covered) == (0, 0)
    assert veegan.ceiling < 1e-100
    assert sum(veegan.nearest) == n


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("rule", ["default", "tutorial"])
def test_spread_is_the_std_within_modes_over_that_of_a_perfect_sampler(factor: float, rule: str) -> None:
    """Both are cut at the rule's radius; a plane Gaussian cut at r has variance 1 - (r^2/2) / (exp(r^2/2) - 1)."""

    def cut(r: float) -> float:
        return 1 - (r**2 / 2) / math.expm1(r**2 / 2)

    ring, radius, n = data.get("ring8"), RULES[rule].radius(2), 20_000
    centre = ring.modes[torch.arange(n) % 8].float()
    got = mode_coverage(centre + factor * 0.02 * normal(n, 2), ring, rule)
    wanted = factor * math.sqrt(cut(radius / factor) / cut(radius))
    assert got.spread == pytest.approx(wanted, rel=4 / math.sqrt(4 * n))
    if rule == "default":
        assert got.spread == pytest.approx(factor, rel=0.03)


def test_spread_does_not_see_modes_that_are_merely_displaced() -> None:
    ring = data.get("ring8")
    shifted = ring.modes.float().repeat(200, 1) + torch.tensor([0.02, 0.0]) + 0.002 * normal(1600, 2)
    got = mode_coverage(shifted, ring)
    assert got.high_quality_share == 1
    assert got.spread == pytest.approx(0.1026, rel=0.05)


# --- divergences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "m", "reverse_kl", "js_nats"),
    [
        (8, 1, 2.07944, 0.49693), (10, 1, 2.30259, 0.52560), (25, 1, 3.21888, 0.60837),
        (8, 4, 0.69315, 0.21576), (10, 5, 0.69315, 0.21576), (25, 12, 0.73397, 0.22688),
    ],
)  # fmt: skip
def test_divergences_have_their_golden_values(k: int, m: int, reverse_kl: float, js_nats: float) -> None:
    samples, ring = at_centres(k, m)
    got = mode_coverage(samples, ring)
    assert got.modes_covered == m
    assert got.reverse_kl == pytest.approx(reverse_kl, abs=6e-6)
    assert got.js == pytest.approx(js_nats, abs=6e-6)
    # all samples at their centres: nothing is off mode, where a perfect sampler has exp(-4.5)
    assert got.kl_off_mode == pytest.approx(reverse_kl - math.log(WITHIN_3), abs=1e-5)


def test_divergences_agree_with_scipy_for_random_histograms() -> None:
    generator = np.random.default_rng(0)
    for k in (2, 8, 25):
        counts, target = generator.multinomial(500, generator.dirichlet(np.ones(k))), generator.dirichlet(np.ones(k))
        got = torch.tensor(counts, dtype=torch.float64), torch.tensor(target)
        assert float(kl(*got)) == pytest.approx(scipy_stats.entropy(counts, target), rel=1e-12)
        assert float(js(*got)) == pytest.approx(jensenshannon(counts, target) ** 2, rel=1e-10)


def test_a_perfect_sampler_scores_the_printed_floor_on_average() -> None:
    """KL to the truth is chi-square over 2 n: mean 7 / 2n, and over 200 draws its mean varies by 4 %."""
    ring, n = data.get("ring8"), 2500
    samples = torch.stack([ring.sample(n, rng.stream(seed, "data")) for seed in range(200)])
    got = mode_coverage(samples, ring)
    assert got.reverse_kl_floor == pytest.approx(7 / (2 * n))
    mean, js_mean = float(got.reverse_kl.double().mean()), float(got.js.double().mean())
    tolerance = 4 * math.sqrt(2 / (7 * 200))
    assert mean == pytest.approx(got.reverse_kl_floor / WITHIN_3, rel=tolerance)
    assert js_mean == pytest.approx(7 / (8 * n), rel=tolerance)


def test_declared_weights_are_the_target() -> None:
    """Three quarters and one quarter: equal counts diverge, and counts as declared do not."""
    pair = data.get("mixture", modes=[[0.0, 0.0], [10.0, 0.0]], std=0.1, weights=(3, 1))
    as_declared = pair.modes.float().repeat_interleave(torch.tensor([300, 100]), 0)
    equal = pair.modes.float().repeat_interleave(torch.tensor([200, 200]), 0)
    assert mode_coverage(as_declared, pair).reverse_kl == pytest.approx(0, abs=1e-6)
    assert mode_coverage(equal, pair).reverse_kl == pytest.approx(0.5 * math.log(4 / 3), abs=1e-6)


# --- the worst cases ---------------------------------------------------------------------------------------------------


def test_the_input_is_not_modified() -> None:
    ring = data.get("ring8")
    samples = torch.cat([ring.sample(200, rng.stream(0, "data")), torch.tensor([[math.nan, 0.0], [math.inf, 1.0]])])
    before, modes = samples.clone(), ring.modes.clone()
    for rule in RULES:
        mode_coverage(samples, ring, rule)
    assert torch.equal(before.nan_to_num(7, 8, 9), samples.nan_to_num(7, 8, 9))
    assert torch.equal(modes, ring.modes)


@pytest.mark.parametrize("rule", RULES)
def test_non_finite_samples_are_of_low_quality_and_belong_to_no_mode(rule: str) -> None:
    ring = data.get("ring8")
    good = ring.modes.float().repeat(30, 1)
    for bad in ([math.nan, 0.0], [math.inf, 0.0], [0.0, -math.inf], [math.inf, math.nan]):
        got = mode_coverage(torch.cat([good, torch.tensor([bad] * 60)]), ring, rule)
        assert got.high_quality_share == pytest.approx(0.8)
        assert got.nearest == [30.0] * 8
        assert got.modes_covered == 8


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_generator_that_only_gives_non_finite_samples_has_defined_values(bad: float) -> None:
    ring = data.get("ring8")
    got = mode_coverage(torch.full((50, 2), bad), ring)
    assert (got.modes_covered, got.high_quality_share, sum(got.nearest)) == (0, 0, 0)
    assert all(math.isnan(x) for x in (got.reverse_kl, got.js, got.spread))
    assert got.kl_off_mode == pytest.approx(4.5, rel=1e-4)  # all mass where a perfect sampler has exp(-4.5)


def test_a_constant_cloud_off_the_modes_has_defined_values() -> None:
    got = mode_coverage(torch.zeros(50, 2), data.get("ring8"))
    assert (got.modes_covered, got.high_quality_share) == (0, 0)
    assert sum(got.nearest) == 50
    assert math.isnan(got.reverse_kl)
    assert math.isfinite(got.js)
    assert math.isfinite(got.kl_off_mode)


def test_one_sample_has_defined_values() -> None:
    samples, ring = at_centres(8, 1, each=1)
    got = mode_coverage(samples, ring)
    assert (got.modes_covered, got.high_quality_share, got.n) == (1, 1, 1)
    assert got.reverse_kl == pytest.approx(math.log(8), abs=1e-6)
    assert math.isnan(got.spread)


@pytest.mark.parametrize("name", ["ring12_lipizzaner", "grid36_lipizzaner"])
def test_samples_near_point_masses_belong_to_the_nearest_one(name: str) -> None:
    """Never on a point, so never of high quality; but a perfect place within 0.01 is not a collapse to one mode."""
    made = data.get(name)
    k = len(made.modes)
    got = mode_coverage(made.modes.float().repeat(10, 1) + 0.01 * normal(10 * k, 2), made)
    assert got.high_quality_share == 0
    assert got.nearest == [10.0] * k
    exact = mode_coverage(made.modes.float(), made)
    assert (exact.high_quality_share, exact.modes_covered, exact.ceiling) == (1, k, 1)


def test_samples_too_far_for_float32_squares_still_have_a_nearest_mode() -> None:
    """1e18 over a std of 0.02, squared, is above float32; the direction of the sample still tells its mode."""
    ring = data.get("ring", modes=2, radius=1e18)
    got = mode_coverage(torch.tensor([[-3e18, 0.0], [-2e18, 0.0], [2e18, 0.0]]), ring)
    assert got.nearest == [1.0, 2.0]
    assert got.high_quality_share == 0


@pytest.mark.parametrize("rule", RULES)
def test_float32_and_float64_samples_score_the_same(rule: str) -> None:
    ring = data.get("ring8_tutorial")
    samples = 1.02 * ring.sample(1000, rng.stream(0, "data"))
    one, other = mode_coverage(samples, ring, rule), mode_coverage(samples.double(), ring, rule)
    assert (one.histogram, one.nearest, one.missing) == (other.histogram, other.nearest, other.missing)
    for field in ("high_quality_share", "reverse_kl", "js", "kl_off_mode", "spread"):
        assert getattr(one, field) == pytest.approx(getattr(other, field), rel=1e-4, abs=1e-6)


def test_numbers_come_back_without_a_member_axis_and_tensors_with_one() -> None:
    ring = data.get("ring8")
    samples = ring.sample(60, rng.stream(0, "data"))
    alone, crowd = mode_coverage(samples, ring), mode_coverage(samples.expand(3, 60, 2), ring)
    assert isinstance(alone.modes_covered, int)
    assert isinstance(alone.high_quality_share, float)
    assert isinstance(alone.missing, tuple)
    assert crowd.modes_covered.shape == (3,)
    assert crowd.missing.shape == (3, 8)
    assert crowd.histogram.shape == (3, 8)


@pytest.mark.parametrize(
    ("samples", "distribution", "message"),
    [
        (torch.zeros(5, 3), "ring8", r"samples must be \[n, 2\] or \[member, n, 2\] with n >= 1; got \(5, 3\)"),
        (torch.zeros(0, 2), "ring8", r"with n >= 1; got \(0, 2\)"),
        (torch.zeros(2), "ring8", r"got \(2,\)"),
        (torch.zeros(5, 1, 8, 8), "digits", "mode coverage needs data with known modes; 'digits' has none"),
    ],
)
def test_what_cannot_be_counted_is_refused(samples: Tensor, distribution: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mode_coverage(samples, data.get(distribution))


def test_an_unknown_rule_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="unknown counting rule 'vegan'; did you mean 'veegan'"):
        mode_coverage(torch.zeros(5, 2), data.get("ring8"), "vegan")


# --- laws for any samples ----------------------------------------------------------------------------------------------

number = st.one_of(
    st.floats(-3, 3, width=32), st.sampled_from([math.nan, math.inf, -math.inf, 2.0, 0.0, 1e30]), st.floats(width=32)
)
clouds = st.lists(st.tuples(number, number), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cloud=clouds, rule=st.sampled_from(list(RULES)), order=st.randoms(use_true_random=False))
def test_order_does_not_matter_and_shares_stay_in_range(cloud: list[tuple[float, float]], rule: str, order: Any) -> None:
    ring = data.get("ring8_tutorial")
    got = mode_coverage(torch.tensor(cloud), ring, rule)
    assert 0 <= got.high_quality_share <= 1
    assert 0 <= got.modes_covered == 8 - len(got.missing) <= 8
    assert got.high_quality_share * got.n == pytest.approx(sum(got.histogram))
    assert sum(got.histogram) <= sum(got.nearest) <= got.n
    assert all(h <= m for h, m in zip(got.histogram, got.nearest, strict=True))
    assert math.isnan(got.reverse_kl) == (sum(got.histogram) == 0)
    assert math.isnan(got.js) or -1e-6 <= got.js <= math.log(2) + 1e-6
    assert math.isnan(got.spread) or got.spread >= 0
    assert math.isfinite(got.kl_off_mode)
    order.shuffle(cloud)
    shuffled = mode_coverage(torch.tensor(cloud), ring, rule)
    assert (shuffled.histogram, shuffled.nearest, shuffled.missing) == (got.histogram, got.nearest, got.missing)
    assert shuffled.spread == pytest.approx(got.spread, rel=1e-3, abs=1e-4, nan_ok=True)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 12), turns=st.integers(0, 11))
def test_turning_samples_by_a_mode_turns_the_histogram(seed: int, k: int, turns: int) -> None:
    """A symmetry of the ring: counts move round with the samples, and nothing else changes."""
    ring = data.get("ring", modes=k, std=0.3)
    samples = ring.sample(64, rng.stream(seed, "data")).double() * 1.1
    angle = 2 * math.pi * turns / k
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    one, other = mode_coverage(samples, ring), mode_coverage(samples @ turn, ring)
    assert np.roll(one.nearest, turns % k).tolist() == other.nearest
    assert one.high_quality_share == pytest.approx(other.high_quality_share)
    assert one.spread == pytest.approx(other.spread, rel=1e-6, nan_ok=True)
