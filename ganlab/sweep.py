"""Map over experiments: what is in the store is found, the rest is trained in processes, and each run is stored as it ends.

One process per core with one thread each beats one process with many threads on small nets. Ctrl-C, or a kill at any
moment, loses the runs in progress and no finished one; the same call continues.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ganlab.experiment import Experiment, Run
from ganlab.registry import InputError
from ganlab.store import Store

TRAINERS = {"gan": "ganlab.train", "classifier": "ganlab.supervised"}
"""Where each kind of experiment is performed; imported in the workers only, so reading results needs no torch."""

_ticks: Any = None
"""The queue on which this worker reports its steps; set once per process by `_start_worker`."""


def sweep(
    experiments: Sequence[Experiment], store: Store, workers: int | None = None, console: Console | None = None
) -> list[Run]:
    """Return the runs of these experiments, in their order, training those that the store does not have.

    Parameters
    ----------
    workers
        Processes; None takes one per core. One trains in this process.
    console
        Where progress is shown; None is standard error.

    Raises
    ------
    InputError
        When the store cannot be written.
    """
    store.prepare()
    console = console or Console(stderr=True)
    missing = [e for e in dict.fromkeys(experiments) if not _is_stored(e, store, console)]
    found = len(set(experiments)) - len(missing)
    console.print(f"{len(missing)} runs to train, {found} found in {store.path}", highlight=False, markup=False, soft_wrap=True)
    if missing:
        workers = min(workers or os.cpu_count() or 1, len(missing))
        missing.sort(key=_cost, reverse=True)  # the longest first, so that no core waits at the end
        with _progress(console) as progress:
            task = progress.add_task("", total=sum(_cost(e) for e in missing), runs=0, n_runs=len(missing))
            train = _in_turn if workers == 1 else _in_processes
            train(missing, store, workers, progress, task, console)
    return [store.load(e.id) for e in experiments]


def perform(experiment: Experiment, tick: Callable[[int], None] | None = None) -> Run:
    """Train one experiment here and now, and return its run."""
    run: Run = importlib.import_module(TRAINERS[experiment.kind]).perform(experiment, tick)
    return run


def _is_stored(experiment: Experiment, store: Store, console: Console) -> bool:
    if experiment not in store:
        return False
    fault = store.fault(experiment.id)
    if fault:
        console.print(f"{fault}: it is trained again", highlight=False, markup=False, soft_wrap=True)
        store.remove(experiment.id)
    return fault is None


def _cost(experiment: Experiment) -> int:
    """Return a rough cost in member-updates, for the order of work and the progress bar."""
    updates = int(experiment.settings.get("n_critic", 1)) + 1
    slopes = 2 * len(experiment.settings.get("penalties", ()))
    return experiment.steps * updates * (1 + slopes) * len(experiment.members()) * (1 if experiment.kind == "gan" else 2000)


def _in_turn(
    experiments: Sequence[Experiment], store: Store, workers: int, progress: Progress, task: TaskID, console: Console
) -> None:
    for i, experiment in enumerate(experiments):
        store.save(perform(experiment, partial(_advance, progress, task, _cost(experiment) / experiment.steps)))
        _finished(progress, task, experiment, i + 1, console)


def _advance(progress: Progress, task: TaskID, per_step: float, steps: int) -> None:
    progress.advance(task, steps * per_step)


def _in_processes(
    experiments: Sequence[Experiment], store: Store, workers: int, progress: Progress, task: TaskID, console: Console
) -> None:
    context = multiprocessing.get_context("spawn")
    ticks = context.Queue()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (ticks, os.getpid(), max(1, (os.cpu_count() or 1) // workers)))
    try:
        waiting: dict[Future[None], Experiment] = {
            pool.submit(_work, e, store.path, _cost(e) / e.steps): e for e in experiments
        }
        n_done = 0
        while waiting:
            done, _ = wait(waiting, timeout=0.3, return_when=FIRST_COMPLETED)
            for steps in _drain(ticks):
                progress.advance(task, steps)
            for future in done:
                experiment = waiting.pop(future)
                future.result()
                n_done += 1
                _finished(progress, task, experiment, n_done, console)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process died (out of memory, or killed); finished runs are kept, repeat the command to continue"
        ) from error
    except BaseException:
        for process in list((pool._processes or {}).values()):  # a run in progress is not worth waiting for
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _start_worker(ticks: Any, parent: int, threads: int) -> None:
    global _ticks
    _ticks = ticks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    importlib.import_module("torch").set_num_threads(threads)


def _leave_with(parent: int) -> None:
    """End this process once its parent is gone: a killed parent cannot tell its workers to stop."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(experiment: Experiment, path: Path, per_step: float) -> None:
    Store(path).save(perform(experiment, lambda steps: _ticks.put(steps * per_step)))


def _drain(ticks: Any) -> Iterator[float]:
    while True:
        try:
            yield ticks.get_nowait()
        except queue.Empty:
            return


def _finished(progress: Progress, task: TaskID, experiment: Experiment, n_done: int, console: Console) -> None:
    progress.update(task, runs=n_done)
    total = int(progress.tasks[task].fields["n_runs"])
    console.print(
        f"[{n_done}/{total}] {experiment.title}, {len(experiment.seeds)} seeds",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("training"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[runs]}/{task.fields[n_runs]} runs"), TimeElapsedColumn(), TextColumn("remaining"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress
