"""Separate random streams per seed, the same whatever else is in the batch.

Every draw in ganlab comes from a generator made here. Streams of one seed are independent of each other, so that
measuring more (the `evaluation` stream) never moves training, and a seed alone sees the same numbers as in a crowd.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

PURPOSES = (
    "generator", "discriminator", "classifier", "learner", "autoencoder", "data", "latent", "category", "penalty", "jitter",
    "evaluation", "reference",
)  # fmt: skip
"""What a stream is for; the first five initialise nets."""


def derive(seed: int, purpose: str) -> int:
    """Return the 63-bit number that seeds the stream `purpose` of `seed`.

    SHA-256 of the text "seed/purpose": neighbouring seeds give unrelated streams on every platform.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"unknown stream {purpose!r}; one of {PURPOSES}")
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1


def stream(seed: int, purpose: str, device: str = "cpu") -> torch.Generator:
    """Return a fresh generator for one purpose of one seed; what is drawn with it lies on its device.

    Devices have generators of their own kind, so the numbers of a seed differ between a CPU and a GPU.

    Example
    -------
    >>> a, b = stream(0, "latent"), stream(0, "latent")
    >>> bool((torch.randn(3, generator=a) == torch.randn(3, generator=b)).all())
    True
    """
    return torch.Generator(device).manual_seed(derive(seed, purpose))


def normal(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return standard normal numbers on the generator's device."""
    return torch.randn(*shape, generator=generator, device=generator.device)


def uniform(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return uniform numbers in [0, 1) on the generator's device."""
    return torch.rand(*shape, generator=generator, device=generator.device)


LAWS: Mapping[str, Callable[[int, int, torch.Generator], Tensor]] = {
    "normal": lambda n, d, generator: normal((n, d), generator),
    "uniform": lambda n, d, generator: 2 * uniform((n, d), generator) - 1,
    "unit": lambda n, d, generator: uniform((n, d), generator),
}
"""Laws of latents, by name; "uniform" is on [-1, 1), "unit" on [0, 1)."""


@contextmanager
def initialising(seed: int, purpose: str) -> Iterator[None]:
    """Seed torch's global generator for layers that initialise themselves, and put it back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, purpose))
        yield
