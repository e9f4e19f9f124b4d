"""Published tables beside ours: the numbers are those of the runs, and paired tests judge whether the order is the same."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest

import benchmarks.pacgan
import reports.pacgan
from ganlab import stats, trace
from ganlab.experiment import Run
from ganlab.pages import published_page
from ganlab.pages.page import Figure, Page, Table, render
from ganlab.pages.published import Published, Quantity, Reported
from tests.faked import planned, run_of

MODES = Quantity("modes", "modes_covered", "pacgan", better="more")
KL = Quantity("reverse KL, nats", "reverse_kl", "", better="less")
TABLE = Published(
    setup="By hand", source="A table", steps=1000, quantities=(MODES, KL), baseline="nsgan", ordered=(MODES, KL),
    rule="Counted by hand.",
    reported={
        ("ring8", "nsgan"): (Reported(6.0, 0.5, 10), Reported(0.5, 0.1, 10)),
        ("ring8", "pacgan2"): (Reported(8.0, 0.1, 10), Reported(0.1, 0.1, 10)),
    },
)  # fmt: skip


def seen(variant: str, modes: list[float], kl: list[float]) -> Run:
    """Return a run of 100 steps with these numbers at the last of two looks, a seed each."""
    run = run_of(planned(variant, seeds=len(modes), steps=100))
    quantities = [
        (name, [index], np.array([np.zeros_like(last), last])[..., None])
        for name, index, last in (("modes_covered", "pacgan", np.array(modes)), ("reverse_kl", "", np.array(kl)))
    ]
    table = trace.tidy(run.experiment.id, range(len(modes)), [0, 100], quantities)
    return replace(run, trace=table)


GAN = seen("nsgan", [5, 6, 7, 5, 6, 7, 6, 6], [0.6, 0.5, 0.4, 0.6, 0.5, 0.4, 0.5, 0.5])
PAC = seen("pacgan2", [8, 8, 8, 8, 8, 8, 7, 8], [0.1, 0.1, 0.1, 0.6, 0.6, 0.6, 0.5, 0.6])


@pytest.fixture(scope="module")
def page() -> Page:
    return published_page([GAN, PAC], [TABLE], "pacgan", "Does packing keep modes?")


def tables(page: Page) -> list[Table]:
    return [block for section in page.sections for block in section.blocks if isinstance(block, Table)]


def test_ours_stands_above_what_was_reported(page: Page) -> None:
    first = tables(page)[0].cells()
    mine = stats.mean([8, 8, 8, 8, 8, 8, 7, 8])
    assert first[1][1].text == f"{mine.estimate:.3g} [{mine.low:.3g}, {mine.high:.3g}]"
    assert first[1][1].note == "reported 8 ± 0.1"
    assert "over 10 runs of 1,000 steps" in tables(page)[0].caption


def test_the_order_is_judged_by_paired_tests_after_correction(page: Page) -> None:
    rows = tables(page)[1].cells()
    assert [(row[1].text, row[2].text, row[4].text) for row in rows] == [
        ("modes", "+2", "as reported"), ("reverse KL, nats", "-0.4", "inconclusive"),
    ]  # fmt: skip
    assert rows[0][4].note == f"p = {2 * 2 / 2**8:.2g} after correction"
    assert page.answer.startswith("By hand, 100 of the source's 1,000 steps, 8 seeds: 2 of 2 differences from nsgan have")
    assert page.answer.endswith("by exact paired tests 1 as reported, 1 inconclusive.")


def test_an_order_turned_round_is_said() -> None:
    turned = published_page([seen("nsgan", [8] * 8, [0.1] * 8), seen("pacgan2", [5] * 8, [0.7] * 8)], [TABLE], "t", "T")
    assert [row[4].text for row in tables(turned)[1].cells()] == ["the other way", "the other way"]
    assert "0 of 2 differences" in turned.answer


def test_a_seed_without_a_value_is_counted_and_settles_nothing() -> None:
    nowhere = seen("pacgan2", [8] * 8, [0.1] * 7 + [np.nan])
    page = published_page([GAN, nowhere], [TABLE], "t", "T")
    assert "1 of 8 seeds without a value" in tables(page)[0].cells()[1][2].note
    last = tables(page)[1].cells()[1]
    assert (last[4].text, last[4].note) == ("inconclusive", "a seed has no value")


def test_a_seed_without_a_value_may_count_as_the_worst() -> None:
    worst = replace(KL, missing=lambda run: 2.0)
    table = replace(TABLE, quantities=(MODES, worst), ordered=(worst,))
    nowhere = seen("nsgan", [0] * 8, [np.nan] * 4 + [0.5] * 4)
    page = published_page([nowhere, seen("pacgan2", [8] * 8, [0.1] * 8)], [table], "t", "T")
    assert tables(page)[0].cells()[0][2].text.startswith("1.25 [")
    assert tables(page)[0].cells()[0][2].note.endswith("4 of 8 seeds without a value, counted as 2")
    assert tables(page)[1].cells()[0][4].text == "as reported"


def test_all_numbers_of_seeds_are_told_and_a_source_that_trained_for_less_is_not_said_to_have_trained_for_longer() -> None:
    other = {(data.replace("ring8", "grid25"), variant): row for (data, variant), row in TABLE.reported.items()}
    both = replace(TABLE, steps=100, reported={**TABLE.reported, **other})
    moved = [replace(run, experiment=replace(run.experiment, data="grid25"))
             for run in (seen("nsgan", [5] * 7, [0.6] * 7), seen("pacgan2", [8] * 7, [0.1] * 7))]  # fmt: skip
    page = published_page([GAN, PAC, *moved], [both], "t", "T")
    assert "7 or 8 seeds" in page.answer
    assert "trained for longer" not in render([page], "a command")
    assert "trained for longer" in render([published_page([GAN, PAC], [TABLE], "t", "T")], "a command")


def test_without_its_baseline_a_variant_still_has_its_row() -> None:
    page = published_page([PAC], [TABLE], "t", "T")
    assert len(tables(page)[0].rows) == 1
    assert "nothing to compare" in page.answer


def test_every_figure_draws_and_tells_its_n(page: Page) -> None:
    figures = [block for section in page.sections for block in section.blocks if isinstance(block, Figure)]
    assert len(figures) == 2
    for figure in figures:
        assert "each of 8 seeds" in figure.caption
        plt.close(figure.draw())
    assert "Does packing keep modes?" in render([page], "a command")


def test_the_study_covers_the_whole_table_with_enough_seeds_to_tell_its_pairs_apart() -> None:
    for profile in ("standard", "full"):
        experiments = benchmarks.pacgan.experiments(profile)
        assert {(e.data, e.subject) for e in experiments} == {place for t in reports.pacgan.TABLES for place in t.reported}
        assert all(len(e.seeds) >= stats.fewest_seeds(2 * 3 * len(reports.pacgan.TABLES[0].ordered)) for e in experiments)
        assert all(e.settings["evaluation"] == 2500 for e in experiments)
        assert len({e.settings["batch"] / e.settings.get("packing", 1) for e in experiments}) == 2
    assert max(e.steps for e in benchmarks.pacgan.experiments("full")) == reports.pacgan.TABLES[0].steps


def test_the_published_order_is_more_modes_and_less_divergence_with_packing() -> None:
    for table in reports.pacgan.TABLES:
        for (data, variant), packed in table.reported.items():
            gan = table.reported[data, table.baseline]
            assert variant == table.baseline or (packed[0].mean > gan[0].mean and packed[2].mean < gan[2].mean)
