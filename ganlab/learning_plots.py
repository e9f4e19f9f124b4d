"""Figures of nets that learn tables and series, in pairs: `frame_<name>(runs)` is tested, `draw_<name>(frame, ax)` draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from ganlab import stats, trace
from ganlab.experiment import Run
from ganlab.plots import Colours

SCALED = {"train": "", "none": ", unscaled", "whole": ", scaled by the whole"}


def called(run: Run) -> str:
    """Return a short name of a run among others on the same data: the net, and what is unusual about its data."""
    settings = run.experiment.settings
    return run.experiment.subject + SCALED[settings["scaling"]] + (", shuffled labels" if settings["shuffled"] else "")


def scores(runs: Sequence[Run], measure: str) -> dict[str, pd.Series]:
    """Return a measure on each seed's test set by the name of what predicted it: nets at their last step, then references."""
    found = {called(run): trace.last(run.trace, f"test_{measure}") for run in runs}
    rows = trace.select(runs[0].trace, f"reference_{measure}")
    return found | {str(name): part.set_index("member")["value"] for name, part in rows.groupby("index", sort=False)}


def frame_scores(runs: Sequence[Run], measure: str) -> pd.DataFrame:
    """Return one row a seed: variant, seed, value, and the mean over seeds with its 95 % interval: mean, low, high."""
    parts = []
    for name, values in scores(runs, measure).items():
        mean = stats.mean_of_finite(values)
        part = pd.DataFrame({"variant": name, "seed": values.index, "value": values.to_numpy()})
        parts.append(part.assign(mean=mean.estimate, low=mean.low, high=mean.high))
    return pd.concat(parts, ignore_index=True)


def draw_scores(frame: pd.DataFrame, ax: Axes, *, colours: Colours, label: str) -> Axes:
    """A row for each variant: a point for each seed, and above them the mean with its interval."""
    order = list(dict.fromkeys(frame["variant"]))
    for i, name in enumerate(order):
        part, colour = frame[frame["variant"] == name], colours[name]
        first = part.iloc[0]
        ax.plot(part["value"], np.full(len(part), i + 0.15), "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
        ax.plot([first["low"], first["high"]], [i - 0.15] * 2, color=colour, linewidth=3, solid_capstyle="round")
        ax.plot([first["mean"]], [i - 0.15], "o", color=colour, markersize=6)
    ax.set_yticks(range(len(order)), order)
    ax.set(ylim=(len(order) - 0.5, -0.5), xlabel=label)
    return ax


def frame_against(values: Mapping[str, Mapping[float, pd.Series]]) -> pd.DataFrame:
    """Return one row a seed of a value by variant and by where it was measured: variant, x, seed, value, mean, low, high."""
    parts = []
    for name, places in values.items():
        for x, found in places.items():
            mean = stats.mean_of_finite(found)
            part = pd.DataFrame({"variant": name, "x": x, "seed": found.index, "value": found.to_numpy()})
            parts.append(part.assign(mean=mean.estimate, low=mean.low, high=mean.high))
    return pd.concat(parts, ignore_index=True)


def draw_against(
    frame: pd.DataFrame, ax: Axes, *, colours: Colours, x_label: str, label: str, log: bool = False
) -> Axes:  # fmt: skip
    """A faint line for each seed, a thick one for their mean, and its interval at each place."""
    for name, part in frame.groupby("variant", sort=False):
        colour = colours[str(name)]
        table = part.pivot(index="x", columns="seed", values="value")
        ax.plot(table.index, table.to_numpy(), color=colour, alpha=0.25, linewidth=0.8)
        of = part.drop_duplicates("x").set_index("x")
        ax.plot(of.index, of["mean"], "o-", color=colour, linewidth=2.2, markersize=5, label=str(name))
        ax.vlines(of.index, of["low"], of["high"], color=colour, linewidth=3)
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xticks(sorted(frame["x"].unique()), [f"{x:,g}" for x in sorted(frame["x"].unique())])
    ax.set(xlabel=x_label, ylabel=label)
    ax.legend(frameon=False)
    return ax


def frame_fit(run: Run) -> pd.DataFrame:
    """Return the test points of a table with one feature: data, seed, x, truth, predicted."""
    inputs, truth, predicted = (run.samples[name] for name in ("inputs", "truth", "predicted"))
    n = truth.shape[1]
    columns = {"seed": np.repeat(_seeds(run), n), "x": inputs.reshape(-1), "truth": truth.reshape(-1)}
    return pd.DataFrame({"data": run.experiment.data, **columns, "predicted": predicted.reshape(-1)})


def draw_fit(frame: pd.DataFrame, ax: Axes, *, colour: str) -> Axes:
    """Test points of all seeds in grey, and each seed's predictions as a thin line."""
    ax.plot(frame["x"], frame["truth"], ".", color="0.6", markersize=2)
    for _, part in frame.sort_values("x").groupby("seed"):
        ax.plot(part["x"], part["predicted"], color=colour, alpha=0.4, linewidth=0.8)
    ax.set(xlabel="x", ylabel="y")
    return ax


def frame_calibration(runs: Sequence[Run], n_bins: int = 5) -> pd.DataFrame:
    """Return how often the second class is the true one where its probability is said to lie in a bin.

    One row a variant and bin: variant, said (mean probability), share, low, high (95 % interval over seeds), seeds (that had
    any in the bin), n (test rows of all seeds).
    """
    rows = []
    for run in runs:
        said, truth = run.samples["predicted"][..., 1], run.samples["truth"]
        bins = np.minimum((np.where(np.isfinite(said), said, -1) * n_bins).astype(int), n_bins - 1)  # the diverged: in none
        for b in range(n_bins):
            inside = bins == b
            seeds = inside.any(1)
            if seeds.any():
                share = stats.mean([truth[m][inside[m]].mean() for m in np.flatnonzero(seeds)])
                low, high = max(share.low, 0.0), min(share.high, 1.0)
                here = {"said": said[inside].mean(), "share": share.estimate, "low": low, "high": high}
                rows.append({"variant": called(run), **here, "seeds": int(seeds.sum()), "n": int(inside.sum())})
    return pd.DataFrame(rows)


def draw_calibration(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """Points with intervals, and the line on which probabilities are what they say."""
    ax.plot([0, 1], [0, 1], ":", color=plt.rcParams["text.color"], linewidth=1)
    for name, part in frame.groupby("variant", sort=False):
        ax.vlines(part["said"], part["low"], part["high"], color=colours[str(name)], alpha=0.4, linewidth=2.5)
        ax.plot(part["said"], part["share"], "o-", color=colours[str(name)], markersize=5, linewidth=1, label=name)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="probability said", ylabel="share that is so")
    ax.legend(fontsize=7, loc="upper left")
    return ax


def frame_forecasts(run: Run, sample: str, first: float = 1949 + 115 / 12) -> pd.DataFrame:
    """Return forecasts of a test set in time: who, seed, year, value; who is "true", the net, or a reference (without seed).

    Parameters
    ----------
    sample
        "predicted" for one step ahead, "free" where each forecast is read as if it had been seen.
    first
        Year of the first number of the test set.
    """
    references = {"predicted": "references", "free": "free_references"}[sample]
    truth, own, referred = (run.samples[name] for name in ("truth", sample, references))
    years = first + np.arange(truth.shape[1]) / 12
    parts = [pd.DataFrame({"who": "true", "seed": -1, "year": years, "value": truth[0, :, 0]})]
    for name, values in zip(trace.select(run.trace, "reference_rmse")["index"].unique(), referred[0, :, :, 0], strict=True):
        parts.append(pd.DataFrame({"who": name, "seed": -1, "year": years, "value": values}))
    for seed, values in zip(_seeds(run), own[..., 0], strict=True):
        parts.append(pd.DataFrame({"who": called(run), "seed": seed, "year": years, "value": values}))
    return pd.concat(parts, ignore_index=True)


def draw_forecasts(frame: pd.DataFrame, ax: Axes, *, colours: Colours, unit: str) -> Axes:
    """The truth in black, references dashed, and of the net each seed thin and their median thick."""
    for name, part in frame.groupby("who", sort=False):
        colour = colours.get(str(name), plt.rcParams["text.color"])
        if (part["seed"] < 0).all():
            solid = "-" if name == "true" else "--"
            ax.plot(part["year"], part["value"], solid, color=colour, linewidth=1.6 if name == "true" else 1.0, label=name)
            continue
        for _, one in part.groupby("seed"):
            ax.plot(one["year"], one["value"], color=colour, alpha=0.2, linewidth=0.7)
        median = part.groupby("year")["value"].median()
        ax.plot(median.index, median, color=colour, linewidth=2.2, label=name)
    ax.set(xlabel="year", ylabel=unit)
    ax.legend(fontsize=7, loc="upper left")
    return ax


def frame_written(run: Run, n: int = 4) -> pd.DataFrame:
    """Return the first sequence of the test set of each of n seeds: seed, step, truth, predicted."""
    truth, predicted = run.samples["truth"][:n, 0], run.samples["predicted"][:n, 0]
    steps = np.tile(np.arange(1, truth.shape[1] + 1), len(truth))
    seeds = np.repeat([f"seed {seed}" for seed in _seeds(run)[:n]], truth.shape[1])
    return pd.DataFrame({"seed": seeds, "step": steps, "truth": truth.reshape(-1), "predicted": predicted.reshape(-1)})


def draw_written(frame: pd.DataFrame, ax: Axes, *, colour: str) -> Axes:
    """What should have been written, in black, and what was."""
    ax.plot(frame["step"], frame["truth"], color=plt.rcParams["text.color"], linewidth=1.2)
    ax.plot(frame["step"], frame["predicted"], "o", color=colour, markersize=3.5)
    ax.set(xlabel="step", ylabel="")
    return ax


def _seeds(run: Run) -> list[int]:
    return [member.seed for member in run.experiment.members()]
