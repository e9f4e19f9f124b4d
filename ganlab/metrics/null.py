"""What a perfect sampler of the same size scores, by simulation: from the data's law, or real samples against real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganlab.registry import InputError

Draw = Callable[[torch.Generator], tuple[Tensor, Tensor]]
"""From a generator to a fresh pair of samples of one law, "real" and "fake"."""


class Band(NamedTuple):
    """Where a perfect sampler scores: mean, and the 2.5 % and 97.5 % quantiles over `repeats` simulated ones."""

    low: float
    mean: float
    high: float
    repeats: int


def perfect_band(measure: Callable[[Tensor, Tensor], Any], draw: Draw, generator: torch.Generator, repeats: int = 100) -> Any:
    """Return the band of a measure over perfect samplers: a `Band`, or what the measure returns with bands for numbers.

    Parameters
    ----------
    measure
        From real and fake samples to a number or a named tuple of numbers; bind its settings with `functools.partial`.
    draw
        `from_law(...)` or `from_data(...)`.
    repeats
        At least 40, so that each tail holds a simulated value.

    Example
    -------
    >>> from ganlab import data, metrics, rng
    >>> draw = metrics.from_law(data.get("ring8"), 100, 100)
    >>> band = metrics.perfect_band(metrics.precision_recall_density_coverage, draw, rng.stream(0, "evaluation"), 40)
    >>> band.coverage.low < band.coverage.mean < band.coverage.high
    True
    """
    if repeats < 40:
        raise InputError(f"a 95 % band needs at least 40 repeats, so that each tail holds one; got {repeats}")
    results = [measure(*draw(generator)) for _ in range(repeats)]
    if not isinstance(results[0], tuple):
        return _band([float(value) for value in results])
    fields = [_band([float(value) for value in column]) for column in zip(*results, strict=True)]
    return type(results[0])(*fields)


def from_law(distribution: Any, n_real: int, n_fake: int) -> Draw:
    """Return a draw of two samples from a distribution with `sample(n, generator)`."""
    return lambda generator: (distribution.sample(n_real, generator), distribution.sample(n_fake, generator))


def from_data(real: Tensor, n_real: int, n_fake: int) -> Draw:
    """Return a draw of two disjoint parts of real samples `[n, d]`, chosen at random.

    Raises InputError when the samples are too few for both.
    """
    if n_real + n_fake > len(real):
        raise InputError(f"real against real takes n_real + n_fake = {n_real + n_fake} samples; there are {len(real)}")

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(real), generator=generator, device=generator.device)
        chosen = real[order[: n_real + n_fake].to(real.device)]
        return chosen[:n_real], chosen[n_real:]

    return draw


def _band(values: list[float]) -> Band:
    low, high = np.quantile(values, [0.025, 0.975])
    return Band(float(low), float(np.mean(values)), float(high), len(values))
