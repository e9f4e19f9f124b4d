"""Image-to-image translation: from the edges of a digit to the digit, learned from pairs."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad, softplus

from ganlab.applications import APPLICATIONS, Application, Found, Training, perceptron
from ganlab.applications.two_players import Nets, Players, alternate
from ganlab.draws import BLOCK
from ganlab.engine import MAPS, stack
from ganlab.metrics.judge import judge_of
from ganlab.optim import Numbers

THRESHOLD = 2.0
"""Size of the slope from which a pixel is an edge: half of that beside a straight line between black and white."""

TESTED = 1000
"""Test images that are translated at a look: MNIST's ten thousand would take a gigabyte a member to judge."""

SHOWN = 64
"""Test images kept for looking at."""


def edges(images: Tensor) -> Tensor:
    """Return the edges of images `[n, h, w]` in [-1, 1]: 1 where the slope of grey (black 0, white 1) is steep, else -1.

    The slope is Sobel's; beyond its border an image goes on as it is there.

    Example
    -------
    >>> edges(torch.tensor([[[-1.0, -1.0, 1.0, 1.0, 1.0]] * 3]))[0, 1].tolist()
    [-1.0, 1.0, 1.0, -1.0, -1.0]

    Source: Sobel and Feldman 1968.
    """
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(images)
    grey = pad(((images + 1) / 2)[:, None], (1, 1, 1, 1), mode="replicate")
    slope = conv2d(grey, torch.stack([across, across.T])[:, None]).square().sum(1).sqrt()
    return torch.where(slope >= THRESHOLD, 1.0, -1.0).to(images)


class Batch(NamedTuple):
    """Pairs of one step: edges and the image they are of, `[batch, pixel]` each."""

    x: Tensor
    y: Tensor


def judged(nets: Nets, psi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the discriminator's logits of pairs, `[batch]`."""
    return nets.discriminator.apply(psi, torch.cat([x, y], 1))[:, 0]


def discriminator_loss(nets: Nets, psi: Tensor, theta: Tensor, batch: Batch) -> Tensor:
    r"""Return :math:`-\frac12 (E \log D(x, y) + E \log(1 - D(x, G(x))))`: half of it, so that it learns more slowly."""
    real = judged(nets, psi, batch.x, batch.y)
    fake = judged(nets, psi, batch.x, nets.generator.apply(theta, batch.x))
    return (softplus(-real).mean() + softplus(fake).mean()) / 2


def generator_loss(nets: Nets, theta: Tensor, psi: Tensor, batch: Batch, numbers: Numbers) -> Tensor:
    r"""Return :math:`-a E \log D(x, G(x)) + \lambda E |y - G(x)|_1`, the latter in the mean over pixels."""
    made = nets.generator.apply(theta, batch.x)
    adversarial = softplus(-judged(nets, psi, batch.x, made)).mean()
    return numbers["adversarial"] * adversarial + numbers["l1"] * (batch.y - made).abs().mean()


def step(nets: Nets, players: Players, batch: Batch, numbers: Numbers) -> tuple[Players, dict[str, Tensor]]:
    """Return one member's players after one step, and what must stay finite."""
    return alternate(
        players,
        lambda psi, theta: discriminator_loss(nets, psi, theta, batch),
        lambda theta, psi: generator_loss(nets, theta, psi, batch, numbers),
        numbers,
    )


def measured(made: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Return how far images `[n, pixel]` in [-1, 1] are from the true ones: mean absolute error in grey, and PSNR in dB.

    Grey goes from 0 to 1. PSNR is the mean over images of :math:`-10 \\log_{10}` of their mean squared error.
    """
    error = (made - truth) / 2
    return {"l1": error.abs().mean(), "psnr": (-10 * error.square().mean(1).log10()).mean()}


def learn(training: Training) -> Found:
    """Return what becomes of all members on the test images.

    Trace: `l1` (share of the way from black to white), `psnr` (dB) and `recognised`, the share of translations that a judge
    (`ganlab.metrics.judge`) takes for the true class; at the end the same of the input itself, as `reference_<name>`, and of
    the true images, as `judge_accuracy`. Samples by member: `inputs`, `truth`, `predicted [member, n, h, w]`.
    """
    s, split, shape = training.settings, training.split, training.images.train.shape[1:]
    n = training.n_pixels
    nets = Nets(  # from edges to an image, and from edges and an image, side by side, to a logit
        perceptron(n, n, s["hidden_generator"], "generator", output="tanh"),
        perceptron(2 * n, 1, s["hidden_discriminator"], "discriminator", activation="leaky_relu"),
    )
    true, classes = split.test_x[:TESTED], split.test_y[:TESTED]
    x, test_x = (edges(images.reshape(-1, *shape)).flatten(1) for images in (split.x, true))
    tell, streams = judge_of(training.images), training.stream("data")

    def draw(stream: torch.Generator) -> Batch:
        chosen = torch.randint(len(x), (BLOCK, s["batch"]), generator=stream)
        return Batch(x[chosen], split.x[chosen])

    def scores(made: Tensor) -> dict[str, Tensor]:
        right = (tell(made) == classes).to(made.dtype).mean()
        read = {**measured(made, true), "recognised": right}
        return {name: torch.where(torch.isfinite(made).all(), value, torch.nan) for name, value in read.items()}

    fitted = training.fit(
        partial(step, nets),
        nets.begin(training),
        lambda: stack([draw(stream) for stream in streams]),
        MAPS[training.engine](lambda players: scores(nets.generator.apply(players.generator.parameters, test_x))),
    )
    members = len(training.members)
    once = {f"reference_{name}": value.expand(members, 1) for name, value in scores(test_x).items()}
    once["judge_accuracy"] = scores(true)["recognised"].expand(members, 1)
    made = MAPS[training.engine](lambda g: nets.generator.apply(g.parameters, test_x[:SHOWN]))(fitted.state.generator)
    shown = {
        "inputs": test_x[:SHOWN].expand(members, -1, -1), "truth": true[:SHOWN].expand(members, -1, -1),
        "predicted": made,
    }  # fmt: skip
    return Found(fitted, once, {name: a.unflatten(2, shape).float().numpy() for name, a in shown.items()})


APPLICATIONS.add(
    "translation",
    Application(
        learn,
        {"batch": 32, "hidden_generator": (128, 128), "hidden_discriminator": (64, 64)},
        {"adversarial": (0.0, 1.0), "l1": 100.0},
    ),
    source="Isola et al. 2017 (pix2pix), equation 4, L1 of weight 100; perceptrons without dropout in place of its U-Net",
    summary="Digits from their edges, by L1 alone and with a conditional GAN.",
)
