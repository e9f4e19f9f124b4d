"""The lecture's section about autoencoders says what its runs say."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pytest

from benchmarks.lecture import autoencoders as study
from ganlab.experiment import Experiment, Run
from ganlab.lecture_plots import frame_codes, frame_drawn, mosaic
from ganlab.pages.lecture import autoencoders, lecture_page
from ganlab.pages.page import Figure, Section, Table, Text, render
from ganlab.sweep import perform
from ganlab.trace import last, select
from tests.test_applications_page import written


def tiny(experiment: Experiment) -> Experiment:
    """Return the experiment cut down to what takes no time."""
    settings = {**experiment.settings, "batch": 8, "evaluation": 24}
    roles = [role for role in ("encoder", "decoder", "generator", "discriminator") if role in settings]
    settings |= {role: {**settings[role], "hidden": [8]} for role in roles}
    return replace(experiment, seeds=(0, 1, 2), steps=4, every=2, settings=settings)


@cache
def runs() -> list[Run]:
    return [perform(tiny(e)) for e in study.experiments("quick")]


@cache
def section() -> Section:
    return autoencoders.section(runs())


def table(title: str) -> Table:
    (found,) = (b for b in section().blocks if isinstance(b, Table) and b.title == title)
    return found


@pytest.mark.parametrize("profile", ["quick", "standard", "full"])
def test_all_models_share_seeds_images_and_evaluation(profile: str) -> None:
    planned = study.experiments(profile)
    assert len(planned) == len(autoencoders.NAMES) == len({e.id for e in planned})
    assert len({(e.seeds, e.data, e.settings["evaluation"], e.settings["batch"]) for e in planned}) == 1
    assert len(planned[0].seeds) >= 20


def test_the_section_begins_with_words_asks_and_draws() -> None:
    assert section().title.endswith("?")
    assert isinstance(section().blocks[0], Text)
    figures = [block for block in section().blocks if isinstance(block, Figure)]
    assert len(figures) == 4
    for figure in figures:
        plt.close(figure.draw())
        assert figure.caption
        assert figure.alt
        assert not figure.frame.empty
    assert "1. Autoencoder and VAE" in render([lecture_page(section(), runs=runs())], "a test")


def test_the_tables_have_the_means_of_the_runs() -> None:
    rebuilt = table("How well are digits rebuilt?").cells()
    vae = runs()[1]
    assert rebuilt[1][2].text == f"{last(vae.trace, 'test_elbo').mean():.3g}"
    exact = select(vae.trace, "reference_log_likelihood")["value"].mean()
    assert rebuilt[4][2].text == f"{exact:.3g}"
    drawn = {row[0].text: row for row in table("How good are the samples?").cells()}
    assert drawn["GAN"][1].text == f"{last(runs()[2].trace, 'distance').mean():.2f}"
    assert all(cell.note.endswith("n=3") for cell in drawn["VAE"][1:])


def test_three_seeds_decide_nothing() -> None:
    cells = [cell for row in table("Which is better, on the same seeds?").cells() for cell in row[1:] if cell.text]
    assert len(cells) == 7
    assert all(cell.text == "no difference is shown" for cell in cells)


def test_a_mosaic_has_each_image_in_its_place() -> None:
    images = np.linspace(-1, 1, 3)[:, None, None, None] * np.ones((3, 1, 2, 2))
    whole = mosaic(images, 2).pivot(index="y", columns="x", values="pixel").to_numpy()
    assert whole.shape == (5, 5)
    assert [whole[0, 0], whole[0, 3], whole[3, 1]] == [0, 128, 255]
    assert np.isnan(whole[2]).all()


def test_samples_are_from_all_seeds_in_turn() -> None:
    frame = frame_drawn([runs()[1]])
    first = frame[(frame["who"] == "vae") & (frame["y"] < 8)].pivot(index="y", columns="x", values="pixel").to_numpy()
    for i in range(6):
        image = runs()[1].samples["generated"][i % 3, -1, i // 3, 0]
        np.testing.assert_allclose(first[:, 9 * i : 9 * i + 8], 127.5 * (image + 1), atol=0.5)


def test_a_map_that_keeps_classes_apart_has_alike_neighbours_and_a_shuffled_one_has_not() -> None:
    run, rng = runs()[4], np.random.default_rng(0)
    labels = run.samples["labels"]
    angle = 2 * np.pi * labels / 10
    codes = np.stack([np.cos(angle), np.sin(angle)], -1) + rng.normal(0, 0.01, (len(labels), 2))
    sound = replace(run, samples={**run.samples, "codes": np.stack([codes, rng.permutation(codes)])})
    apart, shuffled = autoencoders.alike(sound)
    assert apart == 1
    assert 0.03 < shuffled < 0.2
    diverged = replace(run, samples={**run.samples, "codes": np.full((1, len(labels), 2), np.nan)})
    assert np.isnan(autoencoders.alike(diverged)).all()
    assert frame_codes([sound]).groupby("who")["x"].std(ddof=0).iloc[0] == pytest.approx(1)


def test_what_is_rebuilt_is_of_the_means_of_codes_of_the_seeds_that_have_a_value() -> None:
    coder, vae, *rest = runs()
    table = vae.trace.copy()
    table.loc[(table["member"] == 2) & ~table["name"].str.startswith("reference_"), "value"] = np.nan
    found = autoencoders.section([coder, replace(vae, trace=table), *rest])
    first = found.blocks[0].paragraphs[0]
    kept = last(vae.trace, "test_rmse")[:2].mean()
    assert f"a VAE, from the means of its codes, to within {kept:.3f} [" in first
    assert "(1 diverged, left out), and PCA" in first
    assert "in place of MNIST" in first
    assert "nan" not in " ".join(word for block in found.blocks for word in written(block))
