"""Mode collapse: at the end of the run the generator misses modes, weighs them wrongly, or has lost their spread.

Samples that are simply bad are not collapse. Where high-quality samples are too few to count, modes are counted by nearest
sample, so that a blob over all modes misses none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ganlab import trace
from ganlab.diagnoses import DIAGNOSES
from ganlab.diagnoses.looks import LATE, begin, late, width
from ganlab.experiment import Run

LOST = 0.1
"""A mode is lost when it has less than this part of its due. A tenth, so that a perfect sampler with 20 samples due loses
none (chance 4e-8) and a mode that is merely disfavoured is not called missing."""

TILTED = 0.25
"""Largest total variation distance of the modes' weights to the data's: a quarter of the mass in the wrong place, as when
two of eight modes are lost."""

SHRUNKEN = 0.25
"""Smallest spread, inside modes or overall, as a part of the data's."""

DUE = 20
"""Samples every mode must be due before its absence means something."""

NAMED = 12
"""Lost modes named in the evidence; all of them are in the column `missing`."""

@DIAGNOSES.register(
    source="thresholds: ganlab, see ganlab/diagnoses/mode_collapse.py; high quality: Srivastava et al. 2017 (VEEGAN)",
    title="Mode collapse",
    threshold=(
        f"a mode with less than {LOST:.0%} of its due, weights more than {TILTED} off in total variation, or a spread "
        f"below {SHRUNKEN} of the data's, at the majority of looks in the last {LATE:.0%} of the run"
    ),
    advice=(
        "Compare with R1 on a relativistic objective (Huang et al. 2024), with packing (Lin et al. 2018) or with a gradient "
        "penalty (Gulrajani et al. 2017), on the same seeds."
    ),
)
def mode_collapse(run: Run, strictness: float = 1.0) -> pd.DataFrame | str:
    """The generator misses modes of the data, gives them wrong weights, or has lost the spread inside them."""
    if not (run.trace["name"] == "mode_count").any():
        return "the data have no known modes, so none can be counted"
    counts, due = (trace.by_part(run.trace, name) for name in ("mode_count", "mode_due"))  # [step, member, mode]
    steps = np.sort(run.trace["step"].unique())
    within, overall = (trace.wide(run.trace, name).to_numpy() for name in ("spread_within_modes", "spread_overall"))
    quality = trace.wide(run.trace, "high_quality_share", "default").to_numpy()
    lost = counts < LOST / strictness * due
    tilt = 0.5 * np.abs(counts - due).sum(-1) / np.maximum(due.sum(-1), 1)
    shrunken = (within < SHRUNKEN / strictness) | (overall < SHRUNKEN / strictness)
    collapsed = lost.any(-1) | (tilt > TILTED * strictness) | shrunken | ~np.isfinite(counts).all(-1)

    rows = []
    for row in run.outcome.itertuples():
        m = int(row.member)  # type: ignore[arg-type]
        if row.status == "diverged":
            verdict, onset, evidence = "present", float(row.step), f"diverged at step {row.step}: {row.place}"  # type: ignore[arg-type]
        elif due[-1, m].min() < DUE - 1e-6:  # the sum of weights is rounded
            verdict, onset = "inconclusive", np.nan
            evidence = f"too few samples for {due.shape[-1]} modes; raise evaluation so that each is due {DUE}"
        else:
            wide = width(len(steps))
            window = late(collapsed[:, m], wide)
            verdict = "present" if window[-1] else "absent"
            onset = float(steps[begin(window)]) if window[-1] else np.nan
            typical = len(steps) - wide + int(np.flatnonzero(collapsed[-wide:, m] == window[-1])[-1])
            evidence = _evidence(lost[typical, m], tilt[typical, m], within[typical, m], overall[typical, m])
            evidence += f" (at {(collapsed[-wide:, m] == window[-1]).sum()} of the last {wide} looks)"
        missing = " ".join(str(k) for k in np.flatnonzero(lost[-1, m]))
        rows.append((m, row.seed, verdict, onset, evidence, missing, tilt[-1, m], within[-1, m], quality[-1, m]))
    names = ["member", "seed", "verdict", "onset", "evidence", "missing", "tilt", "spread", "high_quality_share"]
    return pd.DataFrame(rows, columns=names)


def _evidence(lost: np.ndarray, tilt: float, within: float, overall: float) -> str:
    said = []
    if not np.isfinite(tilt):
        said.append("samples are not finite")
    if lost.any():
        names = [str(k) for k in np.flatnonzero(lost)]
        listed = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
        said.append(f"{lost.sum()} of {len(lost)} modes lost ({listed})")
    if tilt > TILTED:
        said.append(f"weights off by {tilt:.2f}")
    if within < SHRUNKEN:
        said.append(f"spread inside modes {within:.2f} of the data's")
    if overall < SHRUNKEN:
        said.append(f"spread overall {overall:.2f} of the data's")
    return "; ".join(said) or f"all {len(lost)} modes held, weights off by {tilt:.2f}"
