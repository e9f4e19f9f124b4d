"""Map over experiments: what is in the store is found, the rest is trained in blocks of members, each run stored as it ends.

One process per core with one thread each, and a few members in each, beats one process with many threads. So the members of
an experiment are split into blocks; a finished block is stored, and the last one joins them all into the run. Ctrl-C, or a
kill at any moment, loses the blocks in progress and nothing else; the same call continues.
"""

from __future__ import annotations

import importlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ganlab import processes
from ganlab.blocks import Block, device_of, fit
from ganlab.experiment import Experiment, Run, at_least
from ganlab.processes import Worker, n_cores
from ganlab.registry import InputError
from ganlab.store import Store

TRAINERS = {
    "gan": "ganlab.train", "classifier": "ganlab.supervised", "learner": "ganlab.learning",
    "autoencoder": "ganlab.autoencoders", "application": "ganlab.applications",
}  # fmt: skip
"""Where each kind of experiment is performed; imported when something is to be trained, so reading results needs no torch."""

JOINERS = {**dict.fromkeys(TRAINERS, "ganlab.experiment"), "classifier": "ganlab.supervised"}
"""Where the blocks of each kind are joined."""

TRIES = 3
"""How often a block is begun whose worker dies."""


def sweep(
    experiments: Sequence[Experiment], store: Store, workers: int | None = None, console: Console | None = None,
    block: int | None = None,
) -> list[Run]:  # fmt: skip
    """Return the runs of these experiments, in their order, training those that the store does not have.

    Parameters
    ----------
    workers
        Processes; None takes one per core. One trains in this process.
    console
        Where progress is shown; None is standard error.
    block
        Members per block at most; None chooses by `blocks.WIDTHS`. It moves no number of a member by more than rounding, and is
        recorded in the run's environment.

    Raises
    ------
    InputError
        When the store cannot be written, or the memory there is does not hold one member, before any work; when a block's
        worker died `TRIES` times, after everything else is done and stored.
    """
    store.prepare()
    console = console or Console(stderr=True)
    workers = workers or n_cores()
    if block is not None:
        at_least("block", block)
    missing = [e for e in dict.fromkeys(experiments) if not _is_stored(e, store, console)]
    if any(device_of(e) != "cpu" for e in missing):
        workers = 1  # one process has the GPU to itself
    found = len(set(experiments)) - len(missing)
    _say(console, f"{len(missing)} runs to train, {found} found in {store.path}")
    if missing:
        few = len(set(experiments)) < workers  # found ones too: an interrupted sweep goes on with the same blocks
        splits, workers, said = fit(missing, workers, block, few)
        _say(console, said)
        with _progress(console) as progress:
            _train(splits, store, workers, _Account(splits, store, console, progress))
    return [store.load(e.id) for e in experiments]


def perform(experiment: Experiment, tick: Callable[[int], None] | None = None, *, places: Sequence[int] | None = None) -> Run:
    """Train one experiment, or its members at these places, here and now, and return its run."""
    run: Run = importlib.import_module(TRAINERS[experiment.kind]).perform(experiment, tick, places=places)
    return run


def _is_stored(experiment: Experiment, store: Store, console: Console) -> bool:
    if experiment not in store:
        return False
    fault = store.fault(experiment.id)
    if fault:
        _say(console, f"{fault}: it is trained again")
        store.remove(experiment.id)
    else:
        store.remove_blocks(experiment)  # left by a kill after the run was stored
    return fault is None


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


# --- what is done ------------------------------------------------------------------------------------------------------


class _Account:
    """What is still to do of each run, and the progress bar; joins a run once its last block is stored."""

    def __init__(
        self, splits: Mapping[Experiment, Sequence[range]], store: Store, console: Console, progress: Progress
    ) -> None:
        self.store, self.console, self.progress = store, console, progress
        self.splits, self.n_runs = splits, 0
        self.open: dict[Experiment, set[range]] = {}
        self.done = 0.0
        for e, places in splits.items():
            kept, reasons = store.sound_blocks(e, places)
            for reason in reasons:
                _say(console, f"{reason}: it is trained again")
            self.open[e] = set(places) - set(kept)
            self.done += sum(Block(e, found).cost for found in kept)
        if n_kept := sum(len(splits[e]) - len(self.open[e]) for e in splits):
            _say(console, f"{n_kept} of {sum(map(len, splits.values()))} blocks of members are found")
        total = sum(Block(e, found).cost for e, places in splits.items() for found in places)
        self.task: TaskID = progress.add_task("", total=total, runs=0, n_runs=len(splits))
        self.show(0.0)

    def blocks(self) -> list[Block]:
        """Return what is to do, the longest first, so that no core waits at the end."""
        todo = [Block(e, places) for e, split in self.splits.items() for places in split if places in self.open[e]]
        longest = {e: max(Block(e, places).cost for places in split) for e, split in self.splits.items()}
        return sorted(todo, key=lambda block: longest[block.experiment], reverse=True)

    def show(self, in_progress: float) -> None:
        self.progress.update(self.task, completed=self.done + in_progress)

    def join_complete(self) -> None:
        """Join the runs that have all their blocks already."""
        for e in [e for e, places in self.open.items() if not places]:
            self._join(e)

    def finish(self, block: Block) -> None:
        """Take note that a block is stored."""
        self.done += block.cost
        self.show(0.0)
        self.open[block.experiment].discard(block.places)
        if not self.open[block.experiment]:
            self._join(block.experiment)

    def _join(self, e: Experiment) -> None:
        if e not in self.store:  # unless the same sweep elsewhere was first
            join = importlib.import_module(JOINERS[e.kind]).join
            self.store.save(join([self.store.load_block(e, places) for places in self.splits[e]]))
        self.store.remove_blocks(e)
        self.n_runs += 1
        self.progress.update(self.task, runs=self.n_runs)
        _say(self.console, f"[{self.n_runs}/{len(self.splits)}] {e.title}, {len(e.seeds)} seeds")


# --- training ----------------------------------------------------------------------------------------------------------


def _train(splits: Mapping[Experiment, Sequence[range]], store: Store, workers: int, account: _Account) -> None:
    account.join_complete()
    blocks = account.blocks()
    if min(workers, len(blocks)) <= 1:
        for block in blocks:
            _in_this_process(block, store, account)
        return
    failed = _in_processes(blocks, store, min(workers, len(blocks)), account)
    if failed:
        raise InputError(
            f"{len(failed)} blocks failed, each {TRIES} times, because their worker process died (out of memory, or killed): "
            f"{'; '.join(map(str, failed))}. All else is stored, and the same command continues from there; "
            "with fewer workers or members per block each has more memory"
        )


def _in_this_process(block: Block, store: Store, account: _Account) -> None:
    n_steps = 0

    def tick(steps: int) -> None:
        nonlocal n_steps
        n_steps += steps
        account.show(block.cost * n_steps / block.experiment.steps)

    with _named(block):
        store.save_block(perform(block.experiment, tick, places=block.places))
    account.finish(block)


@contextmanager
def _named(block: Block) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"while training {block}")
        raise


def _in_processes(blocks: Sequence[Block], store: Store, n_workers: int, account: _Account) -> list[Block]:
    """Train blocks in processes, and return those whose worker died each time."""
    workers = [Worker(max(1, n_cores() // n_workers)) for _ in range(n_workers)]
    idle, todo, tries = list(workers), deque(blocks), Counter[Block]()
    failed: list[Block] = []
    busy: dict[Future[None], tuple[Worker, Block]] = {}
    try:
        while todo or busy:
            while todo and idle:
                worker, block = idle.pop(), todo.popleft()
                busy[worker.submit(_work, block, store.path)] = worker, block
            done, _ = wait(busy, timeout=0.3, return_when=FIRST_COMPLETED)
            for future in done:
                worker, block = busy.pop(future)
                idle.append(worker)
                try:
                    with _named(block):
                        future.result()
                except BrokenProcessPool:
                    worker.restart()
                    tries[block] += 1
                    (todo if tries[block] < TRIES else failed).append(block)
                else:
                    account.finish(block)
            account.show(sum(worker.done.value for worker, _ in busy.values()))
        for worker in workers:
            worker.pool.shutdown()
    except BaseException:
        for worker in workers:
            worker.kill()
        raise
    return failed


def _work(block: Block, path: Path) -> None:
    def tick(steps: int) -> None:
        processes.done.value += block.cost * steps / block.experiment.steps

    Store(path).save_block(perform(block.experiment, tick, places=block.places))


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("training"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[runs]}/{task.fields[n_runs]} runs"), TimeElapsedColumn(), TextColumn("remaining"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress
