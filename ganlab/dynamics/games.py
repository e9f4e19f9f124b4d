"""Vector fields of small games with known answers: `(theta, psi, numbers) -> (theta-dot, psi-dot)`, a function each.

theta-dot is the generator's descent and psi-dot the discriminator's ascent, `[..., k]` each: many points at once have leading
axes. In a Dirac-GAN the data lie at 0, the generator's sample at theta, D(x) = psi x, and f(t) = -log(1 + exp(-t)). Fields take
complex numbers too, for derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganlab.registry import Registry

Array = NDArray[Any]
Pair = tuple[Array, Array]

GAMES: Registry[Callable[..., Pair]] = Registry("analytic game")
"""Registered with each: `equilibrium`, `[theta, psi]`, and `start`, the source's first point."""

NOTEBOOK = "Mescheder, Geiger and Nowozin 2018, notebook diracgan"
DIRAC: dict[str, Any] = {"equilibrium": (0.0, 0.0), "start": (1.0, 1.0)}


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(128) / np.array([[1.0], [math.sqrt(2 * math.pi)]])
"""Standard normal expectation: to 1e-14 while |psi| std < 2, to 1e-7 while it is < 4, as poles come nearer the real line."""


def _slope(t: Array) -> Array:
    """Return f'(t) = sigma(-t). Above 700 it is below 1e-304, and the exponential of a complex number would overflow."""
    return 1 / (1 + np.exp(np.minimum(t, 700.0)))


@GAMES.register(source="Mescheder, Geiger and Nowozin 2018, definition 2.1", **DIRAC)
def dirac_gan(theta: Array, psi: Array, *, r1: float = 0.0) -> Pair:
    r"""Minimax of :math:`f(\psi\theta) - \frac{r_1}{2}\psi^2`, in which R1, R2 and the zero-centred penalty are one."""
    slope = _slope(psi * theta)
    return -psi * slope, theta * slope - r1 * psi


@GAMES.register(source=f"Goodfellow et al. 2014, section 3; {NOTEBOOK}", **DIRAC)
def dirac_non_saturating(theta: Array, psi: Array, *, r1: float = 0.0) -> Pair:
    r"""The generator maximises :math:`f(-\psi\theta)` in place of minimising :math:`f(\psi\theta)`."""
    return -psi * _slope(-psi * theta), theta * _slope(psi * theta) - r1 * psi


@GAMES.register(source=f"Arjovsky, Chintala and Bottou 2017; {NOTEBOOK}", clip=1.0, **DIRAC)
def dirac_wgan(theta: Array, psi: Array) -> Pair:
    r"""The critic's value itself, :math:`\psi\theta`, with clipped :math:`\psi`."""
    return -psi, theta


@GAMES.register(source=f"Gulrajani et al. 2017; {NOTEBOOK}", **DIRAC)
def dirac_wgan_gp(theta: Array, psi: Array, *, weight: float = 0.7, target: float = 1.0) -> Pair:
    r"""Critic less :math:`\frac{w}{2}(|\psi| - target)^2`; the field jumps at :math:`\psi = 0`, so (0, 0) does not attract."""
    return -psi, theta - weight * (psi - target * np.sign(psi.real))


@GAMES.register(source=f"Sonderby et al. 2017; {NOTEBOOK}", **DIRAC)
def dirac_instance_noise(theta: Array, psi: Array, *, std: float = 0.7) -> Pair:
    """Gaussian noise on both sides; the expectation by Gauss-Hermite quadrature, where the notebook draws 1000 samples."""
    real, fake = std * NODES, theta + std * NODES
    slope = _slope(psi * fake)
    psi_dot = (fake * slope) @ WEIGHTS - (real * _slope(-psi * real)) @ WEIGHTS
    return -psi * (slope @ WEIGHTS)[..., None], psi_dot[..., None]


@GAMES.register(source=f"Mescheder, Nowozin and Geiger 2017, section 4; {NOTEBOOK}", **DIRAC)
def dirac_consensus(theta: Array, psi: Array, *, gamma: float = 1.0) -> Pair:
    r"""Minimax less the gradient of :math:`\frac\gamma2|v|^2`.

    The notebook has half of the second-order term; the linearisation at the equilibrium is the same.
    """
    slope = _slope(psi * theta)
    second = (theta**2 + psi**2) * slope * -slope * (1 - slope)
    theta_dot = -psi * slope - gamma * (theta * slope**2 + psi * second)
    return theta_dot, theta * slope - gamma * (psi * slope**2 + theta * second)


@GAMES.register(source="Jolicoeur-Martineau 2019; in minimax form, Sun, Fang and Schwing 2020", **DIRAC)
def dirac_relativistic(theta: Array, psi: Array, *, r1: float = 0.0) -> Pair:
    """Minimax of f(D(fake) - D(real)), the same field as `dirac_gan`, since D(real) is 0.

    The non-saturating pair of losses in `ganlab.objectives` has the field of `dirac_non_saturating`.
    """
    real = 0.0
    slope = _slope(psi * (theta - real))
    return -psi * slope, (theta - real) * slope - r1 * psi


# --- other games -------------------------------------------------------------------------------------------------------


@GAMES.register(source="Gidel et al. 2019, A variational inequality perspective on GANs", **DIRAC)
def bilinear(theta: Array, psi: Array) -> Pair:
    r"""The simplest game that turns, :math:`\min_\theta \max_\psi \theta\psi`."""
    return -psi, theta


@GAMES.register(
    source="Fiez and Ratliff 2021, released notebook stability", equilibrium=(0.0, 0.0, 0.0, 0.0), start=(5.0, 4.0, 3.0, 2.0)
)
def quadratic(theta: Array, psi: Array) -> Pair:
    r"""Minimax that converges for :math:`\tau > 2` only, though the equilibrium is a strict local minmax for any.

    .. math:: -2\theta_1^2 + \theta_2^2 - 4\theta_1\psi_1 + 2\theta_2\psi_2 - \psi_1^2 - 2\psi_2^2
    """
    a, b, d = np.array([-4.0, 2.0]), np.array([-4.0, 2.0]), np.array([-2.0, -4.0])
    return -a * theta - b * psi, b * theta + d * psi


@GAMES.register(
    source="Daskalakis et al. 2018, Training GANs with optimism, and released code",
    equilibrium=(3.0, 4.0, 0.0, 0.0),
    start=(1.7, 1.7, 1.4, 1.4),
)
def mean_wgan(theta: Array, psi: Array) -> Pair:
    r"""WGAN that learns a Gaussian's mean (3, 4), in expectation: :math:`D(x) = \psi^T x`, :math:`G(z) = z + \theta`."""
    return psi, np.array([3.0, 4.0]) - theta
