"""Deep learning for regression: a curve that no line follows, and a table that a line does well on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from ganlab import learning_plots, plots
from ganlab.experiment import Run
from ganlab.pages.lecture.learned import Comparison, compare, comparisons, plain, scores, scores_figure, signed, what_was_run
from ganlab.pages.page import Figure, Section, Text
from ganlab.pages.shared import mean_text

LINE = "linear regression"


def section(runs: Sequence[Run]) -> Section:
    """Return the section of the runs of this study: an MLP on each data set."""
    by_data = {run.experiment.data: run for run in runs}
    found = {_said(data): learning_plots.scores([run], "rmse") for data, run in by_data.items()}
    pairs = [(f"the net on {data}", f"the line on {data}", values["mlp"], values[LINE]) for data, values in found.items()]
    decided = compare(pairs, higher_is_better=False)
    figures = [_fit_figure(run) for data, run in by_data.items() if run.samples["inputs"].shape[2:] == (1,)]
    return Section(
        "Can a deep net predict numbers, and is it better than a straight line?",
        [
            Text([_answer(data, found[data], comparison) for data, comparison in zip(found, decided, strict=True)]),
            scores(
                "Test error (RMSE)", found, plain,
                "Root mean square error on test rows that training did not see, in the unit of what is predicted; diabetes: "
                "points of disease progression. How long the net trains was chosen with test errors in sight, which "
                "flatters it. The line is fitted by least squares to the same training rows.",
            ),
            comparisons(
                "Is the net better than the line?", decided, signed,
                "RMSE, so that less is better. Splits of the same patients share rows, so that the test is somewhat too "
                "sure of diabetes (Nadeau and Bengio 2003); each seed of the curve has points of its own.",
            ),
            *figures,
            *(
                scores_figure(
                    f"How far do seeds differ on {_said(data)}?", [run], "rmse", "test RMSE",
                    f"A point for each of {len(run.experiment.seeds)} seeds, above it the mean with its 95 % interval. The "
                    "mean and the line differ between seeds too, because each seed has its own test rows.",
                )
                for data, run in by_data.items()
            ),
            what_was_run(runs),
        ],
    )  # fmt: skip


def _answer(data: str, values: Mapping[str, pd.Series], comparison: Comparison) -> str:
    net, line = (mean_text(values[name], plain) for name in ("mlp", LINE))
    return (
        f"{_said(data).capitalize()}: the net misses by {net}, the line by {line}, over {len(values['mlp'])} seeds; on the "
        f"same splits {comparison.answer}."
    )


def _said(data: str) -> str:
    """Return the name of a data set for a sentence."""
    return data.replace("_", " ")


def _fit_figure(run: Run) -> Figure:
    frame = learning_plots.frame_fit(run).replace({"data": {run.experiment.data: _said(run.experiment.data)}})
    colour = plots.palette(["mlp"])["mlp"]
    n = len(run.experiment.seeds)
    return Figure(
        f"What does the net make of the {_said(run.experiment.data)}?",
        lambda: plots.grid(frame, partial(learning_plots.draw_fit, colour=colour), col="data", height=2.8, aspect=1.7),
        frame,
        f"Test points of {n} seeds in grey, and the {n} learned curves through them.",
        f"Grey: test points of {n} seeds, each with noise of its own; lines: what each seed's net predicts at its test points.",
    )
