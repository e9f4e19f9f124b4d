"""The command line: `ganlab run | list | diagnose | compare | report | verify`.

Commands are frozen dataclasses; their docstrings and fields are the help. Exit codes: 0 done, 1 a check failed, 2 a request
that cannot be done (one clear message), 130 stopped by Ctrl-C. torch is imported by `run` and `list` only.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import pandas as pd
import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganlab.registry import InputError, shown
from ganlab.store import CorruptRun, Store

Kind = Literal[
    "variants",
    "objectives",
    "penalties",
    "updates",
    "optimizers",
    "data",
    "nets",
    "probes",
    "rules",
    "diagnoses",
    "runs",
]


@dataclass(frozen=True)
class Run:
    """Train a GAN over many seeds, watched, and store the run; a run that is stored already is found, not repeated."""

    variant: str = "nsgan"
    """Named GAN or objective; `ganlab list variants` shows them."""
    data: str = "ring8"
    """Data distribution, with settings if wanted: "ring:modes=12,std=0.1"."""
    seeds: int = 8
    """How many seeds, from `first_seed` on."""
    first_seed: int = 0
    """The first seed."""
    steps: int = 3000
    """Generator updates."""
    every: int | None = None
    """Steps between two looks of the probes; none looks about 30 times."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Another setting, such as lr=1e-3, r1=10, hidden=(64,64), n_critic=5. May be given several times."""
    store: Path = Path("runs")
    """Folder of runs."""
    dry_run: bool = False
    """Print the settings and stop."""


OWN_OPTIONS = ("variant", "data", "seeds", "first_seed", "steps", "every")
"""What `--set` leaves to the options of these names."""


@dataclass(frozen=True)
class List:
    """List what there is, with its source: variants, data, ..., or the runs of a store."""

    kind: Annotated[Kind | None, tyro.conf.Positional] = None
    """What to list; everything registered when left out."""
    store: Path = Path("runs")
    """Folder of runs."""


@dataclass(frozen=True)
class Diagnose:
    """Print the verdicts of stored runs, with rates, intervals and onsets."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names of runs, or the beginnings of names; all runs when left out."""
    store: Path = Path("runs")
    """Folder of runs."""


@dataclass(frozen=True)
class Compare:
    """Compare two stored runs seed by seed: paired differences with intervals."""

    a: Annotated[str, tyro.conf.Positional]
    """Name of a run, or its beginning."""
    b: Annotated[str, tyro.conf.Positional]
    """Name of another run."""
    store: Path = Path("runs")
    """Folder of runs."""


@dataclass(frozen=True)
class Report:
    """Write one HTML file about stored runs."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names of runs, or the beginnings of names; all runs when left out."""
    store: Path = Path("runs")
    """Folder of runs."""
    out: Path = Path("reports/html/report.html")
    """The file to write."""


@dataclass(frozen=True)
class Verify:
    """Compare every stored run with its checksums."""

    store: Path = field(default=Path("runs"))
    """Folder of runs."""


DESCRIPTION = "Crash tests for GANs: train many seeds at once, watch them, and get verdicts with intervals."

Command = Run | List | Diagnose | Compare | Report | Verify


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    command: Command = tyro.cli(Command, prog="ganlab", description=DESCRIPTION, args=arguments)
    console = Console()
    finish(lambda: _do(command, console))


def finish(action: Callable[[], int]) -> NoReturn:
    """Do it and exit: with its code, with 2 and one message for a request that cannot be done, with 130 for Ctrl-C."""
    errors = Console(stderr=True)
    try:
        sys.exit(action())
    except InputError as error:
        errors.print(_text(f"ganlab: {error}"), soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("stopped; finished runs are kept, and the same command continues", markup=False)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _do(command: Command, console: Console) -> int:
    match command:
        case Run():
            return _run(command, console)
        case List():
            return _list(command, console)
        case Diagnose():
            return _diagnose(command, console)
        case Compare():
            return _compare(command, console)
        case Report():
            return _report(command, console)
        case Verify():
            return _verify(command, console)


def _run(command: Run, console: Console) -> int:
    from ganlab.planning import plan

    seeds = [command.first_seed + i for i in range(command.seeds)]
    experiment = plan(
        command.variant, command.data, seeds=seeds, steps=command.steps, every=command.every, **_settings(command.set)
    )
    rows = {"run": experiment.id, "variant": experiment.subject, "data": experiment.data, "steps": experiment.steps}
    rows |= {
        "looks every": experiment.every,
        "members": len(experiment.members()),
        **experiment.settings,
        **experiment.numbers,
    }
    _print(console, pd.DataFrame({"setting": rows.keys(), "value": [_plain(v) for v in rows.values()]}), "experiment")
    if command.dry_run:
        return 0
    from ganlab.sweep import sweep

    sweep([experiment], Store(command.store), workers=1)
    return _diagnose(Diagnose((experiment.id,), command.store), console)


def _settings(given: Sequence[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"--set takes name=value, such as lr=1e-3; got {item!r}")
        name = name.strip()
        if name in OWN_OPTIONS:
            raise InputError(f"--set {item}: {name} has an option of its own, --{name.replace('_', '-')}")
        if name in settings:
            raise InputError(f"--set gives {name} twice; a list such as {name}=[1,2] trains members for each value")
        try:
            settings[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):  # all that it may raise: then it is a word
            settings[name] = value
    return settings


def _list(command: List, console: Console) -> int:
    if command.kind == "runs":
        rows = []
        for name in Store(command.store).ids():
            try:
                e = Store(command.store).load(name).experiment
                rows.append((name, e.kind, e.subject, e.data, str(len(e.seeds)), str(e.steps)))
            except CorruptRun:
                rows.append((name, "damaged", "", "", "", ""))
        _print(
            console,
            pd.DataFrame(rows, columns=["run", "kind", "subject", "data", "seeds", "steps"]),
            f"runs in {command.store}",
        )
        return 0
    from ganlab import data, diagnoses, game, metrics, nets, objectives, optim, penalties, probes, variants

    kinds = {
        "variants": [variants.VARIANTS], "objectives": [objectives.OBJECTIVES],
        "penalties": [penalties.PENALTIES, penalties.CONSTRAINTS], "updates": [game.UPDATES],
        "optimizers": [optim.OPTIMIZERS], "data": [data.DATA], "nets": [nets.NETS], "probes": [probes.PROBES],
        "rules": [metrics.RULES], "diagnoses": [diagnoses.DIAGNOSES],
    }  # fmt: skip
    for kind, registries in kinds.items():
        if command.kind in (None, kind):
            entries = [entry for registry in registries for entry in registry.entries()]  # type: ignore[attr-defined]
            frame = pd.DataFrame([(e.name, e.summary, e.source) for e in entries], columns=["name", "what", "source"])
            _print(console, frame, kind)
    return 0


def _diagnose(command: Diagnose, console: Console) -> int:
    from ganlab.diagnoses import diagnose

    for run in _runs(command.runs, Store(command.store)):
        for d in diagnose(run):
            where = f", {d.where}" if d.where else ""
            console.print(_text(f"{run.experiment.title}{where}: {d.title.lower()} {d.verdict}", "bold"))
            console.print(_text(f"  {d.evidence}"))
            if not d.members.empty:
                frame = d.members[["seed", "verdict", "onset", "evidence"]]
                _print(console, frame.assign(onset=frame["onset"].map(lambda x: "" if pd.isna(x) else f"{x:g}")), "")
    return 0


def _compare(command: Compare, console: Console) -> int:
    from ganlab.diagnoses import compare

    a, b = (_runs((name,), Store(command.store))[0] for name in (command.a, command.b))
    frame = compare(a, b)
    numbers = frame.select_dtypes("number").columns.difference(["n"])
    shown = frame.assign(**{c: frame[c].map(lambda x: "" if pd.isna(x) else f"{x:.4g}") for c in numbers})
    _print(console, shown, f"a: {a.experiment.title} ({a.experiment.id}), b: {b.experiment.title} ({b.experiment.id})")
    return 0


def _report(command: Report, console: Console) -> int:
    from ganlab.pages import pages_of
    from ganlab.pages.page import write

    path = write(pages_of(_runs(command.runs, Store(command.store))), command.out, " ".join(["ganlab report", *command.runs]))
    console.print(Text(str(path.resolve())), soft_wrap=True)
    return 0


def _verify(command: Verify, console: Console) -> int:
    store = Store(command.store)
    if not command.store.is_dir():
        raise InputError(f"there is no folder {str(command.store)!r}; name the store with --store")
    names = store.ids()
    faults = {name: fault for name in names if (fault := store.fault(name))}
    for fault in faults.values():
        console.print(_text(fault), soft_wrap=True)
    console.print(
        f"{len(names) - len(faults)} of {len(names)} runs in {command.store} match their checksums",
        markup=False,
        highlight=False,
    )
    return 1 if faults else 0


def _runs(names: Sequence[str], store: Store) -> list[Any]:
    """Return the runs of these names or beginnings of names; all of the store for none."""
    known = store.ids()
    if not known:
        raise InputError(f"there are no runs in {str(store.path)!r}; make one with `ganlab run --store {store.path}`")
    chosen = []
    for name in names or known:
        found = [run for run in known if run.startswith(name)]
        if len(found) != 1:
            raise InputError(
                f"{name!r} names {len(found)} runs in {str(store.path)!r}; `ganlab list runs` shows them: {', '.join(known)}"
            )
        chosen.append(store.load(found[0]))
    return chosen


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _print(console: Console, frame: pd.DataFrame, title: str) -> None:
    """Print a frame: a table on a terminal, tab-separated lines elsewhere."""
    if not console.is_terminal:
        lines = [list(frame.columns), *frame.itertuples(index=False)]
        for line in [[f"# {title}"], *lines] if title else lines:
            console.file.write("\t".join(str(_text(cell)) for cell in line) + "\n")  # rich would turn tabs into spaces
        return
    table = Table(title=_text(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for name in frame.columns:
        table.add_column(_text(name), overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*map(_text, row))
    console.print(table)


def _text(value: object, style: str = "") -> Text:
    return Text(shown(str(value)), style)


if __name__ == "__main__":
    main()
