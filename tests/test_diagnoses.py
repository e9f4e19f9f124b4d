"""Verdicts on worlds whose truth is known, and claims about rates that the seeds can carry."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ganlab import data, stats
from ganlab.diagnoses import DIAGNOSES, compare, diagnose
from ganlab.experiment import Experiment, Run, outcome
from ganlab.planning import plan
from ganlab.registry import InputError
from tests.planted import STEPS, blob, of_modes, perfect, run_of, until

RING = data.get("ring8")

COLLAPSED = {
    "three modes lost": (of_modes(RING, [0, 1, 2, 3, 4]), "3 of 8 modes lost (5, 6, 7)"),
    "one mode lost": (of_modes(RING, [0, 1, 2, 3, 4, 5, 6]), "1 of 8 modes lost (7)"),
    "one mode with tiny jitter": (of_modes(RING, [2], std=0.01), "7 of 8 modes lost"),
    "single point": (lambda n, step, g: torch.tensor([[2.0, 0.0]]).expand(n, 2), "7 of 8 modes lost"),
    "weights tilted, none lost": (of_modes(RING, list(range(8)), weights=[14, 2, 2, 2, 2, 2, 2, 2]), "weights off by 0."),
    "all modes hit but shrunken": (of_modes(RING, list(range(8)), std=0.1), "spread inside modes 0.1"),
    "small blob at the centre": (blob(0.1), "spread overall 0."),
    "hopping from mode to mode": (lambda n, step, g: of_modes(RING, [step // 100 % 8])(n, step, g), "7 of 8 modes lost"),
}
HEALTHY = {
    "the data themselves": perfect,
    "bad samples over all modes": blob(2.0),
    "modes twice as wide": of_modes(RING, list(range(8)), std=2.0),
    "collapsed once, recovered": until(400, of_modes(RING, [0]), perfect),
    "a mode at half weight": of_modes(RING, list(range(8)), weights=[0.5, 1, 1, 1, 1, 1, 1, 1]),
}


@pytest.mark.parametrize("name", COLLAPSED)
def test_a_planted_collapse_is_found_on_every_seed(name: str) -> None:
    sampler, said = COLLAPSED[name]
    found = diagnose(run_of(sampler))["mode_collapse"]
    assert (found.failures, found.n, found.verdict) == (8, 8, "present")
    assert said in found.members["evidence"][0]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_twin_is_not_flagged(name: str) -> None:
    found = diagnose(run_of(HEALTHY[name]))["mode_collapse"]
    assert (found.failures, found.n) == (0, 8)
    assert list(found.members["verdict"].unique()) == ["absent"]
    assert found.members["onset"].isna().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ring8", "ring8_unequal", "grid25"])
@pytest.mark.parametrize("n", [1000, 2500])
def test_false_alarms_on_perfect_samplers_stay_under_one_percent(name: str, n: int) -> None:
    """1,000 seeds of the data themselves, at the usual size and at a smaller one: all are judged, at most 1 % flagged."""
    made = data.get(name)
    own = of_modes(made, list(range(len(made.modes))), weights=made.weights.tolist())
    found = diagnose(run_of(own, n_seeds=1000, ring=made, n=n, steps=(0, 100, 200)))["mode_collapse"]
    assert found.n == 1000
    assert found.failures <= 10
    assert found.verdict == "absent"


PROTOCOLS = {"mixture1200": 400, "ring8_unequal": 1000, "grid100": 2500, "cube1000": 20_000}
"""Samples that give each mode its due."""


@pytest.mark.parametrize(("name", "n"), PROTOCOLS.items())
def test_the_protocols_by_name_leave_a_perfect_sampler_alone_and_find_a_lost_mode(name: str, n: int) -> None:
    """In the others a tenth of the modes is lost; of the fewest modes the lightest one."""
    made = data.get(name)
    k = len(made.modes)
    kept = list(range(k))[: -max(1, k // 10)]
    weights = made.weights.tolist()
    perfect = of_modes(made, list(range(k)), weights=weights)
    collapsed = of_modes(made, kept, weights=weights[: len(kept)])
    for sampler, failures in ((perfect, 0), (collapsed, 1)):
        found = diagnose(run_of(sampler, 1, ring=made, n=n, steps=(0, 100)))["mode_collapse"]
        assert (found.failures, found.n) == (failures, 1), found.members["evidence"][0]
        if failures:
            assert f"{k - len(kept)} of {k} modes lost" in found.members["evidence"][0]


def test_a_run_takes_as_many_samples_as_its_modes_need_unless_told() -> None:
    wanted = {"ring8": 2500, "ring8_unequal": 2500, "grid100": 2500, "cube1000": 20_000, "digits": 2500}
    assert {name: plan("nsgan", name).settings["evaluation"] for name in wanted} == wanted
    assert plan("nsgan", "cube1000", evaluation=100).settings["evaluation"] == 100


def test_the_grid_and_unequal_weights_are_judged_by_their_own_weights() -> None:
    tilted = data.get("ring", weights=[8, 1, 1, 1, 1, 1, 1, 1])
    own = of_modes(tilted, list(range(8)), weights=[8, 1, 1, 1, 1, 1, 1, 1])
    assert diagnose(run_of(own, ring=tilted))["mode_collapse"].failures == 0
    assert diagnose(run_of(perfect, ring=tilted))["mode_collapse"].failures == 8
    grid = data.get("grid25")
    assert diagnose(run_of(of_modes(grid, list(range(25))), ring=grid))["mode_collapse"].failures == 0
    assert diagnose(run_of(of_modes(grid, list(range(24))), ring=grid))["mode_collapse"].failures == 8


@pytest.mark.parametrize("at", [100, 500, 800])
def test_onset_is_the_step_of_the_planted_change(at: int) -> None:
    """The verdict is that of most of three looks, so it turns one look (100 steps) after the change."""
    found = diagnose(run_of(until(at, perfect, of_modes(RING, [1]))))["mode_collapse"]
    assert set(found.members["onset"]) == {at + 100.0}
    assert found.onset == at + 100.0


def test_a_generator_that_never_spread_is_dated_to_the_start() -> None:
    assert diagnose(run_of(of_modes(RING, [1])))["mode_collapse"].onset == 0


def test_few_seeds_leave_the_rate_open_and_judge_each_seed() -> None:
    healthy = diagnose(run_of(perfect, n_seeds=3))["mode_collapse"]
    assert healthy.verdict == "inconclusive"
    assert list(healthy.members["verdict"]) == ["absent"] * 3
    assert "36 seeds" in healthy.evidence
    single = diagnose(run_of(of_modes(RING, [1]), n_seeds=1))["mode_collapse"]
    assert (single.verdict, list(single.members["verdict"])) == ("inconclusive", ["present"])


def test_forty_healthy_seeds_allow_the_claim_of_absence() -> None:
    assert diagnose(run_of(perfect, n_seeds=40, steps=(0, 100, 200)))["mode_collapse"].verdict == "absent"


def test_too_few_samples_for_the_modes_is_said() -> None:
    grid = data.get("grid25")
    found = diagnose(run_of(of_modes(grid, list(range(25))), ring=grid, n=200))["mode_collapse"]
    assert (found.n, found.verdict) == (0, "inconclusive")
    assert "evaluation" in found.evidence
    assert math.isnan(found.rate)


def test_blurred_samples_with_right_weights_are_not_collapse_however_few_are_of_high_quality() -> None:
    """A sixth of the samples is of high quality: enough of them on the ring, too few to count on the grid."""
    for name in ("ring8", "grid25"):
        blurred = data.get(name)
        wide = of_modes(blurred, list(range(len(blurred.modes))), std=5.0)
        for n in (500, 2500):
            found = diagnose(run_of(wide, ring=blurred, n=n, n_seeds=6))["mode_collapse"]
            assert (found.failures, found.n) == (0, 6), (name, n)


@pytest.mark.parametrize(("looks", "failures"), [((0, 100), 1), ((0, 100, 200), 1), ((0, 50, 100, 150, 200), 1)])
def test_the_end_of_a_run_is_its_end_with_few_looks_too(looks: tuple[int, ...], failures: int) -> None:
    late = diagnose(run_of(until(looks[-1], perfect, of_modes(RING, [1])), n_seeds=1, steps=looks))
    assert late["mode_collapse"].failures == failures
    early = diagnose(run_of(until(looks[-1], of_modes(RING, [1]), perfect), n_seeds=1, steps=looks))
    assert early["mode_collapse"].failures == 0


def test_where_neither_modes_nor_cells_were_counted_it_does_not_apply() -> None:
    run = run_of(perfect, n_seeds=2)
    bare = replace(run, trace=run.trace[run.trace["name"] == "js"].reset_index(drop=True))
    found = diagnose(bare)["mode_collapse"]
    assert found.verdict == "not applicable"
    assert "no modes are known" in found.evidence


def test_a_diverged_seed_counts_as_failed() -> None:
    run = run_of(perfect, n_seeds=2)
    ended = outcome(run.experiment, {1: (300, "generator loss")})
    found = diagnose(replace(run, outcome=ended))["mode_collapse"]
    assert list(found.members["verdict"]) == ["absent", "present"]
    assert found.members["evidence"][1] == "diverged at step 300: generator loss"
    assert found.members["onset"][1] == 300


def test_samples_that_turned_non_finite_never_look_healthy() -> None:
    """A generator of NaN has no high-quality sample and no nearest one."""
    broken = until(500, perfect, lambda n, step, g: torch.full((n, 2), torch.nan))
    found = diagnose(run_of(broken, n_seeds=2))["mode_collapse"]
    assert "absent" not in set(found.members["verdict"])


def test_every_diagnosis_has_its_texts() -> None:
    for entry in DIAGNOSES.entries():
        assert entry.source
        for fact in ("title", "threshold", "advice"):
            assert entry.facts[fact]


def test_rates_are_given_for_each_value_of_a_number() -> None:
    run = run_of(until(0, perfect, perfect), n_seeds=4)
    numbers = {"lr": (0.1, 0.2)}
    experiment = Experiment("gan", "planted", "ring8", (0, 1), 1000, 100, {}, numbers)
    found = diagnose(Run(experiment, run.trace, outcome(experiment, {}), {}, {}))
    assert [d.where for d in found if d.code == "mode_collapse"] == ["lr=0.1", "lr=0.2"]
    assert found["mode_collapse", "lr=0.2"].n == 2
    with pytest.raises(InputError, match="names 2 diagnoses"):
        found["mode_collapse"]
    with pytest.raises(InputError, match="did you mean 'mode_collapse'"):
        found["mode_colapse"]


# --- comparisons -------------------------------------------------------------------------------------------------------


def test_comparison_is_paired_and_says_which_is_higher() -> None:
    good, bad = run_of(perfect), run_of(of_modes(RING, [0, 1, 2]))
    frame = compare(bad, good).set_index("quantity")
    rate = frame.loc["mode_collapse rate"]
    assert (rate["a"], rate["b"], rate["difference"], rate["answer"]) == (1.0, 0.0, 1.0, "a is higher")
    assert rate["p_value"] == pytest.approx(2 * 0.5**8)
    n_rates = sum(quantity.endswith(" rate") for quantity in frame.index)
    assert (rate["p_holm"], rate["more_seeds"]) == (n_rates * rate["p_value"], 0)
    assert np.isnan([rate["low"], rate["high"]]).all()
    covered = frame.loc["modes_covered"]
    assert tuple(covered[["difference", "low", "high", "p_value"]]) == (-5, -5, -5, 2 * 0.5**8)
    assert covered["answer"] == "b is higher"
    assert covered["p_holm"] == pytest.approx(3 * covered["p_value"])  # three scores are compared, apart from rates


def test_fewer_than_six_seeds_tell_nothing_and_say_how_many_more_would() -> None:
    good, bad = run_of(perfect, n_seeds=5), run_of(of_modes(RING, [0, 1, 2]), n_seeds=5)
    frame = compare(bad, good).set_index("quantity")
    assert set(frame["answer"]) == {"inconclusive"}
    assert frame.loc["mode_collapse rate", "more_seeds"] == 1
    assert np.isinf(frame.loc["modes_covered", "low"])


def test_a_seed_without_a_score_leaves_no_answer_about_it() -> None:
    good, bad = run_of(perfect), run_of(of_modes(RING, [0, 1, 2]))
    lost = bad.trace["value"].mask((bad.trace["name"] == "kl_off_mode") & (bad.trace["seed"] == 3))
    row = compare(replace(bad, trace=bad.trace.assign(value=lost)), good).set_index("quantity").loc["kl_off_mode"]
    assert np.isnan([row["difference"], row["p_value"], row["p_holm"]]).all()
    assert (row["low"], row["high"], row["answer"]) == (-np.inf, np.inf, "inconclusive")


def test_a_run_against_itself_is_inconclusive_everywhere() -> None:
    run = run_of(perfect, n_seeds=4)
    assert set(compare(run, run)["answer"]) == {"inconclusive"}


def test_incomparable_runs_are_refused() -> None:
    run = run_of(perfect, n_seeds=2)
    elsewhere = replace(run, experiment=replace(run.experiment, data="grid25"))
    with pytest.raises(InputError, match="different data"):
        compare(run, elsewhere)
    other_seeds = replace(run, experiment=replace(run.experiment, seeds=(1, 9)))
    with pytest.raises(InputError, match="share 1"):
        compare(run, other_seeds)


def test_the_rate_in_a_diagnosis_is_that_of_stats() -> None:
    found = diagnose(run_of(of_modes(RING, [1]), steps=STEPS[:4]))["mode_collapse"]
    expected = stats.rate(8, 8)
    assert found.interval == (expected.low, expected.high)
    assert isinstance(found.members, pd.DataFrame)
    assert np.isclose(found.rate, 1.0)


def test_how_a_frozen_generator_ends_is_not_judged() -> None:
    run = run_of(of_modes(RING, [1]), steps=STEPS)
    settings = {**run.experiment.settings, "frozen_at": 0}
    found = diagnose(replace(run, experiment=replace(run.experiment, settings=settings)))
    assert diagnose(run)["mode_collapse"].failures == diagnose(run)["mode_collapse"].n > 0
    for code in ("mode_collapse", "non_convergence"):
        assert found[code].verdict == "not applicable"
        assert "freezes" in found[code].evidence
