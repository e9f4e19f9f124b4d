"""The parts that pages share: names of runs, settings, environment, sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ganlab.experiment import Run
from ganlab.pages.page import Cell, Table


def distinct(runs: Sequence[Run]) -> list[Run]:
    """Return each run once, under a name of its own: runs of one variant on one data set get the start of their id too."""
    unique = list({run.experiment.id: run for run in runs}.values())
    titles = Counter(run.experiment.title for run in unique)
    named = []
    for run in unique:
        e = run.experiment
        shared = titles[e.title] > 1
        named.append(replace(run, experiment=replace(e, subject=f"{e.subject} {e.id[:4]}")) if shared else run)
    return named


def settings(runs: Sequence[Run]) -> Table:
    """Return what all runs have in common, and what is each one's own."""
    columns: dict[str, dict[str, str]] = {}
    for run in runs:
        e = run.experiment
        values = {
            "steps": e.steps,
            "seeds": _seeds(e.seeds),
            "looks every": e.every,
            **e.settings,
            **{k: v[0] for k, v in e.numbers.items()},
        }
        columns.setdefault(e.subject, {}).update({k: _plain(v) for k, v in values.items()})
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
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def environment(runs: Sequence[Run]) -> list[str]:
    """Return versions, device and time, a sentence."""
    e = runs[0].environment
    seconds = sum(float(run.environment["seconds"]) for run in runs)
    return [
        f"ganlab {e['ganlab']}, torch {e['torch']}, Python {e['python']}, {e['system']} {e['device_name']}, {e['device']}, "
        f"{e['dtype']}, {e['threads']} of {e['cores']} threads a process; {seconds:.0f} seconds of training in all."
    ]


def sources(runs: Sequence[Run]) -> list[str]:
    """Return the bibliography: where each named part comes from."""
    sources = {name: source for run in runs for name, source in run.environment.get("sources", {}).items()}
    return [f"{name}: {source}" for name, source in sources.items()]
