"""Figures, in pairs: `frame_<name>(runs)` makes the tidy data, `draw_<name>(frame, ax)` only draws it.

Every seed is visible under every summary, scales are shared between what is compared, and a variant keeps its colour
throughout a report. Frames are what the report offers for download.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullFormatter

from ganlab import stats, trace
from ganlab.diagnoses import Diagnosis, diagnose
from ganlab.experiment import Run
from ganlab.registry import InputError

INK, FAINT = "#24292f", "#d0d7de"
"""Colours of text and grid; the page's own, see report.html.jinja, which inverts figures in the dark."""

Draw = Callable[[pd.DataFrame, Axes], Axes]
Colours = Mapping[str, str]


def palette(names: Iterable[str]) -> dict[str, str]:
    """Return one colour per name, safe for colour-blind readers, in the order of first appearance."""
    distinct = list(dict.fromkeys(names))
    colours = sns.color_palette("colorblind", 10).as_hex()
    colours = [c for i, c in enumerate(colours) if i != 7]  # 7 is grey, which is kept for reference lines
    return {name: colours[i % len(colours)] for i, name in enumerate(distinct)}


def style() -> dict[str, Any]:
    """Return matplotlib's settings for a figure on a page: dark on white, and no formulas read into names."""
    return {
        **sns.axes_style("ticks"),
        "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white", "text.color": INK,
        "axes.labelcolor": INK, "axes.edgecolor": FAINT, "xtick.color": INK, "ytick.color": INK, "grid.color": FAINT,
        "axes.titlesize": 10, "axes.grid": True, "grid.alpha": 0.5, "axes.spines.top": False, "axes.spines.right": False,
        "legend.frameon": False, "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 9,
    }  # fmt: skip


def grid(
    frame: pd.DataFrame, draw: Draw, *, col: str, row: str | None = None, wrap: int | None = None, height: float = 2.0,
    aspect: float = 1.3, equal: bool = False, margin_titles: bool = False,
) -> Figure:  # fmt: skip
    """Return small multiples: one panel for each value of `col` (and `row`), each drawn by `draw`."""
    facets = sns.FacetGrid(
        frame, col=col, row=row, col_wrap=wrap, height=height, aspect=aspect, sharex=True,
        sharey=True, margin_titles=margin_titles, despine=False,
    )  # fmt: skip
    for (i, j, k), part in facets.facet_data():
        ax = facets.facet_axis(i, j, modify_state=False) if wrap is None else facets.axes.flat[k or j]
        draw(part, ax)
        if equal:
            ax.set_aspect("equal", adjustable="box")
    facets.set_titles(template="{col_name}") if row is None else facets.set_titles(
        row_template="{row_name}", col_template="{col_name}"
    )
    for ax in facets.axes.flat:
        inner = ax.get_subplotspec()
        if inner is not None and not inner.is_first_col():
            ax.set_ylabel("")
    if equal:  # panels without tick labels may stand close
        facets.figure.subplots_adjust(hspace=0.06, wspace=0.06)
    return facets.figure


# --- rates of failure over variants --------------------------------------------------------------------------------------


def frame_rates(runs: Sequence[Run], diagnoses: Sequence[Diagnosis]) -> pd.DataFrame:
    """Return one row per run: variant, data, rate, low, high, failures, n, verdict."""
    return pd.DataFrame(
        [
            {
                "variant": run.experiment.subject, "data": run.experiment.data, "rate": d.rate, "low": d.interval[0],
                "high": d.interval[1], "failures": d.failures, "n": d.n, "verdict": d.verdict,
            }
            for run, d in zip(runs, diagnoses, strict=True)
        ]
    )  # fmt: skip


def draw_rates(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """Points with intervals, a row for each of `colours`, so that panels share them; the dotted line is the tolerated rate."""
    order = list(colours)
    for row in frame.to_dict("records"):
        y, colour = order.index(row["variant"]), colours[row["variant"]]
        ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=3, solid_capstyle="round", alpha=0.45)
        ax.plot([row["rate"]], [y], "o", color=colour, markersize=7)
    ax.axvline(stats.TOLERATED_RATE, color=plt.rcParams["text.color"], linestyle=":", linewidth=1)
    ax.set_yticks(range(len(order)), order)
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_xlim(-0.03, 1.03)
    ax.set_xlabel("share of seeds that failed")
    return ax


# --- time to failure ----------------------------------------------------------------------------------------------------


def frame_survival(runs: Sequence[Run], diagnoses: Sequence[Diagnosis]) -> pd.DataFrame:
    """Return the share of seeds without the failure, by step: variant, data, and the columns of `stats.survival`.

    A seed that failed did so at its onset; one that did not is censored at its run's last step; one that could not be judged
    is left out. Where all failed earlier, the curve goes on to the last step as it is.
    """
    parts = []
    for run, d in zip(runs, diagnoses, strict=True):
        judged = d.members[d.members["verdict"].isin(["present", "absent"])]
        if len(judged):
            failed = judged["verdict"] == "present"
            curve = stats.survival(judged["onset"].where(failed, run.experiment.steps), failed.to_list())
            if curve["step"].iloc[-1] < run.experiment.steps:
                last = curve.tail(1).assign(step=float(run.experiment.steps), at_risk=0, failures=0, ended=0)
                curve = pd.concat([curve, last], ignore_index=True)
            parts.append(curve.assign(variant=run.experiment.subject, data=run.experiment.data))
    columns = ["variant", "data", "step", "at_risk", "failures", "ended", "survival", "low", "high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def draw_survival(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """From all seeds a step down for each failure, a tick where seeds ended without one, and the interval as a band."""
    for variant, part in frame.groupby("variant", sort=False):
        colour = colours[str(variant)]
        ax.fill_between(part["step"], part["low"], part["high"], step="post", color=colour, alpha=0.15, linewidth=0)
        steps, left = (np.append(start, part[name]) for start, name in ((0.0, "step"), (1.0, "survival")))
        ax.step(steps, left, where="post", color=colour, linewidth=2.2, label=str(variant))
        ended = part[part["ended"] > 0]
        ax.plot(ended["step"], ended["survival"], "|", color=colour, markersize=8)
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("step")
    ax.set_ylabel("share of seeds not failed")
    return ax


# --- samples over time -------------------------------------------------------------------------------------------------

def ranked_members(run: Run) -> dict[str, int]:
    """Return the places of the best, median and worst member by the final divergence with an off-mode bin; or of the only one.

    A diverged member has no divergence and is worst.
    """
    if len(run.outcome) == 1:
        return {"only": int(run.outcome["member"].iloc[0])}
    score = trace.last(run.trace, "kl_off_mode").fillna(np.inf)
    score[run.outcome.loc[run.outcome["status"] == "diverged", "member"]] = np.inf
    order = score.sort_values(kind="stable").index
    return {"best": int(order[0]), "median": int(order[len(order) // 2]), "worst": int(order[-1])}


def frame_samples(run: Run, n_moments: int = 6, n_points: int = 256) -> pd.DataFrame:
    """Return points of three members at some moments, and the true modes: seed, step, kind, x, y.

    Moments are closer together early on, where most happens: the quadratic sequence from first to last.
    """
    moments = run.samples["moments"]
    part = np.linspace(0, 1, n_moments) ** 2
    chosen = sorted({int(round(p * (len(moments) - 1))) for p in part})
    frames = []
    for rank, place in ranked_members(run).items():
        seed = f"{rank}: seed {run.experiment.members()[place].seed}"
        for i in chosen:
            points = run.samples["generated"][place, i, :n_points]
            clouds = {"mode": run.samples["modes"], "sample": points}
            for kind, cloud in clouds.items():
                columns = {"seed": seed, "step": f"step {moments[i]}", "kind": kind, "x": cloud[:, 0], "y": cloud[:, 1]}
                frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True).round({"x": 3, "y": 3})


def draw_samples(frame: pd.DataFrame, ax: Axes, *, colour: str) -> Axes:
    """True modes as open circles, samples as dots; points outside the frame are counted in the corner."""
    modes, samples = frame[frame["kind"] == "mode"], frame[frame["kind"] == "sample"]
    reach = 1.35 * float(modes[["x", "y"]].abs().max().max()) + 0.2
    ax.scatter(modes["x"], modes["y"], s=38, facecolors="none", edgecolors=plt.rcParams["text.color"], linewidths=0.7)
    ax.scatter(samples["x"], samples["y"], s=3, color=colour, alpha=0.7, linewidths=0, rasterized=True)
    outside = ~((samples["x"].abs() <= reach) & (samples["y"].abs() <= reach))
    if outside.any():
        ax.text(0.97, 0.04, f"{outside.mean():.0%} outside", transform=ax.transAxes, ha="right", fontsize=7)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], xlabel="", ylabel="")
    ax.spines[:].set_visible(True)
    return ax


def frame_images(run: Run, n: int = 12) -> pd.DataFrame:
    """Return generated images at the last moment, pixel by pixel: picture, x, y, pixel (0 to 255); the seeds take turns."""
    parts = []
    members = run.experiment.members()
    for i in range(min(n, len(members) * run.samples["generated"].shape[2])):
        member = members[i % len(members)]
        pixels = run.samples["generated"][member.place, -1, i // len(members), 0]
        y, x = np.indices(pixels.shape)
        columns = {"picture": f"#{i + 1}: seed {member.seed}", "x": x.ravel(), "y": y.ravel()}
        parts.append(pd.DataFrame(columns | {"pixel": (127.5 * (pixels.ravel() + 1)).round(1)}))
    return pd.concat(parts, ignore_index=True)


# --- curves with every seed visible --------------------------------------------------------------------------------------


def frame_curves(runs: Sequence[Run], name: str, index: str = "") -> pd.DataFrame:
    """Return one quantity of several runs over steps: variant, seed, step, value."""
    parts = []
    for run in runs:
        rows = trace.select(run.trace, name, index)[["seed", "step", "value"]]
        parts.append(rows.assign(variant=run.experiment.subject))
    return pd.concat(parts, ignore_index=True)[["variant", "seed", "step", "value"]]


def draw_curves(
    frame: pd.DataFrame, ax: Axes, *, colours: Colours, label: str, unit: str = "step", log: bool = False,
    reference: float | None = None, from_zero: bool = True,
) -> Axes:  # fmt: skip
    """A thin line for each seed and a thick one for their median; dotted, what a perfect generator would have."""
    for variant, part in frame.groupby("variant", sort=False):
        table = part.pivot(index="step", columns="seed", values="value")
        colour = colours[str(variant)]
        ax.plot(table.index, table.to_numpy(), color=colour, alpha=0.35, linewidth=0.8)
        ax.plot(table.index, table.median(axis=1), color=colour, linewidth=2.2)
    if reference is not None:
        ax.axhline(reference, color=plt.rcParams["text.color"], linestyle=":", linewidth=1)
    if log:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # the default writes formulas
        ax.yaxis.set_minor_formatter(NullFormatter())
    elif from_zero:
        ax.axhline(0.0, linewidth=0)  # takes part in the common scale, and is not seen
    ax.set_xlabel(unit)
    ax.set_ylabel(label)
    return ax


# --- phase maps: rates over two or three numbers --------------------------------------------------------------------------

TOO_WIDE = 0.6
"""Width of a cell's interval above which the cell says that its seeds are too few: eight seeds are narrower at any rate."""

RATES = ("lr", "lr_discriminator")
RATIO = "lr_discriminator / lr"


class PhaseAxes(NamedTuple):
    """Which numbers lie along the axes of a phase map, and which tells its panels apart (empty: there is one)."""

    x: str
    y: str
    panel: str


def phase_axes(varied: Sequence[str]) -> PhaseAxes:
    """Return the axes for the numbers that a run varies: learning rate across, the other number up, panels by the third.

    Where both players' rates vary beside another number, panels are by their ratio, the time scale.

    Raises
    ------
    InputError
        For fewer than 2 numbers or more than 3.

    Example
    -------
    >>> phase_axes(["lr", "lr_discriminator", "r1"])
    PhaseAxes(x='lr', y='r1', panel='lr_discriminator / lr')
    """
    if not 2 <= len(varied) <= 3:
        raise InputError(f"a phase map needs a run with several values of 2 or 3 numbers; got {', '.join(varied) or 'none'}")
    x, *others = sorted(varied, key=lambda name: (name != "lr", name in RATES))  # the sort is stable
    y, *third = others
    panel = third[0] if third else ""
    return PhaseAxes(x, y, RATIO if (x, panel) == RATES else panel)


def frame_phase_map(run: Run, code: str) -> pd.DataFrame:
    """Return one failure's rate for each combination of a run's numbers.

    One row a combination: the varied numbers (and the rates' ratio where it tells panels apart), panel (a text), failures, n
    (seeds that could be judged), rate, low and high (95 % Wilson interval), width, verdict.
    """
    axes, members = phase_axes(run.experiment.varied), run.experiment.members()
    rows = []
    for (_, places), d in zip(run.groups(), [d for d in diagnose(run) if d.code == code], strict=True):
        numbers = {name: members[places[0]].numbers[name] for name in run.experiment.varied}
        if axes.panel == RATIO:
            numbers[RATIO] = float(f"{numbers['lr_discriminator'] / numbers['lr']:.6g}")  # 3e-3 / 1e-3 is not quite 3
        panel = f"{axes.panel} = {numbers[axes.panel]:g}" if axes.panel else "all"
        rows.append(
            {
                **numbers, "panel": panel, "failures": d.failures, "n": d.n, "rate": d.rate, "low": d.interval[0],
                "high": d.interval[1], "width": d.interval[1] - d.interval[0], "verdict": d.verdict,
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.sort_values([axes.panel, axes.y, axes.x], ignore_index=True) if axes.panel else frame


def draw_phase_map(frame: pd.DataFrame, ax: Axes, *, axes: PhaseAxes, whole: pd.DataFrame) -> Axes:
    """A square for each combination: the darker, the more seeds failed; the smaller, the less is known.

    Each holds failures of seeds and the interval. A dashed edge: the seeds leave open whether the rate is above the tolerated
    one. `whole` is the frame of all panels, whose values make the common scale.
    """
    xs, ys = (sorted(whole[name].unique()) for name in (axes.x, axes.y))
    colour, ink = plt.get_cmap("Blues"), plt.rcParams["text.color"]
    for row in frame.to_dict("records"):
        x, y = xs.index(row[axes.x]), ys.index(row[axes.y])
        said, side, rate = "not\njudged", 0.35, 0.0
        if row["n"]:
            side, rate = 0.95 - 0.6 * row["width"], row["rate"]
            said = f"{row['failures']}/{row['n']}\n{100 * row['low']:.0f}\u2013{100 * row['high']:.0f} %"
            said += "\ntoo few\nseeds" if row["width"] > TOO_WIDE else ""
        decided = row["verdict"] in ("present", "absent")
        square = Rectangle(
            (x - side / 2, y - side / 2), side, side, facecolor=colour(0.9 * rate), edgecolor=ink,
            linewidth=1.2 if decided else 0.8, linestyle="-" if decided else "--",
        )  # fmt: skip
        ax.add_patch(square)
        ax.text(x, y, said, ha="center", va="center", fontsize=6.5, color="white" if rate > 0.6 else ink)
    ax.set_xticks(range(len(xs)), [f"{x:g}" for x in xs])
    ax.set_yticks(range(len(ys)), [f"{y:g}" for y in ys])
    ax.set(xlim=(-0.5, len(xs) - 0.5), ylim=(-0.5, len(ys) - 0.5), xlabel=axes.x, ylabel=axes.y)
    ax.grid(False)
    return ax


# --- classifiers -------------------------------------------------------------------------------------------------------


def frame_confusion(runs: Sequence[Run]) -> pd.DataFrame:
    """Return mean test images over seeds by true and predicted class: classifier, true, predicted, images."""
    parts = []
    for run in runs:
        rows = trace.select(run.trace, "confusion")
        mean = rows.groupby("index", sort=False)["value"].mean().reset_index(name="images")
        mean[["true", "predicted"]] = mean["index"].str.split(",", expand=True).astype(int)
        parts.append(mean.assign(classifier=run.experiment.subject))
    return pd.concat(parts, ignore_index=True)[["classifier", "true", "predicted", "images"]]


def draw_confusion(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Mistakes only: the diagonal is left empty, so that the colours speak of what is confused."""
    table = frame.pivot(index="true", columns="predicted", values="images")
    mistakes = table.where(~np.eye(len(table), dtype=bool))
    sns.heatmap(
        mistakes, ax=ax, cmap="rocket_r", vmin=0, annot=True, fmt=".2g", annot_kws={"size": 7}, cbar=False, square=True,
        linewidths=0.5, linecolor=plt.rcParams["grid.color"],
    )  # fmt: skip
    ax.set(xlabel="predicted", ylabel="true")
    ax.tick_params(length=0)
    ax.grid(False)
    return ax


def frame_hardest(run: Run, n: int = 12) -> pd.DataFrame:
    """Return the hardest test images pixel by pixel: digit, x, y, pixel; `digit` says what it is and was taken for."""
    parts = []
    for i, pixels in enumerate(run.samples["hardest"][:n]):
        label = int(run.samples["hardest_labels"][i])
        said = run.samples["hardest_predicted"][i]
        said = said[said >= 0]
        guess, votes = np.unique(said, return_counts=True)
        most = int(guess[votes.argmax()])
        y, x = np.indices(pixels.shape)
        text = f"{label}, read {most} ({votes.max()}/{len(said)})"
        columns = {"digit": f"#{i + 1}: {text}", "x": x.ravel(), "y": y.ravel(), "pixel": pixels.ravel()}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def draw_image(frame: pd.DataFrame, ax: Axes) -> Axes:
    """One digit, dark on light in any theme, as on paper."""
    ax.imshow(frame.pivot(index="y", columns="x", values="pixel"), cmap="gray_r", vmin=0, vmax=255)
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    ax.grid(False)
    return ax
