"""Memorisation: generated points copy training points more closely than fresh data do."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from ganlab import trace
from ganlab.diagnoses import DIAGNOSES
from ganlab.experiment import Run

CHANCE = 0.001
"""Chance, for a perfect sampler, of samples so near to training data by the ranks of their distances."""

COPIED = 0.05
"""Share of samples that lie closer to training data than 99 % of fresh data do: 1 % for a perfect sampler, and a few for one
that is merely too tight about dense places."""


@DIAGNOSES.register(
    source="rank test: Meehan, Chaudhuri and Dasgupta 2020, section 4; thresholds: ganlab, see its file",
    title="Memorisation",
    threshold=(
        f"at the end of the run, samples closer to training data than held-out data are, by a rank test with p < {CHANCE:g}, "
        f"and more than {COPIED:.0%} of them closer than all but 1 % of held-out data"
    ),
    advice=(
        "Train on more data or augment them for the discriminator (Karras et al. 2020), stop earlier, or make the generator "
        "smaller."
    ),
)
def memorisation(run: Run, strictness: float = 1.0) -> pd.DataFrame | str:
    """Generated points copy training points more closely than fresh data do."""
    if not (run.trace["name"] == "copied_share").any():
        return "training sees fresh samples only, or no data are held out, so nothing can be told to be copied"
    z, share = (trace.last(run.trace.loc[run.trace["name"] == name], name) for name in ("copying_z", "copied_share"))
    rows = []
    for row in run.outcome.itertuples():
        m = int(row.member)  # type: ignore[arg-type]
        p = float(scipy_stats.norm.cdf(z.loc[m]))
        said = f"{share.loc[m]:.0%} of samples closer to training data than all but 1 % of held-out data; rank test p = {p:.2g}"
        if not np.isfinite(z.loc[m]):
            rows.append((m, row.seed, "inconclusive", np.nan, "samples are not finite"))
            continue
        copied = p < CHANCE**strictness and share.loc[m] > COPIED * strictness
        onset = float(run.experiment.steps) if copied else np.nan  # looked for at the end only
        rows.append((m, row.seed, "present" if copied else "absent", onset, said))
    return pd.DataFrame(rows, columns=["member", "seed", "verdict", "onset", "evidence"])
