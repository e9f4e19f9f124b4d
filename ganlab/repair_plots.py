"""Figures of a repair, in pairs as in `plots`: rates with and without each remedy, and every seed."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ganlab.diagnoses import Diagnosis, diagnose
from ganlab.plots import Colours
from ganlab.trial import Repair

UNCHANGED = "unchanged"
"""What the control is called beside the remedies."""

STATES = {"present": "failed", "absent": "healthy"}
"""What a seed's verdict is called; all others are "not judged"."""


def _found(repair: Repair) -> list[tuple[str, Diagnosis]]:
    """Return the diagnosis of each failure to be repaired, of the control and of each remedy named against it."""
    arms = repair.proposal.arms
    named = [(UNCHANGED, None), *((arm.remedy.name, arm.remedy) for arm in arms)]
    by_run = [{d.code: d for d in diagnose(run)} for run in repair.runs]
    return [
        (name, found[failing.code])
        for failing in repair.proposal.failing
        for (name, remedy), found in zip(named, by_run, strict=True)
        if remedy is None or failing.code in remedy.against
    ]


def frame_repair(repair: Repair) -> pd.DataFrame:
    """Return one row a failure and remedy, the unchanged run first: variant, data (the failure), rate, low, high, failures, n,
    verdict; as `plots.draw_rates` reads it."""
    return pd.DataFrame(
        [
            {
                "variant": name, "data": d.title, "rate": d.rate, "low": d.interval[0], "high": d.interval[1],
                "failures": d.failures, "n": d.n, "verdict": d.verdict,
            }
            for name, d in _found(repair)
        ]
    )  # fmt: skip


def frame_seeds(repair: Repair) -> pd.DataFrame:
    """Return one row a failure, remedy and seed: failure, variant, seed, state ("failed", "healthy" or "not judged")."""
    parts = [
        pd.DataFrame({"seed": d.members["seed"], "state": d.members["verdict"].map(STATES).fillna("not judged")}).assign(
            failure=d.title, variant=name
        )
        for name, d in _found(repair)
    ]
    return pd.concat(parts, ignore_index=True)[["failure", "variant", "seed", "state"]]


def draw_seeds(frame: pd.DataFrame, ax: Axes, *, colours: Colours) -> Axes:
    """A row for each of `colours`, a column a seed: a full dot failed, an open one did not, a dash could not be judged."""
    order, seeds = list(colours), sorted(frame["seed"].unique())
    for row in frame.to_dict("records"):
        x, y, colour = seeds.index(row["seed"]), order.index(row["variant"]), colours[row["variant"]]
        marker, face = ("_", colour) if row["state"] == "not judged" else ("o", colour if row["state"] == "failed" else "none")
        ax.plot([x], [y], marker, markersize=8, markerfacecolor=face, markeredgecolor=colour, markeredgewidth=1.4)
    shown = np.unique(np.linspace(0, len(seeds) - 1, min(len(seeds), 16)).round().astype(int))
    ax.set_xticks(shown, [str(seeds[i]) for i in shown])
    ax.set_yticks(range(len(order)), order)
    ax.set(xlim=(-0.6, len(seeds) - 0.4), ylim=(len(order) - 0.5, -0.5), xlabel="seed")
    ax.grid(False)
    ax.tick_params(length=0, labelcolor=plt.rcParams["text.color"])
    return ax
