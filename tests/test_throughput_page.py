"""The page about throughput, from measurements that are made up: what it says is what they hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from ganlab import plots, throughput, throughput_plots
from ganlab.diagnoses import diagnose
from ganlab.pages import pages_of, throughput_page
from ganlab.pages.page import Figure, Page, Table, Text, render
from tests.measured import PLAIN, RATES, run_of

LATER = "2026-02-02T03:04:05.000000+00:00"


def blocks(page: Page, kind: type) -> Iterator[Any]:
    for section in page.sections:
        yield from (block for block in section.blocks if isinstance(block, kind))


def titled(page: Page, start: str) -> Table:
    (table,) = [table for table in blocks(page, Table) if table.title.startswith(start)]
    return table


@pytest.fixture(scope="module")
def page() -> Page:
    return throughput_page([run_of()])


def test_the_answer_names_the_best_in_full_precision_and_both_ratios(page: Page) -> None:
    assert page.answer.startswith('On a processor with 2 cores, "mapped, compiled" trains 1,212 member-steps a second: 3.00')
    assert "[3.00, 3.00] times the plain loop, and 2.00 [2.00, 2.00] times plain loops, one a core." in page.answer
    assert "75% of the rate of the same steps' matrix products alone" in page.answer
    assert "bfloat16 it is 5.00" in page.answer


def test_the_verdict_has_a_row_per_candidate_that_was_measured(page: Page) -> None:
    rows = {row[0].text: [f"{cell.text} {cell.note}".strip() for cell in row[1:]] for row in titled(page, "Rates on").cells()}
    assert rows["mapped"] == ["808 [720, 880]", "2.00 [2.00, 2.00]", "50% [50%, 50%]", "83"]
    assert len(rows) == 6
    assert "peer" not in rows


def test_what_failed_has_its_reason(page: Page) -> None:
    (row,) = titled(page, "1 candidates").cells()
    assert [cell.text for cell in row] == ["ring8: peer", "no_such_package is not installed"]


def test_every_figure_has_a_text_and_its_data(page: Page) -> None:
    figures = list(blocks(page, Figure))
    assert len(figures) == 5
    for figure in figures:
        assert len(figure.alt) > 40
        assert figure.caption
        assert not figure.frame.empty
        assert any(c.isdigit() for c in figure.alt)


def test_the_curve_says_its_knee(page: Page) -> None:
    (figure,) = [f for f in blocks(page, Figure) if "members at once" in f.title]
    assert "members, mapped: 8 members (960 a second)" in figure.caption
    assert figure.frame.loc[figure.frame["knee"], "x"].tolist() == [8]


def test_a_knee_at_the_end_may_lie_beyond() -> None:
    rising = [(c, 100 * c.x if c.axis == "members" else rate) for c, rate in RATES]
    (figure,) = [f for f in blocks(throughput_page([run_of(rising)]), Figure) if "members at once" in f.title]
    assert "16 members, the largest measured, so the knee may lie beyond it" in figure.caption


def test_the_costs_are_fitted_and_judged(page: Page) -> None:
    (row,) = titled(page, "How the time").cells()
    assert row[0].text == "steps"
    assert row[2].text == "1.00"
    assert row[3].text == "linear or better"


def test_compile_seconds_and_memory_stand_in_a_table(page: Page) -> None:
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in titled(page, "Compile seconds").cells()}
    assert rows["ring8: mapped, compiled"] == ["2.0", "14.0", "3.0", "500", "98%"]
    assert rows["ring8: mapped"][1:3] == ["", ""]


def test_an_earlier_measurement_on_the_same_machine_gives_ratios_with_intervals() -> None:
    page = throughput_page([run_of(factor=1.5, measured=LATER), run_of()])
    rows = {row[0].text: row for row in titled(page, "Now over then (2026-01-02").cells()}
    assert rows["ring8: mapped"][3].text == "1.50"
    assert rows["ring8: mapped"][3].note.startswith("[1.")
    assert rows["ring8: mapped"][4].text == "faster"
    same = throughput_page([run_of(measured=LATER), run_of()])
    assert {row[4].text for row in titled(same, "Now over then (").cells()} == {"no difference is shown"}


def test_another_machine_gets_a_loud_note_and_no_ratio() -> None:
    page = throughput_page([run_of(factor=9, measured=LATER), run_of(machine={"cpu": "another", "cores": 64})])
    note = titled(page, "Not compared")
    assert page.sections[0].title == "Other machines"
    assert [cell.tone for cell in note.cells()[0]] == ["", "present"]
    assert note.cells()[0][1].text == "cpu a processor against another; cores 2 against 64"
    assert not [t for t in blocks(page, Table) if t.title.startswith("Now over then")]
    assert "no ratio to them is claimed" in page.answer


def test_the_newest_is_shown_whatever_the_order(tmp_path: Path) -> None:
    old, new = run_of(), run_of(factor=2, measured=LATER)
    assert throughput_page([old, new]).answer == throughput_page([new, old]).answer
    assert "2,424 member-steps" in throughput_page([new, old]).answer


def test_few_rounds_have_numbers_without_intervals() -> None:
    page = throughput_page([run_of(wobble=(1.0, 1.1))])
    rows = {row[0].text: row for row in titled(page, "Rates on").cells()}
    assert (rows["mapped"][1].text, rows["mapped"][1].note) == ("840", "")
    assert "inf" not in re.sub('base64,[^"]*', "", render([page], ""))  # an encoded picture may have these letters


def test_a_measurement_in_which_all_failed_has_a_page() -> None:
    page = throughput_page([run_of([(PLAIN, 0)])])
    assert page.answer == "Nothing could be measured."
    assert "no_such_package" in render([page], "")


def test_without_its_base_a_group_has_rates_and_no_ratios() -> None:
    baseless = [(c, 0 if c.label in ("ring8: plain loop", "members: plain") else rate) for c, rate in RATES]
    page = throughput_page([run_of(baseless)])
    assert "none of ours against the plain loop" in page.answer
    assert {row[2].text for row in titled(page, "Rates on").cells()} == {""}
    assert "nan" not in render([page], "")


def test_stored_measurements_get_their_page_among_the_others_and_no_diagnosis() -> None:
    (page,) = pages_of([run_of()])
    assert page.name == "throughput"
    assert all(d.verdict == "not applicable" for d in diagnose(run_of()))


def test_the_page_renders_with_all_its_words(page: Page) -> None:
    html = render([page], "a command")
    for words in ("How fast do many seeds train?", "share of the limit", "A block takes at least 200 ms", "a command"):
        assert words in html
    assert html.count('alt="') == html.count("<img ") == 5
    assert list(blocks(page, Text))


def test_bars_start_at_zero_and_carry_their_intervals() -> None:
    frame = throughput_plots.frame_ratios(throughput.table(run_of()), "ring8")
    assert frame["value"].tolist() == pytest.approx([1, 1.5, 2, 3, 5, 4])
    ax = throughput_plots.draw_ratios(frame, plt.figure().subplots(), colours=plots.palette(frame["series"]), label="x")
    assert ax.get_xlim()[0] == 0
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(frame["value"].tolist())
    assert [label.get_text() for label in ax.get_yticklabels()] == frame["name"].tolist()
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first on top
    plt.close("all")
