"""What a frozen generator saw: how fast its gradient decays while the discriminator trains alone. Plain tables, no torch.

Time is counted in discriminator updates since the generator froze, so that objectives with several updates a step compare.
Sizes are in decades, powers of ten.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

from ganlab import stats, trace
from ganlab.experiment import Run

GRADIENT, AT_MEDIAN_FAKE = "generator_gradient", "signal_at_fakes_median"

SETTLED = 100
"""Discriminator updates after which a fresh discriminator is no longer what it was drawn as."""

SMALLEST = 1.401298464324817e-45
"""The smallest positive float32: a gradient of exactly 0 is one below it, and counts as this much."""

CERTAIN = 0.99
"""Accuracy from which the discriminator tells real from fake."""


def is_frozen(run: Run) -> bool:
    """Return whether the run's generator freezes."""
    return "frozen_at" in run.experiment.settings


def age(run: Run) -> int:
    """Return the steps that the generator trained before it froze."""
    return int(run.experiment.settings["frozen_at"])


def begins_anew(run: Run) -> bool:
    """Return whether the discriminator then began anew."""
    return bool(run.experiment.settings.get("fresh_discriminator", True))


def since_frozen(run: Run, name: str, index: str = "") -> pd.DataFrame:
    """Return one quantity since the generator froze: a row per look, by discriminator updates, and a column per member."""
    table = trace.wide(run.trace, name, index)
    table = table[table.index >= age(run)]
    table.index = pd.Index((table.index - age(run)) * int(run.experiment.settings["n_critic"]), name="updates")
    return table


def decades(gradient: pd.DataFrame) -> pd.DataFrame:
    """Return log10, of 0 that of `SMALLEST`."""
    return gradient.where(gradient != 0, SMALLEST).apply(np.log10)


def decay(run: Run, name: str = GRADIENT) -> pd.DataFrame:
    """Return how a size went, a row per member; NaN throughout for a member that is not finite at every look.

    - `rate`: decades lost per thousand discriminator updates, minus the least-squares slope of its log10
    - `lost`: decades lost from the first look to the last
    - `spearman`: rank correlation with the update
    - `span`: decades between its largest and its smallest value from `SETTLED` updates on

    A member with a single look has a loss of 0 and no rate.

    Parameters
    ----------
    name
        `GRADIENT`, the norm that the generator's optimiser sees, to which a few fakes can contribute nearly all; or
        `AT_MEDIAN_FAKE`, what half of the fakes get less than.
    """
    size = decades(since_frozen(run, name))
    updates = size.index.to_numpy(dtype=float)
    rows = {member: _decay(updates, size[member].to_numpy()) for member in size}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["rate", "lost", "spearman", "span"])


def _decay(updates: NDArray[np.float64], size: NDArray[np.float64]) -> list[float]:
    if not np.isfinite(size).all():
        return [np.nan] * 4
    settled = size[updates >= SETTLED]
    varies = len(size) > 1 and np.ptp(size) > 0
    slope = float(np.polyfit(updates, size, 1)[0]) if len(size) > 1 else np.nan
    rank = float(scipy_stats.spearmanr(updates, size).statistic) if varies else np.nan
    return [-1000 * slope, float(size[0] - size[-1]), rank, float(np.ptp(settled)) if len(settled) else np.nan]


def certain_after(run: Run) -> pd.Series:
    """Return after how many updates the discriminator's accuracy was first `CERTAIN`, per member; NaN where it never was.

    Raises KeyError where there is no accuracy: a critic's logits have no zero point.
    """
    accuracy = since_frozen(run, "discriminator_accuracy")
    reached = accuracy >= CERTAIN
    return reached.idxmax().where(reached.any())


def growth(
    before: ArrayLike, after: ArrayLike, draws: np.random.Generator, n: int = 4000
) -> tuple[stats.Interval, stats.Interval]:
    """Return by what factor the median over seeds grew, and by what the interquartile range, with 95 % intervals.

    Parameters
    ----------
    before, after
        One number per seed, in the same order of seeds, above 0.
    draws
        For resampling seeds, both values of a seed together (percentile bootstrap, n times).
    """
    pair = np.stack([np.asarray(before, dtype=float), np.asarray(after, dtype=float)])
    seeds = pair.shape[1]
    chosen = pair[:, draws.integers(seeds, size=(n, seeds))]  # [before or after, resample, seed]
    found = []
    for read in (_medians, _spreads):
        with np.errstate(divide="ignore", invalid="ignore"):  # a resample of one seed alone has no spread
            one, many = read(pair)[1] / read(pair)[0], read(chosen)[1] / read(chosen)[0]
        low, high = np.nanpercentile(many, [2.5, 97.5]) if np.isfinite(one) and seeds > 1 else (-np.inf, np.inf)
        found.append(stats.Interval(float(one), float(low), float(high), seeds))
    return found[0], found[1]


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.median(values, axis=-1))


def _spreads(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.percentile(values, [25, 75], axis=-1)
    return np.asarray(high - low)


def at(table: pd.DataFrame, updates: int) -> pd.Series:
    """Return the values of the first look at or after so many updates; of the last look when there is none."""
    later = table[table.index >= updates]
    return later.iloc[0] if len(later) else table.iloc[-1]


def share(holds: Sequence[bool] | NDArray[np.bool_]) -> stats.Rate:
    """Return the share of seeds for which something holds, with its Wilson interval."""
    return stats.rate(int(np.sum(holds)), len(holds))
