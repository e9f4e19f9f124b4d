"""What becomes of a path on an analytic game, read off its distances to the equilibrium; and maps of it over two step sizes.

The games draw nothing, so a path from one start is all there is to see of it, and a verdict has no sampling error. What it can
get wrong is the long run: a path too short to tell is "undecided", and a fall that will end later looks like one that goes on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, islice, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ganlab.dynamics import jacobian, play_of, simulate
from ganlab.dynamics.games import GAMES, Array
from ganlab.dynamics.rules import simultaneous
from ganlab.registry import InputError

Verdicts = NDArray[np.str_]
VERDICTS = ("converges", "converges sublinearly", "cycles", "diverges", "undecided")

GONE = 1e-8
"""A path that is this much nearer than it started has arrived, whatever round-off does to it then."""

ROUNDING = 1e-12
"""A distance smaller than the one before by less than this may be so by round-off."""

STILL = 0.01
"""Change of the envelope's logarithm, per doubling of steps, up to which it stands still. Near the equilibrium, with 4096 steps
of 0.2, paths that circle change by less than 0.003, and the slowest that converge by 0.3."""

SHORTEST = 64
"""Steps without which the windows of the envelope have too few points."""

NEAR = 1e-6
"""Distance at which fields are linear to 1e-12, and round-off is far below `GONE`."""


def verdict(distances: ArrayLike) -> str:
    """Return what a path does, one of `VERDICTS`, from its distances to the equilibrium, `[step]`.

    The envelope is the largest distance after 1/8, up to 1/4, up to 1/2 and up to all of the steps; a and b are the changes of
    its logarithm from one of these windows to the next.

    - "diverges": no longer finite; or never nearer than a step before; or a and b above 0, and b at least a / sqrt(2)
    - "converges": below 1e-8 of the start; or a and b below 0, and b at most sqrt(2) a. A factor per step has b = 2 a
    - "converges sublinearly": a and b below 0, and b between sqrt(2) a and a / sqrt(2). A power of the step has b = a
    - "cycles": a and b are 0, to 0.01
    - "undecided": else; on its way to a cycle, or with too few steps to tell

    Raises
    ------
    InputError
        For fewer than 64 steps.

    Example
    -------
    >>> n = np.arange(1, 1025)
    >>> verdict(0.99**n), verdict(n**-0.5), verdict(2 + np.sin(n)), verdict(1.01**n)
    ('converges', 'converges sublinearly', 'cycles', 'diverges')
    """
    return str(_verdicts(np.asarray(distances, dtype=np.float64)))


def _verdicts(distances: Array) -> Verdicts:
    """Return the verdict of each of many paths, `[...]`, from their distances, `[step, ...]`."""
    n = len(distances)
    if n <= SHORTEST:
        raise InputError(f"a verdict needs at least {SHORTEST} steps; got {n - 1}: take more steps")
    r = np.where(np.isfinite(distances), distances, math.inf)
    windows = pairwise(round(n / 2**k) for k in (3, 2, 1, 0))
    envelope = [r[begin:end].max(axis=0) for begin, end in windows]
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = np.diff(np.log(envelope), axis=0)
    outward = (r[1:] >= r[:-1] * (1 - ROUNDING)).all(axis=0) & (r[-1] > r[0] * (1 + STILL))
    falls, grows, still = (a < -STILL) & (b < -STILL), (a > STILL) & (b > STILL), (abs(a) <= STILL) & (abs(b) <= STILL)
    conditions = [
        envelope[-1] <= GONE * r[0],
        np.isinf(envelope[-1]) | outward | (grows & (b >= a / math.sqrt(2))),
        falls & (b <= math.sqrt(2) * a),
        falls & (b <= a / math.sqrt(2)),
        still,
    ]
    return np.select(conditions, ["converges", "diverges", "converges", "converges sublinearly", "cycles"], "undecided")


def long_run(near: ArrayLike, far: ArrayLike) -> Verdicts:
    """Return the verdict on a method, `[...]`, from those on paths that start next to the equilibrium and away from it.

    Theory speaks of the near path. Where that grows or stands still, terms beyond the linear ones decide, which only the far
    path has: a near path that grows and a far one that circles are two sides of one limit cycle.

    Example
    -------
    >>> long_run(["converges", "diverges", "cycles"], ["undecided", "cycles", "converges sublinearly"]).tolist()
    ['converges', 'cycles', 'converges sublinearly']
    """
    near, far = np.asarray(near), np.asarray(far)
    neutral = (near == "cycles") & ~np.isin(far, ["converges sublinearly", "diverges"])
    return np.where((near == "converges") | neutral, near, far)


class Judged(NamedTuple):
    """A method's verdict with what it rests on."""

    verdict: str
    near: str
    """Verdict on the path from a distance of 1e-6."""
    far: str
    """Verdict on the path from the game's own start."""
    path: NDArray[np.float64]
    """The far path, `[steps + 1, player]`."""
    distances: NDArray[np.float64]
    """Of the far path to the equilibrium, `[steps + 1]`."""


def judge(
    game_name: str, /, *, rule: str = "simultaneous", step_size: float = 0.2, steps: int = 4096, **numbers: float
) -> Judged:
    """Return the verdict on an update rule on a game; settings as in `simulate`.

    Example
    -------
    >>> judge("dirac_non_saturating", rule="alternating")[:3]
    ('converges sublinearly', 'cycles', 'converges sublinearly')
    """
    starts, goal = _starts(game_name)
    path = simulate(game_name, rule=rule, step_size=step_size, steps=steps, start=starts, **numbers)
    with np.errstate(all="ignore"):
        distances = np.linalg.norm(path - goal, axis=-1)
    near, far = _verdicts(distances)
    return Judged(str(long_run(near, far)), str(near), str(far), path[:, 1], distances[:, 1])


def _starts(game_name: str) -> tuple[Array, Array]:
    """Return a point near the equilibrium and the game's own start, `[2, player]`, and the equilibrium."""
    goal, far = (np.array(GAMES.entry(game_name).facts[name]) for name in ("equilibrium", "start"))
    off = NEAR * np.array([1.0, 0.2, 0.5, 0.7])  # on no eigenvector of the games here
    return np.stack([goal + off[: len(goal)], far]), goal


# --- two time scales -----------------------------------------------------------------------------------------------------


class Map(NamedTuple):
    """What simultaneous steps do over two step sizes."""

    verdicts: Verdicts
    """`[step size, ratio]`"""
    radius: NDArray[np.float64]
    """Largest modulus of 1 + h eigenvalue, `[step size, ratio]`: below 1, small distances shrink."""


def two_time_scales(
    game_name: str, /, step_sizes: Sequence[float], ratios: Sequence[float], *, steps: int = 4096, **numbers: float
) -> Map:
    r"""Return what simultaneous steps do at each pair of step sizes, all pairs at once.

    A distance is that of :math:`(\theta, \psi/\sqrt\tau)`, in which the circles of a game that only turns stay circles.

    Parameters
    ----------
    step_sizes, ratios
        The generator's step size, and the discriminator's over it (tau).
    numbers
        Of the game, and `clip`.

    Raises
    ------
    InputError
        As `simulate` and `jacobian` do, and for fewer than 64 steps.

    Example
    -------
    The quadratic game converges above tau = 2 only (Fiez and Ratliff 2021):

    >>> two_time_scales("quadratic", [0.01], [1.5, 2.5], steps=2000).verdicts.tolist()
    [['diverges', 'converges']]
    """
    starts, goal = _starts(game_name)
    for size, ratio in ((max(step_sizes), max(ratios)), (min(step_sizes), min(ratios))):  # refuses what cannot be
        simulate(game_name, rule="simultaneous", steps=1, start=starts, step_size=size, tau=ratio, **numbers)
    play = play_of(game_name, numbers)
    h, tau = np.meshgrid(step_sizes, ratios, indexing="ij")
    generator = np.arange(len(goal)) < len(goal) // 2
    rates, scale = (np.where(generator, 1.0, x[..., None]) for x in (tau, np.sqrt(tau)))
    rates = h[..., None] * rates
    x = np.broadcast_to(starts[:, None, None], (2, *rates.shape))
    with np.errstate(all="ignore"):
        points = chain([x], islice(simultaneous(play, x, rates), steps))
        near, far = _verdicts(np.stack([np.linalg.norm((point - goal) / scale, axis=-1) for point in points]))
    map_of_small = np.eye(len(goal)) + rates[..., None] * jacobian(game_name, None, **numbers)
    return Map(long_run(near, far), np.abs(np.linalg.eigvals(map_of_small)).max(axis=-1))
