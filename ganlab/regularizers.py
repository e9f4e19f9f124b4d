"""Regularisers: what a player is asked for beside its objective, a function each of everything there is to see in its turn.

`(turn) -> scalar`, added to the loss of the player named by `player` ("both" for either) with its weight. Penalties on the
discriminator's slope alone are in `penalties.py`; which parts go together is told by `parts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, normalize

from ganlab.registry import Registry

CATEGORIES_OF_FAKES = ("classification", "information", "identification")
"""Regularisers that need a score for each category from the discriminator, after its logit."""

SMALL = 1e-5
"""Keeps a ratio finite, as in the released code of mode seeking GANs; also the width of eigenvalues taken as equal."""


class Turn(NamedTuple):
    """What a regulariser may look at: one player's turn, read-only."""

    game: Any
    role: str
    """Whose turn it is, "generator" or "discriminator"."""
    theta: Tensor
    psi: Tensor
    batch: Any
    """This update's draws, see `ganlab.game.Batch`."""
    sample: Tensor
    """The generator's samples from these latents, `[batch, *shape]`."""
    real: Tensor
    """What the discriminator is shown of the data, `[pack, *shown]`."""
    fake: Tensor
    """What it is shown of the generator's samples."""
    real_scores: Tensor
    """The discriminator's outputs for `real`, `[pack, 1 + category]`: a logit, then a score for each category."""
    fake_scores: Tensor
    kept: Mapping[str, Tensor]
    """What the moving player remembers: "history", the mean of its past parameters."""


REGULARIZERS: Registry[Callable[[Turn], Tensor]] = Registry("regulariser")


@REGULARIZERS.register(source="Salimans et al. 2016, section 3.4", player="discriminator")
def label_smoothing(turn: Turn) -> Tensor:
    """The mean logit of real samples: with weight e it moves the target of real from 1 to 1 - e, for real samples only.

    Exactly so for cross-entropy, where softplus(-r) + e r = (1 - e) softplus(-r) + e softplus(r), and for least squares up to a
    constant.
    """
    return turn.real_scores[:, 0].mean()


@REGULARIZERS.register(source="Salimans et al. 2016, section 3.3", player="both")
def historical_averaging(turn: Turn) -> Tensor:
    """Squared distance of a player's parameters to the mean of their past."""
    own = turn.theta if turn.role == "generator" else turn.psi
    return (own - turn.kept["history"]).square().sum()


@REGULARIZERS.register(source="Brock et al. 2017; Brock, Donahue and Simonyan 2019, equation 2", player="discriminator")
def orthogonal(turn: Turn) -> Tensor:
    r"""Distance of the discriminator's weights to orthogonal matrices, :math:`\sum_l |W W^T - I|_F^2` on the shorter side."""
    total = turn.psi.new_zeros(())
    for weight in turn.game.nets[1].unflatten(turn.psi).values():
        if weight.ndim > 1:
            w = weight.flatten(1)
            gram = w @ w.T if len(w) <= w.shape[1] else w.T @ w
            total = total + (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()
    return total


@REGULARIZERS.register(source="Nagarajan and Kolter 2017, equation 5", player="generator")
def discriminator_gradient(turn: Turn) -> Tensor:
    """Squared norm of the gradient that the discriminator sees: the generator goes where the other has nothing to do."""
    gradient = torch.func.grad(turn.game.objective_of_discriminator)(turn.psi, turn.theta, turn.batch)
    return gradient.square().sum()


@REGULARIZERS.register(source="Mao et al. 2019 (MSGAN), equation 4 and released code", player="generator")
def mode_seeking(turn: Turn) -> Tensor:
    """Distance of two latents over that of their samples, each a mean of absolute differences over the batch's halves."""
    half = len(turn.sample) // 2
    one, other = turn.sample[:half], turn.sample[half : 2 * half]
    z = turn.batch.latent[:, : turn.game.latent]  # without the category, which the paper has the same in both halves
    z_one, z_other = z[:half], z[half : 2 * half]
    ratio = (one - other).abs().mean() / (z_one - z_other).abs().mean()
    return 1 / (ratio + SMALL)


@REGULARIZERS.register(source="Elfeki et al. 2019 (GDPP), equations 6 and 7", player="generator")
def gdpp(turn: Turn) -> Tensor:
    """Distance of the spectrum of the fakes' kernel to the real samples': its eigenvalues, and the cosines of its eigenvectors.

    The kernel is that of the features before the discriminator's last layer, each sample scaled to length 1, on the side of the
    features: its eigenvalues are those of the batch's kernel without the zeros. The paper compares eigenvectors on the side of
    the batch and sums where this takes means. Eigenvectors whose eigenvalues are closer than `SMALL` have no direction of their
    own, and give no gradient.
    """
    net = turn.game.nets[1]
    real_values, real_vectors = _spectrum(net.features(turn.psi, turn.real).detach())
    fake_values, fake_vectors = _spectrum(net.features(turn.psi, turn.fake))
    share = (real_values - real_values.min()) / (real_values.max() - real_values.min() + SMALL)
    cosines = (real_vectors * fake_vectors).sum(0).abs()
    return (real_values - fake_values).square().mean() + (share * (1 - cosines)).mean()


@REGULARIZERS.register(source="Odena, Olah and Shlens 2017 (ACGAN), equations 2 and 3", player="both")
def classification(turn: Turn) -> Tensor:
    """Cross-entropy of the categories of real and fake samples, which both players want to be low, in nats."""
    label = turn.batch.latent[:, -turn.game.categories :]
    return _cross_entropy(turn.real_scores, label) + _cross_entropy(turn.fake_scores, label)


@REGULARIZERS.register(source="Chen et al. 2016 (InfoGAN), equation 5", player="both")
def information(turn: Turn) -> Tensor:
    """Cross-entropy of the code read off a fake sample: minus the bound of its information about the code, up to a constant."""
    return _cross_entropy(turn.fake_scores, turn.batch.latent[:, -turn.game.categories :])


@REGULARIZERS.register(source="Ghosh et al. 2018 (MAD-GAN), equation 2", player="discriminator")
def identification(turn: Turn) -> Tensor:
    """Cross-entropy of which generator made a fake sample: the discriminator's alone, and it drives the generators apart."""
    return _cross_entropy(turn.fake_scores, turn.batch.latent[:, -turn.game.categories :])


@REGULARIZERS.register(source="Srivastava et al. 2017 (VEEGAN), equation 3", player="generator")
def reconstruction(turn: Turn) -> Tensor:
    r"""The latent against what the encoder makes of its sample, :math:`E|z - F(G(z))|^2`."""
    encoded = turn.game.nets[0].apply(turn.theta, turn.sample, part="encoder")
    return (turn.batch.latent - encoded).square().sum(1).mean()


def _cross_entropy(scores: Tensor, category: Tensor) -> Tensor:
    return -(category * log_softmax(scores[:, 1:], 1)).sum(1).mean()


def _spectrum(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues `[f]` and eigenvectors `[f, f]` of the kernel of features `[batch, f]`, with first-order gradients.

    With V fixed, V^T K V is diagonal; its diagonal moves as the eigenvalues do, and its other entries, over the eigenvalues'
    differences, turn the eigenvectors (perturbation theory). This is the gradient of `eigh` without its poles.
    """
    rows = normalize(features, dim=1)
    kernel = rows.T @ rows
    values, vectors = torch.linalg.eigh(kernel.detach())
    turned = vectors.T @ kernel @ vectors
    gap = values[None, :] - values[:, None]
    weight = torch.where(gap.abs() > SMALL, gap / (gap.square() + SMALL**2), 0.0)
    return turned.diagonal(), vectors + vectors @ (weight * (turned - turned.detach()))
