"""The page about applications of GANs: what came out with and without the GAN, on the same seeds."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab import trace
from ganlab.experiment import Run
from ganlab.pages.lecture.learned import plain
from ganlab.pages.page import Cell, Page, Section, Table, Text
from ganlab.pages.shared import distinct, environment, mean_cell, settings, sources

MEASURES = {"test_accuracy": "test accuracy", "recognised": "recognised", "psnr": "PSNR (dB)", "l1": "absolute error"}
"""What is read at the end, and what it is called; an application has some of them."""


def application_page(runs: Sequence[Run], name: str = "applications") -> Page:
    """Return the page about runs of one application on one data set."""
    runs = distinct(runs)
    subject, data = runs[0].experiment.title.split(" on ")
    names = [name for name in MEASURES if (runs[0].trace["name"] == name).any()]
    rows: list[list[Cell | str]] = [
        [run.experiment.subject, *(mean_cell(trace.last(run.trace, name), plain) for name in names)] for run in runs
    ]
    table = Table(
        "With and without a GAN", ["trained", *(MEASURES[name] for name in names)], rows,
        "Means over seeds with 95 % Student-t intervals, on test images; the same seeds have the same images, initial weights "
        "and batches.",
    )  # fmt: skip
    title = f"{subject.split()[0].replace('_', ' ').capitalize()} on {data}: what does a GAN add?"
    return Page(
        name, title, f"{len(runs)} ways to train, {len(runs[0].experiment.seeds)} seeds each.",
        [
            Section("The verdict", [table]),
            Section("Settings", [settings(runs), Text(environment(runs))]),
            Section("Sources", [Text(sources(runs))]),
        ],
    )  # fmt: skip
