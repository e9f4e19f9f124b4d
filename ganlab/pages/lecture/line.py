"""GAN example 2: points on a line, and the lecture's test of freezing the generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ganlab import frozen, lecture_plots, plots, stats
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
from ganlab.pages.page import Block, Figure, Section, Text
from ganlab.pages.shared import mean_text
from ganlab.pages.vanishing_gradients import going_on

STEPS = 4000
"""Of the course: 40 epochs of 100 batches."""


def section(runs: Sequence[Run]) -> Section:
    """Return the section of these runs: the course's GAN, the same nets mended, and those whose generator freezes."""
    course, held = (named(run, name) for run, name in zip(runs, ("the course's GAN", "mended"), strict=False))
    still = [run for run in runs if frozen.is_frozen(run)]
    steps = course.experiment.steps
    shortened = f" Shortened here: {steps} of the course's {STEPS} steps." if steps < STEPS else ""
    n = len(course.experiment.seeds)
    off, spread, held_spread = (mean_text(values, two_digits) for values in (_off(course), _spread(course), _spread(held)))
    blocks: list[Block] = [
        Text(
            [
                f"To lie on the line is one thing, to cover it another: the course's fakes are {off} off "
                f"it and spread over {spread}, where the data spread over 1.49; {near(course)} of seeds end "
                f"near the data.{shortened}",
                f"Mended, they spread over {held_spread}, and {near(held)} of seeds end near. Distance to the data, mended "
                f"less the course's, on the same seeds: {paired(distances(held), distances(course))}. What was mended: "
                f"{mended(course, held)}",
                f"And if the course's generator is frozen after {frozen.age(still[0])} steps, while the discriminator trains "
                f"on? By the last of {_updates(still[0])} updates, over {n} seeds, {'; '.join(map(_frozen_text, still))}.",
            ]
        ),
        numbers(
            "Where the points lie", [course, held],
            {
                "distance from the line": _off, "middle along it": lambda run: _along(run).mean(1),
                "spread along it": _spread,
            },
            ["0", "5", "1.49"],
            "Distance from the line: mean over points. Middle and spread: of the mean of both coordinates.",
        ),
        verdicts([course, held]),
        *(_points(run, n) for run in (course, held)),
        ranged(
            curves_figure(
                [course, held], "the line", colours([course, held]), "distance", "", "distance to the data (std)",
                "Do the points come near?", False, None,
            )
        ),
        *_going_on(still),
        folded_settings([course, held, *(named(run, f"frozen, {_loss(run)}") for run in still)]),
    ]  # fmt: skip
    return Section("Example 2: can a GAN put points on a line, and what if its generator is frozen?", blocks)


LOSSES = {"non_saturating": "non-saturating loss", "minimax": "saturating (minimax) loss"}


def _loss(run: Run) -> str:
    return LOSSES[run.experiment.settings["objective"]]


def _updates(run: Run) -> int:
    return int(frozen.since_frozen(run, frozen.GRADIENT).index[-1])


def _frozen_text(run: Run) -> str:
    """Return what becomes of the gradient of a frozen generator: whether it grows or shrinks, and to what multiple."""
    grown = -frozen.decay(run)["lost"]
    found = stats.mean_of_finite(grown)
    way = "grows to" if found.low > 0 else "shrinks to" if found.high < 0 else "is not shown to change:"
    multiple = mean_text(grown, lambda decades: f"{10**decades:.2g}")
    return f"with the {_loss(run)} the gradient that the generator would go by {way} {multiple} times its length"


def _going_on(still: Sequence[Run]) -> list[Block]:
    """Return the figure of the frozen runs, in the words of this section."""
    said = "; ".join(map(_frozen_text, still))
    return [
        replace(
            figure,
            title="And when the generator is frozen, and the discriminator goes on?",
            alt=f"Gradient of the generator and accuracy of the discriminator by step, a line a seed: {said}.",
            caption=f"Thin lines: each of {len(still[0].experiment.seeds)} seeds; thick: their median. Dotted: step "
            f"{frozen.age(still[0])}, where the generator freezes; the discriminator goes on as it is. By the last update "
            f"{said} (geometric mean over seeds with its 95 % Student-t interval).",
        )
        for figure in going_on(still)
        if isinstance(figure, Figure)
    ]


def _along(run: Run) -> NDArray[np.float32]:
    return np.asarray(last_samples(run).mean(-1))


def _spread(run: Run) -> NDArray[np.float32]:
    return np.asarray(_along(run).std(1))


def _off(run: Run) -> NDArray[np.float32]:
    points = last_samples(run)
    return np.asarray(np.abs(points[..., 0] - points[..., 1]).mean(1) / np.sqrt(2))


def _points(run: Run, n: int) -> Figure:
    frame = lecture_plots.frame_progress(run)
    name = run.experiment.subject
    return Figure(
        f"Where do the points lie: {name}",
        lambda: plots.grid(
            frame, lecture_plots.draw_points, col="step", row="seed", height=1.5, aspect=1.0, equal=True, margin_titles=True
        ),
        frame,
        f"Real and fake points of {name} at five moments, for the best, the median and the worst seed.",
        f"Pale: the 30 points of the line; dark: fakes. Best, median and worst of {n} seeds by their distance at the end.",
    )
