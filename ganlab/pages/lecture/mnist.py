"""MNIST, MLP against CNN: how many images each needs, what becomes of it when a digit is moved, and what it confuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from ganlab import learning_plots, plots, stats, trace
from ganlab.experiment import Run
from ganlab.pages.classifiers import confusion_figure
from ganlab.pages.lecture.learned import Comparison, compare, comparisons, percent, points, scores
from ganlab.pages.page import Figure, Section, Text
from ganlab.pages.shared import bounds, distinct, settings

CNN, MLP = "cnn", "mlp"

Scores = dict[str, dict[float, pd.Series]]
"""Accuracy of each seed, by net and by the number of images, or of pixels."""


def section(runs: Sequence[Run]) -> Section:
    """Return the section of the runs of this study: both nets at each number of training images."""
    sizes = _by_size(runs)
    most = int(max(sizes[CNN]))
    at_most = [run for run in runs if run.experiment.settings["n_train"] == most]
    shifts = {run.experiment.subject: _shifted(run) for run in at_most}
    pairs = [(CNN, f"{MLP}, from {int(n):,} images", sizes[CNN][n], sizes[MLP][n]) for n in sizes[CNN]]
    pairs += [(CNN, f"{MLP}, moved by {by:g} px", shifts[CNN][by], shifts[MLP][by]) for by in shifts[CNN] if by]
    decided = compare(pairs, higher_is_better=True)
    data, n_seeds = runs[0].experiment.data, len(runs[0].experiment.seeds)
    small = " These are the 8 x 8 digits of scikit-learn, since MNIST is not at hand." if data != "mnist" else ""
    return Section(
        "MNIST: is a convolutional net better than a perceptron, also when a digit is moved?",
        [
            Text([_answer(sizes, decided), _shift_answer(shifts, decided), _lesson(runs) + small]),
            scores(
                "Test accuracy by number of training images",
                {f"{int(n):,} images": {net: sizes[net][n] for net in (MLP, CNN)} for n in sizes[CNN]}, percent,
                "All from about the same number of updates, on the same test images.",
                own="initial weights, batches and, where not all are taken, training images",
            ),
            _figure(
                "How many images does each need?", sizes, "training images", True,
                f"Accuracy on test images that training did not see. Faint: each of {n_seeds} seeds, with training images of "
                "its own where not all are taken, the same for both nets; thick: their mean with its 95 % interval.",
            ),
            _figure(
                "And when the digit is moved?", shifts, "pixels moved", False,
                f"The nets of {most:,} training images, on test images moved left, right, up and down by so many pixels, mean "
                "over the four; no image was moved in training.",
            ),
            comparisons("Is the CNN better on the same seeds?", decided, points, "Differences of accuracy, CNN less MLP."),
            confusion_figure(at_most),
            settings(distinct(runs)),
        ],
    )  # fmt: skip


def _by_size(runs: Sequence[Run]) -> Scores:
    found: Scores = {}
    for run in runs:
        e = run.experiment
        found.setdefault(e.subject, {})[e.settings["n_train"]] = trace.last(run.trace, "test_accuracy")
    return found


def _shifted(run: Run) -> dict[float, pd.Series]:
    rows = trace.select(run.trace, "shifted_accuracy")
    return {float(str(by)): part.set_index("member")["value"] for by, part in rows.groupby("index", sort=False)}


def _answer(sizes: Scores, decided: Sequence[Comparison]) -> str:
    said = [
        f"from {int(n):,} training images {percent(stats.mean(sizes[CNN][n].to_numpy()).estimate)} against "
        f"{percent(stats.mean(sizes[MLP][n].to_numpy()).estimate)} ({_verdict(c)})"
        for n, c in zip(sizes[CNN], decided, strict=False)  # those of shifts come after
    ]
    return f"Test images read right, CNN against MLP: {'; '.join(said)}."


def _verdict(c: Comparison) -> str:
    words = "the CNN is better" if c.answer.startswith(CNN) else "the MLP is better" if c.answer.startswith(MLP) else c.answer
    return f"{words}, {points(c.difference.estimate)} {bounds(c.difference, points)}, n={c.difference.n}"


def _shift_answer(shifts: Scores, decided: Sequence[Comparison]) -> str:
    moved = [by for by in shifts[CNN] if by]
    (still, cnn), (_, mlp) = ([stats.mean(shifts[net][by].to_numpy()).estimate for by in (0, 1)] for net in (CNN, MLP))
    first = decided[-len(moved)]
    return (
        f"Moved by a single pixel, the CNN still reads {percent(cnn)} and the MLP {percent(mlp)} ({_verdict(first)}); not "
        f"moved, the CNN reads {percent(still)} of the same images."
    )


def _lesson(runs: Sequence[Run]) -> str:
    sizes: Mapping[str, float] = {r.experiment.subject: trace.last(r.trace, "n_parameters").iloc[0] for r in runs}
    return (
        f"The MLP has {sizes[MLP]:,.0f} parameters, and its first layer a weight for every pixel and unit; the CNN has "
        f"{sizes[CNN]:,.0f}, and its filters are the same at every place, so that what one learns of a stroke holds where the "
        "stroke is moved to."
    )


def _figure(title: str, values: Scores, x_label: str, log: bool, caption: str) -> Figure:
    frame = learning_plots.frame_against({net: values[net] for net in (MLP, CNN)}).assign(all="")
    draw = partial(
        learning_plots.draw_against, colours=plots.palette((MLP, CNN)), x_label=x_label, label="test accuracy", log=log
    )
    said = "; ".join(
        f"{net} at {x:,g}: {percent(part['mean'].iloc[0])}" for (net, x), part in frame.groupby(["variant", "x"], sort=False)
    )
    return Figure(
        title,
        lambda: plots.grid(frame, draw, col="all", height=2.8, aspect=1.7),
        frame.drop(columns="all"),
        f"Test accuracy against {x_label}: {said}.",
        caption,
    )
