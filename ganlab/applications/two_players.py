"""What applications with a generator and a discriminator share: the two nets, and the step of algorithm 1.

The losses are the application's own, of more than a game of `game.py` is shown: labels, or pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from ganlab.applications import Training, largest, updated
from ganlab.learning import State
from ganlab.net import Net
from ganlab.optim import Numbers

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of a player's parameters and its opponent's."""


class Players(NamedTuple):
    """One member: what its two nets are now."""

    generator: State
    discriminator: State


class Nets(NamedTuple):
    """The two sides."""

    generator: Net
    discriminator: Net

    def begin(self, training: Training) -> Players:
        """Return all members' players before the first step."""
        return Players(training.initial(self.generator), training.initial(self.discriminator))


def alternate(
    players: Players, discriminator_loss: Loss, generator_loss: Loss, numbers: Numbers
) -> tuple[Players, dict[str, Tensor]]:
    """Return one member's players after the discriminator's step and then the generator's, and what must stay finite.

    Source: Goodfellow et al. 2014, algorithm 1, with one step of the discriminator.
    """
    g, d = players
    d, d_loss = updated(lambda psi: discriminator_loss(psi, g.parameters), d, numbers)
    g, g_loss = updated(lambda theta: generator_loss(theta, d.parameters), g, numbers)
    return Players(g, d), {"discriminator loss": d_loss, "generator loss": g_loss, **largest(discriminator=d, generator=g)}
