"""The table of remedies says what it does: every change can be planned, built and trained, and every misfit is explained."""

from __future__ import annotations

import pytest

from ganlab.experiment import Experiment
from ganlab.planning import build, check_fit, plan
from ganlab.proposal import changed
from ganlab.remedies import REMEDIES, Remedy, against
from ganlab.train import train
from ganlab.variants import VARIANTS
from tests.faked import TINY, planned

CODES = (
    "mode_collapse", "vanishing_gradients", "non_convergence", "divergence", "memorisation", "discriminator_overfitting",
)  # fmt: skip
CONTROLS = ("nsgan", "gan", "negative_momentum")


def fitting(remedy: Remedy) -> tuple[Experiment, Experiment]:
    """Return the first control that the remedy fits, and the changed experiment."""
    for variant in CONTROLS:
        control = planned(variant, seeds=2, **({"momentum": 0.0} if variant == "negative_momentum" else {}))
        found = changed(control, remedy)
        if isinstance(found, Experiment):
            return control, found
    raise AssertionError(f"{remedy.name} fits none of {CONTROLS}")


@pytest.mark.parametrize("code", CODES)
def test_every_failure_has_remedies_with_a_source(code: str) -> None:
    named = against(code)
    assert len(named) >= 2
    assert all(any(year in remedy.against[code] for year in map(str, range(2014, 2026))) for remedy in named)


def test_no_remedy_is_named_against_a_failure_that_nobody_diagnoses() -> None:
    assert {code for remedy in REMEDIES.values() for code in remedy.against} == set(CODES)


@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedy_of_numbers_alone_changes_no_structure_and_the_others_do(name: str) -> None:
    control, treated = fitting(REMEDIES[name])
    same = treated.settings == control.settings and list(treated.numbers) == list(control.numbers)
    assert same == REMEDIES[name].numbers_only
    assert (treated.seeds, treated.steps, treated.every, treated.data) == (
        control.seeds, control.steps, control.every, control.data,
    )  # fmt: skip


@pytest.mark.parametrize("name", REMEDIES)
def test_what_a_remedy_makes_can_be_trained(name: str) -> None:
    _, treated = fitting(REMEDIES[name])
    game, data = build(treated)
    check_fit(game, data)
    run = train(game, data, treated, compiled=False)
    assert list(run.outcome["status"]) == ["finished", "finished"]


def test_a_remedied_run_is_the_one_that_the_command_line_would_make() -> None:
    assert changed(planned(), REMEDIES["r1"]) == planned(r1=0.1)
    assert changed(planned(), REMEDIES["packing"]) == planned(packing=2)
    rates = changed(planned(lr=1e-2, lr_discriminator=4e-2), REMEDIES["lower_rates"])
    assert rates == planned(lr=2.5e-3, lr_discriminator=1e-2)


def test_what_is_no_longer_the_variant_goes_by_its_objective() -> None:
    usual = {name: value for name, value in VARIANTS["wgan"].items() if name not in ("penalties", "objective")}
    clipped = planned("wgan", weight_clipping=0.02)
    assert changed(clipped, REMEDIES["gradient_penalty"]) == planned("wasserstein", gradient_penalty=0.1, **usual)
    assert changed(planned(), REMEDIES["relativistic_r1_r2"]) == planned("relativistic", r1=0.1, r2=0.1)


def test_a_penalty_that_a_run_has_keeps_its_weight() -> None:
    found = changed(planned("r1gan"), REMEDIES["relativistic_r1_r2"])
    assert isinstance(found, Experiment)
    assert (found.numbers["r1"], found.numbers["r2"]) == ((10.0,), (0.1,))


def test_noise_fades_over_a_part_of_the_run() -> None:
    found = changed(planned(steps=1000), REMEDIES["instance_noise"])
    assert isinstance(found, Experiment)
    assert found.numbers["noise_steps"] == (500.0,)


@pytest.mark.parametrize(
    ("variant", "remedy", "reason"),
    [
        ("nsgan", "non_saturating", "objective is non_saturating: it replaces a saturating loss"),
        ("wgan", "slower_discriminator", "objective is wasserstein: its critic is to be trained towards its optimum"),
        ("wgan_gp", "dragan", "objective is wasserstein: it bounds the slope around real samples"),
        ("wgan_lp", "gradient_penalty", "penalties is gradient_penalty_one_sided: the slope is held already"),
        ("wgan", "no_momentum", "optimizer is rmsprop: this optimiser has no beta1"),
        ("r1gan", "r1", "the run has it already"),
        ("acgan", "packing", "a label or score of each is not defined"),
        ("wgan", "unrolled", "its generator does not see that half"),
        ("wgan_gp", "extragradient", "n_critic must be at least 1, and 1 where both move at once"),
        ("hinge", "label_smoothing", "'hinge' has no target"),
    ],
)
def test_where_a_remedy_does_not_apply_the_reason_is_said(variant: str, remedy: str, reason: str) -> None:
    found = changed(planned(variant, batch=8), REMEDIES[remedy])
    assert isinstance(found, str)
    assert reason in found


def test_an_odd_batch_cannot_be_packed_and_a_maxout_net_has_no_minibatch_layer() -> None:
    assert "a multiple of packing=2" in str(changed(planned(batch=5), REMEDIES["packing"]))
    maxout = planned(discriminator={"net": "maxout", "hidden": (4,)}, hidden=(4,))
    assert "unknown setting of the net 'maxout' 'minibatch'" in str(changed(maxout, REMEDIES["minibatch_std"]))


def test_a_spectral_norm_takes_the_place_of_batch_norm_in_a_convolutional_discriminator() -> None:
    nets = {role: {"net": f"dcgan_{role}", "channels": (8, 4) if role == "generator" else (4, 8)} for role in
            ("generator", "discriminator")}  # fmt: skip
    control = plan("nsgan", "digits", seeds=1, **{k: v for k, v in TINY.items() if k != "hidden"}, **nets)
    found = changed(control, REMEDIES["spectral_norm"])
    assert isinstance(found, Experiment)
    assert found.settings["discriminator"] == {**control.settings["discriminator"], "norm": "spectral"}
    check_fit(*build(found))
