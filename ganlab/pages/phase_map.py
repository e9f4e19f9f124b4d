"""The page about runs over several numbers: where in their plane does training fail?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from ganlab import plots, stats
from ganlab.diagnoses import DIAGNOSES, Diagnosis, diagnose
from ganlab.experiment import Run
from ganlab.pages.page import Cell, Figure, Page, Section, Table, Text
from ganlab.pages.shared import environment, settings, sources


def phase_page(runs: Sequence[Run], name: str = "phase_map", title: str = "Where does training fail?") -> Page:
    """Return the page about runs with several values of 2 or 3 numbers, a map for each failure that could be judged."""
    runs = list({run.experiment.id: run for run in runs}.values())
    maps, tables, said = [], [], []
    for run in runs:
        judged = {code: [d for d in diagnose(run) if d.code == code] for code in DIAGNOSES}
        for code, found in judged.items():
            if any(d.n for d in found):
                frame = plots.frame_phase_map(run, code)
                said.append(_answer(run, found))
                maps.append(_figure(run, found[0].title, frame))
                tables.append(_table(run, found[0].title, frame))
    sections = [
        Section("The maps", maps or [Text(["No failure could be judged on any seed."])]),
        Section("Every combination", tables),
        Section("What the words mean", [Text([f"{e.facts['title']}: {e.facts['threshold']}." for e in DIAGNOSES.entries()])]),
        Section("Settings", [settings([_common(run) for run in runs]), Text([*map(_values, runs), *environment(runs)])]),
        Section("Sources", [Text(sources(runs))]),
    ]
    answer = " ".join(said) or "No failure could be judged on any seed."
    return Page(name, title, answer, [section for section in sections if section.blocks])


def _answer(run: Run, found: Sequence[Diagnosis]) -> str:
    n = {verdict: sum(d.verdict == verdict for d in found) for verdict in ("present", "absent")}
    tolerated, undecided = f"{stats.TOLERATED_RATE:.0%}", len(found) - n["present"] - n["absent"]
    return (
        f"{found[0].title} of {run.experiment.title}: of {len(found)} combinations of {', '.join(run.experiment.varied)}, "
        f"{n['present']} are shown to fail at a rate above {tolerated}, {n['absent']} below it, and {undecided} are undecided "
        f"at {len(run.experiment.seeds)} seeds each."
    )


def _figure(run: Run, failure: str, frame: pd.DataFrame) -> Figure:
    axes = plots.phase_axes(run.experiment.varied)
    draw = partial(plots.draw_phase_map, axes=axes, whole=frame)
    n_x, n_y = (frame[name].nunique() for name in (axes.x, axes.y))
    wide = int((frame["width"] > plots.TOO_WIDE).sum())
    few = f" {wide} of {len(frame)} squares have too few seeds: an interval wider than {plots.TOO_WIDE:.0%}." if wide else ""
    by = f", a panel for each {axes.panel}" if axes.panel else ""
    return Figure(
        f"{failure} over {axes.x} and {axes.y}: {run.experiment.title}",
        lambda: plots.grid(
            frame, draw, col="panel", wrap=min(3, frame["panel"].nunique()), height=0.85 * n_y + 0.6,
            aspect=(0.85 * n_x + 0.5) / (0.85 * n_y + 0.6),
        ),
        frame,
        f"Share of failed seeds by {axes.x} and {axes.y}{by}, {len(frame)} combinations.",
        f"Each square: failed of judged seeds and the 95 % Wilson interval of the rate; darker: more failed; smaller: a wider "
        f"interval, so less is known; dashed: the seeds leave open whether more or fewer than {stats.TOLERATED_RATE:.0%} would "
        f"fail. {len(run.experiment.seeds)} seeds a square, the same in all.{few}",
    )  # fmt: skip


def _table(run: Run, failure: str, frame: pd.DataFrame) -> Table:
    rows: list[list[Cell | str]] = []
    for row in frame.to_dict("records"):
        where = ", ".join(f"{name} {row[name]:g}" for name in run.experiment.varied)
        rate = f"{row['rate']:.0%} [{row['low']:.0%}, {row['high']:.0%}]" if row["n"] else ""
        rows.append([where, Cell(f"{row['failures']} of {row['n']}: {row['verdict']}", tone=row["verdict"]), rate])
    return Table(f"{failure}: {run.experiment.title}", ["where", "failed seeds", "rate, 95 % interval"], rows, folded=True)


def _common(run: Run) -> Run:
    e = run.experiment
    return replace(run, experiment=replace(e, numbers={k: v for k, v in e.numbers.items() if len(v) == 1}))


def _values(run: Run) -> str:
    values = (f"{name} {', '.join(f'{v:g}' for v in run.experiment.numbers[name])}" for name in run.experiment.varied)
    return f"{run.experiment.title} crosses {'; '.join(values)}, all members in one mapped program."
