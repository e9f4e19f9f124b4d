"""How much memory training takes, told before it starts; and how much there is.

The peak of one process is what it takes anyway, and for each member:

    parameters, optimiser memories and all else that a state keeps, before the block and before the step
    a block of steps' draws, and the draws and latents that the probes look at
    samples and losses kept for the report, and what looks remember of earlier ones
    the largest of: another block's draws while members are stacked, what one update makes, what one look makes

What an update and a look make - new state, gradients, activations, distances to the modes - is counted while one of each is
done for one member, on few samples, and scaled to the sizes of the experiment.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ganlab import applications, autoencoders, decoded, learning, probes, rng, rotation, supervised, trace, train, watch
from ganlab.data.images import scaled
from ganlab.draws import draw
from ganlab.experiment import MOMENTS, Experiment
from ganlab.game import initial, step
from ganlab.metrics.judge import judge_of, peak_bytes
from ganlab.optim import OPTIMIZERS
from ganlab.planning import build, distribution
from ganlab.registry import InputError

PROCESS_BYTES = 750_000_000
"""One process with Python, torch and pandas loaded and a first gradient taken, 600 MB on Linux with torch 2.15, or a step
compiled, 900 MB: the middle, within the factor of either."""

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says what a container may use, version 2 and version 1."""

BATCH, EVALUATION = 256, 4096
"""Most samples for which bytes are counted, of a batch and of an evaluation; beyond, they grow in proportion."""


class Need(NamedTuple):
    """What a process takes, in bytes: whatever it trains, and for each member of its block."""

    fixed: int
    member: int


def need(experiment: Experiment) -> Need:
    """Return how much memory training an experiment takes, from one update and one look at one member.

    Within a factor of 1.5 of the measured peak of a process that trains a block, see `tests/test_memory.py`.

    Raises
    ------
    InputError
        When even the parameters do not fit.

    Example
    -------
    >>> from ganlab.planning import plan
    >>> small, large = (need(plan("nsgan", "ring8", batch=batch)) for batch in (256, 2560))
    >>> 5 < large.member / small.member < 12
    True
    """
    try:
        return NEEDS[experiment.kind](experiment)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise InputError(f"the nets of {experiment.title} do not fit into memory ({error}); make hidden smaller") from error


def available(device: str = "cpu") -> float:
    """Return the bytes that all processes together may take; infinite where the system does not say.

    The physical memory, or a container's limit where that is lower; on a GPU what it has.
    """
    if device.startswith("cuda"):
        return float(torch.cuda.mem_get_info(device)[1])
    limits = [float(text) for path in LIMITS if (text := _text(Path(path))).isdigit()]
    if hasattr(os, "sysconf"):
        limits.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    return min(limits, default=math.inf)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


# --- counting bytes ----------------------------------------------------------------------------------------------------


class Peak(TorchDispatchMode):
    """Counts the bytes of the tensors that are made inside it: those alive now, and the most there were.

    Example
    -------
    >>> with Peak() as peak:
    ...     x = torch.ones(1000)
    ...     x = (x + 1).sum()
    >>> peak.now, peak.most
    (4, 8004)
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.seen: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and the guard against that takes seconds to import

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self.seen:
            self.seen.add(key)
            weakref.finalize(storage, self._free, key, size)
            self.now += size
            self.most = max(self.most, self.now)

    def _free(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


def _peak(function: Callable[[], Any]) -> int:
    with Peak() as peak:
        function()
    return peak.most


def _bytes(tree: Any) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


# --- by kind of experiment ---------------------------------------------------------------------------------------------


def _gan(experiment: Experiment) -> Need:
    (game, data), s, member = build(experiment), experiment.settings, experiment.members()[0]
    packing = s.get("packing", 1)
    n_batch = max(min(s["batch"], BATCH) // packing, 2) * packing
    n_evaluation = min(s["evaluation"], EVALUATION)
    batches, evaluations = s["batch"] / n_batch, s["evaluation"] / n_evaluation

    state = initial(game, member.seed)
    numbers = {name: torch.tensor(value) for name, value in member.numbers.items()}
    streams = {purpose: rng.stream(member.seed, purpose) for purpose in rng.PURPOSES}
    draws = draw(game, data, streams, n_batch)
    batch, seen = (tree_map(lambda leaf, lead=lead: leaf[lead], draws) for lead in ((0,), (0, 0)))
    evaluated = torch.zeros(n_evaluation, dtype=torch.long)
    real = seen.real[evaluated[: trace.SLICED]]
    held, cells = real if probes.has_held_out(data) else (), watch.cells_in_place_of_modes(data, s["evaluation"])
    looks = watch.Looks(seen, seen.latent[evaluated], real, held, cells)

    shared = sum(_bytes(probes.axes(len(player.parameters))) for player in state)  # made here, so that no look makes them
    update = _peak(lambda: step(game, state, batch, numbers)) * batches
    look = _peak(lambda: watch.look_at_players(game, data, state, looks, numbers)) * batches
    alone = _peak(lambda: watch.look_at_samples(game, data, state, looks, numbers)) * evaluations
    turned: float = 0
    if s.get("rotation"):
        n = sum(len(player.parameters) for player in state)
        turned = _peak(lambda: rotation.jacobian_product(game, state, batch, numbers)(np.ones(n)))
        turned *= min(s["evaluation"], watch.COMPARED) / n_batch
    together = s.get("device", "cpu") != "cpu"  # members' evaluation samples
    block, inputs = _bytes(draws) * batches, _bytes(seen) * batches + _bytes(looks.latent) * evaluations + _bytes(looks[2:])
    kept = 2 * 4 * min(MOMENTS, experiment.steps + 1) * train.SHOWN * math.prod(data.shape)
    kept += 2 * 8 * min(train.LOSSES, experiment.steps)
    kept += _bytes(state.generator.parameters) + 4 * s["batch"] * math.prod(data.shape)  # their average, and fakes remembered
    n_bytes = 2 * _bytes(state) + block + inputs + kept + max(block, update, look, together * alone)
    judging = peak_bytes(len(data.train)) if s.get("labelled") and hasattr(data, "train_labels") else 0
    once = PROCESS_BYTES + _bytes(list(vars(data).values())) + shared
    return Need(once + int(max(alone, turned, judging)), int(n_bytes))


def _classifier(experiment: Experiment) -> Need:
    images = distribution(experiment.data)
    net = supervised.network(experiment, images)
    batch, chunk = (torch.zeros(n, *images.shape) for n in (min(experiment.settings["batch"], BATCH), supervised.CHUNK))
    classes = torch.zeros(len(batch), dtype=torch.long)
    update = _peak(lambda: torch.autograd.backward(cross_entropy(net(batch), classes)))
    with torch.no_grad():
        look = _peak(lambda: net(chunk))
    n_scored = len(images.test) + min(len(images.test), len(images.train))
    held = 2 * _bytes(list(vars(images).values()))  # as read, and in the study's order
    parameters, scores = _bytes(list(net.parameters())), 2 * 4 * 10 * n_scored
    largest = max(update * experiment.settings["batch"] / len(batch), look)
    return Need(PROCESS_BYTES + held, int(3 * parameters + scores + largest))


def _learner(experiment: Experiment) -> Need:
    """Return the need of a learner; recurrent nets of 64 units, mapped over all rows at once, took 1.6 times as much."""
    member, optimizer = experiment.members()[0], OPTIMIZERS[experiment.settings["optimizer"]]
    lesson = learning.prepare(experiment.data, experiment, member)
    net, task = learning.network(experiment, lesson), lesson.task
    split, scaling = (tree_map(lambda leaf: leaf.float() if leaf.is_floating_point() else leaf, lesson[i]) for i in (1, 2))
    parameters = net.initial(member.seed)
    state = learning.State(parameters, optimizer.init(parameters))
    numbers = {name: torch.tensor(value) for name, value in member.numbers.items()}
    rows = tree_map(lambda leaf: leaf.float() if leaf.is_floating_point() else leaf, lesson.rows)
    draws = learning.draw(rows, experiment.settings["batch"], lesson.stream)
    first = tree_map(lambda leaf: leaf[0], draws)
    update = _peak(lambda: learning.step(net, task, optimizer, state, first, numbers))
    look = _peak(lambda: learning.look(net, task, state, split, scaling))
    held = _bytes(lesson.split) + 2 * _bytes(split)  # each member's own, those of all together, and the scaled rows
    return Need(PROCESS_BYTES, int(2 * _bytes(state) + held + _bytes(draws) + max(_bytes(draws), update, look)))


def _application(experiment: Experiment) -> Need:
    """Return the need of an application: one member's draws, one step and one look, with the images that all members share."""
    images, settings = distribution(experiment.data), dict(experiment.settings)
    settings |= {"gan": {**settings["gan"], "steps": 1}} if "gan" in settings else {}
    short = replace(experiment, steps=1, every=1, settings=settings)
    training = applications.Training(short, short.members()[-1:], images)  # of the numbers compared, the last train most
    judge_of(images)
    shared, judging = _bytes(training.split), peak_bytes(len(images.train))
    peak = _peak(lambda: applications.APPLICATIONS[experiment.subject].learn(training))
    return Need(PROCESS_BYTES + 3 * shared + judging, max(0, peak - shared))


def _autoencoder(experiment: Experiment) -> Need:
    images, s, member = distribution(experiment.data), experiment.settings, experiment.members()[0]
    coder, optimizer = autoencoders.coder_of(experiment, images), OPTIMIZERS[s["optimizer"]]
    parameters = coder.net.initial(member.seed)
    state = learning.State(parameters, optimizer.init(parameters))
    numbers = {name: torch.tensor(value) for name, value in member.numbers.items()}
    draws = autoencoders.draw(images, s, {name: rng.stream(member.seed, name) for name in ("data", "latent")})
    first = tree_map(lambda leaf: leaf[0], draws)
    looks = decoded.evaluation(images, s, [member])
    seen = scaled(images.train[: decoded.FITTED], 0.0)
    own = tree_map(lambda leaf: leaf[0], looks)
    update = _peak(lambda: autoencoders.step(coder, optimizer, state, first, numbers))
    with torch.no_grad():
        look = _peak(lambda: decoded.look(coder, images, seen, parameters, own, numbers))
    kept = 4 * math.prod(images.shape) * (s["evaluation"] + train.SHOWN + decoded.REBUILT + decoded.SIDE**2)
    held = _bytes(list(vars(images).values())) + _bytes(seen)
    of_member = 2 * _bytes(state) + _bytes(draws) + _bytes(looks) + kept + max(_bytes(draws), update)
    return Need(PROCESS_BYTES + held + look, int(of_member))


NEEDS: dict[str, Callable[[Experiment], Need]] = {
    "gan": _gan, "classifier": _classifier, "learner": _learner, "autoencoder": _autoencoder,
    "application": _application,
}  # fmt: skip
"""By kind of experiment."""
