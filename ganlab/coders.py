"""Autoencoders of images, for one member: what a decoder says of an image, what is made small, where samples come from.

What a model makes small, and where the latents of its samples come from, is a line in `MODELS`; what a decoder's outputs say of
an image is a line in `LIKELIHOODS`. Images are in brightness: 0 for black, 1 for white. `autoencoders.py` trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ganlab.net import Net
from ganlab.optim import Numbers
from ganlab.registry import Registry

Terms = dict[str, Tensor]
"""By name, a number for each image, `[n]`: the "loss" that training makes small, and what it is made of."""


class Likelihood(NamedTuple):
    """What a decoder's outputs say of an image.

    Parameters
    ----------
    image
        From outputs `[n, *shape]` to the image that they mean, in brightness.
    log_prob
        From outputs, images in brightness and numbers to `[n]`, nats an image.
    numbers
        What it reads.
    """

    image: Callable[[Tensor], Tensor]
    log_prob: Callable[[Tensor, Tensor, Numbers], Tensor]
    numbers: tuple[str, ...] = ()


def _bernoulli(outputs: Tensor, x: Tensor, numbers: Numbers) -> Tensor:
    """Return the mean log-probability of x's black-and-white versions, in which a pixel is white with its brightness."""
    return -binary_cross_entropy_with_logits(outputs, x, reduction="none").flatten(1).sum(1)


def _gaussian(outputs: Tensor, x: Tensor, numbers: Numbers) -> Tensor:
    noise = numbers["noise"]
    return (-0.5 * ((x - outputs) / noise).square() - noise.log() - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


LIKELIHOODS: Registry[Likelihood] = Registry("likelihood")
LIKELIHOODS.add(
    "bernoulli",
    Likelihood(torch.sigmoid, _bernoulli),
    source="Kingma and Welling 2014, appendix C.1",
    summary="Outputs are logits of white pixels; a grey pixel counts as white with its brightness.",
)
LIKELIHOODS.add(
    "gaussian",
    Likelihood(lambda outputs: outputs, _gaussian, ("noise",)),
    source="Kingma and Welling 2014, appendix C.2, with one fixed standard deviation",
    summary="Outputs are brightnesses, and pixels lie around them with the standard deviation `noise`.",
)


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the divergence of normal laws with independent entries, `[n, latent]`, from the standard one, `[n]`, in nats.

    KL = 1/2 sum_j (mean_j^2 + variance_j - log variance_j - 1)

    Example
    -------
    >>> kl_to_standard_normal(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
    tensor([0.5000])

    Source: Kingma and Welling 2014, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1)


@dataclass(frozen=True, eq=False)
class Coder:
    """The nets of a model; weights are one vector `theta`, that of both."""

    net: Net
    model: Model
    likelihood: Likelihood | None
    """None where outputs are brightnesses, and no more is said."""
    latent: int
    """Numbers in a code."""

    def encode(self, theta: Tensor, x: Tensor) -> Tensor:
        """Return what the encoder says of images, `[n, latent]`, or mean and log-variance of their codes, `[n, 2 latent]`."""
        return self.net.apply(theta, x, part="encoder")

    def codes(self, theta: Tensor, x: Tensor) -> Tensor:
        """Return the codes of images, or their means, `[n, latent]`."""
        return self.encode(theta, x).chunk(self.model.per_code, 1)[0]

    def decode(self, theta: Tensor, z: Tensor) -> Tensor:
        """Return the decoder's outputs, `[n, *shape]`."""
        return self.net.apply(theta, z)

    def images(self, theta: Tensor, z: Tensor) -> Tensor:
        """Return the images that codes stand for, in brightness."""
        outputs = self.decode(theta, z)
        return self.likelihood.image(outputs) if self.likelihood else outputs

    def rebuilt(self, theta: Tensor, x: Tensor) -> Tensor:
        """Return what becomes of images by way of their codes, in brightness."""
        return self.images(theta, self.codes(theta, x))


class Model(NamedTuple):
    """What an autoencoder makes small, and where the latents of its samples come from.

    Parameters
    ----------
    per_code
        Numbers that the encoder gives for each entry of a code.
    terms
        From coder, weights, images `[n, *shape]`, standard normal numbers `[n, latent]` and numbers to `Terms`.
    latents
        From coder, weights, training images and standard normal numbers `[n, latent]` to latents of the same shape.
    numbers
        What it reads.
    drawn
        Whether codes are drawn, and a likelihood is chosen; else outputs are brightnesses.
    """

    per_code: int
    terms: Callable[[Coder, Tensor, Tensor, Tensor, Numbers], Terms]
    latents: Callable[[Coder, Tensor, Tensor, Tensor], Tensor]
    numbers: tuple[str, ...] = ()
    drawn: bool = False


def squared_error(coder: Coder, theta: Tensor, x: Tensor, noise: Tensor, numbers: Numbers) -> Terms:
    """Return the squared error of each image, summed over its pixels."""
    outputs = coder.decode(theta, coder.encode(theta, x))
    return {"loss": (outputs - x).square().flatten(1).sum(1)}


def negative_elbo(coder: Coder, theta: Tensor, x: Tensor, noise: Tensor, numbers: Numbers) -> Terms:
    """Return the evidence lower bound of each image and its two parts in nats, by one drawn code, and the loss.

    z = mean + deviation * noise,   ELBO = log p(x | z) - KL(q(z | x) || p(z)),   loss = beta KL - log p(x | z)

    Source: Kingma and Welling 2014, equation 10 with L = 1; beta: Higgins et al. 2017, equation 4.
    """
    mean, log_variance = coder.encode(theta, x).chunk(2, 1)
    z = mean + (log_variance / 2).exp() * noise
    assert coder.likelihood is not None
    log_likelihood = coder.likelihood.log_prob(coder.decode(theta, z), x, numbers)
    kl = kl_to_standard_normal(mean, log_variance)
    loss = numbers["beta"] * kl - log_likelihood
    return {"loss": loss, "elbo": log_likelihood - kl, "log_likelihood": log_likelihood, "kl": kl}


def fitted(coder: Coder, theta: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """Return latents from the normal law that has the mean and covariance of the codes of x."""
    codes = coder.codes(theta, x)
    covariance = codes.T.cov(correction=0).reshape(z.shape[1], -1)
    tiny = 1e-6 * covariance.diagonal().mean()  # codes may lie on a line
    root = torch.linalg.cholesky_ex(covariance + tiny * torch.eye(len(covariance), dtype=z.dtype)).L  # no error for NaN
    return codes.mean(0) + z @ root.T


def prior(coder: Coder, theta: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """Return latents from the prior, the standard normal law."""
    return z


MODELS: Registry[Model] = Registry("autoencoder")
MODELS.add(
    "autoencoder",
    Model(1, squared_error, fitted),
    source="Hinton and Salakhutdinov 2006; samples from a Gaussian fitted to the codes: Ghosh et al. 2020, section 4",
    summary="Codes from which images are rebuilt with the least squared error; samples: a Gaussian fitted to the codes.",
)
MODELS.add(
    "vae",
    Model(2, negative_elbo, prior, ("beta",), drawn=True),
    source="Kingma and Welling 2014; beta: Higgins et al. 2017",
    summary="Codes that are drawn, by the evidence lower bound; samples: codes from the standard normal law.",
)


# --- what needs no training ----------------------------------------------------------------------------------------------


class Principal(NamedTuple):
    """The mean of images `[d]`, their k principal axes `[d, k]`, and the variance along each `[k]`."""

    mean: Tensor
    axes: Tensor
    variance: Tensor

    def rebuilt(self, x: Tensor) -> Tensor:
        """Return what becomes of images `[..., d]` by way of their k coordinates: no linear autoencoder has less error."""
        return self.mean + (x - self.mean) @ self.axes @ self.axes.T

    def log_likelihood(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the log-probability of images `[n, d]` under probabilistic PCA with a fixed noise, `[n]`, in nats.

        x ~ N(mean, W W^T + noise^2),   W = axes (variance - noise^2)^(1/2), where that is above 0

        Source: Tipping and Bishop 1999, equations 3 and 7; no linear VAE says more (Lucas et al. 2019).
        """
        d, square = len(self.mean), noise.square()
        along = (x - self.mean) @ self.axes
        across = (x - self.mean).square().sum(1) - along.square().sum(1)
        variance = torch.maximum(self.variance, square)
        logs = variance.log().sum() + (d - len(variance)) * square.log() + d * math.log(2 * math.pi)
        return -0.5 * (logs + (along.square() / variance).sum(1) + across / square)


def principal(x: Tensor, k: int) -> Principal:
    """Return mean and k principal axes of images `[n, d]`.

    Source: Pearson 1901; Baldi and Hornik 1989 (a linear autoencoder has no other optimum).
    """
    mean = x.mean(0)
    variance, axes = torch.linalg.eigh((x - mean).T.cov(correction=0))
    return Principal(mean, axes[:, -k:].flip(1), variance[-k:].flip(0))
