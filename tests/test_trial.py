"""Nothing is recommended that was not just seen to help: answers on planted outcomes, and one repair from end to end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import ganlab
from ganlab.cli import main
from ganlab.experiment import Experiment, Member
from ganlab.pages import repair_page
from ganlab.pages.page import render
from ganlab.proposal import propose
from ganlab.registry import InputError
from ganlab.repair_plots import draw_seeds
from ganlab.store import Store
from ganlab.sweep import sweep
from ganlab.trial import Repair, _told, advice, change_interval, judge, sentence
from tests.faked import Fails, fake, planned, run_of

Tried = Callable[..., Repair]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Tried:
    """Judge remedies of a planted run, without training."""

    def judged(checks: dict[str, Fails | str], n: int = 8, names: tuple[str, ...] = ("r1",), seconds: float = 20.0) -> Repair:
        fake(monkeypatch, checks)
        proposal = propose(run_of(planned(seeds=n)), remedies=names)
        return judge(proposal, [run_of(e, seconds) for e in proposal.batches])

    return judged


def unless(remedy: str, *, still: int = 0, before: int = 99, harmed: int = 0) -> Fails:
    """Fail on the first `before` seeds; with the remedy on the first `still`, and on the last `harmed` of 8."""

    def fails(e: Experiment, member: Member) -> bool:
        treated = remedy in e.numbers or remedy in e.settings
        return member.seed < still or member.seed >= 8 - harmed if treated else member.seed < before

    return fails


# --- answers -----------------------------------------------------------------------------------------------------------


def test_a_remedy_that_rescues_every_seed_helps(tried: Tried) -> None:
    repair = tried({"mode_collapse": unless("r1")})
    (row,) = repair.rows()
    assert (row["n"], row["failed_before"], row["failed_after"], row["rescued"], row["harmed"]) == (8, 8, 0, 8, 0)
    assert (row["answer"], row["change"]) == ("helps", -1.0)
    assert row["p_value"] == row["corrected"] == pytest.approx(2 * 0.5**8)
    assert advice(repair) == "Seen to help on 8 seeds: r1 (mode collapse on 0 in place of 8 of 8 seeds)."


def test_a_remedy_that_changes_nothing_does_not_help(tried: Tried) -> None:
    repair = tried({"mode_collapse": lambda e, member: True})
    (row,) = repair.rows()
    assert (row["answer"], row["p_value"], row["change"]) == ("does not help", 1.0, 0.0)
    assert advice(repair) == "Nothing is recommended: no remedy was seen to help on 8 seeds (1 does not help)."


def test_a_remedy_that_makes_it_worse_does_not_help(tried: Tried) -> None:
    (row,) = tried({"mode_collapse": unless("r1", before=1, still=1, harmed=7)}).rows()
    assert (row["failed_before"], row["failed_after"], row["answer"]) == (1, 8, "does not help")


def test_few_seeds_are_inconclusive_and_say_how_many_more(tried: Tried) -> None:
    """Four of four rescued in 8 seeds; at that rate 12 have six of six, with p = 2 / 2^6 < 0.05."""
    repair = tried({"mode_collapse": unless("r1", before=4)})
    (row,) = repair.rows()
    assert (row["answer"], row["more_seeds"]) == ("inconclusive", 3.0)
    assert round(4 * 11 / 8) == 6
    assert "about 3 more seeds would settle it" in sentence(row)
    assert repair.recommended == []


def test_correction_for_many_remedies_takes_more_seeds(tried: Tried) -> None:
    names = ("relativistic_r1_r2", "r1", "packing", "dragan")
    rows = tried({"mode_collapse": unless("r1", before=6)}, names=names).rows()
    by_name = {row["remedy"]: row for row in rows}
    assert by_name["r1"]["p_value"] == pytest.approx(2 * 0.5**6)
    assert by_name["r1"]["corrected"] == pytest.approx(4 * 2 * 0.5**6)
    assert by_name["r1"]["answer"] == "inconclusive"
    assert by_name["packing"]["answer"] == "does not help"


def test_a_remedy_that_causes_another_failure_is_not_recommended(tried: Tried) -> None:
    checks = {"mode_collapse": unless("r1"), "divergence": lambda e, member: "r1" in e.numbers}
    repair = tried(checks)
    (row,) = repair.rows()
    assert (row["answer"], row["new"]) == ("trades one failure for another", "divergence on 8 seeds")
    assert repair.recommended == []


def test_a_new_failure_on_few_seeds_is_told_and_weighed(tried: Tried) -> None:
    checks = {"mode_collapse": unless("r1"), "divergence": lambda e, member: "r1" in e.numbers and member.seed == 3}
    repair = tried(checks)
    (row,) = repair.rows()
    assert (row["answer"], row["new"], row["sick_before"], row["sick_after"]) == ("helps", "divergence on 1 seeds", 8, 1)


def test_seeds_that_cannot_be_judged_twice_are_left_out(tried: Tried) -> None:
    def half(e: Experiment, member: Member) -> bool | str:
        return ("inconclusive" if member.seed < 2 else False) if "r1" in e.numbers else True

    (row,) = tried({"mode_collapse": half}).rows()
    assert (row["n"], row["failed_before"], row["rescued"], row["answer"]) == (6, 6, 6, "helps")
    never = tried({"mode_collapse": lambda e, member: "inconclusive" if "r1" in e.numbers else True})
    (row,) = never.rows()
    assert (row["n"], row["answer"]) == (0, "not applicable")
    assert "with the remedy no seed can be judged" in sentence(row)


def test_each_failure_is_judged_with_the_remedies_named_against_it(tried: Tried) -> None:
    always = lambda e, member: True  # noqa: E731
    repair = tried({"mode_collapse": always, "divergence": always}, names=("r1", "packing"))
    assert [(row["failure"], row["remedy"]) for row in repair.rows()] == [
        ("divergence", "r1"), ("mode_collapse", "r1"), ("mode_collapse", "packing"),
    ]  # fmt: skip


def test_cost_is_a_member_steps_seconds_relative_to_the_control_and_only_on_one_machine(tried: Tried) -> None:
    repair = tried({"mode_collapse": unless("r1")}, seconds=25.0)
    (row,) = repair.rows()
    assert (row["member_steps"], row["seconds"], row["cost"]) == (8 * 3, 25.0, 2.5)
    there = repair.runs[1]
    object.__setattr__(there, "environment", {**there.environment, "device_name": "elsewhere"})
    (row,) = judge(repair.proposal, [there]).rows()
    assert np.isnan(row["cost"])


def test_members_of_a_mapped_batch_share_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"non_convergence": lambda e, member: member.numbers["lr"] > 2e-3})
    proposal = propose(run_of(planned(lr=4e-3)), remedies=["two_time_scales", "lower_rates"])
    repair = judge(proposal, [run_of(e, 20.0) for e in proposal.batches])
    assert [(row["remedy"], row["seconds"], row["answer"]) for row in repair.rows()] == [
        ("two_time_scales", 10.0, "helps"), ("lower_rates", 10.0, "helps"),
    ]  # fmt: skip
    assert [run.experiment for run in repair.runs] == [proposal.control, *(arm.experiment for arm in proposal.arms)]


def test_with_other_seeds_the_retrained_control_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, member: member.seed in (0, 1, 2) and "r1" not in e.numbers})
    proposal = propose(run_of(planned(seeds=4)), remedies=["r1"], seeds=range(2, 10))
    (row,) = judge(proposal, [run_of(e) for e in proposal.batches]).rows()
    assert (row["n"], row["failed_before"], row["failed_after"]) == (8, 1, 0)


# --- statistics ----------------------------------------------------------------------------------------------------------


def test_the_interval_of_the_change_turns_with_its_sign_and_holds_the_estimate() -> None:
    for counts in ((3, 4, 1, 2), (0, 8, 0, 0), (5, 0, 0, 5), (0, 0, 0, 7), (7, 0, 0, 0), (1, 2, 3, 4)):
        both, rescued, harmed, neither = counts
        low, high = change_interval(*counts)
        assert change_interval(both, harmed, rescued, neither) == pytest.approx((-high, -low))
        assert -1 <= low <= (harmed - rescued) / sum(counts) <= high <= 1


def test_the_interval_of_the_change_covers() -> None:
    """2000 studies of 20 seeds each: a half fails before, a quarter after, more often on the same seeds."""
    draws = np.random.default_rng(0).multinomial(20, [0.2, 0.3, 0.05, 0.45], size=2000)  # both, before, after, neither
    kinds, n = np.unique(draws, axis=0, return_counts=True)
    found = np.array([change_interval(*map(int, counts)) for counts in kinds])
    assert np.average((found[:, 0] <= -0.25) & (found[:, 1] >= -0.25), weights=n) >= 0.93


def test_a_remedy_that_only_throws_the_dice_again_is_rarely_said_to_help() -> None:
    """2000 repairs of runs that failed on some seed, by a change without effect; 2.5 % is the test's error on one side."""
    draw, told, n = np.random.default_rng(0), 0, 0
    for rate in np.repeat([0.1, 0.3, 0.5, 0.7], 500):
        before, after = draw.random((2, 16)) < rate
        if before.any():
            rescued, harmed = int((before & ~after).sum()), int((after & ~before).sum())
            n += 1
            told += _told(rescued, harmed, int(before.sum()), ganlab.stats.mcnemar(list(before), list(after))) == "helps"
    assert n > 1500
    assert told / n <= 0.025


# --- from end to end -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_repair_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained for three steps in this process; the verdicts are planted, all else is real."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    fake(monkeypatch, {"mode_collapse": unless("r1")})
    store = Store("runs")
    (run,) = sweep([planned()], store, workers=1)
    command = ["repair", run.experiment.id[:6], "--only", "r1", "packing"]

    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main([*command, *arguments])
        assert end.value.code == 0
        return capsys.readouterr().out

    dry = said("--dry-run")
    assert "r1\tr1=0.1\tstructure\tmode collapse: Mescheder" in dry
    assert "2 comparisons on 8 seeds, 8 of which fail by mode collapse" in dry
    assert "a remedy that rescues all has a corrected p of 0.016" in dry
    assert store.ids() == [run.experiment.id]

    answer = said()
    rows = [line.split("\t") for line in answer.partition("# remedies tried\n")[2].splitlines()]
    assert rows[1][:6] == ["r1", "mode collapse", "helps", "8 to 0 of 8", "-100%", "-100% to -54%"]
    assert rows[2][:4] == ["packing", "mode collapse", "does not help", "8 to 8 of 8"]
    assert "Seen to help on 8 seeds: r1 (mode collapse on 0 in place of 8 of 8 seeds)." in answer
    assert len(store.ids()) == 3
    page = (tmp_path / "reports/html/repair.html").read_text()
    assert "What repairs nsgan on ring8?" in page
    assert "does not help" in page

    written = {name: (store.path / name / "manifest.json").stat().st_mtime_ns for name in store.ids()}
    assert advice(ganlab.repair(run, store, remedies=["r1", "packing"])) in answer
    assert {name: (store.path / name / "manifest.json").stat().st_mtime_ns for name in store.ids()} == written


def test_a_run_that_cannot_be_repaired_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fake(monkeypatch, {"mode_collapse": lambda e, member: False})
    name = run_of(planned()).save("runs").name
    for given, message in ((name, "nothing to repair in nsgan on ring8"), ("zz", "'zz' names 0 runs in 'runs'")):
        with pytest.raises(SystemExit) as end:
            main(["repair", given])
        captured = capsys.readouterr()
        assert (end.value.code, captured.out) == (2, "")
        assert captured.err.startswith(f"ganlab: {message}")
        assert len(captured.err.splitlines()) == 1
    assert not (tmp_path / "reports").exists()


def test_the_page_of_a_repair_says_what_was_not_tried_and_why(tried: Tried) -> None:
    repair = tried({"mode_collapse": unless("r1", before=4)}, names=())
    page = repair_page(repair)
    html = render([page], "ganlab repair")
    assert page.answer == advice(repair)
    for text in ("ask for it by name", "Geiger and Nowozin 2018, section 4.1", "Which seeds does each remedy rescue?"):
        assert text in html


def test_the_public_name_is_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, member: False})
    with pytest.raises(InputError, match="nothing to repair"):
        ganlab.repair(run_of(planned()))


def test_panels_of_seeds_have_a_row_for_every_remedy() -> None:
    """Also where one was tried against another failure alone: axes are shared."""
    frame = pd.DataFrame({"failure": "f", "variant": ["r1"], "seed": [0], "state": ["failed"]})
    _, ax = plt.subplots()
    draw_seeds(frame, ax, colours={"unchanged": "C0", "packing": "C1", "r1": "C2"})
    plt.close()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["unchanged", "packing", "r1"]
    assert ax.lines[0].get_ydata().tolist() == [2]
