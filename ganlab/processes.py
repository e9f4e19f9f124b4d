"""Processes that each do one thing at a time, start afresh when they die, and never outlive who started them."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

done: Any = None
"""Where this process says how much of its work is done; set once per process when it starts."""


def n_cores() -> int:
    """Return on how many cores this process may run, which can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """One spawned process in a pool of its own, so that its death breaks nothing but what it does."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.done = context.RawValue("d", 0.0)
        self._begun = context.RawValue("b", 0)
        self._start = lambda: ProcessPoolExecutor(1, context, _begin, (self.done, self._begun, os.getpid(), threads))
        self.pool = self._start()

    @property
    def begun(self) -> bool:
        """Whether the process got as far as work; if not, what it was started with is at fault."""
        return bool(self._begun.value)

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Return what becomes of `work(*arguments)` in the process."""
        self.done.value = 0.0
        try:
            return self.pool.submit(work, *arguments)
        except BrokenProcessPool:  # it died while it had nothing to do
            self.restart()
            return self.pool.submit(work, *arguments)

    def restart(self) -> None:
        """Put a new process in the place of this one."""
        self.kill()
        self._begun.value = 0
        self.pool = self._start()

    def kill(self) -> None:
        """End the process without waiting for what it does."""
        for process in list((self.pool._processes or {}).values()):
            process.kill()
        self.pool.shutdown(wait=False, cancel_futures=True)


def _begin(shared: Any, begun: Any, parent: int, threads: int) -> None:
    global done
    done = shared
    begun.value = 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    importlib.import_module("torch").set_num_threads(threads)


def _leave_with(parent: int) -> None:
    """End this process once its parent is gone: a killed parent cannot tell its workers to stop."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
