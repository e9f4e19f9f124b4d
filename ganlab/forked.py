"""A function of many things on all cores, where only the results can be handed to another process.

A forked process has what its parent has, closures included. Locks that other threads hold are held in it for ever, so nothing
that is worked out here may need torch's threads. Where forks are not safe, on other systems than Linux, there are none.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

from ganlab.processes import n_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def forked(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return the function of each item, in their order, worked out on all cores.

    What no child brings back, because it raised or died, is worked out here, so errors come out as without children.

    Example
    -------
    >>> forked(lambda x: x**2, [1, 2, 3])
    [1, 4, 9]
    """
    n_children = min(n_cores(), len(items))
    able = sys.platform == "linux" and not multiprocessing.current_process().daemon  # which may have no children
    found = _brought_back(function, items, n_children) if able and n_children > 1 else {}
    return [found[i] if i in found else function(item) for i, item in enumerate(items)]


def _brought_back(function: Callable[[Item], Result], items: Sequence[Item], n_children: int) -> dict[int, Result]:
    """Return results by the place of their item; no child is left, however it ends."""
    context = multiprocessing.get_context("fork")
    children: list[BaseProcess] = []
    ends: list[Connection] = []
    found: dict[int, Result] = {}
    todo = iter(range(n_children, len(items)))
    try:
        with suppress(OSError), warnings.catch_warnings():  # without room for all, some do
            warnings.simplefilter("ignore", DeprecationWarning)  # there are threads, which children do not need
            for i in range(n_children):
                here, there = context.Pipe()
                process = context.Process(target=_serve, args=(function, items, i, here, there), daemon=True)
                process.start()
                children.append(process)
                there.close()
                ends.append(here)
        while ends:
            ready = wait(ends)
            for end in [end for end in ends if end in ready]:
                try:
                    done, result = end.recv()
                    found[done] = result
                    end.send(next(todo))
                except (EOFError, OSError, StopIteration):  # it died, or nothing is left to do
                    ends.remove(end)
    finally:
        for child in children:
            child.kill()
            child.join()
    return found


def _serve(function: Callable[[Item], Result], items: Sequence[Item], i: int, parents: Connection, mine: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C ends
    parents.close()  # so that nothing can be read once the parent is gone
    with suppress(Exception):
        while True:
            mine.send((i, function(items[i])))
            i = mine.recv()
