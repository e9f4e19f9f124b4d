"""Autoencoder and variational autoencoder on digits, beside a GAN: what they rebuild, what they draw, and a map of codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ganlab import lecture_plots, plots, stats, trace
from ganlab.experiment import Run
from ganlab.pages.lecture.judged import colours, folded_settings, named, paired, two_digits, verdicts
from ganlab.pages.lecture.learned import Comparison, compare, difference, p_text, plain, signed
from ganlab.pages.page import Cell, Figure, Section, Table, Text
from ganlab.pages.shared import apart, compared, mean_cell, mean_text

NAMES = ("autoencoder", "VAE", "GAN", "autoencoder, 2 numbers", "VAE, 2 numbers")
"""Of the study's runs, in their order."""

PCA, PPCA = "PCA", "probabilistic PCA"


def section(runs: Sequence[Run]) -> Section:
    """Return the section of these runs: autoencoder, VAE and GAN, then autoencoder and VAE with two numbers a code."""
    renamed = [named(run, name) for run, name in zip(runs, NAMES, strict=True)]
    coders, drawing, flat = [renamed[0], renamed[1]], renamed[:3], renamed[3:]
    return Section(
        "Autoencoder and VAE: do nets that rebuild digits also draw new ones, as a GAN does?",
        [
            Text([_rebuilding_answer(*coders) + _small(coders[0]), _drawing_answer(drawing), _map_answer(flat)]),
            _rebuilding([*coders, *flat]),
            _strips(coders),
            _drawing([*drawing, *flat]),
            _comparisons(drawing),
            _samples(drawing),
            _codes(flat),
            _atlas(flat),
            verdicts(drawing),
            folded_settings(renamed),
        ],
    )


# --- read off runs -------------------------------------------------------------------------------------------------------


def _last(run: Run, name: str, index: str = "") -> NDArray[np.float64]:
    return np.asarray(trace.last(run.trace, name, index), dtype=float)


def _numbers_a_code(run: Run) -> int:
    return int(run.experiment.settings["latent"])


def alike(run: Run) -> NDArray[np.float64]:
    """Return for each seed the share of test images whose nearest other image on the map of codes is of the same class."""
    labels = run.samples["labels"]
    shares = []
    for codes in run.samples["codes"].astype(float):
        apart = np.square(codes[:, None] - codes).sum(-1)
        np.fill_diagonal(apart, np.inf)
        shares.append((labels[apart.argmin(1)] == labels).mean() if np.isfinite(codes).all() else np.nan)
    return np.asarray(shares)


# --- what is said --------------------------------------------------------------------------------------------------------


def _mean(values: NDArray[np.float64], digits: int = 3) -> str:
    return mean_text(values, lambda value: f"{value:.{digits}f}")


def _rebuilding_answer(coder: Run, vae: Run) -> str:
    pixels = coder.samples["originals"][0].size
    linear, exact = _last(coder, "reference_rmse", PCA), _last(vae, "reference_log_likelihood", PPCA)
    return (
        f"From {_numbers_a_code(coder)} numbers in place of {pixels} pixels an autoencoder rebuilds digits that it never saw "
        f"to within {_mean(_last(coder, 'test_rmse'))} of full brightness, a VAE, from the means of its codes, to "
        f"within {_mean(_last(vae, 'test_rmse'))}, and PCA with as many numbers to within {_mean(linear)} ({len(linear)} "
        f"seeds). The VAE also says how likely an image is: at least {_mean(_last(vae, 'test_elbo'), 1)} nats, its ELBO; a "
        "linear model of this size, "
        f"probabilistic PCA, says {_mean(exact, 1)} exactly. Difference on the same seeds: "
        f"{paired(_last(vae, 'test_elbo'), exact)}."
    )


def _small(run: Run) -> str:
    if run.experiment.data == "mnist":
        return ""
    return " Shortened here: these are scikit-learn's digits of 8 x 8 pixels in place of MNIST, as always at the quick profile."


def _drawing_answer(drawing: Sequence[Run]) -> str:
    far = "; ".join(f"{run.experiment.subject} {_mean(_last(run, 'distance'), 2)}" for run in drawing)
    held = "; ".join(f"{run.experiment.subject} {_mean(_last(run, 'coverage'), 2)}" for run in drawing)
    said: dict[str, list[str]] = {name: [] for name in QUANTITIES}
    for name, c in _decided(drawing)[1:]:
        said[name].append(f"{c.a} against {c.b}: {c.answer}")
    answers = " ".join(f"On the same seeds by {QUANTITIES[name]}: {'; '.join(found)}." for name, found in said.items() if found)
    return (
        "All three draw new digits, from random codes. Distance of their samples to the data, in standard deviations (two sets "
        f"of {compared(drawing[0])} real images are about {apart(drawing[0]):.2f} apart): {far}. Share of real images "
        f"with a sample nearby (coverage): {held}. {answers}"
    )


def _map_answer(flat: Sequence[Run]) -> str:
    said = " and ".join(f"{_mean(alike(run), 2)} with the {run.experiment.subject.partition(',')[0]}" for run in flat)
    n = len(np.unique(flat[0].samples["labels"]))
    return (
        "Two numbers a code make a map. Nobody told the nets which digit is which; the nearest other image on the "
        f"map shows the same digit in a share of {said}; chance is {1 / n:.2f}."
    )


# --- tables --------------------------------------------------------------------------------------------------------------

REBUILT = {
    "off by (RMSE)": "test_rmse", "ELBO (nats)": "test_elbo", "reconstruction part": "test_log_likelihood",
    "divergence of codes (KL)": "test_kl",
}  # fmt: skip


def _rebuilding(runs: Sequence[Run]) -> Table:
    rows: list[list[Cell | str]] = []
    for run in runs:
        known = set(run.trace["name"].unique())
        cells = [mean_cell(_last(run, name), plain) if name in known else "" for name in REBUILT.values()]
        name, _, size = run.experiment.subject.partition(", ")
        rows.append([Cell(name, note=f"{size or f'{_numbers_a_code(run)} numbers'} a code"), *cells])
    for vae in (run for run in runs if "reference_log_likelihood" in set(run.trace["name"].unique())):
        off, said = _last(vae, "reference_rmse", PCA), _last(vae, "reference_log_likelihood", PPCA)
        note = f"{_numbers_a_code(vae)} numbers, no training"
        exact = mean_cell(said, plain)
        rows.append([Cell("PCA", note=note), mean_cell(off, plain), replace(exact, note=f"exact, {exact.note}"), "", ""])
    noise = runs[1].experiment.numbers["noise"][0]
    return Table(
        "How well are digits rebuilt?", ["model", *REBUILT], rows,
        "On images that training did not see; means over seeds with 95 % intervals (Student t). Off by: root mean square "
        f"error of a pixel, 1 being from black to white. ELBO = reconstruction - KL, in nats an image, of a pixel that lies "
        f"around the decoder's with a standard deviation of {noise:g}: a lower bound of the log-density, which may be above 0. "
        "The row of PCA has the exact log-density of probabilistic PCA with the same noise, which no linear VAE can pass on "
        "the images that it learns from.",
    )  # fmt: skip


DRAWN = ("distance", "coverage", "precision", "recall")


def _drawing(runs: Sequence[Run]) -> Table:
    shades = colours(runs)
    bands = [tuple(_last(runs[0], name, end)[0] for end in ("low", "high")) for name in DRAWN[1:]]
    perfect = [f"about {apart(runs[0]):.2f}", *(f"{low:.2f} to {high:.2f}" for low, high in bands)]
    rows: list[list[Cell | str]] = [["a perfect sampler", *perfect]]
    for run in runs:
        name = run.experiment.subject
        rows.append([Cell(name, swatch=shades[name]), *(mean_cell(_last(run, what), two_digits) for what in DRAWN)])
    n, steps = int(_last(runs[0], "coverage", "n")[0]), ", ".join(f"{run.experiment.steps}" for run in runs)
    return Table(
        "How good are the samples?", ["drawn by", "distance to the data", *DRAWN[1:]], rows,
        f"Means over seeds with 95 % intervals (Student t), at the end of {steps} steps in turn. Distance: sliced Wasserstein, "
        f"in standard deviations of the data. Coverage: share of {n} real images with a sample in the ball that reaches to "
        "their 5th nearest other; precision: share of samples in such a ball; recall: share of real images in the balls of "
        "samples. Codes of samples come from a Gaussian fitted to the codes of training images (autoencoder), the prior (VAE) "
        "and the latent law (GAN). "
        "Of both autoencoders the decoder's image is taken, without the noise that a VAE's model adds to each pixel.",
    )  # fmt: skip


QUANTITIES = {"test_rmse": "rebuilt off by", "distance": "distance", "coverage": "images not covered"}
"""What models are compared by; of each, less is better."""


def _decided(drawing: Sequence[Run]) -> list[tuple[str, Comparison]]:
    """Return which model is better by which quantity, all of them corrected together."""
    coder, vae, gan = drawing
    asked = [("test_rmse", vae, coder)]
    asked += [(name, a, b) for name in ("distance", "coverage") for a, b in ((vae, coder), (gan, coder), (gan, vae))]
    found = compare(
        [(a.experiment.subject, b.experiment.subject, _loss(a, name), _loss(b, name)) for name, a, b in asked],
        higher_is_better=False,
    )
    return [(name, c) for (name, _, _), c in zip(asked, found, strict=True)]


def _loss(run: Run, name: str) -> NDArray[np.float64]:
    return 1 - _last(run, name) if name == "coverage" else _last(run, name)


def _comparisons(drawing: Sequence[Run]) -> Table:
    decided = _decided(drawing)
    pairs: dict[str, dict[str, Cell]] = {}
    for name, c in decided:
        note = f"{difference(c, signed)}, {p_text(c)}"
        pairs.setdefault(f"{c.a} against {c.b}", {})[name] = Cell(c.answer, note=note)
    rows: list[list[Cell | str]] = [[pair, *(found.get(name, "") for name in QUANTITIES)] for pair, found in pairs.items()]
    return Table(
        "Which is better, on the same seeds?", ["pair", *QUANTITIES.values()], rows,
        "Differences on the same seeds, which share their real images; less is better. Paired bootstrap intervals are for "
        f"reading; the exact sign-flip test decides at 5 %, corrected by Holm for {len(decided)} comparisons. It takes at "
        f"least {stats.fewest_seeds(len(decided))} seeds.",
    )  # fmt: skip


# --- figures -------------------------------------------------------------------------------------------------------------


def _strips(coders: Sequence[Run]) -> Figure:
    frame, seed = lecture_plots.frame_rebuilt(coders).assign(all=""), coders[0].experiment.seeds[0]
    return Figure(
        "What becomes of a digit on its way through a code?",
        lambda: plots.grid(frame, lecture_plots.draw_rebuilt, col="all", height=1.9, aspect=3.6),
        frame.drop(columns="all"),
        "Twelve test digits, and the same rebuilt by an autoencoder and by a VAE.",
        f"The first twelve test images, and what seed {seed} makes of each from {_numbers_a_code(coders[0])} numbers.",
    )


def _samples(drawing: Sequence[Run]) -> Figure:
    frame = lecture_plots.frame_drawn(drawing)
    return Figure(
        "What do they draw?",
        lambda: plots.grid(frame, plots.draw_image, col="who", wrap=2, height=2.4, aspect=1.0),
        frame,
        "Real digits, and samples of an autoencoder, a VAE and a GAN.",
        f"Thirty-six each, none of them chosen; {len(drawing[0].experiment.seeds)} seeds take turns.",
    )


def _atlas(flat: Sequence[Run]) -> Figure:
    frame = lecture_plots.frame_atlas(flat)
    return Figure(
        "What stands where on the map?",
        lambda: plots.grid(frame, plots.draw_image, col="who", height=3.6, aspect=1.0),
        frame,
        "Images decoded from a grid of codes, for an autoencoder and for a VAE.",
        f"Seed {flat[0].experiment.seeds[0]}: images decoded at equal quantiles of the law that samples are drawn from.",
    )


def _codes(flat: Sequence[Run]) -> Figure:
    frame = lecture_plots.frame_codes(flat)
    return Figure(
        "Where do digits lie on a map of two numbers?",
        lambda: plots.grid(frame, lecture_plots.draw_codes, col="who", height=3.6, aspect=1.0),
        frame,
        "Codes of test digits on the plane, each drawn as its digit, for an autoencoder and for a VAE.",
        f"Seed {flat[0].experiment.seeds[0]}: the codes of {len(flat[0].samples['labels'])} test images, each written as the "
        "digit that it shows, in standard deviations of the codes; of the VAE their means. Colour repeats the digit.",
    )
