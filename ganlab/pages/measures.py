"""The table of what measures say about the samples at the end, each with its rule and what a perfect sampler scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ganlab import plots, trace
from ganlab.experiment import Run
from ganlab.pages.page import Cell, Table

RULES = {
    "precision": ("Precision", "share of samples in the ball of a real one, which reaches to its 5th nearest other real one"),
    "recall": ("Recall", "share of real samples in such a ball of a generated one"),
    "density": ("Density", "real balls that a sample lies in, over 5; above 1 where samples are denser than the data"),
    "coverage": ("Coverage", "share of real balls that hold a sample"),
    "ndb": ("Different bins", "of at most 20 k-means bins of the data, those whose shares differ at 5 % each (NDB)"),
    "ndb_corrected": ("Different bins, corrected", "the same after Holm's correction: 95 % of perfect samplers have none"),
    "vendi": ("Vendi score", "effective number of different samples, Gaussian kernel as wide as the median real distance"),
    "birthday_support": (
        "Support by birthdays",
        "outcomes that would give as many near-duplicates; infinite without any; range: with samples and data dealt anew",
    ),
    "energy_p": ("Energy test", "p-value: how often a perfect sampler is as far from the data; below 0.05 once in twenty"),
    "log_density_gap": ("Log-density gap", "mean log-density of samples less that of data, nats; blind to weights"),
    "cell_divergence": ("Divergence in exact cells", "KL from the true density in modes cut into 4 shells, nats"),
}  # fmt: skip
"""By the name of the reading: a name, and the rule in a few words."""


def measured(runs: Sequence[Run], data: str, colours: plots.Colours) -> Table | None:
    """Return the measures of runs on the same data, a row each; None where nothing was measured."""
    seen = [run for run in runs if (run.trace["name"] == "precision").any()]
    if not seen:
        return None
    rows: list[list[Cell | str]] = []
    for name, (title, rule) in RULES.items():
        if not all((run.trace["name"] == name).any() for run in seen):
            continue
        bands = [_band(run, name) for run in seen]
        alike = len(set(bands)) == 1
        n = " or ".join(dict.fromkeys(f"{trace.last(run.trace, name, 'n').iloc[0]:.0f}" for run in seen))
        row = [Cell(title, note=f"{rule}; n = {n}"), Cell(bands[0] if alike else "see each")]
        ends = zip((trace.last(run.trace, name) for run in seen), bands, strict=True)
        rows.append([*row, *(_over_seeds(values, "" if alike else band) for values, band in ends)])
    header = ["measure and rule", "perfect sampler", *(run.experiment.subject for run in seen)]
    caption = (
        "Median over seeds at the last step, and under it the lowest and the highest seed. Perfect sampler: where 95 % of them "
        f"lie, with the n generated and the n real samples that stand beside the rule; data {data}, in units of their own "
        "standard deviations. Where the data are given points, both are parts of these, none used twice. A seed outside is not "
        "collapsed for that: the verdict has its own rule."
    )
    return Table(f"What the samples measure at the end, on {data}", header, rows, caption)


def _band(run: Run, name: str) -> str:
    low, high = (trace.last(run.trace, name, end).iloc[0] for end in ("low", "high"))
    return f"{_number(low)} to {_number(high)}"


def _over_seeds(values: pd.Series, band: str) -> Cell:
    finite = values.dropna()
    if finite.empty:
        return Cell("none", note="no seed has finite samples")
    perfect = f"\nperfect: {band}" if band else ""
    return Cell(_number(float(np.median(finite))), note=f"[{_number(finite.min())}, {_number(finite.max())}]{perfect}")


def _number(x: float) -> str:
    return "infinite" if np.isinf(x) else f"{x:.0f}" if abs(x) >= 1000 else f"{x:.3g}"
