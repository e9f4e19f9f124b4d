"""The command line: `ganlab run | list | diagnose | compare | repair | report | verify`.

Commands are frozen dataclasses; their docstrings and fields are the help. Exit codes: 0 done, 1 a check failed, 2 a request
that cannot be done (one clear message), 130 stopped by Ctrl-C. What is slow to import waits for the command that needs it:
torch for `run` and `repair`, pandas for what reads runs; `list` reads the catalogue and needs neither.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn, Union

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ganlab import catalogue
from ganlab.registry import InputError, shown
from ganlab.store import CorruptRun, Store

Kind = tyro.extras.literal_type_from_choices((*catalogue.KINDS, "runs"))


@dataclass(frozen=True)
class Run:
    """Train a GAN over many seeds, watched, and store the run; a run that is stored already is found, not repeated."""

    variant: str = "nsgan"
    """Named GAN or objective; `ganlab list variants` shows them."""
    data: str | None = None
    """Data distribution, with settings if wanted: "ring:modes=12,std=0.1"; none takes ring8, or the recipe's own."""
    seeds: int = 8
    """How many seeds, from `first_seed` on."""
    first_seed: int = 0
    """The first seed."""
    steps: int | None = None
    """Generator updates; none takes 3000, or the recipe's own."""
    every: int | None = None
    """Steps between two looks of the probes; none looks about 20 times."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Another setting, such as lr=1e-3, r1=10, hidden=(64,64), n_critic=5. May be given several times."""
    block: int | None = None
    """Members trained as one batch, a process at a time on each core; none chooses by speed and memory. Not part of the run."""
    store: Path = Path("runs")
    """Folder of runs."""
    dry_run: bool = False
    """Print the settings and stop."""


OWN_OPTIONS = ("variant", "data", "seeds", "first_seed", "steps", "every", "block")
"""What `--set` leaves to the options of these names."""


@dataclass(frozen=True)
class List:
    """List what there is, with its source: variants, data, ..., or the runs of a store."""

    kind: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(constructor=Kind | None)] = None
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
class Repair:
    """Try the remedies named against what fails in a stored run, on the same seeds, and say which were seen to help."""

    run: Annotated[str, tyro.conf.Positional]
    """Name of a run, or its beginning."""
    only: tuple[str, ...] = ()
    """Remedies to try; when left out the first 6 of `ganlab list remedies` that fit."""
    where: str | None = None
    """Of a run with several values of a number, which combination: "lr=0.001"."""
    seeds: int | None = None
    """How many seeds; none takes the run's own. With others than those the unchanged run is trained on them, too."""
    first_seed: int | None = None
    """The first of those seeds; none begins with the run's first."""
    block: int | None = None
    """Members trained as one batch; none chooses by speed and memory."""
    store: Path = Path("runs")
    """Folder of runs."""
    out: Path = Path("reports/html/repair.html")
    """The file to write."""
    dry_run: bool = False
    """Print what would be trained and stop."""


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

Command = Union[Run, List, Diagnose, Compare, Repair, Report, Verify]  # noqa: UP007
"""Not written with bars: for those tyro asks typeguard, whose import is a quarter of the time of `ganlab list`."""


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
        case Repair():
            return _repair(command, console)
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
    _print(console, "experiment", ("setting", "value"), [(name, _plain(value)) for name, value in rows.items()])
    if command.dry_run:
        return 0
    from ganlab.sweep import sweep

    (run,) = sweep([experiment], Store(command.store), block=command.block)
    how = "compiled" if run.environment["compiled"] is True else "mapped"
    console.print(_text(f"steps ran {how}: {_plain(run.environment['compiled_because'])}"), soft_wrap=True)
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
        columns = ("run", "kind", "subject", "data", "seeds", "steps")
        _print(console, f"runs in {command.store}", columns, _stored(Store(command.store)))
        return 0
    for kind, items in catalogue.read().items():
        if command.kind in (None, kind):
            _print(console, kind, ("name", "what", "source"), items)
    return 0


def _stored(store: Store) -> Iterator[tuple[object, ...]]:
    for name in store.ids():
        try:
            e = store.experiment(name)
            yield name, e.kind, e.subject, e.data, len(e.seeds), e.steps
        except CorruptRun:
            yield name, "damaged", "", "", "", ""


def _diagnose(command: Diagnose, console: Console) -> int:
    import pandas as pd

    from ganlab.diagnoses import diagnose

    for run in _runs(command.runs, Store(command.store)):
        for d in diagnose(run):
            where = f", {d.where}" if d.where else ""
            console.print(_text(f"{run.experiment.title}{where}: {d.title.lower()} {d.verdict}", "bold"))
            console.print(_text(f"  {d.evidence}"))
            if not d.members.empty:
                frame = d.members[["seed", "verdict", "onset", "evidence"]]
                frame = frame.assign(onset=frame["onset"].map(lambda x: "" if pd.isna(x) else f"{x:g}"))
                _print(console, "", frame.columns, frame.itertuples(index=False))
    return 0


def _compare(command: Compare, console: Console) -> int:
    import pandas as pd

    from ganlab.diagnoses import compare

    a, b = (_runs((name,), Store(command.store))[0] for name in (command.a, command.b))
    frame = compare(a, b)
    numbers = frame.select_dtypes("number").columns.difference(["n"])
    shown = frame.assign(**{c: frame[c].map(lambda x: "" if pd.isna(x) else f"{x:.4g}") for c in numbers})
    title = f"a: {a.experiment.title} ({a.experiment.id}), b: {b.experiment.title} ({b.experiment.id})"
    _print(console, title, shown.columns, shown.itertuples(index=False))
    return 0


def _repair(command: Repair, console: Console) -> int:
    from ganlab.proposal import propose
    from ganlab.trial import advice, carry_out, in_words

    store = Store(command.store)
    (run,) = _runs((command.run,), store)
    proposal = propose(run, where=command.where, seeds=_seeds(command, run), remedies=command.only)
    for d in proposal.failing:
        said = f"{run.experiment.title} ({run.experiment.id}): {d.title.lower()} {d.verdict}. {d.evidence}"
        console.print(_text(said), soft_wrap=True)
    _print(console, "remedies to try", ("remedy", "change", "of", "named against"), proposal.tried())
    _print(console, "not tried", ("remedy", "why not"), list(proposal.left_out.items()))
    batches = [(e.id, len(e.members()), e.steps, ", ".join(e.varied) or "none") for e in proposal.batches]
    _print(console, "runs to train", ("run", "members", "steps", "numbers that differ"), batches)
    console.print(_text(proposal.outlook()), soft_wrap=True)
    if command.dry_run:
        return 0
    from ganlab.pages import gan_page, repair_page
    from ganlab.pages.page import prepare, write
    from ganlab.pages.repair import named_runs

    prepare(command.out)
    found = carry_out(proposal, store, block=command.block)
    rows = [in_words(row) for row in found.rows()]
    _print(console, "remedies tried", rows[0], [list(row.values()) for row in rows])
    console.print(_text(advice(found), "bold"), soft_wrap=True)
    path = write([repair_page(found), gan_page(named_runs(found))], command.out, f"ganlab repair {command.run}")
    console.print(Text(f"report: {path.resolve()}"), soft_wrap=True)
    return 0


def _seeds(command: Repair, run: Any) -> list[int] | None:
    if command.seeds is None and command.first_seed is None:
        return None
    own = run.experiment.seeds
    first = own[0] if command.first_seed is None else command.first_seed
    return [first + i for i in range(len(own) if command.seeds is None else command.seeds)]


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
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _print(console: Console, title: str, columns: Iterable[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows: a table on a terminal, tab-separated lines elsewhere."""
    if not console.is_terminal:
        lines = [columns, *rows]
        for line in [[f"# {title}"], *lines] if title else lines:
            console.file.write("\t".join(str(_text(cell)) for cell in line) + "\n")  # rich would turn tabs into spaces
        return
    table = Table(title=_text(title) if title else None, title_justify="left", box=None, pad_edge=False)
    for name in columns:
        table.add_column(_text(name), overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row))
    console.print(table)


def _text(value: object, style: str = "") -> Text:
    return Text(shown(str(value)), style)


if __name__ == "__main__":
    main()
