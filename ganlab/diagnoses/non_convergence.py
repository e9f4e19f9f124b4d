"""Non-convergence: late in the run the generator's distribution still moves - it turns over modes, swings, or circles.

Standing still in a wrong place is not it, and moving towards the data is not it yet: a run that still approaches is told to
go on. Probes generate from the same latents at every look, so that what moves is the generator and not the dice.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from ganlab import trace
from ganlab.cycles import cycle
from ganlab.diagnoses import DIAGNOSES
from ganlab.diagnoses.looks import late
from ganlab.experiment import Run
from ganlab.frozen import is_frozen
from ganlab.turnover import hopping, turnover

LATE = 1 / 3
"""The part of the run that is looked at: turning takes longer to see than standing."""

MOVING = 0.1
"""Sliced distance between the samples of successive looks, in standard deviations of the data, from which they move: a
little more than that of two sets of 512 real samples, which is up to 0.08."""

TURNING = 0.1
"""Part of all samples that changes modes between successive looks, counted by their nearest mode whether near it or not: those
of high quality come and go with the least tremble."""

APPROACHING = 0.8
"""A generator whose distance to the data falls to this part of itself, from the middle third of the run to the last, is still
on its way."""

STEADILY = -0.7
"""Rank correlation of that distance with the step, below which it falls steadily and does not swing."""

LOOKS = 9
"""Fewest looks that can be judged, three in each third."""


@DIAGNOSES.register(
    source="Mescheder et al. 2018; thresholds: ganlab, see ganlab/diagnoses/non_convergence.py",
    title="Non-convergence",
    threshold=(
        f"in the last third of the run, samples that move by more than {MOVING} standard deviations of the data between most "
        f"looks, or of which more than {TURNING:.0%} change modes, unless their distance to the data still falls"
    ),
    advice=(
        "Hold the discriminator by R1 (Mescheder et al. 2018), take the running mean of the generator (Yaz et al. 2019), let "
        "the learning rates differ (Heusel et al. 2017) or fall, or update by extragradient (Gidel et al. 2019)."
    ),
)
def non_convergence(run: Run, strictness: float = 1.0) -> pd.DataFrame | str:
    """Late in the run the generator's distribution still moves: it turns over modes, swings, or circles."""
    if is_frozen(run):
        return "the generator freezes, so how it ends says nothing of its training"
    known = set(run.trace["name"].unique())
    if "motion" not in known and "mode_nearest" not in known:
        return "the trace tells neither how samples moved between looks nor their modes"
    steps = np.sort(run.trace["step"].unique())
    n_members = len(run.outcome)
    motion = trace.wide(run.trace, "motion").to_numpy() if "motion" in known else np.zeros((len(steps), n_members))
    distance = trace.wide(run.trace, "distance").to_numpy() if "distance" in known else np.zeros_like(motion)
    counts = trace.by_part(run.trace, "mode_nearest") if "mode_nearest" in known else np.ones((*motion.shape, 1))
    due = trace.by_part(run.trace, "mode_due")[0, 0] if "mode_due" in known else np.ones(counts.shape[-1])
    wide = _width(len(steps))
    turned = np.concatenate([np.zeros((1, n_members)), turnover(counts)])  # nothing has turned at the first look
    held = hopping(counts, due, wide)
    rows = []
    for row in run.outcome.itertuples():
        m = int(row.member)  # type: ignore[arg-type]
        if row.status == "diverged":
            verdict, onset = "present", float(row.step)  # type: ignore[arg-type]
            evidence = f"diverged at step {row.step}: {row.place}"
        else:
            verdict, onset, evidence = _judged(steps, motion[:, m], turned[:, m], distance[:, m], strictness)
            if (ever := held.over_all[m]) > held.at_each_look[m] + 0.5:
                evidence += f"; {ever:g} modes are held at some look of that time, {held.at_each_look[m]:.1f} at each"
            if verdict == "present" and (turn := cycle(counts[len(steps) // 2 :, m])).verdict == "cycle":
                evidence += f"; in the second half they come round every {turn.period * run.experiment.every:.0f} steps"
        rows.append((m, row.seed, verdict, onset, evidence, float(np.median(turned[-wide:, m]))))
    return pd.DataFrame(rows, columns=["member", "seed", "verdict", "onset", "evidence", "turnover"])


def _width(n_looks: int) -> int:
    return max(1, round(LATE * n_looks))


def _judged(
    steps: np.ndarray, motion: np.ndarray, turned: np.ndarray, distance: np.ndarray, strictness: float
) -> tuple[str, float, str]:  # fmt: skip
    wide = _width(len(steps))
    moves, turns = float(np.median(motion[-wide:])), float(np.median(turned[-wide:]))
    said = f"between looks of the last third samples move by {moves:.2f} std, and {turns:.0%} of them change modes"
    if len(steps) < LOOKS:
        return "inconclusive", np.nan, f"{said}; {len(steps)} looks are too few; look more often, or train longer"
    if moves <= MOVING * strictness and turns <= TURNING * strictness:
        return "absent", np.nan, said
    now, before = np.median(distance[-wide:]), np.median(distance[-2 * wide : -wide])
    if now < APPROACHING * before and scipy_stats.spearmanr(np.arange(2 * wide), distance[-2 * wide :]).statistic < STEADILY:
        return "inconclusive", np.nan, f"{said}; it still approaches the data ({before:.2f} to {now:.2f} std); train longer"
    return "present", float(steps[_arrived(motion, turned, distance, now)]), said


def _arrived(motion: np.ndarray, turned: np.ndarray, distance: np.ndarray, now: float) -> int:
    """Return the look since when it moves without coming nearer: as near as at the end, and never again still for a while."""
    near = np.flatnonzero(distance <= 1.1 * now)
    still = (motion <= MOVING / 2) & (turned <= TURNING / 2)
    still[0] = False  # there was no look before
    last_still = np.flatnonzero(late(still, 3))  # a swing turns in a moment
    first = max(near[0] if len(near) else 0, last_still[-1] + 1 if len(last_still) else 0)
    return int(min(first, len(motion) - 1))
