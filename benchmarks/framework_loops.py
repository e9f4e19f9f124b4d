"""The loop in which a script of `examples/lecture/14_*.py` is timed, and the weights and batches that all of them are given.

Nothing here imports a framework: the script does, in a process that has no other.
"""

from __future__ import annotations

import itertools
import os
import runpy
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlab.workers import Meter

SCRIPTS = Path(__file__).parent.parent / "examples" / "lecture"

LR, EPSILON, BETAS, LAYERS = 1e-3, 1e-8, (0.9, 0.999), (512, 256, 10)
"""As the scripts have them: Adam's usual numbers, and the lecture's MLP."""

PIECE = 10
"""Updates between two words to the meter; a divisor of all that are made."""

MATCHED = ", Adam as in Keras"

ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu",
}  # fmt: skip
"""What holds TensorFlow and JAX to one thread of the CPU; torch is held by the worker."""

Batches = list[tuple[NDArray[np.float32], NDArray[np.int64]]]


def loop(
    meter: Meter, *, script: str, backend: str, label: str, given: str, seeds: Sequence[int], updates: int, batch: int
) -> None:  # fmt: skip
    """Import a script, train its net for each seed, tell the losses, and then train for ever."""
    os.environ |= {**ONE_THREAD, "KERAS_BACKEND": backend}
    started = time.perf_counter()
    program = runpy.run_path(str(SCRIPTS / script))
    imported = time.perf_counter() - started
    build, train = program["build"], program["train"]
    with np.load(given) as file:
        x, y = file["pixels"].astype(np.float32) / 127.5 - 1, file["labels"]
    start, shown = partial(weights, x.shape[1]), partial(batches, x, y, batch=batch, updates=updates)

    first: list[float] = []
    told: dict[str, list[list[float]]] = {label: []}
    for seed in seeds:
        initial, work = start(seed), shown(seed)
        started = time.perf_counter()
        learner = build(initial)
        begun = train(learner, work[:1])
        first.append(time.perf_counter() - started)
        told[label].append([*begun, *train(learner, work[1:])])
    if "torch" in program:
        told |= {f"{label}{name}": [change(program, start(seed), partial(shown, seed)) for seed in seeds]
                 for name, change in CHANGES.items()}  # fmt: skip
    meter.note(import_seconds=imported, first_step_seconds=first[0], losses=told)

    for i in itertools.cycle(range(0, updates, PIECE)):
        train(learner, work[i : i + PIECE])
        meter(PIECE)


def weights(n_in: int, seed: int) -> list[NDArray[np.float32]]:
    """Return initial weights `[in, out]` and biases `[out]` of the layers, by the law of PyTorch's linear layers."""
    draws, found = np.random.default_rng([seed, 0]), []
    for wide, n_out in zip((n_in, *LAYERS), LAYERS, strict=False):
        found += [draws.uniform(-1, 1, size).astype(np.float32) / np.float32(wide**0.5) for size in ((wide, n_out), n_out)]
    return found


def batches(
    x: NDArray[np.float32], y: NDArray[np.int64], seed: int, stream: int = 1, *, batch: int, updates: int
) -> Batches:  # fmt: skip
    """Return the batches of a seed: one order of all images after the other, as many as there are updates."""
    draws = np.random.default_rng([seed, stream])
    orders = [draws.permutation(len(x)) for _ in range(-(-batch * updates // len(x)))]
    return [(x[chosen], y[chosen]) for chosen in np.concatenate(orders)[: batch * updates].reshape(updates, batch)]


# --- what makes PyTorch differ from Keras --------------------------------------------------------------------------------


class KerasAdam:
    r"""Adam as Keras has it, for PyTorch's parameters.

    p -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon), the form at the end of section 2 of Kingma and Ba 2015.
    PyTorch has their algorithm 1, where the root of v / (1 - b2^t) stands beside epsilon: the same number is at the first
    step an epsilon of 1/32 the size.

    Parameters
    ----------
    number
        What b^t is worked out in: float32 in Keras, which puts 1 - b2^t off by one part in 75 000 at the first step; PyTorch
        has Python's float.
    """

    def __init__(self, parameters: Any, number: Callable[[float], Any]) -> None:
        self.parameters, self.number, self.t = list(parameters), number, 0
        self.moments = [(p.detach() * 0, p.detach() * 0) for p in self.parameters]

    def zero_grad(self) -> None:
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        self.t += 1
        (b1, b2), one = BETAS, self.number(1)
        power1, power2 = (self.number(beta) ** self.number(self.t) for beta in BETAS)
        rate = float(self.number(LR) * np.sqrt(one - power2) / (one - power1))
        for p, (m, v) in zip(self.parameters, self.moments, strict=True):
            m += (p.grad - m) * (1 - b1)
            v += (p.grad * p.grad - v) * (1 - b2)
            p.data -= m * rate / (v.sqrt() + EPSILON)


Change = Callable[[Mapping[str, Any], list[NDArray[np.float32]], Callable[..., Batches]], list[float]]
"""Trains PyTorch's script from these weights on these batches, with one thing changed, and returns the losses."""


def _keras_adam(number: Callable[[float], Any]) -> Change:
    def change(program: Mapping[str, Any], start: list[NDArray[np.float32]], shown: Callable[..., Batches]) -> list[float]:
        net, _ = program["build"](start)
        return program["train"]((net, KerasAdam(net.parameters(), number)), shown())

    return change


def _default_epsilon(
    program: Mapping[str, Any], start: list[NDArray[np.float32]], shown: Callable[..., Batches]
) -> list[float]:
    net, optimizer = program["build"](start)
    optimizer.param_groups[0]["eps"] = 1e-7
    return program["train"]((net, optimizer), shown())


def _another_order(
    program: Mapping[str, Any], start: list[NDArray[np.float32]], shown: Callable[..., Batches]
) -> list[float]:
    return program["train"](program["build"](start), shown(stream=2))


CHANGES: dict[str, Change] = {
    MATCHED: _keras_adam(np.float32), ", epsilon placed as in Keras": _keras_adam(float), ", epsilon 1e-7": _default_epsilon,
    ", another order of the data": _another_order,
}  # fmt: skip
