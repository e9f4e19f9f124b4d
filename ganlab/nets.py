"""The named architectures, made of torch's layers and those in `layers.py` and `recurrent.py`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from ganlab.layers import ACTIVATIONS, BATCH_LAYERS, Maxout, Scale, activated, initialise, looked_up, normed, spectral_norm
from ganlab.recurrent import Recurrent
from ganlab.registry import InputError, Registry

__all__ = ["ACTIVATIONS", "NETS", "dcgan_discriminator", "dcgan_generator", "maxout", "mlp", "spectral_norm"]

NETS: Registry[Callable[..., nn.Module]] = Registry("net")

Shape = int | Sequence[int]
"""Of one input or output: a number of features, or `(channels, height, width)`."""

DCGAN_LAW: Mapping[str, Any] = {"law": "normal", "std": 0.02}


@NETS.register(source="Rosenblatt 1958; Rumelhart, Hinton and Williams 1986")
def mlp(
    n_in: Shape,
    n_out: Shape,
    hidden: Sequence[int] = (128, 128),
    activation: str = "relu",
    norm: str | Sequence[str | None] | None = None,
    bias_before_norm: bool = False,
    initial: Mapping[str, Any] | None = None,
    minibatch: str | None = None,
    scale: float = 1.0,
    output: str | None = None,
) -> nn.Module:
    """A multi-layer perceptron, `[n, n_in] -> [n, n_out]`, linear at its end.

    Parameters
    ----------
    n_in, n_out
        Sizes, or shapes of images, which are read and written as a list of pixels.
    norm
        Of hidden layers, all or one by one, see `ganlab.layers.normed`. A spectral norm given for all holds the last, too.
    bias_before_norm
        Keep the bias before batch norm, where it has no effect; some sources do.
    initial
        Law of initial weights, see `ganlab.layers.initialise`; None is torch's own.
    minibatch
        What the last layer also reads about the batch: None, "std" or "discrimination".
    scale
        Factor of the input; 0.25 divides by 4.
    output
        Activation at the end; None leaves it linear.
    """
    norms = [norm] * len(hidden) if norm is None or isinstance(norm, str) else list(norm)
    if len(norms) != len(hidden):
        raise InputError(f"norm must be one name, or one for each of the {len(hidden)} hidden layers; got {norm!r}")
    layers, size = _entrance(n_in), _size(n_in)
    if scale != 1.0:
        layers.append(Scale(scale))
    for width, kind in zip(hidden, norms, strict=True):
        linear = initialise(nn.Linear(size, width, bias=kind != "batch" or bias_before_norm), initial)
        layers += [*normed(linear, kind), *activated(activation)]
        size = width
    if minibatch is not None:
        watch = looked_up("minibatch layer", minibatch, BATCH_LAYERS)(size)
        layers.append(initialise(watch, initial))
        size += watch.n_added
    last = initialise(nn.Linear(size, _size(n_out)), initial)
    layers += normed(last, norm if norm in ("spectral", "spectral_power") else None)
    return nn.Sequential(*layers, *_exit(n_out), *activated(output))


@NETS.register(source="Goodfellow et al. 2013, Maxout networks; as the discriminator of Lin et al. 2018, PacGAN")
def maxout(
    n_in: Shape,
    n_out: Shape,
    hidden: Sequence[int] = (200, 200, 200),
    pieces: int = 5,
    initial: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Layers whose units are the largest of several linear functions, `[n, n_in] -> [n, n_out]`, linear at its end."""
    sizes = [_size(n_in), *hidden]
    layers: list[nn.Module] = [Maxout(before, after, pieces) for before, after in itertools.pairwise(sizes)]
    layers.append(nn.Linear(sizes[-1], _size(n_out)))
    return nn.Sequential(*_entrance(n_in), *(initialise(layer, initial) for layer in layers), *_exit(n_out))


@NETS.register(source="Cox 1958 (logistic regression); Legendre 1805 (least squares)")
def linear(n_in: Shape, n_out: Shape) -> nn.Module:
    """One linear layer, `[n, n_in] -> [n, n_out]`: logistic regression when classes are learned, else linear regression."""
    return mlp(n_in, n_out, ())


@NETS.register(source="Elman 1990")
def rnn(n_in: Shape, n_out: Shape, hidden: int = 16) -> nn.Module:
    """A recurrent net whose state is the tanh of input and last state, `[n, time, features] -> [n, n_out]`."""
    return Recurrent("rnn", n_in, n_out, hidden)


@NETS.register(source="Hochreiter and Schmidhuber 1997; forget gate: Gers, Schmidhuber and Cummins 2000")
def lstm(n_in: Shape, n_out: Shape, hidden: int = 16) -> nn.Module:
    """A recurrent net whose gates write, keep and show a memory, `[n, time, features] -> [n, n_out]`."""
    return Recurrent("lstm", n_in, n_out, hidden)


@NETS.register(source="Cho et al. 2014, in torch's form")
def gru(n_in: Shape, n_out: Shape, hidden: int = 16) -> nn.Module:
    """A recurrent net with two gates and no memory beside its state, `[n, time, features] -> [n, n_out]`."""
    return Recurrent("gru", n_in, n_out, hidden)


@NETS.register(source="the lecture's MLP for MNIST: 784-512-256-10")
def mlp_classifier(height: int = 28, width: int = 28, hidden: Sequence[int] = (512, 256), n_classes: int = 10) -> nn.Module:
    """A perceptron that reads an image as a list of pixels, `[n, 1, h, w] -> [n, n_classes]`."""
    return nn.Sequential(nn.Flatten(), mlp(height * width, n_classes, hidden))


@NETS.register(source="after LeCun et al. 1998 (LeNet-5), with ReLU and max pooling")
def cnn_classifier(height: int = 28, width: int = 28, channels: Sequence[int] = (16, 32), n_classes: int = 10) -> nn.Module:
    """Two convolutions of 5 x 5, each with pooling, and one hidden layer, `[n, 1, h, w] -> [n, n_classes]`."""
    first, second = channels
    return nn.Sequential(  # pooling before ReLU: the same function, with a quarter of the numbers to rectify
        nn.Conv2d(1, first, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(first, second, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(),
        nn.Flatten(), nn.Linear(second * (height // 4) * (width // 4), 128), nn.ReLU(), nn.Linear(128, n_classes),
    )  # fmt: skip


@NETS.register(source="Radford, Metz and Chintala 2016, DCGAN")
def dcgan_generator(
    n_in: int,
    n_out: Sequence[int],
    channels: Sequence[int] = (128, 64),
    activation: str = "relu",
    norm: str | None = "batch",
    initial: Mapping[str, Any] | None = DCGAN_LAW,
    output: str | None = "tanh",
) -> nn.Module:
    """Transposed convolutions of 4 x 4 that double the image each time, `[n, n_in] -> [n, channels, height, width]`.

    Parameters
    ----------
    n_out
        Shape of an image; height and width divisible by 2 to the number of doublings, one for each of `channels`.
    channels
        Before each doubling: (128, 64) for 28 x 28, (256, 128, 64) for 32 x 32; the paper's (1024, 512, 256, 128) for 64 x 64.
    norm, initial, output
        As in `mlp`; the norm is that of all but the last layer.
    """
    first, (height, width) = channels[0], _smallest(n_out, channels)
    flat = initialise(nn.Linear(n_in, first * height * width, bias=norm != "batch"), initial)
    layers = [*normed(flat, None if norm == "batch" else norm), nn.Unflatten(1, (first, height, width))]
    if norm == "batch":  # after the layer has become an image: one mean for each channel, not for each pixel
        layers.append(nn.BatchNorm2d(first, track_running_stats=False))
    layers += activated(activation)
    for before, after in itertools.pairwise(channels):
        up = initialise(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=norm != "batch"), initial)
        layers += [*normed(up, norm), *activated(activation)]
    layers.append(initialise(nn.ConvTranspose2d(channels[-1], n_out[0], 4, 2, 1), initial))
    return nn.Sequential(*layers, *activated(output))


@NETS.register(source="Radford, Metz and Chintala 2016, DCGAN")
def dcgan_discriminator(
    n_in: Sequence[int],
    n_out: int = 1,
    channels: Sequence[int] = (64, 128),
    activation: str = "leaky_relu",
    norm: str | None = "batch",
    initial: Mapping[str, Any] | None = DCGAN_LAW,
) -> nn.Module:
    """Convolutions of 4 x 4 that halve the image each time, `[n, channels, height, width] -> [n, n_out]`.

    Parameters
    ----------
    n_in, channels
        As the generator's, in the other order: channels after each halving.
    norm
        As in `mlp`. Batch norm leaves the first layer out; a spectral norm holds all layers.
    """
    height, width = _smallest(n_in, channels)
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise([n_in[0], *channels])):
        kind = None if i == 0 and norm == "batch" else norm
        down = initialise(nn.Conv2d(before, after, 4, 2, 1, bias=kind != "batch"), initial)
        layers += [*normed(down, kind), *activated(activation)]
    last = initialise(nn.Linear(channels[-1] * height * width, n_out), initial)
    return nn.Sequential(*layers, nn.Flatten(), *normed(last, None if norm == "batch" else norm))


def _size(shape: Shape) -> int:
    return shape if isinstance(shape, int) else math.prod(shape)


def _entrance(shape: Shape) -> list[nn.Module]:
    return [] if isinstance(shape, int) or len(shape) == 1 else [nn.Flatten()]


def _exit(shape: Shape) -> list[nn.Module]:
    return [] if isinstance(shape, int) or len(shape) == 1 else [nn.Unflatten(1, tuple(shape))]


def _smallest(image: Sequence[int], channels: Sequence[int]) -> tuple[int, int]:
    """Return height and width before the first doubling. Raises InputError when they are not whole numbers."""
    factor = 2 ** len(channels)
    if isinstance(image, int) or len(image) != 3 or not channels or image[1] % factor or image[2] % factor:
        raise InputError(
            f"a DCGAN with channels {tuple(channels)} needs images (channels, height, width) with height and width divisible "
            f"by {factor}; got {image!r}; change channels, or take the net 'mlp'"
        )
    return image[1] // factor, image[2] // factor
