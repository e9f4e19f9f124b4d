"""Series in time: the airline's passengers, walks and waves; windows of a series, and its split in time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlab.data.tables import LABELLED, Split, Table
from ganlab.experiment import at_least
from ganlab.registry import InputError

PASSENGERS = """
    112 118 132 129 121 135 148 148 136 119 104 118   115 126 141 135 125 149 170 170 158 133 114 140
    145 150 178 163 172 178 199 199 184 162 146 166   171 180 193 181 183 218 230 242 209 191 172 194
    196 196 236 235 229 243 264 272 237 211 180 201   204 188 235 227 234 264 302 293 259 229 203 229
    242 233 267 269 270 315 364 347 312 274 237 278   284 277 317 313 318 374 413 405 355 306 271 306
    315 301 356 348 355 422 465 467 404 347 305 336   340 318 362 348 363 435 491 505 404 359 310 337
    360 342 406 396 420 472 548 559 463 407 362 405   417 391 419 461 472 535 622 606 508 461 390 432
"""
"""International airline passengers, in thousands a month, January 1949 to December 1960; two years a line.

Source: Box and Jenkins 1970, Time Series Analysis, Series G.
"""


@dataclass(frozen=True, eq=False)
class Series:
    """Numbers in time, to be forecast from those before them.

    Parameters
    ----------
    numbers
        `[time]`, floating point; whole numbers are made that.
    window
        How many numbers a forecast is made from.
    unit
        Of the numbers.
    period
        After how many numbers the series repeats itself in the main, where it does.

    Raises
    ------
    InputError
        For what is no list of numbers, for missing values, and for a series too short for its window.
    """

    name: str
    numbers: Tensor
    window: int = 12
    unit: str = ""
    period: int | None = None

    def __post_init__(self) -> None:
        if self.numbers.is_complex() or self.numbers.dtype == torch.bool:
            raise InputError(f"series {self.name!r} must be of real numbers; got {self.numbers.dtype}")
        if not self.numbers.is_floating_point():
            object.__setattr__(self, "numbers", self.numbers.double())
        if not torch.isfinite(self.numbers).all():
            raise InputError(f"series {self.name!r} has missing or infinite values; fill them in before training")
        if self.period is not None:
            at_least("period", self.period)
        windows(self.numbers, self.window, self.name)

    def split(self, test_share: float, generator: torch.Generator) -> Split:
        """Return windows `[n, window, 1]` with the number after each `[n, 1]`, split in time: the test set is the last part.

        A test window may reach back into the training part, whose numbers are known by then; what follows it does not.
        The generator is not used: time has one order.
        """
        n_train = int((1 - test_share) * len(self.numbers))
        if n_train <= self.window:
            raise InputError(
                f"series {self.name!r} is too short for its window: it has {n_train} numbers to learn from, and a window of "
                f"{self.window} with the number after it takes at least {self.window + 1}; make window or test_share smaller"
            )
        x, y = windows(self.numbers, self.window, self.name)
        first = n_train - self.window
        return Split(x[:first], y[:first], x[first:], y[first:])


def windows(values: Tensor, window: int, name: str = "") -> tuple[Tensor, Tensor]:
    """Return all windows of a series `[n, window, 1]`, and the number after each `[n, 1]`.

    Raises InputError for what is no list of numbers, and for a series that has no window with a number after it.

    Example
    -------
    >>> x, y = windows(torch.arange(5.0), 3)
    >>> x[..., 0].tolist(), y[:, 0].tolist()
    ([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]], [3.0, 4.0])
    """
    if values.ndim != 1:
        raise InputError(f"series {name!r} must be one number after the other, [time]; got {tuple(values.shape)}")
    at_least("window", window)
    if window >= len(values):
        raise InputError(
            f"series {name!r} is too short for its window: it has {len(values)} numbers, and a window of {window} with the "
            f"number after it takes at least {window + 1}"
        )
    return values.unfold(0, window, 1)[:-1, :, None], values[window:, None]


@LABELLED.register(source="Box and Jenkins 1970, Time Series Analysis, Series G")
def airline(generator: torch.Generator) -> Series:
    """International airline passengers, thousands a month, January 1949 to December 1960, from the 12 months before."""
    months = torch.tensor([float(n) for n in PASSENGERS.split()], dtype=torch.float64)
    return Series("airline", months, 12, "thousands a month", period=12)


@LABELLED.register(source="the airline's windows, as if they had no order: a leak, to be held against the airline itself")
def airline_windows(generator: torch.Generator) -> Table:
    """The airline's 132 windows of 12 months and the month after each, split at random: what follows a test month is known."""
    series = airline(generator)
    return Table("airline_windows", *windows(series.numbers, series.window), unit=series.unit)


@LABELLED.register(source="a sum of independent normal steps: the best forecast is the last number")
def random_walk(generator: torch.Generator) -> Series:
    """144 numbers of a random walk with steps of std 1; each seed walks its own."""
    return Series("random_walk", torch.randn(144, generator=generator, dtype=torch.float64).cumsum(0))


@LABELLED.register(source="waves of our own, one-to-many: from one number to a sequence")
def waves_from_number(generator: torch.Generator) -> Table:
    """200 numbers f, uniform on [1, 2] Hz, each to be written as 12 values of sin(2 pi f t) over one second."""
    f = 1 + torch.rand(200, 1, generator=generator, dtype=torch.float64)
    return Table("waves_from_number", f[..., None], torch.sin(2 * math.pi * f * torch.arange(1, 13) / 12))


@LABELLED.register(source="waves of our own, sequence-to-sequence: from a sequence to the one after it")
def waves_continued(generator: torch.Generator) -> Table:
    """200 waves of 1 to 2 Hz, of any phase: the 12 values of a second are read, the 12 after them to be written."""
    f, phase = torch.rand(2, 200, 1, generator=generator, dtype=torch.float64)
    wave = torch.sin(2 * math.pi * ((1 + f) * torch.arange(24) / 12 + phase))
    return Table("waves_continued", wave[:, :12, None], wave[:, 12:])
