"""The first page: who fails, who does not on the same seeds, and whether that is more than chance."""

from __future__ import annotations

import pytest

from ganlab import stats
from ganlab.pages import overview_page
from ganlab.pages.page import Cell, Page, Table, Text, render
from tests.faked import fake, planned, run_of


def table(page: Page) -> list[list[Cell]]:
    (found,) = [block for section in page.sections for block in section.blocks if isinstance(block, Table)]
    return found.cells()


def texts(page: Page) -> str:
    blocks = [block for section in page.sections for block in section.blocks if isinstance(block, Text)]
    return " ".join(text for block in blocks for text in block.paragraphs)


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual GAN always collapses, least squares on half of the seeds, R1 never; nothing ever diverges."""
    broken = {"nsgan": 8, "lsgan": 4, "r1gan": 0}
    fake(monkeypatch, {
        "mode_collapse": lambda e, m: m.seed < broken[e.subject], "divergence": lambda e, m: False,
        "memorisation": "there is no training set",
    })  # fmt: skip


RUNS = [run_of(planned(variant)) for variant in ("lsgan", "nsgan", "r1gan")]


def test_the_usual_gan_stands_beside_the_best_of_the_others(fails: None) -> None:
    page = overview_page({"usual": RUNS})
    ((failure, happens, avoided),) = table(page)
    assert (failure.text, failure.note) == ("Mode collapse", "study usual")
    assert (happens.text, happens.tone) == ("nsgan on ring8: 8 of 8", "present")
    assert (avoided.text, avoided.tone) == ("r1gan: 0 of 8", "absent")
    low, high = stats.rate(0, 8).low, stats.rate(0, 8).high
    assert avoided.note == f"0% [{low:.0%}, {high:.0%}]\np = {2 * 2 / 2**8:.2g} after correction for 2 pairs"
    assert page.answer == "Of 24 trainings: mode collapse befell 8 of 8 seeds of nsgan on ring8 and 0 of 8 of r1gan."
    assert texts(page) == "Not seen: divergence (0 of 24 seeds). Could not be judged on these runs: memorisation."
    assert "What fails here" in render([page], "a command")


def test_without_the_usual_gan_all_pairs_count(fails: None) -> None:
    """Four seeds against none is p = 1/8, and the pair was chosen from one."""
    ((_, happens, avoided),) = table(overview_page({"usual": [RUNS[0], RUNS[2]]}))
    assert happens.text == "lsgan on ring8: 4 of 8"
    assert (avoided.text, avoided.tone) == ("r1gan: 0 of 8", "inconclusive")
    assert "p = 0.12 after correction for 1 pair" in avoided.note


def test_the_correction_is_for_every_pair_that_could_have_been_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, m: e.subject == "lsgan"})
    ((_, happens, avoided),) = table(overview_page({"usual": [RUNS[0], RUNS[2], run_of(planned("hinge"))]}))
    assert happens.text == "lsgan on ring8: 8 of 8"
    assert f"p = {3 * 2 / 2**8:.2g} after correction for 3 pairs" in avoided.note


def test_runs_of_other_studies_are_not_compared(fails: None) -> None:
    ((_, _, avoided),) = table(overview_page({"one": [RUNS[1]], "other": [RUNS[2]]}))
    assert avoided.text == "nothing to compare with"


def test_other_seeds_are_not_compared(fails: None) -> None:
    page = overview_page({"usual": [RUNS[1], run_of(planned("r1gan", seeds=7))]})
    ((_, _, avoided),) = table(page)
    assert avoided.text == "nothing to compare with"


def test_where_the_other_is_worse_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, m: m.seed < {"nsgan": 1, "lsgan": 8}[e.subject]})
    page = overview_page({"usual": RUNS[:2]})
    assert page.answer.endswith("1 of 8 seeds of nsgan on ring8 and 8 of 8 of lsgan (which is worse).")
    ((_, _, avoided),) = table(page)
    assert avoided.tone == "present"


def test_a_lesser_failure_that_is_not_told_apart_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, m: m.seed < {"nsgan": 8, "lsgan": 6}[e.subject]})
    answer = overview_page({"usual": RUNS[:2]}).answer
    assert answer.endswith("8 of 8 seeds of nsgan on ring8 and 6 of 8 of lsgan (not told apart).")


def test_nothing_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, m: False})
    page = overview_page({"usual": RUNS})
    assert page.answer == "None of 24 trainings is seen to fail."
    assert texts(page) == "Not seen: mode collapse (0 of 24 seeds)."


def test_a_run_with_a_seed_that_could_not_be_judged_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    unclear = ("nsgan", 0)
    fake(monkeypatch, {
        "mode_collapse": lambda e, m: "inconclusive" if (e.subject, m.seed) == unclear else e.subject != "r1gan"
    })  # fmt: skip
    ((_, happens, avoided),) = table(overview_page({"usual": RUNS}))
    assert (happens.text, avoided.text) == ("lsgan on ring8: 8 of 8", "r1gan: 0 of 8")
    ((_, happens, avoided),) = table(overview_page({"usual": RUNS[1:2]}))
    assert (happens.text, avoided.text) == ("nsgan on ring8: 7 of 7", "nothing to compare with")
