"""Divergence: something is not finite any more, or samples or parameters grow without bound."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ganlab import trace
from ganlab.diagnoses import DIAGNOSES
from ganlab.experiment import Run

FINITE = (
    "generator_loss", "discriminator_loss", "generator_gradient", "discriminator_gradient", "real_logit_mean",
    "fake_logit_mean", "generator_norm", "discriminator_norm", "sample_scale",
)  # fmt: skip
"""What is finite in every sound run; other readings have no value in some."""

FAR = 3.0
"""Root mean square distance of samples from the data's mean, over the data's own, from which growth is a failure."""

GROWN = {"sample_scale": 1.5, "generator_norm": 3.0, "discriminator_norm": 3.0}
"""Least growth of the largest value, from the middle third of the run to the last, that counts as without bound. In 96
runs of six usual variants parameters grew at most 1.7 times in that time, and samples 1.1 times."""

LOOKS = 6
"""Fewest looks from which growth can be told."""


@DIAGNOSES.register(
    source="thresholds: ganlab, see ganlab/diagnoses/divergence.py",
    title="Divergence",
    threshold=(
        f"anything non-finite; samples more than {FAR:g} times as far out as the data and still going "
        f"({GROWN['sample_scale']:g} times as far in the last third of the run as in the middle one); or parameters that grow "
        f"{GROWN['generator_norm']:g} times in that time"
    ),
    advice=(
        "Lower the learning rates; hold the discriminator by a gradient penalty (Mescheder et al. 2018) or a spectral norm "
        "(Miyato et al. 2018)."
    ),
)
def divergence(run: Run, strictness: float = 1.0) -> pd.DataFrame | str:
    """Something is not finite any more, or samples or parameters grow without bound."""
    known = set(run.trace["name"].unique())
    if not known & set(FINITE):
        return "the trace has neither losses, gradients, parameters nor samples"
    read = {name: trace.wide(run.trace, name).to_numpy() for name in FINITE if name in known}
    steps = np.sort(run.trace["step"].unique())
    rows = []
    for row in run.outcome.itertuples():
        m = int(row.member)  # type: ignore[arg-type]
        verdict, onset, evidence = _judged(steps, {name: values[:, m] for name, values in read.items()}, strictness)
        if row.status == "diverged":
            verdict, onset = "present", float(row.step)  # type: ignore[arg-type]
            evidence = f"not finite since step {row.step}: {row.place}"
        rows.append((m, row.seed, verdict, onset, evidence))
    return pd.DataFrame(rows, columns=["member", "seed", "verdict", "onset", "evidence"])


def _judged(steps: np.ndarray, read: dict[str, np.ndarray], strictness: float) -> tuple[str, float, str]:
    for name, values in read.items():
        if not np.isfinite(values).all():
            first = int(np.flatnonzero(~np.isfinite(values))[0])
            return "present", float(steps[first]), f"{name.replace('_', ' ')} not finite at step {steps[first]}"
    if len(steps) < LOOKS:
        return "inconclusive", np.nan, f"all is finite, but {len(steps)} looks are too few to tell growth"
    said = []
    for name, least in GROWN.items():
        if name in read:
            growth, since = _growth(read[name])
            last = read[name][-1]
            far = name != "sample_scale" or read[name][-len(steps) // 3 :].max() >= FAR * strictness
            if growth >= 1 + (least - 1) * strictness and far:
                grown = f"{name.replace('_', ' ')} at {last:.3g}, {growth:.2g} times its peak of the middle third"
                return "present", float(steps[since]), grown
            said.append(f"{name.replace('_', ' ')} {last:.3g}")
    return "absent", np.nan, "all is finite" + (f"; at the end {', '.join(said)}" if said else "")


def _growth(values: np.ndarray) -> tuple[float, int]:
    """Return how much larger the peak of the last third is than that of the middle one, and the look since when it is above."""
    n = len(values) // 3
    before, after = np.abs(values[n : 2 * n]).max(), np.abs(values[2 * n :]).max()
    above = np.flatnonzero(np.abs(values) > before)
    above = above[above >= n]
    return float(after / max(before, np.finfo(float).tiny)), int(above[0]) if len(above) else len(values) - 1
