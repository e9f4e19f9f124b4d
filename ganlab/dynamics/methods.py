"""GAN methods on the Dirac-GAN with what is known about each: eigenvalues in closed form, and the verdicts of the literature.

A verdict of the literature is for the flow x' = v, for simultaneous or for alternating steps, generator first, that are small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ganlab.dynamics.games import GAMES

PLAYS: dict[str, dict[str, Any]] = {
    "flow": {"rule": "runge_kutta"},
    "simultaneous": {"rule": "simultaneous"},
    "alternating": {"rule": "alternating"},
    "5 discriminator steps": {"rule": "alternating", "n_critic": 5},
    "extragradient": {"rule": "extragradient"},
    "optimistic": {"rule": "optimistic"},
}
"""Ways in which two players move: settings of `simulate` by name. The flow is what all others approach with small steps."""


class Method(NamedTuple):
    """A GAN method as an analytic game."""

    game: str
    numbers: Mapping[str, Any]
    eigenvalues: tuple[complex, complex] | None
    """Of the Jacobian at the equilibrium, in closed form, lowest first; None where the field jumps."""
    formula: str
    published: Mapping[str, str]
    """Verdict by name in `PLAYS`, where the literature states one."""

    @property
    def source(self) -> str:
        """Where the game is from."""
        return GAMES.entry(self.game).source

    @property
    def largest_step(self) -> float:
        """Step size below which simultaneous steps attract small distances: 2|Re|/|eigenvalue|^2; 0 for none."""
        values = np.array(self.eigenvalues if self.eigenvalues else [0j, 0j])
        return float((2 * -values.real / np.abs(values) ** 2).min()) if (values.real < 0).all() else 0.0


def pair(mean: float, discriminant: float) -> tuple[complex, complex]:
    """Return mean -+ sqrt(discriminant)."""
    root: NDArray[np.complex128] = np.emath.sqrt(discriminant)
    return complex(mean - root), complex(mean + root)


def _everywhere(word: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names or ("flow", "simultaneous", "alternating"), word)


TURNS = {"flow": "cycles", "simultaneous": "diverges", "alternating": "cycles", "5 discriminator steps": "cycles"}
SLOW = {"flow": "converges sublinearly", "simultaneous": "cycles", "alternating": "converges sublinearly"}

METHODS: dict[str, Method] = {
    "GAN": Method("dirac_gan", {}, pair(0, -1 / 4), "±i/2", TURNS),
    "NS-GAN": Method("dirac_non_saturating", {}, pair(0, -1 / 4), "±i/2", SLOW),
    "RpGAN": Method("dirac_relativistic", {}, pair(0, -1 / 4), "±i/2", TURNS),
    "WGAN clip 1": Method("dirac_wgan", {"clip": 1.0}, pair(0, -1), "±i", _everywhere("cycles")),
    "WGAN-GP 0.7": Method(
        "dirac_wgan_gp", {"weight": 0.7, "target": 1.0}, None, "none: the field jumps", _everywhere("cycles")
    ),
    "instance noise 0.7": Method(
        "dirac_instance_noise", {"std": 0.7}, pair(-0.49 / 4, 0.49**2 / 16 - 1 / 4), "-s²/4 ± √(s⁴/16 - 1/4)",
        _everywhere("converges"),
    ),
    "GAN + R1 0.3": Method(
        "dirac_gan", {"r1": 0.3}, pair(-0.15, 0.15**2 - 1 / 4), "-w/2 ± √(w²/4 - 1/4)", _everywhere("converges")
    ),
    "GAN + R1 1.0": Method("dirac_gan", {"r1": 1.0}, pair(-0.5, 0), "-w/2 ± √(w²/4 - 1/4)", _everywhere("converges")),
    "NS-GAN + R1 0.3": Method(
        "dirac_non_saturating", {"r1": 0.3}, pair(-0.15, 0.15**2 - 1 / 4), "-w/2 ± √(w²/4 - 1/4)", _everywhere("converges")
    ),
    "consensus 1.0": Method(
        "dirac_consensus", {"gamma": 1.0}, pair(-0.25, -1 / 4), "-w/4 ± i/2", _everywhere("converges", "flow", "simultaneous")
    ),
}  # fmt: skip
"""Settings of the notebook of Mescheder, Geiger and Nowozin 2018. R1, R2 and the zero-centred penalty are one here."""
