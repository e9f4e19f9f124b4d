"""The loop of everything that learns without being watched by probes: draw, step, look, a block of steps at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganlab.draws import BLOCK
from ganlab.train import Tick

Faults = dict[int, tuple[int, str]]
"""Step and place of the first non-finite value, by the member's place in the mapped batch."""

Readings = list[tuple[int, dict[Any, Tensor]]]
"""What was read at each look, `[member]` or `[member, part]`, with its step."""


class Fitted(NamedTuple):
    """How it ended."""

    state: Any
    readings: Readings
    faults: Faults


def fit(
    advance: Callable[[Any, Any, int, int], tuple[Any, dict[str, Tensor]]],
    state: Any,
    drawn: Callable[[], Any],
    look: Callable[[Any], dict[Any, Tensor]],
    steps: int,
    every: int,
    tick: Tick | None = None,
) -> Fitted:
    """Return what becomes of all members in so many steps, looked at before the first, every so many, and after the last.

    Parameters
    ----------
    advance
        An `engine.Advance`, whose step returns by name what must stay finite.
    state
        Of all members, leaves `[member, ...]`.
    drawn
        Returns the draws of a block of steps, leaves `[member, step, ...]`.
    look
        From the state to what is read.
    """
    watched = set(range(0, steps, every)) | {steps}
    readings: Readings = []
    faults: Faults = {}
    draws: Any = None
    for start in range(0, steps, BLOCK):
        del draws  # the largest thing here; two blocks need not fit
        draws = drawn()
        end = min(start + BLOCK, steps)
        for first, last in pairwise(sorted({start, *watched.intersection(range(start, end)), end})):
            if first in watched:
                readings.append((first, look(state)))
            state, seen = advance(state, draws, first - start, last - start)
            faults = first_faults(seen, first) | faults
        if tick:
            tick(end - start)
    readings.append((steps, look(state)))
    return Fitted(state, readings, faults)


def first_faults(seen: Mapping[str, Tensor], first: int) -> Faults:
    """Return step and place of each member's first non-finite value in a stretch that begins after step `first`."""
    names = list(seen)
    broken = ~torch.isfinite(torch.stack([seen[name] for name in names], -1))  # [step, member, name]
    found = {}
    for m in torch.nonzero(broken.any(-1).any(0)).flatten().tolist():
        at = int(broken[:, m].any(-1).nonzero()[0])
        found[m] = (first + at + 1, names[int(broken[at, m].nonzero()[0])])
    return found
