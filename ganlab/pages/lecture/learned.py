"""What the sections about learning from tables and series share: scores over seeds, and comparisons in pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ganlab import learning_plots, plots, stats
from ganlab.experiment import Run
from ganlab.learning_plots import called
from ganlab.pages.lecture.judged import NOT_COMPARED, named
from ganlab.pages.page import Cell, Figure, Table
from ganlab.pages.shared import Written, bounds, mean_cell, settings

CAPTION = "Means over seeds with 95 % Student-t intervals; every seed has its own"


def percent(value: float) -> str:
    """Write a share: the end of an interval that lies beyond 0 or 1, where no share can be, as 0 or 1."""
    return f"{np.clip(value, 0, 1):.1%}"


def plain(value: float) -> str:
    return f"{value:.3g}"


def points(value: float) -> str:
    return f"{100 * value:+.1f} points"


def signed(value: float) -> str:
    return f"{value:+.3g}"


def what_was_run(runs: Sequence[Run]) -> Table:
    """Return the settings of runs of one study, by the names that its tables have for them."""
    return settings([named(run, called(run)) for run in runs])


def scores(
    title: str, columns: Mapping[str, Mapping[str, ArrayLike]], write: Written, caption: str = "",
    own: str = "split, initial weights and batches",
) -> Table:  # fmt: skip
    """Return a row for each predictor and a column for each of `columns`, a mapping from predictor to a value for each seed.

    `own` says what every seed has of its own: what the intervals are over.
    """
    names = list(dict.fromkeys(name for found in columns.values() for name in found))
    rows: list[list[Cell | str]] = [
        [name, *(mean_cell(found[name], write) if name in found else "" for found in columns.values())] for name in names
    ]
    return Table(title, ["predicted by", *columns], rows, f"{caption} {CAPTION} {own}.".strip())


class Comparison(NamedTuple):
    """Two predictors on the same seeds: a - b with its interval, the corrected p-value, and what that says."""

    a: str
    b: str
    difference: stats.Interval
    p: float
    answer: str


def compare(pairs: Sequence[tuple[str, str, ArrayLike, ArrayLike]], higher_is_better: bool) -> list[Comparison]:
    """Return what is better on the same seeds, for each pair `(a, b, values of a, values of b)`.

    Decided by the exact sign-flip test at 5 %, corrected by Holm for the number of pairs; a seed without a value leaves it
    open.
    """
    found = []
    corrected = stats.holm([stats.sign_flip(a, b) for _, _, a, b in pairs])
    for (one, other, a, b), p in zip(pairs, corrected, strict=True):
        difference = stats.paired_difference(a, b)
        better = one if (difference.estimate > 0) == higher_is_better else other
        answer = f"{better} is better" if p <= 0.05 else "no difference is shown"
        found.append(Comparison(one, other, difference, float(p), answer))
    return found


def difference(c: Comparison, write: Written) -> str:
    """Return the difference of a pair for a sentence, or that there is none because a seed has no value."""
    if not np.isfinite(c.difference.estimate):
        return NOT_COMPARED
    return f"{write(c.difference.estimate)} {bounds(c.difference, write)} (n={c.difference.n})"


def difference_cell(c: Comparison, write: Written) -> Cell:
    """Return the difference of a pair with its interval, as `difference` does."""
    if not np.isfinite(c.difference.estimate):
        return Cell(NOT_COMPARED)
    return Cell(write(c.difference.estimate), note=f"{bounds(c.difference, write)}, n={c.difference.n}")


def p_text(c: Comparison) -> str:
    return "not tested: a seed has no value" if np.isnan(c.p) else f"p = {c.p:.2g}"


def comparisons(title: str, found: Sequence[Comparison], write: Written, caption: str = "") -> Table:
    """Return the table of these comparisons."""
    rows: list[list[Cell | str]] = [
        [
            f"{c.a} against {c.b}",
            difference_cell(c, write),
            Cell(c.answer, note=p_text(c)),
        ]
        for c in found
    ]
    corrected = f", corrected by Holm for {len(found)} comparisons" if len(found) > 1 else ""
    usual = (
        "Differences on the same seeds, with paired bootstrap intervals for reading. The exact sign-flip test decides at 5 %"
        f"{corrected}; it takes at least {stats.fewest_seeds(len(found))} seeds."
    )
    return Table(title, ["pair", "difference", "answer"], rows, f"{usual} {caption}".strip())


def scores_figure(title: str, runs: Sequence[Run], measure: str, label: str, caption: str) -> Figure:
    """Return every seed's score beside the mean with its interval, a row for each predictor."""
    frame = learning_plots.frame_scores(runs, measure).assign(all="")
    names = list(dict.fromkeys(frame["variant"]))
    draw = partial(learning_plots.draw_scores, colours=plots.palette(names), label=label)
    height = 0.45 * len(names) + 0.7
    said = "; ".join(f"{name} {frame[frame['variant'] == name]['mean'].iloc[0]:.3g}" for name in names)
    return Figure(
        title,
        lambda: plots.grid(frame, draw, col="all", height=height, aspect=5.2 / height),
        frame.drop(columns="all"),
        f"{label} of each seed and their means: {said}.",
        caption,
    )
