"""Data with something to predict: tables of rows with a label or number each; what one seed learns from and is tested on.

`LABELLED` has the named ones, tables here and series in `series.py`: a function each of a generator, which those that are
drawn anew for each seed use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ganlab.registry import InputError, Registry


class Split(NamedTuple):
    """What one seed learns from, and what it is tested on, in the data's own units.

    `x`, `test_x` are `[n, *features]`; `y`, `test_y` are classes `[n]`, int64, or numbers `[n, output]`.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


class Labelled(Protocol):
    """What can be learned: a `Table`, or a `Series`."""

    name: str

    def split(self, test_share: float, generator: torch.Generator) -> Split:
        """Return what one seed learns from and what is kept for its test."""
        ...


LABELLED: Registry[Callable[[torch.Generator], Any]] = Registry("labelled data")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with a label or a number each.

    Parameters
    ----------
    x
        `[row, feature]`, or sequences `[row, time, feature]`, floating point.
    y
        Classes from 0, `[row]`, integers; or numbers `[row]` or `[row, output]`, floating point.
    classes
        Names of the classes; empty where `y` are numbers. The second of two is what a test looks for.
    unit
        Of `y`, where it has one.

    Raises
    ------
    InputError
        For missing values, and for labels that do not match the rows or the classes.
    """

    name: str
    x: Tensor
    y: Tensor
    classes: tuple[str, ...] = ()
    unit: str = ""

    def __post_init__(self) -> None:
        if self.x.ndim < 2 or not self.x.is_floating_point():
            raise InputError(
                f"the rows of table {self.name!r} must be a floating-point tensor [row, feature]; got {self.x.dtype} "
                f"{tuple(self.x.shape)}"
            )
        missing = ~torch.isfinite(self.x).flatten(1).all(1)
        if missing.any():
            raise InputError(
                f"table {self.name!r} has missing or infinite values in {int(missing.sum())} of {len(self.x)} rows, first in "
                f"row {int(missing.nonzero()[0])}; fill them in or leave these rows out before training"
            )
        if len(self.y) != len(self.x):
            raise InputError(f"table {self.name!r} has {len(self.x)} rows and {len(self.y)} labels; each row needs one")
        if self.classes and (self.y.is_floating_point() or self.y.ndim != 1):
            raise InputError(
                f"the labels of table {self.name!r} must be whole numbers [row], since it has classes; got {self.y.dtype} "
                f"{tuple(self.y.shape)}"
            )
        if self.classes and set(self.y.tolist()) != set(range(len(self.classes))):
            raise InputError(
                f"the labels of table {self.name!r} must be 0 to {len(self.classes) - 1}, each of them there, for the classes "
                f"{', '.join(self.classes)}; got {', '.join(str(label) for label in sorted(set(self.y.tolist())))}"
            )
        if not self.classes and not (self.y.is_floating_point() and torch.isfinite(self.y).all()):
            raise InputError(
                f"without classes, what table {self.name!r} is about must be finite floating-point numbers; got {self.y.dtype}"
            )

    def split(self, test_share: float, generator: torch.Generator) -> Split:
        """Return a random split, the share of each class the same in both parts as near as whole rows allow.

        The test set has `test_share` of the rows, rounded up.
        """
        n_test = math.ceil(test_share * len(self.x))
        if n_test >= len(self.x):
            raise InputError(
                f"table {self.name!r} has no row left to learn from: {n_test} of {len(self.x)} are kept for the test; make "
                "test_share smaller"
            )
        order = torch.randperm(len(self.x), generator=generator)
        if self.classes:  # a row's place within its class, as a share of it: the lowest shares are the test set
            shares = torch.empty(len(order))
            for label in range(len(self.classes)):
                own = order[self.y[order] == label]
                shares[own] = (torch.arange(len(own)) + 0.5) / len(own)
            order = order[shares[order].argsort(stable=True)]
        test, train = order[:n_test], order[n_test:]
        if lost := [name for label, name in enumerate(self.classes) if label not in self.y[train]]:
            raise InputError(f"table {self.name!r} has no row of class {lost[0]!r} left to learn from; make test_share smaller")
        y = self.y.reshape(len(self.y), -1) if self.y.is_floating_point() else self.y
        return Split(self.x[train], y[train], self.x[test], y[test])


@LABELLED.register(source="Street, Wolberg and Mangasarian 1993 (UCI, Breast Cancer Wisconsin), through scikit-learn")
def breast_cancer(generator: torch.Generator) -> Table:
    """569 lumps by 30 measures of the nuclei of their cells: 357 benign, 212 malignant."""
    x, y = _scikit("load_breast_cancer")
    return Table("breast_cancer", x, 1 - y.long(), ("benign", "malignant"))  # scikit-learn has malignant as 0


@LABELLED.register(source="Efron, Hastie, Johnstone and Tibshirani 2004, through scikit-learn")
def diabetes(generator: torch.Generator) -> Table:
    """442 patients by 10 measures, as they were written down; the number is how far the disease has gone a year later."""
    return Table("diabetes", *_scikit("load_diabetes", scaled=False), unit="points of disease progression")


@LABELLED.register(source="a curve that no straight line follows, of our own")
def noisy_curve(generator: torch.Generator) -> Table:
    """200 points on sin(3 x) + x / 2 with x uniform on [-2, 2] and normal noise of std 0.2; each seed draws its own."""
    x = 4 * torch.rand(200, 1, generator=generator, dtype=torch.float64) - 2
    noise = torch.randn(200, 1, generator=generator, dtype=torch.float64)
    return Table("noisy_curve", x, curve(x) + 0.2 * noise)


def curve(x: Tensor) -> Tensor:
    """Return what `noisy_curve` is without its noise."""
    return torch.sin(3 * x) + x / 2


@LABELLED.register(source="the lecture's table of people: working time, published papers, position")
def people(generator: torch.Generator) -> Table:
    """Four people by working time and published papers; two are researchers, two are data scientists."""
    rows = torch.tensor([[12.0, 6.0], [32.0, 4.0], [11.0, 3.0], [29.0, 11.0]], dtype=torch.float64)
    return Table("people", rows, torch.tensor([0, 1, 0, 1]), ("Researcher", "Data Scientist"))


@cache
def _scikit(loader: str, **settings: bool) -> tuple[Tensor, Tensor]:
    """Return a data set that comes with scikit-learn, float64."""
    from sklearn import datasets

    x, y = getattr(datasets, loader)(return_X_y=True, **settings)
    return torch.from_numpy(x), torch.from_numpy(y)
