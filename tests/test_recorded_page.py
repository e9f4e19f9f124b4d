"""The page of a run that somebody else's loop trained: names what failed, and says that one run is one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ganlab
from ganlab import trace
from ganlab.experiment import Run
from ganlab.pages import pages_of, recorded_page
from ganlab.pages.page import Figure, Page, Table, Text


class Fixed(nn.Module):
    """Makes samples that are so many real ones, moved by a parameter."""

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.points, self.shift = points, nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = self.points[(z[:, 0].abs() * 1e6).long() % len(self.points)] + self.shift
        return made


def recorded(points: Tensor, data: Any, steps: int = 30, **settings: Any) -> Run:
    torch.manual_seed(0)
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(points[0].numel(), 8), nn.Tanh(), nn.Linear(8, 1))
    recorder = ganlab.Recorder(Fixed(points), discriminator, data=data, latent=2, every=1, cost=1, name="mine", **settings)
    for step in range(steps):
        recorder.record(step, d_loss=1.0 + step, g_loss=0.5)
    return recorder.run


@pytest.fixture(scope="module")
def collapsed() -> Run:
    ring = ganlab.data.get("ring8")
    points = ring.sample(4000, torch.Generator().manual_seed(1))
    return recorded(points[points[:, 0] > 0], "ring8")


def blocks(page: Page, title: str) -> list[Any]:
    (section,) = [section for section in page.sections if section.title == title]
    return list(section.blocks)


def test_it_names_what_failed_and_what_did_not(collapsed: Run) -> None:
    page = recorded_page(collapsed)
    assert page.title == "Does mine fail on ring8?"
    assert page.answer.startswith("Mode collapse since step 0. No divergence, non-convergence or vanishing gradients. ")
    table, text = blocks(page, "The verdict")
    assert isinstance(table, Table)
    assert isinstance(text, Text)
    cells = table.cells()
    assert cells[0][0].text == "Mode collapse"
    assert cells[0][1].note == "since step 0"
    assert {row[1].text for row in cells if row[0].text in ("Memorisation", "Discriminator overfitting")} == {"not applicable"}
    assert text.paragraphs[0].startswith("What to try against mode collapse: compare with R1")
    assert "not how often" in text.paragraphs[-1]


def test_a_sound_run_has_no_failure_and_no_advice() -> None:
    ring = ganlab.data.get("ring8")
    page = recorded_page(recorded(ring.sample(4000, torch.Generator().manual_seed(1)), "ring8"))
    assert page.answer.startswith("No divergence, mode collapse, ")
    assert len(blocks(page, "The verdict")[1].paragraphs) == 1


def test_a_short_run_is_too_early_to_tell(collapsed: Run) -> None:
    ring = ganlab.data.get("ring8")
    answer = recorded_page(recorded(ring.sample(4000, torch.Generator().manual_seed(1)), "ring8", steps=3)).answer
    assert "It is too early to tell about divergence, non-convergence and vanishing gradients." in answer


def test_told_losses_have_their_curves(collapsed: Run) -> None:
    figures = [b for b in blocks(recorded_page(collapsed), "The evidence: over time") if isinstance(b, Figure)]
    (losses,) = [figure for figure in figures if figure.title.startswith("How does the discriminator's loss go")]
    assert losses.frame["value"].tolist() == [1.0 + step for step in range(30)]


def test_images_are_drawn(tmp_path: Path) -> None:
    images = torch.rand(600, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    run = recorded(images, images, steps=12)
    page = recorded_page(run)
    (figure,) = blocks(page, "The evidence: samples")
    assert figure.title.startswith("What does mine on points-")
    assert ganlab.report(run, tmp_path / "report.html").stat().st_size > 10_000


def test_what_failed_in_the_recorder_stands_on_the_page(collapsed: Run) -> None:
    broken = Run(
        collapsed.experiment, collapsed.trace, collapsed.outcome, collapsed.samples,
        {**collapsed.environment, "fault": "RuntimeError: out of luck"},
    )  # fmt: skip
    said = " ".join(blocks(recorded_page(broken), "How it was seen")[1].paragraphs)
    assert "The recorder failed and saw nothing after that: RuntimeError: out of luck." in said


def test_mistakes_of_the_loop_come_before_the_evidence(collapsed: Run) -> None:
    mistake = {"code": "L103", "title": "Missing detach", "where": "generator", "step": 0, "evidence": "2 of 2", "fix": "Do."}
    page = recorded_page(Run(
        collapsed.experiment, collapsed.trace, collapsed.outcome, collapsed.samples,
        {**collapsed.environment, "mistakes": [mistake]},
    ))  # fmt: skip
    assert page.sections[1].title == "Mistakes in the loop"
    assert page.answer.startswith("The loop itself is at fault: L103. Mode collapse since step 0. ")
    (table,) = page.sections[1].blocks
    assert isinstance(table, Table)
    assert [cell.text for cell in table.cells()[0]] == ["L103", "Missing detach: generator. 2 of 2", "Do."]
    assert "Mistakes in the loop" not in [section.title for section in recorded_page(collapsed).sections]


@pytest.mark.parametrize(
    ("checked", "said"),
    [
        ({"steps": 20, "faults": []}, "None was found in the 20 steps that were looked through (ganlab list checks)."),
        ({"steps": 3, "faults": ["L103: KeyError: 0"]},
         "Not all could be judged, by a fault of the check and not of the loop: L103: KeyError: 0."),
    ],
)  # fmt: skip
def test_a_loop_in_which_nothing_was_found_is_told_from_one_that_could_not_be_judged(
    collapsed: Run, checked: dict[str, Any], said: str
) -> None:
    run = replace(collapsed, environment={**collapsed.environment, "checked": checked})
    (text,) = blocks(recorded_page(run), "Mistakes in the loop")
    assert text.paragraphs == [said]


def test_how_many_samples_are_any_good_stands_in_the_answer(collapsed: Run) -> None:
    last = trace.last(collapsed.trace, "high_quality_share", "default").item()
    assert recorded_page(collapsed).answer.endswith(f"{last:.0%} of samples of high quality.")


def test_one_seed_has_a_page_of_its_own_and_stays_apart_from_our_own_runs(collapsed: Run) -> None:
    own = ganlab.run("nsgan", "ring8", seeds=2, steps=10, hidden=(8,), batch=16, evaluation=50)
    assert [page.name.partition("-")[0] for page in pages_of([own, collapsed])] == ["recorded", "mode_collapse"]
