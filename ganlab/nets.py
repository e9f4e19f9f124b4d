"""Nets, and a net as a pure function of one parameter vector, which is what lets many seeds train as one program.

`NETS` has the named architectures, made of torch's layers and those in `layers.py`. `Net` wraps any `nn.Module` - ours or a
user's - and refuses by name what cannot be a pure function of its parameters and input.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from ganlab import rng
from ganlab.layers import ACTIVATIONS, BATCH_LAYERS, Maxout, Scale, activated, initialise, looked_up, normed, spectral_norm
from ganlab.recurrent import Recurrent
from ganlab.registry import InputError, Registry

__all__ = ["ACTIVATIONS", "NETS", "Net", "dcgan_discriminator", "dcgan_generator", "maxout", "mlp", "spectral_norm"]

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


class Net:
    """A module as a pure function `apply(vector, x)` of one flat parameter vector.

    One vector per player keeps optimisers, norms and clipping as short as in the textbook, and a batch of members is
    a matrix `[member, parameter]`.

    Parameters
    ----------
    module
        A module, or a function that builds one. A module is re-initialised for each seed by its layers' own
        `reset_parameters`; a function is called once per seed, so it keeps an initialisation of your own.
    role
        "generator" or "discriminator": names the random stream of the initialisation, and the messages.

    Raises
    ------
    InputError
        When a layer keeps state or draws random numbers of its own, or cannot be initialised per seed; the message
        names the layer and what to use in its place.
    """

    def __init__(self, module: nn.Module | Callable[[], nn.Module], role: str) -> None:
        self.role = role
        self._source = module
        if not callable(module):
            raise InputError(f"the {role} must be an nn.Module or a function that returns one; got {module!r}")
        if isinstance(module, nn.Module):
            _refuse_hidden_state(module, role)
        self.module = self.build(0)
        _refuse_hidden_state(self.module, role)
        other = self.build(1)
        if isinstance(module, nn.Module):
            _refuse_lost_initialisation(module, self.module, other, role)
        elif other is self.module:
            raise InputError(f"the function for the {role} returns the same net each time; build the net inside the function")
        if role == "discriminator" and isinstance(list(self.module.modules())[-1], nn.Sigmoid):
            raise InputError("the discriminator ends in a Sigmoid; objectives take logits, so remove that layer")
        parameters = dict(self.module.named_parameters())
        if not parameters:
            raise InputError(f"the {role} has no parameters to train")
        self.shapes = {name: p.shape for name, p in parameters.items()}
        self.sizes = [p.numel() for p in parameters.values()]
        self.constants = dict(self.module.named_buffers())
        self._trunk = _before_last(self.module)

    def __str__(self) -> str:
        return str(self.module)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the parameter tensors, in the order in which they lie in the vector."""
        return tuple(self.shapes)

    @property
    def n_parameters(self) -> int:
        return sum(self.sizes)

    def to(self, device: str, dtype: torch.dtype) -> Net:
        """Move the constants that are not trained."""
        self.constants = {
            name: c.to(device, dtype) if c.is_floating_point() else c.to(device) for name, c in self.constants.items()
        }
        return self

    def build(self, seed: int) -> nn.Module:
        """Return a module initialised from the seed's own stream, on the CPU."""
        with rng.initialising(seed, self.role):
            if not isinstance(self._source, nn.Module):
                module = self._source()
                if not isinstance(module, nn.Module):
                    raise InputError(f"the {self.role} must be an nn.Module or a function that returns one; got {module!r}")
                return module.cpu().float()
            try:
                module = deepcopy(self._source).cpu().float()
            except RuntimeError as error:
                raise InputError(
                    f"the {self.role} cannot be copied for each seed ({error}); "
                    "pass a function that builds the net in place of the net"
                ) from error
            for name, layer in module.named_modules():
                own = list(layer.parameters(recurse=False))
                if own and (not hasattr(layer, "reset_parameters") or parametrize.is_parametrized(layer)):
                    raise InputError(
                        f"layer {name!r} ({type(layer).__name__}) of the {self.role} cannot be initialised anew for each "
                        "seed; pass a function that builds the net in place of the net"
                    )
                if own:
                    layer.reset_parameters()
            return module

    def initial(self, seed: int) -> Tensor:
        """Return the initial parameters of a seed as one vector `[n_parameters]`, float32."""
        module = self.build(seed)
        for name, value in module.named_buffers():
            if not torch.equal(value, self.constants[name].to(value)):
                raise InputError(f"buffer {name!r} of the {self.role} differs between seeds; make it a parameter or a constant")
        return torch.cat([p.detach().reshape(-1) for p in module.parameters()])

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name, as views of the vector."""
        parts = vector.split(self.sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def apply(self, vector: Tensor, x: Tensor, part: str = "") -> Tensor:
        """Return the output for `x` with these parameters: of the module, or of the sub-module named `part`.

        Raises InputError for a part that is not there, or that holds parameters in common with another.
        """
        if part:
            parts = dict(list(self.module.named_modules())[1:])
            return self._call(looked_up(f"part of the {self.role}", part, parts), vector, x, f"{part}.")
        return functional_call(self.module, {**self.unflatten(vector), **self.constants}, (x,))

    @property
    def has_features(self) -> bool:
        """Whether `features` is defined."""
        return self._trunk is not None

    def features(self, vector: Tensor, x: Tensor) -> Tensor:
        """Return what the last layer that has parameters reads, `[n, *features]`.

        Raises InputError unless the module is an `nn.Sequential`: elsewhere layers have no order that is known before a run.
        """
        if self._trunk is None:
            raise InputError(
                f"the {self.role} is a {type(self.module).__name__}, whose layers have no known order, so what its last layer "
                "reads is not known; features need an nn.Sequential"
            )
        return self._call(self._trunk, vector, x)

    def _call(self, part: nn.Module, vector: Tensor, x: Tensor, start: str = "") -> Tensor:
        """Return the output of a part, whose names in the whole begin with `start`."""
        values = {**self.unflatten(vector), **self.constants}
        names = [name for name, _ in (*part.named_parameters(), *part.named_buffers())]
        if shared := [start + name for name in names if start + name not in values]:
            raise InputError(f"parameter {shared[0]!r} of the {self.role} is held in common with another part")
        return functional_call(part, {name: values[start + name] for name in names}, (x,))

    def to_module(self, vector: Tensor) -> nn.Module:
        """Return an ordinary module that holds these parameters."""
        module = deepcopy(self.module).to(vector)
        for (_, p), value in zip(module.named_parameters(), self.unflatten(vector.detach()).values(), strict=True):
            p.data = value.clone()
        return module


def _before_last(module: nn.Module) -> nn.Sequential | None:
    """Return the module up to its last layer that has parameters, without it; names stay. None unless it is a sequence."""
    if type(module) is not nn.Sequential:
        return None
    last = max((i for i, layer in enumerate(module) if any(True for _ in layer.parameters())), default=0)
    inner = _before_last(module[last])
    if inner is None:
        return module[:last]
    trunk = module[: last + 1]
    trunk[last] = inner
    return trunk


def _refuse_hidden_state(module: nn.Module, role: str) -> None:
    """Raise InputError for the first layer whose output depends on more than parameters and input."""
    for name, layer in module.named_modules():
        what = f"layer {name!r} ({type(layer).__name__}) of the {role}"
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.track_running_stats:
            raise InputError(
                f"{what} keeps running statistics, which members of one batch cannot share; use "
                f"{type(layer).__name__}({layer.num_features}, track_running_stats=False) or GroupNorm"
            )
        if isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p > 0:
            raise InputError(f"{what} draws random numbers of its own, so a seed would not repeat; remove it or set p=0")
        power_iteration = hasattr(layer, "weight_u") or type(layer).__name__ == "_SpectralNorm"
        if power_iteration:
            raise InputError(
                f"{what} estimates its norm by power iteration, which is hidden state; use ganlab.nets.spectral_norm, "
                "which is exact"
            )


def _refuse_lost_initialisation(given: nn.Module, built: nn.Module, other: nn.Module, role: str) -> None:
    """Raise InputError when seeds would not start from the given net's law: that would silently change the experiment.

    `built` and `other` are the net initialised for two seeds; what they share is a constant, or was not initialised at all.
    """
    for (name, p), q, r in zip(given.named_parameters(), built.parameters(), other.parameters(), strict=True):
        old, new = p.detach().float().cpu(), q.detach()
        fixed = torch.equal(new, r.detach())
        if fixed and bool((new != new.flatten()[0]).any()):
            raise InputError(
                f"parameter {name!r} of the {role} is the same for all seeds, because its layer does not initialise it anew; "
                "pass a function that builds the net in place of the net"
            )
        if not fixed and new.numel() < 64:  # too few numbers to tell two initialisations apart
            continue
        same = torch.equal(old, new) if fixed else 0.7 < float(old.std()) / float(new.std()) < 1.4
        if not same:
            raise InputError(
                f"parameter {name!r} of the {role} does not look like its layer's own initialisation, which is drawn anew "
                "for each seed; pass a function that builds and initialises the net in place of the net"
            )
