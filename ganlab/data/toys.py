"""The small data sets of a course: vectors around one mean, and points on a line."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganlab.data import DATA, Held
from ganlab.data.mixtures import Mixture, check_count
from ganlab.registry import InputError


class Line:
    """Points of the plane on the segment from `(start, start)` to `(end, end)`.

    Parameters
    ----------
    points
        Size of the grid.
    fixed
        Give the same grid each time, evenly spaced with both ends, in order; whatever is asked for beyond it repeats it, so
        that batches of `points` are all equal. False draws uniformly from the segment.
    """

    name: str = ""
    shape = (2,)

    def __init__(self, points: int, start: float = 2.5, end: float = 7.5, fixed: bool = True) -> None:
        check_count("points", points)
        for name, value in (("start", start), ("end", end)):
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"{name} must be a finite number; got {value!r}")
        self.start, self.end, self.fixed = start, end, fixed
        self._grid = Held(torch.linspace(start, end, points))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Return n points `[n, 2]`, float32, on the generator's device."""
        if self.fixed:
            (grid,) = self._grid.on(generator.device)
            place = grid[torch.arange(n, device=grid.device) % len(grid)]
        else:
            place = self.start + (self.end - self.start) * torch.rand(n, generator=generator, device=generator.device)
        return place[:, None].repeat(1, 2)


@DATA.register(source="Toutouh 2020/2021, course example of a GAN for vectors")
def normal_vectors(dimensions: int, mean: float = 4.0, std: float = 0.2) -> Mixture:
    """Vectors of independent normal numbers; the course has 10 with mean 4 and std 0.2."""
    check_count("dimensions", dimensions)
    return Mixture([[mean] * dimensions], std)


@DATA.register(source="Toutouh 2020/2021, course example of a GAN for points on a line")
def line(points: int, start: float = 2.5, end: float = 7.5, fixed: bool = True) -> Line:
    """Points on a segment of the plane; the course has the same grid of 30 in every batch."""
    return Line(points, start, end, fixed)
