"""One neuron, and a network of two layers, written out by hand: numpy and nothing else. `by_autograd.py` is its PyTorch twin.

A function is about one net; leading axes of its arrays, `[..., ]`, are so many nets at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# --- one neuron ----------------------------------------------------------------------------------------------------------


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)), by whichever of exp(z) and exp(-z) does not overflow."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772
"""Of SELU: with them, layers of any depth keep mean 0 and variance 1 (Klambauer et al. 2017, equation 14)."""

LEAK = 0.2
"""Slope of leaky ReLU below 0, the same as in `ganlab.layers`."""


def _elu(z: Array) -> Array:
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "step": lambda z: np.where(z >= 0, 1.0, 0.0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "ReLU": lambda z: np.maximum(z, 0),
    "leaky ReLU": lambda z: np.where(z > 0, z, LEAK * z),
    "ELU": _elu,
    "SELU": lambda z: SCALE * np.where(z > 0, z, ALPHA * _elu(z)),
    "linear": lambda z: z,
}


def neuron(x: ArrayLike, weights: ArrayLike, bias: float, activation: str = "sigmoid") -> Array:
    """Return f(weights . x + bias) for inputs `[..., input]`.

    Example
    -------
    >>> float(neuron([4, 1], weights=[3, 1], bias=-1).round(10))
    0.9999938558
    """
    return ACTIVATIONS[activation](np.asarray(x, dtype=float) @ np.asarray(weights, dtype=float) + bias)


CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
"""All inputs of a gate."""

GATES: Mapping[str, tuple[tuple[float, float], float]] = {"AND": ((1, 1), 2), "OR": ((2, 2), 2)}
"""Weights and threshold with which a neuron with a step is a gate; its bias is minus the threshold."""


def gate(name: str) -> Array:
    """Return what the gate answers at `CORNERS`.

    Example
    -------
    >>> gate("AND").tolist(), gate("OR").tolist()
    ([0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0])
    """
    weights, threshold = GATES[name]
    return neuron(CORNERS, weights, -threshold, "step")


# --- two layers ----------------------------------------------------------------------------------------------------------


class Weights(NamedTuple):
    """All numbers of a network of two layers. A gradient by them has the same form."""

    hidden: Array
    """`[..., unit, input]`"""
    hidden_bias: Array
    """`[..., unit]`"""
    output: Array
    """`[..., unit]`"""
    output_bias: Array
    """`[...]`"""


def drawn(seed: int) -> Weights:
    """Return standard normal weights of a network of 2 inputs, 2 hidden units and 1 output."""
    draws = np.random.default_rng(seed)
    return Weights(*(draws.standard_normal(shape) for shape in ((2, 2), (2,), (2,), ())))


def forward(w: Weights, x: Array) -> tuple[Array, Array]:
    """Return what the hidden units and the output say of an input `[..., input]`: `[..., unit]` and `[...]`.

    Example
    -------
    >>> shared = Weights(np.array([[0.0, 1.0], [0.0, 1.0]]), np.zeros(2), np.array([0.0, 1.0]), np.zeros(()))
    >>> float(forward(shared, np.array([2.0, 3.0]))[1].round(10))
    0.721632561
    """
    h = sigmoid((w.hidden * x[..., None, :]).sum(-1) + w.hidden_bias)
    o = sigmoid((w.output * h).sum(-1) + w.output_bias)
    return h, o


def backward(w: Weights, x: Array, y: Array) -> Weights:
    """Return the gradient of the squared error (y - o)^2 by every weight: the chain rule, written out.

    The hidden layer is blamed through the output weights as they were in the forward pass; to update those first and use the
    new ones is a common mistake, and another gradient.
    """
    h, o = forward(w, x)
    at_output = -2 * (y - o) * o * (1 - o)  # by the sum that enters the output
    at_hidden = at_output[..., None] * w.output * h * (1 - h)  # by the sums that enter the hidden units
    return Weights(
        hidden=at_hidden[..., None] * x[..., None, :],
        hidden_bias=at_hidden,
        output=at_output[..., None] * h,
        output_bias=at_output,
    )


def train(w: Weights, x: Array, y: Array, rate: float = 0.1, epochs: int = 1000) -> tuple[Weights, Array]:
    """Return the weights after training one example at a time, and the mean squared error after each epoch `[epoch, ...]`.

    Parameters
    ----------
    x, y
        Examples `[example, input]`, and what to say of them `[..., example]`.
    rate, epochs
        Those of the lecture.
    """
    errors = []
    for _ in range(epochs):
        for i, example in enumerate(x):
            gradient = backward(w, example, y[..., i])
            w = Weights(*(value - rate * slope for value, slope in zip(w, gradient, strict=True)))
        errors.append(np.mean([(y[..., i] - forward(w, example)[1]) ** 2 for i, example in enumerate(x)], axis=0))
    return w, np.array(errors)


# --- the people of the lecture -------------------------------------------------------------------------------------------

PEOPLE: Mapping[str, tuple[int, int, str]] = {
    "Michael": (12, 6, "Researcher"),
    "Shash": (32, 4, "Data Scientist"),
    "Aruna": (11, 3, "Researcher"),
    "Lisa": (29, 11, "Data Scientist"),
    "Jamal": (14, 3, "?"),
    "Mina": (31, 0, "?"),
}
"""Working time, published papers, position."""

KNOWN, UNKNOWN = ("Michael", "Shash", "Aruna", "Lisa"), ("Jamal", "Mina")

POSITIONS = ("Researcher", "Data Scientist")
"""What outputs of 0 and 1 mean."""

RIGHT = {"Jamal": 0, "Mina": 1}
"""The lecture's answer: Jamal works and publishes like the researchers, Mina works like the data scientists."""

MEANS = (21, 6)
"""Of the four people whose position is known, rounded: subtracted from the table."""


def inputs(names: tuple[str, ...]) -> Array:
    """Return people as inputs, `[person, 2]`, with the means subtracted."""
    return np.array([PEOPLE[name][:2] for name in names], dtype=float) - MEANS


def targets() -> Array:
    """Return the positions of the people who have one, 0 or 1, `[person]`."""
    return np.array([float(POSITIONS.index(PEOPLE[name][2])) for name in KNOWN])


def stacked(nets: list[Weights]) -> Weights:
    """Return several networks as one with a leading axis."""
    return Weights(*(np.stack(values) for values in zip(*nets, strict=True)))
