"""Separate random streams per seed, the same whatever else is in the batch.

Every draw in ganlab comes from a generator made here. Streams of one seed are independent of each other, so that
measuring more (the `evaluation` stream) never moves training, and a seed alone sees the same numbers as in a crowd.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

PURPOSES = ("generator", "discriminator", "classifier", "data", "latent", "penalty", "evaluation")
"""What a stream is for; the first three initialise nets."""


def derive(seed: int, purpose: str) -> int:
    """Return the 63-bit number that seeds the stream `purpose` of `seed`.

    SHA-256 of the text "seed/purpose": neighbouring seeds give unrelated streams on every platform.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"unknown stream {purpose!r}; one of {PURPOSES}")
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1


def stream(seed: int, purpose: str) -> torch.Generator:
    """Return a fresh CPU generator for one purpose of one seed.

    Draws are made on the CPU, then moved, so that a seed sees the same numbers on every device.

    Example
    -------
    >>> a, b = stream(0, "latent"), stream(0, "latent")
    >>> bool((torch.randn(3, generator=a) == torch.randn(3, generator=b)).all())
    True
    """
    return torch.Generator().manual_seed(derive(seed, purpose))


@contextmanager
def initialising(seed: int, purpose: str) -> Iterator[None]:
    """Seed torch's global generator for layers that initialise themselves, and put it back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, purpose))
        yield
