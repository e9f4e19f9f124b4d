"""The page about runs that repeat a published table: its numbers, ours beside them, and whether the order is the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from ganlab import plots, stats, trace
from ganlab.experiment import Run
from ganlab.pages.page import Cell, Figure, Page, Section, Table, Text
from ganlab.pages.shared import environment, settings, sources

LEVEL = 0.05


class Reported(NamedTuple):
    """A published mean over n runs and its standard error."""

    mean: float
    error: float
    n: int


@dataclass(frozen=True)
class Quantity:
    """A column of the table: its name for people, and where it stands in the trace, in units of 1 / factor.

    `missing` is what a seed without a value counts as, the worst there is; without it such seeds leave nothing to compare.
    """

    title: str
    name: str
    index: str
    better: Literal["more", "less"]
    factor: float = 1.0
    missing: Callable[[Run], float] | None = None


@dataclass(frozen=True)
class Published:
    """A published table, and what of its order is asked for.

    Parameters
    ----------
    setup
        With what it is repeated: a heading.
    steps
        Generator updates of its source.
    reported
        For data and variant, what is reported of each quantity.
    baseline
        The variant that the others are said to differ from.
    ordered
        The quantities whose order is asked for.
    rule
        How the quantities are counted.
    """

    setup: str
    source: str
    steps: int
    quantities: tuple[Quantity, ...]
    reported: Mapping[tuple[str, str], tuple[Reported, ...]]
    baseline: str
    ordered: tuple[Quantity, ...]
    rule: str


class Compared(NamedTuple):
    """One pair of the table: a variant less the baseline, as reported and as found."""

    data: str
    quantity: Quantity
    variant: str
    reported: float
    found: stats.Interval
    p_value: float


def published_page(runs: Sequence[Run], tables: Sequence[Published], name: str, title: str) -> Page:
    """Return the page: for each set-up with which a table is repeated, the table, the order, and the way there."""
    runs = list({run.experiment.id: run for run in runs}.values())
    colours = plots.palette(run.experiment.subject for run in runs)
    among = [(table, [r for r in runs if (r.experiment.data, r.experiment.subject) in table.reported]) for table in tables]
    ran = [(table, mine) for table, mine in among if mine]
    sections = []
    for table, mine in ran:
        by_data = {d: [r for r in mine if r.experiment.data == d] for d in dict.fromkeys(r.experiment.data for r in mine)}
        pairs = _compared(mine, table)
        shown = [_table(group, table, data, colours) for data, group in by_data.items()]
        drawn = [_figure(group, q, data, colours) for (data, group), q in product(by_data.items(), table.quantities)]
        sections += [
            Section(f"{table.setup}: the table", [*shown, Text([_budget(mine, table)])]),
            Section(f"{table.setup}: is the order the same?", [_order(pairs, table, colours)] if pairs else []),
            Section(f"{table.setup}: the way there", drawn),
        ]
    sections += [
        Section("What the words mean", [Text(list(dict.fromkeys(table.rule for table, _ in ran)))]),
        Section("Settings", [settings(runs), Text(environment(runs))]),
        Section("Sources", [Text([*dict.fromkeys(f"The table: {table.source}" for table, _ in ran), *sources(runs)])]),
    ]
    answer = " ".join(_answer(mine, table) for table, mine in ran)
    return Page(name, title, answer, [section for section in sections if section.blocks])


def _last(run: Run, quantity: Quantity) -> pd.Series:
    """Return the quantity at the last step, by seed."""
    values = _seen(run, quantity)
    return values if quantity.missing is None else values.fillna(quantity.missing(run))


def _seen(run: Run, quantity: Quantity) -> pd.Series:
    values = trace.last(run.trace, quantity.name, quantity.index) * quantity.factor
    return values.set_axis([member.seed for member in run.experiment.members()])


def _compared(runs: Sequence[Run], table: Published) -> list[Compared]:
    """Return each variant against the baseline, data by data and quantity by quantity, on the seeds that both have."""
    by_place = {(run.experiment.data, run.experiment.subject): run for run in runs}
    pairs = []
    for (data, variant), run in by_place.items():
        base = by_place.get((data, table.baseline))
        if variant == table.baseline or base is None:
            continue
        for quantity in table.ordered:
            at = table.quantities.index(quantity)
            both = pd.concat([_last(run, quantity), _last(base, quantity)], axis=1, join="inner").to_numpy()
            reported = table.reported[data, variant][at].mean - table.reported[data, table.baseline][at].mean
            difference = stats.paired_difference(both[:, 0], both[:, 1])
            pairs.append(Compared(data, quantity, variant, reported, difference, stats.sign_flip(both[:, 0], both[:, 1])))
    corrected = stats.holm([pair.p_value for pair in pairs])
    return [pair._replace(p_value=float(p)) for pair, p in zip(pairs, corrected, strict=True)]


def _verdict(pair: Compared) -> str:
    if not pair.p_value <= LEVEL:
        return "inconclusive"
    return "as reported" if (pair.found.estimate > 0) == (pair.reported > 0) else "the other way"


def _answer(runs: Sequence[Run], table: Published) -> str:
    pairs = _compared(runs, table)
    steps = max(run.experiment.steps for run in runs)
    budget = f"{table.setup}, {steps:,} of the source's {table.steps:,} steps"
    if not pairs:
        return f"{budget}: nothing to compare with {_short(table.baseline)}."
    verdicts = [_verdict(pair) for pair in pairs]
    along = sum((pair.found.estimate > 0) == (pair.reported > 0) for pair in pairs)
    said = ", ".join(f"{verdicts.count(v)} {v}" for v in ("as reported", "the other way", "inconclusive") if v in verdicts)
    return (
        f"{budget}, {_seeds(pairs)} seeds: {along} of {len(pairs)} differences from {_short(table.baseline)} have the sign "
        f"that was reported; by exact paired tests {said}."
    )


def _seeds(pairs: Sequence[Compared]) -> str:
    """Return how many seeds the pairs share; all numbers where they differ."""
    return " or ".join(str(n) for n in sorted({pair.found.n for pair in pairs}))


def _short(subject: str) -> str:
    return subject.removeprefix("recipe:")


def _number(value: float) -> str:
    return f"{value:.3g}"


def _ours(found: stats.Interval) -> str:
    if not math.isfinite(found.estimate):
        return "no value"
    bounds = f" [{_number(found.low)}, {_number(found.high)}]" if math.isfinite(found.low) else ""
    return _number(found.estimate) + bounds


def _table(runs: Sequence[Run], table: Published, data: str, colours: plots.Colours) -> Table:
    rows: list[list[Cell | str]] = []
    for run in runs:
        e = run.experiment
        row: list[Cell | str] = [Cell(_short(e.subject), swatch=colours[e.subject], note=f"{e.steps:,} steps")]
        for quantity, theirs in zip(table.quantities, table.reported[data, e.subject], strict=True):
            values = _last(run, quantity)
            note = f"reported {theirs.mean:g} ± {theirs.error:g}"
            missing = int(_seen(run, quantity).isna().sum())
            if missing:
                note += f"\n{missing} of {len(values)} seeds without a value"
                note += f", counted as {quantity.missing(run):.3g}" if quantity.missing else ""
            known = values.dropna().to_numpy()
            row.append(Cell(_ours(stats.mean(known)) if len(known) else "no value", note=note))
        rows.append(row)
    n = " and ".join(str(n) for n in sorted({len(run.experiment.seeds) for run in runs}))
    trials = " or ".join(sorted({str(cell.n) for cells in table.reported.values() for cell in cells}))
    return Table(
        f"Reported and ours, on {data}", ["variant", *(q.title for q in table.quantities)], rows,
        f"Each cell: our mean over {n} seeds with its 95 % interval (Student t), and below it what was reported: mean ± "
        f"standard error over {trials} runs of {table.steps:,} steps.",
    )  # fmt: skip


def _order(pairs: Sequence[Compared], table: Published, colours: plots.Colours) -> Table:
    tones = {"as reported": "absent", "the other way": "present", "inconclusive": "inconclusive"}
    rows: list[list[Cell | str]] = []
    for pair in pairs:
        verdict = _verdict(pair)
        p = f"p = {pair.p_value:.2g} after correction" if np.isfinite(pair.p_value) else "a seed has no value"
        rows.append([
            Cell(_short(pair.variant), swatch=colours[pair.variant], note=pair.data), pair.quantity.title,
            f"{pair.reported:+.2g}", _ours(pair.found), Cell(verdict, tones[verdict], p),
        ])  # fmt: skip
    return Table(
        f"Difference from {_short(table.baseline)}", ["variant", "quantity", "reported", "ours", "order"], rows,
        f"On the same {_seeds(pairs)} seeds, with the 95 % paired bootstrap interval for reading; the sign-flip test "
        f"decides, at 5 % after Holm's correction for {len(pairs)} comparisons, which takes at least "
        f"{stats.fewest_seeds(len(pairs))} seeds.",
    )  # fmt: skip


def _figure(runs: Sequence[Run], quantity: Quantity, data: str, colours: plots.Colours) -> Figure:
    frame = plots.frame_curves(runs, quantity.name, quantity.index)
    frame["value"] *= quantity.factor
    ends = "; ".join(f"{_short(run.experiment.subject)} {_ours(stats.mean(_last(run, quantity).dropna()))}" for run in runs
                     if _last(run, quantity).notna().any())  # fmt: skip
    draw = partial(plots.draw_curves, colours=colours, label=quantity.title)
    return Figure(
        f"{quantity.title[0].upper()}{quantity.title[1:]} over steps, on {data}",
        lambda: plots.grid(frame, draw, col="variant", wrap=min(4, len(runs)), height=1.9, aspect=1.2),
        frame,
        f"{quantity.title} over steps on {data}, a panel per variant. At the end: {ends}.",
        f"Thin lines: each of {max(len(run.experiment.seeds) for run in runs)} seeds; thick: their median. Mean at the end "
        f"with 95 % interval: {ends}. {'More' if quantity.better == 'more' else 'Less'} is better.",
    )  # fmt: skip


def _budget(runs: Sequence[Run], table: Published) -> str:
    hours = sum(float(run.environment["seconds"]) for run in runs) / 3600
    shares = sorted({run.experiment.steps / table.steps for run in runs})
    said = " and ".join(f"{share:.2%}" for share in shares)
    shorter = " Only the order can be compared with a source that trained for longer." if shares[0] < 1 else ""
    return (
        f"Budget: {said} of the source's {table.steps:,} steps; {hours:.2g} hours by the clocks of all workers together, "
        f"other work on the machine included.{shorter}"
    )
