"""Phase maps: every combination of a run's numbers is a square with its n and interval, and too few seeds are said."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from ganlab import plots, stats
from ganlab.experiment import Run
from ganlab.pages import pages_of, report
from ganlab.pages.page import Figure
from ganlab.registry import InputError
from tests.faked import fake, planned, run_of

RATES = [1e-3, 4e-3]


def crossed(seeds: int = 8) -> Run:
    return run_of(planned(seeds=seeds, lr=RATES, lr_discriminator=RATES, r1=[0.0, 0.1, 1.0]))


@pytest.fixture
def fast_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The faster generator fails without penalty on every seed, with 0.1 on two, else never."""
    by_weight = {0.0: 99, 0.1: 2, 1.0: 0}
    fake(monkeypatch, {"mode_collapse": lambda e, m: m.numbers["lr"] > 2e-3 and m.seed < by_weight[m.numbers["r1"]]})


def test_a_square_for_each_combination_with_rate_and_interval(fast_fails: None) -> None:
    frame = plots.frame_phase_map(crossed(), "mode_collapse")
    assert len(frame) == 12
    assert set(frame["panel"]) == {"lr_discriminator / lr = 0.25", "lr_discriminator / lr = 1", "lr_discriminator / lr = 4"}
    cell = frame[(frame["lr"] == 4e-3) & (frame["lr_discriminator"] == 1e-3) & (frame["r1"] == 0.1)].iloc[0]
    expected = stats.rate(2, 8)
    assert (cell["failures"], cell["n"], cell["rate"], cell["panel"]) == (2, 8, 0.25, "lr_discriminator / lr = 0.25")
    assert (cell["low"], cell["high"], cell["width"]) == (expected.low, expected.high, expected.high - expected.low)
    assert frame.loc[frame["lr"] == 1e-3, "failures"].sum() == 0
    assert set(frame.loc[(frame["lr"] == 4e-3) & (frame["r1"] == 0.0), "verdict"]) == {"present"}


@pytest.mark.parametrize(
    ("varied", "axes"),
    [
        (["lr", "r1"], ("lr", "r1", "")),
        (["r1", "lr"], ("lr", "r1", "")),
        (["lr", "lr_discriminator"], ("lr", "lr_discriminator", "")),
        (["r1", "lr_discriminator", "lr"], ("lr", "r1", "lr_discriminator / lr")),
        (["lr_discriminator", "r1"], ("r1", "lr_discriminator", "")),
        (["lr", "r1", "r2"], ("lr", "r1", "r2")),
    ],
)
def test_the_generators_rate_lies_across_and_the_time_scale_tells_panels_apart(
    varied: list[str], axes: tuple[str, str, str]
) -> None:
    assert plots.phase_axes(varied) == axes


def test_a_map_needs_two_or_three_numbers(fast_fails: None) -> None:
    with pytest.raises(InputError, match="several values of 2 or 3 numbers; got none"):
        plots.frame_phase_map(run_of(planned()), "mode_collapse")
    with pytest.raises(InputError, match="got beta1, lr, r1, r2"):
        plots.phase_axes(["beta1", "lr", "r1", "r2"])


def drawn(run: Run) -> tuple[list[str], list[tuple[float, float, str]]]:
    """Return the texts of a map, and side, darkness and line style of its squares."""
    frame = plots.frame_phase_map(run, "mode_collapse")
    _, ax = plt.subplots()
    plots.draw_phase_map(frame, ax, axes=plots.phase_axes(run.experiment.varied), whole=frame)
    squares = [(p.get_width(), 1 - sum(p.get_facecolor()[:3]) / 3, str(p.get_linestyle())) for p in ax.patches]  # type: ignore[attr-defined]
    texts = [text.get_text() for text in ax.texts]
    plt.close("all")
    return texts, squares


def test_a_square_shows_its_counts_and_is_the_darker_the_more_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, {"mode_collapse": lambda e, m: m.seed < {0.0: 8, 0.1: 2, 1.0: 0}[m.numbers["r1"]]})
    texts, squares = drawn(run_of(planned(lr=[1e-3, 4e-3], lr_discriminator=1e-3, r1=[0.0, 0.1, 1.0])))
    assert texts[:3] == ["8/8\n68\u2013100 %", "2/8\n4\u201359 %", "0/8\n0\u201332 %"]
    assert squares[0][1] > squares[1][1] > squares[2][1]
    assert [style for _, _, style in squares[:3]] == ["-", "--", "--"]
    assert squares[1][0] < squares[2][0]


def test_too_few_seeds_are_said_in_the_square(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = {0.0: 2, 1.0: 0}
    fake(monkeypatch, {"mode_collapse": lambda e, m: m.seed == 0 if m.seed < judged[m.numbers["r1"]] else "inconclusive"})
    run = run_of(planned(seeds=3, lr=[1e-3, 4e-3], lr_discriminator=1e-3, r1=[0.0, 1.0]))
    texts, squares = drawn(run)
    assert texts[:2] == ["1/2\n3\u201397 %\ntoo few\nseeds", "not\njudged"]
    assert squares[0][0] < 0.5


def test_no_rate_of_eight_seeds_is_too_wide_and_six_can_be() -> None:
    assert max(r.high - r.low for r in (stats.rate(k, 8) for k in range(9))) < plots.TOO_WIDE
    half = stats.rate(3, 6)
    assert half.high - half.low > plots.TOO_WIDE


def test_a_run_over_several_numbers_has_a_page_of_maps(fast_fails: None, tmp_path: Path) -> None:
    run = crossed()
    (page,) = pages_of([run])
    assert page.name == "phase_map"
    assert "of 12 combinations of lr, lr_discriminator, r1, 2 are shown to fail at a rate above 10%" in page.answer
    (figure,) = [block for block in page.sections[0].blocks if isinstance(block, Figure)]
    assert "dashed" in figure.caption
    html = report(run, tmp_path / "map.html").read_text()
    assert "crosses lr 0.001, 0.004; lr_discriminator 0.001, 0.004; r1 0, 0.1, 1" in html
    assert "lr 0.004, lr_discriminator 0.001, r1 0.1" in html


def test_the_study_is_one_mapped_program_at_every_profile() -> None:
    from benchmarks.phase_map import PROFILES, experiments

    for profile, settings in PROFILES.items():
        (experiment,) = experiments(profile)
        assert len(experiment.members()) == len(settings["rates"]) ** 2 * len(settings["r1"]) * settings["seeds"]
        assert experiment.varied == ("lr", "lr_discriminator", "r1")
