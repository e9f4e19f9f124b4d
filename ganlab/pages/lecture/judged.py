"""What the sections about GANs share: runs under names of their own, verdicts, and numbers with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlab import plots, stats, trace
from ganlab.diagnoses import diagnose
from ganlab.diagnoses.vanishing_gradients import POOR
from ganlab.experiment import Run
from ganlab.pages.gans import every_failure
from ganlab.pages.page import Cell, Figure, Table
from ganlab.pages.shared import apart, compared, mean_cell, settings

NEAR = POOR
"""Sliced distance to the data, in their standard deviations, up to which samples are near: about twice that of two sets of 512
real samples."""


def mended(course: Run, held: Run) -> str:
    """Return what examples 1 and 2 change in the course's GAN, but for its data: a sentence's end, and a sentence."""
    before, after = (run.experiment.settings["latent"] for run in (course, held))
    return (
        f"{after} latents about zero in place of {before} about a half, a generator that ends without an activation, Adam in "
        "place of plain gradients with momentum, a discriminator that learns five times as fast as the generator, R1, and a "
        "running mean of the generator. All of this changes at once, so which of it helps is not shown here."
    )


NOT_COMPARED = "not compared: a seed has no value, and none is left out"


def named(run: Run, name: str) -> Run:
    """Return the run under another name."""
    return replace(run, experiment=replace(run.experiment, subject=name))


def colours(runs: Sequence[Run]) -> dict[str, str]:
    """Return a colour for each run's name."""
    return plots.palette(run.experiment.subject for run in runs)


def verdicts(runs: Sequence[Run]) -> Table:
    """Return how many seeds of each run failed in which way, with intervals and since when."""
    table = every_failure(runs, [diagnose(run) for run in runs], colours(runs))
    return replace(
        table,
        rows=[[replace(name, note=""), *found] for name, *found in table.cells()],
        caption=table.caption.replace("stands below", "stands at the end of the page").replace(
            "the claim about the rate", f"the claim about a rate of {stats.TOLERATED_RATE:.0%}"
        )
        + " Seeds that still come nearer to the data are not judged for non-convergence.",
    )


def folded_settings(runs: Sequence[Run]) -> Table:
    """Return what was run, folded away: a page for a wall shows it on request."""
    return replace(settings(runs), folded=True)


def ranged(figure: Figure, time: str = "step") -> Figure:
    """Return a figure of curves, its caption with how far the seeds lie apart at the last look.

    Parameters
    ----------
    time
        The column of its frame along which the curves run.
    """
    frame = figure.frame
    last = frame[frame[time] == frame.groupby("variant", sort=False)[time].transform("max")]
    said = "; ".join(
        f"{name} {part.min():.3g} to {part.max():.3g} (n={part.count()})"
        for name, part in last.groupby("variant", sort=False)["value"]
    )
    return replace(figure, caption=f"{figure.caption} From the lowest seed to the highest there: {said}.")


def near(run: Run) -> stats.Rate:
    """Return the share of seeds whose samples end near the data."""
    distance = trace.last(run.trace, "distance")
    return stats.rate(int((distance <= NEAR).sum()), len(distance))


def last_samples(run: Run) -> NDArray[np.float32]:
    """Return the samples of each seed at the last look, `[member, n, *shape]`."""
    return np.asarray(run.samples["generated"][:, -1])


def two_digits(value: float) -> str:
    return f"{value:.2f}"


def numbers(
    title: str, runs: Sequence[Run], quantities: dict[str, Callable[[Run], NDArray[Any]]], wanted: Sequence[str],
    caption: str,
) -> Table:  # fmt: skip
    """Return a row for the data and one for each run: means over seeds of what is read off each, and the share that ends near.

    Parameters
    ----------
    quantities
        By its name, a function that gives a number for each member.
    wanted
        What a perfect generator would have of each.
    """
    shades = colours(runs)
    rows: list[list[Cell | str]] = [["the data", *wanted, ""]]
    for run in runs:
        share = near(run)
        cells = [mean_cell(read(run), two_digits) for read in quantities.values()]
        end = Cell(f"{share.failures} of {share.n}", note=f"{share.estimate:.0%} [{share.low:.0%}, {share.high:.0%}]")
        rows.append([Cell(run.experiment.subject, swatch=shades[run.experiment.subject]), *cells, end])
    usual = (
        f" Means over seeds with 95 % intervals (Student t). Near: within {NEAR} standard deviations of the data by the sliced "
        f"Wasserstein distance, by which two sets of {compared(runs[0])} samples of one normal law are about "
        f"{apart(runs[0]):.2f} apart; with its Wilson interval."
    )
    return Table(title, ["generator", *quantities, "seeds that end near"], rows, caption + usual)


def distances(run: Run) -> NDArray[np.float64]:
    """Return each seed's distance to the data at the end, in standard deviations of the data."""
    return trace.last(run.trace, "distance").to_numpy(dtype=float)


def paired(one: NDArray[np.float64], other: NDArray[np.float64], among: int = 1) -> str:
    """Return the mean difference one - other on the same seeds, with interval and the exact sign-flip test that decides.

    Parameters
    ----------
    among
        How many comparisons are told together; p is multiplied by it (Bonferroni).
    """
    if not np.isfinite([*one, *other]).all():
        return NOT_COMPARED
    found = stats.paired_difference(one, other)
    bounds = f"[{found.low:+.2f}, {found.high:+.2f}]" if np.isfinite(found.low) else "no interval"
    p = min(1.0, among * stats.sign_flip(one, other))
    corrected = f" (corrected for {among} comparisons)" if among > 1 else ""
    return f"{found.estimate:+.2f} {bounds}, n={found.n}, sign-flip p = {p:.2g}{corrected}"
