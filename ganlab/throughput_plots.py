"""Figures of throughput, in pairs as in `plots.py`: ratios with intervals, curves with their knee, costs with their law.

Every frame is made from `throughput.table`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from ganlab.plots import Colours, Draw
from ganlab.throughput import knee, power_law, times

BAR = 0.34
"""Height of a bar's row, in inches."""


def frame_ratios(table: pd.DataFrame, group: str, quantity: str = "ratio") -> pd.DataFrame:
    """Return one row per candidate of a group with a "ratio" or "share": group, name, series, value, low, high.

    An interval that too few rounds leave unbounded is left empty.
    """
    rows = table[(table["group"] == group) & table[quantity].notna()]
    frame = pd.DataFrame(
        {
            "group": group, "name": [name_of(label) for label in rows["label"]], "series": rows["series"],
            "value": rows[quantity], "low": rows[f"{quantity}_low"], "high": rows[f"{quantity}_high"],
        }
    )  # fmt: skip
    return frame.replace([np.inf, -np.inf], np.nan).reset_index(drop=True)


def draw_ratios(frame: pd.DataFrame, ax: Axes, *, colours: Colours, label: str, percent: bool = False) -> Axes:
    """A bar a candidate from 0, its interval on top, its number beside it; dotted, what it is compared with."""
    scale, number = (100.0, "{:.0f}".format) if percent else (1.0, times)
    ink = plt.rcParams["text.color"]
    places = range(len(frame))
    ax.barh(places, scale * frame["value"], color=[colours[s] for s in frame["series"]], height=0.66, alpha=0.8)
    ends = frame[["value", "high"]].max(axis=1)
    for place, row, end in zip(places, frame.to_dict("records"), ends, strict=True):
        ax.plot([scale * row["low"], scale * row["high"]], [place, place], color=ink, linewidth=1.6)
        ax.annotate(number(scale * row["value"]), (scale * end, place), (4, 0), textcoords="offset points", va="center")
    ax.axvline(scale, color=ink, linestyle=":", linewidth=1)
    ax.set_yticks(places, list(frame["name"]))
    ax.set_ylim(len(frame) - 0.5, -0.5)
    ax.set_xlim(0, 1.14 * scale * max(1.0, float(ends.max())))
    ax.set_xlabel(label)
    ax.grid(visible=False, axis="y")
    return ax


def name_of(label: str) -> str:
    """Return a candidate's name within its group: what stands after the group's."""
    return label.partition(": ")[2] or label


def frame_curve(table: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """Return curves of rates: group, series, x, rate, low, high, knee (whether it is that point), plain (rate of the base)."""
    parts = []
    for group in groups:
        rows = table[table["group"] == group]
        plain = rows[rows["label"] == rows["base"]]["rate"]
        for series, part in rows[rows["axis"] == "members"].groupby("series", sort=False):
            part = part.sort_values("x")
            where = knee(list(part["x"]), list(part["rate"])).x if len(part) > 1 else np.nan
            parts.append(
                pd.DataFrame(
                    {
                        "group": group, "series": series, "x": part["x"], "rate": part["rate"], "low": part["rate_low"],
                        "high": part["rate_high"], "knee": part["x"] == where, "plain": plain.max(),
                    }
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True).replace([np.inf, -np.inf], np.nan)


def draw_curve(frame: pd.DataFrame, ax: Axes, *, colours: Colours, label: str) -> Axes:
    """A line a series with intervals, a ring around its knee; dotted, the plain loop."""
    ink = plt.rcParams["text.color"]
    for series, part in frame.groupby("series", sort=False):
        colour = colours[str(series)]
        ax.plot(part["x"], part["rate"], "o-", color=colour, markersize=4, linewidth=1.8, label=series)
        ax.vlines(part["x"], part["low"], part["high"], color=colour, linewidth=3, alpha=0.4)
        at = part[part["knee"]]
        ax.plot(at["x"], at["rate"], "o", markersize=11, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=1.5)
    ax.axhline(frame["plain"].max(), color=ink, linestyle=":", linewidth=1, label="plain loop")
    ax.set_xscale("log", base=2)
    _plain_ticks(ax, sorted(set(frame["x"])))
    ax.set_ylim(0, 1.12 * float(frame[["rate", "high"]].max().max()))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_xlabel("members")
    ax.set_ylabel(label)
    ax.legend(loc="upper left")
    return ax


def frame_costs(table: pd.DataFrame) -> pd.DataFrame:
    """Return whole runs by what they differ in: quantity, x, seconds, low, high, fitted (by the power law)."""
    parts = []
    for axis, part in table[table["group"].str.startswith("cost of ")].groupby("axis", sort=False):
        part = part.sort_values("x")
        seconds = 1 / part["rate"]
        law = power_law(part["x"], seconds) if len(part) > 1 else None
        fitted = law.factor * part["x"] ** law.exponent.estimate if law else np.nan
        low, high = 1 / part["rate_high"], 1 / part["rate_low"]
        columns = {"quantity": axis, "x": part["x"], "seconds": seconds, "low": low, "high": high, "fitted": fitted}
        parts.append(pd.DataFrame(columns))
    if not parts:
        return pd.DataFrame(columns=["quantity", "x", "seconds", "low", "high", "fitted"])
    return pd.concat(parts, ignore_index=True).replace([np.inf, -np.inf, 0.0], np.nan)


def draw_costs(frame: pd.DataFrame, ax: Axes, *, colour: str) -> Axes:
    """Seconds of a run against the quantity, both in octaves, with the fitted law; dotted, growth in proportion."""
    ink = plt.rcParams["text.color"]
    x, seconds = frame["x"].to_numpy(), frame["seconds"].to_numpy()
    ax.vlines(x, frame["low"], frame["high"], color=colour, linewidth=3, alpha=0.4)
    ax.plot(x, seconds, "o", color=colour, markersize=5)
    ax.plot(x, frame["fitted"], color=colour, linewidth=1.5, label="fit")
    ax.plot(x, seconds[0] * x / x[0], color=ink, linestyle=":", linewidth=1, label="in proportion")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    _plain_ticks(ax, list(x))
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xlabel(str(frame["quantity"].iloc[0]))
    ax.set_ylabel("seconds a run")
    ax.legend(loc="upper left")
    return ax


def bars(frame: pd.DataFrame, draw: Draw) -> Figure:
    """Return one panel that has room for each candidate of the frame."""
    figure, ax = plt.subplots(figsize=(6.8, BAR * len(frame) + 0.7), layout="constrained")
    draw(frame, ax)
    return figure


def panels(frame: pd.DataFrame, draw: Draw, col: str, height: float = 2.7, aspect: float = 1.35) -> Figure:
    """Return one panel for each value of `col`, with axes of its own: what is in them is not compared by eye."""
    names = list(dict.fromkeys(frame[col]))
    size = height * aspect * len(names), height
    figure, axes = plt.subplots(1, len(names), figsize=size, squeeze=False, layout="constrained")
    for name, ax in zip(names, axes.flat, strict=True):
        draw(frame[frame[col] == name], ax).set_title(name)
    return figure


def _plain_ticks(ax: Axes, values: Sequence[float]) -> None:
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
