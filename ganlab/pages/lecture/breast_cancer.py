"""Breast cancer prediction: a net and logistic regression over many splits, scaled and unscaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganlab import learning_plots, plots
from ganlab.experiment import Run
from ganlab.learning_plots import called
from ganlab.pages.lecture import learned
from ganlab.pages.lecture.learned import Comparison, compare, difference, percent, points, what_was_run
from ganlab.pages.page import Cell, Figure, Section, Table, Text
from ganlab.pages.shared import mean_cell, mean_text

PAIRS = (("mlp", "linear"), ("mlp", "mlp, unscaled"), ("linear", "linear, unscaled"), ("mlp", "mlp, shuffled labels"))
"""What is compared: the net with the line, each with itself unscaled, and with nothing to learn."""


def section(runs: Sequence[Run]) -> Section:
    """Return the section of the runs of this study: MLP and linear layer, scaled and unscaled, and shuffled labels."""
    found = learning_plots.scores(runs, "accuracy")
    proper = [run for run in runs if called(run) in ("mlp", "linear")]
    decided = compare([(a, b, found[a], found[b]) for a, b in PAIRS], higher_is_better=True)
    return Section(
        "Breast cancer: does a net tell malignant from benign, and is it better than logistic regression?",
        [
            Text([_answer(found, decided[0]), _scaling_answer(decided[1])]),
            learned.scores(
                "Test accuracy", {"test accuracy": found}, percent,
                "Shares of 114 test lumps. linear: logistic regression, the same program without hidden layers. With shuffled "
                "labels there is nothing to learn, and the accuracy is that of chance.",
            ),
            learned.comparisons(
                "What makes a difference?", decided, points,
                "Splits of the same 569 lumps share rows, so that all intervals here are somewhat too narrow for other lumps "
                "(Nadeau and Bengio 2003).",
            ),
            learned.scores_figure(
                "How far do splits differ?", runs, "accuracy", "test accuracy",
                f"A point for each of {len(runs[0].experiment.seeds)} splits, above it the mean with its 95 % interval. One "
                "split of 114 lumps says little: where 97 % are right, its own standard deviation is 1.6 points.",
            ),
            _confusion(proper),
            _calibration(proper),
            what_was_run(runs),
        ],
    )  # fmt: skip


def _answer(found: Mapping[str, pd.Series], comparison: Comparison) -> str:
    mlp, linear = (mean_text(found[name], percent) for name in ("mlp", "linear"))
    return (
        f"Right about test lumps: the net {mlp}, logistic regression {linear}, over {len(found['mlp'])} stratified splits. On "
        f"the same splits {comparison.answer}."
    )


def _scaling_answer(comparison: Comparison) -> str:
    return (
        "The lesson is the scaling: the same net learns from measures as they are written down, from 0.001 to 4000, and from "
        "measures scaled to mean 0 and standard deviation 1. On the same splits scaling is worth "
        f"{difference(comparison, points)}."
    )


def _counts(run: Run) -> NDArray[np.int64]:
    """Return test lumps `[member, true, predicted]` of the finished members; class 1 is malignant."""
    finished = np.isfinite(run.samples["predicted"]).all((1, 2))
    truth, said = run.samples["truth"][finished], run.samples["predicted"][finished].argmax(-1)
    counts = [[((truth == t) & (said == p)).sum(1) for p in (0, 1)] for t in (0, 1)]
    return np.asarray(counts, dtype=np.int64).transpose(2, 0, 1)


def _confusion(runs: Sequence[Run]) -> Table:
    """Return the mean confusion matrix of each net with sensitivity and specificity."""
    rows: list[list[Cell | str]] = []
    for run in runs:
        counts = _counts(run)
        cells = [mean_cell(counts[:, t, p], lambda v: f"{max(v, 0):.1f}") for t, p in ((1, 1), (1, 0), (0, 0), (0, 1))]
        sensitivity, specificity = (counts[:, c, c] / counts[:, c].sum(1) for c in (1, 0))
        rows.append([called(run), *cells, mean_cell(sensitivity, percent), mean_cell(specificity, percent)])
    return Table(
        "Which mistakes are made?",
        [
            "predicted by", "malignant, found", "malignant, missed", "benign, cleared", "benign, alarmed", "sensitivity",
            "specificity",
        ],
        rows,
        "The confusion matrix in four columns: lumps of a test set. Sensitivity: of the malignant "
        "the share that is found. Specificity: of the benign the share that is cleared. Means over splits with 95 % "
        "Student-t intervals; a split tests 42 malignant and 72 benign lumps.",
    )  # fmt: skip


def _calibration(runs: Sequence[Run]) -> Figure:
    frame = learning_plots.frame_calibration(runs).assign(all="")
    draw = partial(learning_plots.draw_calibration, colours=plots.palette([called(run) for run in runs]))
    n_splits, least = len(runs[0].experiment.seeds), int(frame["seeds"].min())
    n_between = int(frame[frame["said"].between(0.2, 0.8)]["n"].sum())
    said = "; ".join(f"{row.variant}: said {row.said:.0%}, was {row.share:.0%}" for row in frame.itertuples())
    return Figure(
        "Are the probabilities what they say?",
        lambda: plots.grid(frame, draw, col="all", height=3.2, aspect=1.15),
        frame.drop(columns="all"),
        f"Calibration: the share of lumps that are malignant against the probability said. {said}.",
        f"Lumps in five bins by the probability of malignant; each point the mean share over those of {n_splits} splits that "
        f"have such lumps ({least} at least), with its 95 % Student-t interval. On the dotted line probabilities are what "
        f"they say. Only {n_between} of {int(frame['n'].sum())} predictions lie between 20 % and 80 %.",
    )
