"""Applications of GANs that the lecture names, each small and with a number beside what goes without a GAN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ganlab import application_plots, learning_plots, plots, trace
from ganlab.diagnoses import diagnose
from ganlab.experiment import Run
from ganlab.pages.gans import curves_figure
from ganlab.pages.lecture.judged import colours, distances, folded_settings, named, near, ranged, two_digits
from ganlab.pages.lecture.learned import Comparison, compare, difference, difference_cell, p_text, percent, points
from ganlab.pages.page import Cell, Figure, Section, Table, Text
from ganlab.pages.shared import Written, apart, compared, mean_cell, mean_text

ALONE, AUGMENTED, SHUFFLED = "real digits alone", "with GAN digits", "shuffled labels"
LABELS, SEMI = "labels alone", "labels and GAN"
L1, GAN, COPY = "L1 alone", "L1 and GAN", "the edges, copied"


class Runs(NamedTuple):
    """The study's runs, each arm under a name of its own."""

    cgan: Run
    alone: Run
    augmented: Run
    shuffled: Run
    labels: Run
    semi: Run
    l1: Run
    gan: Run


def arms(runs: Sequence[Run]) -> Runs:
    """Return the runs of the study `benchmarks.lecture.applications`, in its order, by what is compared."""
    cgan, augmentation, shuffled, semi, translation = runs
    return Runs._make([
        named(cgan, "conditional GAN"),
        *(named(part, name) for part, name in zip(augmentation.parts(), (ALONE, AUGMENTED), strict=True)),
        named(shuffled, SHUFFLED),
        *(named(part, name) for part, name in zip(semi.parts(), (LABELS, SEMI), strict=True)),
        *(named(part, name) for part, name in zip(translation.parts(), (L1, GAN), strict=True)),
    ])  # fmt: skip


def section(runs: Sequence[Run]) -> Section:
    """Return the section of these runs: conditional GAN, augmentation with its control, semi-supervised, translation."""
    found = arms(runs)
    decided = comparisons(found)
    data = found.cgan.experiment.data
    small = (
        "scikit-learn's digits of 8 x 8 pixels in place of MNIST, as always at the quick profile"
        if data == "digits"
        else "MNIST"
    )
    return Section(
        "What are GANs used for, and does it work at the scale of a laptop?",
        [
            Text(
                [
                    f"Five of the applications that the lecture names, on {small}, over {_seeds(found)}. {_summary(decided)} "
                    "Text-to-image and deepfake video do not fit here; what they would need stands at the end."
                ]
            ),
            _overview(found, decided),
            Text([_samples_text(found.cgan)]),
            ranged(
                curves_figure(
                    [found.cgan], data, colours([found.cgan]), "distance", "", "distance to the data (std)",
                    "New samples: do the images come near the data?", False, None,
                )
            ),
            Text([_asked_text(found.cgan)]),
            _asked_figure(found.cgan),
            _asked_table(found.cgan),
            Text([_augmentation_text(found, decided)]),
            _accuracy_figure("Data augmentation: does it help?", (found.alone, found.augmented, found.shuffled)),
            Text([_semi_text(found, decided)]),
            _accuracy_figure("Semi-supervised: do unlabelled images help?", (found.labels, found.semi)),
            Text([_translation_text(found, decided["psnr"])]),
            _translations_figure(found),
            _translation_table(found),
            Text([_text_to_image(found.cgan), DEEPFAKE]),
            folded_settings(list(found)),
        ],
    )  # fmt: skip


def _seeds(found: Runs) -> str:
    """Return over how many seeds the study is: the fewest and the most where its runs differ."""
    n = sorted({len(run.experiment.seeds) for run in found})
    return f"{n[0]} seeds" if len(n) == 1 else f"{n[0]} to {n[-1]} seeds (each number below has its n)"


def _text_to_image(run: Run) -> str:
    height, width = run.samples["generated"].shape[-2:]
    times = 256 * 256 / (height * width)
    return (
        "Text-to-image is not imitated here. It takes images with sentences that describe them, and a net that turns sentences "
        "into vectors. The lecture's Stage-I images are from StackGAN (Zhang et al. 2017): one conditional GAN for 64 x 64 "
        "pixels and a second that makes 256 x 256 of them, from thousands of photographs of birds and flowers with ten "
        f"sentences each. Beside the label-to-image above, the label has become a sentence, and a digit of {height} x {width} "
        f"pixels an image of {times:.0f} times as many."
    )


DEEPFAKE = (
    "Deepfake videos are not imitated either. They take many frames of the person to be shown, or a model that has seen many "
    "people; a net that finds and aligns the face in each frame; images of hundreds of pixels a side, which takes GPUs; and "
    "frames that agree with those before them, which nothing above asks for. And they take the consent of who is shown."
)


# --- what is compared ----------------------------------------------------------------------------------------------------


def _last(run: Run, name: str) -> np.ndarray:
    return trace.last(run.trace, name).to_numpy(dtype=float)


def _copied(run: Run, name: str) -> np.ndarray:
    return _last(run, f"reference_{name}")


def comparisons(found: Runs) -> dict[str, Comparison]:
    """Return what is better on the same seeds, by a name; decided together, corrected for all of them."""
    pairs: dict[str, tuple[str, str, ArrayLike, ArrayLike]] = {
        "augmentation": (AUGMENTED, ALONE, _last(found.augmented, "test_accuracy"), _last(found.alone, "test_accuracy")),
        "shuffled": (SHUFFLED, ALONE, _last(found.shuffled, "test_accuracy"), _last(found.alone, "test_accuracy")),
        "semi": (SEMI, LABELS, _last(found.semi, "test_accuracy"), _last(found.labels, "test_accuracy")),
        "recognised": (GAN, L1, _last(found.gan, "recognised"), _last(found.l1, "recognised")),
        "psnr": (GAN, L1, _last(found.gan, "psnr"), _last(found.l1, "psnr")),
        "copied": (GAN, COPY, _last(found.gan, "recognised"), _copied(found.gan, "recognised")),
    }
    return dict(zip(pairs, compare(list(pairs.values()), higher_is_better=True), strict=True))


def decibels(value: float) -> str:
    return f"{value:+.2f} dB"


def _summary(decided: dict[str, Comparison]) -> str:
    said = {
        "augmentation": "Adding GAN digits to few real ones",
        "semi": "A GAN on unlabelled digits beside few labels",
        "recognised": "A GAN beside L1 in translating edges to digits",
    }
    return " ".join(f"{what}: {_effect(decided[name])}." for name, what in said.items())


def _effect(c: Comparison) -> str:
    if not c.p <= 0.05:
        return f"no difference is shown, {difference(c, points)}"
    return f"{'better' if c.difference.estimate > 0 else 'worse'}, {difference(c, points)}"


def _row(application: str, question: str, c: Comparison, write: Written = points, unit: str = "points") -> list[Cell | str]:
    """Return a row of the overview: what is asked, the difference with its interval, what that says."""
    number = difference_cell(c, write)
    number = replace(number, note=number.note.replace(f" {unit}", ""))
    return [Cell(application, note=question), number, Cell(c.answer, note=p_text(c))]


def _overview(found: Runs, decided: dict[str, Comparison]) -> Table:
    copies, share = diagnose(found.cgan)["memorisation"], near(found.cgan)
    asked = mean_cell(_asked(found.cgan).mean(axis=1), percent)
    copied = f"copies in {copies.failures} of {copies.n} seeds"
    rows: list[list[Cell | str]] = [
        [
            Cell("New samples", note="Are images near the data, and no copies of it?"),
            Cell(f"near in {share.failures} of {share.n}", note=f"{share.estimate:.0%} [{share.low:.0%}, {share.high:.0%}]"),
            Cell(copied, note="[{:.0%}, {:.0%}]".format(*copies.interval)),
        ],
        [
            Cell("Label-to-image", note="Is it the digit that was asked for?"),
            asked, Cell("chance is 10 %", note=_judge(found.gan)),
        ],
        _row("Data augmentation", "GAN digits beside few real ones: more test digits right?", decided["augmentation"]),
        _row("Its control", "The same with shuffled labels?", decided["shuffled"]),
        _row("Semi-supervised", "A GAN on unlabelled digits: more test digits right?", decided["semi"]),
        _row("Image-to-image", "Translated with a GAN: more digits recognised?", decided["recognised"]),
        _row("Image-to-image", "Nearer to the true digit (PSNR)?", decided["psnr"], decibels, "dB"),
        _row("Image-to-image", "More recognised than its edges?", decided["copied"]),
    ]  # fmt: skip
    return Table(
        "What does a GAN add?", ["application", "number", "verdict"], rows,
        "Differences are with the GAN less without it, on the same seeds: the same real images, initial weights and batches; "
        "with paired bootstrap intervals. The exact sign-flip test decides at 5 %, corrected by Holm for the "
        f"{len(decided)} comparisons of this table. Shares of seeds with Wilson intervals, means over seeds with Student's. "
        "Settings were chosen on other seeds by the same test images.",
    )  # fmt: skip


def _judge(run: Run) -> str:
    """Return how often the judge is right about true test images."""
    return f"the judge tells {_last(run, 'judge_accuracy')[0]:.1%} of true test digits right"


# --- new samples and images for a label ----------------------------------------------------------------------------------


def _asked(run: Run) -> pd.DataFrame:
    """Return each seed's share of images that are what was asked for at the end, `[member, class]`."""
    return trace.select(run.trace, "asked_class_share").pivot(index="member", columns="index", values="value")


def _samples_text(run: Run) -> str:
    collapse = diagnose(run)["mode_collapse"]
    return (
        f"New samples. After {run.experiment.steps} steps the images are {mean_text(distances(run), two_digits)} standard "
        f"deviations from the data ({len(run.experiment.seeds)} seeds; sliced Wasserstein distance; two sets of "
        f"{compared(run)} real images are about {apart(run):.2f} apart). Mode collapse is found in {collapse.failures} of "
        f"{collapse.n} seeds {'[{:.0%}, {:.0%}]'.format(*collapse.interval)}. Copies: images are compared with their nearest "
        "training images, beside test images, which nobody copied."
    )


def _asked_text(run: Run) -> str:
    shares = _asked(run)
    worst = str(shares.mean(axis=0).idxmin())
    return (
        "Label-to-image. The same GAN is told which digit to draw: semantic images to photographs in the smallest size. A "
        f"judge, a kernel classifier of real digits that never saw a generated one, reads them. Hardest is the {worst}: "
        f"{mean_text(shares[worst], percent)} are read as it ({len(shares)} seeds)."
    )


def _asked_figure(run: Run) -> Figure:
    frame = application_plots.frame_asked(run)
    said = "; ".join(f"{label}: {mean_text(shares, percent)}" for label, shares in _asked(run).items())
    return Figure(
        "Label-to-image: which digits are drawn when asked for?",
        lambda: plots.grid(frame, plots.draw_image, col="strip", wrap=1, height=1.2, aspect=5.0),
        frame,
        f"Generated digits in strips, one for each digit asked for; share read as such: {said}.",
        f"From left to right 0 to 9: the first image that each of {frame['strip'].nunique()} seeds made, not the best. Share "
        f"read as the digit asked for, mean over all {len(run.experiment.seeds)} seeds with its 95 % interval: {said}.",
    )


def _asked_table(run: Run) -> Table:
    rows: list[list[Cell | str]] = [[str(label), mean_cell(shares, percent)] for label, shares in _asked(run).items()]
    return Table(
        "How many are what was asked for?", ["digit asked for", "share read as it"], rows,
        f"Means over seeds with 95 % Student-t intervals. {_evaluated(run)} images a seed.", folded=True,
    )  # fmt: skip


def _evaluated(run: Run) -> str:
    return str(run.experiment.settings["evaluation"])


# --- better classifiers --------------------------------------------------------------------------------------------------


def _accuracy(run: Run) -> str:
    return mean_text(_last(run, "test_accuracy"), percent)


def _answer(c: Comparison) -> str:
    return f"{difference(c, points)}: {c.answer}"


def _augmentation_text(found: Runs, decided: dict[str, Comparison]) -> str:
    settings = found.alone.experiment.settings
    agreed = mean_text(_last(found.augmented, "label_agreement"), percent)
    return (
        f"Data augmentation. A classifier learns from {settings['labels']} real digits and tells {_accuracy(found.alone)} of "
        f"test digits right. It then also learns from {settings['generated_images']} digits of a conditional "
        f"GAN that saw no others than these {settings['labels']}: {_accuracy(found.augmented)}, a difference of "
        f"{_answer(decided['augmentation'])}. The judge reads {agreed} of the "
        "GAN's digits as what they are labelled. A GAN adds no knowledge about digits that its few did not hold. "
        f"The control, generated digits with shuffled labels: {_answer(decided['shuffled'])}."
    )


def _semi_text(found: Runs, decided: dict[str, Comparison]) -> str:
    settings = found.labels.experiment.settings
    return (
        f"Semi-supervised learning. {settings['labels']} digits have a label, all other training digits have none. Alone, the "
        f"labels give {_accuracy(found.labels)} of test digits right. When the classifier also plays a GAN's discriminator - a "
        f"digit of whatever class, or a fake - it learns from the unlabelled ones, too: {_accuracy(found.semi)}, a "
        f"difference of {_answer(decided['semi'])}."
    )


def _accuracy_figure(title: str, runs: Sequence[Run]) -> Figure:
    frame = application_plots.frame_accuracies(runs).assign(all="")
    names = [run.experiment.subject for run in runs]
    height = 0.45 * len(names) + 0.7
    said = "; ".join(f"{run.experiment.subject} {_accuracy(run)}" for run in runs)
    return Figure(
        title,
        lambda: plots.grid(
            frame, partial(learning_plots.draw_scores, colours=plots.palette(names), label="test accuracy"), col="all",
            height=height, aspect=4.2 / height,
        ),
        frame.drop(columns="all"),
        f"Test accuracy of each seed: {said}.",
        f"A point for each of {len(runs[0].experiment.seeds)} seeds, above them the mean with its 95 % interval.",
    )  # fmt: skip


# --- translation ---------------------------------------------------------------------------------------------------------


def _translation_text(found: Runs, nearer: Comparison) -> str:
    return (
        "Image-to-image translation. From the edges of a digit to the digit, learned from pairs, as pix2pix does from drawings "
        "to photographs: absolute error (L1), and a discriminator that sees edges and digit side by side. An edge is a pixel "
        "where grey is steep (Sobel). The judge recognises "
        f"{_share(found.gan)} of the translations, without the GAN {_share(found.l1)}, and of the edges themselves "
        f"{_copied(found.gan, 'recognised')[0]:.1%}, over {len(found.gan.experiment.seeds)} seeds. What the GAN changes in the "
        f"distance to the true digits (PSNR): {difference(nearer, decibels)}."
    )


def _share(run: Run) -> str:
    return mean_text(_last(run, "recognised"), percent)


def _translations_figure(found: Runs) -> Figure:
    frame = application_plots.frame_translations({L1: found.l1, GAN: found.gan})
    return Figure(
        "Image-to-image: what becomes of edges?",
        lambda: plots.grid(frame, plots.draw_image, col="strip", wrap=1, height=1.2, aspect=5.0),
        frame,
        "Strips: edges, their translations by L1 alone, by L1 and GAN, and the true digits, of ten test images.",
        f"The first ten test images and seed {found.gan.experiment.seeds[0]}; nothing was chosen.",
    )


def _translation_table(found: Runs) -> Table:
    names = {"l1": lambda v: f"{v:.3f}", "psnr": lambda v: f"{v:.1f} dB", "recognised": percent}
    rows: list[list[Cell | str]] = [
        [run.experiment.subject, *(mean_cell(_last(run, name), write) for name, write in names.items())]
        for run in (found.l1, found.gan)
    ]
    rows.append([COPY, *(write(float(_copied(found.gan, name)[0])) for name, write in names.items())])
    return Table(
        "How good are the translations?", ["translated by", "absolute error", "PSNR", "recognised"], rows,
        "Test images. Absolute error: share of the way from black to white, mean over pixels. PSNR: mean over images. Means "
        "over seeds with 95 % Student-t intervals; a copy has no seeds.",
    )  # fmt: skip
