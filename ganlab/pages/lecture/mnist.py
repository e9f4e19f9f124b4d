"""MNIST, MLP against CNN: how many images each needs, what becomes of it when a digit is moved, and what it confuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from ganlab import learning_plots, plots, trace
from ganlab.experiment import Run
from ganlab.pages.classifiers import confusion_figure
from ganlab.pages.lecture.judged import named
from ganlab.pages.lecture.learned import Comparison, compare, comparisons, difference, percent, points, scores
from ganlab.pages.page import Figure, Section, Text
from ganlab.pages.shared import mean_text, settings

CNN, MLP = "cnn", "mlp"

UPDATES = 7500
"""Of the full profile, about four times through all of MNIST's training images."""

MOVED = 500
"""Test images that are moved: the first so many, or all where there are fewer."""

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
    n_seeds, n_test = len(runs[0].experiment.seeds), _tested(at_most[0])
    n_moved = min(n_test, MOVED)
    return Section(
        "MNIST: is a convolutional net better than a perceptron, also when a digit is moved?",
        [
            Text([_answer(sizes, decided), _shift_answer(shifts, decided, n_moved, n_test), _lesson(runs) + _shortened(runs)]),
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
                f"The nets of {most:,} training images, on the first {n_moved} test images moved left, right, up and down by "
                f"so many pixels, mean over the four; no image was moved in training. Faint: each of {n_seeds} seeds; thick: "
                "their mean with its 95 % interval.",
            ),
            comparisons("Is the CNN better on the same seeds?", decided, points, "Differences of accuracy, CNN less MLP."),
            _confusion(at_most),
            settings([named(run, _called(run)) for run in runs]),
        ],
    )  # fmt: skip


def _called(run: Run) -> str:
    return f"{run.experiment.subject}, from {run.experiment.settings['n_train']:,} images"


def _tested(run: Run) -> int:
    """Return how many test images there were."""
    return int(trace.select(run.trace, "confusion").groupby("member")["value"].sum().max())


def _shortened(runs: Sequence[Run]) -> str:
    """Return what is less here than in the full profile, a sentence; nothing where nothing is."""
    e = max((run.experiment for run in runs), key=lambda e: e.settings["n_train"])
    if e.data != "mnist":
        return " These are the 8 x 8 digits of scikit-learn, since MNIST is not at hand."
    updates, n = e.steps * -(-e.settings["n_train"] // e.settings["batch"]), e.settings["n_train"]
    if updates >= UPDATES:
        return ""
    return (
        f" Shortened here: about {updates} updates in place of the full profile's {UPDATES}, on {n:,} training images at most "
        "in place of 60,000. So both nets are far from as good as they become; what is compared is how they learn from little."
    )


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
        f"from {int(n):,} training images {mean_text(sizes[CNN][n], percent)} against {mean_text(sizes[MLP][n], percent)} "
        f"({_verdict(c)})"
        for n, c in zip(sizes[CNN], decided, strict=False)  # those of shifts come after
    ]
    return f"Test images read right, CNN against MLP: {'; '.join(said)}."


def _verdict(c: Comparison) -> str:
    words = "the CNN is better" if c.answer.startswith(CNN) else "the MLP is better" if c.answer.startswith(MLP) else c.answer
    return f"{words}: {difference(c, points)}"


def _shift_answer(shifts: Scores, decided: Sequence[Comparison], n_moved: int, n_test: int) -> str:
    moved = [by for by in shifts[CNN] if by]
    (still, cnn), (flat, mlp) = ([mean_text(shifts[net][by], percent) for by in (0, 1)] for net in (CNN, MLP))
    first = decided[-len(moved)]
    own = f": the first {n_moved} of the {n_test:,} test images, whence another accuracy than above" if n_moved < n_test else ""
    return (
        f"Moved by a single pixel, the CNN still reads {cnn} and the MLP {mlp} ({_verdict(first)}); not moved, the CNN reads "
        f"{still} and the MLP {flat} of the same images{own}."
    )


def _lesson(runs: Sequence[Run]) -> str:
    sizes: Mapping[str, float] = {r.experiment.subject: trace.last(r.trace, "n_parameters").iloc[0] for r in runs}
    return (
        f"The MLP has {sizes[MLP]:,.0f} parameters, and its first layer a weight for every pixel and unit; the CNN has "
        f"{sizes[CNN]:,.0f}, and its filters are the same at every place, so that what one learns of a stroke holds where the "
        "stroke is moved to."
    )


def _confusion(runs: Sequence[Run]) -> Figure:
    """Return the mean confusion matrices, and in words the commonest mistake of each net with its interval over seeds."""
    said = []
    for run in runs:
        counts = trace.select(run.trace, "confusion").pivot(index="member", columns="index", values="value")
        mistakes = counts[[name for name in counts if len(set(str(name).split(","))) == 2]]
        true, _, read = str(mistakes.mean().idxmax()).partition(",")
        often = mean_text(mistakes[f"{true},{read}"], lambda images: f"{max(images, 0):.1f}")
        said.append(f"the {run.experiment.subject} most often takes {true} for {read}, {often} images")
    return replace(
        confusion_figure(runs),
        caption=f"Test images in the mean over {len(runs[0].experiment.seeds)} seeds, of {_tested(runs[0]):,}, correct ones "
        f"left out. With 95 % Student-t intervals over seeds, {'; '.join(said)}.",
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
