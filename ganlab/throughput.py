"""What a measurement of throughput says: rates and their ratios, the knee of a curve, power laws, earlier measurements.

A stored measurement is a `Run` of kind "throughput": its settings list the candidates, a step of its trace is a round, and
an index a candidate. Ratios are taken round by round, between candidates that took turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats

from ganlab.experiment import Experiment, Run
from ganlab.registry import InputError
from ganlab.stats import Interval

ONCE = ("start_seconds", "compile_seconds", "warm_compile_seconds", "peak_bytes")
"""What is measured once for a candidate, and not in each round."""

KNEE = 0.9
"""The knee of a curve is the smallest number of members that reaches this share of the best rate: beyond it, eight times
the memory buy a tenth of speed."""

LINEAR = 1.05
"""Exponents up to here count as linear: over the factor of 16 that is usually measured it is 15 %, what timings move by."""


@dataclass(frozen=True)
class Candidate:
    """One way of doing the work, and where it is shown.

    Parameters
    ----------
    label
        Its name, of its own in the whole measurement.
    group
        Candidates of a group take turns with each other, and stand in one figure.
    loop
        What runs: "module:function", called as `function(meter, **settings)`.
    unit
        What the meter counts: "member_steps", "images", or "runs".
    threads, processes
        Threads of a process, and processes that run their blocks at the same time.
    base
        Label of the candidate it is compared with.
    limit
        Label of the candidate that does this one's matrix products and nothing else.
    series, axis, x
        For a curve: its name, the quantity on the axis ("members", ...), and this candidate's value.
    """

    label: str
    group: str
    loop: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "member_steps"
    threads: int = 1
    processes: int = 1
    base: str = ""
    limit: str = ""
    series: str = ""
    axis: str = ""
    x: float = 0.0


def candidates_of(experiment: Experiment) -> list[Candidate]:
    """Return what an experiment measures; what a later version added to a candidate is left out."""
    known = {f.name for f in fields(Candidate)}
    return [Candidate(**{k: v for k, v in c.items() if k in known}) for c in experiment.settings["candidates"]]


def table(run: Run) -> pd.DataFrame:
    """Return one row per candidate that was measured, in the order of the list.

    Returns
    -------
    DataFrame
        label, group, series, axis, x, unit, base; `rate` in units per second with `rate_low`, `rate_high`; `ratio` to the
        base, and `share` of the limit, with the same; `flops_per_second`, `cpu_share`, what is in `ONCE`; NaN for what was
        not measured.
    """
    values = {
        (str(name), str(index)): rows.sort_values("step")["value"].to_numpy()
        for (name, index), rows in run.trace.groupby(["name", "index"], sort=False)
    }
    rates = {c.label: values.get((f"{c.unit}_per_second", c.label)) for c in candidates_of(run.experiment)}
    rows = []
    for c in candidates_of(run.experiment):
        rate = rates[c.label]
        if rate is None:
            continue
        single = {name: _single(values, name, c.label) for name in ONCE}
        flops = _single(values, f"flops_per_{c.unit}", c.label)
        rows.append(
            {
                "label": c.label, "group": c.group, "series": c.series, "axis": c.axis, "x": c.x, "unit": c.unit,
                "base": c.base, "n": len(rate), **_columns("rate", typical(rate)),
                **_columns("ratio", _ratio(rate, rates.get(c.base))), **_columns("share", _ratio(rate, rates.get(c.limit))),
                "flops_per_second": flops * float(np.median(rate)), **single,
                "cpu_share": float(np.median(values.get(("cpu_share", c.label), [np.nan]))),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def ratio(run: Run, label: str, base: str) -> Interval | None:
    """Return the rate of one candidate over another's of its group, round by round; None where one was not measured."""
    unit = {c.label: f"{c.unit}_per_second" for c in candidates_of(run.experiment)}
    rates = [run.trace[(run.trace["name"] == unit[x]) & (run.trace["index"] == x)]["value"].to_numpy() for x in (label, base)]
    return typical(rates[0] / rates[1]) if len(rates[0]) and len(rates[1]) else None


def failed(run: Run) -> dict[str, str]:
    """Return the reasons of the candidates that could not be measured, by label."""
    return dict(run.environment.get("failed", {}))


def _single(values: Mapping[tuple[str, str], NDArray[np.float64]], name: str, label: str) -> float:
    return float(values.get((name, label), np.array([np.nan]))[0])


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _ratio(rate: NDArray[np.float64], base: NDArray[np.float64] | None) -> Interval:
    return Interval(np.nan, np.nan, np.nan, 0) if base is None else typical(rate / base)


# --- numbers -------------------------------------------------------------------------------------------------------------


def times(ratio: float) -> str:
    """Return a ratio as people read it: two digits after the point, none from a hundred on.

    Example
    -------
    >>> times(3.746), times(621.15)
    ('3.75', '621')
    """
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2f}"


def typical(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return the median with the interval between two order statistics, which assumes nothing about how timings scatter.

    The interval is unbounded where n is too small for one: 6 values are needed for 95 %.

    Example
    -------
    >>> print(typical([4, 1, 2, 3, 6, 5]))
    3.5 [1, 6] (n=6)

    Source: Conover 1999, section 3.2, interval for a quantile.
    """
    sample = np.sort(np.asarray(values, dtype=float))
    n = len(sample)
    if sample.ndim != 1 or not n:
        raise ValueError(f"a median needs a list of at least one number; got shape {sample.shape}")
    place = int((scipy_stats.binom.cdf(np.arange(n), n, 0.5) <= (1 - level) / 2).sum())  # of the lower end, from 1
    low, high = (sample[place - 1], sample[n - place]) if place else (-np.inf, np.inf)
    return Interval(float(np.median(sample)), float(low), float(high), n)


@dataclass(frozen=True)
class Knee:
    """Where a curve of rates flattens: the smallest x with `KNEE` of the best rate, and whether larger ones were measured."""

    x: float
    inside: bool


def knee(x: Sequence[float], rates: Sequence[float], share: float = KNEE) -> Knee:
    """Return the knee of a curve.

    Example
    -------
    >>> knee([1, 2, 4, 8, 16], [100, 190, 350, 400, 405])
    Knee(x=8, inside=True)
    """
    if len(x) != len(rates) or len(x) < 2 or list(x) != sorted(set(x)):
        raise ValueError(f"a knee needs at least two rising x with a rate each; got {list(x)} and {len(rates)} rates")
    reached = next(a for a, rate in zip(x, rates, strict=True) if rate >= share * max(rates))
    return Knee(reached, reached != x[-1])


@dataclass(frozen=True)
class PowerLaw:
    """`y = factor * x ** exponent`, with the interval of the exponent."""

    factor: float
    exponent: Interval

    @property
    def verdict(self) -> Literal["linear or better", "worse than linear", "inconclusive"]:
        """What the interval allows to be said, with `LINEAR` as the largest exponent that counts as linear."""
        if self.exponent.high <= LINEAR:
            return "linear or better"
        return "worse than linear" if self.exponent.low > LINEAR else "inconclusive"


def power_law(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> PowerLaw:
    """Return the power law through points, by least squares of log y on log x, with a Student-t interval.

    Two points have no spread to learn from: the interval is unbounded then.

    Example
    -------
    >>> law = power_law([1, 2, 4], [3, 6, 12])
    >>> round(law.factor, 6), round(law.exponent.estimate, 6), law.verdict
    (3.0, 1.0, 'linear or better')
    """
    a, b = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    n = len(a)
    if a.shape != b.shape or len(np.unique(a)) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"a power law needs at least two different positive x, and a positive y for each; got {x!r}, {y!r}")
    fit = scipy_stats.linregress(a, b)
    half = float(scipy_stats.t.ppf((1 + level) / 2, n - 2) * fit.stderr) if n > 2 else np.inf
    slope = float(fit.slope)
    return PowerLaw(float(np.exp(fit.intercept)), Interval(slope, slope - half, slope + half, n))


# --- measurements of other days ------------------------------------------------------------------------------------------


def differences(now: Run, then: Run) -> list[str]:
    """Return in what the machines of two measurements differ, in words; nothing when they are the same."""
    a, b = now.experiment.settings["machine"], then.experiment.settings["machine"]
    different = [name for name in {**a, **b} if a.get(name) != b.get(name)]
    return [f"{name} {a.get(name) or 'none'} against {b.get(name) or 'none'}" for name in different]


def compare(now: Run, then: Run, level: float = 0.95) -> pd.DataFrame:
    """Return the rate now over the rate then, for each candidate that both measured in the same way.

    The ratio of geometric means over rounds, with Welch's interval on the logarithms. It knows how rounds of one measurement
    scatter, and nothing of how a machine differs from one day to the next.

    Returns
    -------
    DataFrame
        label, group, unit, now, then, ratio, low, high.

    Raises
    ------
    InputError
        When the machines differ: then a ratio would be between machines, and not between versions.
    """
    if different := differences(now, then):
        raise InputError(
            f"the two measurements are of different machines ({'; '.join(different)}), so no ratio is claimed; measure again "
            "on one of them"
        )
    before = {c.label: c for c in candidates_of(then.experiment)}
    rows = []
    for c in candidates_of(now.experiment):
        name = f"{c.unit}_per_second"
        a, b = (r.trace[(r.trace["name"] == name) & (r.trace["index"] == c.label)]["value"].to_numpy() for r in (now, then))
        if before.get(c.label) == c and min(len(a), len(b)) > 1:
            difference = scipy_stats.ttest_ind(np.log(a), np.log(b), equal_var=False)
            low, high = difference.confidence_interval(level)
            rows.append(
                {
                    "label": c.label, "group": c.group, "unit": c.unit, "now": float(np.median(a)),
                    "then": float(np.median(b)), "ratio": float(np.exp(np.log(a).mean() - np.log(b).mean())),
                    "low": float(np.exp(low)), "high": float(np.exp(high)),
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=["label", "group", "unit", "now", "then", "ratio", "low", "high"])
