"""Blocks: how the members of an experiment are split, so that steps are cheap, no core waits, and their memory is there."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from ganlab.experiment import Experiment
from ganlab.registry import InputError

MEMORY = "ganlab.memory"
"""Where it is known how much memory training takes; imported when something is to be trained."""

WIDTHS = {"gan": (8, 20), "classifier": (1, 1), "learner": (8, 32), "autoencoder": (8, 32), "application": (8, 32)}
"""Fewest and most members of a block unless said otherwise; half as few where there are fewer experiments than workers, so that
no core waits. Traced, a member among 20 takes 0.4 to 0.6 of its time among 5 with nets of 64 units, and 1.15 of it with nets of
128 units and batches of 256; compiled, members go one after the other, and the width changes nothing. Small blocks lose less to
a kill. Classifiers are not mapped; nets of learners and autoencoders are so small that 32 take twice as long as 8."""

ON_A_GPU = (1, 256)
"""The same on a GPU, where members go together. With nets of 128 units and batches of 256 an H100 did 5,700 member-steps a
second with one member, 118,000 with 64, 133,000 with 256 and 115,000 with 1024."""

SHARE = 0.8
"""Of the memory there is, what the workers may take; the rest is left to the system and to this process."""


class Block(NamedTuple):
    """Neighbouring members of an experiment, which are trained as one batch."""

    experiment: Experiment
    places: range

    def __str__(self) -> str:
        return f"{self.experiment.title} ({self.experiment.id}), members {self.places[0]} to {self.places[-1]}"

    @property
    def cost(self) -> float:
        """A rough cost in member-updates, for the order of work and the progress bar."""
        settings, kind = self.experiment.settings, self.experiment.kind
        updates = int(settings.get("n_critic", 1)) + 1
        slopes = 2 * len(settings.get("penalties", ()))
        return self.experiment.steps * updates * (1 + slopes) * len(self.places) * (2000 if kind == "classifier" else 1)


def split(n_members: int, workers: int, width: tuple[int, int], at_most: float = math.inf) -> list[range]:
    """Return the members in near-equal blocks: the same for the same arguments, whatever else there is to train.

    As few blocks as the largest width allows, but one for each worker while they keep the smallest width; then, if some
    width between the two divides the members, the largest such with no fewer blocks, so that all have the same shape.

    Parameters
    ----------
    width
        Fewest and most members of a block.
    at_most
        Members that the memory of a worker holds, which goes before the fewest.

    Example
    -------
    >>> [len(places) for places in split(18, 2, (4, 8))], [len(places) for places in split(13, 2, (4, 8))]
    ([6, 6, 6], [7, 6])
    """
    least, most = width
    most = int(min(most, at_most))
    n = max(math.ceil(n_members / most), min(workers, n_members // least), 1)
    even = [w for w in range(most, least - 1, -1) if n_members % w == 0 and n_members // w >= n]
    n = n_members // even[0] if even else n
    edges = [math.ceil(i * n_members / n) for i in range(n + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(edges)]


class Plan(NamedTuple):
    """How members are split, by how many workers they are trained, and how much memory that takes, in words."""

    splits: dict[Experiment, list[range]]
    workers: int
    said: str


def fit(experiments: Sequence[Experiment], workers: int, block: int | None, few: bool) -> Plan:
    """Return each experiment's split and the number of workers, so that their memory is there.

    Parameters
    ----------
    block
        Members of a block at most; None chooses by `WIDTHS`.
    few
        Whether there are fewer experiments than workers in all, found ones too.

    Raises
    ------
    InputError
        When one worker with one member does not fit.
    """
    memory = importlib.import_module(MEMORY)
    needs, limits = {e: memory.need(e) for e in experiments}, {e: SHARE * memory.available(device_of(e)) for e in experiments}
    splits = {}
    for e, need in needs.items():
        limit, (least, most) = limits[e], WIDTHS[e.kind] if device_of(e) == "cpu" else ON_A_GPU
        width = (max(1, least // 2) if few else least, most) if block is None else (block, block)
        if need.fixed + need.member > limit:
            raise InputError(
                f"{e.title} needs about {_size(need.fixed + need.member)} to train one member, and there are "
                f"{_size(limit)} for it; make batch, hidden or evaluation smaller"
            )
        fits = max(1.0, (limit / workers - need.fixed) / need.member)
        splits[e] = split(len(e.members()), workers, width, fits)
    largest = {e: needs[e].fixed + len(split[0]) * needs[e].member for e, split in splits.items()}
    e = max(largest, key=largest.__getitem__)
    fewer = int(min(workers, sum(map(len, splits.values())), limits[e] / largest[e]))
    parts = f"{_size(needs[e].fixed)} + {len(splits[e][0])} members x {_size(needs[e].member)}"
    said = f"memory: about {_size(largest[e])} a worker ({parts}), {fewer} {'worker' if fewer == 1 else 'workers'}"
    return Plan(splits, fewer, said)


def device_of(experiment: Experiment) -> str:
    return str(experiment.settings.get("device", "cpu"))


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.2f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.2g} MB"
