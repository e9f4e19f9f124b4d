"""Optimisers as pure functions of one parameter vector, so that every number may differ between members.

`init(parameters)` makes the state, `update(gradient, state, parameters, numbers)` returns new parameters and state. The
arithmetic follows torch.optim, which the tests hold it to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ganlab.registry import Registry

Memory = tuple[Tensor, ...]
Numbers = Mapping[str, Tensor]


class Optimizer(NamedTuple):
    """An optimiser and the numbers it reads."""

    init: Callable[[Tensor], Memory]
    update: Callable[[Tensor, Memory, Tensor, Numbers], tuple[Tensor, Memory]]
    numbers: tuple[str, ...]


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")


def _root(square: Tensor) -> Tensor:
    """Square root with derivative 0 at 0, for looking through an optimiser: below the smallest normal number it is flat.

    That moves no step: the root of such a number is lost beside any epsilon above 1e-150 (float32: 1e-12).
    """
    return square.clamp(min=torch.finfo(square.dtype).tiny).sqrt()


def _sgd_init(parameters: Tensor) -> Memory:
    return (torch.zeros_like(parameters),)


def _sgd(gradient: Tensor, memory: Memory, parameters: Tensor, numbers: Numbers) -> tuple[Tensor, Memory]:
    velocity = numbers["momentum"] * memory[0] + gradient
    return parameters - numbers["lr"] * velocity, (velocity,)


def _rmsprop_init(parameters: Tensor) -> Memory:
    return (torch.zeros_like(parameters),)


def _rmsprop(gradient: Tensor, memory: Memory, parameters: Tensor, numbers: Numbers) -> tuple[Tensor, Memory]:
    square = numbers["decay"] * memory[0] + (1 - numbers["decay"]) * gradient.square()
    return parameters - numbers["lr"] * gradient / (_root(square) + numbers["epsilon"]), (square,)


def _adam_init(parameters: Tensor) -> Memory:
    return torch.zeros_like(parameters), torch.zeros_like(parameters), parameters.new_zeros(())


def _adam(gradient: Tensor, memory: Memory, parameters: Tensor, numbers: Numbers) -> tuple[Tensor, Memory]:
    mean, square, t = memory
    beta1, beta2, t = numbers["beta1"], numbers["beta2"], t + 1
    mean = torch.lerp(gradient, mean, beta1)
    square = torch.lerp(gradient * gradient, square, beta2)
    scale = (1 - beta2**t).sqrt()
    step = numbers["lr"] * scale / (1 - beta1**t)
    return parameters - step * mean / (_root(square) + numbers["epsilon"] * scale), (mean, square, t)


def _optimistic_init(parameters: Tensor) -> Memory:
    return (torch.zeros_like(parameters), parameters.new_zeros(()))


def _optimistic(gradient: Tensor, memory: Memory, parameters: Tensor, numbers: Numbers) -> tuple[Tensor, Memory]:
    previous, t = memory
    first = t == 0  # there is no past yet: a plain gradient step
    past = torch.where(first, gradient, previous)
    return parameters - numbers["lr"] * (2 * gradient - past), (gradient, t + 1)


def _optimistic_adam_init(parameters: Tensor) -> Memory:
    return (*_adam_init(parameters), torch.zeros_like(parameters))


def _optimistic_adam(gradient: Tensor, memory: Memory, parameters: Tensor, numbers: Numbers) -> tuple[Tensor, Memory]:
    *moments, previous = memory
    moved, new_moments = _adam(gradient, tuple(moments), parameters, numbers)
    step = parameters - moved
    return moved - step + previous, (*new_moments, step)


OPTIMIZERS.add(
    "adam",
    Optimizer(_adam_init, _adam, ("lr", "beta1", "beta2", "epsilon")),
    source="Kingma and Ba 2015, algorithm 1",
    summary="Steps of the mean gradient over its root mean square.",
)
OPTIMIZERS.add(
    "rmsprop",
    Optimizer(_rmsprop_init, _rmsprop, ("lr", "decay", "epsilon")),
    source="Tieleman and Hinton 2012, lecture 6.5",
    summary="Gradient over its running root mean square.",
)
OPTIMIZERS.add(
    "sgd",
    Optimizer(_sgd_init, _sgd, ("lr", "momentum")),
    source="Robbins and Monro 1951; Polyak 1964",
    summary="The gradient itself, with heavy-ball momentum.",
)
OPTIMIZERS.add(
    "optimistic",
    Optimizer(_optimistic_init, _optimistic, ("lr",)),
    source="Daskalakis et al. 2018, equation 3 (optimistic mirror descent)",
    summary="Twice the gradient minus the one before; the first step is a plain one.",
)
OPTIMIZERS.add(
    "optimistic_adam",
    Optimizer(_optimistic_adam_init, _optimistic_adam, ("lr", "beta1", "beta2", "epsilon")),
    source="Daskalakis et al. 2018, algorithm 1",
    summary="Twice Adam's step minus the step before; the first, which has none before it, is double.",
)
