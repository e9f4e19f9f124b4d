"""Figures of analytic games, in pairs as in `plots.py`: phase portraits, distances, contraction factors, averages, maps.

Frames come from `ganlab.dynamics` alone. Nothing is drawn at random, so a line is all there is, and has no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ganlab.dynamics import bilinear_contraction, running_mean, simulate, velocity
from ganlab.dynamics.methods import METHODS
from ganlab.dynamics.verdicts import Judged, two_time_scales
from ganlab.plots import FAINT, Colours, palette

Found = Mapping[tuple[str, str], Judged]
"""By names of method and play."""

Plan = tuple[str, str, Mapping[str, Any], Sequence[float], Sequence[float]]
"""Of a map: title, name of a game, its numbers, the generator's step sizes, and the discriminator's over them (tau)."""

REACH = 2.0
"""Half the side of a phase portrait: the start (1, 1) and the paths that stay near it."""

FLOOR = 1e-12
"""Lowest distance shown where paths arrive: below it, round-off is not far."""

MARKS: dict[str, dict[str, Any]] = {
    "converges": {"marker": "o", "color": "#0173b2"},
    "converges sublinearly": {"marker": "v", "color": "#56b4e9"},
    "cycles": {"marker": "o", "color": "#de8f05", "markerfacecolor": "none"},
    "diverges": {"marker": "x", "color": "#c0504d"},
    "undecided": {"marker": ".", "color": "#949494"},
}
"""A verdict by shape as well as by colour."""

DASHES = ("-", "--", "-.", ":")


def frame_portrait(found: Found, plays: Sequence[str], steps: int = 300, cells: int = 11) -> pd.DataFrame:
    """Return the field on a grid and the first steps of paths: method, kind (arrow or path), play, step, theta, psi, u, v.

    (u, v) is the direction of the field, of length 1.
    """
    side = np.linspace(-REACH, REACH, cells)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    frames = []
    for name in dict.fromkeys(method for method, _ in found):
        method = METHODS[name]
        field = velocity(method.game, grid, **{k: v for k, v in method.numbers.items() if k != "clip"})
        size = np.linalg.norm(field, axis=1, keepdims=True)
        u, v = (field / np.where(size > 0, size, 1)).T
        arrows = {"method": name, "kind": "arrow", "play": "", "theta": grid[:, 0], "psi": grid[:, 1], "u": u, "v": v}
        frames.append(pd.DataFrame(arrows))
        for play in plays:
            theta, psi = found[name, play].path[: steps + 1].T
            path = {"method": name, "kind": "path", "play": play, "step": range(len(theta)), "theta": theta, "psi": psi}
            frames.append(pd.DataFrame(path))
    return pd.concat(frames, ignore_index=True)


def draw_portrait(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """Arrows of the field, paths from the dot at (1, 1), a cross at the equilibrium."""
    arrows, paths = frame[frame["kind"] == "arrow"], frame[frame["kind"] == "path"]
    ax.quiver(arrows["theta"], arrows["psi"], arrows["u"], arrows["v"], color="#8b949e", angles="xy", width=0.005, scale=18)
    for (play, path), dash in zip(paths.groupby("play", sort=False), DASHES, strict=False):
        ax.plot(path["theta"], path["psi"], color=colours[str(play)], linewidth=1.3, linestyle=dash, label=play)
    ax.plot([1], [1], "o", color=plt.rcParams["text.color"], markersize=4)
    ax.plot([0], [0], "+", color=plt.rcParams["text.color"], markersize=9, markeredgewidth=1.6)
    ax.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")
    ax.set_xlabel("generator θ")
    ax.set_ylabel("discriminator ψ")
    ax.grid(visible=False)
    return ax


def frame_distances(found: Found, steps: int = 1000, every: int = 4) -> pd.DataFrame:
    """Return distances to the equilibrium: method, play, step, distance."""
    frames = []
    for (method, play), judged in found.items():
        at = np.arange(0, min(steps + 1, len(judged.distances)), every)
        frames.append(pd.DataFrame({"method": method, "play": play, "step": at, "distance": judged.distances[at]}))
    return pd.concat(frames, ignore_index=True)


def draw_distances(frame: pd.DataFrame, ax: Axes, *, colours: Colours, lowest: float = FLOOR) -> Axes:
    """A line for each way of moving, down to the lowest distance that is to be seen."""
    for i, (play, path) in enumerate(frame.groupby("play", sort=False)):
        shown = path[path["distance"] >= lowest]
        dash = DASHES[i % len(DASHES)]
        ax.plot(shown["step"], shown["distance"], color=colours[str(play)], linewidth=1.4, linestyle=dash, label=play)
    ticks = [10.0**k for k in range(-12, 2, 4 if lowest < 1e-4 else 1) if lowest <= 10.0**k]
    ax.set(yscale="log", ylim=(lowest, 20), yticks=ticks, xlim=(0, frame["step"].max()), xticks=[0, 500, 1000])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}" if value < 1e-3 else f"{value:g}")
    ax.set_xlabel("step")
    ax.set_ylabel("distance")
    return ax


def frame_contraction(rules: Mapping[str, Mapping[str, float]], largest: float = 1.2) -> pd.DataFrame:
    """Return factors on the squared distance of the bilinear game: rule, step_size, factor, measured (NaN but for some sizes).

    Measured between steps 200 and 400 of a simulation, where a rule's memory of its start is gone.
    """
    frames = []
    for rule, numbers in rules.items():
        sizes = np.linspace(0.02, largest, 60)
        measured = np.full(len(sizes), np.nan)
        for i in range(4, len(sizes), 10):
            path = simulate("bilinear", rule=rule, step_size=sizes[i], steps=400, start=(1e-60, 0), **numbers)
            squares = ((path * 1e60) ** 2).sum(axis=1)
            with np.errstate(all="ignore"):
                measured[i] = (squares[300:].max() / squares[200:301].max()) ** 0.01
        factor = [bilinear_contraction(rule, h, **numbers) for h in sizes]
        frames.append(pd.DataFrame({"rule": rule, "step_size": sizes, "factor": factor, "measured": measured}))
    return pd.concat(frames, ignore_index=True)


def draw_contraction(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Closed forms as lines, simulations as dots; below the dotted line a rule converges."""
    colours = palette(frame["rule"])
    for i, (rule, part) in enumerate(frame.groupby("rule", sort=False)):
        colour, dash, said = colours[str(rule)], DASHES[i % len(DASHES)], str(rule).replace("_", " ")
        ax.plot(part["step_size"], part["factor"], color=colour, linestyle=dash, linewidth=1.8, label=said)
        ax.plot(part["step_size"], part["measured"], "o", color=colour, markersize=4)
    ax.axhline(1.0, color=plt.rcParams["text.color"], linestyle=":", linewidth=1)
    ax.set(xlim=(0, frame["step_size"].max()), ylim=(0, 2))
    ax.set_xlabel("step size h")
    ax.set_ylabel("factor on the squared distance, a step")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax


def frame_averages(plays: Mapping[str, Mapping[str, Any]], steps: int = 1000, every: int = 4) -> pd.DataFrame:
    """Return how far the mean that a WGAN learns is from the true one: play, step, last (iterate), average (of all so far)."""
    frames = []
    for play, settings in plays.items():
        path = simulate("mean_wgan", step_size=0.1, steps=steps, **settings)
        last, average = (np.linalg.norm(p[::every, :2] - [3.0, 4.0], axis=1) for p in (path, running_mean(path)))
        frames.append(pd.DataFrame({"play": play, "step": np.arange(0, steps + 1, every), "last": last, "average": average}))
    return pd.concat(frames, ignore_index=True)


def draw_averages(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """The last iterate and the average of all so far."""
    for name, dash in (("last", "-"), ("average", "--")):
        ax.plot(frame["step"], frame[name], color=colours[name], linestyle=dash, linewidth=1.5, label=name)
    ax.set(yscale="log", ylim=(1e-3, 1e3), yticks=[1e-2, 1, 1e2], xlim=(0, frame["step"].max()), xticks=[0, 500, 1000])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel("step")
    ax.set_ylabel("distance to the true mean")
    return ax


def frame_maps(maps: Iterable[Plan]) -> pd.DataFrame:
    """Return verdicts over two step sizes: game (a map's title), step_size, ratio, verdict, radius."""
    frames = []
    for title, game, numbers, step_sizes, ratios in maps:
        found = two_time_scales(game, step_sizes, ratios, **numbers)
        h, tau = np.array(list(product(step_sizes, ratios))).T
        columns = {"game": title, "step_size": h, "ratio": tau}
        frames.append(pd.DataFrame({**columns, "verdict": found.verdicts.ravel(), "radius": found.radius.ravel()}))
    return pd.concat(frames, ignore_index=True)


def draw_map(frame: pd.DataFrame, ax: Axes) -> Axes:
    """A mark for each pair of step sizes; the line is where eigenvalues say that convergence ends."""
    for verdict, style in MARKS.items():
        part = frame[frame["verdict"] == verdict]
        ax.plot(part["step_size"], part["ratio"], linestyle="", markersize=3.6, markeredgewidth=0.9, label=verdict, **style)
    radius = frame.pivot(index="ratio", columns="step_size", values="radius")
    if radius.min().min() < 1 < radius.max().max():
        ink = plt.rcParams["text.color"]
        ax.contour(radius.columns, radius.index, radius.to_numpy(), levels=[1.0], colors=[ink], linewidths=1.2)
    low, high = frame[["step_size", "ratio"]].min(), frame[["step_size", "ratio"]].max()
    ax.set(xscale="log", yscale="log")
    ax.set_xlim(low["step_size"] / 1.1, high["step_size"] * 1.1)
    ax.set_ylim(low["ratio"] / 1.1, high["ratio"] * 1.1)
    ax.minorticks_off()
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel("generator's step size h")
    ax.set_ylabel("discriminator's over it, τ")
    ax.grid(visible=False)
    return ax


def panels(
    frame: pd.DataFrame, draw: Callable[[pd.DataFrame, Axes], Axes], col: str, wrap: int, size: tuple[float, float],
    share: bool = True,
) -> Figure:  # fmt: skip
    """Return a panel for each value of `col`, `wrap` in a row, with one legend below for all."""
    names = list(dict.fromkeys(frame[col]))
    rows = -(-len(names) // wrap)
    inches = (size[0] * wrap, size[1] * rows + 0.35)
    figure, axes = plt.subplots(rows, wrap, figsize=inches, squeeze=False, sharex=share, sharey=share, layout="constrained")
    labels: dict[str, Line2D] = {}
    for name, ax in zip(names, axes.flat, strict=False):
        draw(frame[frame[col] == name], ax).set_title(name)
        handles, said = ax.get_legend_handles_labels()
        labels |= dict(zip(said, handles, strict=True))
    for ax in axes.flat[len(names) :]:
        ax.set_visible(False)
    if share:
        for i, ax in enumerate(axes.flat):
            ax.label_outer() if i + wrap < len(names) else ax.tick_params(labelbottom=True)
            if i % wrap:
                ax.set_ylabel("")
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=min(len(labels), 6), edgecolor=FAINT)
    return figure
