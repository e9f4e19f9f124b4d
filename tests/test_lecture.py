"""The lecture's page: its sections say what the runs say, and the studies' controls fail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

import benchmarks.lecture
import reports.lecture
from benchmarks.lecture import step_by_step as steps_of
from ganlab import data, profiles, trace
from ganlab.experiment import Experiment, Run, outcome
from ganlab.lecture_plots import Frame, draw_walk, frame_progress, frame_walk, ranked
from ganlab.pages import shared
from ganlab.pages.lecture import bad_news, digits, judged, lecture_page, line, step_by_step
from ganlab.pages.page import Figure, Page, Section, Table, Text, render
from ganlab.planning import plan
from ganlab.sweep import perform
from tests import test_applications_page, test_autoencoders_page, test_frameworks, test_learning_pages
from tests.faked import fake, planned, run_of
from tests.test_applications_page import written

PROFILES = ("quick", "standard", "full")

GANS = ("bad_news", "digits", "line", "step_by_step", "vectors")
"""The studies that train GANs; those that learn are in test_learning_pages."""


def tiny(experiment: Experiment) -> Experiment:
    """Return the experiment cut down to what takes no time."""
    settings = {**experiment.settings, "batch": 8, "evaluation": 24}
    settings |= {role: {**settings[role], "hidden": [8], "norm": None} for role in ("generator", "discriminator")
                 if settings[role]["net"] == "mlp" and "hidden" in settings[role]}  # fmt: skip
    if "frozen_at" in settings:
        settings["frozen_at"] = 2
    if settings["n_critic"] == 20:  # the walk, of which every step is kept
        return replace(experiment, seeds=(0, 1, 2), steps=19, every=1, settings={**settings, "n_critic": 1})
    return replace(experiment, seeds=(0, 1, 2), steps=8, every=2, settings=settings)


@pytest.fixture(scope="module")
def runs() -> dict[str, list[Run]]:
    planned = benchmarks.lecture.experiments("quick")
    return {study: [perform(tiny(e)) for e in planned[study]] for study in GANS}


def blocks(section: Section, kind: type) -> list:
    return [block for block in section.blocks if isinstance(block, kind)]


# --- the page ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("study", GANS)
def test_a_section_begins_with_words_asks_and_draws(study: str, runs: dict[str, list[Run]]) -> None:
    section = reports.lecture.SECTIONS[study](runs[study])
    assert section.title.endswith("?")
    assert isinstance(section.blocks[0], Text)
    for figure in blocks(section, Figure):
        plt.close(figure.draw())
        assert figure.caption
        assert figure.alt
        assert not figure.frame.empty
    cells = [cell for table in blocks(section, Table) for row in table.cells() for cell in row]
    assert any("n=3" in cell.note or "of 3" in cell.text for cell in cells)


def test_the_page_numbers_its_studies_and_says_what_verdicts_mean(runs: dict[str, list[Run]]) -> None:
    page = lecture_page(Section("One?", []), Section("Two?", []), runs=runs["vectors"])
    assert [section.title for section in page.sections[:2]] == ["1. One?", "2. Two?"]
    words = " ".join(page.sections[2].blocks[0].paragraphs)
    assert "Mode collapse: " in words
    assert "Toutouh" in " ".join(page.sections[3].blocks[0].paragraphs)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_trained_study_has_a_section_and_twenty_seeds_an_example(profile: str) -> None:
    planned = benchmarks.lecture.experiments(profile)
    assert set(planned) <= set(reports.lecture.SECTIONS)
    for study in ("autoencoders", "vectors", "line", "digits"):
        assert all(len(e.seeds) >= 20 for e in planned[study])
    assert all(len(e.seeds) >= 10 for e in planned["step_by_step"])


@pytest.fixture(scope="module")
def whole(runs: dict[str, list[Run]]) -> Page:
    learned = {name: test_learning_pages.tiny(name) for name in test_learning_pages.STUDIES}
    others = {
        "mnist": test_learning_pages.readers(), "autoencoders": test_autoencoders_page.runs(),
        "applications": test_applications_page.trained(), "frameworks": [test_frameworks.planted()],
    }  # fmt: skip
    return reports.lecture.page({**runs, **learned, **others})


def test_the_page_has_all_sections_in_the_order_of_the_slides_and_each_begins_with_a_result(whole: Page) -> None:
    sections = whole.sections[: len(reports.lecture.SECTIONS)]
    assert [section.title.partition(".")[0] for section in sections] == [str(i) for i in range(1, 15)]
    for section in sections:
        assert isinstance(section.blocks[0], Text)
        first = section.blocks[0].paragraphs[0]
        assert section is sections[0] or re.search(r"\[[^\]]+, [^\]]+\]|no interval|in \d of \d seeds", first), section.title
    assert "2. Can two layers, written by hand" in sections[1].title
    words = " ".join(word for section in sections for block in section.blocks for word in written(block))
    assert not re.search(r"(?<![a-z])nan(?![a-z])|1 diverged", words)
    assert "noisy_curve" not in words.replace("mlp on noisy_curve", "")


@pytest.mark.slow
def test_the_page_is_drawn(whole: Page) -> None:
    html = render([whole], "a test")
    figures = [block for section in whole.sections for block in section.blocks if isinstance(block, Figure)]
    assert html.count("data:image/webp") == len(figures)
    assert html.count("<h3>") == len(whole.sections)


# --- what is said --------------------------------------------------------------------------------------------------------


def at_distance(*distances: float) -> Run:
    """Return a run whose seeds end at these distances to the data."""
    experiment = Experiment("gan", "planted", "ring8", tuple(range(len(distances))), 1, 1)
    values = np.array([[1.0] * len(distances), distances])[:, :, None]
    table = trace.tidy(experiment.id, experiment.seeds, [0, 1], [("distance", [""], values)])
    return Run(experiment, table, outcome(experiment, {}), {}, {})


def test_near_counts_seeds_within_reach_of_the_data() -> None:
    share = judged.near(at_distance(0.05, 0.15, 0.16, np.nan))
    assert (share.failures, share.n) == (2, 4)
    assert judged.near(at_distance(1.0, 2.0)).failures == 0


@pytest.mark.parametrize("n", [128, 256, 512])
def test_two_sets_of_real_images_are_as_far_apart_as_is_said(n: int) -> None:
    digits = data.get("digits")
    draws = [[digits.sample(n, torch.Generator().manual_seed(2 * seed + i)) for i in (0, 1)] for seed in range(20)]
    found = np.mean([float(profiles.distance(profiles.profile(one), other)) for one, other in draws])
    assert shared.apart(run_of(planned(evaluation=n))) == pytest.approx(found, rel=0.1)
    assert shared.compared(run_of(planned(evaluation=1000))) == trace.SLICED


def test_the_row_of_the_data_has_what_so_many_real_images_have(runs: dict[str, list[Run]]) -> None:
    (table,) = [t for t in blocks(reports.lecture.SECTIONS["digits"](runs["digits"]), Table) if t.title.startswith("How near")]
    assert table.cells()[0][1].text == "about 0.37"  # of 24 samples
    assert "two sets of 24 samples of one normal law are about 0.37 apart" in table.caption


def test_the_control_says_how_much_slower_it_is(runs: dict[str, list[Run]]) -> None:
    *others, slow = runs["step_by_step"]
    rates = {**slow.experiment.numbers, "lr_discriminator": (1e-4,)}
    slow = replace(slow, experiment=replace(slow.experiment, numbers=rates))
    (words, *_) = blocks(step_by_step.section([*others, slow]), Text)
    assert "a discriminator that learns 100 times slower" in words.paragraphs[0]


def test_a_pair_of_equal_runs_shows_no_difference() -> None:
    assert "p = 1" in judged.paired(np.arange(8.0), np.arange(8.0))
    assert "p = 0.0078" in judged.paired(np.arange(8.0) + 1, np.arange(8.0))
    assert "p = 0.016 (corrected for 2 comparisons)" in judged.paired(np.arange(8.0) + 1, np.arange(8.0), 2)
    assert "a seed has no value" in judged.paired(np.array([np.nan, *np.arange(7.0)]), np.arange(8.0))


def test_best_median_and_worst_are_by_the_distance_at_the_end() -> None:
    assert ranked(at_distance(0.3, 0.1, np.nan, 0.2, 0.4)) == {"best": 1, "median": 0, "worst": 2}


def test_a_figure_of_curves_says_how_far_its_seeds_lie_apart() -> None:
    frame = pd.DataFrame({"variant": ["a"] * 4, "seed": [0, 1] * 2, "step": [0, 0, 9, 9], "value": [7.0, 8.0, 0.5, 2.0]})
    figure = Figure("Near?", plt.figure, frame, "", "Thick: the median.")
    assert judged.ranged(figure).caption == "Thick: the median. From the lowest seed to the highest there: a 0.5 to 2 (n=2)."
    lost = replace(figure, frame=frame.assign(value=[7.0, 8.0, 0.5, np.nan]))
    assert judged.ranged(lost).caption.endswith("a 0.5 to 0.5 (n=1).")


@pytest.mark.parametrize(("study", "place"), [("vectors", "50 about"), ("line", "30 about")])
def test_what_was_mended_includes_the_latents_and_is_not_told_apart(
    study: str, place: str, runs: dict[str, list[Run]]
) -> None:  # fmt: skip
    words = " ".join(reports.lecture.SECTIONS[study](runs[study]).blocks[0].paragraphs)
    assert f"10 latents about zero in place of {place} a half" in words
    assert "All of this changes at once" in words
    assert "the same nets" not in words


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([8.0, 9.0, 10.0], "would go by grows to 9 [6.8, 12] times its length"),
        ([0.125, 0.1, 0.111], "would go by shrinks to 0.11 [0.085, 0.15] times its length"),
        ([0.5, 1.0, 2.0], "would go by is not shown to change: 1 [0.18, 5.6] times its length"),
        ([8.0, 10.0, np.nan], "(1 diverged, left out) times its length"),
    ],
)
def test_a_frozen_gradient_is_said_to_grow_or_to_shrink(ends: list[float], said: str) -> None:
    experiment = Experiment("gan", "planted", "line", (0, 1, 2), 1, 1, {"frozen_at": 0, "n_critic": 1, "objective": "minimax"})
    values = np.array([[1.0] * 3, ends])[:, :, None]
    table = trace.tidy(experiment.id, experiment.seeds, [0, 1], [("generator_gradient", [""], values)])
    text = line._frozen_text(Run(experiment, table, outcome(experiment, {}), {}, {}))
    assert text.startswith("with the saturating (minimax) loss")
    assert said in text


def test_the_frozen_runs_stand_in_words_and_settings(runs: dict[str, list[Run]]) -> None:
    section = line.section(runs["line"])
    assert "if the course's generator is frozen after 2 steps" in section.blocks[0].paragraphs[2]
    rows = [row[0].text for row in blocks(section, Table)[-1].cells()]
    assert rows[-2:] == ["frozen, non-saturating loss", "frozen, saturating (minimax) loss"]
    assert not [figure.title for figure in blocks(section, Figure) if "'" in figure.title.replace("course's", "")]


def test_digits_say_how_many_seeds_are_shown_and_what_is_not_the_courses(runs: dict[str, list[Run]]) -> None:
    mlp, dcgan = runs["digits"]
    assert digits._images(mlp).caption.endswith("3 seeds take turns.")
    shown = replace(mlp, experiment=replace(mlp.experiment, seeds=tuple(range(20))))
    many = {name: np.repeat(shown.samples[name], 7, 0)[:20] for name in ("generated",)}
    shown = replace(shown, samples={**shown.samples, **many})
    assert digits._images(shown).caption.endswith("one of each of the first 12 of 20 seeds.")
    words = digits.section([mlp, dcgan]).blocks[0].paragraphs[0]
    assert "the generator's running mean" in words
    assert "rate is 0.001 in place of 0.0002; batches are of 8 in place of 64" in words


@pytest.mark.parametrize("study", ["vectors", "line", "digits", "step_by_step"])
def test_a_seed_that_diverged_is_left_out_and_counted(study: str, runs: dict[str, list[Run]]) -> None:
    found = reports.lecture.SECTIONS[study]([*map(diverged, runs[study])])
    words = " ".join(word for block in found.blocks for word in written(block))
    assert "1 diverged, left out" in words
    assert not re.search(r"(?<![a-z])(nan|inf)(?![a-z])", words)
    if study in ("vectors", "line"):
        assert "(1 diverged, left out)" in found.blocks[0].paragraphs[0]


def diverged(run: Run) -> Run:
    """The run whose last member came to nothing half way."""
    table, last, step = run.trace.copy(), run.experiment.members()[-1].place, run.experiment.steps // 2
    table.loc[(table["member"] == last) & (table["step"] >= step), "value"] = np.nan
    generated = run.samples["generated"].copy()
    generated[last] = np.nan
    ended = run.outcome.copy()
    ended.loc[ended["member"] == last, ["status", "step"]] = ["diverged", step]
    return replace(run, trace=table, outcome=ended, samples={**run.samples, "generated": generated})


def test_the_course_and_its_rates_are_those_of_the_recipe() -> None:
    course = plan("recipe:course_mnist", "digits")
    assert (course.numbers["lr"][0], course.settings["batch"], course.steps) == (digits.LR, digits.BATCH, digits.STEPS)


# --- the walk ------------------------------------------------------------------------------------------------------------


def test_the_walk_shows_the_discriminator_and_its_pull_where_the_fakes_are(runs: dict[str, list[Run]]) -> None:
    walk = runs["step_by_step"][0]
    frame = frame_walk(walk, [Frame("learns", 0, 1), Frame("follows", 0, 1, 1)], member=1)
    assert list(dict.fromkeys(frame["panel"])) == ["1. learns", "2. follows"]
    d = frame[(frame["panel"] == "1. learns") & (frame["kind"] == "D")]
    np.testing.assert_allclose(d["y"], 1 / (1 + np.exp(-walk.samples["line_logits"][1, 1])), rtol=1e-6)
    arrow = frame[frame["kind"] == "arrow"]
    assert arrow["x"].between(*np.quantile(walk.samples["generated"][1, 0], (0, 1))).all()
    np.testing.assert_allclose(
        arrow["y"], np.interp(arrow["x"], walk.samples["line_places"], walk.samples["line_pulls"][1, 1]), rtol=1e-6
    )
    _, ax = plt.subplots()
    assert draw_walk(frame[frame["panel"] == "2. follows"], ax).collections
    plt.close()


def test_the_walk_says_at_which_steps_its_pictures_are_and_which_is_another_training(runs: dict[str, list[Run]]) -> None:
    figure = blocks(step_by_step.section(runs["step_by_step"]), Figure)[0]
    steps = "Pictures 1 and 2 before training, pictures 3 and 4 in step 1, pictures 5 and 6 in step 6, picture 7 in step 12."
    assert steps in figure.caption
    assert "The last picture is another training" in figure.caption
    with_arrows = figure.frame[figure.frame["kind"] == "arrow"]["panel"].str[0].unique().tolist()
    assert with_arrows == ["4", "6", "7", "8"]


def test_the_walk_keeps_every_one_of_its_steps() -> None:
    walk = steps_of.experiments("quick")[0]
    assert walk.every == 1
    assert max(moment for frame in step_by_step.FRAMES for moment in frame[1:] if moment is not None) < walk.steps < 20


def test_progress_has_real_and_fake_samples_of_three_seeds(runs: dict[str, list[Run]]) -> None:
    frame = frame_progress(runs["line"][0], n_moments=3, n=10)
    assert frame.groupby(["seed", "step", "kind"]).size().eq(10).sum() == 3 * 3 * 2
    assert frame["seed"].str.partition(":")[0].unique().tolist() == ["best", "median", "worst"]


@pytest.mark.slow
def test_algorithm_1_reaches_the_data_and_with_a_slow_discriminator_does_not() -> None:
    """The control of the study: the same game, whose discriminator learns 30 times slower."""
    p = {**steps_of.NETS, "seeds": 4, "steps": 480}
    good, slow = (
        perform(plan("nsgan", steps_of.DATA, **p, **rates)) for rates in (steps_of.ALGORITHM, steps_of.SLOW)
    )  # fmt: skip
    assert (judged.distances(good) < 0.3).all()
    assert (judged.distances(slow) > 0.3).all()


@pytest.mark.slow
@pytest.mark.parametrize(("study", "steps"), [("vectors", 2000), ("line", 300), ("digits", 60)])
def test_fakes_come_nearer_by_training_and_not_against_a_generator_that_stands_still(study: str, steps: int) -> None:
    """The control of the three examples: the same run with its generator frozen from the start."""
    planned = benchmarks.lecture.STUDIES[study]("quick")[0]
    short = replace(planned, seeds=(0, 1), steps=steps, every=steps)
    still = replace(short, settings={**short.settings, "frozen_at": 0})
    trained, frozen = (trace.wide(perform(e).trace, "distance").to_numpy() for e in (short, still))
    assert (trained[-1] < 0.75 * trained[0]).all()
    assert (frozen[-1] == frozen[0]).all()


# --- bad news ------------------------------------------------------------------------------------------------------------


def test_seeds_that_cannot_be_judged_in_both_speak_for_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does a remedy pass for one because its seeds are in doubt."""
    doubt = {("nsgan", 0), ("r3gan", 1), ("r3gan", 2)}
    fake(monkeypatch, {"mode_collapse": lambda e, m: "inconclusive" if (e.subject, m.seed) in doubt else e.subject == "nsgan"})
    trial = bad_news._trial("Collapse", run_of(planned("nsgan")), run_of(planned("r3gan")), "mode_collapse")
    assert (trial.failed, trial.still) == ([True] * 5, [False] * 5)


def test_the_smallest_gan_circles_from_everywhere_and_r1_stops_it(runs: dict[str, list[Run]]) -> None:
    first = _table(runs["bad_news"])[0]
    assert [cell.text for cell in first[:-1]] == ["Non-convergence", "20 of 20", "R1 of weight 0.3", "0 of 20"]
    assert float(first[-1].text) == pytest.approx(5 * 2 * 0.5**20, rel=0.01)  # McNemar's, times the five rows


def test_what_is_the_same_with_and_without_a_remedy_has_p_1(runs: dict[str, list[Run]]) -> None:
    """The control: a remedy that changes nothing."""
    usual, _, saturating, *_ = runs["bad_news"]
    rows = _table([usual, usual, saturating, saturating, saturating])
    assert [row[-1].text for row in rows[1:]] == ["1"] * 4


def test_the_section_begins_with_its_rates_and_says_what_is_measured_of_means(runs: dict[str, list[Run]]) -> None:
    section = bad_news.section(runs["bad_news"])
    first, *_, means = section.blocks[0].paragraphs
    assert "20/20 = 100% [84%, 100%], with R1 of weight 0.3 0/20 = 0% [0%, 16%]" in first
    assert "a running mean of its generator" in means
    assert "share of samples of high quality is, over 3 seeds, usual GAN" in means
    assert any("the running mean of the generator is measured" in figure.caption for figure in blocks(section, Figure))


def test_a_gradient_is_gone_when_a_decade_of_it_is() -> None:
    table = [[1.0, 1.0, 1.0, np.nan], [0.2, 0.09, 5.0, np.nan]]
    experiment = Experiment("gan", "planted", "ring8", (0, 1, 2, 3), 1, 1, {"frozen_at": 0, "n_critic": 1})
    values = np.array(table)[:, :, None]
    run = Run(
        experiment, trace.tidy(experiment.id, experiment.seeds, [0, 1], [("generator_gradient", [""], values)]),
        outcome(experiment, {}), {}, {},
    )  # fmt: skip
    assert bad_news._gone(run) == [False, True, False, True]


def _table(runs: Sequence[Run]) -> list:
    return blocks(bad_news.section(runs), Table)[0].cells()


def test_paths_begin_at_the_same_places() -> None:
    plain, held = bad_news.paths(5).values()
    np.testing.assert_array_equal(plain[0], held[0])
    radius = [np.linalg.norm(path, axis=-1) for path in (plain, held)]
    assert (radius[0][-1] > 0.5 * radius[0][0]).all()
    assert (radius[1][-1] < 1e-6 * radius[1][0]).all()
