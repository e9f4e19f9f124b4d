"""GAN example 3: handwritten digits, by the course's perceptrons and by a DCGAN held by R1."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab import trace
from ganlab.experiment import Run
from ganlab.pages.gans import curves_figure, images_figure
from ganlab.pages.lecture.judged import colours, distances, folded_settings, named, near, numbers, paired, verdicts
from ganlab.pages.page import Section, Text
from ganlab.pages.shared import apart, compared

STEPS = 46_850
"""Of the course: 50 epochs of 937 batches."""


def section(runs: Sequence[Run]) -> Section:
    """Return the section of these runs: the course's perceptrons, then the DCGAN."""
    mlp, dcgan = judged = [named(run, name) for run, name in zip(runs, ("the course's MLP", "DCGAN, held by R1"), strict=True)]
    data, steps = dcgan.experiment.data, dcgan.experiment.steps
    small = data != "mnist"
    changed = [f"{steps} of the course's {STEPS} steps"] if steps < STEPS else []
    changed += ["images of 8 x 8 in place of MNIST, and smaller nets to match"] if small else []
    shortened = f" Shortened here: {'; '.join(changed)}." if changed else ""
    return Section(
        "Example 3: can a GAN draw handwritten digits?",
        [
            Text(
                [
                    "A picture says whether samples look like digits; how near they are, on how many seeds, and what else "
                    f"is wrong stands in the tables. Images end near the data in {near(mlp)} of seeds with the course's MLP, "
                    f"and in {near(dcgan)} with a DCGAN under R1, whose discriminator learns three times as fast. Distance to "
                    "the data at the end, DCGAN less the course's MLP, on the same seeds: "
                    f"{paired(distances(dcgan), distances(mlp))}.{shortened}"
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
            *(images_figure(run) for run in judged),
            curves_figure(
                judged, data, colours(judged), "distance", "", "distance to the data (std)", "Do the images come near?", False,
                None,
            ),
            folded_settings(judged),
        ],
    )  # fmt: skip
