"""Better classifiers through semi-supervised learning: few labels, many images without one, and a GAN.

The discriminator gives a score for each class and none for fakes: the logit of "real" is the logarithm of the scores' summed
exponentials. So every image, with a label or without, teaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from ganlab import applications, rng
from ganlab.applications import APPLICATIONS, Application, Found, Training, accuracies, few, perceptron
from ganlab.applications.two_players import Nets, Players, alternate
from ganlab.data.images import LabelledImages
from ganlab.draws import BLOCK
from ganlab.engine import MAPS, stack
from ganlab.experiment import at_least
from ganlab.optim import Numbers


class Batch(NamedTuple):
    """The draws of one step."""

    x: Tensor
    """Images with a label, `[batch, pixel]`."""
    y: Tensor
    """Their classes, int64 `[batch]`."""
    real: Tensor
    """Images whose label nobody knows, `[batch, pixel]`."""
    latent: Tensor
    """`[player, batch, latent]`"""


def discriminator_loss(nets: Nets, psi: Tensor, theta: Tensor, batch: Batch, weight: Tensor) -> Tensor:
    r"""Return the loss of classes and, with its weight, that of real against fake, in nats.

    With scores s and :math:`D(x) = Z / (Z + 1), Z = \sum_k \exp s_k(x)`:
    :math:`-E \log p(y | x) - w (E \log D(x) + E \log(1 - D(G(z))))`. With weight 0 it is the cross-entropy of the labelled.
    """
    scores = partial(nets.discriminator.apply, psi)
    real, fake = (scores(x).logsumexp(1) for x in (batch.real, nets.generator.apply(theta, batch.latent[0])))
    return cross_entropy(scores(batch.x), batch.y) + weight * (softplus(-real).mean() + softplus(fake).mean())


def generator_loss(nets: Nets, theta: Tensor, psi: Tensor, batch: Batch) -> Tensor:
    r"""Return the non-saturating loss, :math:`-E \log D(G(z))`, in nats.

    The paper matches features in its place, which with perceptrons this small and without their noise was worse than no GAN.
    """
    fake = nets.generator.apply(theta, batch.latent[1])
    return softplus(-nets.discriminator.apply(psi, fake).logsumexp(1)).mean()


def step(nets: Nets, players: Players, batch: Batch, numbers: Numbers) -> tuple[Players, dict[str, Tensor]]:
    """Return one member's players after one step, and what must stay finite."""
    return alternate(
        players,
        lambda psi, theta: discriminator_loss(nets, psi, theta, batch, numbers["unlabelled"]),
        lambda theta, psi: generator_loss(nets, theta, psi, batch),
        numbers,
    )


def unlabelled(training: Training) -> Tensor:
    """Return the images whose label nobody asks for: all training images, `[n, pixel]`."""
    return training.split.x


def learn(training: Training) -> Found:
    """Return what becomes of all members: `test_accuracy`, and `train_accuracy` on the labelled images."""
    s, split, pool = training.settings, training.split, unlabelled(training)
    nets = Nets(  # from latents to pixels, and from pixels to a score for each class
        perceptron(s["latent"], training.n_pixels, s["hidden_generator"], "generator", norm="batch", output="tanh"),
        perceptron(
            training.n_pixels, training.images.n_classes, s["hidden_discriminator"], "discriminator", activation="leaky_relu"
        ),
    )
    streams, latents = training.stream("data"), training.stream("latent")
    labelled = [few(split.y, s["labels"], stream) for stream in streams]

    def draw(chosen: Tensor, stream: torch.Generator, latent: torch.Generator) -> Batch:
        some = chosen[torch.randint(len(chosen), (BLOCK, s["batch"]), generator=stream)]
        any_one = torch.randint(len(pool), (BLOCK, s["batch"]), generator=stream)
        z = rng.normal((BLOCK, 2, s["batch"], s["latent"]), latent)
        return Batch(split.x[some], split.y[some], pool[any_one], z)

    def look(players: Players, own: Tensor) -> dict[str, Tensor]:
        return accuracies(partial(nets.discriminator.apply, players.discriminator.parameters), split, own)

    looks, own = MAPS[training.engine](look), stack(labelled)
    fitted = training.fit(
        partial(step, nets),
        nets.begin(training),
        lambda: stack([draw(*one) for one in zip(labelled, streams, latents, strict=True)]),
        lambda players: looks(players, own),
    )
    return Found(fitted, {}, {})


def _check(settings: Mapping[str, Any], images: LabelledImages) -> None:
    applications.check_labels(settings, images)
    at_least("latent", settings["latent"])


APPLICATIONS.add(
    "semi_supervised",
    Application(
        learn,
        {"labels": 100, "batch": 32, "latent": 32, "hidden_generator": (64, 64), "hidden_discriminator": (64, 64)},
        {"unlabelled": (0.0, 1.0)},
        _check,
    ),
    source="Salimans et al. 2016, section 5; the generator non-saturating as in Odena 2016",
    summary="A classifier from few labels, with and without a GAN on images that have none.",
)
