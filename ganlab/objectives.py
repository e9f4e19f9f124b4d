"""Objectives: what the two players minimise, a function each of the discriminator's raw outputs (logits).

Facts that other code relies on are registered with each: `threshold`, the logit at which the discriminator is undecided
(None for a critic, whose logits have no zero point), and `pairs`, whether the generator's loss needs the real logits too.
Losses that grow exponentially in the logits say so by `grows`: they overflow float32 near 89.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from ganlab.registry import Registry

LOG_2 = math.log(2)


class Losses(NamedTuple):
    """Scalar losses that the players minimise."""

    discriminator: Tensor
    generator: Tensor


OBJECTIVES: Registry[Callable[[Tensor, Tensor], Losses]] = Registry("objective")


@OBJECTIVES.register(source="Goodfellow et al. 2014, equation 1", threshold=0.0, pairs=False)
def minimax(real: Tensor, fake: Tensor) -> Losses:
    r"""Saturating: the generator minimises :math:`\log(1 - D(G(z)))`, the game's own value."""
    return Losses(softplus(-real).mean() + softplus(fake).mean(), -softplus(fake).mean())


@OBJECTIVES.register(source="Goodfellow et al. 2014, equation 1; Metz et al. 2017, equation 10", threshold=0.0, pairs=True)
def zero_sum(real: Tensor, fake: Tensor) -> Losses:
    """Minimax in full: the generator's loss is minus the discriminator's, real samples included.

    They matter to a generator that looks through the discriminator's updates; else it moves as under `minimax`.
    """
    value = softplus(-real).mean() + softplus(fake).mean()
    return Losses(value, -value)


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


@OBJECTIVES.register(source="Jolicoeur-Martineau 2019, equations 7 and 8 (RaSGAN)", threshold=None, pairs=True)
def relativistic_average(real: Tensor, fake: Tensor) -> Losses:
    """Each logit against the mean logit of the other side."""
    above_fake, above_real = real - fake.mean(), fake - real.mean()
    return Losses(
        softplus(-above_fake).mean() + softplus(above_real).mean(),
        softplus(-above_real).mean() + softplus(above_fake).mean(),
    )


@OBJECTIVES.register(source="Lin 2017, Softmax GAN, equations 4 and 5", threshold=None, pairs=True)
def softmax(real: Tensor, fake: Tensor) -> Losses:
    """All samples of the batch share one softmax: the discriminator gives its mass to real, the generator to all alike."""
    both = torch.cat([real, fake])
    log_total = torch.logsumexp(both, 0)
    return Losses(log_total - real.mean(), log_total - both.mean())


@OBJECTIVES.register(source="Hjelm et al. 2018, equation 10 (continuous boundary seeking)", threshold=0.0, pairs=False)
def boundary_seeking(real: Tensor, fake: Tensor) -> Losses:
    r"""The generator brings its samples to the decision boundary, :math:`\frac12 E(\log D - \log(1 - D))^2`."""
    return Losses(softplus(-real).mean() + softplus(fake).mean(), 0.5 * fake.square().mean())


@OBJECTIVES.register(source="Sonderby et al. 2017, section 3; Srivastava et al. 2017, algorithm 1", threshold=0.0, pairs=False)
def density_ratio(real: Tensor, fake: Tensor) -> Losses:
    """The discriminator's logit estimates log p/q, and the generator minimises the KL divergence KL(q, p) it stands for."""
    return Losses(softplus(-real).mean() + softplus(fake).mean(), -fake.mean())


@OBJECTIVES.register(source="Dumoulin et al. 2017 (ALI), algorithm 1", threshold=0.0, pairs=True)
def two_sided(real: Tensor, fake: Tensor) -> Losses:
    """The generator's side wants both sides mistaken: for players that make the real pairs too, by an encoder."""
    return Losses(softplus(-real).mean() + softplus(fake).mean(), softplus(real).mean() + softplus(-fake).mean())


@OBJECTIVES.register(source="Donsker and Varadhan 1983; Belghazi et al. 2018 (MINE), equation 9", threshold=None, pairs=False)
def donsker_varadhan(real: Tensor, fake: Tensor) -> Losses:
    r"""The KL divergence :math:`KL(p, q) = \sup_T E_p T - \log E_q e^T`; the generator minimises the same value."""
    log_mean = torch.logsumexp(fake, 0) - math.log(len(fake))
    return Losses(log_mean - real.mean(), -log_mean)


# --- f-GAN: Nowozin, Cseke and Tomioka 2016 ------------------------------------------------------------------------------
#
# D_f(p, q) = sup_T E_p T - E_q f*(T) with T = g(v), v the logit; table 6 has g, table 5 has f*. The generator minimises the
# same value. Written as functions of v, where f*(g(v)) is simpler than either.


@OBJECTIVES.register(source="Nowozin et al. 2016, f-GAN, tables 5 and 6", threshold=1.0, pairs=False, grows="exponentially")
def f_kl(real: Tensor, fake: Tensor) -> Losses:
    r"""f-GAN, Kullback-Leibler: :math:`T = v,\ f^*(T) = e^{v-1}`."""
    conjugate = torch.exp(fake - 1).mean()
    return Losses(conjugate - real.mean(), -conjugate)


@OBJECTIVES.register(source="Nowozin et al. 2016, f-GAN, tables 5 and 6", threshold=0.0, pairs=False, grows="exponentially")
def f_reverse_kl(real: Tensor, fake: Tensor) -> Losses:
    r"""f-GAN, reverse Kullback-Leibler: :math:`T = -e^{-v},\ f^*(T) = v - 1`."""
    conjugate = (fake - 1).mean()
    return Losses(conjugate + torch.exp(-real).mean(), -conjugate)


@OBJECTIVES.register(source="Nowozin et al. 2016, f-GAN, tables 5 and 6", threshold=0.0, pairs=False)
def f_pearson(real: Tensor, fake: Tensor) -> Losses:
    r"""f-GAN, Pearson chi-square: :math:`T = v,\ f^*(T) = v^2/4 + v`."""
    conjugate = (0.25 * fake.square() + fake).mean()
    return Losses(conjugate - real.mean(), -conjugate)


@OBJECTIVES.register(source="Nowozin et al. 2016, f-GAN, tables 5 and 6", threshold=0.0, pairs=False, grows="exponentially")
def f_hellinger(real: Tensor, fake: Tensor) -> Losses:
    r"""f-GAN, squared Hellinger: :math:`T = 1 - e^{-v},\ f^*(T) = e^v - 1`."""
    conjugate = (torch.exp(fake) - 1).mean()
    return Losses(conjugate - (1 - torch.exp(-real)).mean(), -conjugate)


@OBJECTIVES.register(source="Nowozin et al. 2016, f-GAN, tables 5 and 6", threshold=0.0, pairs=False)
def f_jensen_shannon(real: Tensor, fake: Tensor) -> Losses:
    r"""f-GAN, Jensen-Shannon: :math:`T = \log 2 - \log(1 + e^{-v}),\ f^*(T) = \log(1 + e^v) - \log 2`."""
    conjugate = (softplus(fake) - LOG_2).mean()
    return Losses(conjugate - (LOG_2 - softplus(-real)).mean(), -conjugate)
