"""Figures of the lecture's studies, in pairs as in `plots.py`: neurons, two layers, a GAN on a line, autoencoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from ganlab import trace
from ganlab.by_hand import ACTIVATIONS, CORNERS, GATES, Array, gate, neuron, sigmoid
from ganlab.experiment import Run
from ganlab.plots import Colours, draw_image

BLUE, ORANGE = "#0173b2", "#de8f05"
"""Real and fake, or two classes: told apart by colour-blind readers too."""

# --- one neuron ----------------------------------------------------------------------------------------------------------


def frame_responses(reach: float = 4.0, n: int = 401) -> pd.DataFrame:
    """Return what each activation makes of a weighted sum, and its slope there: activation, sum, response, slope."""
    z = np.linspace(-reach, reach, n)
    parts = [
        pd.DataFrame({"activation": name, "sum": z, "response": f(z), "slope": np.gradient(f(z), z)})
        for name, f in ACTIVATIONS.items()
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[(frame["activation"] == "step") & (frame["slope"] > 0), "slope"] = np.nan  # a jump has none
    return frame


def draw_response(frame: pd.DataFrame, ax: Axes) -> Axes:
    """The response as a line, its slope dashed."""
    ax.plot(frame["sum"], frame["response"], color=BLUE, linewidth=2)
    ax.plot(frame["sum"], frame["slope"], color=ORANGE, linewidth=1.3, linestyle="--")
    ax.axvline(0, color=plt.rcParams["grid.color"], linewidth=0.8, zorder=0)
    ax.set(ylim=(-2.2, 3.2), xlabel="weighted sum", ylabel="response")
    return ax


def frame_decisions(n: int = 41) -> pd.DataFrame:
    """Return what neurons that are gates say over the plane, and at the corners what the gate says.

    Columns: gate, activation, kind ("place" or "corner"), x, y, response.
    """
    side = np.linspace(-0.5, 1.5, n)
    plane = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    parts = []
    for name, (weights, threshold) in GATES.items():
        for activation in ACTIVATIONS:
            said = {"place": (plane, neuron(plane, weights, -threshold, activation)), "corner": (CORNERS, gate(name))}
            for kind, (points, response) in said.items():
                columns = {"kind": kind, "x": points[:, 0], "y": points[:, 1], "response": response}
                parts.append(pd.DataFrame({"gate": name, "activation": activation, **columns}))
    return pd.concat(parts, ignore_index=True)


def draw_decision(frame: pd.DataFrame, ax: Axes) -> Axes:
    """The response as shading, the line where the weighted sum is 0, and the corners: filled where the gate says 1."""
    place, corner = (frame[frame["kind"] == kind] for kind in ("place", "corner"))
    table = place.pivot(index="y", columns="x", values="response")
    ax.pcolormesh(table.columns, table.index, table, cmap="Blues", vmin=-1, vmax=2, shading="nearest", rasterized=True)
    weights, threshold = GATES[frame["gate"].iloc[0]]
    x = np.array([-0.5, 1.5])
    ax.plot(x, (threshold - weights[0] * x) / weights[1], color=ORANGE, linewidth=1.8)
    faces = np.where(corner["response"] == 1, plt.rcParams["text.color"], "white")
    ax.scatter(corner["x"], corner["y"], s=34, c=faces, edgecolors=plt.rcParams["text.color"], zorder=3)
    ax.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xticks=[0, 1], yticks=[0, 1], xlabel="", ylabel="")
    ax.grid(False)
    return ax


# --- two layers ----------------------------------------------------------------------------------------------------------


def frame_errors(errors: Mapping[str, Array], seeds: int, looks: int = 120) -> pd.DataFrame:
    """Return the error of the first seeds at some epochs, closer together early on: variant, seed, step, value.

    Parameters
    ----------
    errors
        By the training's name, `[epoch, seed]`.
    """
    parts = []
    for name, error in errors.items():
        epochs = np.unique(np.geomspace(1, len(error), looks).round().astype(int))
        for seed in range(seeds):
            columns = {"variant": name, "seed": seed, "step": epochs, "value": error[epochs - 1, seed]}
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def frame_outputs(outputs: Mapping[str, Array], names: Sequence[str]) -> pd.DataFrame:
    """Return what each seed says of people: training, person, seed, output.

    Parameters
    ----------
    outputs
        By the training's name, `[person, seed]`.
    """
    parts = [
        pd.DataFrame({"training": training, "person": person, "seed": np.arange(said.shape[1]), "output": said[i]})
        for training, said in outputs.items()
        for i, person in enumerate(names)
    ]
    return pd.concat(parts, ignore_index=True)


def draw_outputs(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """A dot for each seed, a row per person; the dotted line is where the answer changes."""
    people = list(dict.fromkeys(frame["person"]))
    jitter = np.random.default_rng(0)
    for y, person in enumerate(people):
        said = frame.loc[frame["person"] == person, "output"]
        ax.plot(said, y + jitter.uniform(-0.28, 0.28, len(said)), ".", color=colours[person], alpha=0.35, markersize=4)
    ax.axvline(0.5, color=plt.rcParams["text.color"], linestyle=":", linewidth=1)
    ax.set_yticks(range(len(people)), people)
    ax.set(xlim=(-0.03, 1.03), ylim=(len(people) - 0.5, -0.5), xlabel="output")
    return ax


# --- a GAN on a line, step by step ---------------------------------------------------------------------------------------

N_ARROWS, BINS = 7, 90


class Frame(NamedTuple):
    """One picture of the walk: which fakes there are, and which discriminator is shown."""

    title: str
    fakes: int | None
    """Moment of the generator; None before there is one."""
    discriminator: int | None = None
    """Moment of the discriminator; None leaves it out."""
    after: int | None = None
    """Moment of the generator after its step; its fakes are shown too, with arrows that lead there."""


def frame_walk(run: Run, frames: Sequence[Frame], member: int = 0) -> pd.DataFrame:
    """Return the pictures of one member's training on a line: panel, kind, x, y.

    Kinds: "real", "fake" and "moved" densities, each scaled to a height of 1; "D", the chance that the discriminator gives a
    place of being real; and "arrow", the pull on the fakes at some places, y being its size.
    """
    s = run.samples
    places, bins = s["line_places"], 32
    parts = []

    def density(kind: str, samples: Array) -> pd.DataFrame:
        height, edges = np.histogram(samples, bins, (places[0], places[-1]))
        return pd.DataFrame({"kind": kind, "x": (edges[1:] + edges[:-1]) / 2, "y": height / max(height.max(), 1)})

    for number, frame in enumerate(frames, 1):
        found = [density("real", s["real"][:, 0])]
        if frame.fakes is not None:
            fakes = s["generated"][member, frame.fakes, :, 0]
            found.append(density("fake", fakes))
        if frame.discriminator is not None:
            logit, pull = (s[name][member, frame.discriminator] for name in ("line_logits", "line_pulls"))
            found.append(pd.DataFrame({"kind": "D", "x": places, "y": sigmoid(logit)}))
        if frame.after is not None:
            found.append(density("moved", s["generated"][member, frame.after, :, 0]))
            at = np.quantile(fakes, (np.arange(N_ARROWS) + 0.5) / N_ARROWS)
            found.append(pd.DataFrame({"kind": "arrow", "x": at, "y": np.interp(at, places, pull)}))
        parts.append(pd.concat(found).assign(panel=f"{number}. {frame.title}"))
    return pd.concat(parts, ignore_index=True)[["panel", "kind", "x", "y"]]


def draw_walk(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Densities as areas, D as a line from 0 to 1, arrows below the axis."""
    kinds = dict(list(frame.groupby("kind")))
    shades = {"real": (BLUE, 0.45), "fake": (ORANGE, 0.25 if "moved" in kinds else 0.6), "moved": (ORANGE, 0.6)}
    for kind, (colour, alpha) in shades.items():
        if kind in kinds:
            ax.fill_between(kinds[kind]["x"], kinds[kind]["y"], step="mid", color=colour, alpha=alpha, linewidth=0)
    if "D" in kinds:
        ax.plot(kinds["D"]["x"], kinds["D"]["y"], color=plt.rcParams["text.color"], linewidth=1.6)
    if "arrow" in kinds:
        arrow = kinds["arrow"]
        ax.quiver(
            arrow["x"], np.full(len(arrow), -0.14), arrow["y"], np.zeros(len(arrow)), color="#b04a00", angles="xy",
            scale_units="xy", scale=0.7, width=0.011, headwidth=4,
        )  # fmt: skip
    ax.axhline(0.5, color=plt.rcParams["text.color"], linestyle=":", linewidth=0.8)
    ax.set(ylim=(-0.28, 1.08), yticks=[0, 0.5, 1], xlabel="x", ylabel="D(x)")
    ax.grid(False)
    return ax


# --- samples of three seeds over time ------------------------------------------------------------------------------------


def ranked(run: Run) -> dict[str, int]:
    """Return the places of the best, median and worst member by their last distance to the data; a diverged one is worst."""
    order = trace.last(run.trace, "distance").fillna(np.inf).sort_values(kind="stable").index
    return {"best": int(order[0]), "median": int(order[len(order) // 2]), "worst": int(order[-1])}


def frame_progress(run: Run, n_moments: int = 5, n: int = 200) -> pd.DataFrame:
    """Return samples of three members at some moments beside real ones: seed, step, kind ("real" or "fake"), x0, x1, ...

    Moments are closer together early on, as in `ganlab.plots.frame_samples`.
    """
    moments = run.samples["moments"]
    chosen = sorted({int(round(p * (len(moments) - 1))) for p in np.linspace(0, 1, n_moments) ** 2})
    parts = []
    for rank, place in ranked(run).items():
        seed = f"{rank}: seed {run.experiment.members()[place].seed}"
        for i in chosen:
            for kind, samples in (("real", run.samples["real"]), ("fake", run.samples["generated"][place, i])):
                x = pd.DataFrame(samples[:n]).add_prefix("x").round(3)
                parts.append(x.assign(seed=seed, step=f"step {moments[i]}", kind=kind))
    return pd.concat(parts, ignore_index=True)


def draw_points(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Real points pale, fakes as dots on them; those outside the frame are counted in the corner."""
    real, fake = (frame.loc[frame["kind"] == kind, ["x0", "x1"]] for kind in ("real", "fake"))
    low, high = real.min(), real.max()
    margin = 0.35 * (high - low).max()
    ax.scatter(real["x0"], real["x1"], s=26, color="#a9cce3", linewidths=0)
    ax.scatter(fake["x0"], fake["x1"], s=5, color="#b04a00", linewidths=0, rasterized=True)
    ax.set(xlim=(low["x0"] - margin, high["x0"] + margin), ylim=(low["x1"] - margin, high["x1"] + margin))
    inside = fake["x0"].between(*ax.get_xlim()) & fake["x1"].between(*ax.get_ylim())
    if not inside.all():
        ax.text(0.97, 0.04, f"{1 - inside.mean():.0%} outside", transform=ax.transAxes, ha="right", fontsize=7)
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    ax.spines[:].set_visible(True)
    return ax


def draw_numbers(frame: pd.DataFrame, ax: Axes, *, low: float, high: float) -> Axes:
    """All numbers of all vectors: real as an area, fakes as a line; those outside the frame are counted in the corner."""
    names = [name for name in frame if str(name).startswith("x")]
    real, fake = (frame.loc[frame["kind"] == kind, names].to_numpy().ravel() for kind in ("real", "fake"))
    ax.hist(real, bins=BINS, range=(low, high), density=True, color=BLUE, alpha=0.45)
    inside = (fake >= low) & (fake <= high)
    if inside.any():
        ax.hist(fake[inside], bins=BINS, range=(low, high), density=True, histtype="step", color=ORANGE, linewidth=1.4)
    if not inside.all():
        ax.text(0.97, 0.85, f"{1 - inside.mean():.0%} outside", transform=ax.transAxes, ha="right", fontsize=7)
    ax.set(yticks=[], xlabel="number", ylabel="")
    return ax


# --- paths of the smallest GAN -------------------------------------------------------------------------------------------

PATH_STEPS = 300


def frame_paths(paths: Mapping[str, Array], n: int = 6) -> pd.DataFrame:
    """Return the first paths of each method: method, start, step, theta, psi.

    Parameters
    ----------
    paths
        By the method's name, `[step, start, player]`.
    """
    parts = [
        pd.DataFrame({"method": name, "start": i, "step": range(PATH_STEPS), "theta": theta, "psi": psi})
        for name, path in paths.items()
        for i, (theta, psi) in enumerate(path[:PATH_STEPS, :n].transpose(1, 2, 0))
    ]
    return pd.concat(parts, ignore_index=True)


def draw_paths(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """A line for each start, which is a dot; the cross is the equilibrium."""
    for _, path in frame.groupby("start"):
        ax.plot(path["theta"], path["psi"], color=colours[path["method"].iloc[0]], linewidth=0.9, alpha=0.8)
        ax.plot(path["theta"].iloc[:1], path["psi"].iloc[:1], "o", color=plt.rcParams["text.color"], markersize=3.5)
    ax.plot([0], [0], "+", color=plt.rcParams["text.color"], markersize=9, markeredgewidth=1.6)
    ax.set_xlabel("generator θ")
    ax.set_ylabel("discriminator ψ")
    return ax


# --- losses of several frameworks ----------------------------------------------------------------------------------------

FLOOR = 1e-8
"""Where differences are drawn that are smaller: a loss of 0.1 to 2 nats has no such digit in float32."""


def frame_differences(differences: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the largest difference over seeds at each update: against, program, update, difference.

    Parameters
    ----------
    differences
        By what they are against, a row for each (seed, step) and a column a program.
    """
    parts = []
    for against, found in differences.items():
        largest = found.groupby("step").max().reset_index()
        parts.append(largest.melt("step", var_name="program", value_name="difference").assign(against=against))
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(update=frame["step"] + 1)[["against", "program", "update", "difference"]]


def draw_differences(frame: pd.DataFrame, ax: Axes, *, colours: Colours, same: float) -> Axes:
    """A line a program, told apart by colour and dashes; below the dotted line losses are the same."""
    dashes = ("-", "--", "-.", ":")
    for i, (name, colour) in enumerate(colours.items()):
        part = frame[frame["program"] == name]
        if len(part):
            ax.plot(
                part["update"], part["difference"].clip(lower=FLOOR), dashes[i % 4], color=colour, linewidth=1.6, label=name
            )
    ax.axhline(same, color=plt.rcParams["text.color"], linestyle=":", linewidth=0.8)
    ax.set(yscale="log", ylim=(FLOOR / 2, 2), xlabel="update", ylabel="difference of losses")
    ticks = [FLOOR, 1e-6, 1e-4, 1e-2, 1]
    ax.set_yticks(ticks, [f"{tick:.0e}" if tick < 1 else "1" for tick in ticks])
    ax.yaxis.set_minor_locator(NullLocator())
    return ax


# --- autoencoders --------------------------------------------------------------------------------------------------------


def mosaic(images: Array, columns: int, gap: int = 1) -> pd.DataFrame:
    """Return images `[n, 1, height, width]` side by side as one, pixel by pixel: x, y, pixel (0 to 255; NaN between them)."""
    n, _, height, width = images.shape
    rows = -(-n // columns)
    whole = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, image in enumerate(images[:, 0]):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        whole[y : y + height, x : x + width] = image
    y, x = np.indices(whole.shape)
    return pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "pixel": (127.5 * (whole.ravel() + 1)).round()})


def frame_rebuilt(runs: Sequence[Run], n: int = 12) -> pd.DataFrame:
    """Return the first n test images as a row, and under it what the first seed of each run makes of them: who, x, y, pixel."""
    shown = {"real": runs[0].samples["originals"], **{run.experiment.subject: run.samples["rebuilt"][0] for run in runs}}
    frame = mosaic(np.concatenate([images[:n] for images in shown.values()]), n)
    height = shown["real"].shape[-2] + 1
    return frame.assign(who=np.asarray(list(shown))[frame["y"] // height])


def draw_rebuilt(frame: pd.DataFrame, ax: Axes) -> Axes:
    """A row of images for each who, dark on light."""
    draw_image(frame, ax)
    middle = frame.groupby("who", sort=False)["y"].mean()
    ax.set_yticks(middle.to_list(), middle.index.to_list())
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def frame_drawn(runs: Sequence[Run], columns: int = 6) -> pd.DataFrame:
    """Return real images and samples of each run at its end, the seeds taking turns: who, x, y, pixel."""
    n = columns**2
    shown = {"real": runs[0].samples["real"][:n]}
    for run in runs:
        shown[run.experiment.subject] = run.samples["generated"][:n, -1].swapaxes(0, 1).reshape(-1, *shown["real"].shape[1:])
    return pd.concat([mosaic(images[:n], columns).assign(who=who) for who, images in shown.items()], ignore_index=True)


def frame_atlas(runs: Sequence[Run]) -> pd.DataFrame:
    """Return what the first seed of each run decodes from a grid of codes: who, x, y, pixel."""
    atlases = {run.experiment.subject: run.samples["atlas"][0] for run in runs}
    parts = [mosaic(atlas, round(len(atlas) ** 0.5), 0).assign(who=who) for who, atlas in atlases.items()]
    return pd.concat(parts, ignore_index=True)


def frame_codes(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the codes of test images under the first seed of each run, in their standard deviations: who, class, x, y."""
    parts = []
    for run in runs:
        codes = run.samples["codes"][0]
        x, y = ((codes - codes.mean(0)) / codes.std(0)).T
        parts.append(pd.DataFrame({"who": run.experiment.subject, "class": run.samples["labels"], "x": x, "y": y}))
    return pd.concat(parts, ignore_index=True)


def draw_codes(frame: pd.DataFrame, ax: Axes) -> Axes:
    """A digit for each image, in a colour for each class."""
    colours = sns.color_palette("husl", int(frame["class"].max()) + 1)
    for label, part in frame.groupby("class"):
        for x, y in zip(part["x"], part["y"], strict=True):
            ax.text(x, y, str(label), color=colours[int(str(label))], fontsize=7, ha="center", va="center", clip_on=True)
    ax.set(xlim=(-2.7, 2.7), ylim=(-2.7, 2.7), xlabel="first number (std)", ylabel="second number (std)")
    return ax
