"""How a game of nets turns: its joint gradient, eigenvalues of its Jacobian without the matrix, and how fast they rotate.

As in `ganlab.dynamics`, the field is the players' descent, v = -(gradient of the generator's loss, tau times gradient of the
discriminator's): a negative real part means attraction. Papers that take the Jacobian of the gradients have the opposite sign.
All of it is for plain gradient steps, whatever the game's optimiser, and in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs
from torch import Tensor
from torch.func import vjp
from torch.utils._pytree import tree_map

from ganlab.cycles import path_end, path_statistics
from ganlab.optim import Numbers
from ganlab.penalties import CONSTRAINTS
from ganlab.updates import State, both_gradients

Array = NDArray[np.float64]

K = 20
"""Eigenvalues that are asked for, as in Berard et al. 2020."""

SETTLED = 1e-6
"""Relative error at which the iteration ends. Eigenvalues then have about 12 right digits, after half of the products that the
last digit would take."""


def joint_gradient(game: Any, state: State, batch: Any, numbers: Numbers) -> Callable[[Array], Array]:
    """Return the function from a point `[player]` to each player's gradient of its own loss, `[player]`, generator first.

    What `cycles.path_statistics` asks for. Where the game holds the discriminator's weights within a limit, entries that would
    push them outward are 0, as in the paper.

    Parameters
    ----------
    state
        Gives the sizes, and what the players remember beside parameters.
    batch
        One update's draws (`Batch.draw`); for a smooth picture many more samples than in training.
    numbers
        As in `step`.

    Source: Berard et al. 2020, section 4 and released code.
    """
    state, batch, numbers = _doubled((state, batch, numbers))
    n = len(state.generator.parameters)
    limits = [numbers[name] for name in game.penalties if name in CONSTRAINTS]

    def at(point: Array) -> Array:
        w = torch.as_tensor(point, dtype=torch.float64, device=state.generator.parameters.device)
        theta, psi = w[:n], w[n:]
        of_generator, of_discriminator = both_gradients(game, state, (theta, psi), batch, numbers)
        for limit in limits:
            outward = (psi.abs() >= limit) & (psi * of_discriminator < 0)
            of_discriminator = torch.where(outward, 0.0, of_discriminator)
        return torch.cat([of_generator, of_discriminator]).detach().cpu().numpy()

    return at


def joint_point(state: State) -> Array:
    """Return both players' parameters as one vector, `[player]`, generator first."""
    return torch.cat([player.parameters for player in state]).detach().double().cpu().numpy()


def jacobian_product(game: Any, state: State, batch: Any, numbers: Numbers, tau: float = 1.0) -> Callable[[Array], Array]:
    r"""Return the function :math:`u \mapsto J^T u`, `[player]` to `[player]`, J the Jacobian of the field.

    The transpose has the same eigenvalues, and reverse-mode differentiation, which every net here has, gives it.
    """
    state, batch, numbers = _doubled((state, batch, numbers))
    points = tuple(player.parameters for player in state)
    n = len(points[0])
    pull = vjp(lambda *p: both_gradients(game, state, p, batch, numbers), *points)[1]

    def product(u: Array) -> Array:
        v = torch.as_tensor(np.ascontiguousarray(u).reshape(-1), dtype=torch.float64, device=points[0].device)
        return -torch.cat(pull((v[:n], tau * v[n:]))).detach().cpu().numpy()

    return product


def eigenvalues(
    game: Any, state: State, batch: Any, numbers: Numbers, *, k: int = K, which: Literal["LM", "LR"] = "LM", tau: float = 1.0
) -> NDArray[np.complex128]:
    """Return eigenvalues of the game's Jacobian at a state, `[k]` or fewer, the largest first.

    Parameters
    ----------
    batch
        One update's draws (`Batch.draw`).
    k
        How many; the paper has 20. A game of up to k + 1 parameters gives all of them, from its matrix.
    which
        "LM": of the largest modulus. "LR": of the largest real part; one above 0 repels.
    tau
        Discriminator's step size over the generator's.

    Raises
    ------
    scipy.sparse.linalg.ArpackNoConvergence
        When the iteration does not settle; it carries those that did.

    Source: Berard et al. 2020, section 4; Mescheder, Nowozin and Geiger 2017, section 3.
    """
    n = sum(len(player.parameters) for player in state)
    product = jacobian_product(game, state, batch, numbers, tau)
    if n <= k + 1:
        found = np.linalg.eigvals(np.stack([product(unit) for unit in np.eye(n)]))
    else:
        first = np.random.default_rng(0).standard_normal(n)  # ARPACK's own choice differs from call to call
        operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
        ncv = min(n, max(20, 3 * k + 1))
        found = eigs(operator, k, which=which, v0=first, ncv=ncv, tol=SETTLED, return_eigenvectors=False)
    found = np.asarray(found, dtype=np.complex128)
    return found[np.argsort(-(np.abs(found) if which == "LM" else found.real), kind="stable")]


def rotation_index(values: Sequence[complex] | NDArray[np.complex128]) -> float:
    """Return |Im|/|Re| of the eigenvalue that turns fastest: radians turned while its part of a distance changes by a factor e.

    0 where nothing turns, infinity for a pure turn.

    Example
    -------
    >>> rotation_index([-2 + 0j, -0.1 + 0.4j, -0.1 - 0.4j])
    4.0

    Source: the ratio, Berard et al. 2020, section 4.
    """
    fastest = max(values, key=lambda z: abs(z.imag))
    if fastest.imag == 0:
        return 0.0
    return float(abs(fastest.imag) / abs(fastest.real)) if fastest.real else math.inf


class Turning(NamedTuple):
    """How the game of one member turns at the end of its run; NaN throughout for one that is not finite."""

    readings: dict[str, float]
    """`rotation_index`; `largest_real_part` of the eigenvalues, above 0 where the field repels; `path_attraction` and
    `path_rotation`, see `cycles.path_end`."""
    path: Array
    """`[place, 4]`: alpha, cosine, and squared norms of the generator's and of the discriminator's gradient."""
    eigenvalues: NDArray[np.complex128]
    """`[K]`, the largest first; NaN where there are fewer, or the iteration did not settle."""


def turning(game: Any, early: State, late: State, batch: Any, numbers: Numbers, n_places: int = 100) -> Turning:
    """Return eigenvalues at the late state, and angle and norm of the gradient on the way there from the early one.

    Parameters
    ----------
    early, late
        As in the paper after an epoch of training, and at its end.
    batch, numbers
        As in `joint_gradient`.
    n_places
        Places on the line from alpha = -0.1 to 1.1.

    Source: Berard et al. 2020, section 4.
    """
    start, end = joint_point(early), joint_point(late)
    path, values = np.full((n_places, 4), np.nan), np.full(K, complex(np.nan, np.nan))
    path[:, 0] = np.linspace(-0.1, 1.1, n_places)
    if np.isfinite(start).all() and np.isfinite(end).all():
        n_generator = len(late.generator.parameters)
        way = path_statistics(joint_gradient(game, late, batch, numbers), start, end, n_generator, path[:, 0])
        path[:, 1:] = np.stack([way.cosine, way.generator_squared_norm, way.discriminator_squared_norm], axis=1)
        try:
            found = eigenvalues(game, late, batch, numbers)[:K]
        except ArpackNoConvergence as error:
            found = np.asarray(error.eigenvalues, dtype=np.complex128)
        values[: len(found)] = found
    settled = values[~np.isnan(values)]
    index = rotation_index(settled) if len(settled) else math.nan
    largest = float(settled.real.max()) if len(settled) else math.nan
    at_end = path_end(path[:, 0], path[:, 1])
    readings = {"rotation_index": index, "largest_real_part": largest}
    return Turning(readings | {f"path_{name}": x for name, x in at_end._asdict().items()}, path, values)


def _doubled(tree: Any) -> Any:
    """Return the tensors of a tree as float64, cut from their graphs."""
    return tree_map(lambda x: x.detach().double() if isinstance(x, Tensor) and x.is_floating_point() else x, tree)
