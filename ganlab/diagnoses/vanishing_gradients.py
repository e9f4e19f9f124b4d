"""Vanishing gradients: the generator gets next to no signal at its own samples, because the discriminator separates them.

All three at once, at the end of the run: the signal of most fakes is dead, the discriminator tells real from fake, and the
samples are still poor. A generator that is done has small gradients and no failure. What counts is the loss that the generator
really minimises: where the discriminator is as sure, the non-saturating loss keeps its signal and the original one has lost it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ganlab import trace
from ganlab.diagnoses import DIAGNOSES
from ganlab.diagnoses.looks import begin, episode, late, width
from ganlab.experiment import Run
from ganlab.trace import DEAD

APART = 0.95
"""Chance that a real logit exceeds a fake one from which the discriminator separates the two; 0.5 is a coin."""

POOR = 0.15
"""Least sliced distance of poor samples to the data, in its standard deviations: twice that of two sets of 512 real ones."""

GOOD = 0.5
"""Share of high-quality samples below which they are poor however near: a tight mode can be missed by little."""

LOOKS = 5
"""Fewest looks of a run that can be judged."""

CLAMPS = range(4, 17)
"""Powers of ten, minus which a round epsilon inside a logarithm may be; the loss then ends at -ln 1e-4 = 9.21, ..., 36.84."""

AT_CLAMP = 1e-3
"""How near to that a loss stands at a clamp, as a part of it: 13.82 is told from a loss that happens to be large."""


@DIAGNOSES.register(
    source="Arjovsky and Bottou 2017, theorem 2.4; thresholds: ganlab, see ganlab/diagnoses/vanishing_gradients.py",
    title="Vanishing gradients",
    threshold=(
        f"a signal at the median fake that reaches less than {DEAD} (moving it across the data would change its loss by less "
        f"than a hundredth of what tells real from fake), real and fake told apart with a chance of at least {APART}, and poor "
        f"samples: more than {POOR} standard deviations from the data, or less than {GOOD:.0%} of high quality; at most looks "
        "in the last tenth of the run"
    ),
    advice=(
        "Take the non-saturating loss (Goodfellow et al. 2014, section 3) or a critic with a gradient penalty (Gulrajani et "
        "al. 2017), or blur what the discriminator sees (instance noise, Arjovsky and Bottou 2017); a slower discriminator "
        "only puts it off."
    ),
)
def vanishing_gradients(run: Run, strictness: float = 1.0) -> pd.DataFrame | str:
    """The generator gets next to no signal at its samples, because the discriminator tells them apart, and they are poor."""
    names = ("signal_reach", "separation", "distance")
    if missing := [name for name in names if not (run.trace["name"] == name).any()]:
        return f"the trace has no {missing[0].replace('_', ' ')}"
    reach, apart, distance = (trace.wide(run.trace, name).to_numpy() for name in names)
    steps = np.sort(run.trace["step"].unique())
    poor = distance > POOR
    if (run.trace["name"] == "high_quality_share").any():
        poor |= trace.wide(run.trace, "high_quality_share", "default").to_numpy() < GOOD
    gone = (reach < DEAD / strictness) & (apart >= APART) & poor
    rows = []
    for row in run.outcome.itertuples():
        m = int(row.member)  # type: ignore[arg-type]
        alive = np.isfinite(distance[:, m]) & np.isfinite(apart[:, m])
        n = int(alive.sum()) if row.status == "diverged" else len(steps)
        verdict, onset, evidence = _judged(run, m, steps[:n], gone[:n, m], reach[:n, m], apart[:n, m], distance[:n, m])
        if row.status == "diverged":
            evidence += f"; judged until it diverged at step {row.step}"
        rows.append((m, row.seed, verdict, onset, evidence, _lost(reach[:n, m])))
    return pd.DataFrame(rows, columns=["member", "seed", "verdict", "onset", "evidence", "decades_lost"])


def _judged(
    run: Run, m: int, steps: np.ndarray, gone: np.ndarray, reach: np.ndarray, apart: np.ndarray, distance: np.ndarray
) -> tuple[str, float, str]:  # fmt: skip
    if len(steps) < LOOKS:
        return "inconclusive", np.nan, f"{len(steps)} looks are too few; look more often, or train longer"
    wide = width(len(steps))
    window = late(gone, wide)
    said = (
        f"reach {np.median(reach[-wide:]):.2g} ({_lost(reach):+.1f} decades since its best), real and fake told apart with a "
        f"chance of {np.median(apart[-wide:]):.2f}, samples {np.median(distance[-wide:]):.2f} std from the data"
    )
    if window[-1]:
        return "present", float(steps[begin(window)]), said + _pinned(run, m, wide)
    if (found := episode(window)) is not None:
        said += f"; an episode from step {steps[found[0]]} to {steps[found[1]]}, then it recovered"
    return "absent", np.nan, said


def _lost(reach: np.ndarray) -> float:
    """Return the change of the reach from its best look to the end, in decades: negative where it was lost; NaN of no looks."""
    if not len(reach):  # not finite from the first look on
        return np.nan
    wide = width(len(reach))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log10(np.median(reach[-wide:])) - np.log10(np.nanmax(reach, initial=0.0)))


def _pinned(run: Run, m: int, wide: int) -> str:
    """Return a note where the generator's loss stands at the logarithm of a round epsilon: someone's log(D + 1e-6)."""
    if not (run.trace["name"] == "generator_loss").any():
        return ""
    loss = np.abs(trace.wide(run.trace, "generator_loss").to_numpy()[-wide:, m])
    for power in CLAMPS:
        clamp = power * np.log(10)
        if np.all(np.abs(loss - clamp) < AT_CLAMP * clamp):
            return f"; generator loss constant at {clamp:.2f} = -ln 1e-{power}, the log of a round epsilon: a clamp"
    return ""
