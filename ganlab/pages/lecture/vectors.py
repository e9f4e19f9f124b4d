"""GAN example 1: vectors of ten numbers from a normal distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ganlab import lecture_plots, plots
from ganlab.experiment import Run
from ganlab.pages.gans import curves_figure
from ganlab.pages.lecture.judged import (
    colours,
    distances,
    folded_settings,
    last_samples,
    mended,
    named,
    near,
    numbers,
    paired,
    ranged,
    two_digits,
    verdicts,
)
from ganlab.pages.page import Figure, Section, Text
from ganlab.pages.shared import mean_text

STEPS = 12_000
"""Of the course: 20 epochs of 600 batches."""

REACH = 4.0
"""Half the width of the histograms at least, in standard deviations of the data; more where fakes lie farther off."""


def section(runs: Sequence[Run]) -> Section:
    """Return the section of these runs: the course's GAN, and the same mended, on scaled data."""
    course, held = both = [named(_scaled(r), name) for r, name in zip(runs, ("the course's GAN", "mended"), strict=True)]
    steps = course.experiment.steps
    shortened = f" Shortened here: {steps} of the course's {STEPS} steps." if steps < STEPS else ""
    worst, spread, held_spread = (mean_text(x, two_digits) for x in (_worst(course), _spread(course), _spread(held)))
    return Section(
        "Example 1: can a GAN make vectors of ten numbers from a normal distribution?",
        [
            Text(
                [
                    "Look at the ten numbers one by one, in standard deviations of the data. The course's GAN has the worst of "
                    f"its ten means {worst} off after {steps} steps, and a spread of {spread} where the data have 1: "
                    f"{near(course)} of seeds end near the data.{shortened}",
                    f"Mended, it has a spread of {held_spread}, and {near(held)} of seeds end near. Distance to the data, "
                    f"mended less the course's, on the same seeds: {paired(distances(held), distances(course))}.",
                    "What was mended: the data are scaled to mean 0 and standard deviation 1, the lesson of breast cancer "
                    "once more, since about a mean of 4 a spread of 0.2 is hard to see for a discriminator; then "
                    f"{mended(course, held)}",
                ]
            ),
            numbers(
                "The numbers in the vectors", both,
                {"mean": _mean, "spread of a number": _spread, "worst of the ten means": _worst}, ["0", "1", "0 off"],
                "In standard deviations of the data, from their mean. Spread: the standard deviation of one of the ten "
                "numbers, mean over the ten. Worst: how far the mean of one of the ten numbers is off, the largest of ten.",
            ),
            verdicts(both),
            *(_numbers_figure(run) for run in both),
            ranged(
                curves_figure(
                    both, "vectors", colours(both), "distance", "", "distance to the data (std)", "Do the fakes come near?",
                    True, None,
                )
            ),
            folded_settings(both),
        ],
    )  # fmt: skip


def _scaled(run: Run) -> Run:
    """Return the run with its samples in standard deviations of the data, from their mean."""
    mean, std = run.samples["modes"][0], run.samples["std"]
    return replace(run, samples={**run.samples, **{name: (run.samples[name] - mean) / std for name in ("generated", "real")}})


def _numbers_figure(run: Run) -> Figure:
    frame = lecture_plots.frame_progress(run)
    reach = max(REACH, float(np.quantile(np.abs(frame.filter(regex=r"^x\d")), 0.95)))
    return Figure(
        f"How do the numbers come to lie: {run.experiment.subject}",
        lambda: plots.grid(
            frame, partial(lecture_plots.draw_numbers, low=-reach, high=reach), col="step", row="seed", height=1.25,
            aspect=1.55, margin_titles=True,
        ),
        frame,
        "Histograms of all numbers in the vectors at five moments, for the best, the median and the worst seed.",
        f"Blue: all numbers of real vectors; orange: of fakes. Best, median and worst of {len(run.experiment.seeds)} "
        "seeds by their distance to the data at the end.",
    )  # fmt: skip


def _mean(run: Run) -> NDArray[np.float32]:
    return np.asarray(last_samples(run).mean((1, 2)))


def _spread(run: Run) -> NDArray[np.float32]:
    return np.asarray(last_samples(run).std(1).mean(1))


def _worst(run: Run) -> NDArray[np.float32]:
    return np.asarray(np.abs(last_samples(run).mean(1)).max(1))
