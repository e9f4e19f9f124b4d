"""The parts that pages share: names of runs, settings, environment, sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ganlab import stats, trace
from ganlab.experiment import Run
from ganlab.pages.page import Block, Cell, Table, Text

Written = Callable[[float], str]
"""How a value is written, such as "12.3%"."""


def distinct(runs: Sequence[Run]) -> list[Run]:
    """Return each run once, one for each value of its numbers, under a name of its own.

    Runs of one variant on one data set get the one setting too in which they differ; where that is not enough, the start of
    their id.
    """
    return _told_apart([part for run in {run.experiment.id: run for run in runs}.values() for part in run.parts()])


def _told_apart(runs: Sequence[Run]) -> list[Run]:
    """Return these runs, those of one title each with what it has of its own in its name."""
    named = []
    for run in runs:
        alike = [other for other in runs if other.experiment.title == run.experiment.title]
        if len(alike) > 1:
            subject = f"{run.experiment.subject} {_difference(run, alike)}"
            run = replace(run, experiment=replace(run.experiment, subject=subject))
        named.append(run)
    return named


def _difference(run: Run, alike: Sequence[Run]) -> str:
    """Return the value of the one setting that tells a run from others of its title, or the start of its id."""
    own = [_own(other) for other in alike]
    names = [name for name in _own(run) if len({values.get(name) for values in own}) > 1]
    if len(names) == 1 and len({values.get(names[0]) for values in own}) == len(alike):
        value = _own(run)[names[0]]
        return value if names[0] == "objective" else f"{names[0]} {value}"
    return run.experiment.id[:4]


def _own(run: Run) -> dict[str, str]:
    """Return all that was chosen for a run, as text."""
    e = run.experiment
    unit = "epochs" if e.kind == "classifier" else "steps"
    own = {unit: e.steps, "seeds": _seeds(e.seeds), "looks every": e.every, **e.settings}
    return {name: _plain(v) for name, v in {**own, **{name: v[0] for name, v in e.numbers.items()}}.items() if v != {}}


def settings(runs: Sequence[Run]) -> Table:
    """Return what all runs have in common, and what is each one's own: a row for each that differs from those of its name."""
    runs = _told_apart(list({run.experiment.id: run for run in runs}.values()))
    by_run = {run.experiment.title: _own(run) for run in runs}
    columns: dict[str, dict[str, str]] = {}
    for run in runs:  # one row a variant, unless its settings differ between data sets
        e = run.experiment
        same = all(by_run[r.experiment.title] == by_run[e.title] for r in runs if r.experiment.subject == e.subject)
        columns[e.subject if same else e.title] = by_run[e.title]
    names = list(dict.fromkeys(name for values in columns.values() for name in values))
    common = {n for n in names if len({values.get(n) for values in columns.values()}) == 1}
    rows: list[list[Cell | str]] = [["all", "; ".join(f"{n} {next(iter(columns.values()))[n]}" for n in names if n in common)]]
    rows += [
        [v, "; ".join(f"{n} {values[n]}" for n in names if n in values and n not in common) or "as all"]
        for v, values in columns.items()
    ]
    return Table("What was run", ["variant", "settings"], rows)


def _seeds(seeds: Sequence[int]) -> str:
    consecutive = list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if consecutive and len(seeds) > 1 else ", ".join(map(str, seeds))


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def environment(runs: Sequence[Run]) -> list[str]:
    """Return versions, devices and time, a sentence; all values where runs differ."""

    def values(name: str) -> str:
        return " and ".join(dict.fromkeys(str(run.environment[name]) for run in runs))

    seconds = sum(float(run.environment["seconds"]) for run in runs)
    return [
        f"ganlab {values('ganlab')}, torch {values('torch')}, Python {values('python')}, {values('system')} "
        f"{values('device_name')}, {values('device')}, {values('dtype')}, {values('threads')} of {values('cores')} threads a "
        f"process; {seconds:.0f} seconds of training in all.",
        *_how_steps_ran(runs),
    ]


def _how_steps_ran(runs: Sequence[Run]) -> list[str]:
    """Return in how many runs steps were compiled, and why not in the others; nothing for runs without such a choice."""
    asked = [run.environment for run in runs if "compiled" in run.environment]
    if not asked:
        return []
    mapped = [environment["compiled_because"] for environment in asked if environment["compiled"] is not True]
    said = [r for found in mapped for r in (found if isinstance(found, list) else [found])]
    reasons = dict.fromkeys(re.sub(r"^[\d,]+ updates in all; ", "few updates; ", reason) for reason in said)
    why = f" (in the others: {'; '.join(reasons)})" if reasons else ""
    return [f"Steps ran compiled in {len(asked) - len(mapped)} of {len(asked)} runs{why}."]


def sources(runs: Sequence[Run]) -> list[str]:
    """Return the bibliography: where each named part comes from."""
    sources = {name: source for run in runs for name, source in run.environment.get("sources", {}).items()}
    return [f"{name}: {source}" for name, source in sources.items()]


def mistakes(run: Run) -> list[Block]:
    """Return what was found wrong with the loop of a recorded run; nothing where it was not looked through."""
    checked, found = run.environment.get("checked"), run.environment.get("mistakes", [])
    rows: list[list[Cell | str]] = []
    for m in found:
        seeds = f" in {len(m['seeds'])} of {len(run.experiment.seeds)} seeds" if "seeds" in m else ""
        note = f"since step {m['step']}{seeds}"
        rows.append([Cell(m["code"], note=note), f"{m['title']}: {m['where']}. {m['evidence']}", m["fix"]])
    caption = "What was seen in the first steps that the loop trained. A mistake here comes before any verdict above."
    blocks: list[Block] = []
    if rows:
        title = f"What is wrong with the loop of {run.experiment.subject}"
        blocks.append(Table(title, ["code", "what was seen", "what to change"], rows, caption))
    if checked and checked["faults"]:
        faults = "; ".join(checked["faults"])
        blocks.append(Text([f"Not all could be judged, by a fault of the check and not of the loop: {faults}."]))
    elif checked and not rows:
        blocks.append(Text([f"None was found in the {checked['steps']} steps that were looked through (ganlab list checks)."]))
    return blocks


def compared(run: Run) -> int:
    """Return the samples of which a run's distances to the data are taken, as many as of real ones."""
    return min(int(run.experiment.settings.get("evaluation", trace.SLICED)), trace.SLICED)


def apart(run: Run) -> float:
    """Return about how far, by such a distance, two sets of so many samples of one normal law are from each other.

    In standard deviations: sqrt(4 / (pi n)) times the integral of sqrt(F (1 - F)), which is 1.6 for a normal law; images have
    the same, a ring of modes an eighth less or so.
    """
    return 1.8 / float(np.sqrt(compared(run)))


def bounded(found: stats.Interval, digits: int = 2) -> str:
    """Return an estimate and its interval in brackets, or that it has none."""
    if not np.isfinite([found.low, found.high]).all():
        return f"{found.estimate:.{digits}f} (no interval)"
    return f"{found.estimate:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def bounds(found: stats.Interval, write: Written) -> str:
    """Return an interval in brackets, or that there is none."""
    return f"[{write(found.low)}, {write(found.high)}]" if np.isfinite(found.low) else "no interval"


NO_VALUE = "no seed has a value"


def mean_cell(values: ArrayLike, write: Written) -> Cell:
    """Return the mean over seeds with its 95 % interval; seeds that diverged have no value, and are counted."""
    found = stats.mean_of_finite(values)
    lost = _left_out(found, values)
    if not found.n:
        return Cell(NO_VALUE)
    return Cell(write(found.estimate), note=f"{bounds(found, write)}, n={found.n}" + (f"; {lost}" if lost else ""))


def mean_text(values: ArrayLike, write: Written) -> str:
    """Return the same for a sentence, which says of how many seeds it speaks."""
    found = stats.mean_of_finite(values)
    lost = _left_out(found, values)
    if not found.n:
        return NO_VALUE
    return f"{write(found.estimate)} {bounds(found, write)}" + (f" ({lost})" if lost else "")


def _left_out(found: stats.Interval, values: ArrayLike) -> str:
    n = np.size(values) - found.n
    return f"{n} diverged, left out" if n else ""
