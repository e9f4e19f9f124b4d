"""The matrix products of one step of a GAN of perceptrons: what has to be computed, whoever does it.

A product of `[m, k]` by `[k, n]` takes 2 m k n operations. Biases, activations and the optimiser are left out: they are a few
percent of the operations, and no matrix product.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple


class Product(NamedTuple):
    """A matrix product `[m, k] x [k, n]`."""

    m: int
    k: int
    n: int

    @property
    def flops(self) -> int:
        return 2 * self.m * self.k * self.n


def step_products(generator: Sequence[int], discriminator: Sequence[int], batch: int, n_critic: int = 1) -> list[Product]:
    """Return the matrix products of one step, in the order in which they are needed.

    The discriminator is trained on real and fake samples in one pass; the generator's update needs gradients through the
    discriminator, and none of its weights. Penalties on slopes are not in here.

    Parameters
    ----------
    generator, discriminator
        Widths from input to output, such as `(2, 128, 128, 2)`.
    batch
        Real samples, and fake ones, of an update.

    Example
    -------
    >>> round(sum(p.flops for p in step_products((2, 128, 128, 2), (2, 128, 128, 1), 256)) / 1e6, 1)
    102.9
    """
    critic = [*_forward(generator, batch), *_forward(discriminator, 2 * batch)]
    critic += [*_weights(discriminator, 2 * batch), *_inputs(discriminator, 2 * batch)[:-1]]  # nothing goes into samples
    through = [*_forward(generator, batch), *_forward(discriminator, batch), *_inputs(discriminator, batch)]
    return n_critic * critic + through + [*_weights(generator, batch), *_inputs(generator, batch)[:-1]]


def _forward(widths: Sequence[int], batch: int) -> list[Product]:
    return [Product(batch, before, after) for before, after in itertools.pairwise(widths)]


def _weights(widths: Sequence[int], batch: int) -> list[Product]:
    """Gradients of the weights, from the last layer to the first."""
    return [Product(before, batch, after) for before, after in reversed(list(itertools.pairwise(widths)))]


def _inputs(widths: Sequence[int], batch: int) -> list[Product]:
    """Gradients of what each layer reads, from the last layer to the first."""
    return [Product(batch, after, before) for before, after in reversed(list(itertools.pairwise(widths)))]
