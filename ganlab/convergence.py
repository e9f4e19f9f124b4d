"""Whether a run of nets settles or circles, by all instruments at once: cycles, drift, forgetting, averages, rotation.

Plain tables, no torch. What a run says over time is read off its second half; what is measured at its end stands at its last
step.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ganlab import trace
from ganlab.cycles import Spectrum, cycle, main_plane, spectrum, wander
from ganlab.experiment import AGES, Run
from ganlab.turnover import hopping

Array = NDArray[np.float64]

AT_THE_END = (
    "distance", "distance_of_average", "rotation_index", "largest_real_part", "path_attraction", "path_rotation",
)  # fmt: skip
"""Readings of the last step."""


def instruments(run: Run) -> pd.DataFrame:
    """Return what the instruments say, a row per member, by member; NaN where something was not recorded or is not finite.

    - `motion`: standard deviations of the data that samples move between looks, median
    - `held`, `ever_held`: modes held at a look, mean, and at some look
    - `mode_period`, `mode_score`: steps in which the mode histogram comes round, and its autocorrelation then (0: it does not)
    - `period`, `score`: the same of the generator's projected parameters in their main plane
    - `drift`: distance from first to last look over the length of the way between, 1 on a straight line
    - `then`, `now`: how well the discriminator told fakes of the last looks when they were made, and how well it tells the
      same fakes a few looks later; the chance that a real logit exceeds a fake one
    - `forgotten`: then - now
    - `loss_period`, `loss_share`: steps in a round of the discriminator's loss at its highest share of the variance
    - the readings of `AT_THE_END`

    Source: protocols of Berard et al. 2020 (path, rotation), Daskalakis et al. 2018 (average and last iterate).
    """
    known = set(run.trace["name"].unique())
    looks = np.sort(run.trace["step"].unique())
    late = 2 * looks >= run.experiment.steps
    n_members, every = len(run.outcome), run.experiment.every
    found: dict[str, Array] = {}
    if "motion" in known:
        found["motion"] = np.median(trace.wide(run.trace, "motion").to_numpy()[late], axis=0)
    if "mode_nearest" in known:
        counts = trace.by_part(run.trace, "mode_nearest")[late]
        due = trace.by_part(run.trace, "mode_due")[0, 0]
        held = hopping(counts, due, len(counts))
        found |= {"held": held.at_each_look, "ever_held": held.over_all}
        found |= _cycles("mode_", counts, every)
    if "generator_position" in known:
        position = trace.by_part(run.trace, "generator_position")[late]
        planes = np.stack([main_plane(np.nan_to_num(position[:, m]))[0] for m in range(n_members)], axis=1)
        planes[~np.isfinite(position).all(axis=2)] = np.nan
        found |= _cycles("", planes, every)
        found["drift"] = np.array([wander(position[:, m]).drift for m in range(n_members)])
    if "past_separation" in known:
        then, now = recognition(run)
        found |= {"then": then[late].mean(axis=0), "now": now[late].mean(axis=0)}
        found["forgotten"] = found["then"] - found["now"]
    if "losses" in run.samples:
        spectra = [loss_spectrum(run, m) for m in range(n_members)]
        found["loss_period"] = np.array([s.period if s else np.nan for s in spectra])
        found["loss_share"] = np.array([s.share.max() if s else np.nan for s in spectra])
    found |= {name: trace.last(run.trace, name).to_numpy() for name in AT_THE_END if name in known}
    return pd.DataFrame(found, index=pd.Index(run.outcome["member"], name="member"))


def _cycles(prefix: str, series: Array, every: int) -> dict[str, Array]:
    """Return period in steps and score of each member's series, `[look, member, part]`."""
    cycles = [cycle(series[:, m]) for m in range(series.shape[1])]
    return {
        f"{prefix}period": np.array([c.period * every for c in cycles]), f"{prefix}score": np.array([c.score for c in cycles]),
    }  # fmt: skip


def recognition(run: Run) -> tuple[Array, Array]:
    """Return how well fakes of the last `AGES` looks were told from real when made, and how well they are told at each look.

    Both `[look, member]`; NaN at the looks before which there were fewer.
    """
    told, again = (trace.wide(run.trace, name).to_numpy() for name in ("separation", "past_separation"))
    then = np.full_like(told, np.nan)
    for i in range(AGES, len(told)):
        then[i] = told[i - AGES : i].mean(axis=0)
    return then, again


def loss_spectrum(run: Run, member: int) -> Spectrum | None:
    """Return the spectrum of the discriminator's loss in the second half of a run; None where it is not finite."""
    losses = np.asarray(run.samples["losses"][member, :, 0], dtype=np.float64)[-(run.experiment.steps // 2) :]
    return spectrum(losses) if len(losses) >= 4 and np.isfinite(losses).all() else None
