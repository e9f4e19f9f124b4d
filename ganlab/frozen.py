"""What a frozen generator saw: how fast its gradient decays while the discriminator trains alone. Plain tables, no torch.

Time is counted in discriminator updates since the generator froze, so that objectives with several updates a step compare.
Sizes are in decades, powers of ten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

from ganlab import stats, trace
from ganlab.experiment import Run

GRADIENT, AT_MEDIAN_FAKE = "generator_gradient", "signal_at_fakes_median"

COORDINATE = "generator_gradient_coordinate"

SETTLED = 100
"""Discriminator updates after which a fresh discriminator is no longer what it was drawn as."""

SMALLEST = 1.401298464324817e-45
"""The smallest positive float32: a gradient of exactly 0 is one below it, and counts as this much."""

CERTAIN = 0.99
"""Accuracy from which the discriminator tells real from fake."""

LOOKS = 5
"""Fewest looks of a quarter of the time from which jumps are read."""

NORMAL, CAUCHY = 2.906, 12.706
"""Width of the middle 95 % of a normal law over that of its middle half, and of Cauchy's."""


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


def lost(run: Run, name: str = GRADIENT) -> stats.Interval:
    """Return the decades that a size lost from the first look to the last, mean over seeds with its Student-t interval."""
    return stats.mean(decay(run, name)["lost"].to_numpy())


def certain_after(run: Run) -> pd.Series:
    """Return after how many updates the discriminator's accuracy was first `CERTAIN`, per member; NaN where it never was.

    Raises KeyError where there is no accuracy: a critic's logits have no zero point.
    """
    accuracy = since_frozen(run, "discriminator_accuracy")
    reached = accuracy >= CERTAIN
    return reached.idxmax().where(reached.any())


def spread_growth(before: ArrayLike, after: ArrayLike, draws: np.random.Generator, n: int = 4000) -> stats.Interval:
    """Return by what factor the interquartile range over seeds grew, with its 95 % interval: wide, one number a study.

    Parameters
    ----------
    before, after
        One number per seed, in the same order of seeds.
    draws
        For resampling seeds, both values of a seed together (percentile bootstrap, n times).
    """
    pair = np.stack([np.asarray(before, dtype=float), np.asarray(after, dtype=float)])
    seeds = pair.shape[1]
    chosen = pair[:, draws.integers(seeds, size=(n, seeds))]  # [before or after, resample, seed]
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample of one seed alone has no spread
        one, many = (_middle(x, -1)[1] / _middle(x, -1)[0] for x in (pair, chosen))
    low, high = np.nanpercentile(many, [2.5, 97.5]) if np.isfinite(one) and seeds > 1 else (-np.inf, np.inf)
    return stats.Interval(float(one), float(low), float(high), seeds)


def unrest(run: Run) -> pd.DataFrame:
    """Return how far log10 of the gradient's length jumps within a seed, in decades, a row per member: `early` and `late`.

    A jump is the second difference of three successive looks, which a straight course does not have, whatever its slope; its
    size is the interquartile range of those in the first, and in the last, quarter of the time from `SETTLED` updates on. NaN
    where a quarter has fewer than `LOOKS` looks, and for a member that is not finite in it.
    """
    length = decades(since_frozen(run, GRADIENT)).to_numpy()[:, :, None]
    return _at_both_ends(length, run, lambda jumps: float(_middle(jumps[:, 0], 0)))


def tails(run: Run) -> pd.DataFrame:
    """Return how heavy the tails of the jumps of the gradient's coordinates are, a row per member: `early` and `late`.

    The middle 95 % of all jumps over their middle half, the jumps of each coordinate in units of its own middle half; `NORMAL`
    for a normal law, `CAUCHY` for Cauchy's, which has no variance and so no kurtosis. Coordinates that never move are left out.

    Source: what theorem 2.6 of Arjovsky and Bottou 2017 says of the non-saturating loss, whose coordinates are Cauchy over
    discriminators that are the best one and noise; here, over the discriminators of successive looks.
    """
    labels = trace.select(run.trace, COORDINATE)["index"].unique()
    coordinates = np.stack([since_frozen(run, COORDINATE, str(label)).to_numpy() for label in labels], -1)
    return _at_both_ends(coordinates, run, _heaviness)


def _heaviness(jumps: NDArray[np.float64]) -> float:
    size = _middle(jumps, 0)
    scaled = (jumps[:, size > 0] / size[size > 0]).ravel()
    return float(np.ptp(np.percentile(scaled, [2.5, 97.5])) / _middle(scaled, 0)) if len(scaled) else np.nan


def _at_both_ends(values: NDArray[np.float64], run: Run, read: Callable[[NDArray[np.float64]], float]) -> pd.DataFrame:
    """Return what is read off the jumps `[look, part]` of `values [look, member, part]`, in the first and the last quarter."""
    looks = since_frozen(run, GRADIENT)
    settled = values[looks.index >= SETTLED]
    n = len(settled) // 4
    ends = {"early": settled[:n], "late": settled[len(settled) - n :]}
    rows = [
        {end: read(np.diff(x[:, m], 2, axis=0)) if n >= LOOKS and np.isfinite(x[:, m]).all() else np.nan
         for end, x in ends.items()}
        for m in range(values.shape[1])
    ]  # fmt: skip
    return pd.DataFrame(rows, index=looks.columns)


def _middle(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the interquartile range."""
    low, high = np.percentile(values, [25, 75], axis=axis)
    return np.asarray(high - low)


def factor(before: ArrayLike, after: ArrayLike) -> tuple[stats.Interval, float]:
    """Return by what factor a size grew within seeds, its geometric mean with a 95 % interval, and the exact sign-flip p-value.

    Parameters
    ----------
    before, after
        One number per seed, in the same order of seeds, above 0.

    Example
    -------
    >>> grown, p = factor([1, 2, 4], [10, 20, 40])
    >>> print(grown, p)
    10 [10, 10] (n=3) 0.25
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # what is 0 has no factor, and leaves no interval
        one, other = np.log10(np.asarray(before, dtype=float)), np.log10(np.asarray(after, dtype=float))
        found = stats.mean(other - one)
    with np.errstate(over="ignore"):
        low, high = (float(np.float64(10.0) ** bound) for bound in (found.low, found.high))
    return stats.Interval(10**found.estimate, low, high, found.n), stats.sign_flip(other, one)


def typical(values: ArrayLike) -> stats.Interval:
    """Return the geometric mean of one number per seed, above 0, with its 95 % interval."""
    return factor(np.ones_like(np.asarray(values, dtype=float)), values)[0]


def at(table: pd.DataFrame, updates: int) -> pd.Series:
    """Return the values of the first look at or after so many updates; of the last look when there is none."""
    later = table[table.index >= updates]
    return later.iloc[0] if len(later) else table.iloc[-1]


def share(holds: Sequence[bool] | NDArray[np.bool_]) -> stats.Rate:
    """Return the share of seeds for which something holds, with its Wilson interval."""
    return stats.rate(int(np.sum(holds)), len(holds))
