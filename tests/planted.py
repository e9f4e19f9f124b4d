"""Worlds whose truth is known: runs made from samplers in place of training, through the same probe and table."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from ganlab import data, probes, rng, trace
from ganlab.data.mixtures import Mixture
from ganlab.experiment import Experiment, Run, outcome
from ganlab.metrics import Cells

Sampler = Callable[[int, int, torch.Generator], Tensor]
"""From a number of samples, the step and a generator to samples `[n, d]`."""

STEPS = tuple(range(0, 1001, 100))


def run_of(
    sampler: Sampler, n_seeds: int = 8, ring: Mixture | None = None, n: int = 2500, steps: tuple[int, ...] = STEPS,
    cells: Cells | None = None,
) -> Run:  # fmt: skip
    """Return the run of a generator that would sample like this at each step; with cells, of data whose modes are not known."""
    ring = ring or data.get("ring8")
    experiment = Experiment("gan", "planted", ring.name, tuple(range(n_seeds)), steps[-1], steps[1] - steps[0])
    values: dict[tuple[str, tuple[str, ...]], list[list[np.ndarray]]] = {}
    for step in steps:
        row: dict[tuple[str, tuple[str, ...]], list[np.ndarray]] = {}
        for seed in range(n_seeds):
            fake = sampler(n, step, rng.stream(1000 * seed + step, "evaluation"))
            view = SimpleNamespace(fake=fake, data=ring, cells=cells)
            for key, value in (probes.cells if cells else probes.modes)(view).items():
                row.setdefault(key, []).append(value.double().numpy())
        for key, members in row.items():
            values.setdefault(key, []).append(members)
    quantities = [(*key, np.asarray(readings)) for key, readings in values.items()]
    table = trace.tidy(experiment.id, list(range(n_seeds)), list(steps), quantities)
    return Run(experiment, table, outcome(experiment, {}), {}, {})


def of_modes(ring: Mixture, modes: list[int], std: float = 1.0, weights: list[float] | None = None) -> Sampler:
    """Return a sampler of some modes, `std` times as wide as the data's."""

    def sample(n: int, step: int, generator: torch.Generator) -> Tensor:
        share = torch.tensor(weights or [1.0] * len(modes), dtype=torch.float64)
        chosen = torch.tensor(modes)[torch.multinomial(share, n, replacement=True, generator=generator)]
        noise = torch.randn(n, *ring.shape, generator=generator)
        return ring.modes[chosen].float() + std * ring.std[chosen].float() * noise

    return sample


def perfect(n: int, step: int, generator: torch.Generator) -> Tensor:
    """The data themselves."""
    return data.get("ring8").sample(n, generator)


def blob(std: float) -> Sampler:
    """A shapeless cloud at the centre."""
    return lambda n, step, generator: std * torch.randn(n, 2, generator=generator)


def until(step_of_change: int, before: Sampler, after: Sampler) -> Sampler:
    """One sampler up to a step, another from it on."""
    return lambda n, step, generator: (after if step >= step_of_change else before)(n, step, generator)
