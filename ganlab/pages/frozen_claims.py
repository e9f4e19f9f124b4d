"""What Arjovsky and Bottou reported or predicted of frozen generators, and for how many seeds it was seen here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ganlab import frozen, stats
from ganlab.experiment import Run
from ganlab.pages.page import Cell, Table
from ganlab.pages.shared import bounded

SATURATING, NON_SATURATING, PENALISED = "gan", "nsgan", "wgan_gp"
"""The variants of which something was reported or expected."""


def claims(runs: Sequence[Run]) -> Table:
    """Return what was reported or expected of each variant, and what was seen, age by age."""
    ages = sorted({frozen.age(run) for run in runs})
    rows: list[list[Cell | str]] = []
    for variant, reported, ours in _CLAIMS:
        by_age = {frozen.age(run): run for run in runs if run.experiment.subject == variant}
        if by_age:
            rows.append([variant, reported, *(ours(by_age[a]) if a in by_age else "not run" for a in ages)])
    return Table(
        "What was reported or expected, and what was seen here",
        ["variant", "reported or expected", *(f"frozen after {a} steps" for a in ages)],
        rows,
        "Reported: by Arjovsky and Bottou 2017, figures 1 to 3, with convolutional nets on images; the 4 decades are read off "
        "their plot, the rest is taken from descriptions of it. Here: with the nets and data below; first what was seen, then "
        "the share of seeds for which it holds. Intervals of 95 %: Student t for means (of logarithms, for factors), Wilson "
        "for shares, percentile bootstrap for the range over seeds. Sign-flip: exact, paired by seed, and of n seeds at least "
        "2^(1 - n).",
    )  # fmt: skip


def _saturates(run: Run, name: str = frozen.GRADIENT) -> Cell:
    holds = frozen.share((frozen.decay(run, name)["lost"] >= 2).to_numpy())
    return Cell(f"{bounded(frozen.lost(run, name))} decades lost", note=f"2 or more: {holds}")


def _falls_steadily(run: Run) -> Cell:
    rank = frozen.decay(run)["spearman"]
    holds = frozen.share((rank < -0.8).to_numpy())
    return Cell(f"rank correlation {bounded(stats.mean(rank.to_numpy()))}", note=f"below -0.8: {holds}")


def _wins(run: Run) -> Cell:
    after = frozen.certain_after(run)
    reached = after.notna()
    seen = f"accuracy {frozen.CERTAIN:.0%} after {after.median():g} updates (median)"
    note = f"reached: {frozen.share(reached.to_numpy())}"
    return Cell(seen if reached.any() else f"never {frozen.CERTAIN:.0%} accurate", note=note)


def _within_a_decade(run: Run) -> Cell:
    span = frozen.decay(run)["span"]
    holds = frozen.share((span <= 1).to_numpy())
    seen = f"largest over smallest {bounded(stats.mean(span.to_numpy()))} decades, from {frozen.SETTLED} updates on"
    return Cell(seen, note=f"1 or less: {holds}")


def _grows(run: Run) -> Cell:
    gradient = frozen.since_frozen(run, frozen.GRADIENT)
    early, late = frozen.at(gradient, frozen.SETTLED), gradient.iloc[-1]
    grown, p = frozen.factor(early, late)
    note = f"sign-flip p = {p:.2g}\nlonger at the end: {frozen.share((late >= early).to_numpy())}"
    return Cell(f"x {bounded(grown)} from {frozen.SETTLED} updates to the last", note=note)


def _spreads(run: Run) -> Cell:
    gradient = frozen.since_frozen(run, frozen.GRADIENT)
    early, late = frozen.at(gradient, frozen.SETTLED), gradient.iloc[-1]
    over_seeds = frozen.spread_growth(early, late, np.random.default_rng(0))
    jumps = frozen.unrest(run)
    within, p = frozen.factor(jumps["early"], jumps["late"])
    holds = frozen.share((jumps["late"] > jumps["early"]).to_numpy())
    note = f"jumps within a seed x {bounded(within)}, sign-flip p = {p:.2g}\ngrew within a seed: {holds}"
    return Cell(f"interquartile range over seeds x {bounded(over_seeds)}", note=note)


def _tails(run: Run) -> Cell:
    if not (run.trace["name"] == frozen.COORDINATE).any():
        return Cell("not recorded")
    found = frozen.tails(run)
    early, late = (frozen.typical(found[end]) for end in ("early", "late"))
    holds = frozen.share((found["late"] > frozen.NORMAL).to_numpy())
    return Cell(f"{bounded(late, 1)} at the end, {early.estimate:.1f} at first", note=f"heavier than normal: {holds}")


_CLAIMS: tuple[tuple[str, str, Callable[[Run], Cell]], ...] = (
    (SATURATING, "reported: loses about 4 decades in 4000 updates", _saturates),
    (SATURATING, "the same at the median fake", partial(_saturates, name=frozen.AT_MEDIAN_FAKE)),
    (SATURATING, "expected: falls all the time as the discriminator improves", _falls_steadily),
    (SATURATING, "reported: a fresh discriminator is certain in tens to hundreds of updates", _wins),
    (NON_SATURATING, "reported: grows", _grows),
    (NON_SATURATING, "reported: becomes noisier", _spreads),
    (NON_SATURATING, "predicted: coordinates jump as Cauchy's law has it, 12.7 against 2.9 of a normal one", _tails),
    (PENALISED, "expected: a critic of bounded slope keeps its signal within a decade", _within_a_decade),
    (PENALISED, "expected: coordinates jump as a normal law has it, 2.9", _tails),
)
"""Variant, what was reported, and a function of a run that says what was seen and for how many seeds it holds."""
