"""The section on applications says what its runs say, and its comparisons can fail."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pytest

import benchmarks.lecture
import reports.lecture
from ganlab.application_plots import frame_strips
from ganlab.experiment import Experiment, Run
from ganlab.pages import pages_of, shared
from ganlab.pages.lecture import applications, learned
from ganlab.pages.page import Block, Figure, Section, Table, Text, render
from ganlab.sweep import perform

SHORT = {"hidden": [8], "hidden_generator": [8], "hidden_discriminator": [8], "evaluation": 60, "generated_images": 20}


def tiny(experiment: Experiment) -> Experiment:
    """Return the experiment cut down to what takes no time."""
    settings = {name: SHORT.get(name, value) for name, value in experiment.settings.items()}
    if experiment.kind == "gan":
        settings |= {role: {**settings[role], "hidden": [8]} for role in ("generator", "discriminator")}
    if "gan" in settings:
        settings["gan"] = {**settings["gan"], "hidden": [8], "steps": 2}
    return replace(experiment, seeds=tuple(range(6)), steps=4, every=2, settings=settings)


@cache
def trained() -> list[Run]:
    return [perform(tiny(e)) for e in benchmarks.lecture.experiments("quick")["applications"]]


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return trained()


@pytest.fixture(scope="module")
def section(runs: list[Run]) -> Section:
    return reports.lecture.SECTIONS["applications"](runs)


def test_it_begins_with_words_and_one_table_asks_and_draws(section: Section) -> None:
    assert section.title.endswith("?")
    assert isinstance(section.blocks[0], Text)
    assert isinstance(section.blocks[1], Table)
    figures = [block for block in section.blocks if isinstance(block, Figure)]
    assert len(figures) == 5
    for figure in figures:
        plt.close(figure.draw())
        assert figure.alt
        assert not figure.frame.empty


def test_every_number_of_the_overview_has_its_n_and_interval(section: Section) -> None:
    for row in section.blocks[1].cells():
        assert "n=6" in row[1].note or "of 6" in row[1].text, row
        assert "[" in row[1].note


def test_a_gan_that_changes_nothing_is_said_to_show_no_difference(runs: list[Run]) -> None:
    """The control: both arms are the same run."""
    found = applications.arms(runs)
    decided = applications.comparisons(found._replace(augmented=found.alone, semi=found.labels, gan=found.l1))
    for name in ("augmentation", "semi", "recognised", "psnr"):
        assert decided[name].answer == "no difference is shown"
        assert decided[name].difference.estimate == 0


def test_a_gan_that_is_better_on_every_seed_is_said_to_be_better(runs: list[Run]) -> None:
    found = applications.arms(runs)
    better = found.labels.trace.assign(value=found.labels.trace["value"] + 0.1)
    decided = applications.comparisons(found._replace(semi=replace(found.labels, trace=better)))
    assert decided["semi"].difference.estimate == pytest.approx(0.1)
    assert decided["semi"].p >= 6 * 2**-5 * 0.99  # as small as six seeds and six comparisons allow
    assert np.isfinite(decided["semi"].p)


def test_seeds_that_had_no_say_in_the_settings_in_every_profile_and_twenty_for_each_comparison() -> None:
    for profile in ("quick", "standard", "full"):
        for e in benchmarks.lecture.experiments(profile)["applications"]:
            assert len(e.seeds) >= (20 if e.kind == "application" or profile != "quick" else 10)
            assert min(e.seeds) > 7


def test_a_report_of_such_runs_has_a_page_for_each_application(runs: list[Run]) -> None:
    pages = pages_of(runs[1:])
    assert [page.title.partition(":")[0] for page in pages] == [
        "Augmentation on digits", "Semi supervised on digits", "Translation on digits",
    ]  # fmt: skip
    assert [len(page.sections[0].blocks[0].rows) for page in pages] == [3, 2, 2]
    assert "n=6" in render(pages, "test")


def test_strips_lie_side_by_side_with_a_gap() -> None:
    frame = frame_strips({"two": [np.full((2, 3), -1.0), np.full((2, 3), 1.0)]})
    assert sorted(frame["x"].unique()) == [0, 1, 2, 4, 5, 6]
    assert frame.groupby("x")["pixel"].first().tolist() == [0, 0, 0, 255, 255, 255]


def test_the_numbers_of_seeds_are_those_of_the_runs(runs: list[Run]) -> None:
    found = applications.arms(runs)
    assert applications._seeds(found) == "6 seeds"
    few = replace(found.cgan, experiment=replace(found.cgan.experiment, seeds=(0, 1, 2)))
    assert applications._seeds(found._replace(cgan=few)).startswith("3 to 6 seeds")


def test_an_image_from_a_text_is_as_many_times_a_digit_as_it_has_pixels(runs: list[Run]) -> None:
    cgan = runs[0]
    assert "a digit of 8 x 8 pixels an image of 1024 times as many" in applications._text_to_image(cgan)
    large = replace(cgan, samples={**cgan.samples, "generated": np.zeros((6, 1, 2, 1, 28, 28))})
    assert "a digit of 28 x 28 pixels an image of 84 times as many" in applications._text_to_image(large)


def test_a_share_has_no_interval_beyond_all() -> None:
    assert shared.mean_cell([1.0, 1.0, 0.9], learned.percent).note == "[82.3%, 100.0%], n=3"


def test_a_seed_that_diverged_is_left_out_and_counted(runs: list[Run]) -> None:
    def spoilt(run: Run) -> Run:
        table = run.trace.copy()
        lost = (table["member"] == len(run.experiment.members()) - 1) & ~table["name"].str.startswith(("reference_", "judge"))
        table.loc[lost, "value"] = np.nan
        return replace(run, trace=table)

    found = applications.section([runs[0], *map(spoilt, runs[1:])])
    words = " ".join(word for block in found.blocks for word in written(block))
    assert "1 diverged, left out" in words
    assert "not compared: a seed has no value" in words
    assert not re.search(r"(?<![a-z])(nan|inf)(?![a-z])", words)


def written(block: Block) -> list[str]:
    """All that a block says."""
    if isinstance(block, Table):
        return [block.title, block.caption, *(text for row in block.cells() for cell in row for text in (cell.text, cell.note))]
    return list(block.paragraphs) if isinstance(block, Text) else [block.title, block.alt, block.caption]
