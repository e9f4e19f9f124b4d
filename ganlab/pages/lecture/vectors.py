"""GAN example 1: vectors of ten numbers from a normal distribution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ganlab import lecture_plots, plots, stats
from ganlab.experiment import Run
from ganlab.pages.gans import curves_figure
from ganlab.pages.lecture.judged import colours, folded_settings, last_samples, named, near, numbers, verdicts
from ganlab.pages.page import Figure, Section, Text
from ganlab.pages.shared import bounded

STEPS = 12_000
"""Of the course: 20 epochs of 600 batches."""


REACH = 4.5
"""Half the width of the histograms: the first fakes lie about 0, the data at 4."""


def section(runs: Sequence[Run]) -> Section:
    """Return the section of the course's run."""
    run = named(runs[0], "the course's GAN")
    steps = run.experiment.steps
    shortened = f" Shortened here: {steps} of the course's {STEPS} steps." if steps < STEPS else ""
    frame = lecture_plots.frame_progress(run)
    real = run.samples["real"]
    low, high = float(real.mean()) - REACH, float(real.mean()) + REACH
    mean, worst = (bounded(stats.mean(values)) for values in (_mean(run), _worst(run)))
    return Section(
        "Example 1: can a GAN make vectors of ten numbers from a normal distribution?",
        [
            Text(
                [
                    f"Look at the ten numbers one by one. Taken together they have the mean {mean} after {steps} steps, "
                    f"where the data have 4; but of a vector's ten means the worst is {worst} off, and the data's "
                    f"spread is 0.2. The samples of {near(run)} of seeds end near the data.{shortened}"
                ]
            ),
            numbers(
                "The numbers in the vectors", [run],
                {
                    "mean": _mean,
                    "spread of a number": lambda run: last_samples(run).std(1).mean(1),
                    "worst of the ten means": _worst,
                },
                ["4", "0.2", "0 off"],
                "Spread: the standard deviation of one of the ten numbers, mean over the ten. Worst: how far the mean of "
                "one of the ten numbers lies from 4, the largest of ten.",
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
                [run], "vectors", colours([run]), "distance", "", "distance to the data (std)", "Do the fakes come near?",
                True, None,
            ),
            folded_settings([run]),
        ],
    )  # fmt: skip


def _mean(run: Run) -> NDArray[np.float32]:
    return np.asarray(last_samples(run).mean((1, 2)))


def _worst(run: Run) -> NDArray[np.float32]:
    return np.asarray(np.abs(last_samples(run).mean(1) - 4).max(1))
