"""Loops to be timed whose speed or fate is known; no torch, so that a worker starts at once."""

from __future__ import annotations

import os
import signal
import time

from ganlab.registry import InputError
from ganlab.workers import Meter

STEP_SECONDS = 0.005


def busy(meter: Meter) -> None:
    """A loop that waits a known time in each step, and catches up when others had its core for a moment."""
    until = time.perf_counter()
    while True:
        now = time.perf_counter()
        until = (until if now - until < 0.1 else now) + STEP_SECONDS
        while time.perf_counter() < until:
            pass
        meter(1)


def killed(meter: Meter) -> None:
    """A loop that dies after its first work, as one that runs out of memory does."""
    meter(1)
    os.kill(os.getpid(), signal.SIGKILL)


def refused(meter: Meter) -> None:
    raise InputError("this cannot be")


def short(meter: Meter) -> None:
    meter(1)


def absent(meter: Meter) -> None:
    import no_such_package  # noqa: F401  (that is the point)


def loud(meter: Meter) -> None:
    """A loop that prints, which must not look like an answer."""
    while True:
        print('{"block": [1, 1, 1, 1]}')
        time.sleep(0.001)
        meter(1)
