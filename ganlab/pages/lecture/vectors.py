"""GAN example 1: vectors of ten numbers from a normal distribution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ganlab import lecture_plots, plots
from ganlab.experiment import Run
from ganlab.pages.gans import curves_figure
from ganlab.pages.lecture.judged import colours, folded_settings, last_samples, named, near, numbers, verdicts
from ganlab.pages.page import Figure, Section, Text

STEPS = 12_000
"""Of the course: 20 epochs of 600 batches."""


def section(runs: Sequence[Run]) -> Section:
    """Return the section of the course's run."""
    run = named(runs[0], "the course's GAN")
    steps = run.experiment.steps
    shortened = f" Shortened here: {steps} of the course's {STEPS} steps." if steps < STEPS else ""
    frame = lecture_plots.frame_progress(run)
    real = run.samples["real"]
    low, high = float(real.min()) - 1, float(real.max()) + 1
    return Section(
        "Example 1: can a GAN make vectors of ten numbers from a normal distribution?",
        [
            Text(
                [
                    f"After {steps} steps the samples of {near(run)} of seeds lie near the data. Numbers around the right "
                    f"mean come early; the right spread, in all ten at once, comes late or not at all.{shortened}"
                ]
            ),
            numbers(
                "The numbers in the vectors", [run],
                {
                    "mean": lambda run: last_samples(run).mean((1, 2)),
                    "spread of a number": lambda run: last_samples(run).std(1).mean(1),
                    "furthest mean of the ten": lambda run: np.abs(last_samples(run).mean(1) - 4).max(1) + 4,
                },
                ["4", "0.2", "4"],
                "Spread: the standard deviation of one of the ten numbers, mean over the ten.",
            ),
            verdicts([run]),
            Figure(
                "How do the numbers come to lie?",
                lambda: plots.grid(
                    frame, partial(lecture_plots.draw_numbers, low=low, high=high), col="step", row="seed", height=1.25,
                    aspect=1.55, margin_titles=True,
                ),
                frame,
                "Histograms of all numbers in the vectors at five moments, for the best, the median and the worst seed.",
                f"Blue: all numbers of real vectors; orange: of fakes. Best, median and worst of {len(run.experiment.seeds)} "
                "seeds by their distance to the data at the end.",
            ),
            curves_figure(
                [run], "vectors", colours([run]), "distance", "", "distance to the data (std)", "Do the vectors come near?",
                True, None,
            ),
            folded_settings([run]),
        ],
    )  # fmt: skip
