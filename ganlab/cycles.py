"""Whether something that was looked at again and again turns, drifts or has come to rest: numpy on series, no nets.

A series is `[look]` or `[look, part]`: losses, the weights of modes, projected parameters; looks are equally far apart.
`path_statistics` asks the same of a straight line through parameter space, given a function for the gradients along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

Array = NDArray[np.float64]

SHORTEST = 48
"""Looks below which no cycle is looked for: with fewer, even exact waves are not all told from chance."""

ROUNDS = 3
"""Times that a cycle must fit into the looks. The main directions of a random walk are half a wave, a whole one, one and a half
(Antognini and Sohl-Dickstein 2018, PCA of high dimensional random walks), which is no cycle."""

ROUNDING = 1e-9
"""Movement, relative to the largest value, that is none."""


class Cycle(NamedTuple):
    """What was found."""

    verdict: str
    """"cycle", "no cycle", "no movement", "too short" or "not finite"."""
    period: float
    """Looks from one round to the next; NaN without a cycle."""
    score: float
    """Autocorrelation of the series at the period, its straight trend taken out: 1 for exact repetition; 0 without a cycle."""
    peak: float
    """Autocorrelation of the moves at the period, which is what was tested; else the largest that was not enough, or NaN."""
    threshold: float
    """What the peak had to exceed; NaN where nothing was tested."""
    n: int
    """Looks."""


def cycle(series: ArrayLike, level: float = 0.05) -> Cycle:
    r"""Return whether a series comes round again and again, the period, and how exactly it repeats.

    The first peak of the autocorrelation r of its moves m (differences between looks, less their interquartile mean), after a
    trough: what goes round must come back. Moves, because a walk without direction wanders to and fro and has peaks by chance,
    while its moves have none. Both must exceed z sd, where z makes the level hold for all lags at once (Bonferroni), and

    .. math:: \operatorname{sd}(r_k) = \frac{\sqrt{(1 + 2 r_1^2) \sum_t (m_t \cdot m_{t+k})^2}}
        {\sqrt{\sum |m_t|^2 \sum |m_{t+k}|^2}},

    which holds for white noise, for a random walk, and for such a walk seen through noise: their moves correlate with their
    neighbours only (Bartlett's factor), and may be larger at one time than at another, as in a run that settles.

    Parameters
    ----------
    series
        `[look]` or `[look, part]`, in units that make parts comparable.
    level
        Chance of a cycle where there is none.

    Example
    -------
    >>> found = cycle(np.sin(2 * np.pi * np.arange(100) / 10))
    >>> found.verdict, round(found.period, 1), round(found.score, 2)
    ('cycle', 10.0, 1.0)

    Source: for the standard error, Bartlett 1946, and Lo and MacKinlay 1988 for unequal variances; test and score are ours.
    """
    x = _looks(series)
    n, nothing = len(x), (math.nan, 0.0, math.nan, math.nan)
    if not np.isfinite(x).all():
        return Cycle("not finite", *nothing, n)
    if _still(x):
        return Cycle("no movement", *nothing, n)
    if n < SHORTEST:
        return Cycle("too short", *nothing, n)
    moves = np.diff(x, axis=0)
    moves = moves - scipy_stats.trim_mean(moves, 0.25, axis=0)  # the mean would be that of how a run began
    if np.abs(moves).max() <= ROUNDING * np.abs(x).max():  # a straight line
        return Cycle("no cycle", *nothing, n)
    r = autocorrelation(moves, n // ROUNDS + 1)  # a peak needs a neighbour on either side
    thresholds = _thresholds(moves, r[1], len(r) - 1, level)
    lag = _first_peak(r, thresholds)
    if lag is None:
        highest = 2 + int((r - thresholds)[2:].argmax())
        return Cycle("no cycle", math.nan, 0.0, float(r[highest]), float(thresholds[highest]), n)
    score = autocorrelation(_without_trend(x), lag)[lag]
    return Cycle("cycle", _vertex(r, lag), float(score), float(r[lag]), float(thresholds[lag]), n)


def autocorrelation(x: ArrayLike, n_lags: int) -> Array:
    r"""Return :math:`\sum_t x_t \cdot x_{t+k} / \sqrt{\sum |x_t|^2 \sum |x_{t+k}|^2}` for lags 0 to `n_lags`, over all parts.

    The sums below the root have the same looks as the one above, so that an exact repetition gives 1 at any lag. The mean is
    not taken out. 0 where nothing moves.
    """
    x = _looks(x)
    power = (x**2).sum(axis=1)
    r = np.zeros(n_lags + 1)
    for k in range(n_lags + 1):
        scale = math.sqrt(power[: len(x) - k].sum() * power[k:].sum())
        r[k] = (x[: len(x) - k] * x[k:]).sum() / scale if scale else 0.0
    return r


def _thresholds(moves: Array, neighbours: float, n_lags: int, level: float) -> Array:
    """Return what the autocorrelation has to exceed at each lag, `[lag]`."""
    n, power = len(moves), (moves**2).sum(axis=1)
    sd = np.zeros(n_lags + 1)
    for k in range(n_lags + 1):
        squares = ((moves[: n - k] * moves[k:]).sum(axis=1) ** 2).sum()
        scale = power[: n - k].sum() * power[k:].sum()
        sd[k] = math.sqrt((1 + 2 * neighbours**2) * squares / scale) if scale else 0.0
    return scipy_stats.norm.isf(level / n_lags) * sd


def _first_peak(r: Array, thresholds: Array) -> int | None:
    """Return the lag of the largest value in the first stretch above 0 that exceeds its threshold, after a trough that does."""
    below = np.flatnonzero(r < -thresholds)
    if not len(below):
        return None
    above = np.flatnonzero((r > thresholds)[below[0] :]) + below[0]
    if not len(above):
        return None
    after = np.flatnonzero(r[above[0] :] <= 0)
    end = above[0] + after[0] if len(after) else len(r)
    lag = int(above[0] + r[above[0] : end].argmax())
    return None if lag == len(r) - 1 else lag  # still rising: its peak would be beyond


def _vertex(r: Array, lag: int) -> float:
    """Return where the parabola through a peak and its neighbours is highest."""
    left, top, right = r[lag - 1 : lag + 2]
    return float(lag + (left - right) / (2 * (left - 2 * top + right)))


# --- where it goes -------------------------------------------------------------------------------------------------------


class Wander(NamedTuple):
    """How far something moves about, and whether it gets anywhere. All 0 for what stands still."""

    spread: float
    """Root mean square distance from the mean of all looks, in the series' units."""
    last_from_mean: float
    """Distance of the last look from that mean, over the spread: 1 on a circle, sqrt(3) at the end of a straight line. Near the
    end of a convergence it is small; an average that is good while the last is not is the sign of a circle."""
    drift: float
    """Distance from first to last look, over the length of the way: 1 on a straight line, about 1/sqrt(n) for a random walk."""


def wander(series: ArrayLike) -> Wander:
    """Return how far a series moves about and whether it gets anywhere; for the end of a run, give the looks of its end.

    Example
    -------
    >>> turn = 2 * np.pi * np.arange(100) / 25
    >>> circle = wander(np.stack([np.cos(turn), np.sin(turn)], axis=1))
    >>> round(circle.spread, 3), round(circle.last_from_mean, 3), round(circle.drift, 3)
    (1.0, 1.0, 0.01)

    Source: for averages and last iterates, Daskalakis et al. 2018 and Gidel et al. 2019, section 3.1.
    """
    x = _looks(series)
    if len(x) < 2 or _still(x):
        return Wander(0.0, 0.0, 0.0)
    spread = math.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=1).mean())
    length = np.linalg.norm(np.diff(x, axis=0), axis=1).sum()
    return Wander(spread, float(np.linalg.norm(x[-1] - x.mean(axis=0)) / spread), float(np.linalg.norm(x[-1] - x[0]) / length))


def main_plane(series: ArrayLike) -> tuple[Array, Array]:
    """Return a series on its two main directions, `[look, 2]`, and the share of its variance in each.

    A random walk gives smooth curves here too, half a wave and a whole one: ask `cycle` before seeing a circle.

    Example
    -------
    >>> plane, shares = main_plane([[0, 0, 0], [3, 0, 1], [3, 4, 2], [0, 4, 3]])
    >>> plane.shape, shares.round(2).tolist()
    ((4, 2), [0.67, 0.3])
    """
    x = _looks(series)
    x = x - x.mean(axis=0)
    u, sizes, _ = np.linalg.svd(x, full_matrices=False)
    plane, total = np.zeros((len(x), 2)), (sizes**2).sum()
    plane[:, : len(sizes)] = (u * sizes)[:, :2]
    shares = np.zeros(2)
    shares[: len(sizes)] = sizes[:2] ** 2 / total if total else 0.0
    return plane, shares


class Spectrum(NamedTuple):
    """Periodogram of a series without its straight trend."""

    frequency: Array
    """Rounds per look, `[frequency]`, above 0 and up to 1/2."""
    share: Array
    """Share of the variance at each; all 0 for what stands still."""
    period: float
    """Looks per round at the highest share; NaN for what stands still."""
    p_white: float
    """Largest chance that white noise has so high a share somewhere. A slow wandering has its highest share at the lowest
    frequencies, which is no cycle: `cycle` has both in its null hypothesis."""


def spectrum(series: ArrayLike) -> Spectrum:
    """Return how the variance of a series `[look]`, such as a loss, is shared among frequencies.

    Example
    -------
    >>> found = spectrum(np.cos(2 * np.pi * np.arange(64) / 8))
    >>> round(found.period, 6), round(float(found.share.max()), 2), found.p_white < 1e-9
    (8.0, 1.0, True)

    Source: Fisher 1929, the first term of his exact chance, which bounds it.
    """
    x = _looks(series)
    if x.shape[1] != 1 or len(x) < 4 or not np.isfinite(x).all():
        raise ValueError(f"a spectrum needs one finite series of at least 4 looks; got shape {np.shape(series)}")
    frequency: Array = np.fft.rfftfreq(len(x))[1:].astype(np.float64)
    power = np.abs(np.fft.rfft(_without_trend(x)[:, 0])[1:]) ** 2
    if _still(x) or power.sum() <= (ROUNDING * np.abs(x).max()) ** 2:
        return Spectrum(frequency, np.zeros_like(power), math.nan, 1.0)
    share = power / power.sum()
    m = len(share)
    return Spectrum(frequency, share, float(1 / frequency[share.argmax()]), float(min(1.0, m * (1 - share.max()) ** (m - 1))))


# --- along a line through parameter space --------------------------------------------------------------------------------


class PathStatistics(NamedTuple):
    """The joint gradient on the line from one state to another, `[alpha]` each."""

    alpha: Array
    cosine: Array
    """Of the angle between the gradient and (start - end); NaN where the gradient is 0."""
    projection: Array
    """Their scalar product."""
    squared_norm: Array
    generator_squared_norm: Array
    discriminator_squared_norm: Array


def path_statistics(
    gradient: Callable[[Array], Any], start: ArrayLike, end: ArrayLike, n_generator: int, alpha: ArrayLike | None = None
) -> PathStatistics:
    """Return angle and norm of the joint gradient on the line through two states, (1 - alpha) start + alpha end.

    An end that attracts has a cosine that jumps from +1 to -1 at alpha = 1; one that is circled has a bump there, of one sign;
    a spiral has both.

    Parameters
    ----------
    gradient
        From a point `[player]` to each player's gradient of its own loss, `[player]`, the generator's first.
    start, end
        `[player]`; early and late parameters.
    n_generator
        Coordinates of the generator.
    alpha
        Where to look; None for 100 places from -0.1 to 1.1, the paper's.

    Example
    -------
    >>> pull = path_statistics(lambda w: w, [3.0, 4.0], [0.0, 0.0], 1, [0.0, 0.5, 1.1])
    >>> pull.cosine.round(12).tolist(), pull.squared_norm.round(12).tolist()
    ([1.0, 1.0, -1.0], [25.0, 6.25, 0.25])

    Source: Berard et al. 2020, section 4.
    """
    w1, w2 = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    places = np.linspace(-0.1, 1.1, 100) if alpha is None else np.asarray(alpha, dtype=np.float64)
    g = np.stack([np.asarray(gradient((1 - a) * w1 + a * w2), dtype=np.float64) for a in places])
    back = w1 - w2
    projection, squares = g @ back, g**2
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = projection / (np.linalg.norm(g, axis=1) * np.linalg.norm(back))
    of_generator, of_discriminator = squares[:, :n_generator].sum(axis=1), squares[:, n_generator:].sum(axis=1)
    return PathStatistics(places, cosine, projection, of_generator + of_discriminator, of_generator, of_discriminator)


class PathEnd(NamedTuple):
    """What the cosine along a path does at its end."""

    attraction: float
    """Half of what it falls by across the end: 1 where all points to it, 0 on a circle, below 0 where the end repels."""
    rotation: float
    """Size of its mean about the end: 0 where all points to it, above 0 where the gradient crosses the path."""


def path_end(alpha: ArrayLike, cosine: ArrayLike, width: float = 0.1) -> PathEnd:
    """Return how much the end of a path attracts and how much is turned there, in numbers between -1 and 1.

    Parameters
    ----------
    width
        How far before and after the end, alpha = 1, the cosine is averaged.

    Example
    -------
    >>> path_end([0.0, 0.92, 0.98, 1.02, 1.08], [0.1, 0.5, 1.0, -0.5, 0.0])
    PathEnd(attraction=0.5, rotation=0.25)

    Source: the two signs, Berard et al. 2020, section 4; the numbers are ours.
    """
    a, c = np.asarray(alpha, dtype=np.float64), np.asarray(cosine, dtype=np.float64)
    before, after = c[(a < 1) & (a >= 1 - width)].mean(), c[(a > 1) & (a <= 1 + width)].mean()
    return PathEnd(float(before - after) / 2, abs(float(before + after)) / 2)


# --- series --------------------------------------------------------------------------------------------------------------


def _looks(series: ArrayLike) -> Array:
    """Return a series as `[look, part]`."""
    x = np.asarray(series, dtype=np.float64)
    return x[:, None] if x.ndim == 1 else x.reshape(len(x), -1)


def _still(x: Array) -> bool:
    return bool(np.ptp(x, axis=0).max() <= ROUNDING * np.abs(x).max())


def _without_trend(x: Array) -> Array:
    """Return what a straight line, fitted to each part, leaves."""
    line = np.stack([np.ones(len(x)), np.linspace(-1, 1, len(x))], axis=1)
    return x - line @ np.linalg.lstsq(line, x, rcond=None)[0]
