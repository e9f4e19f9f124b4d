"""Mistakes that were read in published GAN code, each a test that fails for whoever makes it.

Where it can be done in a line, a test makes the mistake itself beside ours and sees that it would be caught. What was read:

1 ring whose end point counts twice (unrolled_gan's demo, GDPP, Lipizzaner); 2 points without noise, under a name that does not
say so (Lipizzaner); 3 coverage by whatever counts as covered; 4 a share within 3 std taken for 99.7 % or 100 %; 5 a likelihood
that divides by the number of good points (PacGAN); 6 an evaluation that changes what it evaluates (GAN Lab); 7 NaN gradients
made 0 before the step (stylegan3); 8 NaN scored as 31337 (compare_gan); 9 gradients below 1e-5 left out of the log (torchgan);
10 one seed for everybody (Lipizzaner); 11 log(sigmoid + 1e-8), which saturates again (mimicry); 12 a loss at the log of its own
clamp (StudioGAN); 13 many bins, no correction, 0/0 (NDB); 14 complex roots of covariances (FID); 15 and 16 home-made detectors
that flag D = 1/2, and likeness to the data; 17 one that looks for duplicates; 18 a saved learning rate that is always 0; 19 one
run without a seed (unrolled_gan's demo); 20 double backward lost in compiling; 21 running statistics under vmap; 22 probes for
batch norm in eval mode only (Cockpit, BackPACK).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganlab import data, metrics, objectives, planted, reference, rng, stats, trace, watch
from ganlab.diagnoses import DIAGNOSES, compare, diagnose
from ganlab.experiment import Run, outcome
from ganlab.game import Game, initial
from ganlab.objectives import Losses
from ganlab.pages import pages_of
from ganlab.pages.page import Table, render
from ganlab.planning import build, plan
from ganlab.registry import Entry, InputError
from ganlab.train import run, train
from tests.planted import of_modes, perfect, run_of

ELSEWHERE = {
    1: "test_contracts.test_modes_are_distinct_and_equally_likely_unless_declared",
    2: "test_mixtures.test_point_masses_have_no_density_and_say_so",
    4: "test_metrics.test_a_perfect_sampler_reaches_the_exact_ceiling_and_not_100_percent",
    6: "test_measures.test_what_is_measured_is_not_modified",
    7: "test_equivalence.test_divergence_is_dated_to_its_first_step",
    9: "test_equivalence.test_looking_changes_nothing",
    10: "test_contracts.test_members_of_a_population_differ_from_the_first_step_on",
    11: "test_objectives.test_objective_slopes_equal_the_closed_form_from_minus_100_to_100",
    13: "test_ndb.test_real_against_real_a_twentieth_of_bins_differs_and_after_correction_none",
    14: "test_measures.test_a_constant_generator_is_at_a_finite_distance",
    16: "test_diversity.test_real_against_real_no_detector_of_this_package_cries_collapse",
    17: "test_diversity.test_a_continuous_generator_that_jitters_about_one_mode_is_flagged",
    20: "test_engine.test_the_compiled_step_of_one_variant_equals_the_mapped_one",
    21: "test_equivalence.test_users_nets_train_mapped_as_in_a_plain_loop",
    22: "test_contracts.test_probe_reads_the_same_from_mapped_parameters_and_from_ordinary_modules",
}
"""The longer tests of the same traps, for everything registered."""

RING = data.get("ring8")
TINY = {"hidden": (6,), "batch": 8, "evaluation": 32, "latent": 3}


@pytest.mark.parametrize("trap", ELSEWHERE)
def test_the_longer_test_of_a_trap_is_there(trap: int) -> None:
    module, name = ELSEWHERE[trap].split(".")
    assert callable(getattr(importlib.import_module(f"tests.{module}"), name))


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distinct(places: np.ndarray) -> int:
    return len({tuple(place) for place in (np.round(places, 9) + 0.0).tolist()})


# --- data --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [8, 12])
def test_1_a_ring_of_k_modes_has_k_places_of_equal_weight(k: int) -> None:
    ring = data.get("ring", modes=k)
    angle = np.linspace(0, 2 * np.pi, k)  # both ends
    assert distinct(np.stack([np.cos(angle), np.sin(angle)], 1)) == k - 1
    assert distinct(ring.modes.numpy()) == k
    np.testing.assert_allclose(ring.weights.numpy(), 1 / k)


def test_1_a_ring_of_seven_places_is_never_scored_as_eight() -> None:
    """Kept as published, for who compares with it: seven modes, one of double weight, and a perfect sampler covers seven."""
    slip = data.get("ring8_unrolled_notebook")
    got = metrics.mode_coverage(slip.sample(2500, rng.stream(0, "data")), slip, "veegan")
    assert (got.modes_covered, got.n_modes) == (7, 7)
    assert got.reverse_kl < 5 * got.reverse_kl_floor


def test_2_a_ring_says_its_spread_in_its_name_and_points_have_no_likelihood() -> None:
    rings = [data.get("ring", std=std) for std in (0.0, 0.01, 0.05)]
    for ring, std in zip(rings, (0.0, 0.01, 0.05), strict=True):
        assert f"std={std:g}" in ring.name
        assert (data.get(ring.name).std == std).all()
    assert [ring.has_density for ring in rings] == [False, True, True]
    with pytest.raises(InputError, match="point masses"):
        metrics.log_density_gap(torch.zeros(5, 2), rings[0])
    with pytest.raises(InputError, match="point masses"):
        rings[0].log_prob(torch.zeros(5, 2))


# --- what samples are said to be ---------------------------------------------------------------------------------------


def test_3_a_perfect_sampler_a_blob_and_a_point_under_every_definition_of_covered() -> None:
    """A blob N(0, 2^2 I) over the tutorial's ring covers all modes under three rules. Its quality gives it away, and so do the
    definitions that know no modes. Its density at radius 2 is exp(-1/2) / (8 pi): 3.5 % lie in 8 discs of radius 3 * 0.08.
    """
    ring, n = data.get("ring8_tutorial"), 2500
    samples = {
        "perfect": ring.sample(n, rng.stream(0, "data")),
        "blob": 2 * torch.randn(n, 2, generator=draws()),
        "point": ring.modes[3].float().expand(n, 2),
        "centre": 0.1 * torch.randn(n, 2, generator=draws(1)),
    }
    got = {name: {rule: metrics.mode_coverage(x, ring, rule) for rule in metrics.RULES} for name, x in samples.items()}
    counts = {name: {rule: c.modes_covered for rule, c in by_rule.items()} for name, by_rule in got.items()}
    assert counts == {
        "perfect": {"default": 8, "veegan": 8, "pacgan": 8, "tutorial": 8},
        "blob": {"default": 0, "veegan": 8, "pacgan": 8, "tutorial": 8},
        "point": {"default": 1, "veegan": 1, "pacgan": 1, "tutorial": 1},
        "centre": {"default": 0, "veegan": 0, "pacgan": 0, "tutorial": 8},
    }
    share = {name: by_rule["default"].high_quality_share for name, by_rule in got.items()}
    discs = 8 * 0.24**2 * math.exp(-0.5) / 8
    assert share["blob"] == pytest.approx(discs, abs=5 * math.sqrt(discs / n))
    assert (share["point"], share["centre"]) == (1, 0)
    off = {name: by_rule["default"].kl_off_mode for name, by_rule in got.items()}
    assert off["perfect"] < 0.02 < 2 < min(off["blob"], off["point"], off["centre"])
    assert got["point"]["default"].spread == 0

    real = ring.sample(500, rng.stream(1, "data"))
    near = {name: metrics.precision_recall_density_coverage(real, x[:500]) for name, x in samples.items()}
    assert near["perfect"].coverage > near["perfect"].expected_coverage - 0.05
    assert max(near[name].coverage for name in ("blob", "point", "centre")) < 0.4
    bins = {name: metrics.different_bins(real, x[:500], draws(), bins=8).different_corrected for name, x in samples.items()}
    assert (bins["perfect"], bins["blob"], bins["point"]) == (0, 0, 8)  # these cells reach to infinity, and a blob fills them
    assert bins["centre"] > 0
    assert {entry.name for entry in metrics.RULES.entries() if entry.summary} == set(counts["blob"])  # what `list rules` says


def test_4_a_perfect_sampler_has_98_889_percent_of_high_quality() -> None:
    n, ceiling = 100_000, 1 - math.exp(-4.5)
    got = metrics.mode_coverage(RING.sample(n, rng.stream(3, "data")), RING)
    assert got.ceiling == pytest.approx(ceiling, abs=1e-12)
    within = 4 * math.sqrt(ceiling * (1 - ceiling) / n)
    assert abs(got.high_quality_share - ceiling) < within
    assert abs(math.erf(3 / math.sqrt(2)) - ceiling) > within  # 99.73 %, of one dimension
    assert 1 - ceiling > within


def test_5_the_likelihood_takes_a_std_and_is_finite_where_no_sample_is_good() -> None:
    """At a centre, the mean log-density of the plane's Gaussians is exceeded by one nat, whatever their std."""
    assert metrics.log_density_gap(RING.modes[2].float().expand(50, 2), RING).gap == pytest.approx(1, abs=1e-3)
    for nowhere in (torch.zeros(50, 2), torch.full((50, 2), 40.0)):
        assert metrics.mode_coverage(nowhere, RING).high_quality_share == 0
        got = metrics.log_density_gap(nowhere, RING)
        assert -math.inf < got.gap < -1000
        assert got.p_value == 0


MEASURES: dict[str, Callable[[Tensor, Tensor], object]] = {
    **{rule: lambda real, fake, rule=rule: metrics.mode_coverage(fake, RING, rule) for rule in metrics.RULES},
    "bins": lambda real, fake: metrics.different_bins(real, fake, draws(), bins=5),
    "neighbours": metrics.precision_recall_density_coverage,
    "density": lambda real, fake: metrics.log_density_gap(fake, RING),
    "sliced": lambda real, fake: metrics.sliced_wasserstein(real, fake, draws()),
}


def leaves_alone(measure: Callable[[Tensor, Tensor], object], fake: Tensor) -> bool:
    real, before = RING.sample(100, rng.stream(1, "data")), fake.clone()
    kept = real.clone()
    measure(real, fake)
    return torch.equal(fake, before) and torch.equal(real, kept)


@pytest.mark.parametrize("name", MEASURES)
def test_6_an_evaluation_leaves_its_samples_alone_and_counts_all_of_them(name: str) -> None:
    fake = RING.sample(450, rng.stream(0, "data"))
    assert leaves_alone(MEASURES[name], fake)
    assert not leaves_alone(lambda real, fake: fake.clamp_(-1, 1), fake.clone())
    assert sum(metrics.mode_coverage(fake, RING).nearest) == 450


def test_13_real_against_real_has_bins_that_differ_and_none_after_correction() -> None:
    """And bins that nobody is in are no 0/0: warnings are errors here."""
    generator = rng.stream(0, "evaluation")
    found = [metrics.different_bins(*metrics.from_law(RING, 400, 400)(generator), draws(), bins=20) for _ in range(30)]
    assert sum(f.different_corrected > 0 for f in found) <= 5  # 1 in 20 each; more than 5 of 30 once in 1500 times
    assert sum(f.different > 0 for f in found) > 10
    far = metrics.different_bins(torch.zeros(40, 2), torch.ones(40, 2), draws())
    assert math.isfinite(far.js)


@pytest.mark.parametrize("d", [2, 30])
def test_14_the_frechet_distance_of_a_constant_generator_is_its_closed_form(d: int) -> None:
    """Squared distance of the means and the trace of the other covariance; also with fewer samples than dimensions."""
    real = torch.randn(20, d, generator=draws(), dtype=torch.float64)
    point = torch.ones(20, d, dtype=torch.float64)
    centre = float((real.mean(0) - 1).square().sum())
    traces = [float(real.var(0, correction=c).sum()) for c in (0, 1)]
    got = metrics.frechet_distance(real, point).distance
    assert isinstance(got, float)
    assert min(abs(got - centre - t) for t in traces) < 1e-6 * got


# --- what the probes see -----------------------------------------------------------------------------------------------


class Cusp(nn.Linear):
    """Logits of a plane, and a slope by its input that is NaN: that of the root of nothing, times 0."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (0 * x).square().sum(1, keepdim=True).sqrt()


class Flat(nn.Linear):
    """Logits that are 0 everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return 0 * super().forward(x)


def test_7_a_gradient_of_nan_is_seen_and_ends_the_member_with_step_and_place() -> None:
    """The losses are finite: whoever makes NaN a 0 trains on, and looks calm."""
    made = run(Game(lambda: nn.Linear(3, 2), lambda: Cusp(2, 1)), "ring8", seeds=2, steps=3, every=1, batch=8, evaluation=32)
    first = made.trace[made.trace["step"] == 0].set_index("name")["value"]
    assert np.isfinite(first["generator_loss"]).all()
    assert first["generator_gradient"].isna().all()
    assert made.outcome["status"].tolist() == ["diverged"] * 2
    assert made.outcome["step"].tolist() == [1, 1]
    assert made.outcome["place"].str.startswith("generator").all()


def test_8_a_diverged_seed_has_no_score_and_counts_as_failed() -> None:
    rates = {"lr": [1e12, 1e-3], "lr_discriminator": 1e-3, "optimizer": "sgd", "activation": "relu"}
    sick, well = run("lsgan", "ring8", seeds=1, steps=20, every=10, **rates, **TINY).parts()
    assert sick.outcome["status"].tolist() == ["diverged"]
    for name, index in (("modes_covered", "default"), ("kl_off_mode", ""), ("generator_loss", ""), ("distance", "")):
        assert trace.last(sick.trace, name, index).isna().all(), name
        assert np.isfinite(trace.last(well.trace, name, index)).all(), name
    found = diagnose(sick)["mode_collapse"]
    assert (found.failures, found.n) == (1, 1)
    assert math.isnan(stats.mean([8.0, math.nan]).estimate)


def test_8_a_diverged_seed_enters_no_comparison_of_scores() -> None:
    good, other = run_of(perfect), run_of(of_modes(RING, [0, 1]))
    gone = other.trace["value"].mask((other.trace["seed"] == 3) & (other.trace["step"] >= 500))
    lost = replace(other, trace=other.trace.assign(value=gone), outcome=outcome(other.experiment, {3: (500, "generator loss")}))
    assert compare(other, good).set_index("quantity").loc["modes_covered", "answer"] == "b is higher"
    row = compare(lost, good).set_index("quantity").loc["modes_covered"]
    assert math.isnan(row["difference"])
    assert row["answer"] == "inconclusive"


def test_9_gradients_that_are_exactly_zero_are_recorded_at_every_look() -> None:
    game = Game(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), lambda: Flat(2, 1))
    made = run(game, "ring8", seeds=2, steps=4, every=1, batch=8, evaluation=32)
    for name, index in (("generator_gradient", ""), ("generator_gradient_by_layer", "0.weight"), ("signal_at_fakes", "")):
        values = trace.wide(made.trace, name, index)
        assert values.shape == (5, 2)
        assert (values == 0).all().all(), name


def test_9_looking_at_every_step_leaves_every_bit_as_it_is() -> None:
    made = plan("nsgan", "ring8", seeds=2, steps=4, every=1, **TINY)
    seen, unseen = (train(*build(made), made, watch=watch, keep_state=True).samples for watch in (True, False))
    assert all((seen[player] == unseen[player]).all() for player in ("generator", "discriminator"))


def test_10_seeds_differ_before_the_first_step_and_one_seed_is_one_run() -> None:
    made, again = (run("nsgan", "ring8", seeds=4, steps=2, every=1, **TINY) for _ in range(2))
    start = made.samples["generated"][:, 0]
    assert distinct(start.reshape(4, -1)) == 4
    first = trace.select(made.trace, "generator_loss")
    assert first[first["step"] == 0]["value"].nunique() == 4
    assert made.trace.equals(again.trace)


def follows_the_closed_form(loss: Callable[[Tensor], Tensor]) -> bool:
    """Return whether the slope of a non-saturating loss is -1 / (1 + exp(logit)) from -100 to 100, in float32."""
    logits = torch.linspace(-100, 80, 181, requires_grad=True)  # beyond 80 the slope is below float32's normal numbers
    (slope,) = torch.autograd.grad(loss(logits).sum(), logits)
    return np.allclose(slope.numpy(), -expit(-logits.detach().numpy().astype(float)), rtol=2e-5, atol=0)


def test_11_the_non_saturating_loss_keeps_its_slope_down_to_a_logit_of_minus_100() -> None:
    assert follows_the_closed_form(lambda fake: len(fake) * objectives.non_saturating(fake, fake).generator)
    for epsilon in (1e-8, 1e-12):
        assert not follows_the_closed_form(lambda fake, epsilon=epsilon: -torch.log(torch.sigmoid(fake) + epsilon))


# --- verdicts ----------------------------------------------------------------------------------------------------------


def clamped(epsilon: float) -> Entry:
    """Return a non-saturating objective whose generator takes the logarithm of D + epsilon."""

    def losses(real: Tensor, fake: Tensor) -> Losses:
        return Losses(softplus(-real).mean() + softplus(fake).mean(), -torch.log(torch.sigmoid(fake) + epsilon).mean())

    return Entry("clamped", losses, "", "", {"threshold": 0.0, "pairs": False})


@pytest.mark.parametrize(("epsilon", "said"), [(1e-6, "13.82 = -ln 1e-6"), (1e-8, "18.42 = -ln 1e-8"), (3e-7, None)])
def test_12_a_loss_at_the_log_of_its_clamp_is_named(epsilon: float, said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The discriminator is sure of every fake: ours would still pull, and the clamped one has lost its slope."""
    monkeypatch.setitem(objectives.OBJECTIVES._entries, "clamped", clamped(epsilon))
    found = {}
    for objective in ("clamped", "non_saturating"):
        world = planted.World("sure", "clamp", lambda p, r: {"height": 40.0, "shift": 3.0}, objective=objective)
        found[objective] = diagnose(planted.run_of(world, range(1), evaluation=500))["vanishing_gradients"].members.loc[0]
    assert found["non_saturating"]["verdict"] == "absent"
    assert found["clamped"]["verdict"] == "present"
    evidence = found["clamped"]["evidence"]
    assert ("the log of a round epsilon: a clamp" in evidence) is (said is not None)
    assert said is None or f"generator loss constant at {said}, " in evidence


def test_12_a_loss_that_only_passes_such_a_number_is_not_called_clamped() -> None:
    world = planted.World("flat", "flat", lambda p, r: {"height": 8.0, "flat": 1.0, "shift": 3.0})
    made = planted.run_of(world, range(1), evaluation=500)
    steps = made.trace["step"] / made.experiment.steps
    for values, named in ((-math.log(1e-6) + 0 * steps, True), (13.0 + 0.9 * steps, False), (13.9 + 0 * steps, False)):
        moved = made.trace["value"].where(made.trace["name"] != "generator_loss", values)
        found = diagnose(replace(made, trace=made.trace.assign(value=moved)))["vanishing_gradients"]
        assert ("a clamp" in found.members["evidence"][0]) is named


def flagged(made: Run) -> set[str]:
    return {found.code for found in diagnose(made) if found.failures}


def test_15_a_generator_that_is_done_before_a_discriminator_that_says_one_half_is_not_flagged() -> None:
    """Its mean of D(fake) stands at 1/2 and does not move: two signs of collapse to detectors that somebody made at home."""
    made = planted.run_of(planted.World("done", "done", lambda p, r: {"height": 1e-9}), range(2), evaluation=1000)
    means = expit(trace.wide(made.trace, "fake_logit_mean").to_numpy())
    assert np.abs(means - 0.5).max() < 1e-6
    assert means.var() < 0.01
    assert flagged(made) == set()
    assert len(diagnose(made)) == len(DIAGNOSES)


@pytest.mark.parametrize("on", ["ring8", "grid25"])
def test_16_real_samples_are_not_flagged_for_being_like_the_data(on: str) -> None:
    law = data.get(on)
    made = run_of(lambda n, step, generator: law.sample(n, generator), n_seeds=4, ring=law)
    assert diagnose(made)["mode_collapse"].members["verdict"].tolist() == ["absent"] * 4


def test_17_tiny_jitter_around_one_mode_is_collapse_without_one_duplicate() -> None:
    jitter = of_modes(RING, [5], std=0.005)
    samples = jitter(500, 0, draws())
    assert len(torch.unique(samples, dim=0)) == 500
    got = metrics.mode_coverage(samples, RING)
    assert (got.modes_covered, got.missing) == (1, (0, 1, 2, 3, 4, 6, 7))
    assert got.spread == pytest.approx(0.005, rel=0.1)
    assert got.reverse_kl == pytest.approx(math.log(8), abs=1e-6)
    found = diagnose(run_of(jitter))["mode_collapse"]
    assert (found.failures, found.n) == (8, 8)


# --- tables ------------------------------------------------------------------------------------------------------------


def test_18_what_a_sweep_varies_stands_in_its_tables_with_every_value(tmp_path: Any) -> None:
    """In the outcome, before and after the store; and it was used: no two members ended alike."""
    from ganlab.store import Store

    lr, r1 = [1e-3, 1e-2, 1e-1], [0.0, 1.0]
    made = run("nsgan", "ring8", seeds=2, steps=10, every=10, lr=lr, lr_discriminator=1e-3, r1=r1, **TINY)
    made.save(tmp_path)
    stored = Store(tmp_path).load(made.experiment.id)
    for table in (made.outcome, stored.outcome):
        assert table.groupby(["lr", "r1"]).size().to_dict() == {(x, y): 2 for x in lr for y in r1}
    assert [part.outcome["seed"].tolist() for part in made.parts()] == [[0, 1]] * 6
    assert trace.last(made.trace, "generator_norm").nunique() == 12


def test_19_a_rate_comes_with_the_seeds_that_failed() -> None:
    """And with what repeats one of them."""
    made = replace(run_of(perfect, n_seeds=6), samples={}, environment={**ENVIRONMENT})
    made = replace(made, outcome=outcome(made.experiment, {1: (300, "generator loss"), 4: (500, "generator loss")}))
    found = diagnose(made)["mode_collapse"]
    assert (found.rate, found.n) == (2 / 6, 6)
    assert found.members.loc[found.members["verdict"] == "present", "seed"].tolist() == [1, 4]
    pages = pages_of([made])
    tables = [block for section in pages[0].sections for block in section.blocks if isinstance(block, Table)]
    (listed,) = [table for table in tables if "failures of seeds" in table.title]
    collapses = [row[1].text for row in listed.cells() if row[2].text == "Mode collapse"]
    assert collapses == ["1", "4"]
    assert "ganlab run --seeds 1 --first-seed SEED" in render(pages, "x")


ENVIRONMENT = {
    name: 0 for name in ("ganlab", "torch", "python", "system", "device_name", "device", "dtype", "threads", "cores", "seconds")
}


# --- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["wgan_gp", "r1gan", "dragan"])
def test_20_a_penalty_of_slopes_pulls_in_the_traced_step_as_in_the_plain_loop(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of compiling but the compiler, which `test_engine` has; and without the penalty it ends elsewhere."""
    monkeypatch.setattr("torch._inductor.compile", lambda graph, leaves: graph)
    made = plan(variant, "ring8", seeds=1, steps=3, n_critic=1, epsilon=1e-3, **TINY)
    game, law = build(made)
    got = train(game, law, made, dtype=torch.float64, watch=False, keep_state=True, compiled=True)
    assert got.environment["compiled"] is True
    penalty = next(iter(game.penalties))
    ends = []
    for factor in (1.0, 0.0):
        numbers = made.members()[0].numbers | {penalty: factor * made.numbers[penalty][0]}
        plain = reference.train(game, law, seed=0, steps=3, batch=8, numbers=numbers, dtype=torch.float64)
        ends.append(nn.utils.parameters_to_vector(plain.discriminator.parameters()).detach().numpy())
    np.testing.assert_allclose(got.samples["discriminator"][0], ends[0], rtol=1e-9, atol=1e-9)
    assert np.abs(ends[0] - ends[1]).max() > 1e-5


def test_21_batch_norm_with_running_statistics_is_refused_by_name_and_without_trains_as_alone() -> None:
    def generator(running: bool) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5, track_running_stats=running), nn.ReLU(), nn.Linear(5, 2))

    settings = {"seeds": 3, "steps": 4, "batch": 8, "evaluation": 32, "dtype": torch.float64}
    with pytest.raises(InputError, match=r"BatchNorm1d.*running statistics"):
        run(Game(lambda: generator(True), lambda: nn.Linear(2, 1)), "ring8", **settings)
    game = Game(lambda: generator(False), lambda: nn.Linear(2, 1))
    mapped, looped = (run(game, "ring8", engine=engine, **settings).trace["value"] for engine in ("vmap", "loop"))
    np.testing.assert_allclose(mapped, looped, rtol=1e-8, atol=1e-10)


def test_22_probes_read_a_dcgan_with_batch_norm_in_train_mode() -> None:
    """The gradient of its generator by layer is that of backward through the module in train mode, on the probes' batch."""
    nets = {"generator": {"net": "dcgan_generator", "channels": (4, 3)},
            "discriminator": {"net": "dcgan_discriminator", "channels": (3, 4)}}  # fmt: skip
    made = plan("nsgan", "digits", seeds=1, steps=1, every=1, batch=8, latent=4, evaluation=16, **nets)
    game, images = build(made)
    got = train(game, images, made, dtype=torch.float64)
    assert np.isfinite(got.trace.loc[got.trace["step"] == 0, "value"]).all()
    state, batch = initial(game, 0), watch.evaluation(game, images, made.members(), 8, 16).batch
    generator, discriminator = (
        net.to_module(player.parameters.double()) for net, player in zip(game.nets, state, strict=True)
    )
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(norm.training and not norm.track_running_stats for norm in norms)
    softplus(-discriminator(generator(batch.latent[0].double()))).mean().backward()
    first = got.trace[(got.trace["step"] == 0) & (got.trace["name"] == "generator_gradient_by_layer")]
    wanted = [float(p.grad.norm()) for p in generator.parameters()]
    np.testing.assert_allclose(first["value"], wanted, rtol=1e-5, atol=1e-10)
    assert (first["value"] > 0).all()
