"""A user's own training over many seeds, in processes: what each seed's recorder saw becomes one run with a member per seed.

How often a GAN fails is told by seeds alone. `repeat` calls the function that trains; `joined` makes one run of many.
"""

from __future__ import annotations

import hashlib
import importlib
import multiprocessing
import os
import random
import sys
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ganlab import trace
from ganlab.experiment import BY_MEMBER, Experiment, Run, at_least, join, outcome, schedule
from ganlab.processes import Worker, n_cores
from ganlab.registry import InputError
from ganlab.store import Store

Train = Callable[[int], Any]

SHOWN = 3
"""Missing seeds that are told with their errors; the run's environment has them all."""

NORMS = ("generator_norm", "discriminator_norm")
"""What is read of the nets alone, and not of the samples that a recorder draws by its own seed."""

REACH = (
    'define it at the top of a module or script, and call ganlab.repeat under `if __name__ == "__main__":`; '
    "or take workers=1, which trains in this process, one seed after the other"
)


class Came(NamedTuple):
    """What became of one seed."""

    seed: int
    run: Run | None
    error: str = ""
    detail: str = ""
    """Where the error was raised."""
    useless: bool = False
    """Whether the function returned something else than a recorder, which no other seed will change."""


def repeat(
    train: Train, seeds: int | Sequence[int] = 32, *, workers: int | None = None, store: str | Path | None = None
) -> Run:
    """Return one run of many seeds: your own training function called for each, in processes.

    Parameters
    ----------
    train
        Trains a GAN for one seed, with a `ganlab.Recorder(..., seed=seed)` in its loop, and returns the recorder or its run.
        Before each call torch, numpy and random are seeded with the seed. All seeds must have the same nets, objective, data
        and number of steps.
    seeds
        How many, from 0; or which.
    workers
        Processes, with one thread each; None takes one per core, or seed. Take as many as fit where they share a GPU. One
        trains in this process, with its threads.
    store
        Folder for the run. Seeds are written as they come, so that Ctrl-C loses those in progress alone; once they are joined
        the run of all takes their place.

    Returns
    -------
    Run
        Of kind "recorded", with a member for each seed that came, at the looks that all of them have. A seed whose function
        raised, or whose process died, is missing, and told at the end; the environment names it under "missing". One that
        diverged and was ended early has no values from there on.

    Raises
    ------
    InputError
        For a function that other processes cannot find; when no seed came; and as soon as two cannot be joined.

    Example
    -------
    >>> from ganlab import Recorder, nets
    >>> def train(seed):
    ...     generator, discriminator = nets.mlp(4, 2, (8,)), nets.mlp(2, 1, (8,))
    ...     with Recorder(generator, discriminator, data="ring8", seed=seed, cost=1, evaluation=64) as recorder:
    ...         recorder.record(0)  # a loop that trains would stand here
    ...     return recorder
    >>> repeat(train, seeds=2, workers=1).outcome["status"].tolist()
    ['finished', 'finished']
    """
    asked = schedule(seeds, 1, None)[0]
    at_least("workers", 1 if workers is None else workers)
    if not callable(train):
        raise InputError(f"train must be a function of the seed; got {type(train).__name__}")
    n_workers = min(workers or n_cores(), len(asked))
    if n_workers > 1:
        _check_reachable(train)
    gathered = _Gathered(asked, None if store is None else Store(store))
    coming = _in_processes(train, asked, n_workers) if n_workers > 1 else (_trained(train, seed) for seed in asked)
    try:
        with gathered.progress, closing(coming):
            for came in coming:
                gathered.add(came)
    except KeyboardInterrupt:
        gathered.tell_what_is_kept()
        raise
    return gathered.run()


class _Gathered:
    """The seeds that came, the progress bar, and what is said."""

    def __init__(self, asked: Sequence[int], store: Store | None) -> None:
        self.asked, self.store, self.console = asked, store, Console(stderr=True)
        self.runs: dict[int, Run] = {}
        self.missing: dict[int, Came] = {}
        self.ours: list[str] = []
        columns = TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.task = self.progress.add_task("", total=len(asked))
        if store:
            store.prepare()

    def add(self, came: Came) -> None:
        """Take note of what became of a seed. Raises InputError where it cannot be joined to the others."""
        if came.useless:
            raise InputError(came.error)
        if came.run is None:
            self.missing[came.seed] = came
            said = f"missing: {came.error}"
        else:
            for seed, run in list(self.runs.items())[:1]:
                if differ := _differ(run, came.run):
                    raise InputError(f"seeds {seed} and {came.seed} cannot be joined into one run: {differ}")
            if self.store and came.run.experiment not in self.store:
                self.store.save(came.run)
                self.ours.append(came.run.experiment.id)
            self.runs[came.seed] = came.run
            row = came.run.outcome.iloc[0]
            said = "finished" if row["status"] == "finished" else f"diverged at step {row['step']}: {row['place']}"
        self.progress.advance(self.task)
        self._say(f"[{len(self.runs) + len(self.missing)}/{len(self.asked)}] seed {came.seed}: {said}")

    def run(self) -> Run:
        """Return the run of the seeds that came. Raises InputError when none did."""
        if not self.runs:
            first = self.missing[self.asked[0]]
            error = InputError(f"none of {len(self.asked)} seeds came to its end; seed {first.seed}: {first.error}")
            if first.detail:
                error.add_note(first.detail)
            raise error
        run = joined({seed: self.runs[seed] for seed in self.asked if seed in self.runs})
        missing = {str(seed): self.missing[seed].error for seed in self.asked if seed in self.missing}
        if missing:
            shown = "; ".join(f"seed {seed}: {error}" for seed, error in list(missing.items())[:SHOWN])
            more = "; ..." if len(missing) > SHOWN else ""
            self._say(f"{len(missing)} of {len(self.asked)} seeds are missing from the run: {shown}{more}")
            run = replace(run, environment={**run.environment, "missing": missing})
        if self.store:
            self.store.save(run)
            for name in self.ours:
                if name != run.experiment.id:
                    self.store.remove(name)
        return run

    def tell_what_is_kept(self) -> None:
        """Say what is left of a call that is stopped."""
        where = f"each a run of its own in {self.store.path}" if self.store else "none is kept; give store= to keep them"
        self._say(f"stopped; {len(self.runs)} of {len(self.asked)} seeds were done, {where}")

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


# --- one seed ----------------------------------------------------------------------------------------------------------


def _trained(train: Train, seed: int) -> Came:
    """Return what `train` gives for one seed, here and now."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (the stream that users share)
    importlib.import_module("torch").manual_seed(seed)
    try:
        returned = train(seed)
        run = getattr(returned, "run", returned)
        if not isinstance(run, Run):
            kind = type(returned).__name__
            return Came(seed, None, f"train(seed) must return its ganlab.Recorder, or the recorder's run; got {kind}", "", True)
        if fault := run.environment.get("fault"):
            raise InputError(f"its recorder stood aside: {fault}")
    except (Exception, SystemExit) as error:  # a user's function may fail in any way
        return Came(seed, None, f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))
    return Came(seed, run)


def _in_processes(train: Train, seeds: Sequence[int], n_workers: int) -> Generator[Came]:
    """Yield what becomes of each seed, as it comes; processes end with the iterator, however that ends."""
    workers = [Worker(threads=1) for _ in range(n_workers)]
    idle, todo = list(workers), list(reversed(seeds))
    busy: dict[Future[Came], tuple[Worker, int]] = {}
    try:
        while todo or busy:
            while todo and idle:
                worker, seed = idle.pop(), todo.pop()
                busy[worker.submit(_trained, train, seed)] = worker, seed
            done, _ = wait(busy, timeout=0.3, return_when=FIRST_COMPLETED)
            for future in done:
                worker, seed = busy.pop(future)
                idle.append(worker)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    if not worker.begun:
                        raise InputError(f"processes that are to train cannot start from this script: {REACH}") from None
                    worker.restart()
                    yield Came(seed, None, "its process died (out of memory, or killed)")
        for worker in workers:
            worker.pool.shutdown()
    except BaseException:
        for worker in workers:
            worker.kill()
        raise


def _check_reachable(train: Train) -> None:
    """Raise InputError for a function that a new process will not find, and in a process that is only just starting."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError('call ganlab.repeat under `if __name__ == "__main__":`, since each process reads the script anew')
    inner: Any = train
    while isinstance(inner, partial):
        inner = inner.func
    why = ""
    try:
        ForkingPickler.dumps(train)
    except Exception as error:
        why = str(error)
    main = sys.modules["__main__"]
    is_in_main = getattr(inner, "__module__", type(inner).__module__) == "__main__"
    if is_in_main and getattr(main, "__spec__", None) is None and not os.path.isfile(getattr(main, "__file__", None) or ""):
        why = "it is defined in a notebook or console"
    if why:
        name = getattr(inner, "__qualname__", repr(inner))
        raise InputError(f"other processes cannot find the function {name} ({why}); {REACH}")


# --- one run from many -------------------------------------------------------------------------------------------------


def joined(runs: Mapping[int, Run]) -> Run:
    """Return one run whose members are these recorded runs of one seed each, by seed, in this order.

    Looks are those that all have, the last one among them, since each recorder looks as often as its time allows; how far
    samples moved is taken between these. A member that diverged and ended early has no values from there on. Arrays that not
    all members have in one shape are left out, and so are readings that some have not; the environment names them.

    Raises
    ------
    InputError
        When runs differ in nets, objective, data, evaluation, or in how long they are though they did not diverge; and when
        two of them are the same.
    """
    seeds, members = tuple(runs), list(runs.values())
    if not members:
        raise InputError("there must be at least one run to join")
    for seed, run in runs.items():
        if differ := _differ(members[0], run):
            raise InputError(f"seeds {seeds[0]} and {seed} cannot be joined into one run: {differ}")
    whole = [run for run in members if _end(run) == max(map(_end, members))]
    steps = _common([_steps(run) for run in members])
    moments = _common([run.samples["moments"].tolist() for run in members])
    kept, left_out = _alike(whole)
    arrays, uneven = _arrays(members, moments)
    experiment = _experiment(seeds, members)
    rows = whole[0].trace
    rows = rows[rows["step"].isin(steps) & rows["name"].isin(kept)][["name", "index", "step"]]
    parts = []
    for place, (seed, run) in enumerate(runs.items()):
        own = _onto(rows, run, steps).assign(run=experiment.id, member=place, seed=seed)[list(run.trace.columns)]
        row = run.outcome.iloc[0]
        fault = {place: (int(row["step"]), str(row["place"]))} if row["status"] == "diverged" else {}
        ended = outcome(experiment, fault, [place])
        parts.append(Run(experiment, own, ended, arrays[place], run.environment))
    run = join(parts)
    about = {name: value for name, value in run.environment.items() if name != "block"} | {"looks": len(steps)}
    about |= {"looks_cost": max(run.environment["looks_cost"] for run in members)} | _said(runs)
    return replace(run, environment=about | ({"left_out": gone} if (gone := [*left_out, *uneven]) else {}))


def _said(runs: Mapping[int, Run]) -> dict[str, Any]:
    """Return each note and each mistake of the loop once, mistakes with their seeds, and how far all were looked through."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for seed, run in runs.items():
        for mistake in run.environment["mistakes"]:
            found.setdefault((mistake["code"], mistake["where"]), {**mistake, "seeds": []})["seeds"].append(seed)
    checks = [checked for run in runs.values() if (checked := run.environment["checked"])]
    faults = list(dict.fromkeys(fault for check in checks for fault in check["faults"]))
    checked = {"steps": min(check["steps"] for check in checks), "faults": faults} if checks else None
    notes = list(dict.fromkeys(note for run in runs.values() for note in run.environment["notes"]))
    return {"notes": notes, "mistakes": list(found.values()), "checked": checked}


def _differ(a: Run, b: Run) -> str:
    """Return why two runs cannot be members of one; nothing if they can."""
    for run in (a, b):
        e = run.experiment
        if e.kind != "recorded" or len(e.seeds) != 1:
            return f"only recorded runs of one seed can; got a {e.kind} run of {len(e.seeds)}"
    one, other = a.experiment, b.experiment
    if one.data != other.data:
        return (
            f"their data are {one.data!r} and {other.data!r}; give the recorder the same data= for every seed, rather than "
            "what a shuffled loader or a seeded draw happens to show"
        )
    named = [{"name": e.subject, **{key: v for key, v in e.settings.items() if key != "seen"}} for e in (one, other)]
    for key in dict.fromkeys([*named[0], *named[1]]):
        if (first := named[0].get(key)) != (second := named[1].get(key)):
            return f"their {key} differs: {first!r} and {second!r}"
    if a is not b and all(trace.wide(a.trace, name).equals(trace.wide(b.trace, name)) for name in NORMS):
        return "both have the same nets at every look, to the last bit; train must not set a seed of its own"
    ends = [_end(run) for run in (a, b)]
    short = (a, b)[ends[0] > ends[1]]
    if ends[0] != ends[1] and short.outcome["status"].iloc[0] != "diverged":
        return f"they end at steps {ends[0]} and {ends[1]}; train all seeds for the same number of steps, without stop_when"
    return ""


def _steps(run: Run) -> list[int]:
    return sorted(int(step) for step in run.trace["step"].unique())


def _end(run: Run) -> int:
    return int(run.trace["step"].max())


def _common(steps: Sequence[Sequence[int]]) -> list[int]:
    """Return the steps that all have, as far as each goes."""
    every = sorted(set().union(*steps))
    return [step for step in every if all(step in own or step > max(own) for own in map(set, steps))]


def _alike(runs: Sequence[Run]) -> tuple[set[str], list[str]]:
    """Return the readings that have the same parts in all runs, and those that have not."""
    parts = [{str(name): set(index) for name, index in run.trace.groupby("name")["index"]} for run in runs]
    names = dict.fromkeys(name for found in parts for name in found)
    kept = {name for name in names if all(found.get(name) == parts[0].get(name) for found in parts)}
    return kept, [name for name in names if name not in kept]


def _onto(rows: pd.DataFrame, run: Run, steps: Sequence[int]) -> pd.DataFrame:
    """Return the values of one run at these rows (name, index, step), NaN where it has none."""
    own = run.trace[["name", "index", "step", "value"]]
    found = rows.merge(own, how="left", on=["name", "index", "step"])
    looks = {step: place for place, step in enumerate(_steps(run))}
    between = run.samples.get("motions")
    mine = [step for step in steps if step in looks]
    moved = found["name"] == "motion"
    for before, now in pairwise(mine):
        if looks[now] - looks[before] > 1:
            far = np.nan if between is None else float(between[0, looks[before], looks[now]])
            found.loc[moved & (found["step"] == now), "value"] = far
    return found


def _arrays(members: Sequence[Run], moments: Sequence[int]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the arrays of each member that can be joined, and the names of those that cannot."""
    names = [name for name in members[0].samples if name not in ("moments", "motions")]
    own = [{name: run.samples[name] for name in names if name in run.samples} for run in members]
    for run, arrays in zip(members, own, strict=True):
        generated, places = arrays["generated"], {step: i for i, step in enumerate(run.samples["moments"].tolist())}
        nothing = np.full_like(generated[:, 0], np.nan)
        arrays["generated"] = np.stack([generated[:, places[s]] if s in places else nothing for s in moments], 1)
    sound = [name for name in names if len({arrays[name].shape if name in arrays else None for arrays in own}) == 1]
    for arrays in own:
        arrays["moments"] = np.asarray(moments)
    uneven = [name for name in names if name not in sound and name in BY_MEMBER]
    return [{name: arrays[name] for name in [*sound, "moments"]} for arrays in own], uneven


def _experiment(seeds: tuple[int, ...], members: Sequence[Run]) -> Experiment:
    """Return what the run of all is: named by what was seen of each, and as coarse as the coarsest."""
    seen = " ".join(str(run.experiment.settings["seen"]) for run in members)
    settings = {**members[0].experiment.settings, "seen": hashlib.sha256(seen.encode()).hexdigest()[:16]}
    steps, every = max(run.experiment.steps for run in members), max(run.experiment.every for run in members)
    return replace(members[0].experiment, seeds=seeds, steps=steps, every=every, settings=settings)
