"""Update rules on analytic games: `(play, point, step_size, numbers) -> points`, an endless stream, a function each.

A rule sees a game with its numbers filled in, and moves one point `[player]` or many, `[..., player]`. Registered with each is
its `contraction`: the factor on the squared distance to the equilibrium of the bilinear game in a step, in the long run, as a
function of step size and numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from ganlab.dynamics.games import NOTEBOOK, Array
from ganlab.registry import Registry


class Play(NamedTuple):
    """A game with its numbers filled in, as a rule sees it."""

    velocity: Callable[[Array], Array]
    """Points `[..., player]`, real or complex -> v `[..., player]`."""
    project: Callable[[Array], Array]
    """The nearest point that `clip` allows."""


RULES: Registry[Callable[..., Iterator[Array]]] = Registry("dynamics rule")


@RULES.register(source="Mescheder, Geiger and Nowozin 2018, section 2", contraction=lambda h: 1 + h**2)
def simultaneous(play: Play, x: Array, step_size: float) -> Iterator[Array]:
    """Both players move from the same point."""
    while True:
        x = play.project(x + step_size * play.velocity(x))
        yield x


@RULES.register(
    source="Kutta 1901; as a rule for GANs, Qin et al. 2020, section 3.1", contraction=lambda h: 1 - h**6 / 72 + h**8 / 576
)
def runge_kutta(play: Play, x: Array, step_size: float) -> Iterator[Array]:
    """The flow x' = v itself, as closely as four looks a step can follow it: its error is of order h^4."""
    h = step_size
    while True:
        k1 = play.velocity(x)
        k2 = play.velocity(x + h / 2 * k1)
        k3 = play.velocity(x + h / 2 * k2)
        k4 = play.velocity(x + h * k3)
        x = play.project(x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
        yield x


def _alternating_contraction(h: float, n_critic: int) -> float:
    """Square of the larger modulus of 1 - a^2/2 +- sqrt((1 - a^2/2)^2 - 1), a = h sqrt(n_critic): 1 for a up to 2."""
    half_trace = abs(1 - n_critic * h**2 / 2)
    return (half_trace + math.sqrt(max(half_trace**2 - 1, 0.0))) ** 2 if half_trace > 1 else 1.0


@RULES.register(source=f"{NOTEBOOK}, generator first", contraction=_alternating_contraction)
def alternating(play: Play, x: Array, step_size: float, *, n_critic: int = 1) -> Iterator[Array]:
    """The generator moves first, then the discriminator `n_critic` times, each from where the other now stands."""
    generator = _generator(x)
    while True:
        x = play.project(np.where(generator, x + step_size * play.velocity(x), x))
        for _ in range(n_critic):
            x = play.project(np.where(generator, x, x + step_size * play.velocity(x)))
        yield x


@RULES.register(source="Korpelevich 1976; Gidel et al. 2019, section 3.2", contraction=lambda h: 1 - h**2 + h**4)
def extragradient(play: Play, x: Array, step_size: float) -> Iterator[Array]:
    """A step along the field that is found one step ahead."""
    while True:
        ahead = play.project(x + step_size * play.velocity(x))
        x = play.project(x + step_size * play.velocity(ahead))
        yield x


def _optimistic_contraction(h: float) -> float:
    """Square of the larger root of z^2 - (1 + 2ih) z + ih = 0: (1 + sqrt(1 - 4h^2))/2 for h up to 1/2, 1 at 1/sqrt(3)."""
    return abs((1 + 2j * h + np.emath.sqrt(1 - 4 * h**2)) / 2) ** 2


@RULES.register(source="Daskalakis et al. 2018, Training GANs with optimism", contraction=_optimistic_contraction)
def optimistic(play: Play, x: Array, step_size: float) -> Iterator[Array]:
    """Twice the present gradient less the previous one; the first step is a plain one."""
    before = play.velocity(x)
    while True:
        now = play.velocity(x)
        x, before = play.project(x + step_size * (2 * now - before)), now
        yield x


@RULES.register(source="Popov 1980; Gidel et al. 2019, section 3.3", contraction=_optimistic_contraction)
def extrapolation_from_the_past(play: Play, x: Array, step_size: float) -> Iterator[Array]:
    """Extragradient that looks ahead along the gradient of its last look; the looks are the path of `optimistic`."""
    seen = play.velocity(x)
    while True:
        seen = play.velocity(play.project(x + step_size * seen))
        x = play.project(x + step_size * seen)
        yield x


@RULES.register(source="Rockafellar 1976; Gidel et al. 2019, section 3.2", contraction=lambda h: 1 / (1 + h**2))
def implicit(play: Play, x: Array, step_size: float) -> Iterator[Array]:
    """A step along the field at the point it leads to, then clipped; NaN from where Newton's method finds none."""
    while True:
        x = play.project(np.apply_along_axis(lambda point: _implicit_step(play, point, step_size), -1, x))
        yield x


def _adjusted_contraction(h: float, gamma: float) -> float:
    return (1 - h * gamma) ** 2 + h**2


@RULES.register(source="Mescheder, Nowozin and Geiger 2017, section 4", contraction=_adjusted_contraction)
def consensus(play: Play, x: Array, step_size: float, *, gamma: float = 1.0) -> Iterator[Array]:
    r"""Simultaneous steps that also make the field small, :math:`v - \gamma\nabla\frac12|v|^2 = v - \gamma J^T v`."""
    while True:
        v = play.velocity(x)
        x = play.project(x + step_size * (v - gamma * _transposed(derivative(play.velocity, x), v)))
        yield x


@RULES.register(source="Balduzzi et al. 2018, without its choice of sign", contraction=_adjusted_contraction)
def sga(play: Play, x: Array, step_size: float, *, gamma: float = 1.0) -> Iterator[Array]:
    r"""Symplectic gradient adjustment, :math:`v - \gamma A^T v` with :math:`A = (J - J^T)/2`, the part of J that turns."""
    while True:
        v, jacobian = play.velocity(x), derivative(play.velocity, x)
        x = play.project(x + step_size * (v - gamma * _transposed(jacobian - jacobian.swapaxes(-1, -2), v) / 2))
        yield x


def _momentum_contraction(h: float, momentum: float) -> float:
    """Square of the largest root of (z - 1)^2 (z - momentum)^2 + h^2 z^3 = 0."""
    still = np.polymul([1, -1], [1, -momentum])
    return float(np.abs(np.roots(np.polyadd(np.polymul(still, still), [h**2, 0, 0, 0]))).max() ** 2)


@RULES.register(source="Gidel et al. 2019, Negative momentum for improved game dynamics", contraction=_momentum_contraction)
def negative_momentum(play: Play, x: Array, step_size: float, *, momentum: float = -0.5) -> Iterator[Array]:
    """Alternating steps, generator first, with heavy-ball momentum below 0: each player takes back a part of its last move."""
    generator, before = _generator(x), x
    while True:
        pushed = x + momentum * (x - before)
        before = x
        x = play.project(np.where(generator, pushed + step_size * play.velocity(x), x))
        x = play.project(np.where(generator, x, pushed + step_size * play.velocity(x)))
        yield x


@RULES.register(
    source="Zhang et al. 2019; Chavdarova et al. 2021, Taming GANs with lookahead-minmax",
    contraction=lambda h, k, alpha: abs(1 - alpha + alpha * (1 + 1j * h) ** k) ** (2 / k),
)
def lookahead(play: Play, x: Array, step_size: float, *, k: int = 5, alpha: float = 0.5) -> Iterator[Array]:
    """Simultaneous steps; after every k-th both players go back to a share `alpha` of the way since the last return."""
    slow = x
    while True:
        for i in range(k):
            x = play.project(x + step_size * play.velocity(x))
            if i == k - 1:
                slow = x = slow + alpha * (x - slow)
            yield x


def _generator(x: Array) -> Array:
    """Return which coordinates are the generator's, `[player]`."""
    return np.arange(x.shape[-1]) < x.shape[-1] // 2


def _transposed(matrix: Array, v: Array) -> Array:
    """Return matrix^T v for each point."""
    return np.einsum("...ij,...i->...j", matrix, v)


def _implicit_step(play: Play, x: Array, step_size: float) -> Array:
    """Return y with y = x + h v(y), or NaN when Newton's method, from x, has not come to rest after 50 of its steps.

    At rest means a step below 1e-10 of y, whose square is what is left, or below 1e-15, the round-off of the field.
    """
    y = x
    for _ in range(50):
        residual = y - x - step_size * play.velocity(y)
        try:
            newton = np.linalg.solve(np.eye(len(x)) - step_size * derivative(play.velocity, y), residual)
        except np.linalg.LinAlgError:
            break
        y = y - newton
        if np.abs(newton).max() <= 1e-10 * np.abs(y).max() + 1e-15:
            return y
    return np.full_like(x, np.nan)


def derivative(velocity: Callable[[Array], Array], x: Array) -> Array:
    """Return the Jacobian `[..., player, player]` by complex steps (Squire and Trapp 1998): exact to round-off, as nothing is
    subtracted."""
    tiny = 1e-30
    return np.stack([velocity(x + 1j * tiny * unit).imag / tiny for unit in np.eye(x.shape[-1])], axis=-1)
