"""The page about nets that learn tables and series: how good on test sets, against what needs no training, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ganlab import learning_plots, plots, stats
from ganlab.experiment import Run
from ganlab.learning_plots import called
from ganlab.pages.lecture import learned
from ganlab.pages.page import Figure, Page, Section, Text
from ganlab.pages.shared import distinct, environment, settings, sources

LABELS = {"accuracy": "test accuracy", "rmse": "test RMSE"}


def learner_page(runs: Sequence[Run], name: str = "learners") -> Page:
    """Return the page about runs on one table or series."""
    runs = distinct(runs)
    data, measure = runs[0].experiment.data, "accuracy" if runs[0].environment["classes"] else "rmse"
    write = learned.percent if measure == "accuracy" else learned.plain
    found = learning_plots.scores(runs, measure)
    said = ", ".join(f"{name} {write(stats.mean(values.to_numpy()).estimate)}" for name, values in found.items())
    seeds = learned.scores_figure(
        f"How far do seeds differ on {data}?", runs, measure, LABELS[measure],
        f"A point for each seed, above them the mean with its 95 % interval: {said}.",
    )  # fmt: skip
    unit = runs[0].environment["unit"]
    return Page(
        name,
        f"What do nets learn of {data}?",
        f"Mean {LABELS[measure]}{f' in {unit}' if unit else ''}: {said}.",
        [
            Section("The verdict", [learned.scores("How good are they?", {LABELS[measure]: found}, write)]),
            Section("The evidence", [seeds, _curves(runs, measure)]),
            Section("Settings", [settings(runs), Text(environment(runs))]),
            Section("Sources", [Text(sources(runs))]),
        ],
    )


def _curves(runs: Sequence[Run], measure: str) -> Figure:
    frame = plots.frame_curves(runs, f"test_{measure}")
    colours = plots.palette(run.experiment.subject for run in runs)
    draw = partial(plots.draw_curves, colours=colours, label=LABELS[measure], from_zero=False)
    return Figure(
        "How fast do they learn?",
        lambda: plots.grid(frame, draw, col="variant", wrap=3, height=2.4, aspect=1.4),
        frame,
        f"{LABELS[measure]} by step, a panel for each of {', '.join(called(run) for run in runs)}.",
        f"Thin lines: each of {len(runs[0].experiment.seeds)} seeds; thick: their median.",
    )
