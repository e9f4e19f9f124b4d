"""The page of a repair: what was tried against a run's failures, and what was seen to help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ganlab import plots, repair_plots, stats
from ganlab.experiment import Run
from ganlab.pages.page import Cell, Figure, Page, Section, Table, Text
from ganlab.pages.shared import environment, settings, sources
from ganlab.proposal import SIGNIFICANT
from ganlab.trial import WORTHWHILE, Repair, advice, more_seeds

TONES = {"helps": "absent", "does not help": "present", "trades one failure for another": "present"}
"""The tone of a cell by its answer; all others are inconclusive."""


def repair_page(repair: Repair) -> Page:
    """Return the page of a repair: the verdict on each remedy first, then what it rests on."""
    e = repair.control.experiment
    shown = named_runs(repair)
    sections = [
        Section("The verdict", [_verdicts(repair), Text([advice(repair)])]),
        Section("The evidence: rates and seeds", [_rates(repair), _seeds(repair)]),
        Section("What was tried", [_tried(repair), *_left_out(repair)]),
        Section("What the words mean", [Text(_words(repair))]),
        Section("Settings", [settings(shown), Text(environment(shown))]),
        Section("Sources", [Text([*_named(repair), *sources(shown)])]),
    ]
    return Page("repair", f"What repairs {e.title}?", advice(repair), sections)


def named_runs(repair: Repair) -> list[Run]:
    """Return the control and the arms, each under the name of its remedy."""
    subject = repair.control.experiment.subject
    names = [subject, *(f"{subject}, {arm.remedy.name}" for arm in repair.proposal.arms)]
    return [
        replace(run, experiment=replace(run.experiment, subject=name)) for run, name in zip(repair.runs, names, strict=True)
    ]


def _verdicts(repair: Repair) -> Table:
    rows: list[list[Cell | str]] = []
    for row in repair.rows():
        answer = Cell(row["answer"], tone=TONES.get(row["answer"], "inconclusive"), note=_more(row))
        judged, failed = row["n"] > 0, f"{row['failed_before']} to {row['failed_after']} of {row['n']}"
        rows.append(
            [
                row["remedy"],
                row["failure"].replace("_", " "),
                answer,
                Cell(failed, note=row["new"] and f"new: {row['new']}"),
                Cell(f"{row['change']:+.0%}", note=f"[{row['low']:+.0%}, {row['high']:+.0%}]") if judged else "",
                Cell(f"{row['corrected']:.2g}", note=f"uncorrected {row['p_value']:.2g}") if judged else "",
                Cell(
                    f"{row['cost']:.2g} times" if np.isfinite(row["cost"]) else "not comparable",
                    note=f"{row['seconds']:.0f} s for {row['member_steps']:,} member-steps",
                ),
            ]
        )
    return Table(
        f"Each remedy against the unchanged run, on the same {len(repair.control.experiment.seeds)} seeds",
        ["remedy", "failure", "answer", "failed seeds", "change in rate", "p-value", "cost a member-step"],
        rows,
        "Change: paired, with its 95 % interval (Newcombe 1998). P-value: exact McNemar test, corrected by Holm for "
        f"{len(repair.table)} comparisons. New: seeds with another failure that they did not have before. "
        "Cost: seconds on the clock, which other work on the machine disturbs; members of one mapped batch have equal shares.",
    )


def _more(row: Mapping[str, Any]) -> str:
    return str(row["why"]) if row["answer"] == "not applicable" else more_seeds(row)


def _rates(repair: Repair) -> Figure:
    frame = repair_plots.frame_repair(repair)
    frame = frame[frame["n"] > 0].reset_index(drop=True)
    n = frame["variant"].nunique()
    said = "; ".join(f"{r['variant']} {r['failures']} of {r['n']} ({r['data'].lower()})" for r in frame.to_dict("records"))
    draw = partial(plots.draw_rates, colours=plots.palette(frame["variant"]))
    return Figure(
        "How often does it fail with each remedy?",
        lambda: plots.grid(frame, draw, col="data", height=0.45 * n + 1.0, aspect=4.2 / (0.45 * n + 1.0)),
        frame,
        f"Share of failed seeds with 95 % intervals: {said}.",
        f"Points: share of failed seeds; bars: 95 % Wilson interval; dotted: the tolerated rate of {stats.TOLERATED_RATE:.0%}. "
        "Intervals of single rates say less than the paired test, which sees the same seed twice.",
    )


def _seeds(repair: Repair) -> Figure:
    frame = repair_plots.frame_seeds(repair)
    n, n_seeds = frame["variant"].nunique(), frame["seed"].nunique()
    draw = partial(repair_plots.draw_seeds, colours=plots.palette(frame["variant"]))
    width = min(10.0, 0.32 * n_seeds + 2.0)
    return Figure(
        "Which seeds does each remedy rescue?",
        lambda: plots.grid(frame, draw, col="failure", wrap=1, height=0.4 * n + 1.0, aspect=width / (0.4 * n + 1.0)),
        frame,
        f"Which of {n_seeds} seeds failed, a row for the unchanged run and for each remedy.",
        f"Full dots failed, open dots did not, dashes could not be judged; {n_seeds} seeds.",
    )


def _tried(repair: Repair) -> Table:
    return Table("Remedies tried", ["remedy", "change", "of", "named against"], repair.proposal.tried())


def _left_out(repair: Repair) -> list[Table]:
    rows: list[list[Cell | str]] = [[name, reason] for name, reason in repair.proposal.left_out.items()]
    return [Table("Remedies not tried", ["remedy", "why not"], rows, folded=True)] if rows else []


def _words(repair: Repair) -> list[str]:
    return [
        f"Helps: fewer seeds fail, with a corrected p-value of at most {SIGNIFICANT:g}, and fewer seeds fail in any way.",
        "Trades one failure for another: the same, but as many seeds as before fail in some way.",
        f"Does not help: more seeds fail, with such a p-value; or fewer than {WORTHWHILE:.0%} of the failing seeds are rescued "
        "(exact binomial test, 2.5 %).",
        "Inconclusive: neither is shown. The number of seeds that would settle it supposes that what was seen goes on.",
        "A run is repaired because it failed, so its own seeds flatter every change a little; trained on other seeds "
        "(`--seeds`, `--first-seed`), the unchanged run has no such luck.",
        *(f"{d.title}: {d.threshold}." for d in repair.proposal.failing),
    ]


def _named(repair: Repair) -> list[str]:
    return [f"{arm.remedy.name}: {'; '.join(dict.fromkeys(arm.remedy.against.values()))}" for arm in repair.proposal.arms]
