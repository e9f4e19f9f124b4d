"""Small games with known answers, update rules on them, Jacobians and eigenvalues: mathematics in float64, no nets.

A game is a vector field v = (theta-dot, psi-dot): the generator's descent and the discriminator's ascent. The Jacobian is that
of v, so that a negative real part means attraction; papers that write x' = -Jx have the opposite sign. A point is `[player]`:
the generator's coordinates, then as many of the discriminator; many points at once are `[..., player]`.

Every game has two numbers beside its own: `tau`, which multiplies psi-dot (rules see the field so multiplied), and `clip`,
which keeps the discriminator's coordinates within [-clip, clip] after every move. Fields are in `games.py`, update rules in
`rules.py`; players that are nets are in `ganlab.game`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganlab.dynamics.games import GAMES, Array
from ganlab.dynamics.rules import RULES, Play, derivative
from ganlab.experiment import at_least
from ganlab.registry import Entry, InputError, unknown

__all__ = ["GAMES", "RULES", "bilinear_contraction", "eigenvalues", "jacobian", "running_mean", "simulate", "velocity"]


def simulate(
    game_name: str,
    /,
    *,
    rule: str = "simultaneous",
    step_size: float = 0.2,
    steps: int = 500,
    start: ArrayLike | None = None,
    **numbers: float,
) -> NDArray[np.float64]:
    """Return the path of both players, `[steps + 1, ..., player]`, the start first and the generator's coordinates first.

    A path that leaves the range of float64 goes on as infinity or NaN; nothing is repaired.

    Parameters
    ----------
    game_name, rule
        Names in `GAMES` and `RULES`.
    step_size
        Step size h of both players, above 0; with `steps`, the default is the notebook's of Mescheder, Geiger and Nowozin 2018.
    start
        First point, `[player]`, or several, `[..., player]`; None for the game's own. Must lie within `clip`.
    numbers
        Of the game, of the rule, and `tau` and `clip`; see their signatures for names and defaults.

    Raises
    ------
    InputError
        For an unknown game, rule or number, and a number or start outside its range.

    Example
    -------
    Simultaneous steps leave the circle through (1, 0) at once, by sqrt(1 + h^2):

    >>> simulate("bilinear", step_size=0.5, steps=1, start=(1, 0)).tolist()
    [[1.0, 0.0], [1.0, 0.5]]
    """
    game, update = GAMES.entry(game_name), RULES.entry(rule)
    own, common, moving = _defaults(game), _common(game), _defaults(update)
    _check_numbers(f"number for {rule} on {game_name}", numbers, {**own, **common, **moving})
    _check("step_size", step_size)
    at_least("steps", steps)
    if both := own.keys() & moving.keys() & numbers.keys():
        advice = f"use {game_name} with simultaneous, or {rule} on another game"
        raise InputError(f"{game_name} and {rule} both read {both.pop()}; {advice}")
    x = _point(game, "start", game.facts["start"] if start is None else start)
    play = play_of(game_name, numbers)
    if not np.array_equal(play.project(x), x):
        clip = {**common, **numbers}["clip"]
        raise InputError(f"start must have psi within [-{clip}, {clip}], the clip; got {x.tolist()}; move start or widen clip")
    with np.errstate(all="ignore"):
        return np.stack([x, *islice(update.thing(play, x, step_size, **_filled(moving, numbers)), steps)])


def velocity(game_name: str, /, at: ArrayLike, **numbers: float) -> NDArray[np.float64]:
    """Return the field v = (theta-dot, tau psi-dot) at points `[..., player]`; numbers are the game's and `tau`.

    Example
    -------
    >>> velocity("bilinear", (2, 1), tau=3).tolist()
    [-1.0, 6.0]
    """
    game = GAMES.entry(game_name)
    _check_numbers(f"number for the field of {game_name}", numbers, {*_defaults(game), "tau"})
    return play_of(game_name, numbers).velocity(_point(game, "at", at))


def jacobian(game_name: str, /, at: Sequence[float] | None = None, **numbers: float) -> NDArray[np.float64]:
    r"""Return the Jacobian of the field, :math:`J_{ij} = \partial v_i / \partial x_j`, `[player, player]`.

    v = (theta-dot, tau psi-dot) and x' = v: an equilibrium attracts where all eigenvalues have a negative real part. Clipping
    is no part of it. Exact to round-off.

    Parameters
    ----------
    at
        Point, `[player]`; None for the game's equilibrium.
    numbers
        Of the game, and `tau`.

    Raises
    ------
    InputError
        Also where the field jumps, as that of `dirac_wgan_gp` does at psi = 0: there is no Jacobian.

    Example
    -------
    >>> jacobian("quadratic", tau=2)[0].tolist()
    [4.0, 0.0, 4.0, 0.0]
    """
    game = GAMES.entry(game_name)
    x = _point(game, "at", game.facts["equilibrium"] if at is None else at)
    if x.ndim != 1:
        raise InputError(f"at must be one point, {len(game.facts['equilibrium'])} numbers; got an array of shape {x.shape}")
    _check_numbers(f"number for the field of {game_name}", numbers, {*_defaults(game), "tau"})
    field = play_of(game_name, numbers).velocity
    result = derivative(field, x)
    for step in 1e-9 * np.eye(len(x)):
        if not np.allclose(field(x + step), field(x) + result @ step, rtol=1e-6, atol=1e-6):
            raise InputError(f"the field of {game_name} jumps at {x.tolist()}: no Jacobian there; ask at a point beside it")
    return result


def eigenvalues(game_name: str, /, at: Sequence[float] | None = None, **numbers: float) -> NDArray[np.complex128]:
    """Return the eigenvalues of `jacobian`, `[player]`, by real and then imaginary part, lowest first.

    Near an equilibrium, simultaneous steps h multiply by 1 + h eigenvalue: they attract where h < 2|Re|/|eigenvalue|^2 for
    each. A double eigenvalue is good to 1e-8 only, the root of round-off.

    Example
    -------
    >>> eigenvalues("bilinear").imag.tolist()
    [-1.0, 1.0]
    """
    return np.sort_complex(np.linalg.eigvals(jacobian(game_name, at, **numbers)).astype(np.complex128))


def bilinear_contraction(rule: str, step_size: float, **numbers: float) -> float:
    """Return the factor on the squared distance to (0, 0) in a step of the bilinear game, in the long run.

    Above 1 the rule diverges, below 1 it converges, and at 1 it circles. Closed forms, from the linear map of each rule on it.

    Example
    -------
    >>> bilinear_contraction("extragradient", 0.5)
    0.8125
    """
    entry = RULES.entry(rule)
    _check("step_size", step_size)
    _check_numbers(f"number for {rule}", numbers, _defaults(entry))
    return float(entry.facts["contraction"](step_size, **_filled(_defaults(entry), numbers)))


def running_mean(path: Array) -> Array:
    """Return the mean of all points up to each, `[steps + 1, player]`: the averaged iterates of Gidel et al. 2019, section 3.1.

    Example
    -------
    >>> running_mean(np.array([[0.0, 1.0], [2.0, 3.0]])).tolist()
    [[0.0, 1.0], [1.0, 2.0]]
    """
    return np.cumsum(path, axis=0) / np.arange(1, len(path) + 1)[:, None]


# --- names, numbers and points -----------------------------------------------------------------------------------------

_ABOVE_0 = ("a finite number above 0", lambda x: 0 < x < math.inf)
_AT_LEAST_0 = ("a finite number of at least 0", lambda x: 0 <= x < math.inf)

ALLOWED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "step_size": _ABOVE_0,
    "tau": _ABOVE_0,
    "clip": ("a number above 0, infinity for none", lambda x: x > 0),
    "r1": _AT_LEAST_0,
    "weight": _AT_LEAST_0,
    "target": _AT_LEAST_0,
    "std": _AT_LEAST_0,
    "gamma": _AT_LEAST_0,
    "momentum": ("a number above -1 and below 1", lambda x: -1 < x < 1),
    "alpha": ("a number above 0 and at most 1", lambda x: 0 < x <= 1),
    "n_critic": ("a whole number of at least 1", lambda x: isinstance(x, int) and x >= 1),
    "k": ("a whole number of at least 1", lambda x: isinstance(x, int) and x >= 1),
}
"""What a number may be, in words and as a test."""


def _defaults(entry: Entry[Any]) -> dict[str, Any]:
    """Return the numbers that a registered function takes by name, with their defaults."""
    parameters = inspect.signature(entry.thing).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _common(game: Entry[Any]) -> dict[str, float]:
    """Return the numbers that every game has, with their defaults for this one."""
    return {"tau": 1.0, "clip": game.facts.get("clip", math.inf)}


def _filled(defaults: Mapping[str, float], numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: numbers.get(name, default) for name, default in defaults.items()}


def _check(name: str, value: Any) -> None:
    words, holds = ALLOWED[name]
    if isinstance(value, bool) or not isinstance(value, Real) or not holds(value):
        raise InputError(f"{name} must be {words}; got {value!r}")


def _check_numbers(kind: str, numbers: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise InputError unless each number is known and is what the number of that name may be."""
    for name, value in numbers.items():
        if name not in known:
            raise InputError(unknown(kind, name, known))
        _check(name, value)


def _point(game: Entry[Any], name: str, given: Any) -> NDArray[np.float64]:
    """Return points of the game, `[..., player]`, as float64. Raises InputError when not finite or not of the game's size."""
    size = len(game.facts["equilibrium"])
    try:
        x = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be {size} finite numbers for {game.name}; got {given!r}") from error
    if x.shape[-1:] != (size,) or not np.isfinite(x).all():
        raise InputError(f"{name} must be {size} finite numbers for {game.name}, generator first; got {given!r}")
    return x


def play_of(game_name: str, numbers: Mapping[str, float]) -> Play:
    """Return the game with these numbers, and defaults for all others, filled in; their names are not checked."""
    game = GAMES.entry(game_name)
    own = _filled(_defaults(game), numbers)
    tau, clip = _filled(_common(game), numbers).values()
    half = len(game.facts["equilibrium"]) // 2

    def field(x: Array) -> Array:
        theta_dot, psi_dot = game.thing(x[..., :half], x[..., half:], **own)
        return np.concatenate([theta_dot, tau * psi_dot], axis=-1)

    def project(x: Array) -> Array:
        return x if clip == math.inf else np.concatenate([x[..., :half], np.clip(x[..., half:], -clip, clip)], axis=-1)

    return Play(field, project)
