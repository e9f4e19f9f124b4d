"""The page about convergence: what it says is what was computed, every figure has its text and data, and it draws."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest

import benchmarks.convergence
from ganlab import dynamics_plots, plots
from ganlab.cycles import SHORTEST
from ganlab.dynamics import simulate, velocity
from ganlab.dynamics.methods import METHODS, PLAYS
from ganlab.dynamics.verdicts import judge
from ganlab.pages import convergence_page
from ganlab.pages.page import Cell, Figure, Page, Table, render

MAP = ("small map", "quadratic", {}, [0.01, 0.02], [1.0, 4.0])


@pytest.fixture(scope="module")
def page() -> Page:
    names = ("GAN", "NS-GAN", "WGAN-GP 0.7", "GAN + R1 0.3")
    return convergence_page([MAP], names, ("simultaneous", "5 discriminator steps"))


def tables(page: Page) -> dict[str, Table]:
    return {b.title: b for section in page.sections for b in section.blocks if isinstance(b, Table)}


def figures(page: Page) -> list[Figure]:
    return [b for section in page.sections for b in section.blocks if isinstance(b, Figure)]


def test_the_answer_names_each_method_by_its_verdict_and_counts_agreement(page: Page) -> None:
    assert page.answer == (
        "On the smallest GAN, with simultaneous steps of 0.2, GAN + R1 0.3 arrives; NS-GAN and WGAN-GP 0.7 circle; GAN runs "
        "away. Of 5 verdicts that the literature states, 5 are ours too."
    )


def test_a_disagreement_with_the_literature_would_be_counted_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = METHODS["GAN"]._replace(published={"simultaneous": "converges"})
    monkeypatch.setitem(METHODS, "GAN", wrong)
    page = convergence_page([MAP], ("GAN",), ("simultaneous",))
    assert "Of 1 verdicts that the literature states, 0 are ours too." in page.answer
    (table,) = (t for title, t in tables(page).items() if title.startswith("What becomes"))
    assert table.cells()[0][1] == Cell("diverges", "present", "stated: converges")


def test_the_verdicts_are_those_of_the_paths_with_what_is_stated(page: Page) -> None:
    table = tables(page)["What becomes of each method, by the way in which the players move"]
    rows = {row[0].text: row[1:] for row in table.cells()}
    assert [cell.text for cell in rows["NS-GAN"]] == ["cycles", "converges sublinearly"]
    assert [(cell.tone, cell.note) for cell in rows["NS-GAN"]] == [("present", "as stated"), ("inconclusive", "not stated")]
    assert [cell.tone for cell in rows["GAN + R1 0.3"]] == ["absent", "absent"]


def test_the_table_of_eigenvalues_compares_closed_forms_with_the_jacobian(page: Page) -> None:
    rows = {row[0].text: row for row in tables(page)["Eigenvalues at the equilibrium, and what they say"].cells()}
    r1 = ["-w/2 ± √(w²/4 - 1/4)", "-0.15 ± 0.477i", "pulls in and turns", "1.2"]
    assert [cell.text for cell in rows["GAN + R1 0.3"][1:5]] == r1
    assert [cell.text for cell in rows["GAN"][1:5]] == ["±i/2", "± 0.5i", "only turns", "none"]
    assert [cell.text for cell in rows["WGAN-GP 0.7"][2:5]] == ["none", "no linear part", "none"]
    assert float(rows["GAN"][2].note.removeprefix("computed to ")) < 1e-12


def test_every_figure_has_a_text_its_data_and_n(page: Page) -> None:
    shown = figures(page)
    assert len(shown) == 6
    for figure in shown:
        assert len(figure.alt) > 60
        assert len(figure.frame) > 3
        assert figure.title.endswith("?")
    assert sum("n = 1" in figure.caption for figure in shown) == 4
    assert "small map: diverges in 2 of 4, converges in 2 of 4" in shown[-1].caption


def test_the_page_renders_and_leaves_no_figure_open(page: Page) -> None:
    text = render([page], "nox -s convergence")
    assert text.count("<img ") == 6
    assert "What the words mean" in text
    assert not plt.get_fignums()


def test_all_maps_of_the_study_are_of_known_games() -> None:
    frame = dynamics_plots.frame_maps([(t, g, n, h[::11], r[::11]) for t, g, n, h, r in benchmarks.convergence.MAPS])
    assert list(dict.fromkeys(frame["game"])) == ["quadratic game", "GAN", "GAN + R1 0.3", "NS-GAN"]
    assert set(frame["verdict"]) <= set(dynamics_plots.MARKS)


@pytest.mark.parametrize("profile", benchmarks.convergence.PROFILES)
def test_the_study_looks_often_enough_to_see_a_cycle_and_measures_rotation(profile: str) -> None:
    for experiment in benchmarks.convergence.experiments(profile):
        assert experiment.steps // 2 // experiment.every >= SHORTEST
        assert experiment.settings["rotation"] is True


# --- frames ----------------------------------------------------------------------------------------------------------------


def test_frame_portrait_has_unit_arrows_along_the_field_and_the_paths_of_simulate() -> None:
    found = {("GAN + R1 0.3", "alternating"): judge("dirac_gan", rule="alternating", r1=0.3, steps=400)}
    frame = dynamics_plots.frame_portrait(found, ["alternating"], steps=50, cells=4)
    arrows, path = frame[frame["kind"] == "arrow"], frame[frame["kind"] == "path"]
    assert len(arrows) == 16
    field = velocity("dirac_gan", arrows[["theta", "psi"]].to_numpy(), r1=0.3)
    np.testing.assert_allclose(np.hypot(arrows["u"], arrows["v"]), 1, rtol=1e-12)
    np.testing.assert_allclose(arrows["u"] * field[:, 1], arrows["v"] * field[:, 0], atol=1e-12)
    assert (arrows["u"] * field[:, 0] + arrows["v"] * field[:, 1] > 0).all()
    expected = simulate("dirac_gan", rule="alternating", r1=0.3, steps=50)
    np.testing.assert_array_equal(path[["theta", "psi"]].to_numpy(), expected)


def test_frame_contraction_measures_what_the_closed_form_says() -> None:
    frame = dynamics_plots.frame_contraction({"extragradient": {}, "simultaneous": {}, "alternating": {}})
    assert frame["measured"].notna().sum() == 18
    gap = (frame["measured"] - frame["factor"]).abs()
    assert gap[frame["rule"] != "alternating"].max() < 1e-12
    assert gap.max() < 2e-3  # an envelope of points on an ellipse
    assert frame.loc[frame["rule"] == "simultaneous", "factor"].iloc[-1] == pytest.approx(1 + 1.2**2)


def test_frame_averages_has_both_distances() -> None:
    frame = dynamics_plots.frame_averages({"plain": {}, "optimistic": {"rule": "optimistic"}}, steps=200, every=50)
    path = simulate("mean_wgan", step_size=0.1, steps=200)
    last = frame[frame["play"] == "plain"].set_index("step").loc[200]
    assert last["last"] == pytest.approx(np.hypot(*(path[-1, :2] - [3, 4])))
    assert last["average"] == pytest.approx(np.hypot(*(path[:, :2].mean(axis=0) - [3, 4])))
    assert frame["step"].tolist() == 2 * [0, 50, 100, 150, 200]


def test_every_verdict_has_a_mark_of_its_own() -> None:
    marks = [(style["marker"], style.get("markerfacecolor")) for style in dynamics_plots.MARKS.values()]
    assert all(a != b for a, b in itertools.combinations(marks, 2))


def test_every_way_of_moving_has_a_colour_of_its_own() -> None:
    assert len(set(plots.palette(PLAYS).values())) == len(PLAYS)
