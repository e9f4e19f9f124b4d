"""Laws for every objective, and the values that theory gives to each: closed forms, numpy, SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.spatial.distance import jensenshannon
from scipy.special import expit
from scipy.special import softmax as shares
from scipy.stats import entropy, norm
from torch import Tensor
from torch.func import grad

from ganlab.objectives import OBJECTIVES

F64 = torch.float64
Array = np.ndarray


# --- laws --------------------------------------------------------------------------------------------------------------

LOG_2, E = math.log(2), math.e

AT_ZERO = {
    "minimax": (2 * LOG_2, -LOG_2),
    "zero_sum": (2 * LOG_2, -2 * LOG_2),
    "non_saturating": (2 * LOG_2, LOG_2),
    "least_squares": (0.5, 0.5),
    "hinge": (2.0, 0.0),
    "wasserstein": (0.0, 0.0),
    "relativistic": (LOG_2, LOG_2),
    "relativistic_average": (2 * LOG_2, 2 * LOG_2),
    "softmax": (math.log(8), math.log(8)),  # log 2n, and n = 4
    "boundary_seeking": (2 * LOG_2, 0.0),
    "density_ratio": (2 * LOG_2, 0.0),
    "two_sided": (2 * LOG_2, 2 * LOG_2),
    "donsker_varadhan": (0.0, 0.0),
    "f_kl": (1 / E, -1 / E),
    "f_reverse_kl": (0.0, 1.0),
    "f_pearson": (0.0, 0.0),
    "f_hellinger": (0.0, 0.0),
    "f_jensen_shannon": (0.0, 0.0),
}


def slopes_of(objective: str, r: Array, f: Array) -> tuple[Array, Array, Array, Array]:
    """Derivatives of a pair's losses by hand, times n: discriminator by real, by fake; generator by real, by fake."""
    zero, n = np.zeros_like(r), len(r)
    logistic = (-expit(-r), expit(f))
    above_fake, above_real = r - f.mean(), f - r.mean()
    share = n * shares(np.concatenate([r, f]))
    of_fakes = n * shares(f)
    return {
        "minimax": (*logistic, zero, -expit(f)),
        "zero_sum": (*logistic, expit(-r), -expit(f)),
        "non_saturating": (*logistic, zero, -expit(-f)),
        "least_squares": (r - 1, f, zero, f - 1),
        "hinge": (np.where(r < 1, -1.0, 0.0), np.where(f > -1, 1.0, 0.0), zero, zero - 1),
        "wasserstein": (zero - 1, zero + 1, zero, zero - 1),
        "relativistic": (-expit(f - r), expit(f - r), expit(r - f), -expit(r - f)),
        "relativistic_average": (
            -expit(-above_fake) - expit(above_real).mean(),
            expit(above_real) + expit(-above_fake).mean(),
            expit(above_fake) + expit(-above_real).mean(),
            -expit(-above_real) - expit(above_fake).mean(),
        ),
        "softmax": (share[:n] - 1, share[n:], share[:n] - 0.5, share[n:] - 0.5),
        "boundary_seeking": (*logistic, zero, f),
        "density_ratio": (*logistic, zero, zero - 1),
        "two_sided": (*logistic, expit(r), -expit(-f)),
        "donsker_varadhan": (zero - 1, of_fakes, zero, -of_fakes),
        "f_kl": (zero - 1, np.exp(f - 1), zero, -np.exp(f - 1)),
        "f_reverse_kl": (-np.exp(-r), zero + 1, zero, zero - 1),
        "f_pearson": (zero - 1, f / 2 + 1, zero, -f / 2 - 1),
        "f_hellinger": (-np.exp(-r), np.exp(f), zero, -np.exp(f)),
        "f_jensen_shannon": (*logistic, zero, -expit(f)),
    }[objective]


LOGITS = torch.tensor([-100, -63, -50, -20.5, -7, -1.5, -0.3, 0, 0.4, 1.7, 8, 19.5, 31, 50, 77, 100], dtype=F64)
"""From -100 to 100 with both ends, and off the corners of the hinge."""


def slopes(name: str, r: Tensor, f: Tensor) -> list[Tensor]:
    """The same four by autograd."""
    return [
        grad(lambda a, b, i=i: OBJECTIVES[name](a, b)[i], argnums=argnum)(r, f) * len(r) for i in (0, 1) for argnum in (0, 1)
    ]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_has_its_known_value_at_zero(name: str) -> None:
    losses = OBJECTIVES[name](torch.zeros(4, dtype=F64), torch.zeros(4, dtype=F64))
    assert [float(x) for x in losses] == pytest.approx(AT_ZERO[name], abs=1e-15)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_slopes_equal_the_closed_form_from_minus_100_to_100(name: str) -> None:
    """1e-8: torch's softplus is a straight line above 20, where it is off by exp(-20) = 2e-9."""
    r, f = (g.flatten() for g in torch.meshgrid(LOGITS, LOGITS, indexing="ij"))
    for got, wanted in zip(slopes(name, r, f), slopes_of(name, r.numpy(), f.numpy()), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-8, atol=1e-300)


@pytest.mark.parametrize("name", ["relativistic_average", "softmax", "donsker_varadhan"])
def test_slopes_that_depend_on_the_whole_batch_are_right_where_no_logit_rules_it(name: str) -> None:
    r, f = 2 * torch.randn(2, 30, generator=torch.Generator().manual_seed(0), dtype=F64)
    for got, wanted in zip(slopes(name, r, f), slopes_of(name, r.numpy(), f.numpy()), strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_objective_is_finite_at_extreme_logits(name: str, dtype: torch.dtype) -> None:
    """Up to 100; up to 50 in float32 for those registered as growing exponentially."""
    exponential = OBJECTIVES.entry(name).facts.get("grows") == "exponentially"
    ends = (-50.0, 50.0) if exponential and dtype == torch.float32 else (-100.0, -50.0, 50.0, 100.0)
    for r in ends:
        for f in ends:
            real, fake = (torch.full((3,), v, dtype=dtype, requires_grad=True) for v in (r, f))
            for loss in OBJECTIVES[name](real, fake):
                assert loss.shape == ()
                assert torch.isfinite(loss)
                for slope in torch.autograd.grad(loss, (real, fake), allow_unused=True, retain_graph=True):
                    assert slope is None or torch.isfinite(slope).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_is_registered_as_growing_exponentially_exactly_when_it_does(name: str) -> None:
    """From logits of 40 to 60 a square grows by 9/4, an exponential by e^20."""
    sizes = []
    for height in (40.0, 60.0):
        ends = torch.full((2,), height, dtype=F64)
        pairs = [OBJECTIVES[name](r, f) for r in (ends, -ends) for f in (ends, -ends)]
        sizes.append(max(abs(float(loss)) for pair in pairs for loss in pair))
    assert (sizes[1] > 1e6 * sizes[0]) == (OBJECTIVES.entry(name).facts.get("grows") == "exponentially")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_generator_slope_vanishes_in_float32_only_where_it_is_smaller_than_float32(name: str) -> None:
    """No clamp and no epsilon inside a logarithm: exp(-80) = 2e-35 is a float32, so no slope may be cut off there.

    2e-5: a few roundings of float32, except that float32's exp(-80) itself is good to 80 times its rounding. 1e-37: what a
    whole batch shares may be as small as exp(-160), which no float32 can hold.
    """
    f = torch.linspace(-80, 80, 41)
    r = torch.zeros_like(f)
    got = grad(lambda b: OBJECTIVES[name](r, b).generator)(f) * len(f)
    wanted = slopes_of(name, r.double().numpy(), f.double().numpy())[3]
    np.testing.assert_allclose(got.numpy(), wanted, rtol=2e-5, atol=1e-37)


def between(low: float, high: float, seed: int) -> Tensor:
    return low + (high - low) * torch.rand(50, generator=torch.Generator().manual_seed(seed), dtype=F64)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_discriminator_loss_falls_when_real_logits_rise_and_rises_with_fake_ones(name: str) -> None:
    """Real logits between -1.9 and 0.5, fake ones from 0.05 to 0.5, where no discriminator is yet content with either."""
    r, f = between(-1.9, 0.5, 0), between(0.05, 0.5, 1)
    here = OBJECTIVES[name](r, f).discriminator
    assert OBJECTIVES[name](r + 0.05, f).discriminator < here
    assert OBJECTIVES[name](r, f + 0.05).discriminator > here


@pytest.mark.parametrize("name", OBJECTIVES)
def test_generator_loss_falls_when_fake_logits_rise_from_below_the_real_ones(name: str) -> None:
    """Below the decision boundary too, where no generator is yet content."""
    r, f = between(0.1, 0.9, 0), between(-0.9, -0.1, 1)
    assert OBJECTIVES[name](r, f + 0.05).generator < OBJECTIVES[name](r, f).generator


@pytest.mark.parametrize("name", OBJECTIVES)
def test_discriminator_loss_ignores_a_common_shift_exactly_where_logits_have_no_zero_point(name: str) -> None:
    r, f = torch.randn(2, 20, generator=torch.Generator().manual_seed(0), dtype=F64)
    moved = float((OBJECTIVES[name](r + 3, f + 3).discriminator - OBJECTIVES[name](r, f).discriminator).abs())
    assert (moved < 1e-12) == (OBJECTIVES.entry(name).facts["threshold"] is None)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_generator_loss_depends_on_real_logits_exactly_when_registered_so(name: str) -> None:
    r, f = torch.randn(2, 20, generator=torch.Generator().manual_seed(0), dtype=F64)
    depends = bool(OBJECTIVES[name](r + 1, f).generator != OBJECTIVES[name](r, f).generator)
    assert depends == OBJECTIVES.entry(name).facts["pairs"]


@pytest.mark.parametrize("name", [e.name for e in OBJECTIVES.entries() if e.facts["threshold"] is not None])
def test_at_the_threshold_the_discriminator_is_undecided(name: str) -> None:
    """Pulled up by a real sample as strongly as down by a fake one, and there only."""
    at = torch.full((1,), OBJECTIVES.entry(name).facts["threshold"], dtype=F64)
    for shift, undecided in ((0.0, True), (0.2, False), (-0.2, False)):
        up, down, *_ = slopes(name, at + shift, at + shift)
        assert (float(up) == pytest.approx(-float(down), abs=1e-12)) == undecided or name == "hinge"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_passes_non_finite_logits_on(name: str) -> None:
    """Never repaired: a NaN among the logits is a NaN in the loss that reads them."""
    good, bad = torch.zeros(3), torch.tensor([0.0, math.nan, 0.0])
    assert OBJECTIVES[name](bad, good).discriminator.isnan()
    assert OBJECTIVES[name](good, bad).discriminator.isnan()
    assert OBJECTIVES[name](good, bad).generator.isnan()


# --- values at the optimal discriminator, on discrete distributions ------------------------------------------------------

N = 720
COUNTS = np.array([[225, 300, 15, 105, 75], [60, 240, 180, 210, 30]])
P, Q = COUNTS / N
M = (P + Q) / 2
RATIO = P / Q
"""Two distributions over five places, and as counts of samples, so that a mean over samples is an exact expectation."""


def at_places(name: str, v: Array, real: Array | None = None) -> tuple[float, float]:
    """Losses of discriminator and generator with a logit `v` for each place, `real` for that of real samples."""
    r, f = (torch.from_numpy(np.repeat(x, n)) for x, n in zip((v if real is None else real, v), COUNTS, strict=True))
    discriminator, generator = OBJECTIVES[name](r, f)
    return float(discriminator), float(generator)


F_GAN: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array], float]] = {
    # f(u) of Nowozin et al. 2016, table 1; v with g(v) = f'(u), from tables 1 and 6; the divergence by SciPy or numpy
    "f_kl": (lambda u: u * np.log(u), lambda u: 1 + np.log(u), entropy(P, Q)),
    "f_reverse_kl": (lambda u: -np.log(u), np.log, entropy(Q, P)),
    "f_pearson": (lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1), float(((P - Q) ** 2 / Q).sum())),
    "f_hellinger": (lambda u: (np.sqrt(u) - 1) ** 2, lambda u: np.log(u) / 2, float(((P**0.5 - Q**0.5) ** 2).sum())),
    "f_jensen_shannon": (
        lambda u: -(u + 1) * np.log((1 + u) / 2) + u * np.log(u), np.log, 2 * jensenshannon(P, Q) ** 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", F_GAN)
def test_f_gan_at_its_optimal_discriminator_is_the_divergence_of_its_name(name: str) -> None:
    """:math:`D_f(p, q) = \\sum_x q f(p/q)` at T* = f'(p/q), Nowozin et al. 2016, equations 2 and 5."""
    f, optimal, divergence = F_GAN[name]
    value = -at_places(name, optimal(RATIO))[0]
    assert value == pytest.approx(divergence, rel=1e-12)
    assert value == pytest.approx(float((Q * f(RATIO)).sum()), rel=1e-12)


@pytest.mark.parametrize("name", F_GAN)
def test_f_gan_of_any_other_discriminator_is_a_lower_bound(name: str) -> None:
    _, optimal, divergence = F_GAN[name]
    random = np.random.default_rng(0)
    for size in (1e-3, 0.1, 1.0):
        for _ in range(20):
            gap = divergence + at_places(name, optimal(RATIO) + size * random.standard_normal(5))[0]
            assert gap > 1e-9


def test_every_f_gan_is_compared_with_its_divergence() -> None:
    assert {name for name in OBJECTIVES if name.startswith("f_")} == set(F_GAN)


@pytest.mark.parametrize("name", [*F_GAN, "donsker_varadhan", "wasserstein", "zero_sum", "minimax"])
def test_generator_of_a_zero_sum_game_pulls_against_the_discriminator(name: str) -> None:
    """At fake samples, the only ones it makes."""
    r, f = torch.randn(2, 20, generator=torch.Generator().manual_seed(0), dtype=F64)
    _, of_discriminator, _, of_generator = slopes(name, r, f)
    np.testing.assert_allclose(of_generator.numpy(), -of_discriminator.numpy(), rtol=1e-12)


def test_donsker_varadhan_is_the_kl_divergence_at_the_log_ratio_and_below_it_elsewhere() -> None:
    """A constant added to T changes nothing: the supremum is a line."""
    assert -at_places("donsker_varadhan", np.log(RATIO))[0] == pytest.approx(entropy(P, Q), rel=1e-12)
    assert -at_places("donsker_varadhan", np.log(RATIO) + 7)[0] == pytest.approx(entropy(P, Q), rel=1e-12)
    assert -at_places("donsker_varadhan", 0.9 * np.log(RATIO))[0] < entropy(P, Q) - 1e-3


@pytest.mark.parametrize("name", ["minimax", "zero_sum", "non_saturating", "boundary_seeking", "density_ratio", "two_sided"])
def test_cross_entropy_at_the_log_ratio_is_the_jensen_shannon_divergence(name: str) -> None:
    """:math:`2 \\log 2 - 2 JSD(p, q)`, Goodfellow et al. 2014, theorem 1."""
    assert at_places(name, np.log(RATIO))[0] == pytest.approx(2 * LOG_2 - 2 * jensenshannon(P, Q) ** 2, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("minimax", float((Q * np.log(P / (P + Q))).sum() - (Q * np.log(RATIO)).sum())),  # E log(1 - D), D = p / (p + q)
        ("non_saturating", -float((Q * np.log(P / (P + Q))).sum())),  # -E log D
        ("density_ratio", entropy(Q, P)),
        ("boundary_seeking", float((Q * np.log(RATIO) ** 2).sum() / 2)),
        ("two_sided", -float((Q * np.log(P / (P + Q))).sum() + (P * np.log(Q / (P + Q))).sum())),
    ],
)
def test_generator_loss_at_the_log_ratio(name: str, wanted: float) -> None:
    assert at_places(name, np.log(RATIO))[1] == pytest.approx(wanted, rel=1e-12)


def test_least_squares_at_its_optimal_discriminator() -> None:
    """D* = p / (p + q), Mao et al. 2017, equation 5 with a = 0, b = 1, leaves half of sum pq / (p + q)."""
    best = P / (P + Q)
    assert at_places("least_squares", best)[0] == pytest.approx(float((P * Q / (P + Q)).sum() / 2), rel=1e-12)
    assert at_places("least_squares", best + 0.01)[0] > at_places("least_squares", best)[0]


def test_hinge_at_its_optimal_discriminator_is_the_overlap() -> None:
    """sign(p - q) leaves 2 - 2 TV, and the generator is left with the total variation (Lim and Ye 2017, section 3)."""
    total_variation = np.abs(P - Q).sum() / 2
    best = np.sign(P - Q)
    assert at_places("hinge", best)[0] == pytest.approx(2 - 2 * total_variation, rel=1e-12)
    assert at_places("hinge", best)[1] == pytest.approx(-float((Q * best).sum()), rel=1e-12)
    assert at_places("hinge", 0.9 * best)[0] > at_places("hinge", best)[0]


def test_softmax_at_its_optimal_discriminator_is_the_divergence_to_the_mixture() -> None:
    """A softmax over 2n samples is worth log 2n - KL(p, (p + q)/2), at logits log p / m: Donsker and Varadhan again."""
    best = np.log(P / M)
    assert at_places("softmax", best)[0] == pytest.approx(math.log(2 * N) - entropy(P, M), rel=1e-12)
    assert at_places("softmax", best + 5)[0] == pytest.approx(math.log(2 * N) - entropy(P, M), rel=1e-12)
    assert at_places("softmax", 0.9 * best)[0] > math.log(2 * N) - entropy(P, M) + 1e-4


def test_softmax_generator_is_content_when_all_samples_have_the_same_share() -> None:
    """log 2n is its least loss: the cross-entropy of the uniform distribution (Lin 2017, equation 5)."""
    assert at_places("softmax", np.full(5, 3.0))[1] == pytest.approx(math.log(2 * N), rel=1e-12)
    assert at_places("softmax", np.log(P / M))[1] > math.log(2 * N) + 1e-3


def test_boundary_seeking_generator_goes_to_the_boundary_and_no_further() -> None:
    losses = [at_places("boundary_seeking", np.full(5, v))[1] for v in (-1.0, -0.1, 0.0, 0.1, 1.0)]
    assert losses == pytest.approx([0.5, 0.005, 0.0, 0.005, 0.5])


def test_relativistic_losses_are_cross_entropies_of_differences() -> None:
    """By torch's own: of each pair, and of each logit against the other side's mean."""
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    r, f = torch.randn(2, 30, generator=torch.Generator().manual_seed(0), dtype=F64)
    one, zero = torch.ones_like(r), torch.zeros_like(r)
    pair, average = OBJECTIVES["relativistic"](r, f), OBJECTIVES["relativistic_average"](r, f)
    assert float(pair.discriminator) == pytest.approx(float(bce(r - f, one)), rel=1e-12)
    assert float(pair.generator) == pytest.approx(float(bce(f - r, one)), rel=1e-12)
    wanted = bce(r - f.mean(), one) + bce(f - r.mean(), zero)
    assert float(average.discriminator) == pytest.approx(float(wanted), rel=1e-12)
    wanted = bce(f - r.mean(), one) + bce(r - f.mean(), zero)
    assert float(average.generator) == pytest.approx(float(wanted), rel=1e-12)


# --- two Gaussians of equal std, the data a gap g above the fakes --------------------------------------------------------

Z = np.linspace(-14, 14, 5601)
WEIGHTS = norm.pdf(Z) * (Z[1] - Z[0])
"""Trapezoidal rule for a standard normal expectation: exact to rounding for functions as smooth as these."""


def pulls(name: str, gap: float, std: float) -> Array:
    """Pull on the fake mean through each fake sample, against the optimal discriminator, whose logit is linear in x."""
    fake = std * Z
    logit = (gap * fake - gap**2 / 2) / std**2
    of_logit = slopes(name, torch.zeros(len(Z), dtype=F64), torch.from_numpy(logit))[3].numpy()
    return -of_logit * gap / std**2


def divergence(gap: float, std: float) -> float:
    """Jensen-Shannon divergence by SciPy's quadrature."""

    def integrand(x: float) -> float:
        p, q = norm.pdf(x, gap, std), norm.pdf(x, 0, std)
        return sum(float(a * (math.log(a) - math.log((p + q) / 2))) for a in (p, q) if a > 0) / 2

    return quad(integrand, -10 * std, gap + 10 * std, points=[0, gap / 2, gap], limit=200, epsabs=1e-13)[0]


@pytest.mark.parametrize(
    ("gap", "saturating", "non_saturating"), [(1, 0.39797, 0.60203), (4, 0.13719, 3.86281), (8, 0.00039, 7.99961)]
)
def test_pull_on_a_gaussian_of_std_1(gap: int, saturating: float, non_saturating: float) -> None:
    """Known to the digits given; SciPy integrates the same. A Wasserstein critic x pulls by 1 at any gap."""
    integral, _ = quad(lambda z: gap * norm.pdf(z) * expit(gap * z - gap**2 / 2), -12, 14, points=[gap / 2], epsabs=1e-14)
    assert float(WEIGHTS @ pulls("minimax", gap, 1)) == pytest.approx(integral, rel=1e-7)
    assert float(WEIGHTS @ pulls("minimax", gap, 1)) == pytest.approx(saturating, abs=6e-6)
    assert float(WEIGHTS @ pulls("non_saturating", gap, 1)) == pytest.approx(non_saturating, abs=6e-6)
    assert float(WEIGHTS @ pulls("wasserstein", gap, 1)) / gap == pytest.approx(1)


@pytest.mark.parametrize(("gap", "std"), [(1, 1.0), (4, 1.0), (8, 1.0), (4, 0.5)])
def test_saturating_and_non_saturating_pulls_add_up_sample_by_sample(gap: int, std: float) -> None:
    """To g / s^2, since sigma(l) + sigma(-l) = 1; that is what minimising KL(q, p) pulls with, too. 1e-8: see above."""
    together = pulls("minimax", gap, std) + pulls("non_saturating", gap, std)
    np.testing.assert_allclose(together, gap / std**2, rtol=1e-8)
    np.testing.assert_allclose(together, pulls("density_ratio", gap, std), rtol=1e-8)


@pytest.mark.parametrize(("gap", "value"), [(1, 0.111421), (2, 0.336831), (4, 0.632720)])
def test_saturating_pull_is_twice_the_derivative_of_the_jensen_shannon_divergence(gap: int, value: float) -> None:
    """Arjovsky and Bottou 2017, theorem 2.5 and before; central differences of SciPy's integrals."""
    assert divergence(gap, 1) == pytest.approx(value, abs=1e-6)
    derivative = (divergence(gap + 1e-3, 1) - divergence(gap - 1e-3, 1)) / 2e-3
    assert float(WEIGHTS @ pulls("minimax", gap, 1)) == pytest.approx(2 * derivative, rel=1e-5)
    assert float(WEIGHTS @ pulls("non_saturating", gap, 1)) == pytest.approx(gap - 2 * derivative, rel=1e-5)


def test_pull_at_the_centre_of_the_fakes_when_the_gap_is_8() -> None:
    """The logit is -32: the saturating pull is 8 e^-32, the non-saturating one 8."""
    centre = len(Z) // 2
    assert pulls("minimax", 8, 1)[centre] == pytest.approx(8 * math.exp(-32), rel=1e-10)
    assert pulls("non_saturating", 8, 1)[centre] == pytest.approx(8, rel=1e-10)


@pytest.mark.parametrize("logit", [-30.0, -2.0, 0.0, 3.0, 15.0])
def test_saturating_slope_is_the_exponential_of_the_logit_times_the_non_saturating_one(logit: float) -> None:
    at = torch.tensor([logit], dtype=F64)
    saturating, other = (float(slopes(name, at, at)[3]) for name in ("minimax", "non_saturating"))
    assert saturating / other == pytest.approx(math.exp(logit), rel=1e-6)
