"""What stands on the lecture's sections about learning: read off runs whose answer is planted, and written as a page."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from benchmarks.lecture import airline as airline_study
from benchmarks.lecture import breast_cancer as breast_cancer_study
from benchmarks.lecture import mnist as mnist_study
from benchmarks.lecture import regression as regression_study
from ganlab import learning, learning_plots, stats, supervised
from ganlab.experiment import Run
from ganlab.learning import perform
from ganlab.pages import pages_of, shared
from ganlab.pages.lecture import airline, breast_cancer, learned, lecture_page, mnist, regression
from ganlab.pages.page import Figure, Section, Table, render
from ganlab.trace import last
from tests.test_applications_page import written

STUDIES = {
    "regression": (regression_study, regression), "breast_cancer": (breast_cancer_study, breast_cancer),
    "airline": (airline_study, airline),
}  # fmt: skip


@cache
def tiny(name: str) -> list[Run]:
    """The runs of a study as it is planned, with 8 seeds and 2 steps."""
    planned = STUDIES[name][0].experiments("quick")
    return [perform(replace(e, seeds=tuple(range(8)), steps=2, every=1)) for e in planned]


def section(name: str) -> Section:
    return STUDIES[name][1].section(tiny(name))


def planted(said: np.ndarray, truth: np.ndarray) -> Run:
    """A run whose probabilities of malignant `[member, n]` and true classes are given."""
    run = next(run for run in tiny("breast_cancer") if learning_plots.called(run) == "mlp")
    return replace(run, samples={**run.samples, "predicted": np.stack([1 - said, said], -1), "truth": truth})


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_planned_at_every_profile_with_seeds_shared_between_its_nets(name: str) -> None:
    for profile in ("quick", "standard", "full"):
        planned = STUDIES[name][0].experiments(profile)
        assert len({e.id for e in planned}) == len(planned)
        fewest = min(len(e.seeds) for e in planned)
        assert fewest >= stats.fewest_seeds(4)
        assert all(e.seeds[:fewest] == planned[0].seeds[:fewest] for e in planned)


def test_breast_cancer_is_judged_on_twenty_splits_at_least() -> None:
    assert all(len(e.seeds) >= 20 for e in breast_cancer_study.experiments("quick"))


def test_the_sections_are_written_as_one_page() -> None:
    page = lecture_page(*(section(name) for name in STUDIES))
    html = render([page], "a test")
    for wanted in ("1. Can a deep net predict numbers", "2. Breast cancer", "3. Airline passengers", "data:image/webp"):
        assert wanted in html
    figures = [block for part in page.sections for block in part.blocks if isinstance(block, Figure)]
    for figure in figures:
        assert figure.caption
        assert figure.alt
        assert len(figure.frame)


def table(name: str, title: str) -> Table:
    (found,) = (b for b in section(name).blocks if isinstance(b, Table) and b.title == title)
    return found


def test_scores_are_means_over_seeds_with_their_number() -> None:
    mlp = tiny("breast_cancer")[0]
    first = table("breast_cancer", "Test accuracy").cells()[0]
    assert first[0].text == "mlp"
    assert first[1].text == f"{last(mlp.trace, 'test_accuracy').mean():.1%}"
    assert first[1].note.endswith("n=8")


def test_the_airlines_references_stand_beside_the_nets() -> None:
    rows = {row[0].text: row for row in table("airline", "How far are forecasts off?").cells()}
    assert rows["persistence"][1].text == "52.49"
    assert rows["seasonal naive"][1].text == "46.08"
    assert rows["autoregression"][1].text == "20.69"
    assert rows["lstm"][3].text == "0 of 8"  # after two steps
    assert rows["lstm"][3].note == "0% [0%, 32%]"


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (
            [25.0, 26, 24, 25, 27, 25, 26, 25],
            "worse than a linear autoregression (20.7: +4.68 [",
        ),
        ([15.0, 16, 14, 15, 17, 15, 16, 15], "better than a linear autoregression"),
        ([25.0, 16, 24, 15, 27, 15, 26, 15], "not told apart from a linear autoregression"),
        ([47.0, 45, 48, 44, 47, 45, 46, 47], "not told apart from seasonal naive (46.1"),
        ([47.0, 45, 48, 44, 47, 45, 46, 47], "better than persistence (52.5"),
        ([25.0, 26, 24, 25, 27, 25, 26, np.nan], "not tested: a seed has no value"),
        ([25.0, 26, 24, 25, 27, 25, 26, np.nan], "misses the next month by 25.4 [24.5, 26.3] (1 diverged, left out) thousand"),
    ],
)
def test_the_lstm_is_held_against_forecasts_without_a_net(errors: list[float], said: str) -> None:
    lstm = ended(tiny("airline")[0], errors)
    assert said in airline._answer(lstm, airline._against_references(lstm))


def ended(run: Run, errors: list[float]) -> Run:
    """The run with these errors at its end."""
    table = run.trace.copy()
    table.loc[(table["name"] == "test_rmse") & (table["step"] == table["step"].max()), "value"] = errors
    return replace(run, trace=table)


@pytest.mark.parametrize(("shift", "said"), [(0.0, "does not show in the error: +0 [+0, +0]"), (2.0, "moves the error by +2 ")])
def test_a_leak_is_said_to_show_where_it_does(shift: float, said: str) -> None:
    (c,) = learned.compare([("leaked", "lstm", VALUES + shift, VALUES)], higher_is_better=False)
    assert said in airline._leak_answer(c)


def test_a_split_at_random_is_compared_on_the_months_that_both_splits_test() -> None:
    lstm = tiny("airline")[0]
    (windows,) = (run for run in tiny("airline") if run.experiment.data == "airline_windows")
    one, other = (run.samples["inputs"][..., 0] for run in (windows, lstm))
    both = (one[:, :, None] == other[:, None]).all(-1).any(2)
    assert 0 < both.sum() < both.size
    truth = windows.samples["truth"]
    elsewhere = np.where(both[..., None], truth, truth + 1000)  # wrong on months alone that the other does not test
    planted = replace(windows, samples={**windows.samples, "predicted": elsewhere.reshape(truth.shape)})
    said = airline._windows_answer(planted, lstm)
    assert "the LSTM is then off by 0 [0, 0] in place of " in said
    assert f"({both.sum(1).min()} to {both.sum(1).max()} a seed)" in said


def test_what_was_run_has_a_row_for_each_run_by_the_name_that_the_tables_have() -> None:
    rows = {row[0].text: row[1].text for row in table("breast_cancer", "What was run").cells()}
    assert list(rows)[1:] == [learning_plots.called(run) for run in tiny("breast_cancer")]
    assert "scaling none" in rows["mlp, unscaled"]
    assert "scaling train" in rows["linear"]
    lstm, *others = tiny("airline")
    longer = replace(lstm, experiment=replace(lstm.experiment, seeds=tuple(range(20))))
    rows = {row[0].text: row[1].text for row in learned.what_was_run([longer, *others[:4]]).cells()}
    assert "seeds 0 to 19" in rows["lstm"]
    assert "scaling whole" in rows[airline.LEAKED]
    assert "seeds 0 to 7" in rows[airline.LEAKED]


def test_settings_lose_no_run_of_the_same_title() -> None:
    unscaled, scaled = (run for run in tiny("breast_cancer")[2:4])
    assert unscaled.experiment.title == scaled.experiment.title
    rows = [row[0].text for row in shared.settings([unscaled, scaled]).cells()]
    assert sorted(rows) == ["all", "linear scaling none", "linear scaling train"]
    assert len(shared.settings([scaled, scaled]).rows) == 2


def test_sensitivity_and_specificity_of_planted_predictions() -> None:
    """Four malignant, three of them found; six benign, two of them alarmed about; the same for both members."""
    truth = np.array([[1] * 4 + [0] * 6] * 2)
    said = np.array([[0.9, 0.8, 0.7, 0.1] + [0.6] * 2 + [0.2] * 4] * 2)
    run = planted(said, truth)
    assert breast_cancer._counts(run).tolist() == [[[4, 2], [1, 3]]] * 2
    (row,) = breast_cancer._confusion([run]).cells()
    assert [cell.text for cell in row[1:]] == ["3.0", "1.0", "4.0", "2.0", "75.0%", "66.7%"]


def test_a_diverged_member_is_left_out_of_the_confusion() -> None:
    said = np.array([[0.9, 0.1], [np.nan, np.nan]])
    assert breast_cancer._counts(planted(said, np.array([[1, 0]] * 2))).tolist() == [[[1, 0], [0, 1]]]


def test_probabilities_that_are_what_they_say_lie_on_the_line_and_bold_ones_do_not() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random((8, 4000))
    truth = (rng.random(chance.shape) < chance).astype(int)
    honest = learning_plots.frame_calibration([planted(chance, truth)])
    assert np.abs(honest["said"] - honest["share"]).max() < 0.02
    assert (honest["n"].sum(), list(honest["seeds"])) == (32_000, [8] * 5)
    bold = learning_plots.frame_calibration([planted(np.where(chance > 0.5, 0.99, 0.01), truth)])
    assert bold["share"].to_numpy() == pytest.approx([0.25, 0.75], abs=0.02)
    assert (bold["low"] <= bold["share"]).all()


def test_scores_of_runs_and_references_have_the_same_seeds() -> None:
    frame = learning_plots.frame_scores(tiny("breast_cancer"), "accuracy")
    assert frame.groupby("variant")["seed"].apply(list).map(lambda seeds: seeds == list(range(8))).all()
    assert frame["variant"].nunique() == 6


def test_forecasts_are_put_at_their_months() -> None:
    """The test set begins in August 1958 and ends in December 1960."""
    lstm = tiny("airline")[0]
    for sample in ("predicted", "free"):
        frame = learning_plots.frame_forecasts(lstm, sample)
        true = frame[frame["who"] == "true"]
        assert true["year"].iloc[0] == pytest.approx(1958 + 7 / 12)
        assert true["year"].iloc[-1] == pytest.approx(1960 + 11 / 12)
        assert true["value"].iloc[-1] == 432
        assert len(frame) == 29 * (1 + 3 + 8)


VALUES = np.linspace(1, 2, 8)


@pytest.mark.parametrize(
    ("b", "higher", "answer"),
    [
        (VALUES - 0.5, True, "a is better"),
        (VALUES - 0.5, False, "b is better"),
        (VALUES + 0.1 * np.array([1, -1] * 4), True, "no difference is shown"),
        (np.append(VALUES[:7] - 0.5, np.nan), True, "no difference is shown"),
    ],
)
def test_a_comparison_is_decided_by_pairs_and_left_open_where_a_seed_has_no_value(b: Any, higher: bool, answer: str) -> None:
    found = learned.compare([("a", "b", VALUES, b)], higher)
    assert found[0].answer == answer
    (row,) = learned.comparisons("t", found, learned.signed).cells()
    assert row[2].text == answer
    assert ("not tested" in row[2].note) == bool(np.isnan(b).any())


def test_a_mean_counts_the_diverged() -> None:
    cell = shared.mean_cell([1.0, 3.0, np.nan], learned.plain)
    assert (cell.text, cell.note.partition("n=")[2]) == ("2", "2; 1 diverged, left out")
    assert shared.mean_cell([np.nan], learned.plain).text == "no seed has a value"
    assert shared.mean_text([1.0, 3.0, np.nan], learned.plain).endswith("] (1 diverged, left out)")
    assert shared.mean_text([np.nan], learned.plain) == "no seed has a value"


@pytest.mark.parametrize("name", ["breast_cancer", "airline"])
def test_runs_of_ones_own_have_a_page_for_each_data_set(name: str) -> None:
    """With every value of a number as a variant, and each variant under a name of its own."""
    data = {run.experiment.data for run in tiny(name)}
    pages = pages_of([*tiny(name), learning.run("linear", "people", seeds=2, steps=2, lr=[1e-2, 1e-1], test_share=0.25)])
    assert len(pages) == len(data) + 1
    assert len({page.name for page in pages}) == len(pages)
    rows = [row[0].text for row in pages[-1].sections[0].blocks[0].cells()]
    assert rows == ["linear lr=0.01", "linear lr=0.1", "most frequent class"]
    if name == "breast_cancer":
        assert len(pages[0].sections[0].blocks[0].rows) == 5 + 1
        assert "What do nets learn of breast_cancer?" in render(pages, "a test")


def test_waves_are_shown_seed_by_seed() -> None:
    frame = learning_plots.frame_written(tiny("airline")[-1])
    assert list(frame["seed"].unique()) == [f"seed {seed}" for seed in range(4)]
    assert list(frame["step"].unique()) == list(range(1, 13))


def test_names_say_what_is_unusual() -> None:
    names = {learning_plots.called(run) for run in tiny("breast_cancer")}
    assert names == {"mlp", "mlp, unscaled", "linear", "linear, unscaled", "mlp, shuffled labels"}
    whole = learning.plan("lstm", "airline", scaling="whole", seeds=1)
    assert learning_plots.called(replace(tiny("airline")[0], experiment=whole)) == airline.LEAKED


# --- MNIST -----------------------------------------------------------------------------------------------------------


@cache
def readers() -> list[Run]:
    planned = [(net, n) for n in (40, 200) for net in mnist_study.NETS]
    return [supervised.perform(supervised.plan(net, "digits", seeds=8, epochs=2, n_train=n, batch=20)) for net, n in planned]


def planted_reader(run: Run, by_shift: dict[str, float]) -> Run:
    """The run with these accuracies under shifts, a thousandth apart between seeds."""
    table = run.trace.copy()
    for by, accuracy in by_shift.items():
        rows = (table["name"] == "shifted_accuracy") & (table["index"] == by)
        table.loc[rows, "value"] = accuracy + (table.loc[rows, "member"] - 3.5) / 1000
    return replace(run, trace=table)


@pytest.mark.parametrize("here", [True, False])
def test_both_nets_see_the_same_images_as_often(here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_study, "mnist_is_here", lambda: here)
    monkeypatch.setattr("ganlab.supervised._images", lambda name: Sized(name, 60_000 if name == "mnist" else 1437))
    for profile in ("quick", "standard", "full"):
        planned = mnist_study.experiments(profile)
        assert {e.data for e in planned} == {"mnist" if here else "digits"}
        for mlp, cnn in zip(planned[::2], planned[1::2], strict=True):
            assert (mlp.seeds, mlp.steps, mlp.settings["n_train"]) == (cnn.seeds, cnn.steps, cnn.settings["n_train"])
        fewest = stats.fewest_seeds(len(planned) // 2 + 3)
        assert min(len(e.seeds) for e in planned) >= fewest  # enough for every pair of the page to be shown
        updates = [e.steps * -(-e.settings["n_train"] // e.settings["batch"]) for e in planned]
        assert max(updates) < 1.3 * min(updates)


class Sized:
    """Images of which only name and number are asked."""

    def __init__(self, name: str, n: int) -> None:
        self.name, self.train, self.test = name, range(n), range(n // 6)


def test_the_section_says_what_was_planted_about_moved_digits() -> None:
    mlp, cnn = readers()[2:]
    moved = [planted_reader(mlp, {"0": 0.8, "1": 0.4}), planted_reader(cnn, {"0": 0.9, "1": 0.7})]
    text = " ".join(mnist.section([*readers()[:2], *moved]).blocks[0].paragraphs)
    assert "Moved by a single pixel, the CNN still reads 70.0% [69.8%, 70.2%] and the MLP 40.0% [39.8%, 40.2%] (the CNN" in text
    assert "(the CNN is better: +30.0 points" in text
    assert "not moved, the CNN reads 90.0% [89.8%, 90.2%] and the MLP 80.0% [79.8%, 80.2%] of the same images." in text
    assert "whence another accuracy" not in text  # all images were moved
    moved = [planted_reader(mlp, {"1": 0.7}), planted_reader(cnn, {"1": 0.4})]
    text = " ".join(mnist.section([*readers()[:2], *moved]).blocks[0].paragraphs)
    assert "the MLP is better: -30.0 points" in text


def test_the_section_has_the_accuracies_by_number_of_images() -> None:
    (found,) = (b for b in mnist.section(readers()).blocks if isinstance(b, Table) and b.title.startswith("Test accuracy"))
    assert found.header == ["predicted by", "40 images", "200 images"]
    for row, runs in zip(found.cells(), (readers()[::2], readers()[1::2]), strict=True):
        assert [cell.text for cell in row[1:]] == [f"{last(run.trace, 'test_accuracy').mean():.1%}" for run in runs]


def test_what_is_shortened_and_moved_is_what_the_study_and_training_say() -> None:
    assert mnist_study.PROFILES["full"]["updates"] == mnist.UPDATES
    assert supervised.N_SHIFTED == mnist.MOVED
    few = [replace(run, experiment=replace(run.experiment, data="mnist")) for run in readers()]
    assert "Shortened here: about 20 updates in place of the full profile's 7500, on 200 training images" in mnist._shortened(
        few
    )
    long = [replace(run, experiment=replace(run.experiment, steps=750)) for run in few]
    assert mnist._shortened(long) == ""


def test_readers_are_named_by_their_images_and_their_steps_are_epochs() -> None:
    rows = [[cell.text for cell in row] for row in mnist.section(readers()).blocks[-1].cells()]
    assert [row[0] for row in rows[1:]] == [f"{net}, from {n} images" for n in (40, 200) for net in ("mlp", "cnn")]
    assert rows[0][1].startswith("epochs 2;")


def test_the_commonest_mistake_has_an_interval() -> None:
    (found,) = (b for b in mnist.section(readers()).blocks if isinstance(b, Figure) and b.title == "What do they confuse?")
    counts = readers()[2].trace.query("name == 'confusion'").groupby("index")["value"].mean()
    worst = counts[[name for name in counts.index if name[0] != name[2]]]
    true, read = worst.idxmax().split(",")
    assert f"the mlp most often takes {true} for {read}, {worst.max():.1f} [" in found.caption


# --- seeds that diverged ---------------------------------------------------------------------------------------------------


def diverged(run: Run) -> Run:
    """The run whose last member has come to nothing: what it measured and said is not a number."""
    e = run.experiment
    table, last = run.trace.copy(), e.members()[-1].place
    own = (table["member"] == last) & ~table["name"].str.startswith("reference_") & (table["name"] != "n_parameters")
    table.loc[own & ~table["name"].str.startswith("free_reference"), "value"] = np.nan
    samples = {name: array.copy() for name, array in run.samples.items()}
    for name in {"predicted", "free"} & set(samples):
        if name != "hardest_predicted":
            samples[name][last] = np.nan
    return replace(run, trace=table, samples=samples)


@pytest.mark.parametrize("name", [*STUDIES, "mnist"])
def test_a_seed_that_diverged_is_left_out_and_counted(name: str) -> None:
    of = mnist if name == "mnist" else STUDIES[name][1]
    found = of.section([diverged(run) for run in (readers() if name == "mnist" else tiny(name))])
    words = " ".join(word for block in found.blocks for word in written(block))
    assert "(1 diverged, left out)" in " ".join(found.blocks[0].paragraphs)
    assert not re.search(r"(?<![a-z])(nan|inf)(?![a-z])", words)
    plt.close([block for block in found.blocks if isinstance(block, Figure)][-1].draw())
