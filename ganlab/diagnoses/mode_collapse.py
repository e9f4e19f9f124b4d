"""Mode collapse: at the end of the run the generator misses modes, weighs them wrongly, or has lost their spread.

Samples that are simply bad are not collapse. Where high-quality samples are too few to count, modes are counted by nearest
sample, so that a blob over all modes misses none.

Where no modes are known, cells of the real data are counted in their place (see `ganlab.metrics.cells`), among samples near the
data alone: far from all of it, the nearest cell is a matter of where the cell lies and not of what the generator makes. Where
few are near, their own diversity is asked for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ganlab import trace
from ganlab.diagnoses import DIAGNOSES
from ganlab.diagnoses.looks import LATE, begin, late, width
from ganlab.experiment import Run
from ganlab.frozen import is_frozen

LOST = 0.1
"""A mode is lost when it has less than this part of its due. A tenth, so that a perfect sampler with 20 samples due loses
none (chance 4e-8) and a mode that is merely disfavoured is not called missing."""

TILTED = 0.25
"""Largest total variation distance of the modes' weights to the data's: a quarter of the mass in the wrong place, as when
two of eight modes are lost."""

SHRUNKEN = 0.25
"""Smallest spread, inside modes or overall, and smallest diversity of bad samples, as a part of the data's."""

DUE = 20
"""Samples every mode must be due before its absence means something."""

MOSTLY = 0.8
"""Share of samples near the data from which the weights of cells are compared: bad samples that happen to pass near the data
are where cells are wide. They empty no cell, so lost ones are looked for with fewer."""

NAMED = 12
"""Lost modes named in the evidence; all of them are in the column `missing`."""


@DIAGNOSES.register(
    source="thresholds: ganlab, see ganlab/diagnoses/mode_collapse.py; high quality: Srivastava et al. 2017 (VEEGAN); cells in "
    "place of modes: Richardson and Weiss 2018 (NDB)",
    title="Mode collapse",
    threshold=(
        f"a mode with less than {LOST:.0%} of its due, weights more than {TILTED} off in total variation, or a spread "
        f"below {SHRUNKEN} of the data's, at the majority of looks in the last {LATE:.0%} of the run. Without known modes the "
        "same is asked of cells of the real data, among the samples near the data; of weights, where these are at least "
        f"{MOSTLY:.0%}. Where they are too few to count, the samples are bad, and collapsed if their diversity is below "
        f"{SHRUNKEN} of the data's"
    ),
    advice=(
        "Compare with R1 on a relativistic objective (Huang et al. 2024), with packing (Lin et al. 2018) or with a gradient "
        "penalty (Gulrajani et al. 2017), on the same seeds."
    ),
)
def mode_collapse(run: Run, strictness: float = 1.0) -> pd.DataFrame | str:
    """The generator misses modes of the data, gives them wrong weights, or has lost the spread inside them."""
    if is_frozen(run):
        return "the generator freezes, so how it ends says nothing of its training"
    known = set(run.trace["name"].unique())
    if not known & {"mode_count", "cell_count"}:
        return "no modes are known, and the evaluation samples are too few to be counted in cells; take evaluation=1000 or more"
    seen = _in_modes(run) if "mode_count" in known else _in_cells(run)
    steps = np.sort(run.trace["step"].unique())
    lost = (seen.counts < LOST / strictness * seen.due) & seen.countable[..., None]
    tilt = 0.5 * np.abs(seen.counts - seen.due).sum(-1) / np.maximum(seen.due.sum(-1), 1)
    tilted = (tilt > TILTED * strictness) & seen.weighable
    shrunken = (np.where(seen.countable, seen.within, seen.diversity) < SHRUNKEN / strictness) | (
        seen.overall < SHRUNKEN / strictness
    )
    collapsed = lost.any(-1) | tilted | shrunken | ~np.isfinite(seen.counts).all(-1)

    rows = []
    for row in run.outcome.itertuples():
        m = int(row.member)  # type: ignore[arg-type]
        if row.status == "diverged":
            verdict, onset, evidence = "present", float(row.step), f"diverged at step {row.step}: {row.place}"  # type: ignore[arg-type]
        elif seen.parts == "modes" and seen.due[-1, m].min() < DUE - 1e-6:  # the sum of weights is rounded
            verdict, onset = "inconclusive", np.nan
            evidence = f"too few samples for {seen.due.shape[-1]} modes; raise evaluation so that each is due {DUE}"
        else:
            wide = width(len(steps))
            window = late(collapsed[:, m], wide)
            verdict = "present" if window[-1] else "absent"
            onset = float(steps[begin(window)]) if window[-1] else np.nan
            typical = len(steps) - wide + int(np.flatnonzero(collapsed[-wide:, m] == window[-1])[-1])
            evidence = _evidence(seen, lost[typical, m], tilt[typical, m], (typical, m))
            evidence += f" (at {(collapsed[-wide:, m] == window[-1]).sum()} of the last {wide} looks)"
        missing = " ".join(str(k) for k in np.flatnonzero(lost[-1, m]))
        rows.append((m, row.seed, verdict, onset, evidence, missing, tilt[-1, m], seen.within[-1, m], seen.quality[-1, m]))
    names = ["member", "seed", "verdict", "onset", "evidence", "missing", "tilt", "spread", "high_quality_share"]
    return pd.DataFrame(rows, columns=names)


class _Seen(NamedTuple):
    """What a run says about its modes, or about cells in their place: arrays `[look, member]`, and `[look, member, part]`."""

    parts: str
    """"modes" or "cells"."""
    counts: np.ndarray
    due: np.ndarray
    within: np.ndarray
    overall: np.ndarray
    quality: np.ndarray
    """Share of samples of high quality, or near the data."""
    countable: np.ndarray
    """Whether the samples are enough for a lost part to mean something, and"""
    weighable: np.ndarray
    """for the parts' weights to."""
    diversity: np.ndarray


def _in_modes(run: Run) -> _Seen:
    counts, due = (trace.by_part(run.trace, name) for name in ("mode_count", "mode_due"))
    within, overall = (trace.wide(run.trace, name).to_numpy() for name in ("spread_within_modes", "spread_overall"))
    quality, always = trace.wide(run.trace, "high_quality_share", "default").to_numpy(), np.ones_like(within, dtype=bool)
    return _Seen("modes", counts, due, within, overall, quality, always, always, np.full_like(within, np.nan))


def _in_cells(run: Run) -> _Seen:
    counts, due = (trace.by_part(run.trace, name) for name in ("cell_count", "cell_due"))
    within, overall, near, diversity = (
        trace.wide(run.trace, name).to_numpy() for name in ("spread_within_cells", "spread_overall", "near_share", "diversity")
    )
    countable = due.min(-1) >= DUE - 1e-6
    return _Seen("cells", counts, due, within, overall, near, countable, countable & (near >= MOSTLY), diversity)


def _evidence(seen: _Seen, lost: np.ndarray, tilt: float, at: tuple[int, int]) -> str:
    said = []
    within, overall, diversity = seen.within[at], seen.overall[at], seen.diversity[at]
    if not np.isfinite(seen.counts[at]).all():
        said.append("samples are not finite")
    if lost.any():
        names = [str(k) for k in np.flatnonzero(lost)]
        listed = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
        said.append(f"{lost.sum()} of {len(lost)} {seen.parts} lost ({listed})")
    if tilt > TILTED and seen.weighable[at]:
        said.append(f"weights off by {tilt:.2f}")
    if within < SHRUNKEN and seen.countable[at]:
        said.append(f"spread inside {seen.parts} {within:.2f} of the data's")
    if overall < SHRUNKEN:
        said.append(f"spread overall {overall:.2f} of the data's")
    if not seen.countable[at] and np.isfinite(diversity):
        near = f"{seen.quality[at]:.0%} of samples near the data, too few to count"
        spread = f"diversity of all {diversity:.2f} of the data's" if diversity < 1 else "all are no less diverse than the data"
        said.append(f"{near}; {spread}")
    if not said:
        said.append(f"all {len(lost)} {seen.parts} held, weights off by {tilt:.2f}")
    if seen.parts == "cells":
        said.append(f"without known modes: {len(lost)} cells of the real data")
    return "; ".join(said)
