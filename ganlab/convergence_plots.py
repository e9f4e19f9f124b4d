"""Figures of nets that settle or circle, in pairs as in `plots.py`: the way to the end, eigenvalues, spectra, averages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ganlab import trace
from ganlab.convergence import loss_spectrum
from ganlab.cycles import main_plane
from ganlab.experiment import Run
from ganlab.plots import Colours

BINS = 12
"""Bins of a spectrum, of equal width on a logarithmic axis of periods."""

REACH = 2.6
"""Half the side of a panel that shows a way of root mean square 1."""

LINEAR = 0.1
"""Eigenvalues up to this size lie on a linear scale, larger ones on a logarithmic one."""


def frame_path(runs: Sequence[Run]) -> pd.DataFrame:
    """Return angle and norms on the way from early to late parameters: variant, seed, alpha, cosine, generator, discriminator.

    The norms are of each player's gradient.
    """
    parts = []
    for run in runs:
        for member in run.experiment.members():
            alpha, cosine, generator, discriminator = run.samples["path"][member.place].T
            columns = {"alpha": alpha, "cosine": cosine, "generator": generator**0.5, "discriminator": discriminator**0.5}
            parts.append(pd.DataFrame({"variant": run.experiment.subject, "seed": member.seed, **columns}))
    return pd.concat(parts, ignore_index=True)


def paths(frame: pd.DataFrame, colours: Colours) -> Figure:
    """Return a column for each variant: the cosine above, both players' gradient norms below; a thin line for each seed."""
    variants = list(dict.fromkeys(frame["variant"]))
    figure, axes = plt.subplots(
        2, len(variants), figsize=(2.15 * len(variants) + 0.6, 4.2), squeeze=False, sharex=True, sharey="row",
        layout="constrained",
    )  # fmt: skip
    ink = plt.rcParams["text.color"]
    for variant, (above, below) in zip(variants, axes.T, strict=True):
        table = frame[frame["variant"] == variant].pivot(index="alpha", columns="seed")
        above.plot(table.index, table["cosine"], color=colours[variant], linewidth=0.9, alpha=0.6)
        above.axhline(0, color=ink, linewidth=0.6)
        for player, dash in (("generator", "-"), ("discriminator", ":")):
            lines = below.plot(table.index, table[player], dash, color=colours[variant], linewidth=1.0, alpha=0.6)
            lines[0].set_label(player)
        for ax in (above, below):
            ax.axvline(1, color=ink, linestyle=":", linewidth=1)
        above.set_title(variant)
        below.set(yscale="log", xlabel="from early (0) to last (1)")
    axes[0, 0].set_ylabel("cosine of the angle")
    axes[1, 0].set_ylabel("length of the gradient")
    axes[1, 0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes[1, 0].yaxis.set_minor_formatter(NullFormatter())
    axes[1, 0].legend(loc="best", fontsize=7)
    return figure


def frame_eigenvalues(runs: Sequence[Run]) -> pd.DataFrame:
    """Return eigenvalues of each member's game at its end: variant, seed, real, imaginary."""
    parts = []
    for run in runs:
        for member in run.experiment.members():
            values = run.samples["eigenvalues"][member.place]
            values = values[np.isfinite(values)]
            columns = {"real": values.real, "imaginary": values.imag}
            parts.append(pd.DataFrame({"variant": run.experiment.subject, "seed": member.seed, **columns}))
    return pd.concat(parts, ignore_index=True)


def draw_eigenvalues(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """A dot for each eigenvalue: left of the line it pulls in, right of it it pushes away, the higher the faster it turns."""
    for variant, part in frame.groupby("variant", sort=False):
        ax.plot(part["real"], part["imaginary"], "o", color=colours[str(variant)], markersize=3.5, alpha=0.5, markeredgewidth=0)
    for line in (ax.axvline, ax.axhline):
        line(0, color=plt.rcParams["text.color"], linewidth=0.6)
    ax.set_xscale("symlog", linthresh=LINEAR)
    ax.set_yscale("symlog", linthresh=LINEAR)
    ticks = [-100, -10, -1, 0, 1, 10, 100]
    largest = 2 * float(frame[["real", "imaginary"]].abs().max().max())
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks([t for t in ticks if abs(t) <= largest], minor=False)
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("real part: pulls in (-), pushes (+)")
    ax.set_ylabel("imaginary part: turns")
    return ax


def frame_spectrum(runs: Sequence[Run]) -> pd.DataFrame:
    """Return how the variance of each member's discriminator loss is shared among periods: variant, seed, period, share.

    In bins of equal width on a logarithmic axis, named by their middle in steps; seeds that are not finite are left out.
    """
    parts = []
    for run in runs:
        for member in run.experiment.members():
            found = loss_spectrum(run, member.place)
            if found is None:
                continue
            period = 1 / found.frequency
            edges = np.geomspace(2, period.max() * 1.001, BINS + 1)
            share = np.histogram(period, edges, weights=found.share)[0]
            columns = {"period": np.sqrt(edges[1:] * edges[:-1]), "share": share}
            parts.append(pd.DataFrame({"variant": run.experiment.subject, "seed": member.seed, **columns}))
    return pd.concat(parts, ignore_index=True)


def draw_spectrum(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """A thin line for each seed and a thick one for their median."""
    for variant, part in frame.groupby("variant", sort=False):
        table = part.pivot(index="period", columns="seed", values="share")
        ax.plot(table.index, table.to_numpy(), color=colours[str(variant)], alpha=0.35, linewidth=0.8)
        ax.plot(table.index, table.median(axis=1), color=colours[str(variant)], linewidth=2.2)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.axhline(0, linewidth=0)  # takes part in the common scale, and is not seen
    ax.set_xlabel("steps in a round")
    ax.set_ylabel("share of the variance")
    return ax


def frame_plane(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the generator's projected parameters in their main plane, second half of a run: variant, seed, step, x, y.

    Each seed has its own plane, and is scaled to a root mean square distance of 1 from its mean.
    """
    parts = []
    for run in runs:
        position = trace.by_part(run.trace, "generator_position")
        steps = np.sort(run.trace["step"].unique())
        late = 2 * steps >= run.experiment.steps
        for member in run.experiment.members():
            own = position[late, member.place]
            if np.isfinite(own).all():
                plane, _ = main_plane(own)
                x, y = (plane / np.sqrt((plane**2).sum(1).mean())).T
                columns = {"step": steps[late], "x": x, "y": y}
                parts.append(pd.DataFrame({"variant": run.experiment.subject, "seed": member.seed, **columns}))
    return pd.concat(parts, ignore_index=True)


def draw_plane(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """The way of one seed, darker as it goes on, with a dot at its end."""
    colour = colours[str(frame["variant"].iloc[0])]
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    for i in range(len(x) - 1):
        ax.plot(x[i : i + 2], y[i : i + 2], color=colour, linewidth=1.1, alpha=0.25 + 0.75 * i / len(x))
    ax.plot(x[-1:], y[-1:], "o", color=colour, markersize=5)
    ax.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xticks=[], yticks=[], xlabel="", ylabel="")
    ax.spines[:].set_visible(True)
    return ax


def frame_averages(runs: Sequence[Run]) -> pd.DataFrame:
    """Return how far samples of the last and of the average generator are from the data: variant, seed, last, average."""
    parts = []
    for run in runs:
        last, average = (trace.last(run.trace, name).to_numpy() for name in ("distance", "distance_of_average"))
        seeds = [member.seed for member in run.experiment.members()]
        parts.append(pd.DataFrame({"variant": run.experiment.subject, "seed": seeds, "last": last, "average": average}))
    return pd.concat(parts, ignore_index=True)


def draw_averages(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """A line for each seed, from its last generator to its average one: down where the average is nearer to the data."""
    for row in frame.to_dict("records"):
        ends, colour = [row["last"], row["average"]], colours[row["variant"]]
        ax.plot([0, 1], ends, "o-", color=colour, alpha=0.6, linewidth=1.2, markersize=4)
    ax.set_xticks([0, 1], ["last", "average"])
    ax.set_xlim(-0.3, 1.3)
    ax.axhline(0, linewidth=0)  # takes part in the common scale, and is not seen
    ax.set_xlabel("")
    ax.set_ylabel("distance to the data (std)")
    return ax
