"""The tidy table between tensors and everything else: its columns, its checks, its selections.

One row is one number read off one member at one step. `index` tells apart the parts of one quantity (a layer, a mode, a
counting rule) and is empty for quantities of one part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = ("run", "member", "seed", "step", "name", "index", "value")

DEAD = 0.01
"""Slopes and reaches below this part of their usual size are dead, to the probes that record them and to those who judge them:
moving a sample across all of the data would change its loss by a hundredth of what tells real from fake."""

SLICED = 512
"""Most samples, on either side, of which a sliced distance is taken."""


def tidy(
    run: str,
    seeds: Sequence[int],
    steps: Sequence[int],
    quantities: Iterable[tuple[str, Sequence[str], NDArray[np.float64]]],
    places: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Return the trace of one run.

    Parameters
    ----------
    run
        Name of the run, the same in every row.
    seeds
        Seed of each member, in the order of members.
    steps
        The steps at which probes looked.
    quantities
        Triples of name, labels of its parts, and values `[moment, member, part]`.
    places
        Place of each member among those of the experiment; None numbers them from 0.
    """
    places = range(len(seeds)) if places is None else places
    frames = []
    shape = (len(steps), len(seeds))
    for name, labels, values in quantities:
        if values.shape != (*shape, len(labels)):
            raise ValueError(f"{name}: values {values.shape}, expected {(*shape, len(labels))}")
        moment, member, part = (axis.ravel() for axis in np.indices(values.shape))
        frames.append(
            pd.DataFrame(
                {
                    "run": run,
                    "member": np.asarray(places)[member],
                    "seed": np.asarray(seeds)[member],
                    "step": np.asarray(steps)[moment],
                    "name": name,
                    "index": np.asarray(labels, dtype=object)[part],
                    "value": values.ravel().astype(np.float64),
                }
            )
        )
    return check(pd.concat(frames, ignore_index=True))


def check(trace: pd.DataFrame) -> pd.DataFrame:
    """Return the trace unchanged. Raises ValueError when it is not a trace."""
    if tuple(trace.columns) != COLUMNS:
        raise ValueError(f"a trace has the columns {COLUMNS}; got {tuple(trace.columns)}")
    if trace.duplicated(subset=list(COLUMNS[:-1])).any():
        raise ValueError("a trace has one value per run, member, step, name and index; some have two")
    return trace


def select(trace: pd.DataFrame, name: str, index: str | None = None) -> pd.DataFrame:
    """Return the rows of one quantity, ordered by member and step. Raises KeyError when it was not recorded."""
    rows = trace[trace["name"] == name]
    if index is not None:
        rows = rows[rows["index"] == index]
    if rows.empty:
        what = f"{name}[{index}]" if index is not None else name
        raise KeyError(f"{what} was not recorded; the trace has {', '.join(sorted(set(trace['name'])))}")
    return rows.sort_values(["member", "step"], kind="stable")


def wide(trace: pd.DataFrame, name: str, index: str = "") -> pd.DataFrame:
    """Return one quantity as a frame with a row per step and a column per member."""
    return select(trace, name, index).pivot(index="step", columns="member", values="value")


def last(trace: pd.DataFrame, name: str, index: str = "") -> pd.Series:
    """Return the value of one quantity at the last step, one per member."""
    return wide(trace, name, index).iloc[-1]


def by_part(trace: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return a quantity of numbered parts, such as modes, as an array `[look, member, part]`."""
    rows = select(trace, name).assign(part=lambda frame: frame["index"].astype(int)).sort_values(["step", "member", "part"])
    shape = (rows["step"].nunique(), rows["member"].nunique(), rows["part"].nunique())
    return np.asarray(rows["value"].to_numpy().reshape(shape))
