"""Figures of the lecture's studies, in pairs as in `plots.py`: neurons, two layers, a GAN on a line step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from ganlab.by_hand import ACTIVATIONS, CORNERS, GATES, Array, gate, neuron
from ganlab.plots import Colours

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
