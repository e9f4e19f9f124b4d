"""Objectives: what the two players minimise, a function each of the discriminator's raw outputs (logits).

Facts that other code relies on are registered with each: `threshold`, the logit at which the discriminator is undecided
(None for a critic, whose logits have no zero point), and `pairs`, whether the generator's loss needs the real logits too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus

from ganlab.registry import Registry


class Losses(NamedTuple):
    """Scalar losses that the players minimise."""

    discriminator: Tensor
    generator: Tensor


OBJECTIVES: Registry[Callable[[Tensor, Tensor], Losses]] = Registry("objective")


@OBJECTIVES.register(source="Goodfellow et al. 2014, equation 1", threshold=0.0, pairs=False)
def minimax(real: Tensor, fake: Tensor) -> Losses:
    r"""Saturating: the generator minimises :math:`\log(1 - D(G(z)))`, the game's own value."""
    return Losses(softplus(-real).mean() + softplus(fake).mean(), -softplus(fake).mean())


@OBJECTIVES.register(source="Goodfellow et al. 2014, section 3", threshold=0.0, pairs=False)
def non_saturating(real: Tensor, fake: Tensor) -> Losses:
    r"""The generator minimises :math:`-\log D(G(z))`, which keeps its gradient when the discriminator wins."""
    return Losses(softplus(-real).mean() + softplus(fake).mean(), softplus(-fake).mean())


@OBJECTIVES.register(source="Mao et al. 2017, equation 9 (a=0, b=c=1)", threshold=0.5, pairs=False)
def least_squares(real: Tensor, fake: Tensor) -> Losses:
    """Squared distance of the logits to 1 for real and 0 for fake; the generator wants 1."""
    return Losses(
        0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean(),
        0.5 * (fake - 1).square().mean(),
    )


@OBJECTIVES.register(source="Lim and Ye 2017, Geometric GAN", threshold=0.0, pairs=False)
def hinge(real: Tensor, fake: Tensor) -> Losses:
    """A margin of 1 on each side of the decision; the generator raises its logits without bound."""
    return Losses(relu(1 - real).mean() + relu(1 + fake).mean(), -fake.mean())


@OBJECTIVES.register(source="Arjovsky, Chintala and Bottou 2017, equation 2", threshold=None, pairs=False)
def wasserstein(real: Tensor, fake: Tensor) -> Losses:
    """Difference of the critic's means; needs a constraint on the critic's slope."""
    return Losses(fake.mean() - real.mean(), -fake.mean())


@OBJECTIVES.register(source="Jolicoeur-Martineau 2019; Huang et al. 2024 (R3GAN)", threshold=None, pairs=True)
def relativistic(real: Tensor, fake: Tensor) -> Losses:
    """Real against fake in pairs: only the difference of their logits counts."""
    return Losses(softplus(fake - real).mean(), softplus(real - fake).mean())
