"""GAN example 3: handwritten digits, by the course's perceptrons and by a DCGAN held by R1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ganlab import trace
from ganlab.experiment import Run
from ganlab.pages.gans import curves_figure, images_figure
from ganlab.pages.lecture.judged import colours, distances, folded_settings, named, near, numbers, paired, ranged, verdicts
from ganlab.pages.page import Figure, Section, Text
from ganlab.pages.shared import apart, compared

STEPS = 46_850
"""Of the course: 50 epochs of 937 batches."""


LR, BATCH = 2e-4, 64
"""Of the course, its rate for both players."""


def section(runs: Sequence[Run]) -> Section:
    """Return the section of these runs: the course's perceptrons, then the DCGAN."""
    mlp, dcgan = judged = [named(run, name) for run, name in zip(runs, ("the course's MLP", "DCGAN, held by R1"), strict=True)]
    data, steps = dcgan.experiment.data, dcgan.experiment.steps
    small = data != "mnist"
    changed = [f"{steps} of the course's {STEPS} steps"] if steps < STEPS else []
    changed += ["images of 8 x 8 in place of MNIST, as always at the quick profile, and smaller nets to match"] if small else []
    changed += _other_numbers(mlp)
    shortened = f" Shortened here: {'; '.join(changed)}." if changed else ""
    return Section(
        "Example 3: can a GAN draw handwritten digits?",
        [
            Text(
                [
                    f"Images end near the data in {near(mlp)} of seeds with the course's MLP, and in {near(dcgan)} with a "
                    "DCGAN under R1, whose discriminator learns three times as fast and whose images are of the generator's "
                    "running mean. Distance to the data at the end, DCGAN less the course's MLP, on the same seeds: "
                    f"{paired(distances(dcgan), distances(mlp))}. The two differ in more than their nets, so which of it "
                    f"helps is not shown here. A picture says whether samples look like digits, and not more.{shortened}"
                ]
            ),
            numbers(
                "How near the images are", judged,
                {
                    "distance to the data": distances,
                    "discriminator tells real from fake": lambda run: trace.last(run.trace, "separation").to_numpy(),
                },
                [f"about {apart(mlp):.2f}", "0.5"],
                "Distance: sliced Wasserstein, in standard deviations of the data; of the data, what two sets of "
                f"{compared(mlp)} real images have. Real from fake: the chance that a real image's logit is higher.",
            ),
            verdicts(judged),
            *(_images(run) for run in judged),
            ranged(
                curves_figure(
                    judged, data, colours(judged), "distance", "", "distance to the data (std)", "Do the images come near?",
                    False, None,
                )
            ),
            folded_settings(judged),
        ],
    )  # fmt: skip


def _other_numbers(mlp: Run) -> list[str]:
    """Return in what numbers the training of the course's MLP is not the course's."""
    lr, batch = mlp.experiment.numbers["lr"][0], mlp.experiment.settings["batch"]
    changed = [f"the MLP's rate is {lr:g} in place of {LR:g}"] if lr != LR else []
    return changed + ([f"batches are of {batch} in place of {BATCH}"] if batch != BATCH else [])


def _images(run: Run) -> Figure:
    """Return the images of a run at its end, its caption with how many seeds they are of."""
    figure, seeds = images_figure(run), len(run.experiment.seeds)
    n = figure.frame["picture"].nunique()
    taken = f"one of each of the first {n} of {seeds} seeds" if n <= seeds else f"{seeds} seeds take turns"
    return replace(figure, caption=f"{n} samples, not chosen, at step {run.samples['moments'][-1]}: {taken}.")
