"""When seeds fail, and what it costs to get one that does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats

from ganlab.stats.intervals import Interval, mean
from ganlab.stats.rates import rate


def survival(steps: ArrayLike, failed: Sequence[bool], level: float = 0.95) -> pd.DataFrame:
    """Return the share of seeds that have not failed yet, by step: the Kaplan-Meier curve with pointwise intervals.

    S(t) = product over steps u <= t of (1 - d_u / n_u), d_u failures at step u among n_u seeds at risk. The interval is
    S^exp(-+z s / log S), s^2 = sum of d_u / (n_u (n_u - d_u)), which stays inside 0 and 1. It does not exist while S = 1,
    nor once S = 0: there it is the exact binomial one, of the n seeds still under watch, ((1 - level) / 2)^(1 / n) to 1, or
    of those seen to fail.

    Parameters
    ----------
    steps
        The step at which each seed failed, or its last step where it did not fail (it is censored there: it may fail later).
    failed
        Whether it failed.

    Returns
    -------
    DataFrame
        A row for step 0 and for every step at which a seed failed or ended, to be drawn as steps to the right: step,
        at_risk (seeds just before it), failures, ended, survival, low, high. A seed that ends at a step was at risk there.

    Example
    -------
    >>> survival([10, 20, 30, 30], [True, True, False, False])["survival"].tolist()
    [1.0, 0.75, 0.5, 0.5]

    Source: Kaplan and Meier 1958; Kalbfleisch and Prentice 1980 (log-log); Clopper and Pearson 1934 (at 1 and 0).
    """
    at, failure = np.asarray(steps, dtype=float), np.asarray(failed, dtype=bool)
    if at.ndim != 1 or at.shape != failure.shape or at.size == 0 or not (at >= 0).all():
        raise ValueError(f"survival needs a step of at least 0 for each of at least one seed; got {at.tolist()}")
    moments = np.unique(np.append(at, 0.0))
    at_risk = np.array([(at >= t).sum() for t in moments])
    failures, ended = (np.array([(at[kind] == t).sum() for t in moments]) for kind in (failure, ~failure))
    share = np.cumprod(1 - failures / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):  # where nobody is left, and where nobody failed yet
        spread = np.sqrt(np.cumsum(failures / (at_risk * (at_risk - failures)))) / np.log(share)
        z, tail = scipy_stats.norm.ppf((1 + level) / 2), (1 - level) / 2
        low, high = share ** np.exp(-z * spread), share ** np.exp(z * spread)
    for i, (s, n, d) in enumerate(zip(share, at_risk, np.cumsum(failures), strict=True)):
        if s == 1:
            low[i], high[i] = tail ** (1 / n), 1.0
        elif s == 0:
            low[i], high[i] = 0.0, 1 - tail ** (1 / d)
    columns = {"step": moments, "at_risk": at_risk, "failures": failures, "ended": ended}
    return pd.DataFrame({**columns, "survival": share, "low": low, "high": high})


def median_time(curve: pd.DataFrame) -> Interval:
    """Return the step by which half of all seeds have failed, with its interval; infinite where the curve never falls so low.

    The first step at which survival is at most a half, and the same of its lower and upper bounds: the steps at which a half
    lies inside the interval of the curve. A lower bound may exist where the median does not.

    Parameters
    ----------
    curve
        From `survival`.

    Example
    -------
    >>> print(median_time(survival([10, 20, 30, 30], [True, True, False, False])))
    20 [0, inf] (n=4)

    Source: Brookmeyer and Crowley 1982.
    """

    def first(column: str) -> float:
        fallen = curve.loc[curve[column] <= 0.5 + 1e-12, "step"]  # products of fractions are rounded
        return float(fallen.iloc[0]) if len(fallen) else np.inf

    return Interval(first("survival"), first("low"), first("high"), int(curve["at_risk"].iloc[0]))


def cost_to_first_success(costs: ArrayLike, failed: Sequence[bool], level: float = 0.95) -> Interval:
    """Return what is spent, in expectation, until the first seed that does not fail, starting anew after each that does.

    E = C / p, C the mean cost of a seed, failed or not, and p the share of seeds that succeed. The bounds are those of C
    (`mean`) over the opposite ones of p (`rate`): exactly the uncertainty of p where all seeds cost the same, and a little
    wide where they do not. With no success the estimate and the upper bound are infinite, and the lower one is not.

    Parameters
    ----------
    costs
        What each seed took until it failed or ended: steps, or seconds.
    failed
        Whether it failed.

    Example
    -------
    >>> print(cost_to_first_success([100] * 10, [True] * 5 + [False] * 5))
    200 [131, 422.7] (n=10)
    >>> print(cost_to_first_success([100] * 10, [True] * 10))
    inf [360.3, inf] (n=10)

    Source: expected running time of Auger and Hansen 2005, of which this is the estimate: all costs / successes.
    """
    spent, failure = np.asarray(costs, dtype=float), np.asarray(failed, dtype=bool)
    if spent.ndim != 1 or spent.shape != failure.shape or spent.size == 0 or not (np.isfinite(spent) & (spent >= 0)).all():
        raise ValueError(f"a finite cost of at least 0 is needed for each of at least one seed; got {spent.tolist()}")
    cost, success = mean(spent, level), rate(int((~failure).sum()), failure.size, level)
    low = max(cost.low, 0.0) / success.high
    estimate, high = (c / p if p > 0 else np.inf for c, p in ((cost.estimate, success.estimate), (cost.high, success.low)))
    return Interval(estimate, low, high, failure.size)
