"""The course of a training that is not a game: blocks of draws, mapped steps, looks between them, and where numbers ended.

What is drawn, stepped and looked at is in `learning.py` and `autoencoders.py`; a GAN, whose faults are found by going through
its steps again, has its own in `train.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ganlab.draws import BLOCK
from ganlab.engine import Advance
from ganlab.experiment import Experiment
from ganlab.train import Tick


def course(
    experiment: Experiment, advance: Advance, state: Any, drawn: Callable[[], Any], look: Callable[[Any], Any],
    tick: Tick | None = None,
) -> tuple[Any, list[tuple[int, Any]], dict[int, tuple[int, str]]]:  # fmt: skip
    """Return the last state, what was read at looks with its step, and step and place of each broken member's first fault.

    Parameters
    ----------
    drawn
        Gives all members' draws for the next `BLOCK` steps, `[member, step, ...]`.
    look
        Reads a state.
    """
    watched = set(range(0, experiment.steps, experiment.every)) | {experiment.steps}
    readings: list[tuple[int, Any]] = []
    faults: dict[int, tuple[int, str]] = {}
    draws: Any = None
    for start in range(0, experiment.steps, BLOCK):
        del draws  # the largest thing here; two blocks need not fit
        draws = drawn()
        end = min(start + BLOCK, experiment.steps)
        for first, last in pairwise(sorted({start, *watched.intersection(range(start, end)), end})):
            if first in watched:
                readings.append((first, look(state)))
            state, seen = advance(state, draws, first - start, last - start)
            faults = first_faults(seen, first) | faults
        if tick:
            tick(end - start)
    readings.append((experiment.steps, look(state)))
    return state, readings, faults


def first_faults(seen: Mapping[str, Tensor], first: int) -> dict[int, tuple[int, str]]:
    """Return step and place of each member's first non-finite value in a stretch that begins after step `first`."""
    names = list(seen)
    broken = ~torch.isfinite(torch.stack([seen[name] for name in names], -1))  # [step, member, name]
    found = {}
    for m in torch.nonzero(broken.any(-1).any(0)).flatten().tolist():
        at = int(broken[:, m].any(-1).nonzero()[0])
        found[m] = (first + at + 1, names[int(broken[at, m].nonzero()[0])])
    return found
