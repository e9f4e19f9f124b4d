"""What is tried against a failure: rebuilt from stored settings, batched where numbers alone differ, refused in clear words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ganlab.experiment import Experiment
from ganlab.planning import plan
from ganlab.proposal import MOST, merged, propose
from ganlab.registry import InputError
from ganlab.variants import VARIANTS
from tests.faked import fake, planned, run_of


def fails_always(*_: Any) -> bool:
    return True


@pytest.fixture
def collapsing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": fails_always})


# --- batches -----------------------------------------------------------------------------------------------------------


def members(experiments: Sequence[Experiment]) -> list[tuple[Any, ...]]:
    return sorted(
        (str(sorted(e.settings.items())), m.seed, *sorted(m.numbers.items())) for e in experiments for m in e.members()
    )


def rates(lr: float, lr_discriminator: float) -> Experiment:
    return planned(seeds=2, lr=lr, lr_discriminator=lr_discriminator)


def test_a_full_cross_of_numbers_is_one_mapped_batch() -> None:
    apart = [rates(a, b) for a in (1e-3, 4e-3) for b in (1e-3, 4e-3)]
    (together,) = merged(apart)
    assert together == planned(seeds=2, lr=[1e-3, 4e-3], lr_discriminator=[1e-3, 4e-3])
    assert members([together]) == members(apart)


@pytest.mark.parametrize(
    "apart",
    [
        [rates(1e-3, 1e-3), rates(1e-3, 4e-3), rates(4e-3, 4e-3)],
        [rates(1e-3, 1e-3), rates(4e-3, 4e-3)],
        [rates(1e-3, 1e-3), planned(seeds=2, lr=1e-3, r1=0.1), planned(seeds=2, lr=1e-3, r1=1.0)],
        [planned(), planned(n_critic=2), planned(seeds=9)],
    ],
)
def test_merging_adds_no_member_and_loses_none(apart: list[Experiment]) -> None:
    together = merged(apart)
    assert members(together) == members(apart)
    assert len(together) <= len(apart)


def test_what_differs_in_structure_stays_apart() -> None:
    assert len(merged([planned(), planned(r1=0.1), planned(packing=2)])) == 3


def test_the_same_experiment_twice_is_trained_once() -> None:
    assert merged([planned(), planned()]) == [planned()]


# --- proposals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "mnist" not in name])
def test_every_variant_is_rebuilt_from_its_settings(variant: str, collapsing: None) -> None:
    experiment = Experiment.from_json(plan(variant, seeds=2, steps=3).to_json())  # as a store gives it back
    assert propose(run_of(experiment)).control == experiment


def test_the_first_remedies_that_fit_are_tried_and_the_others_named_with_the_reason(collapsing: None) -> None:
    proposal = propose(run_of(planned("wgan")))
    tried = [arm.remedy.name for arm in proposal.arms]
    assert tried == ["relativistic_r1_r2", "r1", "gradient_penalty", "packing", "minibatch_std"]
    assert set(proposal.left_out) == {"dragan", "unrolled"}
    assert not proposal.retrained
    usual = propose(run_of(planned()))
    assert len(usual.arms) == MOST
    assert usual.left_out == {"unrolled": f"the first {MOST} that fit are tried; ask for it by name"}


def test_the_plan_is_printed_as_it_is(collapsing: None) -> None:
    rows = {name: (change, of) for name, change, of, _ in propose(run_of(planned("wgan", seeds=2))).tried()}
    assert rows["gradient_penalty"] == ("gradient_penalty=0.1, no weight_clipping", "structure")
    assert rows["minibatch_std"] == ("discriminator minibatch=std", "structure")


def test_remedies_of_numbers_go_as_one_batch_with_the_control_when_that_is_trained_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, {"non_convergence": fails_always})
    names = ["two_time_scales", "lower_rates"]
    own = propose(run_of(planned(lr=4e-3)), remedies=names)
    assert own.batches == (planned(lr=1e-3, lr_discriminator=[4e-3, 1e-3]),)
    more = propose(run_of(planned(lr=4e-3)), remedies=["two_time_scales"], seeds=12)
    assert more.retrained
    assert more.control == planned(lr=4e-3, seeds=12)
    assert more.batches == (planned(seeds=12, lr=[4e-3, 1e-3], lr_discriminator=4e-3),)


def test_other_seeds_begin_where_the_runs_own_do_unless_they_are_listed(collapsing: None) -> None:
    run = run_of(plan("nsgan", "ring8", seeds=[5, 6], steps=3))
    assert propose(run, seeds=3).control.seeds == (5, 6, 7)
    assert propose(run, seeds=[9, 11]).control.seeds == (9, 11)
    assert not propose(run, seeds=[5, 6]).retrained
    with pytest.raises(InputError, match="seeds must be a count of at least 1"):
        propose(run, seeds=0)


def test_one_combination_of_a_run_over_several_numbers_is_repaired_when_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, member: member.numbers["lr"] > 1e-3})
    run = run_of(planned(lr=[1e-3, 4e-3], lr_discriminator=1e-3), seconds=10.0)
    with pytest.raises(InputError, match=r"has 2 combinations .* got None.*: lr=0.001 \(0 failed\); lr=0.004 \(8 failed\)"):
        propose(run)
    proposal = propose(run, where="lr=0.004")
    assert proposal.control == planned(lr=4e-3, lr_discriminator=1e-3)
    assert proposal.run.environment["seconds"] == 5.0
    with pytest.raises(InputError, match="nothing to repair"):
        propose(run, where="lr=0.001")
    with pytest.raises(InputError, match="got 'lr=1', say which one to repair: leave it out"):
        propose(run_of(planned()), where="lr=1")


@pytest.mark.parametrize(
    ("failing", "names", "said"),
    [
        (8, ["r1"], "1 comparison on 8 seeds, 8 of which fail by mode collapse; a remedy that rescues all has a corrected p of "
                    "0.0078"),
        (4, ["r1"], "a corrected p of 0.12, which tells nothing; it takes 6 failing seeds, about 12 in all"),
        (3, [], "6 comparisons on 8 seeds, 3 of which fail by mode collapse; a remedy that rescues all has a corrected p of 1, "
                "which tells nothing; it takes 8 failing seeds, about 22 in all"),
    ],
)  # fmt: skip
def test_what_the_seeds_can_tell_is_said_beforehand(
    failing: int, names: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, member: member.seed < failing})
    assert propose(run_of(planned()), remedies=names).outlook().endswith(said)


# --- what cannot be repaired -------------------------------------------------------------------------------------------


def test_a_run_in_which_nothing_fails_has_nothing_to_repair_and_what_was_looked_at_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, member: False, "memorisation": "the data are endless"})
    with pytest.raises(InputError) as refused:
        propose(run_of(planned()))
    text = str(refused.value)
    assert text.startswith("nothing to repair in nsgan on ring8 (")
    assert "mode collapse inconclusive (0 of 8 seeds failed" in text
    assert "memorisation not applicable (the data are endless)" in text


def test_one_failure_among_many_seeds_needs_no_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, member: member.seed == 0})
    with pytest.raises(InputError, match="nothing to repair"):
        propose(run_of(planned(seeds=80)))
    assert propose(run_of(planned(seeds=20))).failing[0].failures == 1


def numbered(**numbers: float) -> Experiment:
    """Return an experiment with more numbers than it was planned with."""
    return replace(planned(), numbers={**planned().numbers, **{name: (value,) for name, value in numbers.items()}})


@pytest.mark.parametrize(
    ("experiment", "said"),
    [
        (replace(planned(), kind="classifier"), "only runs of GANs that ganlab trained can be .* is of kind 'classifier'"),
        (replace(planned(), subject="own nets"), "cannot be rebuilt from the store: its nets are your own"),
        (replace(planned(), data="points-0123"), "cannot be rebuilt from the store: unknown data distribution 'points-0123'"),
        (replace(planned(), subject="lost"), "cannot be rebuilt from the store: unknown variant 'lost'"),
        (numbered(extra=1.0), "cannot be rebuilt from the store: unknown setting"),
        (numbered(momentum=0.5), "its settings give another run with this version"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused(experiment: Experiment, said: str, collapsing: None) -> None:
    with pytest.raises(InputError, match=said):
        propose(run_of(experiment))


def test_remedies_are_asked_for_by_names_that_fit(collapsing: None) -> None:
    with pytest.raises(InputError, match="unknown remedy 'pakcing'; did you mean 'packing'"):
        propose(run_of(planned()), remedies=["pakcing"])
    with pytest.raises(InputError, match="'ema' is not named against mode collapse; these are: relativistic_r1_r2, r1"):
        propose(run_of(planned()), remedies=["ema"])
    with pytest.raises(InputError, match=r"no remedy fits mode collapse in r1gan on ring8 .*: r1: the run has it already"):
        propose(run_of(planned("r1gan")), remedies=["r1"])


def test_a_failure_without_remedies_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"boredom": fails_always})
    with pytest.raises(InputError, match=r"no remedy fits boredom in .*: none is in the table"):
        propose(run_of(planned()))
