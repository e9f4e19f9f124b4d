"""Figures of a frozen generator, in pairs as in `plots.py`: curves, what was lost, the discriminator from above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from ganlab import frozen, stats
from ganlab.experiment import Run
from ganlab.plots import Colours, draw_curves

ARROWS = Normalize(-8, 1)
"""Colours of arrows: decades of their length, shared by all panels."""


def frame_since(runs: Sequence[Run], name: str) -> pd.DataFrame:
    """Return one quantity since the generators froze: variant, age, seed, updates, value."""
    parts = []
    for run in runs:
        seeds = {m.place: m.seed for m in run.experiment.members()}
        table = frozen.since_frozen(run, name).rename(columns=seeds)
        long = table.reset_index().melt(id_vars="updates", var_name="seed")
        parts.append(long.assign(variant=run.experiment.subject, age=frozen.age(run)))
    return pd.concat(parts, ignore_index=True)[["variant", "age", "seed", "updates", "value"]]


def frame_decay(runs: Sequence[Run]) -> pd.DataFrame:
    """Return decades lost per thousand updates, a row per run: variant, age, rate, low, high, n."""
    rows = []
    for run in runs:
        found = stats.mean(frozen.decay(run)["rate"].to_numpy())
        rows.append([run.experiment.subject, frozen.age(run), found.estimate, found.low, found.high, found.n])
    return pd.DataFrame(rows, columns=["variant", "age", "rate", "low", "high", "n"])


def draw_decay(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """Points with intervals, a row per variant; the line at 0 is a gradient that keeps its size."""
    order = list(colours)  # the same in all panels, whatever was run
    for row in frame.to_dict("records"):
        y, colour = order.index(row["variant"]), colours[row["variant"]]
        if np.isfinite([row["low"], row["high"]]).all():
            ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=3, solid_capstyle="round", alpha=0.45)
        ax.plot([row["rate"]], [y], "o", color=colour, markersize=7)
    ax.axvline(0, color=plt.rcParams["text.color"], linestyle=":", linewidth=1)
    ax.set_yticks(range(len(order)), order)
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_xlabel("decades lost per 1000 updates")
    return ax


def frame_tails(runs: Sequence[Run]) -> pd.DataFrame:
    """Return how heavy the tails of the gradient's jumps are, for runs with enough looks: variant, age, seed, early, late."""
    parts = []
    for run in runs:
        seeds = [m.seed for m in run.experiment.members()]
        parts.append(frozen.tails(run).assign(variant=run.experiment.subject, age=frozen.age(run), seed=seeds))
    columns = ["variant", "age", "seed", "early", "late"]
    return pd.concat(parts, ignore_index=True)[columns].dropna() if parts else pd.DataFrame(columns=columns)


def draw_tails(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """A dot for each seed and a bar for their geometric mean, a row per variant; the lines are normal and Cauchy."""
    order = list(colours)  # the same in all panels, whatever was run
    for variant, part in frame.groupby("variant", sort=False):
        y, colour = order.index(str(variant)), colours[str(variant)]
        mean, _ = frozen.factor(np.ones(len(part)), part["late"])
        ax.plot(part["late"], np.full(len(part), y + 0.22), ".", color=colour, alpha=0.5, markersize=5)
        if np.isfinite([mean.low, mean.high]).all():
            ax.plot([mean.low, mean.high], [y, y], color=colour, linewidth=3, solid_capstyle="round", alpha=0.45)
        ax.plot([mean.estimate], [y], "o", color=colour, markersize=7)
    for law in (frozen.NORMAL, frozen.CAUCHY):
        ax.axvline(law, color=plt.rcParams["text.color"], linestyle=":", linewidth=1)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks(range(len(order)), order)
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_xlabel("middle 95 % of jumps over middle half")
    return ax


def frame_surface(runs: Sequence[Run], when: Sequence[str], member: int = 0) -> pd.DataFrame:
    """Return the discriminator from above at each run's end, for one member: variant, when, kind, x, y, value, dx, dy.

    Kinds: "logit" with its value, "pull" with its components, and "real" and "fake" samples.
    """
    parts = []
    for run, moment in zip(runs, when, strict=True):
        s = run.samples
        grid = np.stack(np.meshgrid(*s["surface_axes"]), -1)
        pull = s["surface_pulls"][member].reshape(-1, 2)
        kinds = {
            "logit": _places(grid).assign(value=s["surface_logits"][member].ravel()),
            "pull": _places(grid[1::3, 1::3]).assign(dx=pull[:, 0], dy=pull[:, 1]),
            "real": _places(s["real"][:200]),
            "fake": _places(s["generated"][member, -1, :200]),
        }
        parts += [frame.assign(kind=kind, variant=run.experiment.subject, when=moment) for kind, frame in kinds.items()]
    return pd.concat(parts, ignore_index=True)


def _places(points: NDArray[Any]) -> pd.DataFrame:
    return pd.DataFrame(points.reshape(-1, 2), columns=["x", "y"])


def draw_surface(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Logits in grey, light where the discriminator says real; arrows of one length, whose colour is the size of the pull."""
    kinds = dict(list(frame.groupby("kind")))
    logit = kinds["logit"].pivot(index="y", columns="x", values="value")
    largest = float(np.nanmax(np.abs(logit - np.nanmedian(logit)))) or 1.0
    middle = float(np.nanmedian(logit))
    ax.contourf(logit.columns, logit.index, logit, 12, cmap="Greys_r", vmin=middle - 1.6 * largest, vmax=middle + 1.1 * largest)
    ax.scatter(kinds["real"]["x"], kinds["real"]["y"], s=9, facecolors="none", edgecolors="#0072b2", linewidths=0.6)
    ax.scatter(kinds["fake"]["x"], kinds["fake"]["y"], s=5, color="#d55e00", linewidths=0)
    pull = kinds["pull"]
    length = np.hypot(pull["dx"], pull["dy"])
    size = np.maximum(length, frozen.SMALLEST)
    ax.quiver(
        pull["x"], pull["y"], pull["dx"] / size, pull["dy"] / size, np.log10(size), cmap="viridis", norm=ARROWS, scale=16,
        width=0.008, pivot="middle",
    )  # fmt: skip
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    ax.grid(False)
    ax.spines[:].set_visible(True)
    return ax


def surfaces(frame: pd.DataFrame) -> Figure:
    """Return a panel for each variant and moment, and the colours of arrows."""
    variants, moments = (list(dict.fromkeys(frame[name])) for name in ("variant", "when"))
    size = 2.7 * len(moments) + 0.9, 2.75 * len(variants)
    figure, axes = plt.subplots(len(variants), len(moments), figsize=size, squeeze=False, layout="constrained")
    for variant, row in zip(variants, axes, strict=True):
        for moment, ax in zip(moments, row, strict=True):
            part = frame[(frame["variant"] == variant) & (frame["when"] == moment)]
            if part.empty:
                ax.set_axis_off()
                continue
            draw_surface(part, ax)
            ax.set_aspect("equal")
            ax.set_title(f"{variant}, {moment}")
    colours = plt.cm.ScalarMappable(norm=ARROWS, cmap="viridis")
    bar = figure.colorbar(colours, ax=axes, shrink=0.8, extend="both", format=FuncFormatter(lambda value, _: f"1e{value:+.0f}"))
    bar.set_label("length of the pull on a fake sample")
    return figure


def whole_runs(frame: pd.DataFrame, age: int, colours: Colours) -> Figure:
    """Return a panel for each quantity and variant over whole runs, with a line where the generator freezes."""
    variants, quantities = (list(dict.fromkeys(frame[name])) for name in ("variant", "quantity"))
    figure, axes = plt.subplots(
        len(quantities), len(variants), figsize=(3.4 * len(variants), 2.1 * len(quantities)), squeeze=False, sharex=True,
        sharey="row", layout="constrained",
    )  # fmt: skip
    for quantity, row in zip(quantities, axes, strict=True):
        for variant, ax in zip(variants, row, strict=True):
            part = frame[(frame["quantity"] == quantity) & (frame["variant"] == variant)]
            log = quantity.endswith("gradient")
            draw_curves(part, ax, colours=colours, label=quantity if ax is row[0] else "", log=log, from_zero=False)
            ax.axvline(age, color=plt.rcParams["text.color"], linestyle=":", linewidth=1)
            ax.set_xlabel("step" if quantity == quantities[-1] else "")
            ax.set_title(variant if quantity == quantities[0] else "")
    return figure
