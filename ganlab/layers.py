"""Layers that GANs need and torch lacks, all without hidden state, so that every net made of them maps over members.

Norms of a weight, layers that look at the whole batch (`batch_dependent`), heads of discriminators, generators side by
side, and the laws of initial weights. Whole nets are in `nets.py`. Batch norm is torch's own with
`track_running_stats=False`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlab.registry import InputError, unknown

Module = TypeVar("Module", bound=nn.Module)
Thing = TypeVar("Thing")

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),  # slope 0.2 in almost all cited GANs
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
}


def activated(name: str | None) -> list[nn.Module]:
    """Return the activation of that name as a list, empty for None. Raises InputError with the nearest match."""
    return [] if name is None else [looked_up("activation", name, ACTIVATIONS)()]


def looked_up(kind: str, name: str, known: Mapping[str, Thing]) -> Thing:
    """Return what has that name. Raises InputError with the nearest match."""
    if name not in known:
        raise InputError(unknown(kind, name, known))
    return known[name]


# --- initial weights ---------------------------------------------------------------------------------------------------

LAWS: Mapping[str, tuple[Callable[..., Tensor], Mapping[str, float]]] = {
    "normal": (nn.init.normal_, {"std": 0.02}),  # Radford et al. 2016
    "orthogonal": (nn.init.orthogonal_, {"gain": 1.0}),  # Saxe et al. 2014
    "he": (lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"), {}),  # He et al. 2015, equation 10
    "xavier": (nn.init.xavier_uniform_, {"gain": 1.0}),  # Glorot and Bengio 2010, equation 16
}
"""Laws of initial weights, each with its settings and their defaults."""


def initialise(module: Module, law: Mapping[str, Any] | None) -> Module:
    """Return the module with weights of linear and convolutional layers drawn by a law, and their biases 0.

    Parameters
    ----------
    law
        `{"law": name, **settings}`: "normal" (std), "orthogonal" (gain), "he" (normal, variance 2 / inputs), "xavier"
        (uniform, variance 2 gain^2 / (inputs + outputs)). None leaves all as it is: torch's own law.

    Raises
    ------
    InputError
        For a law or a setting that is not known.
    """
    if law is None:
        return module
    if "law" not in law:
        raise InputError(f"the law of initial weights needs a name, as in {{'law': 'normal', 'std': 0.02}}; got {dict(law)!r}")
    draw, defaults = looked_up("law of initial weights", law["law"], LAWS)
    given = {key: value for key, value in law.items() if key != "law"}
    for key in given:
        looked_up(f"setting of the law {law['law']!r}", key, defaults)
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
            draw(layer.weight, **{**defaults, **given})
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


# --- norms -------------------------------------------------------------------------------------------------------------

NORMS = ("batch", "spectral", "spectral_power")


def normed(layer: nn.Module, norm: str | None) -> list[nn.Module]:
    """Return a linear or convolutional layer with its norm, as a list, since batch norm is a layer of its own.

    Parameters
    ----------
    norm
        None, "batch" (over the batch at hand, no running statistics), "spectral" (exact) or "spectral_power" (8 power
        iterations). Raises InputError for others.
    """
    if norm is None:
        return [layer]
    if norm not in NORMS:
        raise InputError(unknown("norm", norm, NORMS))
    if norm == "batch" and isinstance(layer, nn.Linear):
        return [layer, nn.BatchNorm1d(layer.out_features, track_running_stats=False)]
    if norm == "batch" and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        return [layer, nn.BatchNorm2d(layer.out_channels, track_running_stats=False)]
    return [spectral_norm(layer, iterations=8 if norm == "spectral_power" else None)]



def spectral_norm(layer: nn.Module, iterations: int | None = None) -> nn.Module:
    r"""Return the layer with its weight divided by its largest singular value :math:`\sigma`.

    torch's own version keeps a running estimate, which is hidden state; this one has none, so it maps over members. The
    weight of a convolution counts as the matrix `[channels out, all else]`.

    Parameters
    ----------
    iterations
        None is exact. A number k estimates by power iteration, always from the same start: v is k times multiplied by
        W^T W and brought to length 1, u is W v brought to length 1, and the estimate is u^T W v with u and v held
        constant, so its gradient is u v^T. With theta the angle between the start and the first right singular vector,

        .. math:: 0 \le 1 - (\hat\sigma / \sigma)^2 \le \tan^2\theta \, \min\{(\sigma_2 / \sigma)^{4k},\ 1 / (2 e k)\}

        Square weights as torch draws them, whose largest singular values lie close together, keep a norm of 1.04 after 8
        (1.09 at worst of 20); a weight in which one direction has grown, less. Second derivatives see u and v as constants.

    Raises
    ------
    InputError
        When there would be less than one iteration.

    Example
    -------
    >>> layer = spectral_norm(nn.Linear(3, 3))
    >>> round(torch.linalg.matrix_norm(layer.weight, 2).item(), 5)
    1.0

    Source: Miyato et al. 2018, equation 8; power iteration and its gradient: algorithm 1 and appendix A.
    """
    if iterations is not None and iterations < 1:
        raise InputError(f"power iteration needs at least 1 iteration, None is exact; got {iterations!r}")
    transposed = isinstance(layer, nn.modules.conv._ConvTransposeNd)
    if iterations is None:
        norm: nn.Module = _UnitSpectralNorm(transposed)
    else:
        norm = _UnitPowerNorm(transposed, iterations, layer.get_parameter("weight"))
    return parametrize.register_parametrization(layer, "weight", norm)


def _matrix(weight: Tensor, transposed: bool) -> Tensor:
    """Return a weight as `[out, all else]`; transposed convolutions hold `[in, out, ...]`."""
    return (weight.transpose(0, 1) if transposed else weight).flatten(1)


class _UnitSpectralNorm(nn.Module):
    def __init__(self, transposed: bool) -> None:
        super().__init__()
        self.transposed = transposed

    def forward(self, weight: Tensor) -> Tensor:
        return weight / torch.linalg.matrix_norm(_matrix(weight, self.transposed), 2)


class _UnitPowerNorm(nn.Module):
    start: Tensor

    def __init__(self, transposed: bool, iterations: int, weight: Tensor) -> None:
        super().__init__()
        self.transposed, self.iterations = transposed, iterations
        # The same for all seeds, so it is a constant of the net; random, so that no regular weight is orthogonal to it.
        n = _matrix(weight, transposed).shape[1]
        self.register_buffer("start", torch.randn(n, generator=torch.Generator().manual_seed(0)).to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        matrix = _matrix(weight, self.transposed)
        fixed, v = matrix.detach(), self.start
        for _ in range(self.iterations):
            v = fixed.mT @ (fixed @ v)
            v = v / v.norm()
        u = fixed @ v
        u = u / u.norm()
        return weight / (u @ (matrix @ v))


# --- layers --------------------------------------------------------------------------------------------------------------


class Scale(nn.Module):
    """Multiply by a constant, such as 0.25 for a discriminator that reads its input divided by 4.

    Source: unrolled GAN's ring as re-implemented by Nagarajan and Kolter 2017.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x

    def extra_repr(self) -> str:
        return f"factor={self.factor}"


class Maxout(nn.Module):
    r"""The largest of several linear functions, :math:`h_j(x) = \max_k (w_{jk} x + b_{jk})`, `[n, n_in] -> [n, n_out]`.

    Source: Goodfellow et al. 2013, Maxout networks, section 3.
    """

    def __init__(self, n_in: int, n_out: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(n_in, n_out * pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(-1, (-1, self.pieces)).amax(-1)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"


# --- layers that look at the whole batch -----------------------------------------------------------------------------------


class MinibatchStd(nn.Module):
    """Append one feature: the standard deviation over the batch, averaged over all features and places.

    `[n, d] -> [n, d + 1]` or `[n, c, h, w] -> [n, c + 1, h, w]`; the same number for every sample. A batch of equal samples
    gives 1e-4, with gradient 0: 1e-8 under the root keeps all derivatives finite, as in the released code. There the
    batch is cut into groups of 4; here it is one group.

    Source: Karras et al. 2018, section 3.
    """

    batch_dependent = True
    n_added = 1

    def forward(self, x: Tensor) -> Tensor:
        std = (x.var(0, unbiased=False) + 1e-8).sqrt().mean()
        return torch.cat([x, std.expand_as(x[:, :1])], 1)


class MinibatchDiscrimination(nn.Module):
    r"""Append, for each kernel, how close a sample is to the others of its batch, `[n, n_in] -> [n, n_in + n_kernels]`.

    .. math:: o_b(x_i) = \sum_j \exp(-\lVert M_{i,b} - M_{j,b} \rVert_1), \qquad M_i = T x_i

    The sum counts the sample itself, so it lies between 1 (alone) and n (all equal). The tensor T is drawn as a linear
    layer's weight. Memory grows as `n^2 * n_kernels * kernel_size`.

    Source: Salimans et al. 2016, section 3.2. The released code leaves the sample itself out, rescales T and adds a bias.
    """

    batch_dependent = True

    def __init__(self, n_in: int, n_kernels: int = 16, kernel_size: int = 5) -> None:
        super().__init__()
        self.n_added = n_kernels
        self.kernels = nn.Linear(n_in, n_kernels * kernel_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        m = self.kernels(x).unflatten(1, (self.n_added, -1))
        distance = (m[:, None] - m[None]).abs().sum(-1)
        return torch.cat([x, torch.exp(-distance).sum(1)], 1)


BATCH_LAYERS: Mapping[str, Callable[[int], MinibatchStd | MinibatchDiscrimination]] = {
    "std": lambda n_in: MinibatchStd(),
    "discrimination": MinibatchDiscrimination,
}
"""By name, from the number of features they read; they append `n_added`."""


# --- heads of discriminators -----------------------------------------------------------------------------------------------


class Projection(nn.Module):
    r"""A discriminator of samples with labels, :math:`\psi(\phi(x)) + \langle V y, \phi(x) \rangle`.

    Reads `[x, y]` side by side, `[n, d + n_classes]` with y one-hot, and gives logits `[n, 1]`.

    Parameters
    ----------
    features
        The net phi, `[n, d] -> [n, n_features]`.

    Source: Miyato and Koyama 2018, cGANs with projection discriminator, equation 3 and figure 1d.
    """

    def __init__(self, features: nn.Module, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.features = features
        self.logit = nn.Linear(n_features, 1)
        self.embedding = nn.Linear(n_classes, n_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x, label = x.tensor_split([-self.embedding.in_features], dim=1)
        phi = self.features(x)
        return self.logit(phi) + (self.embedding(label) * phi).sum(1, keepdim=True)


class OneAgainstGenerators(nn.Module):
    r"""Turn K + 1 class scores, real first, into a logit of real and the scores of the K generators, `[n, 1 + K]`.

    The first column becomes :math:`l_0 - \log \sum_{k \ge 1} e^{l_k}`, the log-odds of real under the softmax; the others
    stay as they are.

    Source: Ghosh et al. 2018, MAD-GAN, section 3: a discriminator that names the generator.
    """

    def forward(self, scores: Tensor) -> Tensor:
        real, generators = scores.tensor_split([1], dim=1)
        return torch.cat([real - generators.logsumexp(1, keepdim=True), generators], 1)


# --- generators ------------------------------------------------------------------------------------------------------------


class Several(nn.Module):
    """Several generators side by side; the last columns of the input, one-hot, say which of them makes the sample.

    `[n, latent + n_generators] -> [n, *shape]`. Every generator sees all latents, since shapes must not depend on values; a
    batch norm inside one therefore uses the whole batch, and the cost is that of all generators on all latents.

    Parameters
    ----------
    make
        Builds one generator, `[n, latent] -> [n, *shape]`; called once for each.

    Source: Ghosh et al. 2018, MAD-GAN, section 3, without shared layers.
    """

    def __init__(self, n_generators: int, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.generators = nn.ModuleList([make() for _ in range(n_generators)])

    def forward(self, x: Tensor) -> Tensor:
        latent, which = x.tensor_split([-len(self.generators)], dim=1)
        made = torch.stack([generator(latent) for generator in self.generators], 1)
        index = which.argmax(1).view(-1, *[1] * (made.ndim - 1))
        return made.gather(1, index.expand(-1, 1, *made.shape[2:])).squeeze(1)


class Bidirectional(nn.Module):
    """A generator, or decoder, with an encoder: `forward` maps latents to samples, `encoder` maps samples to latents.

    Source: Donahue et al. 2017 (BiGAN); Dumoulin et al. 2017 (ALI); Hinton and Salakhutdinov 2006 (autoencoders).
    """

    def __init__(self, generator: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.generator, self.encoder = generator, encoder

    def forward(self, latent: Tensor) -> Tensor:
        return self.generator(latent)
