"""GAN training step by step, on a line: the lecture's walk as pictures, and algorithm 1 over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ganlab import lecture_plots, plots, trace
from ganlab.experiment import Run
from ganlab.lecture_plots import Frame
from ganlab.pages.gans import curves_figure
from ganlab.pages.lecture.judged import (
    colours,
    distances,
    folded_settings,
    last_samples,
    named,
    near,
    numbers,
    paired,
    ranged,
    verdicts,
)
from ganlab.pages.page import Figure, Section, Text

BALANCE = 2 * math.log(2)
"""The discriminator's loss, in nats, when it says 1/2 everywhere (Goodfellow et al. 2014, theorem 1)."""

FRAMES = (
    Frame("the real data", None),
    Frame("the generator makes fakes", 0),
    Frame("the discriminator learns", 0, 1),
    Frame("the generator follows", 0, 1, 1),
    Frame("the discriminator learns", 5, 6),
    Frame("the generator follows", 5, 6, 6),
    Frame("and again", 11, 12, 12),
)
"""Of the walk, whose moments are its steps. In a step the discriminator learns first: that of moment t has seen the fakes of
moment t - 1."""


def section(runs: Sequence[Run]) -> Section:
    """Return the section of these runs: the walk, k = 1, k = 5, and the control with a slow discriminator."""
    walk, *rest = runs
    names = [f"k = {run.experiment.settings['n_critic']}" for run in rest[:2]] + ["slow discriminator"]
    judged = [named(run, name) for run, name in zip(rest, names, strict=True)]
    one, five, slow = judged
    far = [distances(run) for run in judged]
    fast_rate, slow_rate = (run.experiment.numbers["lr_discriminator"][0] for run in (one, slow))
    slower = fast_rate / slow_rate
    return Section(
        "What happens in GAN training, step by step?",
        [
            Text(
                [
                    f"With one discriminator step (k = 1) {near(one)} of seeds end near the data, with five {near(five)}; with "
                    f"a discriminator that learns {slower:.0f} times slower, the control, {near(slow)}. The discriminator "
                    "learns to tell fakes from data, the generator follows its slope, and where it arrives the discriminator "
                    "can only guess.",
                    "Algorithm 1 is run here as it is used: the generator ascends log D(G(z)), the non-saturating loss, and "
                    "both players learn by Adam. As the lecture has it, the generator descends "
                    "log(1 - D(G(z))), by plain gradients with momentum.",
                ]
            ),
            _walk(walk, five),
            numbers(
                f"Where they stand after {one.experiment.steps} steps of algorithm 1", judged,
                {
                    "mean of the fakes": lambda run: last_samples(run)[..., 0].mean(1),
                    "their spread": lambda run: last_samples(run)[..., 0].std(1),
                    "discriminator's loss": lambda run: trace.last(run.trace, "discriminator_loss").to_numpy(),
                },
                ["3", "1", f"{BALANCE:.3f}"],
                f"At the equilibrium the discriminator says 1/2 everywhere and its loss is 2 ln 2 = {BALANCE:.5f}. Distance "
                f"to the data, k = 5 less k = 1: {paired(far[1], far[0], 2)}; the slow one less k = 1: "
                f"{paired(far[2], far[0], 2)}. A loss near this balance says that the discriminator can only guess, and not "
                "why: fakes may be good, or it may have learned too little, as a slow one has.",
            ),
            verdicts(judged),
            ranged(
                curves_figure(
                    judged, "a line", colours(judged), "distance", "", "distance to the data (std)",
                    "Do the fakes come near?", False, None,
                )
            ),
            ranged(
                curves_figure(
                    judged, "a line", colours(judged), "discriminator_loss", "", "discriminator's loss (nats)",
                    "Does the discriminator end up guessing?", False, BALANCE,
                )
            ),
            folded_settings([named(walk, "the walk"), *judged]),
        ],
    )  # fmt: skip


def _walk(walk: Run, end: Run) -> Figure:
    frame = pd.concat([lecture_plots.frame_walk(walk, FRAMES), _equilibrium(end)], ignore_index=True)
    seed, k = walk.experiment.seeds[0], walk.experiment.settings["n_critic"]
    fakes = last_samples(end)[0, ..., 0]
    return Figure(
        "Who moves when, on the way to the data?",
        lambda: plots.grid(frame, lecture_plots.draw_walk, col="panel", wrap=4, height=1.75, aspect=1.4),
        frame,
        f"{len(FRAMES) + 1} pictures of the densities of data and fakes with D(x): {_steps()}. The last is the end of another "
        f"training, with k = 5, where the fakes have a mean of {fakes.mean():.2f} and a spread of {fakes.std():.2f}.",
        f"Blue: data; orange: fakes, pale before a step and full after it; heights are scaled. Line: D(x), the chance of being "
        f"real; dotted: 1/2. Arrows, where the generator follows and at the end: where the loss would have fakes go, longer "
        f"where it pulls more. One seed ({seed}), which says nothing of others; steps are large here and k is {k}, so "
        f"that each one can be seen. {_steps().capitalize()}. The last picture is another training, k = 5 below, of seed "
        f"{end.experiment.seeds[0]} after {end.experiment.steps} steps; where neither data nor fakes lie, nothing holds D.",
    )


def _steps() -> str:
    """Return after how many steps of the walk each picture is, those of the same step together."""
    by_step: dict[int, list[int]] = {}
    for number, frame in enumerate(FRAMES, 1):
        by_step.setdefault(frame.discriminator or 0, []).append(number)
    said = []
    for step, pictures in by_step.items():
        those = f"{pictures[0]} and {pictures[-1]}" if len(pictures) > 1 else f"{pictures[0]}"
        said.append(f"picture{'s' if len(pictures) > 1 else ''} {those} {f'in step {step}' if step else 'before training'}")
    return ", ".join(said)


def _equilibrium(end: Run) -> pd.DataFrame:
    last = len(end.samples["moments"]) - 1
    frame = lecture_plots.frame_walk(end, [Frame("equilibrium (k = 5)", last, last, last)])
    return frame.assign(panel=np.char.replace(frame["panel"].to_numpy(dtype=str), "1.", f"{len(FRAMES) + 1}."))
