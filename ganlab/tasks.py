"""What is learned from tables and series, for one member: loss, what is measured, and what needs no training beside it.

A task is a line in `TASKS`; which one it is follows from the data. `learning.py` trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from ganlab.data.tables import Split
from ganlab.registry import Registry

SCALINGS = ("train", "whole", "none")

Predict = Callable[[Tensor], Tensor]
"""From inputs `[n, *features]` in the data's units to predictions `[n, output]`."""


class Scaling(NamedTuple):
    """Means and standard deviations by which inputs and targets are scaled: `[feature]`, and `[1]` of what is predicted."""

    x_mean: Tensor
    x_std: Tensor
    y_mean: Tensor
    y_std: Tensor

    def inputs(self, x: Tensor) -> Tensor:
        return (x - self.x_mean) / self.x_std

    def targets(self, y: Tensor) -> Tensor:
        """Return numbers as the net learns them; classes as they are."""
        return (y - self.y_mean) / self.y_std if y.is_floating_point() else y

    def units(self, outputs: Tensor) -> Tensor:
        return outputs * self.y_std + self.y_mean


def scaled_by(split: Split, how: str) -> Scaling:
    """Return by what inputs and targets are scaled: by the training rows ("train"), all rows ("whole"), or nothing ("none")."""
    x, y = split.x, split.y
    if how == "whole":
        x, y = torch.cat([x, split.test_x]), torch.cat([y, split.test_y])
    rows, targets = x.flatten(0, -2), y.reshape(-1, 1)
    as_they_are = torch.zeros_like(rows[0]), torch.ones_like(rows[0])
    none = how == "none"
    of_y = (as_they_are[0][:1], as_they_are[1][:1]) if none or not y.is_floating_point() else _moments(targets)
    return Scaling(*(as_they_are if none else _moments(rows)), *of_y)


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each column; 1 in place of the latter where a column never changes."""
    std = rows.std(0, correction=0)
    return rows.mean(0), torch.where(std > 0, std, 1.0)


class Task(NamedTuple):
    """What is learned and how it is judged, for one member.

    Parameters
    ----------
    loss
        Of outputs and scaled targets: what training makes small.
    predict
        From outputs to predictions `[n, output]`: probabilities of classes, or numbers in the data's units.
    measure, measured
        What is read off predictions and truth, and its name.
    references
        What needs no training, or has a closed form: functions of a split that return how they predict.
    runs_free
        Whether predictions are fed back as inputs, for a forecast of many steps.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    predict: Callable[[Tensor, Scaling], Tensor]
    measure: str
    measured: Callable[[Tensor, Tensor], Tensor]
    references: Mapping[str, Callable[[Split], Predict]]
    runs_free: bool = False


TASKS: Registry[Task] = Registry("task")


def _accuracy(probabilities: Tensor, y: Tensor) -> Tensor:
    return (probabilities.argmax(-1) == y).to(probabilities.dtype).mean()


def _rmse(predicted: Tensor, y: Tensor) -> Tensor:
    return (predicted - y).square().mean().sqrt()


def _frequencies(split: Split) -> Predict:
    """The share of each class in the training set, whatever the input."""
    shares = one_hot(split.y).double().mean(0)
    return lambda x: shares.expand(len(x), -1)


def _mean(split: Split) -> Predict:
    return lambda x: split.y.mean(0).expand(len(x), -1)


def _least_squares(split: Split) -> Predict:
    """Linear regression with an intercept, fitted to the training set; of a window, an autoregression."""

    def design(x: Tensor) -> Tensor:
        return torch.cat([x.flatten(1), torch.ones(len(x), 1, dtype=x.dtype)], 1)

    weights = torch.linalg.lstsq(design(split.x), split.y, driver="gelsd").solution
    return lambda x: design(x) @ weights


TASKS.add(
    "classification",
    Task(cross_entropy, lambda outputs, _: outputs.softmax(-1), "accuracy", _accuracy, {"most frequent class": _frequencies}),
    source="Bishop 2006, section 4.3.4: cross-entropy of the softmax of outputs",
    summary="One class of several: accuracy, against the most frequent class.",
)
TASKS.add(
    "regression",
    Task(mse_loss, lambda outputs, s: s.units(outputs), "rmse", _rmse, {"mean": _mean, "linear regression": _least_squares}),
    source="Bishop 2006, section 3.1.1: squares of normal errors",
    summary="Numbers: root mean square error in the data's units, against the mean and linear regression.",
)
TASKS.add(
    "forecasting",
    Task(
        mse_loss, lambda outputs, s: s.units(outputs), "rmse", _rmse,
        {
            "persistence": lambda split: lambda x: x[:, -1],
            "autoregression": _least_squares,
        },
        runs_free=True,
    ),
    source="Hyndman and Athanasopoulos 2021, Forecasting: Principles and Practice, sections 5.2 and 9.3",
    summary="The next number of a series: root mean square error, against naive forecasts and an autoregression.",
)  # fmt: skip


def seasonal(task: Task, period: int) -> Task:
    """Return the task with one more reference: the number one period ago, such as the same month of the year before.

    Source: Hyndman and Athanasopoulos 2021, section 5.2.
    """
    return task._replace(references={**task.references, "seasonal naive": lambda split: lambda x: x[:, -period]})


def predictions(predict: Predict, task: Task, split: Split) -> dict[str, Tensor]:
    """Return what is predicted of the test set `[n, output]`, and where a task runs free, what its own forecasts lead to."""
    found = {"predicted": predict(split.test_x)}
    return found | ({"free": free_run(predict, split.test_x[:1], len(split.test_x))} if task.runs_free else {})


def free_run(predict: Predict, window: Tensor, n: int) -> Tensor:
    """Return n forecasts `[n, 1]` from one window `[1, time, 1]`, each read as if it had been seen."""
    written: list[Tensor] = []
    for _ in range(n):
        written.append(predict(window))
        window = torch.cat([window[:, 1:], written[-1][..., None]], 1)
    return torch.cat(written)
