"""Discriminator overfitting: the discriminator tells training data from held-out data of the same kind."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ganlab import trace
from ganlab.diagnoses import DIAGNOSES
from ganlab.diagnoses.looks import begin, late, width
from ganlab.experiment import Run

KNOWN = 0.1
"""How far the chance that a training logit exceeds a held-out one is above 1/2: five standard errors with 512 of each."""

LOOKS = 3
"""Fewest looks that can be judged."""


@DIAGNOSES.register(
    source="Karras et al. 2020, section 2 (there by the mean logits); thresholds: ganlab, see its file",
    title="Discriminator overfitting",
    threshold=(
        f"a chance above {0.5 + KNOWN:g} that the logit of a training sample exceeds that of a held-out one, at most looks in "
        "the last tenth of the run"
    ),
    advice=(
        "Train on more data, augment what the discriminator sees (Karras et al. 2020), or hold it by R1 (Mescheder 2018)."
    ),
)
def discriminator_overfitting(run: Run, strictness: float = 1.0) -> pd.DataFrame | str:
    """The discriminator tells training data from held-out data."""
    if not (run.trace["name"] == "held_out_separation").any():
        return "no data are held out from training, or the discriminator is shown more than a sample"
    chance = trace.wide(run.trace, "held_out_separation").to_numpy()
    steps = np.sort(run.trace["step"].unique())
    wide = width(len(steps))
    rows = []
    for row in run.outcome.itertuples():
        m = int(row.member)  # type: ignore[arg-type]
        said = f"a training logit exceeds a held-out one with a chance of {np.median(chance[-wide:, m]):.2f}"
        if len(steps) < LOOKS or not np.isfinite(chance[-wide:, m]).all():
            rows.append((m, row.seed, "inconclusive", np.nan, f"{said}; too few looks, or not finite"))
            continue
        window = late(chance[:, m] > 0.5 + KNOWN * strictness, wide)
        verdict, onset = ("present", float(steps[begin(window)])) if window[-1] else ("absent", np.nan)
        rows.append((m, row.seed, verdict, onset, said))
    return pd.DataFrame(rows, columns=["member", "seed", "verdict", "onset", "evidence"])
